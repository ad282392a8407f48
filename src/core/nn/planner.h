/*
 * planner.h: what the files of the planner share.
 *
 * Planning turns a specialised graph into steps in six stages, each one
 * file: fuse.c (nodes -> units: what runs together), layout.c (units ->
 * slots: in which physical tensors, with which borders, and the conversions
 * between them), strip.c (units -> strips: what runs depth-first, a few rows
 * at a time), place.c (slots -> offsets in one arena, by lifetime), pack.c
 * (weights in the kernels' order, shared by the plans of a net) and emit.c
 * (units -> steps: kernel tasks with final pointers).  run.c only walks the
 * steps.  Private to core/nn; callers use plan.h.
 */
#ifndef FR_CORE_NN_PLANNER_H
#define FR_CORE_NN_PLANNER_H

#include "core/nn/plan.h"

/* ---- weights ------------------------------------------------------------ */

/* What is packed. */
typedef enum FrPackTransform
{
	FR_PACK_FILTERS = 0,
	FR_PACK_WINOGRAD,  /* filters at the positions of F(4x4, 3x3) */
	FR_PACK_WINOGRAD_3 /* ... of F(3x3, 3x3) */
} FrPackTransform;

/* A power of two that makes transformed input about as large as the input
 * was; the weights are multiplied by its inverse. */
#define FR_WINOGRAD_VALUE_SCALE 0.25f

/* What determines packed weights; independent of the input's shape. */
typedef struct FrPackKey
{
	const float *weights; /* raw: [out, in / group, kernel_h, kernel_w], or
						   * [in, out] when is_transposed */
	bool is_depthwise;
	bool is_transposed;
	int group;
	int out_channels; /* of all groups */
	int in_channels;  /* of all groups */
	int kernel_h, kernel_w;
	int lanes; /* of an input pixel: 16 or 4 */
	FrPackTransform transform;
	FrWeightFormat format;
	bool is_unpaired;		   /* packed by kernels->unpaired */
	const float *scale;		   /* [out_channels] factors, or NULL */
	const float *pre_scale;	   /* [in_channels] factors, or NULL */
	const int8_t *bytes;	   /* 8-bit weights instead, in the same order */
	const FrInt8Kernels *int8; /* the table that packs them */
	/* Instead: bias + scale * (weights * pre_scale), [out_channels]. */
	bool is_bias;
	const float *bias; /* [out_channels], is_bias only */
} FrPackKey;

typedef struct FrPacked FrPacked;
struct FrPacked
{
	FrPacked *next;
	FrPackKey key;		/* scale, pre_scale and bias are own copies */
	FrBytes name;		/* the key by contents; empty without a cache */
	bool is_found;		/* the cache owns data */
	void *data;			/* 64-byte aligned */
	size_t group_bytes; /* from one group's weights to the next's */
	size_t bytes;
};

typedef struct FrPackStore
{
	FrPacked *first;
	size_t bytes;				/* of all */
	size_t own_bytes;			/* of those that the cache did not have */
	const FrWeightCache *cache; /* or NULL */
} FrPackStore;

/* The packed weights for *key, made now unless the store has them.  LIMIT
 * when the store would hold more than max_bytes: a few bytes of weights, used
 * many times with other factors, must not take all memory. */
FrStatus fr_pack_get(FrPackStore *store, const FrPackKey *key, size_t max_bytes,
					 const FrNnKernels *kernels, const FrCancel *cancel,
					 const FrAllocator *allocator, const FrPacked **packed,
					 FrError *error);

/* For pack.c (pack_winograd.c): bytes that fr_pack_winograd writes, false on
 * overflow; and the packing itself. */
bool fr_pack_winograd_bytes(const FrPackKey *key, const FrNnKernels *kernels,
							size_t *bytes);
FrStatus fr_pack_winograd(const FrPackKey *key, const FrNnKernels *kernels,
						  const FrCancel *cancel, const FrAllocator *allocator,
						  void *data, FrError *error);
/*
 * A key by contents (pack_key.c), the same in every process that has the same
 * image, kernels and packing: *name is allocated.  Every field of FrPackKey
 * goes into it.
 */
FrStatus
fr_pack_key_name(const FrPackKey *key, const FrWeightCache *cache,
				 const FrAllocator *allocator, FrBytes *name, FrError *error);

