/*
 * check_rows.c: does the index have the rows that the table has?
 *
 * Every row that a snapshot sees, taken before the index was read, must be in
 * the index, once, with the codes of its embedding; and what the index
 * has beyond that must at least point at a line pointer that is in use.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "core/search/search_query.h"
#include "index/check.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

typedef struct RowCheck
{
	FrCheck *check;
	FrRowEncoder encoder;
	FrSearchQuery query;
	uint8 *stored; /* [encoded_bytes] */
	MemoryContext row_context;
} RowCheck;

static int
compare_rows(const void *a, const void *b)
{
	uint64 left = ((const FrCheckedRow *) a)->tid;
	uint64 right = ((const FrCheckedRow *) b)->tid;

	return left < right ? -1 : left > right;
}

static FrCheckedRow *
find_row(const FrCheck *check, const ItemPointerData *tid)
{
	FrCheckedRow key = {.tid = (uint64) ItemPointerGetBlockNumberNoCheck(tid)
								   << 16 |
							   ItemPointerGetOffsetNumberNoCheck(tid)};

	if (check->row_count == 0)
		return NULL;
	return bsearch(&key, check->rows, check->row_count, sizeof key,
				   compare_rows);
}

static void
check_duplicates(FrCheck *check)
{
	for (uint64 i = 1; i < check->row_count; i++)
		if (check->rows[i].tid == check->rows[i - 1].tid)
			fr_check_complain(check, check->rows[i].block,
							  "row (%u,%u) is in the index twice, also in "
							  "block %u",
							  (uint32) (check->rows[i].tid >> 16),
							  (uint16) check->rows[i].tid,
							  check->rows[i - 1].block);
}

/* ---- codes -------------------------------------------------------------- */

/* What differs in a 1-bit code where instruction sets round differently: signs
 * of what is nearly zero, and the last digits of |r|, B and E, which are not
 * negative, so that halves are in the order of their bits. */
#define MAX_SIGNS(padded) ((padded) / 64)
#define MAX_STEPS		  4

static bool
are_numbers_close(const uint8 *a, const uint8 *b, uint32 count)
{
	for (uint32 i = 0; i < count; i++)
	{
		uint16 left;
		uint16 right;

		memcpy(&left, a + i * sizeof left, sizeof left);
		memcpy(&right, b + i * sizeof right, sizeof right);
		if (abs(left - right) > MAX_STEPS)
			return false;
	}
	return true;
}

/*
 * Whether the 1-bit code in a slot is that of the rotated row.  It is compared
 * with what it should be, since the bound that it gives proves nothing: it is
 * one of a probability also for the row itself.
 */
static bool
is_code_of_row(RowCheck *rows, const FrCheckedRow *row, Page page)
{
	const FrCheck *check = rows->check;
	const FrSearchShape *shape = &check->shape;
	FrRowEncoder *encoder = &rows->encoder;
	uint32 code_bytes = shape->padded / 8;
	uint32 differences = 0;

	fr_code_encode(
		shape, encoder->kernels, encoder->rotated,
		fr_routing_centroid(check->routing, FrPageGetSpecial(page)->list),
		encoder->encoded);
	fr_block_get(shape, fr_code_block(page, shape, row->slot / FR_SEARCH_BLOCK),
				 row->slot % FR_SEARCH_BLOCK, rows->stored);
	for (uint32 i = 0; i < code_bytes; i++)
		differences += pg_popcount32(encoder->encoded[i] ^ rows->stored[i]);
	return differences <= MAX_SIGNS(shape->padded) &&
		   are_numbers_close(
			   encoder->encoded + code_bytes, rows->stored + code_bytes,
			   (shape->encoded_rerank_offset - code_bytes) / sizeof(uint16));
}

/* The bound of a row's similarity with itself, by its re-rank code: its error
 * vector is orthogonal to the row, so this bound always holds. */
static bool
is_near_by_rerank(RowCheck *rows, const FrCheckedRow *row, BlockNumber block)
{
	const FrSearchShape *shape = &rows->check->shape;
	Buffer buffer = ReadBuffer(rows->check->index, block);
	FrSearchRerank near;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	near = fr_search_rerank(
		&rows->query, fr_rerank_at(shape, fr_rerank_area(BufferGetPage(buffer)),
								   row->slot % shape->rerank_per_page));
	UnlockReleaseBuffer(buffer);
	return near.bound >= 1.0f - FR_SEARCH_ROUNDING;
}

static void
check_codes(RowCheck *rows, const FrCheckedRow *row,
			const FrStoredEmbedding *embedding)
{
	FrCheck *check = rows->check;
	Buffer buffer = ReadBuffer(check->index, row->block);
	BlockNumber rerank;
	bool is_right;

	fr_row_rotate(&rows->encoder, embedding, rows->encoder.rotated);
	fr_search_query_set_rotated(&rows->query, rows->encoder.rotated);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	is_right = is_code_of_row(rows, row, BufferGetPage(buffer));
	rerank = FrPageGetCodeHeader(BufferGetPage(buffer))
				 ->rerank[row->slot / check->shape.rerank_per_page];
	UnlockReleaseBuffer(buffer);
	if (!is_right)
		fr_check_complain(
			check, row->block, "slot %u: the code is not that of row (%u,%u)",
			row->slot, (uint32) (row->tid >> 16), (uint16) row->tid);
	if (rerank < check->blocks && !is_near_by_rerank(rows, row, rerank))
		fr_check_complain(check, rerank,
						  "the re-rank code of slot %u of block %u is not "
						  "that of row (%u,%u)",
						  row->slot, row->block, (uint32) (row->tid >> 16),
						  (uint16) row->tid);
}

