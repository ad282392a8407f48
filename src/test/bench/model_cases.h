/*
 * model_cases.h: the networks that benchmarks run, loading and timing them.
 *
 * Models come from the folder in FACEREC_TESTDATA (default ../shared).
 * Header only; depends on the core.
 */
#ifndef FR_TEST_MODEL_CASES_H
#define FR_TEST_MODEL_CASES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/nn/plan.h"
#include "core/onnx/import.h"

typedef struct ModelCase
{
	const char *file; /* below models/ */
	FrShape shape;
} ModelCase;

static const ModelCase model_cases[] = {
	{"mobilefacenet-128.onnx", {4, {1, 3, 112, 112}}},
	{"mobilefacenet-128.onnx", {4, {8, 3, 112, 112}}},
	{"face-reidentification-retail-0095.onnx", {4, {1, 3, 128, 128}}},
	{"yunet_n_320_320.onnx", {4, {1, 3, 320, 320}}},
	{"yunet_n_640_640.onnx", {4, {1, 3, 640, 640}}},
	{"mtcnn-pnet.onnx", {4, {1, 3, 480, 640}}},
	{"mtcnn-rnet.onnx", {4, {16, 3, 24, 24}}},
	{"mtcnn-onet.onnx", {4, {16, 3, 48, 48}}},
	{"minifasnet-v2-80x80.onnx", {4, {1, 3, 80, 80}}},
	{"minifasnet-v1se-80x80.onnx", {4, {1, 3, 80, 80}}},
	{"landmarks-regression-retail-0009.onnx", {4, {1, 3, 48, 48}}},
};
#define MODEL_CASE_COUNT (sizeof model_cases / sizeof *model_cases)

static double
thread_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
}

static int
compare_doubles(const void *left, const void *right)
{
	double a = *(const double *) left, b = *(const double *) right;

	return a < b ? -1 : a > b;
}

/* Sorts the values. */
static double
median(double *values, size_t count)
{
	qsort(values, count, sizeof *values, compare_doubles);
	return count ? values[count / 2] : 0.0;
}

static const char *
model_path(const ModelCase *model)
{
	static char path[4096];
	const char *folder = getenv("FACEREC_TESTDATA");

	snprintf(path, sizeof path, "%s/models/%s",
			 folder && *folder ? folder : "../shared", model->file);
	return path;
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
static FrPlan *
open_plan(const ModelCase *model, const FrKernels *kernels, const void *bytes,
		  size_t size_bytes, FrNet **net)
{
	FrNetOptions options = {.kernels = kernels};
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

/* Noise in 0..1; runs destroy their input, so this is done before each. */
static void
fill_noise(float *input, const FrShape *shape)
{
	size_t count = 0;

	fr_shape_count(shape, &count);
	for (size_t i = 0; i < count; i++)
		input[i] = (float) ((uint32_t) (i * 2654435761u) >> 8) / 16777216.0f;
}

#endif
