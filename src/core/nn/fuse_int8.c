/*
 * fuse_int8.c: convolutions on 8-bit integers, from graphs in QDQ form.
 *
 * A quantised model keeps its float operators; QuantizeLinear followed by
 * DequantizeLinear stands before what may run on integers, and weights are
 * int8 constants behind a DequantizeLinear.  A convolution or fully connected
 * layer whose input and weights come that way becomes an INT8 unit, which
 * reads the bytes themselves: with zero points zx and 0, sum((x - zx) * sx *
 * w * sw) = sx * sw * (sum(x * w) - zx * sum(w)).  What follows goes into its
 * epilogue as for any convolution, and so does the QuantizeLinear that makes
 * the next layer's bytes, with affine maps per channel before it.  Whatever
 * does not fit this form runs as it stands: by a float convolution, whose
 * weights are then calculated here, or by plain operators.
 */
#include <math.h>
#include <string.h>

#include "core/nn/fuse.h"

/* A byte b stands for (b - zero_point) * scale. */
typedef struct Quantization
{
	float scale;
	int zero_point;
} Quantization;

/* ---- reading nodes -------------------------------------------------------- */

/* The data of a constant that is one number, or NULL. */
static const void *
single_constant(const FrPlanner *planner, int32_t value, FrDtype dtype)
{
	const FrValue *v = &planner->graph->values[value];
	size_t count;

	return v->constant && v->dtype == dtype &&
				   fr_shape_count(&v->shape, &count) && count == 1
			   ? v->constant
			   : NULL;
}

/* Scale and zero point of QuantizeLinear or DequantizeLinear of a tensor; false
 * when they are not two numbers.  Kernels have unsigned bytes: signed ones are
 * kept with 128 added, the zero point likewise. */
static bool
read_quantization(const FrPlanner *planner, const FrNode *node,
				  Quantization *quantization)
{
	int32_t bytes =
		node->op == FR_OP_QUANTIZE ? node->outputs[0] : node->inputs[0];
	FrDtype dtype = planner->graph->values[bytes].dtype;
	const float *scale = single_constant(planner, node->inputs[1], FR_FLOAT32);
	int zero = 0;

	if (!scale || (dtype != FR_UINT8 && dtype != FR_INT8))
		return false;
	if (node->input_count > 2 && node->inputs[2] >= 0)
	{
		const void *data = single_constant(planner, node->inputs[2], dtype);

		if (!data)
			return false;
		zero =
			dtype == FR_INT8 ? *(const int8_t *) data : *(const uint8_t *) data;
	}
	*quantization =
		(Quantization){*scale, dtype == FR_INT8 ? zero + 128 : zero};
	return *scale > 0.0f && isfinite(*scale) && isfinite(1.0f / *scale);
}

/*
 * Whether kernels can write and read a value as blocked bytes: it is made by a
 * QuantizeLinear of a map or of vectors, and read by nodes that turn it back
 * into the same floats.
 */
static bool
can_be_bytes(const FrPlanner *planner, int32_t value, Quantization *made)
{
	const FrNode *nodes = planner->graph->nodes;
	int32_t maker = planner->producer[value];
	int64_t dims[4];

	if (maker < 0 || nodes[maker].op != FR_OP_QUANTIZE ||
		!is_float_variable(planner, nodes[maker].inputs[0]) ||
		!fr_blocked_dims(shape_of(planner, value), dims) ||
		planner->is_output[value] ||
		!read_quantization(planner, &nodes[maker], made))
		return false;
	for (int32_t u = planner->use_first[value];
		 u < planner->use_first[value + 1]; u++)
	{
		const FrNode *reader = &nodes[planner->use_nodes[u]];
		Quantization read;

		if (reader->op != FR_OP_DEQUANTIZE || reader->inputs[0] != value ||
			!read_quantization(planner, reader, &read) ||
			read.scale != made->scale || read.zero_point != made->zero_point)
			return false;
	}
	return true;
}

/* Int8 weights behind a DequantizeLinear. */
typedef struct Weights
{
	const int8_t *data;
	const float *scale;
	bool is_per_channel; /* scale [out_channels], else one for all */
} Weights;

