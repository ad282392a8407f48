/*
 * build_lists.c: sorted rows -> the pages of the lists.
 *
 * How many rows a list has is known, so its pages are laid out before the
 * first row comes: all code pages of a list side by side, for scans, then
 * their re-rank pages.  The pages go through shared buffers; build.c logs
 * them when all are written.
 */
#include "postgres.h"

#include "catalog/index.h"
#include "commands/progress.h"
#include "executor/tuptable.h"
#include "index/build.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"

#if PG_VERSION_NUM >= 140000
#include "utils/backend_progress.h"
#endif

/* How often pg_stat_progress_create_index hears of rows. */
#define PROGRESS_ROWS 4096

typedef struct ListWriter
{
	Relation index;
	const FrBuildPlan *plan;
	Tuplesortstate *sort;
	TupleTableSlot *slot;
	uint64 written; /* rows of all lists */

	/* the list that is written */
	uint32 list;
	uint64 rows;
	uint32 code_pages;
	BlockNumber first;
	Buffer code;
	Buffer rerank;
	BlockNumber next_rerank;
} ListWriter;

static void
release(Buffer *buffer)
{
	if (!BufferIsValid(*buffer))
		return;
	MarkBufferDirty(*buffer);
	UnlockReleaseBuffer(*buffer);
	*buffer = InvalidBuffer;
}

/* Rows on a code page of the list. */
static uint32
rows_on_page(const ListWriter *writer, uint32 page)
{
	uint32 slots = writer->plan->shape.slots_per_page;
	uint64 before = (uint64) page * slots;

	return (uint32) Min(writer->rows - before, slots);
}

/* Add the pages of a list to the index; they are empty until written. */
static void
lay_out_list(ListWriter *writer)
{
	const FrSearchShape *shape = &writer->plan->shape;
	uint32 pages;

	/* An empty list has a page, too: no list is without a place to add to. */
	writer->code_pages =
		(uint32) (Max(writer->rows, 1) + shape->slots_per_page - 1) /
		shape->slots_per_page;
	pages = writer->code_pages;
	for (uint32 i = 0; i < writer->code_pages; i++)
		pages += (rows_on_page(writer, i) + shape->rerank_per_page - 1) /
				 shape->rerank_per_page;
	for (uint32 i = 0; i < pages; i++)
	{
		Buffer buffer = fr_index_extend(writer->index);

		if (i == 0)
			writer->first = BufferGetBlockNumber(buffer);
		UnlockReleaseBuffer(buffer);
	}
	writer->next_rerank = writer->first + writer->code_pages;
}

static Buffer
lock_page(Relation index, BlockNumber block)
{
	Buffer buffer = ReadBuffer(index, block);

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	return buffer;
}

static void
begin_code_page(ListWriter *writer, uint32 number)
{
	Page page;

	writer->code = lock_page(writer->index, writer->first + number);
	page = BufferGetPage(writer->code);
	fr_code_page_init(page, &writer->plan->shape, writer->list, 0);
	if (number + 1 < writer->code_pages)
		FrPageGetCodeHeader(page)->next = writer->first + number + 1;
}

static void
begin_rerank_page(ListWriter *writer, uint32 number)
{
	BlockNumber block = writer->next_rerank++;

	writer->rerank = lock_page(writer->index, block);
	fr_page_init(BufferGetPage(writer->rerank), FR_PAGE_RERANK, writer->list,
				 0);
	FrPageGetCodeHeader(BufferGetPage(writer->code))->rerank[number] = block;
}

/* Take the next row from the sort, which must be of this list. */
static void
write_row(ListWriter *writer, uint32 slot)
{
	const FrSearchShape *shape = &writer->plan->shape;
	FrSortedRow row;

	if (!fr_build_next_row(writer->sort, writer->slot, writer->plan, &row) ||
		row.list != writer->list)
		elog(ERROR, "rows of list %u do not add up", writer->list);
	if (slot % shape->rerank_per_page == 0)
	{
		release(&writer->rerank);
		begin_rerank_page(writer, slot / shape->rerank_per_page);
	}
	fr_row_put(shape, BufferGetPage(writer->code),
			   BufferGetPage(writer->rerank), slot, row.encoded, &row.tid,
			   &row.filters);
	if (++writer->written % PROGRESS_ROWS == 0)
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE,
									 (int64) writer->written);
}

static void
write_list(ListWriter *writer)
{
	lay_out_list(writer);
	for (uint32 number = 0; number < writer->code_pages; number++)
	{
		uint32 count = rows_on_page(writer, number);

		CHECK_FOR_INTERRUPTS();
		begin_code_page(writer, number);
		for (uint32 slot = 0; slot < count; slot++)
			write_row(writer, slot);
		release(&writer->rerank);
		release(&writer->code);
	}
}

void
fr_build_write_lists(Relation index, const FrBuildPlan *plan,
					 const FrBuildCounts *counts, Tuplesortstate *sort,
					 char *entries)
{
	Size entry_bytes = fr_routing_entry_bytes(&plan->shape);
	ListWriter writer = {.index = index, .plan = plan, .sort = sort};

	writer.slot = MakeSingleTupleTableSlot(fr_build_sort_descriptor(),
										   &TTSOpsMinimalTuple);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL,
								 (int64) counts->index_rows);
	for (uint32 list = 0; list < plan->meta.list_count; list++)
	{
		FrRoutingEntry *entry =
			(FrRoutingEntry *) (entries + list * entry_bytes);

		writer.list = list;
		writer.rows = counts->list_rows[list];
		write_list(&writer);
		entry->first = writer.first;
		entry->insert_page = writer.first + writer.code_pages - 1;
		entry->generation = 0;
		entry->rows = (uint32) Min(writer.rows, PG_UINT32_MAX);
		memcpy(FrRoutingEntryGetCentroid(entry), fr_build_centroid(plan, list),
			   plan->shape.centroid_bytes);
	}
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE,
								 (int64) counts->index_rows);
	ExecDropSingleTupleTableSlot(writer.slot);
}
