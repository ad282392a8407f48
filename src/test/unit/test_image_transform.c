/*
 * test_image_transform.c: resize, warp, crop, drawing and JPEG writing.
 *
 * Resizing is compared with a direct two-dimensional sum in double
 * precision, warping with the golden crops of the shared test photos.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/image/image.h"
#include "test/unit/tap.h"

static const FrDecodeOptions whole = {.max_pixels = 100000000, .reduction = 1};

/* Smooth and detailed parts; different in every channel. */
static FrImage
make_picture(int width, int height)
{
	FrImage image;
	FrError error;

	fr_image_create(width, height, &fr_allocator_malloc, &image, &error);
	for (int i = 0; i < width * height * 3; i++)
	{
		const int x = i / 3 % width, y = i / 3 / width, c = i % 3;

		image.pixels[i] = (uint8_t) (127.5 + 90 * sin((x + 7 * c) / 5.0 + y) +
									 37 * ((x / 3 + y / 2 + c) % 2));
	}
	return image;
}

/* ---- resize ------------------------------------------------------------- */

/* The weight of source pixel s in target pixel t, straight from the
 * definitions in image.h. */
static double
axis_weight(int s, int t, int source, int target)
{
	const double scale = (double) source / target;

	if (source > target)
	{
		const double low = fmax(s, t * scale);
		const double high = fmin(s + 1, (t + 1) * scale);

		return high > low ? (high - low) / scale : 0;
	}

	const double x = fmin(fmax((t + 0.5) * scale - 0.5, 0), source - 1);

	return fmax(0, 1 - fabs(x - s));
}

static double
reference_resize(const FrImage *source, int x, int y, int c, int width,
				 int height)
{
	double sum = 0;

	for (int sy = 0; sy < source->height; sy++)
	{
		const double wy = axis_weight(sy, y, source->height, height);

		for (int sx = 0; wy > 0 && sx < source->width; sx++)
			sum += wy * axis_weight(sx, x, source->width, width) *
				   fr_image_row(source, sy)[3 * sx + c];
	}
	return sum;
}

static void
test_resize_equals_the_definition(void)
{
	static const int cases[][4] = {
		{37, 29, 37, 29}, {37, 29, 18, 14}, {37, 29, 36, 28}, {37, 29, 5, 3},
		{37, 29, 1, 1},	  {8, 6, 4, 3},		{5, 4, 13, 9},	  {1, 1, 4, 3},
		{37, 5, 12, 11},  {3, 40, 9, 7},	{2, 2, 3, 3},	  {40, 1, 7, 1},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		const int width = cases[i][2], height = cases[i][3];
		FrImage source = make_picture(cases[i][0], cases[i][1]);
		FrImage image;
		FrError error = {0};
		double worst = 0;

		is_status(fr_image_resize(&source, width, height, NULL,
								  &fr_allocator_malloc, &image, &error),
				  FR_OK, &error, "resize");
		for (int p = 0; p < width * height * 3; p++)
			worst = fmax(worst, fabs(image.pixels[p] -
									 reference_resize(&source, p / 3 % width,
													  p / 3 / width, p % 3,
													  width, height)));
		ok_near(worst, 0, 0.5001, "%d x %d to %d x %d", cases[i][0],
				cases[i][1], width, height);
		fr_image_destroy(&image);
		fr_image_destroy(&source);
	}
}

static void
test_resize_keeps_a_constant(void)
{
	FrImage source, image;
	FrError error = {0};
	int wrong = 0;

	fr_image_create(1001, 77, &fr_allocator_malloc, &source, &error);
	for (int value = 0; value < 256; value += 51)
	{
		memset(source.pixels, value, 1001 * 77 * 3);
		fr_image_resize(&source, 333, 100, NULL, &fr_allocator_malloc, &image,
						&error);
		for (int p = 0; p < 333 * 100 * 3; p++)
			wrong += image.pixels[p] != value;
		fr_image_destroy(&image);
	}
	is_int(wrong, 0, "a constant picture stays constant");
	fr_image_destroy(&source);
}

static bool
cancel_at_once(void *context)
{
	++*(int *) context;
	return true;
}

