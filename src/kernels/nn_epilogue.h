/*
 * nn_epilogue.h: from sums in registers to stored outputs (template).
 *
 * A run is up to RUN_PIXELS sums of one vector of channels.  Bias and a
 * residual that comes before the activation start the sums (run_begin), so
 * they cost no pass of their own; run_end applies the activation, adds a
 * residual that comes after it, and stores.  What networks use in their hot
 * layers (PRelu, Clip, residual before) is inlined; the rest is one call per
 * run.
 */
#ifndef FR_KERNELS_NN_EPILOGUE_H
#define FR_KERNELS_NN_EPILOGUE_H

#include <stdbool.h>

#include "kernels/nn_vector.h"

#define RUN_PIXELS 16

/* Where the pixels of a run lie: every pixel_stride floats, or, if offsets
 * is not NULL, at these offsets. */
typedef struct Places
{
	ptrdiff_t pixel_stride;
	const ptrdiff_t *offsets;
} Places;

ALWAYS_INLINE ptrdiff_t
place_of(Places places, int pixel)
{
	return places.offsets ? places.offsets[pixel] : pixel * places.pixel_stride;
}

/* True when the residual can start the sums. */
ALWAYS_INLINE bool
is_residual_first(const FrEpilogue *epilogue)
{
	return !epilogue->is_residual_after || epilogue->activation == FR_ACT_NONE;
}

/* Start count sums of the channels that begin at channel. residual points at
 * the run's first value or is NULL. */
ALWAYS_INLINE void
run_begin(Vec *sums, int count, const FrEpilogue *epilogue, ptrdiff_t channel,
		  const float *residual, Places residual_places)
{
	const Vec bias =
		epilogue->bias ? vec_load(epilogue->bias + channel) : (Vec){0};

#pragma GCC unroll 16
	for (int i = 0; i < count; ++i)
		sums[i] = bias;
	if (residual && is_residual_first(epilogue))
	{
#pragma GCC unroll 16
		for (int i = 0; i < count; ++i)
			sums[i] += vec_load(residual + place_of(residual_places, i));
	}
}

/* The end of a run in any case; values are overwritten. */
static __attribute__((noinline)) void
run_end_any(Vec *values, int count, const FrEpilogue *epilogue,
			ptrdiff_t channel, const float *residual, Places residual_places,
			float *output, Places places)
{
	const bool is_late = residual && !is_residual_first(epilogue);

	for (int i = 0; i < count; ++i)
	{
		Vec value = values[i];

		if (epilogue->activation == FR_ACT_PRELU)
			value = vec_prelu(value, vec_load(epilogue->slope + channel));
		else
			value = vec_activate(value, epilogue->activation, epilogue->low,
								 epilogue->high);
		if (is_late)
			value += vec_load(residual + place_of(residual_places, i));
		vec_store(output + place_of(places, i), value);
	}
}

/* Activate, add a late residual and store. */
ALWAYS_INLINE void
run_end(Vec *sums, int count, const FrEpilogue *epilogue, ptrdiff_t channel,
		const float *residual, Places residual_places, float *output,
		Places places)
{
	const bool is_late = residual && !is_residual_first(epilogue);

	if (is_late || epilogue->activation > FR_ACT_PRELU)
	{
		/* A copy: the address of sums must not escape, or the compiler
		 * would keep them in memory during the loops before. */
		Vec copy[RUN_PIXELS];

#pragma GCC unroll 16
		for (int i = 0; i < count; ++i)
			copy[i] = sums[i];
		run_end_any(copy, count, epilogue, channel, residual, residual_places,
					output, places);
		return;
	}
	if (epilogue->activation == FR_ACT_PRELU)
	{
		const Vec slope = vec_load(epilogue->slope + channel);

#pragma GCC unroll 16
		for (int i = 0; i < count; ++i)
			sums[i] = vec_prelu(sums[i], slope);
	}
	else if (epilogue->activation == FR_ACT_CLIP)
	{
		const Vec low = vec_set(epilogue->low);
		const Vec high = vec_set(epilogue->high);

#pragma GCC unroll 16
		for (int i = 0; i < count; ++i)
			sums[i] = vec_clip(sums[i], low, high);
	}
#pragma GCC unroll 16
	for (int i = 0; i < count; ++i)
		vec_store(output + place_of(places, i), sums[i]);
}

#endif
