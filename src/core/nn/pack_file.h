/*
 * pack_file.h: a model with its packed weights as one block of bytes.
 *
 * Written once, kept in a file and mapped by every process that runs the
 * model: the image (an ONNX model whose tensors are aligned) and all packed
 * weights by their keys, each with a checksum.  Opening looks at header and
 * index only and trusts nothing in them; fr_pack_file_verify checks the bulk,
 * too.  The format is in the README, "The file of packed weights".
 */
#ifndef FR_CORE_NN_PACK_FILE_H
#define FR_CORE_NN_PACK_FILE_H

#include "core/base/arena.h"
#include "core/base/bytes.h"
#include "core/nn/plan.h"

/* To be raised when packed weights get another meaning without another order
 * of their bytes (that, fr_pack_layout notices), or when the file does. */
#define FR_PACK_VERSION 1

/* Whose weights these are, and for which code: 32 bytes that the caller
 * derives from the model and all that packing depends on. */
#define FR_PACK_IDENTITY_BYTES 32

typedef struct FrPackFile
{
	FrBytes bytes; /* the whole */
	FrBytes image;
	FrBytes index;
	int item_count;
} FrPackFile;

/* What a file is made of.  Items of equal keys must not come twice. */
typedef struct FrPackFileContents
{
	const uint8_t *identity; /* [FR_PACK_IDENTITY_BYTES] */
	FrBytes image;
	const FrPackedItem *items; /* is_found does not matter */
	int item_count;
} FrPackFileContents;

/* Where the bytes go, in order; write returns false when it cannot. */
typedef struct FrPackSink
{
	bool (*write)(void *context, const void *bytes, size_t size_bytes);
	void *context;
} FrPackSink;

/* Bytes that fr_pack_file_write writes; false on overflow. */
bool fr_pack_file_size(const FrPackFileContents *contents, size_t *size_bytes);

/* Write the file.  FR_ERR_LIMIT when the sink refuses, CANCELLED, NOMEM. */
FrStatus fr_pack_file_write(const FrPackFileContents *contents,
							const FrPackSink *sink, const FrCancel *cancel,
							const FrAllocator *allocator, FrError *error);

/*
 * View bytes (aligned to 64, valid as long as *file) as a file.  MISMATCH
 * when it has another identity, CORRUPT when header or index are damaged.
 */
FrStatus
fr_pack_file_open(FrBytes bytes, const uint8_t identity[FR_PACK_IDENTITY_BYTES],
				  FrPackFile *file, FrError *error);

/* Where the bytes of a file come from; read returns false when it cannot. */
typedef struct FrPackSource
{
	bool (*read)(void *context, uint64_t offset, void *bytes,
				 size_t size_bytes);
	void *context;
	size_t size_bytes; /* of the whole */
} FrPackSource;

/*
 * Check all of a file by reading it: what fr_pack_file_open checks, and the
 * checksums of image and data.  To be called before the file is mapped: bytes
 * that the disk does not give are CORRUPT here, but SIGBUS in a mapping.
 * MISMATCH as there; CANCELLED, NOMEM.
 */
FrStatus fr_pack_file_verify(const FrPackSource *source,
							 const uint8_t identity[FR_PACK_IDENTITY_BYTES],
							 const FrCancel *cancel,
							 const FrAllocator *allocator, FrError *error);

/* Item number index, in the order of the file. */
FrPackedItem fr_pack_file_item(const FrPackFile *file, int index);

/* FrWeightCache.find: context is the file. */
const void *fr_pack_file_find(void *context, FrBytes key, size_t size_bytes);

/* A number that differs when the kernels pack weights differently; 0 when
 * there is no memory to find out. */
uint64_t fr_pack_layout(const FrKernels *kernels, const FrAllocator *allocator);

#endif
