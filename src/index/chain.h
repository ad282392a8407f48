/*
 * chain.h: reading an old chain page by page, writing new ones beside it.
 *
 * compact.c says in which steps a chain is replaced, and why each is safe to
 * stop after.
 */
#ifndef FR_INDEX_CHAIN_H
#define FR_INDEX_CHAIN_H

#include "postgres.h"

#include "index/row.h"

/* A chain that is being read, with copies of one code page and its re-rank
 * pages. */
typedef struct FrChainReader
{
	Relation index;
	const FrSearchShape *shape;
	uint32 list, generation;
	bool is_closing; /* close pages to inserts on the way */
	Page code;
	Page *rerank;		 /* [rerank_pages] */
	BlockNumber *blocks; /* [block_count] that were read */
	uint32 block_count, block_capacity;
} FrChainReader;

extern void fr_chain_reader_init(FrChainReader *reader, Relation index,
								 const FrSearchShape *shape, uint32 list,
								 uint32 generation, bool is_closing);

/* Copy a code page and its re-rank pages; returns the next code page. */
extern BlockNumber fr_chain_read(FrChainReader *reader, BlockNumber block);

/* A row of the page that was read. */
typedef struct FrChainRow
{
	ItemPointerData tid;
	const uint8 *block; /* of the code page, */
	uint32 position;	/* and the slot there */
	const uint8 *rerank;
	FrFilterValues filters;
} FrChainRow;

/* The live row with the lowest slot >= *slot, which is set behind it; false
 * when there is none. */
extern bool
fr_chain_next_row(const FrChainReader *reader, uint32 *slot, FrChainRow *row);

/* Give the pages that were read the horizon after which they are free. */
extern void fr_chain_retire(const FrChainReader *reader);

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

/* A generation that no chain has or had. */
extern uint32 fr_chain_take_generation(Relation index);

#endif
