/*
 * test_face_recognise.c: presets told from networks, and refusals to guess;
 * the presets' inputs: planes and pixels, standardised pictures, crops of
 * boxes.
 */
#include "core/face/embed.h"
#include "core/face/input.h"
#include "core/face/recognise.h"
#include "core/onnx/import.h"
#include "test/unit/onnx_build.h"
#include "test/unit/tap.h"

#define MODELS "sql_tests/data/models/"

typedef struct Model
{
	unsigned char *bytes[3];
	FrNet *nets[3];
	int count;
} Model;

static void
add_network(Model *model, unsigned char *bytes, size_t size_bytes)
{
	FrGraph graph;
	FrError error = {0};

	if (!bytes ||
		fr_onnx_import(bytes, size_bytes, &fr_allocator_malloc, &graph,
					   &error) != FR_OK ||
		fr_net_create(&graph, NULL, &fr_allocator_malloc,
					  &model->nets[model->count], &error) != FR_OK)
	{
		ok(false, "a network is made: %s", error.message);
		exit(1);
	}
	model->bytes[model->count++] = bytes;
}

static void
add_file(Model *model, const char *path)
{
	size_t size_bytes;
	unsigned char *bytes = read_file(path, &size_bytes);

	add_network(model, bytes, size_bytes);
}

static void
free_model(Model *model)
{
	for (int i = 0; i < model->count; i++)
	{
		fr_net_destroy(model->nets[i]);
		free(model->bytes[i]);
	}
}

/* preset NULL: refused, with a hint that has word. */
static void
check(Model *model, const char *what, const char *preset, const char *word)
{
	FrDescriptor descriptor = {0};
	FrError error = {0};
	char hint[256] = "";
	FrStatus status =
		fr_preset_recognise(model->nets, model->count, NULL,
							&fr_allocator_malloc, &descriptor, hint, &error);

	if (preset)
	{
		is_status(status, FR_OK, &error, "%s: recognised", what);
		ok(status == FR_OK && strcmp(descriptor.preset, preset) == 0,
		   "%s: as %s", what, preset);
		if (strcmp(word, "raw") == 0)
			ok(descriptor.mean[1] == 0 && descriptor.scale[2] == 1,
			   "%s: normalises by itself", what);
	}
	else
	{
		is_status(status, FR_ERR_MISMATCH, &error, "%s: refused", what);
		ok(strstr(hint, word) != NULL, "%s: %s %s", what, error.message, hint);
	}
	free_model(model);
}

static void
check_file(const char *path, const char *preset, const char *word)
{
	Model model = {0};

	add_file(&model, path);
	check(&model, path, preset, word);
}

/* A network of one linear layer; leading says what comes first. */
static Model
build(const int64_t shape[4], const char *leading, int64_t dims)
{
	Model model = {0};
	OnnxModel onnx;
	int64_t channel = shape[1] == 3 ? 1 : 3;
	float *weights = calloc((size_t) (3 * dims), sizeof(float));

	onnx_begin(&onnx, 13);
	onnx_input(&onnx, "data", 4, shape);
	onnx_weight_f32(&onnx, "half", 1, (int64_t[]){1}, (float[]){127.5f});
	onnx_weight_f32(&onnx, "unit", 1, (int64_t[]){1}, (float[]){1 / 128.0f});
	if (strcmp(leading, "sub") == 0)
	{
		onnx_node(&onnx, "Sub", "sub", "data half", "a");
		onnx_node(&onnx, "Mul", "mul", "a unit", "b");
	}
	else if (strcmp(leading, "div") == 0)
	{
		onnx_node(&onnx, "Div", "div", "data half", "a");
		onnx_weight_f32(&onnx, "one", 4, (int64_t[]){1, 3, 1, 1},
						(float[]){-1, -1, -1});
		onnx_node(&onnx, "Add", "add", "one a", "b");
	}
	else if (strcmp(leading, "scale") == 0)
	{
		onnx_node(&onnx, "Mul", "mul", "data unit", "b");
	}
	else if (strcmp(leading, "channels") == 0)
	{
		/* as Open Model Zoo's networks begin */
		onnx_weight_f32(&onnx, "m", 4, (int64_t[]){1, 3, 1, 1},
						(float[]){0.01f, 0.02f, 0.03f});
		onnx_weight_f32(&onnx, "p", 4, (int64_t[]){1, 3, 1, 1},
						(float[]){-1, -2, -3});
		onnx_node(&onnx, "Mul", "mul", "data m", "a");
		onnx_node(&onnx, "Add", "add", "a p", "b");
	}
	else
		onnx_node(&onnx, "Identity", "same", "data", "b");
	onnx_node(&onnx, "ReduceMean", "mean", "b", "c");
	onnx_attr_ints(&onnx, "axes", 2,
				   channel == 1 ? (int64_t[]){2, 3} : (int64_t[]){1, 2});
	onnx_attr_int(&onnx, "keepdims", 0);
	for (int64_t i = 0; i < 3 * dims; i++)
		weights[i] = (float) (i % 7) - 3;
	onnx_weight_f32(&onnx, "w", 2, (int64_t[]){3, dims}, weights);
	onnx_node(&onnx, "MatMul", "dense", "c w", "fc1");
	onnx_output(&onnx, "fc1", 0, NULL);
	free(weights);

	OnnxBuffer file = onnx_finish(&onnx);

	add_network(&model, file.data, file.size_bytes);
	return model;
}

