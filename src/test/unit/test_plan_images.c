/*
 * test_plan_images.c: convolutions over small maps, which run for all images
 * of a batch in one task.  An image gets the same bits in any batch, also when
 * the task is cut into pieces; and what the plain operators compute.
 */
#include "plan_layers.h"

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

/* Enough images for more than one piece. */
static void
check_batch(const OnnxBuffer *file, const char *isa, int channels)
{
	enum
	{
		IMAGES = 20
	};
	const FrShape one = CHECK_SHAPE(1, channels, 7, 7);
	const FrShape all = CHECK_SHAPE(IMAGES, channels, 7, 7);
	const size_t count = (size_t) channels * 49;
	FrNet *net, *other;
	FrPlan *batch = make_plan(file, isa, &all, &net);
	FrPlan *single = make_plan(file, isa, &one, &other);
	float *images = malloc(IMAGES * count * sizeof(float));
	int wrong = 0;

	check_fill_input(images, &all, 9);
	memcpy(fr_plan_input(batch, 0), images, IMAGES * count * sizeof(float));
	fr_plan_run(batch, NULL, NULL);
	for (size_t n = 0; n < IMAGES; n++)
	{
		memcpy(fr_plan_input(single, 0), images + n * count,
			   count * sizeof(float));
		fr_plan_run(single, NULL, NULL);
		wrong += memcmp(fr_plan_output(single, 0, NULL),
						fr_plan_output(batch, 0, NULL) + n * count,
						count * sizeof(float)) != 0;
	}
	is_int(wrong, 0, "%s: the same bits in any batch", isa);
	free(images);
	fr_net_destroy(net);
	fr_net_destroy(other);
}

int
main(void)
{
	OnnxBuffer file = small_model(96);

	test_values();
	for (int i = 0; i < CHECK_ISA_COUNT; i++)
		if (fr_kernels_by_name(check_isas[i]))
			check_batch(&file, check_isas[i], 96);
	free(file.data);
	return tap_done();
}
