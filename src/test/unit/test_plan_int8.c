/*
 * test_plan_int8.c: quantised networks in QDQ form, planned against plain.
 *
 * All numbers are exact (plan_qdq.h), so the bits must be.  Also what must not
 * run on integers and still be right; the same bits in any batch; strips;
 * cancellation, and every allocation failing once.
 */
#include "plan_qdq.h"

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

/* ---- single layers --------------------------------------------------------- */

static const struct
{
	const char *what;
	ConvLayer layer;
	int64_t images, height, width;
	int zero, int8;
} geometries[] = {
	{"3x3", {20, 33, 3, 3, 1, 1, 1, {1, 1, 1, 1}, true}, 2, 9, 14, 128, 1},
	{"no padding", {64, 16, 3, 3, 1, 1, 1, {0}, true}, 1, 9, 15, 3, 1},
	{"stride 2", {70, 64, 3, 3, 2, 1, 1, {1, 1, 1, 1}, 0}, 1, 15, 14, 255, 1},
	{"1x1", {130, 40, 1, 1, 1, 1, 1, {0}, true}, 3, 7, 5, 100, 1},
	{"1x1 stride 2", {16, 65, 1, 1, 2, 1, 1, {0}, true}, 2, 9, 8, 0, 1},
	{"odd pads", {5, 7, 2, 4, 1, 1, 1, {0, 3, 1, 2}, true}, 1, 6, 11, 9, 1},
	{"dilation", {24, 16, 3, 3, 1, 2, 1, {2, 2, 2, 2}, true}, 1, 9, 9, 77, 1},
	{"picture", {3, 16, 3, 3, 2, 1, 1, {1, 1, 1, 1}, true}, 2, 17, 18, 61, 1},
	{"one channel", {1, 3, 5, 5, 1, 1, 1, {2, 2, 2, 2}, 0}, 1, 8, 8, 200, 1},
	{"whole map", {96, 64, 7, 7, 1, 1, 1, {0}, true}, 5, 7, 7, 120, 1},
	{"groups", {32, 32, 3, 3, 1, 1, 2, {1, 1, 1, 1}, true}, 1, 8, 8, 7, 0},
	{"depthwise", {24, 24, 3, 3, 1, 1, 24, {1, 1, 1, 1}, 1}, 1, 8, 8, 7, 0},
};

static void
test_geometry(void)
{
	for (size_t i = 0; i < sizeof geometries / sizeof *geometries; i++)
	{
		OnnxModel model;

		begin_map_model(&model, geometries[i].layer.in);
		add_qdq(&model, "x", "a", 1.0f / 64.0f, geometries[i].zero);
		add_qconv(&model, "a", "c", geometries[i].layer);
		onnx_node(&model, "Relu", "y", "c", "y");
		onnx_output(&model, "y", 0, NULL);
		finish_exact(&model,
					 &CHECK_SHAPE(geometries[i].images, geometries[i].layer.in,
								  geometries[i].height, geometries[i].width),
					 geometries[i].int8, geometries[i].what);
	}
}

/* Gemm and MatMul, behind a Flatten on either side of the quantisation. */
static void
test_products(void)
{
	static const char *const names[] = {
		"flatten before quantisation", "flatten behind it",
		"flatten with another reader", "vectors", "matrix [in, out]"};

	for (int i = 0; i < 5; i++)
	{
		OnnxModel model;
		const int in = i < 3 ? 24 * 5 * 4 : 24;
		const bool is_matrix = i == 4;
		const int64_t dims[2] = {is_matrix ? in : 40, is_matrix ? 40 : in};

		begin_map_model(&model, 24);
		add_dyadic_norm(&model, "x", "n", 24);
		if (i == 1)
		{
			add_qdq(&model, "n", "a", 1.0f / 32.0f, 131);
			onnx_node(&model, "Flatten", "f", "a", "f");
		}
		else
		{
			onnx_node(&model, "Flatten", "f", "n", "f");
			add_qdq(&model, "f", "a", 1.0f / 32.0f, 131);
		}
		add_weights(&model, "g", 2, dims, is_matrix);
		add_dyadic(&model, "bias", CHECK_DIMS(40));
		if (is_matrix)
			onnx_node(&model, "MatMul", "g", "a g.d", "g");
		else
		{
			onnx_node(&model, "Gemm", "g", i == 1 ? "f g.d bias" : "a g.d bias",
					  "g");
			onnx_attr_int(&model, "transB", 1);
		}
		onnx_node(&model, "Relu", "y", "g", "y");
		onnx_output(&model, "y", 0, NULL);
		if (i == 2)
			onnx_output(&model, "f", 0, NULL);
		finish_exact(&model,
					 i < 3 ? &CHECK_SHAPE(3, 24, 5, 4)
						   : &CHECK_SHAPE(3, 24, 1, 1),
					 1, names[i]);
	}
}

