/*
 * shape.c: shape arithmetic that several operators share; see op_table.h.
 *
 * Rules are those of the ONNX operator documents; where these leave room,
 * ONNX Runtime's behaviour is taken.
 */
#include <string.h>

#include "core/nn/op_table.h"

size_t
fr_shape_span(const FrShape *shape, int begin, int end)
{
	size_t product = 1;

	for (int i = begin; i < end; i++)
		product *= (size_t) shape->dims[i];
	return product;
}

bool
fr_axis_normalize(int64_t axis, int rank, int *out)
{
	if (axis < -rank || axis >= rank)
		return false;
	*out = (int) (axis < 0 ? axis + rank : axis);
	return true;
}

bool
fr_shape_broadcast(const FrShape *a, const FrShape *b, FrShape *out)
{
	FrShape result = {.rank = a->rank > b->rank ? a->rank : b->rank};

	for (int i = 0; i < result.rank; i++)
	{
		int ai = i - (result.rank - a->rank), bi = i - (result.rank - b->rank);
		int64_t a_dim = ai >= 0 ? a->dims[ai] : 1;
		int64_t b_dim = bi >= 0 ? b->dims[bi] : 1;

		if (a_dim != b_dim && a_dim != 1 && b_dim != 1)
			return false;
		result.dims[i] = a_dim == 1 ? b_dim : a_dim;
	}
	*out = result;
	return true;
}

void
fr_broadcast_strides(const FrShape *shape, int output_rank,
					 size_t strides[FR_MAX_RANK])
{
	size_t stride = 1;

	memset(strides, 0, FR_MAX_RANK * sizeof *strides);
	for (int i = shape->rank - 1; i >= 0; i--)
	{
		if (shape->dims[i] != 1)
			strides[i + output_rank - shape->rank] = stride;
		stride *= (size_t) shape->dims[i];
	}
}

FrStatus
fr_read_ints(const FrNode *node, const FrTensor *tensor, const char *what,
			 int64_t *out, int capacity, int *count, FrError *error)
{
	size_t found;

	if (!fr_shape_count(&tensor->shape, &found) || found > (size_t) capacity ||
		tensor->shape.rank > 1)
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"The %s must be a vector of at most %d values.",
							what, capacity);
	if (!tensor->data)
		return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
							"The %s are not constant.", what);
	for (size_t i = 0; i < found; i++)
	{
		if (tensor->dtype == FR_INT64)
			out[i] = ((const int64_t *) tensor->data)[i];
		else if (tensor->dtype == FR_INT32)
			out[i] = ((const int32_t *) tensor->data)[i];
		else
			return fr_node_fail(error, FR_ERR_MISMATCH, node,
								"The %s must be integers, not %s.", what,
								fr_dtype_name(tensor->dtype));
	}
	*count = (int) found;
	return FR_OK;
}

FrStatus
fr_check_floats(const FrNode *node, const FrTensor *const *inputs,
				FrError *error)
{
	for (int i = 0; i < node->input_count; i++)
		if (inputs[i] && inputs[i]->dtype != FR_FLOAT32)
			return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
								"Input %d is %s; float32 is supported.", i,
								fr_dtype_name(inputs[i]->dtype));
	return FR_OK;
}

FrStatus
fr_read_axes(const FrNode *node, const FrTensor *tensor, int rank,
			 unsigned *mask, bool *is_given, FrError *error)
{
	int64_t axes[FR_MAX_RANK];
	int count = 0, axis;

	*mask = 0;
	*is_given = false;
	if (!tensor)
		return FR_OK;

	FrStatus status =
		fr_read_ints(node, tensor, "axes", axes, FR_MAX_RANK, &count, error);

	if (status != FR_OK)
		return status;
	for (int i = 0; i < count; i++)
	{
		if (!fr_axis_normalize(axes[i], rank, &axis))
			return fr_node_fail(error, FR_ERR_MISMATCH, node,
								"Axis %lld does not exist in a tensor of %d "
								"dimensions.",
								(long long) axes[i], rank);
		*mask |= 1u << axis;
	}
	*is_given = count > 0;
	return FR_OK;
}

/* ---- windows ------------------------------------------------------------ */

static FrStatus
check_window(const FrNode *node, const FrWindow *window, FrError *error)
{
	bool is_sane = window->group >= 1;

	for (int i = 0; i < 2; i++)
		is_sane &= window->kernel[i] >= 1 && window->stride[i] >= 1 &&
				   window->dilation[i] >= 1 && window->output_padding[i] >= 0 &&
				   window->pad[i] >= 0 && window->pad[i + 2] >= 0;
	if (!is_sane)
		return fr_node_fail(error, FR_ERR_CORRUPT, node,
							"Kernel sizes, strides, dilations and groups must "
							"be positive and pads not negative.");
	return FR_OK;
}

/* Share a total padding between the begin and the end of one axis. */
static void
set_pads(FrWindow *window, int axis, int64_t total)
{
	int64_t begin = total > 0 ? total / 2 : 0;
	int64_t end = total > 0 ? total - begin : 0;

	if (window->auto_pad == FR_PAD_SAME_LOWER)
	{
		int64_t smaller = begin;

		begin = end;
		end = smaller;
	}
	window->pad[axis] = (int) begin;
	window->pad[axis + 2] = (int) end;
}

