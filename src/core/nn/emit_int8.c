/*
 * emit_int8.c: steps that read or write bytes become kernel tasks.
 *
 * A slot of bytes counts in quads of 4, so its strides in floats are a quarter
 * of those in bytes.  The convolution's geometries are those of emit_conv.c.
 */
#include <string.h>

#include "core/nn/planner.h"

/* Multiply-adds between two polls: about 2 ms at 50 GOP/s. */
#define PIECE_WORK 5e7

/* Weights larger than this are cut by output channels, not by rows, so that
 * they are read once; unless one piece of blocks would be too much work. */
#define LARGE_WEIGHTS_BYTES (512u << 10)
#define MAX_BLOCKS_WORK		(3 * PIECE_WORK)

/* Floats that a conversion reads or writes between two polls. */
#define PIECE_FLOATS 4e6

/* Whole tiles of every instruction set. */
#define COLUMNS_PIECE 84

/* The bytes of a slot that begin where its floats would. */
static uint8_t *
slot_bytes(const FrPlanner *planner, int32_t slot)
{
	return (uint8_t *) fr_slot_data(planner, slot);
}

static ptrdiff_t
in_bytes(ptrdiff_t floats)
{
	return floats * (ptrdiff_t) sizeof(float);
}

FrStatus
fr_emit_quantizer(FrPlanner *planner, const FrInt8Unit *int8, int channels,
				  FrQuantize *quantize)
{
	FrStatus status = fr_blocked_constant(planner, int8->byte_scale, channels,
										  &quantize->scale);

	if (status == FR_OK)
		status = fr_blocked_constant(planner, int8->byte_shift, channels,
									 &quantize->shift);
	quantize->zero_point = int8->byte_zero_point;
	return status;
}

/* ---- convolutions --------------------------------------------------------- */

/* The packed weights, and what a sum starts from: -(zero point) * (sum of the
 * channel's weights). */
static FrStatus
emit_weights(FrPlanner *planner, const FrUnit *unit, FrInt8ConvTask *task,
			 size_t *bytes)
{
	FrPackKey key = {.bytes = unit->int8->weights,
					 .int8 = planner->kernels->int8,
					 .is_transposed = unit->is_transposed,
					 .group = 1,
					 .out_channels = unit->out_channels,
					 .in_channels = unit->in_channels,
					 .kernel_h = unit->window.kernel[0],
					 .kernel_w = unit->window.kernel[1]};
	size_t blocks = (size_t) task->out_blocks;
	const FrPacked *packed;
	FrStatus status = fr_find_packed(planner, &key, &packed);

	if (status != FR_OK)
		return status;

	const int32_t *sums =
		(const int32_t *) (const void *) ((const char *) packed->data +
										  packed->group_bytes);
	int32_t *start = fr_arena_alloc_zeroed(planner->memory, blocks * FR_BLOCK,
										   sizeof *start);

	if (!start)
		return fr_fail_nomem(planner->error, blocks * FR_BLOCK * sizeof *start);
	for (size_t c = 0; c < blocks * FR_BLOCK; c++)
		start[c] = -unit->int8->zero_point * sums[c];
	task->weights = packed->data;
	task->start = start;
	*bytes = packed->bytes;
	return FR_OK;
}

static void
fill_input(const FrPlanner *planner, const FrUnit *unit, FrInt8ConvTask *task)
{
	const FrWindow *window = &unit->window;
	const FrSlot *in = &planner->slots[unit->in_slot];

	task->input =
		(const uint8_t *) fr_slot_window(planner, unit->in_slot, window);
	task->in_block = in_bytes(in->block);
	task->in_row = in_bytes(in->row * window->stride[0]);
	task->in_pixel = in_bytes((ptrdiff_t) in->lanes * window->stride[1]);
	task->tap_row = in_bytes(in->row * window->dilation[0]);
	task->tap_col = in_bytes((ptrdiff_t) in->lanes * window->dilation[1]);
	task->in_quads = (unit->in_channels + FR_QUAD - 1) / FR_QUAD;
	task->pixel_quads = in->lanes;
	task->kernel_h = window->kernel[0];
	task->kernel_w = window->kernel[1];
}