static bool
read_weights(const FrPlanner *planner, int32_t value, const FrUnit *unit,
			 Weights *weights)
{
	int32_t maker = planner->producer[value];

	if (maker < 0 || planner->graph->nodes[maker].op != FR_OP_DEQUANTIZE)
		return false;

	const FrNode *node = &planner->graph->nodes[maker];
	const FrValue *raw = &planner->graph->values[node->inputs[0]];
	const float *scale = fr_constant_floats(planner, node->inputs[1]);
	size_t scales = 0, zeros = 0;

	if (!raw->constant || raw->dtype != FR_INT8 || !scale ||
		!fr_shape_count(shape_of(planner, node->inputs[1]), &scales))
		return false;

	int out_axis = unit->is_transposed ? 1 : 0;
	int axis = node->u.quantize.axis;

	if (axis < 0)
		axis += raw->shape.rank;
	if (scales != 1 &&
		(axis != out_axis || scales != (size_t) unit->out_channels))
		return false;
	*weights = (Weights){raw->constant, scale, scales != 1};
	if (node->input_count < 3 || node->inputs[2] < 0)
		return true;

	const int8_t *zero = planner->graph->values[node->inputs[2]].constant;

	if (!zero || !fr_shape_count(shape_of(planner, node->inputs[2]), &zeros))
		return false;
	for (size_t i = 0; i < zeros; i++)
		if (zero[i] != 0)
			return false;
	return true;
}

/* ---- DequantizeLinear of constants ---------------------------------------- */

/* Calculate what a DequantizeLinear makes of a constant. */
static FrStatus
make_constant(FrPlanner *planner, const FrNode *node)
{
	FrTensor tensors[3] = {{0}};
	const FrTensor *inputs[3] = {NULL};
	FrValue *value = &planner->graph->values[node->outputs[0]];
	FrTensor output = {.dtype = value->dtype, .shape = value->shape};
	size_t count = 0;

	for (int k = 0; k < node->input_count && k < 3; k++)
	{
		if (node->inputs[k] < 0)
			continue;

		const FrValue *source = &planner->graph->values[node->inputs[k]];

		tensors[k] = (FrTensor){.dtype = source->dtype,
								.shape = source->shape,
								.data = (void *) (uintptr_t) source->constant};
		inputs[k] = &tensors[k];
	}
	fr_shape_count(&value->shape, &count);
	output.data = fr_arena_alloc_zeroed(planner->memory, count, sizeof(float));
	if (!output.data)
		return fr_fail_nomem(planner->error, count * sizeof(float));

	FrStatus status =
		fr_op_run(node, inputs, &output, planner->cancel, planner->error);

	value->constant = output.data;
	return status;
}

static bool
is_constant_node(const FrPlanner *planner, const FrNode *node)
{
	for (int k = 0; k < node->input_count; k++)
		if (node->inputs[k] >= 0 &&
			!planner->graph->values[node->inputs[k]].constant)
			return false;
	return true;
}

/* Whether convolutions and products alone read a value, as weights. */
static bool
is_weight_only(const FrPlanner *planner, int32_t value)
{
	if (planner->is_output[value])
		return false;
	for (int32_t u = planner->use_first[value];
		 u < planner->use_first[value + 1]; u++)
	{
		const FrNode *reader = &planner->graph->nodes[planner->use_nodes[u]];
		bool has_weights = reader->op == FR_OP_CONV ||
						   reader->op == FR_OP_GEMM ||
						   reader->op == FR_OP_MATMUL;

		if (!has_weights || reader->inputs[0] == value ||
			(reader->input_count > 2 && reader->inputs[2] == value))
			return false;
	}
	return true;
}

/* Calculate constants that are no weights, before anything asks what is
 * constant. */
static FrStatus
settle_constants(FrPlanner *planner)
{
	FrStatus status = FR_OK;

	for (int32_t i = 0; i < planner->graph->node_count && status == FR_OK; i++)
	{
		const FrNode *node = &planner->graph->nodes[i];

		if (node->op != FR_OP_DEQUANTIZE || !is_constant_node(planner, node) ||
			is_weight_only(planner, node->outputs[0]))
			continue;
		planner->is_claimed[i] = true;
		status = make_constant(planner, node);
		if (status == FR_OK)
			status = fr_plan_poll(planner);
	}
	return status;
}

