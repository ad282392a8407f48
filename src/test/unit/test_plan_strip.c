/*
 * test_plan_strip.c: depth-first strips.
 *
 * Large maps run in strips by themselves, need less memory so and give the
 * same bits; the special cases of borders, strides, residuals, forks and
 * enlargement; profiles, cancellation, and failing allocations.
 */
#include "plan_layers.h"

static ConvLayer
depthwise_layer(int channels, int stride)
{
	return (ConvLayer){.in = channels,
					   .out = channels,
					   .group = channels,
					   .kernel_h = 3,
					   .stride = stride,
					   .pads = {1, 1, 1, 1}};
}

/* A stem, a bottleneck with a residual, pools, a fork and an enlargement. */
static OnnxBuffer
strip_model(int channels)
{
	OnnxModel model;

	onnx_begin(&model, 14);
	check_seed = 5;
	onnx_input(&model, "x", CHECK_DIMS(-1, 3, -1, -1));
	add_conv(&model, "x", "stem",
			 (ConvLayer){.in = 3,
						 .out = channels,
						 .kernel_h = 3,
						 .pads = {1, 1, 1, 1},
						 .has_bias = true});
	add_batch_norm(&model, "stem", "normal", channels);
	add_conv(&model, "normal", "wide",
			 (ConvLayer){.in = channels, .out = 2 * channels});
	add_conv(&model, "wide", "deep", depthwise_layer(2 * channels, 1));
	add_conv(&model, "deep", "narrow",
			 (ConvLayer){.in = 2 * channels, .out = channels});
	onnx_node(&model, "Add", "sum", "narrow normal", "sum");
	add_pool(&model, "MaxPool", "sum", "pool", 3, 2, all_pads, true);
	add_conv(&model, "pool", "left", depthwise_layer(channels, 1));
	add_conv(&model, "pool", "right",
			 (ConvLayer){.in = channels,
						 .out = channels,
						 .kernel_h = 5,
						 .dilation = 1,
						 .pads = {2, 2, 2, 2}});
	onnx_node(&model, "Max", "best", "left right", "best");
	add_pool(&model, "AveragePool", "best", "half", 2, 2, no_pads, false);
	onnx_output(&model, "sum", 0, NULL);
	onnx_output(&model, "half", 0, NULL);
	return onnx_finish(&model);
}

static void
test_shapes(void)
{
	static const int64_t sizes[][3] = {
		{1, 9, 9}, {1, 32, 7}, {2, 13, 20}, {3, 5, 4}, {1, 40, 33}};
	OnnxBuffer file = strip_model(16);

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
	{
		FrShape shape = {4, {sizes[i][0], 3, sizes[i][1], sizes[i][2]}};
		char text[96];

		check_plan_file(&file, &shape, -1, "a map's shape");
		for (int k = 0; k < CHECK_ISA_COUNT; k++)
			if (fr_kernels_by_name(check_isas[k]))
				ok(check_strips(&file, check_isas[k], &shape,
								fr_shape_text(&shape, text, sizeof text)) > 8,
				   "%s: strips were made", text);
	}
	free(file.data);
}

/* Groups behind a border, enlarged by other factors than the stride behind. */
static void
test_enlarged(void)
{
	FrShape shape = {4, {2, 32, 9, 11}};
	OnnxModel model;

	begin_map_model(&model, 32);
	add_conv(&model, "x", "groups",
			 (ConvLayer){.in = 32,
						 .out = 64,
						 .kernel_h = 3,
						 .group = 2,
						 .pads = {1, 1, 1, 1}});
	onnx_weight_f32(&model, "k", 1, (int64_t[]){4}, (float[]){1, 1, 3, 2});
	onnx_node(&model, "Resize", "large", "groups - k", "large");
	onnx_attr_string(&model, "mode", "nearest");
	onnx_attr_string(&model, "coordinate_transformation_mode", "asymmetric");
	onnx_attr_string(&model, "nearest_mode", "floor");
	add_conv(&model, "large", "y",
			 (ConvLayer){.in = 64,
						 .out = 16,
						 .kernel_h = 3,
						 .stride = 2,
						 .pads = {1, 1, 1, 1}});
	onnx_output(&model, "y", 0, NULL);

	OnnxBuffer file = onnx_finish(&model);

	check_plan_file(&file, &shape, -1, "enlarged");
	for (int k = 0; k < CHECK_ISA_COUNT; k++)
		if (fr_kernels_by_name(check_isas[k]))
			ok(check_strips(&file, check_isas[k], &shape, "enlarged") > 2,
			   "%s: an enlargement in strips", check_isas[k]);
	free(file.data);
}

/* Two runs, stripped by choice and never. */
static void
compare_choice(const OnnxBuffer *file, const FrShape *shape, const char *what)
{
	const char *isa = fr_kernels_best()->isa;
	FrPlan *whole, *plan;
	FrNet *net = check_strip_run(file, isa, shape, -1, &whole);
	FrNet *other = check_strip_run(file, isa, shape, 0, &plan);

	if (!ok(whole && plan, "%s: both run", what))
		return;
	ok(check_strip_steps(plan) > 3, "%s run in strips", what);
	is_int(check_strip_steps(whole), 0, "and do not where strips are off");
	for (int i = 0; i < fr_net_graph(net)->output_count; i++)
	{
		const FrShape *output;
		const float *want = fr_plan_output(whole, i, &output);
		size_t count = 0;

		fr_shape_count(output, &count);
		ok(memcmp(want, fr_plan_output(plan, i, NULL), count * sizeof(float)) ==
			   0,
		   "output %d: the same bits", i);
	}
	ok(fr_net_bytes(other) < fr_net_bytes(net) * 9 / 10,
	   "less memory: %zu instead of %zu bytes", fr_net_bytes(other),
	   fr_net_bytes(net));
	fr_net_destroy(net);
	fr_net_destroy(other);
}

