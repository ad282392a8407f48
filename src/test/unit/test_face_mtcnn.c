/*
 * test_face_mtcnn.c: the arithmetic of the cascade by hand, crops against
 * plain averages, and the whole, with the real networks, against an
 * implementation in numpy and OpenCV (golden/make_mtcnn.py).
 */
#include "core/face/detect.h"
#include "core/face/mtcnn.h"
#include "core/face/mtcnn_crop.h"
#include "core/face/nms.h"
#include "core/face/pipeline.h"
#include "core/onnx/import.h"
#include "test/unit/json.h"
#include "test/unit/onnx_build.h"
#include "test/unit/tap.h"

#if defined(__SANITIZE_ADDRESS__)
#define MAX_PIXELS	 100000.0
#define FAILURE_STEP 31
#else
#define MAX_PIXELS	 1e9
#define FAILURE_STEP 1
#endif
#define SMALL_PIXELS 80000.0

/* ---- windows ------------------------------------------------------------- */

static void
test_windows_by_hand(void)
{
	/* in the original's terms: x1 = 11, x2 = 30, y1 = 21, y2 = 60 */
	FrWindowBox window = {10,	   20, 30, 60, 0.9f, {0.1f, 0, -0.1f, 0.5f},
						  {{0, 0}}};
	FrWindows windows = {1, &window};

	fr_windows_regress(&windows, true);
	ok_near(window.x0, 10 + 1.9, 1e-6, "first stage: 0.1 of x2 - x1 = 19");
	ok_near(window.x1, 30 - 1.9, 1e-6, "right side likewise");
	ok_near(window.y1, 60 + 19.5, 1e-6, "0.5 of y2 - y1 = 39");
	window =
		(FrWindowBox){10, 20, 30, 60, 0.9f, {0.1f, 0, -0.1f, 0.5f}, {{0, 0}}};
	fr_windows_regress(&windows, false);
	ok_near(window.x0, 12, 1e-6, "later: 0.1 of x2 - x1 + 1 = 20");
	ok_near(window.y1, 80, 1e-6, "0.5 of 40");

	window = (FrWindowBox){10, 20, 30, 60, 0.9f, {0}, {{0, 0}}};
	fr_windows_square(&windows);
	/* x1 = 11 + 19 / 2 - 39 / 2 = 1, x2 = 1 + 39 = 40 */
	ok_near(window.x0, 0, 1e-9, "squared: left");
	ok_near(window.x1, 40, 1e-9, "squared: right");
	ok_near(window.y0, 20, 1e-9, "the longer side stays");
	ok_near(window.y1, 60, 1e-9, "at both ends");

	/* x1 = -2.5 becomes -2, x2 = 7.9 becomes 7 */
	window = (FrWindowBox){-3.5, 0.2, 7.9, 9, 0.9f, {0}, {{0, 0}}};
	fr_windows_truncate(&windows);
	ok_near(window.x0, -3, 0, "towards zero, counted from 1");
	ok_near(window.x1, 7, 0, "the last pixel, too");
	ok_near(window.y0, 0, 0, "y1 = 1.2 becomes 1");
}

static void
test_suppression(void)
{
	FrWindowBox boxes[] = {
		{0, 0, 10, 10, 0.5f, {0}, {{0, 0}}},
		{0, 0, 10, 6, 0.9f, {0}, {{0, 0}}},
		{2, 2, 5, 5, 0.4f, {0}, {{0, 0}}},
		{20, 0, 30, 10, 0.3f, {0}, {{0, 0}}},
		{20, 0, 30, 9.9, 0.3f, {0}, {{0, 0}}},
	};
	FrWindows windows = {5, boxes};
	FrArena arena;
	FrError error = {0};

	fr_arena_init(&arena, &fr_allocator_malloc);
	is_status(fr_windows_suppress(&windows, 0.6, false, NULL, &arena, &error),
			  FR_OK, &error, "union");
	is_int(windows.count, 4, "an overlap of exactly 0.6 stays, 0.99 does not");
	ok(windows.windows[0].score == 0.9f && windows.windows[3].y1 == 10,
	   "best first, of equals the earlier");
	windows = (FrWindows){5, boxes};
	is_status(fr_windows_suppress(&windows, 0.6, true, NULL, &arena, &error),
			  FR_OK, &error, "smaller");
	is_int(windows.count, 2, "what lies inside another goes");
	windows = (FrWindows){0, NULL};
	is_status(fr_windows_suppress(&windows, 0.5, false, NULL, &arena, &error),
			  FR_OK, &error, "no windows");
	is_int(windows.count, 0, "stay none");
	fr_arena_fini(&arena);
}

