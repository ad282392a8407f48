/*
 * test_face_nms.c: overlap and greedy suppression.
 */
#include "core/face/nms.h"
#include "test/unit/tap.h"

static void
test_iou_by_hand(void)
{
	ok_near(fr_nms_iou(0, 0, 10, 10, 0, 0, 10, 10), 1, 0, "equal boxes: 1");
	ok_near(fr_nms_iou(0, 0, 10, 10, 5, 0, 15, 10), 1.0 / 3, 1e-7,
			"half moved aside: 1/3");
	ok_near(fr_nms_iou(0, 0, 10, 10, 10, 0, 20, 10), 0, 0, "touching: 0");
	ok_near(fr_nms_iou(0, 0, 10, 10, 2, 2, 4, 4), 0.04, 1e-7, "inside: 4/100");
	ok_near(fr_nms_iou(-20, -20, -10, -10, -15, -15, -5, -5), 25.0 / 175, 1e-7,
			"negative coordinates count");
	ok_near(fr_nms_iou(3, 3, 3, 3, 3, 3, 3, 3), 0, 0, "empty boxes: 0");
}

static int
run(float boxes[][4], const float *scores, int count, float max_iou, int *kept)
{
	float x0[16], y0[16], x1[16], y1[16], score[16];
	FrBoxes soa = {count, x0, y0, x1, y1, score};
	FrError error = {0};
	int kept_count = -1;

	for (int i = 0; i < count; i++)
	{
		x0[i] = boxes[i][0];
		y0[i] = boxes[i][1];
		x1[i] = boxes[i][2];
		y1[i] = boxes[i][3];
		score[i] = scores[i];
	}
	is_status(fr_nms(&soa, max_iou, NULL, kept, &kept_count, &error), FR_OK,
			  &error, "suppression runs");
	return kept_count;
}

static void
test_suppressed_box_suppresses_nothing(void)
{
	/* b overlaps a and c; a and c do not overlap. */
	float boxes[][4] = {{0, 0, 10, 10}, {5, 0, 15, 10}, {10, 0, 20, 10}};
	const float scores[] = {0.9f, 0.8f, 0.7f};
	int kept[3];

	is_int(run(boxes, scores, 3, 0.3f, kept), 2, "two of three stay");
	ok(kept[0] == 0 && kept[1] == 2, "the dropped one does not drop the third");
}

static void
test_limit_is_exclusive(void)
{
	float boxes[][4] = {{0, 0, 10, 10}, {0, 0, 10, 5}};
	const float scores[] = {0.9f, 0.8f};
	int kept[2];

	is_int(run(boxes, scores, 2, 0.5f, kept), 2,
		   "overlap equal to the limit stays");
	is_int(run(boxes, scores, 2, 0.4999f, kept), 1, "overlap above it goes");
	is_int(run(boxes, scores, 2, 0.0f, kept), 1, "limit 0 keeps no overlap");
	is_int(run(boxes, scores, 2, 1.0f, kept), 2, "limit 1 keeps all");
}

static void
test_tie_keeps_the_earlier(void)
{
	float boxes[][4] = {{1, 0, 11, 10}, {0, 0, 10, 10}};
	const float scores[] = {0.9f, 0.9f};
	int kept[2];

	is_int(run(boxes, scores, 2, 0.3f, kept), 1, "equal scores: one stays");
	is_int(kept[0], 0, "equal scores: the earlier stays");
	is_int(run(boxes, scores, 0, 0.3f, kept), 0, "no boxes: none");
}

static bool
always(void *context)
{
	(void) context;
	return true;
}

static void
test_cancel(void)
{
	float one = 1;
	FrBoxes boxes = {1, &one, &one, &one, &one, &one};
	FrCancel cancel = {always, NULL};
	FrError error = {0};
	int kept[1], count;

	is_status(fr_nms(&boxes, 0.3f, &cancel, kept, &count, &error),
			  FR_ERR_CANCELLED, &error, "cancel is honoured");
	is_int(count, 0, "nothing is kept then");
}

int
main(void)
{
	test_iou_by_hand();
	test_suppressed_box_suppresses_nothing();
	test_limit_is_exclusive();
	test_tie_keeps_the_earlier();
	test_cancel();
	return tap_done();
}
