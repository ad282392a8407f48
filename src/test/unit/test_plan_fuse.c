/*
 * test_plan_fuse.c: every fusion of the planner against the plain operators,
 * and the cases in which it must not fuse.
 *
 * The number of steps tells whether a pattern was fused; it counts the
 * conversions of inputs and outputs.
 */
#include "plan_layers.h"

static const ConvLayer conv3 = {.in = 5,
								.out = 20,
								.kernel_h = 3,
								.pads = {1, 1, 1, 1},
								.has_bias = true};

/* to blocked, convolution, to plain */
#define ONE_CONV 3

static void
test_affine_after_conv(void)
{
	static const struct
	{
		const char *name;
		bool is_depthwise;
	} kinds[] = {{"convolution", false}, {"depthwise", true}};

	for (int k = 0; k < 2; k++)
	{
		OnnxModel model;
		ConvLayer layer = conv3;
		char what[96];

		layer.in = kinds[k].is_depthwise ? 20 : 5;
		layer.group = kinds[k].is_depthwise ? 20 : 1;
		begin_map_model(&model, layer.in);
		add_conv(&model, "x", "c", layer);
		add_batch_norm(&model, "c", "n", 20);
		add_constant(&model, "Mul", "n", "m", CHECK_DIMS(20, 1, 1));
		add_constant(&model, "Sub", "m", "s", CHECK_DIMS(1, 20, 1, 1));
		add_constant(&model, "Div", "s", "d", CHECK_DIMS(1));
		add_constant(&model, "Add", "d", "a", CHECK_DIMS(1, 1, 1));
		onnx_node(&model, "Relu", "y", "a", "y");
		onnx_output(&model, "y", 0, NULL);
		snprintf(what, sizeof what, "affine maps and Relu after %s",
				 kinds[k].name);
		check_plan(&model, &CHECK_SHAPE(2, layer.in, 7, 9), ONE_CONV, what);
	}
}

static void
test_constant_first(void)
{
	OnnxModel model;

	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", conv3);
	check_weight_in(&model, "k", CHECK_DIMS(1, 20, 1, 1), 0.5f, 1.5f);
	onnx_node(&model, "Sub", "s", "k c", "s");
	onnx_node(&model, "Mul", "m", "k s", "m");
	onnx_output(&model, "m", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(1, 5, 6, 6), ONE_CONV,
			   "constants on the left");
	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", conv3);
	check_weight_in(&model, "k", CHECK_DIMS(1, 20, 1, 1), 2.5f, 3.5f);
	onnx_node(&model, "Div", "d", "k c", "d");
	onnx_output(&model, "d", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(1, 5, 1, 1), -1,
			   "a constant divided by a map");
}

/* A constant that differs along the width is no affine map per channel. */
static void
test_spatial_constant(void)
{
	OnnxModel model;

	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", conv3);
	add_constant(&model, "Mul", "c", "m", CHECK_DIMS(20));
	add_constant(&model, "Add", "m", "y", CHECK_DIMS(4, 20));
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 4, 20), -1,
			   "constants along width and height");
}

static void
test_activations(void)
{
	static const struct
	{
		const char *op;
		float alpha, beta;
	} activations[] = {
		{"Relu", 0, 0}, {"LeakyRelu", 0.1f, 0}, {"Sigmoid", 0, 0},
		{"Tanh", 0, 0}, {"HardSwish", 0, 0},	{"HardSigmoid", 0.25f, 0.4f},
	};

	for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
		for (int is_depthwise = 0; is_depthwise < 2; is_depthwise++)
		{
			OnnxModel model;
			ConvLayer layer = conv3;
			char what[96];

			layer.in = is_depthwise ? 20 : 5;
			layer.group = is_depthwise ? 20 : 1;
			begin_map_model(&model, layer.in);
			model.opset = 14; /* HardSwish */
			add_conv(&model, "x", "c", layer);
			onnx_node(&model, activations[i].op, "y", "c", "y");
			if (activations[i].alpha > 0.0f)
				onnx_attr_float(&model, "alpha", activations[i].alpha);
			if (activations[i].beta > 0.0f)
				onnx_attr_float(&model, "beta", activations[i].beta);
			onnx_output(&model, "y", 0, NULL);
			snprintf(what, sizeof what, "%s in an epilogue", activations[i].op);
			check_plan(&model, &CHECK_SHAPE(1, layer.in, 5, 17), ONE_CONV,
					   what);
		}
}

