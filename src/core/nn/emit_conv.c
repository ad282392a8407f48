/*
 * emit_conv.c: units with weights become kernel tasks.
 *
 * One convolution kernel serves every geometry; what changes is what its rows
 * and pixels are.  Ordinary maps: rows and pixels of one image.  1x1 kernels
 * over maps without borders: one row per image, all its pixels.  1x1 outputs
 * (fully connected layers): one row, one pixel per image, so that the weights
 * are read once for the whole batch.  Small maps: all images in one task, so
 * that they fill tiles and share weights.
 */
#include <limits.h>

#include "core/nn/planner.h"

/* Multiply-adds between two polls: about 2.5 ms at 20 GFLOP/s. */
#define PIECE_WORK 2.5e7

/* Weights larger than this are cut by output channels, not by rows, so that
 * they are read once. */
#define LARGE_WEIGHTS_BYTES (512u << 10)

/* ... unless one group of output channels over the whole map is more work
 * than this: cancellation must not wait for it. */
#define MAX_GROUP_WORK (8 * PIECE_WORK)

/* Maps of at most this many pixels do not fill tiles well, and use each weight
 * rarely: one task computes them for all images. */
#define SMALL_MAP_PIXELS 64

/* Whole tiles of every instruction set: 14, 7, 6 or 4 pixels. */
#define COLUMNS_PIECE 84

/* Weights of at most this size stay float32: they are read from a cache,
 * where converting them costs more than reading half as much saves. */
#define CACHED_WEIGHTS_BYTES ((size_t) 2560 << 10)

/* Packed weights that are allowed however small the arena's limit is. */
#define MIN_PACKED_BYTES ((size_t) 32 << 20)

FrStatus
fr_find_packed(FrPlanner *planner, const FrPackKey *key,
			   const FrPacked **packed)
{
	FrPackStore *store = &planner->plan->weights;
	const void *raw = key->bytes ? (const void *) key->bytes : key->weights;
	size_t max_bytes = MIN_PACKED_BYTES, raw_bytes = 0;

	for (int v = 0; v < planner->source->value_count; v++)
	{
		const FrValue *value = &planner->source->values[v];
		size_t count;

		if (!value->constant || !fr_shape_count(&value->shape, &count))
			continue;
		raw_bytes += count * fr_dtype_size(value->dtype);
		if (value->constant == raw)
			store = planner->weights;
	}
	/* Packing pads channels to whole blocks; few layers share weights. */
	max_bytes +=
		planner->max_bytes < SIZE_MAX / 8 ? planner->max_bytes : SIZE_MAX / 8;
	if (store == planner->weights)
		max_bytes += 4 * (raw_bytes < SIZE_MAX / 8 ? raw_bytes : SIZE_MAX / 8);
	return fr_pack_get(
		store, key, max_bytes,
		key->is_unpaired ? planner->kernels->unpaired : planner->kernels->nn,
		planner->cancel, planner->allocator, packed, planner->error);
}

/* The unit's weights as they are in the file. */
static FrPackKey
unit_key(const FrUnit *unit)
{
	return (FrPackKey){.weights = unit->weights,
					   .is_depthwise = unit->kind == FR_UNIT_DEPTHWISE,
					   .is_transposed = unit->is_transposed,
					   .group = unit->window.group,
					   .out_channels = unit->out_channels,
					   .in_channels = unit->in_channels,
					   .kernel_h = unit->window.kernel[0],
					   .kernel_w = unit->window.kernel[1],
					   .scale = unit->scale};
}

FrWeightFormat
fr_unit_format(const FrPlanner *planner, const FrUnit *unit)
{
	size_t taps =
		unit->kind == FR_UNIT_WINOGRAD
			? (size_t) FR_WINOGRAD_POSITIONS(unit->tile)
			: (size_t) unit->window.kernel[0] * (size_t) unit->window.kernel[1];
	size_t filter_bytes = taps * sizeof(float) *
						  (size_t) (unit->in_channels / unit->window.group);

	if (unit->kind == FR_UNIT_DEPTHWISE ||
		filter_bytes <= CACHED_WEIGHTS_BYTES / (size_t) unit->out_channels)
		return FR_WEIGHTS_F32;
	return planner->weight_format;
}

FrStatus
fr_emit_packed(FrPlanner *planner, const FrUnit *unit, int lanes,
			   const FrPacked **packed)
{
	FrPackKey key = unit_key(unit);
	FrStatus status;

	key.lanes = lanes;
	key.pre_scale = unit->pre_scale;
	if (unit->kind == FR_UNIT_WINOGRAD)
		key.transform = unit->tile == 3 ? FR_PACK_WINOGRAD_3 : FR_PACK_WINOGRAD;
	key.format = fr_unit_format(planner, unit);
	status = fr_choose_unpaired(planner, unit, &key.is_unpaired);
	return status == FR_OK ? fr_find_packed(planner, &key, packed) : status;
}

