/*
 * test_face_landmarks.c: crops for landmarks networks and what becomes of
 * their points, against numpy (golden/make_landmarks.py); detectors whose
 * landmarks a second network makes more exact; and, on the golden photos,
 * landmarks-regression-retail-0009 against YuNet.
 */
#include "core/face/align.h"
#include "core/face/embed.h"
#include "core/face/landmarks.h"
#include "core/face/pose.h"
#include "core/onnx/import.h"
#include "test/unit/json.h"
#include "test/unit/tap.h"

#if defined(__SANITIZE_ADDRESS__)
#define MAX_PIXELS 300000.0
#else
#define MAX_PIXELS 1e9
#endif

/* ---- crops of boxes ------------------------------------------------------ */

static FrPhoto *
open_photo(const void *bytes, size_t size_bytes, int detection_size)
{
	FrPhotoOptions options = {.max_pixels = 100000000,
							  .detection_size = detection_size};
	FrPhoto *photo = NULL;
	FrError error = {0};

	if (fr_photo_open(bytes, size_bytes, &options, &fr_allocator_malloc, &photo,
					  &error) != FR_OK)
		diag("%s", error.message);
	return photo;
}

/* A JPEG whose red grows with x and green with y; the caller frees it. */
static uint8_t *
make_ramps(int width, int height, size_t *size_bytes)
{
	FrImage image;
	FrError error;
	uint8_t *bytes = NULL;

	if (fr_image_create(width, height, &fr_allocator_malloc, &image, &error))
		exit(1);
	for (int i = 0; i < width * height; i++)
	{
		image.pixels[i * 3] = (uint8_t) (i % width * 255 / (width - 1));
		image.pixels[i * 3 + 1] = (uint8_t) (i / width * 255 / (height - 1));
		image.pixels[i * 3 + 2] = 0;
	}
	if (fr_image_encode_jpeg(&image, 100, NULL, &fr_allocator_malloc, &bytes,
							 size_bytes, &error))
		exit(1);
	fr_image_destroy(&image);
	return bytes;
}

/* The crop's middle column and row have the ramps' values of its area, both
 * from the full-size picture and from a reduced decode. */
static void
test_crops_of_boxes(void)
{
	static const FrPhotoArea areas[] = {
		{100.4, 60.7, 300.2, 221.9}, /* shrunk */
		{10, 20, 34, 44},			 /* enlarged */
		{-40, -30, 100, 90},		 /* over a corner */
		{380, 200, 700, 500},		 /* over the other */
	};
	size_t size_bytes;
	uint8_t *bytes = make_ramps(512, 384, &size_bytes);
	double worst = 0;

	for (int size = 0; size <= 256; size += 128)
	{
		FrPhoto *photo = open_photo(bytes, size_bytes, size);

		for (size_t i = 0; i < sizeof areas / sizeof *areas; i++)
		{
			FrPhotoArea area = areas[i];
			FrImage crop;
			FrError error = {0};

			is_status(fr_photo_stretch(photo, &area, 48, 48, &crop, &error),
					  FR_OK, &error, "area %zu at %d", i, size);
			ok(area.x0 >= 0 && area.y0 >= 0 && area.x1 <= 512 &&
				   area.y1 <= 384 && fabs(area.x0 - fmax(areas[i].x0, 0)) <= 4,
			   "what was cut lies in the picture: %g to %g", area.x0, area.x1);
			for (int k = 4; k < 44; k++)
			{
				const uint8_t *row = fr_image_row(&crop, k);
				double x = area.x0 + (k + 0.5) / 48 * (area.x1 - area.x0) - 0.5;
				double y = area.y0 + (k + 0.5) / 48 * (area.y1 - area.y0) - 0.5;

				worst = fmax(worst, fabs(row[k * 3] - x * 255 / 511));
				worst = fmax(worst, fabs(row[k * 3 + 1] - y * 255 / 383));
			}
			fr_image_destroy(&crop);
		}

		FrPhotoArea outside = {600, 10, 700, 50}, empty = {5, 5, 5, 9},
					odd = {NAN, 0, 10, 10};
		FrImage crop;
		FrError error = {0};

		ok(fr_photo_stretch(photo, &outside, 48, 48, &crop, &error) ==
				   FR_ERR_ARGUMENT &&
			   fr_photo_stretch(photo, &empty, 48, 48, &crop, &error) ==
				   FR_ERR_ARGUMENT &&
			   fr_photo_stretch(photo, &odd, 48, 48, &crop, &error) ==
				   FR_ERR_ARGUMENT,
		   "areas outside, without width, not finite: refused");
		fr_photo_close(photo);
	}
	ok(worst < 4, "pixels come from their places (%.2g levels)", worst);
	free(bytes);
}

