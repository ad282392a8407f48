/*
 * memory.h: the core's allocator and cancel hook inside a backend.
 */
#ifndef FR_PG_MEMORY_H
#define FR_PG_MEMORY_H

#include "postgres.h"

#include "core/base/arena.h"
#include "core/base/status.h"

/* An allocator on a memory context: NULL instead of an error, sizes over 1
 * GB allowed.  The context must outlive all that is allocated. */
extern FrAllocator fr_pg_allocator(MemoryContext context);

/* A hook that looks at InterruptPending (query cancel, termination) and
 * never jumps. */
extern FrCancel fr_pg_cancel(void);

#endif