/* For pack.c (pack_int8.c): bytes of packed 8-bit weights and of all that
 * fr_pack_int8 writes: they are followed by the sum of each output channel's
 * weights, int32 [out_channels]; false on overflow.  And the packing. */
bool
fr_pack_int8_bytes(const FrPackKey *key, size_t *weight_bytes, size_t *bytes);
FrStatus fr_pack_int8(const FrPackKey *key, const FrCancel *cancel,
					  const FrAllocator *allocator, void *data, FrError *error);

void fr_pack_store_fini(FrPackStore *store, const FrAllocator *allocator);

/* ---- units: what one step computes --------------------------------------- */

typedef enum FrUnitKind
{
	FR_UNIT_PLAIN = 0, /* one node by fr_op_run */
	FR_UNIT_ALIAS,	   /* the input's data under another shape */
	FR_UNIT_ACTIVATE,  /* an activation of a plain tensor */
	FR_UNIT_SOFTMAX,   /* of a plain tensor */
	FR_UNIT_CONV,	   /* convolution or fully connected layer */
	FR_UNIT_WINOGRAD,  /* a convolution by F(4x4, 3x3) or F(3x3, 3x3): chosen
						* by layout.c */
	FR_UNIT_DEPTHWISE,
	FR_UNIT_POOL,
	FR_UNIT_ELTWISE,
	FR_UNIT_AVERAGE, /* mean over the whole map */
	FR_UNIT_UPSAMPLE,
	FR_UNIT_CONCAT, /* channels side by side in one blocked tensor */
	FR_UNIT_NHWC,	/* blocked -> plain, channels last */
	FR_UNIT_BLOCK,	/* plain -> blocked */
	FR_UNIT_UNBLOCK,
	FR_UNIT_COPY, /* blocked -> blocked, for a border of its own */
	FR_UNIT_INT8, /* convolution or fully connected layer on 8-bit integers */
	FR_UNIT_QUANTIZE,	/* blocked floats -> blocked bytes */
	FR_UNIT_DEQUANTIZE, /* blocked bytes -> blocked floats */
	FR_UNIT_KIND_COUNT
} FrUnitKind;

/* What a unit that reads or writes bytes needs besides (fuse_int8.c).  Bytes
 * have blocked slots only, in the layout of int8_kernels.h. */
typedef struct FrInt8Unit
{
	const int8_t *weights; /* INT8: raw, as FrPackKey.bytes */
	float scale;		   /* INT8, DEQUANTIZE: of the bytes read */
	int zero_point;		   /* likewise; signed bytes have 128 added */

	bool has_float; /* somebody reads the output as floats */
	int32_t bytes;	/* value: written as bytes, or -1 */
	int32_t byte_slot;
	float *byte_scale, *byte_shift; /* [channels], as FrQuantize has them */
	int byte_zero_point;
} FrInt8Unit;

typedef struct FrUnit
{
	FrUnitKind kind;
	const FrNode *node; /* the main node; NULL for conversions */
	int32_t input;		/* value, when there is one main input */
	int32_t operand;	/* value of residual or second operand, or -1 */
	int32_t vector;		/* ELTWISE: value [n, c, 1, 1] that scales the input,
						 * or -1 */
	int32_t output;		/* value: the last fused node's output */
	/* Filled in by layout.c: */
	int32_t in_slot, operand_slot, vector_slot, out_slot;
	int32_t scratch_slot; /* WINOGRAD */
	int tile;			  /* WINOGRAD: outputs of a tile in each direction */
	/* Filled in by strip.c: */
	int strip; /* number from 1, or 0 */

	/* CONV, WINOGRAD, DEPTHWISE, POOL.  The output is epilogue(scale * (weights *
	 * (pre_scale * input + pre_shift)) + bias); kernels get it folded. */
	FrWindow window;
	const float *weights;
	bool is_transposed; /* weights are [in, out] */
	bool is_flattened;	/* reads the map behind the node's Flatten */
	int in_channels, out_channels;
	float *scale, *bias;		  /* [out_channels], or NULL */
	float *pre_scale, *pre_shift; /* [in_channels], or NULL */
	float *fill;				  /* [in_channels]: border where pre_scale
									* applies to a padded input, or NULL */
	FrActivation activation;
	float low, high;
	float *slope; /* [out_channels] */
	bool is_residual_after;

	FrBinary binary; /* ELTWISE with an operand */
	bool is_operand_vector;
	int factor_h, factor_w; /* UPSAMPLE */
	FrInt8Unit *int8;		/* INT8, QUANTIZE, DEQUANTIZE, and DEPTHWISE that
							 * writes bytes; else NULL */

	/* A merged unit (fuse_merge.c): the values that its output channels are,
	 * one after another, and the merged unit whose output it reads. */
	int part_count; /* 0: an ordinary unit */
	int32_t *parts;
	struct FrUnit *source;
} FrUnit;

