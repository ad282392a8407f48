/*
 * import_ops.c: the attributes of each operator, in every opset we read.
 *
 * ONNX moved many attributes to inputs over the years (Clip's bounds, axes,
 * pads, sizes) and changed some defaults.  Here each operator comes to the
 * one form that graph.h describes.  Sources: the ONNX operator changelog
 * (docs/Changelog.md), opsets 7 to 21.
 */
#include "core/onnx/import_ops.h"

#include <limits.h>
#include <string.h>

/* Larger numbers in windows are refused, so that products fit in int64. */
#define MAX_WINDOW_VALUE (1 << 20)

/* ---- reading attributes ------------------------------------------------- */

/* Find the attribute called name; false when absent or after a failure. */
static bool
find_attribute(FrAttributes *attrs, const char *name, FrOnnxAttributeType type,
			   FrOnnxAttribute *found)
{
	FrBytes message = attrs->view->message;
	FrWireField field;

	while (attrs->status == FR_OK && message.length > 0 &&
		   fr_wire_next(&message, &field))
	{
		if (!fr_wire_is(&field, FR_NODE_ATTRIBUTE, FR_WIRE_BYTES))
			continue;
		attrs->status =
			fr_onnx_attribute_parse(field.bytes, found, attrs->import->error);
		if (attrs->status != FR_OK || !fr_bytes_equal_text(found->name, name))
			continue;
		if (found->type == (int64_t) type)
			return true;
		attrs->status =
			fr_node_fail(attrs->import->error, FR_ERR_CORRUPT, attrs->node,
						 "Attribute \"%s\" has type %lld instead "
						 "of %d.",
						 name, (long long) found->type, (int) type);
	}
	return false;
}

static void
fail_value(FrAttributes *attrs, const char *name, const char *what)
{
	if (attrs->status == FR_OK)
		attrs->status =
			fr_node_fail(attrs->import->error, FR_ERR_CORRUPT, attrs->node,
						 "Attribute \"%s\" %s.", name, what);
}

static void
fail_unsupported(FrAttributes *attrs, const char *what)
{
	if (attrs->status == FR_OK)
		attrs->status = fr_node_fail(attrs->import->error, FR_ERR_UNSUPPORTED,
									 attrs->node, "%s.", what);
}

static int
attr_int(FrAttributes *attrs, const char *name, int fallback)
{
	FrOnnxAttribute found;

	if (!find_attribute(attrs, name, FR_ONNX_ATTR_INT, &found))
		return fallback;
	if (found.i < INT_MIN || found.i > INT_MAX)
	{
		fail_value(attrs, name, "does not fit in 32 bits");
		return fallback;
	}
	return (int) found.i;
}

static float
attr_float(FrAttributes *attrs, const char *name, float fallback)
{
	FrOnnxAttribute found;

	return find_attribute(attrs, name, FR_ONNX_ATTR_FLOAT, &found) ? found.f
																   : fallback;
}

/* The index in names (NULL at its end) of a string attribute; fallback when
 * it is absent.  Another value is UNSUPPORTED. */
static int
attr_choice(FrAttributes *attrs, const char *name, const char *const *names,
			int fallback)
{
	FrOnnxAttribute found;
	char text[48];

	if (!find_attribute(attrs, name, FR_ONNX_ATTR_STRING, &found))
		return fallback;
	for (int i = 0; names[i]; i++)
		if (fr_bytes_equal_text(found.s, names[i]))
			return i;
	attrs->status =
		fr_node_fail(attrs->import->error, FR_ERR_UNSUPPORTED, attrs->node,
					 "Attribute \"%s\" is \"%s\", which is not supported.",
					 name, fr_onnx_printable(found.s, text, sizeof text));
	return fallback;
}

/* Read a list of at most capacity integers; -1 when it is absent. */
static int
attr_ints(FrAttributes *attrs, const char *name, int64_t *out, int capacity)
{
	FrOnnxAttribute found;
	size_t count;

	if (!find_attribute(attrs, name, FR_ONNX_ATTR_INTS, &found))
		return -1;
	if (!fr_onnx_read_ints(found.message, 8, out, (size_t) capacity, &count) ||
		count > (size_t) capacity)
	{
		fail_value(attrs, name, "is malformed or has too many numbers");
		return -1;
	}
	return (int) count;
}

