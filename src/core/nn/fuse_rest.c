/*
 * fuse_rest.c: units without weights, pass three of the fusion stage.
 *
 * Nodes that no convolution took become blocked units where their input is
 * blocked and a kernel fits: pools, means, enlargement, concatenation,
 * element-wise chains.  Everything else stays a plain node.
 */
#include <string.h>

#include "core/nn/fuse.h"

/* Whether a blocked unit can read this value where it is. */
static bool
is_blocked_input(const FrPlanner *planner, int32_t value)
{
	return is_float_variable(planner, value) && planner->is_blocked[value];
}

static bool
match_pool(const FrPlanner *planner, const FrNode *node, FrUnit *unit)
{
	int64_t in[4], out[4];
	int border[4];

	if ((node->op != FR_OP_MAX_POOL && node->op != FR_OP_AVERAGE_POOL) ||
		node->output_count != 1 ||
		!is_blocked_input(planner, node->inputs[0]) ||
		!fr_blocked_dims(shape_of(planner, node->inputs[0]), in) ||
		!fr_blocked_dims(shape_of(planner, node->outputs[0]), out) ||
		shape_of(planner, node->inputs[0])->rank != 4 ||
		!fr_is_window_usable(&node->u.window))
		return false;
	unit->window = node->u.window;
	fr_window_border(&unit->window, in, out, border);
	unit->kind = FR_UNIT_POOL;
	if (node->op == FR_OP_MAX_POOL)
		return true;

	/* One scale for every window: none may reach beyond what counts. */
	bool is_padded = border[0] || border[1] || border[2] || border[3];

	return !is_padded || (unit->window.count_include_pad &&
						  border[2] <= unit->window.pad[2] &&
						  border[3] <= unit->window.pad[3]);
}

static bool
match_average(const FrPlanner *planner, const FrNode *node, FrUnit *unit)
{
	bool is_spatial = node->op == FR_OP_GLOBAL_AVERAGE_POOL;
	int64_t dims[4];

	if (node->input_count < 1 || !is_blocked_input(planner, node->inputs[0]) ||
		shape_of(planner, node->inputs[0])->rank != 4 ||
		!fr_blocked_dims(shape_of(planner, node->outputs[0]), dims))
		return false;
	if (node->op == FR_OP_REDUCE_MEAN && node->input_count > 1 &&
		node->inputs[1] >= 0)
	{
		const FrValue *value = &planner->graph->values[node->inputs[1]];
		const int64_t *axes = value->dtype == FR_INT64 ? value->constant : NULL;
		size_t count;

		if (axes && fr_shape_count(&value->shape, &count) && count == 2)
		{
			int64_t a = axes[0] + (axes[0] < 0 ? 4 : 0);
			int64_t b = axes[1] + (axes[1] < 0 ? 4 : 0);

			is_spatial = (a == 2 && b == 3) || (a == 3 && b == 2);
		}
	}
	unit->kind = FR_UNIT_AVERAGE;
	return is_spatial;
}

/* Whether a Resize repeats whole pixels, factor[0] x factor[1] times. */
static bool
match_upsample(const FrPlanner *planner, const FrNode *node, FrUnit *unit)
{
	int64_t in[4], out[4];

	if (node->op != FR_OP_RESIZE || node->u.resize.mode != FR_RESIZE_NEAREST ||
		!is_blocked_input(planner, node->inputs[0]) ||
		shape_of(planner, node->inputs[0])->rank != 4 ||
		!fr_blocked_dims(shape_of(planner, node->inputs[0]), in) ||
		!fr_blocked_dims(shape_of(planner, node->outputs[0]), out) ||
		out[0] != in[0] || out[1] != in[1] || out[2] % in[2] || out[3] % in[3])
		return false;

	FrResizeCoordinates coordinates = node->u.resize.coordinates;
	FrResizeRounding rounding = node->u.resize.rounding;
	bool is_half =
		coordinates == FR_COORD_HALF_PIXEL &&
		(rounding == FR_ROUND_PREFER_FLOOR || rounding == FR_ROUND_PREFER_CEIL);

	if (!is_half &&
		!(coordinates == FR_COORD_ASYMMETRIC && rounding == FR_ROUND_FLOOR))
		return false;
	if (node->input_count > 2 && node->inputs[2] >= 0)
	{
		const float *scales = fr_constant_floats(planner, node->inputs[2]);
		size_t count;

		if (!scales ||
			!fr_shape_count(shape_of(planner, node->inputs[2]), &count) ||
			(count != 0 && count != 4))
			return false;
		for (size_t i = 0; i < count; i++)
			if (scales[i] != (float) (out[i] / in[i]))
				return false;
	}
	unit->kind = FR_UNIT_UPSAMPLE;
	unit->factor_h = (int) (out[2] / in[2]);
	unit->factor_w = (int) (out[3] / in[3]);
	return true;
}

