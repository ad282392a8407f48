/*
 * nn_vector.h: one vector of VL floats and what the network kernels need of
 * it (template: included by nn_template.h, once per instruction set).
 *
 * GCC vector extensions give loads, arithmetic and broadcasts for every
 * machine; maximum and minimum need an intrinsic where one exists, because
 * their NaN rule matters: vec_max(limit, v) and vec_min(limit, v) return v
 * when v is NaN, so that clamping never hides one.  exp follows Cephes'
 * expf (Moshier): Cody-Waite reduction, polynomial of degree 7.
 */
#ifndef FR_KERNELS_NN_VECTOR_H
#define FR_KERNELS_NN_VECTOR_H

#include <math.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "kernels/half.h"
#include "kernels/nn_kernels.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Vectors per block of 16 channels. */
#define NV (FR_BLOCK / VL)

typedef float Vec __attribute__((vector_size(VL * 4)));
typedef int32_t VecInt __attribute__((vector_size(VL * 4)));
typedef uint32_t VecBits __attribute__((vector_size(VL * 4)));

/* The same in memory, at any address that is aligned for a float. */
typedef float VecMemory
	__attribute__((vector_size(VL * 4), aligned(4), may_alias));

ALWAYS_INLINE Vec
vec_load(const float *source)
{
	return *(const VecMemory *) source;
}

ALWAYS_INLINE void
vec_store(float *target, Vec value)
{
	*(VecMemory *) target = value;
}

ALWAYS_INLINE Vec
vec_set(float value)
{
	return value - (Vec){0};
}

#if VL == 4
typedef uint16_t HalfMemory
	__attribute__((vector_size(VL * 2), aligned(2), may_alias));
#endif

/* VL half-precision numbers; exact. */
ALWAYS_INLINE Vec
vec_load_half(const uint16_t *source)
{
#if VL == 16
	return (Vec) _mm512_cvtph_ps(
		_mm256_loadu_si256((const __m256i *) (const void *) source));
#elif VL == 8
	return (Vec) _mm256_cvtph_ps(
		_mm_loadu_si128((const __m128i *) (const void *) source));
#else
	const VecBits halves =
		__builtin_convertvector(*(const HalfMemory *) source, VecBits);
	const VecBits magnitude = halves & 0x7fff;
	/* The exponent moves by 112, its bias, when multiplied as a float; what
	 * was infinite or not a number must become so again. */
	const Vec value = (Vec) (magnitude << 13) * 0x1p112f;
	const VecBits special =
		(VecBits) ((VecInt) magnitude >= 0x7c00) & 0x7f800000;

	return (Vec) ((VecBits) value | special | (halves & 0x8000) << 16);
#endif
}

/* mask is all ones or all zeros per element. */
ALWAYS_INLINE Vec
vec_select(VecInt mask, Vec yes, Vec no)
{
	return (Vec) ((mask & (VecInt) yes) | (~mask & (VecInt) no));
}

/* a > b ? a : b */
ALWAYS_INLINE Vec
vec_max(Vec a, Vec b)
{
#if VL == 16
	return (Vec) _mm512_max_ps((__m512) a, (__m512) b);
#elif VL == 8
	return (Vec) _mm256_max_ps((__m256) a, (__m256) b);
#elif defined(__SSE2__)
	return (Vec) _mm_max_ps((__m128) a, (__m128) b);
#else
	return vec_select(a > b, a, b);
#endif
}

/* a < b ? a : b */
ALWAYS_INLINE Vec
vec_min(Vec a, Vec b)
{
#if VL == 16
	return (Vec) _mm512_min_ps((__m512) a, (__m512) b);
#elif VL == 8
	return (Vec) _mm256_min_ps((__m256) a, (__m256) b);
#elif defined(__SSE2__)
	return (Vec) _mm_min_ps((__m128) a, (__m128) b);
#else
	return vec_select(a < b, a, b);
#endif
}

