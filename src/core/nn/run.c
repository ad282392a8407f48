/*
 * run.c: running a plan.
 *
 * Walks the steps; every pointer and stride was settled by emit.c, and
 * nothing is allocated.  Long tasks are cut into pieces of a few
 * milliseconds, between which the cancel hook is polled.
 */
#include <math.h>
#include <string.h>

#include "core/nn/planner.h"

/* Floats of a plain activation between two polls. */
#define ACTIVATE_PIECE ((size_t) 1 << 20)

/* A part of a task along the step's split axis. */
typedef struct Piece
{
	int first, count;
} Piece;

/* ---- borders -------------------------------------------------------------- */

/* Write count pixels of one channel block. */
static void
fill_pixels(float *target, ptrdiff_t count, int lanes, FrFill fill,
			const float *values)
{
	if (fill == FR_FILL_ZERO)
	{
		memset(target, 0, (size_t) count * (size_t) lanes * sizeof(float));
		return;
	}
	for (ptrdiff_t i = 0; i < count; i++)
		for (int lane = 0; lane < lanes; lane++)
			target[i * lanes + lane] =
				fill == FR_FILL_LOWEST ? -INFINITY : values[lane];
}

static void
fill_block(const FrBorder *border, float *map, const float *values)
{
	ptrdiff_t width = border->width + border->pad[1] + border->pad[3];
	float *row = map + border->pad[0] * border->row;
	int lanes = border->lanes;
	ptrdiff_t right = (ptrdiff_t) (border->pad[1] + border->width) * lanes;

	fill_pixels(map, border->pad[0] * width, lanes, border->fill, values);
	for (int y = 0; y < border->height; y++, row += border->row)
	{
		fill_pixels(row, border->pad[1], lanes, border->fill, values);
		fill_pixels(row + right, border->pad[3], lanes, border->fill, values);
	}
	fill_pixels(row, border->pad[2] * width, lanes, border->fill, values);
}

static void
fill_border(const FrBorder *border)
{
	if (!border->data)
		return;
	for (int64_t n = 0; n < border->images; n++)
		for (int b = 0; b < border->blocks; b++)
			fill_block(border,
					   border->data + (ptrdiff_t) n * border->image +
						   b * border->block,
					   border->values
						   ? border->values + (ptrdiff_t) b * border->lanes
						   : NULL);
}

/* ---- pieces --------------------------------------------------------------- */

static void
offset_epilogue(FrEpilogue *epilogue, ptrdiff_t channels)
{
	if (epilogue->bias)
		epilogue->bias += channels;
	if (epilogue->slope)
		epilogue->slope += channels;
}

static void
run_conv(const FrStep *step, int64_t image, Piece piece,
		 const FrNnKernels *kernels)
{
	for (int g = 0; g < step->groups; g++)
	{
		FrConvTask task = step->u.conv;
		ptrdiff_t residual =
			(ptrdiff_t) image * step->operand_image + g * step->operand_group;

		task.input += (ptrdiff_t) image * step->in_image + g * step->in_group;
		task.output +=
			(ptrdiff_t) image * step->out_image + g * step->out_group;
		task.weights =
			(const char *) task.weights + (size_t) g * step->weights_group;
		offset_epilogue(&task.epilogue,
						(ptrdiff_t) g * step->blocks_group * FR_BLOCK);
		if (step->split == FR_SPLIT_ROWS)
		{
			task.input += piece.first * task.in_row;
			task.output += piece.first * task.out_row;
			residual += piece.first * task.res_row;
			task.out_h = piece.count;
		}
		else if (step->split == FR_SPLIT_COLUMNS)
		{
			task.input += piece.first * task.in_pixel;
			task.output += piece.first * task.out_pixel;
			residual += piece.first * task.res_pixel;
			task.out_w = piece.count;
		}
		else if (step->split == FR_SPLIT_BLOCKS)
		{
			task.weights = (const char *) task.weights +
						   (size_t) piece.first * step->split_weights;
			task.output += piece.first * task.out_block;
			residual += piece.first * task.res_block;
			task.out_blocks = piece.count;
			offset_epilogue(&task.epilogue, (ptrdiff_t) piece.first * FR_BLOCK);
		}
		if (task.residual)
			task.residual += residual;
		kernels->conv(&task);
	}
}

