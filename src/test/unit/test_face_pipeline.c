/*
 * test_face_pipeline.c: photos to faces and embeddings with the small
 * networks of sql_tests/data/models, on pictures that are drawn here.
 *
 * A "face" is a square of magenta blocks; where it is, how large and where
 * its landmarks are is known exactly (make_models.py).
 */
#include "core/face/align.h"
#include "core/face/embed.h"
#include "core/face/pipeline.h"
#include "core/onnx/import.h"
#include "test/unit/onnx_build.h"
#include "test/unit/tap.h"

#define MODELS "sql_tests/data/models/"
#define DIMS   16

/* Landmarks in sides of the square from its centre, as in make_models.py. */
static const double offsets[FR_LANDMARK_COUNT][2] = {{-0.20, -0.15},
													 {0.20, -0.15},
													 {0.0, 0.08},
													 {-0.16, 0.30},
													 {0.16, 0.30}};

typedef struct Patch
{
	int x, y, side; /* upper left pixel */
	unsigned seed;	/* of its blocks' shades */
} Patch;

/* ---- drawing ------------------------------------------------------------- */

static uint8_t
shade(unsigned seed, int block, int channel)
{
	unsigned hash =
		seed * 2654435761u + (unsigned) (block * 3 + channel) * 40503u;

	hash = (hash ^ (hash >> 15)) * 2246822519u;
	return (uint8_t) ((hash ^ (hash >> 13)) & 255);
}

static void
draw_patch(FrImage *image, const Patch *patch)
{
	for (int block = 0; block < 16; block++)
	{
		double x0 = patch->x + patch->side * (block % 4) / 4;
		double y0 = patch->y + patch->side * (block / 4) / 4;
		double x1 = patch->x + patch->side * (block % 4 + 1) / 4;
		double y1 = patch->y + patch->side * (block / 4 + 1) / 4;
		uint8_t rgb[3] = {(uint8_t) (200 + shade(patch->seed, block, 0) % 56),
						  (uint8_t) (shade(patch->seed, block, 1) % 40),
						  (uint8_t) (200 + shade(patch->seed, block, 2) % 56)};

		for (int y = (int) y0; y < (int) y1; y++)
		{
			for (int x = (int) x0; x < (int) x1; x++)
				memcpy(image->pixels +
						   ((size_t) y * (size_t) image->width + (size_t) x) *
							   3,
					   rgb, 3);
		}
	}
}

/* A JPEG of patches on a gray ramp; the caller frees it. */
static uint8_t *
make_photo(int width, int height, const Patch *patches, int count,
		   size_t *size_bytes)
{
	FrImage image;
	FrError error;
	uint8_t *bytes = NULL;

	if (fr_image_create(width, height, &fr_allocator_malloc, &image, &error))
		exit(1);
	for (int y = 0; y < height; y++)
	{
		for (int x = 0; x < width; x++)
			memset(image.pixels +
					   ((size_t) y * (size_t) width + (size_t) x) * 3,
				   60 + 120 * x / width, 3);
	}
	for (int i = 0; i < count; i++)
		draw_patch(&image, &patches[i]);
	if (fr_image_encode_jpeg(&image, 95, NULL, &fr_allocator_malloc, &bytes,
							 size_bytes, &error))
		exit(1);
	fr_image_destroy(&image);
	return bytes;
}

/* ---- networks ------------------------------------------------------------ */

typedef struct Model
{
	unsigned char *bytes;
	size_t size_bytes;
	FrNet *net;
	FrDescriptor descriptor;
	int dims;
} Model;

static FrStatus
create_net(Model *model, const FrAllocator *allocator, FrError *error)
{
	FrGraph graph;
	FrStatus status = fr_onnx_import(model->bytes, model->size_bytes, allocator,
									 &graph, error);

	model->net = NULL;
	if (status == FR_OK)
		status = fr_net_create(&graph, &(FrNetOptions){0}, allocator,
							   &model->net, error);
	return status;
}

static void
load_model(const char *path, const char *preset, Model *model)
{
	FrError error = {0};

	model->bytes = read_file(path, &model->size_bytes);
	if (!ok(model->bytes != NULL, "%s is there", path) ||
		!fr_preset_find(preset, &model->descriptor))
		exit(1);

	FrStatus status = create_net(model, &fr_allocator_malloc, &error);

	is_status(status, FR_OK, &error, "%s is loaded", path);
	if (status != FR_OK)
		exit(1);
	status = fr_descriptor_check(&model->descriptor, model->net, NULL,
								 &fr_allocator_malloc, &model->dims, &error);
	is_status(status, FR_OK, &error, "%s fits the preset %s", path, preset);
}

static void
unload_model(Model *model)
{
	fr_net_destroy(model->net);
	free(model->bytes);
}

static Model detector, embedder, other_embedder;

/* ---- helpers ------------------------------------------------------------- */

