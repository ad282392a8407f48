/*
 * test_graph_models.c: the networks of the test data folder, imported,
 * specialised and run with plain operators, against outputs that ONNX
 * Runtime calculated (models/testvectors).
 *
 * Inputs come from the formula in testvectors.json.  Cases marked slow are
 * left out under sanitizers and when FACEREC_TEST_SMALL is set (valgrind).
 */
#include "core/onnx/import.h"
#include "test/unit/graph_run.h"
#include "test/unit/tap.h"

typedef struct Case
{
	const char *model;	 /* in models/ */
	const char *outputs; /* in models/testvectors/ */
	FrShape input;
	float scale, offset;
	bool is_slow;
} Case;

static const Case cases[] = {
	{"face-reidentification-retail-0095.onnx",
	 "face-reidentification-retail-0095.2x3x128x128.bin",
	 {4, {2, 3, 128, 128}},
	 255,
	 0,
	 true},
	{"mobilefacenet-128.onnx",
	 "mobilefacenet-128.2x3x112x112.bin",
	 {4, {2, 3, 112, 112}},
	 2,
	 -1,
	 true},
	{"landmarks-regression-retail-0009.onnx",
	 "landmarks-regression-retail-0009.2x3x48x48.bin",
	 {4, {2, 3, 48, 48}},
	 255,
	 0,
	 false},
	{"mtcnn-pnet.onnx",
	 "mtcnn-pnet.1x3x37x50.bin",
	 {4, {1, 3, 37, 50}},
	 2,
	 -1,
	 false},
	{"mtcnn-pnet.onnx",
	 "mtcnn-pnet.2x3x24x25.bin",
	 {4, {2, 3, 24, 25}},
	 2,
	 -1,
	 false},
	{"mtcnn-rnet.onnx",
	 "mtcnn-rnet.3x3x24x24.bin",
	 {4, {3, 3, 24, 24}},
	 2,
	 -1,
	 false},
	{"mtcnn-onet.onnx",
	 "mtcnn-onet.2x3x48x48.bin",
	 {4, {2, 3, 48, 48}},
	 2,
	 -1,
	 false},
	{"minifasnet-v2-80x80.onnx",
	 "minifasnet-v2-80x80.2x3x80x80.bin",
	 {4, {2, 3, 80, 80}},
	 255,
	 0,
	 true},
	{"minifasnet-v1se-80x80.onnx",
	 "minifasnet-v1se-80x80.2x3x80x80.bin",
	 {4, {2, 3, 80, 80}},
	 255,
	 0,
	 true},
	{"yunet_n_320_320.onnx",
	 "yunet_n_320_320.1x3x320x320.bin",
	 {4, {1, 3, 320, 320}},
	 255,
	 0,
	 true},
	{"yunet_n_640_640.onnx",
	 "yunet_n_640_640.1x3x640x640.bin",
	 {4, {1, 3, 640, 640}},
	 255,
	 0,
	 true},
	{"yunet_n_dynamic.onnx",
	 "yunet_n_dynamic.1x3x96x160.bin",
	 {4, {1, 3, 96, 160}},
	 255,
	 0,
	 false},
	{"yunet_n_dynamic.onnx",
	 "yunet_n_dynamic.2x3x64x32.bin",
	 {4, {2, 3, 64, 32}},
	 255,
	 0,
	 false},
};

/* v = floor(u / 256) / 2^24 with u = i * 2654435761 mod 2^32 */
static float *
make_input(const Case *test)
{
	size_t count = 0;

	fr_shape_count(&test->input, &count);

	float *input = malloc(count * sizeof *input);

	for (size_t i = 0; i < count; i++)
	{
		uint32_t u = (uint32_t) (i * 2654435761u);

		input[i] = (float) (u >> 8) * 0x1p-24f * test->scale + test->offset;
	}
	return input;
}

/* ONNX Runtime's sigmoid is accurate to about 1e-7 absolutely, not relatively:
 * tensors of tiny probabilities are compared as if they reached this value. */
