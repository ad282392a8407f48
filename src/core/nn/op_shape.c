/*
 * op_shape.c: operators that change a tensor's shape but not its data
 * (Reshape, Flatten, Squeeze, Unsqueeze, Identity), Shape and
 * ConstantOfShape.
 */
#include <string.h>

#include "core/nn/op_table.h"

FR_DECLARE_INFER(identity)
{
	(void) node;
	(void) error;
	outputs[0].shape = inputs[0]->shape;
	return FR_OK;
}

FR_DECLARE_INFER(flatten)
{
	const FrShape *input = &inputs[0]->shape;
	int axis = node->u.axis.axis;

	if (axis < 0)
		axis += input->rank;
	if (axis < 0 || axis > input->rank)
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"Axis %d does not exist in a tensor of %d "
							"dimensions.",
							node->u.axis.axis, input->rank);
	outputs[0].shape =
		(FrShape){2,
				  {(int64_t) fr_shape_span(input, 0, axis),
				   (int64_t) fr_shape_span(input, axis, input->rank)}};
	return FR_OK;
}

/* Put what is left of the elements into the dimension that is -1. */
static FrStatus
infer_open_dimension(const FrNode *node, const FrShape *input, FrShape *output,
					 int open, FrError *error)
{
	size_t have, fixed;
	char from[96], to[96];

	fr_shape_text(output, to, sizeof to);
	if (open >= 0)
		output->dims[open] = 1;
	if (!fr_shape_count(output, &fixed) || !fr_shape_count(input, &have) ||
		(open >= 0 ? fixed == 0 || have % fixed != 0 : have != fixed))
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"Shape %s cannot become %s.",
							fr_shape_text(input, from, sizeof from), to);
	if (open >= 0)
		output->dims[open] = (int64_t) (have / fixed);
	return FR_OK;
}

FR_DECLARE_INFER(reshape)
{
	const FrShape *input = &inputs[0]->shape;
	FrShape *output = &outputs[0].shape;
	int64_t wanted[FR_MAX_RANK];
	int open = -1;
	FrStatus status = fr_read_ints(node, inputs[1], "new shape", wanted,
								   FR_MAX_RANK, &output->rank, error);

	if (status != FR_OK)
		return status;
	for (int i = 0; i < output->rank; i++)
	{
		bool is_copied = wanted[i] == 0 && !node->u.reshape.allow_zero;

		if (wanted[i] < -1 || (wanted[i] == -1 && open >= 0) ||
			(is_copied && i >= input->rank) || wanted[i] > FR_MAX_DIM)
			return fr_node_fail(error, FR_ERR_MISMATCH, node,
								"Dimension %d of the new shape is %lld.", i,
								(long long) wanted[i]);
		if (wanted[i] == -1)
			open = i;
		output->dims[i] = is_copied ? input->dims[i] : wanted[i];
	}
	return infer_open_dimension(node, input, output, open, error);
}

FR_DECLARE_INFER(squeeze)
{
	const FrShape *input = &inputs[0]->shape;
	FrShape *output = &outputs[0].shape;
	const FrTensor *axes = node->input_count > 1 ? inputs[1] : NULL;
	unsigned mask;
	bool is_given;
	FrStatus status =
		fr_read_axes(node, axes, input->rank, &mask, &is_given, error);

	if (status != FR_OK)
		return status;
	for (int i = 0; i < input->rank; i++)
	{
		bool is_named = mask >> i & 1;

		if (is_named && input->dims[i] != 1)
			return fr_node_fail(error, FR_ERR_MISMATCH, node,
								"Dimension %d is %lld and cannot be squeezed.",
								i, (long long) input->dims[i]);
		if (!is_named && (is_given || input->dims[i] != 1))
			output->dims[output->rank++] = input->dims[i];
	}
	return FR_OK;
}

