/*
 * check.c: facerec_index_check(index, heap): is everything as README says?
 *
 * First all pages are looked at one by one, then the chains are walked; what
 * says that it is of a present chain must be reached then.  In between rows
 * may be inserted, which only adds to chains.  VACUUM is kept out by the
 * lock that it takes itself.
 */
#include "postgres.h"

#include "index/check.h"

#include <stdarg.h>

#include "access/relation.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_authid.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "funcapi.h"
#include "index/inspect.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_facerec_index_check);

/* A damaged index has more of them than anybody reads. */
#define PROBLEMS_MAX 1000

void
fr_check_complain(FrCheck *check, BlockNumber block, const char *format, ...)
{
	char message[256];
	va_list arguments;
	FrProblem *problem;
	MemoryContext caller;

	if (list_length(check->problems) >= PROBLEMS_MAX)
		return;
	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	caller = MemoryContextSwitchTo(check->context);
	problem = palloc(sizeof *problem);
	problem->block = block;
	problem->text = pstrdup(message);
	check->problems = lappend(check->problems, problem);
	MemoryContextSwitchTo(caller);
}

static void
set_bit(uint8 *bits, BlockNumber block)
{
	bits[block / 8] |= 1 << (block % 8);
}

static bool
get_bit(const uint8 *bits, BlockNumber block)
{
	return bits[block / 8] & (1 << (block % 8));
}

/* ---- pages one by one --------------------------------------------------- */

/* Header and special area; false when the rest makes no sense. */
static bool
check_page_frame(FrCheck *check, BlockNumber block, Page page)
{
	const PageHeader header = (PageHeader) page;
	const FrPageSpecial *special;

	if (PageGetSpecialSize(page) != FR_PAGE_SPECIAL_BYTES ||
		header->pd_lower < MAXALIGN(SizeOfPageHeaderData) ||
		header->pd_lower > header->pd_upper ||
		header->pd_upper != header->pd_special)
	{
		fr_check_complain(
			check, block, "page header: lower %u, upper %u, special %u",
			header->pd_lower, header->pd_upper, header->pd_special);
		return false;
	}
	special = FrPageGetSpecial(page);
	if (special->page_id != FR_PAGE_ID || special->format != FR_INDEX_FORMAT ||
		special->kind < FR_PAGE_FREE || special->kind > FR_PAGE_RERANK)
	{
		fr_check_complain(check, block,
						  "special area: id %04x, format %u, kind %u",
						  special->page_id, special->format, special->kind);
		return false;
	}
	return true;
}

static void
check_kind(FrCheck *check, BlockNumber block, Page page)
{
	const FrPageSpecial *special = FrPageGetSpecial(page);
	BlockNumber first = check->meta.routing_first;
	bool is_routing =
		block >= first && block < first + check->meta.routing_pages;

	if ((special->kind == FR_PAGE_META) != (block == FR_INDEX_META_BLOCK))
		fr_check_complain(check, block, "kind %u in this place", special->kind);
	/* There may be old routing pages elsewhere. */
	if (check->meta.dims > 0 && is_routing && special->kind != FR_PAGE_ROUTING)
		fr_check_complain(
			check, block, "kind %u, but routing pages are %u to %u",
			special->kind, first, first + check->meta.routing_pages - 1);
	if (special->kind == FR_PAGE_FREE &&
		((PageHeader) page)->pd_lower != MAXALIGN(SizeOfPageHeaderData))
		fr_check_complain(check, block, "a free page has a content");
	if (special->kind != FR_PAGE_CODE && special->kind != FR_PAGE_RERANK)
		return;
	if (check->routing && special->list < check->meta.list_count &&
		special->generation ==
			fr_routing_list(check->routing, special->list)->generation)
	{
		set_bit(check->living, block);
		if (special->retired_xid != 0)
			fr_check_complain(check, block,
							  "a page of a present chain is retired");
	}
}

static void
check_pages(FrCheck *check)
{
	for (BlockNumber block = 0; block < check->blocks; block++)
	{
		Buffer buffer;

		CHECK_FOR_INTERRUPTS();
		buffer = ReadBuffer(check->index, block);
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		if (!PageIsNew(BufferGetPage(buffer)) &&
			check_page_frame(check, block, BufferGetPage(buffer)))
			check_kind(check, block, BufferGetPage(buffer));
		UnlockReleaseBuffer(buffer);
	}
}

