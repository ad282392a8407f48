/*
 * vacuum.h: what vacuum.c, compact.c and grow.c share.
 */
#ifndef FR_INDEX_VACUUM_H
#define FR_INDEX_VACUUM_H

#include "postgres.h"

#include "index/index.h"
#include "index/recycle.h"

/* A list as VACUUM found it. */
typedef struct FrVacuumList
{
	BlockNumber first;
	uint32 generation;
	uint32 pages;	  /* code pages */
	uint64 rows;	  /* live */
	uint64 removed;	  /* by this call */
	BlockNumber room; /* first code page with a free slot, or Invalid */
} FrVacuumList;

/*
 * Rewrite a list onto as few pages as it needs, beside the old ones; then
 * switch to the new chain and hand over the old one.  Scans that have begun
 * read on in the old chain.  Returns how many pages the new one has.
 */
extern uint32
fr_index_compact(Relation index, const FrMetaPage *meta,
				 const FrSearchShape *shape, uint32 list, BlockNumber first,
				 uint32 generation, FrRecycler *recycler);

/*
 * Make an index of one list that VACUUM found without rows what it was before
 * its first row, unless one has come meanwhile.
 */
extern void fr_index_forget_model(Relation index, FrRecycler *recycler);

/* Lists are added when there should be this many times as many. */
#define FR_GROWTH 2

/*
 * Split long lists if the index should have many more lists than it has;
 * lists [list_count] are as VACUUM found them.
 */
extern void
fr_index_grow(Relation index, double row_count, const FrVacuumList *lists,
			  uint32 list_count, FrRecycler *recycler);

#endif
