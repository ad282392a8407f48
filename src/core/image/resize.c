/*
 * resize.c: area average when shrinking, bilinear when growing.
 *
 * Separable: each axis has a table that says which source pixels an output
 * pixel takes and with what weights.  Rows are mixed first, at full source
 * width, because those loops run over contiguous memory and touch each
 * source byte once or twice; columns are then mixed at the output's height.
 * Sums are float32 in a fixed order, rounded to nearest.
 */
#include <stdint.h>
#include <string.h>

#include "core/base/size.h"
#include "core/image/image.h"

/* Four floats; the fourth is idle when it holds a pixel. */
typedef float Vec4 __attribute__((vector_size(16)));
typedef int32_t Vec4i __attribute__((vector_size(16)));

/* Values mixed per step of the row loop; rows are padded to a multiple. */
#define ROW_STEP 16

/* For each output pixel: the first source pixel, how many, and where their
 * weights start; the weights of one output pixel sum to 1. */
typedef struct Axis
{
	int *first;
	int *count;
	size_t *start;
	float *weights;
} Axis;

/* Output pixel i covers [i, i + 1) * source / target of the source; the
 * weights are the shares of the pixels it touches. */
static void
fill_area(Axis *axis, int source, int target)
{
	size_t used = 0;

	for (int i = 0; i < target; i++)
	{
		/* In units of 1/target source pixels all borders are integers. */
		const int64_t begin = (int64_t) i * source;
		const int64_t end = begin + source;
		const int first = (int) (begin / target);
		const int last = (int) ((end - 1) / target);

		axis->first[i] = first;
		axis->count[i] = last - first + 1;
		axis->start[i] = used;
		for (int s = first; s <= last; s++)
		{
			const int64_t low = (int64_t) s * target;
			const int64_t high = low + target;
			const int64_t share =
				(high < end ? high : end) - (low > begin ? low : begin);

			axis->weights[used++] = (float) ((double) share / source);
		}
	}
}

/* Half-pixel centres, edge pixels continued. */
static void
fill_bilinear(Axis *axis, int source, int target)
{
	for (int i = 0; i < target; i++)
	{
		double x = (i + 0.5) * source / target - 0.5;

		x = x < 0 ? 0 : x > source - 1 ? source - 1 : x;

		const int first = (int) x < source - 1 ? (int) x : source - 1;
		const double fraction = x - first;

		axis->first[i] = first;
		axis->count[i] = fraction > 0 ? 2 : 1;
		axis->start[i] = (size_t) i * 2;
		axis->weights[(size_t) i * 2] = (float) (1 - fraction);
		axis->weights[(size_t) i * 2 + 1] = (float) fraction;
	}
}

static FrStatus
make_axis(Axis *axis, int source, int target, FrArena *arena, FrError *error)
{
	const size_t count = (size_t) target;
	/* Neighbours share at most one source pixel. */
	const size_t weight_count =
		source > target ? (size_t) source + count : count * 2;

	axis->first = fr_arena_alloc(arena, count * sizeof *axis->first);
	axis->count = fr_arena_alloc(arena, count * sizeof *axis->count);
	axis->start = fr_arena_alloc(arena, count * sizeof *axis->start);
	axis->weights = fr_arena_alloc(arena, weight_count * sizeof(float));
	if (!axis->first || !axis->count || !axis->start || !axis->weights)
		return fr_fail_nomem(error, weight_count * sizeof(float));
	if (source > target)
		fill_area(axis, source, target);
	else
		fill_bilinear(axis, source, target);
	return FR_OK;
}

/* sums[i] += weight * row[i], or = when is_first.  The inner loops have a
 * constant length so that the compiler vectorises them. */
static void
add_row(float *restrict sums, const uint8_t *restrict row, size_t count,
		float weight, bool is_first)
{
	size_t i = 0;

	if (is_first)
		memset(sums, 0, count * sizeof *sums);
	for (; i + ROW_STEP <= count; i += ROW_STEP)
	{
		int32_t wide[ROW_STEP];

		for (int j = 0; j < ROW_STEP; j++)
			wide[j] = row[i + (size_t) j];
		for (int j = 0; j < ROW_STEP; j++)
			sums[i + (size_t) j] += weight * (float) wide[j];
	}
	for (; i < count; i++)
		sums[i] += weight * (float) row[i];
}

