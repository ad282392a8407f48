/*
 * op_pool.c: plain MaxPool, AveragePool and the global pools.
 */
#include <math.h>

#include "core/nn/op_table.h"

FR_DECLARE_INFER(pool)
{
	const FrShape *input = &inputs[0]->shape;
	FrWindow window;
	int64_t size[2];
	FrStatus status =
		fr_window_resolve(node, input, NULL, &window, size, error);

	if (status != FR_OK)
		return status;
	outputs[0].shape =
		(FrShape){4, {input->dims[0], input->dims[1], size[0], size[1]}};
	return fr_check_floats(node, inputs, error);
}

/* The rows (or columns) that one window covers: begin, begin + dilation, ...
 * below end; padded_taps counts those in the padding, too. */
typedef struct Taps
{
	int64_t begin, end, padded_taps;
} Taps;

static Taps
window_taps(const FrWindow *window, int axis, int64_t position, int64_t size)
{
	int64_t dilation = window->dilation[axis];
	int64_t begin = position * window->stride[axis] - window->pad[axis];
	int64_t end = begin + window->kernel[axis] * dilation;
	/* With ceil_mode a window may reach beyond the padding, too; what lies
	 * there does not count. */
	int64_t padded_size = size + window->pad[axis + 2];
	int64_t padded_end = end < padded_size ? end : padded_size;
	Taps taps = {.begin = begin, .end = end < size ? end : size};

	taps.padded_taps = (padded_end - begin + dilation - 1) / dilation;
	if (begin < 0)
		taps.begin += (-begin + dilation - 1) / dilation * dilation;
	return taps;
}

static float
max_of_window(const FrWindow *window, const float *plane, int64_t width,
			  Taps rows, Taps columns)
{
	float best = -INFINITY;

	for (int64_t y = rows.begin; y < rows.end; y += window->dilation[0])
		for (int64_t x = columns.begin; x < columns.end;
			 x += window->dilation[1])
		{
			float value = plane[y * width + x];

			best = value > best ? value : best;
		}
	return best;
}

static float
mean_of_window(const FrWindow *window, const float *plane, int64_t width,
			   Taps rows, Taps columns)
{
	float sum = 0.0f;
	int64_t count = 0;

	for (int64_t y = rows.begin; y < rows.end; y += window->dilation[0])
		for (int64_t x = columns.begin; x < columns.end;
			 x += window->dilation[1])
		{
			sum += plane[y * width + x];
			count++;
		}
	if (window->count_include_pad)
		count = rows.padded_taps * columns.padded_taps;
	return count > 0 ? sum / (float) count : 0.0f;
}

FR_DECLARE_RUN(pool)
{
	const FrShape *shape = &inputs[0]->shape;
	int64_t height = shape->dims[2], width = shape->dims[3];
	FrPoll poll = fr_poll_begin(cancel);
	float *output = outputs[0].data;
	FrWindow window;
	int64_t size[2];
	FrStatus status =
		fr_window_resolve(node, shape, NULL, &window, size, error);

	if (status != FR_OK)
		return status;

	size_t taps = (size_t) window.kernel[0] * (size_t) window.kernel[1];

	for (size_t i = 0, planes = fr_shape_span(shape, 0, 2); i < planes; i++)
	{
		const float *plane =
			(const float *) inputs[0]->data + i * (size_t) (height * width);

		for (int64_t y = 0; y < size[0]; y++)
		{
			Taps rows = window_taps(&window, 0, y, height);

			for (int64_t x = 0; x < size[1]; x++)
			{
				Taps columns = window_taps(&window, 1, x, width);

				*output++ =
					node->op == FR_OP_MAX_POOL
						? max_of_window(&window, plane, width, rows, columns)
						: mean_of_window(&window, plane, width, rows, columns);
				if (fr_poll(&poll, taps + 8))
					return fr_fail_cancelled(error);
			}
		}
	}
	return FR_OK;
}

FR_DECLARE_INFER(global_pool)
{
	const FrShape *input = &inputs[0]->shape;

	if (input->rank < 3 || fr_shape_span(input, 2, input->rank) == 0)
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"The input has no pixels.");
	outputs[0].shape = *input;
	for (int i = 2; i < input->rank; i++)
		outputs[0].shape.dims[i] = 1;
	return fr_check_floats(node, inputs, error);
}

/* Sum and maximum of one plane; false when cancelled. */
static bool
scan_plane(const float *plane, size_t pixels, double *sum, float *best,
		   FrPoll *poll)
{
	*sum = 0;
	*best = -INFINITY;
	for (size_t begin = 0; begin < pixels; begin += FR_POLL_WORK)
	{
		size_t end =
			pixels - begin > FR_POLL_WORK ? begin + FR_POLL_WORK : pixels;

		for (size_t k = begin; k < end; k++)
		{
			*sum += (double) plane[k];
			*best = plane[k] > *best ? plane[k] : *best;
		}
		if (fr_poll(poll, end - begin))
			return false;
	}
	return true;
}

FR_DECLARE_RUN(global_pool)
{
	const FrShape *shape = &inputs[0]->shape;
	const float *input = inputs[0]->data;
	size_t pixels = fr_shape_span(shape, 2, shape->rank);
	FrPoll poll = fr_poll_begin(cancel);
	float *output = outputs[0].data;

	for (size_t i = 0, planes = fr_shape_span(shape, 0, 2); i < planes; i++)
	{
		double sum;
		float best;

		if (!scan_plane(input + i * pixels, pixels, &sum, &best, &poll))
			return fr_fail_cancelled(error);
		output[i] = node->op == FR_OP_GLOBAL_MAX_POOL
						? best
						: (float) (sum / (double) pixels);
	}
	return FR_OK;
}
