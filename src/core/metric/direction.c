/*
 * direction.c: packing vectors into unit vectors of halves; see direction.h.
 */
#include "core/metric/direction.h"

#include <math.h>

#include "kernels/half.h"

/* The smallest float whose square times squared_norm is at least 1, in the
 * arithmetic of fr_direction_distance. */
static float
smallest_scale(double squared_norm)
{
	float scale = (float) (1.0 / sqrt(squared_norm));

	for (;;)
	{
		float lower = nextafterf(scale, 0.0f);

		if (squared_norm * ((double) lower * (double) lower) < 1.0)
			break;
		scale = lower;
	}
	while (squared_norm * ((double) scale * (double) scale) < 1.0)
		scale = nextafterf(scale, 2.0f);
	return scale;
}

bool
fr_direction_scale(const uint16_t *halves, size_t count, float *scale)
{
	double low = (1.0 - FR_DIRECTION_SLACK) * (1.0 - FR_DIRECTION_SLACK);
	double high = (1.0 + FR_DIRECTION_SLACK) * (1.0 + FR_DIRECTION_SLACK);
	double squared_norm;

	for (size_t i = 0; i < count; i++)
		if (!fr_half_is_finite(halves[i]) || halves[i] == FR_HALF_SIGN)
			return false;

	/* Any instruction set gives these bits; see vector_kernels.h. */
	squared_norm = fr_vector_kernels_generic.dot_f16(halves, halves, count);
	if (!(squared_norm >= low && squared_norm <= high))
		return false;
	*scale = smallest_scale(squared_norm);
	return true;
}

/* Round values * factor to halves. */
static void
round_scaled(const float *values, double factor, size_t count, uint16_t *halves)
{
	for (size_t i = 0; i < count; i++)
	{
		uint16_t half = fr_half_from_float((float) (values[i] * factor));

		halves[i] = half == FR_HALF_SIGN ? 0 : half;
	}
}

FrDirectionFault
fr_direction_pack(const float *values, size_t count, uint16_t *halves,
				  float *scale)
{
	double squared_norm = 0.0;

	if (count < 1)
		return FR_DIRECTION_EMPTY;
	if (count > FR_DIRECTION_MAX_DIMS)
		return FR_DIRECTION_TOO_LONG;
	for (size_t i = 0; i < count; i++)
	{
		if (isnan(values[i]))
			return FR_DIRECTION_NAN;
		if (isinf(values[i]))
			return FR_DIRECTION_INFINITE;
		squared_norm += (double) values[i] * (double) values[i];
	}
	if (squared_norm <= 0.0)
		return FR_DIRECTION_ZERO;

	round_scaled(values, 1.0, count, halves);
	if (fr_direction_scale(halves, count, scale))
		return FR_DIRECTION_OK;

	/* direction.h proves that this has a scale. */
	round_scaled(values, 1.0 / sqrt(squared_norm), count, halves);
	return fr_direction_scale(halves, count, scale) ? FR_DIRECTION_OK
													: FR_DIRECTION_RANGE;
}
