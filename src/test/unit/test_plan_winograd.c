/*
 * test_plan_winograd.c: convolutions that the planner runs by Winograd's
 * F(4x4, 3x3): odd sizes and paddings, borders of a folded normalisation,
 * residuals, concatenations; half-precision weights; the same bits in any
 * batch; cancellation, and every allocation failing once.
 */
#include "plan_layers.h"

static ConvLayer
square(int in, int out)
{
	return (ConvLayer){.in = in,
					   .out = out,
					   .kernel_h = 3,
					   .pads = {1, 1, 1, 1},
					   .has_bias = true};
}

static void
test_sizes(void)
{
	static const struct
	{
		int64_t images, height, width, pads[4];
		int in, out;
	} cases[] = {
		{1, 16, 12, {1, 1, 1, 1}, 16, 16}, {1, 13, 14, {1, 1, 1, 1}, 17, 33},
		{2, 14, 14, {1, 1, 1, 1}, 32, 48}, {1, 15, 19, {0, 0, 0, 0}, 16, 20},
		{3, 9, 21, {2, 0, 1, 2}, 20, 70},  {1, 3, 50, {1, 2, 0, 0}, 24, 16},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		OnnxModel model;
		ConvLayer layer = square(cases[i].in, cases[i].out);
		char what[64];

		memcpy(layer.pads, cases[i].pads, sizeof layer.pads);
		begin_map_model(&model, cases[i].in);
		add_conv(&model, "x", "c", layer);
		onnx_node(&model, "Relu", "y", "c", "y");
		onnx_output(&model, "y", 0, NULL);
		snprintf(what, sizeof what, "%dx%d pixels, %d -> %d channels",
				 (int) cases[i].height, (int) cases[i].width, cases[i].in,
				 cases[i].out);
		check_plan(&model,
				   &CHECK_SHAPE(cases[i].images, cases[i].in, cases[i].height,
								cases[i].width),
				   3, what);
	}
}

/* A unit of an IR-net: the normalisation before a padded convolution needs a
 * border that is not zero, its other reader none. */
static OnnxBuffer
residual_unit(int channels)
{
	OnnxModel model;

	begin_map_model(&model, channels);
	onnx_node(&model, "Relu", "r", "x", "r");
	add_batch_norm(&model, "r", "n", channels);
	add_conv(&model, "n", "c", square(channels, channels));
	add_batch_norm(&model, "c", "b", channels);
	add_prelu(&model, "b", "p", CHECK_DIMS(channels, 1, 1));
	add_conv(&model, "p", "d", square(channels, channels));
	add_batch_norm(&model, "d", "e", channels);
	onnx_node(&model, "Add", "s", "e r", "s");
	onnx_node(&model, "Relu", "y", "s", "y");
	onnx_output(&model, "y", 0, NULL);
	return onnx_finish(&model);
}

/* What stands beside a Winograd convolution keeps its own border. */
static void
test_borders(void)
{
	OnnxModel model;

	begin_map_model(&model, 32);
	onnx_node(&model, "Relu", "r", "x", "r");
	add_batch_norm(&model, "r", "n", 32);
	add_conv(&model, "n", "c", square(32, 32));
	add_pool(&model, "MaxPool", "r", "q", 3, 1, all_pads, false);
	add_conv(&model, "r", "d", square(32, 48));
	onnx_node(&model, "Add", "a", "c q", "a");
	onnx_node(&model, "Concat", "k", "a d", "k");
	onnx_attr_int(&model, "axis", 1);
	add_conv(&model, "k", "f", square(80, 16));
	onnx_output(&model, "f", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 32, 14, 17), -1,
			   "readers with different borders");

	begin_map_model(&model, 16);
	add_conv(&model, "x", "c", square(16, 16));
	onnx_node(&model, "Relu", "r", "c", "r");
	onnx_node(&model, "Add", "y", "r x", "y");
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(1, 16, 13, 16), 3,
			   "a residual after the activation");
}

static FrPlan *
make_plan(const OnnxBuffer *file, const FrNetOptions *options,
		  const FrShape *shape, FrNet **net)
{
	FrError error = {0};
	FrStatus status;
	FrPlan *plan = NULL;

	*net = check_net(file, options, &fr_allocator_malloc, &status, &error);
	if (status == FR_OK)
		status = fr_net_plan(*net, shape, NULL, &plan, &error);
	is_status(status, FR_OK, &error, "a plan");
	return plan;
}

/* 1 - cosine of the first outputs of two plans. */
static double
cosine_distance(const FrPlan *a, const FrPlan *b)
{
	const FrShape *shape;
	const float *x = fr_plan_output(a, 0, &shape);
	const float *y = fr_plan_output(b, 0, &shape);
	double xx = 0.0, yy = 0.0, xy = 0.0;
	size_t count = 0;

	fr_shape_count(shape, &count);
	for (size_t i = 0; i < count; i++)
	{
		xx += (double) x[i] * (double) x[i];
		yy += (double) y[i] * (double) y[i];
		xy += (double) x[i] * (double) y[i];
	}
	return 1.0 - xy / sqrt(xx * yy);
}