/* A list of exactly count window numbers of at least minimum; absent: left
 * as it is. */
static void
attr_window(FrAttributes *attrs, const char *name, int minimum, int count,
			int *out)
{
	int64_t values[4];
	int found = attr_ints(attrs, name, values, 4);

	if (found < 0)
		return;
	if (found != count)
	{
		fail_unsupported(attrs, "Only two-dimensional windows are supported");
		return;
	}
	for (int i = 0; i < count; i++)
	{
		if (values[i] < minimum || values[i] > MAX_WINDOW_VALUE)
		{
			fail_value(attrs, name, "is out of range");
			return;
		}
		out[i] = (int) values[i];
	}
}

/* ---- attributes that become inputs -------------------------------------- */

/* Make input number index the given constant. */
static void
set_input_constant(FrAttributes *attrs, int index, FrDtype dtype, int rank,
				   int64_t count, const void *data)
{
	FrNode *node = attrs->node;

	if (attrs->status != FR_OK)
		return;

	void *copy = fr_arena_copy(&attrs->import->graph->arena, data,
							   (size_t) count * fr_dtype_size(dtype));
	int32_t value = -1;

	if (copy)
		value = fr_import_add_constant(attrs->import, dtype, rank, count, copy);
	if (value < 0)
	{
		attrs->status = fr_fail_nomem(attrs->import->error, sizeof(FrValue));
		return;
	}
	node->inputs[index] = value;
	if (node->input_count <= index)
		node->input_count = index + 1;
}

/* A list attribute of older opsets that is input number index today.  A file
 * that has the input keeps it. */
static void
list_to_input(FrAttributes *attrs, const char *name, int index)
{
	int64_t values[FR_MAX_NODE_OUTPUTS];
	const FrNode *node = attrs->node;

	if (node->input_count > index && node->inputs[index] >= 0)
		return;

	int count = attr_ints(attrs, name, values, FR_MAX_NODE_OUTPUTS);

	if (count >= 0)
		set_input_constant(attrs, index, FR_INT64, 1, count, values);
}

static void
float_to_input(FrAttributes *attrs, const char *name, int index)
{
	const FrNode *node = attrs->node;
	FrOnnxAttribute found;

	if ((node->input_count > index && node->inputs[index] >= 0) ||
		!find_attribute(attrs, name, FR_ONNX_ATTR_FLOAT, &found))
		return;
	set_input_constant(attrs, index, FR_FLOAT32, 0, 1, &found.f);
}

/* ---- one function per family -------------------------------------------- */

static void
read_window(FrAttributes *attrs)
{
	static const char *const auto_pads[] = {
		[FR_PAD_EXPLICIT] = "NOTSET",
		[FR_PAD_SAME_UPPER] = "SAME_UPPER",
		[FR_PAD_SAME_LOWER] = "SAME_LOWER",
		[FR_PAD_VALID] = "VALID",
		NULL,
	};
	FrWindow *window = &attrs->node->u.window;
	FrOp op = attrs->node->op;
	bool is_pool = op == FR_OP_MAX_POOL || op == FR_OP_AVERAGE_POOL;

	*window = (FrWindow){.stride = {1, 1}, .dilation = {1, 1}};
	attr_window(attrs, "kernel_shape", 1, 2, window->kernel);
	attr_window(attrs, "strides", 1, 2, window->stride);
	attr_window(attrs, "dilations", 1, 2, window->dilation);
	attr_window(attrs, "pads", 0, 4, window->pad);
	window->group = attr_int(attrs, "group", 1);
	window->auto_pad = (FrAutoPad) attr_choice(attrs, "auto_pad", auto_pads, 0);
	if (window->auto_pad != FR_PAD_EXPLICIT)
		memset(window->pad, 0, sizeof window->pad);
	if (op == FR_OP_CONV_TRANSPOSE)
	{
		attr_window(attrs, "output_padding", 0, 2, window->output_padding);
		attr_window(attrs, "output_shape", 1, 2, window->output_size);
	}
	if (is_pool)
	{
		window->ceil_mode = attr_int(attrs, "ceil_mode", 0) != 0;
		window->count_include_pad =
			attr_int(attrs, "count_include_pad", 0) != 0;
		if (window->kernel[0] == 0)
			fail_value(attrs, "kernel_shape", "is missing");
	}
	if (window->group < 1)
		fail_value(attrs, "group", "is not positive");
}

