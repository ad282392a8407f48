/*
 * memory.c: the core's allocator and cancel hook inside a backend.
 */
#include "pg/memory.h"

#include "miscadmin.h"
#include "utils/memutils.h"

static void *
context_alloc(void *context, size_t size_bytes)
{
	/* A larger request would be an error in spite of the flags. */
	if (!AllocHugeSizeIsValid(size_bytes))
		return NULL;
	return MemoryContextAllocExtended((MemoryContext) context, size_bytes,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
}

static void
context_release(void *context, void *memory)
{
	if (memory)
		pfree(memory);
}

FrAllocator
fr_pg_allocator(MemoryContext context)
{
	return (FrAllocator){context_alloc, context_release, context};
}

/*
 * Only interrupts that end the statement stop the core, and only where
 * CHECK_FOR_INTERRUPTS would act on them: others (a message of a parallel
 * worker, a request to log memory) wait until the call is over, for stopping
 * would throw its work away.
 */
static bool
is_interrupted(void *context)
{
	if (!InterruptPending || InterruptHoldoffCount != 0 ||
		CritSectionCount != 0)
		return false;
	if (ProcDiePending || ClientConnectionLost)
		return true;
#if PG_VERSION_NUM >= 170000
	if (TransactionTimeoutPending)
		return true;
#endif
	return QueryCancelPending && QueryCancelHoldoffCount == 0;
}

FrCancel
fr_pg_cancel(void)
{
	return (FrCancel){is_interrupted, NULL};
}