/* ---- networks -------------------------------------------------------------- */

/* Two units of an IR-net: normalisation before a quantised, padded
 * convolution; the first with a shortcut of its own and stride 2. */
static OnnxBuffer
ir_units(int channels)
{
	OnnxModel model;
	int wide = 2 * channels;

	begin_map_model(&model, channels);
	onnx_node(&model, "Relu", "r", "x", "r");
	add_qdq(&model, "r", "rq", 1.0f / 128.0f, 0);
	add_qconv(&model, "rq", "s", point(channels, wide, 2));
	add_dyadic_norm(&model, "s", "sn", wide);
	add_dyadic_norm(&model, "r", "n", channels);
	add_qdq(&model, "n", "nq", 1.0f / 64.0f, 120);
	add_qconv(&model, "nq", "c", square(channels, wide, 1));
	add_dyadic_prelu(&model, "c", "p", wide);
	add_qdq(&model, "p", "pq", 0.25f, 77);
	add_qconv(&model, "pq", "d", square(wide, wide, 2));
	add_dyadic_norm(&model, "d", "e", wide);
	onnx_node(&model, "Add", "u", "e sn", "u");

	add_dyadic_norm(&model, "u", "n2", wide);
	add_qdq(&model, "n2", "n2q", 1.0f, 130);
	add_qconv(&model, "n2q", "c2", square(wide, wide, 1));
	add_dyadic_prelu(&model, "c2", "p2", wide);
	add_qdq(&model, "p2", "p2q", 2.0f, 11);
	add_qconv(&model, "p2q", "d2", square(wide, wide, 1));
	onnx_node(&model, "Add", "y", "d2 u", "y");
	onnx_output(&model, "y", 0, NULL);
	return onnx_finish(&model);
}

static void
test_ir_units(void)
{
	OnnxBuffer file = ir_units(24);

	check_exact(&file, &CHECK_SHAPE(2, 24, 13, 14), 5,
				"two units of an IR-net");
	free(file.data);
}

/* A depthwise convolution that stores bytes is part of strips. */
static void
test_strips(void)
{
	OnnxModel model;
	OnnxBuffer file;

	begin_map_model(&model, 24);
	add_conv(
		&model, "x", "c",
		(ConvLayer){.in = 24, .out = 40, .kernel_h = 3, .pads = {1, 1, 1, 1}});
	onnx_node(&model, "Relu", "r", "c", "r");
	add_conv(&model, "r", "w",
			 (ConvLayer){.in = 40,
						 .out = 40,
						 .group = 40,
						 .kernel_h = 3,
						 .pads = {1, 1, 1, 1}});
	onnx_node(&model, "Relu", "s", "w", "s");
	add_qdq(&model, "s", "a", 0.125f, 9);
	add_qconv(&model, "a", "y", square(40, 16, 1));
	onnx_output(&model, "y", 0, NULL);
	file = onnx_finish(&model);
	for (int i = 0; i < CHECK_ISA_COUNT; i++)
		if (fr_kernels_by_name(check_isas[i]))
			ok(check_strips(&file, check_isas[i], &CHECK_SHAPE(3, 24, 13, 14),
							"a depthwise convolution to bytes") > 2,
			   "%s: strips were made", check_isas[i]);
	free(file.data);
}

/* What stands between is right, too: conversions at outputs, pools, sums of
 * dequantised maps, a depthwise convolution, several readers of one map. */
