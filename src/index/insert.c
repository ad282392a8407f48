/*
 * insert.c: adding a row.
 *
 * The list whose centroid is nearest takes the row: a free slot on the page
 * that the routing points at, or on one to its right, or on a new page at the
 * end of the chain.  Code, re-rank code and whatever new pages they need go
 * into one WAL record, so there is no state in between.
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "index/row.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"

/* A hint that is this many full pages behind is moved. */
#define HINT_WALK 8

/* After each so many pages an insert asks itself whether it walks in a
 * circle. */
#define LONG_WALK 1024

/* What one statement keeps between its rows. */
typedef struct InsertCache
{
	FrRowEncoder encoder;
	MemoryContext row_context;
} InsertCache;

/* A row on its way into a list. */
typedef struct Insertion
{
	Relation index;
	const FrStoredEmbedding *embedding;
	const ItemPointerData *tid;
	InsertCache *cache;
	MemoryContext context; /* of the statement */
	FrRouting *routing;
	FrRowEncoder *encoder; /* has the rotated and the encoded row */
	uint32 list;
	FrFilterValues filters;
	bool has_list_lock; /* share lock of the list: nobody copies it */
	int stale_tries;	/* that met a page which is not of the list */
} Insertion;

/* ---- the routing -------------------------------------------------------- */

static bool
fits(const FrMetaPage *meta, const FrStoredEmbedding *embedding)
{
	return meta->dims == embedding->dims &&
		   (embedding->fingerprint == 0 ||
			embedding->fingerprint == meta->fingerprint);
}

/* The routing of an index that has learned from this row what there is to
 * learn; ERROR if the row does not fit. */
static FrRouting *
prepare_routing(Relation index, const FrStoredEmbedding *embedding)
{
	FrRouting *routing = fr_index_routing(index, false);

	/* Others may have learned since, or VACUUM forgotten; also what this row
	 * has taught. */
	while (unlikely(!routing || !fits(&routing->meta, embedding)))
	{
		CHECK_FOR_INTERRUPTS();
		routing = fr_index_routing(index, true);
		if (routing && fits(&routing->meta, embedding))
			break;
		if (routing)
			fr_row_check_model(index, routing->meta.fingerprint,
							   routing->meta.dims, embedding);
		fr_index_learn_model(index, embedding);
	}
	return routing;
}

/* The encoder of the statement, which is for the shape of one model. */
static FrRowEncoder *
get_encoder(InsertCache *cache, MemoryContext context, const FrRouting *routing)
{
	FrRowEncoder *encoder = &cache->encoder;

	if (!encoder->encoded || encoder->shape.dims != routing->shape.dims)
	{
		MemoryContext caller = MemoryContextSwitchTo(context);

		fr_row_encoder_init(encoder, &routing->shape, routing->meta.seed);
		MemoryContextSwitchTo(caller);
	}
	return encoder;
}

/* Learn where rows go at present, and rotate this one. */
static void
route_row(Insertion *row)
{
	row->routing = prepare_routing(row->index, row->embedding);
	row->encoder = get_encoder(row->cache, row->context, row->routing);
	fr_row_rotate(row->encoder, row->embedding, row->encoder->rotated);
}

/* ---- places ------------------------------------------------------------- */

/* The first free slot of a page that has one. */
static uint32
find_free_slot(Page page, const FrSearchShape *shape)
{
	uint32 used = fr_code_blocks_used(page, shape);

	for (uint32 block = 0; block < used; block++)
	{
		uint32 live = fr_block_live(shape, fr_code_block(page, shape, block));
		uint32 free = ~live;

		if (free != 0)
			return block * FR_SEARCH_BLOCK + pg_rightmost_one_pos32(free);
	}
	return used * FR_SEARCH_BLOCK;
}

/* Lock the re-rank page of a slot; a new one when there is none yet. */
static Buffer
lock_rerank_page(const Insertion *row, Buffer code_buffer, uint32 slot,
				 bool *is_new)
{
	Page code = BufferGetPage(code_buffer);
	BlockNumber code_block = BufferGetBlockNumber(code_buffer);
	uint32 number = slot / row->routing->shape.rerank_per_page;
	BlockNumber block = FrPageGetCodeHeader(code)->rerank[number];
	uint32 generation = FrPageGetSpecial(code)->generation;
	Buffer buffer;

	*is_new = block == InvalidBlockNumber;
	if (*is_new)
		return fr_index_new_buffer(row->index);
	/* Not to wait for a lock of our own. */
	if (block == code_block)
		fr_index_corrupt(row->index, "Block %u is its own re-rank page.",
						 block);
	buffer = fr_index_pin(row->index, block);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	if (!fr_page_is(BufferGetPage(buffer), FR_PAGE_RERANK, row->list,
					generation))
		fr_index_corrupt(row->index,
						 "Block %u is not a re-rank page of list %u.", block,
						 row->list);
	return buffer;
}

/* Put the row onto a code page that has room; registered = its writable
 * image in record. */
