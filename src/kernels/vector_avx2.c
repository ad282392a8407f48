/*
 * vector_avx2.c: the vector kernels for AVX2, FMA and F16C.
 *
 * Four registers hold the 32 lanes of vector_generic.c.  A tail is copied
 * into a block of zeros, which leave their lanes as they were.
 */
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "kernels/half.h"
#include "kernels/vector_kernels.h"

/* A fused multiply-add would change bits; see vector_generic.c. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES	  32
#define REGISTERS 4

/* The 32 lanes of a sum, eight to a register. */
typedef struct Lanes
{
	__m256 v[REGISTERS];
} Lanes;

static inline Lanes
lanes_zero(void)
{
	__m256 zero = _mm256_setzero_ps();

	return (Lanes){{zero, zero, zero, zero}};
}

static inline __m256
load_halves(const uint16_t *halves)
{
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) halves));
}

static inline __m256
absolute(__m256 v)
{
	return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}

/* a * a_scale - b * b_scale of eight elements */
static inline __m256
scaled_difference(const uint16_t *a, __m256 a_scale, const uint16_t *b,
				  __m256 b_scale)
{
	return _mm256_sub_ps(_mm256_mul_ps(load_halves(a), a_scale),
						 _mm256_mul_ps(load_halves(b), b_scale));
}

/* The two halves of a register in double, added. */
static inline __m256d
widen_low(__m256 v)
{
	return _mm256_cvtps_pd(_mm256_castps256_ps128(v));
}

static inline __m256d
widen_high(__m256 v)
{
	return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
}

