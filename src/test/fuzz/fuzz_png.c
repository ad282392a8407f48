/*
 * fuzz_png.c: any bytes, as a PNG file.
 *
 * The first byte chooses reduction or region, the rest is the file.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/image/decoders.h"
#include "core/image/orient.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;

	const FrDecodeOptions options = {
		.max_pixels = 1 << 16,
		.reduction = data[0] & 4 ? 1 : 1 << (data[0] & 3),
		.has_region = (data[0] & 4) != 0,
		.region = {data[0] >> 3, data[0] >> 4, 40 + (data[0] >> 5), 30},
	};
	FrImage image = {0};
	FrImageInfo info;
	FrError error;

	fr_orient_of_png(data + 1, size - 1);
	fr_png_read_info(data + 1, size - 1, &info, &error);
	fr_png_decode(data + 1, size - 1, &options, &fr_allocator_malloc, &image,
				  &error);
	fr_image_destroy(&image);
	return 0;
}
