/*
 * host.h: what the access method asks of the glue in src/pg.
 *
 * The access method lies below the glue and includes nothing of it.  What
 * only the glue can do (one door to ereport for the core's errors, memory
 * contexts as allocators, the setting facerec.isa, names of models) comes
 * through this table, which _PG_init hands over once.
 */
#ifndef FR_INDEX_HOST_H
#define FR_INDEX_HOST_H

#include "postgres.h"

#include "core/base/arena.h"
#include "core/base/status.h"
#include "kernels/kernels.h"

typedef struct FrIndexHost
{
	/* The kernels that facerec.isa chose. */
	const FrKernels *(*kernels)(void);
	/* Raise an error of the core: its sentence is the DETAIL; hint may be
	 * NULL.  Never returns. */
	void (*raise)(FrStatus status, const FrError *error, const char *primary,
				  const char *hint);
	/* An allocator on a memory context. */
	FrAllocator (*allocator)(MemoryContext context);
	/* A hook that looks at pending interrupts and never jumps. */
	FrCancel (*cancel)(void);
	/* "name@1f3c9a7e" for messages; palloc'd. */
	char *(*model_label)(uint32 fingerprint);
} FrIndexHost;

/* Set by fr_index_init; never NULL afterwards. */
extern const FrIndexHost *fr_index_host;

/* Register reloptions, settings and the planner hook, and take the table,
 * which must live as long as the process (from _PG_init). */
extern void fr_index_init(const FrIndexHost *host);

/* Raise unless status is FR_OK. */
static inline void
fr_index_check_status(FrStatus status, const FrError *error,
					  const char *primary)
{
	if (unlikely(status != FR_OK))
		fr_index_host->raise(status, error, primary, NULL);
}

#endif
