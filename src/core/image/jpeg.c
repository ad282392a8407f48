/*
 * jpeg.c: reading JPEG through libjpeg-turbo.
 *
 * All kinds that the library decodes: baseline, progressive, arithmetic,
 * gray, YCbCr, RGB, CMYK and YCCK in any subsampling; ISLOW DCT and fancy
 * upsampling, so that full-size pixels equal those of every libjpeg-turbo
 * program bit for bit.  Four-component pictures become RGB by the rule of
 * OpenCV's imread, which takes the stored values as inverted amounts of ink
 * (as Adobe writes them), with or without an Adobe marker.
 *
 * A file must hold all its data up to the EOI marker: a missing end is an
 * error even where libjpeg would carry on with grey pixels.  What follows
 * EOI is never looked at.  With a region only the rows down to its bottom
 * are read, so damage below it goes unnoticed.
 */
#include <string.h>

#include "core/image/decoders.h"
#include "core/image/libjpeg_guard.h"
#include "core/image/orient.h"

/* The input is handed to libjpeg in windows: between them it asks for
 * cancellation, also where libjpeg has no hook (skipping rows). */
#define WINDOW_BYTES ((size_t) 128 * 1024)

/* A progressive picture needs at most a few dozen scans; a bomb has
 * thousands, each as costly as a pass over the whole picture. */
#define MAX_SCANS 500

/* What libjpeg may take beyond the coefficients: rows, tables, state. */
#define WORKING_BYTES ((size_t) 48 * 1024 * 1024)

typedef struct JpegJob
{
	FrJpegGuard guard;
	struct jpeg_decompress_struct cinfo;
	struct jpeg_source_mgr source;
	struct jpeg_progress_mgr progress;
	const uint8_t *bytes;
	size_t size_bytes;
	size_t window_end;				/* bytes handed to libjpeg so far */
	const FrDecodeOptions *options; /* NULL: header only */
	const FrAllocator *allocator;
	FrError *error;
	FrImageInfo info;
	FrDecodePlan plan;
	FrImage *image;
	FrRowSink sink;
	uint8_t *row; /* a decoded row that is not yet RGB or not yet cropped */
	size_t row_bytes;
} JpegJob;

/* ---- input and progress ------------------------------------------------- */

static void
check_cancel(JpegJob *job)
{
	if (!job->options || !fr_is_cancelled(&job->options->cancel))
		return;
	fr_fail(job->error, FR_ERR_CANCELLED,
			"Decoding of the JPEG picture was cancelled.");
	fr_jpeg_guard_leave(&job->guard, FR_ERR_CANCELLED);
}

static void
ignore_source_event(j_decompress_ptr cinfo)
{
	(void) cinfo;
}

static JpegJob *
job_of(j_common_ptr cinfo)
{
	/* client_data is the guard, which is the job's first member. */
	return cinfo->client_data;
}

static boolean
fill_input_buffer(j_decompress_ptr cinfo)
{
	JpegJob *job = job_of((j_common_ptr) cinfo);
	const size_t left = job->size_bytes - job->window_end;

	check_cancel(job);
	if (left == 0)
	{
		fr_fail(job->error, FR_ERR_CORRUPT,
				"The JPEG data ends after %zu bytes, before the end of the "
				"picture.",
				job->size_bytes);
		fr_jpeg_guard_leave(&job->guard, FR_ERR_CORRUPT);
	}
	job->source.next_input_byte = job->bytes + job->window_end;
	job->source.bytes_in_buffer = left < WINDOW_BYTES ? left : WINDOW_BYTES;
	job->window_end += job->source.bytes_in_buffer;
	return TRUE;
}

static void
skip_input_data(j_decompress_ptr cinfo, long count)
{
	JpegJob *job = job_of((j_common_ptr) cinfo);
	size_t left = count > 0 ? (size_t) count : 0;

	while (left > job->source.bytes_in_buffer)
	{
		left -= job->source.bytes_in_buffer;
		fill_input_buffer(cinfo);
	}
	job->source.next_input_byte += left;
	job->source.bytes_in_buffer -= left;
}

static void
progress_monitor(j_common_ptr cinfo)
{
	JpegJob *job = job_of(cinfo);

	check_cancel(job);
	if (job->cinfo.input_scan_number > MAX_SCANS)
	{
		fr_fail(job->error, FR_ERR_LIMIT,
				"The JPEG picture has more than %d scans.", MAX_SCANS);
		fr_jpeg_guard_leave(&job->guard, FR_ERR_LIMIT);
	}
}

