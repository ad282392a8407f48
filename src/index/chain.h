/*
 * chain.h: reading an old chain page by page, writing new ones beside it.
 *
 * compact.c says in which steps a chain is replaced, and why each is safe to
 * stop after.
 */
#ifndef FR_INDEX_CHAIN_H
#define FR_INDEX_CHAIN_H

#include "postgres.h"

#include "index/recycle.h"
#include "index/row.h"

/*
 * A chain that is being read, in one pass or several: each pass gives the rows
 * that came since the one before, so that the last one, which keeps inserts
 * waiting, has little left to do.  VACUUM alone removes rows, and it is who
 * reads: a slot that was read stays as it is.
 */
typedef struct FrChainReader
{
	Relation index;
	const FrSearchShape *shape;
	uint32 list, generation;

	/* The pages that were met, from left to right. */
	uint32 page_count, page_capacity;
	BlockNumber *blocks; /* [page_count, 1 + rerank_pages]: the code page and
						  * its re-rank pages */
	uint32 *seen; /* [page_count, blocks_per_page]: slots that were read */

	/* The pass. */
	bool is_closing; /* close pages to inserts on the way */
	uint32 next_page;
	BlockNumber next_block;
	uint64 rows; /* that it gave */

	/* Copies of a code page and its re-rank pages, and where the rows are
	 * that were not read before. */
	Page code;
	Page *rerank;		/* [rerank_pages] */
	uint32 *fresh;		/* [blocks_per_page] */
	BlockNumber marker; /* a page that must not be met again */
} FrChainReader;

extern void fr_chain_reader_init(FrChainReader *reader, Relation index,
								 const FrSearchShape *shape, uint32 list,
								 uint32 generation);

extern void
fr_chain_begin_pass(FrChainReader *reader, BlockNumber first, bool is_closing);

/* Copy the next page that may have rows for this pass; false behind the last
 * one. */
extern bool fr_chain_next_page(FrChainReader *reader);

/* A row of the page that was read. */
typedef struct FrChainRow
{
	ItemPointerData tid;
	const uint8 *block; /* of the code page, */
	uint32 position;	/* and the slot there */
	const uint8 *rerank;
	FrFilterValues filters;
} FrChainRow;

/* The next row of the page, with the lowest slot >= *slot, which is set behind
 * it; false when there is none. */
extern bool
fr_chain_next_row(FrChainReader *reader, uint32 *slot, FrChainRow *row);

/* Hand over all pages that were met, when the chain is replaced. */
extern void fr_chain_recycle(const FrChainReader *reader, FrRecycler *recycler);

/* A chain that is being written; nothing points at it yet. */
typedef struct FrChainWriter
{
	Relation index;
	const FrSearchShape *shape;
	uint32 list, generation;
	Page code;
	Page *rerank;	   /* [rerank_pages] */
	BlockNumber block; /* where the page goes that is being filled */
	BlockNumber first;
	uint64 rows;
	uint32 pages; /* that it took */
} FrChainWriter;

extern void fr_chain_writer_init(FrChainWriter *writer, Relation index,
								 const FrSearchShape *shape, uint32 list,
								 uint32 generation);

/* Add an encoded row. */
extern void
fr_chain_add(FrChainWriter *writer, const uint8 *encoded,
			 const ItemPointerData *tid, const FrFilterValues *filters);

/* Write what is left; the last page is writer->block. */
extern void fr_chain_finish(FrChainWriter *writer);

/*
 * Passes that leave inserts alone go on until the last one gave no more than
 * that many rows, but not for ever: what is left is for the pass that closes
 * pages.
 */
#define FR_CHAIN_REST	256
#define FR_CHAIN_PASSES 8

/* A generation that no chain has or had. */
extern uint32 fr_chain_take_generation(Relation index);

#endif