static void
test_large(void)
{
	OnnxBuffer file = strip_model(32);

	compare_choice(&file, &(FrShape){4, {2, 3, 150, 141}}, "large maps");
	free(file.data);
}

/* Like MTCNN's last two: no map is large, those of all images are. */
static OnnxBuffer
crop_model(void)
{
	OnnxModel model;

	onnx_begin(&model, 14);
	check_seed = 6;
	onnx_input(&model, "x", CHECK_DIMS(-1, 3, -1, -1));
	add_conv(&model, "x", "stem",
			 (ConvLayer){.in = 3, .out = 32, .kernel_h = 3, .has_bias = true});
	add_prelu(&model, "stem", "bent", CHECK_DIMS(32, 1, 1));
	add_pool(&model, "MaxPool", "bent", "pool", 3, 2, no_pads, true);
	add_conv(&model, "pool", "deep",
			 (ConvLayer){.in = 32,
						 .out = 32,
						 .kernel_h = 3,
						 .pads = {1, 1, 1, 1},
						 .has_bias = true});
	onnx_node(&model, "Add", "sum", "deep pool", "sum");
	add_pool(&model, "MaxPool", "sum", "half", 2, 2, no_pads, true);
	onnx_output(&model, "half", 0, NULL);
	return onnx_finish(&model);
}

/* A batch runs image by image, Winograd convolutions too. */
static void
test_batch(void)
{
	OnnxBuffer file = crop_model();
	FrShape shape = {4, {24, 3, 36, 36}};
	int winograd = 0;
	FrPlan *plan;

	compare_choice(&file, &shape, "maps of many images");

	FrNet *net =
		check_strip_run(&file, fr_kernels_best()->isa, &shape, 0, &plan);

	for (int i = 0; plan && i < fr_plan_step_count(plan); i++)
	{
		FrPlanStep step;

		fr_plan_step(plan, i, &step);
		winograd += step.strip > 0 && strstr(step.kernel, "winograd");
	}
	is_int(winograd, 1, "a Winograd convolution is among them");
	fr_net_destroy(net);
	for (int k = 0; k < CHECK_ISA_COUNT; k++)
		if (fr_kernels_by_name(check_isas[k]))
			ok(check_strips(&file, check_isas[k], &(FrShape){4, {3, 3, 21, 26}},
							"a few images") > 2,
			   "%s: a few images in strips", check_isas[k]);
	free(file.data);
}

static void
count_call(void *context, int step)
{
	int *calls = context;

	calls[step]++;
}

/* Steps one by one and probed give what a run gives. */
static void
test_profile(void)
{
	OnnxBuffer file = strip_model(16);
	FrShape shape = {4, {2, 3, 23, 17}};
	FrPlan *whole, *plan;
	FrNet *net = check_strip_run(&file, "generic", &shape, -1, &whole);
	FrNet *other = check_strip_run(&file, "generic", &shape, 2, &plan);
	int calls[64] = {0}, silent = 0;
	FrPlanProbe probe = {count_call, calls};
	FrError error = {0};
	FrPlanStep step;

	check_fill_input(fr_plan_input(plan, 0), &shape, 77);
	for (int i = 0; i < fr_plan_step_count(plan); i++)
		fr_plan_run_step(plan, i, NULL, &error);
	ok(check_difference(plan, whole, 0) == 0.0, "step by step");
	check_fill_input(fr_plan_input(plan, 0), &shape, 77);
	is_status(fr_plan_run_probed(plan, &probe, NULL, &error), FR_OK, &error,
			  "probed");
	ok(check_difference(plan, whole, 1) == 0.0, "the same outputs");
	for (int i = 0; i < fr_plan_step_count(plan); i++)
		silent += calls[i] == 0;
	is_int(silent, 0, "the probe hears of every step");
	fr_plan_step(plan, 1, &step);
	is_int(step.strip, 1, "number of the strip");
	is_int(step.strip_rows, 2, "rows at a time");
	ok(strstr(step.kernel, ", strip 1, 2 rows") != NULL, "text: %s",
	   step.kernel);
	fr_net_destroy(net);
	fr_net_destroy(other);
	free(file.data);
}

static void
test_cancel(void)
{
	OnnxBuffer file = strip_model(16);
	FrShape shape = {4, {1, 3, 20, 20}};
	FrPlan *plan;
	FrNet *net = check_strip_run(&file, "generic", &shape, 2, &plan);
	FrError error = {0};
	FrStatus status = FR_ERR_CANCELLED;
	int polls = 0, wrong = 0;

	while (polls < 1000)
	{
		int left = polls;
		FrCancel cancel = {test_count_down, &left};

		status = fr_plan_run(plan, &cancel, &error);
		if (status == FR_OK)
			break;
		wrong += status != FR_ERR_CANCELLED;
		polls++;
	}
	is_int(wrong, 0, "cancelled runs say so");
	ok(status == FR_OK && polls > 50, "%d polls within strips", polls);
	fr_net_destroy(net);
	free(file.data);
}

static void
test_allocation_failures(void)
{
	OnnxBuffer file = strip_model(16);
	FrShape shape = {4, {1, 3, 12, 11}};
	FrNetOptions options = {.strip_rows = 2};
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

		FrNet *net = check_net(&file, &options, &allocator, &status, &error);

		if (status == FR_OK)
			status = fr_net_plan(net, &shape, NULL, &plan, &error);
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

int
main(void)
{
	test_shapes();
	test_enlarged();
	test_large();
	test_batch();
	test_profile();
	test_cancel();
	test_allocation_failures();
	return tap_done();
}
