/*
 * test_face_heads.c: reading the heads of SCRFD and RetinaFace, against a
 * decoding in numpy (golden/make_heads.py), with hostile values and shapes,
 * and end to end with the small networks of sql_tests/data/models.
 */
#include "core/face/detect.h"
#include "core/face/heads.h"
#include "core/face/pipeline.h"
#include "core/face/recognise.h"
#include "core/onnx/import.h"
#include "test/unit/json.h"
#include "test/unit/onnx_build.h"
#include "test/unit/tap.h"

#define MODELS "sql_tests/data/models/"

/* ---- heads by formula ---------------------------------------------------- */

typedef struct Case
{
	FrDecodeRule rule;
	float threshold;
	FrHeads heads;
	float *values[FR_MAX_HEADS];
	char names[FR_MAX_HEADS][8];
} Case;

/* Value index of output head, as make_heads.py has it. */
static float
value_at(FrDecodeRule rule, int head, int64_t columns, int64_t index)
{
	uint64_t hashed =
		(uint64_t) index * 2654435761u + (uint64_t) (head + 1) * 2654454893u;
	float u = (float) ((double) (hashed & 0xffffffff) / 4294967296.0);

	if (columns <= 2)
		return u;
	return rule == FR_DECODE_SCRFD && columns == 4 ? 4 * u : 4 * u - 2;
}

static void
fill_case(const Json *golden, Case *test)
{
	const Json *outputs = json_get(golden, "outputs");
	FrDescriptor descriptor;

	*test = (Case){0};
	fr_preset_find(json_text(json_get(golden, "preset")), &descriptor);
	test->rule = descriptor.decode;
	test->threshold = (float) json_number(json_get(golden, "threshold"));
	test->heads.width = (int) json_number(json_get(golden, "width"));
	test->heads.height = (int) json_number(json_get(golden, "height"));
	test->heads.count = json_count(outputs);
	for (int h = 0; h < test->heads.count; h++)
	{
		int64_t rows = (int64_t) json_number(json_at(json_at(outputs, h), 0));
		int64_t columns =
			(int64_t) json_number(json_at(json_at(outputs, h), 1));

		test->values[h] = malloc((size_t) (rows * columns) * sizeof(float));
		for (int64_t i = 0; i < rows * columns; i++)
			test->values[h][i] = value_at(test->rule, h, columns, i);
		snprintf(test->names[h], sizeof test->names[h], "%d", 448 + h);
		test->heads.heads[h] = (FrHead){
			.name = test->names[h],
			.shape = {.rank = 2, .dims = {rows, columns}},
			.values = test->values[h],
		};
	}
}

static void
free_case(Case *test)
{
	for (int h = 0; h < test->heads.count; h++)
		free(test->values[h]);
}

/* The largest difference from the golden candidates. */
static double
compare(const FrCandidates *found, const Json *golden)
{
	double worst = 0;

	for (int i = 0; i < found->boxes.count; i++)
	{
		const Json *row = json_at(golden, i);
		const FrBoxes *b = &found->boxes;
		double ours[5] = {(double) b->x0[i], (double) b->y0[i],
						  (double) b->x1[i], (double) b->y1[i],
						  (double) b->score[i]};

		for (int k = 0; k < 5; k++)
			worst = fmax(worst, fabs(ours[k] - json_number(json_at(row, k))));
		for (int k = 0; found->landmarks && k < FR_LANDMARK_COUNT; k++)
		{
			FrPoint point = found->landmarks[i * FR_LANDMARK_COUNT + k];
			double dx = (double) point.x - json_number(json_at(row, 5 + 2 * k));
			double dy = (double) point.y - json_number(json_at(row, 6 + 2 * k));

			worst = fmax(worst, fmax(fabs(dx), fabs(dy)));
		}
	}
	return worst;
}

/* Decode; a negative count means that it failed. */
static int
decode(const Case *test, FrArena *arena, FrCandidates *found, FrError *error)
{
	fr_arena_init(arena, &fr_allocator_malloc);
	return fr_heads_decode(test->rule, &test->heads, test->threshold, NULL,
						   arena, found, error) == FR_OK
			   ? found->boxes.count
			   : -1;
}