/* Concatenation of channels where every part but the last is whole blocks. */
static bool
match_concat(const FrPlanner *planner, const FrNode *node, FrUnit *unit)
{
	if (node->op != FR_OP_CONCAT)
		return false;

	const FrShape *shape = shape_of(planner, node->outputs[0]);
	int64_t dims[4];
	int axis = node->u.axis.axis;

	if (!fr_blocked_dims(shape, dims) ||
		(axis < 0 ? axis + shape->rank : axis) != 1)
		return false;
	for (int i = 0; i < node->input_count; i++)
		if (!is_blocked_input(planner, node->inputs[i]) ||
			!fr_blocked_dims(shape_of(planner, node->inputs[i]), dims) ||
			(i + 1 < node->input_count && dims[1] % FR_BLOCK))
			return false;
	unit->kind = FR_UNIT_CONCAT;
	return true;
}

static bool
match_nhwc(const FrPlanner *planner, const FrNode *node, FrUnit *unit)
{
	static const int channels_last[4] = {0, 2, 3, 1};

	if (node->op != FR_OP_TRANSPOSE || node->u.transpose.rank != 4 ||
		(!is_blocked_input(planner, node->inputs[0]) &&
		 !planner->is_part[node->inputs[0]]))
		return false;
	for (int i = 0; i < 4; i++)
		if (node->u.transpose.permutation[i] != channels_last[i])
			return false;
	unit->kind = FR_UNIT_NHWC;
	return true;
}

/* A detector's head: channels last, under another shape, activated.  Reshape
 * and an activation without slopes that alone read the output are taken. */
static FrStatus
take_nhwc_followers(FrPlanner *planner, FrUnit *unit, int32_t *last)
{
	int32_t next = fr_only_user(planner, unit->output), shape = -1;
	FrActivationForm form;
	bool is_found;
	FrStatus status;

	if (next >= 0 && planner->graph->nodes[next].op == FR_OP_RESHAPE)
	{
		shape = next;
		next = fr_only_user(planner, planner->graph->nodes[next].outputs[0]);
	}
	if (next < 0 || planner->graph->nodes[next].op == FR_OP_PRELU ||
		planner->graph->nodes[next].op == FR_OP_LEAKY_RELU)
		return FR_OK;
	status = fr_activation_form(planner, &planner->graph->nodes[next], &form,
								&is_found);
	if (status != FR_OK || !is_found)
		return status;
	if (shape >= 0)
		planner->is_claimed[shape] = true;
	unit->activation = form.activation;
	unit->low = form.low;
	unit->high = form.high;
	unit->output = planner->graph->nodes[next].outputs[0];
	*last = next;
	return FR_OK;
}

/* Reshapes of plain tensors, and of blocked ones whose blocks stay. */
static bool
match_alias(FrPlanner *planner, const FrNode *node, FrUnit *unit)
{
	int64_t in[4], out[4];

	if (node->op != FR_OP_RESHAPE && node->op != FR_OP_FLATTEN &&
		node->op != FR_OP_SQUEEZE && node->op != FR_OP_UNSQUEEZE &&
		node->op != FR_OP_IDENTITY)
		return false;
	if (planner->graph->values[node->inputs[0]].constant)
		return false;
	unit->kind = FR_UNIT_ALIAS;
	if (planner->is_blocked[node->inputs[0]] &&
		fr_blocked_dims(shape_of(planner, node->inputs[0]), in) &&
		fr_blocked_dims(shape_of(planner, node->outputs[0]), out) &&
		memcmp(in, out, sizeof in) == 0)
		planner->is_blocked[node->outputs[0]] = true;
	return true;
}

/* A binary operator on blocked maps, or on a map and a value per channel. */
static bool
match_binary(const FrPlanner *planner, const FrNode *node, FrUnit *unit)
{
	static const struct
	{
		FrOp op;
		FrBinary binary;
		bool is_commutative;
	} operators[] = {
		{FR_OP_ADD, FR_BINARY_ADD, true}, {FR_OP_SUB, FR_BINARY_SUB, false},
		{FR_OP_MUL, FR_BINARY_MUL, true}, {FR_OP_DIV, FR_BINARY_DIV, false},
		{FR_OP_MAX, FR_BINARY_MAX, true}, {FR_OP_MIN, FR_BINARY_MIN, true},
	};
	int64_t a[4], b[4], out[4];

	if (node->input_count != 2 ||
		!is_float_variable(planner, node->inputs[0]) ||
		!is_float_variable(planner, node->inputs[1]) ||
		(!planner->is_blocked[node->inputs[0]] &&
		 !planner->is_blocked[node->inputs[1]]) ||
		shape_of(planner, node->inputs[0])->rank !=
			shape_of(planner, node->inputs[1])->rank ||
		!fr_blocked_dims(shape_of(planner, node->inputs[0]), a) ||
		!fr_blocked_dims(shape_of(planner, node->inputs[1]), b) ||
		!fr_blocked_dims(shape_of(planner, node->outputs[0]), out))
		return false;
	for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
	{
		if (node->op != operators[i].op)
			continue;

		bool is_a_full = memcmp(a, out, sizeof a) == 0;
		bool is_b_full = memcmp(b, out, sizeof b) == 0;
		const int64_t *small = is_a_full ? b : a;

		unit->is_operand_vector = !is_a_full || !is_b_full;
		if ((!is_a_full && !is_b_full) ||
			(!is_a_full && !operators[i].is_commutative) ||
			(unit->is_operand_vector &&
			 (small[0] != out[0] || small[1] != out[1] || small[2] != 1 ||
			  small[3] != 1)))
			return false;
		/* 0 / 0 in padding channels would be NaN, and spread. */
		if (node->op == FR_OP_DIV && out[1] % FR_BLOCK)
			return false;
		unit->kind = FR_UNIT_ELTWISE;
		unit->binary = operators[i].binary;
		unit->input = node->inputs[is_a_full ? 0 : 1];
		unit->operand = node->inputs[is_a_full ? 1 : 0];
		return true;
	}
	return false;
}