static FrPhoto *
open_photo(const uint8_t *bytes, size_t size_bytes, int detection_size)
{
	FrPhotoOptions options = {.max_pixels = 100000000,
							  .detection_size = detection_size};
	FrPhoto *photo = NULL;
	FrError error = {0};

	is_status(fr_photo_open(bytes, size_bytes, &options, &fr_allocator_malloc,
							&photo, &error),
			  FR_OK, &error, "photo opened for %d pixels", detection_size);
	return photo;
}

static FrDescriptor
detector_at(int detection_size)
{
	FrDescriptor descriptor = detector.descriptor;

	descriptor.detection_size = detection_size;
	descriptor.min_face_size = 5;
	return descriptor;
}

/* Detect all; the caller destroys the list. */
static FrFaces
detect(FrPhoto *photo, int detection_size)
{
	FrDescriptor descriptor = detector_at(detection_size);
	FrFaces faces = {0};
	FrError error = {0};

	is_status(fr_photo_detect(photo,
							  &(FrDetector){.nets = {detector.net},
											.descriptor = &descriptor},
							  &faces, &error),
			  FR_OK, &error, "detection runs");
	return faces;
}

/* The largest distance of box edges and landmarks from where they are. */
static double
distance(const FrFace *face, const Patch *patch)
{
	double x0 = patch->x - 0.5, y0 = patch->y - 0.5, side = patch->side;
	double worst =
		fmax(fmax(fabs((double) face->x0 - x0), fabs((double) face->y0 - y0)),
			 fmax(fabs((double) face->x1 - x0 - side),
				  fabs((double) face->y1 - y0 - side)));

	for (int k = 0; k < FR_LANDMARK_COUNT; k++)
	{
		double x = x0 + side * (0.5 + offsets[k][0]);
		double y = y0 + side * (0.5 + offsets[k][1]);

		worst = fmax(worst, hypot((double) face->landmarks[k].x - x,
								  (double) face->landmarks[k].y - y));
	}
	return worst;
}

static double
cosine(const float *a, const float *b, int count)
{
	double ab = 0, aa = 0, bb = 0;

	for (int i = 0; i < count; i++)
	{
		ab += (double) a[i] * (double) b[i];
		aa += (double) a[i] * (double) a[i];
		bb += (double) b[i] * (double) b[i];
	}
	return ab / sqrt(aa * bb);
}

static void
embed(FrPhoto *photo, const Model *model, const FrFace *faces, int count,
	  float *embeddings)
{
	FrError error = {0};

	is_status(fr_photo_embed(photo, model->net, &model->descriptor, faces,
							 count, model->dims, embeddings, &error),
			  FR_OK, &error, "%d faces embedded", count);
}

/* ---- detection ----------------------------------------------------------- */

static void
test_faces_are_found_where_they_are(void)
{
	static const Patch patches[] = {{300, 60, 90, 1},
									{40, 150, 64, 2},
									{150, 40, 33, 3},
									{500, 250, 12, 4}};
	size_t size_bytes;
	uint8_t *bytes = make_photo(640, 350, patches, 4, &size_bytes);
	FrPhoto *photo = open_photo(bytes, size_bytes, 0);
	FrFaces faces = detect(photo, 0);

	is_int(faces.count, 4, "four faces");
	for (int i = 0; i < faces.count && i < 4; i++)
	{
		const FrFace *face = &faces.faces[i];

		ok(distance(face, &patches[i]) < 0.5,
		   "face %d, side %d: within half a pixel (%.3f)", i, patches[i].side,
		   distance(face, &patches[i]));
		ok(face->score > 0.9f && face->score <= 1, "face %d: score", i);
		ok(fabsf(face->roll) < 2 && fabsf(face->yaw) < 3,
		   "face %d: looks straight", i);
		ok(face->quality > 0 && face->quality <= 100, "face %d: quality %.1f",
		   i, (double) face->quality);
	}
	fr_faces_destroy(&faces);
	fr_photo_close(photo);
	free(bytes);
}

static void
test_limits_on_faces(void)
{
	static const Patch patches[] = {
		{300, 60, 90, 1}, {40, 150, 64, 2}, {150, 40, 33, 3}};
	size_t size_bytes;
	uint8_t *bytes = make_photo(480, 300, patches, 3, &size_bytes);
	FrPhoto *photo = open_photo(bytes, size_bytes, 0);
	FrDescriptor descriptor = detector_at(0);
	FrFaces faces;
	FrError error = {0};

	descriptor.min_face_size = 50;
	is_status(fr_photo_detect(photo,
							  &(FrDetector){.nets = {detector.net},
											.descriptor = &descriptor},
							  &faces, &error),
			  FR_OK, &error, "detection with a smallest size");
	is_int(faces.count, 2, "the small one is left out");
	fr_faces_destroy(&faces);
	descriptor.max_faces = 1;
	is_status(fr_photo_detect(photo,
							  &(FrDetector){.nets = {detector.net},
											.descriptor = &descriptor},
							  &faces, &error),
			  FR_OK, &error, "detection with a largest number");
	is_int(faces.count, 1, "one is kept");
	ok(faces.count == 1 && distance(&faces.faces[0], &patches[0]) < 0.5,
	   "the largest");
	fr_faces_destroy(&faces);
	descriptor.detection_threshold = 1.0f;
	descriptor.nms_iou = 1.0f;
	descriptor.max_faces = 1000;
	is_status(fr_photo_detect(photo,
							  &(FrDetector){.nets = {detector.net},
											.descriptor = &descriptor},
							  &faces, &error),
			  FR_OK, &error, "detection without suppression");
	ok(faces.count > 2, "without suppression there are duplicates");
	fr_faces_destroy(&faces);
	fr_photo_close(photo);
	free(bytes);
}

