/*
 * rotation.h: a pseudo-random orthogonal map, fixed by a seed.
 *
 * Three times: multiply by random signs, then by the Kronecker product of a
 * Hadamard matrix (the power of two in P) and a Hartley matrix (the odd rest
 * of P).  Both are orthogonal and nearly flat, so that every output depends on
 * every input by about the same weight.  Inner products and norms stay what
 * they are, up to rounding (relative 1e-6).  Costs O(P log P).
 */
#ifndef FR_CORE_SEARCH_ROTATION_H
#define FR_CORE_SEARCH_ROTATION_H

#include "core/base/arena.h"
#include "core/search/search_shape.h"
#include "kernels/kernels.h"

#define FR_ROTATION_ROUNDS 3

typedef struct FrRotation
{
	uint32_t dims, padded;
	uint32_t power; /* of two; padded = power * odd */
	uint32_t odd;
	float *signs;  /* [rounds, padded]: +-1 times the rounds' norm */
	float *matrix; /* [odd, odd], NULL when odd is 1 */
} FrRotation;

/* Make the rotation of a shape and a seed.  The caller ends it with
 * fr_rotation_fini, also after a failure. */
FrStatus
fr_rotation_init(FrRotation *rotation, const FrSearchShape *shape,
				 uint64_t seed, const FrAllocator *allocator, FrError *error);
void fr_rotation_fini(FrRotation *rotation, const FrAllocator *allocator);

/* Rotate x [dims] into out [padded]; they may not overlap. */
void fr_rotation_apply(const FrRotation *rotation, const FrKernels *kernels,
					   const float *x, float *out);

/* The same for a stored direction: halves [dims] times scale, which is a unit
 * vector. */
void
fr_rotation_apply_halves(const FrRotation *rotation, const FrKernels *kernels,
						 const uint16_t *halves, float scale, float *out);

#endif
