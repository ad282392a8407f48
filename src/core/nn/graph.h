/*
 * graph.h: a neural network as nodes and values.
 *
 * The graph is what the ONNX importer makes and what the planner reads.
 * Nodes are in execution order (every input is a graph input, a constant or
 * the output of an earlier node).  Attributes are parsed into one struct per
 * family, with ONNX's defaults filled in, whatever opset the file has:
 * inputs that older opsets had as attributes (and the reverse) are brought
 * to one form here, so that nothing behind the importer asks for the opset.
 *
 * Values are indexed by int32 everywhere; -1 means "input not given".
 */
#ifndef FR_CORE_NN_GRAPH_H
#define FR_CORE_NN_GRAPH_H

#include "core/base/arena.h"
#include "core/nn/tensor.h"

/* One line per operator: FR_OP_X(enumerator, "ONNX name").  op_table.c has
 * the shape rule and the plain implementation of each. */
#define FR_OP_LIST(X)                           \
	X(CONV, "Conv")                             \
	X(CONV_TRANSPOSE, "ConvTranspose")          \
	X(GEMM, "Gemm")                             \
	X(MATMUL, "MatMul")                         \
	X(BATCH_NORM, "BatchNormalization")         \
	X(INSTANCE_NORM, "InstanceNormalization")   \
	X(LAYER_NORM, "LayerNormalization")         \
	X(LP_NORM, "LpNormalization")               \
	X(LRN, "LRN")                               \
	X(RELU, "Relu")                             \
	X(LEAKY_RELU, "LeakyRelu")                  \
	X(PRELU, "PRelu")                           \
	X(ELU, "Elu")                               \
	X(CLIP, "Clip")                             \
	X(SIGMOID, "Sigmoid")                       \
	X(HARD_SIGMOID, "HardSigmoid")              \
	X(HARD_SWISH, "HardSwish")                  \
	X(TANH, "Tanh")                             \
	X(ERF, "Erf")                               \
	X(GELU, "Gelu")                             \
	X(SOFTPLUS, "Softplus")                     \
	X(EXP, "Exp")                               \
	X(LOG, "Log")                               \
	X(SQRT, "Sqrt")                             \
	X(ABS, "Abs")                               \
	X(NEG, "Neg")                               \
	X(RECIPROCAL, "Reciprocal")                 \
	X(FLOOR, "Floor")                           \
	X(CEIL, "Ceil")                             \
	X(ADD, "Add")                               \
	X(SUB, "Sub")                               \
	X(MUL, "Mul")                               \
	X(DIV, "Div")                               \
	X(POW, "Pow")                               \
	X(MIN, "Min")                               \
	X(MAX, "Max")                               \
	X(SUM, "Sum")                               \
	X(REDUCE_MEAN, "ReduceMean")                \
	X(REDUCE_SUM, "ReduceSum")                  \
	X(REDUCE_MAX, "ReduceMax")                  \
	X(REDUCE_MIN, "ReduceMin")                  \
	X(REDUCE_L2, "ReduceL2")                    \
	X(MAX_POOL, "MaxPool")                      \
	X(AVERAGE_POOL, "AveragePool")              \
	X(GLOBAL_AVERAGE_POOL, "GlobalAveragePool") \
	X(GLOBAL_MAX_POOL, "GlobalMaxPool")         \
	X(RESIZE, "Resize")                         \
	X(FLATTEN, "Flatten")                       \
	X(RESHAPE, "Reshape")                       \
	X(TRANSPOSE, "Transpose")                   \
	X(CONCAT, "Concat")                         \
	X(SPLIT, "Split")                           \
	X(SLICE, "Slice")                           \
	X(PAD, "Pad")                               \
	X(SQUEEZE, "Squeeze")                       \
	X(UNSQUEEZE, "Unsqueeze")                   \
	X(SHAPE, "Shape")                           \
	X(GATHER, "Gather")                         \
	X(EXPAND, "Expand")                         \
	X(CAST, "Cast")                             \
	X(CONSTANT_OF_SHAPE, "ConstantOfShape")     \
	X(IDENTITY, "Identity")                     \
	X(SOFTMAX, "Softmax")                       \
	X(QUANTIZE, "QuantizeLinear")               \
	X(DEQUANTIZE, "DequantizeLinear")