static void
check_filters(RowCheck *rows, const FrCheckedRow *row, Datum *values,
			  bool *isnull)
{
	FrCheck *check = rows->check;
	const FrSearchShape *shape = &check->shape;
	Buffer buffer = ReadBuffer(check->index, row->block);
	const uint8 *block = fr_code_block(BufferGetPage(buffer), shape,
									   row->slot / FR_SEARCH_BLOCK);
	FrFilterValues filters;

	fr_row_filters(check->index, values, isnull, &filters);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	for (uint32 i = 0; i < shape->filter_count; i++)
	{
		uint32 bit = row->slot % FR_SEARCH_BLOCK;
		uint32 mask =
			filters.is_null[i]
				? fr_block_null_mask(shape, block, i)
				: fr_block_filter_mask(shape, block, i, filters.values[i]);

		if (!(mask >> bit & 1))
			fr_check_complain(check, row->block,
							  "slot %u: filter column %u is not that of row "
							  "(%u,%u)",
							  row->slot, i + 1, (uint32) (row->tid >> 16),
							  (uint16) row->tid);
	}
	UnlockReleaseBuffer(buffer);
}

/* ---- the table ---------------------------------------------------------- */

static void
row_callback(Relation index, ItemPointer tid, Datum *values, bool *isnull,
			 bool is_alive, void *state)
{
	RowCheck *rows = state;
	FrCheck *check = rows->check;
	FrCheckedRow *row = find_row(check, tid);
	MemoryContext caller;

	if (isnull[FR_EMBEDDING_COLUMN])
	{
		if (row)
			fr_check_complain(
				check, row->block, "slot %u: row (%u,%u) has no embedding",
				row->slot, (uint32) (row->tid >> 16), (uint16) row->tid);
		return;
	}
	if (!row)
	{
		fr_check_complain(check, InvalidBlockNumber,
						  "row (%u,%u) is not in the index",
						  ItemPointerGetBlockNumberNoCheck(tid),
						  ItemPointerGetOffsetNumberNoCheck(tid));
		return;
	}
	row->is_seen = true;
	caller = MemoryContextSwitchTo(rows->row_context);
	check_codes(rows, row, fr_row_embedding(values[FR_EMBEDDING_COLUMN]));
	check_filters(rows, row, values, isnull);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(rows->row_context);
}

/* Rows that the snapshot does not see may be new or dead, but VACUUM has not
 * taken them: it would have asked the index first. */
static void
check_line_pointer(FrCheck *check, const FrCheckedRow *row)
{
	BlockNumber block = (BlockNumber) (row->tid >> 16);
	OffsetNumber offset = (OffsetNumber) row->tid;
	bool is_used = false;

	if (block < RelationGetNumberOfBlocks(check->heap))
	{
		Buffer buffer = ReadBuffer(check->heap, block);
		Page page = BufferGetPage(buffer);

		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		is_used = offset >= FirstOffsetNumber &&
				  offset <= PageGetMaxOffsetNumber(page) &&
				  ItemIdIsUsed(PageGetItemId(page, offset));
		UnlockReleaseBuffer(buffer);
	}
	if (!is_used)
		fr_check_complain(check, row->block, "slot %u: there is no row (%u,%u)",
						  row->slot, block, offset);
}

static void
scan_table(RowCheck *rows)
{
	FrCheck *check = rows->check;
	IndexInfo *info = BuildIndexInfo(check->index);
	TableScanDesc scan;

	/* As of a snapshot: rows that come and go meanwhile do not matter. */
	info->ii_Concurrent = true;
	info->ii_Unique = false;
	info->ii_ExclusionOps = NULL;
	info->ii_ExclusionProcs = NULL;
	info->ii_ExclusionStrats = NULL;
	scan = table_beginscan_strat(check->heap, GetActiveSnapshot(), 0, NULL,
								 true, true);
	table_index_build_scan(check->heap, check->index, info, true, false,
						   row_callback, rows, scan);
}

void
fr_check_rows(FrCheck *check)
{
	FrAllocator allocator = fr_index_host->allocator(CurrentMemoryContext);
	RowCheck rows = {.check = check};
	FrError error = {0};

	if (check->routing)
	{
		fr_row_encoder_init(&rows.encoder, &check->shape, check->meta.seed);
		fr_index_check_status(fr_search_query_init(&rows.query, &check->shape,
												   rows.encoder.kernels,
												   &allocator, &error),
							  &error, "could not check the rows of an index");
		rows.stored = palloc(check->shape.encoded_bytes);
		qsort(check->rows, check->row_count, sizeof(FrCheckedRow),
			  compare_rows);
		check_duplicates(check);
	}
	rows.row_context = AllocSetContextCreate(
		CurrentMemoryContext, "faceindex check", ALLOCSET_DEFAULT_SIZES);
	scan_table(&rows);
	if (check->heap->rd_tableam == GetHeapamTableAmRoutine())
		for (uint64 i = 0; i < check->row_count; i++)
			if (!check->rows[i].is_seen)
				check_line_pointer(check, &check->rows[i]);
}