static void
test_resize_failures(void)
{
	FrImage source = make_picture(64, 64);
	int polls = 0;
	const FrCancel cancel = {cancel_at_once, &polls};
	FrStatus status = FR_ERR_NOMEM;
	FrImage image;
	FrError error = {0};
	long leaked = 0;

	is_status(fr_image_resize(&source, 10, 10, &cancel, &fr_allocator_malloc,
							  &image, &error),
			  FR_ERR_CANCELLED, &error, "resize is cancelled");
	is_status(fr_image_resize(&source, 0, 10, NULL, &fr_allocator_malloc,
							  &image, &error),
			  FR_ERR_ARGUMENT, &error, "resize to nothing");
	for (long fail_at = 1; status == FR_ERR_NOMEM; fail_at++)
	{
		TestMemory memory = {.fail_at = fail_at};
		const FrAllocator allocator = test_allocator(&memory);

		status =
			fr_image_resize(&source, 9, 90, NULL, &allocator, &image, &error);
		fr_image_destroy(&image);
		leaked += memory.live;
	}
	ok(status == FR_OK && leaked == 0, "resize without memory leaks nothing");
	fr_image_destroy(&source);
}

/* ---- warp --------------------------------------------------------------- */

static void
test_warp_of_known_transforms(void)
{
	FrImage source = make_picture(20, 15);
	FrImage image;
	FrError error = {0};
	FrSimilarity transform = {1, 0, 0, 0};

	fr_image_warp(&source, &transform, 20, 15, &fr_allocator_malloc, &image,
				  &error);
	ok(memcmp(image.pixels, source.pixels, 20 * 15 * 3) == 0,
	   "the identity copies");
	fr_image_destroy(&image);

	/* A quarter turn: u = -y + 14, v = x. */
	transform = (FrSimilarity){0, 1, 14, 0};
	fr_image_warp(&source, &transform, 15, 20, &fr_allocator_malloc, &image,
				  &error);

	int wrong = 0;

	for (int v = 0; v < 20; v++)
		for (int u = 0; u < 15; u++)
			wrong += memcmp(fr_image_row(&image, v) + 3 * u,
							fr_image_row(&source, 14 - u) + 3 * v, 3) != 0;
	is_int(wrong, 0, "a quarter turn");
	fr_image_destroy(&image);

	/* Half a pixel outside mixes with zeros, further out is black. */
	transform = (FrSimilarity){1, 0, 0.5, 0};
	fr_image_warp(&source, &transform, 23, 1, &fr_allocator_malloc, &image,
				  &error);
	ok(image.pixels[0] == (source.pixels[0] + 1) / 2 &&
		   image.pixels[60] == (source.pixels[57] + 1) / 2 &&
		   image.pixels[63] == 0,
	   "zeros outside");
	fr_image_destroy(&image);
	transform = (FrSimilarity){0, 0, 1, 1};
	is_status(fr_image_warp(&source, &transform, 5, 5, &fr_allocator_malloc,
							&image, &error),
			  FR_ERR_ARGUMENT, &error, "a transform without inverse");
	transform = (FrSimilarity){1, NAN, 1, 1};
	is_status(fr_image_warp(&source, &transform, 5, 5, &fr_allocator_malloc,
							&image, &error),
			  FR_ERR_ARGUMENT, &error, "a transform that is not a number");
	transform = (FrSimilarity){1e-6, 0, 1e9, -1e9};
	is_status(fr_image_warp(&source, &transform, 5, 5, &fr_allocator_malloc,
							&image, &error),
			  FR_OK, &error, "far outside");
	fr_image_destroy(&image);
	fr_image_destroy(&source);
}

/* Channel c of the bilinear sample at (x, y), straight from image.h. */
static double
reference_sample(const FrImage *source, double x, double y, int c)
{
	const int left = (int) floor(x), top = (int) floor(y);
	double sum = 0;

	for (int i = top; i <= top + 1; i++)
		for (int j = left; j <= left + 1; j++)
			if (i >= 0 && j >= 0 && i < source->height && j < source->width)
				sum += (1 - fabs(x - j)) * (1 - fabs(y - i)) *
					   fr_image_row(source, i)[3 * j + c];
	return sum;
}

/* Turned and scaled, with all four edges of the picture inside the crop. */
static void
test_warp_of_any_transform(void)
{
	static const FrSimilarity transforms[] = {
		{1.7, 0.6, 11.3, 5.2},
		{-0.8, 1.1, 31.9, 24.6},
		{2.5, 0, 4.25, 4.75},
		{0.4, -0.3, 20, 20},
	};
	FrImage source = make_picture(9, 7), image;
	FrError error;
	double worst = 0;

	for (size_t i = 0; i < sizeof transforms / sizeof *transforms; i++)
	{
		const FrSimilarity *t = &transforms[i];
		const double norm = t->a * t->a + t->b * t->b;

		fr_image_warp(&source, t, 40, 40, &fr_allocator_malloc, &image, &error);
		for (int k = 0; k < 40 * 40 * 3; k++)
		{
			const double du = k / 3 % 40 - t->tx, dv = k / 120 - t->ty;
			const double x = (t->a * du + t->b * dv) / norm;
			const double y = (t->a * dv - t->b * du) / norm;

			worst = fmax(worst, fabs(reference_sample(&source, x, y, k % 3) -
									 image.pixels[k]));
		}
		fr_image_destroy(&image);
	}
	ok(worst < 0.5 + 1e-6, "any transform, edges included: %.7f off", worst);
	fr_image_destroy(&source);
}