/* ---- slots: physical tensors --------------------------------------------- */

typedef enum FrFill
{
	FR_FILL_NONE = 0, /* nobody reads the border */
	FR_FILL_ZERO,
	FR_FILL_LOWEST, /* -infinity, under a maximum */
	FR_FILL_VECTOR	/* one value per channel */
} FrFill;

typedef struct FrSlot
{
	int lanes;		/* 0 plain, else channels per pixel: 16 or 4 */
	int64_t images; /* blocked only: dimensions without border */
	int channels, height, width, blocks;
	int pad[4]; /* top, left, bottom, right */
	FrFill fill;
	const float *fill_values; /* [channels] */
	bool is_shared;			  /* part of a concatenation: fill must be zero */
	bool is_compact;  /* a vector whose blocks are contiguous: no border */
	int32_t parent;	  /* slot that this one is a part of, or -1 */
	int block_offset; /* first block within the parent */
	bool is_range;	  /* any channels of the parent, from lane first_lane of
					   * that block on: to be read by conversions only */
	int first_lane;
	int32_t next; /* further slots of the same value, or -1 */

	ptrdiff_t row, block, image; /* strides in floats */
	size_t bytes, offset;		 /* in the arena; roots only */
	int first_step, last_step;	 /* lifetime; roots only */
	bool is_input, is_output;

	/* Lines of a strip's inner value: */
	int lines;		   /* rows kept, border included; 0: a whole map */
	bool is_transient; /* nothing is kept from one round to the next */
} FrSlot;

/* ---- steps: what run.c executes ------------------------------------------ */

/* The border of one blocked tensor, to be filled in. */
typedef struct FrBorder
{
	float *data; /* first pixel, border included; NULL: nothing to fill */
	ptrdiff_t row, block, image;
	int64_t images;
	int blocks, lanes, height, width;
	int pad[4];
	FrFill fill;
	const float *values; /* [blocks * lanes] */
} FrBorder;

/* The lines of a strip's inner value; a step whose output is a whole map has
 * none. */
typedef struct FrLines
{
	float *top; /* of the first block, left border included; NULL: none */
	ptrdiff_t row, block;
	int blocks, bottom; /* rows of the border below the map */
	ptrdiff_t end;		/* floats from top to the row below the map, if the
						 * lines held all rows */
} FrLines;

/* How a task is cut into pieces between which cancellation is polled. */
typedef enum FrSplit
{
	FR_SPLIT_NONE = 0,
	FR_SPLIT_ROWS,
	FR_SPLIT_COLUMNS,
	FR_SPLIT_IMAGES, /* of a convolution that spans several */
	FR_SPLIT_BLOCKS	 /* groups of output blocks: large weights */
} FrSplit;

/* An input that may be given as 8-bit pictures (picture.c). */
typedef struct FrPictureInput
{
	bool is_used;	/* for the next run */
	bool is_direct; /* BLOCK steps read the pixels; else the planes are filled
					 * before the run */
	bool is_channels_last;
	int64_t images;
	int height, width;
	FrPicture *pictures; /* [images]; NULL: no input for pictures */
	float *planes;
} FrPictureInput;

/* One image's conversion or reduction; which fields count depends on kind. */
typedef struct FrMapTask
{
	const float *input;
	ptrdiff_t in_block, in_row;
	float *output;
	ptrdiff_t out_block, out_row;
	int first_lane; /* UNBLOCK, NHWC: of the first channel */
	int channels, blocks, height, width, lanes;
	int factor_h, factor_w;
	FrActivation activation; /* NHWC, on the output */
	float low, high;
} FrMapTask;

/* Softmax of a plain tensor [outer, length, inner] along the middle. */
typedef struct FrSoftmaxTask
{
	const float *input;
	float *output;
	size_t outer, length, inner;
} FrSoftmaxTask;