/* ---- crops by templates -------------------------------------------------- */

#define MODELS "sql_tests/data/models/"
#define PARTY  "sql_tests/data/patches/party.png"

typedef struct Model
{
	unsigned char *bytes;
	FrNet *net;
	FrDescriptor descriptor;
} Model;

static void
load_model(const char *path, const char *preset, Model *model)
{
	size_t size_bytes = 0;
	FrGraph graph;
	FrError error = {0};
	int dims;

	model->bytes = read_file(path, &size_bytes);
	if (!ok(model->bytes != NULL, "%s is there", path) ||
		!fr_preset_find(preset, &model->descriptor))
		exit(1);

	FrStatus status = fr_onnx_import(model->bytes, size_bytes,
									 &fr_allocator_malloc, &graph, &error);

	if (status == FR_OK)
		status = fr_net_create(&graph, NULL, &fr_allocator_malloc, &model->net,
							   &error);
	if (status == FR_OK)
		status = fr_descriptor_check(&model->descriptor, model->net, NULL,
									 &fr_allocator_malloc, &dims, &error);
	is_status(status, FR_OK, &error, "%s fits %s", path, preset);
	if (status != FR_OK)
		exit(1);
}

static void
unload_model(Model *model)
{
	fr_net_destroy(model->net);
	free(model->bytes);
}

static FrFace
golden_face(const Json *golden)
{
	const Json *box = json_get(golden, "box");
	const Json *landmarks = json_get(golden, "landmarks");
	FrFace face = {
		.x0 = (float) json_number(json_at(box, 0)),
		.y0 = (float) json_number(json_at(box, 1)),
		.x1 = (float) json_number(json_at(box, 2)),
		.y1 = (float) json_number(json_at(box, 3)),
		.lacks_landmarks = json_count(landmarks) == 0,
	};

	for (int k = 0; k < FR_LANDMARK_COUNT && !face.lacks_landmarks; k++)
		face.landmarks[k] = (FrPoint){
			(float) json_number(json_at(landmarks, 2 * k)),
			(float) json_number(json_at(landmarks, 2 * k + 1)),
		};
	return face;
}

/* The largest distance of a landmark from the golden one, in pixels. */
static double
golden_distance(const Json *golden, const char *key, const FrFace *face)
{
	const Json *expected = json_get(golden, key);
	double worst = face->lacks_landmarks ? INFINITY : 0;

	for (int k = 0; k < FR_LANDMARK_COUNT; k++)
		worst =
			fmax(worst, hypot((double) face->landmarks[k].x -
								  json_number(json_at(expected, 2 * k)),
							  (double) face->landmarks[k].y -
								  json_number(json_at(expected, 2 * k + 1))));
	return worst;
}

/* Which landmarks a golden face gets. */
static const char *
golden_key(const FrDescriptor *descriptor, const Json *golden)
{
	const Json *moved = json_get(golden, "moved");

	if (descriptor->second_look > 0 && moved &&
		json_number(moved) > (double) descriptor->second_look)
		return "again";
	return descriptor->is_flip_averaged ? "averaged" : "expected";
}

