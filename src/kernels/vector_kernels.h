/*
 * vector_kernels.h: distances between embeddings and conversions to halves.
 *
 * Embeddings are IEEE 754 binary16 vectors; sums are accumulated in a fixed
 * order in float32 lanes and reduced in float64, so that one instruction set
 * always gives the same bits.  Distances between different instruction sets
 * agree to about 1e-6 relative.
 */
#ifndef FR_KERNELS_VECTOR_KERNELS_H
#define FR_KERNELS_VECTOR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

typedef struct FrVectorKernels
{
	/* sum of a[i] * b[i] over count halves */
	double (*dot_f16)(const uint16_t *a, const uint16_t *b, size_t count);

	/* sum of (a[i] * a_scale - b[i] * b_scale)^2 */
	double (*squared_distance_f16)(const uint16_t *a, float a_scale,
								   const uint16_t *b, float b_scale,
								   size_t count);

	/* sum of |a[i] * a_scale - b[i] * b_scale| */
	double (*taxicab_f16)(const uint16_t *a, float a_scale, const uint16_t *b,
						  float b_scale, size_t count);

	/* sum of a[i] * b[i] over count floats */
	double (*dot_f32)(const float *a, const float *b, size_t count);

	/* Round to nearest even; overflow gives infinity, NaN stays NaN.  All
	 * instruction sets give the same bits. */
	void (*f32_to_f16)(const float *source, uint16_t *target, size_t count);
	void (*f16_to_f32)(const uint16_t *source, float *target, size_t count);
} FrVectorKernels;

#endif
