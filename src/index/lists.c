/*
 * lists.c: reading meta and routing, laying out pages, finding room.
 *
 * What a backend knows of the routing is kept in the relcache entry, so that
 * a statement that inserts or looks for one face does not read all centroids
 * again.
 */
#include "postgres.h"

#include <stdarg.h>

#include "index/index.h"
#include "index/page_read.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/indexfsm.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"

StaticAssertDecl(sizeof(FrPageSpecial) == 24, "special area takes 24 bytes");
StaticAssertDecl(sizeof(FrMetaPage) <= 512, "meta data fit any page size");
StaticAssertDecl(sizeof(FrRoutingEntry) == 16,
				 "the entry ends where a centroid may begin");

void
fr_index_corrupt(Relation index, const char *format, ...)
{
	char detail[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(detail, sizeof detail, format, arguments);
	va_end(arguments);
	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("index \"%s\" is damaged", RelationGetRelationName(index)),
			 errdetail_internal("%s", detail), errhint("Please REINDEX it.")));
}

Buffer
fr_index_pin(Relation index, BlockNumber block)
{
	/* The number that asks for a new page is among those. */
	if (unlikely(block >= RelationGetNumberOfBlocks(index)))
		fr_index_corrupt(index, "Block %u is named, but there is none.", block);
	return ReadBuffer(index, block);
}

/* ---- pages -------------------------------------------------------------- */

void
fr_index_check_frame(Relation index, BlockNumber block, Page page)
{
	const PageHeaderData *header = (PageHeader) page;
	const FrPageSpecial *special = FrPageGetSpecial(page);

	if (PageIsNew(page))
		return;
	if (PageGetSpecialSize(page) != FR_PAGE_SPECIAL_BYTES ||
		header->pd_lower < MAXALIGN(SizeOfPageHeaderData) ||
		header->pd_lower > header->pd_special ||
		special->page_id != FR_PAGE_ID || special->format != FR_INDEX_FORMAT ||
		special->kind < FR_PAGE_FREE || special->kind > FR_PAGE_RERANK)
		fr_index_corrupt(index, "Block %u is no page of a faceindex.", block);
}

/* How many vectors the blocks of a code page hold. */
static uint32
count_live(const FrSearchShape *shape, Page page)
{
	uint32 used = fr_code_blocks_used(page, shape);
	uint32 live = 0;

	for (uint32 i = 0; i < used; i++)
		live +=
			pg_popcount32(fr_block_live(shape, fr_code_block(page, shape, i)));
	return live;
}

void
fr_index_check_code_page(Relation index, const FrSearchShape *shape,
						 BlockNumber block, Page page)
{
	const FrCodePageHeader *header = FrPageGetCodeHeader(page);
	Size lower = ((PageHeader) page)->pd_lower;

	if (lower !=
			fr_code_blocks_offset(shape) +
				fr_code_blocks_used(page, shape) * (Size) shape->block_bytes ||
		header->live != count_live(shape, page) ||
		header->live > shape->slots_per_page)
		fr_index_corrupt(index, "The header of block %u does not fit its rows.",
						 block);
	for (uint32 i = 0; i < shape->rerank_pages; i++)
	{
		bool is_double = header->rerank[i] == block;

		for (uint32 j = 0; j < i; j++)
			is_double |= header->rerank[i] == header->rerank[j];
		if (is_double && header->rerank[i] != InvalidBlockNumber)
			fr_index_corrupt(index,
							 "Block %u names block %u twice, or is it itself.",
							 block, header->rerank[i]);
	}
}

bool
fr_page_is_free(Page page)
{
	const FrPageSpecial *special = FrPageGetSpecial(page);

	if (PageIsNew(page))
		return true;
	return special->kind == FR_PAGE_FREE && special->list == 0 &&
		   special->generation == 0 && special->page_id == FR_PAGE_ID &&
		   ((PageHeader) page)->pd_lower == MAXALIGN(SizeOfPageHeaderData);
}

