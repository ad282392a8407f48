/*
 * plan.h: a network made ready to run, and running it.
 *
 * FrNet is a model: its graph and its packed weights for one instruction
 * set.  FrPlan is the net for one set of input shapes: fused nodes, chosen
 * kernels, one arena laid out by lifetime.  Running a plan allocates
 * nothing.  A net keeps the plans it made (most recently used first, within
 * a byte budget), so that asking again for the same shapes is free; weights
 * are packed once per net, not per plan.
 *
 * Not thread-safe: a net and its plans belong to one thread of control.
 */
#ifndef FR_CORE_NN_PLAN_H
#define FR_CORE_NN_PLAN_H

#include "core/base/bytes.h"
#include "core/nn/graph.h"
#include "kernels/kernels.h"

typedef struct FrNet FrNet;
typedef struct FrPlan FrPlan;

/*
 * Packed weights that were made before, by a net of the same model.  A key
 * holds everything that determines them; constants of the graph that lie in
 * the model's image are named by their place in it, others by their
 * contents.  So whoever keeps image and packed weights together, in a file
 * that is mapped (pack_file.h), spares a net both packing and memory.
 */
typedef struct FrWeightCache
{
	FrBytes image; /* what the graph was imported from */
	/* The data of exactly size_bytes bytes for a key, aligned to 64 bytes and
	 * valid as long as the net, or NULL.  NULL: there is none. */
	const void *(*find)(void *context, FrBytes key, size_t size_bytes);
	void *context;
} FrWeightCache;

/* One piece of packed weights of a net. */
typedef struct FrPackedItem
{
	FrBytes key;
	const void *data;
	size_t size_bytes;
	bool is_found; /* FrWeightCache.find gave it; else the net packed it */
} FrPackedItem;

typedef struct FrNetOptions
{
	const FrKernels *kernels;	  /* NULL: the best that this CPU has */
	FrWeightFormat weight_format; /* how convolutions and fully connected
								   * layers store their weights; depthwise
								   * filters stay float32 */
	size_t max_plan_bytes;		  /* LIMIT when one plan's arena needs more;
								* making a plan and packing weights have
								* limits that follow from it; 0 = 2 GiB */
	size_t max_cached_bytes;	  /* plans kept for reuse, and the arena that
								* fr_net_trim leaves; 0 = 256 MiB */
	int max_cached_plans;		  /* of them, for networks that see so many
								* shapes that few come again; 0 = no limit */
	bool is_reference;			  /* run every node by its plain operator, no
								* fusion: for tests */
	bool is_poisoned;			  /* fill the arena with NaN before each run, so
								* that reading what nobody wrote shows: for
								* tests */
	int strip_rows;				  /* depth-first strips over large maps: 0 where
								* they pay; < 0 never; > 0 wherever they can
								* be, so many rows at a time: for tests */
	FrWeightCache weights;		  /* image empty: keys are not made */
} FrNetOptions;

/* Make a net of *graph, which it takes over (also on failure).  options may
 * be NULL.  What the graph points into and what the allocator refers to must
 * outlive the net. */
FrStatus
fr_net_create(FrGraph *graph, const FrNetOptions *options,
			  const FrAllocator *allocator, FrNet **net, FrError *error);

void fr_net_destroy(FrNet *net);

/* The graph as imported, for its inputs and outputs. */
const FrGraph *fr_net_graph(const FrNet *net);

/* The graph for these input shapes, one per graph input, within the net's
 * max_plan_bytes: what shapes a network gives, without a plan.  To be
 * destroyed by the caller. */
FrStatus fr_net_specialize(const FrNet *net, const FrShape *inputs,
						   const FrCancel *cancel, const FrAllocator *allocator,
						   FrGraph *sized, FrError *error);

/* Bytes held by the net: weights that it packed itself, cached plans and
 * their arena. */
size_t fr_net_bytes(const FrNet *net);

