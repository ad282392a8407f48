/*
 * input.h: from 8-bit pictures to a network's input.
 *
 * Networks come from outside, and a plan has as many inputs as its network
 * says: check before planning, then set the only one.  Most networks take
 * planes, [n, 3, h, w]; those that come from TensorFlow take pixels,
 * [n, h, w, 3], and transpose by themselves.
 */
#ifndef FR_CORE_FACE_INPUT_H
#define FR_CORE_FACE_INPUT_H

#include "core/face/face.h"

/* MISMATCH unless the network has one input. */
FrStatus fr_input_check(const FrNet *net, const FrDescriptor *descriptor,
						FrError *error);

/* Whether the network takes [n, h, w, 3]. */
bool fr_input_is_channels_last(const FrGraph *graph);

/* The shape of count pictures. */
FrShape
fr_input_shape(const FrGraph *graph, int64_t count, int width, int height);

/*
 * Give the picture, at the top left, to image number index of the plan's
 * input for its next run: in the descriptor's channel order, each value (v -
 * mean) * scale, or standardised; the rest is black (v = 0).  The image must
 * not be larger than the input, and stay until the run ends.
 */
FrStatus
fr_input_set(FrPlan *plan, int64_t index, const FrImage *image,
			 const FrDescriptor *descriptor, bool is_mirrored, FrError *error);

#endif
