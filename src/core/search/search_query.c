/*
 * search_query.c: tables of a query, bounds of lists, blocks and codes.
 *
 * The tables follow fast scan (Andre, Kermarrec, Le Scouarnec, "Cache Locality
 * is not Enough: High-Performance Nearest Neighbor Search with Product
 * Quantization Fast Scan", VLDB 2015): the sums of four coordinates under all
 * 16 patterns of signs, in 6 bits, so that one byte shuffle looks up 16
 * vectors.
 */
#include "core/search/search_query.h"

#include <math.h>
#include <string.h>

#include "kernels/half.h"

#define SEGMENT	 4	/* coordinates of a table */
#define PATTERNS 16 /* of their signs */

/* Integers of the query: such that FrSearchKernels.dot_levels cannot
 * overflow. */
#define MAX_INTEGER 8191

/* B / E is at most this times sqrt(P - 1), see codes.c. */
#define MAX_FACTOR_RATIO 2.0

/* |f v| of a re-rank code is at most this; it is 1.005 or so. */
#define MAX_RERANK_NORM 1.1

FrStatus
fr_search_query_init(FrSearchQuery *query, const FrSearchShape *shape,
					 const FrKernels *kernels, const FrAllocator *allocator,
					 FrError *error)
{
	const size_t padded = shape->padded;
	const size_t table_bytes = padded / SEGMENT * PATTERNS;

	*query = (FrSearchQuery){.shape = shape,
							 .kernels = kernels,
							 .epsilon_scan = FR_SEARCH_EPSILON_SCAN,
							 .epsilon_rerank = FR_SEARCH_EPSILON_RERANK};
	query->rotated = fr_alloc_aligned(allocator, padded * sizeof(float));
	query->integers = fr_alloc_aligned(allocator, padded * sizeof(int16_t));
	query->table = fr_alloc_aligned(allocator, table_bytes);
	if (!query->rotated || !query->integers || !query->table)
		return fr_fail_nomem(error, padded * (sizeof(float) + sizeof(int16_t)) +
										table_bytes);
	return FR_OK;
}

void
fr_search_query_fini(FrSearchQuery *query, const FrAllocator *allocator)
{
	fr_release_aligned(allocator, query->rotated);
	fr_release_aligned(allocator, query->integers);
	fr_release_aligned(allocator, query->table);
	query->rotated = NULL;
	query->integers = NULL;
	query->table = NULL;
}

/* The number of standard deviations that a normal variable exceeds with this
 * probability, by bisection. */
static double
normal_quantile(double probability)
{
	double low = 0, high = FR_SEARCH_EPSILON_SCAN;

	for (int i = 0; i < 40; i++)
	{
		const double middle = (low + high) / 2;

		if (0.5 * erfc(middle / sqrt(2.0)) > probability)
			low = middle;
		else
			high = middle;
	}
	return high;
}

void
fr_search_query_set_recall(FrSearchQuery *query, double recall)
{
	query->epsilon_scan = FR_SEARCH_EPSILON_SCAN;
	query->epsilon_rerank = FR_SEARCH_EPSILON_RERANK;
	if (!(recall < 1))
		return;
	query->epsilon_scan = (float) normal_quantile(1 - recall);
	query->epsilon_rerank =
		fmaxf(query->epsilon_scan, FR_SEARCH_EPSILON_RERANK_MIN);
}

/* The integer next to value, |value| < 2^22: adding 1.5 * 2^23 rounds to one,
 * without a call of the library. */
static float
round_nearest(float value)
{
	return (value + 12582912.0f) - 12582912.0f;
}

/* Round the coordinates to integers. */
static void
set_integers(FrSearchQuery *query)
{
	const uint32_t padded = query->shape->padded;
	float largest = 0, factor;
	double squared_error = 0;

	for (uint32_t i = 0; i < padded; i++)
	{
		const float magnitude = fabsf(query->rotated[i]);

		largest = magnitude > largest ? magnitude : largest;
	}
	query->integer_scale = largest > 0 ? largest / MAX_INTEGER : 1;
	factor = 1 / query->integer_scale;
	for (uint32_t i = 0; i < padded; i++)
	{
		float value = round_nearest(query->rotated[i] * factor);
		float error;

		value = value > MAX_INTEGER ? MAX_INTEGER : value;
		value = value < -MAX_INTEGER ? -MAX_INTEGER : value;
		query->integers[i] = (int16_t) value;
		error = query->rotated[i] - query->integer_scale * value;
		squared_error += (double) error * (double) error;
	}
	query->integer_error =
		(float) (MAX_RERANK_NORM * sqrt(squared_error / (padded - 1)));
}

