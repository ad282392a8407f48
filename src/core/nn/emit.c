/*
 * emit.c: units become steps with final pointers.
 *
 * Everything that can be computed before a run is computed here: addresses in
 * the arena, strides, constants in whole blocks, where a long task may be cut
 * to poll for cancellation, and the text that describes the step.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/nn/planner.h"

/* Floats moved or multiply-adds between two polls: a few milliseconds on the
 * slowest instruction set. */
#define PIECE_WORK 4e6

/* ---- shared with emit_conv.c ---------------------------------------------- */

float *
fr_slot_data(const FrPlanner *planner, int32_t index)
{
	const FrSlot *slot = &planner->slots[index];
	float *data = planner->plan->arena +
				  fr_slot_root(planner, index)->offset / sizeof(float);

	for (int32_t s = index; s >= 0; s = planner->slots[s].parent)
		data += planner->slots[s].block_offset * slot->block;
	return data + slot->pad[0] * slot->row +
		   (ptrdiff_t) slot->pad[1] * slot->lanes;
}

const float *
fr_slot_window(const FrPlanner *planner, int32_t index, const FrWindow *window)
{
	const FrSlot *slot = &planner->slots[index];

	return fr_slot_data(planner, index) - window->pad[0] * slot->row -
		   (ptrdiff_t) window->pad[1] * slot->lanes;
}

FrStatus
fr_blocked_constant(FrPlanner *planner, const float *values, int count,
					const float **array)
{
	size_t padded =
		(size_t) (count + FR_BLOCK - 1) / FR_BLOCK * (size_t) FR_BLOCK;
	float *copy;

	*array = NULL;
	if (!values)
		return FR_OK;
	copy = fr_arena_alloc_zeroed(planner->memory, padded, sizeof(float));
	if (!copy)
		return fr_fail_nomem(planner->error, padded * sizeof(float));
	memcpy(copy, values, (size_t) count * sizeof(float));
	*array = copy;
	return FR_OK;
}

void
fr_split_rows(FrStep *step, double work, int rows)
{
	double pieces = work / PIECE_WORK;

	step->split = FR_SPLIT_NONE;
	if (pieces <= 1.0)
		return;
	step->split = FR_SPLIT_ROWS;
	step->split_size = (int) (rows / pieces);
	if (step->split_size < 1)
		step->split_size = 1;
}

void
fr_split_map(FrStep *step, double work, int rows, int blocks)
{
	double pieces = work / PIECE_WORK;

	fr_split_rows(step, work, rows);
	if (rows >= pieces || rows >= blocks)
		return;
	step->split = FR_SPLIT_BLOCKS;
	step->split_size = blocks > pieces ? (int) (blocks / pieces) : 1;
}

FrStatus
fr_describe(FrPlanner *planner, FrStep *step, const char *format, ...)
{
	char text[128];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	step->description.kernel =
		fr_arena_copy(planner->memory, text, strlen(text) + 1);
	return step->description.kernel
			   ? FR_OK
			   : fr_fail_nomem(planner->error, strlen(text) + 1);
}

/* ---- borders -------------------------------------------------------------- */

FrStatus
fr_emit_border(FrPlanner *planner, int32_t index, FrBorder *border)
{
	const FrSlot *slot = &planner->slots[index];

	if (slot->lanes == 0 || slot->fill == FR_FILL_NONE)
		return FR_OK;
	*border = (FrBorder){
		.data = fr_slot_data(planner, index) - slot->pad[0] * slot->row -
				(ptrdiff_t) slot->pad[1] * slot->lanes,
		.row = slot->row,
		.block = slot->block,
		.image = slot->image,
		.images = slot->images,
		.blocks = slot->blocks,
		.lanes = slot->lanes,
		.height = slot->height,
		.width = slot->width,
		.pad = {slot->pad[0], slot->pad[1], slot->pad[2], slot->pad[3]},
		.fill = slot->fill,
	};
	if (slot->lines)
	{
		/* Below the map is where the lines end: filled by its last piece. */
		border->images = 1;
		border->height = slot->lines - slot->pad[0];
		border->pad[2] = 0;
	}
	if (slot->fill == FR_FILL_VECTOR)
		return fr_blocked_constant(planner, slot->fill_values, slot->channels,
								   &border->values);
	return FR_OK;
}

