/*
 * bench_search_recall.c: what the index's maths misses and what it costs,
 * without PostgreSQL: an index in memory, searched as the access method does.
 *
 * usage: bench_search_recall [PREFIX DIMS ROWS QUERIES [LISTS]]
 *
 * PREFIX.base.f32 and PREFIX.query.f32 are row-major float32, PREFIX.gt.i32
 * [QUERIES, 100] the rows of the nearest neighbours.  Without arguments, a
 * small made-up set is searched and compared with brute force.  Prints, for
 * several settings and 10 and 100 neighbours: how many of the true ones were missed, candidates
 * that were re-ranked and fetched, rounds, time; and the distribution of the
 * errors in units of the bounds' standard deviation.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/random.h"
#include "core/metric/direction.h"
#include "core/search/kmeans.h"
#include "core/search/search_query.h"
#include "core/search/shortlist.h"
#include "kernels/half.h"

#define NEIGHBOURS 100
#define PAGE_BYTES 8120
#define SEED	   20240601

static const FrKernels *kernels;
static FrSearchShape shape;
static FrRotation rotation;
static size_t row_count, query_count;

/* What is measured; the bounds' factors and the first round's capacity. */
typedef struct Setting
{
	float epsilon_scan, epsilon_rerank;
	size_t capacity;
} Setting;

static const Setting settings[] = {
	{4.75f, 5.0f, 4096}, {4.75f, 5.0f, 1024}, {4.5f, 4.5f, 4096},
	{4.0f, 4.0f, 4096},	 {5.0f, 5.0f, 4096},  {3.09f, 3.09f, 4096},
	{2.33f, 3.0f, 4096}, {1.64f, 3.0f, 4096}, {1.28f, 3.0f, 4096}};

/* Directions as they are stored in a table. */
typedef struct Rows
{
	uint16_t *halves; /* [count, dims] */
	float *scales;
} Rows;

static Rows base, queries;
static int32_t *truth; /* [queries, NEIGHBOURS] */

/* The index. */
static uint8_t *centroids, *blocks, *reranks;
static uint32_t list_count, *first_block, *row_lists;

static double
cpu_seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double) time.tv_sec + (double) time.tv_nsec * 1e-9;
}

static void *
must(void *memory)
{
	if (!memory)
	{
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	return memory;
}

static void
check(FrStatus status, const FrError *error)
{
	if (status != FR_OK)
	{
		fprintf(stderr, "%s\n", error->message);
		exit(1);
	}
}

static double
similarity(size_t row, size_t query)
{
	return 1.0 - fr_direction_distance(
					 kernels->vector, base.halves + row * shape.dims,
					 base.scales[row], queries.halves + query * shape.dims,
					 queries.scales[query], shape.dims);
}

/* ---- data --------------------------------------------------------------- */

static Rows
rows_new(size_t count)
{
	return (Rows){must(malloc(count * shape.dims * sizeof(uint16_t))),
				  must(malloc(count * sizeof(float)))};
}

static void
pack_row(Rows *rows, size_t row, const float *values)
{
	fr_direction_pack(values, shape.dims, rows->halves + row * shape.dims,
					  &rows->scales[row]);
}

static FILE *
open_part(const char *prefix, const char *part)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof path, "%s.%s", prefix, part);
	file = fopen(path, "rb");
	if (!file)
	{
		perror(path);
		exit(1);
	}
	return file;
}

static Rows
read_rows(const char *prefix, const char *part, size_t count)
{
	FILE *file = open_part(prefix, part);
	float *values = must(malloc(shape.dims * sizeof *values));
	Rows rows = rows_new(count);

	for (size_t i = 0; i < count; i++)
	{
		if (fread(values, sizeof *values, shape.dims, file) != shape.dims)
		{
			fprintf(stderr, "%s.%s has only %zu rows\n", prefix, part, i);
			exit(1);
		}
		pack_row(&rows, i, values);
	}
	free(values);
	fclose(file);
	return rows;
}