/* ---- chains ------------------------------------------------------------- */

/* Note that a block is part of a chain; false when it cannot be. */
static bool
reach(FrCheck *check, BlockNumber from, BlockNumber block)
{
	if (block >= check->blocks)
	{
		/* The index may have grown since. */
		if (block < RelationGetNumberOfBlocks(check->index))
			return true;
		fr_check_complain(check, from, "block %u is behind the end", block);
		return false;
	}
	if (get_bit(check->reached, block))
	{
		fr_check_complain(check, from, "block %u is reached twice", block);
		return false;
	}
	set_bit(check->reached, block);
	return true;
}

/* A slot and its code on the re-rank page (NULL: there is none). */
static void
check_slot(FrCheck *check, BlockNumber block, Page page, uint32 slot,
		   Page rerank)
{
	const FrSearchShape *shape = &check->shape;
	const uint8 *codes = fr_code_block(page, shape, slot / FR_SEARCH_BLOCK);
	uint32 bit = slot % FR_SEARCH_BLOCK;
	uint32 position = slot % shape->rerank_per_page;
	FrError error = {0};
	ItemPointerData tid;

	if (!(fr_block_live(shape, codes) >> bit & 1))
	{
		if (!fr_block_is_erased(shape, codes, bit))
			fr_check_complain(check, block, "slot %u is free, not erased",
							  slot);
		if (rerank &&
			!fr_rerank_is_erased(shape, fr_rerank_area(rerank), position))
			fr_check_complain(check, block,
							  "slot %u is free, its re-rank code not erased",
							  slot);
		return;
	}
	tid = fr_row_tid(fr_block_row(shape, codes, bit));
	if (fr_block_check(shape, codes, bit, &error) != FR_OK ||
		(rerank &&
		 fr_rerank_check(shape,
						 fr_rerank_at(shape, fr_rerank_area(rerank), position),
						 &error) != FR_OK))
		fr_check_complain(check, block, "slot %u: %s", slot, error.message);
	if (!rerank)
		fr_check_complain(check, block, "slot %u has no re-rank page", slot);
	if (!ItemPointerIsValid(&tid))
		fr_check_complain(check, block, "slot %u has no row", slot);
}

/* The slots whose codes are on re-rank page number of a code page. */
static void
check_slots(FrCheck *check, BlockNumber block, Page page, uint32 number)
{
	const FrSearchShape *shape = &check->shape;
	BlockNumber rerank_block = FrPageGetCodeHeader(page)->rerank[number];
	uint32 first = number * shape->rerank_per_page;
	uint32 end = Min(Min(first + shape->rerank_per_page, shape->slots_per_page),
					 fr_code_blocks_used(page, shape) * FR_SEARCH_BLOCK);
	const FrPageSpecial *special = FrPageGetSpecial(page);
	Buffer buffer = InvalidBuffer;
	PGAlignedBlock copy;
	Page rerank = NULL;

	if (rerank_block != InvalidBlockNumber && reach(check, block, rerank_block))
	{
		buffer = ReadBuffer(check->index, rerank_block);
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		/* Behind pd_lower there is nothing, though the page may differ. */
		memset(copy.data, 0, BLCKSZ);
		memcpy(copy.data, BufferGetPage(buffer),
			   Min(((PageHeader) BufferGetPage(buffer))->pd_lower, BLCKSZ));
		rerank = copy.data;
		if (!fr_page_is(BufferGetPage(buffer), FR_PAGE_RERANK, special->list,
						special->generation))
		{
			fr_check_complain(check, rerank_block,
							  "not a re-rank page of block %u", block);
			rerank = NULL;
		}
		UnlockReleaseBuffer(buffer);
	}
	for (uint32 slot = first; slot < end; slot++)
		check_slot(check, block, page, slot, rerank);
}

