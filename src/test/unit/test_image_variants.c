/*
 * test_image_variants.c: every kind of JPEG against plain libjpeg.
 *
 * The pictures are made here with libjpeg's compressor; the reference is
 * libjpeg's decompressor used in the simplest way.  Regions must equal the
 * same part of the whole, reductions the size and pixels of DCT scaling.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/image/image.h"
#include "core/image/libjpeg_guard.h"
#include "test/unit/tap.h"

typedef struct Kind
{
	const char *name;
	int h, v; /* sampling of the first component; the others have 1 x 1 */
	int components;
	bool is_progressive;
	bool is_arithmetic;
	int restart_interval;
} Kind;

static const Kind kinds[] = {
	{"4:4:4", 1, 1, 3, false, false, 0},
	{"4:2:2", 2, 1, 3, false, false, 0},
	{"4:4:0", 1, 2, 3, false, false, 0},
	{"4:2:0", 2, 2, 3, false, false, 0},
	{"4:1:1", 4, 1, 3, false, false, 0},
	{"4:1:0", 4, 2, 3, false, false, 0},
	{"1x4", 1, 4, 3, false, false, 0},
	{"gray", 1, 1, 1, false, false, 0},
	{"gray 2x2", 2, 2, 1, false, false, 0},
	{"4:2:0 restarts", 2, 2, 3, false, false, 3},
	{"4:4:4 progressive", 1, 1, 3, true, false, 0},
	{"4:2:0 progressive", 2, 2, 3, true, false, 0},
	{"gray progressive", 1, 1, 1, true, false, 0},
	{"CMYK", 1, 1, 4, false, false, 0},
	{"CMYK progressive", 1, 1, 4, true, false, 0},
#ifdef C_ARITH_CODING_SUPPORTED
	{"4:2:0 arithmetic", 2, 2, 3, false, true, 0},
	{"4:2:0 arithmetic progressive", 2, 2, 3, true, true, 0},
#endif
};

#define KIND_COUNT (sizeof kinds / sizeof *kinds)

static uint8_t
test_sample(int x, int y, int c)
{
	return (uint8_t) (127.5 +
					  90 * sin((x + 3 * c) / 4.0) * cos((y - 5 * c) / 6.0) +
					  37 * ((x / 5 + y / 3 + c) % 2));
}

/* With an orientation, an EXIF block follows SOI. */
static uint8_t *
make_jpeg(const Kind *kind, int width, int height, int orientation,
		  unsigned long *size_bytes)
{
	uint8_t exif[] = "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"
					 "\0\0\0\0\0\0\0";
	struct jpeg_compress_struct cinfo;
	struct jpeg_error_mgr errors;
	unsigned char *bytes = NULL;
	uint8_t *row = malloc((size_t) width * 4);

	*size_bytes = 0;
	cinfo.err = jpeg_std_error(&errors);
	jpeg_create_compress(&cinfo);
	jpeg_mem_dest(&cinfo, &bytes, size_bytes);
	cinfo.image_width = (JDIMENSION) width;
	cinfo.image_height = (JDIMENSION) height;
	cinfo.input_components = kind->components;
	cinfo.in_color_space = kind->components == 1   ? JCS_GRAYSCALE
						   : kind->components == 3 ? JCS_RGB
												   : JCS_CMYK;
	jpeg_set_defaults(&cinfo);
	jpeg_set_quality(&cinfo, 88, TRUE);
	cinfo.comp_info[0].h_samp_factor = kind->h;
	cinfo.comp_info[0].v_samp_factor = kind->v;
	cinfo.arith_code = kind->is_arithmetic;
	cinfo.restart_interval = (unsigned) kind->restart_interval;
	if (kind->is_progressive)
		jpeg_simple_progression(&cinfo);
	jpeg_start_compress(&cinfo, TRUE);
	exif[6 + 8 + 2 + 8] = (uint8_t) orientation;
	jpeg_write_marker(&cinfo, JPEG_APP0 + 1, exif, sizeof exif - 1);
	for (int y = 0; y < height; y++)
	{
		for (int x = 0; x < width; x++)
			for (int c = 0; c < kind->components; c++)
				row[x * kind->components + c] = test_sample(x, y, c);
		jpeg_write_scanlines(&cinfo, &row, 1);
	}
	jpeg_finish_compress(&cinfo);
	jpeg_destroy_compress(&cinfo);
	free(row);
	return bytes;
}

