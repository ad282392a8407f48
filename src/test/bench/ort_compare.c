/*
 * ort_compare.c: this engine and ONNX Runtime, run by turns in one process.
 *
 * usage: ORT_LIB=.../libonnxruntime.so.1 ort_compare [part of a name [isa
 * [seconds per model]]]
 * One thread each, thread CPU time, median over alternating runs, so that a
 * busy machine slows both alike.  Prints the ratio (above 1: this engine is
 * faster), the largest difference of any output, relative to the output's
 * largest value, and 1 - cosine of all outputs taken as one vector.  A model
 * NAME-int8.onnx is also compared with ONNX Runtime's run of the float model
 * that it was made from, NAME.onnx, if that is there.
 * Says "skipped" when ORT_LIB does not name the library.
 */
#include <math.h>

#include "model_cases.h"
#include "ort_binding.h"

#define MAX_RUNS 4000

/* Largest difference of two outputs relative to the larger's largest value. */
static double
relative_difference(const float *a, const float *b, size_t count)
{
	double scale = 1e-2, largest = 0.0; /* the reference's sigmoid has
										 * absolute errors of 1e-7 */

	for (size_t i = 0; i < count; i++)
	{
		scale = fmax(scale, fabs((double) b[i]));
		largest = fmax(largest, fabs((double) a[i] - (double) b[i]));
	}
	return largest / scale;
}

/* Products of two runtimes' outputs, over all outputs. */
typedef struct Products
{
	double ab, aa, bb;
} Products;

static void
add_products(const float *a, const float *b, size_t count, Products *sums)
{
	for (size_t i = 0; i < count; i++)
	{
		sums->ab += (double) a[i] * (double) b[i];
		sums->aa += (double) a[i] * (double) a[i];
		sums->bb += (double) b[i] * (double) b[i];
	}
}

/* The output of the graph with ONNX Runtime's name for it. */
static int
find_output(const FrNet *net, const char *name)
{
	const FrGraph *graph = fr_net_graph(net);

	for (int i = 0; i < graph->output_count; i++)
		if (strcmp(graph->values[graph->outputs[i]].name, name) == 0)
			return i;
	return -1;
}

typedef struct Difference
{
	double relative, angular;
} Difference;

static Difference
compare_outputs(const FrNet *net, const FrPlan *plan, const OrtModel *model)
{
	const Difference none = {HUGE_VAL, HUGE_VAL};
	Difference worst = {0.0, 0.0};
	Products sums = {0.0, 0.0, 0.0};

	for (size_t i = 0; i < model->output_count; i++)
	{
		int index = find_output(net, model->output_names[i]);
		const FrShape *shape;
		size_t count = 0, ort_count = 0;

		if (index < 0)
			return none;

		const float *got = fr_plan_output(plan, index, &shape);
		const float *want = ort_output(model, i, &ort_count);

		if (!fr_shape_count(shape, &count) || count != ort_count)
			return none;
		worst.relative =
			fmax(worst.relative, relative_difference(got, want, count));
		add_products(got, want, count, &sums);
	}
	worst.angular = 1.0 - sums.ab / sqrt(sums.aa * sums.bb);
	return worst;
}

/* Load the float model that a quantised one was made from. */
static bool
load_float_model(const OrtLibrary *library, const ModelCase *model,
				 OrtModel *other)
{
	char name[256];
	const char *suffix = strstr(model->file, "-int8.onnx");

	if (!suffix)
		return false;
	snprintf(name, sizeof name, "%.*s.onnx", (int) (suffix - model->file),
			 model->file);
	for (int is_random = 0; is_random < 2; is_random++)
	{
		FILE *file = fopen(file_path(name, is_random), "rb");

		if (!file)
			continue;
		fclose(file);
		ort_load(library, file_path(name, is_random), other);
		return true;
	}
	return false;
}

static double
time_ort(OrtModel *model, void *tensor)
{
	double start = thread_seconds();

	ort_run(model, tensor);
	return thread_seconds() - start;
}

static void
compare_case(const ModelCase *model, const FrKernels *kernels,
			 const OrtLibrary *library, double seconds)
{
	static double own_times[MAX_RUNS], ort_times[MAX_RUNS];
	static double float_times[MAX_RUNS];
	size_t size = 0, floats = 0, runs = 0;
	void *bytes = load_file(model_path(model), &size);
	char shape[96];
	FrNet *net;
	OrtModel other, in_floats;

	if (!bytes)
	{
		printf("%-40s skipped: no such file\n", model->file);
		return;
	}

	FrPlan *plan = open_plan(model, kernels, bytes, size, &net);
	float *input = make_input(model);

	fr_shape_count(&model->shape, &floats);
	ort_load(library, model_path(model), &other);

	bool has_floats = load_float_model(library, model, &in_floats);

	void *tensor = ort_tensor(library, input, model->shape.dims, 4);
	double begin = thread_seconds();

	while (runs < MAX_RUNS && (runs < 5 || thread_seconds() - begin < seconds))
	{
		double start = thread_seconds();

		memcpy(fr_plan_input(plan, 0), input, floats * sizeof *input);
		fr_plan_run(plan, NULL, NULL);
		own_times[runs] = thread_seconds() - start;
		ort_times[runs] = time_ort(&other, tensor);
		if (has_floats)
			float_times[runs] = time_ort(&in_floats, tensor);
		runs++;
	}

	Difference difference = compare_outputs(net, plan, &other);
	double own = median(own_times, runs), ort = median(ort_times, runs);

	printf("%-40s %-18s %s %8.3f ms  onnxruntime %8.3f ms  ratio %5.2f  "
		   "difference %.1e  1-cosine %.1e\n",
		   model->file, fr_shape_text(&model->shape, shape, sizeof shape),
		   kernels->isa, 1e3 * own, 1e3 * ort, ort / own, difference.relative,
		   difference.angular);
	if (has_floats)
	{
		double floats_time = median(float_times, runs);

		printf("%-40s float model in onnxruntime %8.3f ms  ratio %5.2f\n",
			   model->file, 1e3 * floats_time, floats_time / own);
		ort_unload(&in_floats);
	}
	fflush(stdout);
	ORT_RELEASE(library, ORT_RELEASE_VALUE, tensor);
	ort_unload(&other);
	fr_net_destroy(net);
	free(input);
	free(bytes);
}

int
main(int argc, char **argv)
{
	OrtLibrary library;
	const FrKernels *kernels = fr_kernels_by_name(argc > 2 ? argv[2] : "auto");
	double seconds = argc > 3 ? atof(argv[3]) : 2.0;

	if (!kernels || !ort_open(&library))
	{
		puts("skipped: ORT_LIB does not name ONNX Runtime's library, or this "
			 "CPU lacks the instruction set");
		return 0;
	}
	printf("onnxruntime %s\n", library.version);
	for (size_t i = 0; i < MODEL_CASE_COUNT; i++)
		if (argc < 2 || strstr(model_cases[i].file, argv[1]))
			compare_case(&model_cases[i], kernels, &library, seconds);
	return 0;
}