static void
test_unusable_windows_are_dropped(void)
{
	static const float bad[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f};
	int kept = 0;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
	{
		for (int side = 0; side < 4; side++)
		{
			FrWindowBox window = {10, 20, 30, 60, 0.9f, {0}, {{0, 0}}};
			FrWindows windows = {1, &window};

			window.shift[side] = bad[i];
			fr_windows_regress(&windows, side % 2 == 0);
			kept += windows.count;
		}
	}
	is_int(kept, 0, "shifts that are not finite or absurd");

	FrWindowBox window = {10, 20, 30, 60, 0.9f, {0, 0, -0.97f, 0}, {{0, 0}}};
	FrWindows windows = {1, &window};

	fr_windows_regress(&windows, false);
	is_int(windows.count, 0, "a window of less than a pixel");
}

/* ---- crops --------------------------------------------------------------- */

/* What the window's pixel (x, y) holds. */
static double
pixel_at(const FrImage *image, const FrWindowBox *window, int x, int y, int c)
{
	int px = (int) window->x0 + x, py = (int) window->y0 + y;

	if (px < 0 || py < 0 || px >= image->width || py >= image->height)
		return 0;
	return fr_image_row(image, py)[px * 3 + c];
}

/* The mean of one cell, by the integral over each pixel. */
static double
cell_mean(const FrImage *image, const FrWindowBox *window, int side, int cx,
		  int cy, int c)
{
	double width = window->x1 - window->x0, height = window->y1 - window->y0;
	double sum = 0;

	for (int y = 0; y < (int) height; y++)
	{
		double dy =
			fmin(y + 1, (cy + 1) * height / side) - fmax(y, cy * height / side);

		for (int x = 0; x < (int) width && dy > 0; x++)
		{
			double dx = fmin(x + 1, (cx + 1) * width / side) -
						fmax(x, cx * width / side);

			if (dx > 0)
				sum += dx * dy * pixel_at(image, window, x, y, c);
		}
	}
	return sum * side * side / width / height;
}

static void
test_crops_are_averages(void)
{
	static const FrWindowBox windows[] = {
		{3, 2, 27, 26, 1, {0}, {{0, 0}}},	  /* as large as the input */
		{0, 0, 40, 30, 1, {0}, {{0, 0}}},	  /* the whole picture */
		{-7, -9, 20, 17, 1, {0}, {{0, 0}}},	  /* over the upper left corner */
		{30, 20, 90, 81, 1, {0}, {{0, 0}}},	  /* over the lower right corner */
		{5, 5, 12, 13, 1, {0}, {{0, 0}}},	  /* enlarged */
		{-50, 0, -10, 40, 1, {0}, {{0, 0}}},  /* outside */
		{100, 90, 101, 91, 1, {0}, {{0, 0}}}, /* outside, one pixel */
	};
	enum
	{
		SIDE = 24
	};
	FrDescriptor descriptor;
	FrImage image;
	FrError error = {0};
	float planes[3 * SIDE * SIDE], sums[40 * 3];
	double worst = 0;

	fr_preset_find("mtcnn", &descriptor);
	if (fr_image_create(40, 30, &fr_allocator_malloc, &image, &error) != FR_OK)
		exit(1);
	for (int i = 0; i < 40 * 30 * 3; i++)
		image.pixels[i] = (uint8_t) ((i * 2654435761u) >> 24);
	for (size_t w = 0; w < sizeof windows / sizeof *windows; w++)
	{
		FrStatus status = fr_mtcnn_crop(&image, &windows[w], &descriptor, SIDE,
										sums, NULL, planes, &error);

		for (int i = 0; status == FR_OK && i < 3 * SIDE * SIDE; i++)
		{
			int c = i / (SIDE * SIDE), y = i / SIDE % SIDE, x = i % SIDE;
			double want =
				(cell_mean(&image, &windows[w], SIDE, x, y, c) - 127.5) / 128;

			worst = fmax(worst, fabs((double) planes[i] - want));
		}
		is_status(status, FR_OK, &error, "crop %zu", w);
	}
	ok(worst < 1e-5, "cells are the means of what they cover (%.2g)", worst);
	fr_image_destroy(&image);
}

