/*
 * write_ops.c: the attributes of each operator, in the form of opset 13 and
 * later; the counterpart of import_ops.c.  Source: the ONNX operator
 * changelog (docs/Changelog.md), opsets 13 to 21.
 */
#include "core/onnx/write_ops.h"

#include <string.h>

#include "core/onnx/model.h"

/* ---- one attribute ------------------------------------------------------ */

typedef struct Attribute
{
	const char *name;
	FrOnnxAttributeType type;
	float f;
	int64_t i;
	const char *s;
	const FrWriteTensor *tensor;
	const int *ints;
	int int_count;
} Attribute;

static void
put_attribute(FrWireOut *out, const void *context)
{
	const Attribute *attribute = context;

	fr_wire_put_text(out, 1, attribute->name);
	switch ((int) attribute->type)
	{
		case FR_ONNX_ATTR_FLOAT:
			fr_wire_put_float(out, 2, attribute->f);
			break;
		case FR_ONNX_ATTR_INT:
			fr_wire_put_varint(out, 3, (uint64_t) attribute->i);
			break;
		case FR_ONNX_ATTR_STRING:
			fr_wire_put_text(out, 4, attribute->s);
			break;
		case FR_ONNX_ATTR_TENSOR:
			fr_wire_put_message(out, 5, fr_write_tensor, attribute->tensor);
			break;
		default:
			for (int i = 0; i < attribute->int_count; i++)
				fr_wire_put_varint(out, 8, (uint64_t) attribute->ints[i]);
			break;
	}
	fr_wire_put_varint(out, 20, (uint64_t) attribute->type);
}

void
fr_write_int(FrWireOut *out, const char *name, int64_t value)
{
	Attribute attribute = {.name = name, .type = FR_ONNX_ATTR_INT, .i = value};

	fr_wire_put_message(out, FR_NODE_ATTRIBUTE, put_attribute, &attribute);
}

static void
put_float(FrWireOut *out, const char *name, float value)
{
	Attribute attribute = {
		.name = name, .type = FR_ONNX_ATTR_FLOAT, .f = value};

	fr_wire_put_message(out, FR_NODE_ATTRIBUTE, put_attribute, &attribute);
}

static void
put_string(FrWireOut *out, const char *name, const char *value)
{
	Attribute attribute = {
		.name = name, .type = FR_ONNX_ATTR_STRING, .s = value};

	fr_wire_put_message(out, FR_NODE_ATTRIBUTE, put_attribute, &attribute);
}

static void
put_ints(FrWireOut *out, const char *name, const int *values, int count)
{
	Attribute attribute = {.name = name,
						   .type = FR_ONNX_ATTR_INTS,
						   .ints = values,
						   .int_count = count};

	fr_wire_put_message(out, FR_NODE_ATTRIBUTE, put_attribute, &attribute);
}

static void
put_flag(FrWireOut *out, const char *name, bool is_set, bool by_default)
{
	if (is_set != by_default)
		fr_write_int(out, name, is_set);
}

/* ---- types -------------------------------------------------------------- */

int
fr_write_dtype(FrDtype dtype)
{
	static const FrOnnxType types[FR_DTYPE_COUNT] = {
		[FR_FLOAT32] = FR_ONNX_FLOAT, [FR_FLOAT16] = FR_ONNX_FLOAT16,
		[FR_INT64] = FR_ONNX_INT64,	  [FR_INT32] = FR_ONNX_INT32,
		[FR_INT8] = FR_ONNX_INT8,	  [FR_UINT8] = FR_ONNX_UINT8,
		[FR_BOOL] = FR_ONNX_BOOL,
	};

	return (unsigned) dtype < FR_DTYPE_COUNT ? (int) types[dtype] : 0;
}

void
fr_write_tensor(FrWireOut *out, const void *context)
{
	const FrWriteTensor *tensor = context;

	for (int i = 0; i < tensor->shape->rank; i++)
		fr_wire_put_varint(out, 1, (uint64_t) tensor->shape->dims[i]);
	fr_wire_put_varint(out, 2, (uint64_t) fr_write_dtype(tensor->dtype));
	if (tensor->name)
		fr_wire_put_text(out, 8, tensor->name);
	fr_wire_put_bytes(out, 9, tensor->data, tensor->size_bytes);
}