/* The lines that a step of a strip writes to. */
static void
emit_lines(const FrPlanner *planner, int32_t index, FrLines *lines)
{
	const FrSlot *slot = &planner->slots[index];

	if (!slot->lines)
		return;
	*lines = (FrLines){
		.top = fr_slot_data(planner, index) - slot->pad[0] * slot->row -
			   (ptrdiff_t) slot->pad[1] * slot->lanes,
		.row = slot->row,
		.block = slot->block,
		.blocks = slot->blocks,
		.bottom = slot->pad[2],
		.end = (slot->pad[0] + slot->height) * slot->row,
	};
}

/* ---- kernels without weights ---------------------------------------------- */

static FrStatus
emit_pool(FrPlanner *planner, const FrUnit *unit, FrStep *step)
{
	const FrWindow *window = &unit->window;
	const FrSlot *in = &planner->slots[unit->in_slot];
	const FrSlot *out = &planner->slots[unit->out_slot];
	int taps = window->kernel[0] * window->kernel[1];

	step->u.pool = (FrPoolTask){
		.input = fr_slot_window(planner, unit->in_slot, window),
		.in_block = in->block,
		.in_row = in->row * window->stride[0],
		.in_pixel = (ptrdiff_t) FR_BLOCK * window->stride[1],
		.tap_row = in->row * window->dilation[0],
		.tap_col = (ptrdiff_t) FR_BLOCK * window->dilation[1],
		.kernel_h = window->kernel[0],
		.kernel_w = window->kernel[1],
		.output = fr_slot_data(planner, unit->out_slot),
		.out_block = out->block,
		.out_row = out->row,
		.blocks = out->blocks,
		.out_h = out->height,
		.out_w = out->width,
		.is_max = unit->node->op == FR_OP_MAX_POOL,
		.scale = 1.0f / (float) taps,
	};
	fr_split_map(
		step, (double) out->blocks * FR_BLOCK * out->height * out->width * taps,
		out->height, unit->strip ? 1 : out->blocks);
	return fr_describe(planner, step, "%s %dx%d s%d %s",
					   step->u.pool.is_max ? "max pool" : "average pool",
					   window->kernel[0], window->kernel[1], window->stride[0],
					   planner->kernels->isa);
}

static const char *const binary_names[] = {
	[FR_BINARY_NONE] = "map", [FR_BINARY_ADD] = "add", [FR_BINARY_SUB] = "sub",
	[FR_BINARY_MUL] = "mul",  [FR_BINARY_DIV] = "div", [FR_BINARY_MAX] = "max",
	[FR_BINARY_MIN] = "min",
};

static FrStatus
emit_eltwise(FrPlanner *planner, const FrUnit *unit, FrStep *step)
{
	const FrSlot *in = &planner->slots[unit->in_slot];
	const FrSlot *out = &planner->slots[unit->out_slot];
	FrEltwiseTask *task = &step->u.eltwise;
	FrStatus status;

	*task = (FrEltwiseTask){
		.a = fr_slot_data(planner, unit->in_slot),
		.a_block = in->block,
		.a_row = in->row,
		.binary = unit->binary,
		.output = fr_slot_data(planner, unit->out_slot),
		.out_block = out->block,
		.out_row = out->row,
		.blocks = out->blocks,
		.height = out->height,
		.width = out->width,
		.epilogue = {.activation = unit->activation,
					 .low = unit->low,
					 .high = unit->high},
	};
	if (unit->operand_slot >= 0)
	{
		const FrSlot *operand = &planner->slots[unit->operand_slot];

		task->b = fr_slot_data(planner, unit->operand_slot);
		task->b_block = operand->block;
		task->b_row = unit->is_operand_vector ? 0 : operand->row;
		task->b_pixel = unit->is_operand_vector ? 0 : FR_BLOCK;
	}
	if ((status = fr_blocked_constant(planner, unit->scale, out->channels,
									  &task->scale)) != FR_OK ||
		(status = fr_blocked_constant(planner, unit->bias, out->channels,
									  &task->epilogue.bias)) != FR_OK ||
		(status = fr_blocked_constant(planner, unit->slope, out->channels,
									  &task->epilogue.slope)) != FR_OK)
		return status;
	if (unit->vector_slot >= 0)
		task->scale = fr_slot_data(planner, unit->vector_slot);
	fr_split_map(step,
				 (double) out->blocks * FR_BLOCK * out->height * out->width,
				 out->height, unit->strip ? 1 : out->blocks);
	return fr_describe(
		planner, step, "%s%s%s %s",
		unit->kind == FR_UNIT_COPY ? "copy" : binary_names[unit->binary],
		unit->is_operand_vector ? " per channel" : "",
		unit->vector_slot >= 0 ? " +scale" : "", planner->kernels->isa);
}

