/*
 * run.c: running a plan.
 *
 * Walks the steps; every pointer and stride was settled by emit.c, and
 * nothing is allocated.  Long tasks are cut into pieces of a few
 * milliseconds, between which the cancel hook is polled.  The steps of a strip
 * run by turns, as its list of pieces says.
 */
#include <math.h>
#include <string.h>

#include "core/nn/planner.h"

/* Floats of a plain activation between two polls. */
#define ACTIVATE_PIECE ((size_t) 1 << 20)

/* Rows and pixels of a border between two polls. */
#define BORDER_ROWS	  4096
#define BORDER_PIXELS ((ptrdiff_t) 1 << 14)

/* A part of a task along the step's split axis, and where its rows lie when
 * tensors are lines (FrStripPiece). */
typedef struct Piece
{
	int first, count;
	ptrdiff_t in_shift, operand_shift, out_shift;
} Piece;

typedef struct Run
{
	const FrPlan *plan;
	const FrNnKernels *kernels;
	const FrPlanProbe *probe; /* or NULL */
	const FrCancel *cancel;
	FrError *error;
} Run;

static FrStatus
fail_cancelled(FrError *error)
{
	return fr_fail(error, FR_ERR_CANCELLED,
				   "Running the network was cancelled.");
}

/* ---- borders -------------------------------------------------------------- */

/* Write count pixels of one channel block; a pixel may be bytes. */
static void
fill_pixels(float *target, ptrdiff_t count, int lanes, FrFill fill,
			const float *values)
{
	static const float lowest[FR_BLOCK] = {
		-INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY,
		-INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY,
		-INFINITY, -INFINITY, -INFINITY, -INFINITY};
	const float *pixel = fill == FR_FILL_LOWEST ? lowest : values;

	if (fill == FR_FILL_ZERO)
	{
		memset(target, 0, (size_t) count * (size_t) lanes * sizeof(float));
		return;
	}
	for (ptrdiff_t i = 0; i < count; i++)
	{
		/* A constant size is a few instructions. */
		if (lanes == FR_BLOCK)
			memcpy(target, pixel, FR_BLOCK * sizeof(float));
		else
			memcpy(target, pixel, (size_t) lanes * sizeof(float));
		target += lanes;
	}
}

/* Whole rows above or below a map; false when cancelled. */
static bool
fill_rows(const Run *run, const FrBorder *border, int rows, float *target,
		  const float *values)
{
	ptrdiff_t width = border->width + border->pad[1] + border->pad[3];
	ptrdiff_t count = rows * width;

	for (ptrdiff_t first = 0; first < count; first += BORDER_PIXELS)
	{
		ptrdiff_t rest = count - first;

		if (first > 0 && fr_is_cancelled(run->cancel))
			return false;
		fill_pixels(target + first * border->lanes,
					rest < BORDER_PIXELS ? rest : BORDER_PIXELS, border->lanes,
					border->fill, values);
	}
	return true;
}

static bool
fill_block(const Run *run, const FrBorder *border, float *map,
		   const float *values)
{
	float *row = map + border->pad[0] * border->row;
	int lanes = border->lanes;
	ptrdiff_t right = (ptrdiff_t) (border->pad[1] + border->width) * lanes;

	if (!fill_rows(run, border, border->pad[0], map, values))
		return false;
	for (int y = 0; y < border->height; y++, row += border->row)
	{
		if (y % BORDER_ROWS == BORDER_ROWS - 1 && fr_is_cancelled(run->cancel))
			return false;
		fill_pixels(row, border->pad[1], lanes, border->fill, values);
		fill_pixels(row + right, border->pad[3], lanes, border->fill, values);
	}
	return fill_rows(run, border, border->pad[2], row, values);
}

