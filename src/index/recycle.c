/*
 * recycle.c: pages that belong to no list any more, on their way to reuse.
 *
 * Who may read a chain that was replaced?  A scan that read the routing before.
 * It had a snapshot then, so its transaction had an xmin; and it has one as
 * long as the scan goes on.  Hence a transaction that is to be waited for is
 * among those that have an xmin at any time after the switch, and is done with
 * the chain when it has ended.  Lazy VACUUMs have an xmin and scan nothing;
 * PostgreSQL's own horizons leave them out as well.  Standbys need none of
 * this: their scans notice that a page was reused (README).
 */
#include "postgres.h"

#include "index/recycle.h"

#include "access/generic_xlog.h"
#include "index/index.h"
#include "miscadmin.h"
#include "storage/indexfsm.h"
#include "storage/proc.h"
#include "storage/procarray.h"

/* ---- pages -------------------------------------------------------------- */

void
fr_page_retire(Relation index, Buffer buffer)
{
	GenericXLogState *record = GenericXLogStart(index);
	Page page = GenericXLogRegisterBuffer(record, buffer, 0);

	FrPageGetSpecial(page)->retired_xid =
		U64FromFullTransactionId(ReadNextFullTransactionId());
	GenericXLogFinish(record);
}

void
fr_page_free(Relation index, Buffer buffer)
{
	GenericXLogState *record = GenericXLogStart(index);
	Page page =
		GenericXLogRegisterBuffer(record, buffer, GENERIC_XLOG_FULL_IMAGE);

	/* Zeros: the copies of deleted faces go here. */
	fr_page_init(page, FR_PAGE_FREE, 0, 0);
	GenericXLogFinish(record);
	RecordFreeIndexPage(index, BufferGetBlockNumber(buffer));
}

/* ---- pages of one VACUUM ------------------------------------------------ */

void
fr_recycler_init(FrRecycler *recycler, Relation index)
{
	*recycler = (FrRecycler){
		.index = index, .context = CurrentMemoryContext, .capacity = 1024};
	recycler->blocks = palloc(recycler->capacity * sizeof(BlockNumber));
}

void
fr_recycler_add(FrRecycler *recycler, BlockNumber block)
{
	if (recycler->count == recycler->capacity)
	{
		recycler->capacity *= 2;
		recycler->blocks = repalloc_huge(
			recycler->blocks, recycler->capacity * sizeof(BlockNumber));
	}
	recycler->blocks[recycler->count++] = block;
}

/* Look who may be reading the pages that were added so far. */
static void
find_readers(FrRecycler *recycler)
{
	MemoryContext caller = MemoryContextSwitchTo(recycler->context);

	recycler->readers =
		GetCurrentVirtualXIDs(InvalidTransactionId, true, false, PROC_IN_VACUUM,
							  &recycler->reader_count);
	recycler->waiting = recycler->count;
	MemoryContextSwitchTo(caller);
}

static bool
have_readers_ended(const FrRecycler *recycler)
{
	for (int i = 0; i < recycler->reader_count; i++)
		if (!VirtualXactLock(recycler->readers[i], false))
			return false;
	return true;
}

static void
free_waiting(FrRecycler *recycler)
{
	for (uint32 i = 0; i < recycler->waiting; i++)
	{
		Buffer buffer;

		CHECK_FOR_INTERRUPTS();
		buffer = ReadBuffer(recycler->index, recycler->blocks[i]);
		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		fr_page_free(recycler->index, buffer);
		UnlockReleaseBuffer(buffer);
	}
	IndexFreeSpaceMapVacuum(recycler->index);
	recycler->count -= recycler->waiting;
	memmove(recycler->blocks, recycler->blocks + recycler->waiting,
			recycler->count * sizeof(BlockNumber));
	recycler->waiting = 0;
	if (recycler->readers)
		pfree(recycler->readers);
	recycler->readers = NULL;
	recycler->reader_count = 0;
}

uint32
fr_recycler_free(FrRecycler *recycler)
{
	uint32 freed = 0;

	/* Those that waited may be free, and then the others, too. */
	while (recycler->count > 0)
	{
		if (recycler->waiting == 0)
			find_readers(recycler);
		if (!have_readers_ended(recycler))
			break;
		freed += recycler->waiting;
		free_waiting(recycler);
	}
	return freed;
}

uint32
fr_recycler_finish(FrRecycler *recycler)
{
	uint32 freed = fr_recycler_free(recycler);

	for (uint32 i = 0; i < recycler->count; i++)
	{
		Buffer buffer;

		CHECK_FOR_INTERRUPTS();
		buffer = ReadBuffer(recycler->index, recycler->blocks[i]);
		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		fr_page_retire(recycler->index, buffer);
		UnlockReleaseBuffer(buffer);
	}
	recycler->count = 0;
	recycler->waiting = 0;
	return freed;
}