static void
test_photo_without_faces(void)
{
	static const int sizes[][2] = {{200, 100}, {1, 1}, {3, 300}, {31, 33}};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
	{
		size_t size_bytes;
		uint8_t *bytes =
			make_photo(sizes[i][0], sizes[i][1], NULL, 0, &size_bytes);
		FrPhoto *photo = open_photo(bytes, size_bytes, 0);
		FrFaces faces = detect(photo, 0);

		is_int(faces.count, 0, "%d x %d: no face", sizes[i][0], sizes[i][1]);
		fr_faces_destroy(&faces);
		fr_photo_close(photo);
		free(bytes);
	}
}

/* A large photo is decoded smaller, but its faces are where they were. */
static void
test_reduced_detection_maps_back(void)
{
	static const Patch patches[] = {{1200, 300, 420, 1}, {301, 203, 240, 2}};
	static const int sizes[] = {1100, 900, 640, 500, 400, 250};
	size_t size_bytes;
	uint8_t *bytes = make_photo(2001, 1003, patches, 2, &size_bytes);

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
	{
		FrPhoto *photo = open_photo(bytes, size_bytes, sizes[i]);
		FrFaces faces = detect(photo, sizes[i]);
		double scale = 2001.0 / sizes[i];

		is_int(faces.count, 2, "detection at %d: two faces", sizes[i]);
		for (int k = 0; k < faces.count && k < 2; k++)
			ok(distance(&faces.faces[k], &patches[k]) < 0.6 * scale,
			   "detection at %d: face %d is where it was (%.3f)", sizes[i], k,
			   distance(&faces.faces[k], &patches[k]));
		fr_faces_destroy(&faces);
		fr_photo_close(photo);
	}
	free(bytes);
}

/* The photo was opened for a small detection, but then a larger one is asked
 * for. */
static void
test_detection_may_want_more_than_was_opened(void)
{
	static const Patch patch = {900, 500, 40, 9};
	size_t size_bytes;
	uint8_t *bytes = make_photo(1600, 1000, &patch, 1, &size_bytes);
	FrPhoto *photo = open_photo(bytes, size_bytes, 100);
	FrFaces faces = detect(photo, 0);

	is_int(faces.count, 1, "found at full size");
	ok(faces.count == 1 && distance(&faces.faces[0], &patch) < 0.5,
	   "where it is");
	fr_faces_destroy(&faces);
	fr_photo_close(photo);
	free(bytes);
}

/* ---- a given region ------------------------------------------------------ */

static void
find_in_region(FrPhoto *photo, const FrDescriptor *descriptor,
			   const float corners[4], const Patch *wanted, const char *what)
{
	FrFace face = {0};
	FrError error = {0};
	bool is_found = !wanted;

	is_status(fr_photo_detect_region(photo,
									 &(FrDetector){.nets = {detector.net},
												   .descriptor = descriptor},
									 corners[0], corners[1], corners[2],
									 corners[3], &face, &is_found, &error),
			  FR_OK, &error, "region: %s", what);
	ok(is_found == (wanted != NULL), "region: %s: %s", what,
	   wanted ? "found" : "nothing found");
	if (is_found && wanted)
		ok(distance(&face, wanted) < 2, "region: %s: the right one (%.2f)",
		   what, distance(&face, wanted));
}

static void
test_face_in_a_region(void)
{
	static const Patch patches[] = {{1200, 300, 400, 1}, {200, 203, 30, 2}};
	FrDescriptor descriptor = detector_at(250);
	size_t size_bytes;
	uint8_t *bytes = make_photo(2000, 1000, patches, 2, &size_bytes);
	FrPhoto *photo = open_photo(bytes, size_bytes, 250);
	FrFace face;
	FrError error = {0};
	bool is_found;

	find_in_region(photo, &descriptor, (float[]){1180, 280, 1650, 720},
				   &patches[0], "around a large face");
	find_in_region(photo, &descriptor, (float[]){1350, 450, 1450, 550},
				   &patches[0], "inside a large face");
	find_in_region(photo, &descriptor, (float[]){190, 200, 240, 240},
				   &patches[1], "around a face too small for detection");
	find_in_region(photo, &descriptor, (float[]){600, 600, 700, 700}, NULL,
				   "beside all faces");
	find_in_region(photo, &descriptor, (float[]){-50, -50, 3, 3}, NULL,
				   "in a corner");
	find_in_region(photo, &descriptor, (float[]){1999.5f, 999.5f, 1e30f, 1e30f},
				   NULL, "reaching far outside");

	static const float bad[][4] = {{10, 10, 10, 20},	{30, 10, 20, 20},
								   {NAN, 0, 10, 10},	{0, 0, INFINITY, 9},
								   {2000, 0, 2100, 50}, {-90, -90, -50, -50}};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		is_status(
			fr_photo_detect_region(photo,
								   &(FrDetector){.nets = {detector.net},
												 .descriptor = &descriptor},
								   bad[i][0], bad[i][1], bad[i][2], bad[i][3],
								   &face, &is_found, &error),
			FR_ERR_ARGUMENT, &error, "region %zu is refused", i);
	fr_photo_close(photo);
	free(bytes);
}

