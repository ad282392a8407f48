/*
 * test_plan_merge.c: sibling units that become one (fuse_merge.c), against
 * the plain operators, and siblings that must stay apart.
 */
#include "plan_layers.h"

/* Heads that read "t"; a head's outputs: "h<i>" and what follows it. */
typedef struct Head
{
	int channels;
	int kernel;		/* of the convolution */
	int depthwise;	/* kernel of a depthwise convolution behind it, or 0 */
	const char *op; /* behind that, or NULL */
} Head;

static const char *
head_name(const char *what, int index)
{
	static char names[8][32];
	static unsigned next;
	char *name = names[next++ % 8];

	snprintf(name, sizeof names[0], "%s%d", what, index);
	return name;
}

/* What detectors do with a head: Transpose, Reshape, Sigmoid. */
static void
add_tail(OnnxModel *model, const char *input, int index, int channels,
		 bool has_sigmoid)
{
	const char *output = head_name("y", index);
	const char *reshaped = has_sigmoid ? head_name("r", index) : output;
	const char *last = head_name("l", index);
	const char *shape = head_name("shape", index);

	onnx_node(model, "Transpose", last, input, last);
	onnx_attr_ints(model, "perm", 4, (int64_t[]){0, 2, 3, 1});
	onnx_weight_i64(model, shape, 3, (int64_t[]){0, -1, channels});
	onnx_node(model, "Reshape", reshaped, layer_join(last, shape), reshaped);
	if (has_sigmoid)
		onnx_node(model, "Sigmoid", output, reshaped, output);
	onnx_output(model, output, 0, NULL);
}

/* One head of a model, up to its output "y<index>". */
static void
add_head(OnnxModel *model, int index, const Head *head)
{
	const char *conv = head_name("c", index);
	int pad = head->kernel / 2, dw_pad = head->depthwise / 2;
	ConvLayer layer = {.in = 20,
					   .out = head->channels,
					   .kernel_h = head->kernel,
					   .pads = {pad, pad, pad, pad},
					   .has_bias = true};

	add_conv(model, "t", conv, layer);
	if (head->depthwise)
	{
		const char *depthwise = head_name("d", index);

		add_conv(model, conv, depthwise,
				 (ConvLayer){.in = head->channels,
							 .out = head->channels,
							 .kernel_h = head->depthwise,
							 .group = head->channels,
							 .pads = {dw_pad, dw_pad, dw_pad, dw_pad},
							 .has_bias = index % 2 == 0});
		conv = depthwise;
	}
	if (!head->op)
		onnx_output(model, conv, 0, NULL);
	else if (strcmp(head->op, "heads") == 0)
		add_tail(model, conv, index, head->channels, index < 2);
	else
	{
		const char *output = head_name("y", index);

		onnx_node(model, head->op, output, conv, output);
		onnx_output(model, output, 0, NULL);
	}
}

static void
begin_heads(OnnxModel *model)
{
	begin_map_model(model, 3);
	add_conv(
		model, "x", "t",
		(ConvLayer){.in = 3, .out = 20, .kernel_h = 3, .pads = {1, 1, 1, 1}});
}

/* To blocked and the trunk. */
#define TRUNK 2

static void
check_heads(const Head *heads, int count, int steps, const char *what)
{
	OnnxModel model;

	begin_heads(&model);
	for (int i = 0; i < count; i++)
		add_head(&model, i, &heads[i]);
	check_plan(&model, &CHECK_SHAPE(2, 3, 5, 7), TRUNK + steps, what);
}

