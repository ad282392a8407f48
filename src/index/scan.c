/*
 * scan.c: scans of a faceindex, as the executor sees them.
 *
 * amgettuple only, forward only.  Order and conditions are exact, so the
 * executor rechecks nothing; scan_state.h says how rows are found.
 */
#include "postgres.h"

#include "index/scan.h"

#include <math.h>

#include "access/genam.h"
#include "access/relscan.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "index/scan_state.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* ---- callbacks ---------------------------------------------------------- */

IndexScanDesc
fr_index_begin_scan(Relation index, int key_count, int order_by_count)
{
	IndexScanDesc descriptor =
		RelationGetIndexScan(index, key_count, order_by_count);
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "faceindex scan", ALLOCSET_DEFAULT_SIZES);
	FrScan *scan = MemoryContextAllocZero(context, sizeof(FrScan));

	scan->descriptor = descriptor;
	scan->scan_context = context;
	scan->query_context = AllocSetContextCreate(context, "faceindex query",
												ALLOCSET_DEFAULT_SIZES);
	scan->row_context =
		AllocSetContextCreate(context, "faceindex row", ALLOCSET_SMALL_SIZES);
	scan->allocator = fr_index_host->allocator(context);
	scan->is_standby = RecoveryInProgress();
	if (order_by_count > 0)
	{
		descriptor->xs_orderbyvals = palloc0(sizeof(Datum) * order_by_count);
		descriptor->xs_orderbynulls = palloc(sizeof(bool) * order_by_count);
		memset(descriptor->xs_orderbynulls, true,
			   sizeof(bool) * order_by_count);
	}
	descriptor->opaque = scan;
	return descriptor;
}

void
fr_index_rescan(IndexScanDesc descriptor, ScanKey keys, int key_count,
				ScanKey order_bys, int order_by_count)
{
	FrScan *scan = descriptor->opaque;

	if (keys && descriptor->numberOfKeys > 0)
		memmove(descriptor->keyData, keys,
				descriptor->numberOfKeys * sizeof(ScanKeyData));
	if (order_bys && descriptor->numberOfOrderBys > 0)
		memmove(descriptor->orderByData, order_bys,
				descriptor->numberOfOrderBys * sizeof(ScanKeyData));
	fr_scan_end_fetch(scan);
	MemoryContextReset(scan->query_context);
	scan->returned = NULL;
	scan->has_returned = false;
	scan->has_begun = false;
}

void
fr_index_end_scan(IndexScanDesc descriptor)
{
	FrScan *scan = descriptor->opaque;

	fr_scan_end_fetch(scan);
	if (scan->fetch)
	{
		table_index_fetch_end(scan->fetch);
		ExecDropSingleTupleTableSlot(scan->slot);
	}
	if (scan->estate)
		FreeExecutorState(scan->estate);
	MemoryContextDelete(scan->scan_context);
}

/* ---- rows that were returned -------------------------------------------- */

/* The first time that a row is met?  Rows are remembered as long as a scan may
 * start anew. */