static void
exchange(Case *test, int a, int b)
{
	FrHead head = test->heads.heads[a];

	test->heads.heads[a] = test->heads.heads[b];
	test->heads.heads[b] = head;
}

static void
test_golden_case(const Json *golden, int number)
{
	const Json *wanted = json_get(golden, "candidates");
	FrCandidates found;
	FrError error = {0};
	FrArena arena;
	Case test;
	bool has_landmarks;

	fill_case(golden, &test);
	is_int(decode(&test, &arena, &found, &error), json_count(wanted),
		   "case %d: as many candidates %s", number, error.message);
	ok(compare(&found, wanted) < 2e-3, "case %d: the same (%.2g)", number,
	   compare(&found, wanted));
	fr_arena_fini(&arena);
	fr_heads_check(test.rule, &test.heads, &has_landmarks, &error);
	is_int(has_landmarks, json_count(json_at(wanted, 0)) == 15,
		   "case %d: landmarks", number);

	/* outputs in any order, with a batch axis */
	for (int h = test.heads.count - 1; h > 0; h--)
		exchange(&test, h, h / 2);
	for (int h = 0; h < test.heads.count; h += 2)
	{
		FrShape *shape = &test.heads.heads[h].shape;

		*shape =
			(FrShape){.rank = 3, .dims = {1, shape->dims[0], shape->dims[1]}};
	}
	ok(decode(&test, &arena, &found, &error) == json_count(wanted) &&
		   compare(&found, wanted) < 2e-3,
	   "case %d: outputs in another order", number);
	fr_arena_fini(&arena);
	free_case(&test);
}

/* Does candidate k have a box, a score and landmarks that can be used? */
static bool
is_usable(const FrCandidates *found, int k)
{
	const FrBoxes *b = &found->boxes;
	bool is_so = fabsf(b->x0[k]) <= 1e6f && fabsf(b->y0[k]) <= 1e6f &&
				 fabsf(b->x1[k]) <= 1e6f && fabsf(b->y1[k]) <= 1e6f &&
				 b->x1[k] > b->x0[k] && b->y1[k] > b->y0[k] &&
				 b->score[k] >= 0 && b->score[k] <= 1;

	for (int p = 0; found->landmarks && p < FR_LANDMARK_COUNT; p++)
	{
		const FrPoint *point = &found->landmarks[k * FR_LANDMARK_COUNT + p];

		is_so = is_so && fabsf(point->x) <= 1e6f && fabsf(point->y) <= 1e6f;
	}
	return is_so;
}

/* One value at a time is hostile: never a crash, never a bad candidate. */
static void
test_hostile_case(const Json *golden, int number)
{
	static const float bad[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f};
	enum
	{
		BAD_COUNT = sizeof bad / sizeof *bad,
		MAX_HOSTILE = 12
	};
	FrCandidates found;
	FrError error = {0};
	FrArena arena;
	Case test;
	int wrong = 0;

	fill_case(golden, &test);
	test.threshold = 0;
	for (int h = 0; h < test.heads.count; h++)
	{
		const int64_t *dims = test.heads.heads[h].shape.dims;
		int64_t count = dims[0] * dims[1];
		/* all values of a cell, of each head */
		int cells = (int) (count < MAX_HOSTILE ? count : MAX_HOSTILE);

		for (int i = 0; i < BAD_COUNT * cells; i++)
		{
			float *value = &test.values[h][i / BAD_COUNT];
			float kept = *value;

			*value = bad[i % BAD_COUNT];
			if (decode(&test, &arena, &found, &error) <= 0)
				wrong++;
			for (int k = 0; k < found.boxes.count; k++)
				wrong += !is_usable(&found, k);
			fr_arena_fini(&arena);
			*value = kept;
		}
	}
	is_int(wrong, 0, "case %d: values that are not finite or absurd", number);
	free_case(&test);
}

static void
refuse(const Case *test, const char *word, const char *what)
{
	FrError error = {0};
	bool has_landmarks;

	is_status(fr_heads_check(test->rule, &test->heads, &has_landmarks, &error),
			  FR_ERR_MISMATCH, &error, "%s: refused", what);
	ok(strstr(error.message, word) != NULL, "%s: %s", what, error.message);
}

