/*
 * scan_exact.c: rows of the table, for the exact distance.
 *
 * The scan fetches rows itself, with the snapshot of the query, and compares
 * with the very arithmetic of the operators.  So order and conditions need no
 * recheck, and a row that is fetched in vain (invisible, or further away than
 * its code let hope) costs the executor nothing.
 */
#include "postgres.h"

#include "catalog/index.h"
#include "executor/executor.h"
#include "index/row.h"
#include "index/scan_state.h"
#include "utils/float.h"
#include "utils/snapmgr.h"

/* ---- fetching ----------------------------------------------------------- */

/* How to get the embedding of a row: a column, or an expression. */
static void
prepare(FrScan *scan)
{
	Relation heap = scan->descriptor->heapRelation;
	Relation index = scan->descriptor->indexRelation;
	MemoryContext old = MemoryContextSwitchTo(scan->scan_context);

	if (!IsMVCCSnapshot(scan->descriptor->xs_snapshot))
		elog(ERROR, "faceindex needs an MVCC snapshot");
	scan->fetch = table_index_fetch_begin(heap);
	scan->slot = table_slot_create(heap, NULL);
	scan->attribute = index->rd_index->indkey.values[FR_EMBEDDING_COLUMN];
	if (scan->attribute == 0)
	{
		scan->index_info = BuildIndexInfo(index);
		scan->estate = CreateExecutorState();
		GetPerTupleExprContext(scan->estate)->ecxt_scantuple = scan->slot;
	}
	MemoryContextSwitchTo(old);
}

/* Let go of the table's pages: VACUUM may wait for them. */
void
fr_scan_end_fetch(FrScan *scan)
{
	if (!scan->fetch)
		return;
	ExecClearTuple(scan->slot);
	table_index_fetch_reset(scan->fetch);
}

static Datum
get_embedding(FrScan *scan, bool *is_null)
{
	Datum values[INDEX_MAX_KEYS];
	bool nulls[INDEX_MAX_KEYS];

	if (scan->attribute != 0)
		return slot_getattr(scan->slot, scan->attribute, is_null);
	ResetPerTupleExprContext(scan->estate);
	FormIndexDatum(scan->index_info, scan->slot, scan->estate, values, nulls);
	*is_null = nulls[FR_EMBEDDING_COLUMN];
	return values[FR_EMBEDDING_COLUMN];
}

/* ---- comparing ---------------------------------------------------------- */

/* As the operator says, for a face or one of an array; a range of NULL is none. */
static bool
satisfies_operator(ScanKey key, const FrStoredEmbedding *embedding, Datum value)
{
	LOCAL_FCINFO(call, 2);
	Datum result;

	InitFunctionCallInfoData(*call, &key->sk_func, 2, key->sk_collation, NULL,
							 NULL);
	call->args[0].value = PointerGetDatum(embedding);
	call->args[0].isnull = false;
	call->args[1].value = value;
	call->args[1].isnull = false;
	result = FunctionCallInvoke(call);
	return !call->isnull && DatumGetBool(result);
}

static bool
satisfies_any(const FrScanBound *bound, const FrStoredEmbedding *embedding)
{
	for (int i = 0; i < bound->element_count; i++)
		if (satisfies_operator(bound->key, embedding, bound->elements[i]))
			return true;
	return false;
}

static bool
satisfies_bound(FrScan *scan, const FrScanBound *bound,
				const FrStoredEmbedding *embedding)
{
	bool is_unknown;

	if (!bound->face)
		return satisfies_any(bound, embedding);
	/* The operator itself says what is wrong. */
	is_unknown = bound->is_match && bound->face->fingerprint == 0 &&
				 embedding->fingerprint == 0;
	if (!fr_stored_is_comparable(embedding, bound->face) || is_unknown)
		return satisfies_operator(bound->key, embedding,
								  bound->key->sk_argument);
	return float8_le(
		fr_stored_distance(scan->kernels->vector, embedding, bound->face),
		bound->max_distance);
}

/* What ORDER BY compares. */
static double
get_order_value(FrScan *scan, const FrStoredEmbedding *embedding)
{
	if (!scan->face)
		return 0.0; /* ordered by NULL */
	if (scan->order_by && !fr_stored_is_comparable(embedding, scan->face))
		return DatumGetFloat8(FunctionCall2Coll(
			&scan->order_by->sk_func, scan->order_by->sk_collation,
			PointerGetDatum(embedding), scan->order_by->sk_argument));
	if (scan->orders_by_l2)
		return fr_stored_l2_distance(scan->kernels->vector, embedding,
									 scan->face);
	return fr_stored_distance(scan->kernels->vector, embedding, scan->face);
}

static bool
compare(FrScan *scan, Datum value, double *order_value)
{
	const FrStoredEmbedding *embedding =
		(const FrStoredEmbedding *) PG_DETOAST_DATUM(value);

	for (int i = 0; i < scan->bound_count; i++)
		if (!satisfies_bound(scan, &scan->bounds[i], embedding))
			return false;
	*order_value = get_order_value(scan, embedding);
	return true;
}

bool
fr_scan_fetch(FrScan *scan, ItemPointer tid, double *order_value)
{
	ItemPointerData version = *tid;
	bool call_again = false;
	bool is_null;

	if (!scan->fetch)
		prepare(scan);
	fr_row_check_tid(scan->descriptor->indexRelation,
					 scan->descriptor->heapRelation, tid, &scan->heap_blocks);
	if (!table_index_fetch_tuple(scan->fetch, &version,
								 scan->descriptor->xs_snapshot, scan->slot,
								 &call_again, NULL))
		return false;
	MemoryContextReset(scan->row_context);

	MemoryContext old = MemoryContextSwitchTo(scan->row_context);
	Datum value = get_embedding(scan, &is_null);
	bool is_wanted = !is_null && compare(scan, value, order_value);

	MemoryContextSwitchTo(old);
	return is_wanted;
}
