/*
 * centroids.h: list centroids as they are stored, and the nearest one.
 *
 * A centroid is kept as 8-bit integers times a scale, and this dequantised
 * vector IS the centroid: vectors are encoded against it and <c, q> is that of
 * it, so that its rounding costs nothing.  Centroids are means of unit vectors
 * and have a norm of at most 1.
 */
#ifndef FR_CORE_SEARCH_CENTROIDS_H
#define FR_CORE_SEARCH_CENTROIDS_H

#include "core/base/arena.h"
#include "core/search/search_shape.h"
#include "kernels/kernels.h"

/* On disk; shape->centroid_bytes long.  At any address that is a multiple of
 * 4. */
typedef struct FrCentroid
{
	float scale;
	float half_norm2; /* |c|^2 / 2 of the dequantised vector */
	int8_t values[];  /* [padded]; c = scale * values */
} FrCentroid;

/* Quantise values [padded] into *centroid.  Zeros give the zero centroid. */
void fr_centroid_quantise(const FrSearchShape *shape, const float *values,
						  FrCentroid *centroid);

/* Check a centroid read from disk: finite numbers, half_norm2 that fits the
 * values.  CORRUPT otherwise. */
FrStatus fr_centroid_check(const FrSearchShape *shape,
						   const FrCentroid *centroid, FrError *error);

/* <c, x> of a rotated vector x [padded] */
float fr_centroid_dot(const FrSearchShape *shape, const FrKernels *kernels,
					  const FrCentroid *centroid, const float *x);

/* The squared distance |x - c|^2 of a unit vector x whose product with the
 * centroid is known. */
static inline float
fr_centroid_distance2(const FrCentroid *centroid, float product)
{
	return 1.0f - 2.0f * product + 2.0f * centroid->half_norm2;
}

/*
 * How near a list is, for choosing one: the list with the greatest score has
 * the nearest centroid (|x - c|^2 = |x|^2 - 2 score).  Ties go to the lower
 * list.
 */
static inline float
fr_centroid_score(const FrCentroid *centroid, float product)
{
	return product - centroid->half_norm2;
}

/* The nearest centroids of many vectors at a time: a matrix product. */
typedef struct FrAssigner FrAssigner;

/*
 * Prepare for count centroids, the i-th at centroids + i *
 * shape->centroid_bytes; they may go away afterwards.  Takes about 4.1 * count
 * * padded bytes and a scratch of a few megabytes.  NULL in *assigner on
 * failure.
 */
FrStatus fr_assigner_create(const FrSearchShape *shape,
							const FrKernels *kernels, const void *centroids,
							uint32_t count, const FrAllocator *allocator,
							FrAssigner **assigner, FrError *error);
void fr_assigner_destroy(FrAssigner *assigner);

/* How many rows at a time make the product fast. */
#define FR_ASSIGN_ROWS 256

/*
 * Write the number of the nearest centroid of each of rows [n, padded] to
 * lists [n], and its score to scores [n] if that is not NULL.  A row's result
 * depends on nothing but the row.  CANCELLED when the hook says so.
 */
FrStatus fr_assigner_run(FrAssigner *assigner, const float *rows, size_t n,
						 uint32_t *lists, float *scores, const FrCancel *cancel,
						 FrError *error);

#endif
