/*
 * calibrate.c: see calibrate.h.
 */
#include "core/metric/calibrate.h"

#include <math.h>
#include <stddef.h>

/* The smaller number that is known. */
static int64_t
weaker_count(int64_t a, int64_t b)
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

static FrOperatingPoint
interpolate(const FrOperatingPoint *below, const FrOperatingPoint *above,
			double fmr)
{
	double share =
		below->fmr == above->fmr
			? 0.0
			: log10(fmr / below->fmr) / log10(above->fmr / below->fmr);

	return (FrOperatingPoint){
		.fmr = fmr,
		.threshold =
			below->threshold + share * (above->threshold - below->threshold),
		.impostor_count =
			weaker_count(below->impostor_count, above->impostor_count),
	};
}

FrStatus
fr_calibrate_find(const FrOperatingPoint *points, int count, double fmr,
				  FrOperatingPoint *found, FrError *error)
{
	const FrOperatingPoint *below = NULL, *above = NULL; /* or equal */
	const FrOperatingPoint *least = NULL, *most = NULL;

	for (int i = 0; i < count; i++)
	{
		const FrOperatingPoint *point = &points[i];

		if (!least || point->fmr < least->fmr)
			least = point;
		if (!most || point->fmr > most->fmr)
			most = point;
		if (point->fmr <= fmr && (!below || point->fmr > below->fmr))
			below = point;
		if (point->fmr >= fmr && (!above || point->fmr < above->fmr))
			above = point;
	}

	for (int i = 0; i < count; i++)
		for (int k = 0; k < count; k++)
			if (points[i].fmr < points[k].fmr &&
				points[i].threshold > points[k].threshold)
				return fr_fail(error, FR_ERR_MISMATCH,
							   "The calibration contradicts itself: distance "
							   "%g at rate %g, but %g at %g.",
							   points[i].threshold, points[i].fmr,
							   points[k].threshold, points[k].fmr);
	if (!least)
		return fr_fail(error, FR_ERR_ARGUMENT, "The model is not calibrated.");
	if (!below || !above)
		return fr_fail(error, FR_ERR_ARGUMENT, "Calibrated range is %g to %g.",
					   least->fmr, most->fmr);
	*found = interpolate(below, above, fmr);
	return FR_OK;
}

bool
fr_calibrate_is_weak(const FrOperatingPoint *point)
{
	return point->impostor_count > 0 &&
		   point->fmr * (double) point->impostor_count < 3.0;
}

double
fr_calibrate_fmr_of_fpir(double fpir, int64_t gallery_size)
{
	/* Exact for one comparison, so that a rate keeps naming its row. */
	if (gallery_size <= 1)
		return fpir;
	/* 1 - (1 - p)^(1 / n) without the cancellation that small p suffer. */
	return -expm1(log1p(-fpir) / (double) gallery_size);
}

int64_t
fr_calibrate_largest_gallery(double fpir, double fmr)
{
	if (fpir < fmr)
		return 0;

	double size = log1p(-fpir) / log1p(-fmr);

	/* Beyond this, neighbours have the same rate anyway. */
	if (size > 1e15)
		return (int64_t) 1e15;

	/* The quotient is right but for rounding. */
	int64_t largest = (int64_t) size + 1;

	while (largest > 1 && fr_calibrate_fmr_of_fpir(fpir, largest) < fmr)
		largest--;
	return largest;
}

double
fr_calibrate_least_fmr(const FrOperatingPoint *points, int count)
{
	double least = count > 0 ? points[0].fmr : 0.0;

	for (int i = 1; i < count; i++)
		if (points[i].fmr < least)
			least = points[i].fmr;
	return least;
}