typedef struct FrStep
{
	FrUnitKind kind;
	int64_t images;								  /* times to run the task */
	ptrdiff_t in_image, operand_image, out_image; /* floats between images */
	ptrdiff_t vector_image;
	FrSplit split;
	int split_size;		  /* rows, columns, images or blocks per piece */
	size_t split_weights; /* bytes of weights per output block */
	int groups;
	ptrdiff_t in_group, operand_group, out_group; /* floats between groups */
	size_t weights_group;
	int blocks_group;
	int strip; /* number from 1, or 0 */
	FrLines lines;
	FrBorder border;
	FrBorder byte_border; /* INT8: of the bytes, beside floats */
	ptrdiff_t byte_image; /* bytes between images of the tensor of bytes; INT8:
						   * of the one written */
	const FrPictureInput *pictures; /* BLOCK of a graph input, else NULL */
	bool is_unpaired;				/* CONV: runs by kernels->unpaired */
	union
	{
		FrConvTask conv;
		struct
		{
			FrWinogradTask task;
			int64_t tiles;	 /* of all images; in a strip of one */
			int piece_tiles; /* between two transforms of the input */
		} winograd;
		FrDepthwiseTask depthwise;
		FrPoolTask pool;
		FrEltwiseTask eltwise;
		FrMapTask map;
		FrSoftmaxTask softmax;
		FrInt8ConvTask int8;
		FrQuantizeTask quantize;
		FrDequantizeTask dequantize;
		struct
		{
			const float *input;
			float *output;
			size_t count;
			FrActivation activation;
			float low, high;
		} activate;
		struct
		{
			const FrNode *node;
			const FrTensor **inputs;
			FrTensor *outputs;
		} plain;
	} u;
	FrPlanStep description;
} FrStep;

/*
 * What one step of a strip does in one round: move what later rows still need
 * to the top of the output's lines, compute rows, and after a map's last row
 * fill the border below.  Shifts are floats from where a row would lie if the
 * lines held the whole map.
 */
typedef struct FrStripPiece
{
	int first, count; /* rows; of the input where they are enlarged */
	int kept;		  /* rows to move */
	bool is_end;	  /* these are the last rows */
	ptrdiff_t kept_from;
	ptrdiff_t in_shift, operand_shift, out_shift;
} FrStripPiece;

/* Steps that run depth-first: every round, each computes the rows that its
 * inputs have become complete for. */
typedef struct FrStrip
{
	int first, count; /* steps */
	int rounds;
	int64_t images;
	FrStripPiece *pieces; /* [rounds][count] */
} FrStrip;

struct FrPlan
{
	FrPlan *next; /* in the net's list, most recently used first */
	const FrKernels *kernels;
	const FrAllocator *allocator;
	FrArena memory;		 /* everything but the run arena and packed weights */
	FrGraph graph;		 /* specialised */
	FrPackStore weights; /* of constants that exist in this plan only */
	FrShape *input_shapes;
	float **inputs;
	FrPictureInput *pictures; /* [inputs] */
	const float **outputs;
	bool is_poisoned;
	float *arena;		/* the net's, shared by its plans */
	size_t arena_bytes; /* what this plan uses of it */
	int step_count;
	FrStep *steps;
	int strip_count;
	FrStrip *strips;
};

/* ---- planning ------------------------------------------------------------ */

typedef struct FrPlanner
{
	const FrKernels *kernels;
	const FrGraph *source; /* as imported */
	FrPackStore *weights;  /* the net's */
	const FrAllocator *allocator;
	const FrCancel *cancel;
	FrError *error;
	bool is_reference;
	int strip_rows; /* as in FrNetOptions */
	FrWeightFormat weight_format;
	size_t max_bytes;
	float *arena; /* the net's; replaced by a larger one if need be */
	size_t arena_capacity;
	bool is_arena_new; /* planning allocated it, the net must adopt it */
	FrPlan *plan;
	FrGraph *graph;	 /* the plan's */
	FrArena *memory; /* the plan's */
	FrArena scratch; /* released when planning ends */

	/* fuse.c */
	int32_t *producer;	/* [values]: node index, or -1 */
	int32_t *use_first; /* [values + 1]: where a value's uses start in */
	int32_t *use_nodes; /* [...]: node indices */
	bool *is_output;	/* [values] */
	bool *is_blocked;	/* [values]: its maker writes it blocked */
	bool *is_part;		/* [values]: channels of a merged unit's output */
	bool *is_byte;		/* [values]: bytes that kernels write and read */
	bool *is_claimed;	/* [nodes]: part of a unit */
	FrUnit **unit_at;	/* [nodes]: the unit that runs at this position */
	float *channel_scale, *channel_shift; /* [most channels of any value] */

	/* layout.c */
	int unit_count; /* scheduled, in order */
	FrUnit **units;
	int32_t **unit_slots; /* [units]: PLAIN: of the inputs, then outputs */
	int slot_count;
	FrSlot *slots;
	int32_t *value_slots; /* [values]: first of the slots, or -1 */
	int32_t *same_as;	  /* [values]: the value whose slots hold this one */
} FrPlanner;