/* bias + scale * (weights * pre_shift), as the epilogue wants it.  That reads
 * all weights, so it is kept like packed ones. */
static FrStatus
fold_bias(FrPlanner *planner, const FrUnit *unit, const float **bias)
{
	FrPackKey key = unit_key(unit);
	const FrPacked *folded;
	FrStatus status;

	if (!unit->pre_shift)
		return fr_blocked_constant(planner, unit->bias, unit->out_channels,
								   bias);
	key.is_bias = true;
	key.bias = unit->bias;
	key.pre_scale = unit->pre_shift;
	status = fr_find_packed(planner, &key, &folded);
	if (status != FR_OK)
		return status;
	return fr_blocked_constant(planner, folded->data, unit->out_channels, bias);
}

FrStatus
fr_emit_epilogue(FrPlanner *planner, const FrUnit *unit, FrEpilogue *epilogue)
{
	FrStatus status = fold_bias(planner, unit, &epilogue->bias);

	if (status == FR_OK)
		status = fr_blocked_constant(planner, unit->slope, unit->out_channels,
									 &epilogue->slope);
	epilogue->activation = unit->activation;
	epilogue->low = unit->low;
	epilogue->high = unit->high;
	epilogue->is_residual_after = unit->is_residual_after;
	return status;
}

static bool
has_border(const FrSlot *slot)
{
	return slot->pad[0] || slot->pad[1] || slot->pad[2] || slot->pad[3];
}

/* One row per image when pixels follow each other without gaps. */
static bool
flatten_pixels(const FrPlanner *planner, const FrUnit *unit, FrStep *step)
{
	FrConvTask *task = &step->u.conv;
	const FrWindow *window = &unit->window;
	const FrSlot *in = &planner->slots[unit->in_slot];
	const FrSlot *out = &planner->slots[unit->out_slot];

	if (window->kernel[0] != 1 || window->kernel[1] != 1 ||
		window->stride[0] != 1 || window->stride[1] != 1 || has_border(in) ||
		has_border(out) ||
		(unit->operand >= 0 && has_border(&planner->slots[unit->operand_slot])))
		return false;
	task->out_w = out->height * out->width;
	task->out_h = (int) step->images;
	task->in_row = step->in_image;
	task->out_row = step->out_image;
	task->res_row = step->operand_image;
	step->images = 1;
	return true;
}

/* One pixel per image when the output has only one. */
static bool
flatten_images(FrStep *step)
{
	FrConvTask *task = &step->u.conv;

	if (task->out_h != 1 || task->out_w != 1)
		return false;
	task->out_w = (int) step->images;
	task->in_pixel = step->in_image;
	task->out_pixel = step->out_image;
	task->res_pixel = step->operand_image;
	step->images = 1;
	return true;
}

/* The kernels that run a convolution. */
static const FrNnKernels *
conv_kernels(const FrPlanner *planner, const FrStep *step)
{
	return step->is_unpaired ? planner->kernels->unpaired
							 : planner->kernels->nn;
}

/* Multiply-adds of one image, or of those that one task spans. */
static double
conv_work(const FrStep *step)
{
	const FrConvTask *task = &step->u.conv;

	return (double) step->groups * task->out_blocks * FR_BLOCK *
		   task->in_channels * task->kernel_h * task->kernel_w * task->out_h *
		   task->out_w * (task->images > 1 ? task->images : 1);
}

/* All images in one task when their maps are small; unless the task could
 * only be cut between images, and one is much work. */
static bool
join_images(const FrPlanner *planner, FrStep *step)
{
	FrConvTask *task = &step->u.conv;
	double work = conv_work(step);
	double group_work = work * (double) step->images / task->out_blocks *
						conv_kernels(planner, step)->conv_group_blocks;

	if (step->groups > 1 || step->images == 1 ||
		task->out_h * task->out_w > SMALL_MAP_PIXELS ||
		step->images > INT_MAX / SMALL_MAP_PIXELS ||
		(work > PIECE_WORK && group_work > MAX_GROUP_WORK))
		return false;
	task->images = (int) step->images;
	task->in_image = step->in_image;
	task->out_image = step->out_image;
	task->res_image = step->operand_image;
	step->images = 1;
	return true;
}

