/*
 * model_nets.c: from a model's files to its networks; see model_nets.h.
 */
#include "postgres.h"

#include "pg/model_nets.h"

#include "catalog/pg_type.h"
#include "core/onnx/import.h"
#include "pg/catalog.h"

void
fr_model_files_read(ArrayType *weights, FrModelFiles *files)
{
	const void *bytes;
	Datum *elements;
	bool *nulls;

	memset(files, 0, sizeof(*files));
	fr_catalog_join_chunks(weights, &bytes, &files->total_bytes);
	files->bytes = bytes;
	deconstruct_array(weights, BYTEAOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, &files->count);
	for (int i = 0; i < files->count && i < FR_MAX_GRAPHS; i++)
		files->size_bytes[i] = VARSIZE_ANY_EXHDR(DatumGetPointer(elements[i]));
	pfree(elements);
	pfree(nulls);
}

void
fr_model_files_sha256(const FrModelFiles *files, int graph_count,
					  uint8 sha256[])
{
	uint8 parts[FR_MAX_GRAPHS][FR_SHA256_BYTES];
	const char *bytes = files->bytes;

	if (graph_count == 1 || files->count != graph_count)
	{
		fr_catalog_sha256(files->bytes, files->total_bytes, sha256);
		return;
	}
	for (int i = 0; i < graph_count; i++)
	{
		fr_catalog_sha256(bytes, files->size_bytes[i], parts[i]);
		bytes += files->size_bytes[i];
	}
	fr_catalog_sha256(parts, (size_t) graph_count * FR_SHA256_BYTES, sha256);
}

FrStatus
fr_model_net_create(const void *bytes, size_t size_bytes,
					const FrNetOptions *options, const FrAllocator *allocator,
					FrNet **net, FrError *error)
{
	FrGraph graph;
	FrStatus status =
		fr_onnx_import(bytes, size_bytes, allocator, &graph, error);

	if (status == FR_OK)
		status = fr_net_create(&graph, options, allocator, net, error);
	return status;
}

FrStatus
fr_model_files_get(const FrModelFiles *files, int graph_count, int index,
				   FrBytes *file, FrError *error)
{
	size_t offset = 0;

	*file = fr_bytes(NULL, 0);
	if (graph_count == 1)
	{
		*file = fr_bytes(files->bytes, files->total_bytes);
		return FR_OK;
	}
	if (files->count != graph_count)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The model has %d networks, each an ONNX file and an "
					   "element of the array of weights, but that has %d.",
					   graph_count, files->count);
	for (int i = 0; i < index; i++)
		offset += files->size_bytes[i];
	*file = fr_bytes(files->bytes + offset, files->size_bytes[index]);
	return FR_OK;
}

FrStatus
fr_model_nets_create(const FrModelFiles *files, int graph_count,
					 const FrNetOptions *options, const FrAllocator *allocator,
					 FrNet *nets[FR_MAX_GRAPHS], FrError *error)
{
	FrStatus status = FR_OK;

	memset(nets, 0, sizeof(*nets) * FR_MAX_GRAPHS);
	for (int i = 0; i < graph_count && status == FR_OK; i++)
	{
		FrBytes file;

		status = fr_model_files_get(files, graph_count, i, &file, error);
		if (status == FR_OK)
			status = fr_model_net_create(file.data, file.length, options,
										 allocator, &nets[i], error);
	}
	if (status != FR_OK)
		fr_model_nets_destroy(nets);
	return status;
}

void
fr_model_nets_destroy(FrNet *nets[FR_MAX_GRAPHS])
{
	for (int i = 0; i < FR_MAX_GRAPHS; i++)
	{
		if (nets[i])
			fr_net_destroy(nets[i]);
		nets[i] = NULL;
	}
}

FrStatus
fr_model_nets_explore(const FrModelFiles *files, const FrNetOptions *options,
					  const FrAllocator *allocator, FrNet *nets[FR_MAX_GRAPHS],
					  int *count, FrError *error)
{
	/* The first piece of a file is not a complete file. */
	if (files->count > 1 && files->count <= FR_MAX_GRAPHS &&
		fr_model_nets_create(files, files->count, options, allocator, nets,
							 error) == FR_OK)
	{
		*count = files->count;
		return FR_OK;
	}
	*count = 1;
	return fr_model_nets_create(files, 1, options, allocator, nets, error);
}
