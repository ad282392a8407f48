/*
 * scrfd.c: reading the heads of an SCRFD face detector; see scrfd.h.
 */
#include "core/face/scrfd.h"

#define FINEST_STRIDE 8

/* Outputs per grid. */
static int
count_grids(int output_count)
{
	return output_count == 10 || output_count == 15 ? FR_SCRFD_MAX_GRIDS : 3;
}

int
fr_scrfd_multiple(int output_count)
{
	return FINEST_STRIDE << (count_grids(output_count) - 1);
}

bool
fr_scrfd_has_landmarks(int output_count)
{
	return output_count == 9 || output_count == 15;
}

static FrStatus
fail_shape(const FrHeads *heads, const FrHead *head, FrError *error)
{
	char text[96];

	return fr_fail(error, FR_ERR_MISMATCH,
				   "For an input of %d x %d pixels the output \"%.24s\" has "
				   "shape %s; the preset \"scrfd\" reads one [cells, 1], "
				   "[cells, 4] and [cells, 10] per grid.",
				   heads->width, heads->height, head->name,
				   fr_shape_text(&head->shape, text, sizeof text));
}

/* The grid in which rows are so many anchors per cell; -1 when in none. */
static int
find_grid(const FrScrfd *scrfd, int64_t rows, int anchors)
{
	for (int g = 0; g < scrfd->grid_count; g++)
	{
		const FrScrfdGrid *grid = &scrfd->grids[g];

		if (rows > 0 && rows == (int64_t) grid->rows * grid->columns * anchors)
			return g;
	}
	return -1;
}

/* Give each output its place, given the anchors per cell; *misfit is the
 * first that has none, -1 when all have one. */
static void
place_heads(const FrHeads *heads, FrScrfd *scrfd, int *misfit)
{
	bool is_taken[FR_SCRFD_MAX_GRIDS][3] = {{false}};

	*misfit = -1;
	for (int i = 0; i < heads->count && *misfit < 0; i++)
	{
		const FrHead *head = &heads->heads[i];
		int64_t rows, columns;
		int g = -1, kind = -1;

		if (fr_head_rows(head, &rows, &columns))
		{
			kind = columns == 1 ? 0 : columns == 4 ? 1 : columns == 10 ? 2 : -1;
			g = find_grid(scrfd, rows, scrfd->anchors);
		}
		if (g < 0 || kind < 0 || (kind == 2 && !scrfd->has_landmarks) ||
			is_taken[g][kind])
		{
			*misfit = i;
			return;
		}
		is_taken[g][kind] = true;
		if (kind == 0)
			scrfd->grids[g].scores = head->values;
		else if (kind == 1)
			scrfd->grids[g].distances = head->values;
		else
			scrfd->grids[g].landmarks = head->values;
	}
}

FrStatus
fr_scrfd_bind(const FrHeads *heads, FrScrfd *scrfd, FrError *error)
{
	int misfits[2];

	*scrfd = (FrScrfd){
		.grid_count = count_grids(heads->count),
		.has_landmarks = fr_scrfd_has_landmarks(heads->count),
	};
	if (heads->count != 6 && heads->count != 9 && heads->count != 10 &&
		heads->count != 15)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The network has %d outputs, but the preset \"scrfd\" "
					   "reads 6 or 9 (three grids), or 10 or 15 (five).",
					   heads->count);
	for (int g = 0; g < scrfd->grid_count; g++)
	{
		scrfd->grids[g].rows = heads->height / (FINEST_STRIDE << g);
		scrfd->grids[g].columns = heads->width / (FINEST_STRIDE << g);
	}
	for (int anchors = 2; anchors >= 1; anchors--)
	{
		scrfd->anchors = anchors;
		place_heads(heads, scrfd, &misfits[anchors - 1]);
		if (misfits[anchors - 1] < 0)
			return FR_OK;
	}
	/* The number of anchors under which more outputs fit is what is meant. */
	return fail_shape(
		heads, &heads->heads[misfits[0] > misfits[1] ? misfits[0] : misfits[1]],
		error);
}

static void
decode_anchor(const FrScrfd *scrfd, const FrCell *cell,
			  FrCandidates *candidates)
{
	const FrScrfdGrid *grid = &scrfd->grids[cell->grid];
	const float *sides = grid->distances + (size_t) cell->index * 4;
	float stride = (float) (FINEST_STRIDE << cell->grid);
	int place = cell->index / scrfd->anchors;
	float x = (float) (place % grid->columns) * stride;
	float y = (float) (place / grid->columns) * stride;
	float box[4] = {x - sides[0] * stride, y - sides[1] * stride,
					x + sides[2] * stride, y + sides[3] * stride};
	FrPoint landmarks[FR_LANDMARK_COUNT];

	if (!scrfd->has_landmarks)
	{
		fr_candidates_add(candidates, box, cell->score, NULL);
		return;
	}

	const float *points = grid->landmarks + (size_t) cell->index * 10;

	for (int k = 0; k < FR_LANDMARK_COUNT; k++)
		landmarks[k] = (FrPoint){x + points[2 * k] * stride,
								 y + points[2 * k + 1] * stride};
	fr_candidates_add(candidates, box, cell->score, landmarks);
}

FrStatus
fr_scrfd_decode(const FrScrfd *scrfd, float threshold, const FrCancel *cancel,
				FrArena *arena, FrCandidates *candidates, FrError *error)
{
	FrCellHeap heap;
	FrStatus status = fr_cells_init(&heap, arena, error);

	if (status != FR_OK)
		return status;
	for (int g = 0; g < scrfd->grid_count; g++)
	{
		const FrScrfdGrid *grid = &scrfd->grids[g];
		int count = grid->rows * grid->columns * scrfd->anchors;

		for (int i = 0; i < count; i++)
		{
			float score = fr_clip01(grid->scores[i]);

			if (i % FR_CELLS_PER_POLL == 0 && fr_is_cancelled(cancel))
				return fr_fail(error, FR_ERR_CANCELLED,
							   "Detection was cancelled.");
			if (score >= threshold && score > 0)
				fr_cells_push(&heap, (FrCell){score, g, i});
		}
	}
	fr_cells_sort(&heap);
	status = fr_candidates_alloc(arena, heap.count, scrfd->has_landmarks,
								 candidates, error);
	for (int i = 0; i < heap.count && status == FR_OK; i++)
		decode_anchor(scrfd, &heap.cells[i], candidates);
	return status;
}
