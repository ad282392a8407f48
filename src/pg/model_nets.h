/*
 * model_nets.h: the ONNX files of a model, and the networks made of them.
 *
 * The column weights of facerec_models is an array.  For most presets its
 * elements are consecutive pieces of one file; for a preset of several
 * networks (mtcnn) each element is a file.
 */
#ifndef FR_PG_MODEL_NETS_H
#define FR_PG_MODEL_NETS_H

#include "postgres.h"

#include "core/face/face.h"
#include "utils/array.h"

/* The elements of the array, one behind the other. */
typedef struct FrModelFiles
{
	const char *bytes;
	size_t total_bytes;
	int count;						  /* of elements */
	size_t size_bytes[FR_MAX_GRAPHS]; /* of the first ones */
} FrModelFiles;

/* Read an array; bytes are joined as by fr_catalog_join_chunks. */
extern void fr_model_files_read(ArrayType *weights, FrModelFiles *files);

/*
 * SHA-256 of a model of graph_count networks: of its file, or of the SHA-256s
 * of its files, so that the borders between them count.
 */
extern void fr_model_files_sha256(const FrModelFiles *files, int graph_count,
								  uint8 sha256[]);

/* File number index of a model of graph_count networks; MISMATCH when there
 * are not as many files as networks. */
extern FrStatus fr_model_files_get(const FrModelFiles *files, int graph_count,
								   int index, FrBytes *file, FrError *error);

/* Make one network of its ONNX file. */
extern FrStatus
fr_model_net_create(const void *bytes, size_t size_bytes,
					const FrNetOptions *options, const FrAllocator *allocator,
					FrNet **net, FrError *error);

/* Make the networks; those made are destroyed when one fails.  MISMATCH when
 * there are not as many files as networks. */
extern FrStatus
fr_model_nets_create(const FrModelFiles *files, int graph_count,
					 const FrNetOptions *options, const FrAllocator *allocator,
					 FrNet *nets[FR_MAX_GRAPHS], FrError *error);

extern void fr_model_nets_destroy(FrNet *nets[FR_MAX_GRAPHS]);

/*
 * Make the networks of a model whose preset is not known: several when every
 * element is a complete file.
 */
extern FrStatus
fr_model_nets_explore(const FrModelFiles *files, const FrNetOptions *options,
					  const FrAllocator *allocator, FrNet *nets[FR_MAX_GRAPHS],
					  int *count, FrError *error);

#endif
