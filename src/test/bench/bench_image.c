/*
 * bench_image.c: decoding, resizing and warping; one line per case.
 *
 * Pictures are made here (a smooth scene with noise, JPEG quality 85), so
 * that no files are needed.  Prints the best of several runs in ms and the
 * source pixels per second.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/image/image.h"

#define RUNS 5

typedef struct Bench
{
	FrImage picture;
	uint8_t *bytes;
	size_t size_bytes;
} Bench;

static double
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec * 1e3 + (double) now.tv_nsec / 1e6;
}

static void
check(FrStatus status, const FrError *error)
{
	if (status == FR_OK)
		return;
	fprintf(stderr, "%s\n", error->message);
	exit(1);
}

static void
report(const char *name, const FrImage *source, double best_ms)
{
	const double megapixels = source->width * (double) source->height / 1e6;

	printf("%-24s %5d x %-5d %9.2f ms %9.1f MP/s\n", name, source->width,
		   source->height, best_ms, megapixels / best_ms * 1e3);
}

static void
make_picture(Bench *bench, int width, int height)
{
	FrError error;
	uint32_t random = 1;

	check(fr_image_create(width, height, &fr_allocator_malloc, &bench->picture,
						  &error),
		  &error);
	for (int y = 0; y < height; y++)
	{
		uint8_t *row = bench->picture.pixels + (size_t) y * (size_t) width * 3;
		const double vertical = 60 * sin(y / 90.0);

		for (int x = 0; x < width * 3; x++)
		{
			random = random * 1664525u + 1013904223u;
			row[x] = (uint8_t) (128 + vertical + (x / 3 % 256 - 128) / 4 +
								(int) (random >> 28));
		}
	}
	check(fr_image_encode_jpeg(&bench->picture, 85, NULL, &fr_allocator_malloc,
							   &bench->bytes, &bench->size_bytes, &error),
		  &error);
}

static void
bench_decode(const Bench *bench, int reduction)
{
	const FrDecodeOptions options = {.max_pixels = 100000000,
									 .reduction = reduction};
	double best = INFINITY;
	char name[32];

	for (int run = 0; run < RUNS; run++)
	{
		FrImage image;
		FrError error;
		const double start = now_ms();

		check(fr_image_decode(bench->bytes, bench->size_bytes, &options,
							  &fr_allocator_malloc, &image, &error),
			  &error);
		best = fmin(best, now_ms() - start);
		fr_image_destroy(&image);
	}
	snprintf(name, sizeof name, "decode JPEG 1/%d", reduction);
	report(name, &bench->picture, best);
}

static void
bench_region(const Bench *bench)
{
	const int x = bench->picture.width / 2, y = bench->picture.height / 2;
	const FrDecodeOptions options = {
		.max_pixels = 100000000,
		.reduction = 1,
		.has_region = true,
		.region = {x, y, x + 300, y + 300},
	};
	double best = INFINITY;

	for (int run = 0; run < RUNS; run++)
	{
		FrImage image;
		FrError error;
		const double start = now_ms();

		check(fr_image_decode(bench->bytes, bench->size_bytes, &options,
							  &fr_allocator_malloc, &image, &error),
			  &error);
		best = fmin(best, now_ms() - start);
		fr_image_destroy(&image);
	}
	report("decode 300 x 300 region", &bench->picture, best);
}

static void
bench_resize(const Bench *bench, int longest)
{
	const FrImage *source = &bench->picture;
	const int height = longest * source->height / source->width;
	double best = INFINITY;
	char name[32];

	for (int run = 0; run < RUNS; run++)
	{
		FrImage image;
		FrError error;
		const double start = now_ms();

		check(fr_image_resize(source, longest, height, NULL,
							  &fr_allocator_malloc, &image, &error),
			  &error);
		best = fmin(best, now_ms() - start);
		fr_image_destroy(&image);
	}
	snprintf(name, sizeof name, "resize to %d", longest);
	report(name, source, best);
}

static void
bench_warp(const Bench *bench)
{
	const FrSimilarity transform = {0.62, -0.05, -25, -168};
	double best = INFINITY;

	for (int run = 0; run < RUNS; run++)
	{
		FrImage image;
		FrError error;
		const double start = now_ms();

		check(fr_image_warp(&bench->picture, &transform, 112, 112,
							&fr_allocator_malloc, &image, &error),
			  &error);
		best = fmin(best, now_ms() - start);
		if (run == RUNS - 1)
			report("warp to a crop", &image, best);
		fr_image_destroy(&image);
	}
}

static void
bench_encode(const Bench *bench)
{
	double best = INFINITY;

	for (int run = 0; run < RUNS; run++)
	{
		uint8_t *bytes;
		size_t size_bytes;
		FrError error;
		const double start = now_ms();

		check(fr_image_encode_jpeg(&bench->picture, 85, NULL,
								   &fr_allocator_malloc, &bytes, &size_bytes,
								   &error),
			  &error);
		best = fmin(best, now_ms() - start);
		free(bytes);
	}
	report("encode JPEG", &bench->picture, best);
}

int
main(void)
{
	static const int sizes[][2] = {{1600, 1200}, {4000, 3000}};

	for (int i = 0; i < 2; i++)
	{
		Bench bench;

		make_picture(&bench, sizes[i][0], sizes[i][1]);
		for (int reduction = 1; reduction <= 8; reduction *= 2)
			bench_decode(&bench, reduction);
		bench_region(&bench);
		bench_resize(&bench, 1280);
		bench_resize(&bench, 640);
		bench_warp(&bench);
		bench_encode(&bench);
		free(bench.bytes);
		fr_image_destroy(&bench.picture);
	}
	return 0;
}