/* Plain libjpeg; RGB, for CMYK by the formula of OpenCV. */
static uint8_t *
reference_decode(const uint8_t *bytes, unsigned long size_bytes, int reduction,
				 int *width, int *height)
{
	struct jpeg_decompress_struct cinfo;
	struct jpeg_error_mgr errors;

	cinfo.err = jpeg_std_error(&errors);
	jpeg_create_decompress(&cinfo);
	jpeg_mem_src(&cinfo, bytes, size_bytes);
	jpeg_read_header(&cinfo, TRUE);
	cinfo.out_color_space = cinfo.num_components == 4 ? JCS_CMYK : JCS_RGB;
	cinfo.scale_denom = (unsigned) reduction;
	jpeg_start_decompress(&cinfo);
	*width = (int) cinfo.output_width;
	*height = (int) cinfo.output_height;

	uint8_t *rgb = malloc((size_t) *width * (size_t) *height * 3);
	uint8_t *row = malloc((size_t) *width * 4);
	uint8_t *target = rgb;

	for (int y = 0; y < *height; y++)
	{
		jpeg_read_scanlines(&cinfo, &row, 1);
		for (int x = 0; x < *width; x++)
			for (int c = 0; c < 3; c++)
			{
				const uint8_t *cmyk = row + 4 * x;

				*target++ =
					cinfo.num_components == 4
						? (uint8_t) (cmyk[3] - ((255 - cmyk[c]) * cmyk[3] >> 8))
						: row[3 * x + c];
			}
	}
	jpeg_finish_decompress(&cinfo);
	jpeg_destroy_decompress(&cinfo);
	free(row);
	return rgb;
}

/* The stored pixel that the upright pixel (x, y) shows, by the table of the
 * EXIF standard written out; width and height are the stored ones. */
static size_t
stored_index(int orientation, int x, int y, int width, int height)
{
	int sx = x, sy = y;

	switch (orientation)
	{
		case 2:
			sx = width - 1 - x;
			break;
		case 3:
			sx = width - 1 - x;
			sy = height - 1 - y;
			break;
		case 4:
			sy = height - 1 - y;
			break;
		case 5:
			sx = y;
			sy = x;
			break;
		case 6:
			sx = y;
			sy = height - 1 - x;
			break;
		case 7:
			sx = width - 1 - y;
			sy = height - 1 - x;
			break;
		case 8:
			sx = width - 1 - y;
			sy = x;
			break;
		default:
			break;
	}
	return (size_t) sy * (size_t) width + (size_t) sx;
}

static void
test_kinds_sizes_and_reductions(void)
{
	static const int sizes[][2] = {{1, 1},	 {1, 17},  {33, 1},	 {7, 9},
								   {16, 16}, {65, 47}, {130, 75}};

	for (size_t k = 0; k < KIND_COUNT; k++)
	{
		int differing = 0;

		for (size_t i = 0; i < sizeof sizes / sizeof *sizes * 8; i++)
		{
			const int *size = sizes[i / 8];
			const int orientation = (int) (i % 8) + 1;
			const int reduction = 1 << (i + i / 8 + k) % 4;
			unsigned long bytes_count;
			uint8_t *bytes = make_jpeg(&kinds[k], size[0], size[1], orientation,
									   &bytes_count);
			int width, height;
			uint8_t *want = reference_decode(bytes, bytes_count, reduction,
											 &width, &height);
			const FrDecodeOptions options = {.max_pixels = 100000,
											 .reduction = reduction};
			FrImage image;
			FrError error = {0};
			bool is_same =
				fr_image_decode(bytes, bytes_count, &options,
								&fr_allocator_malloc, &image, &error) == FR_OK;

			is_same = is_same &&
					  image.width == (orientation < 5 ? width : height) &&
					  image.height == (orientation < 5 ? height : width) &&
					  width == (size[0] + reduction - 1) / reduction;
			for (int y = 0; is_same && y < image.height; y++)
				for (int x = 0; x < image.width; x++)
					is_same = is_same &&
							  memcmp(fr_image_row(&image, y) + 3 * x,
									 want + 3 * stored_index(orientation, x, y,
															 width, height),
									 3) == 0;
			if (!is_same)
				diag("%s, %d x %d / %d, orientation %d: %s", kinds[k].name,
					 size[0], size[1], reduction, orientation, error.message);
			differing += !is_same;
			fr_image_destroy(&image);
			free(want);
			free(bytes);
		}
		is_int(differing, 0, "%s: sizes, reductions and orientations",
			   kinds[k].name);
	}
}

/* Decode a region and compare it with the same part of the whole. */
static bool
region_equals_whole(const uint8_t *bytes, unsigned long size_bytes,
					const FrImage *whole, FrImageRect region)
{
	const FrDecodeOptions options = {.max_pixels = 1000000,
									 .reduction = 1,
									 .has_region = true,
									 .region = region};
	FrImage part;
	FrError error = {0};
	bool is_same =
		fr_image_decode(bytes, size_bytes, &options, &fr_allocator_malloc,
						&part, &error) == FR_OK &&
		part.width == region.x1 - region.x0 &&
		part.height == region.y1 - region.y0;

	for (int y = 0; is_same && y < part.height; y++)
		is_same = memcmp(fr_image_row(&part, y),
						 fr_image_row(whole, region.y0 + y) + 3 * region.x0,
						 (size_t) part.width * 3) == 0;
	if (!is_same)
		diag("region (%d, %d)..(%d, %d) of %d x %d differs: %s", region.x0,
			 region.y0, region.x1, region.y1, whole->width, whole->height,
			 error.message);
	fr_image_destroy(&part);
	return is_same;
}