static void
test_clip(void)
{
	static const char *const inputs[] = {"c low high", "c - high", "c low",
										 "c"};

	for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
	{
		OnnxModel model;
		char what[96];

		begin_map_model(&model, 5);
		onnx_weight_f32(&model, "low", 0, NULL, (float[]){-0.5f});
		onnx_weight_f32(&model, "high", 0, NULL, (float[]){0.75f});
		add_conv(&model, "x", "c", conv3);
		onnx_node(&model, "Clip", "y", inputs[i], "y");
		onnx_output(&model, "y", 0, NULL);
		snprintf(what, sizeof what, "Clip of %s", inputs[i]);
		check_plan(&model, &CHECK_SHAPE(1, 5, 5, 5), ONE_CONV, what);
	}
}

static void
test_prelu_slopes(void)
{
	static const struct
	{
		int rank;
		int64_t dims[4];
		int steps;
	} slopes[] = {
		{1, {1}, ONE_CONV},		   {3, {1, 1, 1}, ONE_CONV},
		{3, {20, 1, 1}, ONE_CONV}, {4, {1, 20, 1, 1}, ONE_CONV},
		{3, {1, 6, 6}, -1}, /* per pixel: not an epilogue */
	};

	for (size_t i = 0; i < sizeof slopes / sizeof *slopes; i++)
	{
		OnnxModel model;
		char what[96];

		begin_map_model(&model, 5);
		add_conv(&model, "x", "c", conv3);
		add_prelu(&model, "c", "y", slopes[i].rank, slopes[i].dims);
		onnx_output(&model, "y", 0, NULL);
		snprintf(what, sizeof what, "PRelu slopes of rank %d, case %zu",
				 slopes[i].rank, i);
		check_plan(&model, &CHECK_SHAPE(2, 5, 6, 6), slopes[i].steps, what);
	}
}

static void
test_swish(void)
{
	OnnxModel model;

	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", conv3);
	onnx_node(&model, "Sigmoid", "g", "c", "g");
	onnx_node(&model, "Mul", "y", "c g", "y");
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 6, 6), ONE_CONV, "swish");

	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", conv3);
	onnx_node(&model, "HardSigmoid", "g", "c", "g");
	onnx_attr_float(&model, "alpha", 1.0f / 6.0f);
	onnx_node(&model, "Mul", "y", "g c", "y");
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 6, 6), ONE_CONV, "hard swish");

	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", conv3);
	onnx_node(&model, "Sigmoid", "g", "c", "g");
	onnx_node(&model, "Mul", "y", "c g", "y");
	onnx_output(&model, "y", 0, NULL);
	onnx_output(&model, "g", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 6, 6), -1,
			   "a gate that is an output is no swish");

	/* On the output of a pool there is no convolution to take it. */
	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", conv3);
	add_pool(&model, "MaxPool", "c", "p", 2, 2, no_pads, false);
	onnx_node(&model, "Sigmoid", "g", "p", "g");
	onnx_node(&model, "Mul", "y", "p g", "y");
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 6, 6), ONE_CONV + 2,
			   "swish of a pool");
}

static void
test_used_twice(void)
{
	OnnxModel model;

	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", conv3);
	onnx_node(&model, "Relu", "r", "c", "r");
	onnx_node(&model, "Sigmoid", "s", "c", "s");
	onnx_node(&model, "Add", "y", "r s", "y");
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 6, 6), ONE_CONV + 3,
			   "a value with two readers");

	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", conv3);
	onnx_node(&model, "Add", "y", "c c", "y");
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 6, 6), ONE_CONV + 1,
			   "a value added to itself");

	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", conv3);
	add_batch_norm(&model, "c", "n", 20);
	onnx_node(&model, "Relu", "y", "n", "y");
	onnx_output(&model, "y", 0, NULL);
	onnx_output(&model, "n", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 6, 6), ONE_CONV + 2,
			   "an output in the middle of a chain");
}

/* Two convolutions, whose sum goes through an activation or the reverse. */
static void
test_residuals(void)
{
	static const struct
	{
		const char *what;
		bool is_relu_before, is_relu_after, is_swapped, is_other_plain;
		int steps;
	} cases[] = {
		{"sum, then Relu", false, true, false, false, 4},
		{"Relu, then sum", true, false, false, false, 4},
		{"sum, other order", false, true, true, false, 4},
		{"Relu, sum, Relu", true, true, false, false, 5},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int batch = 1; batch <= 5; batch += 4)
		{
			OnnxModel model;
			ConvLayer second = conv3;
			const char *sum = "d";

			second.in = 20;
			begin_map_model(&model, 5);
			add_conv(&model, "x", "c", conv3);
			add_conv(&model, "c", "d", second);
			if (cases[i].is_relu_before)
			{
				onnx_node(&model, "Relu", "r", "d", "r");
				sum = "r";
			}
			onnx_node(&model, "Add", "a",
					  cases[i].is_swapped ? layer_join("c", sum)
										  : layer_join(sum, "c"),
					  "a");
			if (cases[i].is_relu_after)
				onnx_node(&model, "Relu", "y", "a", "y");
			else
				onnx_node(&model, "Identity", "y", "a", "y");
			onnx_output(&model, "y", 0, NULL);
			check_plan(&model, &CHECK_SHAPE(batch, 5, 7, 5), cases[i].steps,
					   cases[i].what);
		}
}