static void
test_embedders(void)
{
	static const struct
	{
		const char *what;
		int64_t shape[4];
		const char *leading;
		int64_t dims;
		const char *preset, *word;
	} cases[] = {
		{"112", {-1, 3, 112, 112}, "", 512, NULL, "\"mobilefacenet\" for"},
		{"112, scaled only",
		 {-1, 3, 112, 112},
		 "scale",
		 512,
		 NULL,
		 "\"sface\" for"},
		{"112, normalised", {1, 3, 112, 112}, "sub", 512, "arcface", "raw"},
		{"112, other order", {-1, 3, 112, 112}, "div", 512, "arcface", "raw"},
		{"112, 128-d", {-1, 3, 112, 112}, "sub", 128, "sface", "raw"},
		{"112 x 96", {-1, 3, 112, 96}, "", 512, NULL, "fed with BGR, (v"},
		{"112 x 96, normalised",
		 {-1, 3, 112, 96},
		 "sub",
		 512,
		 NULL,
		 "\"mean\": 0"},
		{"96 x 112", {-1, 3, 96, 112}, "", 512, NULL, "there are"},
		{"160", {-1, 3, 160, 160}, "", 512, NULL, "standardise"},
		{"160, channels last", {-1, 160, 160, 3}, "", 128, NULL, "standardise"},
		{"160, normalised", {-1, 3, 160, 160}, "sub", 512, "facenet", "raw"},
		{"128", {-1, 3, 128, 128}, "", 256, NULL, "omz-reid-0095"},
		{"128, 512-d", {-1, 3, 128, 128}, "scale", 512, NULL, "omz-reid"},
		{"128, scaled", {-1, 3, 128, 128}, "scale", 256, NULL, "BGR 0..255"},
		{"128, scaled by channel",
		 {-1, 3, 128, 128},
		 "channels",
		 256,
		 "omz-reid-0095",
		 ""},
		{"any size", {-1, 3, -1, -1}, "", 512, NULL, "those for one output"},
		{"gray", {-1, 1, 112, 112}, "", 512, NULL, "there are"},
		{"other size", {-1, 3, 200, 200}, "", 512, NULL, "there are"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		Model model = {0};

		if (strcmp(cases[i].what, "gray") == 0)
		{
			OnnxModel onnx;

			onnx_begin(&onnx, 13);
			onnx_input(&onnx, "data", 4, cases[i].shape);
			onnx_node(&onnx, "Flatten", "flat", "data", "fc1");
			onnx_output(&onnx, "fc1", 0, NULL);

			OnnxBuffer file = onnx_finish(&onnx);

			add_network(&model, file.data, file.size_bytes);
		}
		else
			model = build(cases[i].shape, cases[i].leading, cases[i].dims);
		check(&model, cases[i].what, cases[i].preset, cases[i].word);
	}
}

static void
test_fixtures(void)
{
	static const char *const parts[] = {"p", "r", "o"};

	check_file(MODELS "patch-detector.onnx", "yunet", "");
	check_file(MODELS "patch-scrfd.onnx", "scrfd", "");
	check_file(MODELS "patch-scrfd-boxes.onnx", "scrfd", "");
	check_file(MODELS "patch-retinaface.onnx", "retinaface", "");
	check_file(MODELS "patch-embedder.onnx", NULL, "\"arcface\" for");
	check_file(MODELS "patch-sface.onnx", "arcface", "raw");
	check_file(MODELS "patch-landmarks.onnx", NULL, "omz-landmarks-0009");
	check_file(MODELS "patch-mtcnn-o.onnx", NULL, "there are");
	for (int turn = 0; turn < 3; turn++)
	{
		Model model = {0};

		for (int i = 0; i < 3 && (turn < 2 || i < 2); i++)
		{
			char path[128];

			snprintf(path, sizeof path, MODELS "patch-mtcnn-%s.onnx",
					 parts[turn == 1 ? (i + 1) % 3 : i]);
			add_file(&model, path);
		}
		check(&model,
			  turn == 0	  ? "P, R, O"
			  : turn == 1 ? "R, O, P"
						  : "P, R",
			  turn == 0 ? "mtcnn" : NULL,
			  turn == 0	  ? ""
			  : turn == 1 ? "in this order"
						  : "there are");
	}
}

static void
test_real_networks(void)
{
	static const struct
	{
		const char *file, *preset, *word;
	} cases[] = {
		{"yunet_n_dynamic", "yunet", ""},
		{"yunet_n_320_320", "yunet", ""},
		{"face-reidentification-retail-0095", "omz-reid-0095", ""},
		{"landmarks-regression-retail-0009", "omz-landmarks-0009", ""},
		{"mobilefacenet-128", NULL, "\"mobilefacenet\" for"},
		{"minifasnet-v2-80x80", NULL, "there are"},
		{"mtcnn-pnet", NULL, "there are"},
	};
	size_t size_bytes;
	unsigned char *bytes =
		read_file(testdata_path("models/mtcnn-pnet.onnx"), &size_bytes);

	free(bytes);
	if (!bytes)
	{
		skip("real networks", "the test data folder is not there");
		return;
	}
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		char name[128];

		snprintf(name, sizeof name, "models/%s.onnx", cases[i].file);
		check_file(testdata_path(name), cases[i].preset, cases[i].word);
	}
}

