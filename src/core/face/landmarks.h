/*
 * landmarks.h: five landmarks for faces whose detector gives only boxes.
 */
#ifndef FR_CORE_FACE_LANDMARKS_H
#define FR_CORE_FACE_LANDMARKS_H

#include "core/face/photo.h"

/* What such a network gives for a crop: x, y of five points, 0..1. */
#define FR_LANDMARK_VALUES (2 * FR_LANDMARK_COUNT)

/* Run the network on the box of each face, and fill its landmarks in.  Faces whose landmarks are unusable stay as they are. */
FrStatus
fr_landmarks_find(FrPhoto *photo, FrNet *net, const FrDescriptor *descriptor,
				  FrFace *faces, int count, FrError *error);

#endif
