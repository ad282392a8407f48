/*
 * calibrate.h: from false match rates to distances.
 *
 * The false match rate (FMR) is the share of pairs of strangers whose distance
 * is at most the threshold.  A calibration gives the threshold for a few
 * rates.  Between two of them the threshold is taken as linear in log10(FMR),
 * since the near tail of the distances of strangers falls about
 * exponentially; outside them nothing is known and nothing is guessed.
 *
 * Terms: ISO/IEC 19795-1.
 */
#ifndef FR_CORE_METRIC_CALIBRATE_H
#define FR_CORE_METRIC_CALIBRATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/status.h"

typedef struct FrOperatingPoint
{
	double fmr;				/* greater than 0, less than 1 */
	double threshold;		/* cosine distance, 0..2; up to it faces match */
	int64_t impostor_count; /* comparisons of strangers it rests on, or 0 */
} FrOperatingPoint;

/*
 * Find the operating point for a rate.  points [count] may be in any order,
 * each with another rate.  The result rests on as many comparisons as the
 * weaker one of its neighbours.  ARGUMENT when fmr lies outside the rates of
 * the points or there are no points, MISMATCH when a threshold falls as the rate
 * grows.
 */
FrStatus fr_calibrate_find(const FrOperatingPoint *points, int count,
						   double fmr, FrOperatingPoint *found, FrError *error);

/*
 * Does the point rest on too few comparisons?  By the rule of three, n
 * comparisons without a match only say that the rate is below 3 / n (with 95 %
 * confidence).  False when their number is unknown.
 */
bool fr_calibrate_is_weak(const FrOperatingPoint *point);

/*
 * The rate per comparison at which a stranger, compared with gallery_size
 * (>= 1) enrolled faces, matches any of them with probability fpir (0..1, the
 * false positive identification rate): 1 - (1 - fpir)^(1 / gallery_size).
 */
double fr_calibrate_fmr_of_fpir(double fpir, int64_t gallery_size);

/* The largest gallery_size for which fr_calibrate_fmr_of_fpir(fpir,
 * gallery_size) is at least fmr (both within 0..1, without the ends); 0 when
 * there is none. */
int64_t fr_calibrate_largest_gallery(double fpir, double fmr);

/* The least rate of a calibration, 0 when there are no points. */
double fr_calibrate_least_fmr(const FrOperatingPoint *points, int count);

#endif