/* ---- meta --------------------------------------------------------------- */

/* Compute the shape of a meta page with dims > 0; false when there is none. */
static bool
compute_shape(const FrMetaPage *meta, FrSearchShape *shape, FrStatus *status,
			  FrError *error)
{
	uint32 widths[FR_SEARCH_MAX_FILTERS];

	for (int i = 0; i < meta->filter_count; i++)
		widths[i] = meta->filter_widths[i];
	*status =
		fr_search_shape_init(shape, meta->dims, widths, meta->filter_count,
							 FR_CODE_PAGE_ROOM, FR_PAGE_ROOM, error);
	return *status == FR_OK;
}

static uint32
hash_bytes_fnv(uint32 hash, const void *bytes, Size count)
{
	for (Size i = 0; i < count; i++)
		hash = (hash ^ ((const uint8 *) bytes)[i]) * 16777619u;
	return hash;
}

uint32
fr_meta_identity(const FrMetaPage *meta)
{
	uint32 hash = 2166136261u;

	hash = hash_bytes_fnv(hash, meta, offsetof(FrMetaPage, list_count));
	return hash_bytes_fnv(hash, &meta->block_bytes,
						  offsetof(FrMetaPage, rows_at_build) -
							  offsetof(FrMetaPage, block_bytes));
}

void
fr_meta_set_shape(FrMetaPage *meta, const FrSearchShape *shape)
{
	meta->padded = (uint16) shape->padded;
	meta->block_bytes = (uint16) shape->block_bytes;
	meta->slots_per_page = (uint16) shape->slots_per_page;
}

/* The filter columns must be those of the catalog. */
static void
check_filters(Relation index, const FrMetaPage *meta)
{
	int count = IndexRelationGetNumberOfKeyAttributes(index) - 1;
	bool is_same = meta->filter_count == count;

	for (int i = 0; is_same && i < count; i++)
		is_same = meta->filter_widths[i] ==
				  TupleDescAttr(RelationGetDescr(index), i + 1)->attlen;
	if (!is_same)
		fr_index_corrupt(index, "The meta page says other filter columns.");
}

/* The places of everything must be where this library looks for them. */
static void
check_version(Relation index, const FrMetaPage *meta)
{
	FrSearchShape shape = {0};
	FrError error = {0};
	FrStatus status;

	if (meta->format == FR_INDEX_FORMAT)
	{
		if (meta->identity != fr_meta_identity(meta))
			fr_index_corrupt(index, "The meta page is not what was written.");
		check_filters(index, meta);
		if (meta->dims == 0)
			return;
		if (!compute_shape(meta, &shape, &status, &error))
			fr_index_corrupt(index, "%s", error.message);
		if (meta->padded == shape.padded &&
			meta->block_bytes == shape.block_bytes &&
			meta->slots_per_page == shape.slots_per_page)
			return;
	}
	ereport(
		ERROR,
		(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		 errmsg("index \"%s\" was made by another version of facerec",
				RelationGetRelationName(index)),
		 meta->format != FR_INDEX_FORMAT
			 ? errdetail("Its format is %d; this version reads format %d.",
						 meta->format, FR_INDEX_FORMAT)
			 : errdetail("It has %d coordinates per vector, %d bytes per "
						 "block and %d rows per page; this version has "
						 "%u, %u and %u.",
						 meta->padded, meta->block_bytes, meta->slots_per_page,
						 shape.padded, shape.block_bytes, shape.slots_per_page),
		 errhint("Please REINDEX it.")));
}

void
fr_index_check_meta(Relation index, Page page)
{
	const FrMetaPage *meta = FrPageGetMeta(page);

	if (PageIsNew(page) || PageGetSpecialSize(page) != FR_PAGE_SPECIAL_BYTES ||
		FrPageGetSpecial(page)->kind != FR_PAGE_META ||
		meta->magic != FR_INDEX_MAGIC)
		ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
						errmsg("index \"%s\" is not a faceindex",
							   RelationGetRelationName(index)),
						errhint("Please REINDEX it.")));
	check_version(index, meta);
}

