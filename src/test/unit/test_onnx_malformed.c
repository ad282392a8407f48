/*
 * test_onnx_malformed.c: ONNX files that are broken, hostile or simply not
 * supported.
 *
 * Each must be refused with a status and a message that names the culprit;
 * none may crash, leak or ask for much memory.  Includes every truncation of
 * a small model, thousands of random mutations from fixed seeds, and the
 * failure of every single allocation.
 */
#include "core/onnx/import.h"
#include "test/unit/graph_run.h"
#include "test/unit/onnx_build.h"
#include "test/unit/tap.h"

static const int64_t dims_1x3x8x8[] = {1, 3, 8, 8};
static const int64_t dims_dynamic[] = {-1, 3, -1, -1};
static const FrShape shape_1x3x8x8 = {4, {1, 3, 8, 8}};

#define MAX_TENSOR_BYTES ((size_t) 1 << 22)

/* Import and specialise for one input [1, 3, 8, 8] (others get it, too). */
static FrStatus
load(const OnnxBuffer *file, const FrAllocator *allocator, FrError *error)
{
	FrGraph graph = {0}, special = {0};
	FrShape shapes[8];
	FrStatus status =
		fr_onnx_import(file->data, file->size_bytes, allocator, &graph, error);

	for (int i = 0; i < 8; i++)
		shapes[i] = shape_1x3x8x8;
	if (status == FR_OK && graph.input_count <= 8)
		status = fr_graph_specialize(&graph, shapes, MAX_TENSOR_BYTES,
									 allocator, &special, error);
	fr_graph_destroy(&special);
	fr_graph_destroy(&graph);
	return status;
}

/* Finish the model; it must be refused with that status and a message that
 * holds the words.  Frees everything and looks for leaks. */
static void
refuses(OnnxModel *model, FrStatus want, const char *words, const char *what)
{
	OnnxBuffer file = onnx_finish(model);
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	FrError error = {0};
	FrStatus got = load(&file, &allocator, &error);

	ok(got == want && strstr(error.message, words) && memory.live == 0,
	   "%s: %s", what, error.message);
	if (got != want || !strstr(error.message, words))
		diag("got %s, want %s and \"%s\"", fr_status_name(got),
			 fr_status_name(want), words);
	free(file.data);
}

static const float ones[8 * 3 * 3 * 3] = {1, 1, 1};

/* x -> Conv "conv1" -> Relu -> y, left open for more. */
static void
begin_conv(OnnxModel *model)
{
	onnx_begin(model, 13);
	onnx_input(model, "x", 4, dims_dynamic);
	onnx_weight_f32(model, "w", 4, (int64_t[]){8, 3, 3, 3}, ones);
	onnx_node(model, "Conv", "conv1", "x w", "c");
	onnx_attr_ints(model, "pads", 4, (int64_t[]){1, 1, 1, 1});
	onnx_node(model, "Relu", "relu1", "c", "y");
	onnx_output(model, "y", 0, NULL);
}

/* A model with most kinds of messages, for truncation and mutation. */
static OnnxBuffer
rich_model(void)
{
	OnnxModel model;
	OnnxBuffer tensor;

	begin_conv(&model);
	onnx_weight_i64(&model, "shape", 3, (int64_t[]){0, 8, -1});
	onnx_node(&model, "Reshape", "r", "y shape", "v");
	tensor = onnx_tensor("", ONNX_FLOAT, 1, (int64_t[]){2},
						 (float[]){0.5f, 2.0f}, 8);
	onnx_node(&model, "Constant", "k", "", "k");
	onnx_attr_tensor(&model, "value", &tensor);
	onnx_node(&model, "Constant", "m", "", "m");
	onnx_attr_floats(&model, "value_floats", 2, (float[]){1.0f, 3.0f});
	onnx_node(&model, "Add", "km", "k m", "a");
	onnx_node(&model, "ReduceSum", "sum", "a", "s");
	onnx_attr_int(&model, "keepdims", 0);
	onnx_node(&model, "Mul", "mul", "v s", "z");
	onnx_node(&model, "Shape", "shp", "z", "zs");
	onnx_node(&model, "ConstantOfShape", "fill", "zs", "f");
	onnx_node(&model, "Softmax", "soft", "z", "p");
	onnx_attr_int(&model, "axis", 1);
	onnx_node(&model, "Sub", "sub", "p f", "out");
	onnx_node(&model, "Transpose", "t", "out", "t");
	onnx_attr_ints(&model, "perm", 3, (int64_t[]){0, 2, 1});
	onnx_node(&model, "Resize", "up", "y - scales", "u");
	onnx_attr_string(&model, "mode", "linear");
	onnx_weight_f32(&model, "scales", 1, (int64_t[]){4}, (float[]){1, 1, 2, 2});
	onnx_output(&model, "t", 3, (int64_t[]){1, -1, 8});
	onnx_output(&model, "u", 0, NULL);
	return onnx_finish(&model);
}