static const char *const map_names[FR_UNIT_KIND_COUNT] = {
	[FR_UNIT_BLOCK] = "to blocked",
	[FR_UNIT_UNBLOCK] = "to plain",
	[FR_UNIT_NHWC] = "to plain channels-last",
	[FR_UNIT_AVERAGE] = "global average",
	[FR_UNIT_UPSAMPLE] = "upsample",
};

/* The plain side of a conversion of *map: block means plane. */
static void
fill_planes(const FrUnit *unit, const FrSlot *map, bool is_input, FrStep *step)
{
	FrMapTask *task = &step->u.map;
	ptrdiff_t plane = (ptrdiff_t) map->height * map->width;

	if (is_input)
	{
		task->in_row = map->width;
		task->in_block = plane;
		step->in_image = plane * map->channels;
		return;
	}
	task->out_row = unit->kind == FR_UNIT_NHWC
						? (ptrdiff_t) map->width * map->channels
						: map->width;
	task->out_block = plane;
	step->out_image = plane * map->channels;
}

/* BLOCK, UNBLOCK, NHWC, AVERAGE and UPSAMPLE: one map in, one map out. */
static FrStatus
emit_map(FrPlanner *planner, const FrUnit *unit, FrStep *step)
{
	const FrSlot *in = &planner->slots[unit->in_slot];
	const FrSlot *out = &planner->slots[unit->out_slot];
	const FrSlot *map = in->lanes ? in : out; /* the blocked one */
	FrMapTask *task = &step->u.map;

	*task = (FrMapTask){
		.input = fr_slot_data(planner, unit->in_slot),
		.in_block = in->block,
		.in_row = in->row,
		.output = fr_slot_data(planner, unit->out_slot),
		.out_block = out->block,
		.out_row = out->row,
		.channels = map->channels,
		.blocks = map->blocks,
		.height = map->height,
		.width = map->width,
		.lanes = map->lanes,
		.first_lane = in->first_lane,
		.factor_h = unit->factor_h,
		.factor_w = unit->factor_w,
		.activation = unit->activation,
		.low = unit->low,
		.high = unit->high,
	};

	if (in->lanes == 0)
		fill_planes(unit, map, true, step);
	if (out->lanes == 0)
		fill_planes(unit, map, false, step);
	step->images = map->images;

	double work = (double) map->blocks * map->lanes * map->height * map->width;

	if (unit->kind == FR_UNIT_UPSAMPLE)
		work *= (double) unit->factor_h * unit->factor_w;
	bool is_conversion =
		unit->kind == FR_UNIT_BLOCK || unit->kind == FR_UNIT_UNBLOCK;

	fr_split_map(
		step, work, map->height,
		is_conversion && !unit->strip && in->first_lane == 0 ? map->blocks : 1);
	if (unit->kind == FR_UNIT_BLOCK && in->is_input)
		step->pictures = &planner->plan->pictures[unit->in_slot];
	if (unit->kind == FR_UNIT_AVERAGE && step->split != FR_SPLIT_NONE)
	{
		step->split = FR_SPLIT_BLOCKS;
		step->split_size = 1;
	}
	return fr_describe(planner, step, "%s%s %s", map_names[unit->kind],
					   unit->activation != FR_ACT_NONE ? " +activation" : "",
					   planner->kernels->isa);
}

/* ---- plain tensors -------------------------------------------------------- */

