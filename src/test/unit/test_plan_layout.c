/*
 * test_plan_layout.c: geometry, borders, forms and conversions of the
 * planner against the plain operators: odd sizes, asymmetric padding,
 * dilation, groups, pools, concatenation, reshapes, fully connected layers,
 * detector heads, and operators that have no blocked kernel.
 */
#include "plan_layers.h"

static void
test_conv_geometry(void)
{
	static const ConvLayer layers[] = {
		{.in = 1, .out = 1, .kernel_h = 3, .pads = {1, 1, 1, 1}},
		{.in = 3, .out = 16, .kernel_h = 7, .stride = 2, .pads = {3, 3, 3, 3}},
		{.in = 4, .out = 17, .kernel_h = 5, .pads = {0, 4, 1, 2}},
		{.in = 5,
		 .out = 33,
		 .kernel_h = 3,
		 .dilation = 2,
		 .pads = {2, 2, 2, 2}},
		{.in = 16, .out = 16, .kernel_h = 2, .stride = 3, .pads = {1, 0, 0, 1}},
		{.in = 31,
		 .out = 48,
		 .kernel_h = 1,
		 .kernel_w = 3,
		 .pads = {0, 1, 0, 1}},
		{.in = 32, .out = 64, .kernel_h = 3, .group = 2, .pads = {1, 1, 1, 1}},
		{.in = 64, .out = 32, .kernel_h = 1, .group = 2},
		{.in = 12, .out = 12, .kernel_h = 3, .group = 3, .pads = {1, 1, 1, 1}},
		{.in = 17,
		 .out = 17,
		 .kernel_h = 5,
		 .group = 17,
		 .stride = 2,
		 .pads = {2, 2, 2, 2}},
		{.in = 8, .out = 16, .kernel_h = 3, .group = 8, .pads = {1, 1, 1, 1}},
		{.in = 3,
		 .out = 3,
		 .kernel_h = 3,
		 .group = 3,
		 .dilation = 3,
		 .pads = {3, 0, 1, 3}},
		{.in = 40, .out = 24, .kernel_h = 1, .stride = 2},
	};
	static const int64_t sizes[][3] = {{1, 7, 9}, {2, 13, 8}, {5, 9, 33}};

	for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
		for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
		{
			OnnxModel model;
			ConvLayer layer = layers[i];
			char what[128];

			layer.has_bias = i % 2;
			begin_map_model(&model, layer.in);
			add_conv(&model, "x", "y", layer);
			onnx_output(&model, "y", 0, NULL);
			snprintf(what, sizeof what, "conv case %zu, %lld x %lld x %lld", i,
					 (long long) sizes[s][0], (long long) sizes[s][1],
					 (long long) sizes[s][2]);
			check_plan(
				&model,
				&CHECK_SHAPE(sizes[s][0], layer.in, sizes[s][1], sizes[s][2]),
				-1, what);
		}
}

/* Pads beyond the kernel's reach are left to the plain operator. */
static void
test_wide_padding(void)
{
	OnnxModel model;

	begin_map_model(&model, 5);
	add_conv(
		&model, "x", "y",
		(ConvLayer){.in = 5, .out = 8, .kernel_h = 1, .pads = {3, 2, 1, 5}});
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(1, 5, 4, 4), 1,
			   "padding wider than the kernel");
}

static void
test_auto_pad(void)
{
	static const char *const modes[] = {"SAME_UPPER", "SAME_LOWER", "VALID"};

	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
	{
		OnnxModel model;
		int64_t dims[4] = {20, 5, 3, 3};

		begin_map_model(&model, 5);
		check_weight(&model, "w", 4, dims);
		onnx_node(&model, "Conv", "y", "x w", "y");
		onnx_attr_string(&model, "auto_pad", modes[i]);
		onnx_attr_ints(&model, "strides", 2, (int64_t[]){2, 2});
		onnx_output(&model, "y", 0, NULL);
		check_plan(&model, &CHECK_SHAPE(1, 5, 8, 7), 3, modes[i]);
	}
}