static bool
load_image(const char *name, FrImage *image)
{
	size_t size_bytes;
	uint8_t *bytes = read_file(testdata_path(name), &size_bytes);
	FrError error;
	bool is_loaded =
		bytes && fr_image_decode(bytes, size_bytes, &whole,
								 &fr_allocator_malloc, image, &error) == FR_OK;

	free(bytes);
	return is_loaded;
}

/* Compare a warp with a golden crop; returns the mean absolute difference. */
static double
crop_difference(const FrImage *photo, const FrSimilarity *transform,
				const char *crop_name)
{
	char name[256];
	FrImage golden = {0}, crop = {0};
	FrError error;
	double sum = 1e9;

	snprintf(name, sizeof name, "photos/%s", crop_name);
	if (load_image(name, &golden) &&
		fr_image_warp(photo, transform, golden.width, golden.height,
					  &fr_allocator_malloc, &crop, &error) == FR_OK)
	{
		sum = 0;
		for (int i = 0; i < golden.width * golden.height * 3; i++)
			sum += abs(golden.pixels[i] - crop.pixels[i]);
		sum /= golden.width * golden.height * 3;
	}
	fr_image_destroy(&crop);
	fr_image_destroy(&golden);
	return sum;
}

/* One face of golden.json, from its "align<size>" on. */
static double
check_face(const FrImage *photo, const char *text, int size)
{
	char key[32], crop_name[128];
	FrSimilarity transform;
	const char *align, *crop;

	snprintf(key, sizeof key, "\"align%d\":[[", size);
	align = strstr(text, key);
	snprintf(key, sizeof key, "\"crop%d\":\"", size);
	crop = strstr(text, key);
	if (!align || !crop ||
		sscanf(strchr(align, '['), "[[%lf,%*f,%lf],[%lf,%*f,%lf]]",
			   &transform.a, &transform.tx, &transform.b, &transform.ty) != 4 ||
		sscanf(strchr(crop, ':'), ":\"%127[^\"]", crop_name) != 1)
		return 1e9;
	return crop_difference(photo, &transform, crop_name);
}

static void
test_golden_crops(void)
{
	static const char *const photos[] = {
		"group-selfie.jpg",		 "kit-with-rose.jpg", "two-people.jpg",
		"exif6-obama-small.jpg", "cmyk-img29.jpg",	  "palette-alex.png"};
	size_t size_bytes;
	uint8_t *golden =
		read_file(testdata_path("photos/golden.json"), &size_bytes);

	if (!golden)
	{
		skip("golden crops", "test data folder is absent");
		return;
	}

	char *text = calloc(size_bytes + 1, 1);

	memcpy(text, golden, size_bytes);
	for (size_t i = 0; i < sizeof photos / sizeof *photos; i++)
	{
		char name[256];
		FrImage photo;
		double worst = 0;
		int faces = 0;

		snprintf(name, sizeof name, "photos/%s", photos[i]);
		load_image(name, &photo);
		snprintf(name, sizeof name, "\"%s\":{", photos[i]);

		/* The photo's object ends where the next one's sha256 begins. */
		char *cursor = strstr(text, name);
		char *end = strstr(cursor + strlen(name) + 10, "\"sha256\":");

		while ((cursor = strstr(cursor, "\"align112\":")) != NULL &&
			   (!end || cursor < end))
		{
			worst = fmax(worst, check_face(&photo, cursor, 112));
			worst = fmax(worst, check_face(&photo, cursor, 128));
			faces++;
			cursor++;
		}
		ok(faces > 0 && worst <= 0.01, "%s: %d golden crops", photos[i],
		   2 * faces);
		diag("largest mean absolute difference %.6f", worst);
		fr_image_destroy(&photo);
	}
	free(text);
	free(golden);
}

/* ---- crop and drawing --------------------------------------------------- */

