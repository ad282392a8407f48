/*
 * trial.h: a network with the input shapes that a check tries it with.
 *
 * Several presets may want to know what a network gives for the same shapes;
 * finding that out can take long (constants are calculated), so it is done
 * once per shape.  Internal to core/face.
 */
#ifndef FR_CORE_FACE_TRIAL_H
#define FR_CORE_FACE_TRIAL_H

#include "core/face/face.h"

typedef struct FrTrial
{
	FrNet *net;
	const FrCancel *cancel;
	const FrAllocator *allocator;
	bool is_sized;
	FrShape input;
	FrGraph sized; /* for input; when is_sized */
} FrTrial;

/* Begin with a net; fr_trial_fini ends it. */
FrTrial
fr_trial_of(FrNet *net, const FrCancel *cancel, const FrAllocator *allocator);
void fr_trial_fini(FrTrial *trial);

/* The graph for an input of this shape; valid until the next call for another
 * shape. */
FrStatus fr_trial_size(FrTrial *trial, const FrShape *input,
					   const FrGraph **sized, FrError *error);

/* fr_descriptor_check in a trial. */
FrStatus fr_trial_check(FrTrial *trial, const FrDescriptor *descriptor,
						int *dims, FrError *error);

#endif