/* Weights of the first step whose kernel's name contains text. */
static size_t
step_weights(const FrPlan *plan, const char *text)
{
	for (int i = 0; i < fr_plan_step_count(plan); i++)
	{
		FrPlanStep step;

		fr_plan_step(plan, i, &step);
		if (strstr(step.kernel, text))
			return step.weight_bytes;
	}
	return 0;
}

/* 160 channels: 3.7 MB of weights, more than what stays float32. */
static void
test_half_weights(void)
{
	OnnxBuffer file = residual_unit(160);
	const FrShape shape = CHECK_SHAPE(1, 160, 7, 7);
	const FrShape large = CHECK_SHAPE(1, 160, 14, 14);
	FrNetOptions plain = {.is_reference = true};
	FrNet *net, *other;
	FrPlan *want = make_plan(&file, &plain, &shape, &net);

	check_fill_input(fr_plan_input(want, 0), &shape, 5);
	fr_plan_run(want, NULL, NULL);
	for (int i = 0; i < CHECK_ISA_COUNT; i++)
	{
		FrNetOptions options = {.kernels = fr_kernels_by_name(check_isas[i]),
								.is_poisoned = true};
		size_t full;

		if (!options.kernels)
			continue;
		full = step_weights(make_plan(&file, &options, &large, &other),
							"winograd 3x3");
		fr_net_destroy(other);
		options.weight_format = FR_WEIGHTS_F16;

		FrPlan *got = make_plan(&file, &options, &shape, &other);
		size_t half = step_weights(got, "winograd 3x3 f16");
		double distance;

		check_fill_input(fr_plan_input(got, 0), &shape, 5);
		fr_plan_run(got, NULL, NULL);
		distance = cosine_distance(got, want);
		ok(distance > 0.0 && distance < 1e-6, "%s: 1 - cosine %g",
		   check_isas[i], distance);
		ok(half > 0 && half < full * 11 / 20, "%s: %zu bytes instead of %zu",
		   check_isas[i], half, full);
		fr_net_destroy(other);
	}
	fr_net_destroy(net);
	free(file.data);
}

/* Few tiles or channels, a stride, a group: not worth it or not possible. */
static void
test_choice(void)
{
	static const struct
	{
		const char *what;
		ConvLayer layer;
		int64_t size;
		int count;
	} cases[] = {
		{"16 tiles", {32, 32, 3, 3, 1, 1, 1, {1, 1, 1, 1}, false}, 13, 1},
		{"9 tiles of 4", {32, 32, 3, 3, 1, 1, 1, {1, 1, 1, 1}, false}, 12, 1},
		{"9 tiles of 3", {32, 32, 3, 3, 1, 1, 1, {1, 1, 1, 1}, false}, 9, 1},
		{"large weights", {96, 96, 3, 3, 1, 1, 1, {1, 1, 1, 1}, false}, 12, 0},
		{"one tile", {32, 32, 3, 3, 1, 1, 1, {1, 1, 1, 1}, false}, 3, 0},
		{"8 channels", {8, 32, 3, 3, 1, 1, 1, {1, 1, 1, 1}, false}, 16, 0},
		{"stride 2", {32, 32, 3, 3, 2, 1, 1, {1, 1, 1, 1}, false}, 32, 0},
		{"dilation 2", {32, 32, 3, 3, 1, 2, 1, {1, 1, 1, 1}, false}, 32, 0},
		{"2 groups", {64, 64, 3, 3, 1, 1, 2, {1, 1, 1, 1}, false}, 16, 0},
		{"5x5", {32, 32, 5, 5, 1, 1, 1, {1, 1, 1, 1}, false}, 16, 0},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		OnnxModel model;
		FrNet *net;

		begin_map_model(&model, cases[i].layer.in);
		add_conv(&model, "x", "y", cases[i].layer);
		onnx_output(&model, "y", 0, NULL);

		OnnxBuffer file = onnx_finish(&model);
		FrPlan *plan = make_plan(
			&file, NULL,
			&CHECK_SHAPE(1, cases[i].layer.in, cases[i].size, cases[i].size),
			&net);

		is_int(check_count_steps(plan, "winograd"), cases[i].count, "%s",
			   cases[i].what);
		fr_net_destroy(net);
		free(file.data);
	}
}

