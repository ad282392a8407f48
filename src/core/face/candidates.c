/*
 * candidates.c: the best cells of a detector's heads; see candidates.h.
 */
#include "core/face/candidates.h"

#include <string.h>

FrStatus
fr_cells_init(FrCellHeap *heap, FrArena *arena, FrError *error)
{
	size_t size_bytes = sizeof(FrCell) * FR_MAX_CANDIDATES;

	heap->count = 0;
	heap->cells = fr_arena_alloc(arena, size_bytes);
	return heap->cells ? FR_OK : fr_fail_nomem(error, size_bytes);
}

/* Whether a comes before b: higher score, then earlier cell. */
static inline bool
is_better(const FrCell *a, const FrCell *b)
{
	if (a->score != b->score)
		return a->score > b->score;
	if (a->grid != b->grid)
		return a->grid < b->grid;
	return a->index < b->index;
}

static void
sift_down(FrCell *heap, int count, int hole)
{
	FrCell cell = heap[hole];

	for (int child; (child = 2 * hole + 1) < count; hole = child)
	{
		if (child + 1 < count && is_better(&heap[child], &heap[child + 1]))
			child++;
		if (!is_better(&cell, &heap[child]))
			break;
		heap[hole] = heap[child];
	}
	heap[hole] = cell;
}

static void
sift_up(FrCell *heap, int hole)
{
	FrCell cell = heap[hole];

	while (hole > 0 && is_better(&heap[(hole - 1) / 2], &cell))
	{
		heap[hole] = heap[(hole - 1) / 2];
		hole = (hole - 1) / 2;
	}
	heap[hole] = cell;
}

void
fr_cells_push(FrCellHeap *heap, FrCell cell)
{
	if (heap->count < FR_MAX_CANDIDATES)
	{
		heap->cells[heap->count] = cell;
		sift_up(heap->cells, heap->count++);
	}
	else if (is_better(&cell, &heap->cells[0]))
	{
		heap->cells[0] = cell;
		sift_down(heap->cells, heap->count, 0);
	}
}

/* The root, the worst, goes to the end, again and again. */
void
fr_cells_sort(FrCellHeap *heap)
{
	for (int left = heap->count - 1; left > 0; left--)
	{
		FrCell worst = heap->cells[0];

		heap->cells[0] = heap->cells[left];
		heap->cells[left] = worst;
		sift_down(heap->cells, left, 0);
	}
}

FrStatus
fr_candidates_alloc(FrArena *arena, int count, bool has_landmarks,
					FrCandidates *candidates, FrError *error)
{
	size_t box_bytes = (size_t) count * sizeof(float);
	size_t landmark_bytes =
		(size_t) count * FR_LANDMARK_COUNT * sizeof(FrPoint);
	FrBoxes *boxes = &candidates->boxes;
	float **arrays[] = {&boxes->x0, &boxes->y0, &boxes->x1, &boxes->y1,
						&boxes->score};

	*candidates = (FrCandidates){0};
	for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
	{
		*arrays[i] = fr_arena_alloc(arena, box_bytes);
		if (!*arrays[i])
			return fr_fail_nomem(error, box_bytes);
	}
	if (!has_landmarks)
		return FR_OK;
	candidates->landmarks = fr_arena_alloc(arena, landmark_bytes);
	if (!candidates->landmarks)
		return fr_fail_nomem(error, landmark_bytes);
	return FR_OK;
}

void
fr_candidates_add(FrCandidates *candidates, const float box[4], float score,
				  const FrPoint *landmarks)
{
	FrBoxes *boxes = &candidates->boxes;
	int index = boxes->count;

	for (int i = 0; i < 4; i++)
	{
		if (!fr_is_sane_coordinate(box[i]))
			return;
	}
	if (!(box[2] > box[0]) || !(box[3] > box[1]))
		return;
	for (int k = 0; landmarks && k < FR_LANDMARK_COUNT; k++)
	{
		if (!fr_is_sane_coordinate(landmarks[k].x) ||
			!fr_is_sane_coordinate(landmarks[k].y))
			return;
	}
	boxes->x0[index] = box[0];
	boxes->y0[index] = box[1];
	boxes->x1[index] = box[2];
	boxes->y1[index] = box[3];
	boxes->score[index] = score;
	if (landmarks && candidates->landmarks)
		memcpy(candidates->landmarks + (size_t) index * FR_LANDMARK_COUNT,
			   landmarks, FR_LANDMARK_COUNT * sizeof(FrPoint));
	boxes->count++;
}
