/*
 * input.h: from 8-bit pictures to a network's input.
 *
 * Networks come from outside, and a plan has as many inputs as its network
 * says: check before planning, then set the only one.
 */
#ifndef FR_CORE_FACE_INPUT_H
#define FR_CORE_FACE_INPUT_H

#include "core/face/face.h"

/* MISMATCH unless the network has one input, for pictures. */
FrStatus fr_input_check(const FrNet *net, const FrDescriptor *descriptor,
						FrError *error);

/*
 * Give the picture, at the top left, to image number index of the plan's
 * input for its next run: in the descriptor's channel order, each value (v -
 * mean) * scale; the rest is black (v = 0).  The image must not be larger
 * than the input, and stay until the run ends.
 */
FrStatus
fr_input_set(FrPlan *plan, int64_t index, const FrImage *image,
			 const FrDescriptor *descriptor, bool is_mirrored, FrError *error);

/*
 * The same as float planes: fill [3, height, width].  The image must not be
 * larger than width x height.
 */
FrStatus fr_input_fill(const FrImage *image, const FrDescriptor *descriptor,
					   bool is_mirrored, int width, int height,
					   const FrCancel *cancel, float *planes, FrError *error);

#endif
