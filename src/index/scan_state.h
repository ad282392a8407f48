/*
 * scan_state.h: a running scan, shared by the files scan*.c.
 *
 *   scan.c         callbacks: keys in, rows out
 *   scan_keys.c    what keys and ORDER BY ask for
 *   scan_limit.c   how many rows LIMIT wants
 *   scan_rounds.c  1-bit codes: lists, pages and blocks, into a shortlist
 *   scan_first.c   the first round, for the rows that LIMIT wants
 *   scan_rerank.c  4-bit codes of shortlisted candidates
 *   scan_exact.c   rows of the table: visibility, exact distance
 *   scan_plain.c   all rows, for faces that cannot be searched for
 *
 * A candidate goes from the shortlist (bound by its 1-bit code) to the queue
 * `nearer` (bound by its 4-bit code) to the queue `found` (exact distance of
 * a visible row), each time only when nothing else can be before it.  So rows
 * come out in exact order, and only rows that may be next are fetched.
 */
#ifndef FR_INDEX_SCAN_STATE_H
#define FR_INDEX_SCAN_STATE_H

#include "postgres.h"

#include "access/relscan.h"
#include "access/tableam.h"
#include "core/search/rotation.h"
#include "core/search/search_query.h"
#include "core/search/shortlist.h"
#include "index/index.h"
#include "index/scan_queue.h"

/* A condition "distance from face at most max_distance"; with an array of faces
 * or of ranges the key says everything. */
typedef struct FrScanBound
{
	ScanKey key;
	const FrStoredEmbedding *face; /* NULL with an array */
	double max_distance; /* as compared by float8: NaN is beyond all */
	bool is_match;		 /* of the operator % */
	Datum *elements;	 /* [element_count] of the array, without NULLs */
	int element_count;
} FrScanBound;

/* A condition "filter column equals one of values", or is in a range. */
typedef struct FrScanFilter
{
	uint32 column;	/* of the shape's filter columns */
	uint64 *values; /* [value_count], as fr_block_filter_any_mask takes them */
	uint32 value_count;
	bool is_range;	/* low <= column <= high */
	bool is_signed; /* the column */
	int64 low, high;
} FrScanFilter;

/* One list as of the start of the scan. */
typedef struct FrScanList
{
	FrSearchList search;
	uint32 list;
	uint32 generation;
	BlockNumber first;
} FrScanList;

/* How a scan goes on. */
typedef enum FrScanPhase
{
	FR_SCAN_START,
	FR_SCAN_FIRST,	/* for as many rows as LIMIT wants */
	FR_SCAN_ROUNDS, /* for more, as many as are asked for */
	FR_SCAN_DEEP	/* anew, with the widest bounds */
} FrScanPhase;

typedef struct FrScan
{
	IndexScanDesc descriptor;
	MemoryContext scan_context;	 /* lives as long as the scan */
	MemoryContext query_context; /* reset by each rescan */
	MemoryContext row_context;	 /* reset for each row of the table */
	bool has_begun;				 /* the first row was asked for */

	/* What is asked (scan_keys.c). */
	const FrStoredEmbedding *face; /* that is searched for; NULL = none */
	ScanKey order_by;			   /* NULL = no order asked */
	bool orders_by_l2;
	bool matches_nothing; /* a condition is NULL or cannot hold */
	FrScanBound *bounds;
	int bound_count;
	FrScanFilter *filters;
	int filter_count;
	bool is_plain; /* the face cannot be searched for: take all rows */
	/* No row below this similarity is wanted. */
	float floor;
	uint32 wanted; /* rows, by LIMIT or by guess */
	/* May the first round miss rows, by faceindex.recall or probes? */
	bool is_approximate;

	/* The index as of the start. */
	FrSearchShape shape; /* dims 0 = not yet known */
	uint64 seed;
	FrRotation rotation;
	FrSearchQuery query;
	const FrKernels *kernels;
	FrAllocator allocator; /* on scan_context */
	FrScanList *lists;	   /* [list_count], nearest first */
	uint32 *generations;   /* [list_count], by number of list */
	uint32 list_count;
	uint32 routing_version;
	BlockNumber index_blocks; /* at least so many */
	double rows;			  /* about so many in the index */
	BlockNumber heap_blocks;  /* of the table, likewise */
	uint32 stage_end;		  /* lists that this phase reads */

	/* Rounds and queues. */
	FrScanPhase phase;
	FrShortlist shortlist;
	bool has_shortlist;
	float threshold; /* 1-bit bounds below are not of interest, >= floor */
	/* The first round: */
	bool is_collecting;		/* candidates go to `collected` */
	FrCandidate *collected; /* room for those of a page behind the last */
	int collected_count;
	double *best; /* [wanted], order values, a heap with the last on top */
	uint32 best_count;
	FrScanQueue nearer;
	FrScanQueue found;
	uint32 plain_list; /* scan_plain.c: where to go on */
	BlockNumber plain_block;
	BlockNumber plain_pages; /* that were read */
	int batch;				 /* candidates to look at closely at a time */
	Size reranked;			 /* candidates that were */
	bool is_cold;			 /* the last re-rank pages were not in memory */
	bool is_exhausted;		 /* there are no more rows */

	/* The table (scan_exact.c). */
	IndexFetchTableData *fetch;
	TupleTableSlot *slot;
	AttrNumber attribute; /* of the embedding; 0 = an expression */
	IndexInfo *index_info;
	EState *estate;

	/* What was returned: the order value of the last row, and rows that may
	 * be met again. */
	bool has_returned;
	double last_value;
	bool is_standby;
	HTAB *returned;
} FrScan;

