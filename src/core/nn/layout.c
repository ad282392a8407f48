/*
 * layout.c: which physical tensors hold which values.
 *
 * A value can live in several slots: plain row-major, blocked with 16 lanes,
 * or, for a picture of up to 4 channels, packed with 4 lanes.  Its maker
 * writes one of them; readers ask for the form and the border that their
 * kernel needs, and a conversion is scheduled before the first reader whose
 * form does not exist yet.  Readers that agree on what the border holds share
 * one slot with the largest border; a reader that does not gets a copy.
 * Parts of a concatenation of whole channel blocks are written in place: their
 * slots are parts of the whole's slot.
 */
#include <string.h>

#include "core/base/size.h"
#include "core/nn/planner.h"

/* What a reader asks for. */
typedef struct Need
{
	int lanes; /* 0 plain */
	int border[4];
	FrFill fill; /* NONE when no border is read */
	const float *fill_values;
	bool is_compact; /* blocks one after another: no border, ever */
} Need;

static const Need need_plain = {.lanes = 0};
static const Need need_blocked = {.lanes = FR_BLOCK};
static const Need need_compact = {.lanes = FR_BLOCK, .is_compact = true};

static FrStatus
prepare(FrPlanner *planner)
{
	const FrGraph *graph = planner->graph;
	FrArena *scratch = &planner->scratch;
	size_t values = (size_t) graph->value_count;
	size_t inputs = 0, outputs = 0;

	for (int i = 0; i < graph->node_count; i++)
	{
		inputs += (size_t) graph->nodes[i].input_count;
		outputs += (size_t) graph->nodes[i].output_count;
	}

	/* Each request makes at most two conversions; merged units have a slot
	 * for the whole, Winograd units one for their scratch. */
	size_t units = (size_t) graph->node_count + 2 * inputs +
				   (size_t) graph->output_count + 1;
	size_t slots = (size_t) graph->input_count +
				   2 * (size_t) graph->node_count + outputs + 3 * inputs +
				   (size_t) graph->output_count + 1;

	planner->units = fr_arena_alloc_zeroed(scratch, units, sizeof(FrUnit *));
	planner->unit_slots =
		fr_arena_alloc_zeroed(scratch, units, sizeof(int32_t *));
	planner->slots = fr_arena_alloc_zeroed(scratch, slots, sizeof(FrSlot));
	planner->value_slots =
		fr_arena_alloc_zeroed(scratch, values + 1, sizeof(int32_t));
	planner->same_as =
		fr_arena_alloc_zeroed(scratch, values + 1, sizeof(int32_t));
	if (!planner->units || !planner->unit_slots || !planner->slots ||
		!planner->value_slots || !planner->same_as)
		return fr_fail_nomem(planner->error, slots * sizeof(FrSlot));
	for (size_t v = 0; v < values; v++)
	{
		planner->value_slots[v] = -1;
		planner->same_as[v] = (int32_t) v;
	}
	return FR_OK;
}

static const FrValue *
value_of(const FrPlanner *planner, int32_t value)
{
	return &planner->graph->values[value];
}

/* A slot in the given form for a value's shape, in no list yet. */
static FrStatus
new_slot(FrPlanner *planner, int32_t value, int lanes, int32_t *index)
{
	FrSlot *slot = &planner->slots[planner->slot_count];
	const FrValue *source = value_of(planner, value);
	int64_t dims[4];
	size_t count;

	*slot = (FrSlot){.lanes = lanes, .parent = -1, .next = -1};
	*index = planner->slot_count++;
	if (lanes == 0)
	{
		if (!fr_shape_count(&source->shape, &count) ||
			!fr_size_mul(count, fr_dtype_size(source->dtype), &slot->bytes))
			return fr_fail(planner->error, FR_ERR_LIMIT,
						   "Tensor \"%s\" is too large.",
						   source->name ? source->name : "");
		return FR_OK;
	}
	if (!fr_blocked_dims(&source->shape, dims))
		return fr_fail(planner->error, FR_ERR_BUG,
					   "Tensor \"%s\" has no blocked form.",
					   source->name ? source->name : "");
	slot->images = dims[0];
	slot->channels = (int) dims[1];
	if (fr_dtype_size(source->dtype) == 1) /* quads of bytes, not floats */
		slot->channels = (slot->channels + FR_QUAD - 1) / FR_QUAD;
	slot->height = (int) dims[2];
	slot->width = (int) dims[3];
	slot->blocks = (slot->channels + lanes - 1) / lanes;
	return FR_OK;
}

