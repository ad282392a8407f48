/*
 * test_graph_specialize.c: what fr_graph_specialize promises beyond right
 * numbers: resolved attributes, folded constants, dropped nodes, outputs that
 * are inputs or constants, and a cancelled run.
 */
#include "core/onnx/import.h"
#include "test/unit/graph_run.h"
#include "test/unit/onnx_build.h"
#include "test/unit/tap.h"

static const int64_t dims_dynamic[] = {-1, 3, -1, -1};
static const float ones[2 * 3 * 3 * 3] = {1, 1};

typedef struct Loaded
{
	OnnxBuffer file;
	FrGraph graph, special;
	FrStatus status;
	FrError error;
} Loaded;

static Loaded
load(OnnxModel *model, FrShape shape)
{
	Loaded loaded = {.file = onnx_finish(model)};

	loaded.status =
		fr_onnx_import(loaded.file.data, loaded.file.size_bytes,
					   &fr_allocator_malloc, &loaded.graph, &loaded.error);
	if (loaded.status == FR_OK)
		loaded.status = fr_graph_specialize(
			&loaded.graph, &shape, (size_t) 1 << 24, &fr_allocator_malloc,
			&loaded.special, &loaded.error);
	return loaded;
}

static void
unload(Loaded *loaded)
{
	fr_graph_destroy(&loaded->special);
	fr_graph_destroy(&loaded->graph);
	free(loaded->file.data);
}

static void
test_auto_pad_is_resolved(void)
{
	OnnxModel model;

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_weight_f32(&model, "w", 4, (int64_t[]){2, 3, 3, 3}, ones);
	onnx_node(&model, "Conv", "conv", "x w", "y");
	onnx_attr_string(&model, "auto_pad", "SAME_LOWER");
	onnx_attr_ints(&model, "strides", 2, (int64_t[]){2, 2});
	onnx_output(&model, "y", 0, NULL);

	Loaded loaded = load(&model, (FrShape){4, {2, 3, 8, 9}});

	is_status(loaded.status, FR_OK, &loaded.error, "SAME_LOWER");
	if (loaded.status == FR_OK)
	{
		const FrWindow *window = &loaded.special.nodes[0].u.window;
		const FrValue *output =
			&loaded.special.values[loaded.special.outputs[0]];

		ok(window->auto_pad == FR_PAD_EXPLICIT && window->pad[0] == 1 &&
			   window->pad[1] == 1 && window->pad[2] == 0 &&
			   window->pad[3] == 1,
		   "pads are explicit");
		ok(window->kernel[0] == 3 && window->kernel[1] == 3,
		   "the kernel size comes from the weights");
		ok(fr_shape_equal(&output->shape, &(FrShape){4, {2, 2, 4, 5}}),
		   "the output has its shape");
	}
	unload(&loaded);
}

/* x -> Shape -> ... -> Reshape: only the Reshape is left, and the Exp whose
 * result served for its shape alone is gone. */
static void
test_shape_arithmetic_is_folded(void)
{
	OnnxModel model;

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_weight_i64(&model, "first", 1, (int64_t[]){0});
	onnx_weight_i64(&model, "rest", 1, (int64_t[]){-1});
	onnx_node(&model, "Exp", "exp", "x", "e");
	onnx_node(&model, "Shape", "shape", "e", "s");
	onnx_node(&model, "Gather", "pick", "s first", "n");
	onnx_node(&model, "Concat", "join", "n rest", "to");
	onnx_attr_int(&model, "axis", 0);
	onnx_node(&model, "Dropout", "drop", "x", "d");
	onnx_node(&model, "Identity", "same", "d", "i");
	onnx_node(&model, "Reshape", "view", "i to", "y");
	onnx_node(&model, "Relu", "unused", "y", "z");
	onnx_output(&model, "y", 0, NULL);

	Loaded loaded = load(&model, (FrShape){4, {5, 3, 2, 2}});

	is_status(loaded.status, FR_OK, &loaded.error, "shape arithmetic");
	if (loaded.status == FR_OK)
	{
		const FrGraph *special = &loaded.special;

		is_int(special->node_count, 1, "one node is left");
		ok(special->nodes[0].op == FR_OP_RESHAPE &&
			   special->nodes[0].inputs[0] == special->inputs[0],
		   "a Reshape of the input itself");
		is_int(special->value_count, 3, "input, shape and output are left");
		ok(fr_shape_equal(&special->values[special->outputs[0]].shape,
						  &(FrShape){2, {5, 12}}),
		   "the output is [5, 12]");
	}
	unload(&loaded);
}