static void
put_row(const Insertion *row, GenericXLogState *record, Page code, uint32 slot,
		Buffer rerank_buffer, bool is_new_rerank)
{
	const FrSearchShape *shape = &row->routing->shape;
	Page rerank = GenericXLogRegisterBuffer(
		record, rerank_buffer, is_new_rerank ? GENERIC_XLOG_FULL_IMAGE : 0);

	if (is_new_rerank)
	{
		fr_page_init(rerank, FR_PAGE_RERANK, row->list,
					 FrPageGetSpecial(code)->generation);
		FrPageGetCodeHeader(code)->rerank[slot / shape->rerank_per_page] =
			BufferGetBlockNumber(rerank_buffer);
	}
	FrPageGetSpecial(code)->flags &= ~FR_PAGE_CLOSED;
	fr_row_put(shape, code, rerank, slot, row->encoder->encoded, row->tid,
			   &row->filters);
}

/* Use a free slot of a locked code page. */
static void
fill_slot(const Insertion *row, Buffer code_buffer)
{
	Page page = BufferGetPage(code_buffer);
	uint32 slot = find_free_slot(page, &row->routing->shape);
	bool is_new_rerank;
	Buffer rerank_buffer;
	GenericXLogState *record;

	if (slot >= row->routing->shape.slots_per_page)
		fr_index_corrupt(row->index,
						 "Block %u has fewer free slots than it says.",
						 BufferGetBlockNumber(code_buffer));
	rerank_buffer = lock_rerank_page(row, code_buffer, slot, &is_new_rerank);
	record = GenericXLogStart(row->index);
	put_row(row, record, GenericXLogRegisterBuffer(record, code_buffer, 0),
			slot, rerank_buffer, is_new_rerank);
	GenericXLogFinish(record);
	UnlockReleaseBuffer(rerank_buffer);
}

/* Add a code page behind the locked last one of the chain, with the row on
 * it; returns its number. */
static BlockNumber
append_page(const Insertion *row, Buffer tail_buffer)
{
	const FrSearchShape *shape = &row->routing->shape;
	uint32 generation =
		FrPageGetSpecial(BufferGetPage(tail_buffer))->generation;
	Buffer code_buffer = fr_index_new_buffer(row->index);
	Buffer rerank_buffer = fr_index_new_buffer(row->index);
	BlockNumber block = BufferGetBlockNumber(code_buffer);
	GenericXLogState *record = GenericXLogStart(row->index);
	Page tail = GenericXLogRegisterBuffer(record, tail_buffer, 0);
	Page code =
		GenericXLogRegisterBuffer(record, code_buffer, GENERIC_XLOG_FULL_IMAGE);

	FrPageGetCodeHeader(tail)->next = block;
	FrPageGetSpecial(tail)->flags &= ~FR_PAGE_CLOSED;
	fr_code_page_init(code, shape, row->list, generation);
	put_row(row, record, code, 0, rerank_buffer, true);
	GenericXLogFinish(record);
	UnlockReleaseBuffer(rerank_buffer);
	UnlockReleaseBuffer(code_buffer);
	return block;
}

/* ---- walking right ------------------------------------------------------ */

/* Remember where there is room, for everybody. */
static void
move_hint(const Insertion *row, BlockNumber block, uint32 generation)
{
	FrRoutingEntry *entry;
	Buffer buffer =
		fr_index_lock_routing_entry(row->index, &row->routing->meta,
									&row->routing->shape, row->list, &entry);

	if (!BufferIsValid(buffer))
		return;
	if (entry->generation == generation && entry->insert_page != block)
	{
		GenericXLogState *record = GenericXLogStart(row->index);
		Page page = GenericXLogRegisterBuffer(record, buffer, 0);
		Size offset = (char *) entry - (char *) BufferGetPage(buffer);

		((FrRoutingEntry *) ((char *) page + offset))->insert_page = block;
		GenericXLogFinish(record);
	}
	UnlockReleaseBuffer(buffer);
}

typedef enum Outcome
{
	DONE,
	FULL,  /* go right */
	STALE, /* the page is not of this chain: read the routing again */
	CLOSED /* the chain is being copied */
} Outcome;

/* Try one page; *next is the page to the right, or the new page. */
static Outcome
try_page(const Insertion *row, BlockNumber block, uint32 generation,
		 BlockNumber *next)
{
	Buffer buffer = fr_index_pin(row->index, block);
	Page page = BufferGetPage(buffer);
	Outcome outcome = DONE;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	*next = InvalidBlockNumber;
	if (!fr_page_is(page, FR_PAGE_CODE, row->list, generation))
		outcome = STALE;
	else if ((FrPageGetSpecial(page)->flags & FR_PAGE_CLOSED) &&
			 !row->has_list_lock)
		outcome = CLOSED;
	else if (FrPageGetCodeHeader(page)->live <
			 row->routing->shape.slots_per_page)
		fill_slot(row, buffer);
	else
	{
		*next = FrPageGetCodeHeader(page)->next;
		if (*next == InvalidBlockNumber)
			*next = append_page(row, buffer);
		else
			outcome = FULL;
	}
	UnlockReleaseBuffer(buffer);
	return outcome;
}

