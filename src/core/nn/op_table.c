/*
 * op_table.c: the one operator registry; see op_table.h.
 */
#include "core/nn/op_table.h"

#include <stdarg.h>
#include <stdio.h>

#define VARIADIC FR_MAX_NODE_INPUTS

/* operator, fewest and most inputs, most outputs, shape rule, run */
#define OP(op, fewest, most, outputs, infer_name, run_name)       \
	[FR_OP_##op] = {fewest, most, outputs, fr_infer_##infer_name, \
					fr_run_##run_name}

static const FrOpInfo op_table[] = {
	OP(CONV, 2, 3, 1, conv, conv),
	OP(CONV_TRANSPOSE, 2, 3, 1, conv_transpose, conv_transpose),
	OP(GEMM, 2, 3, 1, gemm, gemm),
	OP(MATMUL, 2, 2, 1, matmul, matmul),
	OP(BATCH_NORM, 5, 5, 1, batch_norm, batch_norm),
	OP(INSTANCE_NORM, 3, 3, 1, instance_norm, instance_norm),
	OP(LAYER_NORM, 2, 3, 1, layer_norm, layer_norm),
	OP(LP_NORM, 1, 1, 1, axis_norm, lp_norm),
	OP(LRN, 1, 1, 1, axis_norm, lrn),
	OP(RELU, 1, 1, 1, unary, unary),
	OP(LEAKY_RELU, 1, 1, 1, unary, unary),
	OP(PRELU, 2, 2, 1, prelu, binary),
	OP(ELU, 1, 1, 1, unary, unary),
	OP(CLIP, 1, 3, 1, clip, clip),
	OP(SIGMOID, 1, 1, 1, unary, unary),
	OP(HARD_SIGMOID, 1, 1, 1, unary, unary),
	OP(HARD_SWISH, 1, 1, 1, unary, unary),
	OP(TANH, 1, 1, 1, unary, unary),
	OP(ERF, 1, 1, 1, unary, unary),
	OP(GELU, 1, 1, 1, unary, unary),
	OP(SOFTPLUS, 1, 1, 1, unary, unary),
	OP(EXP, 1, 1, 1, unary, unary),
	OP(LOG, 1, 1, 1, unary, unary),
	OP(SQRT, 1, 1, 1, unary, unary),
	OP(ABS, 1, 1, 1, unary, unary),
	OP(NEG, 1, 1, 1, unary, unary),
	OP(RECIPROCAL, 1, 1, 1, unary, unary),
	OP(FLOOR, 1, 1, 1, unary, unary),
	OP(CEIL, 1, 1, 1, unary, unary),
	OP(ADD, 2, 2, 1, binary, binary),
	OP(SUB, 2, 2, 1, binary, binary),
	OP(MUL, 2, 2, 1, binary, binary),
	OP(DIV, 2, 2, 1, binary, binary),
	OP(POW, 2, 2, 1, binary, binary),
	OP(MIN, 1, VARIADIC, 1, binary, binary),
	OP(MAX, 1, VARIADIC, 1, binary, binary),
	OP(SUM, 2, VARIADIC, 1, binary, binary),
	OP(REDUCE_MEAN, 1, 2, 1, reduce, reduce),
	OP(REDUCE_SUM, 1, 2, 1, reduce, reduce),
	OP(REDUCE_MAX, 1, 2, 1, reduce, reduce),
	OP(REDUCE_MIN, 1, 2, 1, reduce, reduce),
	OP(REDUCE_L2, 1, 2, 1, reduce, reduce),
	OP(MAX_POOL, 1, 1, 1, pool, pool),
	OP(AVERAGE_POOL, 1, 1, 1, pool, pool),
	OP(GLOBAL_AVERAGE_POOL, 1, 1, 1, global_pool, global_pool),
	OP(GLOBAL_MAX_POOL, 1, 1, 1, global_pool, global_pool),
	OP(RESIZE, 1, 4, 1, resize, resize),
	OP(FLATTEN, 1, 1, 1, flatten, copy),
	OP(RESHAPE, 2, 2, 1, reshape, copy),
	OP(TRANSPOSE, 1, 1, 1, transpose, transpose),
	OP(CONCAT, 1, VARIADIC, 1, concat, concat),
	OP(SPLIT, 1, 2, FR_MAX_NODE_OUTPUTS, split, split),
	OP(SLICE, 3, 5, 1, slice, slice),
	OP(PAD, 2, 4, 1, pad, pad),
	OP(SQUEEZE, 1, 2, 1, squeeze, copy),
	OP(UNSQUEEZE, 2, 2, 1, unsqueeze, copy),
	OP(SHAPE, 1, 1, 1, shape, shape),
	OP(GATHER, 2, 2, 1, gather, gather),
	OP(EXPAND, 2, 2, 1, expand, expand),
	OP(CAST, 1, 1, 1, cast, cast),
	OP(CONSTANT_OF_SHAPE, 1, 1, 1, constant_of_shape, constant_of_shape),
	OP(IDENTITY, 1, 1, 1, identity, copy),
	OP(SOFTMAX, 1, 1, 1, axis_norm, softmax),
	OP(QUANTIZE, 2, 3, 1, quantize, quantize),
	OP(DEQUANTIZE, 2, 3, 1, dequantize, dequantize),
};

static const char *const op_names[] = {
#define FR_OP_NAME(name, onnx_name) [FR_OP_##name] = onnx_name,
	FR_OP_LIST(FR_OP_NAME)
#undef FR_OP_NAME
};

_Static_assert(sizeof op_table / sizeof *op_table == FR_OP_COUNT,
			   "every operator has an entry");

const FrOpInfo *
fr_op_info(FrOp op)
{
	return &op_table[op];
}

const char *
fr_op_name(FrOp op)
{
	return (unsigned) op < FR_OP_COUNT ? op_names[op] : "unknown";
}

FrStatus
fr_node_fail(FrError *error, FrStatus status, const FrNode *node,
			 const char *format, ...)
{
	char text[sizeof error->message];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	return fr_fail(error, status, "Node \"%.60s\" (%s): %s",
				   node->name ? node->name : "", fr_op_name(node->op), text);
}

FrStatus
fr_fail_cancelled(FrError *error)
{
	return fr_fail(error, FR_ERR_CANCELLED, "The run was cancelled.");
}

static FrStatus
check_counts(const FrNode *node, const FrTensor *const *inputs, FrError *error)
{
	if ((unsigned) node->op >= FR_OP_COUNT)
		return fr_fail(error, FR_ERR_BUG, "A node has operator number %d.",
					   (int) node->op);

	const FrOpInfo *info = fr_op_info(node->op);

	if (node->input_count < info->min_inputs ||
		node->input_count > info->max_inputs)
		return fr_node_fail(error, FR_ERR_CORRUPT, node,
							"%d inputs are given, %d to %d are allowed.",
							node->input_count, info->min_inputs,
							info->max_inputs);
	if (node->output_count < 1 || node->output_count > info->max_outputs)
		return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
							"%d outputs are asked for, 1 to %d are supported.",
							node->output_count, info->max_outputs);
	for (int i = 0; i < node->input_count; i++)
	{
		bool is_required = i < info->min_inputs || info->max_inputs == VARIADIC;

		if (is_required && !inputs[i])
			return fr_node_fail(error, FR_ERR_CORRUPT, node,
								"Input %d is missing.", i);
	}
	return FR_OK;
}

