/*
 * op_move.c: plain operators that rearrange data of any type: Transpose,
 * Expand, Slice, Concat, Split, Gather.
 *
 * The first three are one strided copy: the output in row-major order, the
 * input with a stride per output dimension (0 for a broadcast dimension,
 * negative for a backward slice).
 */
#include <string.h>

#include "core/nn/op_table.h"

static void
copy_element(char *out, const char *in, size_t element_bytes)
{
	switch (element_bytes)
	{
		case 4:
			memcpy(out, in, 4);
			break;
		case 8:
			memcpy(out, in, 8);
			break;
		default:
			memcpy(out, in, element_bytes);
			break;
	}
}

/* Fill output from input, which starts at element offset first and moves by
 * strides (elements) in each dimension of the output. */
static FrStatus
copy_strided(const FrTensor *input, int64_t first, const int64_t *strides,
			 FrTensor *output, const FrCancel *cancel, FrError *error)
{
	const FrShape *shape = &output->shape;
	int64_t element_bytes = (int64_t) fr_dtype_size(input->dtype);
	int last = shape->rank - 1;
	int64_t columns = last >= 0 ? shape->dims[last] : 1;
	int64_t step = (last >= 0 ? strides[last] : 0) * element_bytes;
	size_t rows = fr_shape_span(shape, 0, last > 0 ? last : 0);
	char *out = output->data;
	FrPoll poll = fr_poll_begin(cancel);

	for (size_t r = 0; columns > 0 && r < rows; r++)
	{
		size_t rest = r;
		int64_t index = first;

		for (int d = last - 1; d >= 0; d--)
		{
			index += (int64_t) (rest % (size_t) shape->dims[d]) * strides[d];
			rest /= (size_t) shape->dims[d];
		}

		const char *in = (const char *) input->data + index * element_bytes;

		for (int64_t c = 0; c < columns; c++)
		{
			copy_element(out, in + c * step, (size_t) element_bytes);
			out += element_bytes;
		}
		if (fr_poll(&poll, (size_t) columns + 8))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}

static void
row_major_strides(const FrShape *shape, int64_t strides[FR_MAX_RANK])
{
	int64_t stride = 1;

	for (int i = shape->rank - 1; i >= 0; i--)
	{
		strides[i] = stride;
		stride *= shape->dims[i];
	}
}

/* ---- Transpose ---------------------------------------------------------- */

/* The input dimension that becomes output dimension i. */
static int
permuted(const FrNode *node, int rank, int i)
{
	return node->u.transpose.rank > 0 ? node->u.transpose.permutation[i]
									  : rank - 1 - i;
}

FR_DECLARE_INFER(transpose)
{
	const FrShape *input = &inputs[0]->shape;

	if (node->u.transpose.rank > 0 && node->u.transpose.rank != input->rank)
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"The permutation has %d entries, the input %d "
							"dimensions.",
							node->u.transpose.rank, input->rank);
	outputs[0].shape.rank = input->rank;
	for (int i = 0; i < input->rank; i++)
		outputs[0].shape.dims[i] = input->dims[permuted(node, input->rank, i)];
	return FR_OK;
}

FR_DECLARE_RUN(transpose)
{
	int rank = inputs[0]->shape.rank;
	int64_t in_strides[FR_MAX_RANK] = {0}, strides[FR_MAX_RANK] = {0};

	row_major_strides(&inputs[0]->shape, in_strides);
	for (int i = 0; i < rank; i++)
		strides[i] = in_strides[permuted(node, rank, i)];
	return copy_strided(inputs[0], 0, strides, &outputs[0], cancel, error);
}

/* ---- Expand ------------------------------------------------------------- */

FR_DECLARE_INFER(expand)
{
	FrShape wanted = {0};
	char from[96], to[96];
	FrStatus status = fr_read_ints(node, inputs[1], "new shape", wanted.dims,
								   FR_MAX_RANK, &wanted.rank, error);

	if (status != FR_OK)
		return status;
	if (!fr_shape_is_static(&wanted) ||
		!fr_shape_broadcast(&inputs[0]->shape, &wanted, &outputs[0].shape))
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"Shape %s cannot expand to %s.",
							fr_shape_text(&inputs[0]->shape, from, sizeof from),
							fr_shape_text(&wanted, to, sizeof to));
	return FR_OK;
}