static void
test_pools(void)
{
	static const struct
	{
		const char *op;
		int64_t kernel, stride, pads[4];
		bool is_ceil, counts_pads;
	} pools[] = {
		{"MaxPool", 2, 2, {0, 0, 0, 0}, false, false},
		{"MaxPool", 3, 2, {1, 1, 1, 1}, false, false},
		{"MaxPool", 3, 2, {0, 0, 0, 0}, true, false},
		{"MaxPool", 2, 2, {0, 1, 1, 0}, true, false},
		{"AveragePool", 2, 2, {0, 0, 0, 0}, false, false},
		{"AveragePool", 3, 2, {1, 1, 1, 1}, false, false},
		{"AveragePool", 3, 2, {1, 1, 1, 1}, false, true},
		{"AveragePool", 3, 2, {1, 0, 1, 0}, true, true},
		{"AveragePool", 3, 2, {0, 0, 0, 0}, true, false},
	};

	for (size_t i = 0; i < sizeof pools / sizeof *pools; i++)
		for (int64_t size = 7; size <= 10; size += 3)
		{
			OnnxModel model;
			char what[96];

			begin_map_model(&model, 5);
			add_conv(&model, "x", "c",
					 (ConvLayer){.in = 5, .out = 20, .kernel_h = 1});
			add_pool(&model, pools[i].op, "c", "p", pools[i].kernel,
					 pools[i].stride, pools[i].pads, pools[i].is_ceil);
			if (pools[i].counts_pads)
				onnx_attr_int(&model, "count_include_pad", 1);
			/* The same map under zeros. */
			add_conv(
				&model, "c", "z",
				(ConvLayer){
					.in = 20, .out = 3, .kernel_h = 3, .pads = {1, 1, 1, 1}});
			onnx_output(&model, "p", 0, NULL);
			onnx_output(&model, "z", 0, NULL);
			snprintf(what, sizeof what, "%s case %zu, size %lld", pools[i].op,
					 i, (long long) size);
			check_plan(&model, &CHECK_SHAPE(2, 5, size, size + 1), -1, what);
		}
}

/* Concatenations written in place, copied, and on plain tensors. */
static void
test_concat(void)
{
	static const int parts[][3] = {
		{16, 32, 16}, {16, 48, 5}, {16, 5, 16}, {4, 4, 4}};

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
	{
		OnnxModel model;
		int total = parts[i][0] + parts[i][1] + parts[i][2];
		char what[64];

		begin_map_model(&model, 5);
		for (int p = 0; p < 3; p++)
			add_conv(&model, "x",
					 p == 0	  ? "a"
					 : p == 1 ? "b"
							  : "c",
					 (ConvLayer){.in = 5,
								 .out = parts[i][p],
								 .kernel_h = 3,
								 .pads = {1, 1, 1, 1}});
		onnx_node(&model, "Concat", "k", "a b c", "k");
		onnx_attr_int(&model, "axis", i == 1 ? -3 : 1);
		add_conv(
			&model, "k", "d",
			(ConvLayer){
				.in = total, .out = 8, .kernel_h = 3, .pads = {1, 1, 1, 1}});
		/* A part is also read for itself, under another border. */
		add_pool(&model, "MaxPool", "a", "m", 3, 2, all_pads, false);
		onnx_output(&model, "d", 0, NULL);
		onnx_output(&model, "m", 0, NULL);
		onnx_output(&model, "b", 0, NULL);
		snprintf(what, sizeof what, "concatenation case %zu", i);
		check_plan(&model, &CHECK_SHAPE(2, 5, 7, 6), -1, what);
	}
}

/* Whole in whole, and the same part twice. */
static void
test_nested_concat(void)
{
	OnnxModel model;
	ConvLayer layer = {.in = 5, .out = 16, .kernel_h = 1};

	begin_map_model(&model, 5);
	add_conv(&model, "x", "a", layer);
	add_conv(&model, "x", "b", layer);
	onnx_node(&model, "Concat", "k", "a b", "k");
	onnx_attr_int(&model, "axis", 1);
	layer.in = 32;
	add_conv(&model, "k", "c", layer);
	onnx_node(&model, "Concat", "l", "k c a c", "l");
	onnx_attr_int(&model, "axis", 1);
	add_pool(&model, "AveragePool", "l", "m", 2, 1, no_pads, false);
	add_conv(
		&model, "l", "n",
		(ConvLayer){.in = 80, .out = 8, .kernel_h = 3, .pads = {1, 1, 1, 1}});
	onnx_output(&model, "m", 0, NULL);
	onnx_output(&model, "n", 0, NULL);
	onnx_output(&model, "l", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 5, 7, 6), -1, "nested concatenation");
}