/* Every dimension small enough to calculate with, the whole countable. */
static FrStatus
check_shape(const FrNode *node, const FrTensor *tensor, FrError *error)
{
	const FrShape *shape = &tensor->shape;
	char text[128];
	size_t count;
	bool is_sane = shape->rank >= 0 && shape->rank <= FR_MAX_RANK &&
				   fr_dtype_size(tensor->dtype) > 0;

	if (!is_sane)
		return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
							"A tensor has %d dimensions and type %s.",
							shape->rank, fr_dtype_name(tensor->dtype));
	for (int i = 0; i < shape->rank; i++)
		is_sane &= shape->dims[i] >= 0 && shape->dims[i] <= FR_MAX_DIM;
	if (!is_sane || !fr_shape_count(shape, &count) || count > SIZE_MAX / 16)
		return fr_node_fail(error, FR_ERR_LIMIT, node,
							"A tensor of shape %s is too large.",
							fr_shape_text(shape, text, sizeof text));
	return FR_OK;
}

FrStatus
fr_op_infer(const FrNode *node, const FrTensor *const *inputs,
			FrTensor *outputs, FrError *error)
{
	FrStatus status = check_counts(node, inputs, error);

	for (int i = 0; status == FR_OK && i < node->input_count; i++)
		if (inputs[i])
			status = check_shape(node, inputs[i], error);
	if (status != FR_OK)
		return status;
	for (int i = 0; i < node->output_count; i++)
		outputs[i] =
			(FrTensor){.dtype = inputs[0] ? inputs[0]->dtype : FR_FLOAT32};
	status = fr_op_info(node->op)->infer(node, inputs, outputs, error);
	for (int i = 0; status == FR_OK && i < node->output_count; i++)
		status = check_shape(node, &outputs[i], error);
	return status;
}

FrStatus
fr_op_run(const FrNode *node, const FrTensor *const *inputs, FrTensor *outputs,
		  const FrCancel *cancel, FrError *error)
{
	size_t largest = 0, count;

	/* Nothing to compute: no operator need care for [2^40, 0]. */
	for (int i = 0; i < node->output_count; i++)
		if (fr_shape_count(&outputs[i].shape, &count) && count > largest)
			largest = count;
	if (largest == 0)
		return FR_OK;
	return fr_op_info(node->op)->run(node, inputs, outputs, cancel, error);
}
