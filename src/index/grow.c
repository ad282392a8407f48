/*
 * grow.c: more lists for an index that has outgrown those of its build.
 *
 * A list that became long is split: a sample of its rows, read from the
 * table, is clustered anew, then every row is read, encoded against its new
 * centroid and written to one of several new chains.  The steps are those of
 * compact.c: new chains of a new generation, which nothing points at; a short
 * time in which inserts into this list wait, for the rows that came meanwhile;
 * one record that switches; old pages that are recycled.
 *
 * New lists get the numbers behind the present ones.  Their routing entries
 * are written before the record that raises the number of lists, so nobody
 * reads them half done; the routing gets spare pages for them first.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/generic_xlog.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "core/search/kmeans.h"
#include "core/search/search_query.h"
#include "executor/executor.h"
#include "index/chain.h"
#include "index/vacuum.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* A list is long when it has this many times the rows that it should. */
#define LONG_LIST 2

/* A split writes that many chains at most; the next VACUUM goes on. */
#define PARTS_MAX 512

/* Tries to get pages side by side, while others extend the index too. */
#define EXTEND_TRIES 20

/* ---- rows of the table -------------------------------------------------- */

/* Reads rows of the table as the index has them. */
typedef struct RowSource
{
	Relation index;
	Relation heap;
	IndexInfo *info;
	IndexFetchTableData *fetch;
	TupleTableSlot *slot;
	EState *estate;
	SnapshotData snapshot;
	FrRowEncoder encoder;
	FrAllocator allocator;
	FrSearchQuery query;
	MemoryContext row_context;
	BlockNumber heap_blocks;  /* at least so many */
	FrCentroid *any_centroid; /* to encode what does not depend on it */
} RowSource;

static void
open_source(RowSource *source, Relation index, const FrMetaPage *meta,
			const FrSearchShape *shape)
{
	FrError error = {0};

	source->heap_blocks = 0;
	source->any_centroid = palloc0(shape->centroid_bytes);
	source->index = index;
	source->heap = table_open(index->rd_index->indrelid, AccessShareLock);
	source->info = BuildIndexInfo(index);
	source->fetch = table_index_fetch_begin(source->heap);
	source->slot = table_slot_create(source->heap, NULL);
	source->estate = CreateExecutorState();
	GetPerTupleExprContext(source->estate)->ecxt_scantuple = source->slot;
	InitNonVacuumableSnapshot(source->snapshot, GlobalVisTestFor(source->heap));
	fr_row_encoder_init(&source->encoder, shape, meta->seed);
	source->allocator = fr_index_host->allocator(CurrentMemoryContext);
	fr_index_check_status(fr_search_query_init(&source->query,
											   &source->encoder.shape,
											   source->encoder.kernels,
											   &source->allocator, &error),
						  &error, "could not prepare to split a list");
	source->row_context = AllocSetContextCreate(
		CurrentMemoryContext, "faceindex row", ALLOCSET_DEFAULT_SIZES);
}

static void
close_source(RowSource *source)
{
	FreeExecutorState(source->estate);
	ExecDropSingleTupleTableSlot(source->slot);
	table_index_fetch_end(source->fetch);
	table_close(source->heap, AccessShareLock);
}

typedef enum Likeness
{
	OTHER,
	SIMILAR, /* as near as its re-rank code lets us know */
	SAME
} Likeness;

/* Whether a re-rank code is that of the rotated embedding, bit by bit. */
static bool
is_code_of(RowSource *source, const uint8 *rerank)
{
	FrRowEncoder *encoder = &source->encoder;

	fr_code_encode(&encoder->shape, encoder->kernels, encoder->rotated,
				   source->any_centroid, encoder->encoded);
	return memcmp(fr_encoded_rerank(&encoder->shape, encoder->encoded), rerank,
				  encoder->shape.rerank_bytes) == 0;
}

/* Rotate the embedding of the version in the slot, into the encoder, and
 * compare it with what a re-rank code was made of. */
