/*
 * vacuum.c: removing dead rows.
 *
 * One pass over the index in the order of its blocks, reading code pages and
 * whatever else it does not know: re-rank pages are skipped unless they hold
 * a dead row.  Codes of dead rows are overwritten by zeros, for a face that
 * was deleted must be gone.  Live rows are never moved inside a chain, since
 * a scan that has passed the target and not the source would miss them; lists
 * that became sparse are copied (compact.c).
 */
#include "postgres.h"

#include "commands/vacuum.h"

#include "access/generic_xlog.h"
#include "access/table.h"
#include "commands/progress.h"
#include "index/row.h"
#include "index/vacuum.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/pg_bitutils.h"
#include "storage/indexfsm.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Lists with a larger share of free slots are rewritten, if that saves a
 * page. */
#define SPARSE_SHARE 0.25

/* Compaction may let the index grow by this share of its pages, and by so many
 * pages in any case, where no free ones are left to use. */
#define GROWTH_SHARE 0.125
#define GROWTH_PAGES 128

/* Re-rank pages in a record, beside their code page. */
#define RERANK_PER_RECORD (MAX_GENERIC_XLOG_PAGES - 1)

/* What the pass remembers of a code page. */
typedef struct CodePage
{
	BlockNumber block, next;
	uint32 list;
	uint32 live;
} CodePage;

typedef struct Vacuum
{
	Relation index;
	IndexVacuumInfo *info;
	IndexBulkDeleteResult *stats;
	IndexBulkDeleteCallback callback; /* NULL: only look */
	void *callback_state;
	FrMetaPage meta;
	FrSearchShape shape;
	FrVacuumList *lists; /* [list_count] */
	CodePage *pages;	 /* of living chains, by rising block */
	uint32 page_count, page_capacity;
	uint8 *is_rerank; /* bit per block: re-rank page of a living chain */
	BlockNumber blocks;
	BlockNumber retired; /* pages that wait for their horizon */
	Relation heap;		 /* whose snapshots they wait for */
	FrRecycler recycler;
	int64 free_pages; /* that compaction may use */
} Vacuum;

/* ---- dead rows ---------------------------------------------------------- */

/* Bit v: slot v of a block holds a row that is dead. */
static uint32
find_dead(const Vacuum *vacuum, const uint8 *block)
{
	uint32 live = fr_block_live(&vacuum->shape, block);
	uint32 dead = 0;

	for (uint32 rest = live; rest != 0; rest &= rest - 1)
	{
		uint32 slot = pg_rightmost_one_pos32(rest);
		ItemPointerData tid =
			fr_row_tid(fr_block_row(&vacuum->shape, block, slot));

		if (vacuum->callback(&tid, vacuum->callback_state))
			dead |= UINT32_C(1) << slot;
	}
	return dead;
}

static bool
has_dead(const Vacuum *vacuum, Page page)
{
	uint32 used = fr_code_blocks_used(page, &vacuum->shape);

	if (!vacuum->callback)
		return false;
	for (uint32 block = 0; block < used; block++)
		if (find_dead(vacuum, fr_code_block(page, &vacuum->shape, block)) != 0)
			return true;
	return false;
}

/* The dead slots of a page, rising. */
static uint32
collect_dead(const Vacuum *vacuum, Page page, uint16 *slots)
{
	uint32 used = fr_code_blocks_used(page, &vacuum->shape);
	uint32 count = 0;

	for (uint32 block = 0; block < used; block++)
	{
		uint32 dead =
			find_dead(vacuum, fr_code_block(page, &vacuum->shape, block));

		for (; dead != 0; dead &= dead - 1)
			slots[count++] = (uint16) (block * FR_SEARCH_BLOCK +
									   pg_rightmost_one_pos32(dead));
	}
	return count;
}

static Buffer
read_rerank(const Vacuum *vacuum, BlockNumber block)
{
	if (block >= RelationGetNumberOfBlocks(vacuum->index))
		fr_index_corrupt(vacuum->index, "Block %u is named, but there is none.",
						 block);
	return ReadBufferExtended(vacuum->index, MAIN_FORKNUM, block, RBM_NORMAL,
							  vacuum->info->strategy);
}