FR_DECLARE_RUN(expand)
{
	size_t broadcast[FR_MAX_RANK];
	int64_t strides[FR_MAX_RANK];

	(void) node;
	fr_broadcast_strides(&inputs[0]->shape, outputs[0].shape.rank, broadcast);
	for (int i = 0; i < FR_MAX_RANK; i++)
		strides[i] = (int64_t) broadcast[i];
	return copy_strided(inputs[0], 0, strides, &outputs[0], cancel, error);
}

/* ---- Slice -------------------------------------------------------------- */

/* Hold one dimension's start, end and step inside the tensor. */
static void
clamp_range(int64_t size, int64_t *start, int64_t end, int64_t *step,
			int64_t *length)
{
	bool is_forward = *step > 0;
	int64_t lowest = is_forward ? 0 : -1;
	int64_t highest = is_forward ? size : size - 1;
	int64_t distance;

	*start = *start < 0 ? *start + size : *start;
	*start = *start < 0 ? 0 : *start > highest ? highest : *start;
	end = end < 0 ? end + size : end;
	end = end < lowest ? lowest : end > size ? size : end;
	/* A step beyond the tensor takes one element, as does one of its size. */
	if (*step > size + 1)
		*step = size + 1;
	if (*step < -size - 1)
		*step = -size - 1;
	distance = is_forward ? end - *start : *start - end;
	if (size == 0)
		distance = 0; /* backwards, start and end are 0 and -1 */
	*length =
		distance > 0 ? (distance - 1) / (is_forward ? *step : -*step) + 1 : 0;
}

FrStatus
fr_slice_ranges(const FrNode *node, const FrTensor *const *inputs,
				int64_t starts[FR_MAX_RANK], int64_t steps[FR_MAX_RANK],
				int64_t lengths[FR_MAX_RANK], FrError *error)
{
	static const char *const names[] = {NULL, "starts", "ends", "axes",
										"steps"};
	const FrShape *shape = &inputs[0]->shape;
	int64_t values[5][FR_MAX_RANK];
	int counts[5] = {0};

	for (int i = 1; i < node->input_count; i++)
	{
		if (!inputs[i])
			continue;

		FrStatus status = fr_read_ints(node, inputs[i], names[i], values[i],
									   FR_MAX_RANK, &counts[i], error);

		if (status != FR_OK)
			return status;
		if (counts[i] != counts[1])
			return fr_node_fail(error, FR_ERR_CORRUPT, node,
								"There are %d starts but %d %s.", counts[1],
								counts[i], names[i]);
	}
	for (int i = 0; i < shape->rank; i++)
	{
		starts[i] = 0;
		steps[i] = 1;
		lengths[i] = shape->dims[i];
	}
	for (int i = 0; i < counts[1]; i++)
	{
		int axis = i;

		if (!fr_axis_normalize(counts[3] > 0 ? values[3][i] : i, shape->rank,
							   &axis))
			return fr_node_fail(error, FR_ERR_MISMATCH, node,
								"It slices an axis that does not exist.");
		starts[axis] = values[1][i];
		steps[axis] = counts[4] > 0 ? values[4][i] : 1;
		if (steps[axis] == 0)
			return fr_node_fail(error, FR_ERR_CORRUPT, node, "A step is 0.");
		clamp_range(shape->dims[axis], &starts[axis], values[2][i],
					&steps[axis], &lengths[axis]);
	}
	return FR_OK;
}

FR_DECLARE_INFER(slice)
{
	int64_t starts[FR_MAX_RANK], steps[FR_MAX_RANK];

	outputs[0].shape.rank = inputs[0]->shape.rank;
	return fr_slice_ranges(node, inputs, starts, steps, outputs[0].shape.dims,
						   error);
}

