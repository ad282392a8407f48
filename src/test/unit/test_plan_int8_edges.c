/*
 * test_plan_int8_edges.c: quantised networks of unusual form or size.
 *
 * Constants where others have activations, zero points at the ends of their
 * range, a picture with several readers, scales whose product overflows; what
 * planning polls and allocates; how wide maps are cut.
 */
#include "plan_qdq.h"

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

/* ---- constants ------------------------------------------------------------- */

/* Int8 constants with DequantizeLinear where a value is calculated otherwise:
 * as the data of a convolution, as what is added to one and to a product. */
static void
test_constants(void)
{
	OnnxModel model;

	begin_map_model(&model, 16);
	add_weights(&model, "k", CHECK_DIMS(1, 16, 8, 8), 0);
	add_qdq(&model, "k.d", "a", 1.0f / 64.0f, 128);
	add_qconv(&model, "a", "c", point(16, 16, 1));
	add_qdq(&model, "x", "b", 1.0f / 64.0f, 128);
	onnx_node(&model, "Add", "y", "c b", "y");
	onnx_output(&model, "y", 0, NULL);
	finish_exact(&model, &CHECK_SHAPE(1, 16, 8, 8), 0, "a constant quantised");

	begin_map_model(&model, 16);
	add_weights(&model, "k", CHECK_DIMS(1, 16, 8, 8), 0);
	add_qdq(&model, "x", "a", 1.0f / 64.0f, 128);
	add_qconv(&model, "a", "c", point(16, 16, 1));
	onnx_node(&model, "Add", "y", "c k.d", "y");
	onnx_output(&model, "y", 0, NULL);
	onnx_output(&model, "k.d", 0, NULL);
	finish_exact(&model, &CHECK_SHAPE(1, 16, 8, 8), 1, "a constant added");

	for (int64_t images = 1; images <= 2; images++)
	{
		begin_map_model(&model, 16);
		onnx_node(&model, "Flatten", "f", "x", "f");
		add_qdq(&model, "f", "a", 1.0f / 64.0f, 128);
		add_weights(&model, "k", CHECK_DIMS(1, 40), 0);
		add_weights(&model, "g", CHECK_DIMS(16, 40), 1);
		onnx_node(&model, "MatMul", "g", "a g.d", "g");
		onnx_node(&model, "Add", "y", "g k.d", "y");
		onnx_output(&model, "y", 0, NULL);
		finish_exact(&model, &CHECK_SHAPE(images, 16, 1, 1), 1,
					 "a constant added to a product");
	}
}

/* A product's bias and the slopes of a PRelu go into the epilogue although
 * they are int8 constants. */
static void
test_quantised_parameters(void)
{
	OnnxModel model;

	begin_map_model(&model, 16);
	add_qdq(&model, "x", "a", 1.0f / 64.0f, 128);
	add_qconv(&model, "a", "c", point(16, 24, 1));
	add_weights(&model, "s", CHECK_DIMS(24, 1, 1), 0);
	onnx_node(&model, "PRelu", "p", "c s.d", "p");
	add_qdq(&model, "p", "pq", 0.25f, 77);
	onnx_node(&model, "Flatten", "f", "pq", "f");
	add_weights(&model, "g", CHECK_DIMS(40, 24), 0);
	add_weights(&model, "k", CHECK_DIMS(1, 40), 0);
	onnx_node(&model, "Gemm", "y", "f g.d k.d", "y");
	onnx_attr_int(&model, "transB", 1);
	onnx_output(&model, "y", 0, NULL);

	OnnxBuffer file = onnx_finish(&model);
	const FrShape shape = CHECK_SHAPE(3, 16, 1, 1);
	FrNet *net;
	FrPlan *plan = make_plan(&file, NULL, &shape, &net);

	check_exact(&file, &shape, 2, "quantised bias and slopes");
	is_int(check_count_steps(plan, "+prelu"), 1, "the slopes are fused");
	fr_net_destroy(net);
	free(file.data);
}

/* ---- numbers ---------------------------------------------------------------- */

