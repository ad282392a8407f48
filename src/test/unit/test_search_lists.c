/*
 * test_search_lists.c: centroids, assignment and k-means.
 */
#include "core/search/kmeans.h"
#include "test/unit/search_data.h"

static const FrKernels *kernels;

static FrCentroid *
centroid_at(const FrSearchShape *shape, void *centroids, uint32_t list)
{
	return (void *) ((char *) centroids +
					 (size_t) list * shape->centroid_bytes);
}

static void
dequantise(const FrSearchShape *shape, const FrCentroid *centroid, float *out)
{
	for (uint32_t i = 0; i < shape->padded; i++)
		out[i] = centroid->scale * (float) centroid->values[i];
}

/* Random unit vectors [n, padded]. */
static float *
random_rows(const FrSearchShape *shape, size_t n)
{
	float *rows = floats_of(n * shape->padded);

	for (size_t i = 0; i < n; i++)
		random_unit(rows + i * shape->padded, shape->padded);
	return rows;
}

static void
test_quantise(void)
{
	const FrSearchShape shape = shape_of(300);
	FrCentroid *centroid = malloc(shape.centroid_bytes);
	float *values = random_rows(&shape, 1), *x = random_rows(&shape, 1);
	float *c = floats_of(shape.padded);
	double worst = 0;
	FrError error = {0};

	fr_centroid_quantise(&shape, values, centroid);
	dequantise(&shape, centroid, c);
	for (uint32_t i = 0; i < shape.padded; i++)
		worst = fmax(worst, fabs((double) c[i] - (double) values[i]));
	ok(worst <= 0.5001 * (double) centroid->scale, "rounded to the nearest");
	ok_near(centroid->half_norm2, exact_dot(c, c, shape.padded) / 2, 1e-6,
			"half the squared norm");
	ok_near(fr_centroid_dot(&shape, kernels, centroid, x),
			exact_dot(c, x, shape.padded), 1e-6, "product");
	is_status(fr_centroid_check(&shape, centroid, &error), FR_OK, &error,
			  "a good centroid");
	centroid->values[3] = (int8_t) (centroid->values[3] + 100);
	is_status(fr_centroid_check(&shape, centroid, &error), FR_ERR_CORRUPT,
			  &error, "a changed centroid");
	centroid->scale = NAN;
	is_status(fr_centroid_check(&shape, centroid, &error), FR_ERR_CORRUPT,
			  &error, "a scale that is no number");
	memset(values, 0, shape.padded * sizeof *values);
	fr_centroid_quantise(&shape, values, centroid);
	ok(centroid->scale == 0 && centroid->half_norm2 == 0 &&
		   fr_centroid_dot(&shape, kernels, centroid, x) == 0,
	   "the zero centroid");
	is_status(fr_centroid_check(&shape, centroid, &error), FR_OK, &error,
			  "the zero centroid is good");
	free(centroid);
	free(values);
	free(x);
	free(c);
}

static uint32_t
nearest(const FrSearchShape *shape, void *centroids, uint32_t count,
		const float *x, double *best)
{
	uint32_t found = 0;
	float *c = floats_of(shape->padded);

	*best = INFINITY;
	for (uint32_t list = 0; list < count; list++)
	{
		double distance = 0;

		dequantise(shape, centroid_at(shape, centroids, list), c);
		for (uint32_t i = 0; i < shape->padded; i++)
			distance += pow((double) x[i] - (double) c[i], 2);
		if (distance < *best)
		{
			*best = distance;
			found = list;
		}
	}
	free(c);
	return found;
}