/* ---- embedding ----------------------------------------------------------- */

static void
test_identities_are_told_apart(void)
{
	static const Patch first[] = {{60, 40, 100, 7}, {300, 60, 80, 8}};
	static const Patch second[] = {{200, 90, 120, 8}, {30, 30, 70, 7}};
	size_t first_bytes, second_bytes;
	uint8_t *first_file = make_photo(480, 260, first, 2, &first_bytes);
	uint8_t *second_file = make_photo(400, 300, second, 2, &second_bytes);
	FrPhoto *a = open_photo(first_file, first_bytes, 0);
	FrPhoto *b = open_photo(second_file, second_bytes, 0);
	FrFaces in_a = detect(a, 0), in_b = detect(b, 0);
	float of_a[2 * DIMS], of_b[2 * DIMS], others[2 * 24];

	is_int(embedder.dims, DIMS, "16 dimensions");
	is_int(other_embedder.dims, 24, "24 dimensions of the other");
	if (in_a.count == 2 && in_b.count == 2)
	{
		embed(a, &embedder, in_a.faces, 2, of_a);
		embed(b, &embedder, in_b.faces, 2, of_b);
		/* both lists have the larger first: 7, 8 and 8, 7 */
		ok(cosine(of_a, of_b + DIMS, DIMS) > 0.95, "same pattern: %.3f",
		   cosine(of_a, of_b + DIMS, DIMS));
		ok(cosine(of_a + DIMS, of_b, DIMS) > 0.95, "same pattern: %.3f",
		   cosine(of_a + DIMS, of_b, DIMS));
		ok(cosine(of_a, of_b, DIMS) < 0.7, "different patterns: %.3f",
		   cosine(of_a, of_b, DIMS));
		embed(a, &other_embedder, in_a.faces, 2, others);
		ok(isfinite(others[47]), "another embedder, other dimensions");
	}
	fr_faces_destroy(&in_a);
	fr_faces_destroy(&in_b);
	fr_photo_close(a);
	fr_photo_close(b);
	free(first_file);
	free(second_file);
}

/* 20 faces: more than one batch; each as if embedded alone. */
static void
test_batches_equal_single_runs(void)
{
	Patch patches[20];
	size_t size_bytes;
	float all[20 * DIMS], one[DIMS];
	double worst = 1;

	for (int i = 0; i < 20; i++)
		patches[i] =
			(Patch){20 + 120 * (i % 5), 20 + 120 * (i / 5), 40, (unsigned) i};

	uint8_t *bytes = make_photo(640, 520, patches, 20, &size_bytes);
	FrPhoto *photo = open_photo(bytes, size_bytes, 0);
	FrFaces faces = detect(photo, 0);

	is_int(faces.count, 20, "twenty faces");
	if (faces.count == 20)
	{
		FrError error;

		embed(photo, &embedder, faces.faces, 20, all);
		for (int i = 0; i < 20; i++)
		{
			if (fr_photo_embed(photo, embedder.net, &embedder.descriptor,
							   &faces.faces[i], 1, DIMS, one, &error) == FR_OK)
				worst = fmin(worst, cosine(one, all + i * DIMS, DIMS));
			else
				worst = 0;
		}
		ok(worst > 0.999999, "each as if alone: %.9f", worst);
	}
	embed(photo, &embedder, NULL, 0, all);
	fr_faces_destroy(&faces);
	fr_photo_close(photo);
	free(bytes);
}

/* A face that is small in the reduced decode is cropped from full-size
 * pixels, as if the photo had been decoded at full size. */