static void
list_slot(FrPlanner *planner, int32_t value, int32_t slot)
{
	planner->slots[slot].next = planner->value_slots[value];
	planner->value_slots[value] = slot;
}

/* The slot that a unit writes its value to. */
static FrStatus
new_output(FrPlanner *planner, int32_t value, int lanes, int32_t *slot)
{
	FrStatus status = new_slot(planner, value, lanes, slot);

	if (status == FR_OK)
		list_slot(planner, value, *slot);
	return status;
}

static void
schedule(FrPlanner *planner, FrUnit *unit)
{
	planner->units[planner->unit_count++] = unit;
}

static bool
is_fill_equal(const FrSlot *slot, const Need *need)
{
	return slot->fill == need->fill &&
		   (need->fill != FR_FILL_VECTOR ||
			memcmp(slot->fill_values, need->fill_values,
				   (size_t) slot->channels * sizeof(float)) == 0);
}

/* Whether a reader can use a slot, after its border has grown. */
static bool
is_slot_usable(const FrSlot *slot, const Need *need)
{
	if (slot->lanes != need->lanes || slot->is_range)
		return false;
	if ((need->is_compact && (slot->fill != FR_FILL_NONE || slot->is_shared)) ||
		(slot->is_compact && need->fill != FR_FILL_NONE))
		return false;
	if (need->fill == FR_FILL_NONE || is_fill_equal(slot, need))
		return true;
	return slot->fill == FR_FILL_NONE &&
		   (!slot->is_shared || need->fill == FR_FILL_ZERO);
}

static void
grow_border(FrSlot *slot, const Need *need)
{
	slot->is_compact |= need->is_compact;
	if (need->fill == FR_FILL_NONE)
		return;
	slot->fill = need->fill;
	slot->fill_values = need->fill_values;
	for (int i = 0; i < 4; i++)
		if (slot->pad[i] < need->border[i])
			slot->pad[i] = need->border[i];
}

/* Schedule the conversion of a value from one slot to another. */
static FrStatus
convert(FrPlanner *planner, int32_t value, int32_t from, int32_t to)
{
	FrUnit *unit = fr_arena_alloc_zeroed(&planner->scratch, 1, sizeof *unit);
	int from_lanes = planner->slots[from].lanes;
	int to_lanes = planner->slots[to].lanes;

	if (!unit)
		return fr_fail_nomem(planner->error, sizeof *unit);
	unit->kind = from_lanes == 0 ? FR_UNIT_BLOCK
				 : to_lanes == 0 ? FR_UNIT_UNBLOCK
								 : FR_UNIT_COPY;
	unit->input = unit->output = value;
	unit->operand = -1;
	unit->in_slot = from;
	unit->operand_slot = unit->vector_slot = -1;
	unit->out_slot = to;
	schedule(planner, unit);
	return FR_OK;
}

/* Find or make the slot that a reader of a value needs. */
static FrStatus
request(FrPlanner *planner, int32_t value, const Need *need, int32_t *found)
{
	int32_t source = -1;
	FrStatus status;

	value = planner->same_as[value];
	for (int32_t s = planner->value_slots[value]; s >= 0;
		 s = planner->slots[s].next)
	{
		if (is_slot_usable(&planner->slots[s], need))
		{
			grow_border(&planner->slots[s], need);
			*found = s;
			return FR_OK;
		}

		/* Plain is the source of every form; else 16 lanes are. */
		if (planner->slots[s].lanes == 0 ||
			(source < 0 && planner->slots[s].lanes == FR_BLOCK))
			source = s;
	}
	if (source < 0)
		return fr_fail(planner->error, FR_ERR_BUG,
					   "Tensor \"%s\" is read before it is written.",
					   value_of(planner, value)->name
						   ? value_of(planner, value)->name
						   : "");
	/* A range of channels becomes plain first. */
	if (planner->slots[source].is_range && need->lanes != 0 &&
		(status = request(planner, value, &need_plain, &source)) != FR_OK)
		return status;
	if ((status = new_slot(planner, value, need->lanes, found)) != FR_OK)
		return status;
	grow_border(&planner->slots[*found], need);
	status = convert(planner, value, source, *found);
	list_slot(planner, value, *found);
	return status;
}

/* ---- units -------------------------------------------------------------- */

