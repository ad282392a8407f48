/*
 * test_face_yunet.c: decoding of YuNet's heads, with values worked out by
 * hand from the formulas of the network's authors, and with hostile ones.
 */
#include <stdint.h>

#include "core/face/yunet.h"
#include "test/unit/tap.h"

#define WIDTH  64
#define HEIGHT 32

/* All heads of a 64 x 32 input. */
typedef struct Heads
{
	FrYunetGrid grids[FR_YUNET_GRID_COUNT];
	float values[FR_YUNET_GRID_COUNT][FR_YUNET_HEAD_COUNT][32 * 10];
} Heads;

static void
init_heads(Heads *heads)
{
	memset(heads, 0, sizeof *heads);
	for (int g = 0; g < FR_YUNET_GRID_COUNT; g++)
	{
		heads->grids[g].rows = HEIGHT / fr_yunet_strides[g];
		heads->grids[g].columns = WIDTH / fr_yunet_strides[g];
		for (int h = 0; h < FR_YUNET_HEAD_COUNT; h++)
			heads->grids[g].heads[h] = heads->values[g][h];
	}
}

static void
set_score(Heads *heads, int grid, int cell, float cls, float obj)
{
	heads->values[grid][FR_YUNET_CLS][cell] = cls;
	heads->values[grid][FR_YUNET_OBJ][cell] = obj;
}

static int
decode(const Heads *heads, float threshold, FrArena *arena,
	   FrCandidates *candidates)
{
	FrError error = {0};

	fr_arena_init(arena, &fr_allocator_malloc);
	is_status(fr_yunet_decode(heads->grids, threshold, NULL, arena, candidates,
							  &error),
			  FR_OK, &error, "decoding runs");
	return candidates->boxes.count;
}

static void
test_one_cell_by_hand(void)
{
	Heads heads;
	FrArena arena;
	FrCandidates found;

	init_heads(&heads);
	/* stride 16: 2 rows of 4; cell 6 is row 1, column 2 */
	set_score(&heads, 1, 6, 0.9f, 0.4f);
	memcpy(&heads.values[1][FR_YUNET_BBOX][6 * 4],
		   (float[]){0.25f, -0.5f, 0.0f, 0.6931472f}, 4 * sizeof(float));
	memcpy(&heads.values[1][FR_YUNET_KPS][6 * 10],
		   (float[]){0, 0, 0.5f, 0, 0.25f, 0.5f, -0.125f, 1, 1, 1},
		   10 * sizeof(float));
	is_int(decode(&heads, 0.59f, &arena, &found), 1, "one cell: one candidate");
	ok_near(found.boxes.score[0], 0.6, 1e-6, "score: sqrt(0.9 * 0.4)");
	ok_near(found.boxes.x0[0], (2 + 0.25) * 16 - 8, 1e-5, "left");
	ok_near(found.boxes.y0[0], (1 - 0.5) * 16 - 16, 1e-5, "top");
	ok_near(found.boxes.x1[0], (2 + 0.25) * 16 + 8, 1e-5, "right");
	ok_near(found.boxes.y1[0], (1 - 0.5) * 16 + 16, 1e-5, "bottom");
	ok_near(found.landmarks[1].x, 2.5 * 16, 1e-5, "second landmark x");
	ok_near(found.landmarks[1].y, 1.0 * 16, 1e-5, "second landmark y");
	ok_near(found.landmarks[3].x, 1.875 * 16, 1e-5, "fourth landmark x");
	ok_near(found.landmarks[3].y, 2.0 * 16, 1e-5, "fourth landmark y");
	fr_arena_fini(&arena);
}

static void
test_order_and_threshold(void)
{
	Heads heads;
	FrArena arena;
	FrCandidates found;

	init_heads(&heads);
	set_score(&heads, 0, 3, 0.7f, 0.7f);
	set_score(&heads, 2, 1, 0.9f, 0.9f);
	set_score(&heads, 1, 0, 0.7f, 0.7f);
	set_score(&heads, 0, 9, 0.5f, 0.5f);
	set_score(&heads, 0, 2, 7.0f, 0.64f); /* clipped to 1 */
	is_int(decode(&heads, 0.6f, &arena, &found), 4,
		   "one is below the threshold");
	ok_near(found.boxes.score[0], 0.9, 1e-6, "best first");
	ok_near(found.boxes.score[1], 0.8, 1e-6,
			"a class score above 1 counts as 1");
	ok_near(found.boxes.score[2], 0.7, 1e-6, "then the two equal ones");
	ok_near(found.boxes.x1[2] - found.boxes.x0[2], 8, 1e-5,
			"of equal scores the finer grid first");
	fr_arena_fini(&arena);
	is_int(decode(&heads, 0.0f, &arena, &found), 5,
		   "threshold 0 takes all cells with a score");
	fr_arena_fini(&arena);
	is_int(decode(&heads, 1.0f, &arena, &found), 0, "threshold 1 takes none");
	fr_arena_fini(&arena);
}