/* Walk right from the routing's hint until the row is in. */
static Outcome
walk_right(const Insertion *row)
{
	FrRoutingEntry *entry = fr_routing_list(row->routing, row->list);
	uint32 generation = entry->generation;
	BlockNumber block = entry->insert_page;
	BlockNumber next;
	Outcome outcome;
	uint32 steps = 0;

	while ((outcome = try_page(row, block, generation, &next)) == FULL)
	{
		CHECK_FOR_INTERRUPTS();
		block = next;
		if (++steps % LONG_WALK == 0 &&
			steps > RelationGetNumberOfBlocks(row->index))
			fr_index_corrupt(row->index, "The chain of list %u has no end.",
							 row->list);
	}
	if (outcome != DONE)
		return outcome;
	if (next != InvalidBlockNumber)
		block = next;
	entry->insert_page = block;
	if (next != InvalidBlockNumber || steps > HINT_WALK || row->stale_tries > 0)
		move_hint(row, block, generation);
	return DONE;
}

static uint32
nearest_list(const FrRouting *routing, const FrKernels *kernels,
			 const float *rotated)
{
	const FrCentroid *centroid = fr_routing_centroid(routing, 0);
	uint32 nearest = 0;
	float best = 0;

	for (uint32 list = 0; list < routing->meta.list_count; list++)
	{
		centroid = fr_routing_centroid(routing, list);

		float score = fr_centroid_score(
			centroid,
			fr_centroid_dot(&routing->shape, kernels, centroid, rotated));

		if (list == 0 || score > best)
		{
			nearest = list;
			best = score;
		}
	}
	return nearest;
}

/* Encode the row for the list that is nearest by the present routing. */
static void
choose_list(Insertion *row)
{
	FrRowEncoder *encoder = row->encoder;

	row->list = nearest_list(row->routing, encoder->kernels, encoder->rotated);
	fr_code_encode(&encoder->shape, encoder->kernels, encoder->rotated,
				   fr_routing_centroid(row->routing, row->list),
				   encoder->encoded);
}

/*
 * VACUUM is copying the chain: wait for the end of that.  When it has died at
 * it, the chain is as good as before, and our share lock keeps the next VACUUM
 * from copying it before the row is in.
 */
static void
wait_for_copy(Insertion *row)
{
	uint32 generation = fr_routing_list(row->routing, row->list)->generation;

	fr_list_lock(row->index, row->list, ShareLock);
	fr_index_forget(row->index);
	route_row(row);
	if (fr_routing_list(row->routing, row->list)->generation == generation)
	{
		row->has_list_lock = true;
		return;
	}
	fr_list_unlock(row->index, row->list, ShareLock);
	choose_list(row);
}

/*
 * The page is not of the list: usually because the routing that led there is
 * old.  If it is not, the hint is wrong, and without it the way begins at the
 * first page.
 */
static void
read_routing_again(Insertion *row)
{
	uint32 generation = fr_routing_list(row->routing, row->list)->generation;
	FrRoutingEntry *entry;

	fr_index_forget(row->index);
	route_row(row);
	entry = fr_routing_list(row->routing, row->list);
	if (entry->generation != generation)
		row->stale_tries = 0;
	else if (++row->stale_tries > 2)
		fr_index_corrupt(row->index, "A page is not of list %u, which has it.",
						 row->list);
	else
		entry->insert_page = entry->first;
	choose_list(row);
}

static void
unlock_list(Insertion *row)
{
	if (row->has_list_lock)
		fr_list_unlock(row->index, row->list, ShareLock);
	row->has_list_lock = false;
}

static void
add_row(Insertion *row)
{
	Outcome outcome;

	route_row(row);
	choose_list(row);
	while ((outcome = walk_right(row)) != DONE)
	{
		CHECK_FOR_INTERRUPTS();
		unlock_list(row);
		if (outcome == CLOSED)
			wait_for_copy(row);
		else
			read_routing_again(row);
	}
	unlock_list(row);
}

/* ---- callback ----------------------------------------------------------- */

static InsertCache *
get_cache(IndexInfo *info)
{
	InsertCache *cache = info->ii_AmCache;

	if (!cache)
	{
		cache = MemoryContextAllocZero(info->ii_Context, sizeof *cache);
		cache->row_context = AllocSetContextCreate(
			info->ii_Context, "faceindex insert", ALLOCSET_SMALL_SIZES);
		info->ii_AmCache = cache;
	}
	return cache;
}

bool
fr_index_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid,
				Relation heap, IndexUniqueCheck check_unique,
				bool index_unchanged, IndexInfo *info)
{
	Insertion row = {.index = index, .tid = tid, .context = info->ii_Context};
	MemoryContext caller;

	if (isnull[FR_EMBEDDING_COLUMN])
		return false;
	row.cache = get_cache(info);
	caller = MemoryContextSwitchTo(row.cache->row_context);
	row.embedding = fr_row_embedding(values[FR_EMBEDDING_COLUMN]);
	fr_row_filters(index, values, isnull, &row.filters);
	add_row(&row);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(row.cache->row_context);
	return false;
}