/* ---- header ------------------------------------------------------------- */

static void
leave_if(JpegJob *job, FrStatus status)
{
	if (status != FR_OK)
		fr_jpeg_guard_leave(&job->guard, status);
}

static void
read_header(JpegJob *job)
{
	struct jpeg_decompress_struct *cinfo = &job->cinfo;

	jpeg_create_decompress(cinfo);
	fr_jpeg_guard_adopt_memory(&job->guard, (j_common_ptr) cinfo);
	job->source = (struct jpeg_source_mgr){
		.init_source = ignore_source_event,
		.fill_input_buffer = fill_input_buffer,
		.skip_input_data = skip_input_data,
		.resync_to_restart = jpeg_resync_to_restart,
		.term_source = ignore_source_event,
	};
	cinfo->src = &job->source;
	job->progress.progress_monitor = progress_monitor;
	cinfo->progress = &job->progress;
	jpeg_read_header(cinfo, TRUE);

	const int orientation = fr_orient_of_jpeg(job->bytes, job->size_bytes);
	const bool is_swapped = fr_orient_swaps_axes(orientation);
	const int width = (int) cinfo->image_width;
	const int height = (int) cinfo->image_height;

	job->info = (FrImageInfo){
		.format = FR_IMAGE_JPEG,
		.width = is_swapped ? height : width,
		.height = is_swapped ? width : height,
		.orientation = orientation,
		.components = cinfo->num_components,
		.bit_depth = cinfo->data_precision,
		.is_progressive = cinfo->progressive_mode,
	};
	if (cinfo->data_precision != 8)
		leave_if(job, fr_fail(job->error, FR_ERR_UNSUPPORTED,
							  "The JPEG picture has %d bits per sample; only 8 "
							  "are decoded.",
							  cinfo->data_precision));
	if (cinfo->num_components != 1 && cinfo->num_components != 3 &&
		cinfo->num_components != 4)
		leave_if(job, fr_fail(job->error, FR_ERR_UNSUPPORTED,
							  "The JPEG picture has %d colour components; only "
							  "1, 3 and 4 are decoded.",
							  cinfo->num_components));
}

/* ---- pixels ------------------------------------------------------------- */

/* Inverted CMYK to RGB in OpenCV's arithmetic (icvCvt_CMYK2BGR_8u_C4C3R). */
static void
cmyk_to_rgb(const uint8_t *cmyk, int count, uint8_t *rgb)
{
	for (int i = 0; i < count; i++, cmyk += 4, rgb += 3)
	{
		const int black = cmyk[3];

		for (int c = 0; c < 3; c++)
			rgb[c] = (uint8_t) (black - ((255 - cmyk[c]) * black >> 8));
	}
}

/* Ask libjpeg for less than the whole picture, with a margin of one MCU on
 * every side, where upsampling would otherwise see an edge.  Returns the
 * column of the part in the rows that libjpeg will give. */
static int
select_part(JpegJob *job)
{
	struct jpeg_decompress_struct *cinfo = &job->cinfo;
	const FrImageRect *part = &job->plan.part;
	const int mcu_width = cinfo->max_h_samp_factor * DCTSIZE;
	const int mcu_height = cinfo->max_v_samp_factor * DCTSIZE;
	const int top = (part->y0 / mcu_height - 1) * mcu_height;
	const int left = part->x0 > mcu_width ? part->x0 - mcu_width : 0;
	const int right = (int) cinfo->output_width - part->x1 > mcu_width
						  ? part->x1 + mcu_width
						  : (int) cinfo->output_width;
	JDIMENSION x = (JDIMENSION) left;
	JDIMENSION width = (JDIMENSION) (right - left);

	if (left > 0 || right < (int) cinfo->output_width)
		jpeg_crop_scanline(cinfo, &x, &width);
	else
		x = 0;
	if (top > 0)
		jpeg_skip_scanlines(cinfo, (JDIMENSION) top);
	return part->x0 - (int) x;
}