/* Beside the picture there is nothing to average, but to poll. */
static void
test_crops_outside_are_polled(void)
{
	static const FrWindowBox windows[] = {
		{0, 40, 40, 80, 1, {0}, {{0, 0}}},
		{0, -80, 40, -40, 1, {0}, {{0, 0}}},
		{50, 0, 60, 10, 1, {0}, {{0, 0}}},
	};
	FrDescriptor descriptor;
	FrImage image;
	FrError error = {0};
	float planes[3 * 24 * 24], sums[40 * 3];

	fr_preset_find("mtcnn", &descriptor);
	if (fr_image_create(40, 30, &fr_allocator_malloc, &image, &error) != FR_OK)
		exit(1);
	memset(image.pixels, 255, 40 * 30 * 3);
	for (size_t w = 0; w < sizeof windows / sizeof *windows; w++)
	{
		TestCancel countdown = {.cancel_at = 1};
		FrCancel cancel = test_cancel_at(&countdown);

		is_status(fr_mtcnn_crop(&image, &windows[w], &descriptor, 24, sums,
								&cancel, planes, &error),
				  FR_ERR_CANCELLED, &error, "window %zu outside: polled", w);
		is_status(fr_mtcnn_crop(&image, &windows[w], &descriptor, 24, sums,
								NULL, planes, &error),
				  FR_OK, &error, "window %zu outside: cut", w);
		ok_near(planes[3 * 24 * 24 - 1], -127.5 / 128, 1e-6, "and black");
	}
	fr_image_destroy(&image);
}

/* ---- networks ------------------------------------------------------------ */

typedef struct Networks
{
	unsigned char *bytes[3];
	FrNet *nets[3];
	FrDescriptor descriptor;
} Networks;

/* As the server has them: few plans are kept. */
#define CACHED_PLANS 32

/* Take over the bytes of network number i. */
static void
add_network(Networks *networks, int i, unsigned char *bytes, size_t size_bytes)
{
	FrNetOptions options = {.max_cached_plans = CACHED_PLANS};
	FrGraph graph;
	FrError error = {0};
	FrStatus status =
		fr_onnx_import(bytes, size_bytes, &fr_allocator_malloc, &graph, &error);

	networks->bytes[i] = bytes;
	if (status == FR_OK)
		status = fr_net_create(&graph, &options, &fr_allocator_malloc,
							   &networks->nets[i], &error);
	is_status(status, FR_OK, &error, "network %d is loaded", i);
	if (status != FR_OK)
		exit(1);
}

/* The networks whose files are named so, with p, r, o for the %s. */
static bool
load_networks(const char *format, Networks *networks)
{
	static const char *const names[] = {"p", "r", "o"};

	*networks = (Networks){0};
	fr_preset_find("mtcnn", &networks->descriptor);
	for (int i = 0; i < 3; i++)
	{
		char name[256];
		size_t size_bytes;
		unsigned char *bytes;

		snprintf(name, sizeof name, format, names[i]);
		bytes = read_file(name, &size_bytes);
		if (!bytes)
			return false;
		add_network(networks, i, bytes, size_bytes);
	}
	return true;
}

static void
free_networks(Networks *networks)
{
	for (int i = 0; i < 3; i++)
	{
		if (networks->nets[i])
			fr_net_destroy(networks->nets[i]);
		free(networks->bytes[i]);
	}
}

static FrDetector
detector_of(const Networks *networks, const FrDescriptor *descriptor)
{
	return (FrDetector){
		.descriptor = descriptor,
		.nets = {networks->nets[0], networks->nets[1], networks->nets[2]},
	};
}

static void
test_networks_are_checked(const Networks *networks)
{
	FrNet *mixed[3] = {networks->nets[0], networks->nets[2], networks->nets[1]};
	FrError error = {0};
	int dims = -1;

	is_status(fr_model_check(&networks->descriptor, networks->nets, 3, NULL,
							 &fr_allocator_malloc, &dims, &error),
			  FR_OK, &error, "P, R, O fit");
	is_int(dims, 0, "a detector has no dimensions");
	is_status(fr_model_check(&networks->descriptor, mixed, 3, NULL,
							 &fr_allocator_malloc, &dims, &error),
			  FR_ERR_MISMATCH, &error, "another order is refused");
	ok(strstr(error.message, "second (R)") != NULL, "by name: %s",
	   error.message);
	is_status(fr_model_check(&networks->descriptor, networks->nets, 2, NULL,
							 &fr_allocator_malloc, &dims, &error),
			  FR_ERR_MISMATCH, &error, "two networks are refused");

	FrDetector detector = detector_of(networks, &networks->descriptor);

	is_status(fr_detect_probe(&detector, NULL, &fr_allocator_malloc, &error),
			  FR_OK, &error, "the probe passes");
}