static void
run_depthwise(const FrStep *step, int64_t image, Piece piece,
			  const FrNnKernels *kernels)
{
	FrDepthwiseTask task = step->u.depthwise;

	task.input += (ptrdiff_t) image * step->in_image;
	task.output += (ptrdiff_t) image * step->out_image;
	if (task.residual)
		task.residual += (ptrdiff_t) image * step->operand_image;
	if (step->split == FR_SPLIT_ROWS)
	{
		task.input += piece.first * task.in_row;
		task.output += piece.first * task.out_row;
		if (task.residual)
			task.residual += piece.first * task.res_row;
		task.out_h = piece.count;
	}
	kernels->depthwise(&task);
}

static void
run_pool(const FrStep *step, int64_t image, Piece piece,
		 const FrNnKernels *kernels)
{
	FrPoolTask task = step->u.pool;

	task.input += (ptrdiff_t) image * step->in_image;
	task.output += (ptrdiff_t) image * step->out_image;
	if (step->split == FR_SPLIT_ROWS)
	{
		task.input += piece.first * task.in_row;
		task.output += piece.first * task.out_row;
		task.out_h = piece.count;
	}
	kernels->pool(&task);
}

static void
run_eltwise(const FrStep *step, int64_t image, Piece piece,
			const FrNnKernels *kernels)
{
	FrEltwiseTask task = step->u.eltwise;

	task.a += (ptrdiff_t) image * step->in_image;
	task.output += (ptrdiff_t) image * step->out_image;
	if (task.b)
		task.b += (ptrdiff_t) image * step->operand_image;
	if (task.scale)
		task.scale += (ptrdiff_t) image * step->vector_image;
	if (step->split == FR_SPLIT_ROWS)
	{
		task.a += piece.first * task.a_row;
		task.output += piece.first * task.out_row;
		if (task.b)
			task.b += piece.first * task.b_row;
		task.height = piece.count;
	}
	kernels->eltwise(&task);
}

/* Activated while the values are in the cache. */
static void
run_nhwc(const FrMapTask *task, const FrNnKernels *kernels)
{
	kernels->unblock_nhwc(task->input, task->in_block, task->in_row,
						  task->first_lane, task->channels, task->height,
						  task->width, task->output);
	if (task->activation != FR_ACT_NONE)
		kernels->activate(task->output, task->output,
						  (size_t) task->height * (size_t) task->out_row,
						  task->activation, task->low, task->high);
}

static void
run_map(const FrStep *step, int64_t image, Piece piece,
		const FrNnKernels *kernels)
{
	FrMapTask task = step->u.map;

	task.input += (ptrdiff_t) image * step->in_image;
	task.output += (ptrdiff_t) image * step->out_image;
	if (step->split == FR_SPLIT_ROWS)
	{
		ptrdiff_t factor = step->kind == FR_UNIT_UPSAMPLE ? task.factor_h : 1;

		task.input += piece.first * task.in_row;
		task.output += piece.first * factor * task.out_row;
		task.height = piece.count;
	}
	else if (step->split == FR_SPLIT_BLOCKS)
	{
		task.input += piece.first * task.in_block;
		task.output += piece.first * task.out_block;
		task.blocks = piece.count;
	}
	if (step->pictures && step->pictures->is_used && step->pictures->is_direct)
		fr_picture_run(step->pictures, image, piece.first, piece.count, &task,
					   kernels);
	else if (step->kind == FR_UNIT_BLOCK)
		kernels->block(task.input, task.in_block, task.in_row, task.channels,
					   task.height, task.width, task.lanes, task.output,
					   task.out_block, task.out_row);
	else if (step->kind == FR_UNIT_UNBLOCK)
		kernels->unblock(task.input, task.in_block, task.in_row,
						 task.first_lane, task.channels, task.height,
						 task.width, task.output, task.out_block, task.out_row);
	else if (step->kind == FR_UNIT_NHWC)
		run_nhwc(&task, kernels);
	else if (step->kind == FR_UNIT_AVERAGE)
		kernels->global_average(task.input, task.in_block, task.in_row,
								task.blocks, task.height, task.width,
								task.output, task.out_block);
	else
		kernels->upsample(task.input, task.in_block, task.in_row, task.blocks,
						  task.height, task.width, task.factor_h, task.factor_w,
						  task.output, task.out_block, task.out_row);
}

/* ---- steps ---------------------------------------------------------------- */