static void
read_gemm(FrAttributes *attrs)
{
	FrNode *node = attrs->node;

	node->u.gemm.alpha = attr_float(attrs, "alpha", 1.0f);
	node->u.gemm.beta = attr_float(attrs, "beta", 1.0f);
	node->u.gemm.is_a_transposed = attr_int(attrs, "transA", 0) != 0;
	node->u.gemm.is_b_transposed = attr_int(attrs, "transB", 0) != 0;
}

static void
read_norm(FrAttributes *attrs)
{
	FrNode *node = attrs->node;
	bool is_lrn = node->op == FR_OP_LRN;

	node->u.norm.epsilon = attr_float(attrs, "epsilon", 1e-5f);
	node->u.norm.alpha = attr_float(attrs, "alpha", 1e-4f);
	node->u.norm.beta = attr_float(attrs, "beta", 0.75f);
	node->u.norm.bias = attr_float(attrs, "bias", 1.0f);
	node->u.norm.axis = attr_int(attrs, "axis", -1);
	node->u.norm.p = attr_int(attrs, "p", 2);
	node->u.norm.size = attr_int(attrs, "size", 0);
	if (is_lrn && node->u.norm.size < 1)
		fail_value(attrs, "size", "is missing or not positive");
	if (node->op == FR_OP_LP_NORM && node->u.norm.p != 1 && node->u.norm.p != 2)
		fail_value(attrs, "p", "is neither 1 nor 2");
	if (node->op == FR_OP_BATCH_NORM && attr_int(attrs, "training_mode", 0))
		fail_unsupported(attrs, "Training mode is not supported");
	if (node->op == FR_OP_BATCH_NORM && !attr_int(attrs, "spatial", 1))
		fail_unsupported(attrs, "Statistics per element (spatial = 0) are not "
								"supported");
}

static void
read_unary(FrAttributes *attrs)
{
	static const char *const approximations[] = {"none", "tanh", NULL};
	FrNode *node = attrs->node;
	float alpha = 0.0f;

	if (node->op == FR_OP_LEAKY_RELU)
		alpha = 0.01f;
	else if (node->op == FR_OP_ELU)
		alpha = 1.0f;
	else if (node->op == FR_OP_HARD_SIGMOID)
		alpha = 0.2f;
	node->u.unary.alpha = attr_float(attrs, "alpha", alpha);
	node->u.unary.beta = attr_float(attrs, "beta", 0.5f);
	if (node->op == FR_OP_GELU)
		node->u.unary.alpha =
			(float) attr_choice(attrs, "approximate", approximations, 0);
}

static void
read_clip(FrAttributes *attrs)
{
	float_to_input(attrs, "min", 1);
	float_to_input(attrs, "max", 2);
}

static void
read_softmax(FrAttributes *attrs)
{
	bool is_legacy = attrs->import->model.opset < 13;

	attrs->node->u.axis.is_legacy = is_legacy;
	attrs->node->u.axis.axis = attr_int(attrs, "axis", is_legacy ? 1 : -1);
}

static void
read_concat(FrAttributes *attrs)
{
	FrOnnxAttribute found;

	if (!find_attribute(attrs, "axis", FR_ONNX_ATTR_INT, &found))
		fail_value(attrs, "axis", "is missing");
	attrs->node->u.axis.axis = attr_int(attrs, "axis", 0);
}

static void
read_gather(FrAttributes *attrs)
{
	attrs->node->u.axis.axis = attr_int(attrs, "axis", 0);
}

static void
read_flatten(FrAttributes *attrs)
{
	attrs->node->u.axis.axis = attr_int(attrs, "axis", 1);
}

static void
read_split(FrAttributes *attrs)
{
	FrNode *node = attrs->node;
	int count = attr_int(attrs, "num_outputs", node->output_count);

	node->u.axis.axis = attr_int(attrs, "axis", 0);
	if (count != node->output_count)
		fail_value(attrs, "num_outputs", "is not the number of outputs");
	list_to_input(attrs, "split", 1);
}