/* Images in a batch give the bits that they give alone. */
static void
test_batch(void)
{
	OnnxBuffer file = residual_unit(48);
	const FrShape one = CHECK_SHAPE(1, 48, 14, 15);
	const FrShape three = CHECK_SHAPE(3, 48, 14, 15);
	const size_t count = 48 * 14 * 15;

	for (int i = 0; i < CHECK_ISA_COUNT; i++)
	{
		FrNetOptions options = {.kernels = fr_kernels_by_name(check_isas[i])};
		FrNet *net, *other;
		int wrong = 0;

		if (!options.kernels)
			continue;

		FrPlan *batch = make_plan(&file, &options, &three, &net);
		FrPlan *single = make_plan(&file, &options, &one, &other);
		float *images = malloc(3 * count * sizeof(float));

		check_fill_input(images, &three, 9);
		memcpy(fr_plan_input(batch, 0), images, 3 * count * sizeof(float));
		fr_plan_run(batch, NULL, NULL);
		for (size_t n = 0; n < 3; n++)
		{
			memcpy(fr_plan_input(single, 0), images + n * count,
				   count * sizeof(float));
			fr_plan_run(single, NULL, NULL);
			wrong += memcmp(fr_plan_output(single, 0, NULL),
							fr_plan_output(batch, 0, NULL) + n * count,
							count * sizeof(float)) != 0;
		}
		is_int(wrong, 0, "%s: the batch does not change an image's bits",
			   check_isas[i]);
		free(images);
		fr_net_destroy(net);
		fr_net_destroy(other);
	}
	free(file.data);
}

/* Cancelled at the n-th poll, for all n, while planning and while running. */
static void
test_cancel(void)
{
	OnnxBuffer file = residual_unit(80);
	const FrShape shape = CHECK_SHAPE(1, 80, 16, 16);
	FrStatus status = FR_ERR_CANCELLED;
	int wrong = 0, polls = 0;
	FrNet *net;
	FrPlan *plan = make_plan(&file, NULL, &shape, &net);

	for (; status != FR_OK && polls < 1000; polls++)
	{
		int left = polls;
		FrCancel cancel = {test_count_down, &left};

		status = fr_plan_run(plan, &cancel, NULL);
		wrong += status != FR_OK && status != FR_ERR_CANCELLED;
	}
	ok(status == FR_OK && wrong == 0 && polls > 6,
	   "a run stops at each of %d polls", polls);
	fr_net_destroy(net);
	status = FR_ERR_CANCELLED;
	for (polls = 0; status != FR_OK && polls < 1000; polls++)
	{
		int left = polls;
		FrCancel cancel = {test_count_down, &left};
		FrError error = {0};

		net = check_net(&file, NULL, &fr_allocator_malloc, &status, &error);
		status = fr_net_plan(net, &shape, &cancel, &plan, &error);
		wrong += status != FR_OK && status != FR_ERR_CANCELLED;
		fr_net_destroy(net);
	}
	ok(status == FR_OK && wrong == 0, "planning stops at each of %d polls",
	   polls);
	free(file.data);
}

static void
test_allocation_failures(void)
{
	OnnxBuffer file = residual_unit(16);
	TestMemory memory = {0};
	FrStatus status = FR_ERR_NOMEM;
	int wrong = 0;

	for (long n = 1; status != FR_OK && n < 5000; n++)
	{
		FrAllocator allocator = test_allocator(&memory);
		FrError error = {0};
		FrPlan *plan = NULL;

		memory.requests = 0;
		memory.fail_at = n;

		FrNet *net = check_net(&file, NULL, &allocator, &status, &error);

		if (status == FR_OK)
			status = fr_net_plan(net, &CHECK_SHAPE(1, 16, 14, 14), NULL, &plan,
								 &error);
		wrong += status != FR_OK && status != FR_ERR_NOMEM;
		fr_net_destroy(net);
		wrong += memory.live != 0;
		memory.live = 0;
	}
	is_status(status, FR_OK, &(FrError){0}, "the net is planned in the end");
	is_int(wrong, 0, "%ld failing allocations are reported and leak nothing",
		   memory.requests);
	free(file.data);
}

/* The folded normalisation, on every instruction set. */
static void
test_residual_unit(void)
{
	OnnxBuffer file = residual_unit(40);
	const FrShape shape = CHECK_SHAPE(2, 40, 14, 13);
	FrNetOptions plain = {.is_reference = true};
	FrNet *net;
	FrPlan *want = make_plan(&file, &plain, &shape, &net);

	check_fill_input(fr_plan_input(want, 0), &shape, 77);
	fr_plan_run(want, NULL, NULL);
	for (int i = 0; i < CHECK_ISA_COUNT; i++)
		check_isa(&file, check_isas[i], want, &shape, -1, 1e-5,
				  "normalisation before a padded convolution");
	fr_net_destroy(net);
	free(file.data);
}

int
main(void)
{
	test_sizes();
	test_residual_unit();
	test_borders();
	test_half_weights();
	test_choice();
	test_batch();
	test_cancel();
	test_allocation_failures();
	return tap_done();
}
