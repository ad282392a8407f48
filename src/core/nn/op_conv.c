/*
 * op_conv.c: plain Conv and ConvTranspose over [n, c, h, w].
 *
 * Both add, for every kernel tap, a scaled and shifted plane to an output
 * plane: rows are clipped to the part where input and output overlap, so the
 * inner loop has no bounds checks.  Summation order: input channel, kernel
 * row, kernel column.
 */
#include "core/nn/op_table.h"

/* Indices i of [0, count) with 0 <= i * stride + offset < limit. */
typedef struct Span
{
	int64_t begin, end;
} Span;

static Span
clip_span(int64_t count, int64_t stride, int64_t offset, int64_t limit)
{
	Span span = {0, 0};

	if (offset < 0)
		span.begin = (-offset + stride - 1) / stride;
	if (limit > offset)
		span.end = (limit - 1 - offset) / stride + 1;
	if (span.end > count)
		span.end = count;
	if (span.begin > span.end)
		span.begin = span.end;
	return span;
}

/* What both operators need per run. */
typedef struct ConvShape
{
	FrWindow window;
	int64_t in_size[2], out_size[2]; /* height, width */
	size_t batch, in_channels, out_channels;
	size_t group_inputs, group_outputs; /* channels per group */
} ConvShape;

static FrStatus
check_bias(const FrNode *node, const FrTensor *const *inputs,
		   int64_t out_channels, FrError *error)
{
	if (node->input_count > 2 && inputs[2] &&
		(inputs[2]->shape.rank != 1 ||
		 inputs[2]->shape.dims[0] != out_channels))
		return fr_node_fail(error, FR_ERR_CORRUPT, node,
							"The bias does not have one value for each of "
							"%lld output channels.",
							(long long) out_channels);
	return fr_check_floats(node, inputs, error);
}

static FrStatus
fail_channels(const FrNode *node, const FrTensor *const *inputs, FrError *error)
{
	char input[96], weights[96];

	return fr_node_fail(
		error, FR_ERR_MISMATCH, node,
		"Input %s and weights %s do not fit together with %d "
		"groups.",
		fr_shape_text(&inputs[0]->shape, input, sizeof input),
		fr_shape_text(&inputs[1]->shape, weights, sizeof weights),
		node->u.window.group);
}

FR_DECLARE_INFER(conv)
{
	const FrShape *input = &inputs[0]->shape, *weights = &inputs[1]->shape;
	FrWindow window;
	int64_t size[2];
	FrStatus status =
		fr_window_resolve(node, input, weights, &window, size, error);

	if (status != FR_OK)
		return status;
	if (input->dims[1] % window.group != 0 ||
		input->dims[1] / window.group != weights->dims[1] ||
		weights->dims[0] % window.group != 0)
		return fail_channels(node, inputs, error);
	outputs[0].shape =
		(FrShape){4, {input->dims[0], weights->dims[0], size[0], size[1]}};
	return check_bias(node, inputs, weights->dims[0], error);
}

FR_DECLARE_INFER(conv_transpose)
{
	const FrShape *input = &inputs[0]->shape, *weights = &inputs[1]->shape;
	FrWindow window;
	int64_t size[2];
	FrStatus status =
		fr_window_resolve(node, input, weights, &window, size, error);

	if (status != FR_OK)
		return status;
	if (input->dims[1] != weights->dims[0] ||
		input->dims[1] % window.group != 0 ||
		weights->dims[1] > FR_MAX_DIM / window.group)
		return fail_channels(node, inputs, error);

	int64_t out_channels = weights->dims[1] * window.group;

	outputs[0].shape =
		(FrShape){4, {input->dims[0], out_channels, size[0], size[1]}};
	return check_bias(node, inputs, out_channels, error);
}

static FrStatus
prepare(const FrNode *node, const FrTensor *const *inputs, ConvShape *shape,
		FrError *error)
{
	const FrShape *input = &inputs[0]->shape, *weights = &inputs[1]->shape;
	bool is_transposed = node->op == FR_OP_CONV_TRANSPOSE;
	FrStatus status = fr_window_resolve(node, input, weights, &shape->window,
										shape->out_size, error);

	if (status != FR_OK)
		return status;

	size_t group = (size_t) shape->window.group;

	shape->in_size[0] = input->dims[2];
	shape->in_size[1] = input->dims[3];
	shape->batch = (size_t) input->dims[0];
	shape->in_channels = (size_t) input->dims[1];
	shape->out_channels = is_transposed ? (size_t) weights->dims[1] * group
										: (size_t) weights->dims[0];
	shape->group_inputs = shape->in_channels / group;
	shape->group_outputs = shape->out_channels / group;
	return FR_OK;
}

/* Add one kernel tap (row ky, column kx, value weight) of one input plane to
 * one output plane.  False when cancelled. */
