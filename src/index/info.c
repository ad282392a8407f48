/*
 * info.c: facerec_index_info(index): what an index is and how full it is.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "funcapi.h"
#include "index/index.h"
#include "index/inspect.h"
#include "index/search_settings.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_facerec_index_info);

/* ---- opening ------------------------------------------------------------ */

static bool
may_inspect(Oid index)
{
#if PG_VERSION_NUM >= 160000
	bool is_owner = object_ownercheck(RelationRelationId, index, GetUserId());
#else
	bool is_owner = pg_class_ownercheck(index, GetUserId());
#endif

	return is_owner || has_privs_of_role(GetUserId(), ROLE_PG_STAT_SCAN_TABLES);
}

/* ERROR unless a relation is an index of ours that has pages. */
static void
check_is_faceindex(Relation index)
{
	if (index->rd_rel->relam != get_index_am_oid("faceindex", false))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a faceindex",
							   RelationGetRelationName(index))));
	if (index->rd_rel->relkind != RELKIND_INDEX)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is a partitioned index",
							   RelationGetRelationName(index)),
						errhint("Ask for the indexes of its partitions.")));
	if (!index->rd_index->indisvalid)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("index \"%s\" is not valid",
							   RelationGetRelationName(index)),
						errhint("If CREATE INDEX CONCURRENTLY has failed, DROP "
								"or REINDEX it.")));
	if (RELATION_IS_OTHER_TEMP(index))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot access temporary tables of other sessions")));
}

Relation
fr_inspect_open(Oid oid, LOCKMODE lock, Relation *heap)
{
	/* The table is locked first, as everybody does. */
	Oid heap_oid = IndexGetRelation(oid, true);
	char *name = get_rel_name(oid);
	Relation index;

	if (!name)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", oid)));
	if (!OidIsValid(heap_oid))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not an index", name)));
	if (!may_inspect(oid))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, name);
	*heap = table_open(heap_oid, lock);
	index = index_open(oid, AccessShareLock);
	check_is_faceindex(index);
	return index;
}

void
fr_inspect_close(Relation index, Relation heap, LOCKMODE lock)
{
	index_close(index, AccessShareLock);
	table_close(heap, lock);
}

/* ---- counting ----------------------------------------------------------- */

typedef struct Counts
{
	int64 rows, slots, largest_list;
	int64 code_pages, rerank_pages, free_pages, retired_pages;
} Counts;

/* routing is NULL and list_rows is not used as long as the index has no row. */
static void
count_page(const FrRouting *routing, Page page, Counts *counts,
		   int64 *list_rows)
{
	const FrPageSpecial *special =
		PageIsNew(page) ? NULL : FrPageGetSpecial(page);

	if (!special || special->kind == FR_PAGE_FREE)
		counts->free_pages++;
	else if (special->kind == FR_PAGE_ROUTING)
		counts->retired_pages += special->retired_xid != 0;
	else if (special->kind != FR_PAGE_CODE && special->kind != FR_PAGE_RERANK)
		return;
	else if (!routing || special->list >= routing->meta.list_count ||
			 special->generation !=
				 fr_routing_list(routing, special->list)->generation)
		counts->retired_pages++;
	else if (special->kind == FR_PAGE_RERANK)
		counts->rerank_pages++;
	else
	{
		uint16 live = FrPageGetCodeHeader(page)->live;

		counts->code_pages++;
		counts->rows += live;
		counts->slots += routing->shape.slots_per_page;
		list_rows[special->list] += live;
	}
}

static void
count_pages(Relation index, BlockNumber blocks, Counts *counts)
{
	BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
	const FrRouting *cached = fr_index_routing(index, true);
	uint32 lists = cached ? cached->meta.list_count : 0;
	int64 *list_rows = palloc0(lists * sizeof(int64));
	FrRouting *routing = NULL;

	if (cached)
	{
		Size bytes = offsetof(FrRouting, entries) + lists * cached->entry_bytes;

		routing = palloc(bytes);
		memcpy(routing, cached, bytes);
	}
	for (BlockNumber block = 0; block < blocks; block++)
	{
		Buffer buffer;

		CHECK_FOR_INTERRUPTS();
		buffer = ReadBufferExtended(index, MAIN_FORKNUM, block, RBM_NORMAL,
									strategy);
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		count_page(routing, BufferGetPage(buffer), counts, list_rows);
		UnlockReleaseBuffer(buffer);
	}
	for (uint32 list = 0; list < lists; list++)
		counts->largest_list = Max(counts->largest_list, list_rows[list]);
	FreeAccessStrategy(strategy);
}

/* facerec_index_info(index) -> one row; columns as in 50_index.sql */
Datum
facerec_facerec_index_info(PG_FUNCTION_ARGS)
{
	Relation heap;
	Relation index = fr_inspect_open(PG_GETARG_OID(0), AccessShareLock, &heap);
	BlockNumber blocks = RelationGetNumberOfBlocks(index);
	Counts counts = {0};
	FrMetaPage meta;
	TupleDesc descriptor;
	Datum values[19];
	bool nulls[19] = {false};
	int i = 0;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "facerec_index_info does not return a row");
	fr_index_read_meta(index, &meta);
	count_pages(index, blocks, &counts);

	bool is_known = meta.dims > 0;
	double rows = (double) counts.rows;

	nulls[0] = nulls[1] = !is_known;
	values[i++] =
		CStringGetTextDatum(fr_index_host->model_label(meta.fingerprint));
	values[i++] = Int32GetDatum(meta.dims);
	values[i++] = Int32GetDatum(meta.filter_count);
	values[i++] = Int32GetDatum((int32) meta.list_count);
	values[i++] = Int64GetDatum(counts.largest_list);
	values[i++] = Int64GetDatum(counts.rows);
	values[i++] = Int64GetDatum(counts.slots - counts.rows);
	values[i++] = Int64GetDatum((int64) meta.rows_at_build);
	nulls[i] = meta.rows_at_build <= 0;
	values[i++] = Float8GetDatum(rows / Max(meta.rows_at_build, 1));
	values[i++] = Int64GetDatum((int64) blocks);
	values[i++] = Int64GetDatum((int64) meta.routing_pages);
	values[i++] = Int64GetDatum(counts.code_pages);
	values[i++] = Int64GetDatum(counts.rerank_pages);
	values[i++] = Int64GetDatum(counts.free_pages);
	values[i++] = Int64GetDatum(counts.retired_pages);
	nulls[i] = counts.rows == 0;
	values[i++] = Float8GetDatum(blocks * (double) BLCKSZ / Max(rows, 1));
	values[i++] = Float8GetDatum(fr_setting_recall);
	nulls[i] = !is_known;
	values[i++] =
		Int32GetDatum(is_known ? (int32) fr_search_settings_lists(&meta) : 0);
	values[i++] = Int32GetDatum(meta.format);
	Assert(i == lengthof(values) && descriptor->natts == i);
	fr_inspect_close(index, heap, AccessShareLock);
	PG_RETURN_DATUM(
		HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls)));
}
