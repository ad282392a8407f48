/*
 * png.c: reading PNG through libpng 1.6.
 *
 * Every colour type and bit depth becomes 8-bit RGB: palettes and gray are
 * expanded, 16-bit samples keep their high byte, alpha and tRNS are dropped
 * (no blending), as OpenCV's imread does.  Rows go straight to their place:
 * memory is the picture at its final size plus one row, also for interlaced
 * files, whose passes are scattered (and averaged) pixel by pixel.
 *
 * All ancillary chunks but tRNS are skipped unread, so text and profile
 * bombs cost nothing; a wrong CRC anywhere and a missing IEND are errors.
 * The EXIF orientation is read by orient.c.
 */
#include <png.h>
#include <setjmp.h>
#include <string.h>

#include "core/base/size.h"
#include "core/image/decoders.h"
#include "core/image/orient.h"

#ifndef PNG_SET_UNKNOWN_CHUNKS_SUPPORTED
#error "libpng must be able to skip ancillary chunks"
#endif

/* The interlacing scheme: each pass takes every step-th pixel of every
 * step-th row (PNG specification, section 8.2). */
typedef struct Adam7Pass
{
	unsigned x, y, step_x, step_y;
} Adam7Pass;

static const Adam7Pass adam7[] = {
	{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
	{0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2},
};

typedef struct PngJob
{
	jmp_buf on_error;
	FrStatus status;
	png_structp png;
	png_infop info_chunks;
	const uint8_t *bytes;
	size_t size_bytes;
	size_t used_bytes;
	size_t failed_bytes; /* the request that the allocator refused, or 0 */
	const FrDecodeOptions *options; /* NULL: header only */
	const FrAllocator *allocator;
	FrError *error;
	FrImageInfo info;
	FrDecodePlan plan;
	int stored_width;
	int stored_height;
	FrImage *image;
	FrRowSink sink;
	uint8_t *row; /* one row as libpng gives it, RGB */
	/* When reducing: sums of the pixels of each cell, [rows, columns, 3];
	 * 64 * 255 fits.  One row of cells, or all of them when interlaced. */
	uint16_t *sums;
	size_t sum_count;
	int cell_columns;
	int cell_rows;
} PngJob;

/* ---- callbacks ---------------------------------------------------------- */

_Noreturn static void
leave(PngJob *job, FrStatus status)
{
	job->status = status;
	longjmp(job->on_error, 1);
}

static void
leave_if(PngJob *job, FrStatus status)
{
	if (status != FR_OK)
		leave(job, status);
}

/* libpng and zlib turn a failed allocation into various errors. */
static void
on_png_error(png_structp png, png_const_charp message)
{
	PngJob *job = png_get_error_ptr(png);

	if (job->failed_bytes > 0)
		leave(job, fr_fail_nomem(job->error, job->failed_bytes));
	fr_fail(job->error, FR_ERR_CORRUPT, "The PNG data is damaged (%s).",
			message);
	leave(job, FR_ERR_CORRUPT);
}

static void
on_png_warning(png_structp png, png_const_charp message)
{
	(void) png;
	(void) message;
}

static void *
png_alloc(png_structp png, png_alloc_size_t size_bytes)
{
	PngJob *job = png_get_mem_ptr(png);
	void *memory = fr_alloc(job->allocator, size_bytes);

	if (!memory)
		job->failed_bytes = size_bytes;
	return memory;
}

static void
png_release(png_structp png, void *memory)
{
	PngJob *job = png_get_mem_ptr(png);

	fr_release(job->allocator, memory);
}

static void
check_cancel(PngJob *job)
{
	if (!job->options || !fr_is_cancelled(&job->options->cancel))
		return;
	fr_fail(job->error, FR_ERR_CANCELLED,
			"Decoding of the PNG picture was cancelled.");
	leave(job, FR_ERR_CANCELLED);
}

/* libpng reads at most 8 kB of compressed data at a time. */
static void
read_bytes(png_structp png, png_bytep target, size_t count)
{
	PngJob *job = png_get_io_ptr(png);

	check_cancel(job);
	if (count > job->size_bytes - job->used_bytes)
	{
		fr_fail(job->error, FR_ERR_CORRUPT,
				"The PNG data ends after %zu bytes, before the end of the "
				"picture.",
				job->size_bytes);
		leave(job, FR_ERR_CORRUPT);
	}
	memcpy(target, job->bytes + job->used_bytes, count);
	job->used_bytes += count;
}

/* ---- header ------------------------------------------------------------- */

static void
open_reader(PngJob *job)
{
	job->png =
		png_create_read_struct_2(PNG_LIBPNG_VER_STRING, job, on_png_error,
								 on_png_warning, job, png_alloc, png_release);
	if (!job->png && job->failed_bytes > 0)
		leave(job, fr_fail_nomem(job->error, job->failed_bytes));
	if (!job->png)
		leave_if(job, fr_fail(job->error, FR_ERR_BUG,
							  "libpng cannot be used (this is version %s).",
							  PNG_LIBPNG_VER_STRING));
	job->info_chunks = png_create_info_struct(job->png);
	if (!job->info_chunks)
		leave(job, fr_fail_nomem(job->error, job->failed_bytes));
	png_set_read_fn(job->png, job, read_bytes);
	png_set_crc_action(job->png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
	/* -1: all that libpng knows but IHDR, PLTE, tRNS, IDAT and IEND. */
	png_set_keep_unknown_chunks(job->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
	/* The pixel limit is the caller's, see fr_decode_plan; chunks are not
	 * kept, so their size needs no limit. */
	png_set_user_limits(job->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
	png_set_chunk_malloc_max(job->png, 0);
}

static void
read_header(PngJob *job)
{
	png_read_info(job->png, job->info_chunks);
	job->stored_width = (int) png_get_image_width(job->png, job->info_chunks);
	job->stored_height = (int) png_get_image_height(job->png, job->info_chunks);

	const int orientation = fr_orient_of_png(job->bytes, job->size_bytes);
	const bool is_swapped = fr_orient_swaps_axes(orientation);

	job->info = (FrImageInfo){
		.format = FR_IMAGE_PNG,
		.width = is_swapped ? job->stored_height : job->stored_width,
		.height = is_swapped ? job->stored_width : job->stored_height,
		.orientation = orientation,
		.components = png_get_channels(job->png, job->info_chunks),
		.bit_depth = png_get_bit_depth(job->png, job->info_chunks),
		.is_progressive = png_get_interlace_type(job->png, job->info_chunks) !=
						  PNG_INTERLACE_NONE,
	};
}

static void
request_rgb(PngJob *job)
{
	const int color_type = png_get_color_type(job->png, job->info_chunks);

	png_set_expand(job->png);
	png_set_strip_16(job->png);
	png_set_strip_alpha(job->png);
	if (!(color_type & PNG_COLOR_MASK_COLOR))
		png_set_gray_to_rgb(job->png);
	png_read_update_info(job->png, job->info_chunks);
	if (png_get_rowbytes(job->png, job->info_chunks) !=
		(size_t) job->stored_width * 3)
		leave_if(job, fr_fail(job->error, FR_ERR_BUG,
							  "libpng did not convert the rows to RGB."));
}

/* ---- pixels ------------------------------------------------------------- */

/* Write the averages of one row of cells as a row of the picture. */
static void
finish_cells(PngJob *job, int cell_y, const uint16_t *sums)
{
	const int size = job->plan.reduction;
	const int rest_y = job->stored_height - cell_y * size;
	const unsigned cell_height = (unsigned) (rest_y < size ? rest_y : size);
	uint8_t *target = fr_row_sink_next(&job->sink);

	for (int x = 0; x < job->cell_columns; x++)
	{
		const int rest_x = job->stored_width - x * size;
		const unsigned count =
			cell_height * (unsigned) (rest_x < size ? rest_x : size);

		for (int c = 0; c < 3; c++)
			*target++ = (uint8_t) ((*sums++ + count / 2) / count);
	}
	fr_row_sink_commit(&job->sink);
}

static void
read_plain_rows(PngJob *job)
{
	const FrImageRect *part = &job->plan.part;
	const size_t row_bytes = (size_t) job->sink.stored_width * 3;

	for (int y = 0; y < part->y1; y++)
	{
		check_cancel(job);
		png_read_row(job->png, job->row, NULL);
		if (y < part->y0)
			continue;
		memcpy(fr_row_sink_next(&job->sink), job->row + (size_t) part->x0 * 3,
			   row_bytes);
		fr_row_sink_commit(&job->sink);
	}
}

static void
read_reduced_rows(PngJob *job)
{
	const int size = job->plan.reduction;

	for (int y = 0; y < job->stored_height; y++)
	{
		const uint8_t *pixel = job->row;

		check_cancel(job);
		if (y % size == 0)
			memset(job->sums, 0, job->sum_count * sizeof *job->sums);
		png_read_row(job->png, job->row, NULL);
		for (int x = 0; x < job->stored_width; x++, pixel += 3)
		{
			uint16_t *sum = job->sums + (size_t) (x / size) * 3;

			for (int c = 0; c < 3; c++)
				sum[c] = (uint16_t) (sum[c] + pixel[c]);
		}
		if (y % size == size - 1 || y == job->stored_height - 1)
			finish_cells(job, y / size, job->sums);
	}
}

/* Take the pixel (x, y) of an interlaced picture. */
static void
scatter_pixel(PngJob *job, int x, int y, const uint8_t *pixel)
{
	const FrImageRect *part = &job->plan.part;

	if (job->sums)
	{
		const int size = job->plan.reduction;
		uint16_t *sum =
			job->sums + ((size_t) (y / size) * (size_t) job->cell_columns +
						 (size_t) (x / size)) *
							3;

		for (int c = 0; c < 3; c++)
			sum[c] = (uint16_t) (sum[c] + pixel[c]);
	}
	else if (x >= part->x0 && x < part->x1 && y >= part->y0 && y < part->y1)
		memcpy(fr_row_sink_pixel(&job->sink, x - part->x0, y - part->y0), pixel,
			   3);
}

/* Without png_set_interlace_handling, libpng gives each pass as a small
 * picture of its own and leaves out empty passes. */
static void
read_pass(PngJob *job, const Adam7Pass *pass)
{
	const unsigned width = (unsigned) job->stored_width;
	const unsigned height = (unsigned) job->stored_height;

	if (pass->x >= width)
		return;
	for (unsigned y = pass->y; y < height; y += pass->step_y)
	{
		const uint8_t *pixel = job->row;

		check_cancel(job);
		png_read_row(job->png, job->row, NULL);
		for (unsigned x = pass->x; x < width; x += pass->step_x, pixel += 3)
			scatter_pixel(job, (int) x, (int) y, pixel);
	}
}

static void
read_passes(PngJob *job)
{
	for (size_t i = 0; i < sizeof adam7 / sizeof *adam7; i++)
		read_pass(job, &adam7[i]);
	if (job->sums)
		for (int y = 0; y < job->cell_rows; y++)
			finish_cells(job, y,
						 job->sums +
							 (size_t) y * (size_t) job->cell_columns * 3);
}

static void
alloc_buffers(PngJob *job)
{
	const FrImageRect *part = &job->plan.part;
	const int size = job->plan.reduction;
	const size_t row_bytes = (size_t) job->stored_width * 3;
	int width = part->x1 - part->x0;
	int height = part->y1 - part->y0;

	if (size > 1)
	{
		job->cell_columns = width = (width - 1) / size + 1;
		job->cell_rows = height = (height - 1) / size + 1;
		if (!fr_size_mul3((size_t) width,
						  job->info.is_progressive ? (size_t) height : 1, 3,
						  &job->sum_count))
			leave_if(job, fr_fail_nomem(job->error, SIZE_MAX));
		job->sums =
			fr_alloc_zeroed(job->allocator, job->sum_count, sizeof *job->sums);
		if (!job->sums)
			leave_if(job, fr_fail_nomem(job->error,
										job->sum_count * sizeof *job->sums));
	}
	leave_if(job,
			 fr_row_sink_init(&job->sink, width, height, job->plan.orientation,
							  job->allocator, job->image, job->error));
	job->row = fr_alloc(job->allocator, row_bytes);
	if (!job->row)
		leave_if(job, fr_fail_nomem(job->error, row_bytes));
}

static void
read_pixels(PngJob *job)
{
	request_rgb(job);
	alloc_buffers(job);
	if (job->info.is_progressive)
		read_passes(job);
	else if (job->sums)
		read_reduced_rows(job);
	else
		read_plain_rows(job);
	/* Below a region the rest of the picture is of no interest. */
	if (job->plan.is_whole)
		png_read_end(job->png, NULL);
}

/* The only setjmp: everything that calls libpng runs below it. */
static FrStatus
run_guarded(PngJob *job)
{
	if (setjmp(job->on_error))
		return job->status;
	open_reader(job);
	read_header(job);
	if (job->options)
	{
		leave_if(job, fr_decode_plan(&job->info, job->options, &job->plan,
									 job->error));
		read_pixels(job);
	}
	return FR_OK;
}

static FrStatus
run_job(PngJob *job)
{
	FrStatus status = run_guarded(job);

	if (job->png)
		png_destroy_read_struct(&job->png, &job->info_chunks, NULL);
	fr_row_sink_fini(&job->sink);
	fr_release(job->allocator, job->row);
	fr_release(job->allocator, job->sums);
	return status;
}

FrStatus
fr_png_read_info(const void *bytes, size_t size_bytes, FrImageInfo *info,
				 FrError *error)
{
	PngJob job = {
		.bytes = bytes,
		.size_bytes = size_bytes,
		.allocator = &fr_allocator_malloc,
		.error = error,
	};
	FrStatus status = run_job(&job);

	if (status == FR_OK)
		*info = job.info;
	return status;
}

FrStatus
fr_png_decode(const void *bytes, size_t size_bytes,
			  const FrDecodeOptions *options, const FrAllocator *allocator,
			  FrImage *image, FrError *error)
{
	PngJob job = {
		.bytes = bytes,
		.size_bytes = size_bytes,
		.options = options,
		.allocator = allocator,
		.error = error,
		.image = image,
	};
	FrStatus status = run_job(&job);

	if (status != FR_OK)
		fr_image_destroy(image);
	return status;
}