FR_DECLARE_RUN(slice)
{
	int64_t starts[FR_MAX_RANK], steps[FR_MAX_RANK], lengths[FR_MAX_RANK];
	int64_t strides[FR_MAX_RANK] = {0};
	int64_t first = 0;
	FrStatus status =
		fr_slice_ranges(node, inputs, starts, steps, lengths, error);

	if (status != FR_OK)
		return status;
	row_major_strides(&inputs[0]->shape, strides);
	for (int i = 0; i < inputs[0]->shape.rank; i++)
	{
		first += starts[i] * strides[i];
		strides[i] *= steps[i];
	}
	return copy_strided(inputs[0], first, strides, &outputs[0], cancel, error);
}

/* ---- Concat and Split --------------------------------------------------- */

/* Copy rows blocks of block_bytes, each stride bytes after the last. */
static FrStatus
copy_blocks(char *out, size_t out_stride, const char *in, size_t in_stride,
			size_t block_bytes, size_t rows, FrPoll *poll, FrError *error)
{
	for (size_t i = 0; i < rows && block_bytes > 0; i++)
	{
		memcpy(out + i * out_stride, in + i * in_stride, block_bytes);
		if (fr_poll(poll, block_bytes / 8 + 8))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}

FR_DECLARE_INFER(concat)
{
	FrShape *output = &outputs[0].shape;
	char first[96], other[96];
	int axis;

	*output = inputs[0]->shape;
	if (!fr_axis_normalize(node->u.axis.axis, output->rank, &axis))
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"Axis %d does not exist.", node->u.axis.axis);
	for (int i = 1; i < node->input_count; i++)
	{
		FrShape rest = inputs[i]->shape;
		int64_t added = axis < rest.rank ? rest.dims[axis] : 0;

		rest.dims[axis] = output->dims[axis];
		if (!fr_shape_equal(&rest, output) ||
			inputs[i]->dtype != inputs[0]->dtype)
			return fr_node_fail(
				error, FR_ERR_MISMATCH, node,
				"Shapes %s and %s do not fit together along axis %d.",
				fr_shape_text(&inputs[0]->shape, first, sizeof first),
				fr_shape_text(&inputs[i]->shape, other, sizeof other), axis);
		output->dims[axis] += added;
	}
	return FR_OK;
}

FR_DECLARE_RUN(concat)
{
	const FrShape *shape = &outputs[0].shape;
	size_t element_bytes = fr_dtype_size(inputs[0]->dtype);
	FrPoll poll = fr_poll_begin(cancel);
	FrStatus status = FR_OK;
	char *out = outputs[0].data;
	int axis = 0;

	fr_axis_normalize(node->u.axis.axis, shape->rank, &axis);

	size_t rows = fr_shape_span(shape, 0, axis);
	size_t out_bytes = fr_shape_span(shape, axis, shape->rank) * element_bytes;

	for (int i = 0; status == FR_OK && i < node->input_count; i++)
	{
		size_t block_bytes =
			fr_shape_span(&inputs[i]->shape, axis, shape->rank) * element_bytes;

		status = copy_blocks(out, out_bytes, inputs[i]->data, block_bytes,
							 block_bytes, rows, &poll, error);
		out += block_bytes;
	}
	return status;
}

FR_DECLARE_INFER(split)
{
	const FrShape *input = &inputs[0]->shape;
	int64_t sizes[FR_MAX_NODE_OUTPUTS];
	int64_t sum = 0;
	int axis, count = node->output_count;
	FrStatus status = FR_OK;

	if (!fr_axis_normalize(node->u.axis.axis, input->rank, &axis))
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"Axis %d does not exist.", node->u.axis.axis);

	int64_t size = input->dims[axis];
	/* Equal parts; the last one takes what is left. */
	int64_t part = (size + count - 1) / count;

	for (int i = 0; i < count; i++)
		sizes[i] = size - i * part < part ? size - i * part : part;
	if (node->input_count > 1 && inputs[1])
		status = fr_read_ints(node, inputs[1], "sizes", sizes,
							  FR_MAX_NODE_OUTPUTS, &count, error);
	if (status != FR_OK)
		return status;
	for (int i = 0; i < count && sum >= 0; i++)
		sum = sizes[i] < 0 || sizes[i] > size ? -1 : sum + sizes[i];
	if (sum != size || count != node->output_count)
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"A dimension of %lld cannot be split into these "
							"%d parts.",
							(long long) size, node->output_count);
	for (int i = 0; i < count; i++)
	{
		outputs[i].shape = *input;
		outputs[i].shape.dims[axis] = sizes[i];
	}
	return FR_OK;
}