static float
absolute_sum(const float *q)
{
	return (fabsf(q[0]) + fabsf(q[1])) + (fabsf(q[2]) + fabsf(q[3]));
}

/* Entries are (sum + offset) / step; the offsets are those of the kernel. What
 * rounding adds has a known sum over all patterns of signs; the mean square
 * about it is at most the sum of squares. */
static void
set_table(FrSearchQuery *query)
{
	const uint32_t padded = query->shape->padded;
	const double root = sqrt((double) padded);
	double total = 0, error, squared_error, step;
	float largest = 0, factor;

	for (uint32_t i = 0; i < padded; i += SEGMENT)
	{
		const float sum = absolute_sum(query->rotated + i);

		largest = sum > largest ? sum : largest;
		total += (double) sum;
	}
	factor = largest > 0 ? FR_SCAN_TABLE_MAX / (2 * largest) : 1;
	query->kernels->search->fill_table(query->rotated, factor,
									   padded / FR_SCAN_GROUP, query->table,
									   &error, &squared_error);
	step = 1.0 / (double) factor;
	query->table_scale = (float) (step / root);
	query->table_offset = (float) (-(total + error / PATTERNS * step) / root);
	query->table_error = (float) (sqrt(squared_error / PATTERNS) * step / root);
	error = MAX_FACTOR_RATIO * sqrt((double) padded - 1) *
			(double) query->table_error;
	query->norm = (float) sqrt(1 + error * error);
}

void
fr_search_query_set_rotated(FrSearchQuery *query, const float *rotated)
{
	if (rotated != query->rotated)
		memcpy(query->rotated, rotated,
			   query->shape->padded * sizeof *query->rotated);
	set_integers(query);
	set_table(query);
}

void
fr_search_query_set(FrSearchQuery *query, const FrRotation *rotation,
					const uint16_t *halves, float scale)
{
	fr_rotation_apply_halves(rotation, query->kernels, halves, scale,
							 query->rotated);
	fr_search_query_set_rotated(query, query->rotated);
}

FrSearchList
fr_search_list(const FrSearchQuery *query, const FrCentroid *centroid)
{
	const float product =
		fr_centroid_dot(query->shape, query->kernels, centroid, query->rotated);
	const float distance2 =
		fmaxf(fr_centroid_distance2(centroid, product), 0.0f);

	return (FrSearchList){.product = product, .distance = sqrtf(distance2)};
}

void
fr_search_scan_block(const FrSearchQuery *query, const FrSearchList *list,
					 const uint8_t *block, uint32_t mask, float lowest,
					 float highest, FrSearchHits *hits)
{
	const FrSearchShape *shape = query->shape;
	const FrScanTask task = {
		.codes = block,
		.table = query->table,
		.groups = shape->padded / FR_SCAN_GROUP,
		.r = (const void *) (block + shape->r_offset),
		.b = (const void *) (block + shape->b_offset),
		.e = (const void *) (block + shape->e_offset),
		.mask = mask,
		.sum_scale = query->table_scale,
		.sum_offset = query->table_offset,
		.base = list->product + FR_SEARCH_ROUNDING,
		.epsilon = query->epsilon_scan,
		.norm = query->norm,
		.lowest = lowest,
		.highest = highest,
	};

	hits->count = mask == 0 ? 0
							: query->kernels->search->scan(&task, hits->bound,
														   hits->slot);
}

FrSearchRerank
fr_search_rerank(const FrSearchQuery *query, const uint8_t *rerank)
{
	const uint32_t padded = query->shape->padded;
	const float scale = FR_LEVEL_UNIT * sqrtf((float) padded);
	const int32_t product =
		query->kernels->search->dot_levels(rerank, query->integers, padded);
	uint16_t halves[2];
	float estimate, sigma;

	memcpy(halves, rerank + padded / 2, sizeof halves);
	sigma = fr_half_to_float(halves[1]);
	estimate = (float) product *
			   (fr_half_to_float(halves[0]) * (query->integer_scale / scale));
	return (FrSearchRerank){
		.estimate = estimate,
		.bound = estimate +
				 query->epsilon_rerank *
					 sqrtf(sigma * sigma +
						   query->integer_error * query->integer_error) +
				 FR_SEARCH_ROUNDING};
}