/* ---- one function per family -------------------------------------------- */

static void
write_window(FrWireOut *out, const FrNode *node)
{
	static const char *const auto_pads[] = {
		[FR_PAD_EXPLICIT] = NULL,
		[FR_PAD_SAME_UPPER] = "SAME_UPPER",
		[FR_PAD_SAME_LOWER] = "SAME_LOWER",
		[FR_PAD_VALID] = "VALID",
	};
	const FrWindow *window = &node->u.window;

	if (window->kernel[0] > 0)
		put_ints(out, "kernel_shape", window->kernel, 2);
	put_ints(out, "strides", window->stride, 2);
	if (window->dilation[0] != 1 || window->dilation[1] != 1)
		put_ints(out, "dilations", window->dilation, 2);
	if (auto_pads[window->auto_pad])
		put_string(out, "auto_pad", auto_pads[window->auto_pad]);
	else
		put_ints(out, "pads", window->pad, 4);
	if (node->op == FR_OP_MAX_POOL || node->op == FR_OP_AVERAGE_POOL)
		put_flag(out, "ceil_mode", window->ceil_mode, false);
	else
		fr_write_int(out, "group", window->group);
	if (node->op == FR_OP_AVERAGE_POOL)
		put_flag(out, "count_include_pad", window->count_include_pad, false);
	if (node->op != FR_OP_CONV_TRANSPOSE)
		return;
	if (window->output_padding[0] > 0 || window->output_padding[1] > 0)
		put_ints(out, "output_padding", window->output_padding, 2);
	if (window->output_size[0] > 0)
		put_ints(out, "output_shape", window->output_size, 2);
}

static void
write_gemm(FrWireOut *out, const FrNode *node)
{
	put_float(out, "alpha", node->u.gemm.alpha);
	put_float(out, "beta", node->u.gemm.beta);
	put_flag(out, "transA", node->u.gemm.is_a_transposed, false);
	put_flag(out, "transB", node->u.gemm.is_b_transposed, false);
}

static void
write_norm(FrWireOut *out, const FrNode *node)
{
	switch ((int) node->op)
	{
		case FR_OP_LRN:
			put_float(out, "alpha", node->u.norm.alpha);
			put_float(out, "beta", node->u.norm.beta);
			put_float(out, "bias", node->u.norm.bias);
			fr_write_int(out, "size", node->u.norm.size);
			break;
		case FR_OP_LP_NORM:
			fr_write_int(out, "axis", node->u.norm.axis);
			fr_write_int(out, "p", node->u.norm.p);
			break;
		case FR_OP_LAYER_NORM:
			fr_write_int(out, "axis", node->u.norm.axis);
			put_float(out, "epsilon", node->u.norm.epsilon);
			break;
		default:
			put_float(out, "epsilon", node->u.norm.epsilon);
			break;
	}
}

static void
write_unary(FrWireOut *out, const FrNode *node)
{
	if (node->op != FR_OP_GELU)
		put_float(out, "alpha", node->u.unary.alpha);
	else if (node->u.unary.alpha > 0)
		put_string(out, "approximate", "tanh");
	if (node->op == FR_OP_HARD_SIGMOID)
		put_float(out, "beta", node->u.unary.beta);
}

/* Softmax, Concat, Split, Gather, Flatten */
static void
write_axis(FrWireOut *out, const FrNode *node)
{
	fr_write_int(out, "axis", node->u.axis.axis);
}

static void
write_quantize(FrWireOut *out, const FrNode *node)
{
	fr_write_int(out, "axis", node->u.quantize.axis);
	if (node->op == FR_OP_QUANTIZE && node->u.quantize.to != FR_DTYPE_NONE)
		fr_write_int(out, "output_dtype", fr_write_dtype(node->u.quantize.to));
}

static void
write_reduce(FrWireOut *out, const FrNode *node)
{
	put_flag(out, "keepdims", node->u.reduce.keep_dims, true);
	put_flag(out, "noop_with_empty_axes", node->u.reduce.is_noop_if_empty,
			 false);
}

