/*
 * draw.c: boxes and labels on pictures.
 *
 * Everything is clipped to the picture; coordinates may be any double, NaN
 * included, and texts any bytes.
 */
#include <math.h>

#include "core/image/font.h"
#include "core/image/image.h"

/* Round to the nearest integer in 0..limit; NaN becomes 0. */
static int
clip_edge(double value, int limit)
{
	if (!(value > 0))
		return 0;
	return value < limit ? (int) floor(value + 0.5) : limit;
}

static void
fill_clipped(FrImage *image, FrImageRect rect, const uint8_t rgb[3])
{
	for (int y = rect.y0; y < rect.y1; y++)
	{
		uint8_t *pixel =
			image->pixels +
			((size_t) y * (size_t) image->width + (size_t) rect.x0) * 3;

		for (int x = rect.x0; x < rect.x1; x++, pixel += 3)
		{
			pixel[0] = rgb[0];
			pixel[1] = rgb[1];
			pixel[2] = rgb[2];
		}
	}
}

void
fr_image_fill_rect(FrImage *image, double x0, double y0, double x1, double y1,
				   const uint8_t rgb[3])
{
	const FrImageRect rect = {
		clip_edge(x0, image->width),
		clip_edge(y0, image->height),
		clip_edge(x1, image->width),
		clip_edge(y1, image->height),
	};

	fill_clipped(image, rect, rgb);
}

/* Four bars along the inside of the edges. */
void
fr_image_draw_rect(FrImage *image, double x0, double y0, double x1, double y1,
				   int thickness, const uint8_t rgb[3])
{
	const double left = floor(x0 + 0.5), right = floor(x1 + 0.5);
	const double top = floor(y0 + 0.5), bottom = floor(y1 + 0.5);

	if (thickness <= 0 || !(left < right) || !(top < bottom))
		return;

	const double inner_left = fmin(left + thickness, right);
	const double inner_right = fmax(right - thickness, left);
	const double inner_top = fmin(top + thickness, bottom);
	const double inner_bottom = fmax(bottom - thickness, top);

	fr_image_fill_rect(image, left, top, right, inner_top, rgb);
	fr_image_fill_rect(image, left, inner_bottom, right, bottom, rgb);
	fr_image_fill_rect(image, left, top, inner_left, bottom, rgb);
	fr_image_fill_rect(image, inner_right, top, right, bottom, rgb);
}

/* ---- text --------------------------------------------------------------- */

/* Take one code point of UTF-8; a malformed byte counts as U+FFFD. */
static uint32_t
take_code_point(const char **text)
{
	const unsigned char *byte = (const unsigned char *) *text;
	const int follow = byte[0] < 0x80	? 0
					   : byte[0] < 0xc2 ? -1
					   : byte[0] < 0xe0 ? 1
					   : byte[0] < 0xf0 ? 2
					   : byte[0] < 0xf5 ? 3
										: -1;
	uint32_t code_point =
		follow > 0 ? byte[0] & (0x3fu >> follow) : (uint32_t) byte[0];

	for (int i = 1; i <= follow; i++)
	{
		/* The terminating zero is no continuation byte: no overrun. */
		if ((byte[i] & 0xc0) != 0x80)
		{
			*text += i;
			return 0xfffd;
		}
		code_point = code_point << 6 | (byte[i] & 0x3f);
	}
	*text += follow > 0 ? follow + 1 : 1;
	return follow < 0 ? 0xfffd : code_point;
}

static void
draw_glyph(FrImage *image, int64_t x, int64_t y, int scale,
		   const FrGlyph *glyph, const uint8_t rgb[3])
{
	for (int row = 0; row < FR_FONT_HEIGHT; row++)
		for (int column = 0; column < FR_FONT_WIDTH - 1; column++)
		{
			if (!(glyph->rows[row] >> (4 - column) & 1))
				continue;

			const double left = (double) (x + (int64_t) column * scale);
			const double top = (double) (y + (int64_t) row * scale);

			fr_image_fill_rect(image, left, top, left + scale, top + scale,
							   rgb);
		}
}

void
fr_image_draw_text(FrImage *image, int x, int y, int scale, const char *text,
				   const uint8_t rgb[3])
{
	int64_t cell_x = x;

	while (scale > 0 && *text && cell_x < image->width)
	{
		FrGlyph glyph;
		const char *next;

		fr_font_glyph(take_code_point(&text), &glyph);
		for (next = text; *next; text = next)
		{
			const uint32_t mark = take_code_point(&next);

			if (!fr_font_is_combining(mark))
				break;
			fr_font_add_combining(mark, &glyph);
		}
		draw_glyph(image, cell_x, y, scale, &glyph, rgb);
		cell_x += (int64_t) FR_FONT_WIDTH * scale;
	}
}

void
fr_image_text_size(int scale, const char *text, int *width, int *height)
{
	int64_t cells = 0;

	/* A mark at the very start has a cell of its own, as when drawn. */
	while (*text)
		if (!fr_font_is_combining(take_code_point(&text)) || cells == 0)
			cells++;
	if (scale < 0)
		scale = 0;

	const int64_t pixels = cells * FR_FONT_WIDTH * scale;
	const int64_t rows = (int64_t) FR_FONT_HEIGHT * scale;

	*width = pixels > INT32_MAX ? INT32_MAX : (int) pixels;
	*height = rows > INT32_MAX ? INT32_MAX : (int) rows;
}
