/*
 * emit_winograd.c: which convolutions run by Winograd's F(4x4, 3x3) or
 * F(3x3, 3x3), and how.
 *
 * A tile of 4 x 4 outputs takes 36 products per pair of channels instead of
 * 144, but its weights take 36 numbers per filter instead of 9, and the
 * transforms cost.  Tiles of 3 x 3 (25 instead of 81) serve small maps of
 * which the last tiles of 4 would lie half outside.  So it pays for 3x3
 * kernels with many channels and enough tiles to use each weight several
 * times.  The choice looks at one image only: an output's bits must not depend
 * on the batch.
 *
 * The input slot gets a border that reaches to the end of the last tile's
 * window.  Transformed input and sums are scratch: a slot that lives for this
 * step only, large enough for as many tiles as stay in the L2 cache.
 */
#include "core/nn/planner.h"

/* Fewer channels do not pay for the transforms. */
#define MIN_CHANNELS 16

/* Deeper sums need scratch for MIN_PIECE_TILES that no cache holds; their
 * weights come from memory either way. */
#define MAX_CHANNELS 2048

/* Tiles of one image below which the larger weights cost more than the
 * products saved: there are four times as many to read. Half precision is
 * half of that, and weights of up to CACHED_BYTES come from the L2 cache. */
#define MIN_TILES		12
#define MIN_TILES_CHEAP 4
#define CACHED_BYTES	((size_t) 768 << 10)

/* What transformed input and sums may take together: they stay in a 1 MB L2
 * cache beside a stream of weights. */
#define SCRATCH_BYTES ((size_t) 640 << 10)

/* Tiles at a time, however deep the input: fewer would use each weight too
 * rarely. */
#define MIN_PIECE_TILES 16

static int64_t
tiles_of(int64_t outputs, int tile)
{
	return (outputs + tile - 1) / tile;
}

/* Tiles of an image with this many outputs, [n, c, h, w]. */
static int64_t
image_tiles(const int64_t out_dims[4], int tile)
{
	return tiles_of(out_dims[2], tile) * tiles_of(out_dims[3], tile);
}

static int
input_blocks(const FrUnit *unit)
{
	return (unit->in_channels + FR_BLOCK - 1) / FR_BLOCK;
}

static bool
is_geometry_right(const FrUnit *unit)
{
	const FrWindow *window = &unit->window;

	return unit->kind == FR_UNIT_CONV && !unit->is_transposed &&
		   window->group == 1 && window->kernel[0] == 3 &&
		   window->kernel[1] == 3 && window->stride[0] == 1 &&
		   window->stride[1] == 1 && window->dilation[0] == 1 &&
		   window->dilation[1] == 1 && unit->in_channels >= MIN_CHANNELS &&
		   unit->in_channels <= MAX_CHANNELS &&
		   unit->out_channels >= MIN_CHANNELS;
}

/* Tiles of 3 where they need fewer products: maps of 5, 6, 9 or 21 pixels. */
static int
choose_tile(const int64_t out_dims[4])
{
	double products_3 =
		(double) image_tiles(out_dims, 3) * FR_WINOGRAD_POSITIONS(3);
	double products_4 =
		(double) image_tiles(out_dims, 4) * FR_WINOGRAD_POSITIONS(4);

	return products_3 < 0.95 * products_4 ? 3 : 4;
}

void
fr_winograd_choose(const FrPlanner *planner, FrUnit *unit)
{
	int64_t out[4];

	if (!is_geometry_right(unit) ||
		!fr_blocked_dims(&planner->graph->values[unit->node->outputs[0]].shape,
						 out))
		return;

	unit->kind = FR_UNIT_WINOGRAD;
	unit->tile = choose_tile(out);

	size_t filter_bytes = (size_t) FR_WINOGRAD_POSITIONS(unit->tile) *
						  sizeof(float) * (size_t) unit->in_channels;
	bool is_cheap = fr_unit_format(planner, unit) == FR_WEIGHTS_F16 ||
					filter_bytes <= CACHED_BYTES / (size_t) unit->out_channels;

	if (image_tiles(out, unit->tile) < (is_cheap ? MIN_TILES_CHEAP : MIN_TILES))
		unit->kind = FR_UNIT_CONV;
}

void
fr_winograd_border(const FrUnit *unit, const int64_t in_dims[4],
				   const int64_t out_dims[4], int border[4])
{
	for (int axis = 0; axis < 2; axis++)
	{
		int64_t end =
			(tiles_of(out_dims[2 + axis], unit->tile) - 1) * unit->tile +
			FR_WINOGRAD_WINDOW(unit->tile) - unit->window.pad[axis] -
			in_dims[2 + axis];

		if (border[2 + axis] < end)
			border[2 + axis] = (int) end;
	}
}

/* Tiles at a time: an even share of all. */
static int
piece_tiles(const FrUnit *unit, int64_t tiles)
{
	size_t tile_bytes = (size_t) (input_blocks(unit) + FR_WINOGRAD_CHUNK) *
						FR_BLOCK * (size_t) FR_WINOGRAD_POSITIONS(unit->tile) *
						sizeof(float);
	int64_t most = (int64_t) (SCRATCH_BYTES / tile_bytes);

	if (most < MIN_PIECE_TILES)
		most = MIN_PIECE_TILES;

	int64_t pieces = (tiles + most - 1) / most;

	return (int) ((tiles + pieces - 1) / pieces);
}

