/*
 * kmeans.c: Lloyd's iterations with quantised centroids.
 *
 * S. Lloyd, "Least Squares Quantization in PCM", IEEE Trans. Inf. Theory 28,
 * 1982.  Assignment uses the quantised centroids, since these are what the
 * index keeps.
 */
#include "core/search/kmeans.h"

#include <math.h>
#include <string.h>

#include "core/base/random.h"
#include "core/base/size.h"

/* Rows between two looks at the cancel hook. */
#define CANCEL_ROWS 4096

/* A squared distance that may come from the 8 bits of a centroid, which are
 * wrong by 1e-4 or so: copies of one vector cannot be told apart. */
#define SAME_POINT 1e-3f

typedef struct Clusters
{
	const FrSearchShape *shape;
	const FrKernels *kernels;
	const FrAllocator *allocator;
	const FrCancel *cancel;
	const float *sample; /* [n, padded] */
	size_t n;
	uint32_t count;
	uint8_t *centroids; /* [count] FrCentroid */
	float *sums;		/* [count, padded] */
	uint32_t *sizes;	/* [count] */
	uint32_t *lists;	/* [n] */
	float *scores;		/* [n] */
} Clusters;

static FrCentroid *
centroid_at(const Clusters *clusters, uint32_t list)
{
	return (void *) (clusters->centroids +
					 (size_t) list * clusters->shape->centroid_bytes);
}

static const float *
row_at(const Clusters *clusters, size_t row)
{
	return clusters->sample + row * clusters->shape->padded;
}

static void
add_row(Clusters *clusters, uint32_t list, size_t row, float sign)
{
	const uint32_t padded = clusters->shape->padded;
	const float *x = row_at(clusters, row);
	float *sum = clusters->sums + (size_t) list * padded;

	for (uint32_t d = 0; d < padded; d++)
		sum[d] += sign * x[d];
}

/* Start from count different rows of the sample; lists serves as the
 * permutation. */
static void
choose_rows(Clusters *clusters, uint64_t seed)
{
	uint32_t *order = clusters->lists;

	for (size_t i = 0; i < clusters->n; i++)
		order[i] = (uint32_t) i;
	for (uint32_t list = 0; list < clusters->count; list++)
	{
		size_t other = list + fr_random_below(&seed, clusters->n - list);
		uint32_t row = order[other];

		order[other] = order[list];
		order[list] = row;
		fr_centroid_quantise(clusters->shape, row_at(clusters, row),
							 centroid_at(clusters, list));
	}
}

static FrStatus
assign(Clusters *clusters, FrError *error)
{
	FrAssigner *assigner;
	FrStatus status = fr_assigner_create(clusters->shape, clusters->kernels,
										 clusters->centroids, clusters->count,
										 clusters->allocator, &assigner, error);

	if (status != FR_OK)
		return status;
	status = fr_assigner_run(assigner, clusters->sample, clusters->n,
							 clusters->lists, clusters->scores,
							 clusters->cancel, error);
	fr_assigner_destroy(assigner);
	return status;
}

static FrStatus
fail_cancelled(FrError *error)
{
	return fr_fail(error, FR_ERR_CANCELLED, "The clustering was cancelled.");
}

static FrStatus
sum_members(Clusters *clusters, FrError *error)
{
	memset(clusters->sizes, 0, clusters->count * sizeof *clusters->sizes);
	memset(clusters->sums, 0,
		   (size_t) clusters->count * clusters->shape->padded *
			   sizeof *clusters->sums);
	for (size_t row = 0; row < clusters->n; row++)
	{
		if (row % CANCEL_ROWS == 0 && fr_is_cancelled(clusters->cancel))
			return fail_cancelled(error);
		add_row(clusters, clusters->lists[row], row, 1.0f);
		clusters->sizes[clusters->lists[row]]++;
	}
	return FR_OK;
}

/* Move the farthest member of the largest cluster to an empty one; false when
 * that cluster is but one point. */
