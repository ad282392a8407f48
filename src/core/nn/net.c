/*
 * net.c: a model, its packed weights and its cache of plans.
 *
 * Plans stand in a list, most recently used first.  A plan for new shapes
 * pushes out the least recently used ones beyond the byte budget, or beyond
 * their number if that is limited, but never itself.  Only one plan runs at a
 * time, so all share one arena, as large as the largest of them needs: a photo
 * of a new size touches no new memory.  A plan that needs more brings a larger
 * arena and retires the plans that were emitted into the old one.
 */
#include <string.h>

#include "core/nn/planner.h"

#define DEFAULT_MAX_PLAN_BYTES	 ((size_t) 2 << 30)
#define DEFAULT_MAX_CACHED_BYTES ((size_t) 256 << 20)

struct FrNet
{
	FrGraph graph; /* as imported */
	FrNetOptions options;
	FrAllocator allocator;
	FrPackStore weights;
	FrPlan *plans; /* most recently used first */
	float *arena;  /* of all plans */
	size_t arena_capacity;
};

/* NULL: nobody wants to know packed weights by their contents. */
static const FrWeightCache *
weight_cache(const FrNet *net)
{
	return net->options.weights.image.length > 0 ? &net->options.weights : NULL;
}

FrStatus
fr_net_create(FrGraph *graph, const FrNetOptions *options,
			  const FrAllocator *allocator, FrNet **net, FrError *error)
{
	FrNet *made = fr_alloc_zeroed(allocator, 1, sizeof *made);

	*net = NULL;
	if (!made)
	{
		fr_graph_destroy(graph);
		return fr_fail_nomem(error, sizeof *made);
	}
	made->graph = *graph;
	memset(graph, 0, sizeof *graph);
	made->allocator = *allocator;
	if (options)
		made->options = *options;
	if (!made->options.kernels)
		made->options.kernels = fr_kernels_best();
	if (!made->options.max_plan_bytes)
		made->options.max_plan_bytes = DEFAULT_MAX_PLAN_BYTES;
	if (!made->options.max_cached_bytes)
		made->options.max_cached_bytes = DEFAULT_MAX_CACHED_BYTES;
	made->weights.cache = weight_cache(made);
	*net = made;
	return FR_OK;
}

static void
drop_plans(FrNet *net)
{
	while (net->plans)
	{
		FrPlan *next = net->plans->next;

		fr_plan_destroy(net->plans);
		net->plans = next;
	}
}

void
fr_net_destroy(FrNet *net)
{
	if (!net)
		return;

	FrAllocator allocator = net->allocator;

	drop_plans(net);
	fr_release_aligned(&allocator, net->arena);
	fr_pack_store_fini(&net->weights, &allocator);
	fr_graph_destroy(&net->graph);
	fr_release(&allocator, net);
}

const FrGraph *
fr_net_graph(const FrNet *net)
{
	return &net->graph;
}

FrStatus
fr_net_specialize(const FrNet *net, const FrShape *inputs,
				  const FrCancel *cancel, const FrAllocator *allocator,
				  FrGraph *sized, FrError *error)
{
	return fr_plan_specialize(&net->graph, inputs, net->options.max_plan_bytes,
							  cancel, allocator, sized, error);
}

size_t
fr_net_bytes(const FrNet *net)
{
	size_t bytes = sizeof *net + net->graph.arena.total_bytes +
				   net->weights.own_bytes + net->arena_capacity;

	for (const FrPlan *plan = net->plans; plan; plan = plan->next)
		bytes += fr_plan_bytes(plan);
	return bytes;
}

static bool
visit_store(const FrPackStore *store,
			bool (*visit)(void *context, const FrPackedItem *item),
			void *context)
{
	bool goes_on = store->cache != NULL;

	for (const FrPacked *p = store->first; p && goes_on; p = p->next)
	{
		const FrPackedItem item = {.key = p->name,
								   .data = p->data,
								   .size_bytes = p->bytes,
								   .is_found = p->is_found};

		goes_on = visit(context, &item);
	}
	return goes_on;
}

void
fr_net_each_packed(const FrNet *net,
				   bool (*visit)(void *context, const FrPackedItem *item),
				   void *context)
{
	bool goes_on = visit_store(&net->weights, visit, context);

	for (const FrPlan *plan = net->plans; plan && goes_on; plan = plan->next)
		goes_on = visit_store(&plan->weights, visit, context);
}

