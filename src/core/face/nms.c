/*
 * nms.c: greedy non-maximum suppression; see nms.h.
 */
#include "core/face/nms.h"

/* Candidates between two looks at the cancel hook: each costs at most one
 * overlap per kept box. */
#define CANCEL_INTERVAL 64

static inline float
minf(float a, float b)
{
	return a < b ? a : b;
}

static inline float
maxf(float a, float b)
{
	return a > b ? a : b;
}

float
fr_nms_overlap(float ax0, float ay0, float ax1, float ay1, float bx0, float by0,
			   float bx1, float by1)
{
	float width = minf(ax1, bx1) - maxf(ax0, bx0);
	float height = minf(ay1, by1) - maxf(ay0, by0);

	return width > 0 && height > 0 ? width * height : 0;
}

float
fr_nms_iou(float ax0, float ay0, float ax1, float ay1, float bx0, float by0,
		   float bx1, float by1)
{
	float both = fr_nms_overlap(ax0, ay0, ax1, ay1, bx0, by0, bx1, by1);
	float either = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - both;

	return both > 0 && either > 0 ? both / either : 0;
}

static bool
overlaps_kept(const FrBoxes *boxes, int index, const int *kept, int kept_count,
			  float max_iou)
{
	for (int i = 0; i < kept_count; i++)
	{
		int other = kept[i];

		if (fr_nms_iou(boxes->x0[index], boxes->y0[index], boxes->x1[index],
					   boxes->y1[index], boxes->x0[other], boxes->y0[other],
					   boxes->x1[other], boxes->y1[other]) > max_iou)
			return true;
	}
	return false;
}

FrStatus
fr_nms(const FrBoxes *boxes, float max_iou, const FrCancel *cancel, int *kept,
	   int *kept_count, FrError *error)
{
	int count = 0;

	*kept_count = 0;
	for (int i = 0; i < boxes->count; i++)
	{
		if (i % CANCEL_INTERVAL == 0 && fr_is_cancelled(cancel))
			return fr_fail(error, FR_ERR_CANCELLED, "Detection was cancelled.");
		if (!overlaps_kept(boxes, i, kept, count, max_iou))
			kept[count++] = i;
	}
	*kept_count = count;
	return FR_OK;
}