static Likeness
rotate_version(RowSource *source, const uint8 *rerank)
{
	Datum values[INDEX_MAX_KEYS];
	bool isnull[INDEX_MAX_KEYS];
	const FrStoredEmbedding *embedding;
	MemoryContext caller = MemoryContextSwitchTo(source->row_context);
	Likeness likeness = OTHER;

	FormIndexDatum(source->info, source->slot, source->estate, values, isnull);
	if (!isnull[FR_EMBEDDING_COLUMN])
	{
		embedding = fr_row_embedding(values[FR_EMBEDDING_COLUMN]);
		if (embedding->dims == source->encoder.shape.dims)
		{
			fr_row_rotate(&source->encoder, embedding, source->encoder.rotated);
			fr_search_query_set_rotated(&source->query,
										source->encoder.rotated);
			if (is_code_of(source, rerank))
				likeness = SAME;
			else if (fr_search_rerank(&source->query, rerank).bound >=
					 1.0f - FR_SEARCH_ROUNDING)
				likeness = SIMILAR;
		}
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(source->row_context);
	ResetPerTupleExprContext(source->estate);
	return likeness;
}

typedef enum Fetched
{
	FETCHED,
	GONE,	/* dead for everybody here: the next VACUUM will ask for it */
	UNCLEAR /* there are versions, but none that the code belongs to */
} Fetched;

/*
 * Read the row of an index entry.  All versions behind one item pointer have
 * the same embedding, but for versions from before the index was made; hence
 * the comparison with the code.  If none has this very code, which another
 * instruction set might have made, the last one that is near it counts.
 */
static Fetched
fetch_row(RowSource *source, const FrChainRow *row, float *rotated)
{
	ItemPointerData tid = row->tid;
	Fetched fetched = GONE;
	bool call_again = false;
	bool is_all_dead = false;

	fr_row_check_tid(source->index, source->heap, &tid, &source->heap_blocks);
	do
	{
		if (!table_index_fetch_tuple(source->fetch, &tid, &source->snapshot,
									 source->slot, &call_again, &is_all_dead))
			break;

		Likeness likeness = rotate_version(source, row->rerank);

		if (likeness != OTHER)
		{
			memcpy(rotated, source->encoder.rotated,
				   source->encoder.shape.padded * sizeof(float));
			fetched = FETCHED;
		}
		else if (fetched == GONE)
			fetched = UNCLEAR;
		if (likeness == SAME)
			break;
	} while (call_again);
	return fetched;
}

/* ---- a split ------------------------------------------------------------ */

typedef struct Split
{
	RowSource *source;
	const FrSearchShape *shape;
	uint32 list;
	BlockNumber first;
	uint32 generation;
	uint32 part_count;
	char *centroids;		/* [part_count, centroid_bytes] */
	FrChainWriter *writers; /* [part_count] */
	FrAllocator allocator;
	FrAssigner *assigner;

	/* rows that wait to be assigned, each [FR_ASSIGN_ROWS] */
	int count;
	float *rotated;	  /* [padded] */
	uint8 *reranks;	  /* [rerank_bytes] */
	bool *is_decoded; /* from the re-rank code, as the table does not have it */
	ItemPointerData *tids;
	FrFilterValues *filters;
} Split;

static const FrCentroid *
part_centroid(const Split *split, uint32 part)
{
	return (const FrCentroid *) (split->centroids +
								 part * (Size) split->shape->centroid_bytes);
}

/* Every n-th row of the list; returns how many were read. */
static uint32
read_sample(Split *split, uint64 rows, float *sample, uint32 capacity)
{
	uint64 stride = Max(rows / capacity, 1);
	uint64 number = 0;
	uint32 count = 0;
	FrChainReader reader;
	FrChainRow row;

	fr_chain_reader_init(&reader, split->source->index, split->shape,
						 split->list, split->generation);
	fr_chain_begin_pass(&reader, split->first, false);
	while (count < capacity && fr_chain_next_page(&reader))
	{
		uint32 slot = 0;

		while (count < capacity && fr_chain_next_row(&reader, &slot, &row))
			if (number++ % stride == 0 &&
				fetch_row(split->source, &row,
						  sample + count * (Size) split->shape->padded) ==
					FETCHED)
				count++;
	}
	return count;
}

/* Centroids of the parts; false when the list does not fall into parts. */
static bool
cluster_list(Split *split, uint64 rows)
{
	const FrSearchShape *shape = split->shape;
	const FrKernels *kernels = split->source->encoder.kernels;
	FrCancel cancel = fr_index_host->cancel();
	Size row_bytes = shape->padded * sizeof(float);
	uint32 capacity = fr_search_sample_rows(split->part_count);
	FrError error = {0};
	float *sample;
	uint32 count;

	capacity = (uint32) Min(
		capacity, Max(maintenance_work_mem * 512.0 / row_bytes, 256.0));
	sample = MemoryContextAllocHuge(CurrentMemoryContext, capacity * row_bytes);
	count = read_sample(split, rows, sample, capacity);
	split->centroids =
		palloc0(split->part_count * (Size) shape->centroid_bytes);
	fr_index_check_status(
		fr_kmeans(shape, kernels, sample, count, split->part_count,
				  FR_KMEANS_ITERATIONS, FR_INDEX_SEED, &split->allocator,
				  &cancel, split->centroids, &split->part_count, &error),
		&error, "could not cluster the rows of a list");
	pfree(sample);
	return split->part_count > 1;
}

static void
prepare_parts(Split *split, uint32 list_count)
{
	Relation index = split->source->index;
	uint32 generation = fr_chain_take_generation(index);
	FrError error = {0};

	split->writers = palloc(split->part_count * sizeof(FrChainWriter));
	for (uint32 i = 0; i < split->part_count; i++)
		fr_chain_writer_init(&split->writers[i], index, split->shape,
							 i == 0 ? split->list : list_count + i - 1,
							 generation);
	fr_index_check_status(
		fr_assigner_create(split->shape, split->source->encoder.kernels,
						   split->centroids, split->part_count,
						   &split->allocator, &split->assigner, &error),
		&error, "could not prepare to split a list");
	split->rotated =
		palloc(FR_ASSIGN_ROWS * (Size) split->shape->padded * sizeof(float));
	split->reranks = palloc(FR_ASSIGN_ROWS * (Size) split->shape->rerank_bytes);
	split->is_decoded = palloc(FR_ASSIGN_ROWS * sizeof(bool));
	split->tids = palloc(FR_ASSIGN_ROWS * sizeof(ItemPointerData));
	split->filters = palloc(FR_ASSIGN_ROWS * sizeof(FrFilterValues));
}

/* Write the rows that wait to the parts that are nearest. */
static void
write_rows(Split *split)
{
	FrRowEncoder *encoder = &split->source->encoder;
	uint32 parts[FR_ASSIGN_ROWS];
	FrError error = {0};

	fr_index_check_status(fr_assigner_run(split->assigner, split->rotated,
										  split->count, parts, NULL, NULL,
										  &error),
						  &error, "could not split a list");
	for (int i = 0; i < split->count; i++)
	{
		const float *rotated = split->rotated + i * (Size) split->shape->padded;
		const FrCentroid *centroid = part_centroid(split, parts[i]);

		if (split->is_decoded[i])
			fr_code_encode_decoded(split->shape, encoder->kernels, rotated,
								   split->reranks +
									   i * (Size) split->shape->rerank_bytes,
								   centroid, encoder->encoded);
		else
			fr_code_encode(split->shape, encoder->kernels, rotated, centroid,
						   encoder->encoded);
		fr_chain_add(&split->writers[parts[i]], encoder->encoded,
					 &split->tids[i], &split->filters[i]);
	}
	split->count = 0;
}

static void
warn_unclear(const Split *split, const FrChainRow *row)
{
	ereport(WARNING,
			(errmsg("list %u of index \"%s\" was not split", split->list,
					RelationGetRelationName(split->source->index)),
			 errdetail("No version of row (%u,%u) is the one that was indexed.",
					   ItemPointerGetBlockNumberNoCheck(&row->tid),
					   ItemPointerGetOffsetNumberNoCheck(&row->tid)),
			 errhint("Please check it by facerec_index_check, or REINDEX.")));
}

/*
 * Let a row wait to be assigned; false when the table has rows in its place
 * that are others.  A row that is dead for everybody is kept as its re-rank
 * code has it: a standby may have queries that see it, which nothing ends
 * before the table forgets the row.
 */
static bool
add_row(Split *split, const FrChainRow *row)
{
	const FrSearchShape *shape = split->shape;
	int i = split->count;
	float *rotated = split->rotated + i * (Size) shape->padded;
	Fetched fetched = fetch_row(split->source, row, rotated);

	if (fetched == UNCLEAR ||
		(fetched == GONE && fr_rerank_check(shape, row->rerank, NULL) != FR_OK))
		return false;
	split->is_decoded[i] = fetched == GONE;
	if (fetched == GONE)
	{
		memcpy(split->reranks + i * (Size) shape->rerank_bytes, row->rerank,
			   shape->rerank_bytes);
		fr_rerank_decode(shape, row->rerank, rotated);
	}
	split->tids[i] = row->tid;
	split->filters[i] = row->filters;
	if (++split->count == FR_ASSIGN_ROWS)
		write_rows(split);
	return true;
}

/* Write the rows of a pass to the parts; false when the table does not have
 * what the index says. */
static bool
write_pass(Split *split, FrChainReader *reader, bool is_closing)
{
	fr_chain_begin_pass(reader, split->first, is_closing);
	while (fr_chain_next_page(reader))
	{
		uint32 slot = 0;
		FrChainRow row;

		while (fr_chain_next_row(reader, &slot, &row))
			if (!add_row(split, &row))
			{
				warn_unclear(split, &row);
				return false;
			}
	}
	write_rows(split);
	return true;
}

/* Write all rows of the chain to the parts, but for those that come while this
 * goes on; false as above. */
static bool
write_most_rows(Split *split, FrChainReader *reader)
{
	int passes = 0;

	do
		if (!write_pass(split, reader, false))
			return false;
	while (reader->rows > FR_CHAIN_REST && ++passes < FR_CHAIN_PASSES);
	return true;
}

/* Write the rest while inserts wait, and finish the parts. */
static bool
write_rest(Split *split, FrChainReader *reader)
{
	if (!write_pass(split, reader, true))
		return false;
	for (uint32 i = 0; i < split->part_count; i++)
		fr_chain_finish(&split->writers[i]);
	return true;
}

/* ---- routing ------------------------------------------------------------ */

static void
fill_entry(const Split *split, uint32 part, FrRoutingEntry *entry)
{
	const FrChainWriter *writer = &split->writers[part];

	entry->first = writer->first;
	entry->insert_page = writer->block;
	entry->generation = writer->generation;
	entry->rows = (uint32) Min(writer->rows, PG_UINT32_MAX);
	memcpy(FrRoutingEntryGetCentroid(entry), part_centroid(split, part),
		   split->shape->centroid_bytes);
}

/* Write the entry of a list that does not count yet. */
static void
write_new_entry(const Split *split, const FrMetaPage *meta, uint32 part)
{
	Relation index = split->source->index;
	uint32 list = split->writers[part].list;
	uint32 per_page = fr_routing_entries_per_page(split->shape);
	Buffer buffer = ReadBuffer(index, meta->routing_first + list / per_page);
	GenericXLogState *record;
	Page page;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	record = GenericXLogStart(index);
	page = GenericXLogRegisterBuffer(record, buffer, 0);
	fr_routing_page_use(page, split->shape, list % per_page);
	fill_entry(split, part,
			   fr_routing_entry(page, split->shape, list % per_page));
	GenericXLogFinish(record);
	UnlockReleaseBuffer(buffer);
}

/* Replace the list by its first part, and count the others. */
static void
switch_to_parts(const Split *split, const FrMetaPage *meta)
{
	Relation index = split->source->index;
	uint32 position = split->list % fr_routing_entries_per_page(split->shape);
	Buffer meta_buffer = ReadBuffer(index, FR_INDEX_META_BLOCK);
	FrRoutingEntry *entry;
	Buffer buffer;
	GenericXLogState *record;
	FrMetaPage *target;
	Page page;

	for (uint32 i = 1; i < split->part_count; i++)
		write_new_entry(split, meta, i);
	LockBuffer(meta_buffer, BUFFER_LOCK_EXCLUSIVE);
	buffer = fr_index_lock_routing_entry(index, meta, split->shape, split->list,
										 &entry);
	if (!BufferIsValid(buffer))
		fr_index_corrupt(index, "List %u has no routing page.", split->list);
	record = GenericXLogStart(index);
	target = FrPageGetMeta(GenericXLogRegisterBuffer(record, meta_buffer, 0));
	target->list_count += split->part_count - 1;
	target->routing_version++;
	page = GenericXLogRegisterBuffer(record, buffer, 0);
	fill_entry(split, 0, fr_routing_entry(page, split->shape, position));
	GenericXLogFinish(record);
	UnlockReleaseBuffer(buffer);
	UnlockReleaseBuffer(meta_buffer);
}

/* Add pages side by side; InvalidBlockNumber when others always came in
 * between.  Pages that are left over are zero, and VACUUM finds them. */
static BlockNumber
add_pages(Relation index, uint32 count)
{
	for (int tries = 0; tries < EXTEND_TRIES; tries++)
	{
		BlockNumber first = InvalidBlockNumber;
		uint32 added = 0;

		while (added < count)
		{
			Buffer buffer = fr_index_extend(index);
			BlockNumber block = BufferGetBlockNumber(buffer);

			UnlockReleaseBuffer(buffer);
			if (added == 0)
				first = block;
			if (block != first + added)
				break;
			added++;
		}
		if (added == count)
			return first;
	}
	return InvalidBlockNumber;
}

/* False when the page was put to another use: a map of free space from before a
 * crash may know pages behind the end. */
static bool
write_routing_page(Relation index, const FrSearchShape *shape,
				   BlockNumber block, uint32 number, const char *entries,
				   uint32 count)
{
	Buffer buffer = ReadBuffer(index, block);
	GenericXLogState *record;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	if (!PageIsNew(BufferGetPage(buffer)))
	{
		UnlockReleaseBuffer(buffer);
		return false;
	}
	record = GenericXLogStart(index);
	fr_routing_page_init(
		GenericXLogRegisterBuffer(record, buffer, GENERIC_XLOG_FULL_IMAGE),
		shape, number, entries, count);
	GenericXLogFinish(record);
	UnlockReleaseBuffer(buffer);
	return true;
}

/* Let the meta page point at another routing. */
static void
switch_routing(Relation index, BlockNumber first, uint32 pages)
{
	Buffer buffer = ReadBuffer(index, FR_INDEX_META_BLOCK);
	GenericXLogState *record;
	FrMetaPage *target;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	record = GenericXLogStart(index);
	target = FrPageGetMeta(GenericXLogRegisterBuffer(record, buffer, 0));
	target->routing_first = first;
	target->routing_pages = pages;
	target->routing_version++;
	GenericXLogFinish(record);
	UnlockReleaseBuffer(buffer);
}

/*
 * Copy the routing to a place where it has room for as many lists; false when
 * there is none.  What inserts change of the old one meanwhile are hints.
 */
static bool
expand_routing(Relation index, const FrSearchShape *shape, uint32 lists,
			   FrRecycler *recycler)
{
	const FrRouting *routing = fr_index_routing(index, true);
	FrMetaPage old = routing->meta;
	uint32 pages = (lists - 1) / fr_routing_entries_per_page(shape) + 1;
	Size bytes = old.list_count * routing->entry_bytes;
	char *entries;
	BlockNumber first;

	if (pages <= old.routing_pages)
		return true;
	entries = MemoryContextAllocHuge(CurrentMemoryContext, bytes);
	memcpy(entries, routing->entries, bytes);
	first = add_pages(index, pages);
	if (first == InvalidBlockNumber)
		return false;
	for (uint32 i = 0; i < pages; i++)
		if (!write_routing_page(index, shape, first + i, i, entries,
								old.list_count))
			return false;
	switch_routing(index, first, pages);
	for (uint32 i = 0; i < old.routing_pages; i++)
		fr_recycler_add(recycler, old.routing_first + i);
	pfree(entries);
	return true;
}

/* ---- growth ------------------------------------------------------------- */

/* How many lists a list should become. */
static uint32
count_parts(uint64 rows, double rows_per_list)
{
	if (rows <= LONG_LIST * rows_per_list)
		return 1;
	return (uint32) Min(rows / rows_per_list + 0.5, PARTS_MAX);
}

static void
split_list(RowSource *source, const FrSearchShape *shape, uint32 list,
		   uint64 rows, uint32 parts, FrRecycler *recycler)
{
	Relation index = source->index;
	const FrRouting *routing = fr_index_routing(index, true);
	const FrRoutingEntry *entry = fr_routing_list(routing, list);
	FrMetaPage meta = routing->meta;
	Split split = {.source = source,
				   .shape = shape,
				   .list = list,
				   .first = entry->first,
				   .generation = entry->generation,
				   .part_count = parts,
				   .allocator = fr_index_host->allocator(CurrentMemoryContext)};
	FrChainReader reader;
	bool is_complete;

	if (!cluster_list(&split, rows))
		return;
	prepare_parts(&split, meta.list_count);
	fr_chain_reader_init(&reader, index, shape, list, split.generation);
	if (write_most_rows(&split, &reader))
	{
		fr_list_lock(index, list, ExclusiveLock);
		is_complete = write_rest(&split, &reader);
		if (is_complete)
			switch_to_parts(&split, &meta);
		fr_list_unlock(index, list, ExclusiveLock);
		if (is_complete)
			fr_chain_recycle(&reader, recycler);
	}
	fr_assigner_destroy(split.assigner);
}

void
fr_index_grow(Relation index, double row_count, const FrVacuumList *lists,
			  uint32 list_count, FrRecycler *recycler)
{
	uint32 wanted = fr_search_list_count(row_count);
	double rows_per_list = row_count / wanted;
	uint32 needed = list_count;
	const FrRouting *routing = fr_index_routing(index, true);
	FrSearchShape shape = routing->shape;
	FrMetaPage meta;
	RowSource source;
	MemoryContext context;
	MemoryContext caller;

	if (wanted < FR_GROWTH * list_count || fr_index_option_lists(index) > 0)
		return;
	for (uint32 list = 0; list < list_count; list++)
		needed += count_parts(lists[list].rows, rows_per_list) - 1;
	if (needed == list_count ||
		!expand_routing(index, &shape, needed, recycler))
		return;
	/* Opening the table may free the routing. */
	meta = fr_index_routing(index, true)->meta;
	open_source(&source, index, &meta, &shape);
	context = AllocSetContextCreate(CurrentMemoryContext, "faceindex split",
									ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	for (uint32 list = 0; list < list_count; list++)
	{
		uint32 parts = count_parts(lists[list].rows, rows_per_list);

		if (parts > 1)
			split_list(&source, &shape, list, lists[list].rows, parts,
					   recycler);
		MemoryContextReset(context);
		fr_recycler_free(recycler);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	close_source(&source);
}
