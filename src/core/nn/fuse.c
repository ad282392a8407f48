/*
 * fuse.c: from nodes to units, each of which one kernel call computes.
 *
 * Three passes over a specialised graph.  First every convolution and fully
 * connected layer takes what follows it and fits its epilogue: affine maps,
 * one activation, one residual sum, in the order in which they come, as long
 * as each value between them has no other reader.  A unit runs where its last
 * node stood, so that everything it reads exists by then.  Second, affine
 * maps that stand before a convolution go into its weights; under padding
 * this stays exact, because the border is filled with the value that the map
 * takes to zero.  Third, what is left becomes blocked units where the input
 * is blocked and a kernel fits, and plain nodes otherwise.
 */
#include "core/nn/fuse.h"

#include <math.h>
#include <string.h>

int32_t
fr_only_user(const FrPlanner *planner, int32_t value)
{
	if (planner->is_output[value] || use_count(planner, value) != 1)
		return -1;

	int32_t node = planner->use_nodes[planner->use_first[value]];

	return planner->is_claimed[node] ? -1 : node;
}

/* ---- use lists ---------------------------------------------------------- */

static FrStatus
allocate(FrPlanner *planner)
{
	const FrGraph *graph = planner->graph;
	FrArena *scratch = &planner->scratch;
	size_t values = (size_t) graph->value_count + 1;
	size_t nodes = (size_t) graph->node_count + 1;
	size_t uses = 1;
	size_t channels = 1;

	for (int i = 0; i < graph->node_count; i++)
		uses += (size_t) graph->nodes[i].input_count;
	for (int v = 0; v < graph->value_count; v++)
		if (graph->values[v].shape.rank >= 2 &&
			graph->values[v].shape.dims[1] > (int64_t) channels)
			channels = (size_t) graph->values[v].shape.dims[1];

	planner->producer = fr_arena_alloc_zeroed(scratch, values, sizeof(int32_t));
	planner->use_first =
		fr_arena_alloc_zeroed(scratch, values + 1, sizeof(int32_t));
	planner->use_nodes = fr_arena_alloc_zeroed(scratch, uses, sizeof(int32_t));
	planner->is_output = fr_arena_alloc_zeroed(scratch, values, sizeof(bool));
	planner->is_blocked = fr_arena_alloc_zeroed(scratch, values, sizeof(bool));
	planner->is_part = fr_arena_alloc_zeroed(scratch, values, sizeof(bool));
	planner->is_byte = fr_arena_alloc_zeroed(scratch, values, sizeof(bool));
	planner->is_claimed = fr_arena_alloc_zeroed(scratch, nodes, sizeof(bool));
	planner->unit_at = fr_arena_alloc_zeroed(scratch, nodes, sizeof(FrUnit *));
	planner->channel_scale =
		fr_arena_alloc_zeroed(scratch, channels, sizeof(float));
	planner->channel_shift =
		fr_arena_alloc_zeroed(scratch, channels, sizeof(float));
	if (!planner->producer || !planner->use_first || !planner->use_nodes ||
		!planner->is_output || !planner->is_blocked || !planner->is_part ||
		!planner->is_byte || !planner->is_claimed || !planner->unit_at ||
		!planner->channel_scale || !planner->channel_shift)
		return fr_fail_nomem(planner->error, values * sizeof(int32_t));
	return FR_OK;
}

/* Who makes and who reads each value.  Counts first: use_first[v + 2] counts
 * the readers of v, then the sums make use_first[v + 1] the place where the
 * next one goes, and in the end the place behind the last. */
static void
index_uses(FrPlanner *planner)
{
	const FrGraph *graph = planner->graph;
	int32_t *first = planner->use_first;

	memset(first, 0, ((size_t) graph->value_count + 2) * sizeof *first);
	for (int v = 0; v < graph->value_count; v++)
		planner->producer[v] = -1;
	for (int32_t i = 0; i < graph->node_count; i++)
	{
		const FrNode *node = &graph->nodes[i];

		for (int k = 0; k < node->output_count; k++)
			if (node->outputs[k] >= 0)
				planner->producer[node->outputs[k]] = i;
		for (int k = 0; k < node->input_count; k++)
			if (node->inputs[k] >= 0)
				first[node->inputs[k] + 2]++;
	}
	for (int v = 0; v < graph->value_count; v++)
		first[v + 2] += first[v + 1];
	for (int32_t i = 0; i < graph->node_count; i++)
		for (int k = 0; k < graph->nodes[i].input_count; k++)
			if (graph->nodes[i].inputs[k] >= 0)
				planner->use_nodes[first[graph->nodes[i].inputs[k] + 1]++] = i;
	for (int i = 0; i < graph->output_count; i++)
		planner->is_output[graph->outputs[i]] = true;
}

