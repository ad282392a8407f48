/*
 * op_unary.c: plain element-wise operators of one tensor, Clip and Cast.
 */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "core/nn/op_table.h"

/* Elements between two polls; also the unit of work. */
#define CHUNK ((size_t) 1 << 14)

/* Transcendental functions count as this many elementary operations. */
#define ELEMENT_WORK 16

FR_DECLARE_INFER(unary)
{
	const FrTensor *input = inputs[0];
	bool is_int = input->dtype == FR_INT64 || input->dtype == FR_INT32;
	bool has_int_form = node->op == FR_OP_ABS || node->op == FR_OP_NEG ||
						node->op == FR_OP_RELU;

	outputs[0].shape = input->shape;
	if (input->dtype == FR_FLOAT32 || (is_int && has_int_form))
		return FR_OK;
	return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
						"The input is %s; float32 is supported.",
						fr_dtype_name(input->dtype));
}

static float
sigmoid(float x)
{
	return 1.0f / (1.0f + expf(-x));
}

static float
clamp_unit(float x)
{
	return x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x;
}

static float
gelu(float x, bool is_tanh)
{
	if (!is_tanh)
		return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));

	float inner = 0.79788456080286536f * (x + 0.044715f * x * x * x);

	return 0.5f * x * (1.0f + tanhf(inner));
}

static float
apply_float(const FrNode *node, float x)
{
	float alpha = node->u.unary.alpha, beta = node->u.unary.beta;

	switch ((int) node->op)
	{
		case FR_OP_RELU:
			return x > 0.0f ? x : 0.0f;
		case FR_OP_LEAKY_RELU:
			return x < 0.0f ? alpha * x : x;
		case FR_OP_ELU:
			return x < 0.0f ? alpha * expm1f(x) : x;
		case FR_OP_SIGMOID:
			return sigmoid(x);
		case FR_OP_HARD_SIGMOID:
			return clamp_unit(alpha * x + beta);
		case FR_OP_HARD_SWISH:
			return x * clamp_unit(x / 6.0f + 0.5f);
		case FR_OP_TANH:
			return tanhf(x);
		case FR_OP_ERF:
			return erff(x);
		case FR_OP_GELU:
			return gelu(x, alpha != 0.0f);
		case FR_OP_SOFTPLUS:
			return x > 0.0f ? x + log1pf(expf(-x)) : log1pf(expf(x));
		case FR_OP_EXP:
			return expf(x);
		case FR_OP_LOG:
			return logf(x);
		case FR_OP_SQRT:
			return sqrtf(x);
		case FR_OP_ABS:
			return fabsf(x);
		case FR_OP_NEG:
			return -x;
		case FR_OP_RECIPROCAL:
			return 1.0f / x;
		case FR_OP_FLOOR:
			return floorf(x);
		case FR_OP_CEIL:
			return ceilf(x);
		default:
			return x;
	}
}

static int64_t
apply_int(FrOp op, int64_t x)
{
	bool is_flipped = op == FR_OP_NEG || (op == FR_OP_ABS && x < 0);

	if (op == FR_OP_RELU)
		return x > 0 ? x : 0;
	/* Unsigned, so that the smallest integer wraps. */
	return is_flipped ? (int64_t) (0 - (uint64_t) x) : x;
}