static void
test_variants(void)
{
	OnnxModel model;

	begin_map_model(&model, 16);
	add_qdq(&model, "x", "a", 1.0f / 64.0f, 128);
	add_qconv(&model, "a", "c", square(16, 40, 1));
	add_qdq(&model, "c", "cq", 0.5f, 100);
	onnx_node(&model, "Relu", "r", "cq", "r");
	add_qdq(&model, "r", "rq", 0.5f, 0);
	add_qconv(&model, "rq", "d", square(40, 40, 1));
	add_qdq(&model, "d", "dq", 4.0f, 128);
	onnx_node(&model, "Add", "s", "dq rq", "s");
	add_qdq(&model, "s", "sq", 4.0f, 99);
	add_pool(&model, "MaxPool", "sq", "m", 3, 2, all_pads, false);
	add_qdq(&model, "m", "mq", 4.0f, 99);
	add_qconv(&model, "mq", "y", point(40, 8, 1));
	onnx_output(&model, "y", 0, NULL);
	onnx_output(&model, "sq", 0, NULL);
	finish_exact(&model, &CHECK_SHAPE(2, 16, 9, 10), 3,
				 "quantised at every output");

	begin_map_model(&model, 16);
	add_qdq(&model, "x", "a", 1.0f / 64.0f, 128);
	add_qconv(&model, "a", "c", point(16, 24, 1));
	add_dyadic_prelu(&model, "c", "p", 24);
	add_qdq(&model, "p", "pq", 0.25f, 90);
	add_qconv(&model, "pq", "w",
			  (ConvLayer){24, 24, 3, 3, 1, 1, 24, {1, 1, 1, 1}, true});
	onnx_node(&model, "Relu", "r", "w", "r");
	add_qdq(&model, "r", "rq", 2.0f, 7);
	add_qconv(&model, "rq", "d", point(24, 16, 1));
	add_qconv(&model, "rq", "e", square(24, 16, 1));
	onnx_node(&model, "Add", "y", "d e", "y");
	onnx_output(&model, "y", 0, NULL);
	onnx_output(&model, "p", 0, NULL);
	finish_exact(&model, &CHECK_SHAPE(2, 16, 7, 9), 3,
				 "a depthwise convolution between");
}

/* ---- unusual forms ---------------------------------------------------------- */

typedef enum Odd
{
	ODD_WEIGHT_ZEROS,
	ODD_UNSIGNED_WEIGHTS,
	ODD_SIGNED_INPUT,
	ODD_OTHER_SCALE,
	ODD_INPUT_CHANNELS,
	ODD_BYTES_READ,
	ODD_COUNT
} Odd;

static const char *const odd_names[] = {
	"weights with zero points", "unsigned weights",
	"signed activations",		"dequantised with another scale",
	"one scale per channel",	"bytes with another reader"};

/* x -> QuantizeLinear -> DequantizeLinear -> conv, with one thing odd. */
static void
add_odd(OnnxModel *model, Odd odd)
{
	const int8_t zeros[16] = {0, 3, -1}, signed_zero = -5;
	const uint8_t unsigned_zeros[16] = {128, 1}, zero = 100;
	const float scale = 1.0f / 64.0f, other = 1.0f / 128.0f;
	float scales[8];
	uint8_t many[8], unsigned_weights[16 * 8 * 9];

	for (int c = 0; c < 8; c++)
	{
		scales[c] = ldexpf(1.0f, -5 - c % 2);
		many[c] = (uint8_t) (100 + c);
	}
	for (int i = 0; i < 16 * 8 * 9; i++)
		unsigned_weights[i] = (uint8_t) random_whole(0, 255);
	add_weights(model, "c", CHECK_DIMS(16, 8, 3, 3), 0);
	onnx_weight_raw(model, "wz", ONNX_INT8, CHECK_DIMS(16), zeros, 16);
	onnx_weight_raw(model, "uz", ONNX_UINT8, CHECK_DIMS(16), unsigned_zeros,
					16);
	onnx_weight_raw(model, "uw", ONNX_UINT8, CHECK_DIMS(16, 8, 3, 3),
					unsigned_weights, sizeof unsigned_weights);
	onnx_weight_raw(model, "sz", ONNX_INT8, 0, NULL, &signed_zero, 1);
	onnx_weight_raw(model, "z", ONNX_UINT8, 0, NULL, &zero, 1);
	onnx_weight_raw(model, "zs", ONNX_UINT8, CHECK_DIMS(8), many, 8);
	onnx_weight_f32(model, "t", 0, NULL, &other);
	onnx_weight_f32(model, "ss", CHECK_DIMS(8), scales);
	onnx_weight_f32(model, "s", 0, NULL, &scale);
	switch (odd)
	{
		case ODD_SIGNED_INPUT:
			onnx_node(model, "QuantizeLinear", "q", "x s sz", "q");
			onnx_node(model, "DequantizeLinear", "a", "q s sz", "a");
			break;
		case ODD_INPUT_CHANNELS:
			onnx_node(model, "QuantizeLinear", "q", "x ss zs", "q");
			onnx_node(model, "DequantizeLinear", "a", "q ss zs", "a");
			break;
		default:
			onnx_node(model, "QuantizeLinear", "q", "x s z", "q");
			onnx_node(model, "DequantizeLinear", "a",
					  odd == ODD_OTHER_SCALE ? "q t z" : "q s z", "a");
			break;
	}
	if (odd == ODD_UNSIGNED_WEIGHTS)
		onnx_node(model, "DequantizeLinear", "v", "uw c.ws uz", "v");
	else if (odd == ODD_WEIGHT_ZEROS)
		onnx_node(model, "DequantizeLinear", "v", "c.w c.ws wz", "v");
	else
		onnx_node(model, "DequantizeLinear", "v", "c.w c.ws", "v");
	onnx_attr_int(model, "axis", 0);
}