/* ---- one fault each ----------------------------------------------------- */

static void
test_references(void)
{
	OnnxModel model;

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_1x3x8x8);
	onnx_node(&model, "Conv", "conv1", "x w", "y");
	onnx_output(&model, "y", 0, NULL);
	refuses(&model, FR_ERR_CORRUPT, "conv1", "missing weight");

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_1x3x8x8);
	onnx_node(&model, "Add", "first", "x b", "a");
	onnx_node(&model, "Relu", "second", "a", "b");
	onnx_output(&model, "b", 0, NULL);
	refuses(&model, FR_ERR_CORRUPT, "cycle", "cycle of two nodes");

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_1x3x8x8);
	onnx_node(&model, "Add", "own tail", "x a", "a");
	onnx_output(&model, "a", 0, NULL);
	refuses(&model, FR_ERR_CORRUPT, "own tail", "cycle of one node");

	begin_conv(&model);
	onnx_node(&model, "Relu", "again", "x", "c");
	refuses(&model, FR_ERR_CORRUPT, "\"c\" is defined twice",
			"value with two producers");

	begin_conv(&model);
	onnx_weight_f32(&model, "w", 1, (int64_t[]){1}, ones);
	refuses(&model, FR_ERR_CORRUPT, "\"w\" is defined twice",
			"two initialisers of one name");

	begin_conv(&model);
	onnx_output(&model, "nowhere", 0, NULL);
	refuses(&model, FR_ERR_CORRUPT, "nowhere", "output that nothing makes");

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_1x3x8x8);
	onnx_node(&model, "Relu", "r", "x", "y");
	refuses(&model, FR_ERR_CORRUPT, "no output", "model without outputs");

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_1x3x8x8);
	onnx_node(&model, "MaxPool", "pool", "x", "y indices");
	onnx_attr_ints(&model, "kernel_shape", 2, (int64_t[]){2, 2});
	onnx_output(&model, "y", 0, NULL);
	onnx_output(&model, "indices", 0, NULL);
	refuses(&model, FR_ERR_UNSUPPORTED, "pool", "use of MaxPool's indices");
}

/* A model whose node output is a chain that the file lists backwards. */
static void
test_order_is_repaired(void)
{
	OnnxModel model;
	FrError error = {0};

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_1x3x8x8);
	onnx_node(&model, "Relu", "last", "c", "y");
	onnx_node(&model, "Neg", "middle", "b", "c");
	onnx_node(&model, "Exp", "first", "x", "b");
	onnx_output(&model, "y", 0, NULL);

	OnnxBuffer file = onnx_finish(&model);
	FrGraph graph;
	FrStatus status = fr_onnx_import(file.data, file.size_bytes,
									 &fr_allocator_malloc, &graph, &error);

	is_status(status, FR_OK, &error, "unsorted nodes are imported");
	if (status == FR_OK)
		ok(graph.nodes[0].op == FR_OP_EXP && graph.nodes[1].op == FR_OP_NEG &&
			   graph.nodes[2].op == FR_OP_RELU,
		   "and sorted");
	fr_graph_destroy(&graph);
	free(file.data);
}