/* ---- inputs -------------------------------------------------------------- */

static FrImage
make_image(int width, int height)
{
	FrImage image;
	FrError error;

	if (fr_image_create(width, height, &fr_allocator_malloc, &image, &error))
		exit(1);
	for (int i = 0; i < width * height * 3; i++)
		image.pixels[i] = (uint8_t) (((unsigned) i * 2654435761u) >> 24);
	return image;
}

static void
test_channels_last(void)
{
	Model planes = build((int64_t[]){-1, 3, 160, 160}, "", 16);
	Model pixels = build((int64_t[]){-1, 160, 160, 3}, "", 16);
	FrImage crops[3] = {make_image(160, 160), make_image(160, 160),
						make_image(160, 160)};
	FrDescriptor descriptor;
	float a[3 * 16], b[3 * 16];
	FrError error = {0};
	double worst = 0;
	int dims = 0;

	fr_preset_find("facenet", &descriptor);
	descriptor.is_standardised = false;
	descriptor.is_bgr = true;
	descriptor.mean[0] = 10;
	memset(crops[1].pixels, 7, 160 * 160 * 3);
	is_status(fr_descriptor_check(&descriptor, pixels.nets[0], NULL,
								  &fr_allocator_malloc, &dims, &error),
			  FR_OK, &error, "[n, 160, 160, 3] fits");
	is_int(dims, 16, "dimensions");
	is_status(fr_embed_crops(planes.nets[0], &descriptor, crops, 3, 16, NULL, a,
							 &error),
			  FR_OK, &error, "planes");
	is_status(fr_embed_crops(pixels.nets[0], &descriptor, crops, 3, 16, NULL, b,
							 &error),
			  FR_OK, &error, "pixels");
	for (int i = 0; i < 3 * 16; i++)
		worst = fmax(worst, fabs((double) a[i] - (double) b[i]));
	ok(worst < 1e-4, "the order of the input does not matter (%.2g)", worst);
	for (int i = 0; i < 3; i++)
		fr_image_destroy(&crops[i]);
	free_model(&planes);
	free_model(&pixels);
}

