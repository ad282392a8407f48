/*
 * observe.h: the values inside a network while it runs on samples.
 *
 * The observed values become the outputs of a net of the same graph.
 * Outputs cannot share memory, so they are taken in portions: all samples
 * run once for each portion.
 */
#ifndef FR_CORE_NN_OBSERVE_H
#define FR_CORE_NN_OBSERVE_H

#include "core/nn/plan.h"

/* Inputs to run a network of one input on. */
typedef struct FrSamples
{
	int count;
	const FrShape *shapes; /* one per sample */
	/* Give the plan sample number index as its input (fr_plan_input or
	 * fr_plan_set_picture).  The same each time. */
	FrStatus (*fill)(void *context, int index, FrPlan *plan, FrError *error);
	void *context;
} FrSamples;

/* Called once for each observed value and each sample; number counts the
 * values in the order in which they were named. */
typedef FrStatus (*FrObserver)(void *context, int number, int sample,
							   const FrShape *shape, const float *data,
							   FrError *error);

typedef struct FrObservation
{
	const FrGraph *graph; /* with one input */
	const int32_t *values;
	int value_count;
	const FrSamples *samples;
	const FrNetOptions *options; /* may be NULL */
	size_t portion_bytes;		 /* observed at one time, at least one value */
	FrObserver observer;
	void *context;
} FrObservation;

/* Run the samples.  Values must be float32 and calculated from the input. */
FrStatus fr_observe(const FrObservation *observation, const FrCancel *cancel,
					const FrAllocator *allocator, FrError *error);

/* The shapes of values for one shape of the input. */
FrStatus
fr_observe_shapes(const FrGraph *graph, const int32_t *values, int value_count,
				  const FrShape *input, const FrNetOptions *options,
				  const FrAllocator *allocator, FrShape *shapes,
				  FrError *error);

/* MISMATCH unless the graph has exactly one input. */
FrStatus fr_observe_check(const FrGraph *graph, FrError *error);

#endif