/* ---- units -------------------------------------------------------------- */

FrUnit *
fr_unit_new(FrPlanner *planner, FrUnitKind kind, const FrNode *node)
{
	FrUnit *unit = fr_arena_alloc_zeroed(&planner->scratch, 1, sizeof *unit);

	if (!unit)
	{
		fr_fail_nomem(planner->error, sizeof *unit);
		return NULL;
	}
	unit->kind = kind;
	unit->node = node;
	unit->input = node->input_count > 0 ? node->inputs[0] : -1;
	unit->operand = unit->vector = -1;
	unit->output = node->outputs[0];
	return unit;
}

static bool
is_blocked_kind(FrUnitKind kind)
{
	switch (kind)
	{
		case FR_UNIT_PLAIN:
		case FR_UNIT_ALIAS:
		case FR_UNIT_ACTIVATE:
		case FR_UNIT_SOFTMAX:
		case FR_UNIT_NHWC:
		case FR_UNIT_UNBLOCK:
		case FR_UNIT_QUANTIZE:
		case FR_UNIT_KIND_COUNT:
			return false;
		case FR_UNIT_CONV:
		case FR_UNIT_WINOGRAD:
		case FR_UNIT_DEPTHWISE:
		case FR_UNIT_POOL:
		case FR_UNIT_ELTWISE:
		case FR_UNIT_AVERAGE:
		case FR_UNIT_UPSAMPLE:
		case FR_UNIT_CONCAT:
		case FR_UNIT_BLOCK:
		case FR_UNIT_COPY:
		case FR_UNIT_INT8:
		case FR_UNIT_DEQUANTIZE:
			return true;
	}
	return false;
}

void
fr_unit_place(FrPlanner *planner, FrUnit *unit, int32_t last)
{
	planner->is_claimed[last] = true;
	planner->unit_at[last] = unit;
	if (is_blocked_kind(unit->kind))
		planner->is_blocked[unit->output] = true;
}

static int
channels_of(const FrPlanner *planner, const FrUnit *unit)
{
	return (int) shape_of(planner, unit->output)->dims[1];
}

/* An array of one value per output channel, for planning. */
static FrStatus
need_channels(FrPlanner *planner, int channels, float value, float **array)
{
	if (*array)
		return FR_OK;
	*array = fr_arena_alloc_zeroed(&planner->scratch, (size_t) channels,
								   sizeof(float));
	if (!*array)
		return fr_fail_nomem(planner->error, (size_t) channels * sizeof(float));
	for (int c = 0; c < channels; c++)
		(*array)[c] = value;
	return FR_OK;
}

/* ---- what follows: epilogues -------------------------------------------- */

/* Take the affine map in planner->channel_* behind what the unit does. */
static FrStatus
take_affine(FrPlanner *planner, FrUnit *unit, bool *is_taken)
{
	const float *scale = planner->channel_scale;
	const float *shift = planner->channel_shift;
	int channels = channels_of(planner, unit);
	bool is_shift_only = unit->binary != FR_BINARY_NONE;
	FrStatus status;

	for (int c = 0; c < channels && is_shift_only; c++)
		if (scale[c] != 1.0f)
			return FR_OK;
	if ((status = need_channels(planner, channels, 0.0f, &unit->bias)) != FR_OK)
		return status;
	if (!is_shift_only && (status = need_channels(planner, channels, 1.0f,
												  &unit->scale)) != FR_OK)
		return status;
	for (int c = 0; c < channels; c++)
	{
		unit->bias[c] = (float) ((double) unit->bias[c] * (double) scale[c] +
								 (double) shift[c]);
		if (!is_shift_only)
			unit->scale[c] *= scale[c];
	}
	*is_taken = true;
	return FR_OK;
}