static void
test_wrong_shapes(const Json *golden)
{
	Case test;

	fill_case(json_at(golden, 0), &test);
	test.heads.count = 8;
	refuse(&test, "8 outputs", "a missing output");
	test.heads.count = 9;
	test.heads.heads[3].shape.dims[0]--;
	refuse(&test, "\"451\"", "an odd number of cells");
	test.heads.heads[3].shape = test.heads.heads[0].shape;
	refuse(&test, "\"451\"", "scores twice");
	test.heads.heads[3].shape = (FrShape){.rank = 4, .dims = {1, 8, 12, 16}};
	refuse(&test, "[1, 8, 12, 16]", "maps that were not flattened");
	test.heads.heads[3].shape = (FrShape){.rank = 1, .dims = {768}};
	refuse(&test, "[768]", "one dimension");
	test.heads.count = 9;
	free_case(&test);

	fill_case(json_at(golden, 5), &test);
	test.heads.heads[1].shape.dims[1] = 4;
	refuse(&test, "[252, 2]", "boxes twice");
	test.heads.heads[1].shape.dims[1] = 2;
	test.heads.heads[2].shape.dims[0]++;
	refuse(&test, "\"450\"", "another number of priors");
	free_case(&test);
}

/* ---- networks ------------------------------------------------------------ */

typedef struct Model
{
	unsigned char *bytes;
	FrNet *net;
	FrDescriptor descriptor;
} Model;

static bool
make_model(unsigned char *bytes, size_t size_bytes, const char *preset,
		   Model *model)
{
	FrGraph graph;
	FrError error = {0};
	FrStatus status =
		fr_onnx_import(bytes, size_bytes, &fr_allocator_malloc, &graph, &error);

	*model = (Model){.bytes = bytes};
	if (status == FR_OK)
		status = fr_net_create(&graph, NULL, &fr_allocator_malloc, &model->net,
							   &error);
	is_status(status, FR_OK, &error, "a network for %s", preset);
	return status == FR_OK && fr_preset_find(preset, &model->descriptor);
}

static void
load_model(const char *file, const char *preset, Model *model)
{
	char path[256];
	size_t size_bytes;
	FrError error = {0};
	int dims;

	snprintf(path, sizeof path, MODELS "%s", file);

	unsigned char *bytes = read_file(path, &size_bytes);

	if (!ok(bytes != NULL, "%s is there", file) ||
		!make_model(bytes, size_bytes, preset, model))
		exit(1);
	is_status(fr_descriptor_check(&model->descriptor, model->net, NULL,
								  &fr_allocator_malloc, &dims, &error),
			  FR_OK, &error, "%s fits %s", file, preset);
}

static void
unload_model(Model *model)
{
	fr_net_destroy(model->net);
	free(model->bytes);
}

/* A photo of two magenta squares; the caller frees it. */
static uint8_t *
make_photo(size_t *size_bytes)
{
	static const int squares[2][3] = {{60, 40, 100}, {200, 70, 64}};
	FrImage image;
	FrError error;
	uint8_t *bytes = NULL;

	if (fr_image_create(320, 230, &fr_allocator_malloc, &image, &error))
		exit(1);
	memset(image.pixels, 90, 320 * 230 * 3);
	for (int s = 0; s < 2; s++)
	{
		for (int y = 0; y < squares[s][2]; y++)
		{
			for (int x = 0; x < squares[s][2]; x++)
				memcpy(image.pixels + ((size_t) (squares[s][1] + y) * 320 +
									   (size_t) (squares[s][0] + x)) *
										  3,
					   (uint8_t[]){250, 20, 250}, 3);
		}
	}
	if (fr_image_encode_jpeg(&image, 95, NULL, &fr_allocator_malloc, &bytes,
							 size_bytes, &error))
		exit(1);
	fr_image_destroy(&image);
	return bytes;
}

