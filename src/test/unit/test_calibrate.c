/*
 * test_calibrate.c: thresholds between and outside calibrated rates, and the
 * rates that galleries need.
 */
#include "core/metric/calibrate.h"
#include "tap.h"

#define COUNT(array) ((int) (sizeof array / sizeof *array))

static const FrOperatingPoint points[] = {
	{1e-2, 0.60, 0},
	{1e-4, 0.40, 1000000},
	{1e-3, 0.52, 200000},
};

static void
test_calibrated_rates_give_their_thresholds(void)
{
	FrOperatingPoint found;
	FrError error;

	for (int i = 0; i < COUNT(points); i++)
	{
		FrStatus status = fr_calibrate_find(points, COUNT(points),
											points[i].fmr, &found, &error);

		is_status(status, FR_OK, &error, "rate %g is calibrated",
				  points[i].fmr);
		ok(found.threshold == points[i].threshold &&
			   found.fmr == points[i].fmr &&
			   found.impostor_count == points[i].impostor_count,
		   "rate %g gives its own point", points[i].fmr);
	}
}

static void
test_between_rates_the_threshold_is_linear_in_the_logarithm(void)
{
	static const struct
	{
		double fmr, threshold;
		int64_t impostor_count;
	} cases[] = {
		/* 10^-3.5, the middle of 1e-4 and 1e-3 */
		{3.1622776601683794e-4, 0.46, 200000},
		/* 2e-4 = 10^(-4 + 0.30103) */
		{2e-4, 0.40 + 0.30102999566398120 * 0.12, 200000},
		/* 5e-3 = 10^(-3 + 0.69897); one number of comparisons is unknown */
		{5e-3, 0.52 + 0.69897000433601880 * 0.08, 200000},
	};

	for (int i = 0; i < COUNT(cases); i++)
	{
		FrOperatingPoint found = {0};
		FrError error;

		is_status(fr_calibrate_find(points, COUNT(points), cases[i].fmr, &found,
									&error),
				  FR_OK, &error, "rate %g lies inside", cases[i].fmr);
		ok_near(found.threshold, cases[i].threshold, 1e-14, "threshold at %g",
				cases[i].fmr);
		is_int(found.impostor_count, cases[i].impostor_count,
			   "%g rests on the weaker neighbour", cases[i].fmr);
	}
}

static void
test_outside_nothing_is_guessed(void)
{
	static const double outside[] = {9.999e-5, 1.0001e-2, 0.5, 1e-300, NAN};
	FrOperatingPoint found;
	FrError error;

	for (int i = 0; i < COUNT(outside); i++)
	{
		is_status(fr_calibrate_find(points, COUNT(points), outside[i], &found,
									&error),
				  FR_ERR_ARGUMENT, &error, "rate %g lies outside", outside[i]);
		ok(strcmp(error.message, "Calibrated range is 0.0001 to 0.01.") == 0,
		   "the range is named: %s", error.message);
	}
	is_status(fr_calibrate_find(points, 0, 1e-3, &found, &error),
			  FR_ERR_ARGUMENT, &error, "no points, no threshold");
	ok(strcmp(error.message, "The model is not calibrated.") == 0,
	   "and it says so");
	is_status(fr_calibrate_find(points, 1, 1e-2, &found, &error), FR_OK, &error,
			  "a single point serves its own rate");
	is_status(fr_calibrate_find(points, 1, 1.1e-2, &found, &error),
			  FR_ERR_ARGUMENT, &error, "and no other");
}

static void
test_rule_of_three(void)
{
	ok(!fr_calibrate_is_weak(&(FrOperatingPoint){1e-4, 0.4, 30000}),
	   "30,000 comparisons carry a rate of 1e-4");
	ok(fr_calibrate_is_weak(&(FrOperatingPoint){1e-4, 0.4, 29999}),
	   "29,999 do not");
	ok(!fr_calibrate_is_weak(&(FrOperatingPoint){1e-4, 0.4, 0}),
	   "an unknown number is no reason to warn");
}

static void
test_gallery(void)
{
	static const struct
	{
		double fpir;
		int64_t gallery_size;
		double fmr;
	} cases[] = {
		/* computed with 60 decimal digits */
		{0.1, 1000, 1.05354965433623e-4},
		{0.01, 10000, 1.0050330803040595e-6},
		{0.001, 1000000, 1.0005003330830331e-9},
		{0.3, 2, 0.16333997346592447},
		{1e-12, 1000000, 1.0000000000005e-18},
	};

	for (int i = 0; i < COUNT(cases); i++)
		ok_near(fr_calibrate_fmr_of_fpir(cases[i].fpir, cases[i].gallery_size) /
					cases[i].fmr,
				1.0, 1e-13, "rate for a gallery of %lld at %g",
				(long long) cases[i].gallery_size, cases[i].fpir);
	ok(fr_calibrate_fmr_of_fpir(1e-4, 1) == 1e-4,
	   "one comparison is verification");
}

static void
test_largest_gallery(void)
{
	static const struct
	{
		double fpir, fmr;
		int64_t largest;
	} cases[] = {
		/* log(1 - fpir) / log(1 - fmr) with 60 decimal digits, rounded down */
		{0.01, 1e-6, 10050}, {0.01, 1e-4, 100},
		{0.5, 1e-4, 6931},	 {0.01, 5e-3, 2},
		{0.1, 0.1, 1},		 {0.019, 0.01, 1},
		{1e-5, 1e-4, 0},	 {0.9, 1e-300, (int64_t) 1e15},
	};

	for (int i = 0; i < COUNT(cases); i++)
		is_int(fr_calibrate_largest_gallery(cases[i].fpir, cases[i].fmr),
			   cases[i].largest, "at %g, with rates down to %g", cases[i].fpir,
			   cases[i].fmr);
	/* the rate of one stays inside, that of one more does not */
	for (double fmr = 1e-3; fmr > 1e-7; fmr *= 0.7)
	{
		int64_t largest = fr_calibrate_largest_gallery(0.05, fmr);

		ok(fr_calibrate_fmr_of_fpir(0.05, largest) >= fmr &&
			   fr_calibrate_fmr_of_fpir(0.05, largest + 1) < fmr,
		   "%lld is the largest for %g", (long long) largest, fmr);
	}
	ok(fr_calibrate_least_fmr(points, COUNT(points)) == 1e-4 &&
		   fr_calibrate_least_fmr(points, 0) == 0.0,
	   "the least rate of a calibration");
}

static void
test_a_falling_threshold_is_refused(void)
{
	static const FrOperatingPoint points[] = {
		{1e-2, 0.9, 0}, {1e-3, 0.5, 0}, {1e-1, 0.7, 0}};
	FrOperatingPoint found;
	FrError error = {0};

	is_status(fr_calibrate_find(points, COUNT(points), 2e-3, &found, &error),
			  FR_ERR_MISMATCH, &error, "0.9 at 1e-2 but 0.7 at 1e-1");
	ok(strstr(error.message, "0.9 at rate 0.01, but 0.7 at 0.1") != NULL,
	   "the message names both: %s", error.message);
	is_status(fr_calibrate_find(points, 2, 2e-3, &found, &error), FR_OK, &error,
			  "two that rise are fine");
}

int
main(void)
{
	test_calibrated_rates_give_their_thresholds();
	test_between_rates_the_threshold_is_linear_in_the_logarithm();
	test_outside_nothing_is_guessed();
	test_rule_of_three();
	test_gallery();
	test_largest_gallery();
	test_a_falling_threshold_is_refused();
	return tap_done();
}
