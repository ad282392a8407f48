/*
 * arena.h: where the core's memory comes from.
 *
 * FrAllocator is the only source of memory in the core: the caller supplies
 * it (malloc in tests, a MemoryContext in the server, a failing one to test
 * every error path).  FrArena is a bump allocator over blocks taken from an
 * FrAllocator: objects that die together are allocated from one arena and
 * released by one call.
 */
#ifndef FR_CORE_BASE_ARENA_H
#define FR_CORE_BASE_ARENA_H

#include <stddef.h>

/* alloc returns NULL on failure and never jumps; memory need not be zeroed
 * and is aligned for any basic C type.  release(NULL) is allowed. */
typedef struct FrAllocator
{
	void *(*alloc)(void *context, size_t size_bytes);
	void (*release)(void *context, void *memory);
	void *context;
} FrAllocator;

/* malloc/free; used by tests and tools. */
extern const FrAllocator fr_allocator_malloc;

/* Allocate size_bytes (not zeroed); NULL on failure. */
static inline void *
fr_alloc(const FrAllocator *allocator, size_t size_bytes)
{
	return allocator->alloc(allocator->context, size_bytes);
}

/* Allocate count zeroed elements; NULL on failure or overflow. */
void *fr_alloc_zeroed(const FrAllocator *allocator, size_t count,
					  size_t element_bytes);

/* Allocate size_bytes aligned to 64 bytes (one cache line, one AVX-512
 * register); release with fr_release_aligned. */
void *fr_alloc_aligned(const FrAllocator *allocator, size_t size_bytes);
void fr_release_aligned(const FrAllocator *allocator, void *memory);

static inline void
fr_release(const FrAllocator *allocator, void *memory)
{
	if (memory)
		allocator->release(allocator->context, memory);
}

typedef struct FrArenaBlock FrArenaBlock;

/* Memory that is released all at once.  Initialise with fr_arena_init. */
typedef struct FrArena
{
	const FrAllocator *allocator;
	FrArenaBlock *blocks; /* newest first */
	size_t total_bytes;	  /* taken from the allocator so far */
} FrArena;

void fr_arena_init(FrArena *arena, const FrAllocator *allocator);

/* Allocate size_bytes aligned to 64 bytes, not zeroed; NULL on failure.
 * size 0 gives a valid, unusable pointer. */
void *fr_arena_alloc(FrArena *arena, size_t size_bytes);

/* Allocate count zeroed elements; NULL on failure or overflow. */
void *fr_arena_alloc_zeroed(FrArena *arena, size_t count, size_t element_bytes);

/* Copy size_bytes into the arena; NULL on failure. */
void *fr_arena_copy(FrArena *arena, const void *source, size_t size_bytes);

/* Release everything; the arena is empty and usable again. */
void fr_arena_fini(FrArena *arena);

#endif