FR_DECLARE_RUN(unary)
{
	const void *input = inputs[0]->data;
	void *output = outputs[0].data;
	FrPoll poll = fr_poll_begin(cancel);
	size_t count = fr_shape_span(&inputs[0]->shape, 0, inputs[0]->shape.rank);

	for (size_t begin = 0; begin < count; begin += CHUNK)
	{
		size_t end = count - begin > CHUNK ? begin + CHUNK : count;

		for (size_t i = begin; i < end; i++)
			if (inputs[0]->dtype == FR_FLOAT32)
				((float *) output)[i] =
					apply_float(node, ((const float *) input)[i]);
			else if (inputs[0]->dtype == FR_INT64)
				((int64_t *) output)[i] =
					apply_int(node->op, ((const int64_t *) input)[i]);
			else
				((int32_t *) output)[i] =
					(int32_t) apply_int(node->op, ((const int32_t *) input)[i]);
		if (fr_poll(&poll, ELEMENT_WORK * (end - begin)))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}

/* ---- numbers of any type ------------------------------------------------ */

static double
load_number(const FrTensor *tensor, size_t i)
{
	switch (tensor->dtype)
	{
		case FR_FLOAT32:
			return (double) ((const float *) tensor->data)[i];
		case FR_INT64:
			return (double) ((const int64_t *) tensor->data)[i];
		case FR_INT32:
			return ((const int32_t *) tensor->data)[i];
		case FR_INT8:
			return ((const int8_t *) tensor->data)[i];
		case FR_UINT8:
		case FR_BOOL:
			return ((const uint8_t *) tensor->data)[i];
		case FR_DTYPE_NONE:
		case FR_FLOAT16:
		case FR_DTYPE_COUNT:
			break;
	}
	return 0;
}

/* Towards zero, held within the integer's range; NaN is 0. */
static int64_t
int_of_double(double value)
{
	if (!(value > -0x1p63))
		return isnan(value) ? 0 : INT64_MIN;
	return value < 0x1p63 ? (int64_t) value : INT64_MAX;
}

/* Integers keep their low bits when they become narrower, as in C. */
static void
store_int(FrTensor *tensor, size_t i, int64_t value)
{
	switch ((int) tensor->dtype)
	{
		case FR_INT64:
			((int64_t *) tensor->data)[i] = value;
			break;
		case FR_INT32:
			((int32_t *) tensor->data)[i] = (int32_t) value;
			break;
		default:
			((uint8_t *) tensor->data)[i] = (uint8_t) value;
			break;
	}
}

/* ---- Clip --------------------------------------------------------------- */

FR_DECLARE_INFER(clip)
{
	outputs[0].shape = inputs[0]->shape;
	for (int i = 1; i < node->input_count; i++)
		if (inputs[i] &&
			fr_shape_span(&inputs[i]->shape, 0, inputs[i]->shape.rank) != 1)
			return fr_node_fail(error, FR_ERR_MISMATCH, node,
								"A bound is not a single number.");
	for (int i = 0; i < node->input_count; i++)
		if (inputs[i] && inputs[i]->dtype != FR_FLOAT32 &&
			inputs[i]->dtype != FR_INT64 && inputs[i]->dtype != FR_INT32)
			return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
								"Input %d is %s.", i,
								fr_dtype_name(inputs[i]->dtype));
	return FR_OK;
}

static double
read_bound(const FrNode *node, const FrTensor *const *inputs, int index,
		   double absent)
{
	return node->input_count > index && inputs[index]
			   ? load_number(inputs[index], 0)
			   : absent;
}

FR_DECLARE_RUN(clip)
{
	const FrTensor *input = inputs[0];
	double low = read_bound(node, inputs, 1, -INFINITY);
	double high = read_bound(node, inputs, 2, INFINITY);
	FrPoll poll = fr_poll_begin(cancel);
	size_t count = fr_shape_span(&input->shape, 0, input->shape.rank);

	for (size_t i = 0; i < count; i++)
	{
		double value = load_number(input, i);

		/* When the bounds cross, the upper one wins. */
		if (input->dtype == FR_FLOAT32)
		{
			value = value < low ? low : value;
			value = value > high ? high : value;
			((float *) outputs[0].data)[i] = (float) value;
		}
		else if (value < low || value > high)
			store_int(&outputs[0], i,
					  int_of_double(value > high || low > high ? high : low));
		else
			memcpy((char *) outputs[0].data + i * fr_dtype_size(input->dtype),
				   (const char *) input->data + i * fr_dtype_size(input->dtype),
				   fr_dtype_size(input->dtype));
		if (fr_poll(&poll, 4))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}

/* ---- Cast --------------------------------------------------------------- */

FR_DECLARE_INFER(cast)
{
	(void) error;
	outputs[0].shape = inputs[0]->shape;
	outputs[0].dtype = node->u.cast.to;
	return FR_OK;
}

static void
cast_element(const FrTensor *input, FrTensor *output, size_t i)
{
	if (output->dtype == FR_FLOAT32)
		((float *) output->data)[i] = (float) load_number(input, i);
	else if (output->dtype == FR_BOOL)
		((uint8_t *) output->data)[i] = load_number(input, i) != 0;
	else if (input->dtype == FR_INT64)
		store_int(output, i, ((const int64_t *) input->data)[i]);
	else
		store_int(output, i, int_of_double(load_number(input, i)));
}

FR_DECLARE_RUN(cast)
{
	FrPoll poll = fr_poll_begin(cancel);
	size_t count = fr_shape_span(&inputs[0]->shape, 0, inputs[0]->shape.rank);

	(void) node;
	for (size_t i = 0; i < count; i++)
	{
		cast_element(inputs[0], &outputs[0], i);
		if (fr_poll(&poll, 4))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}
