/*
 * op_binary.c: plain element-wise operators of two tensors, with NumPy
 * broadcasting: Add, Sub, Mul, Div, Pow, PRelu, and Min, Max and Sum of any
 * number of tensors.
 *
 * The output is walked row by row (a row is its last dimension); along a row
 * each operand moves by its stride, which is 1, or 0 where it is broadcast.
 */
#include <math.h>

#include "core/nn/op_table.h"

static bool
has_numbers(FrDtype dtype)
{
	return dtype == FR_FLOAT32 || dtype == FR_INT64 || dtype == FR_INT32;
}

FR_DECLARE_INFER(binary)
{
	char so_far[96], next[96];

	outputs[0].shape = inputs[0]->shape;
	for (int i = 0; i < node->input_count; i++)
	{
		FrShape joined;
		/* Pow's exponent may have another type. */
		bool is_same =
			inputs[i]->dtype == inputs[0]->dtype || node->op == FR_OP_POW;

		if (!has_numbers(inputs[i]->dtype) || !is_same)
			return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
								"Inputs of types %s and %s are not supported.",
								fr_dtype_name(inputs[0]->dtype),
								fr_dtype_name(inputs[i]->dtype));
		if (!fr_shape_broadcast(&outputs[0].shape, &inputs[i]->shape, &joined))
			return fr_node_fail(
				error, FR_ERR_MISMATCH, node,
				"Shapes %s and %s do not fit together.",
				fr_shape_text(&outputs[0].shape, so_far, sizeof so_far),
				fr_shape_text(&inputs[i]->shape, next, sizeof next));
		outputs[0].shape = joined;
	}
	return FR_OK;
}

/* PRelu's slope is broadcast to the input, not the reverse. */
FR_DECLARE_INFER(prelu)
{
	FrStatus status = fr_infer_binary(node, inputs, outputs, error);

	if (status != FR_OK)
		return status;
	if (!fr_shape_equal(&outputs[0].shape, &inputs[0]->shape) ||
		inputs[0]->dtype != FR_FLOAT32)
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"The slopes do not fit the input.");
	return FR_OK;
}

/* ---- rows --------------------------------------------------------------- */

typedef struct Row
{
	const void *a, *b;
	size_t a_stride, b_stride; /* elements, 0 or 1 */
	void *out;
	size_t count;
} Row;

#define EACH_FLOAT(expression)              \
	for (size_t i = 0; i < row->count; i++) \
	{                                       \
		float x = a[i * row->a_stride];     \
		float y = b[i * row->b_stride];     \
                                            \
		out[i] = (expression);              \
	}                                       \
	break

static void
float_row(FrOp op, const Row *row)
{
	const float *a = row->a, *b = row->b;
	float *out = row->out;

	switch ((int) op)
	{
		case FR_OP_ADD:
		case FR_OP_SUM:
			EACH_FLOAT(x + y);
		case FR_OP_SUB:
			EACH_FLOAT(x - y);
		case FR_OP_MUL:
			EACH_FLOAT(x * y);
		case FR_OP_DIV:
			EACH_FLOAT(x / y);
		case FR_OP_POW:
			EACH_FLOAT(powf(x, y));
		case FR_OP_MIN:
			EACH_FLOAT(x < y || isnan(x) ? x : y);
		case FR_OP_MAX:
			EACH_FLOAT(x > y || isnan(x) ? x : y);
		case FR_OP_PRELU:
			EACH_FLOAT(x < 0.0f ? x * y : x);
		default:
			break;
	}
}

static double
number_at(const void *data, FrDtype dtype, size_t i)
{
	if (dtype == FR_FLOAT32)
		return (double) ((const float *) data)[i];
	return dtype == FR_INT64 ? (double) ((const int64_t *) data)[i]
							 : ((const int32_t *) data)[i];
}

/* Integer arithmetic wraps, as in ONNX Runtime; division by zero fails. */
static bool
apply_int(FrOp op, int64_t x, int64_t y, int64_t *out)
{
	switch ((int) op)
	{
		case FR_OP_ADD:
		case FR_OP_SUM:
			*out = (int64_t) ((uint64_t) x + (uint64_t) y);
			return true;
		case FR_OP_SUB:
			*out = (int64_t) ((uint64_t) x - (uint64_t) y);
			return true;
		case FR_OP_MUL:
			*out = (int64_t) ((uint64_t) x * (uint64_t) y);
			return true;
		case FR_OP_DIV:
			if (y == 0)
				return false;
			*out = y == -1 ? (int64_t) (0 - (uint64_t) x) : x / y;
			return true;
		case FR_OP_MIN:
			*out = x < y ? x : y;
			return true;
		default:
			*out = x > y ? x : y;
			return true;
	}
}