/* ---- flattened maps ------------------------------------------------------- */

/* The only reader of a value that is no output, or -1. */
static int32_t
only_reader(const FrPlanner *planner, int32_t value)
{
	if (value < 0 || planner->is_output[value] ||
		use_count(planner, value) != 1)
		return -1;
	return planner->use_nodes[planner->use_first[value]];
}

/* Whether a product can read a map of this shape in place of vectors. */
static bool
is_map_of(const FrShape *map, const FrShape *flat)
{
	int64_t pixels;

	if (map->rank != 4 || flat->rank != 2 || map->dims[0] != flat->dims[0])
		return false;
	pixels = map->dims[2] * map->dims[3];
	return map->dims[1] >= FR_BLOCK || pixels == 1;
}

/*
 * Flatten, QuantizeLinear, DequantizeLinear become QuantizeLinear,
 * DequantizeLinear, Flatten, with the same result, so that a fully connected
 * layer finds the map's bytes where they are.
 */
static bool
move_flatten(FrPlanner *planner, int32_t index)
{
	FrNode *nodes = planner->graph->nodes;
	FrValue *values = planner->graph->values;
	FrNode flatten = nodes[index];
	Quantization quantization;

	if (flatten.op != FR_OP_FLATTEN && flatten.op != FR_OP_RESHAPE)
		return false;

	int32_t map = flatten.inputs[0], flat = flatten.outputs[0];
	int32_t first = only_reader(planner, flat);

	if (first < 0 || nodes[first].op != FR_OP_QUANTIZE ||
		nodes[first].inputs[0] != flat || values[map].constant ||
		!is_map_of(&values[map].shape, &values[flat].shape))
		return false;

	int32_t bytes = nodes[first].outputs[0];
	int32_t second = only_reader(planner, bytes);

	if (second < 0 || !can_be_bytes(planner, bytes, &quantization))
		return false;

	/* Each stays where one of the three stood, in the new order. */
	FrNode quantize = nodes[first], dequantize = nodes[second];
	int32_t floats = dequantize.outputs[0];

	quantize.inputs[0] = map;
	dequantize.outputs[0] = flat;
	flatten.inputs[0] = flat;
	flatten.outputs[0] = floats;
	values[bytes].shape = values[flat].shape = values[map].shape;
	nodes[index] = quantize;
	nodes[first] = dequantize;
	nodes[second] = flatten;
	return true;
}

bool
fr_int8_reorder(FrPlanner *planner)
{
	bool is_changed = false;

	for (int32_t i = 0; i < planner->graph->node_count; i++)
		is_changed |= move_flatten(planner, i);
	return is_changed;
}

/* ---- convolutions --------------------------------------------------------- */

/* Describe a node as an INT8 unit. */
static bool
match_int8(const FrPlanner *planner, const FrNode *node, FrUnit *unit,
		   Quantization *quantization, Weights *weights)
{
	if (!fr_match_conv(planner, node, unit) || unit->kind != FR_UNIT_CONV ||
		unit->window.group != 1)
		return false;

	int32_t maker = planner->producer[unit->input];
	double depth = (double) unit->in_channels * unit->window.kernel[0] *
				   unit->window.kernel[1];

	if (maker < 0 || planner->graph->nodes[maker].op != FR_OP_DEQUANTIZE ||
		depth > FR_INT8_MAX_DEPTH ||
		!read_weights(planner, node->inputs[1], unit, weights))
		return false;
	unit->kind = FR_UNIT_INT8;
	unit->input = planner->graph->nodes[maker].inputs[0];
	return can_be_bytes(planner, unit->input, quantization);
}

static FrInt8Unit *
new_int8(FrPlanner *planner, Quantization quantization)
{
	FrInt8Unit *int8 =
		fr_arena_alloc_zeroed(&planner->scratch, 1, sizeof *int8);

	if (!int8)
	{
		fr_fail_nomem(planner->error, sizeof *int8);
		return NULL;
	}
	int8->scale = quantization.scale;
	int8->zero_point = quantization.zero_point;
	int8->bytes = int8->byte_slot = -1;
	return int8;
}

