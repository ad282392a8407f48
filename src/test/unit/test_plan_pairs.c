/*
 * test_plan_pairs.c: convolutions multiply in pairs only where their weights
 * let that be precise.
 *
 * Two convolutions with a normalisation between, whose running deviations of
 * channels lie spread apart: what is large before it meets small weights.
 */
#include "plan_layers.h"

#define CHANNELS 64

typedef struct PairsCase
{
	const char *what;
	float spread; /* largest deviation over the smallest */
	int steps;	  /* of the second convolution that run in pairs */
} PairsCase;

static const PairsCase cases[] = {
	{"channels of one magnitude", 1.0f, 1},
	{"magnitudes within 4", 4.0f, 1},
	{"magnitudes within 1000", 1000.0f, 0},
};

/* Deviations from 1 / sqrt(spread) to sqrt(spread), in no order. */
static float
deviation(int channel, float spread)
{
	return powf(spread,
				(float) (channel * 29 % CHANNELS) / (CHANNELS - 1) - 0.5f);
}

/* Convolution to channels of these deviations, Relu, normalisation,
 * convolution with stride 2. */
static void
build(OnnxModel *model, float spread)
{
	static float values[CHANNELS * 16], variances[CHANNELS], ones[CHANNELS];

	for (int c = 0; c < CHANNELS; c++)
	{
		float size = deviation(c, spread);

		for (int i = 0; i < 16; i++)
			values[c * 16 + i] = size * check_random(-1.0f, 1.0f);
		variances[c] = size * size;
		ones[c] = 1.0f;
	}
	begin_map_model(model, 16);
	onnx_weight_f32(model, "w", CHECK_DIMS(CHANNELS, 16, 1, 1), values);
	onnx_node(model, "Conv", "a", "x w", "a");
	onnx_node(model, "Relu", "r", "a", "r");
	onnx_weight_f32(model, "scale", CHECK_DIMS(CHANNELS), ones);
	check_weight(model, "shift", CHECK_DIMS(CHANNELS));
	check_weight(model, "mean", CHECK_DIMS(CHANNELS));
	onnx_weight_f32(model, "variance", CHECK_DIMS(CHANNELS), variances);
	onnx_node(model, "BatchNormalization", "n", "r scale shift mean variance",
			  "n");
	add_conv(model, "n", "y",
			 (ConvLayer){
				 .in = CHANNELS, .out = CHANNELS, .kernel_h = 3, .stride = 2});
	onnx_output(model, "y", 0, NULL);
}

/* Root mean square difference relative to the second's values. */
static double
relative_error(const FrPlan *got_plan, const FrPlan *want_plan)
{
	const FrShape *shape;
	const float *got = fr_plan_output(got_plan, 0, &shape);
	const float *want = fr_plan_output(want_plan, 0, &shape);
	double error = 0.0, power = 0.0;
	size_t count = 0;

	fr_shape_count(shape, &count);
	for (size_t i = 0; i < count; i++)
	{
		double difference = (double) got[i] - (double) want[i];

		error += difference * difference;
		power += (double) want[i] * (double) want[i];
	}
	return sqrt(error / power);
}

/* A run on an input of noise; NULL after a failure. */
static FrPlan *
run_once(FrNet *net, const FrShape *shape)
{
	FrPlan *plan = NULL;
	FrError error = {0};

	if (!net || fr_net_plan(net, shape, NULL, &plan, &error) != FR_OK)
		return NULL;
	check_fill_input(fr_plan_input(plan, 0), shape, 5);
	return fr_plan_run(plan, NULL, &error) == FR_OK ? plan : NULL;
}

static void
test_case(const PairsCase *one, const FrKernels *kernels)
{
	const FrShape shape = {4, {1, 16, 15, 15}};
	const FrNetOptions options = {.kernels = kernels};
	const FrNetOptions reference = {.is_reference = true};
	OnnxModel model;
	FrError error = {0};
	FrStatus status;

	build(&model, one->spread);

	OnnxBuffer file = onnx_finish(&model);
	FrNet *net =
		check_net(&file, &options, &fr_allocator_malloc, &status, &error);
	FrNet *plain =
		check_net(&file, &reference, &fr_allocator_malloc, &status, &error);
	FrPlan *got = run_once(net, &shape), *want = run_once(plain, &shape);

	if (ok(got && want, "%s: runs", one->what))
	{
		double relative = relative_error(got, want);

		is_int(check_count_steps(got, "pairs"), one->steps,
			   "%s: steps in pairs", one->what);
		ok(relative < 1.5e-6, "%s: relative error of %.1e", one->what,
		   relative);
	}
	fr_net_destroy(net);
	fr_net_destroy(plain);
	free(file.data);
}

int
main(void)
{
	const FrKernels *kernels = fr_kernels_by_name("avx512-pairs");

	for (size_t i = 0; kernels && i < sizeof cases / sizeof *cases; i++)
		test_case(&cases[i], kernels);
	if (!kernels)
		skip("pairs", "this CPU has no such table");
	return tap_done();
}
