/*
 * test_face_embed.c: embeddings of faces that are drawn here: of photos and of
 * aligned crops, by networks that fit and by others.
 */
#include "core/face/align.h"
#include "test/unit/face_patches.h"
#include "test/unit/onnx_build.h"

static Model other_embedder;

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

int
main(void)
{
	load_models();
	load_model(MODELS "patch-embedder-b.onnx", "mobilefacenet",
			   &other_embedder);
	test_identities_are_told_apart();
	test_batches_equal_single_runs();
	test_small_faces_use_full_size_pixels();
	test_aligned_crops_and_flip_averaging();
	test_degenerate_faces();
	test_descriptors_that_do_not_fit();
	test_networks_that_overflow();
	test_networks_that_take_no_picture();
	unload_models();
	unload_model(&other_embedder);
	return tap_done();
}