static FrStatus
take_int8(FrPlanner *planner, int32_t index, FrUnit **made)
{
	const FrNode *node = &planner->graph->nodes[index];
	Quantization quantization;
	Weights weights;
	FrUnit found;
	bool has_bias;
	FrStatus status;

	if (!match_int8(planner, node, &found, &quantization, &weights))
		return FR_OK;
	status = fr_read_bias(planner, node, &found, &has_bias);
	if (status != FR_OK || !has_bias)
		return status;
	for (int c = 0; c < found.out_channels; c++)
	{
		found.scale[c] =
			(float) ((double) found.scale[c] * (double) quantization.scale *
					 (double) weights.scale[weights.is_per_channel ? c : 0]);
		if (!isfinite(found.scale[c]))
			return FR_OK;
	}
	found.int8 = new_int8(planner, quantization);
	if (!found.int8)
		return FR_ERR_NOMEM;
	found.int8->weights = weights.data;
	planner->is_byte[found.input] = true;
	return fr_take_conv_unit(planner, index, &found, made);
}

/* ---- DequantizeLinear that no kernel needs as a node ---------------------- */

/* Whether INT8 units alone read a value, as weights or as what they
 * multiply. */
static bool
is_read_as_bytes(const FrPlanner *planner, int32_t value, bool is_weight,
				 FrUnit *const *unit_of)
{
	if (planner->is_output[value])
		return false;
	for (int32_t u = planner->use_first[value];
		 u < planner->use_first[value + 1]; u++)
	{
		int32_t index = planner->use_nodes[u];
		const FrNode *reader = &planner->graph->nodes[index];
		bool is_flatten =
			planner->is_claimed[index] && !is_weight &&
			(reader->op == FR_OP_FLATTEN || reader->op == FR_OP_RESHAPE);

		if (is_flatten)
			continue;
		if (!unit_of[index])
			return false;
		for (int k = 0; k < reader->input_count; k++)
			if (reader->inputs[k] == value && k != (is_weight ? 1 : 0))
				return false;
	}
	return true;
}

/* Drop a Flatten or Reshape when INT8 units alone read it, which have found
 * the bytes before it. */
static void
drop_flattened(FrPlanner *planner, int32_t index, FrUnit *const *unit_of)
{
	const FrNode *node = &planner->graph->nodes[index];
	int32_t value = node->outputs[0];

	if ((node->op != FR_OP_FLATTEN && node->op != FR_OP_RESHAPE) ||
		planner->is_output[value] || use_count(planner, value) == 0)
		return;
	for (int32_t u = planner->use_first[value];
		 u < planner->use_first[value + 1]; u++)
	{
		int32_t reader = planner->use_nodes[u];

		if (!unit_of[reader] || !unit_of[reader]->is_flattened ||
			planner->graph->nodes[reader].inputs[0] != value)
			return;
	}
	planner->is_claimed[index] = true;
}

/* Drop the conversions that only INT8 units read, and calculate weights. */
static FrStatus
settle_dequantized(FrPlanner *planner, FrUnit *const *unit_of)
{
	FrStatus status = FR_OK;

	for (int32_t i = 0; i < planner->graph->node_count && status == FR_OK; i++)
	{
		const FrNode *node = &planner->graph->nodes[i];
		int32_t value = node->outputs[0];

		if (node->op != FR_OP_DEQUANTIZE || planner->is_claimed[i])
			continue;

		bool is_weight = is_constant_node(planner, node);

		if ((is_weight || planner->is_byte[node->inputs[0]]) &&
			is_read_as_bytes(planner, value, is_weight, unit_of))
			planner->is_claimed[i] = true;
		else if (is_weight)
		{
			planner->is_claimed[i] = true;
			status = make_constant(planner, node);
		}
		if (status == FR_OK)
			status = fr_plan_poll(planner);
	}
	return status;
}