/* Choose the axis along which a large convolution is cut. */
static void
split_conv(FrPlanner *planner, const FrUnit *unit, const FrPacked *packed,
		   FrStep *step)
{
	const FrConvTask *task = &step->u.conv;
	const FrNnKernels *kernels = conv_kernels(planner, step);
	int group_blocks = kernels->conv_group_blocks;
	double work = conv_work(step); /* a piece is of all groups */
	double pieces = work / PIECE_WORK;

	step->split = FR_SPLIT_NONE;
	if (pieces <= 1.0)
		return;
	if (!unit->strip && packed->group_bytes > LARGE_WEIGHTS_BYTES &&
		work / task->out_blocks * group_blocks <= MAX_GROUP_WORK)
	{
		double blocks = task->out_blocks / pieces;
		FrConvFilter filter = {group_blocks * FR_BLOCK, task->in_channels,
							   task->kernel_h,			task->kernel_w,
							   task->in_lanes,			task->weight_format};

		step->split = FR_SPLIT_BLOCKS;
		step->split_size = ((int) blocks / group_blocks + 1) * group_blocks;
		step->split_weights =
			kernels->conv_packed_bytes(&filter) / (size_t) group_blocks;
	}
	else if (task->images > 1)
	{
		step->split = FR_SPLIT_IMAGES;
		step->split_size = (int) (task->images / pieces) + 1;
	}
	else if (unit->strip || task->out_h >= pieces ||
			 task->out_h >= task->out_w / COLUMNS_PIECE)
	{
		step->split = FR_SPLIT_ROWS;
		step->split_size =
			task->out_h >= pieces ? (int) (task->out_h / pieces) : 1;
	}
	else
	{
		step->split = FR_SPLIT_COLUMNS;
		step->split_size =
			((int) (task->out_w / pieces) / COLUMNS_PIECE + 1) * COLUMNS_PIECE;
	}
}

static void
fill_geometry(FrPlanner *planner, const FrUnit *unit, FrStep *step)
{
	FrConvTask *task = &step->u.conv;
	const FrWindow *window = &unit->window;
	const FrSlot *in = &planner->slots[unit->in_slot];
	const FrSlot *out = &planner->slots[unit->out_slot];
	int groups = window->group;

	task->input = fr_slot_window(planner, unit->in_slot, window);
	task->in_block = in->block;
	task->in_row = in->row * window->stride[0];
	task->in_pixel = (ptrdiff_t) in->lanes * window->stride[1];
	task->tap_row = in->row * window->dilation[0];
	task->tap_col = (ptrdiff_t) in->lanes * window->dilation[1];
	task->in_channels = unit->in_channels / groups;
	task->in_lanes = in->lanes;
	task->kernel_h = window->kernel[0];
	task->kernel_w = window->kernel[1];
	task->output = fr_slot_data(planner, unit->out_slot);
	task->out_block = out->block;
	task->out_row = out->row;
	task->out_pixel = FR_BLOCK;
	task->out_blocks = out->blocks / groups;
	task->out_h = out->height;
	task->out_w = out->width;
	step->groups = groups;
	step->blocks_group = task->out_blocks;
	step->in_group = in->block * (task->in_channels / in->lanes);
	step->out_group = out->block * task->out_blocks;
	if (unit->operand >= 0)
	{
		const FrSlot *residual = &planner->slots[unit->operand_slot];

		task->residual = fr_slot_data(planner, unit->operand_slot);
		task->res_block = residual->block;
		task->res_row = residual->row;
		task->res_pixel = FR_BLOCK;
		step->operand_group = residual->block * task->out_blocks;
	}
}

const char *
fr_fused_text(const FrUnit *unit)
{
	static const char *const activations[FR_ACT_COUNT] = {
		[FR_ACT_NONE] = "",
		[FR_ACT_CLIP] = " +clip",
		[FR_ACT_PRELU] = " +prelu",
		[FR_ACT_SIGMOID] = " +sigmoid",
		[FR_ACT_TANH] = " +tanh",
		[FR_ACT_HARD_SIGMOID] = " +hardsigmoid",
		[FR_ACT_HARD_SWISH] = " +hardswish",
		[FR_ACT_SWISH] = " +swish",
	};

	return activations[unit->activation];
}