/* A network that gives back what it is fed with. */
static Model
build_mirror(const int64_t shape[4])
{
	Model model = {0};
	OnnxModel onnx;

	onnx_begin(&onnx, 13);
	onnx_input(&onnx, "x", 4, shape);
	onnx_weight_f32(&onnx, "zero", 1, (int64_t[]){1}, (float[]){0});
	onnx_node(&onnx, "Add", "add", "x zero", "y");
	onnx_output(&onnx, "y", 0, NULL);

	OnnxBuffer file = onnx_finish(&onnx);

	add_network(&model, file.data, file.size_bytes);
	return model;
}

/* Feed a picture; the result belongs to the plan. */
static const float *
feed(const Model *model, const FrImage *image, const FrDescriptor *descriptor)
{
	FrShape shape = fr_input_shape(fr_net_graph(model->nets[0]), 1,
								   image->width, image->height);
	const FrShape *out_shape;
	FrPlan *plan;
	FrError error = {0};
	FrStatus status = fr_net_plan(model->nets[0], &shape, NULL, &plan, &error);

	if (status == FR_OK)
		status = fr_input_set(plan, 0, image, descriptor, false, &error);
	if (status == FR_OK)
		status = fr_plan_run(plan, NULL, &error);
	is_status(status, FR_OK, &error, "fed with a picture");
	if (status != FR_OK)
		exit(1);
	return fr_plan_output(plan, 0, &out_shape);
}

static void
test_standardised_input(void)
{
	Model model = build_mirror((int64_t[]){-1, 3, 160, 160});
	Model pixels = build_mirror((int64_t[]){-1, 160, 160, 3});
	FrImage image = make_image(160, 160);
	FrDescriptor descriptor;
	double sum = 0, squares = 0;

	fr_preset_find("facenet", &descriptor);
	ok(descriptor.is_standardised, "facenet is fed standardised pictures");

	const float *fed = feed(&model, &image, &descriptor);

	for (int i = 0; i < 3 * 160 * 160; i++)
	{
		sum += (double) fed[i];
		squares += (double) fed[i] * (double) fed[i];
	}
	ok_near(sum / (3 * 160 * 160), 0, 1e-4, "mean 0");
	ok_near(squares / (3 * 160 * 160), 1, 1e-4, "deviation 1");
	descriptor.is_standardised = false;
	descriptor.is_bgr = true;
	fed = feed(&pixels, &image, &descriptor);
	ok_near(fed[0], (image.pixels[2] - 127.5) / 128, 1e-6,
			"channels last: blue first");
	ok_near(fed[5], (image.pixels[3] - 127.5) / 128, 1e-6,
			"red of the second pixel");
	descriptor.is_standardised = true;
	memset(image.pixels, 200, 160 * 160 * 3);
	fed = feed(&model, &image, &descriptor);
	ok(fed[0] == 0 && fed[3 * 160 * 160 - 1] == 0,
	   "an even picture becomes zeros");
	fr_image_destroy(&image);
	free_model(&model);
	free_model(&pixels);
}

/* ---- what checking costs ------------------------------------------------- */

