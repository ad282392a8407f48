/*
 * softmax.c: Softmax of plain tensors by a vector kernel.
 *
 * The tensor is [outer, length, inner], the middle axis being normalised.
 * The kernel takes lines side by side.  Where inner is small, as in lists of
 * candidates with two classes each, some lines at a time are transposed into
 * a buffer and back.
 */
#include "core/nn/fuse.h"
#include "core/nn/op_table.h"

/* Longer lines that do not lie side by side are left to the plain operator. */
#define MAX_LENGTH 64

#define BUFFER_FLOATS 1024

/* Lines side by side that need no buffer. */
#define MIN_INNER 16

/* Values between two polls. */
#define PIECE_FLOATS ((size_t) 1 << 18)

/* Longer lines are left to the plain operator: a piece would be so few of them
 * that each pass reads every cache line for a few of its values. */
#define MAX_INNER_LENGTH (PIECE_FLOATS / MIN_INNER)

/* How a Softmax sees its tensor; false when it is empty. */
static bool
find_axis(const FrNode *node, const FrShape *shape, FrSoftmaxTask *task)
{
	int axis;

	if (!fr_axis_normalize(node->u.axis.axis, shape->rank, &axis))
		return false;
	task->outer = task->length = task->inner = 1;
	for (int i = 0; i < shape->rank; i++)
	{
		size_t size = (size_t) shape->dims[i];

		if (i < axis)
			task->outer *= size;
		else if (i == axis || node->u.axis.is_legacy)
			task->length *= size;
		else
			task->inner *= size;
	}
	return task->outer > 0 && task->length > 0 && task->inner > 0;
}

bool
fr_match_softmax(const FrPlanner *planner, const FrNode *node, FrUnit *unit)
{
	FrSoftmaxTask task;
	size_t count;

	if (node->op != FR_OP_SOFTMAX ||
		!is_float_variable(planner, node->inputs[0]) ||
		!fr_shape_count(shape_of(planner, node->inputs[0]), &count) ||
		!find_axis(node, shape_of(planner, node->inputs[0]), &task) ||
		task.length > MAX_INNER_LENGTH ||
		(task.inner < MIN_INNER && task.length > MAX_LENGTH))
		return false;
	unit->kind = FR_UNIT_SOFTMAX;
	return true;
}

FrStatus
fr_emit_softmax(FrPlanner *planner, const FrUnit *unit, FrStep *step)
{
	FrSoftmaxTask *task = &step->u.softmax;

	find_axis(unit->node, shape_of(planner, unit->output), task);
	task->input = fr_slot_data(planner, unit->in_slot);
	task->output = fr_slot_data(planner, unit->out_slot);
	return fr_describe(planner, step, "softmax %s", planner->kernels->isa);
}

/* Where line number line begins. */
static size_t
line_start(const FrSoftmaxTask *task, size_t line)
{
	return line / task->inner * task->length * task->inner + line % task->inner;
}

/* A few lines by way of a buffer in which they lie side by side. */
static void
run_buffered(const FrSoftmaxTask *task, size_t first, size_t count,
			 const FrNnKernels *kernels)
{
	float buffer[BUFFER_FLOATS] = {0};

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < task->length; k++)
			buffer[k * count + i] =
				task->input[line_start(task, first + i) + k * task->inner];
	kernels->softmax(buffer, buffer, (int) task->length, (ptrdiff_t) count,
					 count);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < task->length; k++)
			task->output[line_start(task, first + i) + k * task->inner] =
				buffer[k * count + i];
}

bool
fr_softmax_run(const FrSoftmaxTask *task, const FrNnKernels *kernels,
			   const FrCancel *cancel)
{
	bool is_buffered = task->inner < MIN_INNER;
	size_t lines = task->outer * task->inner, count;

	for (size_t first = 0; first < lines; first += count)
	{
		size_t most = PIECE_FLOATS / task->length + 1;
		size_t start = line_start(task, first);

		if (is_buffered)
			most = BUFFER_FLOATS / task->length;
		else if (most > task->inner - first % task->inner)
			most = task->inner - first % task->inner;
		count = lines - first < most ? lines - first : most;
		if (fr_is_cancelled(cancel))
			return false;
		if (is_buffered)
			run_buffered(task, first, count, kernels);
		else
			kernels->softmax(task->input + start, task->output + start,
							 (int) task->length, (ptrdiff_t) task->inner,
							 count);
	}
	return true;
}
