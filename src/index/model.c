/*
 * model.c: what an index learns from its first row, and forgets without rows.
 *
 * The number of dimensions decides how all pages are laid out, so it can only
 * be forgotten together with them.  That is done for an index of one list, as
 * those have that were made for an empty table and have not grown: a first row
 * that was rolled back does not bind it for ever.
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "index/row.h"
#include "index/vacuum.h"

/* ---- the first row ------------------------------------------------------ */

/* One list for everything, whose centroid is zero: codes of vectors as they
 * are.  VACUUM makes more of it when there are rows. */
static void
init_routing_page(Page page, const FrSearchShape *shape, BlockNumber first,
				  uint32 generation)
{
	char *entries = palloc0(fr_routing_entry_bytes(shape));
	float *zeros = palloc0(shape->padded * sizeof(float));
	FrRoutingEntry *entry = (FrRoutingEntry *) entries;

	entry->first = first;
	entry->insert_page = first;
	entry->generation = generation;
	fr_centroid_quantise(shape, zeros, FrRoutingEntryGetCentroid(entry));
	fr_routing_page_init(page, shape, 0, entries, 1);
	pfree(entries);
	pfree(zeros);
}

/* Make the routing of an empty index, while its meta page is locked. */
static void
init_index(Relation index, Buffer meta_buffer, const FrMetaPage *meta)
{
	FrSearchShape shape;
	Buffer routing_buffer;
	Buffer code_buffer;
	GenericXLogState *record;
	FrMetaPage *target;

	fr_index_shape(meta, &shape);
	routing_buffer = fr_index_new_buffer(index);
	code_buffer = fr_index_new_buffer(index);
	record = GenericXLogStart(index);
	target = FrPageGetMeta(GenericXLogRegisterBuffer(record, meta_buffer, 0));
	*target = *meta;
	fr_meta_set_shape(target, &shape);
	target->identity = fr_meta_identity(target);
	target->list_count = 1;
	target->routing_first = BufferGetBlockNumber(routing_buffer);
	target->routing_pages = 1;
	target->routing_version++;
	/* Not that of a chain which was forgotten. */
	target->generation++;
	init_routing_page(GenericXLogRegisterBuffer(record, routing_buffer,
												GENERIC_XLOG_FULL_IMAGE),
					  &shape, BufferGetBlockNumber(code_buffer),
					  target->generation);
	fr_code_page_init(
		GenericXLogRegisterBuffer(record, code_buffer, GENERIC_XLOG_FULL_IMAGE),
		&shape, 0, target->generation);
	GenericXLogFinish(record);
	UnlockReleaseBuffer(code_buffer);
	UnlockReleaseBuffer(routing_buffer);
}

/* Write into the meta page what the row is the first to say: the number of
 * dimensions, the model.  Another process may have been faster. */
void
fr_index_learn_model(Relation index, const FrStoredEmbedding *embedding)
{
	Buffer buffer;
	FrMetaPage meta;
	FrSearchShape shape;

	/* Dimensions that do not fit a page are an error before any lock. */
	fr_index_read_meta(index, &meta);
	meta.dims = embedding->dims;
	fr_index_shape(&meta, &shape);
	buffer = ReadBuffer(index, FR_INDEX_META_BLOCK);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	fr_index_check_meta(index, BufferGetPage(buffer));
	meta = *FrPageGetMeta(BufferGetPage(buffer));
	if (meta.dims == 0)
	{
		meta.dims = embedding->dims;
		meta.fingerprint = embedding->fingerprint;
		init_index(index, buffer, &meta);
	}
	else if (meta.fingerprint == 0 && meta.dims == embedding->dims)
	{
		GenericXLogState *record = GenericXLogStart(index);
		FrMetaPage *target =
			FrPageGetMeta(GenericXLogRegisterBuffer(record, buffer, 0));

		target->fingerprint = embedding->fingerprint;
		target->identity = fr_meta_identity(target);
		GenericXLogFinish(record);
	}
	UnlockReleaseBuffer(buffer);
}

/* ---- no row left -------------------------------------------------------- */

