/*
 * test_plan_picture.c: 8-bit pictures as a plan's input, against the same
 * plan fed with float planes.
 *
 * The planes are made here, from the contract in plan.h; outputs must agree
 * bit by bit, whether the pixels go straight into the first layer or not.
 */
#include "plan_layers.h"

#define BATCH  3
#define HEIGHT 9
#define WIDTH  23

/* How pictures of a batch are given. */
typedef struct PictureCase
{
	const char *name;
	int height, width;
	bool is_swapped, is_mirrored;
} PictureCase;

static const PictureCase picture_cases[] = {
	{"a whole picture", HEIGHT, WIDTH, false, false},
	{"a swapped picture", HEIGHT, WIDTH, true, false},
	{"a mirrored picture", HEIGHT, WIDTH, false, true},
	{"a small picture, swapped and mirrored", 5, 13, true, true},
	{"an empty picture", 0, 0, false, false},
};

/* Exactly the picture's bytes, so that sanitizers see an overrun. */
static FrPicture
make_picture(const PictureCase *one, uint8_t **bytes)
{
	size_t row = (size_t) one->width * 3 + 5;
	size_t count = one->height > 0 ? row * (size_t) one->height - 5 : 0;
	FrPicture picture = {
		.row_bytes = row,
		.width = one->width,
		.height = one->height,
		.is_swapped = one->is_swapped,
		.is_mirrored = one->is_mirrored,
		.mean = {127.5f, 104.007f, 122.675f},
		.scale = {1.0f / 128.0f, 0.0171f, -0.5f},
	};

	*bytes = malloc(count ? count : 1);
	for (size_t i = 0; i < count && *bytes; i++)
		(*bytes)[i] = (uint8_t) check_random(0.0f, 255.99f);
	picture.pixels = *bytes;
	return picture;
}

/* What the contract says that input holds. */
static void
fill_planes(const FrPicture *picture, bool is_channels_last, float *image)
{
	for (int c = 0; c < 3; c++)
		for (int y = 0; y < HEIGHT; y++)
			for (int x = 0; x < WIDTH; x++)
			{
				float value = 0.0f;
				int from = picture->is_mirrored ? picture->width - 1 - x : x;

				if (y < picture->height && x < picture->width)
					value =
						picture->pixels[(size_t) y * picture->row_bytes +
										(size_t) from * 3 +
										(size_t) (picture->is_swapped ? 2 - c
																	  : c)];
				image[is_channels_last ? (y * WIDTH + x) * 3 + c
									   : (c * HEIGHT + y) * WIDTH + x] =
					(value - picture->mean[c]) * picture->scale[c];
			}
}

/* Whether both ways give the same bits; image 1 of the batch gets no
 * picture. */
static bool
is_same(const FrShape *shape, const PictureCase *one, FrPlan *plan)
{
	size_t floats = (size_t) 3 * HEIGHT * WIDTH, count;
	bool is_last = shape->dims[3] == 3, is_equal;
	uint8_t *bytes;
	FrPicture picture = make_picture(one, &bytes);
	const FrShape *out_shape;
	FrError error = {0};
	float *input = fr_plan_input(plan, 0), *want;

	memset(input, 0, BATCH * floats * sizeof *input);
	fill_planes(&picture, is_last, input);
	fill_planes(&picture, is_last, input + 2 * floats);
	fr_plan_run(plan, NULL, &error);
	fr_shape_count((fr_plan_output(plan, 0, &out_shape), out_shape), &count);
	want = malloc(count * sizeof *want);
	memcpy(want, fr_plan_output(plan, 0, NULL), count * sizeof *want);

	/* Contents that must not be read. */
	for (size_t i = 0; i < BATCH * floats; i++)
		input[i] = NAN;
	is_equal =
		fr_plan_set_picture(plan, 0, 0, &picture, &error) == FR_OK &&
		fr_plan_set_picture(plan, 0, 2, &picture, &error) == FR_OK &&
		fr_plan_run(plan, NULL, &error) == FR_OK &&
		memcmp(want, fr_plan_output(plan, 0, NULL), count * sizeof *want) == 0;
	free(want);
	free(bytes);
	return is_equal;
}

