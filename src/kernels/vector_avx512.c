/*
 * vector_avx512.c: the vector kernels for AVX-512 F, BW, DQ and VL.
 *
 * Two registers hold the 32 lanes of vector_generic.c; a mask serves the
 * tail: masked elements are zeros and leave their lanes as they were.
 */
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels/vector_kernels.h"

/* A fused multiply-add would change bits; see vector_generic.c. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

/* The 32 lanes of a sum: 0..15 and 16..31. */
typedef struct Lanes
{
	__m512 low, high;
} Lanes;

static inline Lanes
lanes_zero(void)
{
	return (Lanes){_mm512_setzero_ps(), _mm512_setzero_ps()};
}

/* A whole block of 32 elements. */
static inline Lanes
load_halves(const uint16_t *halves)
{
	return (Lanes){
		_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) halves)),
		_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) (halves + 16)))};
}

static inline Lanes
load_floats(const float *floats)
{
	return (Lanes){_mm512_loadu_ps(floats), _mm512_loadu_ps(floats + 16)};
}

/* The first count (below 32) elements of a block, the others 0. */
static inline Lanes
load_halves_tail(const uint16_t *halves, size_t count)
{
	__m512i block = _mm512_maskz_loadu_epi16((1u << count) - 1u, halves);

	return (Lanes){_mm512_cvtph_ps(_mm512_castsi512_si256(block)),
				   _mm512_cvtph_ps(_mm512_extracti64x4_epi64(block, 1))};
}

static inline Lanes
load_floats_tail(const float *floats, size_t count)
{
	uint32_t mask = (1u << count) - 1u;

	return (Lanes){
		_mm512_maskz_loadu_ps((__mmask16) mask, floats),
		_mm512_maskz_loadu_ps((__mmask16) (mask >> 16), floats + 16)};
}

/* x * x_scale - y * y_scale */
static inline Lanes
scaled_difference(Lanes x, __m512 x_scale, Lanes y, __m512 y_scale)
{
	return (Lanes){_mm512_sub_ps(_mm512_mul_ps(x.low, x_scale),
								 _mm512_mul_ps(y.low, y_scale)),
				   _mm512_sub_ps(_mm512_mul_ps(x.high, x_scale),
								 _mm512_mul_ps(y.high, y_scale))};
}

static inline void
add_products(Lanes *sum, Lanes x, Lanes y)
{
	sum->low = _mm512_add_ps(sum->low, _mm512_mul_ps(x.low, y.low));
	sum->high = _mm512_add_ps(sum->high, _mm512_mul_ps(x.high, y.high));
}

/* The same, faster, where products are exact (halves), so that fusing
 * changes nothing. */
static inline void
add_exact_products(Lanes *sum, Lanes x, Lanes y)
{
	sum->low = _mm512_fmadd_ps(x.low, y.low, sum->low);
	sum->high = _mm512_fmadd_ps(x.high, y.high, sum->high);
}

static inline void
add_absolute(Lanes *sum, Lanes x)
{
	sum->low = _mm512_add_ps(sum->low, _mm512_abs_ps(x.low));
	sum->high = _mm512_add_ps(sum->high, _mm512_abs_ps(x.high));
}

static inline __m512d
widen_sum(__m512 v)
{
	return _mm512_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(v)),
						 _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1)));
}

static inline double
reduce_lanes(Lanes sum)
{
	__m512d eight = _mm512_add_pd(widen_sum(sum.low), widen_sum(sum.high));
	__m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight),
								 _mm512_extractf64x4_pd(eight, 1));
	__m128d two = _mm_add_pd(_mm256_castpd256_pd128(four),
							 _mm256_extractf128_pd(four, 1));

	return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

static double
dot_f16_avx512(const uint16_t *a, const uint16_t *b, size_t count)
{
	Lanes sum = lanes_zero();
	size_t i = 0;

	for (; i + 32 <= count; i += 32)
		add_exact_products(&sum, load_halves(a + i), load_halves(b + i));
	if (i < count)
		add_exact_products(&sum, load_halves_tail(a + i, count - i),
						   load_halves_tail(b + i, count - i));
	return reduce_lanes(sum);
}

static double
squared_distance_f16_avx512(const uint16_t *a, float a_scale, const uint16_t *b,
							float b_scale, size_t count)
{
	__m512 a_scales = _mm512_set1_ps(a_scale);
	__m512 b_scales = _mm512_set1_ps(b_scale);
	Lanes sum = lanes_zero();
	size_t i = 0;

	for (; i + 32 <= count; i += 32)
	{
		Lanes d = scaled_difference(load_halves(a + i), a_scales,
									load_halves(b + i), b_scales);

		add_products(&sum, d, d);
	}
	if (i < count)
	{
		Lanes d =
			scaled_difference(load_halves_tail(a + i, count - i), a_scales,
							  load_halves_tail(b + i, count - i), b_scales);

		add_products(&sum, d, d);
	}
	return reduce_lanes(sum);
}

static double
taxicab_f16_avx512(const uint16_t *a, float a_scale, const uint16_t *b,
				   float b_scale, size_t count)
{
	__m512 a_scales = _mm512_set1_ps(a_scale);
	__m512 b_scales = _mm512_set1_ps(b_scale);
	Lanes sum = lanes_zero();
	size_t i = 0;

	for (; i + 32 <= count; i += 32)
		add_absolute(&sum, scaled_difference(load_halves(a + i), a_scales,
											 load_halves(b + i), b_scales));
	if (i < count)
		add_absolute(&sum, scaled_difference(
							   load_halves_tail(a + i, count - i), a_scales,
							   load_halves_tail(b + i, count - i), b_scales));
	return reduce_lanes(sum);
}

static double
dot_f32_avx512(const float *a, const float *b, size_t count)
{
	Lanes sum = lanes_zero();
	size_t i = 0;

	for (; i + 32 <= count; i += 32)
		add_products(&sum, load_floats(a + i), load_floats(b + i));
	if (i < count)
		add_products(&sum, load_floats_tail(a + i, count - i),
					 load_floats_tail(b + i, count - i));
	return reduce_lanes(sum);
}

/* Which of the 16 elements from i on lie before count. */
static inline __mmask16
mask16(size_t i, size_t count)
{
	return (__mmask16) (count - i >= 16 ? 0xffffu : (1u << (count - i)) - 1u);
}

static void
f32_to_f16_avx512(const float *source, uint16_t *target, size_t count)
{
	for (size_t i = 0; i < count; i += 16)
	{
		__mmask16 mask = mask16(i, count);
		__m512 floats = _mm512_maskz_loadu_ps(mask, source + i);

		_mm256_mask_storeu_epi16(
			target + i, mask,
			_mm512_cvtps_ph(floats,
							_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
	}
}

static void
f16_to_f32_avx512(const uint16_t *source, float *target, size_t count)
{
	for (size_t i = 0; i < count; i += 16)
	{
		__mmask16 mask = mask16(i, count);
		__m256i halves = _mm256_maskz_loadu_epi16(mask, source + i);

		_mm512_mask_storeu_ps(target + i, mask, _mm512_cvtph_ps(halves));
	}
}

const FrVectorKernels fr_vector_kernels_avx512 = {
	.dot_f16 = dot_f16_avx512,
	.squared_distance_f16 = squared_distance_f16_avx512,
	.taxicab_f16 = taxicab_f16_avx512,
	.dot_f32 = dot_f32_avx512,
	.f32_to_f16 = f32_to_f16_avx512,
	.f16_to_f32 = f16_to_f32_avx512,
};

#endif
