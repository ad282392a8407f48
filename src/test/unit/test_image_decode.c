/*
 * test_image_decode.c: reading files: golden pixels, damage, limits, memory.
 *
 * Golden hashes come from OpenCV: pixels.tsv beside the fixture images, and
 * golden.json of the shared test photos where they are present.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/image/image.h"
#include "test/unit/sha256.h"
#include "test/unit/tap.h"

#define FIXTURES   "sql_tests/data/images/"
#define MAX_PIXELS ((size_t) 100000000)

typedef struct File
{
	uint8_t *bytes;
	size_t size_bytes;
} File;

static const FrDecodeOptions whole = {.max_pixels = MAX_PIXELS, .reduction = 1};

static File
load(const char *path)
{
	File file;

	file.bytes = read_file(path, &file.size_bytes);
	return file;
}

static File
load_fixture(const char *name)
{
	char path[256];

	snprintf(path, sizeof path, FIXTURES "%s", name);
	return load(path);
}

static FrStatus
decode(const File *file, FrImage *image, FrError *error)
{
	return fr_image_decode(file->bytes, file->size_bytes, &whole,
						   &fr_allocator_malloc, image, error);
}

static void
swap_red_and_blue(FrImage *image)
{
	uint8_t *pixel = image->pixels;

	for (size_t i = 0; i < (size_t) image->width * (size_t) image->height; i++)
	{
		const uint8_t red = pixel[3 * i];

		pixel[3 * i] = pixel[3 * i + 2];
		pixel[3 * i + 2] = red;
	}
}

static bool
has_hash(const FrImage *image, const char *want)
{
	char hex[65];

	sha256_hex(image->pixels,
			   (size_t) image->width * (size_t) image->height * 3, hex);
	return memcmp(hex, want, 64) == 0;
}

/* ---- golden pixels ------------------------------------------------------ */

static void
test_sha256(void)
{
	char hex[65];

	sha256_hex("abc", 3, hex);
	ok(strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f2"
				   "0015ad") == 0,
	   "SHA-256 of abc");
}

static void
test_fixture_pixels(void)
{
	File list = load_fixture("pixels.tsv");
	char name[64], hash[65];
	int width, height, used;

	if (!ok(list.bytes != NULL, "pixels.tsv is there"))
		return;

	char *text = calloc(list.size_bytes + 1, 1);

	memcpy(text, list.bytes, list.size_bytes);
	for (const char *line = text; sscanf(line, "%63s %d %d %64s\n%n", name,
										 &width, &height, hash, &used) == 4;
		 line += used)
	{
		File file = load_fixture(name);
		FrImage image;
		FrImageInfo info;
		FrError error = {0};

		is_status(
			fr_image_read_info(file.bytes, file.size_bytes, &info, &error),
			FR_OK, &error, "%s: header", name);
		is_status(decode(&file, &image, &error), FR_OK, &error, "%s: decode",
				  name);
		ok(info.width == width && info.height == height &&
			   image.width == width && image.height == height,
		   "%s: %d x %d", name, width, height);
		ok(image.pixels && has_hash(&image, hash), "%s: pixels of OpenCV",
		   name);
		fr_image_destroy(&image);
		free(file.bytes);
	}
	free(text);
	free(list.bytes);
}

static void
check_photo(const char *name, const char *want_hash)
{
	char relative[256];
	FrImage image;
	FrError error = {0};

	snprintf(relative, sizeof relative, "photos/%s", name);

	File file = load(testdata_path(relative));

	if (fr_image_sniff(file.bytes, file.size_bytes) == FR_IMAGE_WEBP)
		is_status(decode(&file, &image, &error), FR_ERR_UNSUPPORTED, &error,
				  "%s is WebP, whatever its name", name);
	else if (ok(decode(&file, &image, &error) == FR_OK, "%s: decode", name))
	{
		swap_red_and_blue(&image);
		ok(has_hash(&image, want_hash), "%s: golden pixels", name);
	}
	fr_image_destroy(&image);
	free(file.bytes);
}

