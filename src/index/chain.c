/*
 * chain.c: reading an old chain page by page, writing new ones beside it.
 */
#include "postgres.h"

#include "index/chain.h"

#include "access/genam.h"
#include "access/generic_xlog.h"
#include "index/vacuum.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"

static Page *
allocate_pages(uint32 count)
{
	Page *pages = palloc(count * sizeof(Page));

	for (uint32 i = 0; i < count; i++)
		pages[i] = palloc0(BLCKSZ);
	return pages;
}

/* ---- reading ------------------------------------------------------------ */

void
fr_chain_reader_init(FrChainReader *reader, Relation index,
					 const FrSearchShape *shape, uint32 list, uint32 generation)
{
	*reader = (FrChainReader){.index = index,
							  .shape = shape,
							  .list = list,
							  .generation = generation,
							  .page_capacity = 64,
							  .next_block = InvalidBlockNumber,
							  .marker = InvalidBlockNumber,
							  .code = palloc(BLCKSZ),
							  .rerank = allocate_pages(shape->rerank_pages)};
	reader->blocks = palloc(reader->page_capacity * (1 + shape->rerank_pages) *
							sizeof(BlockNumber));
	reader->seen =
		palloc(reader->page_capacity * shape->blocks_per_page * sizeof(uint32));
	reader->fresh = palloc0(shape->blocks_per_page * sizeof(uint32));
}

void
fr_chain_begin_pass(FrChainReader *reader, BlockNumber first, bool is_closing)
{
	reader->is_closing = is_closing;
	reader->next_page = 0;
	reader->next_block = first;
	reader->rows = 0;
}

/* The slots of a page that was met in which a row was read. */
static uint32 *
get_seen(const FrChainReader *reader, uint32 page)
{
	return reader->seen + page * (Size) reader->shape->blocks_per_page;
}

static BlockNumber *
get_blocks(const FrChainReader *reader, uint32 page)
{
	return reader->blocks + page * (Size) (1 + reader->shape->rerank_pages);
}

/*
 * Make place for a page that was not met before.  In a chain that is damaged
 * it may have been: then a page of those with a power of two for a number is
 * met a second time (R. P. Brent's way to find a cycle).
 */
static void
add_page_met(FrChainReader *reader)
{
	const FrSearchShape *shape = reader->shape;
	Size block_bytes = (1 + shape->rerank_pages) * sizeof(BlockNumber);
	Size seen_bytes = shape->blocks_per_page * sizeof(uint32);

	if (reader->next_block == reader->marker)
		fr_index_corrupt(reader->index, "The chain of list %u has no end.",
						 reader->list);
	if ((reader->page_count & (reader->page_count - 1)) == 0)
		reader->marker = reader->next_block;
	if (reader->page_count == reader->page_capacity)
	{
		reader->page_capacity *= 2;
		reader->blocks =
			repalloc_huge(reader->blocks, reader->page_capacity * block_bytes);
		reader->seen =
			repalloc_huge(reader->seen, reader->page_capacity * seen_bytes);
	}
	memset(get_seen(reader, reader->page_count++), 0, seen_bytes);
}

static void
close_page(Relation index, Buffer buffer)
{
	GenericXLogState *record = GenericXLogStart(index);
	Page page = GenericXLogRegisterBuffer(record, buffer, 0);

	FrPageGetSpecial(page)->flags |= FR_PAGE_CLOSED;
	GenericXLogFinish(record);
}