/* Element-wise nodes over a blocked map, and all that can follow. */
static FrStatus
take_eltwise(FrPlanner *planner, int32_t index, FrUnit *unit, bool *is_taken)
{
	const FrNode *node = &planner->graph->nodes[index];
	int32_t gate, last = index;
	FrStatus status = FR_OK;

	*is_taken = match_binary(planner, node, unit);
	if (!*is_taken && node->input_count > 0)
	{
		/* Begin with a copy of the input; the node itself follows it. */
		int32_t input = fr_affine_input(planner, node);
		int64_t dims[4];

		input = input >= 0 ? input : node->inputs[0];
		if (input < 0 || !is_blocked_input(planner, input) ||
			!fr_blocked_dims(shape_of(planner, input), dims))
			return FR_OK;
		unit->kind = FR_UNIT_ELTWISE;
		unit->input = unit->output = input;
		last = fr_find_swish(planner, input, &gate);
		if (last >= 0 && gate == index)
		{
			unit->activation =
				node->op == FR_OP_SIGMOID ? FR_ACT_SWISH : FR_ACT_HARD_SWISH;
			*is_taken = true;
		}
		else
		{
			last = index;
			status = fr_unit_take_next(planner, unit, node, is_taken);
		}
	}
	if (status != FR_OK || !*is_taken)
		return status;
	planner->is_claimed[index] = planner->is_claimed[last] = true;
	unit->output = planner->graph->nodes[last].outputs[0];
	if ((status = fr_unit_take_followers(planner, unit, &last)) == FR_OK)
		fr_unit_place(planner, unit, last);
	return status;
}

/* An activation without slopes of a plain tensor. */
static FrStatus
match_activate(FrPlanner *planner, const FrNode *node, FrUnit *unit,
			   bool *is_found)
{
	FrActivationForm form;
	FrStatus status;

	*is_found = false;
	if (node->input_count < 1 || node->op == FR_OP_PRELU ||
		node->op == FR_OP_LEAKY_RELU ||
		!is_float_variable(planner, node->inputs[0]))
		return FR_OK;
	status = fr_activation_form(planner, node, &form, is_found);
	unit->kind = FR_UNIT_ACTIVATE;
	unit->activation = form.activation;
	unit->low = form.low;
	unit->high = form.high;
	return status;
}

FrStatus
fr_fuse_rest(FrPlanner *planner, int32_t index)
{
	const FrNode *node = &planner->graph->nodes[index];
	FrUnit *unit = fr_unit_new(planner, FR_UNIT_PLAIN, node);
	bool is_taken;
	FrStatus status;

	if (!unit)
		return FR_ERR_NOMEM;
	if (!planner->is_reference)
	{
		FrUnit empty = *unit;

		if (match_nhwc(planner, node, unit))
		{
			planner->is_claimed[index] = true;
			status = take_nhwc_followers(planner, unit, &index);
			fr_unit_place(planner, unit, index);
			return status;
		}
		if (match_pool(planner, node, unit) ||
			match_average(planner, node, unit) ||
			match_upsample(planner, node, unit) ||
			match_concat(planner, node, unit) ||
			fr_match_softmax(planner, node, unit) ||
			match_alias(planner, node, unit))
		{
			fr_unit_place(planner, unit, index);
			return FR_OK;
		}
		*unit = empty;
		status = fr_match_bytes(planner, node, unit, &is_taken);
		if (status != FR_OK)
			return status;
		if (is_taken)
		{
			fr_unit_place(planner, unit, index);
			return FR_OK;
		}
		*unit = empty;
		status = take_eltwise(planner, index, unit, &is_taken);
		if (status != FR_OK || is_taken)
			return status;
		*unit = empty;
		status = match_activate(planner, node, unit, &is_taken);
		if (status != FR_OK)
			return status;
		if (!is_taken)
			*unit = empty;
	}
	fr_unit_place(planner, unit, index);
	return FR_OK;
}
