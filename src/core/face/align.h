/*
 * align.h: from five landmarks to the transform that straightens a face.
 *
 * The least-squares similarity (rotation, one scale, translation, never a
 * reflection) that takes the landmarks to a template: S. Umeyama,
 * "Least-Squares Estimation of Transformation Parameters Between Two Point
 * Patterns", IEEE TPAMI 13(4), 1991, in its closed form for two dimensions.
 */
#ifndef FR_CORE_FACE_ALIGN_H
#define FR_CORE_FACE_ALIGN_H

#include "core/face/face.h"

/* Where the five landmarks belong in a width x height crop. */
void fr_align_template(FrTemplate alignment, int width, int height,
					   FrPoint points[FR_LANDMARK_COUNT]);

/*
 * The similarity from picture to crop coordinates for these landmarks; false
 * when they do not determine one (not finite, or all in one place).
 */
bool fr_align_landmarks(const FrPoint landmarks[FR_LANDMARK_COUNT],
						FrTemplate alignment, int width, int height,
						FrSimilarity *transform);

/* Without usable landmarks: the square around the box fills the crop, no
 * rotation.  False when the box is not finite or has no area. */
bool fr_align_box(float x0, float y0, float x1, float y1, int width, int height,
				  FrSimilarity *transform);

/* Make the crop show more on all sides: it becomes larger by a margin, a share
 * of its size in all, and is reduced to the same width x height. */
void
fr_align_widen(FrSimilarity *transform, double margin, int width, int height);

/* Crop pixels per picture pixel. */
double fr_align_scale(const FrSimilarity *transform);

/*
 * The same transform for a reduced or cut picture, whose pixel (x, y) lies
 * at (x * step + origin_x, y * step + origin_y) of the full one.
 */
FrSimilarity fr_align_rebase(const FrSimilarity *transform, double step,
							 double origin_x, double origin_y);

/*
 * The pixels of a picture of the given size that a crop is sampled from,
 * with one pixel to spare on each side; empty (x0 == x1) when the crop lies
 * outside.
 */
FrImageRect
fr_align_footprint(const FrSimilarity *transform, int width, int height,
				   int picture_width, int picture_height);

#endif
