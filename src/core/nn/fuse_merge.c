/*
 * fuse_merge.c: sibling units of few channels become one.
 *
 * The heads of a detector are 1x1 convolutions of one map with 1, 4 or 10
 * outputs each; every one of them computes a whole block of 16 channels and
 * throws most of it away.  Units that read the same value with the same
 * window, and whose outputs together fill fewer blocks than alone, become one
 * unit with the weights one after another.  So do depthwise convolutions that
 * follow all of them alike.  The outputs are ranges of channels of one blocked
 * tensor, which only conversions can read; so every reader of a part must be
 * one that wants plain data anyway, or the end of the graph.
 */
#include <string.h>

#include "core/base/size.h"
#include "core/nn/fuse.h"

/* Units that may become one; follower is the depthwise convolution that alone
 * reads the output, or NULL. */
typedef struct Sibling
{
	FrUnit *unit, *follower;
	int32_t unit_place, follower_place; /* in unit_at */
} Sibling;

typedef struct Merger
{
	FrPlanner *planner;
	int32_t *place_of; /* [nodes]: where the unit around this node runs; -1 */
	Sibling *siblings; /* of the group at hand */
	int sibling_count;
	bool *is_seen; /* [nodes]: has been in a group */
} Merger;

/* The sole weights of a plain convolution: nothing that belongs to one
 * sibling only stands before it or is added to it. */
static bool
is_mergeable(const FrUnit *unit)
{
	return unit->operand < 0 && !unit->pre_scale && !unit->is_transposed &&
		   unit->out_channels % FR_BLOCK != 0;
}

/* Whether whoever reads this value wants it plain. */
static bool
is_read_plain(const FrPlanner *planner, int32_t value)
{
	for (int32_t u = planner->use_first[value];
		 u < planner->use_first[value + 1]; u++)
	{
		int32_t index = planner->use_nodes[u];

		if (planner->is_claimed[index])
			return false;
		switch ((int) planner->graph->nodes[index].op)
		{
			case FR_OP_TRANSPOSE:
			case FR_OP_RESHAPE:
			case FR_OP_FLATTEN:
			case FR_OP_SQUEEZE:
			case FR_OP_UNSQUEEZE:
			case FR_OP_SOFTMAX:
				break;
			default:
				return false;
		}
	}
	return true;
}

/* The depthwise convolution that alone reads a unit's output. */
static FrUnit *
find_follower(const Merger *merger, const FrUnit *unit, int32_t *place)
{
	const FrPlanner *planner = merger->planner;

	if (planner->is_output[unit->output] ||
		use_count(planner, unit->output) != 1)
		return NULL;

	int32_t reader = planner->use_nodes[planner->use_first[unit->output]];

	*place = merger->place_of[reader];
	if (*place < 0)
		return NULL;

	FrUnit *follower = planner->unit_at[*place];

	if (follower->kind != FR_UNIT_DEPTHWISE ||
		follower->input != unit->output || !is_mergeable(follower))
		return NULL;
	return follower;
}

static bool
is_equal_window(const FrWindow *a, const FrWindow *b)
{
	for (int i = 0; i < 2; i++)
		if (a->kernel[i] != b->kernel[i] || a->stride[i] != b->stride[i] ||
			a->dilation[i] != b->dilation[i] || a->pad[i] != b->pad[i] ||
			a->pad[i + 2] != b->pad[i + 2])
			return false;
	return true;
}

/* Whether one kernel call can compute both. */
static bool
is_alike(const FrPlanner *planner, const FrUnit *a, const FrUnit *b)
{
	int64_t a_dims[4], b_dims[4];

	if (!a || !b)
		return a == b;
	return a->kind == b->kind && is_equal_window(&a->window, &b->window) &&
		   a->activation == b->activation && a->low == b->low &&
		   a->high == b->high && !a->slope == !b->slope &&
		   !a->bias == !b->bias && !a->scale == !b->scale &&
		   fr_blocked_dims(shape_of(planner, a->output), a_dims) &&
		   fr_blocked_dims(shape_of(planner, b->output), b_dims) &&
		   shape_of(planner, a->output)->rank ==
			   shape_of(planner, b->output)->rank &&
		   a_dims[0] == b_dims[0] && a_dims[2] == b_dims[2] &&
		   a_dims[3] == b_dims[3];
}

