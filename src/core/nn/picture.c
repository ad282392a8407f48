/*
 * picture.c: 8-bit pictures as inputs of a plan; see plan.h.
 *
 * Where the only readers of an input are convolutions, its first step takes
 * the pixels straight into their blocked form, rows as it goes.  Everywhere
 * else the plain input is filled before the run, with the same arithmetic:
 * (v - mean) * scale in float32.
 */
#include <string.h>

#include "core/nn/planner.h"

/* Larger batches are given as planes only: every plan keeps room for all
 * pictures of a batch. */
#define MAX_PICTURES 4096

/* Whether every step that reads an input makes 4 lanes of it. */
static bool
is_direct(const FrPlanner *planner, int32_t slot)
{
	if (planner->slots[slot].is_output)
		return false;
	for (int i = 0; i < planner->unit_count; i++)
	{
		const FrUnit *unit = planner->units[i];
		int count = 0;

		if (unit->kind == FR_UNIT_PLAIN)
		{
			count = unit->node->input_count;
			for (int k = 0; k < count; k++)
				if (planner->unit_slots[i][k] >= 0 &&
					fr_slot_root(planner, planner->unit_slots[i][k]) ==
						&planner->slots[slot])
					return false;
		}
		else if (fr_slot_root(planner, unit->in_slot) ==
					 &planner->slots[slot] &&
				 (unit->kind != FR_UNIT_BLOCK || unit->in_slot != slot ||
				  planner->slots[unit->out_slot].lanes != 4))
			return false;
	}
	return true;
}

FrStatus
fr_plan_emit_pictures(FrPlanner *planner)
{
	const FrGraph *graph = planner->graph;
	FrPlan *plan = planner->plan;

	plan->pictures =
		fr_arena_alloc_zeroed(planner->memory, (size_t) graph->input_count + 1,
							  sizeof *plan->pictures);
	if (!plan->pictures)
		return fr_fail_nomem(planner->error, sizeof *plan->pictures);
	for (int i = 0; i < graph->input_count; i++)
	{
		FrPictureInput *input = &plan->pictures[i];
		const FrShape *shape = &graph->values[graph->inputs[i]].shape;
		int64_t dims[4];

		input->planes = plan->inputs[i];
		if (shape->rank != 4 || !fr_blocked_dims(shape, dims) ||
			dims[0] > MAX_PICTURES || (dims[1] != 3 && dims[3] != 3))
			continue;
		input->is_channels_last = dims[1] != 3;
		input->is_direct = !input->is_channels_last && is_direct(planner, i);
		input->images = dims[0];
		input->height = (int) dims[input->is_channels_last ? 1 : 2];
		input->width = (int) dims[input->is_channels_last ? 2 : 3];
		input->pictures = fr_arena_alloc_zeroed(
			planner->memory, (size_t) dims[0], sizeof(FrPicture));
		if (!input->pictures)
			return fr_fail_nomem(planner->error,
								 (size_t) dims[0] * sizeof(FrPicture));
	}
	return FR_OK;
}

FrStatus
fr_plan_set_picture(FrPlan *plan, int index, int64_t image,
					const FrPicture *picture, FrError *error)
{
	FrPictureInput *input;

	if (index < 0 || index >= plan->graph.input_count)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "The network has no input number %d.", index + 1);
	input = &plan->pictures[index];
	if (!input->pictures)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "Input number %d of the network is no picture of three "
					   "channels.",
					   index + 1);
	if (image < 0 || image >= input->images)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "The batch of %lld pictures has none of number %lld.",
					   (long long) input->images, (long long) image + 1);
	if (picture->width < 0 || picture->height < 0 ||
		picture->width > input->width || picture->height > input->height)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "A picture of %d x %d does not fit an input of %d x %d.",
					   picture->width, picture->height, input->width,
					   input->height);
	if (!input->is_used)
		memset(input->pictures, 0, (size_t) input->images * sizeof *picture);
	input->is_used = true;
	input->pictures[image] = *picture;
	return FR_OK;
}

/* One row of one channel; offset and step in floats. */
static void
fill_row(const FrPicture *picture, int channel, int y, int width, float *row,
		 ptrdiff_t step)
{
	float mean = picture->mean[channel], scale = picture->scale[channel];
	int count = y < picture->height ? picture->width : 0;
	const uint8_t *pixels =
		count > 0 ? picture->pixels + (size_t) y * picture->row_bytes : NULL;
	int offset = picture->is_swapped ? 2 - channel : channel;

	for (int x = 0; x < width; x++)
	{
		int from = picture->is_mirrored ? count - 1 - x : x;
		float value = x < count ? (float) pixels[from * 3 + offset] : 0.0f;

		row[x * step] = (value - mean) * scale;
	}
}

FrStatus
fr_picture_fill(const FrPictureInput *input, const FrCancel *cancel,
				FrError *error)
{
	ptrdiff_t plane = (ptrdiff_t) input->height * input->width;
	float *image = input->planes;

	if (!input->is_used || input->is_direct)
		return FR_OK;
	for (int64_t n = 0; n < input->images; n++, image += 3 * plane)
		for (int y = 0; y < input->height; y++)
		{
			if (fr_is_cancelled(cancel))
				return fr_fail(error, FR_ERR_CANCELLED,
							   "Preparing the input was cancelled.");
			for (int c = 0; c < 3; c++)
			{
				ptrdiff_t start = (ptrdiff_t) y * input->width;

				if (input->is_channels_last)
					fill_row(&input->pictures[n], c, y, input->width,
							 image + 3 * start + c, 3);
				else
					fill_row(&input->pictures[n], c, y, input->width,
							 image + c * plane + start, 1);
			}
		}
	return FR_OK;
}

void
fr_picture_run(const FrPictureInput *input, int64_t image, int first_row,
			   int rows, const FrMapTask *map, const FrNnKernels *kernels)
{
	const FrPicture *picture = &input->pictures[image];
	FrPictureTask task = {
		.pixels = picture->pixels,
		.row_bytes = (ptrdiff_t) picture->row_bytes,
		.width = picture->width,
		.rows = picture->height - first_row,
		.is_swapped = picture->is_swapped,
		.is_mirrored = picture->is_mirrored,
		.output = map->output,
		.out_row = map->out_row,
		.out_h = rows,
		.out_w = input->width,
	};

	for (int c = 0; c < 3; c++)
	{
		task.mean[c] = picture->mean[c];
		task.scale[c] = picture->scale[c];
	}
	if (task.rows < 0 || task.width == 0)
		task.rows = 0;
	if (task.rows > 0)
		task.pixels += (size_t) first_row * picture->row_bytes;
	kernels->block_u8(&task);
}

void
fr_picture_done(FrPlan *plan)
{
	for (int i = 0; i < plan->graph.input_count; i++)
		plan->pictures[i].is_used = false;
}
