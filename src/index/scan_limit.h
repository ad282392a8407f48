/*
 * scan_limit.h: how many rows the query's LIMIT wants of a scan.
 *
 * An access method is not told; so the number travels in those bits of the
 * ORDER BY key's flags that belong to the access method.
 */
#ifndef FR_INDEX_SCAN_LIMIT_H
#define FR_INDEX_SCAN_LIMIT_H

#include "postgres.h"

#include "access/skey.h"

/* Bits 16 to 31 of sk_flags are ours. */
#define FR_LIMIT_SHIFT	  16
#define FR_LIMIT_MAX	  0x3fff
#define FR_LIMIT_IS_WHOLE (1 << 30)

/* LIMIT and OFFSET together, and what a filter is expected to drop, at most
 * FR_LIMIT_MAX; 0 = unknown. */
static inline uint32
fr_limit_rows(const ScanKeyData *order_by)
{
	return (uint32) order_by->sk_flags >> FR_LIMIT_SHIFT & FR_LIMIT_MAX;
}

/* Whether so many rows will do for sure: no filter is between. */
static inline bool
fr_limit_is_whole(const ScanKeyData *order_by)
{
	return (order_by->sk_flags & FR_LIMIT_IS_WHOLE) != 0;
}

extern void fr_limit_hook_install(void);

#endif