static void
test_golden_photos(void)
{
	static const char key[] = "\"pixels_bgr_sha256\":\"";
	File golden = load(testdata_path("photos/golden.json"));

	if (!golden.bytes)
	{
		skip("golden photos", "test data folder is absent");
		return;
	}

	char *text = calloc(golden.size_bytes + 1, 1);
	const char *cursor = text;

	/* A photo is an object that starts with its own sha256. */
	memcpy(text, golden.bytes, golden.size_bytes);
	while ((cursor = strstr(cursor, "\"sha256\":")) != NULL)
	{
		const char *end = cursor;
		char name[128];
		const char *hash = strstr(cursor, key);

		while (*end != '{')
			end--;
		while (*end != '"')
			end--;

		const char *start = end - 1;

		while (*start != '"')
			start--;
		snprintf(name, sizeof name, "%.*s", (int) (end - start - 1), start + 1);
		if (hash)
			check_photo(name, hash + sizeof key - 1);
		cursor++;
	}
	free(text);
	free(golden.bytes);
}

/* ---- header and orientation --------------------------------------------- */

static void
test_info(void)
{
	static const struct
	{
		const char *name;
		int width, height, orientation, components, bit_depth;
		bool is_progressive;
	} cases[] = {
		{"waves-420.jpg", 61, 43, 1, 3, 8, false},
		{"waves-progressive.jpg", 61, 43, 1, 3, 8, true},
		{"waves-gray.jpg", 61, 43, 1, 1, 8, false},
		{"cmyk-adobe.jpg", 61, 43, 1, 4, 8, false},
		{"orientation-6.jpg", 48, 32, 6, 3, 8, false},
		{"orientation-6.png", 48, 32, 6, 3, 8, false},
		{"rgb-16.png", 61, 43, 1, 3, 16, false},
		{"rgba.png", 61, 43, 1, 4, 8, false},
		{"gray-1.png", 61, 43, 1, 1, 1, false},
		{"interlaced.png", 61, 43, 1, 3, 8, true},
		{"png-named.jpg", 61, 43, 1, 3, 8, false},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		File file = load_fixture(cases[i].name);
		FrImageInfo info;
		FrError error = {0};

		fr_image_read_info(file.bytes, file.size_bytes, &info, &error);
		ok(info.width == cases[i].width && info.height == cases[i].height &&
			   info.orientation == cases[i].orientation &&
			   info.components == cases[i].components &&
			   info.bit_depth == cases[i].bit_depth &&
			   info.is_progressive == cases[i].is_progressive,
		   "%s: what the header says", cases[i].name);
		free(file.bytes);
	}
}

