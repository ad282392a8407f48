/*
 * op_quantize.c: plain QuantizeLinear and DequantizeLinear.
 *
 * An integer q stands for (q - zero point) * scale.  Scale and zero point are
 * one number for the tensor or one per index of an axis.  Rounding is to the
 * nearest integer, ties to even, and saturates; NaN becomes the lowest value.
 */
#include <math.h>

#include "core/nn/op_table.h"

/* Elementary operations per element. */
#define ELEMENT_WORK 8

static bool
is_byte_type(FrDtype dtype)
{
	return dtype == FR_UINT8 || dtype == FR_INT8;
}

/* Scale (input 1) and zero point (input 2): one number, or one per index of
 * the axis. */
static FrStatus
check_parameters(const FrNode *node, const FrTensor *const *inputs,
				 FrDtype quantized, FrError *error)
{
	const FrShape *shape = &inputs[0]->shape;
	const FrTensor *zero = node->input_count > 2 ? inputs[2] : NULL;
	size_t count = fr_shape_span(&inputs[1]->shape, 0, inputs[1]->shape.rank);
	int axis;

	if (inputs[1]->dtype != FR_FLOAT32)
		return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
							"The scale is %s; float32 is supported.",
							fr_dtype_name(inputs[1]->dtype));
	if (zero && zero->dtype != quantized)
		return fr_node_fail(
			error, FR_ERR_MISMATCH, node, "The zero point is %s instead of %s.",
			fr_dtype_name(zero->dtype), fr_dtype_name(quantized));
	if (inputs[1]->shape.rank > 1 ||
		(zero && fr_shape_span(&zero->shape, 0, zero->shape.rank) != count))
		return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
							"Scale and zero point are not two numbers or two "
							"vectors of one length.");
	if (count == 1)
		return FR_OK;
	if (!fr_axis_normalize(node->u.quantize.axis, shape->rank, &axis) ||
		shape->dims[axis] != (int64_t) count)
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"%zu scales do not fit axis %d of the input.",
							count, node->u.quantize.axis);
	return FR_OK;
}

FR_DECLARE_INFER(quantize)
{
	const FrTensor *zero = node->input_count > 2 ? inputs[2] : NULL;
	FrDtype to = zero ? zero->dtype : node->u.quantize.to;

	if (to == FR_DTYPE_NONE)
		to = FR_UINT8;
	if (inputs[0]->dtype != FR_FLOAT32 || !is_byte_type(to))
		return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
							"%s to %s is not supported, only float32 to uint8 "
							"or int8.",
							fr_dtype_name(inputs[0]->dtype), fr_dtype_name(to));
	outputs[0].shape = inputs[0]->shape;
	outputs[0].dtype = to;
	return check_parameters(node, inputs, to, error);
}

FR_DECLARE_INFER(dequantize)
{
	FrDtype from = inputs[0]->dtype;

	if (!is_byte_type(from) && from != FR_INT32)
		return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
							"The input is %s, not uint8, int8 or int32.",
							fr_dtype_name(from));
	outputs[0].shape = inputs[0]->shape;
	outputs[0].dtype = FR_FLOAT32;
	return check_parameters(node, inputs, from, error);
}

/* How the elements of a tensor find their scale and zero point. */
typedef struct Parameters
{
	const float *scale;
	const FrTensor *zero; /* or NULL */
	size_t inner;		  /* elements that share a scale */
	size_t count;		  /* scales */
} Parameters;

static Parameters
parameters_of(const FrNode *node, const FrTensor *const *inputs)
{
	const FrShape *shape = &inputs[0]->shape;
	Parameters result = {
		.scale = inputs[1]->data,
		.zero = node->input_count > 2 ? inputs[2] : NULL,
		.inner = fr_shape_span(shape, 0, shape->rank),
		.count = fr_shape_span(&inputs[1]->shape, 0, inputs[1]->shape.rank),
	};
	int axis = 0;

	if (result.count > 1)
	{
		fr_axis_normalize(node->u.quantize.axis, shape->rank, &axis);
		result.inner = fr_shape_span(shape, axis + 1, shape->rank);
	}
	return result;
}

static int32_t
load_integer(const FrTensor *tensor, size_t i)
{
	if (tensor->dtype == FR_UINT8)
		return ((const uint8_t *) tensor->data)[i];
	if (tensor->dtype == FR_INT8)
		return ((const int8_t *) tensor->data)[i];
	return ((const int32_t *) tensor->data)[i];
}

static uint8_t
quantize_float(float value, float scale, int zero, bool is_signed)
{
	float low = (float) ((is_signed ? -128 : 0) - zero);
	float high = low + 255.0f;

	value /= scale;
	value = value > low ? value : low;
	value = value < high ? value : high;
	return (uint8_t) ((int) nearbyintf(value) + zero);
}

FR_DECLARE_RUN(quantize)
{
	const Parameters parameters = parameters_of(node, inputs);
	const float *input = inputs[0]->data;
	uint8_t *output = outputs[0].data;
	bool is_signed = outputs[0].dtype == FR_INT8;
	size_t count = fr_shape_span(&inputs[0]->shape, 0, inputs[0]->shape.rank);
	FrPoll poll = fr_poll_begin(cancel);

	for (size_t i = 0; i < count; i++)
	{
		size_t c = i / parameters.inner % parameters.count;
		int zero = parameters.zero ? load_integer(parameters.zero, c) : 0;

		output[i] =
			quantize_float(input[i], parameters.scale[c], zero, is_signed);
		if (fr_poll(&poll, ELEMENT_WORK))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}

FR_DECLARE_RUN(dequantize)
{
	const Parameters parameters = parameters_of(node, inputs);
	float *output = outputs[0].data;
	size_t count = fr_shape_span(&inputs[0]->shape, 0, inputs[0]->shape.rank);
	FrPoll poll = fr_poll_begin(cancel);

	for (size_t i = 0; i < count; i++)
	{
		size_t c = i / parameters.inner % parameters.count;
		int64_t zero = parameters.zero ? load_integer(parameters.zero, c) : 0;

		output[i] = (float) ((int64_t) load_integer(inputs[0], i) - zero) *
					parameters.scale[c];
		if (fr_poll(&poll, ELEMENT_WORK))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}
