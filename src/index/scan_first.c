/*
 * scan_first.c: the first round of a scan, for what LIMIT asks.
 *
 * The similarity of the k-th nearest row known so far is a threshold for all
 * others, and the sooner it is high, the fewer candidates there are.  So the
 * nearest lists are sampled first, for a good guess; then all are read, and
 * every some hundred candidates are looked at closely at once, up to the exact
 * distances of those that may be among the k nearest, which raises the
 * threshold.  Candidates collect in the order of their places, so each re-rank
 * page is read once.
 *
 * The round ends as if the shortlist had been cut at the threshold: what was
 * turned away is found by a later round, if the query asks for more.
 */
#include "postgres.h"

#include <math.h>

#include "index/scan_state.h"
#include "miscadmin.h"

/* The share of lists to sample, and the candidates to look at closely, besides
 * twice the rows that are wanted. */
#define SAMPLE_SHARE	  32
#define SAMPLE_CANDIDATES 64

/* Candidates to collect before a closer look. */
#define COLLECTED 256

static Size
get_sample_capacity(const FrScan *scan)
{
	return SAMPLE_CANDIDATES + 2 * scan->wanted;
}

/* ---- the threshold ------------------------------------------------------ */

/* Replace the last of the k nearest, which is on top of a heap. */
static void
replace_last(FrScan *scan, double order_value)
{
	double *best = scan->best;
	uint32 place = 0;

	for (;;)
	{
		uint32 child = 2 * place + 1;

		if (child >= scan->wanted)
			break;
		if (child + 1 < scan->wanted && best[child + 1] > best[child])
			child++;
		if (best[child] <= order_value)
			break;
		best[place] = best[child];
		place = child;
	}
	best[place] = order_value;
}

static void
add_best(FrScan *scan, double order_value)
{
	double *best = scan->best;
	uint32 place = scan->best_count++;

	for (; place > 0 && best[(place - 1) / 2] < order_value;
		 place = (place - 1) / 2)
		best[place] = best[(place - 1) / 2];
	best[place] = order_value;
}

void
fr_scan_note_found(FrScan *scan, double order_value)
{
	if (scan->best_count < scan->wanted)
		add_best(scan, order_value);
	else if (order_value < scan->best[0])
		replace_last(scan, order_value);
	else
		return;
	if (scan->best_count == scan->wanted)
	{
		float similarity = (float) fr_scan_similarity(scan, scan->best[0]);

		scan->threshold = Max(scan->floor, nextafterf(similarity, -INFINITY));
	}
}

/* ---- candidates --------------------------------------------------------- */

/* Re-rank what was collected, and fetch the rows that may be among the k
 * nearest. */
static void
look_closer(FrScan *scan)
{
	int count = 0;

	for (int i = 0; i < scan->collected_count; i++)
		if (scan->collected[i].bound >= scan->threshold)
			scan->collected[count++] = scan->collected[i];
	scan->collected_count = 0;
	fr_scan_rerank_batch(scan, scan->collected, count);
	while (!fr_scan_queue_is_empty(&scan->nearer) &&
		   -fr_scan_queue_first_key(&scan->nearer) >= scan->threshold)
		fr_scan_fetch_nearest(scan);
	CHECK_FOR_INTERRUPTS();
}

void
fr_scan_look_closer(FrScan *scan)
{
	if (scan->collected_count >= COLLECTED)
		look_closer(scan);
}

static void
start_after(FrScan *scan, const FrCandidate *after)
{
	FrError error = {0};

	fr_index_check_status(fr_shortlist_start_after(&scan->shortlist, after,
												   get_sample_capacity(scan),
												   &scan->allocator, &error),
						  &error, "could not continue an index scan");
}

static void
allocate(FrScan *scan)
{
	Size room = Max(2 * get_sample_capacity(scan),
					COLLECTED + scan->shape.blocks_per_page * FR_SEARCH_BLOCK);

	scan->collected = palloc(room * sizeof(FrCandidate));
	scan->collected_count = 0;
	scan->best = palloc(scan->wanted * sizeof(double));
	scan->best_count = 0;
}

/* ---- the round ---------------------------------------------------------- */

/* Look closely at the best of some lists. */
static bool
take_sample(FrScan *scan, uint32 lists)
{
	const FrCandidate *candidate;

	if (!fr_scan_read_lists(scan, 0, lists))
		return false;
	while ((candidate = fr_shortlist_peek(&scan->shortlist)) != NULL)
	{
		scan->collected[scan->collected_count++] = *candidate;
		fr_shortlist_pop(&scan->shortlist);
	}
	look_closer(scan);
	return true;
}

bool
fr_scan_first_round(FrScan *scan)
{
	const FrCandidate none = {.bound = INFINITY};
	uint32 sample = Max(scan->stage_end / SAMPLE_SHARE, 1);
	FrCandidate last;
	bool is_cut;

	allocate(scan);
	start_after(scan, &none);
	if (!take_sample(scan, sample))
		return false;

	last = scan->shortlist.last;
	is_cut = fr_shortlist_is_cut(&scan->shortlist);
	scan->is_collecting = true;
	start_after(scan, &last);
	if (is_cut && !fr_scan_read_lists(scan, 0, sample))
		return false;
	start_after(scan, &none);
	if (!fr_scan_read_lists(scan, sample, scan->stage_end))
		return false;
	look_closer(scan);
	scan->is_collecting = false;
	if (scan->best_count == scan->wanted)
		fr_shortlist_end_at(&scan->shortlist, scan->threshold);
	return true;
}