/* The other addend comes from later in the file than the convolution. */
static void
test_residual_order(void)
{
	OnnxModel model;
	ConvLayer point = {.in = 5, .out = 20, .kernel_h = 1, .has_bias = true};

	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", conv3);
	add_conv(&model, "x", "d", point);
	add_batch_norm(&model, "d", "n", 20);
	onnx_node(&model, "Add", "a", "c n", "a");
	add_prelu(&model, "a", "y", CHECK_DIMS(20, 1, 1));
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 7, 5), 4,
			   "a residual that is computed later");

	/* The addend is the plain input itself. */
	ConvLayer same = conv3;

	same.out = 5;
	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", same);
	onnx_node(&model, "Add", "y", "c x", "y");
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 7, 5), ONE_CONV,
			   "the input as residual");

	/* Broadcast: no residual. */
	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", conv3);
	onnx_node(&model, "GlobalAveragePool", "g", "c", "g");
	add_conv(&model, "c", "d", (ConvLayer){.in = 20, .out = 20, .kernel_h = 1});
	onnx_node(&model, "Add", "y", "d g", "y");
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 7, 5), ONE_CONV + 3,
			   "a sum with one value per channel");
}

/* Affine maps before convolutions, padded and not. */
static void
test_affine_before_conv(void)
{
	static const struct
	{
		const char *what;
		ConvLayer layer;
	} cases[] = {
		{"padded 3x3",
		 {.in = 20,
		  .out = 20,
		  .kernel_h = 3,
		  .pads = {1, 1, 1, 1},
		  .has_bias = true}},
		{"1x1", {.in = 20, .out = 7, .kernel_h = 1}},
		{"padded depthwise",
		 {.in = 20,
		  .out = 20,
		  .kernel_h = 3,
		  .group = 20,
		  .pads = {0, 1, 2, 1}}},
		{"grouped, asymmetric",
		 {.in = 32,
		  .out = 64,
		  .kernel_h = 3,
		  .kernel_w = 2,
		  .group = 2,
		  .pads = {2, 0, 1, 1}}},
		{"packed picture",
		 {.in = 3,
		  .out = 20,
		  .kernel_h = 3,
		  .stride = 2,
		  .pads = {1, 1, 1, 1}}},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		OnnxModel model;
		int64_t in = cases[i].layer.in;

		begin_map_model(&model, in);
		add_constant(&model, "Mul", "x", "m", CHECK_DIMS(1, in, 1, 1));
		add_constant(&model, "Add", "m", "a", CHECK_DIMS(1, in, 1, 1));
		add_batch_norm(&model, "a", "n", in);
		add_conv(&model, "n", "y", cases[i].layer);
		onnx_output(&model, "y", 0, NULL);
		check_plan(&model, &CHECK_SHAPE(2, in, 9, 7), ONE_CONV, cases[i].what);
	}
}

/* Maps that cannot go into a padded convolution, or not alone. */
static void
test_affine_kept(void)
{
	OnnxModel model;
	float scale[5] = {1.0f, 0.0f, 2.0f, -1.0f, 0.5f};

	/* A zero factor has no border value. */
	begin_map_model(&model, 5);
	onnx_weight_f32(&model, "z", CHECK_DIMS(5, 1, 1), scale);
	onnx_node(&model, "Mul", "m", "x z", "m");
	add_constant(&model, "Add", "m", "a", CHECK_DIMS(5, 1, 1));
	add_conv(&model, "a", "y", conv3);
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 6, 6), -1, "a factor of zero");

	/* The map's result has another reader. */
	begin_map_model(&model, 5);
	add_constant(&model, "Add", "x", "a", CHECK_DIMS(5, 1, 1));
	add_conv(&model, "a", "c", conv3);
	onnx_node(&model, "Relu", "r", "a", "r");
	onnx_output(&model, "c", 0, NULL);
	onnx_output(&model, "r", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 6, 6), -1,
			   "an affine map with two readers");

	/* Readers of one tensor that want different borders. */
	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", conv3);
	add_batch_norm(&model, "c", "n", 20);
	onnx_node(&model, "Relu", "r", "n", "r");
	add_batch_norm(&model, "r", "p", 20);
	add_batch_norm(&model, "r", "q", 20);
	ConvLayer second = conv3;

	second.in = 20;
	add_conv(&model, "p", "d", second);
	add_conv(&model, "q", "e", second);
	add_conv(&model, "r", "f", second);
	add_pool(&model, "MaxPool", "r", "g", 3, 1, all_pads, false);
	onnx_output(&model, "d", 0, NULL);
	onnx_output(&model, "e", 0, NULL);
	onnx_output(&model, "f", 0, NULL);
	onnx_output(&model, "g", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 6, 6), -1,
			   "four readers with four borders");
}