static void
test_small_faces_use_full_size_pixels(void)
{
	static const Patch patches[] = {{1500, 700, 60, 3}, {200, 100, 500, 4}};
	size_t size_bytes;
	uint8_t *bytes = make_photo(2000, 1000, patches, 2, &size_bytes);
	FrPhoto *native = open_photo(bytes, size_bytes, 0);
	FrPhoto *reduced = open_photo(bytes, size_bytes, 250);
	FrFaces faces = detect(native, 0);
	float a[2 * DIMS], b[2 * DIMS];

	is_int(faces.count, 1, "only the small one fits the detector's windows");
	for (int i = 0; i < faces.count && i < 1; i++)
	{
		FrImage crops[2];
		FrError error = {0};

		is_status(fr_photo_align(native, faces.faces[i].landmarks,
								 FR_TEMPLATE_ARCFACE_112, 112, 112, &crops[0],
								 &error),
				  FR_OK, &error, "crop from the native decode");
		is_status(fr_photo_align(reduced, faces.faces[i].landmarks,
								 FR_TEMPLATE_ARCFACE_112, 112, 112, &crops[1],
								 &error),
				  FR_OK, &error, "crop from the reduced decode");
		ok(crops[0].pixels && crops[1].pixels &&
			   memcmp(crops[0].pixels, crops[1].pixels, 112 * 112 * 3) == 0,
		   "they are equal");
		fr_image_destroy(&crops[0]);
		fr_image_destroy(&crops[1]);
		embed(native, &embedder, &faces.faces[i], 1, a);
		embed(reduced, &embedder, &faces.faces[i], 1, b);
		ok(memcmp(a, b, DIMS * sizeof(float)) == 0, "embeddings too");
	}
	fr_faces_destroy(&faces);

	FrFaces large = detect(reduced, 250);

	is_int(large.count, 2, "both are found in the reduced decode");
	if (large.count == 2)
	{
		embed(native, &embedder, large.faces, 1, a);
		embed(reduced, &embedder, large.faces, 1, b);
		ok(cosine(a, b, DIMS) > 0.98,
		   "a large face is cropped from the reduced decode alike: %.4f",
		   cosine(a, b, DIMS));
	}
	fr_faces_destroy(&large);
	fr_photo_close(native);
	fr_photo_close(reduced);
	free(bytes);
}

static void
fill_noise(FrImage *image, unsigned seed)
{
	size_t count = (size_t) image->width * (size_t) image->height * 3;

	for (size_t i = 0; i < count; i++)
		image->pixels[i] =
			(uint8_t) (((unsigned) i * 2654435761u + seed) >> 24);
}

static void
mirror(const FrImage *source, FrImage *target)
{
	for (int y = 0; y < source->height; y++)
	{
		for (int x = 0; x < source->width; x++)
			memcpy(target->pixels +
					   ((size_t) y * (size_t) source->width + (size_t) x) * 3,
				   fr_image_row(source, y) +
					   (size_t) (source->width - 1 - x) * 3,
				   3);
	}
}

static void
test_aligned_crops_and_flip_averaging(void)
{
	FrDescriptor flip = embedder.descriptor;
	FrImage crop, mirrored;
	FrError error = {0};
	float a[DIMS], b[DIMS], sum[DIMS];
	double norm_a = 0, norm_b = 0, worst = 0;

	flip.is_flip_averaged = true;
	if (fr_image_create(112, 112, &fr_allocator_malloc, &crop, &error) ||
		fr_image_create(112, 112, &fr_allocator_malloc, &mirrored, &error))
		exit(1);
	fill_noise(&crop, 5);
	mirror(&crop, &mirrored);
	is_status(fr_embed_aligned(&crop, embedder.net, &embedder.descriptor, DIMS,
							   a, NULL, &fr_allocator_malloc, &error),
			  FR_OK, &error, "an aligned crop");
	is_status(fr_embed_aligned(&mirrored, embedder.net, &embedder.descriptor,
							   DIMS, b, NULL, &fr_allocator_malloc, &error),
			  FR_OK, &error, "its mirror image");
	is_status(fr_embed_aligned(&crop, embedder.net, &flip, DIMS, sum, NULL,
							   &fr_allocator_malloc, &error),
			  FR_OK, &error, "with flip averaging");
	for (int i = 0; i < DIMS; i++)
	{
		norm_a += (double) a[i] * (double) a[i];
		norm_b += (double) b[i] * (double) b[i];
	}
	for (int i = 0; i < DIMS; i++)
		worst =
			fmax(worst, fabs((double) sum[i] - (double) a[i] / sqrt(norm_a) -
							 (double) b[i] / sqrt(norm_b)));
	ok_near(worst, 0, 1e-6, "it is the sum of both unit vectors");
	fr_image_destroy(&mirrored);
	if (fr_image_create(112, 111, &fr_allocator_malloc, &mirrored, &error))
		exit(1);
	fill_noise(&mirrored, 1);
	is_status(fr_embed_aligned(&mirrored, embedder.net, &embedder.descriptor,
							   DIMS, b, NULL, &fr_allocator_malloc, &error),
			  FR_ERR_MISMATCH, &error, "a crop of another size is refused");
	is_status(fr_embed_aligned(&crop, embedder.net, &embedder.descriptor, 15, b,
							   NULL, &fr_allocator_malloc, &error),
			  FR_ERR_MISMATCH, &error, "wrong dimensions are refused");
	is_status(fr_embed_aligned(&crop, detector.net, &detector.descriptor, DIMS,
							   b, NULL, &fr_allocator_malloc, &error),
			  FR_ERR_ARGUMENT, &error, "a detector is no embedder");
	fr_image_destroy(&crop);
	fr_image_destroy(&mirrored);
}