static void
read_truth(const char *prefix)
{
	FILE *file = open_part(prefix, "gt.i32");
	const size_t count = query_count * NEIGHBOURS;

	truth = must(malloc(count * sizeof *truth));
	if (fread(truth, sizeof *truth, count, file) != count)
	{
		fprintf(stderr, "%s.gt.i32 is too short\n", prefix);
		exit(1);
	}
	fclose(file);
}

/* Directions around random centres, a quarter of them without any. */
static void
make_rows(void)
{
	const size_t centre_count = row_count / 5;
	float *centres = must(malloc(centre_count * shape.dims * sizeof(float)));
	float *x = must(malloc(shape.dims * sizeof *x));
	uint64_t seed = SEED;

	for (size_t i = 0; i < centre_count * shape.dims; i++)
		centres[i] = (float) (int64_t) fr_random(&seed) * 0x1p-63f *
					 expf(-(float) (i % shape.dims) / 80);
	base = rows_new(row_count);
	queries = rows_new(query_count);
	for (size_t i = 0; i < row_count + query_count; i++)
	{
		const float *centre =
			centres + fr_random_below(&seed, centre_count) * shape.dims;
		const float weight = fr_random_below(&seed, 4) ? 1.0f : 0.0f;

		for (uint32_t d = 0; d < shape.dims; d++)
			x[d] = weight * centre[d] +
				   (float) (int64_t) fr_random(&seed) * 0x1p-63f * 0.4f;
		if (i < row_count)
			pack_row(&base, i, x);
		else
			pack_row(&queries, i - row_count, x);
	}
	free(centres);
	free(x);
}

/* Nearest neighbours by brute force. */
static void
find_truth(void)
{
	double *best = must(malloc((NEIGHBOURS + 1) * sizeof *best));

	truth = must(malloc(query_count * NEIGHBOURS * sizeof *truth));
	for (size_t q = 0; q < query_count; q++)
	{
		int32_t *nearest = truth + q * NEIGHBOURS;
		size_t count = 0;

		for (size_t row = 0; row < row_count; row++)
		{
			const double s = similarity(row, q);
			size_t at = count < NEIGHBOURS ? count++ : NEIGHBOURS;

			while (at > 0 && best[at - 1] < s)
			{
				best[at] = best[at - 1];
				if (at < NEIGHBOURS)
					nearest[at] = nearest[at - 1];
				at--;
			}
			best[at] = s;
			if (at < NEIGHBOURS)
				nearest[at] = (int32_t) row;
		}
	}
	free(best);
}

/* ---- the index ---------------------------------------------------------- */

static const FrCentroid *
centroid_at(uint32_t list)
{
	return (const void *) (centroids + (size_t) list * shape.centroid_bytes);
}

static void
rotate_row(size_t row, float *out)
{
	fr_rotation_apply_halves(&rotation, kernels, base.halves + row * shape.dims,
							 base.scales[row], out);
}

static void
make_centroids(uint32_t lists)
{
	FrError error;
	size_t count = fr_search_sample_rows(lists);
	uint64_t seed = SEED;
	float *sample;

	if (count > row_count)
		count = row_count;
	sample = must(aligned_alloc(64, count * shape.padded * sizeof *sample));
	for (size_t i = 0; i < count; i++)
		rotate_row(fr_random_below(&seed, row_count),
				   sample + i * shape.padded);
	centroids = must(malloc((size_t) lists * shape.centroid_bytes));
	check(fr_kmeans(&shape, kernels, sample, count, lists, FR_KMEANS_ITERATIONS,
					SEED, &fr_allocator_malloc, NULL, centroids, &list_count,
					&error),
		  &error);
	free(sample);
}

static void
assign_rows(void)
{
	FrError error;
	FrAssigner *assigner;
	float *batch = must(aligned_alloc(64, (size_t) FR_ASSIGN_ROWS *
											  shape.padded * sizeof *batch));

	row_lists = must(malloc(row_count * sizeof *row_lists));
	check(fr_assigner_create(&shape, kernels, centroids, list_count,
							 &fr_allocator_malloc, &assigner, &error),
		  &error);
	for (size_t start = 0; start < row_count; start += FR_ASSIGN_ROWS)
	{
		const size_t n = row_count - start < FR_ASSIGN_ROWS ? row_count - start
															: FR_ASSIGN_ROWS;

		for (size_t i = 0; i < n; i++)
			rotate_row(start + i, batch + i * shape.padded);
		check(fr_assigner_run(assigner, batch, n, row_lists + start, NULL, NULL,
							  &error),
			  &error);
	}
	fr_assigner_destroy(assigner);
	free(batch);
}