int32_t
fr_find_swish(const FrPlanner *planner, int32_t value, int32_t *gate)
{
	if (planner->is_output[value] || use_count(planner, value) != 2)
		return -1;
	for (int k = 0; k < 2; k++)
	{
		const int32_t *uses = &planner->use_nodes[planner->use_first[value]];
		const FrNode *first = &planner->graph->nodes[uses[k]];
		const FrNode *second = &planner->graph->nodes[uses[1 - k]];
		bool is_gate = first->op == FR_OP_SIGMOID ||
					   (first->op == FR_OP_HARD_SIGMOID &&
						fabsf(first->u.unary.alpha - 1.0f / 6.0f) < 1e-6f &&
						first->u.unary.beta == 0.5f);

		if (!is_gate || second->op != FR_OP_MUL ||
			planner->is_claimed[uses[0]] || planner->is_claimed[uses[1]] ||
			fr_only_user(planner, first->outputs[0]) != uses[1 - k])
			continue;
		*gate = uses[k];
		return uses[1 - k];
	}
	return -1;
}

/* The other addend when a node adds something of the same shape to value. */
static int32_t
find_addend(const FrPlanner *planner, const FrNode *node, int32_t value)
{
	if (node->op != FR_OP_ADD)
		return -1;

	int32_t other = node->inputs[node->inputs[0] == value ? 1 : 0];

	if (!is_float_variable(planner, other) ||
		!fr_shape_equal(shape_of(planner, other), shape_of(planner, value)))
		return -1;
	return other;
}

/* Whether a unit is a map times one value per channel, and nothing else. */
static bool
is_gate(const FrUnit *unit)
{
	return unit->kind == FR_UNIT_ELTWISE && unit->binary == FR_BINARY_MUL &&
		   unit->is_operand_vector && !unit->bias &&
		   unit->activation == FR_ACT_NONE;
}

FrStatus
fr_unit_take_next(FrPlanner *planner, FrUnit *unit, const FrNode *node,
				  bool *is_taken)
{
	bool has_activation = unit->activation != FR_ACT_NONE;
	bool is_conv = unit->kind != FR_UNIT_ELTWISE;
	bool has_residual = is_conv && unit->operand >= 0;
	int32_t addend = find_addend(planner, node, unit->output);
	FrActivationForm form;
	FrStatus status;

	if (addend >= 0)
	{
		if (is_conv && !has_residual)
		{
			unit->operand = addend;
			unit->is_residual_after = has_activation;
			*is_taken = true;
		}
		else if (is_gate(unit))
		{
			/* Squeeze-excite: x * gate + residual in one pass. */
			unit->vector = unit->operand;
			unit->operand = addend;
			unit->binary = FR_BINARY_ADD;
			unit->is_operand_vector = false;
			*is_taken = true;
		}
		return FR_OK;
	}
	if (has_activation)
		return FR_OK;
	if (!has_residual && fr_affine_input(planner, node) == unit->output)
		return take_affine(planner, unit, is_taken);
	if ((status = fr_activation_form(planner, node, &form, is_taken)) != FR_OK)
		return status;
	*is_taken = *is_taken && node->inputs[0] == unit->output;
	if (*is_taken)
	{
		unit->activation = form.activation;
		unit->low = form.low;
		unit->high = form.high;
		unit->slope = form.slope;
	}
	return FR_OK;
}

FrStatus
fr_unit_take_followers(FrPlanner *planner, FrUnit *unit, int32_t *last)
{
	for (;;)
	{
		int32_t gate, next = fr_find_swish(planner, unit->output, &gate);
		bool is_taken = false;
		FrStatus status = fr_plan_poll(planner);

		if (status != FR_OK)
			return status;
		if (next >= 0 && unit->activation == FR_ACT_NONE)
		{
			unit->activation = planner->graph->nodes[gate].op == FR_OP_SIGMOID
								   ? FR_ACT_SWISH
								   : FR_ACT_HARD_SWISH;
			planner->is_claimed[gate] = true;
			is_taken = true;
		}
		else if ((next = fr_only_user(planner, unit->output)) >= 0)
		{
			status = fr_unit_take_next(planner, unit,
									   &planner->graph->nodes[next], &is_taken);
			if (status != FR_OK)
				return status;
		}
		if (!is_taken)
			return FR_OK;
		planner->is_claimed[next] = true;
		unit->output = planner->graph->nodes[next].outputs[0];
		*last = next;
	}
}