#define SMALLEST_SCALE 0.01

/* Largest difference to expected, relative to the largest magnitude there. */
static double
relative_difference(const float *got, const float *want, size_t count)
{
	double scale = SMALLEST_SCALE, worst = 0;

	for (size_t i = 0; i < count; i++)
	{
		double difference = fabs((double) got[i] - (double) want[i]);

		scale = fmax(scale, fabs((double) want[i]));
		worst = isfinite(got[i]) ? fmax(worst, difference) : INFINITY;
	}
	return worst / scale;
}

static void
compare_outputs(const Case *test, const GraphRun *run)
{
	char name[256];
	size_t size_bytes, at = 0;

	snprintf(name, sizeof name, "models/testvectors/%s", test->outputs);

	unsigned char *bytes = read_file(testdata_path(name), &size_bytes);
	double worst = 0;

	if (!ok(bytes != NULL, "%s is readable", name))
		return;
	for (int i = 0; i < run->graph->output_count; i++)
	{
		const FrTensor *output = run_graph_output(run, i);
		size_t count = 0;

		fr_shape_count(&output->shape, &count);
		if (at + count * sizeof(float) <= size_bytes)
			worst = fmax(worst, relative_difference(
									output->data,
									(const float *) (const void *) (bytes + at),
									count));
		at += count * sizeof(float);
	}
	is_int(at, size_bytes, "%s: outputs have the expected sizes",
		   test->outputs);
	ok(worst <= 1e-4, "%s: largest relative difference %.2g", test->outputs,
	   worst);
	free(bytes);
}

static bool
are_slow_skipped(void)
{
#ifdef __SANITIZE_ADDRESS__
	return true;
#else
	return getenv("FACEREC_TEST_SMALL") != NULL;
#endif
}

static void
test_specialized(const Case *test, const FrGraph *graph)
{
	FrError error = {0};
	FrGraph special;
	GraphRun run = {0};
	FrStatus status =
		fr_graph_specialize(graph, &test->input, (size_t) 1 << 28,
							&fr_allocator_malloc, &special, &error);
	bool are_known = true;

	is_status(status, FR_OK, &error, "%s is specialised", test->outputs);
	if (status != FR_OK)
		return;
	for (int i = 0; i < special.value_count; i++)
		are_known &= special.values[i].is_shape_known &&
					 fr_shape_is_static(&special.values[i].shape) &&
					 special.values[i].dtype != FR_DTYPE_NONE;
	ok(are_known, "every value's shape and type is known");
	for (int i = 0; i < special.node_count; i++)
		if (special.nodes[i].op == FR_OP_SHAPE)
			ok(false, "shape arithmetic is gone");
	if (test->is_slow && are_slow_skipped())
		skip(test->outputs, "slow; the optimised build runs it");
	else
	{
		float *input = make_input(test);

		status =
			run_graph(&run, &special, (const void *const[]){input}, &error);
		is_status(status, FR_OK, &error, "%s runs", test->outputs);
		if (status == FR_OK)
			compare_outputs(test, &run);
		run_graph_free(&run);
		free(input);
	}
	fr_graph_destroy(&special);
}

static void
test_case(const Case *test)
{
	char name[256];
	size_t size_bytes;
	FrError error = {0};
	FrGraph graph;

	snprintf(name, sizeof name, "models/%s", test->model);

	unsigned char *bytes = read_file(testdata_path(name), &size_bytes);

	if (!bytes)
	{
		skip(test->model, "the test data folder is absent");
		return;
	}

	FrStatus status =
		fr_onnx_import(bytes, size_bytes, &fr_allocator_malloc, &graph, &error);

	is_status(status, FR_OK, &error, "%s is imported", test->model);
	if (status == FR_OK)
	{
		test_specialized(test, &graph);
		fr_graph_destroy(&graph);
	}
	free(bytes);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		test_case(&cases[i]);
	return tap_done();
}
