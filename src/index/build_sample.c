/*
 * build_sample.c: what an index over a table should look like.
 *
 * A few blocks tell how many rows there are to index; a random sample of
 * them, as large as k-means wants and memory allows, gives the centroids.
 */
#include "postgres.h"

#include "catalog/index.h"
#include "common/hashfn.h"
#include "core/search/kmeans.h"
#include "index/build.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/sampling.h"

/* Blocks that tell how many rows a block has. */
#define DENSITY_BLOCKS 128

/* Rows that k-means wants at least per list. */
#define ROWS_PER_LIST 8

typedef struct Sample
{
	Relation index;
	FrBuildPlan *plan;
	FrRowEncoder encoder;
	MemoryContext row_context;
	bool is_counting;
	uint64 random;
	double seen; /* rows that the index would hold */
	double heap_rows;
	bool has_dead; /* rows that only older snapshots see */
	Size capacity;
	Size count;
	float *rotated; /* [capacity, padded] */
} Sample;

/* A number in 0 .. bound - 1 (splitmix64). */
static uint64
next_random(Sample *sample, uint64 bound)
{
	uint64 z = sample->random += UINT64CONST(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % bound;
}

/* ---- rows --------------------------------------------------------------- */

/* The first row says what all rows are like. */
static void
start_sample(Sample *sample, const FrStoredEmbedding *embedding)
{
	FrBuildPlan *plan = sample->plan;
	double memory = maintenance_work_mem * 1024.0;

	plan->meta.dims = embedding->dims;
	fr_index_shape(&plan->meta, &plan->shape);
	fr_row_encoder_init(&sample->encoder, &plan->shape, plan->meta.seed);

	Size row_bytes = plan->shape.padded * sizeof(float);
	/* k-means keeps about as much again as the largest routing. */
	double room = Max(memory * 0.75 / row_bytes, 256.0);

	sample->capacity = (Size) Min((double) sample->capacity, room);
	sample->rotated = MemoryContextAllocHuge(
		CurrentMemoryContext, Max(sample->capacity, 1) * row_bytes);
}

/* Reservoir sampling: every row has the same chance. */
static void
add_to_sample(Sample *sample, const FrStoredEmbedding *embedding)
{
	FrMetaPage *meta = &sample->plan->meta;
	uint64 place = (uint64) sample->seen;

	if (meta->dims == 0)
		start_sample(sample, embedding);
	fr_row_check_model(sample->index, meta->fingerprint, meta->dims, embedding);
	if (meta->fingerprint == 0)
		meta->fingerprint = embedding->fingerprint;
	if (sample->count < sample->capacity)
		place = sample->count++;
	else
		place = next_random(sample, place + 1);
	if (place < sample->capacity)
		fr_row_rotate(&sample->encoder, embedding,
					  sample->rotated + place * sample->plan->shape.padded);
}

static void
sample_callback(Relation index, ItemPointer tid, Datum *values, bool *isnull,
				bool is_alive, void *state)
{
	Sample *sample = state;

	if (isnull[FR_EMBEDDING_COLUMN])
		return;
	/* Older snapshots will do without the index, but not without one that is
	 * made anew. */
	if (!is_alive && !ReindexIsProcessingIndex(RelationGetRelid(index)))
	{
		sample->has_dead = true;
		return;
	}
	if (!sample->is_counting)
	{
		Datum value = values[FR_EMBEDDING_COLUMN];
		MemoryContext caller;
		const FrStoredEmbedding *embedding;

		caller = MemoryContextSwitchTo(sample->row_context);
		embedding = fr_row_embedding(value);
		MemoryContextSwitchTo(caller);
		add_to_sample(sample, embedding);
		MemoryContextReset(sample->row_context);
	}
	sample->seen += 1;
}

/* ---- blocks ------------------------------------------------------------- */

/* Run through count random blocks of a table of total. */
static void
read_blocks(Sample *sample, Relation heap, IndexInfo *info, BlockNumber total,
			BlockNumber count)
{
	BlockSamplerData sampler;

	sample->seen = 0;
	if (count >= total)
	{
		sample->heap_rows = table_index_build_range_scan(
			heap, sample->index, info, false, true, false, 0, total,
			sample_callback, sample, NULL);
		return;
	}
	BlockSampler_Init(&sampler, total, (int) count, (uint32) FR_INDEX_SEED);
	while (BlockSampler_HasMore(&sampler))
	{
		CHECK_FOR_INTERRUPTS();
		table_index_build_range_scan(heap, sample->index, info, false, true,
									 false, BlockSampler_Next(&sampler), 1,
									 sample_callback, sample, NULL);
	}
}

/* How many rows the index will have, about. */
static double
estimate_rows(Sample *sample, Relation heap, IndexInfo *info, BlockNumber total)
{
	BlockNumber count = Min(total, DENSITY_BLOCKS);

	if (total == 0)
		return 0;
	sample->is_counting = true;
	read_blocks(sample, heap, info, total, count);
	sample->is_counting = false;
	return sample->seen * ((double) total / count);
}

/* ---- plan --------------------------------------------------------------- */

/* As many as were asked for, whatever the table holds: it may be filled later,
 * or the lists are a mistake. */
static uint32
take_option(Relation index, uint32 wanted, double row_count)
{
	if (wanted > Max(row_count / ROWS_PER_LIST, 1))
		ereport(WARNING,
				(errmsg("%u lists are too many for %.0f rows of index \"%s\"",
						wanted, row_count, RelationGetRelationName(index)),
				 errdetail("Every search looks at each list, and each takes "
						   "two pages at least."),
				 errhint("Without the option \"lists\" it would have %u.",
						 fr_search_list_count(row_count))));
	return wanted;
}

static uint32
choose_list_count(Relation index, const Sample *sample, double row_count)
{
	int wanted = fr_index_option_lists(index);

	if (wanted > 0)
		return take_option(index, wanted, row_count);

	uint32 lists = fr_search_list_count(row_count);
	uint32 possible = Max(1, sample->count / ROWS_PER_LIST);

	/* A sample that is full and not enough has met the limit of memory. */
	if (possible < lists && sample->count == sample->capacity)
		ereport(NOTICE,
				(errmsg("index \"%s\" gets %u lists instead of %u, which makes "
						"searches slower",
						RelationGetRelationName(index), possible, lists),
				 errhint("Please REINDEX it with more maintenance_work_mem.")));
	return Min(lists, possible);
}

static void
cluster(Sample *sample, uint32 lists)
{
	FrBuildPlan *plan = sample->plan;
	FrAllocator allocator = fr_index_host->allocator(CurrentMemoryContext);
	FrCancel cancel = fr_index_host->cancel();
	FrError error = {0};
	FrStatus status;

	plan->centroids_bytes = lists * (Size) plan->shape.centroid_bytes;
	plan->centroids = palloc0(plan->centroids_bytes);
	/* The zero centroid codes every vector as it is. */
	plan->meta.list_count = 1;
	if (lists == 1)
		return;
	fr_build_set_phase(FR_PHASE_CLUSTER);
	status = fr_kmeans(&plan->shape, sample->encoder.kernels, sample->rotated,
					   sample->count, lists, FR_KMEANS_ITERATIONS,
					   FR_INDEX_SEED, &allocator, &cancel, plan->centroids,
					   &plan->meta.list_count, &error);
	fr_index_check_status(status, &error,
						  "could not cluster the embeddings of an index");
	plan->centroids_bytes =
		plan->meta.list_count * (Size) plan->shape.centroid_bytes;
	fr_build_set_phase(FR_PHASE_CALIBRATE);
	fr_build_calibrate(plan, sample->encoder.kernels, sample->rotated,
					   (uint32) sample->count);
}

void
fr_build_make_plan(Relation heap, Relation index, IndexInfo *info,
				   FrBuildPlan *plan)
{
	BlockNumber total = RelationGetNumberOfBlocks(heap);
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "faceindex sample", ALLOCSET_DEFAULT_SIZES);
	MemoryContext plan_context = MemoryContextSwitchTo(context);
	Sample sample = {.index = index, .plan = plan, .random = FR_INDEX_SEED};
	double row_count;
	double blocks;

	memset(plan, 0, sizeof *plan);
	plan->meta.magic = FR_INDEX_MAGIC;
	plan->meta.format = FR_INDEX_FORMAT;
	plan->meta.seed = fr_index_make_seed();
	fr_row_check_columns(index, &plan->meta);

	fr_build_set_phase(FR_PHASE_SAMPLE);
	sample.row_context =
		AllocSetContextCreate(context, "faceindex row", ALLOCSET_DEFAULT_SIZES);
	row_count = estimate_rows(&sample, heap, info, total);

	uint32 lists = fr_index_option_lists(index);

	if (lists == 0)
		lists = fr_search_list_count(row_count);
	sample.capacity = fr_search_sample_rows(lists);
	/* A few blocks more, for their rows differ in number. */
	blocks = row_count > 0 ? 1.1 * sample.capacity * total / row_count : total;
	read_blocks(&sample, heap, info, total, (BlockNumber) Min(blocks, total));
	if (sample.count == 0 && blocks < total)
		read_blocks(&sample, heap, info, total, total);
	if (blocks >= total)
		row_count = sample.seen;

	plan->meta.rows_at_build = row_count;
	plan->heap_rows = sample.heap_rows;
	/* The index will not have them. */
	if (plan->meta.dims == 0 && sample.has_dead)
		info->ii_BrokenHotChain = true;
	if (plan->meta.dims > 0)
	{
		MemoryContextSwitchTo(plan_context);
		cluster(&sample, choose_list_count(index, &sample, row_count));
	}
	MemoryContextSwitchTo(plan_context);
	MemoryContextDelete(context);
}