static void
test_merged(void)
{
	static const Head detector[] = {{1, 1, 3, "heads"},
									{1, 1, 3, "heads"},
									{4, 1, 3, "heads"},
									{10, 1, 3, "heads"}};
	static const Head simple[] = {
		{2, 1, 0, "heads"}, {4, 1, 0, "heads"}, {3, 1, 0, "heads"}};
	static const Head across[] = {
		{10, 1, 0, "heads"}, {10, 1, 0, "heads"}, {10, 1, 0, "heads"}};
	static const Head plain[] = {
		{10, 1, 0, NULL}, {10, 1, 0, NULL}, {10, 1, 0, "Softmax"}};
	static const Head wide[] = {{17, 1, 3, "heads"},
								{9, 1, 3, "heads"},
								{40, 1, 3, NULL},
								{5, 1, 3, NULL}};
	static const Head spatial[] = {{2, 3, 0, "heads"}, {4, 3, 0, NULL}};

	check_heads(detector, 4, 6, "a detector's heads");
	check_heads(simple, 3, 4, "heads without depthwise convolutions");
	check_heads(across, 3, 4, "heads across blocks");
	check_heads(plain, 3, 5, "heads across blocks as plain maps");
	check_heads(wide, 4, 6, "heads of more than a block");
	check_heads(spatial, 2, 3, "3x3 heads");
}

static void
test_two_groups(void)
{
	static const Head kernels[] = {{2, 1, 0, "heads"},
								   {4, 3, 0, "heads"},
								   {3, 1, 0, "heads"},
								   {5, 3, 0, "heads"}};
	static const Head followers[] = {{2, 1, 3, "heads"},
									 {4, 1, 0, "heads"},
									 {3, 1, 3, "heads"},
									 {5, 1, 0, "heads"}};

	check_heads(kernels, 4, 6, "two groups with different windows");
	check_heads(followers, 4, 7, "two groups with and without depthwise");
}

static void
test_apart(void)
{
	static const Head full[] = {{16, 1, 0, "heads"}, {32, 1, 0, "heads"}};
	static const Head nothing[] = {{10, 1, 0, "heads"}, {10, 1, 0, "heads"}};
	static const Head windows[] = {{2, 1, 0, "heads"}, {4, 3, 0, "heads"}};
	static const Head followers[] = {{2, 1, 3, "heads"}, {4, 1, 5, "heads"}};
	static const Head blocked[] = {{2, 1, 0, "Neg"},
								   {4, 1, 0, "GlobalAveragePool"}};
	static const Head activated[] = {{2, 1, 0, "Relu"}, {4, 1, 0, "Sigmoid"}};

	check_heads(full, 2, 4, "whole blocks stay apart");
	check_heads(nothing, 2, 4, "no block saved, nothing merged");
	check_heads(windows, 2, 4, "other windows stay apart");
	check_heads(followers, 2, 6, "other followers stay apart");
	check_heads(blocked, 2, 6, "blocked readers stay apart");
	check_heads(activated, 2, 4, "other activations stay apart");
}

/* The same activation on each; slopes of their own. */
static void
test_activations(void)
{
	static const Head relu[] = {{2, 1, 0, "Relu"}, {4, 1, 0, "Relu"}};
	OnnxModel model;

	check_heads(relu, 2, 3, "merged Relu");
	begin_heads(&model);
	for (int i = 0; i < 2; i++)
	{
		const char *conv = head_name("c", i), *output = head_name("y", i);
		int channels = 3 + 4 * i;

		add_conv(&model, "t", conv, (ConvLayer){.in = 20, .out = channels});
		add_prelu(&model, conv, output, CHECK_DIMS(channels, 1, 1));
		onnx_output(&model, output, 0, NULL);
	}
	check_plan(&model, &CHECK_SHAPE(1, 3, 6, 6), TRUNK + 3, "merged PRelu");
}

