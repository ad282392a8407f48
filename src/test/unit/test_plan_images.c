/*
 * test_plan_images.c: convolutions over small maps, which run for all images
 * of a batch in one task.  An image gets the same bits in any batch, also when
 * the task is cut into pieces; and what the plain operators compute.
 */
#include "plan_layers.h"

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

/* 2x2 over 7x7 pixels, twice: an activation, and a residual before one. */
static OnnxBuffer
small_model(int channels)
{
	OnnxModel model;
	ConvLayer layer = {.in = channels,
					   .out = channels,
					   .kernel_h = 2,
					   .pads = {0, 0, 1, 1},
					   .has_bias = true};

	begin_map_model(&model, channels);
	onnx_node(&model, "Relu", "r", "x", "r");
	add_conv(&model, "r", "c", layer);
	add_prelu(&model, "c", "p", CHECK_DIMS(channels, 1, 1));
	add_conv(&model, "p", "d", layer);
	onnx_node(&model, "Add", "s", "d r", "s");
	onnx_node(&model, "Relu", "y", "s", "y");
	onnx_output(&model, "y", 0, NULL);
	return onnx_finish(&model);
}

static void
test_values(void)
{
	static const int64_t sizes[][3] = {
		{1, 7, 7}, {2, 3, 3}, {5, 1, 4}, {3, 8, 8}, {2, 9, 8}};
	OnnxBuffer file = small_model(37);

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
	{
		FrShape shape = CHECK_SHAPE(sizes[i][0], 37, sizes[i][1], sizes[i][2]);
		char text[96];

		check_plan_file(&file, &shape, -1,
						fr_shape_text(&shape, text, sizeof text));
	}
	free(file.data);
}

static FrPlan *
make_plan(const OnnxBuffer *file, const char *isa, const FrShape *shape,
		  FrNet **net)
{
	FrNetOptions options = {.kernels = fr_kernels_by_name(isa)};
	FrError error = {0};
	FrStatus status;
	FrPlan *plan = NULL;

	*net = check_net(file, &options, &fr_allocator_malloc, &status, &error);
	if (status == FR_OK)
		status = fr_net_plan(*net, shape, NULL, &plan, &error);
	is_status(status, FR_OK, &error, "%s: a plan", isa);
	return plan;
}

/* Every image of a batch gets the bits that it gets alone. */
static void
check_batch(const OnnxBuffer *file, const char *isa, int64_t images,
			FrShape one, const char *what)
{
	FrShape all = one;
	FrNet *net, *other;
	size_t in = 0, out = 0;
	const FrShape *output;
	int wrong = 0;

	if (!fr_kernels_by_name(isa))
		return;
	all.dims[0] = images;

	FrPlan *batch = make_plan(file, isa, &all, &net);
	FrPlan *single = make_plan(file, isa, &one, &other);

	fr_plan_output(single, 0, &output);
	fr_shape_count(&one, &in);
	fr_shape_count(output, &out);

	float *inputs = malloc((size_t) images * in * sizeof(float));

	check_fill_input(inputs, &all, 9);
	memcpy(fr_plan_input(batch, 0), inputs,
		   (size_t) images * in * sizeof(float));
	fr_plan_run(batch, NULL, NULL);
	for (size_t n = 0; n < (size_t) images; n++)
	{
		memcpy(fr_plan_input(single, 0), inputs + n * in, in * sizeof(float));
		fr_plan_run(single, NULL, NULL);
		wrong += memcmp(fr_plan_output(single, 0, NULL),
						fr_plan_output(batch, 0, NULL) + n * out,
						out * sizeof(float)) != 0;
	}
	is_int(wrong, 0, "%s: %s, the same bits in any batch", isa, what);
	free(inputs);
	fr_net_destroy(net);
	fr_net_destroy(other);
}

/* One convolution with stride 2 and other padding at each side. */
static OnnxBuffer
strided_model(int in, int out)
{
	OnnxModel model;

	begin_map_model(&model, in);
	add_conv(&model, "x", "y",
			 (ConvLayer){.in = in,
						 .out = out,
						 .kernel_h = 3,
						 .stride = 2,
						 .pads = {1, 1, 0, 1},
						 .has_bias = true});
	onnx_output(&model, "y", 0, NULL);
	return onnx_finish(&model);
}

/* Pictures and maps up to 8 x 8 outputs; filters that are cut by blocks. */
static void
test_strided(void)
{
	for (int in = 3; in <= 64; in += 61)
	{
		OnnxBuffer file = strided_model(in, 40);

		for (int size = 1; size <= 8; size += size < 3 ? 1 : 5)
			for (int i = 0; i < CHECK_ISA_COUNT; i++)
				check_batch(&file, check_isas[i], 5,
							CHECK_SHAPE(1, in, 2 * size, 2 * size + 1),
							"stride 2");
		free(file.data);
	}

	OnnxBuffer file = strided_model(192, 300);

	check_plan_file(&file, &CHECK_SHAPE(6, 192, 14, 14), -1, "filters of 2 MB");
	for (int i = 0; i < CHECK_ISA_COUNT; i++)
		check_batch(&file, check_isas[i], 6, CHECK_SHAPE(1, 192, 14, 14),
					"filters of 2 MB");
	free(file.data);
}

static bool
count_polls(void *context)
{
	int *polls = context;

	(*polls)++;
	return false;
}

/* Polls of the first convolution. */
static int
conv_polls(const OnnxBuffer *file, const FrShape *shape)
{
	int polls = 0, index = -1;
	FrCancel cancel = {count_polls, &polls};
	FrPlanStep step = {0};
	FrNet *net;
	FrPlan *plan = make_plan(file, fr_kernels_best()->isa, shape, &net);

	check_fill_input(fr_plan_input(plan, 0), shape, 77);
	fr_plan_run(plan, NULL, NULL);
	do
		fr_plan_step(plan, ++index, &step);
	while (index + 1 < fr_plan_step_count(plan) &&
		   strncmp(step.kernel, "conv", 4) != 0);
	fr_plan_run_step(plan, index, &cancel, NULL);
	diag("%s: %d polls", step.kernel, polls);
	fr_net_destroy(net);
	return polls;
}

/* Small layers run for all images at once; a large one does not, if it would
 * then be cut between images only. */
static void
test_pieces(void)
{
	OnnxBuffer file = small_model(96);

	ok(conv_polls(&file, &CHECK_SHAPE(20, 96, 7, 7)) <= 4,
	   "20 images in few pieces");
	free(file.data);
	if (IS_SANITIZED)
		return;
	file = strided_model(1024, 96);
	ok(conv_polls(&file, &CHECK_SHAPE(24, 1024, 16, 16)) >= 48,
	   "each of 24 images in several pieces");
	free(file.data);
}

int
main(void)
{
	OnnxBuffer file = small_model(96);

	test_values();
	for (int i = 0; i < CHECK_ISA_COUNT; i++)
		check_batch(&file, check_isas[i], 20, CHECK_SHAPE(1, 96, 7, 7),
					"more than one piece");
	free(file.data);
	test_strided();
	test_pieces();
	return tap_done();
}