static void
check_pictures(const OnnxBuffer *file, const FrShape *shape, const char *what)
{
	for (int k = 0; k < CHECK_ISA_COUNT; k++)
	{
		FrNetOptions options = {.kernels = fr_kernels_by_name(check_isas[k]),
								.is_poisoned = true};
		FrError error = {0};
		FrStatus status;
		FrPlan *plan;

		if (!options.kernels)
			continue;

		FrNet *net =
			check_net(file, &options, &fr_allocator_malloc, &status, &error);

		if (status == FR_OK)
			status = fr_net_plan(net, shape, NULL, &plan, &error);
		is_status(status, FR_OK, &error, "%s: a plan", what);
		for (size_t i = 0; status == FR_OK &&
						   i < sizeof picture_cases / sizeof *picture_cases;
			 i++)
			ok(is_same(shape, &picture_cases[i], plan), "%s, %s, %s", what,
			   picture_cases[i].name, check_isas[k]);
		fr_net_destroy(net);
	}
}

static const ConvLayer stem = {.in = 3,
							   .out = 20,
							   .kernel_h = 3,
							   .stride = 2,
							   .pads = {1, 1, 1, 1},
							   .has_bias = true};
static const FrShape map_shape = {4, {BATCH, 3, HEIGHT, WIDTH}};

static OnnxBuffer
stem_model(void)
{
	OnnxModel model;

	begin_map_model(&model, 3);
	add_conv(&model, "x", "y", stem);
	onnx_output(&model, "y", 0, NULL);
	return onnx_finish(&model);
}

static void
test_direct(void)
{
	OnnxBuffer file = stem_model();
	OnnxModel model;

	check_pictures(&file, &map_shape, "straight into a convolution");
	free(file.data);

	begin_map_model(&model, 3);
	add_constant(&model, "Mul", "x", "m", CHECK_DIMS(3, 1, 1));
	add_conv(&model, "m", "a", stem);
	add_pool(&model, "GlobalAveragePool", "a", "y", 1, 1, no_pads, false);
	onnx_output(&model, "y", 0, NULL);
	file = onnx_finish(&model);
	check_pictures(&file, &map_shape, "through a folded scale");
	free(file.data);
}

static void
test_indirect(void)
{
	OnnxModel model;
	OnnxBuffer file;

	begin_map_model(&model, 3);
	add_pool(&model, "MaxPool", "x", "p", 2, 1, no_pads, false);
	add_conv(&model, "p", "y", stem);
	onnx_output(&model, "y", 0, NULL);
	file = onnx_finish(&model);
	check_pictures(&file, &map_shape, "a plain first layer");
	free(file.data);

	onnx_begin(&model, 13);
	onnx_input(&model, "x", CHECK_DIMS(-1, -1, -1, 3));
	onnx_node(&model, "Transpose", "t", "x", "t");
	onnx_attr_ints(&model, "perm", 4, (int64_t[]){0, 3, 1, 2});
	add_conv(&model, "t", "y", stem);
	onnx_output(&model, "y", 0, NULL);
	file = onnx_finish(&model);
	check_pictures(&file, &CHECK_SHAPE(BATCH, HEIGHT, WIDTH, 3),
				   "channels last");
	free(file.data);
}

/* The conversion as first member of a strip: a few rows at a time. */
static void
test_strip(void)
{
	FrNetOptions options = {.strip_rows = 3, .is_poisoned = true};
	OnnxModel model;
	OnnxBuffer file;
	FrError error = {0};
	FrStatus status;
	FrPlan *plan;
	FrPlanStep step;

	begin_map_model(&model, 3);
	add_conv(&model, "x", "a", stem);
	add_conv(
		&model, "a", "y",
		(ConvLayer){.in = 20, .out = 7, .kernel_h = 3, .pads = {1, 1, 1, 1}});
	onnx_output(&model, "y", 0, NULL);
	file = onnx_finish(&model);

	FrNet *net =
		check_net(&file, &options, &fr_allocator_malloc, &status, &error);

	fr_net_plan(net, &map_shape, NULL, &plan, &error);
	fr_plan_step(plan, 0, &step);
	ok(step.strip == 1, "the conversion is part of a strip");
	for (size_t i = 0; i < sizeof picture_cases / sizeof *picture_cases; i++)
		ok(is_same(&map_shape, &picture_cases[i], plan), "in a strip, %s",
		   picture_cases[i].name);
	fr_net_destroy(net);
	free(file.data);
}