/* One node by its plain operator: every input and output plain. */
static FrStatus
lay_out_plain(FrPlanner *planner, FrUnit *unit)
{
	const FrNode *node = unit->node;
	size_t count = (size_t) node->input_count + (size_t) node->output_count;
	int32_t *slots =
		fr_arena_alloc_zeroed(&planner->scratch, count + 1, sizeof(int32_t));
	FrStatus status = FR_OK;

	if (!slots)
		return fr_fail_nomem(planner->error, count * sizeof(int32_t));
	for (int i = 0; i < node->input_count && status == FR_OK; i++)
	{
		slots[i] = -1;
		if (node->inputs[i] >= 0 &&
			!value_of(planner, node->inputs[i])->constant)
			status = request(planner, node->inputs[i], &need_plain, &slots[i]);
	}
	for (int i = 0; i < node->output_count && status == FR_OK; i++)
	{
		slots[node->input_count + i] = -1;
		if (node->outputs[i] >= 0)
			status = new_output(planner, node->outputs[i], 0,
								&slots[node->input_count + i]);
	}
	if (status == FR_OK)
	{
		planner->unit_slots[planner->unit_count] = slots;
		schedule(planner, unit);
	}
	return status;
}

/* The same data under another shape: nothing to run. */
static FrStatus
lay_out_alias(FrPlanner *planner, FrUnit *unit)
{
	int32_t source, view;
	FrStatus status;

	if (planner->is_blocked[unit->output])
	{
		planner->same_as[unit->output] = planner->same_as[unit->input];
		return FR_OK;
	}
	if ((status = request(planner, unit->input, &need_plain, &source)) !=
			FR_OK ||
		(status = new_output(planner, unit->output, 0, &view)) != FR_OK)
		return status;
	/* The root at once: a chain of views stays one step deep. */
	planner->slots[view].parent =
		(int32_t) (fr_slot_root(planner, source) - planner->slots);
	return FR_OK;
}

/* Parts are written into the whole where nothing stands against it, and
 * copied otherwise. */
static FrStatus
lay_out_concat(FrPlanner *planner, FrUnit *unit)
{
	const FrNode *node = unit->node;
	int block = 0;
	int32_t whole, source, part;
	FrStatus status = new_output(planner, unit->output, FR_BLOCK, &whole);

	if (status != FR_OK)
		return status;
	planner->slots[whole].is_shared = true;
	for (int i = 0; i < node->input_count; i++)
	{
		int32_t value = planner->same_as[node->inputs[i]];

		if ((status = request(planner, value, &need_blocked, &source)) != FR_OK)
			return status;

		const FrSlot *slot = &planner->slots[source];

		part = source;
		if (slot->parent >= 0 || slot->is_compact ||
			(slot->fill != FR_FILL_NONE && slot->fill != FR_FILL_ZERO))
		{
			if ((status = new_slot(planner, value, FR_BLOCK, &part)) != FR_OK ||
				(status = convert(planner, value, source, part)) != FR_OK)
				return status;
		}
		planner->slots[part].parent = whole;
		planner->slots[part].is_shared = true;
		planner->slots[part].block_offset = block;
		block += planner->slots[part].blocks;
	}
	return FR_OK;
}

/* What a unit with one main input needs it to be. */
static Need
input_need(const FrPlanner *planner, const FrUnit *unit)
{
	Need need = need_blocked;
	int64_t in[4], out[4];
	bool is_window =
		unit->kind == FR_UNIT_CONV || unit->kind == FR_UNIT_WINOGRAD ||
		unit->kind == FR_UNIT_DEPTHWISE || unit->kind == FR_UNIT_POOL;

	if (unit->kind == FR_UNIT_ACTIVATE || unit->kind == FR_UNIT_SOFTMAX)
		return need_plain;
	if (unit->kind == FR_UNIT_CONV && unit->window.group == 1 &&
		unit->in_channels <= 4 && !planner->is_blocked[unit->input])
		need.lanes = 4;
	if (!is_window)
		return need;

	fr_blocked_dims(&value_of(planner, unit->input)->shape, in);
	fr_blocked_dims(&value_of(planner, unit->node->outputs[0])->shape, out);
	fr_window_border(&unit->window, in, out, need.border);
	if (unit->kind == FR_UNIT_WINOGRAD)
		fr_winograd_border(unit, in, out, need.border);
	if (need.border[0] || need.border[1] || need.border[2] || need.border[3])
	{
		need.fill = FR_FILL_ZERO;
		if (unit->node->op == FR_OP_MAX_POOL)
			need.fill = FR_FILL_LOWEST;
		else if (unit->fill)
			need.fill = FR_FILL_VECTOR;
		need.fill_values = unit->fill;
	}
	return need;
}