static void
test_assign(uint32_t dims, uint32_t count, size_t n)
{
	const FrSearchShape shape = shape_of(dims);
	float *means = random_rows(&shape, count), *rows = random_rows(&shape, n);
	void *centroids = malloc((size_t) count * shape.centroid_bytes);
	uint32_t *lists = malloc(n * sizeof *lists), single;
	float *scores = malloc(n * sizeof *scores), score;
	FrAssigner *assigner;
	FrError error = {0};
	bool is_nearest = true, is_alone = true;

	for (uint32_t list = 0; list < count; list++)
		fr_centroid_quantise(&shape, means + (size_t) list * shape.padded,
							 centroid_at(&shape, centroids, list));
	is_status(fr_assigner_create(&shape, kernels, centroids, count,
								 &fr_allocator_malloc, &assigner, &error),
			  FR_OK, &error, "an assigner of %u lists", count);
	is_status(fr_assigner_run(assigner, rows, n, lists, scores, NULL, &error),
			  FR_OK, &error, "assign %zu rows", n);
	for (size_t i = 0; i < n; i += 1 + n / 40)
	{
		const float *row = rows + i * shape.padded;
		double best;

		is_nearest &=
			nearest(&shape, centroids, count, row, &best) == lists[i] &&
			fabs(best - (1 - 2 * (double) scores[i])) < 1e-5;
		fr_assigner_run(assigner, row, 1, &single, &score, NULL, &error);
		is_alone &= single == lists[i] && score == scores[i];
	}
	ok(is_nearest, "%u dimensions, %u lists: nearest centroids", dims, count);
	ok(is_alone, "a row's result does not depend on the batch");
	fr_assigner_destroy(assigner);
	free(means);
	free(rows);
	free(centroids);
	free(lists);
	free(scores);
}

static FrStatus
run_kmeans(const FrSearchShape *shape, const float *sample, size_t n,
		   uint32_t lists, void *centroids, uint32_t *count)
{
	FrError error = {0};
	FrStatus status =
		fr_kmeans(shape, kernels, sample, n, lists, 5, 42, &fr_allocator_malloc,
				  NULL, centroids, count, &error);

	for (uint32_t list = 0; list < *count; list++)
		if (fr_centroid_check(shape, centroid_at(shape, centroids, list),
							  &error) != FR_OK)
			return error.status;
	return status;
}

static void
test_finds_clusters(void)
{
	enum
	{
		CENTRES = 10,
		N = 400
	};
	const FrSearchShape shape = shape_of(64);
	float *centres = random_rows(&shape, CENTRES),
		  *rows = random_rows(&shape, N);
	void *centroids = malloc(60 * shape.centroid_bytes);
	void *again = malloc(60 * shape.centroid_bytes);
	uint32_t count;
	double total = 0;

	for (size_t i = 0; i < (size_t) N * shape.padded; i++)
		rows[i] =
			0.1f * rows[i] + centres[i / shape.padded % CENTRES * shape.padded +
									 i % shape.padded];
	is_status(run_kmeans(&shape, rows, N, 60, centroids, &count), FR_OK,
			  &(FrError){0}, "k-means");
	is_int(count, 60, "all lists are in use");
	for (size_t i = 0; i < N; i++)
	{
		double best;

		nearest(&shape, centroids, count, rows + i * shape.padded, &best);
		total += best / N;
	}
	ok(total < 0.02, "rows are near a centroid (%.4f)", total);
	run_kmeans(&shape, rows, N, 60, again, &count);
	ok(memcmp(centroids, again, 60 * shape.centroid_bytes) == 0,
	   "the same seed: the same bits");
	free(centres);
	free(rows);
	free(centroids);
	free(again);
}

static void
test_degenerate_samples(void)
{
	const FrSearchShape shape = shape_of(128);
	float *rows = random_rows(&shape, 100);
	void *centroids = malloc(50 * shape.centroid_bytes);
	uint32_t count;

	is_status(run_kmeans(&shape, rows, 0, 50, centroids, &count), FR_OK,
			  &(FrError){0}, "no sample");
	is_int(count, 1, "one list");
	ok(centroid_at(&shape, centroids, 0)->scale == 0, "the zero centroid");
	is_status(run_kmeans(&shape, rows, 1, 50, centroids, &count), FR_OK,
			  &(FrError){0}, "one row");
	is_int(count, 1, "one list");
	is_status(run_kmeans(&shape, rows, 7, 50, centroids, &count), FR_OK,
			  &(FrError){0}, "fewer rows than lists");
	is_int(count, 7, "a list for each");
	for (size_t i = 1; i < 100; i++)
		memcpy(rows + i * shape.padded, rows, shape.padded * sizeof *rows);
	is_status(run_kmeans(&shape, rows, 100, 50, centroids, &count), FR_OK,
			  &(FrError){0}, "all rows equal");
	is_int(count, 1, "one list");
	random_unit(rows, shape.padded);
	is_status(run_kmeans(&shape, rows, 100, 50, centroids, &count), FR_OK,
			  &(FrError){0}, "two different rows");
	is_int(count, 2, "two lists");
	free(rows);
	free(centroids);
}