FrStatus
fr_fuse_int8(FrPlanner *planner)
{
	const FrGraph *graph = planner->graph;
	FrUnit **unit_of = fr_arena_alloc_zeroed(
		&planner->scratch, (size_t) graph->node_count + 1, sizeof *unit_of);
	FrStatus status;

	if (!unit_of)
		return fr_fail_nomem(planner->error, sizeof *unit_of);
	status = settle_constants(planner);
	for (int32_t i = 0; i < graph->node_count && status == FR_OK; i++)
	{
		if (!planner->is_claimed[i])
			status = take_int8(planner, i, &unit_of[i]);
		if (status == FR_OK)
			status = fr_plan_poll(planner);
	}
	if (status != FR_OK)
		return status;
	for (int32_t i = 0; i < graph->node_count; i++)
		drop_flattened(planner, i, unit_of);
	return settle_dequantized(planner, unit_of);
}

/* ---- QuantizeLinear ------------------------------------------------------- */

/* Prepare what turns floats into bytes: value * a / scale + b / scale, with
 * the map a, b of the channels before it. */
static FrStatus
fill_quantize(FrPlanner *planner, const FrNode *node, FrInt8Unit *int8,
			  const Quantization *quantization)
{
	size_t channels = (size_t) shape_of(planner, node->outputs[0])->dims[1];
	FrArena *scratch = &planner->scratch;

	int8->bytes = node->outputs[0];
	int8->byte_zero_point = quantization->zero_point;
	int8->byte_scale = fr_arena_alloc_zeroed(scratch, channels, sizeof(float));
	int8->byte_shift = fr_arena_alloc_zeroed(scratch, channels, sizeof(float));
	if (!int8->byte_scale || !int8->byte_shift)
		return fr_fail_nomem(planner->error, channels * sizeof(float));
	for (size_t c = 0; c < channels; c++)
		int8->byte_scale[c] = 1.0f / quantization->scale;
	return FR_OK;
}

/* Take the affine map in planner->channel_* before the quantisation; false
 * when the product is no finite number. */
static bool
fold_affine(const FrPlanner *planner, FrInt8Unit *int8, size_t channels)
{
	const float *scale = planner->channel_scale;
	const float *shift = planner->channel_shift;

	for (size_t c = 0; c < channels; c++)
		if (!isfinite(int8->byte_scale[c] * scale[c]) ||
			!isfinite(int8->byte_shift[c] + int8->byte_scale[c] * shift[c]))
			return false;
	for (size_t c = 0; c < channels; c++)
	{
		int8->byte_shift[c] += int8->byte_scale[c] * shift[c];
		int8->byte_scale[c] *= scale[c];
	}
	return true;
}

/* The unit that writes a value, or NULL. */
static FrUnit *
unit_writing(const FrPlanner *planner, int32_t value)
{
	int32_t index = planner->producer[value];
	FrUnit *unit = index < 0 ? NULL : planner->unit_at[index];

	return unit && unit->output == value ? unit : NULL;
}

/* Whether a unit's epilogue can make the bytes.  A depthwise convolution
 * stores nothing else then. */
static bool
can_write_bytes(const FrPlanner *planner, const FrUnit *unit)
{
	if (unit->kind == FR_UNIT_INT8)
		return unit->int8->bytes < 0;
	return unit->kind == FR_UNIT_DEPTHWISE && !unit->int8 && !unit->source &&
		   unit->part_count == 0 && !planner->is_output[unit->output] &&
		   use_count(planner, unit->output) == 1;
}

/* Whether a unit that can make bytes writes a value, or writes what affine maps
 * make the value of. */
static FrStatus
find_byte_maker(FrPlanner *planner, int32_t value, bool *is_found)
{
	FrStatus status = FR_OK;
	int32_t input;

	while (status == FR_OK && fr_affine_before(planner, value, &input) >= 0)
	{
		value = input;
		status = fr_plan_poll(planner);
	}

	const FrUnit *maker = unit_writing(planner, value);

	*is_found = maker && can_write_bytes(planner, maker);
	return status;
}

/* Take the affine maps before a quantisation as far as their product is
 * finite; *value is what the first of them reads. */
static FrStatus
take_affine_before(FrPlanner *planner, FrInt8Unit *int8, int32_t *value)
{
	size_t channels = (size_t) shape_of(planner, int8->bytes)->dims[1];
	FrStatus status = FR_OK;
	int32_t input;

	while (status == FR_OK && fr_affine_before(planner, *value, &input) >= 0 &&
		   fold_affine(planner, int8, channels))
	{
		*value = input;
		status = fr_plan_poll(planner);
	}
	return status;
}