static void
test_tensors(void)
{
	OnnxModel model;
	int64_t huge = (int64_t) 1 << 62;
	OnnxBuffer tensor;

	begin_conv(&model);
	onnx_weight_raw(&model, "bad", ONNX_FLOAT, 2, (int64_t[]){3, 5}, ones, 40);
	refuses(&model, FR_ERR_CORRUPT, "bad", "too little data for the shape");

	begin_conv(&model);
	onnx_weight_raw(&model, "bad", ONNX_FLOAT, 1, (int64_t[]){-3}, ones, 40);
	refuses(&model, FR_ERR_CORRUPT, "negative", "negative dimension");

	begin_conv(&model);
	onnx_weight_raw(&model, "bad", ONNX_FLOAT, 1, &huge, ones, 40);
	refuses(&model, FR_ERR_CORRUPT, "bad", "2^62 elements");

	begin_conv(&model);
	onnx_weight_raw(&model, "bad", ONNX_FLOAT, 4,
					(int64_t[]){1 << 20, 1 << 20, 1 << 20, 4}, ones, 0);
	refuses(&model, FR_ERR_CORRUPT, "bad", "2^62 elements as a product");

	begin_conv(&model);
	onnx_weight_raw(&model, "bad", ONNX_FLOAT, 2, (int64_t[]){0, huge}, ones,
					0);
	refuses(&model, FR_ERR_CORRUPT, "bad", "no element, but a huge dimension");

	begin_conv(&model);
	onnx_weight_raw(&model, "bad", ONNX_FLOAT, 7,
					(int64_t[]){1, 1, 1, 1, 1, 1, 1}, ones, 4);
	refuses(&model, FR_ERR_UNSUPPORTED, "7 dimensions", "seven dimensions");

	begin_conv(&model);
	onnx_weight_raw(&model, "text", ONNX_STRING, 1, (int64_t[]){1}, ones, 4);
	refuses(&model, FR_ERR_UNSUPPORTED, "text", "tensor of strings");

	begin_conv(&model);
	tensor = onnx_tensor("away", ONNX_FLOAT, 1, (int64_t[]){4}, ones, 0);
	onnx_field_varint(&tensor, 14, 1);
	onnx_close_node(&model);
	onnx_field_message(&model.graph, 5, &tensor);
	refuses(&model, FR_ERR_UNSUPPORTED, "away", "external data");

	begin_conv(&model);
	tensor = (OnnxBuffer){0};
	onnx_close_node(&model);
	onnx_field_bytes(&model.graph, 15, "", 0);
	refuses(&model, FR_ERR_UNSUPPORTED, "Sparse", "sparse initialiser");

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 2, (int64_t[]){1, -7});
	onnx_node(&model, "Relu", "r", "x", "y");
	onnx_output(&model, "y", 0, NULL);
	refuses(&model, FR_ERR_CORRUPT, "negative", "input with dimension -7");

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 2, (int64_t[]){1, huge});
	onnx_node(&model, "Relu", "r", "x", "y");
	onnx_output(&model, "y", 0, NULL);
	refuses(&model, FR_ERR_LIMIT, "4611686018427387904",
			"input with dimension 2^62");
}

static void
test_operators(void)
{
	OnnxModel model;
	OnnxBuffer attribute = {0};

	begin_conv(&model);
	onnx_node(&model, "LSTM", "memory", "y", "h");
	refuses(&model, FR_ERR_UNSUPPORTED, "LSTM", "unknown operator");

	begin_conv(&model);
	onnx_node(&model, "Gelu", "fast", "y", "h");
	onnx_node_domain(&model, "com.microsoft");
	refuses(&model, FR_ERR_UNSUPPORTED, "com.microsoft", "another domain");

	begin_conv(&model);
	onnx_node(&model, "Relu", "branch", "y", "h");
	onnx_field_string(&attribute, 1, "then_branch");
	onnx_field_bytes(&attribute, 6, "", 0);
	onnx_field_message(&model.node, 5, &attribute);
	refuses(&model, FR_ERR_UNSUPPORTED, "sub-graph", "sub-graph");

	begin_conv(&model);
	model.opset = 22;
	refuses(&model, FR_ERR_UNSUPPORTED, "22", "opset 22");

	begin_conv(&model);
	model.opset = 6;
	refuses(&model, FR_ERR_UNSUPPORTED, "6", "opset 6");

	begin_conv(&model);
	model.ir_version = 11;
	refuses(&model, FR_ERR_UNSUPPORTED, "11", "IR version 11");
}

