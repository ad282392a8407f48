/*
 * op_table.h: the operator registry, and what the op_*.c files share.
 *
 * Every operator has one line in op_table.c: how many inputs and outputs it
 * takes, its shape rule and its plain implementation.  The op_*.c files hold
 * those two functions per operator, one file per family; they are called
 * through fr_op_infer and fr_op_run only, which check counts and bounds first.
 * To add an operator: a line in FR_OP_LIST (graph.h), a line in op_table.c,
 * two functions here, and its attributes in core/onnx/import_ops.c.
 */
#ifndef FR_CORE_NN_OP_TABLE_H
#define FR_CORE_NN_OP_TABLE_H

#include "core/nn/graph.h"

/* A dimension beyond this is refused, so that sums of a few dimensions, pads
 * and products with strides cannot overflow int64. */
#define FR_MAX_DIM ((int64_t) 1 << 40)

typedef FrStatus (*FrOpInfer)(const FrNode *node, const FrTensor *const *inputs,
							  FrTensor *outputs, FrError *error);
typedef FrStatus (*FrOpRun)(const FrNode *node, const FrTensor *const *inputs,
							FrTensor *outputs, const FrCancel *cancel,
							FrError *error);

typedef struct FrOpInfo
{
	int min_inputs; /* these must be given */
	int max_inputs;
	int max_outputs;
	FrOpInfer infer;
	FrOpRun run;
} FrOpInfo;

/* The registry's entry; op must be valid. */
const FrOpInfo *fr_op_info(FrOp op);

/* ---- polling ------------------------------------------------------------ */

/* About a millisecond of plain loops. */
#define FR_POLL_WORK ((size_t) 1 << 20)

typedef struct FrPoll
{
	const FrCancel *cancel;
	size_t work; /* since the hook was last asked */
} FrPoll;

static inline FrPoll
fr_poll_begin(const FrCancel *cancel)
{
	return (FrPoll){.cancel = cancel};
}

/* Account for work elementary operations; true when the run must stop. */
static inline bool
fr_poll(FrPoll *poll, size_t work)
{
	poll->work += work;
	if (poll->work < FR_POLL_WORK)
		return false;
	poll->work = 0;
	return fr_is_cancelled(poll->cancel);
}

/* Fail with the standard message of a cancelled run. */
FrStatus fr_fail_cancelled(FrError *error);

/* ---- shapes (shape.c) --------------------------------------------------- */

/* The product of dims[begin..end), 1 when empty.  The tensor has passed
 * fr_op_infer, so it fits. */
size_t fr_shape_span(const FrShape *shape, int begin, int end);

/* Bring an axis of -rank..rank-1 to 0..rank-1; false when out of range. */
bool fr_axis_normalize(int64_t axis, int rank, int *out);

/* Combine two shapes by ONNX's (NumPy's) broadcasting; false when they do not
 * fit together. */
bool fr_shape_broadcast(const FrShape *a, const FrShape *b, FrShape *out);

/* Row-major strides of a shape in elements, shifted to output_rank dimensions
 * with 0 where shape is broadcast (missing or 1). */
void fr_broadcast_strides(const FrShape *shape, int output_rank,
						  size_t strides[FR_MAX_RANK]);

/* Read the elements of an int64 or int32 tensor that says something about
 * shapes (axes, pads, a shape).  MISMATCH when it holds more than capacity
 * values or another type, UNSUPPORTED when it is not constant. */
FrStatus
fr_read_ints(const FrNode *node, const FrTensor *tensor, const char *what,
			 int64_t *out, int capacity, int *count, FrError *error);

/* UNSUPPORTED unless every input that is given is float32. */
FrStatus fr_check_floats(const FrNode *node, const FrTensor *const *inputs,
						 FrError *error);

/* A set of axes of a tensor, one bit each, from the constant input tensor
 * (may be NULL: *given is then false and *mask 0). */
FrStatus fr_read_axes(const FrNode *node, const FrTensor *tensor, int rank,
					  unsigned *mask, bool *is_given, FrError *error);

/* Fill window with the kernel, pads and sizes that node has for this input
 * (rank 4) and, for Conv and ConvTranspose, weights (else NULL): auto_pad is
 * resolved.  *output_size: height, width of the result. */
FrStatus fr_window_resolve(const FrNode *node, const FrShape *input,
						   const FrShape *weights, FrWindow *window,
						   int64_t output_size[2], FrError *error);