/* The bytes that a QuantizeLinear makes: by the unit that writes what it
 * reads, or by a step of their own. */
static FrStatus
take_quantize(FrPlanner *planner, int32_t index)
{
	const FrNode *node = &planner->graph->nodes[index];
	int32_t bytes = node->outputs[0], value = node->inputs[0], input;
	Quantization quantization;
	FrInt8Unit found = {0};
	FrStatus status;
	bool is_wanted;

	if (node->op != FR_OP_QUANTIZE || planner->is_claimed[index] ||
		!can_be_bytes(planner, bytes, &quantization))
		return FR_OK;
	is_wanted = planner->is_byte[bytes];
	if (!is_wanted &&
		((status = find_byte_maker(planner, value, &is_wanted)) != FR_OK ||
		 !is_wanted))
		return status;
	if ((status = fill_quantize(planner, node, &found, &quantization)) !=
			FR_OK ||
		(status = take_affine_before(planner, &found, &value)) != FR_OK)
		return status;

	FrUnit *maker = unit_writing(planner, value);
	bool is_attached = maker && can_write_bytes(planner, maker);

	if (!is_attached && !planner->is_byte[bytes])
		return FR_OK;
	for (int32_t v = node->inputs[0]; v != value; v = input)
		planner->is_claimed[fr_affine_before(planner, v, &input)] = true;
	planner->is_byte[bytes] = true;
	if (is_attached)
	{
		if (!maker->int8 && !(maker->int8 = new_int8(planner, quantization)))
			return FR_ERR_NOMEM;
		maker->int8->bytes = bytes;
		maker->int8->byte_scale = found.byte_scale;
		maker->int8->byte_shift = found.byte_shift;
		maker->int8->byte_zero_point = found.byte_zero_point;
		planner->is_claimed[index] = true;
		return FR_OK;
	}

	FrUnit *unit = fr_unit_new(planner, FR_UNIT_QUANTIZE, node);

	if (!unit || !(unit->int8 = new_int8(planner, quantization)))
		return FR_ERR_NOMEM;
	*unit->int8 = found;
	unit->int8->byte_slot = -1;
	unit->input = value;
	fr_unit_place(planner, unit, index);
	return FR_OK;
}

FrStatus
fr_fuse_bytes(FrPlanner *planner)
{
	const FrGraph *graph = planner->graph;
	FrStatus status = FR_OK;

	for (int32_t i = 0; i < graph->node_count && status == FR_OK; i++)
	{
		status = take_quantize(planner, i);
		if (status == FR_OK)
			status = fr_plan_poll(planner);
	}
	for (int32_t i = 0; i < graph->node_count && status == FR_OK; i++)
	{
		FrUnit *unit = planner->unit_at[i];

		if (!unit || unit->kind != FR_UNIT_INT8)
			continue;
		unit->int8->has_float =
			planner->is_output[unit->output] ||
			use_count(planner, unit->output) > (unit->int8->bytes >= 0 ? 1 : 0);
	}
	return status;
}

FrStatus
fr_match_bytes(FrPlanner *planner, const FrNode *node, FrUnit *unit,
			   bool *is_found)
{
	int32_t input = node->input_count > 0 ? node->inputs[0] : -1;
	Quantization quantization;

	*is_found = false;
	if (node->op == FR_OP_DEQUANTIZE && planner->is_byte[input])
	{
		read_quantization(planner, node, &quantization);
		unit->kind = FR_UNIT_DEQUANTIZE;
		*is_found = true;
	}
	else if (node->op == FR_OP_QUANTIZE && planner->is_blocked[input] &&
			 can_be_bytes(planner, node->outputs[0], &quantization))
	{
		unit->kind = FR_UNIT_QUANTIZE;
		planner->is_byte[node->outputs[0]] = true;
		*is_found = true;
	}
	if (!*is_found)
		return FR_OK;
	unit->int8 = new_int8(planner, quantization);
	if (!unit->int8)
		return FR_ERR_NOMEM;
	unit->int8->has_float = unit->kind == FR_UNIT_DEQUANTIZE;
	return unit->kind == FR_UNIT_QUANTIZE
			   ? fill_quantize(planner, node, unit->int8, &quantization)
			   : FR_OK;
}
