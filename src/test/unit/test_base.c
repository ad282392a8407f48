/*
 * test_base.c: status, arena, sizes and the byte cursor.
 */
#include "core/base/bytes.h"
#include "core/base/size.h"
#include "test/unit/tap.h"

static void
test_status(void)
{
	FrError error;

	is_int(fr_fail(&error, FR_ERR_LIMIT, "%d is too much.", 7), FR_ERR_LIMIT,
		   "fr_fail returns its status");
	ok(strcmp(error.message, "7 is too much.") == 0, "and fills the message");
	is_int(fr_fail(NULL, FR_ERR_BUG, "x"), FR_ERR_BUG, "no error wanted");

	char text[1000];

	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = 0;
	fr_fail(&error, FR_ERR_CORRUPT, "%s", text);
	is_int(strlen(error.message), sizeof error.message - 1,
		   "a long message is cut");
	ok(strcmp(fr_status_name(FR_ERR_CANCELLED), "cancelled") == 0, "name");
	ok(strcmp(fr_status_name((FrStatus) 99), "unknown") == 0, "no such name");
}

static void
test_sizes(void)
{
	size_t result = 5;

	ok(!fr_size_add(SIZE_MAX, 1, &result) && result == 5,
	   "an overflowing sum leaves the result alone");
	ok(fr_size_mul3(2, 3, 7, &result) && result == 42, "product of three");
	ok(!fr_size_mul3(SIZE_MAX / 2, 3, 1, &result), "overflow in the first");
	ok(!fr_size_mul3(SIZE_MAX / 2, 2, 2, &result), "overflow in the second");
}

static void
test_arena(void)
{
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	FrArena arena;

	fr_arena_init(&arena, &allocator);

	bool is_aligned = true;
	bool is_kept = true;
	unsigned char *parts[200];

	for (int i = 0; i < 200; i++)
	{
		size_t size = (size_t) (i * i) + (i % 50 == 0 ? 100000 : 1);

		parts[i] = fr_arena_alloc(&arena, size);
		is_aligned &= (uintptr_t) parts[i] % 64 == 0;
		memset(parts[i], i, size);
	}
	for (int i = 0; i < 200; i++)
		is_kept &= parts[i][0] == i && parts[i][i * i] == i;
	ok(is_aligned, "arena memory is aligned to 64 bytes");
	ok(is_kept, "objects do not overlap");
	ok(fr_arena_alloc(&arena, SIZE_MAX - 10) == NULL, "absurd size refused");
	ok(fr_arena_alloc_zeroed(&arena, SIZE_MAX / 2, 4) == NULL, "overflow");

	const unsigned char *zeros = fr_arena_alloc_zeroed(&arena, 10, 10);
	int sum = 0;

	for (int i = 0; i < 100; i++)
		sum += zeros[i];
	is_int(sum, 0, "zeroed memory is zero");
	fr_arena_fini(&arena);
	is_int(memory.live, 0, "fini releases everything");

	memory = (TestMemory){.fail_at = 1};
	ok(fr_arena_alloc(&arena, 1) == NULL, "a failing allocator gives NULL");
	ok(fr_arena_copy(&arena, "abc", 3) != NULL, "and the arena still works");
	fr_arena_fini(&arena);

	void *aligned = fr_alloc_aligned(&allocator, 1000);

	ok((uintptr_t) aligned % 64 == 0, "fr_alloc_aligned aligns");
	fr_release_aligned(&allocator, aligned);
	is_int(memory.live, 0, "fr_release_aligned releases");
	ok(fr_alloc_aligned(&allocator, SIZE_MAX) == NULL, "absurd size");
}

static void
test_bytes(void)
{
	static const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7};
	FrBytes bytes = fr_bytes(data, sizeof data);
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	const uint8_t *part;

	ok(fr_bytes_take_u8(&bytes, &u8) && u8 == 1, "u8");
	ok(fr_bytes_take_be16(&bytes, &u16) && u16 == 0x0203, "big-endian 16");
	ok(fr_bytes_take_le32(&bytes, &u32) && u32 == 0x07060504, "little 32");
	ok(!fr_bytes_take_u8(&bytes, &u8) && bytes.length == 0, "at the end");
	bytes = fr_bytes(data, 3);
	ok(!fr_bytes_take_be32(&bytes, &u32) && bytes.length == 3,
	   "a failed take leaves the cursor");
	ok(fr_bytes_skip(&bytes, 1) && fr_bytes_take(&bytes, 2, &part) &&
		   part == data + 1,
	   "take points into the input");
	ok(!fr_bytes_take(&bytes, SIZE_MAX, &part), "absurd length");
}

int
main(void)
{
	test_status();
	test_sizes();
	test_arena();
	test_bytes();
	return tap_done();
}
