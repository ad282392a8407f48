/*
 * model_cases.h: the networks that benchmarks run, loading and timing them.
 *
 * Pretrained models come from the folder in FACEREC_TESTDATA (default
 * ../shared), those with random weights from the one in FACEREC_BENCH_MODELS
 * (default build/models, where "make bench-models" writes them); a model that
 * is not there is skipped.  FACEREC_BENCH_WEIGHTS=f16 stores weights in half
 * precision.  Header only; depends on the core.
 */
#ifndef FR_TEST_MODEL_CASES_H
#define FR_TEST_MODEL_CASES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/image/image.h"
#include "core/nn/plan.h"
#include "core/onnx/import.h"

typedef struct ModelCase
{
	const char *file;
	FrShape shape;
	bool is_random; /* by make_models.py or make_quantized.py */
	bool is_raw;	/* the input's range is 0..255, not -1..1 */
} ModelCase;

static const ModelCase model_cases[] = {
	{"mobilefacenet-128.onnx", {4, {1, 3, 112, 112}}, false, false},
	{"mobilefacenet-128.onnx", {4, {8, 3, 112, 112}}, false, false},
	{"face-reidentification-retail-0095.onnx",
	 {4, {1, 3, 128, 128}},
	 false,
	 true},
	{"yunet_n_320_320.onnx", {4, {1, 3, 320, 320}}, false, true},
	{"yunet_n_640_640.onnx", {4, {1, 3, 640, 640}}, false, true},
	{"mtcnn-pnet.onnx", {4, {1, 3, 480, 640}}, false, false},
	{"mtcnn-rnet.onnx", {4, {1, 3, 24, 24}}, false, false},
	{"mtcnn-rnet.onnx", {4, {16, 3, 24, 24}}, false, false},
	{"mtcnn-rnet.onnx", {4, {64, 3, 24, 24}}, false, false},
	{"mtcnn-onet.onnx", {4, {1, 3, 48, 48}}, false, false},
	{"mtcnn-onet.onnx", {4, {16, 3, 48, 48}}, false, false},
	{"mtcnn-onet.onnx", {4, {64, 3, 48, 48}}, false, false},
	{"minifasnet-v2-80x80.onnx", {4, {1, 3, 80, 80}}, false, true},
	{"minifasnet-v1se-80x80.onnx", {4, {1, 3, 80, 80}}, false, true},
	{"landmarks-regression-retail-0009.onnx", {4, {1, 3, 48, 48}}, false, true},
	{"mobilefacenet.onnx", {4, {1, 3, 112, 112}}, true, false},
	{"ir50.onnx", {4, {1, 3, 112, 112}}, true, false},
	{"ir50.onnx", {4, {8, 3, 112, 112}}, true, false},
	{"ir100.onnx", {4, {1, 3, 112, 112}}, true, false},
	{"facenet.onnx", {4, {1, 3, 160, 160}}, true, false},
	{"sphereface20.onnx", {4, {1, 3, 112, 96}}, true, false},
	{"ir50-int8.onnx", {4, {1, 3, 112, 112}}, true, false},
	{"ir50-int8.onnx", {4, {8, 3, 112, 112}}, true, false},
	{"mobilefacenet-int8.onnx", {4, {1, 3, 112, 112}}, true, false},
	{"facenet-int8.onnx", {4, {1, 3, 160, 160}}, true, false},
	{"sphereface20-int8.onnx", {4, {1, 3, 112, 96}}, true, false},
	{"mobilefacenet-128-int8.onnx", {4, {1, 3, 112, 112}}, true, false},
	{"face-reidentification-retail-0095-int8.onnx",
	 {4, {1, 3, 128, 128}},
	 true,
	 true},
};
#define MODEL_CASE_COUNT (sizeof model_cases / sizeof *model_cases)

static double
thread_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
}

static inline int
compare_doubles(const void *left, const void *right)
{
	double a = *(const double *) left, b = *(const double *) right;

	return a < b ? -1 : a > b;
}

/* Sorts the values. */
static inline double
median(double *values, size_t count)
{
	qsort(values, count, sizeof *values, compare_doubles);
	return count ? values[count / 2] : 0.0;
}

