/*
 * orient.h: EXIF orientation: finding it, and making a picture upright.
 *
 * Orientation 1..8 (CIPA DC-008 "Exif 2.32", tag 0x0112) says how the stored
 * rows and columns lie in the upright picture: an exchange of the axes for
 * 5..8, then a flip of either.
 */
#ifndef FR_CORE_IMAGE_ORIENT_H
#define FR_CORE_IMAGE_ORIENT_H

#include "core/image/image.h"

/* The orientation of a JPEG or PNG file, 1..8; 1 when it is absent or its
 * EXIF block is malformed.  Reads no further than the bytes given. */
int fr_orient_of_jpeg(const void *bytes, size_t size_bytes);
int fr_orient_of_png(const void *bytes, size_t size_bytes);

/* True when the upright picture is as wide as the stored one is high. */
bool fr_orient_swaps_axes(int orientation);

/* The stored rectangle that an upright one shows; width and height are those
 * of the upright picture. */
FrImageRect fr_orient_rect_to_stored(const FrImageRect *upright,
									 int orientation, int width, int height);

/*
 * Takes stored rows from the top and puts them upright into an image.  Ask
 * fr_row_sink_next for the place of the next row (RGB, stored_width pixels),
 * write it there, then call fr_row_sink_commit; after stored_height rows the
 * image is complete.
 */
typedef struct FrRowSink
{
	FrImage *image;
	int orientation;
	int stored_width;
	int stored_height;
	int next_row;	/* stored row that fr_row_sink_next hands out */
	int strip_rows; /* rows that wait in strip */
	uint8_t *strip; /* NULL when rows go straight into the image */
	const FrAllocator *allocator;
} FrRowSink;

/* Create *image for the upright picture and a sink for its rows; the caller
 * owns *image, also on failure (it is then zeroed or valid). */
FrStatus fr_row_sink_init(FrRowSink *sink, int stored_width, int stored_height,
						  int orientation, const FrAllocator *allocator,
						  FrImage *image, FrError *error);
uint8_t *fr_row_sink_next(FrRowSink *sink);
void fr_row_sink_commit(FrRowSink *sink);

/* The place in the upright image of the stored pixel (x, y). */
uint8_t *fr_row_sink_pixel(const FrRowSink *sink, int x, int y);

/* Release the sink's own memory; a zeroed sink is allowed. */
void fr_row_sink_fini(FrRowSink *sink);

#endif
