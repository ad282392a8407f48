/*
 * import_order.c: nodes in execution order (A. B. Kahn, "Topological sorting
 * of large networks", CACM 1962).
 *
 * ONNX demands sorted nodes, but not every writer obeys.  A sorted file keeps
 * its order; any other is sorted here, or refused for a cycle.
 */
#include <string.h>

#include "core/onnx/import_ops.h"

typedef struct Sorter
{
	const FrNode *nodes;
	int node_count;
	int32_t *producers; /* per value: node, -1 none */
	int32_t *pending;	/* per node: inputs that no emitted node has made */
	int32_t *first;		/* per node: where its consumers start; one more */
	int32_t *placed;	/* per node: consumers listed so far */
	int32_t *consumers; /* nodes, grouped by what they consume */
	int32_t *queue;
	int queue_count;
} Sorter;

static bool
is_sorted(const Sorter *sorter)
{
	for (int i = 0; i < sorter->node_count; i++)
		for (int k = 0; k < sorter->nodes[i].input_count; k++)
		{
			int32_t input = sorter->nodes[i].inputs[k];

			if (input >= 0 && sorter->producers[input] >= i)
				return false;
		}
	return true;
}

/* The node that makes input k of node i; -1 when none does. */
static int32_t
producer_of(const Sorter *sorter, int32_t i, int k)
{
	int32_t input = sorter->nodes[i].inputs[k];

	return input < 0 ? -1 : sorter->producers[input];
}

/* Count, sum up, place: consumers[first[n] .. first[n + 1]) use node n. */
static void
list_consumers(Sorter *sorter)
{
	for (int32_t i = 0; i < sorter->node_count; i++)
		for (int k = 0; k < sorter->nodes[i].input_count; k++)
			if (producer_of(sorter, i, k) >= 0)
			{
				sorter->first[producer_of(sorter, i, k) + 1]++;
				sorter->pending[i]++;
			}
	for (int32_t i = 0; i < sorter->node_count; i++)
		sorter->first[i + 1] += sorter->first[i];
	for (int32_t i = 0; i < sorter->node_count; i++)
		for (int k = 0; k < sorter->nodes[i].input_count; k++)
		{
			int32_t producer = producer_of(sorter, i, k);

			if (producer >= 0)
				sorter->consumers[sorter->first[producer] +
								  sorter->placed[producer]++] = i;
		}
}

static void
fill_queue(Sorter *sorter)
{
	for (int32_t i = 0; i < sorter->node_count; i++)
		if (sorter->pending[i] == 0)
			sorter->queue[sorter->queue_count++] = i;
	for (int head = 0; head < sorter->queue_count; head++)
	{
		int32_t node = sorter->queue[head];

		for (int32_t c = sorter->first[node]; c < sorter->first[node + 1]; c++)
			if (--sorter->pending[sorter->consumers[c]] == 0)
				sorter->queue[sorter->queue_count++] = sorter->consumers[c];
	}
}

/* A node on a cycle: going from any node that waits to one that it waits for
 * ends on a cycle after at most node_count steps. */
static const FrNode *
find_cycle(const Sorter *sorter)
{
	int32_t node = 0;

	while (sorter->pending[node] == 0)
		node++;
	for (int step = 0; step < sorter->node_count; step++)
		for (int k = 0; k < sorter->nodes[node].input_count; k++)
		{
			int32_t producer = producer_of(sorter, node, k);

			if (producer >= 0 && sorter->pending[producer] > 0)
			{
				node = producer;
				break;
			}
		}
	return &sorter->nodes[node];
}

static FrStatus
sort_nodes(FrImport *import, Sorter *sorter)
{
	size_t count = (size_t) sorter->node_count, edges = 0;
	FrArena *scratch = &import->scratch;

	for (size_t i = 0; i < count; i++)
		edges += (size_t) sorter->nodes[i].input_count;
	sorter->pending = fr_arena_alloc_zeroed(scratch, count, sizeof(int32_t));
	sorter->first = fr_arena_alloc_zeroed(scratch, count + 1, sizeof(int32_t));
	sorter->consumers = fr_arena_alloc_zeroed(scratch, edges, sizeof(int32_t));
	sorter->queue = fr_arena_alloc_zeroed(scratch, count, sizeof(int32_t));

	sorter->placed = fr_arena_alloc_zeroed(scratch, count, sizeof(int32_t));

	FrNode *sorted = fr_arena_alloc_zeroed(scratch, count, sizeof *sorted);

	if (!sorter->pending || !sorter->first || !sorter->consumers ||
		!sorter->queue || !sorter->placed || !sorted)
		return fr_fail_nomem(import->error, count * sizeof *sorted);
	list_consumers(sorter);
	fill_queue(sorter);
	if (sorter->queue_count < sorter->node_count)
		return fr_node_fail(import->error, FR_ERR_CORRUPT, find_cycle(sorter),
							"The node depends on its own output (a cycle).");
	for (size_t i = 0; i < count; i++)
		sorted[i] = sorter->nodes[sorter->queue[i]];
	memcpy(import->graph->nodes, sorted, count * sizeof *sorted);
	return FR_OK;
}

FrStatus
fr_import_sort_nodes(FrImport *import)
{
	FrGraph *graph = import->graph;
	size_t value_bytes = (size_t) graph->value_count * sizeof(int32_t);
	Sorter sorter = {.nodes = graph->nodes, .node_count = graph->node_count};

	sorter.producers = fr_arena_alloc(&import->scratch, value_bytes);
	if (!sorter.producers)
		return fr_fail_nomem(import->error, value_bytes);
	memset(sorter.producers, 0xff, value_bytes);
	for (int i = 0; i < graph->node_count; i++)
		for (int k = 0; k < graph->nodes[i].output_count; k++)
			sorter.producers[graph->nodes[i].outputs[k]] = i;
	return is_sorted(&sorter) ? FR_OK : sort_nodes(import, &sorter);
}