static FrFaces
detect(const uint8_t *bytes, size_t size_bytes, const FrDetector *detector)
{
	FrPhotoOptions options = {.max_pixels = 1000000};
	FrFaces faces = {0};
	FrError error = {0};
	FrPhoto *photo;

	if (fr_photo_open(bytes, size_bytes, &options, &fr_allocator_malloc, &photo,
					  &error) != FR_OK)
		exit(1);
	is_status(fr_photo_detect(photo, detector, &faces, &error), FR_OK, &error,
			  "%s detects", detector->descriptor->preset);
	fr_photo_close(photo);
	return faces;
}

/* The largest difference of boxes and landmarks; infinite when lists differ. */
static double
difference(const FrFaces *a, const FrFaces *b)
{
	double worst = a->count == b->count ? 0 : INFINITY;

	for (int i = 0; i < a->count && i < b->count; i++)
	{
		const FrFace *f = &a->faces[i], *g = &b->faces[i];

		worst = fmax(worst, (double) fabsf(f->x0 - g->x0));
		worst = fmax(worst, (double) fabsf(f->y1 - g->y1));
		for (int k = 0; k < FR_LANDMARK_COUNT; k++)
			worst = fmax(
				worst, hypot((double) (f->landmarks[k].x - g->landmarks[k].x),
							 (double) (f->landmarks[k].y - g->landmarks[k].y)));
	}
	return worst;
}

/* The same patches, whatever way a network tells of them. */
static void
test_presets_agree(void)
{
	Model yunet, scrfd, boxes, retinaface, landmarks;
	size_t size_bytes;
	uint8_t *photo = make_photo(&size_bytes);

	load_model("patch-detector.onnx", "yunet", &yunet);
	load_model("patch-scrfd.onnx", "scrfd", &scrfd);
	load_model("patch-scrfd-boxes.onnx", "scrfd", &boxes);
	load_model("patch-retinaface.onnx", "retinaface", &retinaface);
	load_model("patch-landmarks.onnx", "omz-landmarks-0009", &landmarks);

	FrDetector by_boxes = {.nets = {boxes.net},
						   .descriptor = &boxes.descriptor};
	FrFaces faces[5] = {
		detect(photo, size_bytes,
			   &(FrDetector){.nets = {yunet.net},
							 .descriptor = &yunet.descriptor}),
		detect(photo, size_bytes,
			   &(FrDetector){.nets = {scrfd.net},
							 .descriptor = &scrfd.descriptor}),
		detect(photo, size_bytes,
			   &(FrDetector){.nets = {retinaface.net},
							 .descriptor = &retinaface.descriptor}),
		detect(photo, size_bytes, &by_boxes),
	};

	by_boxes.landmarker = landmarks.net;
	by_boxes.landmarks = &landmarks.descriptor;
	faces[4] = detect(photo, size_bytes, &by_boxes);
	is_int(faces[0].count, 2, "two faces");
	ok(difference(&faces[0], &faces[1]) < 0.05, "scrfd: the same (%.3g)",
	   difference(&faces[0], &faces[1]));
	ok(difference(&faces[0], &faces[2]) < 0.05, "retinaface: the same (%.3g)",
	   difference(&faces[0], &faces[2]));
	ok(faces[3].count == 2 && faces[3].faces[0].lacks_landmarks &&
		   faces[3].faces[0].quality == 0 &&
		   fabsf(faces[3].faces[0].x0 - faces[1].faces[0].x0) < 0.01f,
	   "without landmarks: boxes alone");
	ok(!faces[4].faces[0].lacks_landmarks && fabsf(faces[4].faces[0].roll) < 2,
	   "another network gives landmarks, and pose");
	ok(difference(&faces[0], &faces[4]) < 1.5,
	   "within the rounding of boxes to pixels (%.3g)",
	   difference(&faces[0], &faces[4]));
	for (int i = 0; i < 5; i++)
		fr_faces_destroy(&faces[i]);
	free(photo);
	unload_model(&yunet);
	unload_model(&scrfd);
	unload_model(&boxes);
	unload_model(&retinaface);
	unload_model(&landmarks);
}

/* Six outputs of the right shapes for 64 x height; the scores are constants.
 * The graph begins with a Sub of mean and a Mul by scale, unless that is 0. */