/* By themselves, and all of them twice, which makes more than one batch. */
static void
test_golden_crops(bool is_flip_averaged, float second_look)
{
	size_t golden_bytes, size_bytes;
	unsigned char *text =
		read_file("src/test/golden/landmarks.json", &golden_bytes);
	unsigned char *bytes = read_file(PARTY, &size_bytes);
	Json *golden = text ? json_parse(text, golden_bytes) : NULL;
	FrFace single[32], together[32];
	FrError error = {0};
	Model points;

	if (!ok(golden && bytes && json_count(golden) == 10, "golden crops"))
		exit(1);
	load_model(MODELS "patch-points.onnx", "landmarks-5", &points);
	points.descriptor.is_flip_averaged = is_flip_averaged;
	points.descriptor.second_look = second_look;

	FrPhoto *photo = open_photo(bytes, size_bytes, 0);
	FrPhotoView view = fr_photo_view_decoded(photo);

	for (int i = 0; i < 20; i++)
	{
		const char *key =
			golden_key(&points.descriptor, json_at(golden, i % 10));

		single[i] = together[i] = golden_face(json_at(golden, i % 10));
		is_status(fr_landmarks_find(photo, &view, points.net,
									&points.descriptor, &single[i], 1, &error),
				  FR_OK, &error, "face %d", i);

		double distance =
			golden_distance(json_at(golden, i % 10), key, &single[i]);

		/* of the size of a pixel of the crop, at most 8 of the picture */
		ok(distance < 0.02, "face %d: %.2g pixels from numpy's landmarks (%s)",
		   i, distance, key);
	}
	is_status(fr_landmarks_find(photo, &view, points.net, &points.descriptor,
								together, 20, &error),
			  FR_OK, &error, "all of them");
	ok(memcmp(single, together, 20 * sizeof *single) == 0,
	   "the same bits together as one by one");
	fr_photo_close(photo);
	unload_model(&points);
	json_destroy(golden);
	free(text);
	free(bytes);
}

/* A face that is nowhere stays as it is, and does not disturb others. */
static void
test_unusable_faces(void)
{
	size_t size_bytes;
	unsigned char *bytes = read_file(PARTY, &size_bytes);
	FrFace box = {
		.x0 = 100, .y0 = 80, .x1 = 160, .y1 = 150, .lacks_landmarks = true};
	FrFace nowhere = {
		.x0 = 5, .y0 = 5, .x1 = 5, .y1 = 5, .lacks_landmarks = true};
	FrFace odd = {.x0 = NAN, .x1 = 10, .y1 = 10, .lacks_landmarks = true};
	FrFace outside = {
		.x0 = 2000, .y0 = 100, .x1 = 2100, .y1 = 220, .lacks_landmarks = true};
	/* landmarks in one place: the box says where the face is */
	FrFace heap = {.x0 = 100, .y0 = 80, .x1 = 160, .y1 = 150};
	FrFace faces[] = {nowhere, box, odd, outside, heap, nowhere};
	FrError error = {0};
	Model points;

	load_model(MODELS "patch-points.onnx", "landmarks-5", &points);

	FrPhoto *photo = open_photo(bytes, size_bytes, 0);
	FrPhotoView view = fr_photo_view_decoded(photo);

	is_status(fr_landmarks_find(photo, &view, points.net, &points.descriptor,
								faces, 6, &error),
			  FR_OK, &error, "faces that are nowhere among others");
	ok(faces[0].lacks_landmarks && faces[2].lacks_landmarks &&
		   faces[5].lacks_landmarks && faces[0].landmarks[0].x == 0,
	   "stay without landmarks");
	ok(!faces[1].lacks_landmarks && !faces[3].lacks_landmarks &&
		   faces[3].landmarks[0].x > 2000,
	   "others get theirs, on black if need be");
	ok(memcmp(faces[1].landmarks, faces[4].landmarks,
			  sizeof faces[1].landmarks) == 0,
	   "landmarks in one place count as none");
	is_status(fr_landmarks_find(photo, &view, points.net, &points.descriptor,
								&nowhere, 1, &error),
			  FR_OK, &error, "no face at all: no run");
	fr_photo_close(photo);
	unload_model(&points);
	free(bytes);
}