/* ---- convolutions and fully connected layers ----------------------------- */

bool
fr_is_window_usable(const FrWindow *window)
{
	for (int axis = 0; axis < 2; axis++)
	{
		int64_t kernel = window->kernel[axis];
		int64_t dilation = window->dilation[axis];

		if (kernel < 1 || kernel > 4096 || dilation < 1 || dilation > 4096 ||
			window->stride[axis] < 1 || window->stride[axis] > 4096)
			return false;

		int64_t reach = (kernel - 1) * dilation + 1;

		for (int side = 0; side < 2; side++)
			if (window->pad[axis + 2 * side] < 0 ||
				window->pad[axis + 2 * side] >= reach)
				return false;
	}
	return true;
}

static bool
match_conv(const FrPlanner *planner, const FrNode *node, FrUnit *unit)
{
	int64_t in[4], out[4];

	if (node->op != FR_OP_CONV ||
		!is_float_variable(planner, node->inputs[0]) ||
		shape_of(planner, node->inputs[0])->rank != 4 ||
		!fr_blocked_dims(shape_of(planner, node->inputs[0]), in) ||
		!fr_blocked_dims(shape_of(planner, node->outputs[0]), out) ||
		!fr_is_window_usable(&node->u.window))
		return false;

	unit->weights = fr_constant_floats(planner, node->inputs[1]);
	unit->window = node->u.window;
	unit->in_channels = (int) in[1];
	unit->out_channels = (int) out[1];

	int group = unit->window.group;
	const FrShape *weights = shape_of(planner, node->inputs[1]);

	if (weights->rank != 4 || group < 1 || unit->in_channels % group ||
		unit->out_channels % group || weights->dims[0] != out[1] ||
		weights->dims[1] != in[1] / group ||
		weights->dims[2] != unit->window.kernel[0] ||
		weights->dims[3] != unit->window.kernel[1])
		return false;
	if (group == unit->in_channels && group == unit->out_channels)
		unit->kind = FR_UNIT_DEPTHWISE;
	else if (group == 1 || (unit->in_channels / group % FR_BLOCK == 0 &&
							unit->out_channels / group % FR_BLOCK == 0))
		unit->kind = FR_UNIT_CONV;
	else
		return false;
	return true;
}

/* The map that a matrix product's vectors are: the input of a Flatten or
 * Reshape to [n, c * h * w].  Small channel counts are left as vectors: their
 * blocks would be mostly padding. */
static int32_t
find_flattened(const FrPlanner *planner, int32_t value, int64_t dims[4])
{
	int32_t index = planner->producer[value];

	if (index < 0)
		return -1;

	const FrNode *node = &planner->graph->nodes[index];

	if (node->op != FR_OP_FLATTEN && node->op != FR_OP_RESHAPE)
		return -1;

	const FrShape *shape = shape_of(planner, node->inputs[0]);

	if (shape->rank != 4 || !fr_blocked_dims(shape, dims) ||
		!is_float_variable(planner, node->inputs[0]) ||
		dims[0] != shape_of(planner, value)->dims[0] ||
		(dims[1] < FR_BLOCK && dims[2] * dims[3] > 1) || dims[2] > 4096 ||
		dims[3] > 4096)
		return -1;
	return node->inputs[0];
}

/* Gemm or MatMul of vectors [n, k] with a constant matrix: a convolution
 * whose kernel is the whole map. */