/* One slot for all outputs of a merged unit, and a range of it for each. */
static FrStatus
new_merged_output(FrPlanner *planner, FrUnit *unit)
{
	FrStatus status =
		new_slot(planner, unit->parts[0], FR_BLOCK, &unit->out_slot);
	FrSlot *whole = &planner->slots[unit->out_slot];
	int channel = 0;

	if (status != FR_OK)
		return status;
	whole->channels = unit->out_channels;
	whole->blocks = (unit->out_channels + FR_BLOCK - 1) / FR_BLOCK;
	for (int i = 0; i < unit->part_count && status == FR_OK; i++)
	{
		int32_t part;

		status = new_output(planner, unit->parts[i], FR_BLOCK, &part);
		if (status != FR_OK)
			break;
		planner->slots[part].parent = unit->out_slot;
		planner->slots[part].is_range = true;
		planner->slots[part].block_offset = channel / FR_BLOCK;
		planner->slots[part].first_lane = channel % FR_BLOCK;
		channel += planner->slots[part].channels;
	}
	return status;
}

/* The slot that a unit's main input is in. */
static FrStatus
request_input(FrPlanner *planner, FrUnit *unit)
{
	Need need = input_need(planner, unit);
	int32_t slot = planner->value_slots[planner->same_as[unit->input]];

	if (unit->source)
	{
		unit->in_slot = unit->source->out_slot;
		grow_border(&planner->slots[unit->in_slot], &need);
		return FR_OK;
	}
	if (unit->kind == FR_UNIT_NHWC && planner->is_part[unit->input])
	{
		while (!planner->slots[slot].is_range)
			slot = planner->slots[slot].next;
		unit->in_slot = slot;
		return FR_OK;
	}
	return request(planner, unit->input, &need, &unit->in_slot);
}

/* Working memory of one step: a slot that belongs to no value. */
static void
new_scratch(FrPlanner *planner, size_t bytes, int32_t *index)
{
	*index = planner->slot_count++;
	planner->slots[*index] = (FrSlot){.parent = -1, .next = -1, .bytes = bytes};
}

static FrStatus
lay_out_kernel(FrPlanner *planner, FrUnit *unit)
{
	fr_winograd_choose(planner, unit);

	bool is_plain = unit->kind == FR_UNIT_ACTIVATE ||
					unit->kind == FR_UNIT_SOFTMAX || unit->kind == FR_UNIT_NHWC;
	FrStatus status = request_input(planner, unit);

	unit->operand_slot = unit->vector_slot = -1;
	if (status == FR_OK && unit->vector >= 0)
		status =
			request(planner, unit->vector, &need_compact, &unit->vector_slot);
	if (status == FR_OK && unit->operand >= 0)
		status =
			request(planner, unit->operand, &need_blocked, &unit->operand_slot);
	if (status == FR_OK)
		status = unit->part_count > 0
					 ? new_merged_output(planner, unit)
					 : new_output(planner,
								  unit->int8 ? unit->int8->bytes : unit->output,
								  is_plain ? 0 : FR_BLOCK, &unit->out_slot);
	if (unit->int8)
		unit->int8->byte_slot = unit->out_slot;
	if (status == FR_OK && unit->kind == FR_UNIT_WINOGRAD)
		new_scratch(planner, fr_winograd_scratch_bytes(planner, unit),
					&unit->scratch_slot);
	if (status == FR_OK)
		schedule(planner, unit);

	/* Parts that leave the network: at once, while they are in the cache. */
	for (int i = 0; i < unit->part_count && status == FR_OK; i++)
	{
		int32_t slot;

		if (planner->is_output[unit->parts[i]])
			status = request(planner, unit->parts[i], &need_plain, &slot);
	}
	return status;
}

/* ---- bytes ---------------------------------------------------------------- */

/* The border of bytes holds the zero point in every quad. */
static FrStatus
fill_zero_point(FrPlanner *planner, const FrUnit *unit, int channels,
				Need *need)
{
	size_t quads = ((size_t) channels + FR_QUAD - 1) / FR_QUAD;
	float *values = fr_arena_alloc(&planner->scratch, quads * sizeof *values);

	if (!values)
		return fr_fail_nomem(planner->error, quads * sizeof *values);
	memset(values, unit->int8->zero_point, quads * sizeof *values);
	need->fill = FR_FILL_VECTOR;
	need->fill_values = values;
	return FR_OK;
}