/*
 * Erase slots [count] of a code page and their codes on as many re-rank pages
 * as a record holds; returns how many slots that were.
 */
static uint32
erase_some(const Vacuum *vacuum, Buffer buffer, const uint16 *slots,
		   uint32 count)
{
	const FrSearchShape *shape = &vacuum->shape;
	const FrCodePageHeader *header = FrPageGetCodeHeader(BufferGetPage(buffer));
	uint32 per_page = shape->rerank_per_page;
	Buffer reranks[RERANK_PER_RECORD];
	uint32 rerank_count = 0;
	uint32 done = 0;
	GenericXLogState *record = GenericXLogStart(vacuum->index);
	Page code = GenericXLogRegisterBuffer(record, buffer, 0);

	while (done < count && rerank_count < RERANK_PER_RECORD)
	{
		uint32 number = slots[done] / per_page;
		Buffer rerank_buffer = read_rerank(vacuum, header->rerank[number]);
		Page rerank;

		LockBuffer(rerank_buffer, BUFFER_LOCK_EXCLUSIVE);
		if (!fr_page_is(BufferGetPage(rerank_buffer), FR_PAGE_RERANK,
						FrPageGetSpecial(code)->list,
						FrPageGetSpecial(code)->generation))
			fr_index_corrupt(
				vacuum->index, "Block %u is not a re-rank page of block %u.",
				header->rerank[number], BufferGetBlockNumber(buffer));
		reranks[rerank_count++] = rerank_buffer;
		rerank = GenericXLogRegisterBuffer(record, rerank_buffer, 0);
		for (; done < count && slots[done] / per_page == number; done++)
		{
			fr_block_erase(
				shape,
				fr_code_block(code, shape, slots[done] / FR_SEARCH_BLOCK),
				slots[done] % FR_SEARCH_BLOCK);
			fr_rerank_erase(shape, fr_rerank_area(rerank),
							slots[done] % per_page);
		}
	}
	FrPageGetCodeHeader(code)->live -= done;
	GenericXLogFinish(record);
	while (rerank_count > 0)
		UnlockReleaseBuffer(reranks[--rerank_count]);
	return done;
}

/* Erase the dead rows of a code page that is locked exclusively. */
static void
erase_dead(Vacuum *vacuum, Buffer buffer)
{
	uint16 slots[BLCKSZ / sizeof(FrRowId)];
	uint32 count;
	uint32 list = FrPageGetSpecial(BufferGetPage(buffer))->list;

	fr_index_check_code_page(vacuum->index, &vacuum->shape,
							 BufferGetBlockNumber(buffer),
							 BufferGetPage(buffer));
	count = collect_dead(vacuum, BufferGetPage(buffer), slots);

	for (uint32 done = 0; done < count;)
		done += erase_some(vacuum, buffer, slots + done, count - done);
	vacuum->stats->tuples_removed += count;
	vacuum->lists[list].removed += count;
}

/* ---- pages -------------------------------------------------------------- */

static void
mark_rerank_pages(Vacuum *vacuum, Page page)
{
	const FrCodePageHeader *header = FrPageGetCodeHeader(page);

	for (uint32 i = 0; i < vacuum->shape.rerank_pages; i++)
	{
		BlockNumber block = header->rerank[i];

		if (block < vacuum->blocks)
			vacuum->is_rerank[block / 8] |= 1 << (block % 8);
	}
}

static void
remember_code_page(Vacuum *vacuum, BlockNumber block, Page page)
{
	CodePage *entry;

	if (vacuum->page_count == vacuum->page_capacity)
	{
		vacuum->page_capacity *= 2;
		vacuum->pages = repalloc_huge(vacuum->pages,
									  vacuum->page_capacity * sizeof(CodePage));
	}
	entry = &vacuum->pages[vacuum->page_count++];
	entry->block = block;
	entry->next = FrPageGetCodeHeader(page)->next;
	entry->list = FrPageGetSpecial(page)->list;
	entry->live = FrPageGetCodeHeader(page)->live;
	vacuum->lists[entry->list].rows += entry->live;
	vacuum->lists[entry->list].pages++;
	vacuum->stats->num_index_tuples += entry->live;
}