/* Only as many values as landmarks have are taken for landmarks. */
static void
test_other_counts(void)
{
	float values[2 * FR_LANDMARK_VALUES];
	FrImage crop;
	FrError error = {0};
	Model points;

	load_model(MODELS "patch-points.onnx", "landmarks-5", &points);
	points.descriptor.is_flip_averaged = true;
	is_status(fr_image_create(64, 64, &fr_allocator_malloc, &crop, &error),
			  FR_OK, &error, "a crop");
	memset(crop.pixels, 0, (size_t) 64 * 64 * 3);
	for (int dims = 0; dims <= 2 * FR_LANDMARK_VALUES; dims += 4)
		ok(fr_embed_crops(points.net, &points.descriptor, &crop, 1, dims, NULL,
						  values, &error) == FR_ERR_ARGUMENT,
		   "%d values: refused", dims);
	fr_image_destroy(&crop);
	unload_model(&points);
}

/* ---- detectors with landmarks of their own -------------------------------- */

static FrFaces
detect(const void *bytes, size_t size_bytes, const FrDetector *detector)
{
	FrPhoto *photo = open_photo(bytes, size_bytes, 0);
	FrFaces faces = {0};
	FrError error = {0};

	is_status(fr_photo_detect(photo, detector, &faces, &error), FR_OK, &error,
			  "detected");
	fr_photo_close(photo);
	return faces;
}

/* Boxes stay; landmarks are those of fr_landmarks_find on the detector's own,
 * and pose follows from them. */
static void
test_refined_detection(void)
{
	size_t size_bytes;
	unsigned char *bytes = read_file(PARTY, &size_bytes);
	FrError error = {0};
	Model yunet, points;

	load_model(MODELS "patch-detector.onnx", "yunet", &yunet);
	load_model(MODELS "patch-points.onnx", "landmarks-5", &points);

	FrDetector detector = {.nets = {yunet.net},
						   .descriptor = &yunet.descriptor};
	FrFaces plain = detect(bytes, size_bytes, &detector);

	detector.landmarker = points.net;
	detector.landmarks = &points.descriptor;

	FrFaces refined = detect(bytes, size_bytes, &detector);
	FrPhoto *photo = open_photo(bytes, size_bytes, 0);
	FrPhotoView view = fr_photo_view_decoded(photo);
	FrFace face;
	bool is_found;

	is_int(refined.count, plain.count, "the same faces");
	is_status(fr_landmarks_find(photo, &view, points.net, &points.descriptor,
								plain.faces, plain.count, &error),
			  FR_OK, &error, "the second network by itself");
	for (int i = 0; i < plain.count && i < refined.count; i++)
	{
		const FrFace *a = &plain.faces[i], *b = &refined.faces[i];
		FrPose pose = fr_pose_estimate(b->landmarks);

		ok(a->x0 == b->x0 && a->y1 == b->y1 && a->score == b->score,
		   "box and score are the detector's");
		ok(memcmp(a->landmarks, b->landmarks, sizeof a->landmarks) == 0,
		   "landmarks are the second network's");
		ok(pose.yaw == b->yaw && pose.pitch == b->pitch && pose.roll == b->roll,
		   "pose follows from them");
	}
	is_status(fr_photo_detect_region(photo, &detector, plain.faces[0].x0,
									 plain.faces[0].y0, plain.faces[0].x1,
									 plain.faces[0].y1, &face, &is_found,
									 &error),
			  FR_OK, &error, "in a region");
	ok(is_found && memcmp(face.landmarks, plain.faces[0].landmarks,
						  sizeof face.landmarks) == 0,
	   "the same landmarks there");
	fr_photo_close(photo);
	fr_faces_destroy(&plain);
	fr_faces_destroy(&refined);
	unload_model(&yunet);
	unload_model(&points);
	free(bytes);
}