typedef enum FrOp
{
#define FR_OP_ENUM(name, onnx_name) FR_OP_##name,
	FR_OP_LIST(FR_OP_ENUM)
#undef FR_OP_ENUM
		FR_OP_COUNT
} FrOp;

/* The ONNX name of an operator. */
const char *fr_op_name(FrOp op);

/* Conv, ConvTranspose, MaxPool, AveragePool.  Pads are explicit: auto_pad is
 * resolved by fr_graph_specialize, which knows the size. */
typedef enum FrAutoPad
{
	FR_PAD_EXPLICIT = 0,
	FR_PAD_SAME_UPPER,
	FR_PAD_SAME_LOWER,
	FR_PAD_VALID
} FrAutoPad;

typedef struct FrWindow
{
	int kernel[2];	 /* height, width */
	int stride[2];	 /* height, width */
	int dilation[2]; /* height, width */
	int pad[4];		 /* top, left, bottom, right */
	int output_padding[2];
	int output_size[2]; /* ConvTranspose's output_shape; 0: not given */
	int group;
	FrAutoPad auto_pad;
	bool ceil_mode;
	bool count_include_pad;
} FrWindow;

typedef enum FrResizeMode
{
	FR_RESIZE_NEAREST = 0,
	FR_RESIZE_LINEAR
} FrResizeMode;

typedef enum FrResizeCoordinates
{
	FR_COORD_HALF_PIXEL = 0,
	FR_COORD_PYTORCH_HALF_PIXEL,
	FR_COORD_ASYMMETRIC,
	FR_COORD_ALIGN_CORNERS
} FrResizeCoordinates;

typedef enum FrResizeRounding
{
	FR_ROUND_PREFER_FLOOR = 0,
	FR_ROUND_PREFER_CEIL,
	FR_ROUND_FLOOR,
	FR_ROUND_CEIL,
	FR_ROUND_LEGACY /* Upsample and Resize before opset 11: floor, but ceil
					 * where it shrinks; a specialised graph has FLOOR where
					 * nothing shrinks */
} FrResizeRounding;

#define FR_MAX_NODE_INPUTS	64 /* Concat, Min, Max */
#define FR_MAX_NODE_OUTPUTS 64

typedef struct FrNode
{
	FrOp op;
	const char *name; /* of the ONNX node, "" when it has none */
	int input_count;
	int32_t *inputs; /* value indices, -1 when an optional one is absent */
	int output_count;
	int32_t *outputs;
	union
	{
		FrWindow window; /* Conv, ConvTranspose, MaxPool, AveragePool */
		struct
		{
			float alpha, beta;
			bool is_a_transposed, is_b_transposed;
		} gemm;
		struct
		{
			float epsilon; /* normalisations */
			float alpha, beta, bias;
			int size, axis, p;
		} norm;
		struct
		{
			float alpha, beta; /* LeakyRelu, Elu, HardSigmoid; Gelu: alpha 1
								* = tanh approximation */
		} unary;
		struct
		{
			int axis;		/* Softmax, Concat, Split, Gather, Flatten */
			bool is_legacy; /* Softmax before opset 13: over all dimensions
							 * from axis on */
		} axis;
		struct
		{
			int count; /* -1: all (Reduce), or none given */
			bool keep_dims;
			bool is_noop_if_empty;
		} reduce; /* the axes are always input 1, a constant int64 or absent */
		struct
		{
			int rank; /* 0: not given, reverse; specialised graphs have it */
			int permutation[FR_MAX_RANK];
		} transpose;
		struct
		{
			FrResizeMode mode;
			FrResizeCoordinates coordinates;
			FrResizeRounding rounding;
		} resize; /* inputs as opset 11+: X, roi, scales, sizes */
		struct
		{
			bool allow_zero;
		} reshape;
		struct
		{
			bool is_reflect, is_edge; /* else constant */
		} pad;
		struct
		{
			FrDtype to;
		} cast;
		struct
		{
			int start, end; /* Shape, opset 15; end INT32_MAX = to the last */
		} shape;
		struct
		{
			FrDtype dtype;
			double value; /* ConstantOfShape */
		} fill;
		struct
		{
			int axis;	/* QuantizeLinear, DequantizeLinear: of the scales */
			FrDtype to; /* without a zero point; NONE: uint8 */
		} quantize;
	} u;
} FrNode;