/* A code page of a living chain, locked in share mode. */
static void
vacuum_code_page(Vacuum *vacuum, Buffer buffer)
{
	Page page = BufferGetPage(buffer);

	fr_index_check_code_page(vacuum->index, &vacuum->shape,
							 BufferGetBlockNumber(buffer), page);
	if (has_dead(vacuum, page))
	{
		/* Rows that come in between are not dead. */
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		erase_dead(vacuum, buffer);
	}
	mark_rerank_pages(vacuum, page);
	remember_code_page(vacuum, BufferGetBlockNumber(buffer), page);
}

/*
 * A page of a chain that is no list's, or of a routing that is not the
 * present one: what was replaced, or was to replace something.  Scans that began before the switch may read
 * it, until their snapshots are gone.
 */
static void
vacuum_old_page(Vacuum *vacuum, Buffer buffer)
{
	uint64 xid;

	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	xid = FrPageGetSpecial(BufferGetPage(buffer))->retired_xid;
	if (xid == 0)
		fr_page_retire(vacuum->index, buffer);
	else if (GlobalVisCheckRemovableFullXid(vacuum->heap,
											FullTransactionIdFromU64(xid)))
	{
		fr_page_free(vacuum->index, buffer);
		vacuum->stats->pages_newly_deleted++;
		vacuum->stats->pages_deleted++;
		vacuum->stats->pages_free++;
		return;
	}
	vacuum->retired++;
	vacuum->stats->pages_deleted++;
}

static void
vacuum_page(Vacuum *vacuum, BlockNumber block)
{
	Buffer buffer = ReadBufferExtended(vacuum->index, MAIN_FORKNUM, block,
									   RBM_NORMAL, vacuum->info->strategy);
	Page page = BufferGetPage(buffer);
	const FrPageSpecial *special;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	fr_index_check_frame(vacuum->index, block, page);
	special = FrPageGetSpecial(page);
	if (fr_page_is_free(page))
	{
		RecordFreeIndexPage(vacuum->index, block);
		vacuum->stats->pages_free++;
		vacuum->stats->pages_deleted++;
	}
	else if (special->kind == FR_PAGE_FREE || special->kind == FR_PAGE_META)
		fr_index_corrupt(vacuum->index, "Block %u is of kind %d, but is not.",
						 block, special->kind);
	else if (special->kind == FR_PAGE_ROUTING)
	{
		if (block - vacuum->meta.routing_first >= vacuum->meta.routing_pages)
			vacuum_old_page(vacuum, buffer);
	}
	else if (special->kind == FR_PAGE_CODE || special->kind == FR_PAGE_RERANK)
	{
		if (special->list >= vacuum->meta.list_count ||
			special->generation != vacuum->lists[special->list].generation)
			vacuum_old_page(vacuum, buffer);
		else if (special->kind == FR_PAGE_CODE)
			vacuum_code_page(vacuum, buffer);
	}
	UnlockReleaseBuffer(buffer);
}

static void
delay(void)
{
#if PG_VERSION_NUM >= 180000
	vacuum_delay_point(false);
#else
	vacuum_delay_point();
#endif
}

static void
report_progress(const Vacuum *vacuum, int what, BlockNumber blocks)
{
	if (vacuum->info->report_progress)
		pgstat_progress_update_param(what, blocks);
}

/*
 * Pages that are added while we go on hold rows that were inserted after the
 * dead ones were collected: none of them is ours.
 */
static void
vacuum_pages(Vacuum *vacuum)
{
	report_progress(vacuum, PROGRESS_SCAN_BLOCKS_TOTAL, vacuum->blocks);
	for (BlockNumber block = FR_INDEX_META_BLOCK + 1; block < vacuum->blocks;
		 block++)
	{
		if (vacuum->is_rerank[block / 8] & (1 << (block % 8)))
			continue;
		delay();
		vacuum_page(vacuum, block);
		report_progress(vacuum, PROGRESS_SCAN_BLOCKS_DONE, block);
	}
}

/* ---- lists -------------------------------------------------------------- */

static int
compare_block(const void *key, const void *entry)
{
	BlockNumber block = *(const BlockNumber *) key;
	BlockNumber other = ((const CodePage *) entry)->block;

	return block < other ? -1 : block > other;
}