static FrStatus
run_detector(const void *bytes, size_t size_bytes, const FrDetector *detector,
			 FrCancel cancel, const FrAllocator *allocator)
{
	FrPhotoOptions options = {.max_pixels = 1000000, .cancel = cancel};
	FrFaces faces = {0};
	FrPhoto *photo = NULL;
	FrFace face;
	FrError error;
	bool is_found;
	FrStatus status =
		fr_photo_open(bytes, size_bytes, &options, allocator, &photo, &error);

	if (status == FR_OK)
		status = fr_photo_detect(photo, detector, &faces, &error);
	/* nothing is there: the surroundings are looked at, too */
	if (status == FR_OK)
		status = fr_photo_detect_region(photo, detector, 2, 2, 40, 40, &face,
										&is_found, &error);
	fr_faces_destroy(&faces);
	fr_photo_close(photo);
	return status;
}

/* Says stop at poll number stop_at. */
static void
test_failures(void)
{
	size_t size_bytes;
	unsigned char *bytes = read_file(PARTY, &size_bytes);
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	TestCancel stopper = {0};
	FrCancel cancel = test_cancel_at(&stopper);
	Model yunet, points;
	int bad = 0;

	load_model(MODELS "patch-detector.onnx", "yunet", &yunet);
	load_model(MODELS "patch-points.onnx", "landmarks-5", &points);
	points.descriptor.is_flip_averaged = true;
	points.descriptor.second_look = 0.01f;

	FrDetector detector = {.nets = {yunet.net},
						   .descriptor = &yunet.descriptor,
						   .landmarker = points.net,
						   .landmarks = &points.descriptor};

	/* plans are made once, from other memory */
	run_detector(bytes, size_bytes, &detector, (FrCancel){0},
				 &fr_allocator_malloc);
	is_int(run_detector(bytes, size_bytes, &detector, cancel, &allocator),
		   FR_OK, "enough memory, nobody stops it");

	long requests = memory.requests, polls = stopper.polls;

	for (long n = 1; n <= requests; n++)
	{
		memory = (TestMemory){.fail_at = n};
		bad += run_detector(bytes, size_bytes, &detector, (FrCancel){0},
							&allocator) != FR_ERR_NOMEM ||
			   memory.live != 0;
	}
	is_int(bad, 0, "each of %ld failing allocations is reported", requests);
	for (long n = 1; n <= polls; n += 1 + polls / 40)
	{
		memory = (TestMemory){0};
		stopper = (TestCancel){.cancel_at = n};
		bad += run_detector(bytes, size_bytes, &detector, cancel, &allocator) !=
				   FR_ERR_CANCELLED ||
			   memory.live != 0;
	}
	is_int(bad, 0, "of %ld polls, each that was tried stops it", polls);
	unload_model(&yunet);
	unload_model(&points);
	free(bytes);
}

/* ---- the real network ---------------------------------------------------- */

typedef struct Sum
{
	double distance; /* in widths of the face */
	int points, faces;
	double worst;
} Sum;