/* The blocked dimensions [n, c, h, w] of a shape of rank 4 or 2 ([n, c, 1,
 * 1]); false for other ranks, empty tensors and absurd sizes. */
bool fr_blocked_dims(const FrShape *shape, int64_t dims[4]);

/* Rows and columns that a window needs around its input, beyond
 * pad[top, left, bottom, right] of the input itself. */
void fr_window_border(const FrWindow *window, const int64_t in_dims[4],
					  const int64_t out_dims[4], int border[4]);

/* ---- reading nodes (fold.c) ---------------------------------------------- */

/* An activation as the kernels' epilogue takes it. */
typedef struct FrActivationForm
{
	FrActivation activation;
	float low, high;
	float *slope; /* [channels], until planning ends */
} FrActivationForm;

/* The constant float32 data of a value, or NULL. */
const float *fr_constant_floats(const FrPlanner *planner, int32_t value);

/* Write the channels (axis 1) of a constant that is the same everywhere else,
 * broadcast over a tensor of *shape, to out; false when it is not such a
 * constant. */
bool fr_channel_constant(const FrPlanner *planner, int32_t value,
						 const FrShape *shape, float *out);

/*
 * If the node is out = a[c] * x + b[c] with constants a and b, and x of the
 * same shape as out, write a and b to planner->channel_scale and
 * channel_shift and return the value x; else -1.
 */
int32_t fr_affine_input(FrPlanner *planner, const FrNode *node);

/* If the node is an activation that kernels have, describe it.  *is_found is
 * false otherwise; the status tells of lack of memory only. */
FrStatus fr_activation_form(FrPlanner *planner, const FrNode *node,
							FrActivationForm *form, bool *is_found);

/* Fail when planning is cancelled, or itself takes more memory than a plan
 * may: the stages ask after each node or unit, whose arrays are as long as a
 * tensor has channels. */
FrStatus fr_plan_poll(const FrPlanner *planner);

/* fr_graph_specialize with a cancel hook, which may be NULL. */
FrStatus fr_plan_specialize(const FrGraph *source, const FrShape *inputs,
							size_t max_tensor_bytes, const FrCancel *cancel,
							const FrAllocator *allocator, FrGraph *graph,
							FrError *error);

/* ---- stages --------------------------------------------------------------- */

FrStatus fr_plan_fuse(FrPlanner *planner);
FrStatus fr_plan_layout(FrPlanner *planner);
FrStatus fr_plan_strip(FrPlanner *planner);
FrStatus fr_plan_place(FrPlanner *planner);
FrStatus fr_plan_emit(FrPlanner *planner);

/* The slot that holds a slot's memory: itself, or the whole that it is a
 * part of. */
FrSlot *fr_slot_root(const FrPlanner *planner, int32_t slot);

/* The first float of a slot: of a blocked one, the first pixel inside the
 * border. */
float *fr_slot_data(const FrPlanner *planner, int32_t slot);

/* The first pixel of the first window over a slot. */
const float *
fr_slot_window(const FrPlanner *planner, int32_t slot, const FrWindow *window);

/* Fill in a step (emit_conv.c): task, split, weights, description. */
FrStatus fr_emit_conv(FrPlanner *planner, const FrUnit *unit, FrStep *step);
FrStatus
fr_emit_depthwise(FrPlanner *planner, const FrUnit *unit, FrStep *step);

/* Shared by the two: the epilogue with folded bias; the packed weights, which
 * live with the net when their constant does, else with the plan; and text
 * that says which activation is fused. */
