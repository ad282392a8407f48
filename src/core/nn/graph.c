/*
 * graph.c: lifetime of a graph; see graph.h.
 */
#include "core/nn/graph.h"

void
fr_graph_destroy(FrGraph *graph)
{
	if (!graph)
		return;
	/* An arena that was never initialised has no allocator and no blocks. */
	if (graph->arena.allocator)
		fr_arena_fini(&graph->arena);
	*graph = (FrGraph){.arena.allocator = graph->arena.allocator};
}
