/*
 * stored_embedding.h: the bytes of a value of the type faceembedding.
 *
 *  offset  size  field
 *  0       4     length, as PostgreSQL writes it
 *  4       4     fingerprint of the model, 0 = unknown
 *  8       2     dims, 1..4096
 *  10      2     format version (high byte, 1) and flags (low byte, 0)
 *  12      4     scale, float4: 1 / norm of the stored halves
 *  16      2*n   the direction as IEEE 754 binary16
 *
 * The halves are an L2-normalised vector rounded to half precision; scale
 * makes the distance of equal embeddings exactly 0.  Both are the work of
 * direction.h, which says why text, arrays and binary copies are exact.  512
 * dimensions take 1,040 bytes.
 */
#ifndef FR_CORE_METRIC_STORED_EMBEDDING_H
#define FR_CORE_METRIC_STORED_EMBEDDING_H

#include <math.h>

#include "core/metric/direction.h"

#define FR_STORED_EMBEDDING_VERSION 1

typedef struct FrStoredEmbedding
{
	int32_t vl_len_; /* do not touch directly */
	uint32_t fingerprint;
	uint16_t dims;
	uint16_t version_flags;
	float scale;
	uint16_t halves[];
} FrStoredEmbedding;

/* Whether two values can be compared: same dims, and same model or one
 * unknown. */
static inline bool
fr_stored_is_comparable(const FrStoredEmbedding *a, const FrStoredEmbedding *b)
{
	return a->dims == b->dims && (a->fingerprint == b->fingerprint ||
								  a->fingerprint == 0 || b->fingerprint == 0);
}

/* The operator <=> of two values that can be compared. */
static inline double
fr_stored_distance(const FrVectorKernels *kernels, const FrStoredEmbedding *a,
				   const FrStoredEmbedding *b)
{
	return fr_direction_distance(kernels, a->halves, a->scale, b->halves,
								 b->scale, a->dims);
}

/* The operator <-> of two values that can be compared. */
static inline double
fr_stored_l2_distance(const FrVectorKernels *kernels,
					  const FrStoredEmbedding *a, const FrStoredEmbedding *b)
{
	return sqrt(kernels->squared_distance_f16(a->halves, a->scale, b->halves,
											  b->scale, a->dims));
}

#endif
