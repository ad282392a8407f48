/*
 * yunet.c: reading the heads of a YuNet face detector; see yunet.h.
 */
#include "core/face/yunet.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const int fr_yunet_strides[FR_YUNET_GRID_COUNT] = {8, 16, 32};
const int fr_yunet_head_sizes[FR_YUNET_HEAD_COUNT] = {1, 1, 4, 10};

static const char *const head_names[FR_YUNET_HEAD_COUNT] = {"cls", "obj",
															"bbox", "kps"};

/* The output of a name; MISMATCH when there is none. */
static FrStatus
find_head(const FrHeads *heads, const char *name, const FrHead **head,
		  FrError *error)
{
	for (int i = 0; i < heads->count; i++)
	{
		*head = &heads->heads[i];
		if (strcmp((*head)->name, name) == 0)
			return FR_OK;
	}
	return fr_fail(error, FR_ERR_MISMATCH,
				   "The preset \"yunet\" needs an output named \"%s\", which "
				   "the network does not have.",
				   name);
}

static FrStatus
bind_head(const FrHeads *heads, int grid, int head, FrYunetGrid *bound,
		  FrError *error)
{
	size_t wanted = (size_t) bound->rows * (size_t) bound->columns *
					(size_t) fr_yunet_head_sizes[head];
	const FrHead *found = NULL;
	char name[16], text[96];
	size_t count;

	snprintf(name, sizeof name, "%s_%d", head_names[head],
			 fr_yunet_strides[grid]);

	FrStatus status = find_head(heads, name, &found, error);

	if (status != FR_OK)
		return status;
	if (!fr_shape_count(&found->shape, &count) || count != wanted)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "For an input of %d x %d pixels the output \"%.24s\" "
					   "has shape %s, but the preset \"yunet\" needs %zu "
					   "values.",
					   heads->width, heads->height, name,
					   fr_shape_text(&found->shape, text, sizeof text), wanted);
	bound->heads[head] = found->values;
	return FR_OK;
}

FrStatus
fr_yunet_bind(const FrHeads *heads, FrYunetGrid grids[FR_YUNET_GRID_COUNT],
			  FrError *error)
{
	FrStatus status = FR_OK;

	for (int g = 0; g < FR_YUNET_GRID_COUNT && status == FR_OK; g++)
	{
		grids[g] = (FrYunetGrid){
			.rows = heads->height / fr_yunet_strides[g],
			.columns = heads->width / fr_yunet_strides[g],
		};
		for (int h = 0; h < FR_YUNET_HEAD_COUNT && status == FR_OK; h++)
			status = bind_head(heads, g, h, &grids[g], error);
	}
	return status;
}

/* ---- the best cells ------------------------------------------------------ */

static FrStatus
collect_cells(const FrYunetGrid grids[FR_YUNET_GRID_COUNT], float threshold,
			  const FrCancel *cancel, FrCellHeap *heap, FrError *error)
{
	for (int g = 0; g < FR_YUNET_GRID_COUNT; g++)
	{
		const FrYunetGrid *grid = &grids[g];

		for (int i = 0; i < grid->rows * grid->columns; i++)
		{
			float score = sqrtf(fr_clip01(grid->heads[FR_YUNET_CLS][i]) *
								fr_clip01(grid->heads[FR_YUNET_OBJ][i]));

			if (i % FR_CELLS_PER_POLL == 0 && fr_is_cancelled(cancel))
				return fr_fail(error, FR_ERR_CANCELLED,
							   "Detection was cancelled.");
			if (score >= threshold && score > 0)
				fr_cells_push(heap, (FrCell){score, g, i});
		}
	}
	fr_cells_sort(heap);
	return FR_OK;
}

/* ---- boxes and landmarks ------------------------------------------------- */

static void
decode_cell(const FrYunetGrid *grid, const FrCell *cell,
			FrCandidates *candidates)
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
	float left = x - width / 2, top = y - height / 2;
	FrPoint landmarks[FR_LANDMARK_COUNT];

	for (int k = 0; k < FR_LANDMARK_COUNT; k++)
	{
		landmarks[k].x = (kps[2 * k] + column) * stride;
		landmarks[k].y = (kps[2 * k + 1] + row) * stride;
	}
	fr_candidates_add(candidates,
					  (float[4]){left, top, left + width, top + height},
					  cell->score, landmarks);
}

FrStatus
fr_yunet_decode(const FrYunetGrid grids[FR_YUNET_GRID_COUNT], float threshold,
				const FrCancel *cancel, FrArena *arena,
				FrCandidates *candidates, FrError *error)
{
	FrCellHeap heap;

	*candidates = (FrCandidates){0};

	FrStatus status = fr_cells_init(&heap, arena, error);

	if (status == FR_OK)
		status = collect_cells(grids, threshold, cancel, &heap, error);
	if (status == FR_OK)
		status =
			fr_candidates_alloc(arena, heap.count, true, candidates, error);
	for (int i = 0; i < heap.count && status == FR_OK; i++)
		decode_cell(&grids[heap.cells[i].grid], &heap.cells[i], candidates);
	return status;
}