/* Scales whose product is no finite number: zeros stay zeros. */
static void
test_huge_scales(void)
{
	int8_t weights[16 * 16] = {0};
	const uint8_t zero = 128;
	float scale = 1e20f, scales[16];
	OnnxModel model;

	for (int c = 0; c < 16; c++)
	{
		weights[c * 16] = (int8_t) (c % 2);
		scales[c] = 1e20f;
	}
	begin_map_model(&model, 16);
	onnx_weight_f32(&model, "s", 0, NULL, &scale);
	onnx_weight_raw(&model, "z", ONNX_UINT8, 0, NULL, &zero, 1);
	onnx_node(&model, "QuantizeLinear", "q", "x s z", "q");
	onnx_node(&model, "DequantizeLinear", "a", "q s z", "a");
	onnx_weight_raw(&model, "w", ONNX_INT8, CHECK_DIMS(16, 16, 1, 1), weights,
					sizeof weights);
	onnx_weight_f32(&model, "ws", CHECK_DIMS(16), scales);
	onnx_node(&model, "DequantizeLinear", "d", "w ws", "d");
	onnx_attr_int(&model, "axis", 0);
	onnx_node(&model, "Conv", "y", "a d", "y");
	onnx_output(&model, "y", 0, NULL);
	finish_exact(&model, &CHECK_SHAPE(1, 16, 3, 3), 0, "huge scales");
}

/* Zero points at the ends of signed bytes. */
static void
test_signed_ends(void)
{
	static const int8_t zeros[] = {-128, 127, 0};
	const float scale = 1.0f / 64.0f;

	for (int i = 0; i < 3; i++)
	{
		OnnxModel model;

		begin_map_model(&model, 20);
		onnx_weight_raw(&model, "z", ONNX_INT8, 0, NULL, &zeros[i], 1);
		onnx_weight_f32(&model, "s", 0, NULL, &scale);
		onnx_node(&model, "QuantizeLinear", "q", "x s z", "q");
		onnx_node(&model, "DequantizeLinear", "a", "q s z", "a");
		add_qconv(&model, "a", "c", square(20, 70, 2));
		onnx_node(&model, "QuantizeLinear", "r", "c s z", "r");
		onnx_node(&model, "DequantizeLinear", "b", "r s z", "b");
		add_qconv(&model, "b", "y", square(70, 9, 1));
		onnx_output(&model, "y", 0, NULL);
		finish_exact(&model, &CHECK_SHAPE(2, 20, 9, 7), 2,
					 "signed bytes, zero point at an end");
	}
}

/* ---- readers ---------------------------------------------------------------- */

/* A picture's bytes read with borders of 0, 1 and 2 pixels, and as floats. */
static void
add_picture_readers(OnnxModel *model, int channels, int zero)
{
	begin_map_model(model, channels);
	add_qdq(model, "x", "a", 1.0f / 64.0f, zero);
	add_qconv(model, "a", "p", point(channels, 16, 1));
	add_qconv(model, "a", "q", square(channels, 16, 1));
	add_qconv(model, "a", "o",
			  (ConvLayer){channels, 16, 5, 5, 1, 1, 1, {2, 2, 2, 2}, true});
	onnx_node(model, "Add", "s", "p q", "s");
	onnx_node(model, "Add", "y", "s o", "y");
	onnx_node(model, "Relu", "z", "a", "z");
	onnx_output(model, "y", 0, NULL);
	onnx_output(model, "z", 0, NULL);
}

static void
test_few_channels(void)
{
	for (int c = 1; c <= 5; c++)
	{
		const int zero = (c - 1) * 60;
		OnnxModel model;

		add_picture_readers(&model, c, zero);
		finish_exact(&model, &CHECK_SHAPE(3, c, 9, 7), 3,
					 "bytes of a picture with several readers");

		begin_map_model(&model, c);
		add_qdq(&model, "x", "a", 1.0f / 64.0f, zero);
		add_qconv(&model, "a", "p",
				  (ConvLayer){c, c + 1, 3, 3, 3, 1, 1, {2, 0, 1, 2}, true});
		add_qdq(&model, "p", "b", 1.0f / 4.0f, 255 - zero);
		add_qconv(&model, "b", "y",
				  (ConvLayer){c + 1, 21, 3, 3, 2, 1, 1, {0, 2, 2, 1}, true});
		onnx_output(&model, "y", 0, NULL);
		finish_exact(&model, &CHECK_SHAPE(3, c, 1, 5), 2, "one row, odd pads");
	}
}

static void
test_two_products(void)
{
	OnnxModel model;

	begin_map_model(&model, 24);
	onnx_node(&model, "Flatten", "f", "x", "f");
	add_qdq(&model, "f", "a", 1.0f / 32.0f, 131);
	add_weights(&model, "g", CHECK_DIMS(21, 24), 0);
	onnx_node(&model, "Gemm", "g", "a g.d", "g");
	onnx_attr_int(&model, "transB", 1);
	add_qdq(&model, "g", "b", 1.0f / 4.0f, 100);
	add_weights(&model, "h", CHECK_DIMS(21, 5), 1);
	onnx_node(&model, "MatMul", "y", "b h.d", "y");
	onnx_output(&model, "y", 0, NULL);
	onnx_output(&model, "g", 0, NULL);
	finish_exact(&model, &CHECK_SHAPE(5, 24, 1, 1), 2, "two products");
}