/* Extent of the axis that the step is cut along. */
static int
split_extent(const FrStep *step)
{
	bool is_columns = step->split == FR_SPLIT_COLUMNS;
	bool is_blocks = step->split == FR_SPLIT_BLOCKS;

	switch ((int) step->kind)
	{
		case FR_UNIT_CONV:
			return is_columns  ? step->u.conv.out_w
				   : is_blocks ? step->u.conv.out_blocks
							   : step->u.conv.out_h;
		case FR_UNIT_DEPTHWISE:
			return step->u.depthwise.out_h;
		case FR_UNIT_POOL:
			return step->u.pool.out_h;
		case FR_UNIT_ELTWISE:
			return step->u.eltwise.height;
		default:
			return is_blocks ? step->u.map.blocks : step->u.map.height;
	}
}

static FrStatus
fail_cancelled(FrError *error)
{
	return fr_fail(error, FR_ERR_CANCELLED,
				   "Running the network was cancelled.");
}

/* Run a kernel's task for every image, piece by piece. */
static FrStatus
run_pieces(const FrStep *step, const FrNnKernels *kernels,
		   const FrCancel *cancel, FrError *error)
{
	int extent = split_extent(step);
	int size = step->split == FR_SPLIT_NONE ? extent : step->split_size;

	fill_border(&step->border);
	for (int64_t image = 0; image < step->images; image++)
		for (int first = 0; first < extent; first += size)
		{
			Piece piece = {first,
						   extent - first < size ? extent - first : size};

			if (fr_is_cancelled(cancel))
				return fail_cancelled(error);
			if (step->kind == FR_UNIT_CONV)
				run_conv(step, image, piece, kernels);
			else if (step->kind == FR_UNIT_DEPTHWISE)
				run_depthwise(step, image, piece, kernels);
			else if (step->kind == FR_UNIT_POOL)
				run_pool(step, image, piece, kernels);
			else if (step->kind == FR_UNIT_ELTWISE)
				run_eltwise(step, image, piece, kernels);
			else
				run_map(step, image, piece, kernels);
		}
	return FR_OK;
}

static FrStatus
run_activate(const FrStep *step, const FrNnKernels *kernels,
			 const FrCancel *cancel, FrError *error)
{
	size_t count = step->u.activate.count;

	for (size_t first = 0; first < count; first += ACTIVATE_PIECE)
	{
		size_t rest = count - first;

		if (fr_is_cancelled(cancel))
			return fail_cancelled(error);
		kernels->activate(step->u.activate.input + first,
						  step->u.activate.output + first,
						  rest < ACTIVATE_PIECE ? rest : ACTIVATE_PIECE,
						  step->u.activate.activation, step->u.activate.low,
						  step->u.activate.high);
	}
	return FR_OK;
}

FrStatus
fr_plan_run_step(FrPlan *plan, int index, const FrCancel *cancel,
				 FrError *error)
{
	const FrStep *step = &plan->steps[index];

	if (step->kind == FR_UNIT_PLAIN)
	{
		if (fr_is_cancelled(cancel))
			return fail_cancelled(error);
		return fr_op_run(step->u.plain.node, step->u.plain.inputs,
						 step->u.plain.outputs, cancel, error);
	}
	if (step->kind == FR_UNIT_ACTIVATE)
		return run_activate(step, plan->kernels->nn, cancel, error);
	return run_pieces(step, plan->kernels->nn, cancel, error);
}

/* Fill with NaN all that a run must not read: everything but the inputs. */
static void
poison(FrPlan *plan)
{
	float *end = plan->arena + plan->arena_bytes / sizeof(float);
	float *p = plan->arena;

	while (p < end)
	{
		size_t skip = 0;

		for (int i = 0; i < plan->graph.input_count; i++)
		{
			size_t count;

			fr_shape_count(&plan->input_shapes[i], &count);
			if (p >= plan->inputs[i] && p < plan->inputs[i] + count)
				skip = (size_t) (plan->inputs[i] + count - p);
		}
		if (skip)
			p += skip;
		else
			*p++ = NAN;
	}
}

FrStatus
fr_plan_run(FrPlan *plan, const FrCancel *cancel, FrError *error)
{
	FrStatus status = FR_OK;

	if (plan->is_poisoned)
		poison(plan);
	for (int i = 0; i < plan->graph.input_count && status == FR_OK; i++)
		status = fr_picture_fill(&plan->pictures[i], cancel, error);
	for (int i = 0; i < plan->step_count && status == FR_OK; i++)
		status = fr_plan_run_step(plan, i, cancel, error);
	fr_picture_done(plan);
	return status;
}
