/*
 * orient.c: EXIF orientation, see orient.h.
 *
 * The EXIF block is a small TIFF file; only its first directory is looked at
 * and only for tag 0x0112.  A malformed block means orientation 1, never an
 * error: many programs write broken EXIF and the pixels are still good.
 */
#include "core/image/orient.h"

#include <string.h>

#include "core/base/bytes.h"
#include "core/base/size.h"

/* Rows transposed at a time: 16 pixels fill most of a cache line of the
 * target, and 16 source rows stay in the first-level cache. */
#define STRIP_ROWS 16

typedef struct Orientation
{
	bool swaps_axes; /* first exchange x and y ... */
	bool flips_x;	 /* ... then mirror in the upright picture */
	bool flips_y;
} Orientation;

static const Orientation orientations[9] = {
	[1] = {false, false, false}, [2] = {false, true, false},
	[3] = {false, true, true},	 [4] = {false, false, true},
	[5] = {true, false, false},	 [6] = {true, true, false},
	[7] = {true, true, true},	 [8] = {true, false, true},
};

/* ---- finding it --------------------------------------------------------- */

static bool
take_u16(FrBytes *input, bool is_big_endian, uint16_t *out)
{
	return is_big_endian ? fr_bytes_take_be16(input, out)
						 : fr_bytes_take_le16(input, out);
}

static bool
take_u32(FrBytes *input, bool is_big_endian, uint32_t *out)
{
	return is_big_endian ? fr_bytes_take_be32(input, out)
						 : fr_bytes_take_le32(input, out);
}

/* Read one directory entry (tag, type, count, value) of 12 bytes; true when
 * it is a well-formed orientation. */
static bool
take_entry(FrBytes *input, bool is_big_endian, int *orientation)
{
	uint16_t tag = 0, type = 0, value = 0;
	uint32_t count = 0;

	/* The value of a SHORT stands left-aligned in its four bytes. */
	(void) (take_u16(input, is_big_endian, &tag) &&
			take_u16(input, is_big_endian, &type) &&
			take_u32(input, is_big_endian, &count) &&
			take_u16(input, is_big_endian, &value) && fr_bytes_skip(input, 2));
	if (tag != 0x0112 || type != 3 || count != 1 || value < 1 || value > 8)
		return false;
	*orientation = value;
	return true;
}

/* The orientation in a TIFF block (what follows "Exif\0\0"). */
static int
orientation_of_tiff(FrBytes tiff)
{
	FrBytes input = tiff;
	int orientation = 1;
	const uint8_t *order;
	uint16_t magic, entry_count;
	uint32_t offset;

	if (!fr_bytes_take(&input, 2, &order) ||
		(memcmp(order, "II", 2) != 0 && memcmp(order, "MM", 2) != 0))
		return 1;

	const bool is_big_endian = order[0] == 'M';

	if (!take_u16(&input, is_big_endian, &magic) || magic != 42 ||
		!take_u32(&input, is_big_endian, &offset))
		return 1;
	input = tiff;
	if (!fr_bytes_skip(&input, offset) ||
		!take_u16(&input, is_big_endian, &entry_count))
		return 1;
	for (int i = 0; i < entry_count && input.length >= 12; i++)
		if (take_entry(&input, is_big_endian, &orientation))
			break;
	return orientation;
}

/* Find the next marker as libjpeg does: skip to 0xFF, over fill bytes. */
static bool
take_marker(FrBytes *input, uint8_t *marker)
{
	*marker = 0;
	do
	{
		do
			if (!fr_bytes_take_u8(input, marker))
				return false;
		while (*marker != 0xff);
		do
			if (!fr_bytes_take_u8(input, marker))
				return false;
		while (*marker == 0xff);
	} while (*marker == 0);
	return true;
}

int
fr_orient_of_jpeg(const void *bytes, size_t size_bytes)
{
	enum
	{
		TEM = 0x01,
		RST0 = 0xd0,
		SOI = 0xd8,
		EOI = 0xd9,
		SOS = 0xda,
		APP1 = 0xe1
	};
	FrBytes input = fr_bytes(bytes, size_bytes);
	uint8_t marker;

	while (take_marker(&input, &marker) && marker != SOS && marker != EOI)
	{
		uint16_t length;
		const uint8_t *segment;

		if ((marker >= RST0 && marker <= SOI) || marker == TEM)
			continue; /* these have no length */
		if (!fr_bytes_take_be16(&input, &length) || length < 2 ||
			!fr_bytes_take(&input, (size_t) length - 2, &segment))
			break;
		if (marker == APP1 && length >= 2 + 6 &&
			memcmp(segment, "Exif\0\0", 6) == 0)
			return orientation_of_tiff(
				fr_bytes(segment + 6, (size_t) length - 2 - 6));
	}
	return 1;
}