static bool
is_new_row(FrScan *scan, const FrScanRow *row)
{
	bool may_restart = scan->is_standby || scan->phase != FR_SCAN_DEEP;
	bool was_returned;

	if (!scan->is_standby && (scan->is_plain || !scan->order_by))
		return true;
	if (!scan->returned)
	{
		HASHCTL control = {.keysize = sizeof(ItemPointerData),
						   .entrysize = sizeof(ItemPointerData),
						   .hcxt = scan->query_context};

		scan->returned = hash_create("faceindex rows", 64, &control,
									 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	hash_search(scan->returned, &row->tid, may_restart ? HASH_ENTER : HASH_FIND,
				&was_returned);
	return !was_returned;
}

/* To be returned?  A row that is found late, so that it would be before others
 * in the order, counts as missed. */
static bool
is_wanted_row(FrScan *scan, const FrScanRow *row)
{
	bool is_late =
		scan->order_by && scan->has_returned && row->key < scan->last_value;

	if (is_late || !is_new_row(scan, row))
		return false;
	scan->has_returned = true;
	scan->last_value = row->key;
	return true;
}

/* ---- rows in order ------------------------------------------------------ */

/* The highest bound of the candidates that were not looked at closely. */
static double
get_shortlist_bound(FrScan *scan)
{
	const FrCandidate *candidate = fr_shortlist_peek(&scan->shortlist);

	if (candidate)
		return candidate->bound;
	return fr_shortlist_is_cut(&scan->shortlist)
			   ? fr_shortlist_lowest(&scan->shortlist)
			   : -INFINITY;
}

void
fr_scan_fetch_nearest(FrScan *scan)
{
	FrScanRow row = fr_scan_queue_pop(&scan->nearer);

	if (!fr_scan_fetch(scan, &row.tid, &row.key))
		return;
	fr_scan_queue_push(&scan->found, &row);
	if (scan->phase == FR_SCAN_FIRST)
		fr_scan_note_found(scan, row.key);
}

/*
 * One step towards the next row; false when it is the first of `found`, or
 * there is none.
 */
static bool
approach_next(FrScan *scan)
{
	if (scan->is_exhausted)
		return false;
	if (scan->phase == FR_SCAN_START)
		return fr_scan_next_round(scan);
	if (!scan->order_by && !fr_scan_queue_is_empty(&scan->found))
		return false;

	double unread = get_shortlist_bound(scan);
	double nearer = fr_scan_queue_is_empty(&scan->nearer)
						? -INFINITY
						: -fr_scan_queue_first_key(&scan->nearer);

	if (!fr_scan_queue_is_empty(&scan->found) &&
		fr_scan_similarity(scan, fr_scan_queue_first_key(&scan->found)) >=
			Max(unread, nearer))
		return false;
	if (nearer > unread)
		fr_scan_fetch_nearest(scan);
	else if (fr_shortlist_peek(&scan->shortlist))
		fr_scan_rerank(scan);
	else
		return fr_scan_next_round(scan);
	return true;
}

static bool
next_row(FrScan *scan, FrScanRow *row)
{
	if (scan->is_plain)
	{
		/* Without an order the rows of one page will do. */
		while ((scan->face || fr_scan_queue_is_empty(&scan->found)) &&
			   fr_scan_plain_page(scan))
			;
	}
	else
		while (approach_next(scan))
			;
	if (fr_scan_queue_is_empty(&scan->found))
		return false;
	*row = fr_scan_queue_pop(&scan->found);
	return true;
}

/* ---- the next row ------------------------------------------------------- */

/* False when no row can match. */
static bool
begin(FrScan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->query_context);
	bool has_rows;

	fr_scan_read_keys(scan);
	fr_scan_queue_init(&scan->nearer);
	fr_scan_queue_init(&scan->found);
	pgstat_count_index_scan(scan->descriptor->indexRelation);
#if PG_VERSION_NUM >= 180000
	if (scan->descriptor->instrument)
		scan->descriptor->instrument->nsearches++;
#endif
	has_rows = !scan->matches_nothing && fr_scan_open_lists(scan);
	MemoryContextSwitchTo(old);
	return has_rows;
}

static void
set_order_value(FrScan *scan, double order_value)
{
	Oid type = FLOAT8OID;
	IndexOrderByDistance distance = {.value = order_value,
									 .isnull = scan->face == NULL};

	if (scan->order_by)
		index_store_float8_orderby_distances(scan->descriptor, &type, &distance,
											 false);
}

bool
fr_index_get_tuple(IndexScanDesc descriptor, ScanDirection direction)
{
	FrScan *scan = descriptor->opaque;
	FrScanRow row;

	if (!ScanDirectionIsForward(direction))
		elog(ERROR, "faceindex cannot scan backward");
	if (!scan->has_begun)
	{
		scan->is_exhausted = !begin(scan);
		scan->has_begun = true;
	}

	MemoryContext old = MemoryContextSwitchTo(scan->query_context);

	do
		scan->is_exhausted = scan->is_exhausted || !next_row(scan, &row);
	while (!scan->is_exhausted && !is_wanted_row(scan, &row));
	MemoryContextSwitchTo(old);
	fr_scan_end_fetch(scan);
	if (scan->is_exhausted)
		return false;
	descriptor->xs_heaptid = row.tid;
	descriptor->xs_recheck = false;
	descriptor->xs_recheckorderby = false;
	set_order_value(scan, row.key);
	return true;
}