FR_DECLARE_RUN(split)
{
	const FrShape *shape = &inputs[0]->shape;
	size_t element_bytes = fr_dtype_size(inputs[0]->dtype);
	FrPoll poll = fr_poll_begin(cancel);
	FrStatus status = FR_OK;
	const char *in = inputs[0]->data;
	int axis = 0;

	fr_axis_normalize(node->u.axis.axis, shape->rank, &axis);

	size_t rows = fr_shape_span(shape, 0, axis);
	size_t in_bytes = fr_shape_span(shape, axis, shape->rank) * element_bytes;

	for (int i = 0; status == FR_OK && i < node->output_count; i++)
	{
		size_t block_bytes =
			fr_shape_span(&outputs[i].shape, axis, shape->rank) * element_bytes;

		status = copy_blocks(outputs[i].data, block_bytes, in, in_bytes,
							 block_bytes, rows, &poll, error);
		in += block_bytes;
	}
	return status;
}

/* ---- Gather ------------------------------------------------------------- */

FR_DECLARE_INFER(gather)
{
	const FrShape *input = &inputs[0]->shape, *indices = &inputs[1]->shape;
	FrShape *output = &outputs[0].shape;
	int axis;

	if (!fr_axis_normalize(node->u.axis.axis, input->rank, &axis))
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"Axis %d does not exist.", node->u.axis.axis);
	if (inputs[1]->dtype != FR_INT64 && inputs[1]->dtype != FR_INT32)
		return fr_node_fail(error, FR_ERR_CORRUPT, node,
							"The indices are %s instead of integers.",
							fr_dtype_name(inputs[1]->dtype));
	if (input->rank - 1 + indices->rank > FR_MAX_RANK)
		return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
							"The result has more than %d dimensions.",
							FR_MAX_RANK);
	for (int i = 0; i < axis; i++)
		output->dims[output->rank++] = input->dims[i];
	for (int i = 0; i < indices->rank; i++)
		output->dims[output->rank++] = indices->dims[i];
	for (int i = axis + 1; i < input->rank; i++)
		output->dims[output->rank++] = input->dims[i];
	return FR_OK;
}

FR_DECLARE_RUN(gather)
{
	const FrShape *shape = &inputs[0]->shape;
	FrPoll poll = fr_poll_begin(cancel);
	char *out = outputs[0].data;
	int axis = 0;

	fr_axis_normalize(node->u.axis.axis, shape->rank, &axis);

	int64_t size = shape->dims[axis];
	size_t outer = fr_shape_span(shape, 0, axis);
	size_t count = fr_shape_span(&inputs[1]->shape, 0, inputs[1]->shape.rank);
	size_t block_bytes = fr_shape_span(shape, axis + 1, shape->rank) *
						 fr_dtype_size(inputs[0]->dtype);

	for (size_t i = 0; i < outer * count; i++)
	{
		size_t k = i % count;
		int64_t index = inputs[1]->dtype == FR_INT64
							? ((const int64_t *) inputs[1]->data)[k]
							: ((const int32_t *) inputs[1]->data)[k];

		if (index < -size || index >= size)
			return fr_node_fail(error, FR_ERR_MISMATCH, node,
								"Index %lld is outside a dimension of %lld.",
								(long long) index, (long long) size);
		index = index < 0 ? index + size : index;
		if (block_bytes > 0)
			memcpy(out + i * block_bytes,
				   (const char *) inputs[0]->data +
					   (i / count * (size_t) size + (size_t) index) *
						   block_bytes,
				   block_bytes);
		if (fr_poll(&poll, block_bytes / 8 + 8))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}