static FrStatus
fill_border(const Run *run, const FrBorder *border)
{
	ptrdiff_t block_pixels =
		(ptrdiff_t) (border->pad[0] + border->pad[2]) *
			(border->width + border->pad[1] + border->pad[3]) +
		(ptrdiff_t) border->height * (border->pad[1] + border->pad[3]);
	ptrdiff_t pixels = 0; /* since the last poll */

	if (!border->data)
		return FR_OK;
	for (int64_t n = 0; n < border->images; n++)
		for (int b = 0; b < border->blocks; b++)
		{
			bool is_filled = fill_block(
				run, border,
				border->data + (ptrdiff_t) n * border->image +
					b * border->block,
				border->values ? border->values + (ptrdiff_t) b * border->lanes
							   : NULL);

			pixels += block_pixels;
			if (pixels >= BORDER_PIXELS)
			{
				is_filled &= !fr_is_cancelled(run->cancel);
				pixels = 0;
			}
			if (!is_filled)
				return fail_cancelled(run->error);
		}
	return FR_OK;
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
		ptrdiff_t residual = (ptrdiff_t) image * step->operand_image +
							 g * step->operand_group + piece.operand_shift;

		task.input += (ptrdiff_t) image * step->in_image + g * step->in_group +
					  piece.in_shift;
		task.output += (ptrdiff_t) image * step->out_image +
					   g * step->out_group + piece.out_shift;
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
		else if (step->split == FR_SPLIT_IMAGES)
		{
			task.input += piece.first * task.in_image;
			task.output += piece.first * task.out_image;
			residual += piece.first * task.res_image;
			task.images = piece.count;
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

	task.input += (ptrdiff_t) image * step->in_image + piece.in_shift;
	if (task.bytes)
		task.bytes += (ptrdiff_t) image * step->byte_image;
	else
		task.output += (ptrdiff_t) image * step->out_image + piece.out_shift;
	if (task.residual)
		task.residual +=
			(ptrdiff_t) image * step->operand_image + piece.operand_shift;
	if (step->split == FR_SPLIT_ROWS)
	{
		task.input += piece.first * task.in_row;
		if (task.bytes)
			task.bytes += piece.first * task.byte_row;
		else
			task.output += piece.first * task.out_row;
		if (task.residual)
			task.residual += piece.first * task.res_row;
		task.out_h = piece.count;
	}
	else if (step->split == FR_SPLIT_BLOCKS)
	{
		task.input += piece.first * task.in_block;
		if (task.bytes)
		{
			task.bytes += piece.first / FR_BYTE_BLOCKS * task.byte_block;
			task.quantize.scale += (ptrdiff_t) piece.first * FR_BLOCK;
			task.quantize.shift += (ptrdiff_t) piece.first * FR_BLOCK;
		}
		else
			task.output += piece.first * task.out_block;
		if (task.residual)
			task.residual += piece.first * task.res_block;
		task.weights +=
			(ptrdiff_t) piece.first * task.kernel_h * task.kernel_w * FR_BLOCK;
		offset_epilogue(&task.epilogue, (ptrdiff_t) piece.first * FR_BLOCK);
		task.blocks = piece.count;
	}
	kernels->depthwise(&task);
}

static void
run_pool(const FrStep *step, int64_t image, Piece piece,
		 const FrNnKernels *kernels)
{
	FrPoolTask task = step->u.pool;

	task.input += (ptrdiff_t) image * step->in_image + piece.in_shift;
	task.output += (ptrdiff_t) image * step->out_image + piece.out_shift;
	if (step->split == FR_SPLIT_ROWS)
	{
		task.input += piece.first * task.in_row;
		task.output += piece.first * task.out_row;
		task.out_h = piece.count;
	}
	else if (step->split == FR_SPLIT_BLOCKS)
	{
		task.input += piece.first * task.in_block;
		task.output += piece.first * task.out_block;
		task.blocks = piece.count;
	}
	kernels->pool(&task);
}

static void
run_eltwise(const FrStep *step, int64_t image, Piece piece,
			const FrNnKernels *kernels)
{
	FrEltwiseTask task = step->u.eltwise;

	task.a += (ptrdiff_t) image * step->in_image + piece.in_shift;
	task.output += (ptrdiff_t) image * step->out_image + piece.out_shift;
	if (task.b)
		task.b += (ptrdiff_t) image * step->operand_image + piece.operand_shift;
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
	else if (step->split == FR_SPLIT_BLOCKS)
	{
		task.a += piece.first * task.a_block;
		task.output += piece.first * task.out_block;
		if (task.b)
			task.b += piece.first * task.b_block;
		if (task.scale)
			task.scale += (ptrdiff_t) piece.first * FR_BLOCK;
		offset_epilogue(&task.epilogue, (ptrdiff_t) piece.first * FR_BLOCK);
		task.blocks = piece.count;
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

	task.input += (ptrdiff_t) image * step->in_image + piece.in_shift;
	task.output += (ptrdiff_t) image * step->out_image + piece.out_shift;
	if (step->split == FR_SPLIT_ROWS)
	{
		ptrdiff_t factor = step->kind == FR_UNIT_UPSAMPLE ? task.factor_h : 1;

		task.input += piece.first * task.in_row;
		task.output += piece.first * factor * task.out_row;
		task.height = piece.count;
	}
	else if (step->split == FR_SPLIT_BLOCKS)
	{
		/* The blocks of a plain side are planes. */
		int in_blocks = step->kind == FR_UNIT_BLOCK ? task.lanes : 1;
		int out_blocks = step->kind == FR_UNIT_UNBLOCK ? task.lanes : 1;
		int channels = piece.count * task.lanes;

		task.input += (ptrdiff_t) piece.first * in_blocks * task.in_block;
		task.output += (ptrdiff_t) piece.first * out_blocks * task.out_block;
		task.channels -= piece.first * task.lanes;
		if (task.channels > channels)
			task.channels = channels;
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
	bool is_images = step->split == FR_SPLIT_IMAGES;

	switch ((int) step->kind)
	{
		case FR_UNIT_CONV:
			return is_columns  ? step->u.conv.out_w
				   : is_images ? step->u.conv.images
				   : is_blocks ? step->u.conv.out_blocks
							   : step->u.conv.out_h;
		case FR_UNIT_DEPTHWISE:
			return is_blocks ? step->u.depthwise.blocks
							 : step->u.depthwise.out_h;
		case FR_UNIT_POOL:
			return is_blocks ? step->u.pool.blocks : step->u.pool.out_h;
		case FR_UNIT_ELTWISE:
			return is_blocks ? step->u.eltwise.blocks : step->u.eltwise.height;
		case FR_UNIT_INT8:
		case FR_UNIT_QUANTIZE:
		case FR_UNIT_DEQUANTIZE:
			return fr_int8_extent(step);
		default:
			return is_blocks ? step->u.map.blocks : step->u.map.height;
	}
}

static void
run_piece(const FrPlan *plan, const FrStep *step, int64_t image, Piece piece)
{
	const FrNnKernels *kernels =
		step->is_unpaired ? plan->kernels->unpaired : plan->kernels->nn;

	if (step->kind == FR_UNIT_CONV)
		run_conv(step, image, piece, kernels);
	else if (step->kind == FR_UNIT_DEPTHWISE)
		run_depthwise(step, image, piece, kernels);
	else if (step->kind == FR_UNIT_POOL)
		run_pool(step, image, piece, kernels);
	else if (step->kind == FR_UNIT_ELTWISE)
		run_eltwise(step, image, piece, kernels);
	else if (step->kind == FR_UNIT_INT8 || step->kind == FR_UNIT_QUANTIZE ||
			 step->kind == FR_UNIT_DEQUANTIZE)
		fr_run_int8(step, image, piece.first, piece.count, plan->kernels->int8);
	else
		run_map(step, image, piece, kernels);
}

/* Run the part whole of a kernel's task, cut so that the cancel hook is
 * polled in time. */
static FrStatus
run_cut(const Run *run, const FrStep *step, int64_t image, Piece whole)
{
	int end = whole.first + whole.count;
	int size = step->split == FR_SPLIT_NONE ? whole.count : step->split_size;
	Piece piece = whole;

	for (int first = whole.first; first < end; first += size)
	{
		if (fr_is_cancelled(run->cancel))
			return fail_cancelled(run->error);
		piece.first = first;
		piece.count = end - first < size ? end - first : size;
		run_piece(run->plan, step, image, piece);
	}
	return FR_OK;
}

/* Run a kernel's task for every image, piece by piece. */
static FrStatus
run_images(const Run *run, const FrStep *step)
{
	Piece whole = {.count = split_extent(step)};
	FrStatus status = fill_border(run, &step->border);

	if (status == FR_OK)
		status = fill_border(run, &step->byte_border);
	for (int64_t image = 0; image < step->images && status == FR_OK; image++)
		status = run_cut(run, step, image, whole);
	return status;
}

static FrStatus
run_activate(const Run *run, const FrStep *step)
{
	size_t count = step->u.activate.count;

	for (size_t first = 0; first < count; first += ACTIVATE_PIECE)
	{
		size_t rest = count - first;

		if (fr_is_cancelled(run->cancel))
			return fail_cancelled(run->error);
		run->kernels->activate(step->u.activate.input + first,
							   step->u.activate.output + first,
							   rest < ACTIVATE_PIECE ? rest : ACTIVATE_PIECE,
							   step->u.activate.activation,
							   step->u.activate.low, step->u.activate.high);
	}
	return FR_OK;
}

static FrStatus
run_step(const Run *run, const FrStep *step)
{
	if (step->kind == FR_UNIT_ACTIVATE)
		return run_activate(run, step);
	if (step->kind == FR_UNIT_WINOGRAD)
	{
		FrStatus status = fill_border(run, &step->border);

		return status == FR_OK ? fr_run_winograd(step, &step->u.winograd.task,
												 run->plan->kernels->unpaired,
												 run->cancel, run->error)
							   : status;
	}
	if (step->kind == FR_UNIT_SOFTMAX)
		return fr_softmax_run(&step->u.softmax, run->kernels, run->cancel)
				   ? FR_OK
				   : fail_cancelled(run->error);
	if (step->kind != FR_UNIT_PLAIN)
		return run_images(run, step);
	if (fr_is_cancelled(run->cancel))
		return fail_cancelled(run->error);
	return fr_op_run(step->u.plain.node, step->u.plain.inputs,
					 step->u.plain.outputs, run->cancel, run->error);
}

/* ---- strips ---------------------------------------------------------------- */

/* Tell whoever measures that the time until now was this step's. */
static void
probe(const Run *run, int step)
{
	if (run->probe)
		run->probe->after(run->probe->context, step);
}

static void
move_lines(const FrLines *lines, const FrStripPiece *piece)
{
	for (int b = 0; b < lines->blocks && piece->kept > 0; b++)
	{
		float *top = lines->top + b * lines->block;

		memmove(top, top + piece->kept_from,
				(size_t) piece->kept * (size_t) lines->row * sizeof(float));
	}
}

/* The rows below a map that has just become complete. */
static void
fill_bottom(const FrStep *step, ptrdiff_t shift)
{
	const FrLines *lines = &step->lines;
	const FrBorder *border = &step->border;

	if (!lines->top || !border->data)
		return;
	for (int b = 0; b < lines->blocks; b++)
		fill_pixels(lines->top + b * lines->block + lines->end + shift,
					lines->bottom * (lines->row / border->lanes), border->lanes,
					border->fill,
					border->values
						? border->values + (ptrdiff_t) b * border->lanes
						: NULL);
}

/* A whole image of a Winograd convolution in a strip. */
static FrStatus
run_strip_winograd(const Run *run, const FrStep *step, int64_t image,
				   const FrStripPiece *piece)
{
	FrWinogradTask task = step->u.winograd.task;

	task.input += (ptrdiff_t) image * step->in_image + piece->in_shift;
	task.output += (ptrdiff_t) image * step->out_image + piece->out_shift;
	if (task.residual)
		task.residual +=
			(ptrdiff_t) image * step->operand_image + piece->operand_shift;
	return fr_run_winograd(step, &task, run->plan->kernels->unpaired,
						   run->cancel, run->error);
}

/* One step of a strip in one round. */
static FrStatus
run_strip_piece(const Run *run, const FrStep *step, int64_t image,
				const FrStripPiece *piece)
{
	Piece rows = {.first = piece->first,
				  .count = piece->count,
				  .in_shift = piece->in_shift,
				  .operand_shift = piece->operand_shift,
				  .out_shift = piece->out_shift};

	if (piece->count == 0)
		return FR_OK;
	move_lines(&step->lines, piece);
	if (piece->is_end)
		fill_bottom(step, piece->out_shift);
	if (step->kind == FR_UNIT_WINOGRAD)
		return run_strip_winograd(run, step, image, piece);
	return run_cut(run, step, image, rows);
}

static FrStatus
run_strip(const Run *run, const FrStrip *strip)
{
	const FrStep *steps = run->plan->steps + strip->first;
	FrStatus status = FR_OK;

	for (int64_t image = 0; image < strip->images && status == FR_OK; image++)
	{
		const FrStripPiece *piece = strip->pieces;

		for (int i = 0; i < strip->count && status == FR_OK; i++)
			if (image == 0 || steps[i].lines.top)
				status = fill_border(run, &steps[i].border);
		for (int round = 0; round < strip->rounds && status == FR_OK; round++)
			for (int i = 0; i < strip->count && status == FR_OK; i++, piece++)
			{
				status = run_strip_piece(run, &steps[i], image, piece);
				probe(run, strip->first + i);
			}
	}
	return status;
}

/* Run step number index, or, if a strip begins there, the strip; returns the
 * number of the step that follows. */
static int
run_at(const Run *run, int index, FrStatus *status)
{
	const FrStep *step = &run->plan->steps[index];

	if (step->strip)
	{
		const FrStrip *strip = &run->plan->strips[step->strip - 1];

		*status = run_strip(run, strip);
		return strip->first + strip->count;
	}
	*status = run_step(run, step);
	probe(run, index);
	return index + 1;
}

/* ---- plans ----------------------------------------------------------------- */

FrStatus
fr_plan_run_step(FrPlan *plan, int index, const FrCancel *cancel,
				 FrError *error)
{
	const Run run = {plan, plan->kernels->nn, NULL, cancel, error};
	int strip = plan->steps[index].strip;
	FrStatus status = FR_OK;

	if (!strip || plan->strips[strip - 1].first == index)
		run_at(&run, index, &status);
	return status;
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
			size_t count = 0;

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
fr_plan_run_probed(FrPlan *plan, const FrPlanProbe *probe,
				   const FrCancel *cancel, FrError *error)
{
	const Run run = {plan, plan->kernels->nn, probe, cancel, error};
	FrStatus status = FR_OK;

	if (plan->is_poisoned)
		poison(plan);
	for (int i = 0; i < plan->graph.input_count && status == FR_OK; i++)
		status = fr_picture_fill(&plan->pictures[i], cancel, error);
	for (int i = 0; i < plan->step_count && status == FR_OK;)
		i = run_at(&run, i, &status);
	fr_picture_done(plan);
	return status;
}

FrStatus
fr_plan_run(FrPlan *plan, const FrCancel *cancel, FrError *error)
{
	return fr_plan_run_probed(plan, NULL, cancel, error);
}