static bool
refill(Clusters *clusters, uint32_t empty)
{
	uint32_t largest = 0;
	size_t farthest = 0;
	float lowest = INFINITY;

	for (uint32_t list = 1; list < clusters->count; list++)
		if (clusters->sizes[list] > clusters->sizes[largest])
			largest = list;
	for (size_t row = 0; row < clusters->n; row++)
		if (clusters->lists[row] == largest && clusters->scores[row] < lowest)
		{
			farthest = row;
			lowest = clusters->scores[row];
		}
	/* The squared distance of a unit vector is 1 - 2 score. */
	if (clusters->sizes[largest] < 2 || 1.0f - 2.0f * lowest < SAME_POINT)
		return false;
	add_row(clusters, largest, farthest, -1.0f);
	clusters->sizes[largest]--;
	add_row(clusters, empty, farthest, 1.0f);
	clusters->sizes[empty]++;
	clusters->lists[farthest] = empty;
	return true;
}

/* Give every cluster a member, as far as there are different ones. */
static FrStatus
refill_empty(Clusters *clusters, FrError *error)
{
	for (uint32_t list = 0; list < clusters->count; list++)
	{
		if (clusters->sizes[list] > 0)
			continue;
		if (fr_is_cancelled(clusters->cancel))
			return fail_cancelled(error);
		if (!refill(clusters, list))
			break;
	}
	return FR_OK;
}

/* Centroids become the means of their members. */
static void
move_centroids(Clusters *clusters)
{
	const uint32_t padded = clusters->shape->padded;

	for (uint32_t list = 0; list < clusters->count; list++)
	{
		float *sum = clusters->sums + (size_t) list * padded;
		const float factor = 1.0f / (float) clusters->sizes[list];

		if (clusters->sizes[list] == 0)
			continue;
		for (uint32_t d = 0; d < padded; d++)
			sum[d] *= factor;
		fr_centroid_quantise(clusters->shape, sum, centroid_at(clusters, list));
	}
}

/* Drop the clusters without a member. */
static void
drop_empty(Clusters *clusters)
{
	uint32_t kept = 0;

	for (uint32_t list = 0; list < clusters->count; list++)
		if (clusters->sizes[list] > 0)
			memmove(centroid_at(clusters, kept++), centroid_at(clusters, list),
					clusters->shape->centroid_bytes);
	clusters->count = kept;
}

static FrStatus
iterate(Clusters *clusters, int iterations, FrError *error)
{
	for (int i = 0; i < iterations; i++)
	{
		const bool is_last = i == iterations - 1;
		FrStatus status = assign(clusters, error);

		if (status == FR_OK)
			status = sum_members(clusters, error);
		if (status == FR_OK && !is_last)
			status = refill_empty(clusters, error);
		if (status != FR_OK)
			return status;
		move_centroids(clusters);
	}
	if (iterations > 0)
		drop_empty(clusters);
	return FR_OK;
}

FrStatus
fr_kmeans(const FrSearchShape *shape, const FrKernels *kernels,
		  const float *sample, size_t n, uint32_t lists, int iterations,
		  uint64_t seed, const FrAllocator *allocator, const FrCancel *cancel,
		  void *centroids, uint32_t *count, FrError *error)
{
	Clusters clusters = {.shape = shape,
						 .kernels = kernels,
						 .allocator = allocator,
						 .cancel = cancel,
						 .sample = sample,
						 .n = n,
						 .count = n < lists ? (uint32_t) n : lists,
						 .centroids = centroids};
	size_t sum_bytes;
	FrStatus status = FR_OK;

	*count = 0;
	if (n > UINT32_MAX ||
		!fr_size_mul3(clusters.count, shape->padded, sizeof(float), &sum_bytes))
		return fr_fail(error, FR_ERR_LIMIT, "The sample is too large.");
	if (n == 0)
	{
		memset(centroids, 0, shape->centroid_bytes);
		*count = 1;
		return FR_OK;
	}
	clusters.sums = fr_alloc_aligned(allocator, sum_bytes);
	clusters.sizes =
		fr_alloc_zeroed(allocator, clusters.count, sizeof *clusters.sizes);
	clusters.lists = fr_alloc_zeroed(allocator, n, sizeof *clusters.lists);
	clusters.scores = fr_alloc_zeroed(allocator, n, sizeof *clusters.scores);
	if (clusters.sums && clusters.sizes && clusters.lists && clusters.scores)
	{
		choose_rows(&clusters, seed);
		status = iterate(&clusters, iterations, error);
		*count = clusters.count;
	}
	else
		status = fr_fail_nomem(error, sum_bytes);
	fr_release_aligned(allocator, clusters.sums);
	fr_release(allocator, clusters.sizes);
	fr_release(allocator, clusters.lists);
	fr_release(allocator, clusters.scores);
	return status;
}
