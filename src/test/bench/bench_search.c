/*
 * bench_search.c: the face index's kernels, one line per case and instruction
 * set: rotation, encoding, assignment, tables of a query, scanning from L2, L3
 * and memory, re-ranking.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/random.h"
#include "core/search/kmeans.h"
#include "core/search/search_query.h"

#define PAGE_ROOM 8120
#define ROWS	  256
#define LISTS	  512

static uint64_t seed = 1;
static volatile double sink;

static const FrKernels *kernels;
static FrSearchShape shape;
static FrRotation rotation;
static FrSearchQuery query;
static FrSearchList terms;
static FrCentroid *centroid;
static FrAssigner *assigner;
static float *rows; /* [ROWS, padded] */
static uint8_t *encoded, *blocks, *reranks;
static size_t block_count, rerank_count;

static double
thread_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double) time.tv_sec * 1e9 + (double) time.tv_nsec;
}

/* The best of several rounds of some 20 ms, in ns per call. */
static double
measure(void (*call)(void))
{
	double best = 1e300, calls = 1;

	for (int round = 0; round < 10; round++)
	{
		double start = thread_ns(), elapsed;

		for (int i = 0; i < (int) calls; i++)
			call();
		elapsed = thread_ns() - start;
		if (elapsed / calls < best)
			best = elapsed / calls;
		while (best * calls < 2e7)
			calls *= 2;
	}
	return best;
}

static void
call_rotate(void)
{
	fr_rotation_apply(&rotation, kernels, rows, rows + shape.padded);
}

static void
call_encode(void)
{
	fr_code_encode(&shape, kernels, rows, centroid, encoded);
}

static void
call_table(void)
{
	fr_search_query_set_rotated(&query, rows);
}

static void
call_list(void)
{
	sink += (double) fr_search_list(&query, centroid).product;
}

static void
call_assign(void)
{
	static uint32_t lists[ROWS];

	fr_assigner_run(assigner, rows, ROWS, lists, NULL, NULL, NULL);
}

static void
call_scan(void)
{
	FrSearchHits hits;

	for (size_t b = 0; b < block_count; b++)
	{
		const uint8_t *block = blocks + b * shape.block_bytes;

		/* As few hits as in a search. */
		fr_search_scan_block(&query, &terms, block,
							 fr_block_live(&shape, block), 0.3f, 2.0f, &hits);
		sink += (double) hits.count;
	}
}

static void
call_rerank(void)
{
	for (size_t i = 0; i < rerank_count; i++)
		sink +=
			(double) fr_search_rerank(&query, reranks + i * shape.rerank_bytes)
				.bound;
}

static void
print(const char *what, double value, const char *unit)
{
	printf("%-28s %5u-d %-12s %9.3f %s\n", what, shape.dims, kernels->name,
		   value, unit);
}

static void
random_row(float *x)
{
	double squared = 0;

	for (uint32_t i = 0; i < shape.padded; i++)
	{
		x[i] = (float) ((double) fr_random_below(&seed, 4096) +
						(double) fr_random_below(&seed, 4096) - 4095) /
			   4096;
		squared += (double) x[i] * (double) x[i];
	}
	for (uint32_t i = 0; i < shape.padded; i++)
		x[i] = (float) ((double) x[i] / sqrt(squared));
}

static void
measure_scan(const char *what, size_t bytes)
{
	char name[64];

	block_count = bytes / shape.block_bytes;
	snprintf(name, sizeof name, "scan, %zu kB (%s)", bytes / 1024, what);
	print(name, measure(call_scan) / (double) (block_count * 32), "ns/vector");
}