void
fr_index_read_meta(Relation index, FrMetaPage *meta)
{
	Buffer buffer = ReadBuffer(index, FR_INDEX_META_BLOCK);
	Page page = BufferGetPage(buffer);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	fr_index_check_meta(index, page);
	*meta = *FrPageGetMeta(page);
	UnlockReleaseBuffer(buffer);
}

void
fr_index_shape(const FrMetaPage *meta, FrSearchShape *shape)
{
	FrError error = {0};
	FrStatus status;

	if (!compute_shape(meta, shape, &status, &error))
		fr_index_host->raise(
			status, &error,
			psprintf("cannot index face embeddings of %d dimensions",
					 meta->dims),
			"Use a model of fewer dimensions, or fewer filter columns.");
}

/* ---- routing ------------------------------------------------------------ */

/* Copy the entries of one routing page; false when it is not that any
 * more. */
static bool
read_routing_page(Relation index, FrRouting *routing, uint32 number)
{
	uint32 per_page = fr_routing_entries_per_page(&routing->shape);
	uint32 first = number * per_page;
	uint32 count = Min(per_page, routing->meta.list_count - first);
	BlockNumber block = routing->meta.routing_first + number;
	Buffer buffer = fr_index_pin(index, block);
	Page page = BufferGetPage(buffer);
	Size end =
		MAXALIGN(SizeOfPageHeaderData) + count * (Size) routing->entry_bytes;
	bool is_routing;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	is_routing = fr_page_is(page, FR_PAGE_ROUTING, number, 0) &&
				 ((PageHeader) page)->pd_lower >= end;
	if (is_routing)
		memcpy(fr_routing_list(routing, first), PageGetContents(page),
			   count * routing->entry_bytes);
	UnlockReleaseBuffer(buffer);
	return is_routing;
}

/* ERROR unless all entries are possible. */
static void
check_routing(Relation index, const FrRouting *routing)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(index);
	FrError error = {0};

	for (uint32 list = 0; list < routing->meta.list_count; list++)
	{
		const FrRoutingEntry *entry = fr_routing_list(routing, list);

		if (entry->first == FR_INDEX_META_BLOCK || entry->first >= blocks ||
			entry->insert_page >= blocks)
			fr_index_corrupt(index, "List %u begins at block %u of %u.", list,
							 entry->first, blocks);
		if (fr_centroid_check(&routing->shape,
							  fr_routing_centroid(routing, list),
							  &error) != FR_OK)
			fr_index_corrupt(index, "List %u: %s", list, error.message);
	}
}

/* The routing that a meta page says, or NULL when there is another one in its
 * place. */
static FrRouting *
read_routing(Relation index, const FrMetaPage *meta)
{
	FrSearchShape shape;
	FrRouting *routing;
	Size entry_bytes;
	Size recent_bytes = fr_recent_bytes(index);
	uint32 pages;

	fr_index_shape(meta, &shape);
	entry_bytes = fr_routing_entry_bytes(&shape);
	pages = (meta->list_count - 1) / fr_routing_entries_per_page(&shape) + 1;
	if (meta->list_count == 0 || meta->list_count > PG_UINT16_MAX ||
		meta->routing_pages < pages ||
		meta->routing_pages > RelationGetNumberOfBlocks(index))
		fr_index_corrupt(index,
						 "The meta page says %u lists on %u routing pages.",
						 meta->list_count, meta->routing_pages);
	routing = MemoryContextAllocZero(
		index->rd_indexcxt, offsetof(FrRouting, entries) +
								meta->list_count * entry_bytes + recent_bytes);
	routing->meta = *meta;
	routing->recent_offset = meta->list_count * entry_bytes;
	routing->recent_blocks = recent_bytes / sizeof(Buffer);
	routing->shape = shape;
	routing->entry_bytes = entry_bytes;
	for (uint32 i = 0; i < pages; i++)
		if (!read_routing_page(index, routing, i))
		{
			pfree(routing);
			return NULL;
		}
	return routing;
}

