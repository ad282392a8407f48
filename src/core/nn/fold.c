/*
 * fold.c: reading nodes as what kernels can do on the way.
 *
 * Two questions about a node of a specialised graph: is it an affine map per
 * channel (BatchNormalization, or arithmetic with a constant), which can be
 * folded into the weights of a neighbour; and is it an activation that an
 * epilogue can apply.  Also the geometry that the planner's stages share.
 * Products of constants are formed in double precision and rounded once.
 */
#include <math.h>

#include "core/nn/planner.h"

/* Kernels count in int; far above any real picture. */
#define MAX_BLOCKED_DIM (1 << 24)

bool
fr_blocked_dims(const FrShape *shape, int64_t dims[4])
{
	if (shape->rank != 4 && shape->rank != 2)
		return false;
	for (int i = 0; i < 4; i++)
	{
		dims[i] = i < shape->rank ? shape->dims[i] : 1;
		if (dims[i] < 1 || dims[i] > MAX_BLOCKED_DIM)
			return false;
	}
	return true;
}

/* Border of one axis: before as given, after as far as windows reach. */
static void
axis_border(const FrWindow *window, int axis, int64_t in_size, int64_t out_size,
			int *before, int *after)
{
	int64_t reach =
		(out_size - 1) * window->stride[axis] +
		(int64_t) (window->kernel[axis] - 1) * window->dilation[axis] + 1 -
		window->pad[axis] - in_size;

	*before = window->pad[axis];
	*after = reach > 0 ? (int) reach : 0;
}

void
fr_window_border(const FrWindow *window, const int64_t in_dims[4],
				 const int64_t out_dims[4], int border[4])
{
	axis_border(window, 0, in_dims[2], out_dims[2], &border[0], &border[2]);
	axis_border(window, 1, in_dims[3], out_dims[3], &border[1], &border[3]);
}

const float *
fr_constant_floats(const FrPlanner *planner, int32_t value)
{
	if (value < 0 || planner->graph->values[value].dtype != FR_FLOAT32)
		return NULL;
	return planner->graph->values[value].constant;
}

bool
fr_channel_constant(const FrPlanner *planner, int32_t value,
					const FrShape *shape, float *out)
{
	const float *data = fr_constant_floats(planner, value);
	int64_t channels = shape->dims[1];
	bool is_per_channel = false;

	if (!data)
		return false;

	const FrShape *own = &planner->graph->values[value].shape;

	if (own->rank > shape->rank)
		return false;
	for (int i = 0; i < own->rank; i++)
	{
		int axis = i + shape->rank - own->rank;

		if (own->dims[i] == 1)
			continue;
		if (axis != 1 || own->dims[i] != channels)
			return false;
		is_per_channel = true;
	}
	for (int64_t c = 0; c < channels; c++)
		out[c] = data[is_per_channel ? c : 0];
	return true;
}

/* BatchNormalization with constant statistics. */
static int32_t
read_batch_norm(FrPlanner *planner, const FrNode *node, int64_t channels)
{
	const float *parts[4]; /* scale, bias, mean, variance */

	for (int i = 0; i < 4; i++)
	{
		if (node->input_count < 5)
			return -1;

		int32_t value = node->inputs[i + 1];

		parts[i] = fr_constant_floats(planner, value);
		if (!parts[i] || planner->graph->values[value].shape.rank != 1 ||
			planner->graph->values[value].shape.dims[0] != channels)
			return -1;
	}
	for (int64_t c = 0; c < channels; c++)
	{
		double scale =
			(double) parts[0][c] /
			sqrt((double) parts[3][c] + (double) node->u.norm.epsilon);

		planner->channel_scale[c] = (float) scale;
		planner->channel_shift[c] =
			(float) ((double) parts[1][c] - (double) parts[2][c] * scale);
	}
	return node->inputs[0];
}

/* Add, Sub, Mul or Div of a value and a constant. */
static int32_t
read_arithmetic(FrPlanner *planner, const FrNode *node, const FrShape *shape)
{
	float *scale = planner->channel_scale, *shift = planner->channel_shift;
	bool is_right = fr_constant_floats(planner, node->inputs[1]) != NULL;
	int32_t input = node->inputs[is_right ? 0 : 1];
	int32_t constant = node->inputs[is_right ? 1 : 0];
	bool is_sum = node->op == FR_OP_ADD || node->op == FR_OP_SUB;

	if (node->op == FR_OP_DIV && !is_right)
		return -1;
	if (!fr_channel_constant(planner, constant, shape, is_sum ? shift : scale))
		return -1;
	for (int64_t c = 0; c < shape->dims[1]; c++)
	{
		if (is_sum)
			scale[c] = node->op == FR_OP_SUB && !is_right ? -1.0f : 1.0f;
		else
			shift[c] = 0.0f;
		if (node->op == FR_OP_SUB && is_right)
			shift[c] = -shift[c];
		if (node->op == FR_OP_DIV)
			scale[c] = 1.0f / scale[c];
	}
	return input;
}

