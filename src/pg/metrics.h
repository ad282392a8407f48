/*
 * metrics.h: the threshold of a model, for functions that match faces.
 */
#ifndef FR_PG_METRICS_H
#define FR_PG_METRICS_H

#include "postgres.h"

#include "fmgr.h"

/*
 * The cosine distance up to which faces match at a false match rate.  ERROR
 * when fmr is not between 0 and 1, or the model's calibration says nothing
 * about it; WARNING, once per call site, when that is too small to tell.
 * What is read stays with the call site: nothing else may use its fn_extra.
 */
extern double
fr_metrics_threshold(FmgrInfo *call_site, uint32 fingerprint, double fmr);

#endif