static void
build_scrfd(float score, int height, float mean, float scale, Model *model)
{
	const int rows[3] = {height * 2, height / 2, height / 8};
	OnnxModel onnx;
	float values[512];

	onnx_begin(&onnx, 13);
	onnx_input(&onnx, "input", 4, (int64_t[]){1, 3, height, 64});
	onnx_weight_f32(&onnx, "zero", 1, (int64_t[]){1}, (float[]){0});
	if (scale != 0)
	{
		onnx_weight_f32(&onnx, "m", 1, (int64_t[]){1}, &mean);
		onnx_weight_f32(&onnx, "s", 1, (int64_t[]){1}, &scale);
		onnx_node(&onnx, "Sub", "sub", "input m", "centred");
		onnx_node(&onnx, "Mul", "mul", "centred s", "normal");
	}
	onnx_node(&onnx, "GlobalAveragePool", "mean",
			  scale != 0 ? "normal" : "input", "pooled");
	onnx_node(&onnx, "ReduceMean", "mean2", "pooled", "one");
	onnx_attr_ints(&onnx, "axes", 4, (int64_t[]){0, 1, 2, 3});
	onnx_attr_int(&onnx, "keepdims", 0);
	onnx_node(&onnx, "Mul", "none", "one zero", "nothing");
	for (int i = 0; i < 6; i++)
	{
		int64_t columns = i < 3 ? 1 : 4;
		char weight[16], name[16], inputs[32];

		snprintf(weight, sizeof weight, "w%d", i);
		snprintf(name, sizeof name, "o%d", i);
		snprintf(inputs, sizeof inputs, "%s nothing", weight);
		for (int k = 0; k < 512; k++)
			values[k] = i < 3 ? score : 1;
		onnx_weight_f32(&onnx, weight, 2, (int64_t[]){rows[i % 3], columns},
						values);
		onnx_node(&onnx, "Add", name, inputs, name);
		onnx_output(&onnx, name, 0, NULL);
	}

	OnnxBuffer file = onnx_finish(&onnx);

	if (!make_model(file.data, file.size_bytes, "scrfd", model))
		exit(1);
}