static bool
match_product(const FrPlanner *planner, const FrNode *node, FrUnit *unit)
{
	int64_t in[4], out[4], map[4] = {1, 1, 1, 1};
	bool is_gemm = node->op == FR_OP_GEMM;

	if ((!is_gemm && node->op != FR_OP_MATMUL) ||
		(is_gemm && node->u.gemm.is_a_transposed) ||
		!is_float_variable(planner, node->inputs[0]) ||
		shape_of(planner, node->inputs[0])->rank != 2 ||
		!fr_blocked_dims(shape_of(planner, node->inputs[0]), in) ||
		!fr_blocked_dims(shape_of(planner, node->outputs[0]), out) ||
		shape_of(planner, node->outputs[0])->rank != 2)
		return false;

	const FrShape *weights = shape_of(planner, node->inputs[1]);
	int out_axis = is_gemm && node->u.gemm.is_b_transposed ? 0 : 1;

	unit->weights = fr_constant_floats(planner, node->inputs[1]);
	if (weights->rank != 2 || out[0] != in[0] ||
		weights->dims[out_axis] != out[1] ||
		weights->dims[1 - out_axis] != in[1])
		return false;
	unit->kind = FR_UNIT_CONV;
	unit->is_transposed = out_axis == 1;

	int32_t flattened = find_flattened(planner, node->inputs[0], map);

	unit->is_flattened = flattened >= 0;
	unit->input = unit->is_flattened ? flattened : node->inputs[0];
	unit->in_channels = flattened >= 0 ? (int) map[1] : (int) in[1];
	unit->out_channels = (int) out[1];
	unit->window = (FrWindow){.kernel = {flattened >= 0 ? (int) map[2] : 1,
										 flattened >= 0 ? (int) map[3] : 1},
							  .stride = {1, 1},
							  .dilation = {1, 1},
							  .group = 1};
	return true;
}

bool
fr_match_conv(const FrPlanner *planner, const FrNode *node, FrUnit *unit)
{
	*unit = (FrUnit){.node = node,
					 .input = node->input_count > 0 ? node->inputs[0] : -1,
					 .operand = -1,
					 .vector = -1,
					 .output = node->outputs[0]};
	return match_conv(planner, node, unit) ||
		   match_product(planner, node, unit);
}

FrStatus
fr_read_bias(FrPlanner *planner, const FrNode *node, FrUnit *unit,
			 bool *is_found)
{
	bool is_gemm = node->op == FR_OP_GEMM;
	float alpha = is_gemm ? node->u.gemm.alpha : 1.0f;
	int32_t value = node->input_count > 2 ? node->inputs[2] : -1;
	FrShape vector = {2, {1, unit->out_channels}};
	FrStatus status;

	*is_found = false;
	if (value >= 0 && node->op != FR_OP_MATMUL &&
		!fr_channel_constant(planner, value, &vector, planner->channel_shift))
		return FR_OK;
	if ((status = need_channels(planner, unit->out_channels, alpha,
								&unit->scale)) != FR_OK ||
		(status = need_channels(planner, unit->out_channels, 0.0f,
								&unit->bias)) != FR_OK)
		return status;
	for (int c = 0; c < unit->out_channels && value >= 0; c++)
		unit->bias[c] =
			planner->channel_shift[c] * (is_gemm ? node->u.gemm.beta : 1.0f);
	*is_found = true;
	return FR_OK;
}

FrStatus
fr_take_conv_unit(FrPlanner *planner, int32_t index, const FrUnit *found,
				  FrUnit **made)
{
	const FrNode *node = &planner->graph->nodes[index];
	FrUnit *unit = *made = fr_unit_new(planner, found->kind, node);
	int32_t last = index, flattened = node->inputs[0];

	if (!unit)
		return FR_ERR_NOMEM;
	*unit = *found;
	planner->is_claimed[index] = true;
	if (found->is_flattened && use_count(planner, flattened) == 1 &&
		!planner->is_output[flattened])
		planner->is_claimed[planner->producer[flattened]] = true;

	FrStatus status = fr_unit_take_followers(planner, unit, &last);

	if (status == FR_OK)
		fr_unit_place(planner, unit, last);
	return status;
}

/* Pass one: a unit for every convolution and product that kernels take. */
static FrStatus
take_conv(FrPlanner *planner, int32_t index)
{
	const FrNode *node = &planner->graph->nodes[index];
	FrUnit found, *made;
	bool has_bias;
	FrStatus status;

	if (!fr_match_conv(planner, node, &found) || !found.weights)
		return FR_OK;
	status = fr_read_bias(planner, node, &found, &has_bias);
	if (status != FR_OK || !has_bias)
		return status;
	return fr_take_conv_unit(planner, index, &found, &made);
}

/* ---- affine maps before a convolution ------------------------------------ */

/* Fill in the border values that the affine map takes to zero.  False when
 * the map cannot be folded: products of its factors overflow, or, under
 * padding, a channel has no such value. */