static void
test_region_equals_whole(void)
{
	static const FrImageRect regions[] = {
		{0, 0, 1, 1},		 {0, 0, 150, 110},	{1, 1, 2, 2},
		{31, 33, 64, 65},	 {32, 32, 96, 64},	{17, 0, 140, 109},
		{0, 40, 150, 41},	 {77, 50, 78, 110}, {149, 109, 150, 110},
		{100, 90, 150, 110}, {3, 65, 60, 100},	{63, 63, 129, 97},
	};

	for (size_t k = 0; k < KIND_COUNT; k++)
	{
		int differing = 0;

		for (int orientation = 1; orientation <= 8; orientation++)
		{
			const bool is_swapped = orientation > 4;
			unsigned long size_bytes;
			uint8_t *bytes =
				make_jpeg(&kinds[k], is_swapped ? 110 : 150,
						  is_swapped ? 150 : 110, orientation, &size_bytes);
			const FrDecodeOptions options = {.max_pixels = 1000000,
											 .reduction = 1};
			FrImage whole;
			FrError error = {0};

			fr_image_decode(bytes, size_bytes, &options, &fr_allocator_malloc,
							&whole, &error);
			for (size_t i = 0; i < sizeof regions / sizeof *regions; i++)
				differing +=
					!region_equals_whole(bytes, size_bytes, &whole, regions[i]);
			fr_image_destroy(&whole);
			free(bytes);
		}
		is_int(differing, 0, "%s: regions equal the whole", kinds[k].name);
	}
}

static void
test_png_regions_and_reductions(void)
{
	static const char *const names[] = {"rgb.png", "interlaced.png",
										"palette-2.png", "orientation-6.png"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
	{
		char path[128];
		size_t size_bytes;
		FrDecodeOptions options = {.max_pixels = 1000000, .reduction = 1};
		FrImage whole, small;
		FrError error = {0};
		bool is_same = true;

		snprintf(path, sizeof path, "sql_tests/data/images/%s", names[i]);

		uint8_t *bytes = read_file(path, &size_bytes);

		fr_image_decode(bytes, size_bytes, &options, &fr_allocator_malloc,
						&whole, &error);
		ok(region_equals_whole(bytes, size_bytes, &whole,
							   (FrImageRect){5, 7, 40, 31}) &&
			   region_equals_whole(bytes, size_bytes, &whole,
								   (FrImageRect){47, 31, 48, 32}),
		   "%s: regions equal the whole", names[i]);
		for (int size = 2; size <= 8; size *= 2)
		{
			options.reduction = size;
			fr_image_decode(bytes, size_bytes, &options, &fr_allocator_malloc,
							&small, &error);
			is_same = is_same && small.width == (whole.width - 1) / size + 1 &&
					  small.height == (whole.height - 1) / size + 1;
			for (int p = 0; is_same && p < small.width * small.height * 3; p++)
			{
				const int x0 = p / 3 % small.width * size;
				const int y0 = p / 3 / small.width * size;
				double sum = 0;
				int count = 0;

				for (int y = y0; y < y0 + size && y < whole.height; y++)
					for (int x = x0; x < x0 + size && x < whole.width; x++)
					{
						sum += fr_image_row(&whole, y)[3 * x + p % 3];
						count++;
					}
				is_same = small.pixels[p] == (int) floor(sum / count + 0.5);
			}
			fr_image_destroy(&small);
		}
		ok(is_same, "%s: reductions are box averages", names[i]);
		fr_image_destroy(&whole);
		free(bytes);
	}
}

/* A progressive file whose scans repeat without end is refused. */
static void
test_scan_bomb(void)
{
	unsigned long size_bytes;
	const Kind kind = {"bomb", 1, 1, 1, true, false, 0};
	uint8_t *bytes = make_jpeg(&kind, 16, 16, 1, &size_bytes);
	size_t start = 0;

	/* The first scan gives the DC coefficients and may be repeated. */
	while (bytes[start] != 0xff || bytes[start + 1] != 0xda)
		start++;

	size_t end = start + 2;

	while (bytes[end] != 0xff || bytes[end + 1] == 0)
		end++;

	uint8_t *bomb = malloc(size_bytes + 1000 * (end - start));
	size_t used = end;

	memcpy(bomb, bytes, end);
	for (int i = 0; i < 1000; i++, used += end - start)
		memcpy(bomb + used, bytes + start, end - start);
	memcpy(bomb + used, bytes + end, size_bytes - end);
	used += size_bytes - end;

	const FrDecodeOptions options = {.max_pixels = 1000, .reduction = 1};
	FrImage image;
	FrError error = {0};

	is_status(fr_image_decode(bomb, used, &options, &fr_allocator_malloc,
							  &image, &error),
			  FR_ERR_LIMIT, &error, "1,000 scans");
	free(bomb);
	free(bytes);
}

int
main(void)
{
	test_kinds_sizes_and_reductions();
	test_region_equals_whole();
	test_png_regions_and_reductions();
	test_scan_bomb();
	return tap_done();
}
