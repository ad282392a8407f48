/*
 * image.c: pictures in memory, and the choice of the decoder.
 *
 * The format is told by the first bytes; jpeg.c and png.c do the reading.
 * fr_decode_plan is the one place that compares a header with the caller's
 * limits.
 */
#include "core/image/image.h"

#include <stdio.h>
#include <string.h>

#include "core/base/size.h"
#include "core/image/decoders.h"
#include "core/image/orient.h"

/* Rows copied between two looks at the cancel hook. */
#define CANCEL_INTERVAL 64

FrStatus
fr_image_create(int width, int height, const FrAllocator *allocator,
				FrImage *image, FrError *error)
{
	size_t size_bytes;

	*image = (FrImage){0};
	if (width <= 0 || height <= 0)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "A picture cannot have %d x %d pixels.", width, height);
	if (!fr_size_mul3((size_t) width, (size_t) height, 3, &size_bytes))
		return fr_fail(error, FR_ERR_LIMIT,
					   "A picture of %d x %d pixels does not fit in memory.",
					   width, height);

	uint8_t *pixels = fr_alloc(allocator, size_bytes);

	if (!pixels)
		return fr_fail_nomem(error, size_bytes);
	*image = (FrImage){width, height, pixels, allocator};
	return FR_OK;
}

void
fr_image_destroy(FrImage *image)
{
	if (image->allocator)
		fr_release(image->allocator, image->pixels);
	*image = (FrImage){0};
}

FrStatus
fr_image_check_rect(const FrImage *source, const FrImageRect *rect,
					FrError *error)
{
	if (rect->x0 < 0 || rect->y0 < 0 || rect->x0 >= rect->x1 ||
		rect->y0 >= rect->y1 || rect->x1 > source->width ||
		rect->y1 > source->height)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "The rectangle (%d, %d)..(%d, %d) does not lie inside "
					   "the picture of %d x %d pixels.",
					   rect->x0, rect->y0, rect->x1, rect->y1, source->width,
					   source->height);
	return FR_OK;
}

FrStatus
fr_image_crop(const FrImage *source, const FrImageRect *rect,
			  const FrCancel *cancel, const FrAllocator *allocator,
			  FrImage *image, FrError *error)
{
	FrStatus status = fr_image_check_rect(source, rect, error);

	*image = (FrImage){0};
	if (status == FR_OK)
		status = fr_image_create(rect->x1 - rect->x0, rect->y1 - rect->y0,
								 allocator, image, error);
	if (status != FR_OK)
		return status;

	const size_t row_bytes = (size_t) image->width * 3;

	for (int y = 0; y < image->height; y++)
	{
		if (y % CANCEL_INTERVAL == 0 && fr_is_cancelled(cancel))
		{
			fr_image_destroy(image);
			return fr_fail(error, FR_ERR_CANCELLED,
						   "Copying of the picture was cancelled.");
		}
		memcpy(image->pixels + (size_t) y * row_bytes,
			   fr_image_row(source, rect->y0 + y) + (size_t) rect->x0 * 3,
			   row_bytes);
	}
	return FR_OK;
}

/* ---- reading ------------------------------------------------------------ */

static int
clamp_int(int value, int low, int high)
{
	return value < low ? low : value > high ? high : value;
}

FrStatus
fr_decode_plan(const FrImageInfo *info, const FrDecodeOptions *options,
			   FrDecodePlan *plan, FrError *error)
{
	const int reduction = options->reduction;

	if ((uint64_t) info->width * (uint64_t) info->height > options->max_pixels)
		return fr_fail(error, FR_ERR_LIMIT,
					   "The picture has %d x %d pixels, more than the limit "
					   "of %zu.",
					   info->width, info->height, options->max_pixels);
	if (reduction != 1 && reduction != 2 && reduction != 4 && reduction != 8)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "A picture cannot be reduced by %d, only by 1, 2, 4 "
					   "or 8.",
					   reduction);
	if (options->has_region && reduction != 1)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "A region can only be decoded at full size.");

	FrImageRect part = {0, 0, info->width, info->height};

	if (options->has_region)
	{
		const FrImageRect *region = &options->region;

		part.x0 = clamp_int(region->x0, 0, info->width);
		part.y0 = clamp_int(region->y0, 0, info->height);
		part.x1 = clamp_int(region->x1, 0, info->width);
		part.y1 = clamp_int(region->y1, 0, info->height);
		if (part.x0 >= part.x1 || part.y0 >= part.y1)
			return fr_fail(error, FR_ERR_ARGUMENT,
						   "The region (%d, %d)..(%d, %d) holds nothing of the "
						   "picture of %d x %d pixels.",
						   region->x0, region->y0, region->x1, region->y1,
						   info->width, info->height);
	}
	plan->is_whole = part.x0 == 0 && part.y0 == 0 && part.x1 == info->width &&
					 part.y1 == info->height;
	plan->orientation = info->orientation;
	plan->reduction = reduction;
	plan->part = fr_orient_rect_to_stored(&part, info->orientation, info->width,
										  info->height);
	return FR_OK;
}

/* Fail for bytes that are neither JPEG nor PNG. */
static FrStatus
refuse(const void *bytes, size_t size_bytes, FrImageFormat format,
	   FrError *error)
{
	if (size_bytes == 0)
		return fr_fail(error, FR_ERR_CORRUPT, "The image is empty (0 bytes).");
	if (format != FR_IMAGE_UNKNOWN)
		return fr_fail(error, FR_ERR_UNSUPPORTED,
					   "The image is a %s file; only JPEG and PNG are decoded.",
					   fr_image_format_name(format));

	char start[3 * 8 + 1] = "";
	const uint8_t *byte = bytes;

	for (size_t i = 0; i < size_bytes && i < 8; i++)
		snprintf(start + 3 * i, sizeof start - 3 * i, " %02x", byte[i]);
	return fr_fail(error, FR_ERR_CORRUPT,
				   "The %zu bytes are not in a known image format (they start "
				   "with%s).",
				   size_bytes, start);
}

FrStatus
fr_image_read_info(const void *bytes, size_t size_bytes, FrImageInfo *info,
				   FrError *error)
{
	const FrImageFormat format = fr_image_sniff(bytes, size_bytes);

	*info = (FrImageInfo){0};
	if (format == FR_IMAGE_JPEG)
		return fr_jpeg_read_info(bytes, size_bytes, info, error);
	if (format == FR_IMAGE_PNG)
		return fr_png_read_info(bytes, size_bytes, info, error);
	return refuse(bytes, size_bytes, format, error);
}

FrStatus
fr_image_decode(const void *bytes, size_t size_bytes,
				const FrDecodeOptions *options, const FrAllocator *allocator,
				FrImage *image, FrError *error)
{
	const FrImageFormat format = fr_image_sniff(bytes, size_bytes);

	*image = (FrImage){0};
	if (format == FR_IMAGE_JPEG)
		return fr_jpeg_decode(bytes, size_bytes, options, allocator, image,
							  error);
	if (format == FR_IMAGE_PNG)
		return fr_png_decode(bytes, size_bytes, options, allocator, image,
							 error);
	return refuse(bytes, size_bytes, format, error);
}
