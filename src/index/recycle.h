/*
 * recycle.h: pages that belong to no list any more, on their way to reuse.
 *
 * Scans that began before a chain was replaced read on in it.  Two ways lead to
 * the free space map:
 *
 *  - VACUUM waits for nobody, but looks whether the transactions that had a
 *    snapshot when it replaced the chain have all ended: then its pages are
 *    free at once (FrRecycler).
 *  - If not, or if VACUUM dies, each page is given a horizon by this VACUUM or
 *    the next, and freed by a later one that finds it passed.
 */
#ifndef FR_INDEX_RECYCLE_H
#define FR_INDEX_RECYCLE_H

#include "postgres.h"

#include "storage/block.h"
#include "storage/buf.h"
#include "storage/lock.h"
#include "utils/relcache.h"

/* The pages that one VACUUM replaced. */
typedef struct FrRecycler
{
	Relation index;
	MemoryContext context; /* of the arrays */
	BlockNumber *blocks;   /* [count] */
	uint32 count, capacity;
	/* The first `waiting` ones are read by nobody but these transactions;
	 * readers of the others were not yet looked for. */
	uint32 waiting;
	VirtualTransactionId *readers; /* [reader_count] */
	int reader_count;
} FrRecycler;

/* It allocates in the context that is current now, which must outlive it. */
extern void fr_recycler_init(FrRecycler *recycler, Relation index);

/* Add a page that the routing leads to no more. */
extern void fr_recycler_add(FrRecycler *recycler, BlockNumber block);

/* Free what nobody reads any more; returns how many pages that were. */
extern uint32 fr_recycler_free(FrRecycler *recycler);

/* The same, and give a horizon to the others; returns how many were freed. */
extern uint32 fr_recycler_finish(FrRecycler *recycler);

/* Give a page that is locked exclusively the horizon after which it may be used
 * again. */
extern void fr_page_retire(Relation index, Buffer buffer);

/* Overwrite a page that is locked exclusively by zeros, and offer it to whoever
 * looks for one. */
extern void fr_page_free(Relation index, Buffer buffer);

#endif