static void
test_degenerate_faces(void)
{
	static const Patch patch = {60, 40, 100, 7};
	size_t size_bytes;
	uint8_t *bytes = make_photo(300, 200, &patch, 1, &size_bytes);
	FrPhoto *photo = open_photo(bytes, size_bytes, 0);
	FrFace face = {.x0 = 60, .y0 = 40, .x1 = 160, .y1 = 140};
	FrError error = {0};
	FrImage crop;
	float embedding[DIMS];

	embed(photo, &embedder, &face, 1, embedding);
	ok(isfinite(embedding[0]), "landmarks in one place: the box is used");
	is_status(fr_photo_align(photo, face.landmarks, FR_TEMPLATE_OMZ_128, 128,
							 128, &crop, &error),
			  FR_ERR_ARGUMENT, &error, "but no crop by landmarks alone");
	face.x1 = face.x0;
	face.y1 = face.y0;
	is_status(fr_photo_embed(photo, embedder.net, &embedder.descriptor, &face,
							 1, DIMS, embedding, &error),
			  FR_ERR_ARGUMENT, &error, "neither box nor landmarks: refused");
	face = (FrFace){.x0 = -3e38f, .y0 = -3e38f, .x1 = 3e38f, .y1 = 3e38f};
	for (int k = 0; k < 5; k++)
		face.landmarks[k] = (FrPoint){NAN, INFINITY};
	is_status(fr_photo_embed(photo, embedder.net, &embedder.descriptor, &face,
							 1, DIMS, embedding, &error),
			  FR_ERR_ARGUMENT, &error, "values that are not finite: refused");
	fr_align_template(FR_TEMPLATE_ARCFACE_112, 112, 112, face.landmarks);
	for (int k = 0; k < 5; k++)
		face.landmarks[k].x += 1e7f;
	is_status(fr_photo_align(photo, face.landmarks, FR_TEMPLATE_ARCFACE_112,
							 112, 112, &crop, &error),
			  FR_OK, &error, "a face far outside the picture gives a crop");
	ok(crop.pixels && crop.pixels[112 * 56 * 3] == 0, "a black one");
	fr_image_destroy(&crop);
	is_status(fr_photo_align(photo, face.landmarks, FR_TEMPLATE_ARCFACE_112, 0,
							 112, &crop, &error),
			  FR_ERR_ARGUMENT, &error, "a crop without pixels is refused");
	fr_photo_close(photo);
	free(bytes);
}

/* ---- descriptors --------------------------------------------------------- */

static void
refuse(const Model *model, const FrDescriptor *descriptor, FrStatus wanted,
	   const char *word, const char *what)
{
	FrError error = {0};
	int dims;

	is_status(fr_descriptor_check(descriptor, model->net, NULL,
								  &fr_allocator_malloc, &dims, &error),
			  wanted, &error, "%s: refused", what);
	if (!ok(strstr(error.message, word) != NULL, "%s: the reason is told",
			what))
		diag("%s", error.message);
}

static void
test_descriptors_that_do_not_fit(void)
{
	FrDescriptor d = detector.descriptor;

	refuse(&embedder, &d, FR_ERR_MISMATCH, "cls_8", "an embedder as detector");
	d = embedder.descriptor;
	refuse(&detector, &d, FR_ERR_MISMATCH, "12 outputs (\"cls_8\", ",
		   "a detector as embedder");
	d.input_width = 128;
	refuse(&embedder, &d, FR_ERR_MISMATCH, "[1, 3, 112, 128]",
		   "another crop size");
	d.input_width = 0;
	refuse(&embedder, &d, FR_ERR_ARGUMENT, "input_width", "no crop size");
	d = embedder.descriptor;
	d.scale[1] = NAN;
	refuse(&embedder, &d, FR_ERR_ARGUMENT, "channel 2", "a NaN scale");
	d = detector.descriptor;
	d.nms_iou = 1.5f;
	refuse(&detector, &d, FR_ERR_ARGUMENT, "nms_iou", "an overlap above 1");
	d = detector.descriptor;
	d.size_multiple = 16;
	refuse(&detector, &d, FR_ERR_ARGUMENT, "32", "a wrong multiple");
	d = detector.descriptor;
	d.max_faces = 0;
	refuse(&detector, &d, FR_ERR_ARGUMENT, "max_faces", "no faces at all");
	d = detector.descriptor;
	d.detection_threshold = NAN;
	refuse(&detector, &d, FR_ERR_ARGUMENT, "detection_threshold",
		   "a NaN threshold");
	ok(!fr_preset_find("no-such-preset", &d), "an unknown preset is not found");
	ok(strstr(fr_preset_names(), "yunet") != NULL, "the presets are listed");
}

/* ---- hostile networks ---------------------------------------------------- */