static void
test_attributes(void)
{
	OnnxModel model;

	begin_conv(&model);
	onnx_node(&model, "Concat", "join", "y y", "h");
	refuses(&model, FR_ERR_CORRUPT, "axis", "Concat without axis");

	begin_conv(&model);
	onnx_node(&model, "Softmax", "soft", "y", "h");
	onnx_attr_float(&model, "axis", 1.0f);
	refuses(&model, FR_ERR_CORRUPT, "soft", "attribute of another type");

	begin_conv(&model);
	onnx_node(&model, "Transpose", "turn", "y", "h");
	onnx_attr_ints(&model, "perm", 4, (int64_t[]){0, 1, 1, 2});
	refuses(&model, FR_ERR_CORRUPT, "permutation", "double entry in perm");

	begin_conv(&model);
	onnx_node(&model, "MaxPool", "pool", "y", "h");
	onnx_attr_ints(&model, "kernel_shape", 2, (int64_t[]){2, 2});
	onnx_attr_ints(&model, "strides", 2, (int64_t[]){0, 1});
	refuses(&model, FR_ERR_CORRUPT, "strides", "stride 0");

	begin_conv(&model);
	onnx_node(&model, "AveragePool", "pool", "y", "h");
	onnx_attr_ints(&model, "kernel_shape", 2,
				   (int64_t[]){(int64_t) 1 << 40, 1});
	refuses(&model, FR_ERR_CORRUPT, "kernel_shape", "window of 2^40");

	begin_conv(&model);
	onnx_node(&model, "MaxPool", "pool3", "y", "h");
	onnx_attr_ints(&model, "kernel_shape", 3, (int64_t[]){2, 2, 2});
	refuses(&model, FR_ERR_UNSUPPORTED, "pool3", "three-dimensional window");

	begin_conv(&model);
	onnx_node(&model, "BatchNormalization", "bn", "y y y y y", "h");
	onnx_attr_int(&model, "training_mode", 1);
	refuses(&model, FR_ERR_UNSUPPORTED, "Training", "training mode");
}

/* ---- what specialisation must refuse ------------------------------------ */

static void
test_shapes(void)
{
	OnnxModel model;

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_weight_f32(&model, "w", 4, (int64_t[]){2, 4, 3, 3}, ones);
	onnx_node(&model, "Conv", "conv1", "x w", "y");
	onnx_output(&model, "y", 0, NULL);
	refuses(&model, FR_ERR_MISMATCH, "conv1", "weights for other channels");

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_weight_f32(&model, "w", 4, (int64_t[]){1, 3, 9, 1}, ones);
	onnx_node(&model, "Conv", "big", "x w", "y");
	onnx_output(&model, "y", 0, NULL);
	refuses(&model, FR_ERR_MISMATCH, "big", "window larger than the input");

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_weight_i64(&model, "s", 2, (int64_t[]){7, -1});
	onnx_node(&model, "Reshape", "view", "x s", "y");
	onnx_output(&model, "y", 0, NULL);
	refuses(&model, FR_ERR_MISMATCH, "view", "Reshape that does not divide");

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_input_of_type(&model, "s", ONNX_INT64, 4, dims_dynamic);
	onnx_node(&model, "Reshape", "view", "x s", "y");
	onnx_output(&model, "y", 0, NULL);
	refuses(&model, FR_ERR_MISMATCH, "view", "shape of four dimensions");

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 2, (int64_t[]){1, 3});
	onnx_node(&model, "Relu", "r", "x", "y");
	onnx_output(&model, "y", 0, NULL);
	refuses(&model, FR_ERR_MISMATCH, "\"x\"", "input of another rank");

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, (int64_t[]){1, 3, 16, 8});
	onnx_node(&model, "Relu", "r", "x", "y");
	onnx_output(&model, "y", 0, NULL);
	refuses(&model, FR_ERR_MISMATCH, "[1, 3, 16, 8]", "input of another size");

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_weight_i64(&model, "z", 1, (int64_t[]){0});
	onnx_node(&model, "Shape", "shp", "x", "s");
	onnx_node(&model, "Div", "halve", "s z", "d");
	onnx_node(&model, "Reshape", "view", "x d", "y");
	onnx_output(&model, "y", 0, NULL);
	refuses(&model, FR_ERR_MISMATCH, "halve", "integer division by zero");

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_weight_i64(&model, "i", 1, (int64_t[]){4});
	onnx_node(&model, "Shape", "shp", "x", "s");
	onnx_node(&model, "Gather", "pick", "s i", "d");
	onnx_node(&model, "Reshape", "view", "x d", "y");
	onnx_output(&model, "y", 0, NULL);
	refuses(&model, FR_ERR_MISMATCH, "pick", "index outside the dimensions");
}

