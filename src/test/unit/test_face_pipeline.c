/*
 * test_face_pipeline.c: faces in photos that are drawn here: where they are
 * found, in whole pictures and in regions, and what fails.
 */
#include "test/unit/face_patches.h"

/* Landmarks in sides of the square from its centre, as in make_models.py. */
static const double offsets[FR_LANDMARK_COUNT][2] = {{-0.20, -0.15},
													 {0.20, -0.15},
													 {0.0, 0.08},
													 {-0.16, 0.30},
													 {0.16, 0.30}};

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

static void
test_every_poll_may_cancel(void)
{
	size_t size_bytes;
	uint8_t *bytes = make_photo(224, 160, &small_patch, 1, &size_bytes);
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	TestCancel countdown = {0};
	FrCancel cancel = test_cancel_at(&countdown);
	int bad = 0;

	is_int(run_all(bytes, size_bytes, &allocator, cancel), FR_OK,
		   "all runs with a hook that never cancels");

	long polls = countdown.polls, step = test_step(polls) + polls / 100;

	ok(polls > 20, "the hook is asked often (%ld times)", polls);
	for (long n = 1; n <= polls; n += step)
	{
		countdown = (TestCancel){.cancel_at = n};

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
	load_models();
	test_faces_are_found_where_they_are();
	test_limits_on_faces();
	test_photo_without_faces();
	test_reduced_detection_maps_back();
	test_detection_may_want_more_than_was_opened();
	test_face_in_a_region();
	test_every_allocation_may_fail();
	test_every_poll_may_cancel();
	test_files_that_are_no_photos();
	unload_models();
	return tap_done();
}
