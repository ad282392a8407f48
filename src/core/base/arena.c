/*
 * arena.c: block-chained bump allocator and aligned allocation; see arena.h.
 *
 * Small objects share blocks of 64 kB; a larger object gets a block of its
 * own.  Alignment is made here, because PostgreSQL's allocator promises only
 * 8 bytes.
 */
#include "core/base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/size.h"

#define ARENA_ALIGNMENT	  ((size_t) 64)
#define ARENA_BLOCK_BYTES ((size_t) 64 * 1024)

struct FrArenaBlock
{
	FrArenaBlock *next;
	unsigned char *free_start; /* aligned */
	unsigned char *end;
};

static void *
malloc_alloc(void *context, size_t size_bytes)
{
	(void) context;
	return malloc(size_bytes ? size_bytes : 1);
}

static void
malloc_release(void *context, void *memory)
{
	(void) context;
	free(memory);
}

const FrAllocator fr_allocator_malloc = {
	.alloc = malloc_alloc,
	.release = malloc_release,
};

static inline uintptr_t
align_up(uintptr_t address)
{
	return (address + ARENA_ALIGNMENT - 1) & ~(uintptr_t) (ARENA_ALIGNMENT - 1);
}

void *
fr_alloc_zeroed(const FrAllocator *allocator, size_t count,
				size_t element_bytes)
{
	size_t size_bytes;

	if (!fr_size_mul(count, element_bytes, &size_bytes))
		return NULL;

	void *memory = fr_alloc(allocator, size_bytes);

	if (memory)
		memset(memory, 0, size_bytes);
	return memory;
}

/* The address that the allocator gave lies just below the aligned memory. */
void *
fr_alloc_aligned(const FrAllocator *allocator, size_t size_bytes)
{
	size_t total_bytes;

	if (!fr_size_add(size_bytes, ARENA_ALIGNMENT + sizeof(void *),
					 &total_bytes))
		return NULL;

	void *raw = fr_alloc(allocator, total_bytes);

	if (!raw)
		return NULL;

	void **aligned = (void **) align_up((uintptr_t) raw + sizeof(void *));

	aligned[-1] = raw;
	return aligned;
}

void
fr_release_aligned(const FrAllocator *allocator, void *memory)
{
	if (memory)
		fr_release(allocator, ((void **) memory)[-1]);
}

void
fr_arena_init(FrArena *arena, const FrAllocator *allocator)
{
	arena->allocator = allocator;
	arena->blocks = NULL;
	arena->total_bytes = 0;
}

static FrArenaBlock *
add_block(FrArena *arena, size_t payload_bytes)
{
	size_t total_bytes;

	if (!fr_size_add(payload_bytes, sizeof(FrArenaBlock) + ARENA_ALIGNMENT,
					 &total_bytes))
		return NULL;

	FrArenaBlock *block = fr_alloc(arena->allocator, total_bytes);

	if (!block)
		return NULL;
	block->free_start = (unsigned char *) align_up((uintptr_t) (block + 1));
	block->end = (unsigned char *) block + total_bytes;
	/* A block made for one object goes second, so that the room left in the
	 * first is still used. */
	if (payload_bytes != ARENA_BLOCK_BYTES && arena->blocks)
	{
		block->next = arena->blocks->next;
		arena->blocks->next = block;
	}
	else
	{
		block->next = arena->blocks;
		arena->blocks = block;
	}
	arena->total_bytes += total_bytes;
	return block;
}

void *
fr_arena_alloc(FrArena *arena, size_t size_bytes)
{
	size_t rounded;

	if (!fr_size_add(size_bytes, ARENA_ALIGNMENT - 1, &rounded))
		return NULL;
	rounded &= ~(ARENA_ALIGNMENT - 1);

	FrArenaBlock *block = arena->blocks;

	if (!block || (size_t) (block->end - block->free_start) < rounded)
	{
		block = add_block(arena, rounded > ARENA_BLOCK_BYTES / 4
									 ? rounded
									 : ARENA_BLOCK_BYTES);
		if (!block)
			return NULL;
	}

	void *memory = block->free_start;

	block->free_start += rounded;
	return memory;
}

void *
fr_arena_alloc_zeroed(FrArena *arena, size_t count, size_t element_bytes)
{
	size_t size_bytes;

	if (!fr_size_mul(count, element_bytes, &size_bytes))
		return NULL;

	void *memory = fr_arena_alloc(arena, size_bytes);

	if (memory)
		memset(memory, 0, size_bytes);
	return memory;
}

void *
fr_arena_copy(FrArena *arena, const void *source, size_t size_bytes)
{
	void *copy = fr_arena_alloc(arena, size_bytes);

	if (copy && size_bytes > 0)
		memcpy(copy, source, size_bytes);
	return copy;
}

void
fr_arena_fini(FrArena *arena)
{
	while (arena->blocks)
	{
		FrArenaBlock *next = arena->blocks->next;

		fr_release(arena->allocator, arena->blocks);
		arena->blocks = next;
	}
	arena->total_bytes = 0;
}
