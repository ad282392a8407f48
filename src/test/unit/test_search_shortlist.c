/*
 * test_search_shortlist.c: rounds of the shortlist bring every candidate
 * exactly once and in order, ties included.
 */
#include "core/search/shortlist.h"
#include "test/unit/search_data.h"

#define COUNT 5000

static float bounds[COUNT];
static uint32_t sorted[COUNT];

static int
compare(const void *a, const void *b)
{
	const uint32_t i = *(const uint32_t *) a, j = *(const uint32_t *) b;

	if (bounds[i] != bounds[j])
		return bounds[i] < bounds[j] ? 1 : -1;
	return i < j ? -1 : i > j;
}

static FrRowId
row_id(uint32_t number)
{
	FrRowId row = {{0}};

	memcpy(row.bytes, &number, sizeof number);
	return row;
}

/* Offer what a scan between the shortlist's limits would. */
static void
scan(FrShortlist *shortlist, const uint32_t *order)
{
	for (uint32_t i = 0; i < COUNT; i++)
		if (bounds[order[i]] >= fr_shortlist_lowest(shortlist) &&
			bounds[order[i]] <= fr_shortlist_highest(shortlist))
			fr_shortlist_add(shortlist, bounds[order[i]], order[i],
							 row_id(order[i]));
}

/* Take everything, in rounds of growing capacity. */
static void
run_rounds(size_t capacity, size_t growth, const uint32_t *order,
		   const char *what)
{
	FrShortlist shortlist;
	FrError error = {0};
	uint32_t at = 0, rounds = 1;
	bool is_right = true;

	is_status(
		fr_shortlist_init(&shortlist, capacity, &fr_allocator_malloc, &error),
		FR_OK, &error, "capacity %zu", capacity);
	scan(&shortlist, order);
	for (;; rounds++)
	{
		const FrCandidate *candidate;

		while ((candidate = fr_shortlist_peek(&shortlist)) != NULL)
		{
			const FrRowId row = row_id((uint32_t) candidate->tag);

			is_right &= at < COUNT && candidate->tag == sorted[at] &&
						candidate->bound == bounds[sorted[at]] &&
						memcmp(&candidate->row, &row, sizeof row) == 0;
			at++;
			fr_shortlist_pop(&shortlist);
		}
		if (!fr_shortlist_is_cut(&shortlist))
			break;
		is_right &=
			fr_shortlist_next_round(&shortlist, capacity *= growth,
									&fr_allocator_malloc, &error) == FR_OK;
		scan(&shortlist, order);
	}
	ok(is_right && at == COUNT, "%s: %u of %d in %u rounds", what, at, COUNT,
	   rounds);
	fr_shortlist_pop(&shortlist); /* of an empty one: nothing happens */
	fr_shortlist_fini(&shortlist, &fr_allocator_malloc);
}

static void
run_orders(const char *what)
{
	static uint32_t order[COUNT];

	for (uint32_t i = 0; i < COUNT; i++)
		order[i] = sorted[i] = i;
	qsort(sorted, COUNT, sizeof *sorted, compare);
	run_rounds(100, 4, order, what);
	run_rounds(COUNT, 1, order, what);
	run_rounds(1, 3, sorted, what);
	for (uint32_t i = 0; i < COUNT; i++)
		order[i] = sorted[COUNT - 1 - i];
	run_rounds(64, 2, order, what);
}

static void
test_allocation_failures(void)
{
	TestMemory memory = {.fail_at = 1};
	FrAllocator allocator = test_allocator(&memory);
	FrShortlist shortlist;
	FrError error = {0};

	is_status(fr_shortlist_init(&shortlist, 10, &allocator, &error),
			  FR_ERR_NOMEM, &error, "the first allocation fails");
	fr_shortlist_fini(&shortlist, &allocator);
	memory = (TestMemory){.fail_at = 2};
	is_status(fr_shortlist_init(&shortlist, 10, &allocator, &error), FR_OK,
			  &error, "a shortlist of 10");
	is_status(fr_shortlist_next_round(&shortlist, 20, &allocator, &error),
			  FR_ERR_NOMEM, &error, "growing fails");
	fr_shortlist_fini(&shortlist, &allocator);
	is_int(memory.live, 0, "nothing is lost");
	is_status(fr_shortlist_init(&shortlist, SIZE_MAX / 4, &allocator, &error),
			  FR_ERR_LIMIT, &error, "an impossible capacity");
}

/* What starts behind a place, or at the end of a round that somebody else
 * made, brings the rest and no more. */
static void
test_starts(void)
{
	FrShortlist shortlist;
	FrError error = {0};
	const FrCandidate after = {.bound = 0.5f, .tag = 2};
	const FrCandidate none = {.bound = INFINITY};
	static const float some[] = {0.6f, 0.5f, 0.5f, 0.5f, 0.4f};
	uint64_t tags[5];
	size_t count = 0;

	is_status(fr_shortlist_init(&shortlist, 1, &fr_allocator_malloc, &error),
			  FR_OK, &error, "a shortlist");
	is_status(fr_shortlist_start_after(&shortlist, &after, 4,
									   &fr_allocator_malloc, &error),
			  FR_OK, &error, "behind a place");
	ok(fr_shortlist_highest(&shortlist) == 0.5f, "nothing above is asked for");
	for (uint64_t tag = 1; tag <= 5; tag++)
		fr_shortlist_add(&shortlist, some[tag - 1], tag, row_id(0));
	for (; fr_shortlist_peek(&shortlist); fr_shortlist_pop(&shortlist))
		tags[count++] = fr_shortlist_peek(&shortlist)->tag;
	ok(count == 3 && tags[0] == 3 && tags[1] == 4 && tags[2] == 5,
	   "ties are told by their tags");
	fr_shortlist_end_at(&shortlist, 0.5f);
	ok(!fr_shortlist_peek(&shortlist) && fr_shortlist_is_cut(&shortlist) &&
		   fr_shortlist_lowest(&shortlist) == 0.5f,
	   "the end of a round");
	is_status(
		fr_shortlist_next_round(&shortlist, 4, &fr_allocator_malloc, &error),
		FR_OK, &error, "the next one");
	for (uint64_t tag = 1; tag <= 5; tag++)
		fr_shortlist_add(&shortlist, some[tag - 1], tag, row_id(0));
	ok(fr_shortlist_peek(&shortlist) && fr_shortlist_peek(&shortlist)->tag == 5,
	   "brings what is below");
	is_status(fr_shortlist_start_after(&shortlist, &none, 4,
									   &fr_allocator_malloc, &error),
			  FR_OK, &error, "anew");
	ok(!fr_shortlist_is_cut(&shortlist) &&
		   fr_shortlist_highest(&shortlist) == INFINITY,
	   "without limits");
	fr_shortlist_fini(&shortlist, &fr_allocator_malloc);
}

int
main(void)
{
	for (int i = 0; i < COUNT; i++)
		bounds[i] = random_normal();
	run_orders("different bounds");
	for (int i = 0; i < COUNT; i++)
		bounds[i] = (float) fr_random_below(&data_seed, 7);
	run_orders("seven values");
	for (int i = 0; i < COUNT; i++)
		bounds[i] = 1.0f;
	run_orders("all equal");
	test_allocation_failures();
	test_starts();
	return tap_done();
}
