/*
 * place.c: one arena for all slots, by lifetime.
 *
 * The largest slot is placed first; each goes into the smallest gap between
 * the slots already placed that live at the same time ("greedy by size" of
 * Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
 * Inference", MLSys 2020, section 4.2).  The arena's size is known, and
 * checked against the limit, before anything is allocated.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/size.h"
#include "core/nn/planner.h"

#define ALIGNMENT 64 /* one cache line, one AVX-512 register */

static void
touch(const FrPlanner *planner, int32_t slot, int first, int last)
{
	if (slot < 0)
		return;

	FrSlot *root = fr_slot_root(planner, slot);

	if (root->first_step > first)
		root->first_step = first;
	if (root->last_step < last)
		root->last_step = last;
}

/* The steps of a strip run by turns, so what one of them uses lives as long
 * as the strip; only what no round leaves to the next shares memory within. */
static void
touch_unit(const FrPlanner *planner, int index)
{
	const FrUnit *unit = planner->units[index];
	const int32_t slots[] = {unit->in_slot, unit->operand_slot,
							 unit->vector_slot, unit->out_slot};
	int first = index, last = index;

	if (unit->strip)
	{
		const FrStrip *strip = &planner->plan->strips[unit->strip - 1];

		first = strip->first;
		last = strip->first + strip->count - 1;
	}
	for (size_t k = 0; k < sizeof slots / sizeof *slots; k++)
	{
		if (slots[k] >= 0 && planner->slots[slots[k]].is_transient)
			touch(planner, slots[k], index, index);
		else
			touch(planner, slots[k], first, last);
	}
}

static void
find_lifetimes(FrPlanner *planner)
{
	for (int32_t s = 0; s < planner->slot_count; s++)
	{
		planner->slots[s].first_step = INT_MAX;
		planner->slots[s].last_step = -1;
	}
	for (int i = 0; i < planner->unit_count; i++)
	{
		const FrUnit *unit = planner->units[i];

		if (unit->kind != FR_UNIT_PLAIN)
		{
			touch_unit(planner, i);
			if (unit->kind == FR_UNIT_WINOGRAD)
				touch(planner, unit->scratch_slot, i, i);
			if (unit->int8)
				touch(planner, unit->int8->byte_slot, i, i);
			continue;
		}
		for (int k = 0; k < unit->node->input_count + unit->node->output_count;
			 k++)
			touch(planner, planner->unit_slots[i][k], i, i);
	}
	for (int32_t s = 0; s < planner->slot_count; s++)
	{
		FrSlot *slot = &planner->slots[s];

		if (slot->is_input)
			slot->first_step = -1;
		if (slot->is_output)
			slot->last_step = INT_MAX;
	}
}

/* Whether two slots need different memory.  Outputs outlast the run, until
 * the caller has written the next inputs, so the two never share. */
static bool
is_conflict(const FrSlot *a, const FrSlot *b)
{
	if ((a->is_input && b->is_output) || (a->is_output && b->is_input))
		return true;
	return a->first_step <= b->last_step && b->first_step <= a->last_step;
}

static int
compare_size(const void *left, const void *right)
{
	const FrSlot *a = *(FrSlot *const *) left, *b = *(FrSlot *const *) right;

	if (a->bytes != b->bytes)
		return a->bytes > b->bytes ? -1 : 1;
	return a < b ? -1 : a > b; /* a total order: the same plan every time */
}

/* Offset of the smallest gap that takes slot among the placed ones, which are
 * sorted by offset. */
static size_t
find_gap(FrSlot *const *placed, int placed_count, const FrSlot *slot)
{
	size_t cursor = 0, best = SIZE_MAX, best_gap = SIZE_MAX;

	for (int i = 0; i < placed_count; i++)
	{
		if (!is_conflict(placed[i], slot))
			continue;
		if (placed[i]->offset > cursor)
		{
			size_t gap = placed[i]->offset - cursor;

			if (gap >= slot->bytes && gap < best_gap)
			{
				best = cursor;
				best_gap = gap;
			}
		}
		if (placed[i]->offset + placed[i]->bytes > cursor)
			cursor = placed[i]->offset + placed[i]->bytes;
	}
	return best == SIZE_MAX ? cursor : best;
}

static FrStatus
fail_too_large(const FrPlanner *planner)
{
	return fr_fail(planner->error, FR_ERR_LIMIT,
				   "The network needs more than %zu bytes of working memory "
				   "for this input.",
				   planner->max_bytes);
}

FrStatus
fr_plan_place(FrPlanner *planner)
{
	FrSlot **placed, **order;
	int count = 0;
	size_t total = 0;
	size_t array_bytes = (size_t) planner->slot_count * sizeof(FrSlot *);

	placed = fr_arena_alloc(&planner->scratch, array_bytes);
	order = fr_arena_alloc(&planner->scratch, array_bytes);
	if (!placed || !order)
		return fr_fail_nomem(planner->error, array_bytes);
	find_lifetimes(planner);
	for (int32_t s = 0; s < planner->slot_count; s++)
	{
		FrSlot *slot = &planner->slots[s];

		if (slot->parent >= 0)
			continue;
		if (slot->bytes > planner->max_bytes)
			return fail_too_large(planner);
		slot->bytes = (slot->bytes + ALIGNMENT - 1) & ~(size_t) (ALIGNMENT - 1);
		order[count++] = slot;
	}
	qsort(order, (size_t) count, sizeof *order, compare_size);
	for (int i = 0; i < count; i++)
	{
		int at = i;

		order[i]->offset = find_gap(placed, i, order[i]);
		if (!fr_size_add(order[i]->offset, order[i]->bytes, &total) ||
			total > planner->max_bytes)
			return fail_too_large(planner);
		if (total > planner->plan->arena_bytes)
			planner->plan->arena_bytes = total;
		while (at > 0 && placed[at - 1]->offset > order[i]->offset)
		{
			placed[at] = placed[at - 1];
			at--;
		}
		placed[at] = order[i];

		FrStatus status = fr_plan_poll(planner);

		if (status != FR_OK)
			return status;
	}
	return FR_OK;
}