static void
copy_code_page(FrChainReader *reader, BlockNumber block)
{
	Buffer buffer = fr_index_pin(reader->index, block);
	Page page = BufferGetPage(buffer);

	LockBuffer(buffer,
			   reader->is_closing ? BUFFER_LOCK_EXCLUSIVE : BUFFER_LOCK_SHARE);
	if (!fr_page_is(page, FR_PAGE_CODE, reader->list, reader->generation))
		fr_index_corrupt(reader->index,
						 "Block %u is not a code page of list %u.", block,
						 reader->list);
	if (reader->is_closing && !(FrPageGetSpecial(page)->flags & FR_PAGE_CLOSED))
		close_page(reader->index, buffer);
	memcpy(reader->code, BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
}

static void
copy_rerank_page(FrChainReader *reader, uint32 number, BlockNumber block)
{
	Buffer buffer = fr_index_pin(reader->index, block);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!fr_page_is(BufferGetPage(buffer), FR_PAGE_RERANK, reader->list,
					reader->generation))
		fr_index_corrupt(reader->index,
						 "Block %u is not a re-rank page of list %u.", block,
						 reader->list);
	memcpy(reader->rerank[number], BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
}

/* Note which slots hold rows that were not read before; returns how many. */
static uint32
find_fresh(FrChainReader *reader, uint32 *seen)
{
	const FrSearchShape *shape = reader->shape;
	uint32 used = fr_code_blocks_used(reader->code, shape);
	uint32 count = 0;

	for (uint32 i = 0; i < shape->blocks_per_page; i++)
	{
		uint32 live =
			i < used
				? fr_block_live(shape, fr_code_block(reader->code, shape, i))
				: 0;

		reader->fresh[i] = live & ~seen[i];
		seen[i] |= live;
		count += pg_popcount32(reader->fresh[i]);
	}
	return count;
}

/* Read the page behind what this pass has read. */
static void
read_page(FrChainReader *reader)
{
	const FrSearchShape *shape = reader->shape;
	const FrCodePageHeader *header = FrPageGetCodeHeader(reader->code);
	BlockNumber *blocks;

	if (reader->next_page == reader->page_count)
		add_page_met(reader);
	blocks = get_blocks(reader, reader->next_page);
	blocks[0] = reader->next_block;
	copy_code_page(reader, reader->next_block);
	memcpy(blocks + 1, header->rerank,
		   shape->rerank_pages * sizeof(BlockNumber));
	if (find_fresh(reader, get_seen(reader, reader->next_page)) > 0)
		for (uint32 i = 0; i < shape->rerank_pages; i++)
			if (header->rerank[i] != InvalidBlockNumber)
				copy_rerank_page(reader, i, header->rerank[i]);
	reader->next_block = header->next;
	reader->next_page++;
}

/* Whether a page that was met before has nothing more to give: it is full, and
 * not the last one, behind which there may be new ones. */
static bool
is_page_done(const FrChainReader *reader)
{
	const uint32 *seen = get_seen(reader, reader->next_page);
	uint32 count = 0;

	if (reader->next_page + 1 >= reader->page_count)
		return false;
	for (uint32 i = 0; i < reader->shape->blocks_per_page; i++)
		count += pg_popcount32(seen[i]);
	return count >= reader->shape->slots_per_page;
}

bool
fr_chain_next_page(FrChainReader *reader)
{
	CHECK_FOR_INTERRUPTS();
	while (reader->next_block != InvalidBlockNumber && is_page_done(reader))
		reader->next_block = *get_blocks(reader, ++reader->next_page);
	if (reader->next_block == InvalidBlockNumber)
		return false;
	read_page(reader);
	return true;
}

bool
fr_chain_next_row(FrChainReader *reader, uint32 *slot, FrChainRow *row)
{
	const FrSearchShape *shape = reader->shape;

	for (uint32 at = *slot; at < shape->slots_per_page; at++)
	{
		uint32 position = at % FR_SEARCH_BLOCK;
		const uint8 *block =
			fr_code_block(reader->code, shape, at / FR_SEARCH_BLOCK);
		uint32 number = at / shape->rerank_per_page;

		if (!(reader->fresh[at / FR_SEARCH_BLOCK] >> position & 1))
			continue;
		if (FrPageGetCodeHeader(reader->code)->rerank[number] ==
			InvalidBlockNumber)
			fr_index_corrupt(reader->index,
							 "A row of block %u has no re-rank page.",
							 get_blocks(reader, reader->next_page - 1)[0]);
		row->tid = fr_row_tid(fr_block_row(shape, block, position));
		row->block = block;
		row->position = position;
		row->rerank =
			fr_rerank_at(shape, fr_rerank_area(reader->rerank[number]),
						 at % shape->rerank_per_page);
		for (uint32 i = 0; i < shape->filter_count; i++)
			row->filters.values[i] = fr_block_filter_value(
				shape, block, position, i, &row->filters.is_null[i]);
		*slot = at + 1;
		reader->rows++;
		return true;
	}
	return false;
}

void
fr_chain_recycle(const FrChainReader *reader, FrRecycler *recycler)
{
	uint32 count = 1 + reader->shape->rerank_pages;

	for (uint32 page = 0; page < reader->page_count; page++)
		for (uint32 i = 0; i < count; i++)
			if (get_blocks(reader, page)[i] != InvalidBlockNumber)
				fr_recycler_add(recycler, get_blocks(reader, page)[i]);
}

/* ---- writing ------------------------------------------------------------ */

/* Write a page into a buffer that nothing points at yet. */
static void
write_page(Relation index, Buffer buffer, Page source)
{
	GenericXLogState *record = GenericXLogStart(index);
	Page page =
		GenericXLogRegisterBuffer(record, buffer, GENERIC_XLOG_FULL_IMAGE);

	memcpy(page, source, BLCKSZ);
	GenericXLogFinish(record);
}

/* Put a page of the new generation into a new place. */
static BlockNumber
add_page(FrChainWriter *writer, Page page)
{
	Buffer buffer = fr_index_new_buffer(writer->index);
	BlockNumber block = BufferGetBlockNumber(buffer);

	write_page(writer->index, buffer, page);
	UnlockReleaseBuffer(buffer);
	writer->pages++;
	return block;
}

/* Add an empty code page, so that no lock is held while it is filled. */
static BlockNumber
add_empty_page(FrChainWriter *writer)
{
	PGAlignedBlock empty;

	fr_code_page_init(empty.data, writer->shape, writer->list,
					  writer->generation);
	return add_page(writer, empty.data);
}

/* Begin to fill a page that was added. */
static void
begin_page(FrChainWriter *writer, BlockNumber block)
{
	writer->block = block;
	fr_code_page_init(writer->code, writer->shape, writer->list,
					  writer->generation);
	for (uint32 i = 0; i < writer->shape->rerank_pages; i++)
		fr_page_init(writer->rerank[i], FR_PAGE_RERANK, writer->list,
					 writer->generation);
}

void
fr_chain_writer_init(FrChainWriter *writer, Relation index,
					 const FrSearchShape *shape, uint32 list, uint32 generation)
{
	*writer = (FrChainWriter){.index = index,
							  .shape = shape,
							  .list = list,
							  .generation = generation,
							  .code = palloc(BLCKSZ),
							  .rerank = allocate_pages(shape->rerank_pages)};
	writer->first = add_empty_page(writer);
	begin_page(writer, writer->first);
}

void
fr_chain_finish(FrChainWriter *writer)
{
	uint32 per_page = writer->shape->rerank_per_page;
	FrCodePageHeader *header = FrPageGetCodeHeader(writer->code);
	uint32 count = (header->live + per_page - 1) / per_page;
	Buffer buffer;

	for (uint32 i = 0; i < count; i++)
		header->rerank[i] = add_page(writer, writer->rerank[i]);
	buffer = ReadBuffer(writer->index, writer->block);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	write_page(writer->index, buffer, writer->code);
	UnlockReleaseBuffer(buffer);
}

void
fr_chain_add(FrChainWriter *writer, const uint8 *encoded,
			 const ItemPointerData *tid, const FrFilterValues *filters)
{
	const FrSearchShape *shape = writer->shape;
	uint32 slot = FrPageGetCodeHeader(writer->code)->live;

	if (slot == shape->slots_per_page)
	{
		BlockNumber next = add_empty_page(writer);

		FrPageGetCodeHeader(writer->code)->next = next;
		fr_chain_finish(writer);
		begin_page(writer, next);
		slot = 0;
	}
	fr_row_put(shape, writer->code,
			   writer->rerank[slot / shape->rerank_per_page], slot, encoded,
			   tid, filters);
	writer->rows++;
}

uint32
fr_chain_take_generation(Relation index)
{
	Buffer buffer = ReadBuffer(index, FR_INDEX_META_BLOCK);
	GenericXLogState *record;
	uint32 generation;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	fr_index_check_meta(index, BufferGetPage(buffer));
	record = GenericXLogStart(index);
	generation = ++FrPageGetMeta(GenericXLogRegisterBuffer(record, buffer, 0))
					   ->generation;
	GenericXLogFinish(record);
	UnlockReleaseBuffer(buffer);
	return generation;
}
