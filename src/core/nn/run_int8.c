/*
 * run_int8.c: running parts of steps that read or write bytes.
 */
#include "core/nn/planner.h"

int
fr_int8_extent(const FrStep *step)
{
	const FrInt8ConvTask *task = &step->u.int8;

	bool is_columns = step->split == FR_SPLIT_COLUMNS;

	if (step->kind == FR_UNIT_QUANTIZE)
		return is_columns ? step->u.quantize.width : step->u.quantize.height;
	if (step->kind == FR_UNIT_DEQUANTIZE)
		return is_columns ? step->u.dequantize.width
						  : step->u.dequantize.height;
	return is_columns						? task->out_w
		   : step->split == FR_SPLIT_BLOCKS ? task->out_blocks
											: task->out_h;
}

/* Move every pointer of a task by so many input and output pixels. */
static void
move_pixels(FrInt8ConvTask *task, ptrdiff_t rows, ptrdiff_t columns)
{
	task->input += rows * task->in_row + columns * task->in_pixel;
	if (task->output)
		task->output += rows * task->out_row + columns * task->out_pixel;
	if (task->bytes)
		task->bytes += rows * task->byte_row + columns * task->byte_pixel;
	if (task->residual)
		task->residual += rows * task->res_row + columns * task->res_pixel;
}

/* Begin at output block first, which begins a block of bytes. */
static void
move_blocks(FrInt8ConvTask *task, ptrdiff_t first, size_t weights)
{
	ptrdiff_t channels = first * FR_BLOCK;

	task->weights += (size_t) first * weights;
	task->start += channels;
	task->scale += channels;
	task->epilogue.bias += channels;
	if (task->epilogue.slope)
		task->epilogue.slope += channels;
	if (task->output)
		task->output += first * task->out_block;
	if (task->bytes)
	{
		task->bytes += first / FR_BYTE_BLOCKS * task->byte_block;
		task->quantize.scale += channels;
		task->quantize.shift += channels;
	}
	if (task->residual)
		task->residual += first * task->res_block;
}

static void
run_conv(const FrStep *step, int64_t image, int first, int count,
		 const FrInt8Kernels *kernels)
{
	FrInt8ConvTask task = step->u.int8;
	ptrdiff_t n = (ptrdiff_t) image;

	task.input += n * step->in_image * (ptrdiff_t) sizeof(float);
	if (task.output)
		task.output += n * step->out_image;
	if (task.bytes)
		task.bytes += n * step->byte_image;
	if (task.residual)
		task.residual += n * step->operand_image;
	if (step->split == FR_SPLIT_BLOCKS)
	{
		move_blocks(&task, first, step->split_weights);
		task.out_blocks = count;
	}
	else if (step->split == FR_SPLIT_COLUMNS)
	{
		move_pixels(&task, 0, first);
		task.out_w = count;
	}
	else
	{
		move_pixels(&task, first, 0);
		task.out_h = count;
	}
	kernels->conv(&task);
}

static void
run_quantize(const FrStep *step, int64_t image, int first, int count,
			 const FrInt8Kernels *kernels)
{
	FrQuantizeTask task = step->u.quantize;

	task.input += (ptrdiff_t) image * step->in_image;
	task.bytes += (ptrdiff_t) image * step->byte_image;
	if (step->split == FR_SPLIT_COLUMNS)
	{
		task.input += (ptrdiff_t) first * task.lanes;
		task.bytes += (ptrdiff_t) first *
					  (task.lanes == FR_BLOCK ? FR_BYTE_BLOCK : FR_QUAD);
		task.width = count;
	}
	else
	{
		task.input += first * task.in_row;
		task.bytes += first * task.byte_row;
		task.height = count;
	}
	kernels->quantize(&task);
}

static void
run_dequantize(const FrStep *step, int64_t image, int first, int count,
			   const FrInt8Kernels *kernels)
{
	FrDequantizeTask task = step->u.dequantize;

	task.bytes += (ptrdiff_t) image * step->byte_image;
	task.output += (ptrdiff_t) image * step->out_image;
	if (step->split == FR_SPLIT_COLUMNS)
	{
		task.bytes += first * task.byte_pixel;
		task.output += (ptrdiff_t) first * FR_BLOCK;
		task.width = count;
	}
	else
	{
		task.bytes += first * task.byte_row;
		task.output += first * task.out_row;
		task.height = count;
	}
	kernels->dequantize(&task);
}

void
fr_run_int8(const FrStep *step, int64_t image, int first, int count,
			const FrInt8Kernels *kernels)
{
	if (step->kind == FR_UNIT_INT8)
		run_conv(step, image, first, count, kernels);
	else if (step->kind == FR_UNIT_QUANTIZE)
		run_quantize(step, image, first, count, kernels);
	else
		run_dequantize(step, image, first, count, kernels);
}
