/*
 * sniff.c: which image format some bytes are in, by their first bytes.
 *
 * Formats that are not decoded are recognised all the same, so that the
 * error can name them.  The signatures come from the formats' own
 * specifications; ISO base media files (HEIC, AVIF) are told apart by the
 * brands of their "ftyp" box (ISO/IEC 14496-12, section 4.3).
 */
#include <string.h>

#include "core/base/bytes.h"
#include "core/image/image.h"

typedef struct Signature
{
	FrImageFormat format;
	uint8_t length;
	const char *bytes;
} Signature;

static const Signature signatures[] = {
	{FR_IMAGE_JPEG, 3, "\xff\xd8\xff"},
	{FR_IMAGE_PNG, 8, "\x89PNG\r\n\x1a\n"},
	{FR_IMAGE_GIF, 6, "GIF87a"},
	{FR_IMAGE_GIF, 6, "GIF89a"},
	{FR_IMAGE_TIFF, 4, "II*\0"},
	{FR_IMAGE_TIFF, 4, "MM\0*"},
	{FR_IMAGE_TIFF, 4, "II+\0"}, /* BigTIFF */
	{FR_IMAGE_TIFF, 4, "MM\0+"},
	{FR_IMAGE_JPEG_XL, 2, "\xff\x0a"},
	{FR_IMAGE_JPEG_XL, 12, "\0\0\0\x0cJXL \r\n\x87\n"},
	{FR_IMAGE_JPEG_2000, 12, "\0\0\0\x0cjP  \r\n\x87\n"},
	{FR_IMAGE_JPEG_2000, 4, "\xff\x4f\xff\x51"},
};

static const char *const format_names[] = {
	[FR_IMAGE_UNKNOWN] = "unknown",
	[FR_IMAGE_JPEG] = "JPEG",
	[FR_IMAGE_PNG] = "PNG",
	[FR_IMAGE_WEBP] = "WebP",
	[FR_IMAGE_HEIC] = "HEIC",
	[FR_IMAGE_AVIF] = "AVIF",
	[FR_IMAGE_GIF] = "GIF",
	[FR_IMAGE_TIFF] = "TIFF",
	[FR_IMAGE_BMP] = "BMP",
	[FR_IMAGE_JPEG_XL] = "JPEG XL",
	[FR_IMAGE_JPEG_2000] = "JPEG 2000",
};

_Static_assert(sizeof format_names / sizeof *format_names ==
				   FR_IMAGE_FORMAT_COUNT,
			   "every format has a name");

static bool
is_brand(const uint8_t *brand, const char *const *names)
{
	for (; *names; names++)
		if (memcmp(brand, *names, 4) == 0)
			return true;
	return false;
}

/* The "ftyp" box: size, "ftyp", major brand, version, compatible brands. */
static FrImageFormat
sniff_base_media(FrBytes input)
{
	static const char *const avif[] = {"avif", "avis", NULL};
	static const char *const heic[] = {"heic", "heix", "heim", "heis",
									   "hevc", "hevx", "hevm", "hevs",
									   "mif1", "msf1", NULL};
	FrImageFormat format = FR_IMAGE_UNKNOWN;
	uint32_t box_bytes;
	const uint8_t *tag;

	if (!fr_bytes_take_be32(&input, &box_bytes) ||
		!fr_bytes_take(&input, 4, &tag) || memcmp(tag, "ftyp", 4) != 0)
		return FR_IMAGE_UNKNOWN;
	if (box_bytes >= 8 && box_bytes - 8 < input.length)
		input.length = box_bytes - 8;
	for (int i = 0; fr_bytes_take(&input, 4, &tag); i++)
	{
		if (i == 1)
			continue; /* the version, not a brand */
		if (is_brand(tag, avif))
			return FR_IMAGE_AVIF;
		if (is_brand(tag, heic))
			format = FR_IMAGE_HEIC;
	}
	return format;
}

/* "BM" alone is weak: the reserved fields and the size of the second header
 * must fit too. */
static bool
is_bmp(const uint8_t *bytes, size_t size_bytes)
{
	if (size_bytes < 18 || memcmp(bytes, "BM", 2) != 0)
		return false;
	return memcmp(bytes + 6, "\0\0\0\0", 4) == 0 && bytes[14] >= 12 &&
		   bytes[14] <= 124 && memcmp(bytes + 15, "\0\0\0", 3) == 0;
}

FrImageFormat
fr_image_sniff(const void *bytes, size_t size_bytes)
{
	const uint8_t *start = bytes;

	for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
	{
		const Signature *signature = &signatures[i];

		if (size_bytes >= signature->length &&
			memcmp(start, signature->bytes, signature->length) == 0)
			return signature->format;
	}
	if (size_bytes >= 12 && memcmp(start, "RIFF", 4) == 0 &&
		memcmp(start + 8, "WEBP", 4) == 0)
		return FR_IMAGE_WEBP;
	if (is_bmp(start, size_bytes))
		return FR_IMAGE_BMP;
	return sniff_base_media(fr_bytes(bytes, size_bytes));
}

const char *
fr_image_format_name(FrImageFormat format)
{
	return (unsigned) format < FR_IMAGE_FORMAT_COUNT ? format_names[format]
													 : "unknown";
}
