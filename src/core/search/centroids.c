/*
 * centroids.c: quantised centroids, and assignment by a matrix product.
 *
 * The product rows x centroids is a 1x1 convolution whose pixels are the rows
 * and whose output channels are the lists, with -|c|^2 / 2 as bias, so that
 * its outputs are the scores.  The convolution kernels run at nearly the
 * peak of the multiply-add units, and an output does not depend on the batch.
 */
#include "core/search/centroids.h"

#include <math.h>
#include <string.h>

#include "core/base/size.h"

#define MAX_VALUE 127

/* Output blocks (of 16 lists) at a time: their weights and scores stay in
 * the cache while a batch of rows passes. */
#define CHUNK_BLOCKS 16
#define CHUNK_LISTS	 (CHUNK_BLOCKS * FR_BLOCK)

/* Relative error of a stored norm that rounding explains. */
#define NORM_TOLERANCE 1e-5

/* The score of a list that does not exist. */
#define NO_SCORE (-1e30f)

static double
half_norm2(const FrSearchShape *shape, const FrCentroid *centroid)
{
	int64_t sum = 0;

	for (uint32_t i = 0; i < shape->padded; i++)
		sum += centroid->values[i] * centroid->values[i];
	return 0.5 * (double) sum * (double) centroid->scale *
		   (double) centroid->scale;
}

void
fr_centroid_quantise(const FrSearchShape *shape, const float *values,
					 FrCentroid *centroid)
{
	float largest = 0;

	for (uint32_t i = 0; i < shape->padded; i++)
		largest = fmaxf(largest, fabsf(values[i]));
	centroid->scale = largest / MAX_VALUE;
	for (uint32_t i = 0; i < shape->padded; i++)
	{
		float value = centroid->scale > 0 ? values[i] / centroid->scale : 0;

		value = fminf(fmaxf(value, -MAX_VALUE), MAX_VALUE);
		centroid->values[i] = (int8_t) lrintf(value);
	}
	centroid->half_norm2 = (float) half_norm2(shape, centroid);
}

FrStatus
fr_centroid_check(const FrSearchShape *shape, const FrCentroid *centroid,
				  FrError *error)
{
	double expected;

	if (!isfinite(centroid->scale) || centroid->scale < 0 ||
		!isfinite(centroid->half_norm2))
		return fr_fail(error, FR_ERR_CORRUPT,
					   "The scale %g or half squared norm %g of a centroid is "
					   "no possible number.",
					   (double) centroid->scale, (double) centroid->half_norm2);
	expected = half_norm2(shape, centroid);
	if (fabs((double) centroid->half_norm2 - expected) >
		NORM_TOLERANCE * expected)
		return fr_fail(error, FR_ERR_CORRUPT,
					   "Half the squared norm of a centroid is %g, but %g is "
					   "stored.",
					   expected, (double) centroid->half_norm2);
	return FR_OK;
}

float
fr_centroid_dot(const FrSearchShape *shape, const FrKernels *kernels,
				const FrCentroid *centroid, const float *x)
{
	return (
		float) ((double) centroid->scale *
				kernels->search->dot_i8(centroid->values, x, shape->padded));
}

/* ---- assignment ----------------------------------------------------------
 */

struct FrAssigner
{
	const FrSearchShape *shape;
	const FrNnKernels *nn;
	const FrSearchKernels *search;
	FrAllocator allocator;
	uint32_t count, chunks;
	size_t packed_bytes; /* of a chunk */
	uint8_t *packed;	 /* [chunks, packed_bytes] */
	float *bias;		 /* [chunks, CHUNK_LISTS] */
	float *scores;		 /* [CHUNK_BLOCKS, FR_ASSIGN_ROWS, 16] */
	float *best;		 /* [FR_ASSIGN_ROWS] */
};

static FrConvFilter
chunk_filter(const FrSearchShape *shape)
{
	return (FrConvFilter){.out_channels = CHUNK_LISTS,
						  .in_channels = (int) shape->padded,
						  .kernel_h = 1,
						  .kernel_w = 1,
						  .in_lanes = FR_BLOCK,
						  .format = FR_WEIGHTS_F32};
}

/* Pack the centroids from number first on; floats [CHUNK_LISTS, padded] is
 * scratch. */
static void
pack_chunk(FrAssigner *assigner, const uint8_t *centroids, uint32_t chunk,
		   float *floats)
{
	const FrSearchShape *shape = assigner->shape;
	const FrConvFilter filter = chunk_filter(shape);

	for (uint32_t i = 0; i < CHUNK_LISTS; i++)
	{
		const uint32_t list = chunk * CHUNK_LISTS + i;
		float *row = floats + (size_t) i * shape->padded;

		assigner->bias[list] = NO_SCORE;
		memset(row, 0, shape->padded * sizeof *row);
		if (list >= assigner->count)
			continue;

		const FrCentroid *centroid =
			(const void *) (centroids + (size_t) list * shape->centroid_bytes);

		assigner->bias[list] = -centroid->half_norm2;
		for (uint32_t d = 0; d < shape->padded; d++)
			row[d] = centroid->scale * (float) centroid->values[d];
	}
	assigner->nn->conv_pack(&filter, floats, NULL,
							assigner->packed + chunk * assigner->packed_bytes);
}