/* Two layers read one Flatten, which still needs what the affine map makes. */
static void
test_affine_before_shared_flatten(void)
{
	OnnxModel model;

	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", conv3);
	onnx_node(&model, "Relu", "r", "c", "r");
	add_batch_norm(&model, "r", "n", 20);
	onnx_node(&model, "Flatten", "f", "n", "f");
	add_gemm(&model, "f", "y", 20 * 4 * 4, 7);
	add_gemm(&model, "f", "z", 20 * 4 * 4, 33);
	onnx_output(&model, "y", 0, NULL);
	onnx_output(&model, "z", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 4, 4), -1,
			   "two layers behind one Flatten");

	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", conv3);
	onnx_node(&model, "Relu", "r", "c", "r");
	add_batch_norm(&model, "r", "n", 20);
	onnx_node(&model, "Flatten", "f", "n", "f");
	add_gemm(&model, "f", "y", 20 * 4 * 4, 7);
	onnx_output(&model, "y", 0, NULL);
	onnx_output(&model, "f", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 4, 4), -1,
			   "a Flatten that is an output");
}

/* An affine map after the activation goes into the next convolution. */
static void
test_affine_between(void)
{
	OnnxModel model;
	ConvLayer second = conv3;

	second.in = 20;
	begin_map_model(&model, 5);
	add_conv(&model, "x", "c", conv3);
	add_prelu(&model, "c", "p", CHECK_DIMS(1, 1, 1));
	add_constant(&model, "Mul", "p", "m", CHECK_DIMS(1, 20, 1, 1));
	add_constant(&model, "Add", "m", "a", CHECK_DIMS(1, 20, 1, 1));
	add_conv(&model, "a", "y", second);
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 6, 6), ONE_CONV + 1,
			   "an affine map between an activation and a convolution");
}

static void
test_eltwise(void)
{
	static const char *const operators[] = {"Add", "Sub", "Mul",
											"Div", "Max", "Min"};

	for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
		for (int64_t channels = 20; channels <= 32; channels += 12)
		{
			OnnxModel model;
			ConvLayer layer = conv3;

			layer.out = (int) channels;
			begin_map_model(&model, 5);
			add_conv(&model, "x", "c", layer);
			add_pool(&model, "MaxPool", "c", "p", 3, 1, all_pads, false);
			add_pool(&model, "AveragePool", "c", "q", 3, 1, no_pads, false);
			onnx_node(&model, "MaxPool", "p2", "c", "p2");
			onnx_attr_ints(&model, "kernel_shape", 2, (int64_t[]){3, 3});
			/* Divisors away from zero. */
			onnx_node(&model, "Sigmoid", "s", "q", "s");
			onnx_node(&model, operators[i], "b", "p2 s", "b");
			onnx_node(&model, "Relu", "y", "b", "y");
			onnx_output(&model, "y", 0, NULL);
			onnx_output(&model, "p", 0, NULL);
			check_plan(&model, &CHECK_SHAPE(2, 5, 6, 7), -1, operators[i]);
		}
}

static void
test_squeeze_excite(void)
{
	for (int64_t channels = 20; channels <= 32; channels += 12)
		for (int64_t batch = 1; batch <= 5; batch += 2)
		{
			OnnxModel model;
			ConvLayer layer = conv3;

			layer.out = (int) channels;
			begin_map_model(&model, 5);
			add_conv(&model, "x", "c", layer);
			onnx_node(&model, "GlobalAveragePool", "g", "c", "g");
			add_conv(&model, "g", "h",
					 (ConvLayer){.in = (int) channels, .out = 8});
			add_prelu(&model, "h", "i", CHECK_DIMS(1, 1, 1));
			add_conv(&model, "i", "j",
					 (ConvLayer){.in = 8, .out = (int) channels});
			onnx_node(&model, "Sigmoid", "k", "j", "k");
			onnx_node(&model, "Mul", "m", "c k", "m");
			onnx_node(&model, "Add", "y", "c m", "y");
			onnx_output(&model, "y", 0, NULL);
			check_plan(&model, &CHECK_SHAPE(batch, 5, 6, 7), -1,
					   "squeeze and excite");
		}
}

int
main(void)
{
	test_affine_after_conv();
	test_constant_first();
	test_spatial_constant();
	test_activations();
	test_clip();
	test_prelu_slopes();
	test_swish();
	test_used_twice();
	test_residuals();
	test_residual_order();
	test_affine_before_conv();
	test_affine_kept();
	test_affine_before_shared_flatten();
	test_affine_between();
	test_eltwise();
	test_squeeze_excite();
	return tap_done();
}