static bool
int_row(FrOp op, FrDtype dtype, const Row *row)
{
	for (size_t i = 0; i < row->count; i++)
	{
		size_t ai = i * row->a_stride, bi = i * row->b_stride;
		int64_t result;

		if (dtype == FR_INT64)
		{
			if (!apply_int(op, ((const int64_t *) row->a)[ai],
						   ((const int64_t *) row->b)[bi], &result))
				return false;
			((int64_t *) row->out)[i] = result;
		}
		else
		{
			if (!apply_int(op, ((const int32_t *) row->a)[ai],
						   ((const int32_t *) row->b)[bi], &result))
				return false;
			((int32_t *) row->out)[i] = (int32_t) result;
		}
	}
	return true;
}

/* Pow where the types differ or are integers; the result has x's type. */
static void
mixed_pow_row(FrDtype a_dtype, FrDtype b_dtype, const Row *row)
{
	for (size_t i = 0; i < row->count; i++)
	{
		double x = number_at(row->a, a_dtype, i * row->a_stride);
		double y = number_at(row->b, b_dtype, i * row->b_stride);
		double power = pow(x, y);
		bool is_in_range = power > -0x1p63 && power < 0x1p63;

		if (a_dtype == FR_FLOAT32)
			((float *) row->out)[i] = (float) power;
		else if (a_dtype == FR_INT64)
			((int64_t *) row->out)[i] = is_in_range ? (int64_t) power : 0;
		else
			((int32_t *) row->out)[i] =
				(int32_t) (is_in_range ? (int64_t) power : 0);
	}
}

static bool
run_row(FrOp op, FrDtype a_dtype, FrDtype b_dtype, const Row *row)
{
	if (a_dtype == FR_FLOAT32 && b_dtype == FR_FLOAT32)
		float_row(op, row);
	else if (op == FR_OP_POW)
		mixed_pow_row(a_dtype, b_dtype, row);
	else
		return int_row(op, a_dtype, row);
	return true;
}

/* ---- whole tensors ------------------------------------------------------ */

/* One row in pieces, so that the poll is asked often enough. */
static FrStatus
combine_row(const FrNode *node, FrDtype a_dtype, FrDtype b_dtype,
			const Row *row, FrPoll *poll, FrError *error)
{
	size_t a_bytes = fr_dtype_size(a_dtype), b_bytes = fr_dtype_size(b_dtype);

	for (size_t begin = 0; begin < row->count; begin += FR_POLL_WORK)
	{
		size_t left = row->count - begin;
		Row piece = {
			.a = (const char *) row->a + begin * row->a_stride * a_bytes,
			.b = (const char *) row->b + begin * row->b_stride * b_bytes,
			.a_stride = row->a_stride,
			.b_stride = row->b_stride,
			.out = (char *) row->out + begin * a_bytes,
			.count = left < FR_POLL_WORK ? left : FR_POLL_WORK};

		if (!run_row(node->op, a_dtype, b_dtype, &piece))
			return fr_node_fail(error, FR_ERR_MISMATCH, node,
								"An integer is divided by zero.");
		if (fr_poll(poll, piece.count + 8))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}

/* output = a op b over the output's shape; output may be a itself when a has
 * that shape. */
static FrStatus
combine(const FrNode *node, const FrTensor *a, const FrTensor *b,
		FrTensor *output, FrPoll *poll, FrError *error)
{
	const FrShape *shape = &output->shape;
	int last = shape->rank - 1;
	size_t a_strides[FR_MAX_RANK], b_strides[FR_MAX_RANK];
	size_t count = shape->rank > 0 ? (size_t) shape->dims[last] : 1;
	size_t rows = fr_shape_span(shape, 0, last > 0 ? last : 0);
	size_t a_bytes = fr_dtype_size(a->dtype), b_bytes = fr_dtype_size(b->dtype);

	fr_broadcast_strides(&a->shape, shape->rank, a_strides);
	fr_broadcast_strides(&b->shape, shape->rank, b_strides);
	for (size_t r = 0; r < rows; r++)
	{
		size_t rest = r, a_index = 0, b_index = 0;

		for (int d = last - 1; d >= 0; d--)
		{
			size_t at = rest % (size_t) shape->dims[d];

			rest /= (size_t) shape->dims[d];
			a_index += at * a_strides[d];
			b_index += at * b_strides[d];
		}

		Row row = {.a = (const char *) a->data + a_index * a_bytes,
				   .b = (const char *) b->data + b_index * b_bytes,
				   .a_stride = last >= 0 ? a_strides[last] : 0,
				   .b_stride = last >= 0 ? b_strides[last] : 0,
				   .out = (char *) output->data + r * count * a_bytes,
				   .count = count};
		FrStatus status =
			combine_row(node, a->dtype, b->dtype, &row, poll, error);

		if (status != FR_OK)
			return status;
	}
	return FR_OK;
}

FR_DECLARE_RUN(binary)
{
	FrPoll poll = fr_poll_begin(cancel);
	const FrTensor *second = inputs[node->input_count > 1 ? 1 : 0];
	FrStatus status =
		combine(node, inputs[0], second, &outputs[0], &poll, error);

	/* Min and Max of more than two. */
	for (int i = 2; status == FR_OK && i < node->input_count; i++)
		status =
			combine(node, &outputs[0], inputs[i], &outputs[0], &poll, error);
	return status;
}