static void
test_limits(void)
{
	OnnxModel model;

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_weight_i64(&model, "s", 2, (int64_t[]){1 << 20, 1 << 20});
	onnx_node(&model, "ConstantOfShape", "bomb", "s", "f");
	onnx_node(&model, "Add", "a", "x f", "y");
	onnx_output(&model, "y", 0, NULL);
	refuses(&model, FR_ERR_LIMIT, "bomb", "constant of 2^40 elements");

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_weight_i64(&model, "s", 5,
					(int64_t[]){(int64_t) 1 << 40, (int64_t) 1 << 40, 3, 8, 8});
	onnx_node(&model, "Expand", "wide", "x s", "y");
	onnx_output(&model, "y", 0, NULL);
	refuses(&model, FR_ERR_LIMIT, "wide", "tensor of 2^80 elements");

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_weight_f32(&model, "s", 1, (int64_t[]){4}, (float[]){1, 1, 1e5f, 1});
	onnx_node(&model, "Resize", "up", "x - s", "y");
	onnx_output(&model, "y", 0, NULL);
	refuses(&model, FR_ERR_LIMIT, "up", "enlargement by 100,000");

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_weight_i64(&model, "s", 1, (int64_t[]){600000});
	onnx_node(&model, "ConstantOfShape", "one", "s", "a");
	onnx_node(&model, "ConstantOfShape", "two", "s", "b");
	onnx_node(&model, "Add", "three", "a b", "c");
	onnx_node(&model, "ReduceSum", "four", "c", "d");
	onnx_node(&model, "Add", "five", "x d", "y");
	onnx_output(&model, "y", 0, NULL);
	refuses(&model, FR_ERR_LIMIT, "two", "constants that are large together");
}

/* A MatMul of calculated constants is stopped by its work, not its size. */
static void
test_work_is_bounded(void)
{
	OnnxModel model;
	FrError error = {0};
	FrGraph graph, special;

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_weight_i64(&model, "s", 2, (int64_t[]){6000, 6000});
	onnx_node(&model, "ConstantOfShape", "fill", "s", "a");
	onnx_node(&model, "MatMul", "work", "a a", "b");
	onnx_node(&model, "ReduceMax", "max", "b", "c");
	onnx_node(&model, "Mul", "mul", "x c", "y");
	onnx_output(&model, "y", 0, NULL);

	OnnxBuffer file = onnx_finish(&model);
	FrStatus status = fr_onnx_import(file.data, file.size_bytes,
									 &fr_allocator_malloc, &graph, &error);

	if (status == FR_OK)
		status = fr_graph_specialize(&graph, &shape_1x3x8x8, (size_t) 1 << 30,
									 &fr_allocator_malloc, &special, &error);
	ok(status == FR_ERR_LIMIT && strstr(error.message, "work"),
	   "work on constants is bounded: %s", error.message);
	fr_graph_destroy(&graph);
	free(file.data);
}

/* ---- bytes -------------------------------------------------------------- */

/* Copy the first size_bytes bytes, so that sanitizers see an overrun. */
static OnnxBuffer
copy_prefix(const OnnxBuffer *file, size_t size_bytes)
{
	OnnxBuffer copy = {.data = malloc(size_bytes ? size_bytes : 1),
					   .size_bytes = size_bytes};

	memcpy(copy.data, file->data, size_bytes);
	return copy;
}

static void
test_truncation(const OnnxBuffer *file)
{
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	FrError error = {0};
	int accepted = 0, silent = 0;

	is_status(load(file, &allocator, &error), FR_OK, &error,
			  "the whole model loads");
	for (size_t size = 0; size < file->size_bytes; size++)
	{
		OnnxBuffer part = copy_prefix(file, size);

		error.message[0] = '\0';
		accepted += load(&part, &allocator, &error) == FR_OK;
		silent += error.message[0] == '\0';
		free(part.data);
	}
	is_int(accepted, 0, "no truncated model loads");
	is_int(silent, 0, "each truncation has a message");
	is_int(memory.live, 0, "truncations leak nothing");
}

static uint32_t
next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t) (*state >> 33);
}

/* Change, insert or remove a few bytes. */
static OnnxBuffer
mutate(const OnnxBuffer *file, uint64_t *seed)
{
	OnnxBuffer copy = copy_prefix(file, file->size_bytes);
	uint32_t changes = 1 + next_random(seed) % 4;

	for (uint32_t i = 0; i < changes && copy.size_bytes > 8; i++)
	{
		size_t at = next_random(seed) % copy.size_bytes;
		static const uint8_t special[] = {0x00, 0x01, 0x7f, 0x80, 0xff};

		switch (next_random(seed) % 4)
		{
			case 0:
				copy.data[at] ^= (uint8_t) (1u << next_random(seed) % 8);
				break;
			case 1:
				copy.data[at] = special[next_random(seed) % sizeof special];
				break;
			case 2:
				copy.data[at] = (uint8_t) next_random(seed);
				break;
			default:
				memmove(copy.data + at, copy.data + at + 1,
						copy.size_bytes - at - 1);
				copy.size_bytes--;
				break;
		}
	}
	return copy;
}