FrRouting *
fr_index_routing(Relation index, bool is_current)
{
	FrRouting *routing = index->rd_amcache;
	FrMetaPage meta;

	if (routing && !is_current)
		return routing;
	fr_index_read_meta(index, &meta);
	if (routing && routing->meta.routing_version == meta.routing_version)
	{
		routing->meta = meta;
		return routing;
	}
	fr_index_forget(index);
	for (;;)
	{
		uint32 version = meta.routing_version;

		CHECK_FOR_INTERRUPTS();
		if (meta.dims == 0)
			return NULL;
		routing = read_routing(index, &meta);
		fr_index_read_meta(index, &meta);
		if (routing && meta.routing_version == version)
			break;
		/* Replaced while we read it.  A list that was split in between would
		 * seem to be its first part, with no trace of the others. */
		if (routing)
			pfree(routing);
		else if (meta.routing_version == version)
			fr_index_corrupt(index, "The routing is not where the meta page "
									"says.");
	}
	check_routing(index, routing);
	index->rd_amcache = routing;
	return routing;
}

void
fr_index_forget(Relation index)
{
	if (index->rd_amcache)
		pfree(index->rd_amcache);
	index->rd_amcache = NULL;
}

Buffer
fr_index_lock_routing_entry(Relation index, const FrMetaPage *meta,
							const FrSearchShape *shape, uint32 list,
							FrRoutingEntry **entry)
{
	uint32 per_page = fr_routing_entries_per_page(shape);
	BlockNumber block = meta->routing_first + list / per_page;
	Buffer buffer = fr_index_pin(index, block);

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	if (!fr_page_is(BufferGetPage(buffer), FR_PAGE_ROUTING, list / per_page, 0))
	{
		UnlockReleaseBuffer(buffer);
		return InvalidBuffer;
	}
	*entry = fr_routing_entry(BufferGetPage(buffer), shape, list % per_page);
	return buffer;
}

/* ---- locks of lists ----------------------------------------------------- */

/* As if lists were rows of the index. */
static ItemPointerData
list_tag(uint32 list)
{
	ItemPointerData tag;

	ItemPointerSet(&tag, list, FirstOffsetNumber);
	return tag;
}

void
fr_list_lock(Relation index, uint32 list, LOCKMODE mode)
{
	ItemPointerData tag = list_tag(list);

	LockTuple(index, &tag, mode);
}

void
fr_list_unlock(Relation index, uint32 list, LOCKMODE mode)
{
	ItemPointerData tag = list_tag(list);

	UnlockTuple(index, &tag, mode);
}

/* ---- layout ------------------------------------------------------------- */

void
fr_page_init(Page page, FrPageKind kind, uint32 list, uint32 generation)
{
	FrPageSpecial *special;

	PageInit(page, BLCKSZ, sizeof(FrPageSpecial));
	special = FrPageGetSpecial(page);
	special->kind = kind;
	special->list = list;
	special->generation = generation;
	special->format = FR_INDEX_FORMAT;
	special->page_id = FR_PAGE_ID;
}

void
fr_code_page_init(Page page, const FrSearchShape *shape, uint32 list,
				  uint32 generation)
{
	FrCodePageHeader *header;

	fr_page_init(page, FR_PAGE_CODE, list, generation);
	header = FrPageGetCodeHeader(page);
	header->next = InvalidBlockNumber;
	for (uint32 i = 0; i < shape->rerank_pages; i++)
		header->rerank[i] = InvalidBlockNumber;
	((PageHeader) page)->pd_lower = fr_code_blocks_offset(shape);
}

