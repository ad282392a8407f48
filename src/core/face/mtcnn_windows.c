/*
 * mtcnn_windows.c: the arithmetic of MTCNN's windows; see mtcnn_windows.h.
 */
#include "core/face/mtcnn_windows.h"

/* Windows between two looks at the cancel hook. */
#define CANCEL_INTERVAL 64

static double
overlap(const FrWindowBox *a, const FrWindowBox *b, bool is_over_smaller)
{
	double width = fmin(a->x1, b->x1) - fmax(a->x0, b->x0);
	double height = fmin(a->y1, b->y1) - fmax(a->y0, b->y0);
	double area_a = (a->x1 - a->x0) * (a->y1 - a->y0);
	double area_b = (b->x1 - b->x0) * (b->y1 - b->y0);

	if (!(width > 0 && height > 0))
		return 0;

	double both = width * height;

	return both /
		   (is_over_smaller ? fmin(area_a, area_b) : area_a + area_b - both);
}

static bool
overlaps_kept(const FrWindows *kept, const FrWindowBox *window,
			  double max_overlap, bool is_over_smaller)
{
	for (int i = 0; i < kept->count; i++)
	{
		if (overlap(&kept->windows[i], window, is_over_smaller) > max_overlap)
			return true;
	}
	return false;
}

FrStatus
fr_windows_suppress(FrWindows *windows, double max_overlap,
					bool is_over_smaller, const FrCancel *cancel,
					FrArena *arena, FrError *error)
{
	FrWindows kept = {0};
	FrCellHeap heap;
	FrStatus status = fr_cells_init(&heap, arena, error);

	if (status != FR_OK)
		return status;
	for (int i = 0; i < windows->count; i++)
		fr_cells_push(&heap, (FrCell){windows->windows[i].score, 0, i});
	fr_cells_sort(&heap);

	size_t size_bytes = (size_t) heap.count * sizeof *kept.windows;

	kept.windows = fr_arena_alloc(arena, size_bytes);
	if (!kept.windows)
		return fr_fail_nomem(error, size_bytes);
	for (int i = 0; i < heap.count; i++)
	{
		const FrWindowBox *window = &windows->windows[heap.cells[i].index];

		if (i % CANCEL_INTERVAL == 0 && fr_is_cancelled(cancel))
			return fr_fail(error, FR_ERR_CANCELLED, "Detection was cancelled.");
		if (!overlaps_kept(&kept, window, max_overlap, is_over_smaller))
			kept.windows[kept.count++] = *window;
	}
	*windows = kept;
	return FR_OK;
}

static bool
is_usable(const FrWindowBox *window)
{
	return fabs(window->x0) <= (double) FR_MAX_COORDINATE &&
		   fabs(window->y0) <= (double) FR_MAX_COORDINATE &&
		   fabs(window->x1) <= (double) FR_MAX_COORDINATE &&
		   fabs(window->y1) <= (double) FR_MAX_COORDINATE &&
		   window->x1 - window->x0 >= 1 && window->y1 - window->y0 >= 1;
}

void
fr_windows_regress(FrWindows *windows, bool is_first_stage)
{
	int kept = 0;

	for (int i = 0; i < windows->count; i++)
	{
		FrWindowBox window = windows->windows[i];
		double width = window.x1 - window.x0 - (is_first_stage ? 1 : 0);
		double height = window.y1 - window.y0 - (is_first_stage ? 1 : 0);

		window.x0 += (double) window.shift[0] * width;
		window.y0 += (double) window.shift[1] * height;
		window.x1 += (double) window.shift[2] * width;
		window.y1 += (double) window.shift[3] * height;
		if (is_usable(&window))
			windows->windows[kept++] = window;
	}
	windows->count = kept;
}

void
fr_windows_square(FrWindows *windows)
{
	for (int i = 0; i < windows->count; i++)
	{
		FrWindowBox *window = &windows->windows[i];
		double width = window->x1 - window->x0 - 1;
		double height = window->y1 - window->y0 - 1;
		double side = fmax(width, height);

		window->x0 += width / 2 - side / 2;
		window->y0 += height / 2 - side / 2;
		window->x1 = window->x0 + 1 + side;
		window->y1 = window->y0 + 1 + side;
	}
}

void
fr_windows_truncate(FrWindows *windows)
{
	for (int i = 0; i < windows->count; i++)
	{
		FrWindowBox *window = &windows->windows[i];

		window->x0 = trunc(window->x0 + 1) - 1;
		window->y0 = trunc(window->y0 + 1) - 1;
		window->x1 = trunc(window->x1);
		window->y1 = trunc(window->y1);
	}
}