static void
test_hostile_values_are_skipped(void)
{
	static const float bad[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f};
	FrArena arena;
	FrCandidates found;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
	{
		for (int field = 0; field < 14; field++)
		{
			Heads heads;

			init_heads(&heads);
			set_score(&heads, 0, 5, 0.9f, 0.9f);
			set_score(&heads, 0, 6, 0.9f, 0.9f);
			if (field < 4)
				heads.values[0][FR_YUNET_BBOX][5 * 4 + field] = bad[i];
			else
				heads.values[0][FR_YUNET_KPS][5 * 10 + field - 4] = bad[i];
			if (decode(&heads, 0.5f, &arena, &found) != 1)
				ok(false, "value %g in field %d is skipped", (double) bad[i],
				   field);
			fr_arena_fini(&arena);
		}
	}
	ok(true, "boxes and landmarks that are not finite or far away are skipped");

	Heads heads;

	init_heads(&heads);
	set_score(&heads, 0, 0, NAN, 1);
	set_score(&heads, 0, 1, 1, NAN);
	set_score(&heads, 0, 2, -5, -5);
	set_score(&heads, 0, 3, INFINITY, INFINITY);
	is_int(decode(&heads, 0.5f, &arena, &found), 1,
		   "NaN scores count as 0, infinite ones as 1");
	fr_arena_fini(&arena);
}

/* A grid so large that the limit on candidates bites. */
static void
test_candidates_are_bounded(void)
{
	enum
	{
		SIDE = 100,
		CELLS = SIDE * SIDE
	};
	float *values = calloc((size_t) CELLS * 16, sizeof(float));
	FrYunetGrid grids[FR_YUNET_GRID_COUNT] = {{0}};
	FrArena arena;
	FrCandidates found;
	FrError error = {0};
	bool is_sorted = true;

	if (!values)
		return;
	for (int i = 0; i < CELLS; i++)
	{
		/* a permutation of 1 .. CELLS */
		values[i] = (float) (((int64_t) i * 7919) % CELLS + 1) / CELLS;
		values[CELLS + i] = 1;
	}
	grids[0] = (FrYunetGrid){
		SIDE,
		SIDE,
		{values, values + CELLS, values + 2 * CELLS, values + 6 * CELLS}};
	fr_arena_init(&arena, &fr_allocator_malloc);
	is_status(fr_yunet_decode(grids, 0, NULL, &arena, &found, &error), FR_OK,
			  &error, "10,000 candidates");
	is_int(found.boxes.count, FR_MAX_CANDIDATES, "are cut to the limit");
	for (int i = 0; i < found.boxes.count; i++)
	{
		double want = sqrt((double) (CELLS - i) / CELLS);

		is_sorted &= fabs((double) found.boxes.score[i] - want) < 1e-6;
	}
	ok(is_sorted, "the best are kept, in order");
	fr_arena_fini(&arena);
	free(values);
}

static void
test_allocation_failures(void)
{
	Heads heads;
	long requests = 1;

	init_heads(&heads);
	set_score(&heads, 0, 5, 0.9f, 0.9f);
	for (long n = 0; n <= requests; n++)
	{
		TestMemory memory = {.fail_at = n};
		FrAllocator allocator = test_allocator(&memory);
		FrArena arena;
		FrCandidates found;
		FrError error = {0};

		fr_arena_init(&arena, &allocator);

		FrStatus status =
			fr_yunet_decode(heads.grids, 0.5f, NULL, &arena, &found, &error);

		fr_arena_fini(&arena);
		if (n == 0)
			requests = memory.requests;
		if (status != (n == 0 ? FR_OK : FR_ERR_NOMEM) || memory.live != 0)
			ok(false, "allocation %ld fails cleanly", n);
	}
	ok(true, "each of %ld failing allocations is reported", requests);
}

int
main(void)
{
	test_one_cell_by_hand();
	test_order_and_threshold();
	test_hostile_values_are_skipped();
	test_candidates_are_bounded();
	test_allocation_failures();
	return tap_done();
}