static void
collect_row(FrCheck *check, BlockNumber block, Page page, uint32 slot)
{
	const uint8 *codes =
		fr_code_block(page, &check->shape, slot / FR_SEARCH_BLOCK);
	FrCheckedRow *row;
	ItemPointerData tid;

	if (!(fr_block_live(&check->shape, codes) >> (slot % FR_SEARCH_BLOCK) & 1))
		return;
	if (check->row_count == check->row_capacity)
	{
		check->row_capacity *= 2;
		check->rows = repalloc_huge(check->rows,
									check->row_capacity * sizeof(FrCheckedRow));
	}
	tid =
		fr_row_tid(fr_block_row(&check->shape, codes, slot % FR_SEARCH_BLOCK));
	row = &check->rows[check->row_count++];
	row->tid = (uint64) ItemPointerGetBlockNumberNoCheck(&tid) << 16 |
			   ItemPointerGetOffsetNumberNoCheck(&tid);
	row->block = block;
	row->slot = (uint16) slot;
	row->is_seen = false;
}

static void
check_code_page(FrCheck *check, BlockNumber block, Page page)
{
	const FrSearchShape *shape = &check->shape;
	Size used = ((PageHeader) page)->pd_lower - fr_code_blocks_offset(shape);
	uint32 slots = fr_code_blocks_used(page, shape) * FR_SEARCH_BLOCK;
	uint32 live = 0;

	if (((PageHeader) page)->pd_lower < fr_code_blocks_offset(shape) ||
		used % shape->block_bytes != 0 ||
		used / shape->block_bytes > shape->blocks_per_page)
	{
		fr_check_complain(check, block, "lower %u is not the end of a block",
						  ((PageHeader) page)->pd_lower);
		return;
	}
	for (uint32 slot = 0; slot < slots; slot += FR_SEARCH_BLOCK)
		live += pg_popcount32(fr_block_live(
			shape, fr_code_block(page, shape, slot / FR_SEARCH_BLOCK)));
	if (live != FrPageGetCodeHeader(page)->live)
		fr_check_complain(check, block, "%u rows, but the header says %u", live,
						  FrPageGetCodeHeader(page)->live);
	for (uint32 slot = shape->slots_per_page; slot < slots; slot++)
		if (!fr_block_is_erased(
				shape, fr_code_block(page, shape, slot / FR_SEARCH_BLOCK),
				slot % FR_SEARCH_BLOCK))
			fr_check_complain(check, block, "slot %u is beyond the last one",
							  slot);
	for (uint32 i = 0; i < shape->rerank_pages; i++)
		check_slots(check, block, page, i);
	if (check->rows)
		for (uint32 slot = 0; slot < Min(slots, shape->slots_per_page); slot++)
			collect_row(check, block, page, slot);
}

/* Check one page of a chain; returns the next. */
static BlockNumber
check_link(FrCheck *check, uint32 list, uint32 generation, BlockNumber block)
{
	Buffer buffer = ReadBuffer(check->index, block);
	BlockNumber next = InvalidBlockNumber;
	Page page = BufferGetPage(buffer);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!fr_page_is(page, FR_PAGE_CODE, list, generation))
		fr_check_complain(check, block, "not a code page of list %u", list);
	else
	{
		check_code_page(check, block, page);
		next = FrPageGetCodeHeader(page)->next;
	}
	UnlockReleaseBuffer(buffer);
	return next;
}

static void
check_list(FrCheck *check, uint32 list)
{
	const FrRoutingEntry *entry = fr_routing_list(check->routing, list);
	BlockNumber block = entry->first;
	BlockNumber from = check->meta.routing_first;
	bool has_insert_page = false;
	FrError error = {0};

	if (fr_centroid_check(&check->shape,
						  fr_routing_centroid(check->routing, list),
						  &error) != FR_OK)
		fr_check_complain(check, from, "list %u: %s", list, error.message);
	if (entry->generation > check->meta.generation)
		fr_check_complain(check, from, "list %u has a generation of the future",
						  list);
	while (block != InvalidBlockNumber && reach(check, from, block))
	{
		CHECK_FOR_INTERRUPTS();
		has_insert_page |= block == entry->insert_page;
		from = block;
		block = check_link(check, list, entry->generation, block);
	}
	if (!has_insert_page)
		fr_check_complain(check, entry->first,
						  "inserts into list %u go to block %u, which is not "
						  "of its chain",
						  list, entry->insert_page);
}

