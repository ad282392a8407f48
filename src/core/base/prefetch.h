/*
 * prefetch.h: asking for memory before it is needed.
 *
 * A page that is scanned for the first time in a while comes from memory, and
 * the processor's own prefetching ends with each 4 kB.
 */
#ifndef FR_CORE_BASE_PREFETCH_H
#define FR_CORE_BASE_PREFETCH_H

#include <stddef.h>

#define FR_CACHE_LINE 64

/* Have bytes on their way to the second-level cache. */
static inline void
fr_prefetch(const void *start, size_t bytes)
{
	const char *at = start;

	for (size_t line = 0; line < bytes; line += FR_CACHE_LINE)
	{
		__builtin_prefetch(at + line, 0, 2);
		/* A loop without any effect is no loop to the compiler. */
		__asm__ volatile("");
	}
}

#endif
