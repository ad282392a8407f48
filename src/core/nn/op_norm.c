/*
 * op_norm.c: plain normalisations: BatchNormalization (inference),
 * InstanceNormalization, LayerNormalization, LpNormalization, LRN, Softmax.
 *
 * Means and sums are accumulated in double: they run over whole planes.
 */
#include <math.h>

#include "core/nn/op_table.h"

/* Inputs 1.. are vectors with one value per channel (dimension 1). */
static FrStatus
check_channels(const FrNode *node, const FrTensor *const *inputs,
			   FrTensor *outputs, FrError *error)
{
	const FrShape *input = &inputs[0]->shape;

	outputs[0].shape = *input;
	for (int i = 1; i < node->input_count; i++)
		if (input->rank < 2 || inputs[i]->shape.rank != 1 ||
			inputs[i]->shape.dims[0] != input->dims[1])
			return fr_node_fail(error, FR_ERR_CORRUPT, node,
								"Input %d does not have one value for each "
								"channel.",
								i);
	return fr_check_floats(node, inputs, error);
}

FR_DECLARE_INFER(batch_norm)
{
	return check_channels(node, inputs, outputs, error);
}

FR_DECLARE_RUN(batch_norm)
{
	const FrShape *shape = &inputs[0]->shape;
	const float *input = inputs[0]->data;
	const float *scale = inputs[1]->data, *bias = inputs[2]->data;
	const float *mean = inputs[3]->data, *variance = inputs[4]->data;
	float *output = outputs[0].data;
	size_t channels = (size_t) shape->dims[1];
	size_t pixels = fr_shape_span(shape, 2, shape->rank);
	FrPoll poll = fr_poll_begin(cancel);

	for (size_t i = 0; i < (size_t) shape->dims[0] * channels; i++)
	{
		size_t c = i % channels;
		float factor = scale[c] / sqrtf(variance[c] + node->u.norm.epsilon);

		for (size_t k = 0; k < pixels; k++)
		{
			output[i * pixels + k] =
				(input[i * pixels + k] - mean[c]) * factor + bias[c];
			if (fr_poll(&poll, 1))
				return fr_fail_cancelled(error);
		}
	}
	return FR_OK;
}

/* Bring a run of values to mean 0 and variance 1; returns 1 / deviation. */
static float
standardize(const float *input, size_t count, float epsilon, float *out_mean)
{
	double sum = 0, squares = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double) input[i];

	double mean = sum / (double) count;

	for (size_t i = 0; i < count; i++)
	{
		double difference = (double) input[i] - mean;

		squares += difference * difference;
	}
	*out_mean = (float) mean;
	return (float) (1.0 / sqrt(squares / (double) count + (double) epsilon));
}

FR_DECLARE_INFER(instance_norm)
{
	return check_channels(node, inputs, outputs, error);
}