FrStatus
fr_emit_conv(FrPlanner *planner, const FrUnit *unit, FrStep *step)
{
	FrConvTask *task = &step->u.conv;
	const FrWindow *window = &unit->window;
	const FrPacked *packed;
	FrStatus status = fr_emit_packed(
		planner, unit, planner->slots[unit->in_slot].lanes, &packed);

	if (status == FR_OK)
		status = fr_emit_epilogue(planner, unit, &task->epilogue);
	if (status != FR_OK)
		return status;
	fill_geometry(planner, unit, step);
	task->weights = packed->data;
	task->weight_format = packed->key.format;
	step->is_unpaired = packed->key.is_unpaired;
	step->weights_group = packed->group_bytes;
	step->description.weight_bytes = packed->bytes;
	step->description.flops = 2.0 * (double) step->images * unit->out_channels *
							  task->out_h * task->out_w *
							  (unit->in_channels / window->group) *
							  task->kernel_h * task->kernel_w;
	if (!unit->strip && !flatten_images(step) &&
		!flatten_pixels(planner, unit, step))
		join_images(planner, step);
	split_conv(planner, unit, packed, step);
	return fr_describe(
		planner, step, "conv %dx%d s%d%s %dc%s%s%s %s%s", task->kernel_h,
		task->kernel_w, window->stride[0], window->group > 1 ? " grouped" : "",
		task->in_lanes, task->weight_format == FR_WEIGHTS_F16 ? " f16" : "",
		fr_fused_text(unit), unit->operand >= 0 ? " +add" : "",
		planner->kernels->isa,
		!step->is_unpaired && planner->kernels->nn != planner->kernels->unpaired
			? " pairs"
			: "");
}

/* The map of floats, or of bytes, that a depthwise convolution stores. */
static FrStatus
fill_depthwise_output(FrPlanner *planner, const FrUnit *unit, FrStep *step)
{
	FrDepthwiseTask *task = &step->u.depthwise;
	const FrSlot *out = &planner->slots[unit->out_slot];

	if (unit->int8)
	{
		task->bytes = (uint8_t *) fr_slot_data(planner, unit->out_slot);
		task->byte_block = out->block * (ptrdiff_t) sizeof(float);
		task->byte_row = out->row * (ptrdiff_t) sizeof(float);
		step->byte_image = out->image * (ptrdiff_t) sizeof(float);
		return fr_emit_quantizer(planner, unit->int8, unit->out_channels,
								 &task->quantize);
	}
	task->output = fr_slot_data(planner, unit->out_slot);
	task->out_block = out->block;
	task->out_row = out->row;
	return FR_OK;
}

/* Cut a depthwise convolution; bytes in whole blocks of theirs. */
static void
split_depthwise(const FrUnit *unit, FrStep *step)
{
	const FrDepthwiseTask *task = &step->u.depthwise;
	double work = (double) task->blocks * FR_BLOCK * task->out_h * task->out_w *
				  task->kernel_h * task->kernel_w;
	int size = unit->int8 ? FR_BYTE_BLOCKS : 1;

	fr_split_map(step, work, task->out_h,
				 unit->strip ? 1 : (task->blocks + size - 1) / size);
	if (step->split == FR_SPLIT_BLOCKS)
		step->split_size *= size;
}

FrStatus
fr_emit_depthwise(FrPlanner *planner, const FrUnit *unit, FrStep *step)
{
	FrDepthwiseTask *task = &step->u.depthwise;
	const FrWindow *window = &unit->window;
	const FrSlot *in = &planner->slots[unit->in_slot];
	const FrSlot *out = &planner->slots[unit->out_slot];
	const FrPacked *packed;
	FrStatus status = fr_emit_packed(planner, unit, FR_BLOCK, &packed);

	if (status == FR_OK)
		status = fr_emit_epilogue(planner, unit, &task->epilogue);
	if (status != FR_OK)
		return status;
	task->input = fr_slot_window(planner, unit->in_slot, window);
	task->in_block = in->block;
	task->in_row = in->row * window->stride[0];
	task->in_pixel = (ptrdiff_t) FR_BLOCK * window->stride[1];
	task->tap_row = in->row * window->dilation[0];
	task->tap_col = (ptrdiff_t) FR_BLOCK * window->dilation[1];
	task->kernel_h = window->kernel[0];
	task->kernel_w = window->kernel[1];
	if ((status = fill_depthwise_output(planner, unit, step)) != FR_OK)
		return status;
	task->blocks = in->blocks;
	task->out_h = out->height;
	task->out_w = out->width;
	if (unit->operand >= 0)
	{
		task->residual = fr_slot_data(planner, unit->operand_slot);
		task->res_block = planner->slots[unit->operand_slot].block;
		task->res_row = planner->slots[unit->operand_slot].row;
	}
	task->weights = packed->data;

	step->description.weight_bytes = packed->bytes;
	step->description.flops = 2.0 * (double) step->images * unit->out_channels *
							  out->height * out->width * task->kernel_h *
							  task->kernel_w;
	split_depthwise(unit, step);
	return fr_describe(planner, step, "depthwise %dx%d s%d%s%s%s %s",
					   task->kernel_h, task->kernel_w, window->stride[0],
					   fr_fused_text(unit), unit->operand >= 0 ? " +add" : "",
					   unit->int8 ? " to bytes" : "", planner->kernels->isa);
}