/* Inputs so large that everything inside overflows. */
static void
test_networks_that_overflow(void)
{
	static const Patch patch = {60, 40, 100, 7};
	static const float scales[] = {1e38f, -1e38f, 1e30f, 1e20f, 1e10f};
	size_t size_bytes;
	uint8_t *bytes = make_photo(300, 200, &patch, 1, &size_bytes);
	FrPhoto *photo = open_photo(bytes, size_bytes, 0);

	for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
	{
		FrDescriptor wild = detector_at(0);
		FrFaces faces;
		FrError error = {0};
		float embedding[DIMS];
		FrFace face = {.x0 = 60, .y0 = 40, .x1 = 160, .y1 = 140};

		for (int c = 0; c < 3; c++)
			wild.scale[c] = c == 1 ? scales[i] : scales[i] / 3;
		wild.detection_threshold = 0;
		wild.min_face_size = 0;
		is_status(fr_photo_detect(photo,
								  &(FrDetector){.nets = {detector.net},
												.descriptor = &wild},
								  &faces, &error),
				  FR_OK, &error, "detection with values of %g",
				  (double) scales[i]);
		fr_faces_destroy(&faces);
		wild = embedder.descriptor;
		for (int c = 0; c < 3; c++)
			wild.scale[c] = scales[i];

		FrStatus status = fr_photo_embed(photo, embedder.net, &wild, &face, 1,
										 DIMS, embedding, &error);

		ok(status == FR_ERR_MISMATCH ||
			   (status == FR_OK && isfinite(embedding[0])),
		   "embedding with values of %g: finite or refused",
		   (double) scales[i]);
	}
	fr_photo_close(photo);
	free(bytes);
}

/* A network without inputs, or with two. */
static void
build_network(int input_count, Model *model)
{
	OnnxModel onnx;
	FrError error = {0};

	onnx_begin(&onnx, 13);
	for (int i = 0; i < input_count; i++)
		onnx_input(&onnx, i == 0 ? "a" : "b", 4, (int64_t[]){-1, 3, 112, 112});
	if (input_count == 0)
		onnx_weight_f32(&onnx, "a", 2, (int64_t[]){1, DIMS},
						(float[DIMS]){1.0f});
	onnx_node(&onnx, input_count == 0 ? "Identity" : "Add", "node",
			  input_count == 0 ? "a" : "a b", "embedding");
	onnx_output(&onnx, "embedding", 0, NULL);

	OnnxBuffer file = onnx_finish(&onnx);

	model->bytes = file.data;
	model->size_bytes = file.size_bytes;
	is_status(create_net(model, &fr_allocator_malloc, &error), FR_OK, &error,
			  "a network with %d inputs can be imported", input_count);
}

static void
test_networks_that_take_no_picture(void)
{
	static const Patch patch = {60, 40, 100, 7};
	size_t size_bytes;
	uint8_t *bytes = make_photo(300, 200, &patch, 1, &size_bytes);
	FrPhoto *photo = open_photo(bytes, size_bytes, 0);

	for (int count = 0; count <= 2; count += 2)
	{
		Model wrong;
		FrDescriptor d = detector_at(0);
		FrFaces faces;
		FrFace face = {.x0 = 60, .y0 = 40, .x1 = 160, .y1 = 140};
		FrError error = {0};
		float embedding[DIMS];

		build_network(count, &wrong);
		refuse(&wrong, &embedder.descriptor, FR_ERR_MISMATCH, "inputs",
			   "as embedder");
		is_status(fr_photo_detect(
					  photo,
					  &(FrDetector){.nets = {wrong.net}, .descriptor = &d},
					  &faces, &error),
				  FR_ERR_MISMATCH, &error, "and never run as detector");
		is_status(fr_photo_embed(photo, wrong.net, &embedder.descriptor, &face,
								 1, DIMS, embedding, &error),
				  FR_ERR_MISMATCH, &error, "nor as embedder");
		unload_model(&wrong);
	}
	fr_photo_close(photo);
	free(bytes);
}

/* ---- memory and cancel --------------------------------------------------- */

/* Everything once: networks, photo, faces, a region, embeddings. */
static FrStatus
run_all(const uint8_t *bytes, size_t size_bytes, const FrAllocator *allocator,
		FrCancel cancel)
{
	Model nets[2] = {detector, embedder};
	FrPhotoOptions options = {
		.max_pixels = 1000000, .detection_size = 100, .cancel = cancel};
	FrDescriptor descriptor = detector_at(100);
	FrPhoto *photo = NULL;
	FrFaces faces = {0};
	FrFace face;
	FrError error = {0};
	float embeddings[4 * DIMS];
	bool is_found;
	int dims;
	FrStatus status = create_net(&nets[0], allocator, &error);

	nets[1].net = NULL;
	if (status == FR_OK)
		status = create_net(&nets[1], allocator, &error);
	if (status == FR_OK)
		status = fr_descriptor_check(&embedder.descriptor, nets[1].net, NULL,
									 allocator, &dims, &error);
	if (status == FR_OK)
		status = fr_photo_open(bytes, size_bytes, &options, allocator, &photo,
							   &error);
	if (status == FR_OK)
		status = fr_photo_detect(
			photo,
			&(FrDetector){.nets = {nets[0].net}, .descriptor = &descriptor},
			&faces, &error);
	if (status == FR_OK && faces.count != 1)
		status = FR_ERR_BUG;
	if (status == FR_OK)
		status = fr_photo_embed(photo, nets[1].net, &embedder.descriptor,
								faces.faces, 1, DIMS, embeddings, &error);
	if (status == FR_OK)
		status = fr_photo_detect_region(
			photo,
			&(FrDetector){.nets = {nets[0].net}, .descriptor = &descriptor},
			150, 20, 180, 50, &face, &is_found, &error);
	fr_faces_destroy(&faces);
	fr_photo_close(photo);
	fr_net_destroy(nets[1].net);
	fr_net_destroy(nets[0].net);
	return status;
}

