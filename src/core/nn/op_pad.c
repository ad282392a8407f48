/*
 * op_pad.c: plain Pad with a constant, by reflection, or by repeating the
 * edge; negative pads crop.
 */
#include <string.h>

#include "core/nn/op_table.h"

/* The pads before and after each dimension. */
static FrStatus
read_pads(const FrNode *node, const FrTensor *const *inputs,
		  int64_t begins[FR_MAX_RANK], int64_t ends[FR_MAX_RANK],
		  FrError *error)
{
	int rank = inputs[0]->shape.rank;
	int64_t pads[2 * FR_MAX_RANK], axes[FR_MAX_RANK];
	int count, axis_count = rank;
	FrStatus status = fr_read_ints(node, inputs[1], "pads", pads,
								   2 * FR_MAX_RANK, &count, error);

	memset(begins, 0, FR_MAX_RANK * sizeof *begins);
	memset(ends, 0, FR_MAX_RANK * sizeof *ends);
	for (int i = 0; i < rank; i++)
		axes[i] = i;
	if (status == FR_OK && node->input_count > 3 && inputs[3])
		status = fr_read_ints(node, inputs[3], "axes", axes, FR_MAX_RANK,
							  &axis_count, error);
	if (status != FR_OK)
		return status;
	if (count != 2 * axis_count)
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"%d pads are given for %d dimensions.", count,
							axis_count);
	for (int i = 0; i < axis_count; i++)
	{
		int64_t before = pads[i], after = pads[i + axis_count];
		int axis;

		if (!fr_axis_normalize(axes[i], rank, &axis) || before < -FR_MAX_DIM ||
			before > FR_MAX_DIM || after < -FR_MAX_DIM || after > FR_MAX_DIM)
			return fr_node_fail(error, FR_ERR_MISMATCH, node,
								"Pads %lld and %lld of axis %lld are out of "
								"range.",
								(long long) before, (long long) after,
								(long long) axes[i]);
		begins[axis] = before;
		ends[axis] = after;
	}
	return FR_OK;
}

FR_DECLARE_INFER(pad)
{
	const FrShape *input = &inputs[0]->shape;
	int64_t begins[FR_MAX_RANK], ends[FR_MAX_RANK];
	bool is_mirrored = node->u.pad.is_reflect || node->u.pad.is_edge;
	FrStatus status = read_pads(node, inputs, begins, ends, error);

	if (status != FR_OK)
		return status;
	outputs[0].shape.rank = input->rank;
	for (int i = 0; i < input->rank; i++)
	{
		int64_t size = input->dims[i] + begins[i] + ends[i];
		int64_t reach = node->u.pad.is_reflect ? input->dims[i] - 1 : INT64_MAX;

		if (size < 0 || (is_mirrored && input->dims[i] == 0) ||
			begins[i] > reach || ends[i] > reach)
			return fr_node_fail(error, FR_ERR_MISMATCH, node,
								"Pads %lld and %lld do not fit dimension %d "
								"of %lld.",
								(long long) begins[i], (long long) ends[i], i,
								(long long) input->dims[i]);
		outputs[0].shape.dims[i] = size;
	}
	if (node->input_count > 2 && inputs[2] &&
		(inputs[2]->dtype != inputs[0]->dtype ||
		 fr_shape_span(&inputs[2]->shape, 0, inputs[2]->shape.rank) != 1))
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"The fill value does not fit the input.");
	return FR_OK;
}

/* The input index behind an output index, -1 for the fill value. */
static int64_t
source_index(const FrNode *node, int64_t index, int64_t size)
{
	if (index >= 0 && index < size)
		return index;
	if (node->u.pad.is_edge)
		return index < 0 ? 0 : size - 1;
	if (node->u.pad.is_reflect)
		return index < 0 ? -index : 2 * (size - 1) - index;
	return -1;
}

FR_DECLARE_RUN(pad)
{
	const FrShape *in_shape = &inputs[0]->shape, *shape = &outputs[0].shape;
	size_t element_bytes = fr_dtype_size(inputs[0]->dtype);
	int64_t begins[FR_MAX_RANK], ends[FR_MAX_RANK];
	int64_t position[FR_MAX_RANK] = {0};
	const char zeros[8] = {0};
	const char *fill = node->input_count > 2 && inputs[2]
						   ? (const char *) inputs[2]->data
						   : zeros;
	char *out = outputs[0].data;
	FrPoll poll = fr_poll_begin(cancel);
	FrStatus status = read_pads(node, inputs, begins, ends, error);

	if (status != FR_OK)
		return status;
	for (size_t i = 0, count = fr_shape_span(shape, 0, shape->rank); i < count;
		 i++)
	{
		int64_t offset = 0;

		for (int d = 0; d < shape->rank && offset >= 0; d++)
		{
			int64_t at =
				source_index(node, position[d] - begins[d], in_shape->dims[d]);

			offset = at < 0 ? -1 : offset * in_shape->dims[d] + at;
		}
		memcpy(out + i * element_bytes,
			   offset < 0 ? fill
						  : (const char *) inputs[0]->data +
								(size_t) offset * element_bytes,
			   element_bytes);
		for (int d = shape->rank - 1; d >= 0 && ++position[d] == shape->dims[d];
			 d--)
			position[d] = 0;
		if (fr_poll(&poll, 16))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}