/* Call visit for each piece of packed weights of the net and its cached
 * plans, until it returns false; nothing without an image in the options'
 * weights. */
void fr_net_each_packed(const FrNet *net,
						bool (*visit)(void *context, const FrPackedItem *item),
						void *context);

/* Give back an arena larger than max_cached_bytes, and the plans with it: to
 * be called when the outputs have been read. */
void fr_net_trim(FrNet *net);

/*
 * The plan for these input shapes, one per graph input.  It stays valid
 * until the next fr_net_plan, fr_net_trim or fr_net_destroy of this net.
 */
FrStatus fr_net_plan(FrNet *net, const FrShape *inputs, const FrCancel *cancel,
					 FrPlan **plan, FrError *error);

/* Where to write input number index, before each run: plain row-major float32
 * of the shape that was planned.  Valid as long as the plan; contents are
 * undefined at first, after a run, and after the inputs of another plan of
 * the net were written. */
float *fr_plan_input(FrPlan *plan, int index);

/* An 8-bit picture as input; zeroed, it is all zero. */
typedef struct FrPicture
{
	const uint8_t *pixels; /* [height, width, 3]; to stay until the run ends */
	size_t row_bytes;	   /* from row to row */
	int width, height; /* at most the input's; beyond them it is black: v = 0 */
	bool is_swapped;   /* the network's first channel is the picture's last */
	bool is_mirrored;  /* left and right exchanged */
	float mean[3], scale[3]; /* of the network's channels: (v - mean) * scale */
} FrPicture;

/*
 * Use *picture as image number image of input number index, instead of what
 * fr_plan_input points at: for the next fr_plan_run only, and for the whole
 * batch (images that get no picture are zero).  The input is [n, 3, h, w] or
 * [n, h, w, 3].  Where the network allows it, pixels are converted on the way
 * into its first layer.
 */
FrStatus fr_plan_set_picture(FrPlan *plan, int index, int64_t image,
							 const FrPicture *picture, FrError *error);

/* Run; cancel is polled between operators and between row chunks of long
 * ones. */
FrStatus fr_plan_run(FrPlan *plan, const FrCancel *cancel, FrError *error);

/* Output number index after a run, in graph order: plain row-major float32;
 * valid until the next run of the plan, and until the inputs of another plan
 * of the net are written. */
const float *
fr_plan_output(const FrPlan *plan, int index, const FrShape **shape);

/* One step of a plan, for face_model_plan() and tests. */
typedef struct FrPlanStep
{
	const char *name;	/* node names, first of a fused group */
	const char *kernel; /* e.g. "conv 3x3 s1 16c avx512", "plain Softmax" */
	FrShape shape;		/* of the output */
	size_t weight_bytes;
	double flops;	/* multiply-adds times two, of the plain form */
	bool is_int8;	/* multiplies bytes */
	double saving;	/* the kernel multiplies that many times less; 0 as 1 */
	int strip;		/* number from 1 of the strip that the step is part of, or
					 * 0 */
	int strip_rows; /* most rows of the output at a time */
} FrPlanStep;

int fr_plan_step_count(const FrPlan *plan);
void fr_plan_step(const FrPlan *plan, int index, FrPlanStep *step);
size_t fr_plan_bytes(const FrPlan *plan);

/* Called after each piece of a run with the number of the step that it is part
 * of: the time between two calls is that step's. */
typedef struct FrPlanProbe
{
	void (*after)(void *context, int step);
	void *context;
} FrPlanProbe;

/* fr_plan_run for profiles. */
FrStatus fr_plan_run_probed(FrPlan *plan, const FrPlanProbe *probe,
							const FrCancel *cancel, FrError *error);

/* Run one step alone: what fr_plan_run does for each in turn, with inputs
 * given as planes, not as pictures.  The steps of a strip run together, as its
 * first one; the others do nothing. */
FrStatus fr_plan_run_step(FrPlan *plan, int index, const FrCancel *cancel,
						  FrError *error);

#endif
