/*
 * half.h: IEEE 754 binary16 in plain integer arithmetic, one value at a time.
 *
 * The scalar twin of the conversion instructions (x86 F16C): the vector
 * kernels must give the same bits.  Depends on libc only.
 */
#ifndef FR_KERNELS_HALF_H
#define FR_KERNELS_HALF_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FR_HALF_SIGN		 0x8000u
#define FR_HALF_INFINITY	 0x7c00u
#define FR_HALF_QUIET_NAN	 0x7e00u
#define FR_HALF_MIN_NORMAL	 0x0400u
#define FR_HALF_UNIT_ROUND	 (1.0 / 2048)	  /* relative, normal values */
#define FR_HALF_MIN_POSITIVE (1.0 / 16777216) /* 2^-24 */

static inline bool
fr_half_is_finite(uint16_t half)
{
	return (half & 0x7fffu) < FR_HALF_INFINITY;
}

/* Exact.  A signalling NaN becomes quiet, its payload stays.  Without
 * branches, so that loops of it become vector code. */
static inline float
fr_half_to_float(uint16_t half)
{
	uint32_t sign = (uint32_t) (half & FR_HALF_SIGN) << 16;
	uint32_t magnitude = half & 0x7fffu;
	/* A normal half: the exponent moves from bias 15 to bias 127. */
	uint32_t bits = (magnitude << 13) + ((127u - 15u) << 23);
	/* A subnormal half: an integer times 2^-24, exact in a float. */
	float subnormal =
		(float) (int32_t) magnitude * (float) FR_HALF_MIN_POSITIVE;
	uint32_t subnormal_bits;
	float value;

	memcpy(&subnormal_bits, &subnormal, sizeof subnormal_bits);
	bits = magnitude < FR_HALF_MIN_NORMAL ? subnormal_bits : bits;
	/* Infinity and NaN. */
	bits = magnitude < FR_HALF_INFINITY ? bits : 0x7f800000u | magnitude << 13;
	bits = magnitude > FR_HALF_INFINITY ? bits | 0x00400000u : bits;
	bits |= sign;
	memcpy(&value, &bits, sizeof value);
	return value;
}

/* Round to nearest, ties to even.  Overflow gives infinity; a NaN becomes
 * quiet and keeps the upper bits of its payload. */
static inline uint16_t
fr_half_from_float(float value)
{
	uint32_t bits, magnitude, result;

	memcpy(&bits, &value, sizeof bits);
	magnitude = bits & 0x7fffffffu;
	if (magnitude > 0x7f800000u)
		result = FR_HALF_QUIET_NAN | (magnitude >> 13 & 0x3ffu);
	else if (magnitude >= 0x477ff000u) /* 65520: rounds to 2^16 */
		result = FR_HALF_INFINITY;
	else if (magnitude >= 0x38800000u) /* 2^-14: a normal half */
	{
		/* Half of the last place, less one unless that place is odd. */
		uint32_t rounding = 0xfffu + (magnitude >> 13 & 1u);

		result = (magnitude - ((127u - 15u) << 23) + rounding) >> 13;
	}
	else if (magnitude < 0x33000000u) /* below 2^-25 */
		result = 0;
	else
	{
		/* Subnormal: shift the significand to units of 2^-24. */
		uint32_t significand = (magnitude & 0x7fffffu) | 0x800000u;
		uint32_t shift = 126u - (magnitude >> 23); /* 14..24 */
		uint32_t rest = significand & ((1u << shift) - 1u);
		uint32_t halfway = 1u << (shift - 1u);

		result = significand >> shift;
		result += rest > halfway || (rest == halfway && (result & 1u));
	}
	return (uint16_t) (result | (bits >> 16 & FR_HALF_SIGN));
}

#endif