static void
compare_face(FrPhoto *photo, FrNet *net, const FrDescriptor *descriptor,
			 const Json *golden, Sum *sum)
{
	const Json *box = json_get(golden, "box");
	float width = (float) json_number(json_at(box, 2));
	FrFace face = {
		.x0 = (float) json_number(json_at(box, 0)),
		.y0 = (float) json_number(json_at(box, 1)),
		.lacks_landmarks = true,
	};
	FrError error = {0};

	FrPhotoView view = fr_photo_view_decoded(photo);

	face.x1 = face.x0 + width;
	face.y1 = face.y0 + (float) json_number(json_at(box, 3));
	if (fr_landmarks_find(photo, &view, net, descriptor, &face, 1, &error) !=
			FR_OK ||
		face.lacks_landmarks)
	{
		ok(false, "landmarks: %s", error.message);
		return;
	}
	for (int k = 0; k < FR_LANDMARK_COUNT; k++)
	{
		const Json *point = json_at(json_get(golden, "landmarks"), k);
		double distance =
			hypot((double) face.landmarks[k].x - json_number(json_at(point, 0)),
				  (double) face.landmarks[k].y -
					  json_number(json_at(point, 1))) /
			(double) width;

		sum->distance += distance;
		sum->worst = fmax(sum->worst, distance);
		sum->points++;
	}
	sum->faces++;
}

static void
compare_photo(const Json *golden, FrNet *net, const FrDescriptor *descriptor,
			  Sum *sum)
{
	char name[256];
	size_t size_bytes;

	snprintf(name, sizeof name, "photos/%s", golden->name);

	unsigned char *bytes = read_file(testdata_path(name), &size_bytes);
	FrPhoto *photo = bytes ? open_photo(bytes, size_bytes, 0) : NULL;

	if (ok(photo != NULL, "%s: opened", golden->name))
	{
		for (const Json *g = json_get(golden, "faces")->first; g; g = g->next)
			compare_face(photo, net, descriptor, g, sum);
	}
	fr_photo_close(photo);
	free(bytes);
}

static void
test_real_network(void)
{
	size_t golden_bytes, size_bytes;
	unsigned char *text =
		read_file(testdata_path("photos/golden.json"), &golden_bytes);
	unsigned char *bytes =
		read_file(testdata_path("models/landmarks-regression-retail-0009.onnx"),
				  &size_bytes);
	FrDescriptor descriptor;
	FrGraph graph;
	FrNet *net = NULL;
	FrError error = {0};
	Sum sum = {0};
	int dims;

	if (!text || !bytes)
	{
		skip("landmarks on photos", "the test data folder is not there");
		return;
	}
	fr_preset_find("omz-landmarks-0009", &descriptor);

	FrStatus status =
		fr_onnx_import(bytes, size_bytes, &fr_allocator_malloc, &graph, &error);

	if (status == FR_OK)
		status =
			fr_net_create(&graph, NULL, &fr_allocator_malloc, &net, &error);
	if (status == FR_OK)
		status = fr_descriptor_check(&descriptor, net, NULL,
									 &fr_allocator_malloc, &dims, &error);
	is_status(status, FR_OK, &error, "the network fits its preset");

	Json *golden = json_parse(text, golden_bytes);

	for (const Json *photo = json_get(golden, "photos")->first;
		 photo && status == FR_OK; photo = photo->next)
	{
		if (json_number(json_get(photo, "width")) *
					json_number(json_get(photo, "height")) <=
				MAX_PIXELS &&
			strcmp(json_text(json_get(photo, "format")), "WEBP") != 0)
			compare_photo(photo, net, &descriptor, &sum);
	}
	diag("%d faces: landmarks %.4f of the face's width from YuNet's, at most "
		 "%.4f",
		 sum.faces, sum.distance / sum.points, sum.worst);
	ok(sum.faces > 0 && sum.distance / sum.points < 0.06,
	   "two networks agree on where eyes, nose and mouth are");
	if (net)
		fr_net_destroy(net);
	json_destroy(golden);
	free(text);
	free(bytes);
}

int
main(void)
{
	test_crops_of_boxes();
	test_golden_crops(false, 0);
	test_golden_crops(true, 0);
	/* all of them, those that were moved most, none */
	test_golden_crops(true, 0.1f);
	test_golden_crops(true, 0.29f);
	test_golden_crops(true, 0.9f);
	test_unusable_faces();
	test_other_counts();
	test_refined_detection();
	test_failures();
	test_real_network();
	return tap_done();
}
