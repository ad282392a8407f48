/*
 * op_reduce.c: plain ReduceMean, ReduceSum, ReduceMax, ReduceMin, ReduceL2.
 *
 * The axes split into those that are kept and those that are reduced; each
 * output element walks its part of the input in row-major order.
 */
#include <math.h>

#include "core/nn/op_table.h"

/* Dimensions and strides of a walk over some of a tensor's axes. */
typedef struct Walk
{
	int rank;
	size_t dims[FR_MAX_RANK], strides[FR_MAX_RANK];
	size_t count;
} Walk;

static FrStatus
reduced_axes(const FrNode *node, const FrTensor *const *inputs, unsigned *mask,
			 FrError *error)
{
	int rank = inputs[0]->shape.rank;
	const FrTensor *axes = node->input_count > 1 ? inputs[1] : NULL;
	bool is_given;
	FrStatus status = fr_read_axes(node, axes, rank, mask, &is_given, error);

	if (status == FR_OK && !is_given && !node->u.reduce.is_noop_if_empty)
		*mask = (1u << rank) - 1;
	return status;
}

FR_DECLARE_INFER(reduce)
{
	const FrShape *input = &inputs[0]->shape;
	FrDtype dtype = inputs[0]->dtype;
	unsigned mask;
	FrStatus status = reduced_axes(node, inputs, &mask, error);

	if (status != FR_OK)
		return status;
	if (dtype != FR_FLOAT32 && (node->op == FR_OP_REDUCE_L2 ||
								(dtype != FR_INT64 && dtype != FR_INT32)))
		return fr_node_fail(error, FR_ERR_UNSUPPORTED, node, "The input is %s.",
							fr_dtype_name(dtype));
	outputs[0].shape.rank = 0;
	for (int i = 0; i < input->rank; i++)
	{
		FrShape *out = &outputs[0].shape;
		bool is_reduced = mask >> i & 1;

		if (is_reduced && input->dims[i] == 0)
			return fr_node_fail(error, FR_ERR_MISMATCH, node,
								"The reduced dimension %d is empty.", i);
		if (!is_reduced)
			out->dims[out->rank++] = input->dims[i];
		else if (node->u.reduce.keep_dims)
			out->dims[out->rank++] = 1;
	}
	return FR_OK;
}

/* The axes whose bit in mask equals wanted. */
static Walk
make_walk(const FrShape *shape, unsigned mask, bool wanted)
{
	Walk walk = {.count = 1};
	size_t strides[FR_MAX_RANK] = {0};
	size_t stride = 1;

	for (int i = shape->rank - 1; i >= 0; i--)
	{
		strides[i] = stride;
		stride *= (size_t) shape->dims[i];
	}
	for (int i = 0; i < shape->rank; i++)
		if ((mask >> i & 1) == wanted)
		{
			walk.dims[walk.rank] = (size_t) shape->dims[i];
			walk.strides[walk.rank++] = strides[i];
			walk.count *= (size_t) shape->dims[i];
		}
	return walk;
}

static size_t
walk_offset(const Walk *walk, size_t index)
{
	size_t offset = 0;

	for (int d = walk->rank - 1; d >= 0; d--)
	{
		offset += index % walk->dims[d] * walk->strides[d];
		index /= walk->dims[d];
	}
	return offset;
}

/* The reduction of one element; false when cancelled. */
static bool
reduce_float(FrOp op, const float *input, const Walk *walk, float *out,
			 FrPoll *poll)
{
	size_t inner = walk->rank > 0 ? walk->dims[walk->rank - 1] : 1;
	size_t stride = walk->rank > 0 ? walk->strides[walk->rank - 1] : 0;
	double sum = 0;
	float low = INFINITY, high = -INFINITY;

	for (size_t begin = 0; begin < walk->count; begin += inner)
	{
		const float *row = input + walk_offset(walk, begin);

		for (size_t i = 0; i < inner; i++)
		{
			float value = row[i * stride];

			sum += op == FR_OP_REDUCE_L2 ? (double) value * (double) value
										 : (double) value;
			low = value < low ? value : low;
			high = value > high ? value : high;
		}
		if (fr_poll(poll, inner + 8))
			return false;
	}
	if (op == FR_OP_REDUCE_MAX)
		*out = high;
	else if (op == FR_OP_REDUCE_MIN)
		*out = low;
	else if (op == FR_OP_REDUCE_MEAN)
		*out = (float) (sum / (double) walk->count);
	else
		*out = (float) (op == FR_OP_REDUCE_L2 ? sqrt(sum) : sum);
	return true;
}

static bool
reduce_int(FrOp op, const FrTensor *input, size_t offset, const Walk *walk,
		   int64_t *out, FrPoll *poll)
{
	int64_t low = INT64_MAX, high = INT64_MIN;
	uint64_t sum = 0;

	for (size_t i = 0; i < walk->count; i++)
	{
		size_t at = offset + walk_offset(walk, i);
		int64_t value = input->dtype == FR_INT64
							? ((const int64_t *) input->data)[at]
							: ((const int32_t *) input->data)[at];

		sum += (uint64_t) value;
		low = value < low ? value : low;
		high = value > high ? value : high;
		if (fr_poll(poll, 8))
			return false;
	}
	if (op == FR_OP_REDUCE_MAX)
		*out = high;
	else if (op == FR_OP_REDUCE_MIN)
		*out = low;
	else if (op == FR_OP_REDUCE_MEAN)
		*out = (int64_t) sum / (int64_t) walk->count;
	else
		*out = (int64_t) sum;
	return true;
}

FR_DECLARE_RUN(reduce)
{
	const FrTensor *input = inputs[0];
	FrPoll poll = fr_poll_begin(cancel);
	unsigned mask;
	FrStatus status = reduced_axes(node, inputs, &mask, error);

	if (status != FR_OK)
		return status;

	Walk kept = make_walk(&input->shape, mask, false);
	Walk reduced = make_walk(&input->shape, mask, true);

	for (size_t i = 0; i < kept.count; i++)
	{
		size_t offset = walk_offset(&kept, i);
		int64_t result = 0;
		bool is_done;

		if (input->dtype == FR_FLOAT32)
			is_done =
				reduce_float(node->op, (const float *) input->data + offset,
							 &reduced, (float *) outputs[0].data + i, &poll);
		else
			is_done =
				reduce_int(node->op, input, offset, &reduced, &result, &poll);
		if (!is_done)
			return fr_fail_cancelled(error);
		if (input->dtype == FR_INT64)
			((int64_t *) outputs[0].data)[i] = result;
		else if (input->dtype == FR_INT32)
			((int32_t *) outputs[0].data)[i] = (int32_t) result;
	}
	return FR_OK;
}