static void
test_mutation(const OnnxBuffer *file)
{
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	FrError error = {0};
	uint64_t seed = 7;
	int accepted = 0, bugs = 0;

	for (int i = 0; i < 6000; i++)
	{
		OnnxBuffer changed = mutate(file, &seed);
		FrStatus status = load(&changed, &allocator, &error);

		accepted += status == FR_OK;
		bugs += status == FR_ERR_BUG || status == FR_ERR_NOMEM;
		free(changed.data);
	}
	ok(accepted > 100 && bugs == 0,
	   "6000 mutations: %d are still models, the others are refused", accepted);
	is_int(memory.live, 0, "mutations leak nothing");
}

/* Messages inside messages, 1,000 deep, in a field that is skipped. */
static void
test_nesting(void)
{
	OnnxBuffer nested = {0};
	OnnxModel model;
	FrError error = {0};

	for (int i = 0; i < 1000; i++)
	{
		OnnxBuffer outer = {0};

		onnx_field_message(&outer, 7, &nested);
		nested = outer;
	}
	ok(load(&nested, &fr_allocator_malloc, &error) != FR_OK,
	   "nested messages are refused: %s", error.message);
	begin_conv(&model);
	onnx_close_node(&model);
	onnx_field_message(&model.graph, 99, &nested);

	OnnxBuffer file = onnx_finish(&model);

	is_status(load(&file, &fr_allocator_malloc, &error), FR_OK, &error,
			  "an unknown field is skipped");
	free(file.data);
}

/* A model whose arrays and constants do not fit one block of an arena, so
 * that most of its allocations reach the allocator. */
static OnnxBuffer
large_model(void)
{
	static const float weights[64 * 3 * 9 * 9] = {1, 2, 3};
	OnnxModel model;
	char from[16] = "y", to[16];

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_dynamic);
	onnx_weight_f32(&model, "w1", 4, (int64_t[]){64, 3, 9, 9}, weights);
	onnx_weight_f32(&model, "w2", 4, (int64_t[]){64, 3, 9, 9}, weights);
	onnx_node(&model, "Add", "sum", "w1 w2", "w");
	onnx_node(&model, "Conv", "conv", "x w", "y");
	onnx_attr_string(&model, "auto_pad", "SAME_UPPER");
	for (int i = 0; i < 800; i++)
	{
		snprintf(to, sizeof to, "v%d", i);
		onnx_node(&model, "Neg", "", i == 0 ? "y" : from, to);
		memcpy(from, to, sizeof from);
	}
	/* Out of order, so that the nodes have to be sorted. */
	onnx_node(&model, "Relu", "late", "early", "out");
	onnx_node(&model, "Neg", "early", from, "early");
	onnx_output(&model, "out", 0, NULL);
	return onnx_finish(&model);
}

static void
test_allocation_failure(const OnnxBuffer *file)
{
	int wrong = 0;
	long live = 0, needed = 0;

	for (long fail_at = 1; fail_at < 1000; fail_at++)
	{
		TestMemory memory = {.fail_at = fail_at};
		FrAllocator allocator = test_allocator(&memory);
		FrError error = {0};
		FrStatus status = load(file, &allocator, &error);

		live += memory.live;
		if (memory.requests < fail_at)
		{
			wrong += status != FR_OK;
			needed = memory.requests;
			break;
		}
		wrong += status != FR_ERR_NOMEM;
	}
	ok(needed > 0, "the model needs %ld allocations", needed);
	is_int(wrong, 0, "the failure of each is reported");
	is_int(live, 0, "and leaks nothing");
}

/* Names are shown as printable ASCII, whatever the file holds. */
static void
test_names_are_printable(void)
{
	OnnxModel model;

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, dims_1x3x8x8);
	onnx_node(&model, "Frob\xff\x01", "n\xc3\xa9", "x", "y");
	onnx_output(&model, "y", 0, NULL);
	refuses(&model, FR_ERR_UNSUPPORTED, "\"n??\" has operator Frob??",
			"strange names");
}

int
main(void)
{
	OnnxBuffer file = rich_model(), large = large_model();

	test_references();
	test_order_is_repaired();
	test_tensors();
	test_operators();
	test_attributes();
	test_shapes();
	test_limits();
	test_work_is_bounded();
	test_truncation(&file);
	test_mutation(&file);
	test_nesting();
	test_allocation_failure(&file);
	test_allocation_failure(&large);
	free(large.data);
	test_names_are_printable();
	free(file.data);
	return tap_done();
}