static const Patch small_patch = {40, 60, 32, 7};

/* Every one of count, or a sample where everything is slow (valgrind). */
static long
test_step(long count)
{
	return getenv("FACEREC_TEST_SMALL") ? 1 + count / 20 : 1;
}

static void
test_every_allocation_may_fail(void)
{
	size_t size_bytes;
	uint8_t *bytes = make_photo(224, 160, &small_patch, 1, &size_bytes);
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	int bad = 0;

	is_int(run_all(bytes, size_bytes, &allocator, (FrCancel){0}), FR_OK,
		   "all runs with enough memory");
	is_int(memory.live, 0, "and releases it");

	long requests = memory.requests, step = test_step(requests);

	for (long n = 1; n <= requests; n += step)
	{
		memory = (TestMemory){.fail_at = n};

		FrStatus status = run_all(bytes, size_bytes, &allocator, (FrCancel){0});

		if (status != FR_ERR_NOMEM || memory.live != 0)
		{
			diag("allocation %ld of %ld: %s, %ld live", n, requests,
				 fr_status_name(status), memory.live);
			bad++;
		}
	}
	is_int(bad, 0, "failing allocations are reported, none leaks");
	diag("%ld allocations, every %ld. failed", requests, step);
	free(bytes);
}

typedef struct Countdown
{
	long polls, cancel_at;
} Countdown;

static bool
count_down(void *context)
{
	Countdown *countdown = context;

	return ++countdown->polls == countdown->cancel_at;
}

static void
test_every_poll_may_cancel(void)
{
	size_t size_bytes;
	uint8_t *bytes = make_photo(224, 160, &small_patch, 1, &size_bytes);
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	Countdown countdown = {0};
	FrCancel cancel = {count_down, &countdown};
	int bad = 0;

	is_int(run_all(bytes, size_bytes, &allocator, cancel), FR_OK,
		   "all runs with a hook that never cancels");

	long polls = countdown.polls, step = test_step(polls) + polls / 100;

	ok(polls > 20, "the hook is asked often (%ld times)", polls);
	for (long n = 1; n <= polls; n += step)
	{
		countdown = (Countdown){.cancel_at = n};

		FrStatus status = run_all(bytes, size_bytes, &allocator, cancel);

		bad += status != FR_ERR_CANCELLED || memory.live != 0;
	}
	is_int(bad, 0, "cancelling at any poll is obeyed, nothing leaks");
	free(bytes);
}

static void
test_files_that_are_no_photos(void)
{
	static const uint8_t junk[] = "not a picture at all";
	FrPhotoOptions options = {.max_pixels = 1000000};
	FrPhoto *photo = NULL;
	FrError error = {0};
	size_t size_bytes;
	uint8_t *bytes = make_photo(224, 160, NULL, 0, &size_bytes);

	ok(fr_photo_open(junk, sizeof junk, &options, &fr_allocator_malloc, &photo,
					 &error) != FR_OK &&
		   photo == NULL,
	   "junk is refused");
	is_status(fr_photo_open(bytes, size_bytes / 2, &options,
							&fr_allocator_malloc, &photo, &error),
			  FR_ERR_CORRUPT, &error, "half a file is refused");
	options.max_pixels = 1000;
	is_status(fr_photo_open(bytes, size_bytes, &options, &fr_allocator_malloc,
							&photo, &error),
			  FR_ERR_LIMIT, &error, "too large a picture is refused");
	fr_photo_close(NULL);
	free(bytes);
}

int
main(void)
{
	load_model(MODELS "patch-detector.onnx", "yunet", &detector);
	load_model(MODELS "patch-embedder.onnx", "mobilefacenet", &embedder);
	load_model(MODELS "patch-embedder-b.onnx", "mobilefacenet",
			   &other_embedder);
	test_faces_are_found_where_they_are();
	test_limits_on_faces();
	test_photo_without_faces();
	test_reduced_detection_maps_back();
	test_detection_may_want_more_than_was_opened();
	test_face_in_a_region();
	test_identities_are_told_apart();
	test_batches_equal_single_runs();
	test_small_faces_use_full_size_pixels();
	test_aligned_crops_and_flip_averaging();
	test_degenerate_faces();
	test_descriptors_that_do_not_fit();
	test_networks_that_overflow();
	test_networks_that_take_no_picture();
	test_every_allocation_may_fail();
	test_every_poll_may_cancel();
	test_files_that_are_no_photos();
	unload_model(&detector);
	unload_model(&embedder);
	unload_model(&other_embedder);
	return tap_done();
}
