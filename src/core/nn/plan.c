/*
 * plan.c: making, describing and releasing plans.
 *
 * The stages in order: specialise the graph for the input shapes, fuse, lay
 * out, find strips, place, take an arena, emit.  A plan owns its specialised
 * graph and its steps; packed weights and the arena belong to the net (net.c).
 */
#include <string.h>

#include "core/nn/planner.h"

/* What planning may take however small the limit of the arena is. */
#define MIN_PLANNING ((size_t) 64 << 20)

FrStatus
fr_plan_poll(const FrPlanner *planner)
{
	if (fr_is_cancelled(planner->cancel))
		return fr_fail(planner->error, FR_ERR_CANCELLED,
					   "Planning was cancelled.");

	size_t most = planner->max_bytes / 2 + MIN_PLANNING;

	if (planner->scratch.total_bytes > most ||
		planner->memory->total_bytes > most)
		return fr_fail(planner->error, FR_ERR_LIMIT,
					   "Planning the network needs more than %zu bytes.", most);
	return FR_OK;
}

/* Use the net's arena, or a new one when that is too small.  It is not
 * cleared: nothing reads what no step of the same run wrote. */
static FrStatus
take_arena(FrPlanner *planner)
{
	FrPlan *plan = planner->plan;

	/* An all-constant graph has no slots; one line keeps pointers valid. */
	if (plan->arena_bytes == 0)
		plan->arena_bytes = 64;
	if (plan->arena_bytes > planner->arena_capacity)
	{
		float *arena = fr_alloc_aligned(planner->allocator, plan->arena_bytes);

		if (!arena)
			return fr_fail_nomem(planner->error, plan->arena_bytes);
		planner->arena = arena;
		planner->arena_capacity = plan->arena_bytes;
		planner->is_arena_new = true;
	}
	plan->arena = planner->arena;
	return FR_OK;
}

FrStatus
fr_plan_make(FrPlanner *planner)
{
	FrStatus status;

	fr_arena_init(&planner->scratch, planner->allocator);
	status = fr_plan_fuse(planner);
	if (status == FR_OK)
		status = fr_plan_layout(planner);
	if (status == FR_OK)
		status = fr_plan_strip(planner);
	if (status == FR_OK)
		status = fr_plan_place(planner);
	if (status == FR_OK)
		status = take_arena(planner);
	if (status == FR_OK)
		status = fr_plan_emit(planner);
	fr_arena_fini(&planner->scratch);
	if (status != FR_OK && planner->is_arena_new)
		fr_release_aligned(planner->allocator, planner->arena);
	return status;
}

void
fr_plan_destroy(FrPlan *plan)
{
	if (!plan)
		return;

	const FrAllocator *allocator = plan->allocator;

	fr_pack_store_fini(&plan->weights, allocator);
	fr_graph_destroy(&plan->graph);
	fr_arena_fini(&plan->memory);
	fr_release(allocator, plan);
}

float *
fr_plan_input(FrPlan *plan, int index)
{
	return plan->inputs[index];
}

const float *
fr_plan_output(const FrPlan *plan, int index, const FrShape **shape)
{
	if (shape)
		*shape = &plan->graph.values[plan->graph.outputs[index]].shape;
	return plan->outputs[index];
}

int
fr_plan_step_count(const FrPlan *plan)
{
	return plan->step_count;
}

void
fr_plan_step(const FrPlan *plan, int index, FrPlanStep *step)
{
	*step = plan->steps[index].description;
}

size_t
fr_plan_bytes(const FrPlan *plan)
{
	return sizeof *plan + plan->memory.total_bytes +
		   plan->graph.arena.total_bytes + plan->weights.own_bytes;
}