static void
prepare(uint32_t dims, size_t scan_bytes)
{
	FrError error;
	uint8_t *centroids;

	if (fr_search_shape_init(&shape, dims, NULL, 0, PAGE_ROOM, PAGE_ROOM,
							 &error) != FR_OK ||
		fr_rotation_init(&rotation, &shape, 1, &fr_allocator_malloc, &error) !=
			FR_OK ||
		fr_search_query_init(&query, &shape, kernels, &fr_allocator_malloc,
							 &error) != FR_OK)
		exit(1);
	rows = aligned_alloc(64, (size_t) ROWS * shape.padded * sizeof *rows);
	for (size_t i = 0; i < ROWS; i++)
		random_row(rows + i * shape.padded);
	centroids = malloc((size_t) LISTS * shape.centroid_bytes);
	for (size_t i = 0; i < LISTS; i++)
		fr_centroid_quantise(&shape, rows + i % ROWS * shape.padded,
							 (void *) (centroids + i * shape.centroid_bytes));
	if (fr_assigner_create(&shape, kernels, centroids, LISTS,
						   &fr_allocator_malloc, &assigner, &error) != FR_OK)
		exit(1);
	free(centroids);
	centroid = calloc(1, shape.centroid_bytes);
	encoded = malloc(shape.encoded_bytes);
	blocks = aligned_alloc(64, scan_bytes / 64 * 64);
	memset(blocks, 0, scan_bytes / 64 * 64);
	rerank_count = (size_t) 1 << 12;
	reranks = malloc(rerank_count * shape.rerank_bytes);
	for (size_t i = 0; i < scan_bytes / shape.block_bytes * 32; i++)
	{
		fr_code_encode(&shape, kernels, rows + i % ROWS * shape.padded,
					   centroid, encoded);
		fr_block_put(&shape, blocks + i / 32 * shape.block_bytes,
					 (uint32_t) (i % 32), encoded, (FrRowId){{0}}, NULL, NULL);
		if (i < rerank_count)
			memcpy(reranks + i * shape.rerank_bytes,
				   fr_encoded_rerank(&shape, encoded), shape.rerank_bytes);
		if (i >= 4096) /* enough different ones: repeat the blocks */
			break;
	}
	for (size_t b = 128; b < scan_bytes / shape.block_bytes; b++)
		memcpy(blocks + b * shape.block_bytes,
			   blocks + b % 128 * shape.block_bytes, shape.block_bytes);
	/* A query like none of the rows. */
	random_row(rows);
	fr_search_query_set_rotated(&query, rows);
	terms = fr_search_list(&query, centroid);
}

static void
finish(void)
{
	fr_search_query_fini(&query, &fr_allocator_malloc);
	fr_rotation_fini(&rotation, &fr_allocator_malloc);
	fr_assigner_destroy(assigner);
	free(rows);
	free(centroid);
	free(encoded);
	free(blocks);
	free(reranks);
}

static void
run_all(uint32_t dims)
{
	const size_t most = (size_t) 192 << 20;
	double ns;

	prepare(dims, most);
	print("rotate", measure(call_rotate) / 1000, "us");
	print("encode", measure(call_encode) / 1000, "us");
	print("query tables", measure(call_table) / 1000, "us");
	print("terms of a list", measure(call_list), "ns");
	ns = measure(call_assign);
	print("assign to 512 lists", ns / ROWS / 1000, "us/row");
	print("assign to 512 lists",
		  2.0 * ROWS * LISTS * (double) shape.padded / ns, "GFLOP/s");
	measure_scan("L2", (size_t) 400 << 10);
	measure_scan("L3", (size_t) 8 << 20);
	measure_scan("memory", most);
	print("re-rank, 1 MB", measure(call_rerank) / (double) rerank_count,
		  "ns/vector");
	finish();
}

int
main(int argc, char **argv)
{
	static const char *const isas[] = {"generic", "avx2", "auto"};

	for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
	{
		if (argc > 1 && strcmp(argv[1], isas[i]) != 0)
			continue;
		kernels = fr_kernels_by_name(isas[i]);
		if (!kernels)
			continue;
		run_all(512);
		if (argc > 2)
			run_all((uint32_t) strtoul(argv[2], NULL, 10));
	}
	return 0;
}