static void
encode_rows(void)
{
	uint32_t *fill = must(calloc(list_count + 1, sizeof *fill));
	float *x = must(aligned_alloc(64, shape.padded * sizeof *x));
	uint8_t *encoded = must(malloc(shape.encoded_bytes));

	for (size_t row = 0; row < row_count; row++)
		fill[row_lists[row] + 1]++;
	first_block = must(calloc(list_count + 1, sizeof *first_block));
	for (uint32_t list = 0; list < list_count; list++)
		first_block[list + 1] = first_block[list] + (fill[list + 1] + 31) / 32;
	memset(fill, 0, (list_count + 1) * sizeof *fill);
	blocks = must(aligned_alloc(
		64,
		((size_t) first_block[list_count] * shape.block_bytes + 63) / 64 * 64));
	memset(blocks, 0, (size_t) first_block[list_count] * shape.block_bytes);
	reranks = must(malloc(row_count * shape.rerank_bytes));
	for (size_t row = 0; row < row_count; row++)
	{
		const uint32_t list = row_lists[row], slot = fill[list]++;
		FrRowId id = {{0}};

		rotate_row(row, x);
		fr_code_encode(&shape, kernels, x, centroid_at(list), encoded);
		memcpy(id.bytes, &(uint32_t){(uint32_t) row}, 4);
		fr_block_put(&shape,
					 blocks + (size_t) (first_block[list] + slot / 32) *
								  shape.block_bytes,
					 slot % 32, encoded, id, NULL, NULL);
		memcpy(reranks + row * shape.rerank_bytes,
			   fr_encoded_rerank(&shape, encoded), shape.rerank_bytes);
	}
	free(fill);
	free(x);
	free(encoded);
}

/* ---- a search ----------------------------------------------------------- */

typedef struct Entry
{
	double value;
	uint32_t row;
} Entry;

/* A heap with the greatest value on top. */
typedef struct Heap
{
	Entry *entries;
	size_t count, room;
} Heap;