/* Lanes of a value's blocked slot, 0 when it has none. */
static int
blocked_lanes(const FrPlanner *planner, int32_t value)
{
	int32_t slot = planner->value_slots[planner->same_as[value]];

	while (slot >= 0 && planner->slots[slot].lanes == 0)
		slot = planner->slots[slot].next;
	return slot >= 0 ? planner->slots[slot].lanes : 0;
}

/* Floats of up to 4 channels that have no blocks of 16 yet are taken as a
 * picture, whose pixels become one quad: one lane. */
static FrStatus
byte_need(FrPlanner *planner, const FrUnit *unit, Need *need)
{
	int lanes = blocked_lanes(planner, unit->input);
	int64_t in[4], out[4];

	*need = need_blocked;
	fr_blocked_dims(&value_of(planner, unit->input)->shape, in);
	if (unit->kind == FR_UNIT_QUANTIZE)
	{
		if (lanes != FR_BLOCK && in[1] <= FR_QUAD)
			need->lanes = FR_QUAD;
		return FR_OK;
	}
	if (lanes == 0)
		return fr_fail(planner->error, FR_ERR_BUG,
					   "Bytes that a kernel reads have no blocked form.");
	need->lanes = lanes;
	if (unit->kind != FR_UNIT_INT8)
		return FR_OK;
	fr_blocked_dims(&value_of(planner, unit->node->outputs[0])->shape, out);
	fr_window_border(&unit->window, in, out, need->border);
	if (need->border[0] || need->border[1] || need->border[2] ||
		need->border[3])
		return fill_zero_point(planner, unit, (int) in[1], need);
	return FR_OK;
}

static FrStatus
lay_out_int8(FrPlanner *planner, FrUnit *unit)
{
	FrInt8Unit *int8 = unit->int8;
	Need need;
	FrStatus status = byte_need(planner, unit, &need);

	unit->operand_slot = unit->vector_slot = int8->byte_slot = -1;
	if (status == FR_OK)
		status = request(planner, unit->input, &need, &unit->in_slot);
	if (status == FR_OK && unit->operand >= 0)
		status =
			request(planner, unit->operand, &need_blocked, &unit->operand_slot);
	if (status == FR_OK && int8->bytes >= 0)
		status =
			new_output(planner, int8->bytes,
					   need.lanes == FR_QUAD ? 1 : FR_BLOCK, &int8->byte_slot);
	unit->out_slot = int8->byte_slot;
	if (status == FR_OK && int8->has_float)
		status = new_output(planner, unit->output, FR_BLOCK, &unit->out_slot);
	if (status == FR_OK)
		schedule(planner, unit);
	return status;
}

static FrStatus
lay_out_unit(FrPlanner *planner, FrUnit *unit)
{
	switch (unit->kind)
	{
		case FR_UNIT_PLAIN:
			return lay_out_plain(planner, unit);
		case FR_UNIT_ALIAS:
			return lay_out_alias(planner, unit);
		case FR_UNIT_CONCAT:
			return lay_out_concat(planner, unit);
		case FR_UNIT_ACTIVATE:
		case FR_UNIT_SOFTMAX:
		case FR_UNIT_CONV:
		case FR_UNIT_WINOGRAD:
		case FR_UNIT_DEPTHWISE:
		case FR_UNIT_POOL:
		case FR_UNIT_ELTWISE:
		case FR_UNIT_AVERAGE:
		case FR_UNIT_UPSAMPLE:
		case FR_UNIT_NHWC:
			return lay_out_kernel(planner, unit);
		case FR_UNIT_INT8:
		case FR_UNIT_QUANTIZE:
		case FR_UNIT_DEQUANTIZE:
			return lay_out_int8(planner, unit);
		case FR_UNIT_BLOCK:
		case FR_UNIT_UNBLOCK:
		case FR_UNIT_COPY:
		case FR_UNIT_KIND_COUNT:
			break;
	}
	return fr_fail(planner->error, FR_ERR_BUG, "Unit kind %d in a graph.",
				   (int) unit->kind);
}

/* ---- sizes --------------------------------------------------------------- */

