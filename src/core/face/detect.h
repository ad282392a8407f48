/*
 * detect.h: one picture through a detector network.
 *
 * Input, run, decoding of the heads, non-maximum suppression.  Choosing
 * the picture's resolution and what is derived from the landmarks belong to
 * pipeline.h.
 */
#ifndef FR_CORE_FACE_DETECT_H
#define FR_CORE_FACE_DETECT_H

#include "core/face/face.h"

/* The largest picture that this detector can take whole, given the size
 * limits in its graph and longest (0 = none); never larger than the picture
 * itself.  Proportions are kept, both sides are at least 1. */
void fr_detect_fit(const FrNet *detector, int longest, int width, int height,
				   int *fit_width, int *fit_height);

/* The shape of the network's input for a picture of this size, padded. */
FrShape fr_detect_shape(const FrNet *net, const FrDescriptor *descriptor,
						int width, int height);

/*
 * Find the faces of a picture that already has the wanted size.  Boxes and
 * landmarks are in its pixels, order is by falling score; quality and pose
 * are left 0.  Faces whose shorter side is below min_side pixels need not be
 * found.  The list is allocated from allocator.
 */
FrStatus
fr_detect_run(const FrDetector *detector, const FrImage *image, double min_side,
			  const FrCancel *cancel, const FrAllocator *allocator,
			  FrFaces *faces, FrError *error);

/* Whether the networks of a detector that was checked give landmarks. */
bool fr_detector_has_landmarks(const FrDetector *detector);

/* Run a detector once, on a gray picture, when it is loaded: what shapes do
 * not tell (values that are not finite, scores that are no probabilities) is
 * MISMATCH. */
FrStatus fr_detect_probe(const FrDetector *detector, const FrCancel *cancel,
						 const FrAllocator *allocator, FrError *error);

#endif