/* scan_keys.c: understand keys and ORDER BY, but for what depends on the
 * index's content. */
extern void fr_scan_read_keys(FrScan *scan);

/* scan_keys.c: complete the bounds for an index of this model, and choose
 * floor and is_plain. */
extern void fr_scan_bind_keys(FrScan *scan, const FrMetaPage *meta);

/* scan_rounds.c: begin with the index as it is now; false when it is
 * empty. */
extern bool fr_scan_open_lists(FrScan *scan);

/* scan_rounds.c: read the lists for more candidates; false when all is
 * read. */
extern bool fr_scan_next_round(FrScan *scan);

/* scan_rounds.c: the rows of lists [first, end) that are above the limits of
 * threshold and shortlist, into `collected` or the shortlist.  False when a
 * list is not what it was (on a standby): then all starts anew. */
extern bool fr_scan_read_lists(FrScan *scan, uint32 first, uint32 end);

/* scan_first.c: the rows that LIMIT wants into `found`; false as above. */
extern bool fr_scan_first_round(FrScan *scan);

/* scan_first.c: look at what was collected, if that is a good deal. */
extern void fr_scan_look_closer(FrScan *scan);

/* scan_first.c: raise the threshold by a row that was found. */
extern void fr_scan_note_found(FrScan *scan, double order_value);

/* scan_rounds.c: read a code page of a list; the caller unlocks and releases
 * it.  Returns InvalidBuffer when the page belongs to the list no more, which
 * happens on a standby only. */
extern Buffer fr_scan_read_code_page(FrScan *scan, BlockNumber block,
									 uint32 list, uint32 generation);

/* scan_rounds.c: on a standby, start anew after a page was reused under the
 * scan, or end if the index was forgotten; rows that were returned will not
 * come again. */
extern void fr_scan_restart(FrScan *scan);

/* scan_rounds.c: ERROR when a walk through a list has more steps than the
 * index has pages. */
extern void fr_scan_check_walk(FrScan *scan, BlockNumber steps, uint32 list);

/* scan_rerank.c: move the best candidates of the shortlist to `nearer`. */
extern void fr_scan_rerank(FrScan *scan);

/* scan_rerank.c: move candidates to `nearer`; may reorder them. */
extern void fr_scan_rerank_batch(FrScan *scan, FrCandidate *batch, int count);

/* scan.c: fetch the first row of `nearer`, into `found`. */
extern void fr_scan_fetch_nearest(FrScan *scan);

/*
 * scan_exact.c: fetch a row of the table.  False when the snapshot does not
 * see it or a condition does not hold; else *order_value is what ORDER BY
 * compares (the cosine distance when there is none).
 */
extern bool fr_scan_fetch(FrScan *scan, ItemPointer tid, double *order_value);
extern void fr_scan_end_fetch(FrScan *scan);

/* scan_plain.c: the rows of the next page into `found`; false when there is
 * none. */
extern bool fr_scan_plain_page(FrScan *scan);

/* Slots of a block that are live and pass a filter. */
static inline uint32
fr_scan_filter_mask(const FrScan *scan, const FrScanFilter *filter,
					const uint8 *block)
{
	if (filter->is_range)
		return fr_block_filter_range_mask(&scan->shape, block, filter->column,
										  filter->is_signed, filter->low,
										  filter->high);
	return fr_block_filter_any_mask(&scan->shape, block, filter->column,
									filter->values, filter->value_count);
}

/* The blocks' filter columns: slots of a block that are live and pass. */
static inline uint32
fr_scan_block_mask(const FrScan *scan, const uint8 *block)
{
	uint32 mask = fr_block_live(&scan->shape, block);

	for (int i = 0; i < scan->filter_count && mask; i++)
		mask &= fr_scan_filter_mask(scan, &scan->filters[i], block);
	return mask;
}

/* The similarity that a row's order value stands for. */
static inline double
fr_scan_similarity(const FrScan *scan, double order_value)
{
	return scan->orders_by_l2 ? 1.0 - order_value * order_value / 2
							  : 1.0 - order_value;
}

static inline ItemPointerData
fr_scan_tid(FrRowId row)
{
	ItemPointerData tid;

	StaticAssertStmt(sizeof(tid) == sizeof(row), "a row id is a TID");
	memcpy(&tid, &row, sizeof tid);
	return tid;
}

#endif