/* The only page of the only list, without a row. */
static bool
is_empty_chain(Page page, uint32 generation)
{
	const FrCodePageHeader *header = FrPageGetCodeHeader(page);

	return fr_page_is(page, FR_PAGE_CODE, 0, generation) && header->live == 0 &&
		   header->next == InvalidBlockNumber;
}

/* What an index on an empty table has on its meta page. */
static void
reset_meta(FrMetaPage *meta)
{
	meta->dims = 0;
	meta->fingerprint = 0;
	meta->padded = 0;
	meta->block_bytes = 0;
	meta->slots_per_page = 0;
	meta->list_count = 0;
	meta->routing_first = 0;
	meta->routing_pages = 0;
	meta->routing_version++;
	meta->rows_at_build = 0;
	memset(meta->probe_fractions, 0, sizeof meta->probe_fractions);
	meta->identity = fr_meta_identity(meta);
}

/* Leave the chain behind, closed for inserts that are on their way to it. */
static void
leave_chain(Relation index, Buffer meta_buffer, Buffer code_buffer)
{
	GenericXLogState *record = GenericXLogStart(index);

	reset_meta(
		FrPageGetMeta(GenericXLogRegisterBuffer(record, meta_buffer, 0)));
	FrPageGetSpecial(GenericXLogRegisterBuffer(record, code_buffer, 0))
		->flags |= FR_PAGE_CLOSED;
	GenericXLogFinish(record);
}

/* Hand over a page, if it is what it is said to be. */
static void
recycle_page(Relation index, BlockNumber block, FrPageKind kind, uint32 number,
			 uint32 generation, FrRecycler *recycler)
{
	Buffer buffer;
	bool is_right;

	if (block == InvalidBlockNumber || block == FR_INDEX_META_BLOCK)
		return;
	buffer = fr_index_pin(index, block);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	is_right = fr_page_is(BufferGetPage(buffer), kind, number, generation);
	UnlockReleaseBuffer(buffer);
	if (is_right)
		fr_recycler_add(recycler, block);
}

/* Hand over a locked code page and its re-rank pages. */
static void
recycle_chain(Relation index, Buffer code_buffer, const FrSearchShape *shape,
			  FrRecycler *recycler)
{
	Page code = BufferGetPage(code_buffer);
	const BlockNumber *reranks = FrPageGetCodeHeader(code)->rerank;
	uint32 generation = FrPageGetSpecial(code)->generation;
	BlockNumber block = BufferGetBlockNumber(code_buffer);

	fr_recycler_add(recycler, block);
	for (uint32 i = 0; i < shape->rerank_pages; i++)
		if (reranks[i] != block)
			recycle_page(index, reranks[i], FR_PAGE_RERANK, 0, generation,
						 recycler);
}

void
fr_index_forget_model(Relation index, FrRecycler *recycler)
{
	const FrRouting *routing = fr_index_routing(index, true);
	FrMetaPage meta;
	FrSearchShape shape;
	FrRoutingEntry entry;
	Buffer meta_buffer;
	Buffer code_buffer;
	bool is_empty;

	if (!routing || routing->meta.list_count != 1)
		return;
	/* Nobody but VACUUM changes these. */
	meta = routing->meta;
	shape = routing->shape;
	entry = *fr_routing_list(routing, 0);
	fr_list_lock(index, 0, ExclusiveLock);
	meta_buffer = ReadBuffer(index, FR_INDEX_META_BLOCK);
	LockBuffer(meta_buffer, BUFFER_LOCK_EXCLUSIVE);
	code_buffer = fr_index_pin(index, entry.first);
	LockBuffer(code_buffer, BUFFER_LOCK_EXCLUSIVE);
	is_empty = is_empty_chain(BufferGetPage(code_buffer), entry.generation);
	if (is_empty)
	{
		recycle_chain(index, code_buffer, &shape, recycler);
		for (uint32 i = 0; i < meta.routing_pages; i++)
			recycle_page(index, meta.routing_first + i, FR_PAGE_ROUTING, i, 0,
						 recycler);
		leave_chain(index, meta_buffer, code_buffer);
	}
	UnlockReleaseBuffer(code_buffer);
	UnlockReleaseBuffer(meta_buffer);
	fr_list_unlock(index, 0, ExclusiveLock);
}