FrSlot *
fr_slot_root(const FrPlanner *planner, int32_t slot)
{
	while (planner->slots[slot].parent >= 0)
		slot = planner->slots[slot].parent;
	return &planner->slots[slot];
}

/* Parts and whole share one border. */
static void
merge_borders(FrPlanner *planner)
{
	for (int32_t s = 0; s < planner->slot_count; s++)
	{
		FrSlot *slot = &planner->slots[s], *root = fr_slot_root(planner, s);

		if (slot->lanes == 0 || slot->fill == FR_FILL_NONE)
			continue;
		root->fill = slot->fill;
		root->fill_values = slot->fill_values;
		for (int i = 0; i < 4; i++)
			if (root->pad[i] < slot->pad[i])
				root->pad[i] = slot->pad[i];
	}
}

static FrStatus
measure(FrPlanner *planner, int32_t index)
{
	FrSlot *slot = &planner->slots[index];
	const FrSlot *root = fr_slot_root(planner, index);
	int64_t height = (int64_t) slot->height + root->pad[0] + root->pad[2];
	int64_t width = (int64_t) slot->width + root->pad[1] + root->pad[3];
	size_t bytes;

	if (slot->lanes == 0)
		return FR_OK;
	memcpy(slot->pad, root->pad, sizeof slot->pad);
	slot->fill = root->fill;
	slot->fill_values = root->fill_values;
	if (!fr_size_mul3((size_t) width * (size_t) slot->lanes, (size_t) height,
					  sizeof(float), &bytes) ||
		!fr_size_mul3(bytes, (size_t) root->blocks, (size_t) slot->images,
					  &bytes) ||
		bytes > planner->max_bytes)
		return fr_fail(planner->error, FR_ERR_LIMIT,
					   "A tensor of [%lld, %d, %d, %d] is too large for the "
					   "limit of %zu bytes.",
					   (long long) slot->images, slot->channels, slot->height,
					   slot->width, planner->max_bytes);
	slot->row = (ptrdiff_t) width * slot->lanes;
	slot->block = slot->row * (ptrdiff_t) height;
	slot->image = slot->block * root->blocks;
	slot->bytes = bytes;
	return FR_OK;
}

static FrStatus
lay_out_inputs(FrPlanner *planner)
{
	const FrGraph *graph = planner->graph;
	FrStatus status = FR_OK;
	int32_t slot;

	for (int i = 0; i < graph->input_count && status == FR_OK; i++)
	{
		const FrValue *value = &graph->values[graph->inputs[i]];

		if (value->dtype != FR_FLOAT32)
			return fr_fail(planner->error, FR_ERR_UNSUPPORTED,
						   "Input \"%s\" has type %s; only float32 inputs "
						   "are supported.",
						   value->name ? value->name : "",
						   fr_dtype_name(value->dtype));
		status = new_output(planner, graph->inputs[i], 0, &slot);
		planner->slots[slot].is_input = true;
	}
	return status;
}

static FrStatus
lay_out_outputs(FrPlanner *planner)
{
	const FrGraph *graph = planner->graph;
	FrStatus status = FR_OK;
	int32_t slot;

	for (int i = 0; i < graph->output_count && status == FR_OK; i++)
	{
		const FrValue *value = &graph->values[graph->outputs[i]];

		if (value->dtype != FR_FLOAT32)
			return fr_fail(planner->error, FR_ERR_UNSUPPORTED,
						   "Output \"%s\" has type %s; only float32 outputs "
						   "are supported.",
						   value->name ? value->name : "",
						   fr_dtype_name(value->dtype));
		if (value->constant)
			continue;
		status = request(planner, graph->outputs[i], &need_plain, &slot);
		if (status == FR_OK)
			fr_slot_root(planner, slot)->is_output = true;
	}
	return status;
}

FrStatus
fr_plan_layout(FrPlanner *planner)
{
	FrStatus status = prepare(planner);

	if (status == FR_OK)
		status = lay_out_inputs(planner);
	for (int i = 0; i < planner->graph->node_count && status == FR_OK; i++)
		if (planner->unit_at[i])
			status = lay_out_unit(planner, planner->unit_at[i]);
	if (status == FR_OK)
		status = lay_out_outputs(planner);
	if (status == FR_OK)
		merge_borders(planner);
	for (int32_t s = 0; s < planner->slot_count && status == FR_OK; s++)
		status = measure(planner, s);
	return status;
}
