/*
 * mtcnn.h: face detection by a cascade of three small networks.
 *
 * The first (P) looks at every 12 x 12 window of an image pyramid, the second
 * (R) at what is left, at 24 x 24, the third (O) at 48 x 48, and gives five
 * landmarks: K. Zhang, Z. Zhang, Z. Li, Y. Qiao, "Joint Face Detection and
 * Alignment Using Multitask Cascaded Convolutional Networks", IEEE SPL
 * 23(10), 2016, with the constants of its authors' implementation.
 */
#ifndef FR_CORE_FACE_MTCNN_H
#define FR_CORE_FACE_MTCNN_H

#include "core/face/candidates.h"

/* Do inputs and outputs of the three networks fit?  MISMATCH says which does
 * not, and why. */
FrStatus fr_mtcnn_check(const FrDescriptor *descriptor, FrNet *const *nets,
						const FrCancel *cancel, const FrAllocator *allocator,
						FrError *error);

/* Run each of the three networks once, on gray, when they are loaded: values
 * that are not finite, or scores that are no probabilities, are MISMATCH. */
FrStatus fr_mtcnn_probe(const FrDetector *detector, const FrCancel *cancel,
						const FrAllocator *allocator, FrError *error);

/*
 * Find the faces of a picture whose shorter side is at least about min_side
 * pixels (not below 12).  Overlapping ones are already suppressed; the list
 * is allocated from arena.
 */
FrStatus
fr_mtcnn_detect(const FrDetector *detector, const FrImage *image,
				double min_side, const FrCancel *cancel, FrArena *arena,
				FrCandidates *candidates, FrError *error);

#endif