/* Scale and size of each dimension of a Resize. */
FrStatus fr_resize_sizes(const FrNode *node, const FrTensor *const *inputs,
						 int64_t sizes[FR_MAX_RANK], double scales[FR_MAX_RANK],
						 FrError *error);

/* Start, step and length of a Slice in each dimension. */
FrStatus
fr_slice_ranges(const FrNode *node, const FrTensor *const *inputs,
				int64_t starts[FR_MAX_RANK], int64_t steps[FR_MAX_RANK],
				int64_t lengths[FR_MAX_RANK], FrError *error);

/* ---- shape rules and implementations ------------------------------------ */

#define FR_DECLARE_INFER(name)                                                 \
	FrStatus fr_infer_##name(const FrNode *node,                               \
							 const FrTensor *const *inputs, FrTensor *outputs, \
							 FrError *error)
#define FR_DECLARE_RUN(name)                                                  \
	FrStatus fr_run_##name(const FrNode *node, const FrTensor *const *inputs, \
						   FrTensor *outputs, const FrCancel *cancel,         \
						   FrError *error)

FR_DECLARE_INFER(conv); /* op_conv.c */
FR_DECLARE_RUN(conv);
FR_DECLARE_INFER(conv_transpose);
FR_DECLARE_RUN(conv_transpose);

FR_DECLARE_INFER(pool); /* op_pool.c */
FR_DECLARE_RUN(pool);
FR_DECLARE_INFER(global_pool);
FR_DECLARE_RUN(global_pool);

FR_DECLARE_INFER(gemm); /* op_gemm.c */
FR_DECLARE_RUN(gemm);
FR_DECLARE_INFER(matmul);
FR_DECLARE_RUN(matmul);

FR_DECLARE_INFER(batch_norm); /* op_norm.c */
FR_DECLARE_RUN(batch_norm);
FR_DECLARE_INFER(instance_norm);
FR_DECLARE_RUN(instance_norm);
FR_DECLARE_INFER(layer_norm);
FR_DECLARE_RUN(layer_norm);
FR_DECLARE_INFER(axis_norm); /* LpNormalization, LRN, Softmax */
FR_DECLARE_RUN(lp_norm);
FR_DECLARE_RUN(lrn);
FR_DECLARE_RUN(softmax);

FR_DECLARE_INFER(unary); /* op_unary.c */
FR_DECLARE_RUN(unary);
FR_DECLARE_INFER(clip);
FR_DECLARE_RUN(clip);
FR_DECLARE_INFER(cast);
FR_DECLARE_RUN(cast);

FR_DECLARE_INFER(binary); /* op_binary.c */
FR_DECLARE_RUN(binary);
FR_DECLARE_INFER(prelu);

FR_DECLARE_INFER(reduce); /* op_reduce.c */
FR_DECLARE_RUN(reduce);

FR_DECLARE_INFER(resize); /* op_resize.c */
FR_DECLARE_RUN(resize);

FR_DECLARE_INFER(identity); /* op_shape.c: data unchanged */
FR_DECLARE_INFER(flatten);
FR_DECLARE_INFER(reshape);
FR_DECLARE_INFER(squeeze);
FR_DECLARE_INFER(unsqueeze);
FR_DECLARE_RUN(copy);
FR_DECLARE_INFER(shape);
FR_DECLARE_RUN(shape);
FR_DECLARE_INFER(constant_of_shape);
FR_DECLARE_RUN(constant_of_shape);

FR_DECLARE_INFER(transpose); /* op_move.c: data rearranged */
FR_DECLARE_RUN(transpose);
FR_DECLARE_INFER(expand);
FR_DECLARE_RUN(expand);
FR_DECLARE_INFER(slice);
FR_DECLARE_RUN(slice);
FR_DECLARE_INFER(concat);
FR_DECLARE_RUN(concat);
FR_DECLARE_INFER(split);
FR_DECLARE_RUN(split);
FR_DECLARE_INFER(gather);
FR_DECLARE_RUN(gather);
FR_DECLARE_INFER(pad); /* op_pad.c */
FR_DECLARE_RUN(pad);

FR_DECLARE_INFER(quantize); /* op_quantize.c */
FR_DECLARE_RUN(quantize);
FR_DECLARE_INFER(dequantize);
FR_DECLARE_RUN(dequantize);

#endif
