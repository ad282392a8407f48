/*
 * decoders.h: what image.c, jpeg.c and png.c agree on.
 *
 * Internal to core/image.  A decoder first reads the header, then asks
 * fr_decode_plan what to deliver; only then may it take memory that depends
 * on the size of the picture.
 */
#ifndef FR_CORE_IMAGE_DECODERS_H
#define FR_CORE_IMAGE_DECODERS_H

#include "core/image/image.h"

/* What a decoder delivers, in pixels of the stored picture, that is, before
 * EXIF orientation is applied. */
typedef struct FrDecodePlan
{
	int orientation;  /* 1..8 */
	int reduction;	  /* 1, 2, 4 or 8 */
	FrImageRect part; /* full-size pixels wanted; all of them without region */
	bool is_whole;	  /* part is the whole picture */
} FrDecodePlan;

/* Check the header against the options (LIMIT, ARGUMENT) and say what to
 * deliver. */
FrStatus fr_decode_plan(const FrImageInfo *info, const FrDecodeOptions *options,
						FrDecodePlan *plan, FrError *error);

/* As fr_image_read_info and fr_image_decode, for one format. */
FrStatus fr_jpeg_read_info(const void *bytes, size_t size_bytes,
						   FrImageInfo *info, FrError *error);
FrStatus
fr_jpeg_decode(const void *bytes, size_t size_bytes,
			   const FrDecodeOptions *options, const FrAllocator *allocator,
			   FrImage *image, FrError *error);
FrStatus fr_png_read_info(const void *bytes, size_t size_bytes,
						  FrImageInfo *info, FrError *error);
FrStatus
fr_png_decode(const void *bytes, size_t size_bytes,
			  const FrDecodeOptions *options, const FrAllocator *allocator,
			  FrImage *image, FrError *error);

#endif