static inline double
reduce_lanes(const Lanes *sum)
{
	__m256d low = _mm256_add_pd(
		_mm256_add_pd(widen_low(sum->v[0]), widen_low(sum->v[1])),
		_mm256_add_pd(widen_low(sum->v[2]), widen_low(sum->v[3])));
	__m256d high = _mm256_add_pd(
		_mm256_add_pd(widen_high(sum->v[0]), widen_high(sum->v[1])),
		_mm256_add_pd(widen_high(sum->v[2]), widen_high(sum->v[3])));
	__m256d four = _mm256_add_pd(low, high);
	__m128d two = _mm_add_pd(_mm256_castpd256_pd128(four),
							 _mm256_extractf128_pd(four, 1));

	return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

/* Add a block of 32 products.  Products of halves are exact, so that fusing
 * changes nothing. */
static inline void
dot_f16_block(const uint16_t *a, const uint16_t *b, Lanes *sum)
{
	for (int r = 0; r < REGISTERS; r++)
		sum->v[r] = _mm256_fmadd_ps(load_halves(a + 8 * r),
									load_halves(b + 8 * r), sum->v[r]);
}

static double
dot_f16_avx2(const uint16_t *a, const uint16_t *b, size_t count)
{
	size_t whole = count - count % LANES;
	Lanes sum = lanes_zero();

	for (size_t i = 0; i < whole; i += LANES)
		dot_f16_block(a + i, b + i, &sum);
	if (whole < count)
	{
		uint16_t a_tail[LANES] = {0}, b_tail[LANES] = {0};

		memcpy(a_tail, a + whole, (count - whole) * sizeof *a);
		memcpy(b_tail, b + whole, (count - whole) * sizeof *b);
		dot_f16_block(a_tail, b_tail, &sum);
	}
	return reduce_lanes(&sum);
}

static inline void
squared_distance_block(const uint16_t *a, __m256 a_scale, const uint16_t *b,
					   __m256 b_scale, Lanes *sum)
{
	for (int r = 0; r < REGISTERS; r++)
	{
		__m256 d = scaled_difference(a + 8 * r, a_scale, b + 8 * r, b_scale);

		sum->v[r] = _mm256_add_ps(sum->v[r], _mm256_mul_ps(d, d));
	}
}

static double
squared_distance_f16_avx2(const uint16_t *a, float a_scale, const uint16_t *b,
						  float b_scale, size_t count)
{
	__m256 a_scales = _mm256_set1_ps(a_scale);
	__m256 b_scales = _mm256_set1_ps(b_scale);
	size_t whole = count - count % LANES;
	Lanes sum = lanes_zero();

	for (size_t i = 0; i < whole; i += LANES)
		squared_distance_block(a + i, a_scales, b + i, b_scales, &sum);
	if (whole < count)
	{
		uint16_t a_tail[LANES] = {0}, b_tail[LANES] = {0};

		memcpy(a_tail, a + whole, (count - whole) * sizeof *a);
		memcpy(b_tail, b + whole, (count - whole) * sizeof *b);
		squared_distance_block(a_tail, a_scales, b_tail, b_scales, &sum);
	}
	return reduce_lanes(&sum);
}

static inline void
taxicab_block(const uint16_t *a, __m256 a_scale, const uint16_t *b,
			  __m256 b_scale, Lanes *sum)
{
	for (int r = 0; r < REGISTERS; r++)
		sum->v[r] = _mm256_add_ps(
			sum->v[r], absolute(scaled_difference(a + 8 * r, a_scale, b + 8 * r,
												  b_scale)));
}

static double
taxicab_f16_avx2(const uint16_t *a, float a_scale, const uint16_t *b,
				 float b_scale, size_t count)
{
	__m256 a_scales = _mm256_set1_ps(a_scale);
	__m256 b_scales = _mm256_set1_ps(b_scale);
	size_t whole = count - count % LANES;
	Lanes sum = lanes_zero();

	for (size_t i = 0; i < whole; i += LANES)
		taxicab_block(a + i, a_scales, b + i, b_scales, &sum);
	if (whole < count)
	{
		uint16_t a_tail[LANES] = {0}, b_tail[LANES] = {0};

		memcpy(a_tail, a + whole, (count - whole) * sizeof *a);
		memcpy(b_tail, b + whole, (count - whole) * sizeof *b);
		taxicab_block(a_tail, a_scales, b_tail, b_scales, &sum);
	}
	return reduce_lanes(&sum);
}

static inline void
dot_f32_block(const float *a, const float *b, Lanes *sum)
{
	for (int r = 0; r < REGISTERS; r++)
		sum->v[r] =
			_mm256_add_ps(sum->v[r], _mm256_mul_ps(_mm256_loadu_ps(a + 8 * r),
												   _mm256_loadu_ps(b + 8 * r)));
}

static double
dot_f32_avx2(const float *a, const float *b, size_t count)
{
	size_t whole = count - count % LANES;
	Lanes sum = lanes_zero();

	for (size_t i = 0; i < whole; i += LANES)
		dot_f32_block(a + i, b + i, &sum);
	if (whole < count)
	{
		float a_tail[LANES] = {0}, b_tail[LANES] = {0};

		memcpy(a_tail, a + whole, (count - whole) * sizeof *a);
		memcpy(b_tail, b + whole, (count - whole) * sizeof *b);
		dot_f32_block(a_tail, b_tail, &sum);
	}
	return reduce_lanes(&sum);
}

static void
f32_to_f16_avx2(const float *source, uint16_t *target, size_t count)
{
	size_t i = 0;

	for (; i + 8 <= count; i += 8)
		_mm_storeu_si128((__m128i *) (target + i),
						 _mm256_cvtps_ph(_mm256_loadu_ps(source + i),
										 _MM_FROUND_TO_NEAREST_INT));
	for (; i < count; i++)
		target[i] = fr_half_from_float(source[i]);
}

static void
f16_to_f32_avx2(const uint16_t *source, float *target, size_t count)
{
	size_t i = 0;

	for (; i + 8 <= count; i += 8)
		_mm256_storeu_ps(target + i, load_halves(source + i));
	for (; i < count; i++)
		target[i] = fr_half_to_float(source[i]);
}

const FrVectorKernels fr_vector_kernels_avx2 = {
	.dot_f16 = dot_f16_avx2,
	.squared_distance_f16 = squared_distance_f16_avx2,
	.taxicab_f16 = taxicab_f16_avx2,
	.dot_f32 = dot_f32_avx2,
	.f32_to_f16 = f32_to_f16_avx2,
	.f16_to_f32 = f16_to_f32_avx2,
};

#endif