static void
read_reduce(FrAttributes *attrs)
{
	FrNode *node = attrs->node;

	list_to_input(attrs, "axes", 1);
	node->u.reduce.count = -1;
	if (node->input_count > 1 && node->inputs[1] >= 0)
	{
		const FrValue *axes = &attrs->import->graph->values[node->inputs[1]];

		if (axes->constant && axes->shape.rank == 1)
			node->u.reduce.count = (int) axes->shape.dims[0];
	}
	node->u.reduce.keep_dims = attr_int(attrs, "keepdims", 1) != 0;
	node->u.reduce.is_noop_if_empty =
		attr_int(attrs, "noop_with_empty_axes", 0) != 0;
}

static void
read_transpose(FrAttributes *attrs)
{
	FrNode *node = attrs->node;
	int64_t order[FR_MAX_RANK];
	int rank = attr_ints(attrs, "perm", order, FR_MAX_RANK);
	unsigned seen = 0;

	node->u.transpose.rank = rank < 0 ? 0 : rank;
	for (int i = 0; i < rank; i++)
	{
		if (order[i] < 0 || order[i] >= rank)
		{
			fail_value(attrs, "perm", "is not a permutation");
			return;
		}
		seen |= 1u << order[i];
		node->u.transpose.permutation[i] = (int) order[i];
	}
	if (rank > 0 && seen != (1u << rank) - 1)
		fail_value(attrs, "perm", "is not a permutation");
}

static void
read_resize_mode(FrAttributes *attrs)
{
	static const char *const modes[] = {
		[FR_RESIZE_NEAREST] = "nearest",
		[FR_RESIZE_LINEAR] = "linear",
		[2] = "bilinear", /* Upsample-7 in some files */
		NULL,
	};
	int mode = attr_choice(attrs, "mode", modes, FR_RESIZE_NEAREST);

	attrs->node->u.resize.mode =
		mode == FR_RESIZE_NEAREST ? FR_RESIZE_NEAREST : FR_RESIZE_LINEAR;
	attrs->node->u.resize.coordinates = FR_COORD_ASYMMETRIC;
	attrs->node->u.resize.rounding = FR_ROUND_LEGACY;
}

/* Inputs X, scales become X, roi, scales. */
static void
insert_roi(FrAttributes *attrs)
{
	FrNode *node = attrs->node;

	if (node->input_count < 2)
		return;
	node->inputs[2] = node->inputs[1];
	node->inputs[1] = -1;
	node->input_count = 3;
}

static void
read_upsample(FrAttributes *attrs)
{
	FrNode *node = attrs->node;
	FrOnnxAttribute found;
	float scales[FR_MAX_RANK];
	size_t count;

	read_resize_mode(attrs);
	insert_roi(attrs);
	if (node->input_count == 3 ||
		!find_attribute(attrs, "scales", FR_ONNX_ATTR_FLOATS, &found))
		return;
	if (!fr_onnx_read_floats(found.message, 7, scales, FR_MAX_RANK, &count) ||
		count > FR_MAX_RANK)
		fail_value(attrs, "scales", "is malformed or too long");
	else
		set_input_constant(attrs, 2, FR_FLOAT32, 1, (int64_t) count, scales);
}

static void
read_resize(FrAttributes *attrs)
{
	static const char *const coordinates[] = {
		[FR_COORD_HALF_PIXEL] = "half_pixel",
		[FR_COORD_PYTORCH_HALF_PIXEL] = "pytorch_half_pixel",
		[FR_COORD_ASYMMETRIC] = "asymmetric",
		[FR_COORD_ALIGN_CORNERS] = "align_corners",
		NULL,
	};
	static const char *const roundings[] = {
		[FR_ROUND_PREFER_FLOOR] = "round_prefer_floor",
		[FR_ROUND_PREFER_CEIL] = "round_prefer_ceil",
		[FR_ROUND_FLOOR] = "floor",
		[FR_ROUND_CEIL] = "ceil",
		NULL,
	};
	static const char *const policies[] = {"stretch", NULL};
	FrNode *node = attrs->node;
	int64_t axes[FR_MAX_RANK];

	read_resize_mode(attrs);
	if (attrs->import->model.opset < 11)
	{
		insert_roi(attrs);
		return;
	}
	node->u.resize.coordinates = (FrResizeCoordinates) attr_choice(
		attrs, "coordinate_transformation_mode", coordinates,
		FR_COORD_HALF_PIXEL);
	node->u.resize.rounding = (FrResizeRounding) attr_choice(
		attrs, "nearest_mode", roundings, FR_ROUND_PREFER_FLOOR);
	attr_choice(attrs, "keep_aspect_ratio_policy", policies, 0);
	if (attr_int(attrs, "antialias", 0))
		fail_unsupported(attrs, "Resizing with antialias is not supported");
	if (attr_ints(attrs, "axes", axes, FR_MAX_RANK) >= 0)
		fail_unsupported(attrs, "Resizing of chosen axes is not supported");
}

