/*
 * mtcnn_crop.h: windows of a picture, shrunk or enlarged to a network's input.
 */
#ifndef FR_CORE_FACE_MTCNN_CROP_H
#define FR_CORE_FACE_MTCNN_CROP_H

#include "core/face/mtcnn_windows.h"

/*
 * Average the pixels that each of side x side cells of the window covers;
 * what lies outside the picture is black.  The window's corners are whole
 * numbers.  planes is [3, side, side] in the descriptor's channel order and
 * normalisation; sums has room for a row of the picture, [width, 3].
 */
FrStatus fr_mtcnn_crop(const FrImage *image, const FrWindowBox *window,
					   const FrDescriptor *descriptor, int side, float *sums,
					   const FrCancel *cancel, float *planes, FrError *error);

#endif