int32_t
fr_affine_input(FrPlanner *planner, const FrNode *node)
{
	const FrValue *values = planner->graph->values;
	int64_t dims[4];
	int32_t input;

	if (node->output_count < 1)
		return -1;

	const FrValue *output = &values[node->outputs[0]];

	if (output->dtype != FR_FLOAT32 || !fr_blocked_dims(&output->shape, dims))
		return -1;
	switch ((int) node->op)
	{
		case FR_OP_BATCH_NORM:
			input = node->output_count == 1
						? read_batch_norm(planner, node, dims[1])
						: -1;
			break;
		case FR_OP_ADD:
		case FR_OP_SUB:
		case FR_OP_MUL:
		case FR_OP_DIV:
			input = read_arithmetic(planner, node, &output->shape);
			break;
		default:
			return -1;
	}
	if (input < 0 || values[input].constant ||
		!fr_shape_equal(&values[input].shape, &output->shape))
		return -1;
	for (int64_t c = 0; c < dims[1]; c++)
		if (!isfinite(planner->channel_scale[c]) ||
			!isfinite(planner->channel_shift[c]))
			return -1;
	return input;
}

/* A bound of Clip: absent = unbounded; false when it is not constant. */
static bool
read_bound(const FrPlanner *planner, const FrNode *node, int index,
		   float unbounded, float *bound)
{
	*bound = unbounded;
	if (index >= node->input_count || node->inputs[index] < 0)
		return true;

	const float *data = fr_constant_floats(planner, node->inputs[index]);
	size_t count;

	if (!data ||
		!fr_shape_count(&planner->graph->values[node->inputs[index]].shape,
						&count) ||
		count != 1)
		return false;
	*bound = data[0];
	return true;
}

/* PRelu and LeakyRelu: one slope per channel. */
static FrStatus
read_slopes(FrPlanner *planner, const FrNode *node, FrActivationForm *form,
			bool *is_found)
{
	const FrShape *shape = &planner->graph->values[node->outputs[0]].shape;
	int64_t dims[4];

	if (!fr_blocked_dims(shape, dims))
		return FR_OK;
	form->activation = FR_ACT_PRELU;
	form->slope = fr_arena_alloc_zeroed(&planner->scratch, (size_t) dims[1],
										sizeof(float));
	if (!form->slope)
		return fr_fail_nomem(planner->error, (size_t) dims[1] * sizeof(float));
	if (node->op == FR_OP_PRELU)
		*is_found =
			fr_channel_constant(planner, node->inputs[1], shape, form->slope);
	else
	{
		for (int64_t c = 0; c < dims[1]; c++)
			form->slope[c] = node->u.unary.alpha;
		*is_found = true;
	}
	return FR_OK;
}

FrStatus
fr_activation_form(FrPlanner *planner, const FrNode *node,
				   FrActivationForm *form, bool *is_found)
{
	*form = (FrActivationForm){.activation = FR_ACT_NONE};
	*is_found = false;
	if (node->output_count != 1 || node->input_count < 1 ||
		planner->graph->values[node->outputs[0]].dtype != FR_FLOAT32)
		return FR_OK;
	switch ((int) node->op)
	{
		case FR_OP_RELU:
			*form = (FrActivationForm){FR_ACT_CLIP, 0.0f, INFINITY, NULL};
			break;
		case FR_OP_CLIP:
			form->activation = FR_ACT_CLIP;
			if (!read_bound(planner, node, 1, -INFINITY, &form->low) ||
				!read_bound(planner, node, 2, INFINITY, &form->high))
				return FR_OK;
			break;
		case FR_OP_SIGMOID:
			form->activation = FR_ACT_SIGMOID;
			break;
		case FR_OP_TANH:
			form->activation = FR_ACT_TANH;
			break;
		case FR_OP_HARD_SIGMOID:
			*form = (FrActivationForm){FR_ACT_HARD_SIGMOID, node->u.unary.alpha,
									   node->u.unary.beta, NULL};
			break;
		case FR_OP_HARD_SWISH:
			form->activation = FR_ACT_HARD_SWISH;
			break;
		case FR_OP_LEAKY_RELU:
		case FR_OP_PRELU:
			return read_slopes(planner, node, form, is_found);
		default:
			return FR_OK;
	}
	*is_found = true;
	return FR_OK;
}
