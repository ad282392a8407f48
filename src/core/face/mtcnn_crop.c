/*
 * mtcnn_crop.c: windows of a picture as input planes; see mtcnn_crop.h.
 *
 * Separable, rows first.  In units of 1 / side of a pixel all borders are
 * integers: cell i covers i * length to (i + 1) * length.
 */
#include "core/face/mtcnn_crop.h"

#include <string.h>

#define CANCEL_INTERVAL 64 /* rows of the picture */

/* One side of the window, and the part of it that the picture has. */
typedef struct Axis
{
	int64_t origin, length;
	int64_t first, last; /* pixels of the window; first > last: none */
	int side;
} Axis;

static Axis
make_axis(double low, double high, int side, int picture)
{
	Axis axis = {
		.origin = (int64_t) low,
		.length = (int64_t) high - (int64_t) low,
		.side = side,
	};

	axis.first = axis.origin < 0 ? -axis.origin : 0;
	axis.last = axis.length - 1;
	if (axis.origin + axis.last > picture - 1)
		axis.last = picture - 1 - axis.origin;
	return axis;
}

/* The pixels that cell number index touches. */
static void
cell_range(const Axis *axis, int index, int64_t *first, int64_t *last)
{
	int64_t begin = index * axis->length;

	*first = begin / axis->side;
	*last = (begin + axis->length - 1) / axis->side;
	if (*first < axis->first)
		*first = axis->first;
	if (*last > axis->last)
		*last = axis->last;
}

/* The share of cell number index that a pixel fills. */
static float
cell_share(const Axis *axis, int index, int64_t pixel)
{
	int64_t begin = index * axis->length, end = begin + axis->length;
	int64_t low = pixel * axis->side, high = low + axis->side;

	low = low > begin ? low : begin;
	high = high < end ? high : end;
	return (float) ((double) (high - low) / (double) axis->length);
}

/* sums [columns that the picture has, 3] of one row of cells. */
static FrStatus
mix_rows(const FrImage *image, const Axis *rows, const Axis *columns, int index,
		 const FrCancel *cancel, float *sums, FrError *error)
{
	size_t count = (size_t) (columns->last - columns->first + 1) * 3;
	size_t offset = (size_t) (columns->origin + columns->first) * 3;
	int64_t first, last;

	memset(sums, 0, count * sizeof *sums);
	cell_range(rows, index, &first, &last);
	for (int64_t y = first; y <= last; y++)
	{
		const uint8_t *row =
			fr_image_row(image, (int) (rows->origin + y)) + offset;
		float share = cell_share(rows, index, y);

		if ((y - first) % CANCEL_INTERVAL == 0 && fr_is_cancelled(cancel))
			return fr_fail(error, FR_ERR_CANCELLED, "Detection was cancelled.");
		for (size_t i = 0; i < count; i++)
			sums[i] += share * (float) row[i];
	}
	return FR_OK;
}

/* One row of cells of all channels. */
static void
mix_columns(const Axis *columns, const FrDescriptor *descriptor,
			const float *sums, size_t plane, float *planes)
{
	for (int x = 0; x < columns->side; x++)
	{
		float mixed[3] = {0, 0, 0};
		int64_t first, last;

		cell_range(columns, x, &first, &last);
		for (int64_t i = first; i <= last; i++)
		{
			const float *pixel = sums + (i - columns->first) * 3;
			float share = cell_share(columns, x, i);

			for (int c = 0; c < 3; c++)
				mixed[c] += share * pixel[c];
		}
		for (int c = 0; c < 3; c++)
			planes[(size_t) c * plane + (size_t) x] =
				(mixed[descriptor->is_bgr ? 2 - c : c] - descriptor->mean[c]) *
				descriptor->scale[c];
	}
}

FrStatus
fr_mtcnn_crop(const FrImage *image, const FrWindowBox *window,
			  const FrDescriptor *descriptor, int side, float *sums,
			  const FrCancel *cancel, float *planes, FrError *error)
{
	Axis columns = make_axis(window->x0, window->x1, side, image->width);
	Axis rows = make_axis(window->y0, window->y1, side, image->height);
	size_t plane = (size_t) side * (size_t) side;

	if (fr_is_cancelled(cancel))
		return fr_fail(error, FR_ERR_CANCELLED, "Detection was cancelled.");
	/* Nothing of it in the picture: no cell finds a pixel. */
	if (columns.first > columns.last || rows.first > rows.last)
		columns.last = columns.first - 1;
	for (int y = 0; y < side; y++)
	{
		FrStatus status = FR_OK;

		if (columns.first <= columns.last)
			status = mix_rows(image, &rows, &columns, y, cancel, sums, error);
		if (status != FR_OK)
			return status;
		mix_columns(&columns, descriptor, sums, plane,
					planes + (size_t) y * (size_t) side);
	}
	return FR_OK;
}