static void
test_odd(void)
{
	for (int odd = 0; odd < ODD_COUNT; odd++)
	{
		OnnxModel model;

		begin_map_model(&model, 8);
		add_odd(&model, (Odd) odd);
		onnx_node(&model, "Conv", "c", "a v", "c");
		onnx_attr_ints(&model, "pads", 4, all_pads);
		onnx_output(&model, "c", 0, NULL);
		if (odd == ODD_BYTES_READ)
		{
			onnx_node(&model, "Transpose", "turned", "q", "turned");
			onnx_node(&model, "DequantizeLinear", "y", "turned s z", "y");
			onnx_output(&model, "y", 0, NULL);
		}
		finish_exact(&model, &CHECK_SHAPE(2, 8, 7, 6), odd == ODD_SIGNED_INPUT,
					 odd_names[odd]);
	}
}

/* An int32 bias behind a DequantizeLinear of its own. */
static void
test_integer_bias(void)
{
	const int32_t bias[20] = {-3000, 5, 70000, -1};
	const float scale = 1.0f / 16384.0f;
	OnnxModel model;

	begin_map_model(&model, 16);
	add_qdq(&model, "x", "a", 1.0f / 64.0f, 128);
	add_weights(&model, "c", CHECK_DIMS(20, 16, 3, 3), 0);
	onnx_weight_raw(&model, "bi", ONNX_INT32, CHECK_DIMS(20), bias,
					sizeof bias);
	onnx_weight_f32(&model, "bs", 0, NULL, &scale);
	onnx_node(&model, "DequantizeLinear", "b", "bi bs", "b");
	onnx_node(&model, "Conv", "y", "a c.d b", "y");
	onnx_output(&model, "y", 0, NULL);
	finish_exact(&model, &CHECK_SHAPE(1, 16, 6, 7), 1, "an integer bias");
}

/* Weights that an integer convolution and another operator read; a quantised
 * map that nothing but an output reads; a depth beyond 32-bit sums. */
static void
test_shared(void)
{
	OnnxModel model;

	begin_map_model(&model, 8);
	add_qdq(&model, "x", "a", 1.0f / 64.0f, 40);
	add_weights(&model, "c", CHECK_DIMS(8, 8, 1, 1), 0);
	onnx_node(&model, "Conv", "c", "a c.d", "c");
	onnx_node(&model, "Conv", "d", "x c.d", "d");
	onnx_node(&model, "Add", "y", "c d", "y");
	add_qdq(&model, "y", "z", 0.5f, 128);
	onnx_output(&model, "z", 0, NULL);
	onnx_output(&model, "a", 0, NULL);
	finish_exact(&model, &CHECK_SHAPE(1, 8, 4, 4), 1,
				 "weights with two readers");

	begin_map_model(&model, 520);
	add_qdq(&model, "x", "a", 1.0f / 64.0f, 128);
	add_qconv(&model, "a", "y",
			  (ConvLayer){.in = 520, .out = 4, .kernel_h = 8});
	onnx_output(&model, "y", 0, NULL);

	OnnxBuffer file = onnx_finish(&model);
	const FrShape shape = CHECK_SHAPE(1, 520, 8, 8);
	FrNet *net;
	FrPlan *plan = make_plan(&file, NULL, &shape, &net);

	is_int(check_count_steps(plan, "int8 conv"), 0,
		   "sums of 33280 products stay float");
	fr_net_destroy(net);
	check_plan_file(&file, &shape, -1, "sums of 33280 products");
	free(file.data);
}