FrStatus
fr_emit_epilogue(FrPlanner *planner, const FrUnit *unit, FrEpilogue *epilogue);
FrStatus fr_emit_packed(FrPlanner *planner, const FrUnit *unit, int lanes,
						const FrPacked **packed);
/* Pack what the key asks for, or find it: it lives with the net when the
 * constant does, else with the plan. */
FrStatus fr_find_packed(FrPlanner *planner, const FrPackKey *key,
						const FrPacked **packed);
const char *fr_fused_text(const FrUnit *unit);

/* Steps that read or write bytes (emit_int8.c): the step; rows or blocks that
 * it is cut along; running a part of them (run_int8.c). */
FrStatus fr_emit_int8(FrPlanner *planner, const FrUnit *unit, FrStep *step);
FrStatus fr_emit_quantizer(FrPlanner *planner, const FrInt8Unit *int8,
						   int channels, FrQuantize *quantize);
int fr_int8_extent(const FrStep *step);
void fr_run_int8(const FrStep *step, int64_t image, int first, int count,
				 const FrInt8Kernels *kernels);

/* The border that a slot has (emit.c). */
FrStatus fr_emit_border(FrPlanner *planner, int32_t slot, FrBorder *border);

/* Whether a convolution runs by kernels->unpaired (pairs.c); its slots are
 * known. False for depthwise ones. */
FrStatus
fr_choose_unpaired(FrPlanner *planner, const FrUnit *unit, bool *is_unpaired);

/* How the weights of a convolution are stored. */
FrWeightFormat fr_unit_format(const FrPlanner *planner, const FrUnit *unit);

/* Winograd convolutions (emit_winograd.c): turn a convolution into one where
 * that pays; widen the border (top, left, bottom, right) to the end of the
 * last tile's window; bytes of scratch; the step; running it (*task is the
 * step's, or that of one image of a strip). */
void fr_winograd_choose(const FrPlanner *planner, FrUnit *unit);
void fr_winograd_border(const FrUnit *unit, const int64_t in_dims[4],
						const int64_t out_dims[4], int border[4]);
size_t fr_winograd_scratch_bytes(const FrPlanner *planner, const FrUnit *unit);
FrStatus fr_emit_winograd(FrPlanner *planner, const FrUnit *unit, FrStep *step);
FrStatus fr_run_winograd(const FrStep *step, const FrWinogradTask *task,
						 const FrNnKernels *kernels, const FrCancel *cancel,
						 FrError *error);

/* Copy count values into an array of whole blocks, the rest zero; NULL stays
 * NULL. */
FrStatus fr_blocked_constant(FrPlanner *planner, const float *values, int count,
							 const float **array);

/* Cut a task of work floats or multiply-adds per row into pieces. */
void fr_split_rows(FrStep *step, double work, int rows);

/* The same of a map that may also be cut by blocks of channels, as it is when
 * it has few rows; blocks is 1 where it may not. */
void fr_split_map(FrStep *step, double work, int rows, int blocks);

/* Write e.g. "conv 3x3 s1 avx512" for the step. */
FrStatus fr_describe(FrPlanner *planner, FrStep *step, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- Softmax (softmax.c) -------------------------------------------------- */

FrStatus fr_emit_softmax(FrPlanner *planner, const FrUnit *unit, FrStep *step);

/* False when it was cancelled. */
bool fr_softmax_run(const FrSoftmaxTask *task, const FrNnKernels *kernels,
					const FrCancel *cancel);

/* ---- pictures (picture.c) ------------------------------------------------- */

/* Which inputs can be given as pictures, and how. */
FrStatus fr_plan_emit_pictures(FrPlanner *planner);

/* Fill the planes of an input whose pictures no step reads. */
FrStatus fr_picture_fill(const FrPictureInput *input, const FrCancel *cancel,
						 FrError *error);

/* Do what a BLOCK step's *map asks for, from a picture: rows from first_row
 * on; map->output points at their place. */
void fr_picture_run(const FrPictureInput *input, int64_t image, int first_row,
					int rows, const FrMapTask *map, const FrNnKernels *kernels);

/* Forget the pictures: their pixels may be gone after a run. */
void fr_picture_done(FrPlan *plan);

/* Make a plan for the shapes in planner->plan. */
FrStatus fr_plan_make(FrPlanner *planner);
void fr_plan_destroy(FrPlan *plan);

#endif