/* Crops of 112 x 112, whose constant is calculated from so many values. */
static Model
build_folding(int64_t count, const FrNetOptions *options)
{
	Model model = {0};
	OnnxModel onnx;
	FrGraph graph;
	FrError error = {0};

	onnx_begin(&onnx, 13);
	onnx_input(&onnx, "data", 4, (int64_t[]){-1, 3, 112, 112});
	onnx_weight_i64(&onnx, "shape", 1, &count);
	onnx_node(&onnx, "ConstantOfShape", "fill", "shape", "f0");
	onnx_node(&onnx, "Exp", "exp", "f0", "f1");
	onnx_node(&onnx, "Tanh", "tanh", "f1", "f2");
	onnx_node(&onnx, "ReduceMean", "mean", "f2", "f3");
	onnx_node(&onnx, "GlobalAveragePool", "pool", "data", "p");
	onnx_node(&onnx, "Flatten", "flat", "p", "q");
	onnx_node(&onnx, "Add", "add", "q f3", "fc1");
	onnx_output(&onnx, "fc1", 0, NULL);

	OnnxBuffer file = onnx_finish(&onnx);

	if (fr_onnx_import(file.data, file.size_bytes, &fr_allocator_malloc, &graph,
					   &error) != FR_OK ||
		fr_net_create(&graph, options, &fr_allocator_malloc, &model.nets[0],
					  &error) != FR_OK)
		exit(1);
	model.bytes[0] = file.data;
	model.count = 1;
	return model;
}

static void
test_checks_are_cancelled(void)
{
	Model model = build_folding(1000000, NULL);
	TestCancel countdown = {0};
	FrCancel cancel = test_cancel_at(&countdown);
	FrDescriptor found, arcface;
	FrError error = {0};
	char hint[256];
	int dims;

	fr_preset_find("arcface", &arcface);
	is_status(fr_descriptor_check(&arcface, model.nets[0], &cancel,
								  &fr_allocator_malloc, &dims, &error),
			  FR_OK, &error, "constants of a million values");

	long once = countdown.polls;

	ok(once > 1, "polled %ld times", once);
	countdown = (TestCancel){0};
	is_status(fr_preset_recognise(model.nets, 1, &cancel, &fr_allocator_malloc,
								  &found, hint, &error),
			  FR_ERR_MISMATCH, &error, "several presets fit");
	ok(countdown.polls <= 2 * once,
	   "calculated once for detectors and once for crops: %ld polls",
	   countdown.polls);
	countdown = (TestCancel){.cancel_at = 2};
	is_status(fr_preset_recognise(model.nets, 1, &cancel, &fr_allocator_malloc,
								  &found, hint, &error),
			  FR_ERR_CANCELLED, &error, "recognition is cancelled");
	countdown = (TestCancel){.cancel_at = 2};
	is_status(fr_descriptor_check(&arcface, model.nets[0], &cancel,
								  &fr_allocator_malloc, &dims, &error),
			  FR_ERR_CANCELLED, &error, "the check is cancelled");
	free_model(&model);
	model =
		build_folding(1000000, &(FrNetOptions){.max_plan_bytes = 1024 * 1024});
	is_status(fr_descriptor_check(&arcface, model.nets[0], NULL,
								  &fr_allocator_malloc, &dims, &error),
			  FR_ERR_LIMIT, &error, "the net's limit of memory counts");
	free_model(&model);
}

/* It says that it takes any number of crops, and reshapes to one. */
static void
test_batches_are_tried(void)
{
	Model model = {0};
	OnnxModel onnx;
	FrDescriptor arcface;
	FrError error = {0};
	int dims;

	onnx_begin(&onnx, 13);
	onnx_input(&onnx, "data", 4, (int64_t[]){-1, 3, 112, 112});
	onnx_weight_i64(&onnx, "shape", 2, (int64_t[]){1, 3});
	onnx_node(&onnx, "GlobalAveragePool", "pool", "data", "p");
	onnx_node(&onnx, "Reshape", "reshape", "p shape", "fc1");
	onnx_output(&onnx, "fc1", 0, NULL);

	OnnxBuffer file = onnx_finish(&onnx);

	add_network(&model, file.data, file.size_bytes);
	fr_preset_find("arcface", &arcface);
	is_status(fr_descriptor_check(&arcface, model.nets[0], NULL,
								  &fr_allocator_malloc, &dims, &error),
			  FR_ERR_MISMATCH, &error, "a network for one crop only: %s",
			  error.message);
	free_model(&model);
}

int
main(void)
{
	test_checks_are_cancelled();
	test_batches_are_tried();
	test_embedders();
	test_fixtures();
	test_real_networks();
	test_channels_last();
	test_standardised_input();
	return tap_done();
}