/* Describe the unit around a node if it can have siblings. */
static bool
read_sibling(const Merger *merger, int32_t node, Sibling *sibling)
{
	const FrPlanner *planner = merger->planner;
	FrUnit *unit;

	if (merger->is_seen[node] || merger->place_of[node] < 0)
		return false;
	sibling->unit_place = merger->place_of[node];
	sibling->unit = unit = planner->unit_at[sibling->unit_place];
	if (unit->kind != FR_UNIT_CONV || unit->window.group != 1 ||
		!is_mergeable(unit))
		return false;
	sibling->follower = find_follower(merger, unit, &sibling->follower_place);
	return is_read_plain(planner, sibling->follower ? sibling->follower->output
													: unit->output);
}

/* All that read what the unit around this node reads, and are like it. */
static void
find_siblings(Merger *merger, int32_t node)
{
	const FrPlanner *planner = merger->planner;
	int32_t value = planner->graph->nodes[node].input_count > 0
						? planner->graph->nodes[node].inputs[0]
						: -1;
	Sibling first, next;

	merger->sibling_count = 0;
	if (value < 0 || !read_sibling(merger, node, &first))
		return;
	for (int32_t u = planner->use_first[value];
		 u < planner->use_first[value + 1]; u++)
	{
		int32_t other = planner->use_nodes[u];

		if (!read_sibling(merger, other, &next) ||
			next.unit->input != first.unit->input ||
			next.unit->in_channels != first.unit->in_channels ||
			!is_alike(planner, next.unit, first.unit) ||
			!is_alike(planner, next.follower, first.follower))
			continue;
		merger->is_seen[other] = true;
		merger->siblings[merger->sibling_count++] = next;
	}
}

/* Whether the group together fills fewer blocks than its members alone. */
static bool
is_worthwhile(const Merger *merger, int *channels)
{
	int64_t sum = 0, blocks = 0;

	for (int i = 0; i < merger->sibling_count; i++)
	{
		int count = merger->siblings[i].unit->out_channels;

		sum += count;
		blocks += (count + FR_BLOCK - 1) / FR_BLOCK;
	}
	*channels = (int) sum;
	return sum <= INT32_MAX / 2 && (sum + FR_BLOCK - 1) / FR_BLOCK < blocks;
}

/* ---- the merged unit ------------------------------------------------------ */

/* Copy each member's array of per_channel values behind the last one's; arrays
 * that are NULL, of all members, give NULL. */
static FrStatus
join_floats(FrPlanner *planner, FrArena *arena, FrUnit *const *units, int count,
			int channels, size_t per_channel,
			const float *(*array_of)(const FrUnit *unit), float **joined)
{
	float *target;
	size_t bytes;

	*joined = NULL;
	if (!array_of(units[0]))
		return FR_OK;
	if (!fr_size_mul3((size_t) channels, per_channel, sizeof(float), &bytes) ||
		bytes > planner->max_bytes)
		return fr_fail(planner->error, FR_ERR_LIMIT,
					   "The weights of %d merged layers are too large.", count);
	target = *joined = fr_arena_alloc(arena, bytes);
	if (!target)
		return fr_fail_nomem(planner->error, bytes);
	for (int i = 0; i < count; i++)
	{
		size_t floats = (size_t) units[i]->out_channels * per_channel;
		FrStatus status = fr_plan_poll(planner);

		if (status != FR_OK)
			return status;
		memcpy(target, array_of(units[i]), floats * sizeof(float));
		target += floats;
	}
	return FR_OK;
}

static const float *
weights_of(const FrUnit *unit)
{
	return unit->weights;
}

static const float *
scale_of(const FrUnit *unit)
{
	return unit->scale;
}

static const float *
bias_of(const FrUnit *unit)
{
	return unit->bias;
}

static const float *
slope_of(const FrUnit *unit)
{
	return unit->slope;
}

/* One unit that computes what these do. */
static FrStatus
make_merged(FrPlanner *planner, FrUnit *const *units, int count, int channels,
			FrUnit **merged)
{
	const FrUnit *first = units[0];
	FrArena *scratch = &planner->scratch;
	FrUnit *unit = *merged = fr_unit_new(planner, first->kind, first->node);
	size_t depth =
		(size_t) first->window.kernel[0] * (size_t) first->window.kernel[1];
	float *weights;
	FrStatus status;

	if (!unit)
		return FR_ERR_NOMEM;
	*unit = *first;
	unit->parts =
		fr_arena_alloc_zeroed(scratch, (size_t) count, sizeof(int32_t));
	if (!unit->parts)
		return fr_fail_nomem(planner->error, (size_t) count * sizeof(int32_t));
	if (first->kind == FR_UNIT_CONV)
		depth *= (size_t) first->in_channels;
	else
		unit->in_channels = unit->window.group = channels;

	/* The plan's packed weights refer to the raw ones: they live as long. */
	if ((status = join_floats(planner, planner->memory, units, count, channels,
							  depth, weights_of, &weights)) != FR_OK ||
		(status = join_floats(planner, scratch, units, count, channels, 1,
							  scale_of, &unit->scale)) != FR_OK ||
		(status = join_floats(planner, scratch, units, count, channels, 1,
							  bias_of, &unit->bias)) != FR_OK ||
		(status = join_floats(planner, scratch, units, count, channels, 1,
							  slope_of, &unit->slope)) != FR_OK)
		return status;
	unit->weights = weights;
	unit->out_channels = channels;
	unit->part_count = count;
	for (int i = 0; i < count; i++)
		unit->parts[i] = units[i]->output;
	return FR_OK;
}

