/*
 * font.h: the glyphs of the built-in bitmap font.
 *
 * Cells of 6 x 12 pixels; ASCII, Latin-1 and Latin Extended-A.  draw.c puts
 * them on pictures.
 */
#ifndef FR_CORE_IMAGE_FONT_H
#define FR_CORE_IMAGE_FONT_H

#include <stdbool.h>
#include <stdint.h>

#define FR_FONT_WIDTH  6
#define FR_FONT_HEIGHT 12

/* Rows from the top; bit 4 is the leftmost pixel, the sixth column empty. */
typedef struct FrGlyph
{
	uint8_t rows[FR_FONT_HEIGHT];
} FrGlyph;

/* The glyph of a code point; a box when the font lacks it. */
void fr_font_glyph(uint32_t code_point, FrGlyph *glyph);

/* True for U+0300..U+0328, marks that belong to the letter before. */
bool fr_font_is_combining(uint32_t code_point);

/* Add a combining mark to its letter's glyph; unknown ones are left out. */
void fr_font_add_combining(uint32_t code_point, FrGlyph *glyph);

#endif