/* The cached plan for these shapes, moved to the front, or NULL. */
static FrPlan *
find_plan(FrNet *net, const FrShape *inputs)
{
	for (FrPlan **link = &net->plans; *link; link = &(*link)->next)
	{
		FrPlan *plan = *link;
		bool is_equal = true;

		for (int i = 0; i < net->graph.input_count; i++)
			is_equal =
				is_equal && fr_shape_equal(&plan->input_shapes[i], &inputs[i]);
		if (!is_equal)
			continue;
		*link = plan->next;
		plan->next = net->plans;
		net->plans = plan;
		return plan;
	}
	return NULL;
}

/* Drop the least recently used plans beyond what may be kept; the first
 * stays. */
static void
trim_plans(FrNet *net)
{
	size_t total = fr_plan_bytes(net->plans);
	FrPlan *last = net->plans;
	int count = 1;

	while (last->next &&
		   (net->options.max_cached_plans == 0 ||
			count < net->options.max_cached_plans) &&
		   total + fr_plan_bytes(last->next) <= net->options.max_cached_bytes)
	{
		last = last->next;
		total += fr_plan_bytes(last);
		count++;
	}
	while (last->next)
	{
		FrPlan *dropped = last->next;

		last->next = dropped->next;
		fr_plan_destroy(dropped);
	}
}

void
fr_net_trim(FrNet *net)
{
	if (net->arena_capacity <= net->options.max_cached_bytes)
		return;
	drop_plans(net);
	fr_release_aligned(&net->allocator, net->arena);
	net->arena = NULL;
	net->arena_capacity = 0;
}

/* Take over the arena that planning allocated. */
static void
adopt_arena(FrNet *net, const FrPlanner *planner)
{
	if (!planner->is_arena_new)
		return;
	drop_plans(net);
	fr_release_aligned(&net->allocator, net->arena);
	net->arena = planner->arena;
	net->arena_capacity = planner->arena_capacity;
}

/* An empty plan for the shapes, with its specialised graph. */
static FrStatus
begin_plan(FrNet *net, const FrShape *inputs, const FrCancel *cancel,
		   FrPlan **plan, FrError *error)
{
	FrPlan *made = fr_alloc_zeroed(&net->allocator, 1, sizeof *made);
	size_t count = (size_t) net->graph.input_count;
	FrStatus status;

	if (!made)
		return fr_fail_nomem(error, sizeof *made);
	made->kernels = net->options.kernels;
	made->allocator = &net->allocator;
	made->is_poisoned = net->options.is_poisoned;
	made->weights.cache = weight_cache(net);
	fr_arena_init(&made->memory, made->allocator);
	made->input_shapes =
		fr_arena_copy(&made->memory, inputs, count * sizeof *inputs);
	status = made->input_shapes
				 ? fr_net_specialize(net, inputs, cancel, made->allocator,
									 &made->graph, error)
				 : fr_fail_nomem(error, count * sizeof *inputs);
	if (status != FR_OK)
	{
		fr_plan_destroy(made);
		return status;
	}
	*plan = made;
	return FR_OK;
}

FrStatus
fr_net_plan(FrNet *net, const FrShape *inputs, const FrCancel *cancel,
			FrPlan **plan, FrError *error)
{
	FrStatus status;

	*plan = find_plan(net, inputs);
	if (*plan)
	{
		/* What the last user set and did not run must not come back. */
		fr_picture_done(*plan);
		return FR_OK;
	}

	FrPlan *made = NULL;

	if ((status = begin_plan(net, inputs, cancel, &made, error)) != FR_OK)
		return status;

	FrPlanner planner = {
		.kernels = net->options.kernels,
		.source = &net->graph,
		.weights = &net->weights,
		.allocator = &net->allocator,
		.cancel = cancel,
		.error = error,
		.is_reference = net->options.is_reference,
		.strip_rows = net->options.strip_rows,
		.weight_format = net->options.weight_format,
		.max_bytes = net->options.max_plan_bytes,
		.arena = net->arena,
		.arena_capacity = net->arena_capacity,
		.plan = made,
		.graph = &made->graph,
		.memory = &made->memory,
	};

	if ((status = fr_plan_make(&planner)) != FR_OK)
	{
		fr_plan_destroy(made);
		return status;
	}
	adopt_arena(net, &planner);
	made->next = net->plans;
	net->plans = made;
	trim_plans(net);
	*plan = made;
	return FR_OK;
}
