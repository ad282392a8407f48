/*
 * yunet.c: reading the heads of a YuNet face detector; see yunet.h.
 *
 * Two passes: the best cells go through a bounded min-heap, then only those
 * are turned into boxes and landmarks.
 */
#include "core/face/yunet.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const int fr_yunet_strides[FR_YUNET_GRID_COUNT] = {8, 16, 32};
const int fr_yunet_head_sizes[FR_YUNET_HEAD_COUNT] = {1, 1, 4, 10};

static const char *const head_names[FR_YUNET_HEAD_COUNT] = {"cls", "obj",
															"bbox", "kps"};

/* No picture has coordinates beyond this many pixels; being a bound far below
 * INT_MAX it also keeps later conversions to int safe. */
#define MAX_COORDINATE 1e6f

#define CANCEL_INTERVAL 16384 /* cells */

FrStatus
fr_yunet_bind(const FrGraph *graph,
			  int outputs[FR_YUNET_GRID_COUNT][FR_YUNET_HEAD_COUNT],
			  FrError *error)
{
	for (int grid = 0; grid < FR_YUNET_GRID_COUNT; grid++)
	{
		for (int head = 0; head < FR_YUNET_HEAD_COUNT; head++)
		{
			char name[16];
			int index = 0;

			snprintf(name, sizeof name, "%s_%d", head_names[head],
					 fr_yunet_strides[grid]);
			while (index < graph->output_count &&
				   strcmp(graph->values[graph->outputs[index]].name, name) != 0)
				index++;
			if (index == graph->output_count)
				return fr_fail(error, FR_ERR_MISMATCH,
							   "The preset \"yunet\" needs an output named "
							   "\"%s\", which the network does not have.",
							   name);
			outputs[grid][head] = index;
		}
	}
	return FR_OK;
}

/* ---- the best cells ------------------------------------------------------ */

typedef struct Cell
{
	float score;
	int grid;
	int index; /* in the grid */
} Cell;

/* Whether a comes before b: higher score, then earlier cell. */
static inline bool
is_better(const Cell *a, const Cell *b)
{
	if (a->score != b->score)
		return a->score > b->score;
	if (a->grid != b->grid)
		return a->grid < b->grid;
	return a->index < b->index;
}