static FrStatus
emit_activate(FrPlanner *planner, const FrUnit *unit, FrStep *step)
{
	size_t count = 0; /* a shape that was inferred can be counted */

	fr_shape_count(&planner->graph->values[unit->output].shape, &count);
	step->u.activate.input = fr_slot_data(planner, unit->in_slot);
	step->u.activate.output = fr_slot_data(planner, unit->out_slot);
	step->u.activate.count = count;
	step->u.activate.activation = unit->activation;
	step->u.activate.low = unit->low;
	step->u.activate.high = unit->high;
	return fr_describe(planner, step, "activation %s %s",
					   fr_op_name(unit->node->op), planner->kernels->isa);
}

static FrStatus
emit_plain(FrPlanner *planner, const FrUnit *unit, const int32_t *slots,
		   FrStep *step)
{
	const FrNode *node = unit->node;
	size_t inputs = (size_t) node->input_count;
	size_t outputs = (size_t) node->output_count;
	FrTensor *tensors = fr_arena_alloc_zeroed(
		planner->memory, inputs + outputs + 1, sizeof(FrTensor));
	const FrTensor **pointers =
		fr_arena_alloc_zeroed(planner->memory, inputs + 1, sizeof(FrTensor *));

	if (!tensors || !pointers)
		return fr_fail_nomem(planner->error,
							 (inputs + outputs) * sizeof(FrTensor));
	for (size_t i = 0; i < inputs + outputs; i++)
	{
		int32_t index =
			i < inputs ? node->inputs[i] : node->outputs[i - inputs];

		if (index < 0)
			continue;

		const FrValue *value = &planner->graph->values[index];

		tensors[i].dtype = value->dtype;
		tensors[i].shape = value->shape;
		tensors[i].data = slots[i] >= 0
							  ? (void *) fr_slot_data(planner, slots[i])
							  : (void *) (uintptr_t) value->constant;
		if (i < inputs)
			pointers[i] = &tensors[i];
	}
	step->u.plain.node = node;
	step->u.plain.inputs = pointers;
	step->u.plain.outputs = tensors + inputs;
	return fr_describe(planner, step, "plain %s", fr_op_name(node->op));
}

/* ---- steps ---------------------------------------------------------------- */

static FrStatus
emit_task(FrPlanner *planner, const FrUnit *unit, const int32_t *slots,
		  FrStep *step)
{
	switch (unit->kind)
	{
		case FR_UNIT_PLAIN:
			return emit_plain(planner, unit, slots, step);
		case FR_UNIT_ACTIVATE:
			return emit_activate(planner, unit, step);
		case FR_UNIT_SOFTMAX:
			return fr_emit_softmax(planner, unit, step);
		case FR_UNIT_CONV:
			return fr_emit_conv(planner, unit, step);
		case FR_UNIT_WINOGRAD:
			return fr_emit_winograd(planner, unit, step);
		case FR_UNIT_DEPTHWISE:
			return fr_emit_depthwise(planner, unit, step);
		case FR_UNIT_POOL:
			return emit_pool(planner, unit, step);
		case FR_UNIT_ELTWISE:
		case FR_UNIT_COPY:
			return emit_eltwise(planner, unit, step);
		case FR_UNIT_AVERAGE:
		case FR_UNIT_UPSAMPLE:
		case FR_UNIT_NHWC:
		case FR_UNIT_BLOCK:
		case FR_UNIT_UNBLOCK:
			return emit_map(planner, unit, step);
		case FR_UNIT_INT8:
		case FR_UNIT_QUANTIZE:
		case FR_UNIT_DEQUANTIZE:
			return fr_emit_int8(planner, unit, step);
		case FR_UNIT_ALIAS:
		case FR_UNIT_CONCAT:
		case FR_UNIT_KIND_COUNT:
			break;
	}
	return fr_fail(planner->error, FR_ERR_BUG, "Unit kind %d in a schedule.",
				   (int) unit->kind);
}

/* What a step needs to know as part of a strip. */
static FrStatus
emit_strip(FrPlanner *planner, int index, FrStep *step)
{
	const FrStrip *strip = &planner->plan->strips[step->strip - 1];
	int factor = step->kind == FR_UNIT_UPSAMPLE ? step->u.map.factor_h : 1;
	int most = 0;

	for (int round = 0; round < strip->rounds; round++)
	{
		const FrStripPiece *piece =
			&strip->pieces[(ptrdiff_t) round * strip->count + index -
						   strip->first];

		if (piece->count > most)
			most = piece->count;
	}
	if (step->split == FR_SPLIT_NONE)
		step->split_size = most;
	step->split = FR_SPLIT_ROWS;
	step->description.strip = step->strip;
	step->description.strip_rows = most * factor;
	return fr_describe(planner, step, "%s, strip %d, %d rows",
					   step->description.kernel, step->strip, most * factor);
}