/* Two products of one flattened map: nobody needs it as floats. */
static void
test_shared_flatten(void)
{
	const FrShape shape = CHECK_SHAPE(2, 16, 2, 2);
	OnnxModel model;

	begin_map_model(&model, 16);
	add_qdq(&model, "x", "a", 1.0f / 64.0f, 128);
	onnx_node(&model, "Flatten", "f", "a", "f");
	add_weights(&model, "g", CHECK_DIMS(64, 40), 1);
	add_weights(&model, "h", CHECK_DIMS(64, 24), 1);
	onnx_node(&model, "MatMul", "g", "f g.d", "g");
	onnx_node(&model, "MatMul", "h", "f h.d", "h");
	onnx_output(&model, "g", 0, NULL);
	onnx_output(&model, "h", 0, NULL);

	OnnxBuffer file = onnx_finish(&model);
	FrNet *net;
	FrPlan *plan = make_plan(&file, NULL, &shape, &net);

	check_exact(&file, &shape, 2, "two products of one map");
	is_int(check_count_steps(plan, "from bytes"), 0,
		   "the flattened map is not calculated");
	fr_net_destroy(net);
	free(file.data);
}

/* ---- polls ------------------------------------------------------------------ */

static bool
count_polls(void *context)
{
	int *polls = context;

	(*polls)++;
	return false;
}

/* How often the first step whose kernel's text begins so polls. */
static int
step_polls(const OnnxBuffer *file, const FrShape *shape, const char *kernel)
{
	int polls = 0;
	FrCancel cancel = {count_polls, &polls};
	FrNet *net;
	FrPlan *plan = make_plan(file, NULL, shape, &net);
	FrPlanStep step = {0};
	int index = -1;

	check_fill_input(fr_plan_input(plan, 0), shape, 77);
	fr_plan_run(plan, NULL, NULL);
	do
		fr_plan_step(plan, ++index, &step);
	while (index + 1 < fr_plan_step_count(plan) &&
		   strncmp(step.kernel, kernel, strlen(kernel)) != 0);
	fr_plan_run_step(plan, index, &cancel, NULL);
	diag("%s: %d polls", step.kernel, polls);
	fr_net_destroy(net);
	return polls;
}

/* A map of one or two rows is cut by columns or blocks: conversions, and a
 * depthwise convolution that stores bytes. */
static void
test_low_maps(void)
{
	FrShape shape = CHECK_SHAPE(1, 64, 1, 70000);
	OnnxBuffer file;
	OnnxModel model;

	begin_map_model(&model, 64);
	onnx_node(&model, "Relu", "r", "x", "r");
	add_qdq(&model, "r", "a", 1.0f / 64.0f, 7);
	onnx_node(&model, "Neg", "y", "a", "y");
	add_qconv(&model, "a", "c", point(64, 1, 1));
	onnx_output(&model, "y", 0, NULL);
	onnx_output(&model, "c", 0, NULL);
	file = onnx_finish(&model);
	check_exact(&file, &shape, 1, "conversions of one row");
	ok(step_polls(&file, &shape, "to blocked") > 1, "to blocked, in pieces");
	ok(step_polls(&file, &shape, "to plain") > 1, "to plain, in pieces");
	ok(step_polls(&file, &shape, "to bytes") > 1, "to bytes, in pieces");
	ok(step_polls(&file, &shape, "from bytes") > 1, "from bytes, in pieces");
	free(file.data);

	begin_map_model(&model, 150);
	add_qdq(&model, "x", "a", 1.0f / 64.0f, 100);
	add_qconv(&model, "a", "w",
			  (ConvLayer){150, 150, 3, 3, 1, 1, 150, {1, 1, 1, 1}, true});
	add_qdq(&model, "w", "b", 0.25f, 90);
	add_qconv(&model, "b", "y", point(150, 3, 1));
	onnx_output(&model, "y", 0, NULL);
	shape = CHECK_SHAPE(1, 150, 1, 3000);
	file = onnx_finish(&model);
	check_exact(&file, &shape, 1, "bytes of a depthwise convolution");
	ok(step_polls(&file, &shape, "depthwise") > 1, "in pieces");
	free(file.data);
}