FR_DECLARE_INFER(unsqueeze)
{
	const FrShape *input = &inputs[0]->shape;
	FrShape *output = &outputs[0].shape;
	int64_t axes[FR_MAX_RANK];
	int count, next = 0;
	unsigned mask;
	bool is_given;
	FrStatus status =
		fr_read_ints(node, inputs[1], "axes", axes, FR_MAX_RANK, &count, error);

	if (status != FR_OK)
		return status;
	if (input->rank + count > FR_MAX_RANK)
		return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
							"The result has %d dimensions; at most %d are "
							"supported.",
							input->rank + count, FR_MAX_RANK);
	status = fr_read_axes(node, inputs[1], input->rank + count, &mask,
						  &is_given, error);
	if (status != FR_OK)
		return status;
	if (__builtin_popcount(mask) != count)
		return fr_node_fail(error, FR_ERR_CORRUPT, node,
							"An axis is named twice.");
	output->rank = input->rank + count;
	for (int i = 0; i < output->rank; i++)
		output->dims[i] = mask >> i & 1 ? 1 : input->dims[next++];
	return FR_OK;
}

FR_DECLARE_RUN(copy)
{
	const char *input = inputs[0]->data;
	char *output = outputs[0].data;
	FrPoll poll = fr_poll_begin(cancel);
	size_t size_bytes =
		fr_shape_span(&inputs[0]->shape, 0, inputs[0]->shape.rank) *
		fr_dtype_size(inputs[0]->dtype);

	(void) node;
	for (size_t at = 0; at < size_bytes; at += FR_POLL_WORK)
	{
		size_t left = size_bytes - at;

		memcpy(output + at, input + at,
			   left < FR_POLL_WORK ? left : FR_POLL_WORK);
		if (fr_poll(&poll, FR_POLL_WORK / 8))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}

/* ---- Shape -------------------------------------------------------------- */

/* The part of the dimensions that opset 15's start and end choose. */
static void
shape_range(const FrNode *node, int rank, int *start, int *end)
{
	int64_t from = node->u.shape.start, to = node->u.shape.end;

	from = from < 0 ? from + rank : from;
	to = to < 0 ? to + rank : to;
	from = from < 0 ? 0 : from > rank ? rank : from;
	to = to < from ? from : to > rank ? rank : to;
	*start = (int) from;
	*end = (int) to;
}

FR_DECLARE_INFER(shape)
{
	int start, end;

	(void) error;
	shape_range(node, inputs[0]->shape.rank, &start, &end);
	outputs[0].dtype = FR_INT64;
	outputs[0].shape = (FrShape){1, {end - start}};
	return FR_OK;
}

/* Reads the input's shape only; its data may be absent. */
FR_DECLARE_RUN(shape)
{
	int start, end;

	(void) cancel;
	(void) error;
	shape_range(node, inputs[0]->shape.rank, &start, &end);
	for (int i = start; i < end; i++)
		((int64_t *) outputs[0].data)[i - start] = inputs[0]->shape.dims[i];
	return FR_OK;
}

/* ---- ConstantOfShape ---------------------------------------------------- */

FR_DECLARE_INFER(constant_of_shape)
{
	FrShape *output = &outputs[0].shape;
	FrStatus status = fr_read_ints(node, inputs[0], "shape", output->dims,
								   FR_MAX_RANK, &output->rank, error);

	for (int i = 0; status == FR_OK && i < output->rank; i++)
		if (output->dims[i] < 0)
			status = fr_node_fail(error, FR_ERR_MISMATCH, node,
								  "Dimension %d is %lld.", i,
								  (long long) output->dims[i]);
	outputs[0].dtype = node->u.fill.dtype;
	return status;
}

FR_DECLARE_RUN(constant_of_shape)
{
	FrTensor *output = &outputs[0];
	double value = node->u.fill.value;
	FrPoll poll = fr_poll_begin(cancel);
	size_t count = fr_shape_span(&output->shape, 0, output->shape.rank);

	(void) inputs;
	for (size_t i = 0; i < count; i++)
	{
		if (output->dtype == FR_FLOAT32)
			((float *) output->data)[i] = (float) value;
		else if (output->dtype == FR_INT64)
			((int64_t *) output->data)[i] =
				value < 0x1p63 ? (int64_t) value : INT64_MAX;
		else if (output->dtype == FR_INT32)
			((int32_t *) output->data)[i] = (int32_t) value;
		else
			((uint8_t *) output->data)[i] = (uint8_t) (int) value;
		if (fr_poll(&poll, 1))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}