static void
test_outputs_that_no_node_makes(void)
{
	OnnxModel model;

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_node(&model, "Identity", "same", "x", "y");
	onnx_node(&model, "Shape", "shape", "x", "s");
	onnx_output(&model, "y", 0, NULL);
	onnx_output(&model, "s", 0, NULL);
	onnx_output(&model, "y", 0, NULL);

	Loaded loaded = load(&model, (FrShape){4, {1, 3, 2, 7}});

	is_status(loaded.status, FR_OK, &loaded.error, "trivial outputs");
	if (loaded.status == FR_OK)
	{
		const FrGraph *special = &loaded.special;
		const FrValue *shape = &special->values[special->outputs[1]];
		const int64_t *dims = shape->constant;

		is_int(special->node_count, 0, "no node is left");
		ok(special->outputs[0] == special->inputs[0] &&
			   special->outputs[2] == special->inputs[0],
		   "an output is the input");
		ok(dims && dims[3] == 7, "an output is a constant");
	}
	unload(&loaded);
}

static void
test_attributes_are_normalised(void)
{
	OnnxModel model;

	onnx_begin(&model, 9);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_weight_f32(&model, "s", 1, (int64_t[]){4}, (float[]){1, 1, 2, 2});
	onnx_node(&model, "Upsample", "up", "x s", "u");
	onnx_node(&model, "Transpose", "turn", "u", "t");
	onnx_node(&model, "Softmax", "soft", "t", "y");
	onnx_attr_int(&model, "axis", -1);
	onnx_output(&model, "y", 0, NULL);

	Loaded loaded = load(&model, (FrShape){4, {1, 3, 2, 7}});

	is_status(loaded.status, FR_OK, &loaded.error, "old opset");
	if (loaded.status == FR_OK)
	{
		const FrNode *nodes = loaded.special.nodes;

		ok(nodes[0].op == FR_OP_RESIZE && nodes[0].input_count == 3 &&
			   nodes[0].inputs[1] == -1 &&
			   nodes[0].u.resize.coordinates == FR_COORD_ASYMMETRIC &&
			   nodes[0].u.resize.rounding == FR_ROUND_FLOOR,
		   "Upsample is an asymmetric, rounding down Resize");
		ok(nodes[1].u.transpose.rank == 4 &&
			   nodes[1].u.transpose.permutation[0] == 3,
		   "Transpose without perm reverses");
		ok(nodes[2].u.axis.axis == 3 && nodes[2].u.axis.is_legacy,
		   "the axis is not negative");
	}
	unload(&loaded);
}

static void
test_input_shapes_are_checked(void)
{
	OnnxModel model;
	FrGraph special;
	FrError error;

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_node(&model, "Relu", "relu", "x", "y");
	onnx_output(&model, "y", 0, NULL);

	Loaded loaded = load(&model, (FrShape){4, {1, 3, 2, 7}});
	FrShape empty = {4, {1, 3, 0, 7}}, large = {4, {1, 3, 4096, 4096}};

	is_status(loaded.status, FR_OK, &loaded.error, "one Relu");
	is_status(fr_graph_specialize(&loaded.graph, &empty, 1 << 24,
								  &fr_allocator_malloc, &special, &error),
			  FR_ERR_ARGUMENT, &error, "an empty input is refused");
	is_status(fr_graph_specialize(&loaded.graph, &large, 1 << 24,
								  &fr_allocator_malloc, &special, &error),
			  FR_ERR_LIMIT, &error, "an input above the limit is refused");
	unload(&loaded);
}

