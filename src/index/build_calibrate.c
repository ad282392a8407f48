/*
 * build_calibrate.c: how many lists a search must read for a recall below 1.
 *
 * Faces of the sample look for their nearest neighbours in the sample, and
 * each neighbour's list has a rank by its distance from the face.  The share
 * of neighbours up to a rank is the recall of a search that reads that many
 * lists.  In the whole table neighbours are nearer than in a sample of it,
 * and nearer lists have them, so the figures are on the safe side.
 */
#include "postgres.h"

#include <math.h>

#include "index/build.h"
#include "index/search_settings.h"
#include "miscadmin.h"

#define QUERIES	   200
#define NEIGHBOURS 10

typedef struct Neighbour
{
	float similarity;
	uint32 row;
} Neighbour;

typedef struct ListDistance
{
	float distance2;
	uint32 list;
} ListDistance;

typedef struct Calibration
{
	const FrBuildPlan *plan;
	const FrKernels *kernels;
	const float *sample; /* [row_count, padded] */
	uint32 row_count;
	FrAssigner *assigner;
	ListDistance *order; /* [list_count] */
	double *shares;		 /* of lists to read, per neighbour */
	int share_count;
} Calibration;

static const float *
row_of(const Calibration *calibration, uint32 row)
{
	return calibration->sample + row * (Size) calibration->plan->shape.padded;
}

/* The nearest rows of the sample but the query itself, nearest first. */
static int
find_neighbours(const Calibration *calibration, uint32 query,
				Neighbour nearest[NEIGHBOURS])
{
	uint32 padded = calibration->plan->shape.padded;
	const float *face = row_of(calibration, query);
	int count = 0;

	for (uint32 row = 0; row < calibration->row_count; row++)
	{
		float similarity = (float) calibration->kernels->vector->dot_f32(
			face, row_of(calibration, row), padded);
		int place;

		if (row == query || (count == NEIGHBOURS &&
							 similarity <= nearest[count - 1].similarity))
			continue;
		if (count < NEIGHBOURS)
			count++;
		for (place = count - 1;
			 place > 0 && nearest[place - 1].similarity < similarity; place--)
			nearest[place] = nearest[place - 1];
		nearest[place] = (Neighbour){similarity, row};
	}
	return count;
}

static int
compare_distance(const void *a, const void *b)
{
	float left = ((const ListDistance *) a)->distance2;
	float right = ((const ListDistance *) b)->distance2;

	return left < right ? -1 : left > right;
}

/* Order the lists as a search for a face reads them. */
static void
order_lists(Calibration *calibration, const float *face)
{
	const FrBuildPlan *plan = calibration->plan;

	for (uint32 list = 0; list < plan->meta.list_count; list++)
	{
		const FrCentroid *centroid = fr_build_centroid(plan, list);
		float product =
			fr_centroid_dot(&plan->shape, calibration->kernels, centroid, face);

		calibration->order[list] =
			(ListDistance){fr_centroid_distance2(centroid, product), list};
	}
	qsort(calibration->order, plan->meta.list_count, sizeof(ListDistance),
		  compare_distance);
}

/* Note which share of the lists has each neighbour of a row. */
static void
calibrate_query(Calibration *calibration, uint32 query)
{
	uint32 list_count = calibration->plan->meta.list_count;
	Neighbour nearest[NEIGHBOURS];
	int count = find_neighbours(calibration, query, nearest);
	FrError error = {0};

	order_lists(calibration, row_of(calibration, query));
	for (int i = 0; i < count; i++)
	{
		uint32 list;
		uint32 rank = 0;

		fr_index_check_status(
			fr_assigner_run(calibration->assigner,
							row_of(calibration, nearest[i].row), 1, &list, NULL,
							NULL, &error),
			&error, "could not calibrate an index");
		while (rank < list_count - 1 && calibration->order[rank].list != list)
			rank++;
		calibration->shares[calibration->share_count++] =
			(rank + 1.0) / list_count;
	}
}

static int
compare_share(const void *a, const void *b)
{
	double left = *(const double *) a;
	double right = *(const double *) b;

	return left < right ? -1 : left > right;
}

static void
read_off_fractions(Calibration *calibration, FrMetaPage *meta)
{
	int count = calibration->share_count;

	if (count == 0)
		return;
	qsort(calibration->shares, count, sizeof(double), compare_share);
	for (int i = 0; i < FR_RECALL_LEVELS; i++)
	{
		int place = (int) ceil(fr_recall_levels[i] * count) - 1;

		meta->probe_fractions[i] = calibration->shares[Max(place, 0)];
	}
}

void
fr_build_calibrate(FrBuildPlan *plan, const FrKernels *kernels,
				   const float *sample, uint32 row_count)
{
	Calibration calibration = {.plan = plan,
							   .kernels = kernels,
							   .sample = sample,
							   .row_count = row_count};
	FrAllocator allocator = fr_index_host->allocator(CurrentMemoryContext);
	uint32 queries = Min(QUERIES, row_count);
	FrError error = {0};

	fr_index_check_status(fr_assigner_create(&plan->shape, kernels,
											 plan->centroids,
											 plan->meta.list_count, &allocator,
											 &calibration.assigner, &error),
						  &error, "could not calibrate an index");
	calibration.order = palloc(plan->meta.list_count * sizeof(ListDistance));
	calibration.shares = palloc(queries * NEIGHBOURS * sizeof(double));
	for (uint32 i = 0; i < queries; i++)
	{
		CHECK_FOR_INTERRUPTS();
		calibrate_query(&calibration,
						(uint32) ((uint64) i * row_count / queries));
	}
	read_off_fractions(&calibration, &plan->meta);
	fr_assigner_destroy(calibration.assigner);
	pfree(calibration.order);
	pfree(calibration.shares);
}