static void
heap_push(Heap *heap, double value, uint32_t row)
{
	size_t at = heap->count++;

	if (at == heap->room)
	{
		heap->room = heap->room ? 2 * heap->room : 1024;
		heap->entries =
			must(realloc(heap->entries, heap->room * sizeof *heap->entries));
	}
	while (at > 0 && heap->entries[(at - 1) / 2].value < value)
	{
		heap->entries[at] = heap->entries[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	heap->entries[at] = (Entry){value, row};
}

static Entry
heap_pop(Heap *heap)
{
	const Entry top = heap->entries[0], moved = heap->entries[--heap->count];
	size_t at = 0;

	for (;;)
	{
		size_t child = 2 * at + 1;

		if (child >= heap->count)
			break;
		if (child + 1 < heap->count &&
			heap->entries[child + 1].value > heap->entries[child].value)
			child++;
		if (heap->entries[child].value <= moved.value)
			break;
		heap->entries[at] = heap->entries[child];
		at = child;
	}
	heap->entries[at] = moved;
	return top;
}

static double
heap_top(const Heap *heap)
{
	return heap->count > 0 ? heap->entries[0].value : -INFINITY;
}

typedef struct Counters
{
	size_t reranks, fetches, rounds, misses;
	double scan_seconds, rest_seconds;
} Counters;

typedef struct Search
{
	FrSearchQuery query;
	FrSearchList *lists;
	uint32_t *order; /* of lists, the nearest first */
	FrShortlist shortlist;
	Heap closer, exact;
	size_t number; /* of the query */
	Counters *counters;
} Search;

static void
scan_round(Search *search)
{
	const double start = cpu_seconds();

	search->counters->rounds++;
	for (uint32_t i_list = 0; i_list < list_count; i_list++)
	{
		const uint32_t list = search->order[i_list];

		for (uint32_t b = first_block[list]; b < first_block[list + 1]; b++)
		{
			const uint8_t *block = blocks + (size_t) b * shape.block_bytes;
			FrSearchHits hits;

			fr_search_scan_block(&search->query, &search->lists[list], block,
								 fr_block_live(&shape, block),
								 fr_shortlist_lowest(&search->shortlist),
								 fr_shortlist_highest(&search->shortlist),
								 &hits);
			for (uint32_t i = 0; i < hits.count; i++)
				fr_shortlist_add(&search->shortlist, hits.bound[i],
								 (uint64_t) b << 8 | hits.slot[i],
								 fr_block_row(&shape, block, hits.slot[i]));
		}
	}
	search->counters->scan_seconds += cpu_seconds() - start;
}

static uint32_t
row_of(FrRowId id)
{
	uint32_t row;

	memcpy(&row, id.bytes, sizeof row);
	return row;
}

/* The next neighbour in exact order, or a row of -1. */
static Entry
next_neighbour(Search *search)
{
	for (;;)
	{
		const FrCandidate *candidate = fr_shortlist_peek(&search->shortlist);
		double unseen = candidate ? (double) candidate->bound : -INFINITY;

		if (!candidate && fr_shortlist_is_cut(&search->shortlist))
			unseen = (double) fr_shortlist_lowest(&search->shortlist);
		if (search->exact.count > 0 && heap_top(&search->exact) >= unseen &&
			heap_top(&search->exact) >= heap_top(&search->closer))
			return heap_pop(&search->exact);
		if (search->closer.count > 0 && heap_top(&search->closer) >= unseen)
		{
			const Entry entry = heap_pop(&search->closer);

			search->counters->fetches++;
			heap_push(&search->exact, similarity(entry.row, search->number),
					  entry.row);
		}
		else if (candidate)
		{
			const uint32_t row = row_of(candidate->row);
			const FrSearchRerank rerank = fr_search_rerank(
				&search->query, reranks + (size_t) row * shape.rerank_bytes);

			search->counters->reranks++;
			heap_push(&search->closer, (double) rerank.bound, row);
			fr_shortlist_pop(&search->shortlist);
		}
		else if (fr_shortlist_is_cut(&search->shortlist))
		{
			FrError error;

			check(fr_shortlist_next_round(&search->shortlist,
										  4 * search->shortlist.capacity,
										  &fr_allocator_malloc, &error),
				  &error);
			scan_round(search);
		}
		else
			return (Entry){-INFINITY, UINT32_MAX};
	}
}

static int
compare_falling(const void *a, const void *b)
{
	const double x = *(const double *) a, y = *(const double *) b;

	return (x < y) - (x > y);
}

/* How many of the `wanted` greatest similarities are not among those found
 * [wanted], which fall. */
static size_t
count_missed(size_t number, const double *found, size_t wanted)
{
	double exact[NEIGHBOURS];
	size_t matched = 0;

	for (size_t i = 0; i < NEIGHBOURS; i++)
		exact[i] = similarity((size_t) truth[number * NEIGHBOURS + i], number);
	qsort(exact, NEIGHBOURS, sizeof *exact, compare_falling);
	for (size_t i = 0; i < wanted; i++)
		matched += matched < wanted && found[matched] >= exact[i];
	return wanted - matched;
}

typedef struct Place
{
	float distance;
	uint32_t list;
} Place;

static int
compare_places(const void *a, const void *b)
{
	const Place *x = a, *y = b;

	return (x->distance > y->distance) - (x->distance < y->distance);
}

static void
order_lists(Search *search)
{
	Place *places = must(malloc(list_count * sizeof *places));

	for (uint32_t list = 0; list < list_count; list++)
	{
		search->lists[list] = fr_search_list(&search->query, centroid_at(list));
		places[list] = (Place){search->lists[list].distance, list};
	}
	qsort(places, list_count, sizeof *places, compare_places);
	for (uint32_t list = 0; list < list_count; list++)
		search->order[list] = places[list].list;
	free(places);
}

/* Search for the `wanted` nearest. */
static void
run_query(Search *search, size_t number, size_t wanted, Counters *counters)
{
	const double start = cpu_seconds(), scanned = counters->scan_seconds;
	double found[NEIGHBOURS];

	search->number = number;
	search->counters = counters;
	search->closer.count = search->exact.count = 0;
	fr_search_query_set(&search->query, &rotation,
						queries.halves + number * shape.dims,
						queries.scales[number]);
	order_lists(search);
	fr_shortlist_reset(&search->shortlist);
	scan_round(search);
	for (size_t i = 0; i < wanted; i++)
		found[i] = next_neighbour(search).value;
	counters->rest_seconds +=
		cpu_seconds() - start - (counters->scan_seconds - scanned);
	counters->misses += count_missed(number, found, wanted);
}

static void
measure(const Setting *setting, size_t wanted)
{
	const double n = (double) query_count;
	Counters counters = {0};
	Search search = {0};
	FrError error;

	check(fr_search_query_init(&search.query, &shape, kernels,
							   &fr_allocator_malloc, &error),
		  &error);
	search.query.epsilon_scan = setting->epsilon_scan;
	search.query.epsilon_rerank = setting->epsilon_rerank;
	search.lists = must(malloc(list_count * sizeof *search.lists));
	search.order = must(malloc(list_count * sizeof *search.order));
	for (size_t q = 0; q < query_count; q++)
	{
		check(fr_shortlist_init(&search.shortlist, setting->capacity,
								&fr_allocator_malloc, &error),
			  &error);
		run_query(&search, q, wanted, &counters);
		fr_shortlist_fini(&search.shortlist, &fr_allocator_malloc);
	}
	printf("k %3zu  eps %.2f %.2f  M %zu  missed %zu of %zu  rounds %.2f  "
		   "re-ranked %.0f  fetched %.1f  scan %.0f us (%.2f ns/vector)  rest "
		   "%.0f us\n",
		   wanted, (double) setting->epsilon_scan,
		   (double) setting->epsilon_rerank, setting->capacity, counters.misses,
		   query_count * wanted, (double) counters.rounds / n,
		   (double) counters.reranks / n, (double) counters.fetches / n,
		   counters.scan_seconds / n * 1e6,
		   counters.scan_seconds * 1e9 / (double) counters.rounds /
			   (double) row_count,
		   counters.rest_seconds / n * 1e6);
	fr_search_query_fini(&search.query, &fr_allocator_malloc);
	free(search.lists);
	free(search.order);
	free(search.closer.entries);
	free(search.exact.entries);
}

/* ---- errors ------------------------------------------------------------- */

typedef struct Tail
{
	size_t count, above[4]; /* 3, 4, 4.5 and 5 standard deviations */
	double squares, worst;
} Tail;

static void
tail_add(Tail *tail, double z)
{
	static const double limits[4] = {3, 4, 4.5, 5};

	tail->count++;
	tail->squares += z * z;
	tail->worst = fmax(tail->worst, z);
	for (int i = 0; i < 4; i++)
		tail->above[i] += z > limits[i];
}

static void
tail_print(const Tail *tail, const char *what)
{
	printf("%s errors in standard deviations, %zu pairs: rms %.3f, greatest "
		   "%.2f, above 3: %.2e, 4: %.2e, 4.5: %.2e, 5: %.2e (normal: 1.35e-3 "
		   "3.2e-5 3.4e-6 2.9e-7)\n",
		   what, tail->count, sqrt(tail->squares / (double) tail->count),
		   tail->worst, (double) tail->above[0] / (double) tail->count,
		   (double) tail->above[1] / (double) tail->count,
		   (double) tail->above[2] / (double) tail->count,
		   (double) tail->above[3] / (double) tail->count);
}

static double
half_of(const uint8_t *block, uint32_t offset, uint32_t slot)
{
	uint16_t half;

	memcpy(&half, block + offset + 2 * slot, sizeof half);
	return (double) fr_half_to_float(half);
}

/* The error of a 1-bit code in standard deviations; bound is that for an
 * epsilon of 0. */
static double
code_error(const FrSearchQuery *query, const FrSearchList *list,
		   const uint8_t *block, uint32_t slot, double true_similarity,
		   double bound)
{
	const double r = half_of(block, shape.r_offset, slot);
	const double e = half_of(block, shape.e_offset, slot);
	const double y = true_similarity - (double) list->product;
	const double norm = (double) query->norm;
	const double estimate =
		bound - (double) FR_SEARCH_ROUNDING - r * (double) FR_SCAN_MARGIN;

	return (true_similarity - estimate) /
		   (e * sqrt(norm * norm - y * y / (r * r)));
}

/* True minus estimated similarity over the bound's standard deviation, for
 * some queries and all vectors. */
static void
measure_errors(size_t count)
{
	FrSearchQuery query;
	FrError error;
	Tail scan = {0}, rerank = {0};

	check(fr_search_query_init(&query, &shape, kernels, &fr_allocator_malloc,
							   &error),
		  &error);
	for (size_t q = 0; q < count; q++)
	{
		fr_search_query_set(&query, &rotation, queries.halves + q * shape.dims,
							queries.scales[q]);
		for (uint32_t list = 0; list < list_count; list++)
			for (uint32_t b = first_block[list]; b < first_block[list + 1]; b++)
			{
				const uint8_t *block = blocks + (size_t) b * shape.block_bytes;
				FrSearchHits zero;
				FrSearchList terms;
				const uint32_t live = fr_block_live(&shape, block);

				query.epsilon_scan = 0;
				terms = fr_search_list(&query, centroid_at(list));
				fr_search_scan_block(&query, &terms, block, live, -INFINITY,
									 INFINITY, &zero);
				for (uint32_t i = 0; i < zero.count; i++)
				{
					const uint32_t row =
						row_of(fr_block_row(&shape, block, zero.slot[i]));
					const double s = similarity(row, q);
					FrSearchRerank closer;

					tail_add(&scan,
							 code_error(&query, &terms, block, zero.slot[i], s,
										(double) zero.bound[i]));
					query.epsilon_rerank = 1;
					closer = fr_search_rerank(
						&query, reranks + (size_t) row * shape.rerank_bytes);
					tail_add(&rerank,
							 (s - (double) closer.estimate) /
								 (double) (closer.bound - closer.estimate -
										   FR_SEARCH_ROUNDING));
				}
			}
	}
	tail_print(&scan, "1-bit ");
	tail_print(&rerank, "4-bit ");
	fr_search_query_fini(&query, &fr_allocator_malloc);
}

int
main(int argc, char **argv)
{
	FrError error;
	const bool is_read = argc >= 5;
	uint32_t lists;
	double start;

	kernels = fr_kernels_by_name(getenv("ISA") ? getenv("ISA") : "auto");
	if (!kernels)
		return 1;
	row_count = is_read ? strtoul(argv[3], NULL, 10) : 20000;
	query_count = is_read ? strtoul(argv[4], NULL, 10) : 100;
	check(fr_search_shape_init(
			  &shape, is_read ? (uint32_t) strtoul(argv[2], NULL, 10) : 512,
			  NULL, 0, PAGE_BYTES, PAGE_BYTES, &error),
		  &error);
	check(
		fr_rotation_init(&rotation, &shape, SEED, &fr_allocator_malloc, &error),
		&error);
	if (is_read)
	{
		base = read_rows(argv[1], "base.f32", row_count);
		queries = read_rows(argv[1], "query.f32", query_count);
		read_truth(argv[1]);
	}
	else
	{
		make_rows();
		find_truth();
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	lists = argc >= 6 ? (uint32_t) strtoul(argv[5], NULL, 10)
					  : fr_search_list_count((double) row_count);
	start = cpu_seconds();
	make_centroids(lists);
	printf("%s  %zu rows  %u dims  k-means %.2f s, %u lists", kernels->name,
		   row_count, shape.dims, cpu_seconds() - start, list_count);
	start = cpu_seconds();
	assign_rows();
	printf("  rotate and assign %.2f s", cpu_seconds() - start);
	start = cpu_seconds();
	encode_rows();
	printf("  rotate and encode %.2f s\n", cpu_seconds() - start);
	measure_errors(query_count < 5 ? query_count : 5);
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
	{
		measure(&settings[i], 10);
		measure(&settings[i], 100);
	}
	return 0;
}
