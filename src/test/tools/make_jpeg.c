/*
 * make_jpeg.c: write a large JPEG to standard output.
 *
 * usage: make_jpeg width height
 *
 * The picture is a pattern that compresses badly enough for its decoding to
 * take the time that a photo's takes; recovery tests cancel queries on it.
 */
#include <stdio.h> /* jpeglib.h uses FILE */
#include <stdlib.h>

#include "jpeglib.h"

int
main(int argc, char **argv)
{
	if (argc != 3)
	{
		fprintf(stderr, "usage: %s width height\n", argv[0]);
		return 2;
	}

	int width = atoi(argv[1]);
	int height = atoi(argv[2]);

	if (width < 1 || width > 65500 || height < 1 || height > 65500)
	{
		fprintf(stderr, "%s: sides must be between 1 and 65500\n", argv[0]);
		return 2;
	}

	JSAMPLE *row = malloc((size_t) width * 3);

	if (!row)
		return 1;

	struct jpeg_compress_struct encoder = {0};
	struct jpeg_error_mgr errors;
	unsigned noise = 1;

	encoder.err = jpeg_std_error(&errors);
	jpeg_create_compress(&encoder);
	jpeg_stdio_dest(&encoder, stdout);
	encoder.image_width = (JDIMENSION) width;
	encoder.image_height = (JDIMENSION) height;
	encoder.input_components = 3;
	encoder.in_color_space = JCS_RGB;
	jpeg_set_defaults(&encoder);
	jpeg_set_quality(&encoder, 85, TRUE);
	jpeg_start_compress(&encoder, TRUE);
	for (int y = 0; y < height; y++)
	{
		for (int x = 0; x < 3 * width; x++)
		{
			noise = noise * 1664525u + 1013904223u;
			row[x] = (JSAMPLE) (((x / 40 + y / 13) & 127) + (noise >> 27));
		}
		jpeg_write_scanlines(&encoder, &row, 1);
	}
	jpeg_finish_compress(&encoder);
	jpeg_destroy_compress(&encoder);
	free(row);
	return 0;
}
