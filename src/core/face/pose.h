/*
 * pose.h: where a head looks, from five landmarks.
 */
#ifndef FR_CORE_FACE_POSE_H
#define FR_CORE_FACE_POSE_H

#include "core/face/face.h"

/* Degrees, signs as in FrFace: yaw > 0 turned to the picture's right, pitch
 * > 0 looking up, roll > 0 tilted clockwise as seen. */
typedef struct FrPose
{
	float yaw, pitch, roll;
} FrPose;

/* Estimate the head pose; all angles are 0 for landmarks that determine none
 * (not finite, or all in one place). */
FrPose fr_pose_estimate(const FrPoint landmarks[FR_LANDMARK_COUNT]);

#endif