/* A part read by a convolution, added to something, or an output between. */
static void
test_other_readers(void)
{
	OnnxModel model;

	begin_heads(&model);
	add_conv(&model, "t", "a", (ConvLayer){.in = 20, .out = 4});
	add_conv(&model, "t", "b", (ConvLayer){.in = 20, .out = 4});
	add_conv(&model, "b", "y", (ConvLayer){.in = 4, .out = 5, .kernel_h = 3});
	onnx_output(&model, "a", 0, NULL);
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 3, 6, 6), TRUNK + 5,
			   "a part that a convolution reads");

	begin_heads(&model);
	add_conv(&model, "t", "a", (ConvLayer){.in = 20, .out = 4});
	add_conv(&model, "t", "b", (ConvLayer){.in = 20, .out = 4});
	onnx_node(&model, "Add", "y", "a b", "y");
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 3, 6, 6), TRUNK + 3,
			   "parts that are added");

	begin_heads(&model);
	for (int i = 0; i < 2; i++)
	{
		const char *conv = head_name("c", i), *output = head_name("y", i);

		add_conv(&model, "t", conv, (ConvLayer){.in = 20, .out = 4});
		add_conv(&model, conv, output,
				 (ConvLayer){.in = 4, .out = 4, .kernel_h = 3, .group = 4});
		onnx_output(&model, output, 0, NULL);
		onnx_output(&model, conv, 0, NULL);
	}
	check_plan(&model, &CHECK_SHAPE(2, 3, 6, 6), TRUNK + 8,
			   "outputs before the depthwise convolutions");
}

/* Fully connected heads of a batch of vectors; the reader of one stands
 * before the other in the file. */
static void
test_products(void)
{
	OnnxModel model;

	onnx_begin(&model, 13);
	check_seed = 5;
	onnx_input(&model, "x", CHECK_DIMS(-1, 33));
	add_gemm(&model, "x", "t", 33, 24);
	add_gemm(&model, "t", "a", 24, 2);
	onnx_node(&model, "Softmax", "p", "a", "p");
	add_gemm(&model, "t", "b", 24, 4);
	add_gemm(&model, "t", "c", 24, 10);
	onnx_output(&model, "p", 0, NULL);
	onnx_output(&model, "b", 0, NULL);
	onnx_output(&model, "c", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(5, 33), 7, "fully connected heads");
}

/* Transposed heads whose reshapes have other readers keep their steps. */
static void
test_tails(void)
{
	OnnxModel model;

	begin_heads(&model);
	add_conv(&model, "t", "a", (ConvLayer){.in = 20, .out = 4});
	add_tail(&model, "a", 0, 4, true);
	onnx_output(&model, "r0", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 3, 6, 6), TRUNK + 3,
			   "a sigmoid whose input is an output");

	begin_heads(&model);
	add_conv(&model, "t", "a", (ConvLayer){.in = 20, .out = 4});
	onnx_node(&model, "Transpose", "l", "a", "l");
	onnx_attr_ints(&model, "perm", 4, (int64_t[]){0, 2, 3, 1});
	onnx_node(&model, "Tanh", "y", "l", "y");
	onnx_output(&model, "y", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(2, 3, 6, 6), TRUNK + 2,
			   "channels last with an activation");
}

/* Failing to allocate anywhere in planning leaves nothing behind. */
static void
test_no_memory(void)
{
	static const Head heads[] = {{1, 1, 3, "heads"}, {4, 1, 3, "heads"}};
	OnnxModel model;
	OnnxBuffer file;
	FrShape shape = CHECK_SHAPE(1, 3, 5, 5);
	FrStatus status = FR_ERR_NOMEM;
	int failures = 0, wrong = 0;

	begin_heads(&model);
	for (int i = 0; i < 2; i++)
		add_head(&model, i, &heads[i]);
	file = onnx_finish(&model);
	for (long n = 1; status != FR_OK; n++)
	{
		TestMemory memory = {.fail_at = n};
		FrAllocator allocator = test_allocator(&memory);
		FrError error = {0};
		FrPlan *plan;
		FrNet *net = check_net(&file, NULL, &allocator, &status, &error);

		if (status == FR_OK)
			status = fr_net_plan(net, &shape, NULL, &plan, &error);
		fr_net_destroy(net);
		failures += status == FR_ERR_NOMEM;
		wrong +=
			memory.live != 0 || (status != FR_OK && status != FR_ERR_NOMEM);
	}
	ok(failures > 10 && wrong == 0,
	   "planning fails cleanly at each of %d allocations", failures);
	free(file.data);
}

int
main(void)
{
	test_merged();
	test_two_groups();
	test_apart();
	test_activations();
	test_other_readers();
	test_products();
	test_tails();
	test_no_memory();
	return tap_done();
}
