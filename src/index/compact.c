/*
 * compact.c: rewriting a sparse list, copy on write.
 *
 * Order of events, each safe to stop after:
 *
 *  1. A new generation number is taken from the meta page.
 *  2. Page by page, from left to right, the old chain is copied into new
 *     pages, which nothing points at.  Inserts go on.
 *  3. The pages that inserts may have changed since are closed to them, and
 *     what came is copied, too.  An insert that meets a closed page waits for
 *     the lock of the list, which we hold.
 *  4. One record lets the routing point at the new chain.
 *  5. The old pages go to the recycler.
 *
 * After a crash in 2 or 3 the new pages are of a generation that is no list's,
 * and VACUUM frees them; so it does with the old ones after a crash in 5.
 * Closed pages of a list whose lock is free are as good as open.
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "index/chain.h"
#include "index/vacuum.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* ---- copying ------------------------------------------------------------ */

/* Copy the rows of the page that was read. */
static void
copy_rows(FrChainReader *reader, FrChainWriter *writer, uint8 *encoded)
{
	const FrSearchShape *shape = reader->shape;
	uint32 slot = 0;
	FrChainRow row;

	while (fr_chain_next_row(reader, &slot, &row))
	{
		fr_block_get(shape, row.block, row.position, encoded);
		memcpy(encoded + shape->encoded_rerank_offset, row.rerank,
			   shape->rerank_bytes);
		fr_chain_add(writer, encoded, &row.tid, &row.filters);
	}
}

/* Copy what came since the pass before. */
static void
copy_pass(FrChainReader *reader, FrChainWriter *writer, BlockNumber first,
		  bool is_closing, uint8 *encoded)
{
	fr_chain_begin_pass(reader, first, is_closing);
	while (fr_chain_next_page(reader))
		copy_rows(reader, writer, encoded);
}

/* ---- the switch --------------------------------------------------------- */

/* Let the routing point at the new chain, and tell everybody.  Meta before
 * routing, as init_index does. */
static void
switch_chain(const FrChainWriter *writer, const FrMetaPage *meta)
{
	Buffer meta_buffer = ReadBuffer(writer->index, FR_INDEX_META_BLOCK);
	Buffer buffer;
	FrRoutingEntry *entry;
	GenericXLogState *record;
	Size offset;
	Page page;

	LockBuffer(meta_buffer, BUFFER_LOCK_EXCLUSIVE);
	buffer = fr_index_lock_routing_entry(writer->index, meta, writer->shape,
										 writer->list, &entry);
	if (!BufferIsValid(buffer))
		fr_index_corrupt(writer->index, "List %u has no routing page.",
						 writer->list);
	offset = (char *) entry - (char *) BufferGetPage(buffer);
	record = GenericXLogStart(writer->index);
	page = GenericXLogRegisterBuffer(record, meta_buffer, 0);
	FrPageGetMeta(page)->routing_version++;
	page = GenericXLogRegisterBuffer(record, buffer, 0);
	entry = (FrRoutingEntry *) ((char *) page + offset);
	entry->first = writer->first;
	entry->insert_page = writer->block;
	entry->generation = writer->generation;
	entry->rows = (uint32) Min(writer->rows, PG_UINT32_MAX);
	GenericXLogFinish(record);
	UnlockReleaseBuffer(buffer);
	UnlockReleaseBuffer(meta_buffer);
}

uint32
fr_index_compact(Relation index, const FrMetaPage *meta,
				 const FrSearchShape *shape, uint32 list, BlockNumber first,
				 uint32 generation, FrRecycler *recycler)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "faceindex compaction", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	uint8 *encoded = palloc(shape->encoded_bytes);
	int passes = 0;
	FrChainReader reader;
	FrChainWriter writer;

	fr_chain_reader_init(&reader, index, shape, list, generation);
	fr_chain_writer_init(&writer, index, shape, list,
						 fr_chain_take_generation(index));
	do
		copy_pass(&reader, &writer, first, false, encoded);
	while (reader.rows > FR_CHAIN_REST && ++passes < FR_CHAIN_PASSES);
	fr_list_lock(index, list, ExclusiveLock);
	copy_pass(&reader, &writer, first, true, encoded);
	fr_chain_finish(&writer);
	switch_chain(&writer, meta);
	fr_list_unlock(index, list, ExclusiveLock);
	MemoryContextSwitchTo(caller);
	fr_chain_recycle(&reader, recycler);
	MemoryContextDelete(context);
	return writer.pages;
}
