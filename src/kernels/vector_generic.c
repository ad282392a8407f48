/*
 * vector_generic.c: the vector kernels in plain C; the specification.
 *
 * Sums run over 32 float lanes, element i in lane i % 32; the lanes are
 * reduced in double by a fixed tree.  The vector versions do the same
 * operations in the same order, so every instruction set gives the same bits.
 * No multiplication is fused with an addition, except where the product is
 * exact anyway (two halves: 22 bits).
 */
/* Ahead of the includes: functions with other options are not inlined. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#include <math.h>

#include "kernels/half.h"
#include "kernels/lane_sum.h"
#include "kernels/vector_kernels.h"

#define LANES 32

/* The next block of halves as floats, zeros beyond count.  Zeros leave their
 * lanes as they are, for no sum is ever a negative zero. */
static void
load_block(const uint16_t *halves, size_t count, float *block)
{
	if (count >= LANES)
		for (int i = 0; i < LANES; i++)
			block[i] = fr_half_to_float(halves[i]);
	else
		for (size_t i = 0; i < LANES; i++)
			block[i] = i < count ? fr_half_to_float(halves[i]) : 0.0f;
}

/* The next block of a[i] * a_scale - b[i] * b_scale. */
static void
difference_block(const uint16_t *a, float a_scale, const uint16_t *b,
				 float b_scale, size_t count, float *block)
{
	float x[LANES], y[LANES];

	load_block(a, count, x);
	load_block(b, count, y);
	for (int i = 0; i < LANES; i++)
		block[i] = x[i] * a_scale - y[i] * b_scale;
}

static double
dot_f16_generic(const uint16_t *a, const uint16_t *b, size_t count)
{
	float lanes[LANES] = {0}, x[LANES], y[LANES];

	for (size_t start = 0; start < count; start += LANES)
	{
		load_block(a + start, count - start, x);
		load_block(b + start, count - start, y);
		for (int i = 0; i < LANES; i++)
			lanes[i] += x[i] * y[i];
	}
	return reduce_lanes(lanes);
}

static double
squared_distance_f16_generic(const uint16_t *a, float a_scale,
							 const uint16_t *b, float b_scale, size_t count)
{
	float lanes[LANES] = {0}, d[LANES];

	for (size_t start = 0; start < count; start += LANES)
	{
		difference_block(a + start, a_scale, b + start, b_scale, count - start,
						 d);
		for (int i = 0; i < LANES; i++)
			lanes[i] += d[i] * d[i];
	}
	return reduce_lanes(lanes);
}

static double
taxicab_f16_generic(const uint16_t *a, float a_scale, const uint16_t *b,
					float b_scale, size_t count)
{
	float lanes[LANES] = {0}, d[LANES];

	for (size_t start = 0; start < count; start += LANES)
	{
		difference_block(a + start, a_scale, b + start, b_scale, count - start,
						 d);
		for (int i = 0; i < LANES; i++)
			lanes[i] += fabsf(d[i]);
	}
	return reduce_lanes(lanes);
}

static double
dot_f32_generic(const float *a, const float *b, size_t count)
{
	float lanes[LANES] = {0};
	size_t whole = count - count % LANES;

	for (size_t start = 0; start < whole; start += LANES)
		for (size_t i = 0; i < LANES; i++)
			lanes[i] += a[start + i] * b[start + i];
	for (size_t i = whole; i < count; i++)
		lanes[i % LANES] += a[i] * b[i];
	return reduce_lanes(lanes);
}

static void
f32_to_f16_generic(const float *source, uint16_t *target, size_t count)
{
	for (size_t i = 0; i < count; i++)
		target[i] = fr_half_from_float(source[i]);
}

static void
f16_to_f32_generic(const uint16_t *source, float *target, size_t count)
{
	for (size_t i = 0; i < count; i++)
		target[i] = fr_half_to_float(source[i]);
}

const FrVectorKernels fr_vector_kernels_generic = {
	.dot_f16 = dot_f16_generic,
	.squared_distance_f16 = squared_distance_f16_generic,
	.taxicab_f16 = taxicab_f16_generic,
	.dot_f32 = dot_f32_generic,
	.f32_to_f16 = f32_to_f16_generic,
	.f16_to_f32 = f16_to_f32_generic,
};
