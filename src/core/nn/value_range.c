/*
 * value_range.c: see value_range.h.
 */
#include "core/nn/value_range.h"

#include <float.h>
#include <math.h>

/* Ends of the range that are tried: all of what was seen, down to an eighth
 * of it. */
#define TRIED_ENDS 57
#define END_STEP   (1.0 / 64)

#define LEVELS 255 /* steps of the code */

/* ---- counting ----------------------------------------------------------- */

/* Twice the limit: each pair of bins becomes one, towards the middle. */
static void
widen(FrValueRange *range)
{
	uint64_t *bins = range->bins;
	int middle = FR_RANGE_BINS / 2, quarter = FR_RANGE_BINS / 4;

	for (int i = 0; i < quarter; i++)
	{
		bins[middle + i] = bins[middle + 2 * i] + bins[middle + 2 * i + 1];
		bins[middle - 1 - i] =
			bins[middle - 1 - 2 * i] + bins[middle - 2 - 2 * i];
	}
	for (int i = quarter; i < middle; i++)
		bins[middle + i] = bins[middle - 1 - i] = 0;
	range->limit *= 2;
}

/* Make the bins reach beyond magnitude. */
static void
cover(FrValueRange *range, float magnitude)
{
	int exponent;

	if (magnitude == 0.0f)
		return;
	if (range->limit == 0.0f)
	{
		(void) frexpf(magnitude, &exponent);
		range->limit =
			ldexpf(1.0f, exponent < FLT_MIN_EXP ? FLT_MIN_EXP : exponent);
	}
	while (magnitude >= range->limit && !isinf(range->limit))
		widen(range);
}

bool
fr_value_range_add(FrValueRange *range, const float *values, size_t count)
{
	float least = range->least, most = range->most;
	uint64_t zeros = 0;

	for (size_t i = 0; i < count; i++)
	{
		if (!isfinite(values[i]))
			return false;
		least = values[i] < least ? values[i] : least;
		most = values[i] > most ? values[i] : most;
	}
	cover(range, fmaxf(-least, most));
	range->least = least;
	range->most = most;

	double middle = FR_RANGE_BINS / 2;
	double bins_per_unit =
		range->limit > 0 ? FR_RANGE_BINS / 2 / (double) range->limit : 0;

	for (size_t i = 0; i < count; i++)
	{
		if (values[i] == 0.0f)
		{
			zeros++;
			continue;
		}

		/* At least 0, so that cutting off is rounding down. */
		int bin = (int) ((double) values[i] * bins_per_unit + middle);

		range->bins[bin < FR_RANGE_BINS ? bin : FR_RANGE_BINS - 1]++;
	}
	range->zeros += zeros;
	return true;
}

/* ---- choosing ----------------------------------------------------------- */

/* Number, sum and sum of squares of the values outside an end of the range. */
typedef struct Tail
{
	double end; /* of the range */
	double count, error;
} Tail;

static double
bin_value(const FrValueRange *range, int bin)
{
	return (bin + 0.5 - FR_RANGE_BINS / 2) * 2 / FR_RANGE_BINS *
		   (double) range->limit;
}

/* What cutting off at end costs; values on the side of its sign. */
static Tail
measure_tail(const FrValueRange *range, double end, int sign)
{
	Tail tail = {.end = end};

	for (int i = 0; i < FR_RANGE_BINS / 2; i++)
	{
		int bin =
			sign > 0 ? FR_RANGE_BINS - 1 - i : i; /* from the outside in */
		double beyond = (bin_value(range, bin) - end) * sign;

		if (beyond <= 0)
			break;
		tail.count += (double) range->bins[bin];
		tail.error += (double) range->bins[bin] * beyond * beyond;
	}
	return tail;
}

static FrByteCode
make_code(double low, double high)
{
	double scale = (high - low) / LEVELS;

	if (!(scale >= (double) FLT_MIN))
		return (FrByteCode){1.0f, 0};
	return (FrByteCode){(float) scale, (uint8_t) lrint(-low / scale)};
}

FrByteCode
fr_value_range_code(const FrValueRange *range, FrRangeRule rule)
{
	Tail low[TRIED_ENDS], high[TRIED_ENDS];
	double total = 0, best_error = INFINITY;
	const Tail *best_low = low, *best_high = high;

	if (rule == FR_RANGE_EXTREMES)
		return make_code((double) range->least, (double) range->most);
	for (int i = 0; i < FR_RANGE_BINS; i++)
		total += (double) range->bins[i];
	for (int i = 0; i < TRIED_ENDS; i++)
	{
		double part = 1 - i * END_STEP;

		low[i] = measure_tail(range, part * (double) range->least, -1);
		high[i] = measure_tail(range, part * (double) range->most, 1);
	}
	for (int i = 0; i < TRIED_ENDS; i++)
		for (int k = 0; k < TRIED_ENDS; k++)
		{
			/* Rounding to steps of a uniform code: step^2 / 12 on average. */
			double step = (high[k].end - low[i].end) / LEVELS;
			double inside = total - low[i].count - high[k].count;
			double error =
				inside * step * step / 12 + low[i].error + high[k].error;

			if (error < best_error)
			{
				best_error = error;
				best_low = &low[i];
				best_high = &high[k];
			}
		}
	return make_code(best_low->end, best_high->end);
}
