/*
 * landmarks.h: five landmarks by a network of their own, for faces whose
 * detector gives only boxes, and more exactly for those that have some.
 */
#ifndef FR_CORE_FACE_LANDMARKS_H
#define FR_CORE_FACE_LANDMARKS_H

#include "core/face/photo.h"

/*
 * Run the network on the crop of each face, and fill its landmarks in.  By
 * the descriptor's alignment a crop is
 *   FR_TEMPLATE_BOX  the part of the box and its margin that lies in the
 *                    picture, stretched; from the photo's best pixels
 *   a template       the face aligned by the landmarks that it has, else the
 *                    square around its box, and the margin; black outside
 *                    the picture; from the pixels of view, which must cover
 *                    the faces
 * With flip averaging each landmark is the mean of those in the crop and in its
 * mirror image.
 *
 * Where that moves the landmarks that a face had by more than second_look
 * distances of its eyes, on average, detector and network do not agree: the
 * face is aligned by what was found and looked at four times more, at scales
 * of 0.82 to 1.06 of the crop, and the mean is taken.
 *
 * Faces for which no crop can be made, and whose landmarks are
 * unusable, stay as they are.
 */
FrStatus fr_landmarks_find(FrPhoto *photo, const FrPhotoView *view, FrNet *net,
						   const FrDescriptor *descriptor, FrFace *faces,
						   int count, FrError *error);

#endif
