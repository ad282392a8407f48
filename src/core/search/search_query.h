/*
 * search_query.h: a query face against blocks of codes.
 *
 * Similarities are inner products of unit vectors (cosines): they grow with
 * likeness.  Bounds are upper bounds of the similarity; they hold but for a
 * probability that epsilon sets (README), and include the rounding of all
 * arithmetic.  Same query, block and kernels: same bounds, bit for bit, so
 * that a later round of a search can tell what an earlier one has seen.
 */
#ifndef FR_CORE_SEARCH_SEARCH_QUERY_H
#define FR_CORE_SEARCH_SEARCH_QUERY_H

#include "core/base/arena.h"
#include "core/search/centroids.h"
#include "core/search/codes.h"
#include "core/search/rotation.h"
#include "core/search/search_shape.h"

/* How many standard deviations the bounds allow for where nothing may be
 * missed, and the least for re-ranking (README). */
#define FR_SEARCH_EPSILON_SCAN		 4.75f
#define FR_SEARCH_EPSILON_RERANK	 5.0f
#define FR_SEARCH_EPSILON_RERANK_MIN 3.0f

/* Added to every bound: the rounding of floats, here and in the exact
 * distances that bounds are compared with. */
#define FR_SEARCH_ROUNDING 4e-6f

typedef struct FrSearchQuery
{
	const FrSearchShape *shape;
	const FrKernels *kernels;
	float epsilon_scan, epsilon_rerank;
	float *rotated;	   /* [padded] */
	int16_t *integers; /* [padded]: rotated / integer_scale, rounded */
	uint8_t *table;	   /* [padded / 4, 16]: 6-bit sums of four coordinates */
	float integer_scale;
	float integer_error; /* |rotated - integer_scale * integers| / sqrt(P-1) */
	float table_scale;	 /* <s, q> = table_scale * sum + table_offset */
	float table_offset;
	float table_error; /* standard deviation of that */
	float norm;		   /* |q|, and what table_error adds to errors */
} FrSearchQuery;

/* Allocate what a query needs; the shape and kernels must outlive it.  End
 * with fr_search_query_fini, also after a failure. */
FrStatus fr_search_query_init(FrSearchQuery *query, const FrSearchShape *shape,
							  const FrKernels *kernels,
							  const FrAllocator *allocator, FrError *error);
void fr_search_query_fini(FrSearchQuery *query, const FrAllocator *allocator);

/*
 * Set epsilon_scan and epsilon_rerank for a recall, 0.5 .. 1: the share of true
 * neighbours to be found when all lists are read.  1 stands for the defaults;
 * below, a neighbour is missed with a probability of at most 1 - recall,
 * measured is about 0.6 of that.  Set it before fr_search_list.
 */
void fr_search_query_set_recall(FrSearchQuery *query, double recall);

/* Set the face to look for: a stored direction, halves [dims] times scale.
 * May be called again for the next one. */
void fr_search_query_set(FrSearchQuery *query, const FrRotation *rotation,
						 const uint16_t *halves, float scale);

/* The same with a rotated unit vector [padded]. */
void fr_search_query_set_rotated(FrSearchQuery *query, const float *rotated);

/* What a scan needs to know of a list. */
typedef struct FrSearchList
{
	float product;	/* <c, q> */
	float distance; /* |q - c|: lists are read in rising order of it */
} FrSearchList;

FrSearchList
fr_search_list(const FrSearchQuery *query, const FrCentroid *centroid);

/* The slots that a scan of a block lets through. */
typedef struct FrSearchHits
{
	uint32_t count;
	uint8_t slot[FR_SEARCH_BLOCK]; /* rising */
	float bound[FR_SEARCH_BLOCK];
} FrSearchHits;

/*
 * Bounds of the vectors of a block whose slots are in mask (fr_block_live, or
 * what filters left of it; the block's own live mask is not looked at) and
 * whose bound is in lowest..highest, both included.  The block is at an
 * address that is a multiple of 4.
 */
void fr_search_scan_block(const FrSearchQuery *query, const FrSearchList *list,
						  const uint8_t *block, uint32_t mask, float lowest,
						  float highest, FrSearchHits *hits);

typedef struct FrSearchRerank
{
	float estimate;
	float bound; /* upper bound of the similarity */
} FrSearchRerank;

/* Look closer: the re-rank code of a vector (shape->rerank_bytes at an even
 * address). */
FrSearchRerank
fr_search_rerank(const FrSearchQuery *query, const uint8_t *rerank);

#endif