static bool
count_poll(void *context)
{
	++*(int *) context;
	return false;
}

/* How often a clustering of n rows, of which the first `different` differ
 * from all others, looks at the cancel hook. */
static int
polls_of(size_t n, size_t different, uint32_t *count)
{
	enum
	{
		LISTS = 50
	};
	const FrSearchShape shape = shape_of(64);
	int polls = 0;
	const FrCancel cancel = {.is_cancelled = count_poll, .context = &polls};
	float *rows = random_rows(&shape, n);
	void *centroids = malloc(LISTS * shape.centroid_bytes);
	FrError error = {0};

	for (size_t i = different; i < n; i++)
		memcpy(rows + i * shape.padded, rows + (n - 1) * shape.padded,
			   shape.padded * sizeof *rows);
	is_status(fr_kmeans(&shape, kernels, rows, n, LISTS, 3, 1,
						&fr_allocator_malloc, &cancel, centroids, count,
						&error),
			  FR_OK, &error, "%zu different rows of %zu", different, n);
	free(rows);
	free(centroids);
	return polls;
}

/* Each look for a member of an empty cluster reads the whole sample. */
static void
test_empty_clusters(void)
{
	uint32_t count;
	int polls = polls_of(2000, 0, &count);

	is_int(count, 1, "copies make one list");
	ok(polls < 40, "and are soon known as such (%d polls)", polls);
	polls = polls_of(2000, 100, &count);
	is_int(count, 50, "what differs fills all lists");
	ok(polls > 40, "each refill polls (%d polls)", polls);
}

static bool
always(void *context)
{
	(void) context;
	return true;
}

static void
test_cancel_and_failures(void)
{
	const FrSearchShape shape = shape_of(64);
	const FrCancel cancel = {.is_cancelled = always};
	float *rows = random_rows(&shape, 50);
	void *centroids = malloc(5 * shape.centroid_bytes);
	uint32_t count, tried = 0;
	FrError error = {0};
	FrStatus status = FR_ERR_NOMEM;

	is_status(fr_kmeans(&shape, kernels, rows, 50, 5, 3, 1,
						&fr_allocator_malloc, &cancel, centroids, &count,
						&error),
			  FR_ERR_CANCELLED, &error, "cancelled");
	for (long fail_at = 1; status == FR_ERR_NOMEM && fail_at < 100; fail_at++)
	{
		TestMemory memory = {.fail_at = fail_at};
		FrAllocator allocator = test_allocator(&memory);

		status = fr_kmeans(&shape, kernels, rows, 50, 5, 2, 1, &allocator, NULL,
						   centroids, &count, &error);
		tried++;
		if (memory.live != 0)
			ok(false, "allocation %ld: memory is lost", fail_at);
	}
	ok(status == FR_OK && tried > 10, "%u allocations fail one by one", tried);
	free(rows);
	free(centroids);
}

int
main(void)
{
	static const char *const names[] = {"generic", "avx2", "avx512"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
	{
		kernels = fr_kernels_by_name(names[i]);
		if (!kernels)
		{
			skip(names[i], "this CPU cannot run it");
			continue;
		}
		test_assign(320, 37, 300);
	}
	kernels = fr_kernels_best();
	test_quantise();
	test_assign(512, 600, 3);
	test_assign(10, 1, 5);
	test_finds_clusters();
	test_degenerate_samples();
	test_empty_clusters();
	test_cancel_and_failures();
	return tap_done();
}