static void
write_transpose(FrWireOut *out, const FrNode *node)
{
	if (node->u.transpose.rank > 0)
		put_ints(out, "perm", node->u.transpose.permutation,
				 node->u.transpose.rank);
}

static void
write_resize(FrWireOut *out, const FrNode *node)
{
	static const char *const coordinates[] = {
		[FR_COORD_HALF_PIXEL] = "half_pixel",
		[FR_COORD_PYTORCH_HALF_PIXEL] = "pytorch_half_pixel",
		[FR_COORD_ASYMMETRIC] = "asymmetric",
		[FR_COORD_ALIGN_CORNERS] = "align_corners",
	};
	static const char *const roundings[] = {
		[FR_ROUND_PREFER_FLOOR] = "round_prefer_floor",
		[FR_ROUND_PREFER_CEIL] = "round_prefer_ceil",
		[FR_ROUND_FLOOR] = "floor",
		[FR_ROUND_CEIL] = "ceil",
		[FR_ROUND_LEGACY] = "floor", /* fr_write_check: nothing shrinks */
	};
	bool is_linear = node->u.resize.mode == FR_RESIZE_LINEAR;

	put_string(out, "mode", is_linear ? "linear" : "nearest");
	put_string(out, "coordinate_transformation_mode",
			   coordinates[node->u.resize.coordinates]);
	if (!is_linear)
		put_string(out, "nearest_mode", roundings[node->u.resize.rounding]);
}

static void
write_reshape(FrWireOut *out, const FrNode *node)
{
	put_flag(out, "allowzero", node->u.reshape.allow_zero, false);
}

static void
write_pad(FrWireOut *out, const FrNode *node)
{
	if (node->u.pad.is_reflect)
		put_string(out, "mode", "reflect");
	else if (node->u.pad.is_edge)
		put_string(out, "mode", "edge");
}

static void
write_cast(FrWireOut *out, const FrNode *node)
{
	fr_write_int(out, "to", fr_write_dtype(node->u.cast.to));
}

static void
write_shape(FrWireOut *out, const FrNode *node)
{
	if (node->u.shape.start != 0)
		fr_write_int(out, "start", node->u.shape.start);
	if (node->u.shape.end != INT32_MAX)
		fr_write_int(out, "end", node->u.shape.end);
}

static void
write_fill(FrWireOut *out, const FrNode *node)
{
	static const FrShape one = {.rank = 1, .dims = {1}};
	union
	{
		float f;
		int64_t i64;
		int32_t i32;
		int8_t i8;
		uint8_t u8;
	} element = {.i64 = 0};
	double value = node->u.fill.value;
	FrDtype dtype = node->u.fill.dtype;
	FrWriteTensor tensor = {.dtype = dtype,
							.shape = &one,
							.data = &element,
							.size_bytes = fr_dtype_size(dtype)};
	Attribute attribute = {
		.name = "value", .type = FR_ONNX_ATTR_TENSOR, .tensor = &tensor};

	if (dtype == FR_FLOAT32)
		element.f = (float) value;
	else if (dtype == FR_INT64)
		element.i64 = value >= 9.2e18 ? INT64_MAX : (int64_t) value;
	else if (dtype == FR_INT32)
		element.i32 = (int32_t) value;
	else if (dtype == FR_INT8)
		element.i8 = (int8_t) value;
	else
		element.u8 = (uint8_t) value;
	fr_wire_put_message(out, FR_NODE_ATTRIBUTE, put_attribute, &attribute);
}

/* ---- the table ---------------------------------------------------------- */

typedef void (*WriteAttributes)(FrWireOut *out, const FrNode *node);