static void
test_crop(void)
{
	FrImage source = make_picture(20, 10);
	FrImage image;
	FrError error = {0};
	FrImageRect rect = {3, 2, 20, 9};
	int wrong = 0;

	is_status(fr_image_crop(&source, &rect, NULL, &fr_allocator_malloc, &image,
							&error),
			  FR_OK, &error, "crop");
	for (int y = 0; y < 7; y++)
		wrong += memcmp(fr_image_row(&image, y),
						fr_image_row(&source, y + 2) + 9, 17 * 3) != 0;
	is_int(wrong, 0, "crop copies");
	fr_image_destroy(&image);
	rect.x1 = 21;
	is_status(fr_image_crop(&source, &rect, NULL, &fr_allocator_malloc, &image,
							&error),
			  FR_ERR_ARGUMENT, &error, "crop outside the picture");
	fr_image_destroy(&source);
}

static bool
stop_at_once(void *context)
{
	(void) context;
	return true;
}

/* A part alone is resized as if it were a picture. */
static void
test_regions(void)
{
	static const int sizes[][2] = {{5, 4}, {17, 7}, {40, 30}, {9, 20}};
	FrImage source = make_picture(20, 10);
	FrImageRect rect = {3, 2, 20, 9};
	FrCancel cancel = {stop_at_once, NULL};
	FrImage part, want, have;
	FrError error = {0};

	is_status(fr_image_crop(&source, &rect, NULL, &fr_allocator_malloc, &part,
							&error),
			  FR_OK, &error, "crop");
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
	{
		int width = sizes[i][0], height = sizes[i][1];

		is_status(fr_image_resize(&part, width, height, NULL,
								  &fr_allocator_malloc, &want, &error),
				  FR_OK, &error, "resized to %d x %d", width, height);
		is_status(fr_image_resize_region(&source, &rect, width, height, NULL,
										 &fr_allocator_malloc, &have, &error),
				  FR_OK, &error, "without a copy");
		ok(memcmp(want.pixels, have.pixels, (size_t) (width * height * 3)) == 0,
		   "to the same pixels");
		fr_image_destroy(&want);
		fr_image_destroy(&have);
		is_status(fr_image_resize_region(&source, &rect, width, height, &cancel,
										 &fr_allocator_malloc, &have, &error),
				  FR_ERR_CANCELLED, &error, "or cancelled");
	}
	is_status(fr_image_crop(&source, &rect, &cancel, &fr_allocator_malloc,
							&have, &error),
			  FR_ERR_CANCELLED, &error, "a copy is cancelled");
	rect.y1 = 11;
	is_status(fr_image_resize_region(&source, &rect, 5, 5, NULL,
									 &fr_allocator_malloc, &have, &error),
			  FR_ERR_ARGUMENT, &error, "a part outside the picture");
	fr_image_destroy(&part);
	fr_image_destroy(&source);
}

static int
count_painted(const FrImage *image)
{
	int count = 0;

	for (int i = 0; i < image->width * image->height; i++)
		count += image->pixels[3 * i] != 0;
	return count;
}

static void
test_draw_is_clipped(void)
{
	static const uint8_t white[3] = {255, 255, 255};
	FrImage image;
	FrError error = {0};

	fr_image_create(30, 20, &fr_allocator_malloc, &image, &error);
	memset(image.pixels, 0, 30 * 20 * 3);
	fr_image_draw_rect(&image, 5, 5, 15, 12, 1, white);
	is_int(count_painted(&image), 2 * 10 + 2 * 5, "an outline of one pixel");
	fr_image_fill_rect(&image, -5.5, -1e300, 1.4, 1e300, white);
	is_int(count_painted(&image), 30 + 20, "a fill over the left border");

	/* Every position around and across the borders; the sanitizer watches. */
	for (int y = -40; y <= 40; y += 3)
		for (int x = -50; x <= 50; x += 3)
		{
			fr_image_draw_rect(&image, x, y, x + 33.3, y + 21.7, 3, white);
			fr_image_draw_text(&image, x, y, 2, "Ag\xc3\x84\xff", white);
		}
	fr_image_draw_rect(&image, NAN, -INFINITY, INFINITY, NAN, 2, white);
	fr_image_draw_rect(&image, 10, 10, 5, 5, 2, white);
	fr_image_fill_rect(&image, NAN, NAN, NAN, NAN, white);
	fr_image_draw_text(&image, INT32_MAX, INT32_MAX, INT32_MAX, "x", white);
	fr_image_draw_text(&image, INT32_MIN, INT32_MIN, INT32_MAX, "xyz", white);
	is_int(count_painted(&image), 30 * 20, "everything is painted over");
	fr_image_destroy(&image);
}