FR_DECLARE_RUN(instance_norm)
{
	const FrShape *shape = &inputs[0]->shape;
	const float *scale = inputs[1]->data, *bias = inputs[2]->data;
	size_t channels = (size_t) shape->dims[1];
	size_t pixels = fr_shape_span(shape, 2, shape->rank);
	FrPoll poll = fr_poll_begin(cancel);

	for (size_t i = 0; pixels > 0 && i < (size_t) shape->dims[0] * channels;
		 i++)
	{
		const float *input = (const float *) inputs[0]->data + i * pixels;
		float *output = (float *) outputs[0].data + i * pixels;
		float mean;
		float factor = scale[i % channels] *
					   standardize(input, pixels, node->u.norm.epsilon, &mean);

		for (size_t k = 0; k < pixels; k++)
			output[k] = (input[k] - mean) * factor + bias[i % channels];
		if (fr_poll(&poll, 3 * pixels + 8))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}

/* Where LayerNormalization's normalised dimensions begin. */
static bool
layer_axis(const FrNode *node, const FrShape *shape, int *axis)
{
	return fr_axis_normalize(node->u.norm.axis, shape->rank, axis);
}

FR_DECLARE_INFER(layer_norm)
{
	const FrShape *input = &inputs[0]->shape;
	int axis;

	outputs[0].shape = *input;
	if (!layer_axis(node, input, &axis))
		return fr_node_fail(error, FR_ERR_MISMATCH, node,
							"Axis %d does not exist.", node->u.norm.axis);

	FrShape part = {.rank = input->rank - axis};

	for (int i = 0; i < part.rank; i++)
		part.dims[i] = input->dims[axis + i];
	for (int i = 1; i < node->input_count; i++)
	{
		FrShape joined;

		if (inputs[i] &&
			(!fr_shape_broadcast(&part, &inputs[i]->shape, &joined) ||
			 !fr_shape_equal(&joined, &part)))
			return fr_node_fail(error, FR_ERR_MISMATCH, node,
								"Input %d does not fit the normalised "
								"dimensions.",
								i);
	}
	return fr_check_floats(node, inputs, error);
}

/* Element i of a tensor that is broadcast to part. */
static size_t
broadcast_index(const FrShape *part, const size_t *strides, size_t i)
{
	size_t index = 0;

	for (int d = part->rank - 1; d >= 0; d--)
	{
		index += i % (size_t) part->dims[d] * strides[d];
		i /= (size_t) part->dims[d];
	}
	return index;
}

FR_DECLARE_RUN(layer_norm)
{
	const FrShape *shape = &inputs[0]->shape;
	const float *scale = inputs[1]->data;
	const float *bias =
		node->input_count > 2 && inputs[2] ? inputs[2]->data : NULL;
	FrPoll poll = fr_poll_begin(cancel);
	size_t scale_strides[FR_MAX_RANK], bias_strides[FR_MAX_RANK];
	int axis = 0;

	layer_axis(node, shape, &axis);

	FrShape part = {.rank = shape->rank - axis};
	size_t outer = fr_shape_span(shape, 0, axis);
	size_t count = fr_shape_span(shape, axis, shape->rank);

	for (int i = 0; i < part.rank; i++)
		part.dims[i] = shape->dims[axis + i];
	fr_broadcast_strides(&inputs[1]->shape, part.rank, scale_strides);
	if (bias)
		fr_broadcast_strides(&inputs[2]->shape, part.rank, bias_strides);
	for (size_t i = 0; count > 0 && i < outer; i++)
	{
		const float *input = (const float *) inputs[0]->data + i * count;
		float *output = (float *) outputs[0].data + i * count;
		float mean;
		float factor = standardize(input, count, node->u.norm.epsilon, &mean);

		for (size_t k = 0; k < count; k++)
		{
			output[k] = (input[k] - mean) * factor *
						scale[broadcast_index(&part, scale_strides, k)];
			if (bias)
				output[k] += bias[broadcast_index(&part, bias_strides, k)];
		}
		if (fr_poll(&poll, 16 * count + 8))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}

/* ---- along one axis ----------------------------------------------------- */

/* A tensor as [outer, length, inner], the middle one being normalised. */
typedef struct Axis
{
	size_t outer, length, inner;
} Axis;

static bool
find_axis(const FrNode *node, const FrShape *shape, Axis *axis)
{
	int at = 1;
	bool is_legacy = node->op == FR_OP_SOFTMAX && node->u.axis.is_legacy;
	int64_t given =
		node->op == FR_OP_SOFTMAX ? node->u.axis.axis : node->u.norm.axis;

	if (node->op != FR_OP_LRN && !fr_axis_normalize(given, shape->rank, &at))
		return false;
	if (shape->rank < (node->op == FR_OP_LRN ? 2 : 1))
		return false;
	axis->outer = fr_shape_span(shape, 0, at);
	axis->length = is_legacy ? fr_shape_span(shape, at, shape->rank)
							 : (size_t) shape->dims[at];
	axis->inner = is_legacy ? 1 : fr_shape_span(shape, at + 1, shape->rank);
	return true;
}

FR_DECLARE_INFER(axis_norm)
{
	Axis axis;
	char text[96];

	outputs[0].shape = inputs[0]->shape;
	if (!find_axis(node, &inputs[0]->shape, &axis))
		return fr_node_fail(
			error, FR_ERR_MISMATCH, node,
			"Its axis does not exist in shape %s.",
			fr_shape_text(&inputs[0]->shape, text, sizeof text));
	return fr_check_floats(node, inputs, error);
}

typedef void (*NormalizeLine)(const FrNode *node, const float *input,
							  float *output, size_t length, size_t stride);

static FrStatus
for_each_line(const FrNode *node, const FrTensor *const *inputs,
			  FrTensor *outputs, NormalizeLine normalize,
			  const FrCancel *cancel, FrError *error)
{
	FrPoll poll = fr_poll_begin(cancel);
	Axis axis = {0};

	find_axis(node, &inputs[0]->shape, &axis);
	for (size_t i = 0; i < axis.outer * axis.inner && axis.length > 0; i++)
	{
		size_t offset =
			i / axis.inner * axis.length * axis.inner + i % axis.inner;

		normalize(node, (const float *) inputs[0]->data + offset,
				  (float *) outputs[0].data + offset, axis.length, axis.inner);
		if (fr_poll(&poll, 16 * axis.length + 8))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}

static void
softmax_line(const FrNode *node, const float *input, float *output,
			 size_t length, size_t stride)
{
	float largest = -INFINITY;
	float sum = 0.0f;

	(void) node;
	for (size_t i = 0; i < length; i++)
		largest = input[i * stride] > largest ? input[i * stride] : largest;
	for (size_t i = 0; i < length; i++)
	{
		output[i * stride] = expf(input[i * stride] - largest);
		sum += output[i * stride];
	}
	for (size_t i = 0; i < length; i++)
		output[i * stride] /= sum;
}

FR_DECLARE_RUN(softmax)
{
	return for_each_line(node, inputs, outputs, softmax_line, cancel, error);
}

/* A zero vector stays zero. */
static void
lp_line(const FrNode *node, const float *input, float *output, size_t length,
		size_t stride)
{
	double sum = 0;

	for (size_t i = 0; i < length; i++)
	{
		double value = (double) input[i * stride];

		sum += node->u.norm.p == 1 ? fabs(value) : value * value;
	}

	double norm = node->u.norm.p == 1 ? sum : sqrt(sum);

	for (size_t i = 0; i < length; i++)
		output[i * stride] =
			norm > 0 ? (float) ((double) input[i * stride] / norm) : 0.0f;
}

FR_DECLARE_RUN(lp_norm)
{
	return for_each_line(node, inputs, outputs, lp_line, cancel, error);
}

/* Across channels c - floor((size-1)/2) .. c + ceil((size-1)/2). */
FR_DECLARE_RUN(lrn)
{
	const float *input = inputs[0]->data;
	float *output = outputs[0].data;
	FrPoll poll = fr_poll_begin(cancel);
	size_t before = (size_t) (node->u.norm.size - 1) / 2;
	size_t after = (size_t) node->u.norm.size / 2;
	Axis axis = {0};

	find_axis(node, &inputs[0]->shape, &axis);
	for (size_t i = 0; i < axis.outer * axis.length * axis.inner; i++)
	{
		size_t channel = i / axis.inner % axis.length;
		size_t first = channel > before ? channel - before : 0;
		size_t last = axis.length - 1 - channel > after ? channel + after
														: axis.length - 1;
		float squares = 0.0f;

		for (size_t c = first; c <= last; c++)
		{
			float value = input[i + c * axis.inner - channel * axis.inner];

			squares += value * value;
		}
		output[i] = input[i] / powf(node->u.norm.bias +
										node->u.norm.alpha /
											(float) node->u.norm.size * squares,
									node->u.norm.beta);
		if (fr_poll(&poll, last - first + 32))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}