static void
fill_outputs(const FrPlanner *planner, const FrUnit *unit, FrStep *step)
{
	FrInt8ConvTask *task = &step->u.int8;
	const FrSlot *out = &planner->slots[unit->out_slot];

	task->out_blocks = (unit->out_channels + FR_BLOCK - 1) / FR_BLOCK;
	task->out_h = out->height;
	task->out_w = out->width;
	if (unit->int8->has_float)
	{
		task->output = fr_slot_data(planner, unit->out_slot);
		task->out_block = out->block;
		task->out_row = out->row;
		task->out_pixel = FR_BLOCK;
	}
	if (unit->int8->bytes >= 0)
	{
		const FrSlot *bytes = &planner->slots[unit->int8->byte_slot];

		task->bytes = slot_bytes(planner, unit->int8->byte_slot);
		task->byte_block = in_bytes(bytes->block);
		task->byte_row = in_bytes(bytes->row);
		task->byte_pixel = FR_BYTE_BLOCK;
		step->byte_image = in_bytes(bytes->image);
	}
	if (unit->operand >= 0)
	{
		const FrSlot *residual = &planner->slots[unit->operand_slot];

		task->residual = fr_slot_data(planner, unit->operand_slot);
		task->res_block = residual->block;
		task->res_row = residual->row;
		task->res_pixel = FR_BLOCK;
	}
}

static FrStatus
fill_epilogue(FrPlanner *planner, const FrUnit *unit, FrInt8ConvTask *task)
{
	FrEpilogue *epilogue = &task->epilogue;
	int channels = unit->out_channels;
	FrStatus status;

	epilogue->activation = unit->activation;
	epilogue->low = unit->low;
	epilogue->high = unit->high;
	epilogue->is_residual_after = unit->is_residual_after;
	if ((status = fr_blocked_constant(planner, unit->scale, channels,
									  &task->scale)) != FR_OK ||
		(status = fr_blocked_constant(planner, unit->bias, channels,
									  &epilogue->bias)) != FR_OK ||
		(status = fr_blocked_constant(planner, unit->slope, channels,
									  &epilogue->slope)) != FR_OK)
		return status;
	return fr_emit_quantizer(planner, unit->int8, channels, &task->quantize);
}

/* One pixel per image when the output has only one: the weights are read once
 * for the whole batch. */
static void
flatten_images(FrStep *step)
{
	FrInt8ConvTask *task = &step->u.int8;

	if (task->out_h != 1 || task->out_w != 1)
		return;
	task->out_w = (int) step->images;
	task->in_pixel = in_bytes(step->in_image);
	task->out_pixel = step->out_image;
	task->byte_pixel = step->byte_image;
	task->res_pixel = step->operand_image;
	step->images = 1;
}

/* Cut by rows, or a low and wide map by columns. */
static void
split_pixels(FrStep *step, double pieces, int height, int width)
{
	step->split = FR_SPLIT_NONE;
	if (pieces <= 1.0)
		return;
	if (height >= pieces || height >= width / COLUMNS_PIECE)
	{
		step->split = FR_SPLIT_ROWS;
		step->split_size = height >= pieces ? (int) (height / pieces) : 1;
	}
	else
	{
		step->split = FR_SPLIT_COLUMNS;
		step->split_size =
			((int) (width / pieces) / COLUMNS_PIECE + 1) * COLUMNS_PIECE;
	}
}

/* Choose the axis along which a large convolution is cut; blocks in whole
 * blocks of bytes. */
static void
split_int8(FrStep *step)
{
	const FrInt8ConvTask *task = &step->u.int8;
	double depth = (double) task->in_quads * FR_QUAD * task->kernel_h *
				   task->kernel_w * FR_BLOCK;
	double work = depth * task->out_blocks * task->out_h * task->out_w;
	double pieces = work / PIECE_WORK;

	step->split = FR_SPLIT_NONE;
	if (pieces <= 1.0)
		return;
	if (depth * task->out_blocks > LARGE_WEIGHTS_BYTES &&
		work / task->out_blocks * FR_BYTE_BLOCKS <= MAX_BLOCKS_WORK)
	{
		step->split = FR_SPLIT_BLOCKS;
		step->split_size =
			((int) (task->out_blocks / pieces) / FR_BYTE_BLOCKS + 1) *
			FR_BYTE_BLOCKS;
		step->split_weights = (size_t) depth;
	}
	else
		split_pixels(step, pieces, task->out_h, task->out_w);
}