/* Decode one row and put it, or its part, into the picture. */
static void
read_row(JpegJob *job, int column)
{
	struct jpeg_decompress_struct *cinfo = &job->cinfo;
	uint8_t *target = fr_row_sink_next(&job->sink);
	JSAMPROW row = job->row ? job->row : target;

	jpeg_read_scanlines(cinfo, &row, 1);
	if (cinfo->num_components == 4)
		cmyk_to_rgb(row + (size_t) column * 4, job->sink.stored_width, target);
	else if (job->row)
		memcpy(target, row + (size_t) column * 3,
			   (size_t) job->sink.stored_width * 3);
	fr_row_sink_commit(&job->sink);
}

static void
read_part(JpegJob *job)
{
	struct jpeg_decompress_struct *cinfo = &job->cinfo;
	const FrImageRect *part = &job->plan.part;
	const int column = select_part(job);
	JSAMPROW row = job->row;

	while ((int) cinfo->output_scanline < part->y0)
		jpeg_read_scanlines(cinfo, &row, 1);
	for (int y = part->y0; y < part->y1; y++)
		read_row(job, column);
}

static void
read_pixels(JpegJob *job)
{
	struct jpeg_decompress_struct *cinfo = &job->cinfo;
	const FrImageRect *part = &job->plan.part;
	const bool is_cmyk = cinfo->num_components == 4;

	cinfo->out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
	cinfo->dct_method = JDCT_ISLOW;
	cinfo->do_fancy_upsampling = TRUE;
	cinfo->scale_num = 1;
	cinfo->scale_denom = (unsigned int) job->plan.reduction;
	jpeg_calc_output_dimensions(cinfo);

	const bool is_whole = job->plan.is_whole;
	const int width =
		is_whole ? (int) cinfo->output_width : part->x1 - part->x0;
	const int height =
		is_whole ? (int) cinfo->output_height : part->y1 - part->y0;

	leave_if(job,
			 fr_row_sink_init(&job->sink, width, height, job->plan.orientation,
							  job->allocator, job->image, job->error));
	if (!is_whole || is_cmyk)
	{
		job->row_bytes = (size_t) cinfo->output_width * (is_cmyk ? 4 : 3);
		job->row = fr_alloc(job->allocator, job->row_bytes);
		if (!job->row)
			leave_if(job, fr_fail_nomem(job->error, job->row_bytes));
	}
	jpeg_start_decompress(cinfo);
	if (!is_whole)
	{
		read_part(job);
		return;
	}
	for (int y = 0; y < height; y++)
		read_row(job, 0);
	jpeg_finish_decompress(cinfo); /* reads up to EOI */
}

static void
decode_body(void *argument)
{
	JpegJob *job = argument;

	read_header(job);
	if (!job->options)
		return;
	leave_if(job,
			 fr_decode_plan(&job->info, job->options, &job->plan, job->error));
	read_pixels(job);
}

static FrStatus
run_job(JpegJob *job, size_t max_bytes)
{
	fr_jpeg_guard_init(&job->guard, max_bytes, job->allocator, job->error);
	job->cinfo.err = &job->guard.errors;
	job->cinfo.client_data = &job->guard;

	FrStatus status = fr_jpeg_guard_run(&job->guard, decode_body, job);

	jpeg_destroy_decompress(&job->cinfo);
	fr_row_sink_fini(&job->sink);
	fr_release(job->allocator, job->row);
	return status;
}

FrStatus
fr_jpeg_read_info(const void *bytes, size_t size_bytes, FrImageInfo *info,
				  FrError *error)
{
	JpegJob job = {
		.bytes = bytes,
		.size_bytes = size_bytes,
		.allocator = &fr_allocator_malloc,
		.error = error,
	};
	FrStatus status = run_job(&job, WORKING_BYTES);

	if (status == FR_OK)
		*info = job.info;
	return status;
}

FrStatus
fr_jpeg_decode(const void *bytes, size_t size_bytes,
			   const FrDecodeOptions *options, const FrAllocator *allocator,
			   FrImage *image, FrError *error)
{
	JpegJob job = {
		.bytes = bytes,
		.size_bytes = size_bytes,
		.options = options,
		.allocator = allocator,
		.error = error,
		.image = image,
	};
	/* Four components of 16-bit coefficients, all at full resolution. */
	const size_t pixels = options->max_pixels < SIZE_MAX / 16
							  ? options->max_pixels
							  : SIZE_MAX / 16;
	FrStatus status = run_job(&job, pixels * 8 + WORKING_BYTES);

	if (status != FR_OK)
		fr_image_destroy(image);
	return status;
}