/* ---- random networks -------------------------------------------------------- */

#define NETWORKS (IS_SANITIZED ? 12 : 40)
#define LAYERS	 10

static uint32_t choice_seed;

static int
choose(int count)
{
	choice_seed = choice_seed * 1664525u + 1013904223u;
	return (int) ((choice_seed >> 16) % (uint32_t) count);
}

/* One more layer on map v<from>, 20 channels; all maps are alike. */
static void
add_random_layer(OnnxModel *model, int from, int other, int to)
{
	char in[16], second[16], out[16], dq[24];

	snprintf(in, sizeof in, "v%d", from);
	snprintf(second, sizeof second, "v%d", other);
	snprintf(out, sizeof out, "v%d", to);
	snprintf(dq, sizeof dq, "%s.a", out);
	switch (choose(6))
	{
		case 0:
			onnx_node(model, "Relu", out, in, out);
			break;
		case 1:
			add_dyadic_norm(model, in, out, 20);
			break;
		case 2:
			onnx_node(model, "Max", out, layer_join(in, second), out);
			break;
		case 3:
			add_qdq(model, in, out, 0.5f, choose(256));
			break;
		default:
			add_qdq(model, in, dq, ldexpf(1.0f, choose(3) - 1), choose(256));
			add_qconv(model, dq, out,
					  choose(2) ? square(20, 20, 1) : point(20, 20, 1));
			break;
	}
}

static void
test_random(void)
{
	int networks = getenv("FACEREC_TEST_SMALL") ? NETWORKS / 4 : NETWORKS;

	for (int n = 0; n < networks; n++)
	{
		OnnxModel model;
		char name[32];

		choice_seed = (uint32_t) n + 1;
		begin_map_model(&model, 20);
		check_seed = (uint32_t) n + 100;
		onnx_node(&model, "Relu", "v0", "x", "v0");
		for (int i = 0; i < LAYERS; i++)
			add_random_layer(&model, choose(3) ? i : choose(i + 1),
							 choose(i + 1), i + 1);
		for (int i = 1; i <= LAYERS; i++)
		{
			snprintf(name, sizeof name, "v%d", i);
			if (i == LAYERS || choose(4) == 0)
				onnx_output(&model, name, 0, NULL);
		}
		snprintf(name, sizeof name, "random network %d", n);
		finish_exact(&model, &CHECK_SHAPE(1, 20, 5, 6), -1, name);
	}
}

/* ---- runs ------------------------------------------------------------------ */

/* Images in a batch give the bits that they give alone. */
static void
test_batch(void)
{
	OnnxBuffer file = ir_units(24);
	const FrShape one = CHECK_SHAPE(1, 24, 14, 15);
	const FrShape three = CHECK_SHAPE(3, 24, 14, 15);
	const size_t in = 24 * 14 * 15, out = 48 * 7 * 8;

	for (int i = 0; i < CHECK_ISA_COUNT; i++)
	{
		FrNetOptions options = {.kernels = fr_kernels_by_name(check_isas[i])};
		FrNet *net, *other;
		int wrong = 0;

		if (!options.kernels)
			continue;

		FrPlan *batch = make_plan(&file, &options, &three, &net);
		FrPlan *single = make_plan(&file, &options, &one, &other);
		float *images = malloc(3 * in * sizeof(float));

		check_fill_input(images, &three, 9);
		memcpy(fr_plan_input(batch, 0), images, 3 * in * sizeof(float));
		fr_plan_run(batch, NULL, NULL);
		for (size_t n = 0; n < 3; n++)
		{
			memcpy(fr_plan_input(single, 0), images + n * in,
				   in * sizeof(float));
			fr_plan_run(single, NULL, NULL);
			wrong += memcmp(fr_plan_output(single, 0, NULL),
							fr_plan_output(batch, 0, NULL) + n * out,
							out * sizeof(float)) != 0;
		}
		is_int(wrong, 0, "%s: the batch does not change an image's bits",
			   check_isas[i]);
		free(images);
		fr_net_destroy(net);
		fr_net_destroy(other);
	}
	free(file.data);
}