/* Maps of several sizes behind Flatten and Gemm. */
static void
test_fully_connected(void)
{
	static const struct
	{
		int channels;
		int64_t height, width;
	} maps[] = {{20, 1, 1}, {32, 3, 2}, {5, 3, 3}, {17, 4, 4}};

	for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
		for (int64_t batch = 1; batch <= 5; batch += batch == 1 ? 1 : 3)
		{
			OnnxModel model;
			int64_t count = maps[i].channels * maps[i].height * maps[i].width;
			char what[96];

			begin_map_model(&model, 5);
			add_conv(
				&model, "x", "c",
				(ConvLayer){.in = 5, .out = maps[i].channels, .kernel_h = 1});
			add_batch_norm(&model, "c", "n", maps[i].channels);
			onnx_node(&model, "Relu", "r", "n", "r");
			add_batch_norm(&model, "r", "q", maps[i].channels);
			onnx_node(&model, "Flatten", "f", "q", "f");
			add_gemm(&model, "f", "g", count, 24);
			add_batch_norm(&model, "g", "h", 24);
			add_prelu(&model, "h", "p", CHECK_DIMS(24));
			add_gemm(&model, "p", "s", 24, 3);
			onnx_node(&model, "Softmax", "y", "s", "y");
			onnx_attr_int(&model, "axis", 1);
			onnx_output(&model, "y", 0, NULL);
			onnx_output(&model, "p", 0, NULL);
			snprintf(what, sizeof what, "fully connected case %zu, batch %lld",
					 i, (long long) batch);
			check_plan(&model,
					   &CHECK_SHAPE(batch, 5, maps[i].height, maps[i].width),
					   i == 2 ? 10 : 7, what);
		}
}

/* Gemm and MatMul in their other forms. */
static void
test_products(void)
{
	OnnxModel model;

	onnx_begin(&model, 13);
	check_seed = 5;
	onnx_input(&model, "x", CHECK_DIMS(-1, 40));
	check_weight(&model, "w", CHECK_DIMS(40, 20));
	check_weight(&model, "c", CHECK_DIMS(1, 20));
	check_weight(&model, "v", CHECK_DIMS(20, 7));
	check_weight(&model, "u", CHECK_DIMS(7));
	onnx_node(&model, "Gemm", "g", "x w c", "g");
	onnx_attr_float(&model, "alpha", 0.5f);
	onnx_attr_float(&model, "beta", -2.0f);
	onnx_node(&model, "MatMul", "m", "g v", "m");
	onnx_node(&model, "Add", "a", "m u", "a");
	onnx_node(&model, "Tanh", "y", "a", "y");
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(3, 40), 4, "Gemm with factors, MatMul");

	/* A bias per row, and products of more dimensions, are left alone. */
	onnx_begin(&model, 13);
	onnx_input(&model, "x", CHECK_DIMS(3, 20));
	check_weight(&model, "w", CHECK_DIMS(20, 20));
	check_weight(&model, "c", CHECK_DIMS(3, 1));
	check_weight(&model, "q", CHECK_DIMS(20, 6));
	onnx_weight_i64(&model, "r", 3, (int64_t[]){3, 1, 20});
	onnx_node(&model, "Gemm", "g", "x w c", "g");
	onnx_node(&model, "Gemm", "h", "x g", "h");
	onnx_attr_int(&model, "transB", 1);
	onnx_node(&model, "Reshape", "s", "g r", "s");
	onnx_node(&model, "MatMul", "m", "s q", "m");
	onnx_output(&model, "h", 0, NULL);
	onnx_output(&model, "m", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(3, 20), -1, "products left to Gemm");
}

/* Transpose to channels-last and Reshape behind a convolution. */
static void
test_heads(void)
{
	static const int channels[] = {1, 4, 10, 16, 20};

	for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
	{
		OnnxModel model;

		begin_map_model(&model, 5);
		onnx_weight_i64(&model, "r", 3, (int64_t[]){0, -1, channels[i]});
		add_conv(&model, "x", "c",
				 (ConvLayer){.in = 5,
							 .out = channels[i],
							 .kernel_h = 3,
							 .pads = {1, 1, 1, 1}});
		onnx_node(&model, "Transpose", "t", "c", "t");
		onnx_attr_ints(&model, "perm", 4, (int64_t[]){0, 2, 3, 1});
		onnx_node(&model, "Reshape", "s", "t r", "s");
		onnx_node(&model, "Sigmoid", "y", "s", "y");
		onnx_node(&model, "Transpose", "u", "c", "u");
		onnx_attr_ints(&model, "perm", 4, (int64_t[]){0, 3, 1, 2});
		onnx_output(&model, "y", 0, NULL);
		onnx_output(&model, "u", 0, NULL);
		onnx_weight_i64(&model, "e", 3, (int64_t[]){0, 0, -1});
		onnx_node(&model, "Reshape", "z", "c e", "z");
		onnx_output(&model, "z", 0, NULL);
		if (channels[i] == 1)
			onnx_output(&model, "c", 0, NULL);
		check_plan(&model, &CHECK_SHAPE(2, 5, 6, 7), -1, "detector head");
	}
}