static void
read_reshape(FrAttributes *attrs)
{
	attrs->node->u.reshape.allow_zero = attr_int(attrs, "allowzero", 0) != 0;
}

static void
read_slice(FrAttributes *attrs)
{
	list_to_input(attrs, "starts", 1);
	list_to_input(attrs, "ends", 2);
	list_to_input(attrs, "axes", 3);
}

static void
read_pad(FrAttributes *attrs)
{
	static const char *const modes[] = {"constant", "reflect", "edge", NULL};
	int mode = attr_choice(attrs, "mode", modes, 0);

	attrs->node->u.pad.is_reflect = mode == 1;
	attrs->node->u.pad.is_edge = mode == 2;
	list_to_input(attrs, "pads", 1);
	float_to_input(attrs, "value", 2);
}

/* Squeeze and Unsqueeze */
static void
read_squeeze(FrAttributes *attrs)
{
	list_to_input(attrs, "axes", 1);
}

static void
read_cast(FrAttributes *attrs)
{
	int to = attr_int(attrs, "to", 0);

	attrs->node->u.cast.to = fr_onnx_dtype(to);
	if (attrs->node->u.cast.to == FR_DTYPE_NONE)
		fail_unsupported(attrs, "The type to cast to is missing or not "
								"supported");
}

static void
read_quantize(FrAttributes *attrs)
{
	int to = attr_int(attrs, "output_dtype", 0);

	attrs->node->u.quantize.axis = attr_int(attrs, "axis", 1);
	attrs->node->u.quantize.to = fr_onnx_dtype(to);
	if (attr_int(attrs, "block_size", 0) != 0)
		fail_unsupported(attrs, "Scales per block are not supported");
	if (to != 0 && attrs->node->u.quantize.to == FR_DTYPE_NONE)
		fail_unsupported(attrs, "The type to quantise to is not supported");
}

static void
read_shape(FrAttributes *attrs)
{
	attrs->node->u.shape.start = attr_int(attrs, "start", 0);
	attrs->node->u.shape.end = attr_int(attrs, "end", INT32_MAX);
}

/* The tensor of an attribute, as a value. */
static FrStatus
read_tensor(FrImport *import, FrBytes message, FrValue *value)
{
	FrOnnxTensor tensor;
	FrStatus status = fr_onnx_tensor_parse(message, &tensor, import->error);

	if (status != FR_OK)
		return status;
	value->shape = tensor.shape;
	value->is_shape_known = true;
	return fr_onnx_tensor_data(&tensor, &import->graph->arena, &value->dtype,
							   &value->constant, import->error);
}

static void
read_fill(FrAttributes *attrs)
{
	FrNode *node = attrs->node;
	FrOnnxAttribute found;
	FrValue value = {0};
	size_t count = 0;

	node->u.fill.dtype = FR_FLOAT32;
	node->u.fill.value = 0;
	if (!find_attribute(attrs, "value", FR_ONNX_ATTR_TENSOR, &found))
		return;
	attrs->status = read_tensor(attrs->import, found.tensor, &value);
	if (attrs->status != FR_OK)
		return;
	if (!fr_shape_count(&value.shape, &count) || count != 1)
	{
		fail_value(attrs, "value", "does not hold one element");
		return;
	}
	node->u.fill.dtype = value.dtype;
	if (value.dtype == FR_FLOAT32)
		node->u.fill.value = (double) *(const float *) value.constant;
	else if (value.dtype == FR_INT64)
		node->u.fill.value = (double) *(const int64_t *) value.constant;
	else if (value.dtype == FR_INT32)
		node->u.fill.value = *(const int32_t *) value.constant;
	else if (value.dtype == FR_INT8)
		node->u.fill.value = *(const int8_t *) value.constant;
	else
		node->u.fill.value = *(const uint8_t *) value.constant;
}