/* Allocate everything; false when something failed. */
static bool
allocate(FrAssigner *assigner, float **floats)
{
	const FrAllocator *allocator = &assigner->allocator;
	const size_t lists = (size_t) assigner->chunks * CHUNK_LISTS;
	size_t packed_bytes;

	if (!fr_size_mul(assigner->packed_bytes, assigner->chunks, &packed_bytes))
		return false;
	assigner->packed = fr_alloc_aligned(allocator, packed_bytes);
	assigner->bias = fr_alloc_aligned(allocator, lists * sizeof(float));
	assigner->scores = fr_alloc_aligned(
		allocator, (size_t) CHUNK_LISTS * FR_ASSIGN_ROWS * sizeof(float));
	assigner->best =
		fr_alloc_aligned(allocator, FR_ASSIGN_ROWS * sizeof(float));
	*floats = fr_alloc_aligned(allocator, (size_t) CHUNK_LISTS *
											  assigner->shape->padded *
											  sizeof(float));
	return assigner->packed && assigner->bias && assigner->scores &&
		   assigner->best && *floats;
}

FrStatus
fr_assigner_create(const FrSearchShape *shape, const FrKernels *kernels,
				   const void *centroids, uint32_t count,
				   const FrAllocator *allocator, FrAssigner **assigner,
				   FrError *error)
{
	const FrConvFilter filter = chunk_filter(shape);
	FrAssigner *made = fr_alloc_zeroed(allocator, 1, sizeof *made);
	float *floats = NULL;

	*assigner = NULL;
	if (!made)
		return fr_fail_nomem(error, sizeof *made);
	made->shape = shape;
	made->nn = kernels->unpaired;
	made->search = kernels->search;
	made->allocator = *allocator;
	made->count = count;
	made->chunks = (count + CHUNK_LISTS - 1) / CHUNK_LISTS;
	made->packed_bytes = made->nn->conv_packed_bytes(&filter);
	if (!allocate(made, &floats))
	{
		fr_release_aligned(allocator, floats);
		fr_assigner_destroy(made);
		return fr_fail_nomem(error,
							 (size_t) count * shape->padded * sizeof(float));
	}
	for (uint32_t chunk = 0; chunk < made->chunks; chunk++)
		pack_chunk(made, centroids, chunk, floats);
	fr_release_aligned(allocator, floats);
	*assigner = made;
	return FR_OK;
}

void
fr_assigner_destroy(FrAssigner *assigner)
{
	if (!assigner)
		return;

	const FrAllocator allocator = assigner->allocator;

	fr_release_aligned(&allocator, assigner->packed);
	fr_release_aligned(&allocator, assigner->bias);
	fr_release_aligned(&allocator, assigner->scores);
	fr_release_aligned(&allocator, assigner->best);
	fr_release(&allocator, assigner);
}

/* Scores of rows [n, padded] for the lists of a chunk. */
static void
score_chunk(const FrAssigner *assigner, const float *rows, size_t n,
			uint32_t chunk)
{
	const uint32_t padded = assigner->shape->padded;
	const FrConvTask task = {
		.input = rows,
		.in_block = FR_BLOCK,
		.in_pixel = padded,
		.in_channels = (int) padded,
		.in_lanes = FR_BLOCK,
		.kernel_h = 1,
		.kernel_w = 1,
		.output = assigner->scores,
		.out_block = (ptrdiff_t) n * FR_BLOCK,
		.out_pixel = FR_BLOCK,
		.out_blocks = CHUNK_BLOCKS,
		.out_h = 1,
		.out_w = (int) n,
		.weights = assigner->packed + chunk * assigner->packed_bytes,
		.weight_format = FR_WEIGHTS_F32,
		.epilogue = {.bias = assigner->bias + (size_t) chunk * CHUNK_LISTS},
	};

	assigner->nn->conv(&task);
}

FrStatus
fr_assigner_run(FrAssigner *assigner, const float *rows, size_t n,
				uint32_t *lists, float *scores, const FrCancel *cancel,
				FrError *error)
{
	for (size_t start = 0; start < n; start += FR_ASSIGN_ROWS)
	{
		const size_t batch =
			n - start < FR_ASSIGN_ROWS ? n - start : FR_ASSIGN_ROWS;

		for (size_t i = 0; i < batch; i++)
		{
			assigner->best[i] = -INFINITY;
			lists[start + i] = 0;
		}
		for (uint32_t chunk = 0; chunk < assigner->chunks; chunk++)
		{
			if (fr_is_cancelled(cancel))
				return fr_fail(error, FR_ERR_CANCELLED,
							   "The assignment was cancelled.");
			score_chunk(assigner, rows + start * assigner->shape->padded, batch,
						chunk);
			assigner->search->best_score(assigner->scores, CHUNK_BLOCKS, batch,
										 chunk * CHUNK_LISTS, assigner->best,
										 lists + start);
		}
		if (scores)
			memcpy(scores + start, assigner->best, batch * sizeof *scores);
	}
	return FR_OK;
}