static bool
solve_fill(FrUnit *unit, bool is_padded)
{
	for (int c = 0; c < unit->in_channels; c++)
	{
		float scale = unit->pre_scale[c], shift = unit->pre_shift[c];

		if (!isfinite(scale) || !isfinite(shift))
			return false;
		unit->fill[c] = shift == 0.0f ? 0.0f : -shift / scale;
		if (is_padded && !isfinite(unit->fill[c]))
			return false;
	}
	return true;
}

int32_t
fr_affine_before(FrPlanner *planner, int32_t value, int32_t *input)
{
	int32_t index = planner->producer[value];

	if (index < 0 || planner->is_claimed[index] || planner->is_output[value] ||
		use_count(planner, value) != 1)
		return -1;
	*input = fr_affine_input(planner, &planner->graph->nodes[index]);
	return *input >= 0 ? index : -1;
}

/* Pass two: take affine maps that stand before a convolution. */
static FrStatus
take_before(FrPlanner *planner, FrUnit *unit)
{
	int32_t value = unit->input, input;
	int64_t in[4], out[4];
	int border[4];
	FrStatus status;

	if (unit->kind == FR_UNIT_INT8)
		return FR_OK;

	/* Read through a Flatten that others read, too: it still needs what the
	 * map makes. */
	if (unit->is_flattened &&
		!planner->is_claimed[planner->producer[unit->node->inputs[0]]])
		return FR_OK;
	if (fr_affine_before(planner, value, &input) < 0)
		return FR_OK;
	if ((status = need_channels(planner, unit->in_channels, 1.0f,
								&unit->pre_scale)) != FR_OK ||
		(status = need_channels(planner, unit->in_channels, 0.0f,
								&unit->pre_shift)) != FR_OK ||
		(status = need_channels(planner, unit->in_channels, 0.0f,
								&unit->fill)) != FR_OK)
		return status;
	while (fr_affine_before(planner, value, &input) >= 0)
	{
		if ((status = fr_plan_poll(planner)) != FR_OK)
			return status;
		for (int c = 0; c < unit->in_channels; c++)
		{
			unit->pre_shift[c] +=
				unit->pre_scale[c] * planner->channel_shift[c];
			unit->pre_scale[c] *= planner->channel_scale[c];
		}
		value = input;
	}
	fr_blocked_dims(shape_of(planner, unit->input), in);
	fr_blocked_dims(shape_of(planner, unit->node->outputs[0]), out);
	fr_window_border(&unit->window, in, out, border);

	bool is_padded = border[0] || border[1] || border[2] || border[3];

	if (!solve_fill(unit, is_padded))
	{
		unit->pre_scale = unit->pre_shift = unit->fill = NULL;
		return FR_OK;
	}
	if (!is_padded)
		unit->fill = NULL;
	while (unit->input != value)
	{
		int32_t index = fr_affine_before(planner, unit->input, &input);

		planner->is_claimed[index] = true;
		unit->input = input;
	}
	return FR_OK;
}

/* ---- the stage ------------------------------------------------------------ */

FrStatus
fr_plan_fuse(FrPlanner *planner)
{
	FrGraph *graph = planner->graph;
	FrStatus status = allocate(planner);

	if (status == FR_OK)
		index_uses(planner);
	if (status == FR_OK && !planner->is_reference)
	{
		if (fr_int8_reorder(planner))
			index_uses(planner);
		status = fr_fuse_int8(planner);
	}
	for (int32_t i = 0; i < graph->node_count && status == FR_OK; i++)
		if (!planner->is_claimed[i] && !planner->is_reference)
			status = take_conv(planner, i);
	for (int32_t i = 0; i < graph->node_count && status == FR_OK; i++)
		if (planner->unit_at[i])
			status = take_before(planner, planner->unit_at[i]);
	if (status == FR_OK && !planner->is_reference)
		status = fr_fuse_merge(planner);
	if (status == FR_OK && !planner->is_reference)
		status = fr_fuse_bytes(planner);
	for (int32_t i = 0; i < graph->node_count && status == FR_OK; i++)
	{
		if (!planner->is_claimed[i])
			status = fr_fuse_rest(planner, i);
		if (status == FR_OK)
			status = fr_plan_poll(planner);
	}
	return status;
}