typedef struct Worst
{
	double iou, landmark, score;
	int photos, faces;
} Worst;

/* The face of ours that overlaps a golden one most. */
static void
compare_face(const FrFaces *faces, const Json *golden, Worst *worst)
{
	double best = 0;
	const FrFace *found = NULL;
	float box[4];

	for (int i = 0; i < 4; i++)
		box[i] = (float) json_number(json_at(json_get(golden, "box"), i));
	for (int i = 0; i < faces->count; i++)
	{
		const FrFace *face = &faces->faces[i];
		double iou = (double) fr_nms_iou(face->x0, face->y0, face->x1, face->y1,
										 box[0], box[1], box[2], box[3]);

		if (iou > best)
		{
			best = iou;
			found = face;
		}
	}
	worst->iou = fmin(worst->iou, best);
	worst->faces++;
	for (int k = 0; found && k < FR_LANDMARK_COUNT; k++)
	{
		const Json *points = json_get(golden, "landmarks");
		double distance = hypot((double) found->landmarks[k].x -
									json_number(json_at(points, 2 * k)),
								(double) found->landmarks[k].y -
									json_number(json_at(points, 2 * k + 1)));

		/* in units of the face, which may be 20 or 600 pixels wide */
		worst->landmark =
			fmax(worst->landmark, distance / (double) (box[2] - box[0]));
	}
	if (found)
		worst->score =
			fmax(worst->score, fabs((double) found->score -
									json_number(json_get(golden, "score"))));
}

static void
compare_photo(const Networks *networks, const Json *golden, Worst *worst)
{
	char name[256];
	size_t size_bytes;
	FrPhotoOptions options = {.max_pixels = 100000000};
	FrDescriptor descriptor = networks->descriptor;
	FrDetector detector = detector_of(networks, &descriptor);
	FrPhoto *photo = NULL;
	FrFaces faces;
	FrError error = {0};
	Worst own = {1, 0, 0, 0, 0};

	snprintf(name, sizeof name, "photos/%s", golden->name);

	unsigned char *bytes = read_file(testdata_path(name), &size_bytes);

	descriptor.detection_size = 0;
	if (!ok(bytes &&
				fr_photo_open(bytes, size_bytes, &options, &fr_allocator_malloc,
							  &photo, &error) == FR_OK,
			"%s: opened", golden->name))
		return;
	is_status(fr_photo_detect(photo, &detector, &faces, &error), FR_OK, &error,
			  "%s: detected", golden->name);
	is_int(faces.count, json_count(json_get(golden, "faces")),
		   "%s: as many faces", golden->name);
	for (const Json *g = json_get(golden, "faces")->first; g; g = g->next)
		compare_face(&faces, g, &own);
	diag("%s: %d faces, IoU %.4f, landmarks %.4f, score %.5f", golden->name,
		 own.faces, own.iou, own.landmark, own.score);
	worst->iou = fmin(worst->iou, own.iou);
	worst->landmark = fmax(worst->landmark, own.landmark);
	worst->score = fmax(worst->score, own.score);
	worst->faces += own.faces;
	worst->photos++;
	fr_faces_destroy(&faces);
	fr_photo_close(photo);
	free(bytes);
}

static void
test_photos_against_golden(const Networks *networks)
{
	size_t size_bytes;
	unsigned char *bytes = read_file("src/test/golden/mtcnn.json", &size_bytes);
	Json *golden = bytes ? json_parse(bytes, size_bytes) : NULL;
	double max_pixels =
		getenv("FACEREC_TEST_SMALL") ? SMALL_PIXELS : MAX_PIXELS;
	Worst worst = {1, 0, 0, 0, 0};

	if (!ok(golden != NULL, "golden/mtcnn.json is parsed"))
		exit(1);
	for (const Json *photo = golden->first; photo; photo = photo->next)
	{
		if (json_number(json_get(photo, "width")) *
				json_number(json_get(photo, "height")) <=
			max_pixels)
			compare_photo(networks, photo, &worst);
	}
	diag("%d photos, %d faces: IoU >= %.4f, landmarks within %.4f of the "
		 "face's width, scores within %.5f",
		 worst.photos, worst.faces, worst.iou, worst.landmark, worst.score);
	ok(worst.faces > 0, "there are faces");
	ok(worst.iou >= 0.99, "boxes: IoU at least 0.99");
	ok(worst.landmark <= 0.002, "landmarks: within 0.2 %% of the face's width");
	ok(worst.score <= 0.001, "scores: within 0.001");
	json_destroy(golden);
	free(bytes);
}