static size_t
values_floats(const FrUnit *unit, int tiles)
{
	return (size_t) fr_winograd_position_floats(input_blocks(unit), tiles) *
		   (size_t) FR_WINOGRAD_POSITIONS(unit->tile);
}

size_t
fr_winograd_scratch_bytes(const FrPlanner *planner, const FrUnit *unit)
{
	int64_t out[4];

	fr_blocked_dims(&planner->graph->values[unit->node->outputs[0]].shape, out);

	int64_t of_image = image_tiles(out, unit->tile);
	int tiles = piece_tiles(unit, out[0] * of_image);

	/* In a strip it will run image by image. */
	if (tiles < piece_tiles(unit, of_image))
		tiles = piece_tiles(unit, of_image);
	return (values_floats(unit, tiles) +
			(size_t) fr_winograd_position_floats(FR_WINOGRAD_CHUNK, tiles) *
				(size_t) FR_WINOGRAD_POSITIONS(unit->tile)) *
		   sizeof(float);
}

static void
fill_geometry(const FrPlanner *planner, const FrUnit *unit,
			  FrWinogradTask *task)
{
	const FrSlot *in = &planner->slots[unit->in_slot];
	const FrSlot *out = &planner->slots[unit->out_slot];

	task->input = fr_slot_window(planner, unit->in_slot, &unit->window);
	task->in_image = in->image;
	task->in_block = in->block;
	task->in_row = in->row;
	task->in_channels = unit->in_channels;
	task->tile = unit->tile;
	task->tiles_h = (int) tiles_of(out->height, unit->tile);
	task->tiles_w = (int) tiles_of(out->width, unit->tile);
	task->value_scale = FR_WINOGRAD_VALUE_SCALE;
	task->output = fr_slot_data(planner, unit->out_slot);
	task->out_image = out->image;
	task->out_block = out->block;
	task->out_row = out->row;
	task->out_blocks = out->blocks;
	task->out_h = out->height;
	task->out_w = out->width;
	if (unit->operand >= 0)
	{
		const FrSlot *residual = &planner->slots[unit->operand_slot];

		task->residual = fr_slot_data(planner, unit->operand_slot);
		task->res_image = residual->image;
		task->res_block = residual->block;
		task->res_row = residual->row;
	}
}

FrStatus
fr_emit_winograd(FrPlanner *planner, const FrUnit *unit, FrStep *step)
{
	FrWinogradTask *task = &step->u.winograd.task;
	const FrPacked *packed;
	FrStatus status = fr_emit_packed(planner, unit, FR_BLOCK, &packed);

	if (status == FR_OK)
		status = fr_emit_epilogue(planner, unit, &task->epilogue);
	if (status != FR_OK)
		return status;
	fill_geometry(planner, unit, task);
	task->weights = packed->data;
	task->weight_format = packed->key.format;

	int64_t tiles =
		(unit->strip ? 1 : step->images) * task->tiles_h * task->tiles_w;

	step->u.winograd.tiles = tiles;
	step->u.winograd.piece_tiles = piece_tiles(unit, tiles);
	task->values = fr_slot_data(planner, unit->scratch_slot);
	task->sums =
		task->values + values_floats(unit, step->u.winograd.piece_tiles);
	step->description.weight_bytes = packed->bytes;
	step->description.saving =
		9.0 * unit->tile * unit->tile / FR_WINOGRAD_POSITIONS(unit->tile);
	step->description.flops = 2.0 * (double) step->images * unit->out_channels *
							  task->out_h * task->out_w * unit->in_channels * 9;
	return fr_describe(planner, step, "winograd 3x3%s%s%s%s %s",
					   unit->tile == 3 ? " by 3" : "",
					   packed->key.format == FR_WEIGHTS_F16 ? " f16" : "",
					   fr_fused_text(unit), unit->operand >= 0 ? " +add" : "",
					   planner->kernels->isa);
}

FrStatus
fr_run_winograd(const FrStep *step, const FrWinogradTask *task,
				const FrNnKernels *kernels, const FrCancel *cancel,
				FrError *error)
{
	int64_t total = step->u.winograd.tiles;
	int most = step->u.winograd.piece_tiles;

	for (int64_t first = 0; first < total; first += most)
	{
		int tiles = total - first < most ? (int) (total - first) : most;

		kernels->winograd_input(task, first, tiles);
		for (int block = 0; block < task->out_blocks;
			 block += FR_WINOGRAD_CHUNK)
		{
			int rest = task->out_blocks - block;

			if (fr_is_cancelled(cancel))
				return fr_fail(error, FR_ERR_CANCELLED,
							   "Running the network was cancelled.");
			kernels->winograd_output(
				task, first, tiles, block,
				rest < FR_WINOGRAD_CHUNK ? rest : FR_WINOGRAD_CHUNK);
		}
	}
	return FR_OK;
}