static const char *
file_path(const char *file, bool is_random)
{
	static char path[4096];
	const char *folder =
		getenv(is_random ? "FACEREC_BENCH_MODELS" : "FACEREC_TESTDATA");

	if (is_random)
		snprintf(path, sizeof path, "%s/%s",
				 folder && *folder ? folder : "build/models", file);
	else
		snprintf(path, sizeof path, "%s/models/%s",
				 folder && *folder ? folder : "../shared", file);
	return path;
}

static const char *
model_path(const ModelCase *model)
{
	return file_path(model->file, model->is_random);
}

/* The whole file, or NULL when it is not there. */
static void *
load_file(const char *path, size_t *size_bytes)
{
	FILE *file = fopen(path, "rb");
	char *bytes = NULL;
	long length;

	if (!file)
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) > 0 &&
		fseek(file, 0, SEEK_SET) == 0 && (bytes = malloc((size_t) length)))
		*size_bytes = fread(bytes, 1, (size_t) length, file);
	fclose(file);
	return bytes;
}

/* The net and its plan for the case; ends the program when there is none. */
static inline FrPlan *
open_plan(const ModelCase *model, const FrKernels *kernels, const void *bytes,
		  size_t size_bytes, FrNet **net)
{
	const char *weights = getenv("FACEREC_BENCH_WEIGHTS");
	FrNetOptions options = {
		.kernels = kernels,
		.weight_format = weights && strcmp(weights, "f16") == 0
							 ? FR_WEIGHTS_F16
							 : FR_WEIGHTS_F32,
	};
	FrGraph graph = {0};
	FrError error = {0};
	FrPlan *plan = NULL;

	if (fr_onnx_import(bytes, size_bytes, &fr_allocator_malloc, &graph,
					   &error) != FR_OK ||
		fr_net_create(&graph, &options, &fr_allocator_malloc, net, &error) !=
			FR_OK ||
		fr_net_plan(*net, &model->shape, NULL, &plan, &error) != FR_OK)
	{
		fprintf(stderr, "%s: %s\n", model->file, error.message);
		exit(1);
	}
	return plan;
}

/* A photo with two faces, enlarged or reduced to the shape; if there is none,
 * a bright disc on a gradient. */
static void
make_picture(int width, int height, FrImage *picture)
{
	const char *folder = getenv("FACEREC_TESTDATA");
	FrDecodeOptions options = {.max_pixels = 100000000, .reduction = 1};
	FrImage photo = {0};
	char path[4096];
	size_t size = 0;

	snprintf(path, sizeof path, "%s/photos/obama-and-biden.jpg",
			 folder && *folder ? folder : "../shared");

	void *bytes = load_file(path, &size);
	bool is_made =
		bytes &&
		fr_image_decode(bytes, size, &options, &fr_allocator_malloc, &photo,
						NULL) == FR_OK &&
		fr_image_resize(&photo, width, height, NULL, &fr_allocator_malloc,
						picture, NULL) == FR_OK;

	free(bytes);
	fr_image_destroy(&photo);
	if (is_made)
		return;
	if (fr_image_create(width, height, &fr_allocator_malloc, picture, NULL) !=
		FR_OK)
		exit(1);
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
		{
			int dx = 2 * x - width, dy = 2 * y - height;
			int value = 4 * (dx * dx + dy * dy) < height * height ? 190 : 60;

			for (size_t c = 0; c < 3; c++)
				picture->pixels[((size_t) y * (size_t) width + (size_t) x) * 3 +
								c] =
					(uint8_t) (value + 40 * y / height + 7 * (int) c);
		}
}

/* The model's input, all images of the batch alike. */
static float *
make_input(const ModelCase *model)
{
	int height = (int) model->shape.dims[2], width = (int) model->shape.dims[3];
	size_t plane = (size_t) height * (size_t) width, count = 0;
	FrImage picture;

	fr_shape_count(&model->shape, &count);
	make_picture(width, height, &picture);

	float *input = malloc(count * sizeof *input);

	for (size_t i = 0; input && i < count; i++)
	{
		size_t channel = i / plane % 3, pixel = i % plane;
		int y = (int) (pixel / (size_t) width);
		float value =
			fr_image_row(&picture, y)[3 * (pixel % (size_t) width) + channel];

		input[i] = model->is_raw ? value : (value - 127.5f) / 128.0f;
	}
	fr_image_destroy(&picture);
	return input;
}

#endif