/* Tensors without elements have dimensions all the same. */
static void
test_empty_tensors(void)
{
	static const int64_t huge[] = {(int64_t) 1 << 40, 0}, none[] = {0, 0};
	OnnxModel model;

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_weight_i64(&model, "shape", 2, (int64_t[]){0, 5});
	onnx_node(&model, "ConstantOfShape", "fill", "shape", "e");
	onnx_weight_i64(&model, "start", 1, (int64_t[]){-1});
	onnx_weight_i64(&model, "end", 1, (int64_t[]){-100});
	onnx_weight_i64(&model, "axis", 1, (int64_t[]){0});
	onnx_node(&model, "Slice", "back", "e start end axis start", "y");
	onnx_output(&model, "y", 0, NULL);

	Loaded loaded = load(&model, (FrShape){4, {1, 3, 2, 2}});

	is_status(loaded.status, FR_OK, &loaded.error, "an empty Slice backwards");
	ok(loaded.status == FR_OK &&
		   fr_shape_equal(
			   &loaded.special.values[loaded.special.outputs[0]].shape,
			   &(FrShape){2, {0, 5}}),
	   "takes nothing from nothing");
	unload(&loaded);

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_weight_i64(&model, "huge", 2, huge);
	onnx_weight_i64(&model, "none", 2, none);
	onnx_node(&model, "ConstantOfShape", "fill_a", "huge", "a");
	onnx_node(&model, "ConstantOfShape", "fill_b", "none", "b");
	onnx_node(&model, "MatMul", "product", "a b", "y");
	onnx_output(&model, "y", 0, NULL);
	loaded = load(&model, (FrShape){4, {1, 3, 2, 2}});
	is_status(loaded.status, FR_OK, &loaded.error,
			  "2^40 rows without columns take no time");
	unload(&loaded);
}

/* group * channels does not fit 64 bits. */
static void
test_absurd_groups(void)
{
	static const char *const ops[] = {"Conv", "ConvTranspose"};
	OnnxModel model;

	for (int i = 0; i < 2; i++)
	{
		onnx_begin(&model, 13);
		onnx_input(&model, "x", 4, dims_dynamic);
		onnx_weight_i64(&model, "shape", 4,
						(int64_t[]){0, (int64_t) 1 << 40, 1, 1});
		onnx_node(&model, "ConstantOfShape", "fill", "shape", "w");
		onnx_weight_i64(&model, "in", 4, (int64_t[]){1, 0, 1, 1});
		onnx_node(&model, "ConstantOfShape", "empty", "in", "e");
		onnx_node(&model, ops[i], "node", "e w", "y");
		onnx_attr_int(&model, "group", INT32_MAX);
		onnx_output(&model, "y", 0, NULL);

		Loaded loaded = load(&model, (FrShape){4, {1, 3, 2, 2}});

		is_status(loaded.status, FR_ERR_MISMATCH, &loaded.error, "%s", ops[i]);
		unload(&loaded);
	}
}

static bool
cancel_at_third_poll(void *context)
{
	return ++*(int *) context == 3;
}

static void
test_long_operators_can_be_cancelled(void)
{
	static const char *const ops[] = {"Exp", "Softmax", "GlobalAveragePool",
									  "Transpose", "LpNormalization"};
	enum
	{
		SIDE = 1300 /* 5 million elements */
	};
	float *input = calloc(3 * SIDE * SIDE, sizeof *input);

	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
	{
		OnnxModel model;
		int polls = 0;
		FrCancel cancel = {cancel_at_third_poll, &polls};

		onnx_begin(&model, 13);
		onnx_input(&model, "x", 4, dims_dynamic);
		onnx_node(&model, ops[i], "node", "x", "y");
		onnx_output(&model, "y", 0, NULL);

		OnnxBuffer file = onnx_finish(&model);
		FrGraph graph;
		FrError error = {0};
		FrShape shape = {4, {1, 3, SIDE, SIDE}};
		FrTensor in = {FR_FLOAT32, shape, input}, out;
		const FrTensor *inputs[] = {&in};

		fr_onnx_import(file.data, file.size_bytes, &fr_allocator_malloc, &graph,
					   &error);
		fr_op_infer(&graph.nodes[0], inputs, &out, &error);
		out.data = malloc(3 * SIDE * SIDE * sizeof(float));
		is_status(fr_op_run(&graph.nodes[0], inputs, &out, &cancel, &error),
				  FR_ERR_CANCELLED, &error, "%s can be cancelled", ops[i]);
		free(out.data);
		fr_graph_destroy(&graph);
		free(file.data);
	}
	free(input);
}

int
main(void)
{
	test_auto_pad_is_resolved();
	test_shape_arithmetic_is_folded();
	test_outputs_that_no_node_makes();
	test_attributes_are_normalised();
	test_input_shapes_are_checked();
	test_empty_tensors();
	test_absurd_groups();
	test_long_operators_can_be_cancelled();
	return tap_done();
}
