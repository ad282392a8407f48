/*
 * quality.h: how well a face is pictured, 0..100.
 *
 * Each measure has a raw value (pixels, degrees, shares ...) and a score
 * 0..100 that never rises when the picture gets worse in that respect.  A
 * score of 80 means roughly that the embedding keeps a cosine of 0.8 with that
 * of a faultless picture, so the unified score is a product of powers of the
 * scores.  Measures are named after ISO/IEC 29794-5:2025, with formulas of our
 * own where that standard assumes a passport photo or a segmented face.
 */
#ifndef FR_CORE_FACE_QUALITY_H
#define FR_CORE_FACE_QUALITY_H

#include "core/face/face.h"

/* Faces are measured as aligned by FR_TEMPLATE_ARCFACE_112, at this size. */
#define FR_QUALITY_SIDE 112

/* FR_QUALITY_X(enumerator, name, exponent in the unified score).  Roll counts
 * little, since alignment undoes it. */
#define FR_QUALITY_LIST(X)                                       \
	X(INTER_EYE_DISTANCE, "InterEyeDistance", 1.0)               \
	X(SHARPNESS, "Sharpness", 1.0)                               \
	X(HEAD_POSE_YAW, "HeadPoseYaw", 1.0)                         \
	X(HEAD_POSE_PITCH, "HeadPosePitch", 1.0)                     \
	X(HEAD_POSE_ROLL, "HeadPoseRoll", 0.25)                      \
	X(LUMINANCE_MEAN, "LuminanceMean", 0.5)                      \
	X(UNDER_EXPOSURE_PREVENTION, "UnderExposurePrevention", 1.0) \
	X(OVER_EXPOSURE_PREVENTION, "OverExposurePrevention", 1.0)   \
	X(DYNAMIC_RANGE, "DynamicRange", 1.0)

typedef enum FrQualityMeasure
{
#define FR_QUALITY_ENUM(name, text, weight) FR_QUALITY_##name,
	FR_QUALITY_LIST(FR_QUALITY_ENUM)
#undef FR_QUALITY_ENUM
		FR_QUALITY_COUNT
} FrQualityMeasure;

/*
 * Raw values:
 * - InterEyeDistance: pixels of the full-size picture, as if seen from the
 *   front (divided by the cosine of the yaw);
 * - Sharpness: standard deviation, in pixels of the aligned crop, of the
 *   Gaussian blur that its edges look to have; smaller is sharper;
 * - HeadPose...: degrees;
 * - LuminanceMean, DynamicRange (95th minus 5th percentile): 0..255;
 * - UnderExposurePrevention, OverExposurePrevention: share of the pixels with
 *   luminance <= 5 and >= 250, 0..1.
 */
typedef struct FrQuality
{
	float raw[FR_QUALITY_COUNT];
	float score[FR_QUALITY_COUNT]; /* 0..100 */
	float unified;				   /* 0..100 */
} FrQuality;

/* The measure's name, e.g. "InterEyeDistance". */
const char *fr_quality_name(FrQualityMeasure measure);

/* The score 0..100 of a raw value; 0 when that is not finite. */
float fr_quality_score(FrQualityMeasure measure, float raw);

/*
 * Measure a face: its landmarks in the full-size picture, its pose in
 * face->yaw, pitch, roll, and its pixels in image, which *transform takes to
 * a crop of FR_QUALITY_SIDE squared (bilinear samples, zeros outside).
 */
void fr_quality_measure(const FrFace *face, const FrImage *image,
						const FrSimilarity *transform, FrQuality *quality);

#endif
