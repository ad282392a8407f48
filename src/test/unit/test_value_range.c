/*
 * test_value_range.c: histograms of values and the 8-bit codes for them.
 *
 * Golden step of a normal distribution: D. Hui, D. L. Neuhoff, "Asymptotic
 * analysis of optimal fixed-rate uniform scalar quantization", IEEE
 * Transactions on Information Theory 47(3), 2001, table I: 256 levels,
 * support of 3.94 standard deviations to each side.
 */
#include "core/nn/value_range.h"
#include "tap.h"

static uint32_t seed = 1;

static double
uniform(void)
{
	seed = seed * 1664525u + 1013904223u;
	return ((double) (seed >> 8) + 0.5) / 16777216.0;
}

/* Box and Muller's. */
static float
normal(void)
{
	double radius = sqrt(-2 * log(uniform()));

	return (float) (radius * cos(6.283185307179586 * uniform()));
}

/* The mean squared error of a code, by coding each value. */
static double
coding_error(FrByteCode code, const float *values, int count)
{
	double sum = 0;

	for (int i = 0; i < count; i++)
	{
		double level =
			rint((double) values[i] / (double) code.scale) + code.zero_point;
		double kept = fmin(255, fmax(0, level)) - code.zero_point;
		double difference = (double) values[i] - kept * (double) code.scale;

		sum += difference * difference;
	}
	return sum / count;
}

#define COUNT 40000

static float values[COUNT];
static FrValueRange range;

static void
count_values(void)
{
	memset(&range, 0, sizeof range);
	for (int i = 0; i < COUNT; i += 1000)
		if (!fr_value_range_add(&range, values + i, 1000))
			ok(false, "values are counted");
}

/* ---- ranges ------------------------------------------------------------- */

static void
test_normal(void)
{
	for (int i = 0; i < COUNT; i++)
		values[i] = 3 * normal();
	count_values();

	FrByteCode code = fr_value_range_code(&range, FR_RANGE_LEAST_ERROR);

	ok_near((double) code.scale, 3 * 2 * 3.94 / 256, 3 * 0.0015,
			"step of a normal distribution");
	ok_near(code.zero_point, 127.5, 12, "zero about in the middle");
}

/* No code of a fine grid is much better than the one that is chosen. */
static void
test_least_error(const char *name, double tolerance)
{
	count_values();

	FrByteCode chosen = fr_value_range_code(&range, FR_RANGE_LEAST_ERROR);
	double error = coding_error(chosen, values, COUNT), best = error;
	double low = (double) range.least, high = (double) range.most;

	for (int i = 0; i < 24; i++)
		for (int k = 0; k < 24; k++)
		{
			double from = low * (24 - i) / 24, to = high * (24 - k) / 24;
			FrByteCode code = {
				(float) ((to - from) / 255),
				(uint8_t) lrint(-from / ((to - from) / 255)),
			};

			best = fmin(best, coding_error(code, values, COUNT));
		}
	ok(error <= (1 + tolerance) * best, "%s: error %.4g, best of a grid %.4g",
	   name, error, best);
}

static void
test_distributions(void)
{
	for (int i = 0; i < COUNT; i++)
		values[i] = fmaxf(0, normal());
	test_least_error("rectified", 0.01);
	for (int i = 0; i < COUNT; i++)
	{
		float value = normal();

		values[i] = value < 0 ? value / 4 : value * value * value;
	}
	test_least_error("long tail to one side", 0.01);
	for (int i = 0; i < COUNT; i++)
		values[i] = (float) uniform();
	test_least_error("uniform", 0.01);
	for (int i = 0; i < COUNT; i++)
		values[i] = i % 1000 == 0 ? 1000.0f : normal();
	/* Steps larger than most values: no longer rounding noise of step^2 / 12,
	 * which the choice supposes. */
	test_least_error("outliers", 0.1);
}

/* ---- edges -------------------------------------------------------------- */

static void
test_edges(void)
{
	FrByteCode code;

	memset(&range, 0, sizeof range);
	code = fr_value_range_code(&range, FR_RANGE_LEAST_ERROR);
	ok(code.scale == 1.0f && code.zero_point == 0, "nothing was seen");
	ok(fr_value_range_add(&range, (float[]){0, -0.0f}, 2) && range.zeros == 2,
	   "zeros are counted apart");
	code = fr_value_range_code(&range, FR_RANGE_LEAST_ERROR);
	ok(code.scale == 1.0f && code.zero_point == 0, "only zeros were seen");
	ok(!fr_value_range_add(&range, (float[]){1, NAN}, 2) &&
		   !fr_value_range_add(&range, (float[]){1, INFINITY}, 2) &&
		   range.most == 0.0f,
	   "values that are not finite are refused");
	ok(fr_value_range_add(&range, (float[]){1e-42f, 3e38f, -3e38f}, 3),
	   "from the smallest to the largest numbers");
	code = fr_value_range_code(&range, FR_RANGE_EXTREMES);
	ok_near((double) code.scale / (6e38 / 255), 1, 1e-6, "their range");
	ok(isfinite(fr_value_range_code(&range, FR_RANGE_LEAST_ERROR).scale),
	   "and its best part");
	memset(&range, 0, sizeof range);
	(void) fr_value_range_add(&range, (float[]){1e-44f, -1e-44f}, 2);
	code = fr_value_range_code(&range, FR_RANGE_EXTREMES);
	ok(code.scale == 1.0f, "a range that floats can hardly tell from zero");
}

/* Widening keeps every value within half a bin of where it belongs. */
static void
test_widening(void)
{
	uint64_t total = 0;

	memset(&range, 0, sizeof range);
	(void) fr_value_range_add(&range, (float[]){0.3f, -0.3f, 0.9f}, 3);
	(void) fr_value_range_add(&range, (float[]){100.0f}, 1);
	ok(range.limit == 128.0f, "the limit is a power of two");
	for (int i = 0; i < FR_RANGE_BINS; i++)
		total += range.bins[i];
	is_int(total, 4, "no value is lost");

	int bin = FR_RANGE_BINS / 2;

	/* 0.0625 to a bin */
	is_int(range.bins[bin + 4] + range.bins[bin - 5], 2, "0.3 and -0.3");
	is_int(range.bins[bin + 14], 1, "0.9");
	is_int(range.bins[bin + 1600], 1, "100");
}

int
main(void)
{
	test_normal();
	test_distributions();
	test_edges();
	test_widening();
	return tap_done();
}