/* Of two inputs it is Add, which the planner fuses. */
static void
read_sum(FrAttributes *attrs)
{
	if (attrs->node->input_count == 2)
		attrs->node->op = FR_OP_ADD;
	else if (attrs->node->input_count == 1)
		attrs->node->op = FR_OP_IDENTITY;
}

/* Opset 12's ratio and training_mode inputs do not matter for inference. */
static void
read_dropout(FrAttributes *attrs)
{
	if (attrs->node->input_count > 1)
		attrs->node->input_count = 1;
}

/* ---- the table ---------------------------------------------------------- */

typedef void (*ReadAttributes)(FrAttributes *attrs);

/* Operators without an entry have no attributes that matter. */
static const ReadAttributes readers[FR_OP_COUNT] = {
	[FR_OP_CONV] = read_window,
	[FR_OP_CONV_TRANSPOSE] = read_window,
	[FR_OP_MAX_POOL] = read_window,
	[FR_OP_AVERAGE_POOL] = read_window,
	[FR_OP_GEMM] = read_gemm,
	[FR_OP_BATCH_NORM] = read_norm,
	[FR_OP_INSTANCE_NORM] = read_norm,
	[FR_OP_LAYER_NORM] = read_norm,
	[FR_OP_LP_NORM] = read_norm,
	[FR_OP_LRN] = read_norm,
	[FR_OP_LEAKY_RELU] = read_unary,
	[FR_OP_ELU] = read_unary,
	[FR_OP_HARD_SIGMOID] = read_unary,
	[FR_OP_GELU] = read_unary,
	[FR_OP_CLIP] = read_clip,
	[FR_OP_SOFTMAX] = read_softmax,
	[FR_OP_CONCAT] = read_concat,
	[FR_OP_GATHER] = read_gather,
	[FR_OP_FLATTEN] = read_flatten,
	[FR_OP_SPLIT] = read_split,
	[FR_OP_SUM] = read_sum,
	[FR_OP_REDUCE_MEAN] = read_reduce,
	[FR_OP_REDUCE_SUM] = read_reduce,
	[FR_OP_REDUCE_MAX] = read_reduce,
	[FR_OP_REDUCE_MIN] = read_reduce,
	[FR_OP_REDUCE_L2] = read_reduce,
	[FR_OP_TRANSPOSE] = read_transpose,
	[FR_OP_RESIZE] = read_resize,
	[FR_OP_RESHAPE] = read_reshape,
	[FR_OP_SLICE] = read_slice,
	[FR_OP_PAD] = read_pad,
	[FR_OP_SQUEEZE] = read_squeeze,
	[FR_OP_UNSQUEEZE] = read_squeeze,
	[FR_OP_CAST] = read_cast,
	[FR_OP_SHAPE] = read_shape,
	[FR_OP_CONSTANT_OF_SHAPE] = read_fill,
	[FR_OP_QUANTIZE] = read_quantize,
	[FR_OP_DEQUANTIZE] = read_quantize,
};

bool
fr_import_find_op(FrBytes op_type, FrOp *op)
{
	for (int i = 0; i < FR_OP_COUNT; i++)
		if (fr_bytes_equal_text(op_type, fr_op_name((FrOp) i)))
		{
			*op = (FrOp) i;
			return true;
		}
	if (fr_bytes_equal_text(op_type, "Dropout"))
		*op = FR_OP_IDENTITY;
	else if (fr_bytes_equal_text(op_type, "Upsample"))
		*op = FR_OP_RESIZE;
	else
		return false;
	return true;
}

/* Refuse what no operator of ours may have, whatever its name. */
static FrStatus
check_attributes(FrImport *import, const FrOnnxNode *view, const FrNode *node)
{
	FrBytes message = view->message;
	FrWireField field;
	FrOnnxAttribute attribute;

	while (message.length > 0 && fr_wire_next(&message, &field))
	{
		if (!fr_wire_is(&field, FR_NODE_ATTRIBUTE, FR_WIRE_BYTES))
			continue;

		FrStatus status =
			fr_onnx_attribute_parse(field.bytes, &attribute, import->error);

		if (status != FR_OK)
			return status;
		if (attribute.has_graph)
			return fr_node_fail(import->error, FR_ERR_UNSUPPORTED, node,
								"It holds a sub-graph, which is not "
								"supported.");
	}
	return FR_OK;
}