/* Find the first page of a list with room, by following its chain through
 * what the pass has seen of it. */
static void
find_room(const Vacuum *vacuum, FrVacuumList *list)
{
	BlockNumber block = list->first;
	uint32 steps = 0;

	list->room = InvalidBlockNumber;
	while (block != InvalidBlockNumber && list->room == InvalidBlockNumber)
	{
		const CodePage *page =
			bsearch(&block, vacuum->pages, vacuum->page_count, sizeof(CodePage),
					compare_block);

		/* Pages that came later are at the end, and damage is for
		 * facerec_index_check to find. */
		if (!page || ++steps > vacuum->page_count)
			break;
		if (page->live < vacuum->shape.slots_per_page)
			list->room = block;
		block = page->next;
	}
}

static uint64
count_needed(const Vacuum *vacuum, const FrVacuumList *list)
{
	uint32 slots = vacuum->shape.slots_per_page;

	return Max((list->rows + slots - 1) / slots, 1);
}

static bool
is_sparse(const Vacuum *vacuum, const FrVacuumList *list)
{
	double capacity = (double) list->pages * vacuum->shape.slots_per_page;

	return count_needed(vacuum, list) < list->pages &&
		   capacity - list->rows > SPARSE_SHARE * capacity;
}

/*
 * Whether there are pages to write a list anew: free ones, if need be those
 * that this VACUUM has replaced.  While scans hold on to those, the index may
 * grow a little; what is left then is for the next VACUUM.
 */
static bool
has_pages_for(Vacuum *vacuum, const FrVacuumList *list)
{
	int64 needed =
		(int64) count_needed(vacuum, list) * (1 + vacuum->shape.rerank_pages);
	int64 growth = (int64) Max(vacuum->blocks * GROWTH_SHARE, GROWTH_PAGES);

	if (needed > vacuum->free_pages)
		vacuum->free_pages += fr_recycler_free(&vacuum->recycler);
	return needed <= vacuum->free_pages + growth - vacuum->retired;
}

/* Tell inserts where slots became free. */
static void
move_insert_page(Vacuum *vacuum, uint32 number)
{
	const FrVacuumList *list = &vacuum->lists[number];
	FrRoutingEntry *entry;
	Buffer buffer;

	if (list->room == InvalidBlockNumber)
		return;
	buffer = fr_index_lock_routing_entry(vacuum->index, &vacuum->meta,
										 &vacuum->shape, number, &entry);
	if (!BufferIsValid(buffer))
		fr_index_corrupt(vacuum->index, "List %u has no routing page.", number);
	if (entry->generation == list->generation &&
		(entry->insert_page != list->room || entry->rows != list->rows))
	{
		Size offset = (char *) entry - (char *) BufferGetPage(buffer);
		GenericXLogState *record = GenericXLogStart(vacuum->index);
		Page page = GenericXLogRegisterBuffer(record, buffer, 0);

		entry = (FrRoutingEntry *) ((char *) page + offset);
		entry->insert_page = list->room;
		entry->rows = (uint32) Min(list->rows, PG_UINT32_MAX);
		GenericXLogFinish(record);
	}
	UnlockReleaseBuffer(buffer);
}

static void
compact_list(Vacuum *vacuum, uint32 number)
{
	const FrVacuumList *list = &vacuum->lists[number];

	vacuum->free_pages -=
		fr_index_compact(vacuum->index, &vacuum->meta, &vacuum->shape, number,
						 list->first, list->generation, &vacuum->recycler);
}

static void
vacuum_lists(Vacuum *vacuum)
{
	vacuum->free_pages = vacuum->stats->pages_free;
	IndexFreeSpaceMapVacuum(vacuum->index);
	for (uint32 number = 0; number < vacuum->meta.list_count; number++)
	{
		FrVacuumList *list = &vacuum->lists[number];

		if (is_sparse(vacuum, list) && has_pages_for(vacuum, list))
		{
			delay();
			compact_list(vacuum, number);
		}
		else if (list->removed > 0)
		{
			find_room(vacuum, list);
			move_insert_page(vacuum, number);
		}
	}
}

