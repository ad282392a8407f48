/*
 * image.h: pictures in memory, and the way into and out of them.
 *
 * An FrImage is always 8-bit RGB, interleaved, upright (EXIF orientation
 * applied).  Pixel centres lie at integer coordinates: x right, y down, the
 * centre of the top left pixel is (0, 0).  Decoders check the header against
 * the caller's limits before they allocate anything.
 */
#ifndef FR_CORE_IMAGE_IMAGE_H
#define FR_CORE_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/arena.h"
#include "core/base/status.h"

/* 8-bit RGB, [height, width, 3], rows without padding. */
typedef struct FrImage
{
	int width;
	int height;
	uint8_t *pixels;
	const FrAllocator *allocator; /* owns pixels */
} FrImage;

static inline const uint8_t *
fr_image_row(const FrImage *image, int y)
{
	return image->pixels + (size_t) y * (size_t) image->width * 3;
}

/* Make an image of width x height with undefined pixels. */
FrStatus fr_image_create(int width, int height, const FrAllocator *allocator,
						 FrImage *image, FrError *error);

/* Release the pixels; *image is zeroed. */
void fr_image_destroy(FrImage *image);

/* A rectangle of pixels: x0 <= x < x1, y0 <= y < y1. */
typedef struct FrImageRect
{
	int x0, y0, x1, y1;
} FrImageRect;

/* ARGUMENT unless it is not empty and lies inside the source. */
FrStatus fr_image_check_rect(const FrImage *source, const FrImageRect *rect,
							 FrError *error);

/* ---- formats ------------------------------------------------------------ */

typedef enum FrImageFormat
{
	FR_IMAGE_UNKNOWN = 0,
	FR_IMAGE_JPEG,
	FR_IMAGE_PNG,
	FR_IMAGE_WEBP, /* from here on: recognised, not decoded */
	FR_IMAGE_HEIC,
	FR_IMAGE_AVIF,
	FR_IMAGE_GIF,
	FR_IMAGE_TIFF,
	FR_IMAGE_BMP,
	FR_IMAGE_JPEG_XL,
	FR_IMAGE_JPEG_2000,
	FR_IMAGE_FORMAT_COUNT
} FrImageFormat;

/* Tell the format by the first bytes, never by a name. */
FrImageFormat fr_image_sniff(const void *bytes, size_t size_bytes);

/* "JPEG", "PNG", ...; "unknown". */
const char *fr_image_format_name(FrImageFormat format);

/* ---- reading ------------------------------------------------------------ */

/* What the header says; width and height are those of the upright picture. */
typedef struct FrImageInfo
{
	FrImageFormat format;
	int width;
	int height;
	int orientation;	 /* EXIF, 1..8; 1 when absent */
	int components;		 /* as stored: 1 gray, 3 colour, 4 CMYK or RGBA */
	int bit_depth;		 /* per sample, as stored */
	bool is_progressive; /* progressive JPEG or interlaced PNG */
} FrImageInfo;

typedef struct FrDecodeOptions
{
	size_t max_pixels; /* refuse larger pictures (header, before memory) */
	int reduction;	   /* 1, 2, 4 or 8: JPEG decodes at 1/reduction by DCT
						* scaling, ceil(size / reduction); PNG averages
						* reduction x reduction pixels while it reads */
	bool has_region;
	FrImageRect region; /* if has_region: the part wanted, in pixels of the
						 * upright full-size picture (reduction 1 only) */
	FrCancel cancel;
} FrDecodeOptions;

/* Read the header of a JPEG or PNG.  UNSUPPORTED names another format,
 * CORRUPT says what is wrong. */
FrStatus fr_image_read_info(const void *bytes, size_t size_bytes,
							FrImageInfo *info, FrError *error);

/*
 * Decode a JPEG or PNG into an upright RGB image.  Full-size JPEG decoding
 * is libjpeg-turbo's ISLOW DCT with fancy upsampling, bit for bit.  A
 * truncated or damaged file is CORRUPT, larger than max_pixels is LIMIT.
 * With a region, *image holds just that region (clipped to the picture),
 * with the same pixels as a full decode has there.
 */
FrStatus
fr_image_decode(const void *bytes, size_t size_bytes,
				const FrDecodeOptions *options, const FrAllocator *allocator,
				FrImage *image, FrError *error);

/* ---- writing ------------------------------------------------------------ */

/* Encode as baseline JPEG, quality 1..100; *bytes is allocated from
 * allocator and owned by the caller. */
FrStatus
fr_image_encode_jpeg(const FrImage *image, int quality, const FrCancel *cancel,
					 const FrAllocator *allocator, uint8_t **bytes,
					 size_t *size_bytes, FrError *error);

/* ---- transforms (resize.c, warp.c, draw.c) -------------------------------*/

/*
 * Resize to width x height: area average when shrinking, bilinear when
 * growing, half-pixel centres (a pixel at x maps to
 * (x + 0.5) * scale - 0.5).
 */
FrStatus fr_image_resize(const FrImage *source, int width, int height,
						 const FrCancel *cancel, const FrAllocator *allocator,
						 FrImage *image, FrError *error);

/* The same of a rectangle, which must lie inside the source; what is around
 * it has no influence. */
FrStatus fr_image_resize_region(const FrImage *source, const FrImageRect *rect,
								int width, int height, const FrCancel *cancel,
								const FrAllocator *allocator, FrImage *image,
								FrError *error);

/* Copy a rectangle, which must lie inside the source. */
FrStatus fr_image_crop(const FrImage *source, const FrImageRect *rect,
					   const FrCancel *cancel, const FrAllocator *allocator,
					   FrImage *image, FrError *error);

/*
 * A similarity transform from picture to crop coordinates:
 *   u = a * x - b * y + tx,   v = b * x + a * y + ty.
 */
typedef struct FrSimilarity
{
	double a, b, tx, ty;
} FrSimilarity;

/*
 * Sample a width x height crop: crop pixel (u, v) is the bilinear sample of
 * source at the inverse of *transform, zeros outside the picture, pixel
 * centres at integers, rounded to nearest (OpenCV's warpAffine, in exact
 * arithmetic).  When the transform shrinks by more than 2 the result is
 * still this plain bilinear sample; callers that want smoothing reduce the
 * source first.
 */
FrStatus fr_image_warp(const FrImage *source, const FrSimilarity *transform,
					   int width, int height, const FrAllocator *allocator,
					   FrImage *image, FrError *error);

/* Draw the outline of a rectangle, thickness pixels wide, clipped. */
void fr_image_draw_rect(FrImage *image, double x0, double y0, double x1,
						double y1, int thickness, const uint8_t rgb[3]);

/* Fill a rectangle, clipped. */
void fr_image_fill_rect(FrImage *image, double x0, double y0, double x1,
						double y1, const uint8_t rgb[3]);

/*
 * Write UTF-8 text with the built-in bitmap font, its top left corner at
 * (x, y), every font pixel scale x scale; clipped.  Characters that the font
 * lacks become a box.
 */
void fr_image_draw_text(FrImage *image, int x, int y, int scale,
						const char *text, const uint8_t rgb[3]);

/* Size in pixels that fr_image_draw_text would cover. */
void fr_image_text_size(int scale, const char *text, int *width, int *height);

#endif