static void
test_text(void)
{
	static const uint8_t white[3] = {255, 255, 255};
	int width, height, blank = 0;
	FrImage image;
	FrError error = {0};

	fr_image_text_size(2, "Zo\xc3\xab", &width, &height);
	ok(width == 3 * 12 && height == 24, "size of three letters");
	fr_image_text_size(1, "e\xcc\x81\xff", &width, &height);
	is_int(width, 2 * 6, "a combining mark takes no room, a bad byte does");
	fr_image_text_size(INT32_MAX, "wide", &width, &height);
	ok(width == INT32_MAX && height == INT32_MAX, "sizes do not overflow");
	fr_image_create(12, 24, &fr_allocator_malloc, &image, &error);
	for (int letter = '!'; letter < 0x7f; letter++)
	{
		const char text[2] = {(char) letter, 0};

		memset(image.pixels, 0, 12 * 24 * 3);
		fr_image_draw_text(&image, 0, 0, 2, text, white);
		/* Four pixels per font pixel, and room to both neighbours. */
		blank += count_painted(&image) == 0 || count_painted(&image) % 4 != 0;
	}
	is_int(blank, 0, "every ASCII character is drawn");
	memset(image.pixels, 0, 12 * 24 * 3);
	fr_image_draw_text(&image, 0, 0, 1, "\xc3\xa9", white);

	const int composed = count_painted(&image);

	memset(image.pixels, 0, 12 * 24 * 3);
	fr_image_draw_text(&image, 0, 0, 1, "e\xcc\x81", white);
	is_int(count_painted(&image), composed, "composed and combining agree");
	fr_image_destroy(&image);
}

/* ---- writing JPEG ------------------------------------------------------- */

static void
test_encode_round_trip(void)
{
	static const int sizes[][2] = {{1, 1}, {9, 7}, {200, 150}, {640, 400}};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
	{
		const int width = sizes[i][0], height = sizes[i][1];
		FrImage source, image;
		FrError error = {0};
		uint8_t *bytes;
		size_t size_bytes;
		double sum = 0;

		fr_image_create(width, height, &fr_allocator_malloc, &source, &error);
		for (int p = 0; p < width * height * 3; p++)
			source.pixels[p] =
				(uint8_t) (127.5 + 60 * sin(p / 3 % width / 20.0) +
						   60 * cos(p / 3 / width / 15.0) + 2 * (p % 3));
		is_status(fr_image_encode_jpeg(&source, 95, NULL, &fr_allocator_malloc,
									   &bytes, &size_bytes, &error),
				  FR_OK, &error, "encode %d x %d", width, height);
		is_status(fr_image_decode(bytes, size_bytes, &whole,
								  &fr_allocator_malloc, &image, &error),
				  FR_OK, &error, "decode it again");
		for (int p = 0; p < width * height * 3; p++)
			sum += abs(source.pixels[p] - image.pixels[p]);
		ok(sum / (width * height * 3) < 2, "it comes back alike");
		free(bytes);
		fr_image_destroy(&image);
		fr_image_destroy(&source);
	}
}

static void
test_encode_failures(void)
{
	FrImage source = make_picture(300, 200);
	uint8_t *bytes;
	size_t size_bytes;
	FrError error = {0};
	FrStatus status = FR_ERR_NOMEM;
	long leaked = 0;

	/* Noise, so that the output outgrows its first buffer. */
	for (int p = 0; p < 300 * 200 * 3; p++)
		source.pixels[p] = (uint8_t) (p * 2654435761u >> 13);
	is_status(fr_image_encode_jpeg(&source, 0, NULL, &fr_allocator_malloc,
								   &bytes, &size_bytes, &error),
			  FR_ERR_ARGUMENT, &error, "quality 0");
	for (long fail_at = 1; status == FR_ERR_NOMEM; fail_at++)
	{
		TestMemory memory = {.fail_at = fail_at};
		const FrAllocator allocator = test_allocator(&memory);

		status = fr_image_encode_jpeg(&source, 100, NULL, &allocator, &bytes,
									  &size_bytes, &error);
		if (bytes)
			test_release(&memory, bytes);
		leaked += memory.live;
	}
	is_status(status, FR_OK, &error, "encode succeeds at last");
	ok(size_bytes > 64 * 1024, "into more than one buffer");
	is_int(leaked, 0, "encode without memory leaks nothing");
	fr_image_destroy(&source);
}

int
main(void)
{
	test_resize_equals_the_definition();
	test_resize_keeps_a_constant();
	test_resize_failures();
	test_warp_of_known_transforms();
	test_warp_of_any_transform();
	test_golden_crops();
	test_crop();
	test_regions();
	test_draw_is_clipped();
	test_text();
	test_encode_round_trip();
	test_encode_failures();
	return tap_done();
}