static void
test_upsample(void)
{
	static const struct
	{
		const char *coordinates, *rounding;
		float scale_h, scale_w;
		bool is_fast;
	} cases[] = {
		{"asymmetric", "floor", 2, 2, true},
		{"asymmetric", "floor", 3, 1, true},
		{"half_pixel", "round_prefer_floor", 2, 3, true},
		{"asymmetric", "ceil", 2, 2, false},
		{"align_corners", "floor", 2, 2, false},
		{"asymmetric", "floor", 1.5f, 2, false},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		OnnxModel model;
		ConvLayer layer = {
			.in = 5, .out = 20, .kernel_h = 3, .pads = {1, 1, 1, 1}};
		char what[64];

		begin_map_model(&model, 5);
		onnx_weight_f32(&model, "k", 1, (int64_t[]){4},
						(float[]){1, 1, cases[i].scale_h, cases[i].scale_w});
		add_conv(&model, "x", "c", layer);
		onnx_node(&model, "Resize", "y", "c - k", "y");
		onnx_attr_string(&model, "mode", "nearest");
		onnx_attr_string(&model, "coordinate_transformation_mode",
						 cases[i].coordinates);
		onnx_attr_string(&model, "nearest_mode", cases[i].rounding);
		onnx_output(&model, "y", 0, NULL);
		snprintf(what, sizeof what, "enlargement case %zu", i);
		check_plan(&model, &CHECK_SHAPE(2, 5, 4, 6), 4, what);
	}
}

/* Operators without a blocked kernel in between, and odd ends. */
static void
test_mixed(void)
{
	OnnxModel model;
	ConvLayer layer = {
		.in = 20, .out = 20, .kernel_h = 3, .pads = {1, 1, 1, 1}};

	begin_map_model(&model, 20);
	add_conv(&model, "x", "c", layer);
	onnx_node(&model, "Exp", "e", "c", "e");
	onnx_node(&model, "Elu", "f", "c", "f");
	onnx_node(&model, "Add", "a", "e f", "a");
	add_conv(&model, "f", "d", layer);
	onnx_node(&model, "ReduceMean", "m", "d", "m");
	onnx_attr_ints(&model, "axes", 2, (int64_t[]){2, 3});
	onnx_node(&model, "ReduceMean", "n", "d", "n");
	onnx_attr_ints(&model, "axes", 2, (int64_t[]){-1, -2});
	onnx_attr_int(&model, "keepdims", 0);
	onnx_node(&model, "ReduceMean", "o", "d", "o");
	onnx_attr_ints(&model, "axes", 2, (int64_t[]){1, 2});
	onnx_node(&model, "Squeeze", "q", "m axes", "q");
	onnx_weight_i64(&model, "axes", 2, (int64_t[]){2, 3});
	onnx_node(&model, "Identity", "i", "x", "i");
	for (int i = 0; i < 6; i++)
		onnx_output(&model, (const char *[]){"a", "m", "n", "o", "q", "i"}[i],
					0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 20, 5, 6), -1, "mixed operators");
}

/* The input is the output; an output is a constant; one output twice. */
static void
test_trivial(void)
{
	OnnxModel model;

	begin_map_model(&model, 3);
	check_weight(&model, "w", CHECK_DIMS(2, 2));
	onnx_node(&model, "Identity", "a", "x", "a");
	onnx_node(&model, "Relu", "b", "w", "b");
	onnx_node(&model, "Relu", "c", "x", "c");
	onnx_node(&model, "Identity", "d", "c", "d");
	onnx_output(&model, "a", 0, NULL);
	onnx_output(&model, "b", 0, NULL);
	onnx_output(&model, "c", 0, NULL);
	onnx_output(&model, "d", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(1, 3, 2, 2), 1, "trivial outputs");
}

/* Two inputs that meet. */
static void
test_two_inputs(void)
{
	OnnxModel model;
	FrShape shapes[2] = {CHECK_SHAPE(2, 3, 8, 8), CHECK_SHAPE(2, 16, 4, 4)};

	begin_map_model(&model, 3);
	onnx_input(&model, "z", CHECK_DIMS(-1, 16, -1, -1));
	add_conv(&model, "x", "c",
			 (ConvLayer){.in = 3, .out = 16, .kernel_h = 2, .stride = 2});
	onnx_node(&model, "Add", "a", "z c", "a");
	onnx_node(&model, "Mul", "y", "a z", "y");
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, shapes, -1, "two inputs");
}

int
main(void)
{
	test_conv_geometry();
	test_wide_padding();
	test_auto_pad();
	test_pools();
	test_concat();
	test_nested_concat();
	test_fully_connected();
	test_products();
	test_heads();
	test_upsample();
	test_mixed();
	test_trivial();
	test_two_inputs();
	return tap_done();
}