static FrStatus
emit_conv(FrPlanner *planner, const FrUnit *unit, FrStep *step)
{
	FrInt8ConvTask *task = &step->u.int8;
	FrStatus status;

	fill_input(planner, unit, task);
	fill_outputs(planner, unit, step);
	if ((status = emit_weights(planner, unit, task,
							   &step->description.weight_bytes)) != FR_OK ||
		(status = fill_epilogue(planner, unit, task)) != FR_OK)
		return status;
	if (unit->int8->has_float && unit->int8->bytes >= 0)
		status =
			fr_emit_border(planner, unit->int8->byte_slot, &step->byte_border);
	if (status != FR_OK)
		return status;
	step->description.flops = 2.0 * (double) step->images * unit->out_channels *
							  task->out_h * task->out_w * unit->in_channels *
							  task->kernel_h * task->kernel_w;
	step->description.is_int8 = true;
	flatten_images(step);
	split_int8(step);
	return fr_describe(
		planner, step, "int8 conv %dx%d s%d%s%s%s%s %s", task->kernel_h,
		task->kernel_w, unit->window.stride[0], fr_fused_text(unit),
		unit->operand >= 0 ? " +add" : "", task->output ? "" : " to bytes",
		task->output && task->bytes ? " and bytes" : "", planner->kernels->isa);
}

/* ---- conversions ---------------------------------------------------------- */

static FrStatus
emit_quantize(FrPlanner *planner, const FrUnit *unit, FrStep *step)
{
	const FrSlot *in = &planner->slots[unit->in_slot];
	const FrSlot *out = &planner->slots[unit->out_slot];
	FrQuantizeTask *task = &step->u.quantize;

	*task = (FrQuantizeTask){
		.input = fr_slot_data(planner, unit->in_slot),
		.in_block = in->block,
		.in_row = in->row,
		.lanes = in->lanes,
		.bytes = slot_bytes(planner, unit->out_slot),
		.byte_block = in_bytes(out->block),
		.byte_row = in_bytes(out->row),
		.blocks = in->blocks,
		.height = in->height,
		.width = in->width,
	};

	FrStatus status =
		fr_emit_quantizer(planner, unit->int8, in->channels, &task->quantize);

	if (status != FR_OK)
		return status;
	step->byte_image = in_bytes(out->image);
	split_pixels(step,
				 (double) in->blocks * in->lanes * in->height * in->width /
					 PIECE_FLOATS,
				 in->height, in->width);
	return fr_describe(planner, step, "to bytes %s", planner->kernels->isa);
}

static FrStatus
emit_dequantize(FrPlanner *planner, const FrUnit *unit, FrStep *step)
{
	const FrSlot *in = &planner->slots[unit->in_slot];
	const FrSlot *out = &planner->slots[unit->out_slot];

	step->u.dequantize = (FrDequantizeTask){
		.bytes = slot_bytes(planner, unit->in_slot),
		.byte_block = in_bytes(in->block),
		.byte_row = in_bytes(in->row),
		.byte_pixel = in_bytes(in->lanes),
		.output = fr_slot_data(planner, unit->out_slot),
		.out_block = out->block,
		.out_row = out->row,
		.blocks = out->blocks,
		.height = out->height,
		.width = out->width,
		.zero_point = unit->int8->zero_point,
		.scale = unit->int8->scale,
	};
	step->byte_image = in_bytes(in->image);
	split_pixels(step,
				 (double) out->blocks * FR_BLOCK * out->height * out->width /
					 PIECE_FLOATS,
				 out->height, out->width);
	return fr_describe(planner, step, "from bytes %s", planner->kernels->isa);
}

FrStatus
fr_emit_int8(FrPlanner *planner, const FrUnit *unit, FrStep *step)
{
	if (unit->kind == FR_UNIT_INT8)
		return emit_conv(planner, unit, step);
	return unit->kind == FR_UNIT_QUANTIZE
			   ? emit_quantize(planner, unit, step)
			   : emit_dequantize(planner, unit, step);
}
