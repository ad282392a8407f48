/*
 * test_face_merge.c: what two looks at a picture give together.
 */
#include "core/face/face_merge.h"
#include "test/unit/tap.h"

#define MAX_FACES 8

typedef struct Box
{
	float x0, y0, x1, y1, score;
} Box;

static FrFaces
make_faces(const Box *boxes, int count)
{
	const FrAllocator *allocator = &fr_allocator_malloc;
	FrFaces faces = {.allocator = allocator};

	if (count > 0)
		faces.faces =
			fr_alloc_zeroed(allocator, (size_t) count, sizeof(FrFace));
	faces.count = count;
	for (int i = 0; i < count; i++)
	{
		faces.faces[i].x0 = boxes[i].x0;
		faces.faces[i].y0 = boxes[i].y0;
		faces.faces[i].x1 = boxes[i].x1;
		faces.faces[i].y1 = boxes[i].y1;
		faces.faces[i].score = boxes[i].score;
	}
	return faces;
}

/* Merge with a limit of 0.3; x0 of what is left goes to left_edges. */
static int
merge(const Box *first, int first_count, const Box *second, int second_count,
	  float *left_edges)
{
	FrFaces faces = make_faces(first, first_count);
	FrFaces large = make_faces(second, second_count);
	FrError error = {0};
	int count;

	is_status(fr_faces_merge(&faces, &large, 0.3f, NULL, &error), FR_OK, &error,
			  "merged");
	count = faces.count;
	for (int i = 0; i < count && i < MAX_FACES; i++)
		left_edges[i] = faces.faces[i].x0;
	fr_faces_destroy(&faces);
	fr_faces_destroy(&large);
	return count;
}

static void
test_surer_box_is_kept(void)
{
	const Box first = {0, 0, 100, 100, 0.8f};
	Box second = {10, 0, 110, 100, 0.9f};
	float edges[MAX_FACES];

	is_int(merge(&first, 1, &second, 1, edges), 1, "one face, seen twice");
	ok_near(edges[0], 10, 0, "the second look was surer");
	second.score = 0.7f;
	is_int(merge(&first, 1, &second, 1, edges), 1, "one face, seen twice");
	ok_near(edges[0], 0, 0, "the first look was surer");
	second.score = 0.8f;
	is_int(merge(&first, 1, &second, 1, edges), 1, "one face, seen twice");
	ok_near(edges[0], 0, 0, "equal scores: the first look's");
	second.x0 = 90;
	second.x1 = 190;
	is_int(merge(&first, 1, &second, 1, edges), 2, "two that hardly overlap");
}

static void
test_parts_of_a_large_face_go(void)
{
	const Box first[] = {
		{40, 40, 60, 60, 0.61f},   /* within */
		{95, 40, 115, 60, 0.61f},  /* a quarter of it within */
		{300, 0, 400, 100, 0.61f}, /* elsewhere */
		{20, 20, 40, 40, 0.95f},   /* within, but surer */
		{0, 30, 100, 60, 0.61f},   /* within, too large for a part, IoU 0.3 */
	};
	const Box second = {0, 0, 100, 100, 0.9f};
	float edges[MAX_FACES];

	is_int(merge(first, 5, &second, 1, edges), 5, "one part of five goes");
	ok(edges[0] == 95 && edges[1] == 300 && edges[2] == 20 && edges[3] == 0 &&
		   edges[4] == 0,
	   "the others stay in order, the large face comes last");
}

static void
test_nothing_to_merge(void)
{
	const Box box = {0, 0, 100, 100, 0.8f};
	float edges[MAX_FACES];

	is_int(merge(NULL, 0, NULL, 0, edges), 0, "no face in either");
	is_int(merge(&box, 1, NULL, 0, edges), 1, "none in the second");
	is_int(merge(NULL, 0, &box, 1, edges), 1, "none in the first");
}

static bool
say_cancelled(void *context)
{
	(void) context;
	return true;
}

static void
test_failures_leave_the_list(void)
{
	const Box box = {0, 0, 100, 100, 0.8f};
	const FrCancel cancel = {.is_cancelled = say_cancelled};
	FrFaces faces = make_faces(&box, 1), large = make_faces(&box, 1);
	FrError error = {0};

	ok(fr_faces_merge(&faces, &large, 0.3f, &cancel, &error) ==
		   FR_ERR_CANCELLED,
	   "cancelled");
	is_int(faces.count, 1, "the list is as it was");
	fr_faces_destroy(&faces);
	fr_faces_destroy(&large);
}

int
main(void)
{
	test_surer_box_is_kept();
	test_parts_of_a_large_face_go();
	test_nothing_to_merge();
	test_failures_leave_the_list();
	return tap_done();
}