/* Conv and the pools along one axis. */
static FrStatus
resolve_axis(const FrNode *node, FrWindow *window, int axis, int64_t input,
			 int64_t *output, FrError *error)
{
	int64_t stride = window->stride[axis];
	int64_t reach =
		(int64_t) window->dilation[axis] * (window->kernel[axis] - 1) + 1;

	if (window->auto_pad == FR_PAD_SAME_UPPER ||
		window->auto_pad == FR_PAD_SAME_LOWER)
	{
		int64_t total = ((input + stride - 1) / stride - 1) * stride + reach;

		if (total - input > INT32_MAX)
			return fr_node_fail(error, FR_ERR_LIMIT, node,
								"The window reaches %lld pixels.",
								(long long) reach);
		set_pads(window, axis, total - input);
	}
	else if (window->auto_pad == FR_PAD_VALID)
		set_pads(window, axis, 0);

	int64_t padded = input + window->pad[axis] + window->pad[axis + 2];

	if (padded < reach)
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"The window reaches %lld pixels, but the padded "
							"input has %lld.",
							(long long) reach, (long long) padded);

	int64_t steps = padded - reach;

	*output = steps / stride + 1;
	if (window->ceil_mode && steps % stride != 0)
		++*output;
	/* With ceil_mode the last window must start inside the input or the
	 * padding before it (ONNX pull request 5741). */
	if (window->ceil_mode && *output > 1 &&
		(*output - 1) * stride >= input + window->pad[axis])
		--*output;
	return FR_OK;
}

/* ConvTranspose along one axis. */
static FrStatus
resolve_transposed_axis(const FrNode *node, FrWindow *window, int axis,
						int64_t input, int64_t *output, FrError *error)
{
	int64_t stride = window->stride[axis];
	int64_t reach =
		(int64_t) window->dilation[axis] * (window->kernel[axis] - 1) + 1;
	int64_t full = stride * (input - 1) + window->output_padding[axis] + reach;
	int64_t wanted = 0;

	if (window->output_size[axis] > 0)
		wanted = window->output_size[axis];
	else if (window->auto_pad == FR_PAD_SAME_UPPER ||
			 window->auto_pad == FR_PAD_SAME_LOWER)
		wanted = input * stride;
	if (wanted > 0)
	{
		if (full - wanted > INT32_MAX)
			return fr_node_fail(error, FR_ERR_LIMIT, node,
								"The output needs pads of %lld pixels.",
								(long long) (full - wanted));
		/* SAME_UPPER crops the odd pixel at the end; SAME_LOWER, and an
		 * output_shape without auto_pad, at the begin. */
		FrAutoPad side = window->auto_pad;

		window->auto_pad =
			side == FR_PAD_SAME_UPPER ? FR_PAD_SAME_UPPER : FR_PAD_SAME_LOWER;
		set_pads(window, axis, full - wanted);
		window->auto_pad = side;
		if (full < wanted)
			window->output_padding[axis] += (int) (wanted - full);
		*output = wanted;
	}
	else
	{
		if (window->auto_pad == FR_PAD_VALID)
			set_pads(window, axis, 0);
		*output = full - window->pad[axis] - window->pad[axis + 2];
	}
	if (*output < 1)
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"The pads leave nothing of the output.");
	return FR_OK;
}

FrStatus
fr_window_resolve(const FrNode *node, const FrShape *input,
				  const FrShape *weights, FrWindow *window,
				  int64_t output_size[2], FrError *error)
{
	if (input->rank != 4 || (weights && weights->rank != 4))
		return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
							"Only two-dimensional windows are supported, over "
							"tensors of 4 dimensions.");
	*window = node->u.window;
	for (int axis = 0; weights && axis < 2; axis++)
	{
		if (window->kernel[axis] == 0 && weights->dims[2 + axis] < INT32_MAX)
			window->kernel[axis] = (int) weights->dims[2 + axis];
		if (window->kernel[axis] != weights->dims[2 + axis])
			return fr_node_fail(error, FR_ERR_CORRUPT, node,
								"The kernel is %d x %d, but the weights are "
								"for %lld x %lld.",
								window->kernel[0], window->kernel[1],
								(long long) weights->dims[2],
								(long long) weights->dims[3]);
	}

	FrStatus status = check_window(node, window, error);

	for (int axis = 0; status == FR_OK && axis < 2; axis++)
	{
		int64_t size = input->dims[2 + axis];

		if (size < 1)
			return fr_node_fail(error, FR_ERR_MISMATCH, node,
								"The input is empty.");
		if (node->op == FR_OP_CONV_TRANSPOSE)
			status = resolve_transposed_axis(node, window, axis, size,
											 &output_size[axis], error);
		else
			status = resolve_axis(node, window, axis, size, &output_size[axis],
								  error);
	}
	window->auto_pad = FR_PAD_EXPLICIT;
	window->output_size[0] = window->output_size[1] = 0;
	return status;
}