/* A binary heap with the worst cell at the root. */
static void
sift_down(Cell *heap, int count, int hole)
{
	Cell cell = heap[hole];

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
sift_up(Cell *heap, int hole)
{
	Cell cell = heap[hole];

	while (hole > 0 && is_better(&heap[(hole - 1) / 2], &cell))
	{
		heap[hole] = heap[(hole - 1) / 2];
		hole = (hole - 1) / 2;
	}
	heap[hole] = cell;
}

static void
push_cell(Cell *heap, int capacity, int *count, const Cell *cell)
{
	if (*count < capacity)
	{
		heap[*count] = *cell;
		sift_up(heap, (*count)++);
	}
	else if (is_better(cell, &heap[0]))
	{
		heap[0] = *cell;
		sift_down(heap, *count, 0);
	}
}

/* Best first: the root, the worst, goes to the end, again and again. */
static void
sort_cells(Cell *heap, int count)
{
	for (int left = count - 1; left > 0; left--)
	{
		Cell worst = heap[0];

		heap[0] = heap[left];
		heap[left] = worst;
		sift_down(heap, left, 0);
	}
}

static inline float
clip01(float value)
{
	return value > 0 ? (value < 1 ? value : 1) : 0; /* NaN becomes 0 */
}

static FrStatus
collect_cells(const FrYunetGrid grids[FR_YUNET_GRID_COUNT], float threshold,
			  const FrCancel *cancel, Cell *heap, int capacity, int *count,
			  FrError *error)
{
	*count = 0;
	for (int g = 0; g < FR_YUNET_GRID_COUNT; g++)
	{
		const FrYunetGrid *grid = &grids[g];

		for (int i = 0; i < grid->rows * grid->columns; i++)
		{
			float score = sqrtf(clip01(grid->heads[FR_YUNET_CLS][i]) *
								clip01(grid->heads[FR_YUNET_OBJ][i]));

			if (i % CANCEL_INTERVAL == 0 && fr_is_cancelled(cancel))
				return fr_fail(error, FR_ERR_CANCELLED,
							   "Detection was cancelled.");
			if (score >= threshold && score > 0)
				push_cell(heap, capacity, count,
						  &(Cell){.score = score, .grid = g, .index = i});
		}
	}
	sort_cells(heap, *count);
	return FR_OK;
}

/* ---- boxes and landmarks ------------------------------------------------- */

static inline bool
is_sane(float coordinate)
{
	return fabsf(coordinate) <= MAX_COORDINATE; /* false for NaN */
}

/* Write candidate number count; false when the cell's values are unusable. */
static bool
decode_cell(const FrYunetGrid *grid, const Cell *cell, FrCandidates *candidates,
			int count)
{
	const float *bbox = grid->heads[FR_YUNET_BBOX] + (size_t) cell->index * 4;
	const float *kps = grid->heads[FR_YUNET_KPS] + (size_t) cell->index * 10;
	float stride = (float) fr_yunet_strides[cell->grid];
	float column = (float) (cell->index % grid->columns);
	float row = (float) (cell->index / grid->columns);
	float x = (column + bbox[0]) * stride;
	float y = (row + bbox[1]) * stride;
	float width = expf(bbox[2]) * stride;
	float height = expf(bbox[3]) * stride;
	FrPoint *landmarks =
		candidates->landmarks + (size_t) count * FR_LANDMARK_COUNT;
	FrBoxes *boxes = &candidates->boxes;

	if (!is_sane(x) || !is_sane(y) || !is_sane(width) || !is_sane(height) ||
		!(width > 0) || !(height > 0))
		return false;
	for (int k = 0; k < FR_LANDMARK_COUNT; k++)
	{
		landmarks[k].x = (kps[2 * k] + column) * stride;
		landmarks[k].y = (kps[2 * k + 1] + row) * stride;
		if (!is_sane(landmarks[k].x) || !is_sane(landmarks[k].y))
			return false;
	}
	boxes->x0[count] = x - width / 2;
	boxes->y0[count] = y - height / 2;
	boxes->x1[count] = boxes->x0[count] + width;
	boxes->y1[count] = boxes->y0[count] + height;
	boxes->score[count] = cell->score;
	return true;
}

static FrStatus
alloc_candidates(FrArena *arena, int count, FrCandidates *candidates,
				 FrError *error)
{
	size_t box_bytes = (size_t) count * sizeof(float);
	size_t landmark_bytes =
		(size_t) count * FR_LANDMARK_COUNT * sizeof(FrPoint);
	FrBoxes *boxes = &candidates->boxes;
	float **arrays[] = {&boxes->x0, &boxes->y0, &boxes->x1, &boxes->y1,
						&boxes->score};

	for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
	{
		*arrays[i] = fr_arena_alloc(arena, box_bytes);
		if (!*arrays[i])
			return fr_fail_nomem(error, box_bytes);
	}
	candidates->landmarks = fr_arena_alloc(arena, landmark_bytes);
	if (!candidates->landmarks)
		return fr_fail_nomem(error, landmark_bytes);
	return FR_OK;
}

FrStatus
fr_yunet_decode(const FrYunetGrid grids[FR_YUNET_GRID_COUNT], float threshold,
				const FrCancel *cancel, FrArena *arena,
				FrCandidates *candidates, FrError *error)
{
	size_t cells_bytes = sizeof(Cell) * FR_YUNET_MAX_CANDIDATES;
	Cell *cells = fr_arena_alloc(arena, cells_bytes);
	int cell_count;

	*candidates = (FrCandidates){0};
	if (!cells)
		return fr_fail_nomem(error, cells_bytes);

	FrStatus status =
		collect_cells(grids, threshold, cancel, cells, FR_YUNET_MAX_CANDIDATES,
					  &cell_count, error);

	if (status == FR_OK)
		status = alloc_candidates(arena, cell_count, candidates, error);
	if (status != FR_OK)
		return status;

	int count = 0;

	for (int i = 0; i < cell_count; i++)
		count +=
			decode_cell(&grids[cells[i].grid], &cells[i], candidates, count);
	candidates->boxes.count = count;
	return FR_OK;
}