/*
 * A value: graph input, constant, or output of one node.  Axes, pads, shapes
 * and the like that ONNX passes as inputs (Reshape, Slice, Pad, Squeeze,
 * Unsqueeze, Split, Expand, Clip's bounds, Reduce's axes) stay inputs; the
 * importer turns the attributes of older opsets into constants.
 */
typedef struct FrValue
{
	const char *name;
	FrDtype dtype;		  /* of a constant or input; NONE until specialised */
	FrShape shape;		  /* may hold FR_DIM_DYNAMIC before specialisation */
	bool is_shape_known;  /* shape is meaningful (rank and dims) */
	const void *constant; /* row-major data, or NULL; it may point into the
						   * model file, which must outlive the graph */
} FrValue;

typedef struct FrGraph
{
	FrArena arena; /* owns everything below */
	int node_count;
	FrNode *nodes;
	int value_count;
	FrValue *values;
	int input_count;
	int32_t *inputs;
	int output_count;
	int32_t *outputs;
} FrGraph;

/* Release the graph and all it owns. */
void fr_graph_destroy(FrGraph *graph);

/*
 * Make a copy of *source for the given input shapes (one per graph input, in
 * order): every value's shape and dtype is known, auto_pad is resolved,
 * constant sub-graphs (shape arithmetic) are evaluated, but for the
 * DequantizeLinear of 8-bit weights (rank 2 and above), which kernels read as
 * they are; Identity and Dropout and unused nodes are gone.  Constants are
 * shared with *source, which must outlive the copy, as must names.  An output
 * may turn out to be a graph input, a constant, or the same value as another
 * output.  Axes of Softmax, Concat, Split, Gather, Flatten and the norms are
 * not negative.  MISMATCH when a shape does not fit the graph (node and
 * operator are named), ARGUMENT for a dimension below 1, LIMIT when a tensor,
 * or all calculated constants together, would exceed max_tensor_bytes.
 */
FrStatus
fr_graph_specialize(const FrGraph *source, const FrShape *inputs,
					size_t max_tensor_bytes, const FrAllocator *allocator,
					FrGraph *graph, FrError *error);

/* ---- plain operators (op_*.c) -------------------------------------------
 *
 * The specification of every operator: straightforward loops over plain
 * tensors, used for constant folding, for operators that have no blocked
 * kernel, and as the reference in tests.
 */

/* Infer the outputs' dtypes and shapes from the inputs' (constant inputs have
 * data).  tensors of absent inputs are NULL. */
FrStatus fr_op_infer(const FrNode *node, const FrTensor *const *inputs,
					 FrTensor *outputs, FrError *error);

/* Compute the outputs, whose data the caller provides (sizes from
 * fr_op_infer).  Allocates nothing.  Polls cancel at least every few
 * milliseconds of work. */
FrStatus fr_op_run(const FrNode *node, const FrTensor *const *inputs,
				   FrTensor *outputs, const FrCancel *cancel, FrError *error);

/* Fail with a message that names the node: 'Node "conv1" (Conv): ...'. */
FrStatus
fr_node_fail(FrError *error, FrStatus status, const FrNode *node,
			 const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
