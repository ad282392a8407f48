/*
 * retinaface.c: reading the heads of a RetinaFace detector; see retinaface.h.
 */
#include "core/face/retinaface.h"

#define GRID_COUNT		3
#define FINEST_STRIDE	8
#define PRIORS_PER_CELL 2

/* Side of the priors, pixels. */
static const float prior_sides[GRID_COUNT][PRIORS_PER_CELL] = {{16, 32},
															   {64, 128},
															   {256, 512}};

/* The variances that offsets and sizes were divided by in training. */
#define CENTRE_VARIANCE 0.1f
#define SIZE_VARIANCE	0.2f

/* Cells that lie only in part in the picture count. */
static int
count_cells(int side, int grid)
{
	int stride = FINEST_STRIDE << grid;

	return (side + stride - 1) / stride;
}

static int64_t
count_priors(int width, int height, int grid)
{
	return (int64_t) count_cells(width, grid) * count_cells(height, grid) *
		   PRIORS_PER_CELL;
}

FrStatus
fr_retinaface_bind(const FrHeads *heads, FrRetinaface *retinaface,
				   FrError *error)
{
	int64_t wanted = 0, rows, columns;
	bool is_taken[3] = {false};
	char text[96];

	*retinaface =
		(FrRetinaface){.width = heads->width, .height = heads->height};
	if (heads->count != 3)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The network has %d outputs, but the preset "
					   "\"retinaface\" reads 3: boxes, classes, landmarks.",
					   heads->count);
	for (int g = 0; g < GRID_COUNT; g++)
		wanted += count_priors(heads->width, heads->height, g);
	for (int i = 0; i < heads->count; i++)
	{
		const FrHead *head = &heads->heads[i];
		const float **places[] = {&retinaface->boxes, &retinaface->classes,
								  &retinaface->landmarks};
		int kind = -1;

		if (fr_head_rows(head, &rows, &columns) && rows == wanted)
			kind = columns == 4 ? 0 : columns == 2 ? 1 : columns == 10 ? 2 : -1;
		if (kind < 0 || is_taken[kind])
			return fr_fail(
				error, FR_ERR_MISMATCH,
				"For an input of %d x %d pixels the output \"%.24s\" has "
				"shape %s, but the preset \"retinaface\" reads [%lld, 4], "
				"[%lld, 2] and [%lld, 10].",
				heads->width, heads->height, head->name,
				fr_shape_text(&head->shape, text, sizeof text),
				(long long) wanted, (long long) wanted, (long long) wanted);
		*places[kind] = head->values;
		is_taken[kind] = true;
	}
	return FR_OK;
}

/* The prior's index in all grids becomes its place and side. */
static void
decode_prior(const FrRetinaface *retinaface, const FrCell *cell, int64_t first,
			 FrCandidates *candidates)
{
	int columns = count_cells(retinaface->width, cell->grid);
	int place = cell->index / PRIORS_PER_CELL;
	float stride = (float) (FINEST_STRIDE << cell->grid);
	float side = prior_sides[cell->grid][cell->index % PRIORS_PER_CELL];
	float x = ((float) (place % columns) + 0.5f) * stride;
	float y = ((float) (place / columns) + 0.5f) * stride;
	size_t prior = (size_t) (first + cell->index);
	const float *box = retinaface->boxes + prior * 4;
	const float *points = retinaface->landmarks + prior * 10;
	float step = CENTRE_VARIANCE * side;
	float width = side * expf(box[2] * SIZE_VARIANCE);
	float height = side * expf(box[3] * SIZE_VARIANCE);
	float left = x + box[0] * step - width / 2;
	float top = y + box[1] * step - height / 2;
	FrPoint landmarks[FR_LANDMARK_COUNT];

	for (int k = 0; k < FR_LANDMARK_COUNT; k++)
		landmarks[k] =
			(FrPoint){x + points[2 * k] * step, y + points[2 * k + 1] * step};
	fr_candidates_add(candidates,
					  (float[4]){left, top, left + width, top + height},
					  cell->score, landmarks);
}

FrStatus
fr_retinaface_decode(const FrRetinaface *retinaface, float threshold,
					 const FrCancel *cancel, FrArena *arena,
					 FrCandidates *candidates, FrError *error)
{
	int64_t first[GRID_COUNT + 1] = {0};
	FrCellHeap heap;
	FrStatus status = fr_cells_init(&heap, arena, error);

	if (status != FR_OK)
		return status;
	for (int g = 0; g < GRID_COUNT; g++)
	{
		int64_t count = count_priors(retinaface->width, retinaface->height, g);

		for (int64_t i = 0; i < count; i++)
		{
			float score =
				fr_clip01(retinaface->classes[(first[g] + i) * 2 + 1]);

			if (i % FR_CELLS_PER_POLL == 0 && fr_is_cancelled(cancel))
				return fr_fail(error, FR_ERR_CANCELLED,
							   "Detection was cancelled.");
			if (score >= threshold && score > 0)
				fr_cells_push(&heap, (FrCell){score, g, (int) i});
		}
		first[g + 1] = first[g] + count;
	}
	fr_cells_sort(&heap);
	status = fr_candidates_alloc(arena, heap.count, true, candidates, error);
	for (int i = 0; i < heap.count && status == FR_OK; i++)
		decode_prior(retinaface, &heap.cells[i], first[heap.cells[i].grid],
					 candidates);
	return status;
}
