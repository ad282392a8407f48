/*
 * vector_kernels.h: distances between embeddings and conversions to halves.
 *
 * Embeddings are IEEE 754 binary16 vectors.  Sums run over 32 float32 lanes
 * (element i in lane i % 32) that a fixed tree reduces in float64, on every
 * instruction set alike: same input, same bits, everywhere.  The float4
 * "scale" of a stored embedding relies on that (core/metric/direction.h), so
 * the order of summation is part of the contract.
 */
#ifndef FR_KERNELS_VECTOR_KERNELS_H
#define FR_KERNELS_VECTOR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

typedef struct FrVectorKernels
{
	/* sum of a[i] * b[i] over count halves */
	double (*dot_f16)(const uint16_t *a, const uint16_t *b, size_t count);

	/* sum of (a[i] * a_scale - b[i] * b_scale)^2; scales are finite */
	double (*squared_distance_f16)(const uint16_t *a, float a_scale,
								   const uint16_t *b, float b_scale,
								   size_t count);

	/* sum of |a[i] * a_scale - b[i] * b_scale| */
	double (*taxicab_f16)(const uint16_t *a, float a_scale, const uint16_t *b,
						  float b_scale, size_t count);

	/* sum of a[i] * b[i] over count floats */
	double (*dot_f32)(const float *a, const float *b, size_t count);

	/* Round to nearest even; overflow gives infinity, NaN stays NaN. */
	void (*f32_to_f16)(const float *source, uint16_t *target, size_t count);
	void (*f16_to_f32)(const uint16_t *source, float *target, size_t count);
} FrVectorKernels;

/* One table per instruction set; kernels.h says which of them the CPU runs. */
extern const FrVectorKernels fr_vector_kernels_generic;
#if defined(__x86_64__)
extern const FrVectorKernels fr_vector_kernels_avx2;
extern const FrVectorKernels fr_vector_kernels_avx512;
#endif

#endif