static FrStatus
emit_step(FrPlanner *planner, int index, FrStep *step)
{
	const FrUnit *unit = planner->units[index];
	FrStatus status = FR_OK;

	step->kind = unit->kind == FR_UNIT_COPY ? FR_UNIT_ELTWISE : unit->kind;
	step->images = 1;
	step->groups = 1;
	step->description.name =
		unit->node && unit->node->name && unit->node->name[0]
			? unit->node->name
			: planner->graph->values[unit->output].name;
	if (!step->description.name)
		step->description.name = "";
	step->description.shape = planner->graph->values[unit->output].shape;
	if (unit->part_count > 0)
		step->description.shape.dims[1] = unit->out_channels;
	if (unit->kind != FR_UNIT_PLAIN)
	{
		const FrSlot *in = &planner->slots[unit->in_slot];
		const FrSlot *out = &planner->slots[unit->out_slot];

		step->images = out->lanes ? out->images : in->lanes ? in->images : 1;
		step->in_image = in->image;
		step->out_image = out->image;
		if (unit->operand_slot >= 0)
			step->operand_image = planner->slots[unit->operand_slot].image;
		if (unit->vector_slot >= 0)
			step->vector_image = planner->slots[unit->vector_slot].image;
		step->strip = unit->strip;
		emit_lines(planner, unit->out_slot, &step->lines);
		status = fr_emit_border(planner, unit->out_slot, &step->border);
	}
	if (status == FR_OK)
		status = emit_task(planner, unit, planner->unit_slots[index], step);
	return status == FR_OK && unit->strip ? emit_strip(planner, index, step)
										  : status;
}

/* Where the caller finds inputs and outputs. */
static FrStatus
emit_ends(FrPlanner *planner)
{
	const FrGraph *graph = planner->graph;
	FrPlan *plan = planner->plan;
	static const float nothing;

	plan->inputs = fr_arena_alloc_zeroed(
		planner->memory, (size_t) graph->input_count + 1, sizeof(float *));
	plan->outputs = fr_arena_alloc_zeroed(
		planner->memory, (size_t) graph->output_count + 1, sizeof(float *));
	if (!plan->inputs || !plan->outputs)
		return fr_fail_nomem(planner->error,
							 (size_t) graph->output_count * sizeof(float *));
	for (int i = 0; i < graph->input_count; i++)
		plan->inputs[i] = fr_slot_data(planner, i);

	FrStatus status = fr_plan_emit_pictures(planner);

	if (status != FR_OK)
		return status;
	for (int i = 0; i < graph->output_count; i++)
	{
		int32_t value = graph->outputs[i];
		int32_t slot = planner->value_slots[planner->same_as[value]];

		plan->outputs[i] = graph->values[value].constant;
		while (slot >= 0 && planner->slots[slot].lanes)
			slot = planner->slots[slot].next;
		if (slot >= 0)
			plan->outputs[i] = fr_slot_data(planner, slot);
		if (!plan->outputs[i])
			plan->outputs[i] = &nothing;
	}
	return FR_OK;
}

FrStatus
fr_plan_emit(FrPlanner *planner)
{
	FrPlan *plan = planner->plan;
	FrStatus status = emit_ends(planner);

	plan->steps = fr_arena_alloc_zeroed(
		planner->memory, (size_t) planner->unit_count + 1, sizeof(FrStep));
	if (status != FR_OK)
		return status;
	if (!plan->steps)
		return fr_fail_nomem(planner->error,
							 (size_t) planner->unit_count * sizeof(FrStep));
	for (int i = 0; i < planner->unit_count && status == FR_OK; i++)
		if ((status = fr_plan_poll(planner)) == FR_OK)
			status = emit_step(planner, i, &plan->steps[i]);
	plan->step_count = planner->unit_count;
	return status;
}