/* Cut by rows, by blocks and by columns: nothing changes. */
static void
test_pieces(void)
{
	OnnxModel model;

	begin_map_model(&model, 256);
	add_qdq(&model, "x", "a", 1.0f / 64.0f, 128);
	add_qconv(&model, "a", "c", square(256, 256, 1));
	add_qdq(&model, "c", "cq", 1.0f, 128);
	add_qconv(&model, "cq", "d", point(256, 16, 1));
	onnx_output(&model, "d", 0, NULL);
	onnx_output(&model, "c", 0, NULL);
	finish_exact(&model, &CHECK_SHAPE(1, 256, 10, 10), 2, "blocks at a time");

	begin_map_model(&model, 64);
	add_qdq(&model, "x", "a", 1.0f / 64.0f, 128);
	add_qconv(&model, "a", "c", square(64, 32, 1));
	onnx_output(&model, "c", 0, NULL);
	finish_exact(&model, &CHECK_SHAPE(1, 64, 52, 53), 1, "rows at a time");
	if (IS_SANITIZED)
		return;

	begin_map_model(&model, 256);
	add_qdq(&model, "x", "a", 1.0f / 64.0f, 128);
	add_qconv(&model, "a", "c", point(256, 512, 1));
	add_qdq(&model, "c", "cq", 0.25f, 128);
	add_qconv(&model, "cq", "d", point(512, 8, 1));
	onnx_output(&model, "d", 0, NULL);
	finish_exact(&model, &CHECK_SHAPE(400, 256, 1, 1), 2, "vectors at a time");
}

/* Cancelled at the n-th poll, for all n, while planning and while running. */
static void
test_cancel(void)
{
	OnnxBuffer file = ir_units(16);
	const FrShape shape = CHECK_SHAPE(1, 16, 16, 16);
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
	for (polls = 0; status != FR_OK && polls < 2000; polls++)
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

/* A network with all that planning may allocate for. */
static OnnxBuffer
small_network(void)
{
	OnnxModel model;

	begin_map_model(&model, 8);
	add_dyadic_norm(&model, "x", "n", 8);
	add_qdq(&model, "n", "a", 1.0f / 64.0f, 90);
	add_qconv(&model, "a", "c", square(8, 16, 1));
	add_dyadic_prelu(&model, "c", "p", 16);
	add_qdq(&model, "p", "pq", 0.5f, 90);
	add_qconv(&model, "pq", "w",
			  (ConvLayer){16, 16, 3, 3, 1, 1, 16, {1, 1, 1, 1}, true});
	onnx_node(&model, "Flatten", "f", "w", "f");
	add_qdq(&model, "f", "fq", 1.0f, 90);
	add_weights(&model, "y", CHECK_DIMS(16 * 4 * 4, 8), 1);
	onnx_node(&model, "MatMul", "y", "fq y.d", "y");
	onnx_output(&model, "y", 0, NULL);
	return onnx_finish(&model);
}

static void
test_allocation_failures(void)
{
	OnnxBuffer file = small_network();
	TestMemory memory = {0};
	FrStatus status = FR_ERR_NOMEM;
	int wrong = 0;

	check_exact(&file, &CHECK_SHAPE(2, 8, 4, 4), 2, "a small network");
	for (long n = 1; status != FR_OK && n < 5000; n++)
	{
		FrAllocator allocator = test_allocator(&memory);
		FrError error = {0};
		FrPlan *plan = NULL;

		memory.requests = 0;
		memory.fail_at = n;

		FrNet *net = check_net(&file, NULL, &allocator, &status, &error);

		if (status == FR_OK)
			status =
				fr_net_plan(net, &CHECK_SHAPE(1, 8, 4, 4), NULL, &plan, &error);
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
	test_geometry();
	test_products();
	test_ir_units();
	test_strips();
	test_variants();
	test_odd();
	test_integer_bias();
	test_shared();
	test_random();
	test_batch();
	test_pieces();
	test_cancel();
	test_allocation_failures();
	return tap_done();
}