/* The same of a convolution. */
static void
test_low_convolution(void)
{
	const FrShape shape = CHECK_SHAPE(1, 96, 2, 8192);
	OnnxModel model;

	begin_map_model(&model, 96);
	add_qdq(&model, "x", "a", 1.0f / 64.0f, 128);
	add_qconv(&model, "a", "c", point(96, 96, 1));
	add_qdq(&model, "c", "b", 1.0f, 128);
	add_qconv(&model, "b", "y", point(96, 4, 1));
	onnx_output(&model, "y", 0, NULL);

	OnnxBuffer file = onnx_finish(&model);

	check_exact(&file, &shape, 2, "a convolution of two rows");
	ok(step_polls(&file, &shape, "int8 conv") > 2, "in more than two pieces");
	free(file.data);
}

/* ---- planning --------------------------------------------------------------- */

/* Polls while a chain of sums is planned whose end is or is not quantised. */
static int
chain_polls(int sums, bool is_quantised)
{
	const float one = 1.0f;
	OnnxModel model;
	char name[16], inputs[32];
	int polls = 0;

	begin_map_model(&model, 16);
	onnx_weight_f32(&model, "one", 0, NULL, &one);
	onnx_node(&model, "Max", "v0", "x x", "v0");
	for (int i = 0; i < sums; i++)
	{
		snprintf(name, sizeof name, "v%d", i + 1);
		snprintf(inputs, sizeof inputs, "v%d one", i);
		onnx_node(&model, "Add", name, inputs, name);
	}
	snprintf(name, sizeof name, "v%d", sums);
	if (is_quantised)
		add_qdq(&model, name, "y", 1.0f, 9);
	else
	{
		onnx_node(&model, "Relu", "r", name, "r");
		onnx_node(&model, "Abs", "y", "r", "y");
	}
	onnx_output(&model, "y", 0, NULL);

	OnnxBuffer file = onnx_finish(&model);
	FrCancel cancel = {count_polls, &polls};
	FrError error = {0};
	FrStatus status;
	FrPlan *plan;
	FrNet *net = check_net(&file, NULL, &fr_allocator_malloc, &status, &error);

	status =
		fr_net_plan(net, &CHECK_SHAPE(1, 16, 4, 4), &cancel, &plan, &error);
	is_status(status, FR_OK, &error, "a chain of %d sums", sums);
	fr_net_destroy(net);
	free(file.data);
	return polls;
}

static void
test_chain(void)
{
	int more = chain_polls(50, true) - chain_polls(50, false);

	ok(more >= 50, "planning polls for each sum before bytes: %d", more);
}

typedef struct Counted
{
	size_t live, peak;
} Counted;

static void *
counted_alloc(void *context, size_t size)
{
	Counted *counted = context;
	size_t *memory = malloc(size + 64);

	if (!memory)
		return NULL;
	*memory = size;
	counted->live += size;
	if (counted->peak < counted->live)
		counted->peak = counted->live;
	return (char *) memory + 64;
}

static void
counted_free(void *context, void *memory)
{
	Counted *counted = context;
	size_t *start;

	if (!memory)
		return;
	start = (size_t *) (void *) ((char *) memory - 64);
	counted->live -= *start;
	free(start);
}

/* Many quantisations of one wide value: what planning may take is checked
 * before each. */
static void
test_planning_memory(void)
{
	enum
	{
		CHANNELS = 1 << 18,
		READERS = 100
	};
	OnnxModel model;
	char name[16];
	Counted counted = {0};
	FrAllocator allocator = {counted_alloc, counted_free, &counted};
	FrNetOptions options = {.max_plan_bytes = 16u << 20};
	FrError error = {0};
	FrStatus status;
	FrPlan *plan;

	begin_map_model(&model, CHANNELS);
	onnx_node(&model, "Relu", "r", "x", "r");
	for (int i = 0; i < READERS; i++)
	{
		snprintf(name, sizeof name, "y%d", i);
		add_qdq(&model, "r", name, 1.0f, 9);
		onnx_output(&model, name, 0, NULL);
	}

	OnnxBuffer file = onnx_finish(&model);
	FrNet *net = check_net(&file, &options, &allocator, &status, &error);

	status =
		fr_net_plan(net, &CHECK_SHAPE(1, CHANNELS, 1, 1), NULL, &plan, &error);
	is_status(status, FR_ERR_LIMIT, &error, "too many quantisations");
	ok(counted.peak < (size_t) 100 << 20, "memory at most: %zu MB",
	   counted.peak >> 20);
	fr_net_destroy(net);
	free(file.data);
}

int
main(void)
{
	test_chain();
	test_planning_memory();
	test_constants();
	test_quantised_parameters();
	test_huge_scales();
	test_signed_ends();
	test_few_channels();
	test_two_products();
	test_shared_flatten();
	test_low_maps();
	if (!IS_SANITIZED)
		test_low_convolution();
	return tap_done();
}