/* low <= high */
ALWAYS_INLINE Vec
vec_clip(Vec value, Vec low, Vec high)
{
	return vec_min(high, vec_max(low, value));
}

/* exp(x), relative error below 3e-7 where the result is normal; 0 and
 * infinity beyond float's range; NaN stays NaN. */
ALWAYS_INLINE Vec
vec_exp(Vec x)
{
	/* Adding 1.5 * 2^23 rounds to an integer, held in the low bits. */
	const Vec magic = vec_set(12582912.0f);

	x = vec_clip(x, vec_set(-104.0f), vec_set(104.0f));

	const Vec shifted = x * 1.44269504088896341f + magic;
	const Vec n = shifted - magic;
	const VecInt power = (VecInt) ((VecBits) shifted - (VecBits) magic);
	Vec r = x - n * 0.693359375f;
	Vec p = vec_set(1.9875691500e-4f);

	r = r - n * -2.12194440e-4f;
	p = p * r + 1.3981999507e-3f;
	p = p * r + 8.3334519073e-3f;
	p = p * r + 4.1665795894e-2f;
	p = p * r + 1.6666665459e-1f;
	p = p * r + 5.0000001201e-1f;
	p = p * (r * r) + r + 1.0f;

	/* 2^n in two factors: n reaches 150, one factor only 127. */
	const VecBits half = (VecBits) (power >> 1);
	const VecBits rest = (VecBits) power - half;

	p = p * (Vec) ((half + 127u) << 23);
	return p * (Vec) ((rest + 127u) << 23);
}

ALWAYS_INLINE Vec
vec_sigmoid(Vec v)
{
	return 1.0f / (vec_exp(-v) + 1.0f);
}

/* Polynomial near 0, where 1 - 2 / (exp + 1) would cancel. */
ALWAYS_INLINE Vec
vec_tanh(Vec v)
{
	const VecInt sign = (VecInt) v & INT32_MIN;
	const Vec magnitude = (Vec) ((VecInt) v & INT32_MAX);
	const Vec square = v * v;
	const Vec large = 1.0f - 2.0f / (vec_exp(magnitude + magnitude) + 1.0f);
	Vec small = vec_set(-5.70498872745e-3f);

	small = small * square + 2.06390887954e-2f;
	small = small * square - 5.37397155531e-2f;
	small = small * square + 1.33314422036e-1f;
	small = small * square - 3.33332819422e-1f;
	small = small * square * v + v;
	return vec_select(magnitude < 0.625f, small, (Vec) ((VecInt) large | sign));
}

/* Any activation but PRELU. */
ALWAYS_INLINE Vec
vec_activate(Vec v, FrActivation activation, float low, float high)
{
	switch (activation)
	{
		case FR_ACT_CLIP:
			return vec_clip(v, vec_set(low), vec_set(high));
		case FR_ACT_SIGMOID:
			return vec_sigmoid(v);
		case FR_ACT_TANH:
			return vec_tanh(v);
		case FR_ACT_HARD_SIGMOID:
			return vec_clip(v * low + high, vec_set(0.0f), vec_set(1.0f));
		case FR_ACT_HARD_SWISH:
			return v * vec_clip(v * (1.0f / 6.0f) + 0.5f, vec_set(0.0f),
								vec_set(1.0f));
		case FR_ACT_SWISH:
			/* The limit keeps -infinity * 0 from being NaN. */
			return vec_max(vec_set(-200.0f), v) * vec_sigmoid(v);
		case FR_ACT_NONE:
		case FR_ACT_PRELU:
		case FR_ACT_COUNT:
			break;
	}
	return v;
}

/* v > 0 ? v : slope * v */
ALWAYS_INLINE Vec
vec_prelu(Vec v, Vec slope)
{
	const Vec zero = {0};

	return vec_max(zero, v) + slope * vec_min(zero, v);
}

#endif