/* Put a merged unit where the first of its members' nodes stood: all that it
 * reads exists by then, and nothing reads it before. */
static void
place_merged(const Merger *merger, FrUnit *merged, FrUnit *const *units,
			 const int32_t *places)
{
	FrPlanner *planner = merger->planner;
	int32_t first = (int32_t) (units[0]->node - planner->graph->nodes);

	for (int i = 0; i < merged->part_count; i++)
	{
		int32_t node = (int32_t) (units[i]->node - planner->graph->nodes);

		planner->unit_at[places[i]] = NULL;
		planner->is_blocked[units[i]->output] = false;
		planner->is_part[units[i]->output] = true;
		if (node < first)
			first = node;
	}
	planner->unit_at[first] = merged;
}

static FrStatus
merge(Merger *merger, int channels)
{
	FrPlanner *planner = merger->planner;
	size_t count = (size_t) merger->sibling_count;
	FrUnit **units = fr_arena_alloc(&planner->scratch, count * sizeof *units);
	int32_t *places = fr_arena_alloc(&planner->scratch, count * sizeof *places);
	FrUnit *merged, *follower;
	FrStatus status;

	if (!units || !places)
		return fr_fail_nomem(planner->error, count * sizeof *units);
	for (size_t i = 0; i < count; i++)
	{
		units[i] = merger->siblings[i].unit;
		places[i] = merger->siblings[i].unit_place;
	}
	status = make_merged(planner, units, (int) count, channels, &merged);
	if (status != FR_OK)
		return status;
	place_merged(merger, merged, units, places);
	if (!merger->siblings[0].follower)
		return FR_OK;
	for (size_t i = 0; i < count; i++)
	{
		/* Nothing else reads what lies between. */
		planner->is_part[units[i]->output] = false;
		units[i] = merger->siblings[i].follower;
		places[i] = merger->siblings[i].follower_place;
		merger->is_seen[units[i]->node - planner->graph->nodes] = true;
	}
	status = make_merged(planner, units, (int) count, channels, &follower);
	if (status != FR_OK)
		return status;
	follower->source = merged;
	place_merged(merger, follower, units, places);
	return FR_OK;
}

/* ---- the pass ------------------------------------------------------------- */

static FrStatus
prepare(Merger *merger)
{
	FrPlanner *planner = merger->planner;
	const FrGraph *graph = planner->graph;
	size_t nodes = (size_t) graph->node_count + 1;

	merger->place_of =
		fr_arena_alloc_zeroed(&planner->scratch, nodes, sizeof(int32_t));
	merger->siblings =
		fr_arena_alloc_zeroed(&planner->scratch, nodes, sizeof(Sibling));
	merger->is_seen =
		fr_arena_alloc_zeroed(&planner->scratch, nodes, sizeof(bool));
	if (!merger->place_of || !merger->siblings || !merger->is_seen)
		return fr_fail_nomem(planner->error, nodes * sizeof(Sibling));
	for (int32_t i = 0; i < graph->node_count; i++)
		merger->place_of[i] = -1;
	for (int32_t i = 0; i < graph->node_count; i++)
		if (planner->unit_at[i])
			merger->place_of[planner->unit_at[i]->node - graph->nodes] = i;
	return FR_OK;
}

FrStatus
fr_fuse_merge(FrPlanner *planner)
{
	Merger merger = {.planner = planner};
	FrStatus status = prepare(&merger);

	for (int32_t i = 0; i < planner->graph->node_count && status == FR_OK; i++)
	{
		int channels;

		find_siblings(&merger, i);
		if (merger.sibling_count > 1 && is_worthwhile(&merger, &channels))
			status = merge(&merger, channels);
		if (status == FR_OK)
			status = fr_plan_poll(planner);
	}
	return status;
}