/* ---- memory and cancel --------------------------------------------------- */

static void
test_failures(const Networks *networks, const FrImage *image)
{
	FrDetector detector = detector_of(networks, &networks->descriptor);
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	TestCancel countdown = {0};
	FrCancel cancel = test_cancel_at(&countdown);
	FrError error = {0};
	FrFaces faces;
	int bad = 0;

	/* The plans are made once: they are not what is counted here. */
	is_status(fr_detect_run(&detector, image, 12, NULL, &fr_allocator_malloc,
							&faces, &error),
			  FR_OK, &error, "a first detection");
	fr_faces_destroy(&faces);
	is_status(fr_detect_run(&detector, image, 12, &cancel, &allocator, &faces,
							&error),
			  FR_OK, &error, "detection with enough memory");
	ok(faces.count > 0, "finds a face");
	fr_faces_destroy(&faces);
	is_int(memory.live, 0, "and releases everything");

	long requests = memory.requests, polls = countdown.polls;

	for (long n = 1; n <= requests; n += FAILURE_STEP)
	{
		memory = (TestMemory){.fail_at = n};

		FrStatus status = fr_detect_run(&detector, image, 12, NULL, &allocator,
										&faces, &error);

		bad += status != FR_ERR_NOMEM || memory.live != 0;
	}
	is_int(bad, 0, "failing allocations (of %ld) are reported", requests);
	bad = 0;
	for (long n = 1; n <= polls; n += 1 + polls * FAILURE_STEP / 200)
	{
		memory = (TestMemory){0};
		countdown = (TestCancel){.cancel_at = n};

		FrStatus status = fr_detect_run(&detector, image, 12, &cancel,
										&allocator, &faces, &error);

		bad += status != FR_ERR_CANCELLED || memory.live != 0;
	}
	is_int(bad, 0, "cancelling at any of %ld polls is obeyed", polls);
}

/* ---- small networks ------------------------------------------------------ */

/* Discs on gray, magenta in the middle, unevenly: what the small networks
 * call faces, no two windows being equally good. */
static FrImage
draw_blobs(int width, int height)
{
	static const int blobs[3][3] = {
		{62, 71, 41}, {169, 63, 53}, {135, 161, 31}};
	FrImage image;
	FrError error;

	if (fr_image_create(width, height, &fr_allocator_malloc, &image, &error))
		exit(1);
	memset(image.pixels, 90, (size_t) width * (size_t) height * 3);
	for (int i = 0; i < width * height; i++)
	{
		for (int b = 0; b < 3; b++)
		{
			int x = i % width, y = i / width;
			int dx = x - blobs[b][0], dy = y - blobs[b][1];
			int square = dx * dx + dy * dy, whole = blobs[b][2] * blobs[b][2];
			int uneven = (3 * x * x + 5 * y + x * y) % 9;

			if (square < whole)
				memcpy(image.pixels + (size_t) i * 3,
					   (uint8_t[]){
						   250, (uint8_t) (92 + square * 56 / whole + uneven),
						   250},
					   3);
		}
	}
	return image;
}

/* What the cascade in numpy finds with the small networks. */
static void
test_blobs_against_golden(const Networks *networks)
{
	size_t size_bytes;
	unsigned char *bytes =
		read_file("src/test/golden/mtcnn_blobs.json", &size_bytes);
	Json *golden = bytes ? json_parse(bytes, size_bytes) : NULL;
	FrDetector detector = detector_of(networks, &networks->descriptor);
	FrImage image = draw_blobs(240, 200);
	Worst worst = {1, 0, 0, 0, 0};
	FrError error = {0};
	FrFaces faces;

	if (!ok(golden != NULL, "golden/mtcnn_blobs.json is parsed"))
		exit(1);
	is_status(fr_detect_run(&detector, &image, 20, NULL, &fr_allocator_malloc,
							&faces, &error),
			  FR_OK, &error, "blobs: detected");
	is_int(faces.count, json_count(golden), "blobs: as many faces");
	diag("%d of %d", faces.count, json_count(golden));
	for (const Json *g = golden->first; g; g = g->next)
		compare_face(&faces, g, &worst);
	ok(worst.faces >= 3, "blobs: %d faces", worst.faces);
	ok(worst.iou >= 0.9999, "blobs: IoU %.6f", worst.iou);
	ok(worst.landmark <= 1e-4, "blobs: landmarks %.2g", worst.landmark);
	ok(worst.score <= 1e-4, "blobs: scores %.2g", worst.score);
	fr_faces_destroy(&faces);
	fr_image_destroy(&image);
	image = draw_blobs(100, 110);
	test_failures(networks, &image);
	fr_image_destroy(&image);
	json_destroy(golden);
	free(bytes);
}