static bool
add_tap(const ConvShape *shape, int ky, int kx, float weight,
		const float *restrict input, float *restrict output, FrPoll *poll)
{
	const FrWindow *window = &shape->window;
	int64_t stride = window->stride[1];
	int64_t top = (int64_t) ky * window->dilation[0] - window->pad[0];
	int64_t left = (int64_t) kx * window->dilation[1] - window->pad[1];
	Span rows = clip_span(shape->out_size[0], window->stride[0], top,
						  shape->in_size[0]);
	Span columns =
		clip_span(shape->out_size[1], stride, left, shape->in_size[1]);

	for (int64_t y = rows.begin; y < rows.end; y++)
	{
		const float *in_row =
			input + (y * window->stride[0] + top) * shape->in_size[1];
		float *out_row = output + y * shape->out_size[1];

		if (stride == 1)
			for (int64_t x = columns.begin; x < columns.end; x++)
				out_row[x] += weight * in_row[x + left];
		else
			for (int64_t x = columns.begin; x < columns.end; x++)
				out_row[x] += weight * in_row[x * stride + left];
		if (fr_poll(poll, (size_t) (columns.end - columns.begin) + 8))
			return false;
	}
	return true;
}

/* The same for ConvTranspose: input pixel (y, x) goes to
 * (y * stride + offset, ...). */
static bool
add_transposed_tap(const ConvShape *shape, int ky, int kx, float weight,
				   const float *restrict input, float *restrict output,
				   FrPoll *poll)
{
	const FrWindow *window = &shape->window;
	int64_t stride = window->stride[1];
	int64_t top = (int64_t) ky * window->dilation[0] - window->pad[0];
	int64_t left = (int64_t) kx * window->dilation[1] - window->pad[1];
	Span rows = clip_span(shape->in_size[0], window->stride[0], top,
						  shape->out_size[0]);
	Span columns =
		clip_span(shape->in_size[1], stride, left, shape->out_size[1]);

	for (int64_t y = rows.begin; y < rows.end; y++)
	{
		const float *in_row = input + y * shape->in_size[1];
		float *out_row =
			output + (y * window->stride[0] + top) * shape->out_size[1];

		for (int64_t x = columns.begin; x < columns.end; x++)
			out_row[x * stride + left] += weight * in_row[x];
		if (fr_poll(poll, (size_t) (columns.end - columns.begin) + 8))
			return false;
	}
	return true;
}

typedef bool (*AddTap)(const ConvShape *, int, int, float, const float *,
					   float *, FrPoll *);

/* One output plane; weights of input channel i of the group start
 * i * weight_stride further on. */
static bool
fill_plane(const ConvShape *shape, AddTap add, const float *input,
		   const float *weights, size_t weight_stride, float *output,
		   FrPoll *poll)
{
	size_t width = (size_t) shape->window.kernel[1];
	size_t taps = (size_t) shape->window.kernel[0] * width;
	size_t in_plane = (size_t) (shape->in_size[0] * shape->in_size[1]);

	for (size_t i = 0; i < shape->group_inputs; i++)
		for (size_t k = 0; k < taps; k++)
			if (!add(shape, (int) (k / width), (int) (k % width),
					 weights[i * weight_stride + k], input + i * in_plane,
					 output, poll) ||
				fr_poll(poll, 8)) /* a tap may meet no row */
				return false;
	return true;
}

static FrStatus
run_planes(const FrNode *node, const FrTensor *const *inputs, float *output,
		   const FrCancel *cancel, FrError *error)
{
	ConvShape shape;
	FrStatus status = prepare(node, inputs, &shape, error);

	if (status != FR_OK)
		return status;

	bool is_transposed = node->op == FR_OP_CONV_TRANSPOSE;
	const float *input = inputs[0]->data, *weights = inputs[1]->data;
	const float *bias =
		node->input_count > 2 && inputs[2] ? inputs[2]->data : NULL;
	size_t taps =
		(size_t) shape.window.kernel[0] * (size_t) shape.window.kernel[1];
	size_t in_plane = (size_t) (shape.in_size[0] * shape.in_size[1]);
	size_t out_plane = (size_t) (shape.out_size[0] * shape.out_size[1]);
	FrPoll poll = fr_poll_begin(cancel);

	for (size_t plane = 0; plane < shape.batch * shape.out_channels; plane++)
	{
		size_t n = plane / shape.out_channels, oc = plane % shape.out_channels;
		size_t group = oc / shape.group_outputs;
		size_t first_input = group * shape.group_inputs;
		float *out = output + plane * out_plane;
		const float *in =
			input + (n * shape.in_channels + first_input) * in_plane;
		/* Conv: [oc, ic of the group, kh, kw]; ConvTranspose: [ic, oc of the
		 * group, kh, kw]. */
		size_t offset = is_transposed ? first_input * shape.group_outputs +
											oc % shape.group_outputs
									  : oc * shape.group_inputs;
		size_t stride = is_transposed ? shape.group_outputs * taps : taps;

		for (size_t i = 0; i < out_plane; i++)
			out[i] = bias ? bias[oc] : 0.0f;
		if (fr_poll(&poll, out_plane) ||
			!fill_plane(&shape, is_transposed ? add_transposed_tap : add_tap,
						in, weights + offset * taps, stride, out, &poll))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}

FR_DECLARE_RUN(conv)
{
	return run_planes(node, inputs, outputs[0].data, cancel, error);
}

FR_DECLARE_RUN(conv_transpose)
{
	return run_planes(node, inputs, outputs[0].data, cancel, error);
}