void
fr_meta_page_init(Page page, const FrMetaPage *meta)
{
	fr_page_init(page, FR_PAGE_META, 0, 0);
	*FrPageGetMeta(page) = *meta;
	FrPageGetMeta(page)->identity = fr_meta_identity(meta);
	((PageHeader) page)->pd_lower =
		MAXALIGN(SizeOfPageHeaderData) + sizeof *meta;
}

void
fr_routing_page_init(Page page, const FrSearchShape *shape, uint32 number,
					 const char *entries, uint32 count)
{
	uint32 per_page = fr_routing_entries_per_page(shape);
	Size entry_bytes = fr_routing_entry_bytes(shape);
	uint32 first = number * per_page;
	Size bytes = first < count ? Min(per_page, count - first) * entry_bytes : 0;

	fr_page_init(page, FR_PAGE_ROUTING, number, 0);
	memcpy(PageGetContents(page), entries + first * entry_bytes, bytes);
	((PageHeader) page)->pd_lower = MAXALIGN(SizeOfPageHeaderData) + bytes;
}

/* Move pd_lower behind what is used; what comes in was zero. */
static void
raise_lower(Page page, Size end)
{
	PageHeader header = (PageHeader) page;

	if (header->pd_lower >= end)
		return;
	memset((char *) page + header->pd_lower, 0, end - header->pd_lower);
	header->pd_lower = end;
}

void
fr_code_page_use_block(Page page, const FrSearchShape *shape, uint32 block)
{
	raise_lower(page, fr_code_blocks_offset(shape) +
						  (block + 1) * (Size) shape->block_bytes);
}

void
fr_routing_page_use(Page page, const FrSearchShape *shape, uint32 position)
{
	raise_lower(page, MAXALIGN(SizeOfPageHeaderData) +
						  (position + 1) * fr_routing_entry_bytes(shape));
}

void
fr_rerank_page_use(Page page, const FrSearchShape *shape, uint32 position)
{
	raise_lower(page, MAXALIGN(SizeOfPageHeaderData) +
						  (position + 1) * (Size) shape->rerank_bytes);
}

/* ---- room --------------------------------------------------------------- */

/* Lock a block that the free space map offers, if it is indeed free. */
static Buffer
lock_free_block(Relation index, BlockNumber block)
{
	Buffer buffer;

	/* The map is not logged: after a crash it may know more than the file. */
	if (block >= RelationGetNumberOfBlocks(index))
		return InvalidBuffer;
	buffer = ReadBuffer(index, block);
	/* Whoever holds the lock makes use of the page, or will see that it is
	 * free; no reason to wait, and no deadlock either. */
	if (!ConditionalLockBuffer(buffer))
	{
		ReleaseBuffer(buffer);
		return InvalidBuffer;
	}
	if (fr_page_is_free(BufferGetPage(buffer)))
		return buffer;
	UnlockReleaseBuffer(buffer);
	return InvalidBuffer;
}

Buffer
fr_index_extend(Relation index)
{
	Buffer buffer;

#if PG_VERSION_NUM >= 160000
	buffer =
		ExtendBufferedRel(BMR_REL(index), MAIN_FORKNUM, NULL, EB_LOCK_FIRST);
#else
	bool is_shared = !RELATION_IS_LOCAL(index);

	/* VACUUM takes this lock to learn the size: it meets no page between
	 * being added and being locked. */
	if (is_shared)
		LockRelationForExtension(index, ExclusiveLock);
	/* Locked before anybody can see it: a map of free space that a crash has
	 * left may know the block already. */
	buffer =
		ReadBufferExtended(index, MAIN_FORKNUM, P_NEW, RBM_ZERO_AND_LOCK, NULL);
	if (is_shared)
		UnlockRelationForExtension(index, ExclusiveLock);
#endif
	return buffer;
}

Buffer
fr_index_new_buffer(Relation index)
{
	BlockNumber block;

	while ((block = GetFreeIndexPage(index)) != InvalidBlockNumber)
	{
		Buffer buffer = lock_free_block(index, block);

		if (BufferIsValid(buffer))
			return buffer;
	}
	return fr_index_extend(index);
}