/* Photos of a hundred sizes leave no more plans than one size does. */
static void
test_plans_are_few(const Networks *networks)
{
	FrDetector detector = detector_of(networks, &networks->descriptor);
	size_t most = 0, first = 0;

	for (int i = 0; i < 100; i++)
	{
		FrImage image = draw_blobs(140 - i, 90 - i / 3);
		FrError error = {0};
		FrFaces faces;
		size_t bytes;

		if (fr_detect_run(&detector, &image, 20, NULL, &fr_allocator_malloc,
						  &faces, &error) != FR_OK)
			exit(1);
		fr_faces_destroy(&faces);
		fr_image_destroy(&image);
		bytes = fr_net_bytes(networks->nets[0]);
		if (i == CACHED_PLANS)
			first = bytes;
		most = bytes > most ? bytes : most;
	}
	ok(most <= first + first / 4,
	   "100 sizes hold %zu bytes, the first %d sizes %zu", most, CACHED_PLANS,
	   first);
}

/* ---- hostile networks ---------------------------------------------------- */

/* Which output of which network says what. */
typedef struct Hostile
{
	const char *what;
	float p, r, o; /* the score of each */
	float shift;   /* R's and O's */
	float landmark;
	FrStatus probe;
} Hostile;

/* A network whose outputs are constants, for all windows. */
static void
add_constant_network(Networks *networks, int stage, const Hostile *hostile)
{
	OnnxModel onnx;
	int64_t side = stage == 0 ? -1 : stage == 1 ? 24 : 48;
	float score = stage == 0   ? hostile->p
				  : stage == 1 ? hostile->r
							   : hostile->o;
	float filter[2 * 3 * 12 * 12] = {0};
	float classes[2] = {1 - score, score};
	float shifts[4] = {hostile->shift, 0, hostile->shift, 0};
	float points[10] = {hostile->landmark,
						0.5f,
						0.5f,
						0.5f,
						0.5f,
						0.5f,
						0.5f,
						0.5f,
						0.5f,
						0.5f};

	onnx_begin(&onnx, 13);
	onnx_input(&onnx, "x", 4, (int64_t[]){stage == 0 ? 1 : -1, 3, side, side});
	onnx_weight_f32(&onnx, "w", 4, (int64_t[]){2, 3, 12, 12}, filter);
	onnx_weight_f32(&onnx, "c", 4, (int64_t[]){1, 2, 1, 1}, classes);
	onnx_weight_f32(&onnx, "s", 4, (int64_t[]){1, 4, 1, 1}, shifts);
	onnx_weight_f32(&onnx, "l", 4, (int64_t[]){1, 10, 1, 1}, points);
	onnx_node(&onnx, "Conv", "conv", "x w", "wide");
	onnx_attr_ints(&onnx, "strides", 2, (int64_t[]){2, 2});
	/* as many windows as P has */
	onnx_attr_ints(&onnx, "pads", 4, (int64_t[]){0, 0, 1, 1});
	onnx_node(&onnx, stage == 0 ? "Identity" : "GlobalAveragePool", "windows",
			  "wide", "zero");
	onnx_node(&onnx, "ReduceSum", "sum", "zero axes", "none");
	onnx_weight_i64(&onnx, "axes", 1, (int64_t[]){1});
	onnx_node(&onnx, "Add", "prob", "none c", "prob");
	onnx_node(&onnx, "Add", "reg", "none s", "reg");
	onnx_output(&onnx, "prob", 0, NULL);
	onnx_output(&onnx, "reg", 0, NULL);
	if (stage == 2)
	{
		onnx_node(&onnx, "Add", "points", "none l", "points");
		onnx_output(&onnx, "points", 0, NULL);
	}

	OnnxBuffer file = onnx_finish(&onnx);

	add_network(networks, stage, file.data, file.size_bytes);
}