/* Mix the columns of one row of sums [source width, 3] (and one float more)
 * into target [width, 3]. */
static void
mix_columns(const Axis *axis, int width, const float *sums, uint8_t *target)
{
	for (int x = 0; x < width; x++)
	{
		const float *pixel = sums + (size_t) axis->first[x] * 3;
		const float *weights = axis->weights + axis->start[x];
		Vec4 mixed = {0.5f, 0.5f, 0.5f, 0.5f}; /* rounds to nearest */

		for (int i = 0; i < axis->count[x]; i++, pixel += 3)
		{
			Vec4 value;

			memcpy(&value, pixel, sizeof value);
			mixed += value * weights[i];
		}
		const Vec4i rounded = __builtin_convertvector(mixed, Vec4i);

		for (int c = 0; c < 3; c++)
			*target++ = rounded[c] < 255 ? (uint8_t) rounded[c] : 255;
	}
}

static FrStatus
resample(const FrImage *source, const FrImageRect *rect, const FrCancel *cancel,
		 FrArena *arena, FrImage *image, FrError *error)
{
	const size_t row_values = (size_t) (rect->x1 - rect->x0) * 3;
	const size_t left_values = (size_t) rect->x0 * 3;
	Axis columns, rows;
	FrStatus status =
		make_axis(&columns, rect->x1 - rect->x0, image->width, arena, error);

	if (status == FR_OK)
		status =
			make_axis(&rows, rect->y1 - rect->y0, image->height, arena, error);
	if (status != FR_OK)
		return status;

	/* One float more: the last pixel is loaded as four. */
	float *sums = fr_arena_alloc_zeroed(arena, row_values + 1, sizeof *sums);

	if (!sums)
		return fr_fail_nomem(error, (row_values + 1) * sizeof *sums);
	for (int y = 0; y < image->height; y++)
	{
		for (int i = 0; i < rows.count[y]; i++)
		{
			if (i % 16 == 0 && fr_is_cancelled(cancel))
				return fr_fail(error, FR_ERR_CANCELLED,
							   "Resizing of the picture was cancelled.");
			const uint8_t *row =
				fr_image_row(source, rect->y0 + rows.first[y] + i);

			add_row(sums, row + left_values, row_values,
					rows.weights[rows.start[y] + (size_t) i], i == 0);
		}
		mix_columns(&columns, image->width, sums,
					image->pixels + (size_t) y * (size_t) image->width * 3);
	}
	return FR_OK;
}

FrStatus
fr_image_resize(const FrImage *source, int width, int height,
				const FrCancel *cancel, const FrAllocator *allocator,
				FrImage *image, FrError *error)
{
	const FrImageRect whole = {0, 0, source->width, source->height};

	return fr_image_resize_region(source, &whole, width, height, cancel,
								  allocator, image, error);
}

FrStatus
fr_image_resize_region(const FrImage *source, const FrImageRect *rect,
					   int width, int height, const FrCancel *cancel,
					   const FrAllocator *allocator, FrImage *image,
					   FrError *error)
{
	FrStatus status = fr_image_check_rect(source, rect, error);

	*image = (FrImage){0};
	if (status == FR_OK && width == rect->x1 - rect->x0 &&
		height == rect->y1 - rect->y0)
		return fr_image_crop(source, rect, cancel, allocator, image, error);
	if (status == FR_OK)
		status = fr_image_create(width, height, allocator, image, error);
	if (status != FR_OK)
		return status;

	FrArena arena;

	fr_arena_init(&arena, allocator);
	status = resample(source, rect, cancel, &arena, image, error);
	fr_arena_fini(&arena);
	if (status != FR_OK)
		fr_image_destroy(image);
	return status;
}