int
fr_orient_of_png(const void *bytes, size_t size_bytes)
{
	FrBytes input = fr_bytes(bytes, size_bytes);
	uint32_t length;
	const uint8_t *type, *chunk;

	if (!fr_bytes_skip(&input, 8))
		return 1;
	while (fr_bytes_take_be32(&input, &length) &&
		   fr_bytes_take(&input, 4, &type) &&
		   fr_bytes_take(&input, length, &chunk) && fr_bytes_skip(&input, 4))
	{
		if (memcmp(type, "eXIf", 4) == 0)
			return orientation_of_tiff(fr_bytes(chunk, length));
		if (memcmp(type, "IEND", 4) == 0)
			break;
	}
	return 1;
}

/* ---- applying it -------------------------------------------------------- */

bool
fr_orient_swaps_axes(int orientation)
{
	return orientations[orientation].swaps_axes;
}

FrImageRect
fr_orient_rect_to_stored(const FrImageRect *upright, int orientation, int width,
						 int height)
{
	const Orientation *how = &orientations[orientation];
	FrImageRect rect = *upright;

	if (how->flips_x)
	{
		rect.x0 = width - upright->x1;
		rect.x1 = width - upright->x0;
	}
	if (how->flips_y)
	{
		rect.y0 = height - upright->y1;
		rect.y1 = height - upright->y0;
	}
	if (how->swaps_axes)
		rect = (FrImageRect){rect.y0, rect.x0, rect.y1, rect.x1};
	return rect;
}

FrStatus
fr_row_sink_init(FrRowSink *sink, int stored_width, int stored_height,
				 int orientation, const FrAllocator *allocator, FrImage *image,
				 FrError *error)
{
	const Orientation *how = &orientations[orientation];
	const int width = how->swaps_axes ? stored_height : stored_width;
	const int height = how->swaps_axes ? stored_width : stored_height;

	*sink = (FrRowSink){
		.image = image,
		.orientation = orientation,
		.stored_width = stored_width,
		.stored_height = stored_height,
		.allocator = allocator,
	};

	FrStatus status = fr_image_create(width, height, allocator, image, error);

	if (status != FR_OK || (!how->swaps_axes && !how->flips_x))
		return status;

	size_t strip_bytes;

	if (!fr_size_mul3((size_t) stored_width, 3, STRIP_ROWS, &strip_bytes))
		return fr_fail_nomem(error, SIZE_MAX);
	sink->strip = fr_alloc(allocator, strip_bytes);
	return sink->strip ? FR_OK : fr_fail_nomem(error, strip_bytes);
}

void
fr_row_sink_fini(FrRowSink *sink)
{
	if (sink->allocator)
		fr_release(sink->allocator, sink->strip);
	sink->strip = NULL;
}

uint8_t *
fr_row_sink_pixel(const FrRowSink *sink, int x, int y)
{
	const Orientation *how = &orientations[sink->orientation];
	const FrImage *image = sink->image;
	int upright_x = how->swaps_axes ? y : x;
	int upright_y = how->swaps_axes ? x : y;

	if (how->flips_x)
		upright_x = image->width - 1 - upright_x;
	if (how->flips_y)
		upright_y = image->height - 1 - upright_y;
	return image->pixels +
		   ((size_t) upright_y * (size_t) image->width + (size_t) upright_x) *
			   3;
}

uint8_t *
fr_row_sink_next(FrRowSink *sink)
{
	if (sink->strip)
		return sink->strip +
			   (size_t) sink->strip_rows * (size_t) sink->stored_width * 3;
	return fr_row_sink_pixel(sink, 0, sink->next_row);
}

/* Copy count pixels that lie source_step bytes apart to places target_step
 * bytes apart. */
static void
copy_pixels(const uint8_t *source, size_t source_step, uint8_t *target,
			ptrdiff_t target_step, int count)
{
	for (int i = 0; i < count; i++)
	{
		target[0] = source[0];
		target[1] = source[1];
		target[2] = source[2];
		source += source_step;
		target += target_step;
	}
}

/* Put the rows of the strip in their places. */
static void
flush_strip(FrRowSink *sink)
{
	const Orientation *how = &orientations[sink->orientation];
	const size_t row_bytes = (size_t) sink->stored_width * 3;
	const ptrdiff_t step = how->flips_x ? -3 : 3;
	const int top = sink->next_row - sink->strip_rows;

	if (how->swaps_axes)
		for (int x = 0; x < sink->stored_width; x++)
			copy_pixels(sink->strip + (size_t) x * 3, row_bytes,
						fr_row_sink_pixel(sink, x, top), step,
						sink->strip_rows);
	else
		for (int y = 0; y < sink->strip_rows; y++)
			copy_pixels(sink->strip + (size_t) y * row_bytes, 3,
						fr_row_sink_pixel(sink, 0, top + y), step,
						sink->stored_width);
	sink->strip_rows = 0;
}

void
fr_row_sink_commit(FrRowSink *sink)
{
	sink->next_row++;
	if (!sink->strip)
		return;
	sink->strip_rows++;
	if (sink->strip_rows == STRIP_ROWS || sink->next_row == sink->stored_height)
		flush_strip(sink);
}