static void
test_probe(void)
{
	static const struct
	{
		float score;
		FrStatus status;
		const char *word;
	} cases[] = {
		{0.25f, FR_OK, ""},
		{0.5f, FR_OK, ""}, /* an input that is less high than others */
		{-3.5f, FR_ERR_MISMATCH, "between -3.5 and 0"},
		{7.0f, FR_ERR_MISMATCH, "sigmoid"},
		{NAN, FR_ERR_MISMATCH, "not finite"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		Model model;
		FrError error = {0};
		int dims;

		build_scrfd(cases[i].score, i == 1 ? 32 : 64, 0, 0, &model);

		FrDetector detector = {.nets = {model.net},
							   .descriptor = &model.descriptor};

		is_status(fr_descriptor_check(&model.descriptor, model.net, NULL,
									  &fr_allocator_malloc, &dims, &error),
				  FR_OK, &error, "shapes fit");
		is_status(
			fr_detect_probe(&detector, NULL, &fr_allocator_malloc, &error),
			cases[i].status, &error, "scores of %g", (double) cases[i].score);
		ok(strstr(error.message, cases[i].word) != NULL, "says why: %s",
		   error.message);
		unload_model(&model);
	}
}

/* A detector that normalises by itself is fed with pixels as they are. */
static void
test_detectors_that_normalise(void)
{
	static const struct
	{
		float mean, scale, want_mean, want_scale;
		FrStatus status;
	} cases[] = {
		{0, 0, 127.5f, 1 / 128.0f, FR_OK},
		{127.5f, 1 / 128.0f, 0, 1, FR_OK},
		{127.5f, 1 / 127.5f, 0, 1, FR_OK},
		{0, 1 / 255.0f, 0, 0, FR_ERR_MISMATCH},
		{104, 1, 0, 0, FR_ERR_MISMATCH},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		Model model;
		FrDescriptor found = {0};
		FrError error = {0};
		char hint[256] = "";

		build_scrfd(0.25f, 64, cases[i].mean, cases[i].scale, &model);
		is_status(fr_preset_recognise(&model.net, 1, NULL, &fr_allocator_malloc,
									  &found, hint, &error),
				  cases[i].status, &error, "it begins (v - %g) * %g",
				  (double) cases[i].mean, (double) cases[i].scale);
		if (cases[i].status == FR_OK)
			ok(found.decode == FR_DECODE_SCRFD && !found.is_bgr &&
				   found.mean[0] == cases[i].want_mean &&
				   found.scale[2] == cases[i].want_scale,
			   "and is fed with (v - %g) * %g", (double) found.mean[0],
			   (double) found.scale[2]);
		else
			ok(strstr(hint, "Name the preset \"scrfd\"") != NULL, "%s %s",
			   error.message, hint);
		unload_model(&model);
	}
}

/* ---- memory -------------------------------------------------------------- */

/* Boxes, landmarks from another network, crops of boxes, embeddings; and what
 * is done when a model is loaded. */
static FrStatus
run_all(const uint8_t *bytes, size_t size_bytes, const FrDetector *detector,
		const Model *embedder, const FrAllocator *allocator)
{
	FrPhotoOptions options = {.max_pixels = 1000000};
	FrDescriptor found;
	FrFaces faces = {0};
	FrPhoto *photo = NULL;
	FrError error;
	char hint[256];
	float embeddings[2 * 16];
	FrStatus status = fr_detect_probe(detector, NULL, allocator, &error);

	if (status == FR_OK)
		status = fr_preset_recognise(detector->nets, 1, NULL, allocator, &found,
									 hint, &error);
	if (status == FR_OK)
		status = fr_photo_open(bytes, size_bytes, &options, allocator, &photo,
							   &error);
	if (status == FR_OK)
		status = fr_photo_detect(photo, detector, &faces, &error);
	if (status == FR_OK)
		status =
			fr_photo_embed(photo, embedder->net, &embedder->descriptor,
						   faces.faces, faces.count, 16, embeddings, &error);
	fr_faces_destroy(&faces);
	fr_photo_close(photo);
	return status;
}

static void
test_every_allocation_may_fail(void)
{
	Model boxes, landmarks, embedder;
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	size_t size_bytes;
	uint8_t *photo = make_photo(&size_bytes);
	int bad = 0;

	load_model("patch-scrfd-boxes.onnx", "scrfd", &boxes);
	load_model("patch-landmarks.onnx", "omz-landmarks-0009", &landmarks);
	load_model("patch-embedder.onnx", "mobilefacenet", &embedder);
	embedder.descriptor.alignment = FR_TEMPLATE_BOX;
	embedder.descriptor.margin = 0.25f;
	embedder.descriptor.is_standardised = true;

	FrDetector detector = {.descriptor = &boxes.descriptor,
						   .nets = {boxes.net},
						   .landmarker = landmarks.net,
						   .landmarks = &landmarks.descriptor};

	/* plans are made once, from other memory */
	run_all(photo, size_bytes, &detector, &embedder, &fr_allocator_malloc);
	is_int(run_all(photo, size_bytes, &detector, &embedder, &allocator), FR_OK,
		   "all runs with enough memory");
	is_int(memory.live, 0, "and releases it");

	long requests = memory.requests;

	for (long n = 1; n <= requests; n++)
	{
		memory = (TestMemory){.fail_at = n};

		FrStatus status =
			run_all(photo, size_bytes, &detector, &embedder, &allocator);

		bad += status != FR_ERR_NOMEM || memory.live != 0;
	}
	is_int(bad, 0, "each of %ld failing allocations is reported", requests);
	free(photo);
	unload_model(&boxes);
	unload_model(&landmarks);
	unload_model(&embedder);
}

int
main(void)
{
	size_t size_bytes;
	unsigned char *bytes = read_file("src/test/golden/heads.json", &size_bytes);
	Json *golden = bytes ? json_parse(bytes, size_bytes) : NULL;

	if (!ok(golden != NULL, "golden/heads.json is parsed"))
		return 1;
	for (int i = 0; i < json_count(golden); i++)
	{
		test_golden_case(json_at(golden, i), i);
		test_hostile_case(json_at(golden, i), i);
	}
	test_wrong_shapes(golden);
	json_destroy(golden);
	free(bytes);
	test_presets_agree();
	test_probe();
	test_detectors_that_normalise();
	test_every_allocation_may_fail();
	return tap_done();
}
