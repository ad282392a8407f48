/*
 * kmeans.h: the centroids of the lists, by Lloyd's iterations over a sample.
 *
 * Starts from distinct sample vectors; a cluster that runs empty takes over a
 * vector of the largest one.  Where the sample holds fewer distinct vectors
 * than lists, lists that stay empty are dropped.
 */
#ifndef FR_CORE_SEARCH_KMEANS_H
#define FR_CORE_SEARCH_KMEANS_H

#include "core/base/arena.h"
#include "core/search/centroids.h"
#include "core/search/search_shape.h"

#define FR_KMEANS_ITERATIONS 8

/*
 * Compute at most lists (>= 1) centroids of sample [n, padded] (rotated unit
 * vectors) into centroids, an array of lists * shape->centroid_bytes bytes,
 * and their number into *count.  An empty sample gives one zero centroid.
 * Same sample, seed and instruction set: same bits.
 */
FrStatus
fr_kmeans(const FrSearchShape *shape, const FrKernels *kernels,
		  const float *sample, size_t n, uint32_t lists, int iterations,
		  uint64_t seed, const FrAllocator *allocator, const FrCancel *cancel,
		  void *centroids, uint32_t *count, FrError *error);

#endif
