/*
 * nms.h: greedy non-maximum suppression.
 *
 * Boxes are taken by falling score; one is dropped when its overlap
 * (intersection over union) with a box already kept exceeds a limit.  Boxes
 * are real-valued rectangles and are not clipped to the picture.
 */
#ifndef FR_CORE_FACE_NMS_H
#define FR_CORE_FACE_NMS_H

#include "core/base/status.h"

/* Candidate boxes, sorted by falling score; one array per field, since the
 * search scans them. */
typedef struct FrBoxes
{
	int count;
	float *x0, *y0, *x1, *y1; /* x0 <= x1, y0 <= y1 */
	float *score;
} FrBoxes;

/* Area that two rectangles share. */
float fr_nms_overlap(float ax0, float ay0, float ax1, float ay1, float bx0,
					 float by0, float bx1, float by1);

/* Intersection over union of two rectangles; 0 when both are empty. */
float fr_nms_iou(float ax0, float ay0, float ax1, float ay1, float bx0,
				 float by0, float bx1, float by1);

/* Write the indices of the boxes that stay, in order, to kept (room for
 * boxes->count).  Of equal scores the earlier box wins. */
FrStatus fr_nms(const FrBoxes *boxes, float max_iou, const FrCancel *cancel,
				int *kept, int *kept_count, FrError *error);

#endif