/* Operators without an entry have no attributes. */
static const WriteAttributes writers[FR_OP_COUNT] = {
	[FR_OP_CONV] = write_window,
	[FR_OP_CONV_TRANSPOSE] = write_window,
	[FR_OP_MAX_POOL] = write_window,
	[FR_OP_AVERAGE_POOL] = write_window,
	[FR_OP_GEMM] = write_gemm,
	[FR_OP_BATCH_NORM] = write_norm,
	[FR_OP_INSTANCE_NORM] = write_norm,
	[FR_OP_LAYER_NORM] = write_norm,
	[FR_OP_LP_NORM] = write_norm,
	[FR_OP_LRN] = write_norm,
	[FR_OP_LEAKY_RELU] = write_unary,
	[FR_OP_ELU] = write_unary,
	[FR_OP_HARD_SIGMOID] = write_unary,
	[FR_OP_GELU] = write_unary,
	[FR_OP_SOFTMAX] = write_axis,
	[FR_OP_CONCAT] = write_axis,
	[FR_OP_SPLIT] = write_axis,
	[FR_OP_GATHER] = write_axis,
	[FR_OP_FLATTEN] = write_axis,
	[FR_OP_QUANTIZE] = write_quantize,
	[FR_OP_DEQUANTIZE] = write_quantize,
	[FR_OP_REDUCE_MEAN] = write_reduce,
	[FR_OP_REDUCE_SUM] = write_reduce,
	[FR_OP_REDUCE_MAX] = write_reduce,
	[FR_OP_REDUCE_MIN] = write_reduce,
	[FR_OP_REDUCE_L2] = write_reduce,
	[FR_OP_TRANSPOSE] = write_transpose,
	[FR_OP_RESIZE] = write_resize,
	[FR_OP_RESHAPE] = write_reshape,
	[FR_OP_PAD] = write_pad,
	[FR_OP_CAST] = write_cast,
	[FR_OP_SHAPE] = write_shape,
	[FR_OP_CONSTANT_OF_SHAPE] = write_fill,
};

static bool
has_input(const FrNode *node, int index)
{
	return node->input_count > index && node->inputs[index] >= 0;
}

void
fr_write_attributes(FrWireOut *out, const FrNode *node, int opset)
{
	if (writers[node->op])
		writers[node->op](out, node);
	if (node->op == FR_OP_SPLIT && opset >= 18 && !has_input(node, 1))
		fr_write_int(out, "num_outputs", node->output_count);
}

int
fr_write_opset(const FrNode *node)
{
	const FrWindow *window = &node->u.window;

	switch ((int) node->op)
	{
		case FR_OP_HARD_SWISH:
			return 14;
		case FR_OP_RESHAPE:
			return node->u.reshape.allow_zero ? 14 : 13;
		case FR_OP_SHAPE:
			return node->u.shape.start != 0 || node->u.shape.end != INT32_MAX
					   ? 15
					   : 13;
		case FR_OP_LAYER_NORM:
			return 17;
		case FR_OP_REDUCE_MEAN:
		case FR_OP_REDUCE_MAX:
		case FR_OP_REDUCE_MIN:
		case FR_OP_REDUCE_L2:
			return has_input(node, 1) || node->u.reduce.is_noop_if_empty ? 18
																		 : 13;
		case FR_OP_PAD:
			return has_input(node, 3) ? 18 : 13;
		case FR_OP_AVERAGE_POOL:
			return window->dilation[0] != 1 || window->dilation[1] != 1 ? 19
																		: 13;
		case FR_OP_GELU:
			return 20;
		case FR_OP_QUANTIZE:
			return node->u.quantize.to != FR_DTYPE_NONE ? 21 : 13;
		default:
			return 13;
	}
}

bool
fr_write_is_legacy_softmax(const FrNode *node)
{
	return node->op == FR_OP_SOFTMAX && node->u.axis.is_legacy;
}

/* Whether a Resize certainly makes nothing smaller. */
static bool
is_enlarging(const FrGraph *graph, const FrNode *node)
{
	size_t count = 0;

	if (!has_input(node, 2))
		return false;

	const FrValue *scales = &graph->values[node->inputs[2]];

	if (!scales->constant || scales->dtype != FR_FLOAT32 ||
		!fr_shape_count(&scales->shape, &count))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!(((const float *) scales->constant)[i] >= 1.0f))
			return false;
	return true;
}

FrStatus
fr_write_check(const FrGraph *graph, const FrNode *node, FrError *error)
{
	if (node->op == FR_OP_RESIZE && node->u.resize.mode == FR_RESIZE_NEAREST &&
		node->u.resize.rounding == FR_ROUND_LEGACY &&
		!is_enlarging(graph, node))
		return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
							"It rounds as opsets before 11 did where it "
							"shrinks, which newer opsets cannot express.");
	return FR_OK;
}
