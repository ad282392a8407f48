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
		pages[i] = palloc(BLCKSZ);
	return pages;
}

/* ---- reading ------------------------------------------------------------ */

void
fr_chain_reader_init(FrChainReader *reader, Relation index,
					 const FrSearchShape *shape, uint32 list, uint32 generation,
					 bool is_closing)
{
	*reader = (FrChainReader){.index = index,
							  .shape = shape,
							  .list = list,
							  .generation = generation,
							  .is_closing = is_closing,
							  .code = palloc(BLCKSZ),
							  .rerank = allocate_pages(shape->rerank_pages),
							  .block_capacity = 64};
	reader->blocks = palloc(reader->block_capacity * sizeof(BlockNumber));
}

static void
remember(FrChainReader *reader, BlockNumber block)
{
	if (reader->block_count == reader->block_capacity)
	{
		reader->block_capacity *= 2;
		reader->blocks = repalloc_huge(reader->blocks, reader->block_capacity *
														   sizeof(BlockNumber));
	}
	reader->blocks[reader->block_count++] = block;
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
read_code_page(FrChainReader *reader, BlockNumber block)
{
	Buffer buffer = ReadBuffer(reader->index, block);

	LockBuffer(buffer,
			   reader->is_closing ? BUFFER_LOCK_EXCLUSIVE : BUFFER_LOCK_SHARE);
	if (!fr_page_is(BufferGetPage(buffer), FR_PAGE_CODE, reader->list,
					reader->generation))
		fr_index_corrupt(reader->index,
						 "Block %u is not a code page of list %u.", block,
						 reader->list);
	if (reader->is_closing)
		close_page(reader->index, buffer);
	memcpy(reader->code, BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
	remember(reader, block);
}

static void
read_rerank_page(FrChainReader *reader, uint32 number, BlockNumber block)
{
	Buffer buffer = ReadBuffer(reader->index, block);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!fr_page_is(BufferGetPage(buffer), FR_PAGE_RERANK, reader->list,
					reader->generation))
		fr_index_corrupt(reader->index,
						 "Block %u is not a re-rank page of list %u.", block,
						 reader->list);
	memcpy(reader->rerank[number], BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
	remember(reader, block);
}

BlockNumber
fr_chain_read(FrChainReader *reader, BlockNumber block)
{
	FrCodePageHeader *header = FrPageGetCodeHeader(reader->code);

	CHECK_FOR_INTERRUPTS();
	read_code_page(reader, block);
	for (uint32 i = 0; i < reader->shape->rerank_pages; i++)
		if (header->rerank[i] != InvalidBlockNumber)
			read_rerank_page(reader, i, header->rerank[i]);
	return header->next;
}

bool
fr_chain_next_row(const FrChainReader *reader, uint32 *slot, FrChainRow *row)
{
	const FrSearchShape *shape = reader->shape;
	uint32 end = Min(fr_code_blocks_used(reader->code, shape) * FR_SEARCH_BLOCK,
					 shape->slots_per_page);

	for (uint32 at = *slot; at < end; at++)
	{
		const uint8 *block =
			fr_code_block(reader->code, shape, at / FR_SEARCH_BLOCK);
		uint32 position = at % FR_SEARCH_BLOCK;
		Page rerank = reader->rerank[at / shape->rerank_per_page];

		if (!(fr_block_live(shape, block) >> position & 1))
			continue;
		row->tid = fr_row_tid(fr_block_row(shape, block, position));
		row->block = block;
		row->position = position;
		row->rerank = fr_rerank_at(shape, fr_rerank_area(rerank),
								   at % shape->rerank_per_page);
		for (uint32 i = 0; i < shape->filter_count; i++)
			row->filters.values[i] = fr_block_filter_value(
				shape, block, position, i, &row->filters.is_null[i]);
		*slot = at + 1;
		return true;
	}
	return false;
}

void
fr_chain_retire(const FrChainReader *reader)
{
	for (uint32 i = 0; i < reader->block_count; i++)
		fr_page_retire_block(reader->index, reader->blocks[i]);
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
add_page(Relation index, Page page)
{
	Buffer buffer = fr_index_new_buffer(index);
	BlockNumber block = BufferGetBlockNumber(buffer);

	write_page(index, buffer, page);
	UnlockReleaseBuffer(buffer);
	return block;
}

/* Add an empty code page, so that no lock is held while it is filled. */
static BlockNumber
add_empty_page(const FrChainWriter *writer)
{
	PGAlignedBlock empty;

	fr_code_page_init(empty.data, writer->shape, writer->list,
					  writer->generation);
	return add_page(writer->index, empty.data);
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
		header->rerank[i] = add_page(writer->index, writer->rerank[i]);
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