static void
test_orientations(void)
{
	static const uint8_t corners[4][3] = {
		{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {255, 255, 0}};

	for (int orientation = 1; orientation <= 8; orientation++)
	{
		char name[32];
		FrImage image;
		FrError error = {0};
		int worst = 255;

		snprintf(name, sizeof name, "orientation-%d.jpg", orientation);

		File file = load_fixture(name);

		if (decode(&file, &image, &error) == FR_OK)
		{
			worst = 0;
			for (int i = 0; i < 4; i++)
				for (int c = 0; c < 3; c++)
				{
					const int x = i % 2 ? image.width - 3 : 2;
					const int y = i / 2 ? image.height - 3 : 2;
					const int off =
						abs(fr_image_row(&image, y)[x * 3 + c] - corners[i][c]);

					worst = off > worst ? off : worst;
				}
		}
		ok(image.width == 48 && image.height == 32 && worst <= 12,
		   "%s is upright", name);
		fr_image_destroy(&image);
		free(file.bytes);
	}
}

/* ---- bad input ---------------------------------------------------------- */

/* Decode the first size_bytes of a file from memory of just that size. */
static FrStatus
decode_prefix(const File *file, size_t size_bytes, FrError *error)
{
	File prefix = {malloc(size_bytes ? size_bytes : 1), size_bytes};
	FrImage image;
	FrImageInfo info;

	memcpy(prefix.bytes, file->bytes, size_bytes);
	fr_image_read_info(prefix.bytes, prefix.size_bytes, &info, error);

	FrStatus status = decode(&prefix, &image, error);

	fr_image_destroy(&image);
	free(prefix.bytes);
	return status;
}

static void
test_truncation_is_corrupt_at_every_byte(void)
{
	static const char *const names[] = {
		"waves-420.jpg",  "waves-progressive.jpg",
		"cmyk-adobe.jpg", "orientation-6.jpg",
		"rgba.png",		  "interlaced.png",
		"palette-2.png"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
	{
		File file = load_fixture(names[i]);
		FrError error = {0};
		size_t size = 0;

		while (size < file.size_bytes &&
			   decode_prefix(&file, size, &error) == FR_ERR_CORRUPT)
			size++;
		is_int(size, file.size_bytes, "%s is corrupt when cut anywhere",
			   names[i]);
		is_status(decode_prefix(&file, size, &error), FR_OK, &error,
				  "%s whole is good", names[i]);
		free(file.bytes);
	}
}

static void
test_bytes_after_the_end_are_ignored(void)
{
	static const char *const names[] = {"waves-420.jpg", "rgb.png"};

	for (size_t i = 0; i < 2; i++)
	{
		File file = load_fixture(names[i]);
		File longer = {malloc(file.size_bytes + 1000), file.size_bytes + 1000};
		FrImage image;
		FrError error = {0};

		memcpy(longer.bytes, file.bytes, file.size_bytes);
		memset(longer.bytes + file.size_bytes, 0xa5, 1000);
		is_status(decode(&longer, &image, &error), FR_OK, &error,
				  "%s with bytes after its end", names[i]);
		fr_image_destroy(&image);
		free(longer.bytes);
		free(file.bytes);
	}
}

static uint32_t
next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Damage never crashes and never leaks; most of it is noticed. */
static void
test_random_damage(void)
{
	static const char *const names[] = {"waves-progressive.jpg", "ycck.jpg",
										"orientation-7.jpg", "palette.png",
										"interlaced.png"};
	uint32_t random = 1;
	TestMemory memory = {0};
	const FrAllocator allocator = test_allocator(&memory);
	int strange = 0;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
	{
		File file = load_fixture(names[i]);

		for (int round = 0; round < 300; round++)
		{
			uint8_t *damaged = malloc(file.size_bytes);
			FrDecodeOptions options = whole;
			FrImage image;
			FrError error = {0};

			memcpy(damaged, file.bytes, file.size_bytes);
			for (uint32_t n = next_random(&random) % 4 + 1; n > 0; n--)
				damaged[next_random(&random) % file.size_bytes] =
					(uint8_t) next_random(&random);
			options.max_pixels = 1000000;
			options.reduction = 1 << next_random(&random) % 4;

			FrStatus status = fr_image_decode(
				damaged, file.size_bytes, &options, &allocator, &image, &error);

			strange += status == FR_ERR_BUG || status == FR_ERR_NOMEM ||
					   (status == FR_OK) != (image.pixels != NULL);
			fr_image_destroy(&image);
			free(damaged);
		}
		free(file.bytes);
	}
	is_int(strange, 0, "random damage gives pixels or an error");
	is_int(memory.live, 0, "random damage leaks nothing");
}

static void
test_not_pictures(void)
{
	uint8_t noise[256];
	uint32_t random = 7;
	FrImage image;
	FrError error = {0};
	int refused = 0;

	is_status(
		fr_image_decode(NULL, 0, &whole, &fr_allocator_malloc, &image, &error),
		FR_ERR_CORRUPT, &error, "no bytes");
	ok(strcmp(error.message, "The image is empty (0 bytes).") == 0,
	   "no bytes: message");
	for (int round = 0; round < 200; round++)
	{
		for (size_t i = 0; i < sizeof noise; i++)
			noise[i] = (uint8_t) next_random(&random);
		/* Every other round starts like a JPEG or a PNG. */
		if (round % 2)
			memcpy(noise, round % 4 == 1 ? "\xff\xd8\xff" : "\x89PNG\r\n\x1a\n",
				   round % 4 == 1 ? 3 : 8);
		refused +=
			fr_image_decode(noise, sizeof noise, &whole, &fr_allocator_malloc,
							&image, &error) != FR_OK;
	}
	is_int(refused, 200, "random bytes are refused");
}

static void
test_other_formats_are_named(void)
{
	static const struct
	{
		const char *name;
		FrImageFormat format;
	} files[] = {{"small.gif", FR_IMAGE_GIF},
				 {"small.bmp", FR_IMAGE_BMP},
				 {"small.tiff", FR_IMAGE_TIFF},
				 {"small.webp", FR_IMAGE_WEBP}};
	FrImage image;
	FrError error = {0};

	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
	{
		File file = load_fixture(files[i].name);

		is_int(fr_image_sniff(file.bytes, file.size_bytes), files[i].format,
			   "%s is recognised", files[i].name);
		is_status(decode(&file, &image, &error), FR_ERR_UNSUPPORTED, &error,
				  "%s is not decoded", files[i].name);
		ok(strstr(error.message, fr_image_format_name(files[i].format)) != NULL,
		   "%s is named", files[i].name);
		free(file.bytes);
	}
	is_int(fr_image_sniff("\0\0\0\x18"
						  "ftypmif1\0\0\0\0mif1avif",
						  24),
		   FR_IMAGE_AVIF, "AVIF by a compatible brand");
	is_int(fr_image_sniff("\0\0\0\x18"
						  "ftypheic\0\0\0\0mif1heic",
						  24),
		   FR_IMAGE_HEIC, "HEIC");
	is_int(fr_image_sniff("\0\0\0\x14"
						  "ftypqt  \0\0\0\0qt  ",
						  20),
		   FR_IMAGE_UNKNOWN, "a movie is no picture");
	is_int(fr_image_sniff("\xff\x0a\0\0", 4), FR_IMAGE_JPEG_XL, "JPEG XL");
	is_int(fr_image_sniff("\xff\x4f\xff\x51", 4), FR_IMAGE_JPEG_2000,
		   "JPEG 2000");
	is_int(fr_image_sniff("BM is a text", 12), FR_IMAGE_UNKNOWN,
		   "BM alone is no BMP");
}

/* Limits are checked before the allocator is asked for pixels. */
static void
test_limits(void)
{
	static const struct
	{
		const char *name;
		FrStatus status;
	} cases[] = {
		{"huge-header.jpg", FR_ERR_LIMIT},
		{"twelve-bit.jpg", FR_ERR_UNSUPPORTED},
		{"bomb.png", FR_ERR_LIMIT},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		File file = load_fixture(cases[i].name);
		TestMemory memory = {0};
		const FrAllocator allocator = test_allocator(&memory);
		FrImage image;
		FrError error = {0};

		is_status(fr_image_decode(file.bytes, file.size_bytes, &whole,
								  &allocator, &image, &error),
				  cases[i].status, &error, "%s", cases[i].name);
		diag("%s", error.message);
		ok(memory.live == 0 && memory.requests < 40,
		   "%s: refused before memory is taken", cases[i].name);
		free(file.bytes);
	}
}

static void
test_crc_error_is_corrupt(void)
{
	File file = load_fixture("rgb.png");
	FrImage image;
	FrError error = {0};

	file.bytes[file.size_bytes - 1] ^= 1; /* of IEND */
	is_status(decode(&file, &image, &error), FR_ERR_CORRUPT, &error,
			  "wrong CRC of the last chunk");
	file.bytes[file.size_bytes - 1] ^= 1;
	file.bytes[file.size_bytes - 20] ^= 1; /* inside IDAT */
	is_status(decode(&file, &image, &error), FR_ERR_CORRUPT, &error,
			  "wrong byte in the pixels");
	free(file.bytes);
}

static void
test_arguments(void)
{
	File file = load_fixture("waves-420.jpg");
	FrDecodeOptions options = whole;
	FrImage image;
	FrError error = {0};

	options.reduction = 3;
	is_status(fr_image_decode(file.bytes, file.size_bytes, &options,
							  &fr_allocator_malloc, &image, &error),
			  FR_ERR_ARGUMENT, &error, "reduction 3");
	options = whole;
	options.has_region = true;
	options.region = (FrImageRect){61, 0, 70, 10};
	is_status(fr_image_decode(file.bytes, file.size_bytes, &options,
							  &fr_allocator_malloc, &image, &error),
			  FR_ERR_ARGUMENT, &error, "region outside the picture");
	options = whole;
	options.max_pixels = 61 * 43;
	is_status(fr_image_decode(file.bytes, file.size_bytes, &options,
							  &fr_allocator_malloc, &image, &error),
			  FR_OK, &error, "as many pixels as allowed");
	fr_image_destroy(&image);
	options.max_pixels = 61 * 43 - 1;
	is_status(fr_image_decode(file.bytes, file.size_bytes, &options,
							  &fr_allocator_malloc, &image, &error),
			  FR_ERR_LIMIT, &error, "one pixel too many");
	free(file.bytes);
}

/* ---- memory and cancellation -------------------------------------------- */

static void
test_allocation_failure_at_every_request(void)
{
	static const char *const names[] = {
		"waves-420.jpg",  "waves-progressive.jpg",
		"cmyk-adobe.jpg", "orientation-6.jpg",
		"rgba.png",		  "interlaced.png"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
	{
		File file = load_fixture(names[i]);
		FrDecodeOptions options = whole;
		FrStatus status = FR_ERR_NOMEM;
		FrError error = {0};
		long leaked = 0, fail_at;

		options.reduction = i % 2 ? 2 : 1;
		for (fail_at = 1; status == FR_ERR_NOMEM && fail_at < 1000; fail_at++)
		{
			TestMemory memory = {.fail_at = fail_at};
			const FrAllocator allocator = test_allocator(&memory);
			FrImage image;

			status = fr_image_decode(file.bytes, file.size_bytes, &options,
									 &allocator, &image, &error);
			fr_image_destroy(&image);
			leaked += memory.live;
		}
		is_status(status, FR_OK, &error,
				  "%s: the first %ld requests failing are NOMEM", names[i],
				  fail_at - 2);
		is_int(leaked, 0, "%s: nothing leaks", names[i]);
		free(file.bytes);
	}
}

typedef struct Countdown
{
	long left; /* polls until it cancels */
	long polls;
} Countdown;

static bool
count_down(void *context)
{
	Countdown *countdown = context;

	countdown->polls++;
	return countdown->left-- <= 0;
}

static void
test_cancel_at_every_poll(void)
{
	static const char *const names[] = {
		"waves-420.jpg", "waves-progressive.jpg", "rgb.png", "interlaced.png"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
	{
		File file = load_fixture(names[i]);
		FrStatus status = FR_ERR_CANCELLED;
		FrError error = {0};
		long leaked = 0, polls;

		for (polls = 0; status == FR_ERR_CANCELLED && polls < 10000; polls++)
		{
			Countdown countdown = {.left = polls};
			TestMemory memory = {0};
			const FrAllocator allocator = test_allocator(&memory);
			FrDecodeOptions options = whole;
			FrImage image;

			options.cancel = (FrCancel){count_down, &countdown};
			status = fr_image_decode(file.bytes, file.size_bytes, &options,
									 &allocator, &image, &error);
			fr_image_destroy(&image);
			leaked += memory.live;
		}
		ok(status == FR_OK && polls > 40 && leaked == 0,
		   "%s: cancelled at each of %ld polls", names[i], polls - 1);
		free(file.bytes);
	}
}

int
main(void)
{
	test_sha256();
	test_fixture_pixels();
	test_golden_photos();
	test_info();
	test_orientations();
	test_truncation_is_corrupt_at_every_byte();
	test_bytes_after_the_end_are_ignored();
	test_random_damage();
	test_not_pictures();
	test_other_formats_are_named();
	test_limits();
	test_crc_error_is_corrupt();
	test_arguments();
	test_allocation_failure_at_every_request();
	test_cancel_at_every_poll();
	return tap_done();
}