/* ---- callbacks ---------------------------------------------------------- */

/* The size of the index, no page of which is between being added and being
 * locked by who added it. */
static BlockNumber
count_blocks(Relation index)
{
	bool is_shared = !RELATION_IS_LOCAL(index);
	BlockNumber blocks;

	if (is_shared)
		LockRelationForExtension(index, ExclusiveLock);
	blocks = RelationGetNumberOfBlocks(index);
	if (is_shared)
		UnlockRelationForExtension(index, ExclusiveLock);
	return blocks;
}

/* False as long as the index has no row. */
static bool
prepare(Vacuum *vacuum)
{
	const FrRouting *routing = fr_index_routing(vacuum->index, true);

	if (!routing)
		return false;
	vacuum->meta = routing->meta;
	vacuum->shape = routing->shape;
	vacuum->lists = palloc0(vacuum->meta.list_count * sizeof(FrVacuumList));
	for (uint32 i = 0; i < vacuum->meta.list_count; i++)
	{
		const FrRoutingEntry *entry = fr_routing_list(routing, i);

		vacuum->lists[i].first = entry->first;
		vacuum->lists[i].generation = entry->generation;
	}
	vacuum->blocks = count_blocks(vacuum->index);
	vacuum->is_rerank = palloc0(vacuum->blocks / 8 + 1);
	fr_recycler_init(&vacuum->recycler, vacuum->index);
	vacuum->page_capacity = 1024;
	vacuum->pages = palloc(vacuum->page_capacity * sizeof(CodePage));
	return true;
}

static IndexBulkDeleteResult *
vacuum_index(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
			 IndexBulkDeleteCallback callback, void *callback_state)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	Vacuum vacuum = {.index = info->index,
					 .info = info,
					 .callback = callback,
					 .callback_state = callback_state};
	uint32 freed;

	if (!stats)
		stats = palloc0(sizeof *stats);
	vacuum.stats = stats;
	stats->num_index_tuples = 0;
	stats->estimated_count = false;
	stats->pages_deleted = 0;
	stats->pages_free = 0;
	context = AllocSetContextCreate(caller, "faceindex vacuum",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	vacuum.heap = table_open(info->index->rd_index->indrelid, AccessShareLock);
	if (prepare(&vacuum))
	{
		vacuum_pages(&vacuum);
		vacuum_lists(&vacuum);
		/* Without a model no VACUUM would find old pages any more. */
		if (stats->num_index_tuples == 0 && vacuum.retired == 0)
			fr_index_forget_model(info->index, &vacuum.recycler);
		else if (stats->num_index_tuples > 0 && !callback)
			fr_index_grow(info->index, stats->num_index_tuples, vacuum.lists,
						  vacuum.meta.list_count, &vacuum.recycler);
		freed = fr_recycler_finish(&vacuum.recycler);
		stats->pages_newly_deleted += freed;
		stats->pages_deleted += freed;
		stats->pages_free += freed;
		IndexFreeSpaceMapVacuum(info->index);
	}
	table_close(vacuum.heap, AccessShareLock);
	stats->num_pages = RelationGetNumberOfBlocks(info->index);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return stats;
}

IndexBulkDeleteResult *
fr_index_bulk_delete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
					 IndexBulkDeleteCallback callback, void *callback_state)
{
	return vacuum_index(info, stats, callback, callback_state);
}

/* Whether the index should have many more lists. */
static bool
has_outgrown_lists(Relation index, double row_count)
{
	const FrRouting *routing = fr_index_routing(index, true);

	return routing && fr_index_option_lists(index) == 0 &&
		   fr_search_list_count(row_count) >=
			   FR_GROWTH * routing->meta.list_count;
}

/*
 * After bulk_delete the index is in order but for the number of its lists.
 * Without it only count, and free what was retired.
 */
IndexBulkDeleteResult *
fr_index_vacuum_cleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	if (info->analyze_only)
		return stats;
	if (!stats)
		return vacuum_index(info, NULL, NULL, NULL);
	if (has_outgrown_lists(info->index, stats->num_index_tuples))
		vacuum_index(info, NULL, NULL, NULL);
	return stats;
}
