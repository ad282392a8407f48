/*
 * encode.c: writing JPEG through libjpeg-turbo.
 *
 * Baseline, standard Huffman tables, YCbCr; from quality 90 on without
 * chroma subsampling, so that thin coloured lines and text stay clear.  The
 * output grows by doubling, from the caller's allocator.
 */
#include <stdint.h>
#include <string.h>

#include "core/base/size.h"
#include "core/image/image.h"
#include "core/image/libjpeg_guard.h"

#define FIRST_BYTES ((size_t) 64 * 1024)

/* What libjpeg may take to write baseline: a few rows of the widest picture
 * (65,500 pixels) and its tables. */
#define WORKING_BYTES ((size_t) 64 * 1024 * 1024)

typedef struct EncodeJob
{
	FrJpegGuard guard; /* first: client_data points here */
	struct jpeg_compress_struct cinfo;
	struct jpeg_destination_mgr target;
	const FrImage *image;
	int quality;
	const FrCancel *cancel;
	const FrAllocator *allocator;
	FrError *error;
	uint8_t *bytes;
	size_t capacity_bytes;
	size_t size_bytes;
} EncodeJob;

static void
ignore_target_event(j_compress_ptr cinfo)
{
	(void) cinfo;
}

/* Called when all of the capacity is used: double it. */
static boolean
empty_output_buffer(j_compress_ptr cinfo)
{
	EncodeJob *job = cinfo->client_data;
	const size_t used_bytes = job->capacity_bytes;
	size_t grown_bytes = SIZE_MAX;
	uint8_t *grown = NULL;

	if (fr_size_mul(used_bytes, 2, &grown_bytes))
		grown = fr_alloc(job->allocator, grown_bytes);
	if (!grown)
	{
		fr_fail_nomem(job->error, grown_bytes);
		fr_jpeg_guard_leave(&job->guard, FR_ERR_NOMEM);
	}
	memcpy(grown, job->bytes, used_bytes);
	fr_release(job->allocator, job->bytes);
	job->bytes = grown;
	job->capacity_bytes = grown_bytes;
	job->target.next_output_byte = grown + used_bytes;
	job->target.free_in_buffer = grown_bytes - used_bytes;
	return TRUE;
}

static void
encode_body(void *argument)
{
	EncodeJob *job = argument;
	struct jpeg_compress_struct *cinfo = &job->cinfo;

	jpeg_create_compress(cinfo);
	fr_jpeg_guard_adopt_memory(&job->guard, (j_common_ptr) cinfo);
	job->target = (struct jpeg_destination_mgr){
		.next_output_byte = job->bytes,
		.free_in_buffer = job->capacity_bytes,
		.init_destination = ignore_target_event,
		.empty_output_buffer = empty_output_buffer,
		.term_destination = ignore_target_event,
	};
	cinfo->dest = &job->target;
	cinfo->image_width = (JDIMENSION) job->image->width;
	cinfo->image_height = (JDIMENSION) job->image->height;
	cinfo->input_components = 3;
	cinfo->in_color_space = JCS_RGB;
	jpeg_set_defaults(cinfo);
	jpeg_set_quality(cinfo, job->quality, TRUE);
	if (job->quality >= 90)
		cinfo->comp_info[0].h_samp_factor = cinfo->comp_info[0].v_samp_factor =
			1;
	jpeg_start_compress(cinfo, TRUE);
	for (int y = 0; y < job->image->height; y++)
	{
		/* The API forgot the const; rows are only read. */
		JSAMPROW row = (JSAMPROW) (uintptr_t) fr_image_row(job->image, y);

		jpeg_write_scanlines(cinfo, &row, 1);
		if (fr_is_cancelled(job->cancel))
		{
			fr_fail(job->error, FR_ERR_CANCELLED,
					"Encoding of the JPEG picture was cancelled.");
			fr_jpeg_guard_leave(&job->guard, FR_ERR_CANCELLED);
		}
	}
	jpeg_finish_compress(cinfo);
	job->size_bytes = job->capacity_bytes - job->target.free_in_buffer;
}

FrStatus
fr_image_encode_jpeg(const FrImage *image, int quality, const FrCancel *cancel,
					 const FrAllocator *allocator, uint8_t **bytes,
					 size_t *size_bytes, FrError *error)
{
	EncodeJob job = {
		.image = image,
		.quality = quality,
		.cancel = cancel,
		.allocator = allocator,
		.error = error,
		.capacity_bytes = FIRST_BYTES,
	};

	*bytes = NULL;
	*size_bytes = 0;
	if (quality < 1 || quality > 100)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "The JPEG quality %d is not between 1 and 100.",
					   quality);
	if (image->width > JPEG_MAX_DIMENSION || image->height > JPEG_MAX_DIMENSION)
		return fr_fail(error, FR_ERR_LIMIT,
					   "A JPEG picture cannot have %d x %d pixels; the largest "
					   "side is %ld.",
					   image->width, image->height, JPEG_MAX_DIMENSION);
	job.bytes = fr_alloc(allocator, job.capacity_bytes);
	if (!job.bytes)
		return fr_fail_nomem(error, job.capacity_bytes);
	fr_jpeg_guard_init(&job.guard, WORKING_BYTES, allocator, error);
	job.cinfo.err = &job.guard.errors;
	job.cinfo.client_data = &job.guard;

	FrStatus status = fr_jpeg_guard_run(&job.guard, encode_body, &job);

	jpeg_destroy_compress(&job.cinfo);
	if (status != FR_OK)
	{
		fr_release(allocator, job.bytes);
		return status;
	}
	*bytes = job.bytes;
	*size_bytes = job.size_bytes;
	return FR_OK;
}