/* Never a crash, never a face that cannot be used. */
static void
test_hostile_networks(void)
{
	static const Hostile cases[] = {
		{"faces everywhere", 1, 1, 1, 0, 0.5f, FR_OK},
		{"windows thrown away", 1, 1, 1, 40, 0.5f, FR_OK},
		{"P is NaN", NAN, 1, 1, 0, 0.5f, FR_ERR_MISMATCH},
		{"P has logits", 700, 1, 1, 0, 0.5f, FR_ERR_MISMATCH},
		{"R is NaN", 1, NAN, 1, 0, 0.5f, FR_ERR_MISMATCH},
		{"O has logits", 1, 1, -7, 0, 0.5f, FR_ERR_MISMATCH},
		{"shifts are infinite", 1, 1, 1, INFINITY, 0.5f, FR_ERR_MISMATCH},
		{"shifts are absurd", 1, 1, 1, 1e30f, 0.5f, FR_OK},
		{"landmarks are NaN", 1, 1, 1, 0, NAN, FR_ERR_MISMATCH},
		{"landmarks are absurd", 1, 1, 1, 0, 1e30f, FR_OK},
	};
	FrImage image = draw_blobs(61, 47);

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		Networks networks = {0};
		FrError error = {0};
		FrFaces faces;
		int dims, wrong = 0;

		fr_preset_find("mtcnn", &networks.descriptor);
		for (int stage = 0; stage < 3; stage++)
			add_constant_network(&networks, stage, &cases[i]);

		FrDetector detector = detector_of(&networks, &networks.descriptor);

		is_status(fr_model_check(&networks.descriptor, networks.nets, 3, NULL,
								 &fr_allocator_malloc, &dims, &error),
				  FR_OK, &error, "%s: shapes fit", cases[i].what);
		is_status(
			fr_detect_probe(&detector, NULL, &fr_allocator_malloc, &error),
			cases[i].probe, &error, "%s: probed", cases[i].what);
		is_status(fr_detect_run(&detector, &image, 12, NULL,
								&fr_allocator_malloc, &faces, &error),
				  FR_OK, &error, "%s: detected", cases[i].what);
		for (int k = 0; k < faces.count; k++)
			wrong += !(faces.faces[k].x1 > faces.faces[k].x0) ||
					 !(fabsf(faces.faces[k].x0) <= 1e6f) ||
					 !(fabsf(faces.faces[k].landmarks[0].x) <= 1e6f) ||
					 !(faces.faces[k].score > 0 && faces.faces[k].score <= 1);
		is_int(wrong, 0, "%s: %d faces, all usable", cases[i].what,
			   faces.count);
		if (i == 0)
			ok(faces.count > 0, "there are some");
		fr_faces_destroy(&faces);
		free_networks(&networks);
	}
	fr_image_destroy(&image);
}

static FrImage
decode_photo(const char *name)
{
	FrDecodeOptions options = {.max_pixels = 1000000, .reduction = 4};
	size_t size_bytes;
	unsigned char *bytes = read_file(testdata_path(name), &size_bytes);
	FrImage image;
	FrError error = {0};

	if (!bytes || fr_image_decode(bytes, size_bytes, &options,
								  &fr_allocator_malloc, &image, &error))
		exit(1);
	free(bytes);
	return image;
}

int
main(void)
{
	Networks networks;

	test_windows_by_hand();
	test_suppression();
	test_unusable_windows_are_dropped();
	test_crops_are_averages();
	test_crops_outside_are_polled();
	if (!load_networks("sql_tests/data/models/patch-mtcnn-%s.onnx", &networks))
		exit(1);
	test_networks_are_checked(&networks);
	test_blobs_against_golden(&networks);
	test_plans_are_few(&networks);
	free_networks(&networks);
	test_hostile_networks();
	if (!load_networks(testdata_path("models/mtcnn-%snet.onnx"), &networks))
		skip("MTCNN on photos", "the test data folder is not there");
	else
	{
		FrImage image = decode_photo("photos/obama-small.jpg");

		test_networks_are_checked(&networks);
		test_photos_against_golden(&networks);
		test_failures(&networks, &image);
		fr_image_destroy(&image);
	}
	free_networks(&networks);
	return tap_done();
}