/* A picture holds for one run; then the planes count again. */
static void
test_one_run(void)
{
	OnnxBuffer file = stem_model();
	FrError error = {0};
	FrStatus status;
	FrPlan *plan;
	FrNet *net = check_net(&file, NULL, &fr_allocator_malloc, &status, &error);
	uint8_t *bytes;
	FrPicture picture = make_picture(&picture_cases[0], &bytes);
	float first;

	fr_net_plan(net, &map_shape, NULL, &plan, &error);
	check_fill_input(fr_plan_input(plan, 0), &map_shape, 3);
	fr_plan_run(plan, NULL, &error);
	first = fr_plan_output(plan, 0, NULL)[0];
	fr_plan_set_picture(plan, 0, 0, &picture, &error);
	fr_plan_run(plan, NULL, &error);
	ok(fr_plan_output(plan, 0, NULL)[0] != first, "a picture changes a run");
	check_fill_input(fr_plan_input(plan, 0), &map_shape, 3);
	fr_plan_run(plan, NULL, &error);
	ok(fr_plan_output(plan, 0, NULL)[0] == first, "planes count again");
	fr_net_destroy(net);
	free(bytes);
	free(file.data);
}

/* A picture that was set, but never run, does not come back with the plan. */
static void
test_given_up(void)
{
	OnnxBuffer file = stem_model();
	FrError error = {0};
	FrStatus status;
	FrPlan *plan, *again;
	FrNet *net = check_net(&file, NULL, &fr_allocator_malloc, &status, &error);
	uint8_t *bytes;
	FrPicture picture = make_picture(&picture_cases[0], &bytes);
	float first;

	fr_net_plan(net, &map_shape, NULL, &plan, &error);
	check_fill_input(fr_plan_input(plan, 0), &map_shape, 3);
	fr_plan_run(plan, NULL, &error);
	first = fr_plan_output(plan, 0, NULL)[0];
	fr_plan_set_picture(plan, 0, 0, &picture, &error);
	free(bytes);
	fr_net_plan(net, &map_shape, NULL, &again, &error);
	ok(again == plan, "the plan is used again");
	check_fill_input(fr_plan_input(again, 0), &map_shape, 3);
	fr_plan_run(again, NULL, &error);
	ok(fr_plan_output(again, 0, NULL)[0] == first,
	   "without the picture of the last user");
	fr_net_destroy(net);
	free(file.data);
}

static void
test_refused(void)
{
	OnnxBuffer file = stem_model();
	FrError error = {0};
	FrStatus status;
	FrPlan *plan;
	FrNet *net = check_net(&file, NULL, &fr_allocator_malloc, &status, &error);
	FrPicture picture = {.width = WIDTH, .height = HEIGHT};
	FrPicture wide = {.width = WIDTH + 1}, negative = {.height = -1};
	OnnxModel model;

	fr_net_plan(net, &map_shape, NULL, &plan, &error);
	is_status(fr_plan_set_picture(plan, 1, 0, &picture, &error),
			  FR_ERR_ARGUMENT, &error, "no such input");
	is_status(fr_plan_set_picture(plan, 0, BATCH, &picture, &error),
			  FR_ERR_ARGUMENT, &error, "no such image");
	is_status(fr_plan_set_picture(plan, 0, 0, &wide, &error), FR_ERR_ARGUMENT,
			  &error, "a picture that is too wide");
	is_status(fr_plan_set_picture(plan, 0, 0, &negative, &error),
			  FR_ERR_ARGUMENT, &error, "a negative size");
	fr_net_destroy(net);
	free(file.data);

	begin_map_model(&model, 4);
	onnx_node(&model, "Relu", "y", "x", "y");
	onnx_output(&model, "y", 0, NULL);
	file = onnx_finish(&model);
	net = check_net(&file, NULL, &fr_allocator_malloc, &status, &error);
	fr_net_plan(net, &CHECK_SHAPE(1, 4, HEIGHT, WIDTH), NULL, &plan, &error);
	is_status(fr_plan_set_picture(plan, 0, 0, &picture, &error),
			  FR_ERR_MISMATCH, &error, "an input of four channels");
	fr_net_destroy(net);
	free(file.data);
}

int
main(void)
{
	test_direct();
	test_indirect();
	test_strip();
	test_one_run();
	test_given_up();
	test_refused();
	return tap_done();
}