static void
check_unreached(FrCheck *check)
{
	for (BlockNumber block = 0; block < check->blocks; block++)
		if (get_bit(check->living, block) && !get_bit(check->reached, block))
			fr_check_complain(check, block, "no chain has this page");
}

/* ---- the function ------------------------------------------------------- */

static void
prepare(FrCheck *check, bool with_heap)
{
	FrRouting *routing = fr_index_routing(check->index, true);
	Size bytes;

	if (!routing)
	{
		fr_index_read_meta(check->index, &check->meta);
		check->blocks = RelationGetNumberOfBlocks(check->index);
		return;
	}
	bytes = offsetof(FrRouting, entries) +
			routing->meta.list_count * routing->entry_bytes;
	check->routing = MemoryContextAllocHuge(CurrentMemoryContext, bytes);
	memcpy(check->routing, routing, bytes);
	check->meta = routing->meta;
	check->shape = routing->shape;
	check->blocks = RelationGetNumberOfBlocks(check->index);
	check->reached = palloc0(check->blocks / 8 + 1);
	check->living = palloc0(check->blocks / 8 + 1);
	if (with_heap)
	{
		check->row_capacity = 1024;
		check->rows = palloc(check->row_capacity * sizeof(FrCheckedRow));
	}
}

static List *
check_index(Relation heap, Relation index, bool with_heap)
{
	FrCheck check = {
		.heap = heap, .index = index, .context = CurrentMemoryContext};

	/* The cached routing may be of other insert pages. */
	fr_index_forget(index);
	/* Not that of a transaction that is older than the index. */
	if (with_heap)
		PushActiveSnapshot(GetLatestSnapshot());
	prepare(&check, with_heap);
	check_pages(&check);
	if (check.routing)
	{
		for (uint32 list = 0; list < check.meta.list_count; list++)
			check_list(&check, list);
		check_unreached(&check);
	}
	if (with_heap)
	{
		fr_check_rows(&check);
		PopActiveSnapshot();
	}
	return check.problems;
}

/* Expressions of an index are its owner's code: run them as the owner, and not
 * with the rights of who wants to know. */
static List *
check_as_owner(Relation heap, Relation index, bool with_heap)
{
	List *problems;
	Oid user;
	int security;
	int nest_level;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(heap->rd_rel->relowner,
						   security | SECURITY_RESTRICTED_OPERATION);
	nest_level = NewGUCNestLevel();
#if PG_VERSION_NUM >= 170000
	RestrictSearchPath();
#endif
	problems = check_index(heap, index, with_heap);
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(user, security);
	return problems;
}

static List *
open_and_check(Oid oid, bool with_heap)
{
	/* The lock of VACUUM, except where a standby allows none. */
	LOCKMODE lock =
		RecoveryInProgress() ? AccessShareLock : ShareUpdateExclusiveLock;
	Relation heap;
	Relation index = fr_inspect_open(oid, lock, &heap);
	List *problems = check_as_owner(heap, index, with_heap);

	fr_inspect_close(index, heap, lock);
	return problems;
}

/* facerec_index_check(index, heap) -> (block, problem)* */
Datum
facerec_facerec_index_check(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;
	List *problems;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext caller;

		context = SRF_FIRSTCALL_INIT();
		caller = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &context->tuple_desc) !=
			TYPEFUNC_COMPOSITE)
			elog(ERROR, "facerec_index_check does not return a row");
		context->user_fctx =
			open_and_check(PG_GETARG_OID(0), PG_GETARG_BOOL(1));
		MemoryContextSwitchTo(caller);
	}
	context = SRF_PERCALL_SETUP();
	problems = context->user_fctx;
	if (context->call_cntr >= (uint64) list_length(problems))
		SRF_RETURN_DONE(context);

	const FrProblem *problem = list_nth(problems, (int) context->call_cntr);
	Datum values[] = {Int64GetDatum((int64) problem->block),
					  CStringGetTextDatum(problem->text)};
	bool nulls[] = {problem->block == InvalidBlockNumber, false};

	SRF_RETURN_NEXT(context, HeapTupleGetDatum(heap_form_tuple(
								 context->tuple_desc, values, nulls)));
}
