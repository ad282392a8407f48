/*
 * face_merge.h: one list from two looks at a picture.
 *
 * A detector sees faces up to a size that it was trained for.  A second look
 * at the picture made small finds larger ones, and some of the others again.
 */
#ifndef FR_CORE_FACE_FACE_MERGE_H
#define FR_CORE_FACE_FACE_MERGE_H

#include "core/face/face.h"

/*
 * Add to faces those of the look at the small picture, which stays the
 * caller's.  Both are in coordinates of one picture.  Of two that overlap by
 * more than max_iou (IoU, 0..1) the one with the higher score is kept, the
 * first look's where they are equal; a large face that is kept removes those
 * of the first look, less sure than itself, that lie within it: parts of a
 * face that was too large to be seen whole.  On failure faces is as it was.
 */
FrStatus fr_faces_merge(FrFaces *faces, const FrFaces *large, float max_iou,
						const FrCancel *cancel, FrError *error);

#endif
