/*
 * profile.h: how long the steps of a plan take, and how long they should.
 *
 * What a step should take follows from its arithmetic and from the bytes it
 * reads and writes, measured against what this CPU reaches on a convolution
 * that suits it and when it streams memory.  A step far above its estimate is
 * where a faster kernel would pay.
 */
#ifndef FR_CORE_NN_PROFILE_H
#define FR_CORE_NN_PROFILE_H

#include "core/nn/plan.h"

/* Seconds of a clock that never goes back, as the caller has one. */
typedef double (*FrClock)(void);

/* What the kernels reach here and now. */
typedef struct FrPeak
{
	double flops;		   /* per second, of a 1x1 convolution in the cache */
	double int8_ops;	   /* the same of bytes */
	double bytes_streamed; /* per second, read from memory and written */
} FrPeak;

/* Measure: takes about 20 ms and 32 MB. */
FrStatus
fr_profile_peak(const FrKernels *kernels, FrClock now, const FrCancel *cancel,
				const FrAllocator *allocator, FrPeak *peak, FrError *error);

/* Seconds that a step should take. */
double fr_profile_estimate(const FrPlanStep *step, const FrPeak *peak);

/*
 * Run the plan runs times on inputs of zeros; seconds[fr_plan_step_count]
 * gets the median of each step.  runs is at least 1.
 */
FrStatus
fr_profile_run(FrPlan *plan, int runs, FrClock now, const FrCancel *cancel,
			   const FrAllocator *allocator, double *seconds, FrError *error);

#endif