FrStatus
fr_import_attributes(FrImport *import, const FrOnnxNode *view, FrNode *node)
{
	FrAttributes attrs = {.import = import,
						  .view = view,
						  .node = node,
						  .status = check_attributes(import, view, node)};
	ReadAttributes read = readers[node->op];

	if (fr_bytes_equal_text(view->op_type, "Dropout"))
		read = read_dropout;
	else if (fr_bytes_equal_text(view->op_type, "Upsample"))
		read = read_upsample;
	if (read && attrs.status == FR_OK)
		read(&attrs);
	return attrs.status;
}

/* ---- Constant ----------------------------------------------------------- */

/* A list of numbers as a rank-1 value. */
static FrStatus
read_number_list(FrImport *import, const FrOnnxAttribute *attribute,
				 bool is_float, FrValue *value)
{
	FrArena *arena = &import->graph->arena;
	FrBytes message = attribute->message;
	size_t count = 0, again;
	void *data;
	bool is_sane = is_float ? fr_onnx_read_floats(message, 7, NULL, 0, &count)
							: fr_onnx_read_ints(message, 8, NULL, 0, &count);

	value->dtype = is_float ? FR_FLOAT32 : FR_INT64;
	value->shape = (FrShape){.rank = 1, .dims = {(int64_t) count}};
	if (!is_sane)
		return fr_fail(import->error, FR_ERR_CORRUPT,
					   "A Constant node's numbers are malformed.");
	data = fr_arena_alloc(arena, count * fr_dtype_size(value->dtype));
	if (!data)
		return fr_fail_nomem(import->error, count * 8);
	if (is_float)
		(void) fr_onnx_read_floats(message, 7, data, count, &again);
	else
		(void) fr_onnx_read_ints(message, 8, data, count, &again);
	value->constant = data;
	return FR_OK;
}

static FrStatus
read_constant_value(FrImport *import, const FrOnnxAttribute *attribute,
					FrValue *value)
{
	FrArena *arena = &import->graph->arena;
	FrStatus status = FR_OK;

	value->is_shape_known = true;
	if (fr_bytes_equal_text(attribute->name, "value") &&
		attribute->type == FR_ONNX_ATTR_TENSOR)
		return read_tensor(import, attribute->tensor, value);
	if (fr_bytes_equal_text(attribute->name, "value_float"))
	{
		value->dtype = FR_FLOAT32;
		value->constant = fr_arena_copy(arena, &attribute->f, sizeof(float));
	}
	else if (fr_bytes_equal_text(attribute->name, "value_int"))
	{
		value->dtype = FR_INT64;
		value->constant = fr_arena_copy(arena, &attribute->i, sizeof(int64_t));
	}
	else if (fr_bytes_equal_text(attribute->name, "value_floats"))
		status = read_number_list(import, attribute, true, value);
	else if (fr_bytes_equal_text(attribute->name, "value_ints"))
		status = read_number_list(import, attribute, false, value);
	else
		return FR_OK; /* none of ours; the caller sees that nothing came */
	if (status == FR_OK && !value->constant)
		return fr_fail_nomem(import->error, sizeof(int64_t));
	return status;
}

FrStatus
fr_import_constant(FrImport *import, const FrOnnxNode *view, FrValue *value)
{
	FrBytes message = view->message;
	FrWireField field;
	FrOnnxAttribute attribute;
	char name[64];

	while (message.length > 0 && fr_wire_next(&message, &field))
	{
		if (!fr_wire_is(&field, FR_NODE_ATTRIBUTE, FR_WIRE_BYTES))
			continue;

		FrStatus status =
			fr_onnx_attribute_parse(field.bytes, &attribute, import->error);

		if (status == FR_OK)
			status = read_constant_value(import, &attribute, value);
		if (status != FR_OK || value->constant)
			return status;
	}
	return fr_fail(import->error, FR_ERR_UNSUPPORTED,
				   "Node \"%s\" (Constant) has no value of a kind that is "
				   "supported.",
				   fr_onnx_printable(view->name, name, sizeof name));
}
