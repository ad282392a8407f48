/*
 * scan_rounds.c: rounds over the 1-bit codes.
 *
 * A round reads all lists of the stage, nearest first, and keeps the best
 * candidates in the shortlist, whose rising lowest bound spares most of the
 * others.  How many rows the query wants is unknown; when all candidates of
 * a round are used up, the next one begins where it was cut off and takes
 * four times as many.  So nothing is missed and nothing repeated.
 *
 * A scan keeps to the chains that it found when it began: they stay as they
 * are, but for new rows (which its snapshot does not see), as long as the
 * snapshot lives.  On a standby nothing protects them; there the scan starts
 * anew when it meets a page that is no longer what it should be.
 */
#include "postgres.h"

#include <math.h>

#include "access/xlog.h"
#include "core/base/prefetch.h"
#include "index/page_read.h"
#include "index/scan.h"
#include "index/scan_limit.h"
#include "index/scan_state.h"
#include "index/search_settings.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"

/* Candidates of the first round, times the square root of the index's rows: as
 * many as the ten nearest faces need, measured at 100,000 and 500,000 rows. */
#define FIRST_CAPACITY 13.0
#define LEAST_CAPACITY 1024
#define ROUND_GROWTH   4

/* The first round looks for as many rows as LIMIT wants, or for some more than
 * the ten that people ask for when it is not known; with more than the most it
 * would fetch too many of them at once. */
#define GUESSED_ROWS 12
#define MOST_WANTED	 2048

/* A scan that has looked at that share of the rows may go on to the last, and
 * its bounds must hold for all of them. */
#define DEEP_SHARE	 0.25
#define DEEP_EPSILON 6.0f

/* ---- beginning ---------------------------------------------------------- */

static int
compare_lists(const void *a, const void *b)
{
	float left = ((const FrScanList *) a)->search.distance;
	float right = ((const FrScanList *) b)->search.distance;

	return (left > right) - (left < right);
}

/* Make what turns a face into a query; it stays for the next one. */
static void
prepare_query(FrScan *scan, const FrRouting *routing)
{
	FrError error = {0};

	if (scan->shape.dims != 0 &&
		memcmp(&scan->shape, &routing->shape, sizeof scan->shape) == 0 &&
		scan->seed == routing->meta.seed)
		return;
	if (scan->shape.dims != 0)
	{
		fr_rotation_fini(&scan->rotation, &scan->allocator);
		fr_search_query_fini(&scan->query, &scan->allocator);
	}
	scan->shape = routing->shape;
	scan->seed = routing->meta.seed;
	fr_index_check_status(fr_rotation_init(&scan->rotation, &scan->shape,
										   scan->seed, &scan->allocator,
										   &error),
						  &error, "could not prepare an index scan");
	fr_index_check_status(fr_search_query_init(&scan->query, &scan->shape,
											   scan->kernels, &scan->allocator,
											   &error),
						  &error, "could not prepare an index scan");
}

/* Copy from the routing what the scan needs, with the distances from the
 * face, if it is one that the index can be searched for. */
static void
copy_lists(FrScan *scan, const FrRouting *routing)
{
	bool has_query = scan->face && scan->face->dims == scan->shape.dims;

	if (has_query)
		fr_search_query_set(&scan->query, &scan->rotation, scan->face->halves,
							scan->face->scale);
	scan->list_count = routing->meta.list_count;
	scan->lists = palloc0(scan->list_count * sizeof(FrScanList));
	scan->generations = palloc(scan->list_count * sizeof(uint32));
	for (uint32 i = 0; i < scan->list_count; i++)
	{
		const FrRoutingEntry *entry = fr_routing_list(routing, i);
		FrScanList *list = &scan->lists[i];

		list->list = i;
		list->first = entry->first;
		list->generation = entry->generation;
		scan->generations[i] = entry->generation;
		if (has_query)
			list->search =
				fr_search_list(&scan->query, fr_routing_centroid(routing, i));
	}
	if (has_query)
		qsort(scan->lists, scan->list_count, sizeof(FrScanList), compare_lists);
}

/* Candidates of the largest round: the shortlist keeps within work_mem. */
static Size
get_largest_capacity(void)
{
	Size bytes = (Size) work_mem * 1024;

	return Max(bytes / (2 * sizeof(FrCandidate)),
			   ROUND_GROWTH * LEAST_CAPACITY);
}

/* Candidates of the first round. */
static Size
get_first_capacity(double rows)
{
	double capacity = FIRST_CAPACITY * sqrt(Max(rows, 1.0));

	return Max(LEAST_CAPACITY, Min((Size) capacity, get_largest_capacity()));
}

int
fr_scan_count_rounds(double rows, double wanted, double candidates)
{
	Size largest = get_largest_capacity();
	Size capacity = get_first_capacity(rows);
	int rounds = 1;

	if (wanted <= MOST_WANTED)
		return 1;
	for (double found = capacity; found < candidates; found += capacity)
	{
		capacity = Min(capacity * ROUND_GROWTH, largest);
		rounds++;
	}
	return rounds;
}

/* Start the rounds anew behind a place in the order of candidates. */
static void
start_rounds(FrScan *scan, const FrCandidate *after, Size growth)
{
	Size capacity = growth * get_first_capacity(scan->rows);
	FrError error = {0};

	fr_index_check_status(
		fr_shortlist_start_after(&scan->shortlist, after,
								 Min(capacity, get_largest_capacity()),
								 &scan->allocator, &error),
		&error, "could not continue an index scan");
}

/* The first rows may be approximate if nobody will filter them. */
static bool
is_approximate(const FrScan *scan)
{
	return (fr_setting_recall < 1.0 || fr_setting_probes > 0) &&
		   scan->order_by && scan->bound_count == 0 && scan->wanted > 0 &&
		   scan->wanted <= MOST_WANTED && fr_limit_is_whole(scan->order_by);
}

static void
prepare_shortlist(FrScan *scan)
{
	FrError error = {0};

	if (!scan->has_shortlist)
	{
		fr_index_check_status(
			fr_shortlist_init(&scan->shortlist, 1, &scan->allocator, &error),
			&error, "could not prepare an index scan");
		scan->has_shortlist = true;
	}
	fr_shortlist_reset(&scan->shortlist);
}

bool
fr_scan_open_lists(FrScan *scan)
{
	Relation index = scan->descriptor->indexRelation;
	const FrRouting *routing = fr_index_routing(index, true);
	FrMetaPage meta;

	if (!routing)
		return false;
	meta = routing->meta;
	scan->kernels = fr_index_host->kernels();
	prepare_query(scan, routing);
	scan->query.kernels = scan->kernels;
	scan->is_approximate = is_approximate(scan);
	fr_search_query_set_recall(
		&scan->query,
		scan->is_approximate ? fr_search_settings_code_recall() : 1.0);
	copy_lists(scan, routing);
	/* Looks at catalogs: the routing may be gone afterwards. */
	fr_scan_bind_keys(scan, &meta);
	prepare_shortlist(scan);
	scan->phase = FR_SCAN_START;
	scan->threshold = scan->floor;
	scan->is_collecting = false;
	scan->reranked = 0;
	scan->routing_version = meta.routing_version;
	scan->index_blocks = RelationGetNumberOfBlocks(index);
	scan->rows = (double) scan->index_blocks / (1 + scan->shape.rerank_pages) *
				 scan->shape.slots_per_page;
	scan->plain_pages = 0;
	scan->stage_end = scan->is_approximate ? fr_search_settings_lists(&meta)
										   : scan->list_count;
	if (scan->wanted == 0)
		scan->wanted = GUESSED_ROWS;
	scan->plain_list = 0;
	scan->plain_block = scan->lists[0].first;
	return true;
}

/* ---- pages -------------------------------------------------------------- */

/* Lock a pinned page and check that it belongs to the list; false when it
 * does not any more, and is released. */
static bool
lock_code_page(FrScan *scan, Buffer buffer, uint32 list, uint32 generation)
{
	CHECK_FOR_INTERRUPTS();
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (likely(
			fr_page_is(BufferGetPage(buffer), FR_PAGE_CODE, list, generation)))
		return true;
	if (!scan->is_standby)
		fr_index_corrupt(scan->descriptor->indexRelation,
						 "Block %u is not a code page of list %u.",
						 BufferGetBlockNumber(buffer), list);
	UnlockReleaseBuffer(buffer);
	return false;
}

Buffer
fr_scan_read_code_page(FrScan *scan, BlockNumber block, uint32 list,
					   uint32 generation)
{
	Buffer buffer =
		fr_index_read_buffer(scan->descriptor->indexRelation, block);

	return lock_code_page(scan, buffer, list, generation) ? buffer
														  : InvalidBuffer;
}

/* The place of a slot's re-rank code, which names the candidate, too: 16 bits
 * of list, 32 of block, 16 of position. */
static inline uint64
get_tag(const FrScan *scan, uint32 list, const FrCodePageHeader *header,
		uint32 slot)
{
	uint32 per_page = scan->shape.rerank_per_page;

	return (uint64) list << 48 |
		   (uint64) header->rerank[slot / per_page] << 16 | slot % per_page;
}

static void
scan_block(FrScan *scan, const FrScanList *list, Page page, uint32 number)
{
	const uint8 *block = fr_code_block(page, &scan->shape, number);
	uint32 mask = fr_scan_block_mask(scan, block);
	FrSearchHits hits;

	if (mask == 0)
		return;
	fr_search_scan_block(
		&scan->query, &list->search, block, mask,
		Max(scan->threshold, fr_shortlist_lowest(&scan->shortlist)),
		fr_shortlist_highest(&scan->shortlist), &hits);
	for (uint32 i = 0; i < hits.count; i++)
	{
		FrCandidate candidate = {
			.bound = hits.bound[i],
			.tag = get_tag(scan, list->list, FrPageGetCodeHeader(page),
						   number * FR_SEARCH_BLOCK + hits.slot[i]),
			.row = fr_block_row(&scan->shape, block, hits.slot[i])};

		if (!scan->is_collecting)
			fr_shortlist_add(&scan->shortlist, candidate.bound, candidate.tag,
							 candidate.row);
		else if (fr_candidate_precedes(&scan->shortlist.after, &candidate))
			scan->collected[scan->collected_count++] = candidate;
	}
}

/* Pin the page behind, and have its head on the way to the processor. */
static Buffer
pin_next(FrScan *scan, BlockNumber block)
{
	Buffer buffer;
	const char *page;

	if (!BlockNumberIsValid(block))
		return InvalidBuffer;
	buffer = fr_index_read_buffer(scan->descriptor->indexRelation, block);
	page = (const char *) BufferGetPage(buffer);
	__builtin_prefetch(page);
	__builtin_prefetch(page + 64);
	__builtin_prefetch(page + BLCKSZ - FR_PAGE_SPECIAL_BYTES);
	for (uint32 i = 0; i < scan->shape.blocks_per_page; i++)
		__builtin_prefetch(page + fr_code_blocks_offset(&scan->shape) +
						   i * (Size) scan->shape.block_bytes +
						   scan->shape.live_offset);
	return buffer;
}

bool
fr_scan_read_lists(FrScan *scan, uint32 first, uint32 end)
{
	uint32 i = first;
	Buffer buffer =
		first < end ? pin_next(scan, scan->lists[first].first) : InvalidBuffer;
	BlockNumber steps = 0;

	while (BufferIsValid(buffer))
	{
		const FrScanList *list = &scan->lists[i];

		fr_scan_check_walk(scan, ++steps, list->list);
		if (!lock_code_page(scan, buffer, list->list, list->generation))
			return false;

		Page page = BufferGetPage(buffer);
		uint32 used = fr_code_blocks_used(page, &scan->shape);
		BlockNumber behind = FrPageGetCodeHeader(page)->next;

		if (!BlockNumberIsValid(behind) && ++i < end)
			behind = scan->lists[i].first;

		Buffer next = pin_next(scan, behind);

		for (uint32 number = 0; number < used; number++)
		{
			if (BufferIsValid(next))
				fr_prefetch(
					fr_code_block(BufferGetPage(next), &scan->shape, number),
					scan->shape.block_bytes);
			scan_block(scan, list, page, number);
		}
		UnlockReleaseBuffer(buffer);
		if (scan->is_collecting)
			fr_scan_look_closer(scan);
		buffer = next;
	}
	return true;
}

/* ---- rounds ------------------------------------------------------------- */

/* True when the shortlist turned candidates away that are wanted. */
static bool
wants_another_round(const FrScan *scan)
{
	return fr_shortlist_is_cut(&scan->shortlist) &&
		   fr_shortlist_lowest(&scan->shortlist) >= scan->floor;
}

/* Go on behind the candidates of the round before. */
static void
continue_rounds(FrScan *scan, Size growth)
{
	Size capacity =
		Min(scan->shortlist.capacity * growth, get_largest_capacity());
	FrError error = {0};

	fr_index_check_status(fr_shortlist_next_round(&scan->shortlist, capacity,
												  &scan->allocator, &error),
						  &error, "could not continue an index scan");
}

/* More rows than LIMIT said: forget those that later rounds will see, and
 * begin these at the threshold. */
static void
leave_first_round(FrScan *scan)
{
	const FrCandidate last = scan->shortlist.last;

	fr_scan_queue_keep(&scan->nearer, last.bound);
	fr_scan_queue_keep(&scan->found, last.bound);
	scan->phase = FR_SCAN_ROUNDS;
	scan->threshold = scan->floor;
	start_rounds(scan, &last, ROUND_GROWTH);
}

/* Start anew with bounds that hold for all rows.  Those up to the last one that
 * was returned will be passed by. */
static void
go_deep(FrScan *scan)
{
	const FrCandidate none = {.bound = INFINITY};

	scan->query.epsilon_scan = DEEP_EPSILON;
	scan->query.epsilon_rerank = DEEP_EPSILON;
	scan->nearer.count = 0;
	scan->found.count = 0;
	scan->phase = FR_SCAN_DEEP;
	scan->threshold = scan->floor;
	scan->stage_end = scan->list_count;
	start_rounds(scan, &none, ROUND_GROWTH * ROUND_GROWTH);
}

/* Choose what to read next; false when all is read. */
static bool
prepare_round(FrScan *scan)
{
	const FrCandidate none = {.bound = INFINITY};

	switch (scan->phase)
	{
		case FR_SCAN_START:
			scan->phase = FR_SCAN_ROUNDS;
			if (scan->order_by && scan->wanted <= MOST_WANTED)
				scan->phase = FR_SCAN_FIRST;
			else
				start_rounds(scan, &none, 1);
			return true;
		case FR_SCAN_FIRST:
			if (!wants_another_round(scan))
				return false;
			/* The next round alone may be that share of a small index. */
			if (scan->is_approximate ||
				(scan->order_by &&
				 ROUND_GROWTH * get_first_capacity(scan->rows) >
					 DEEP_SHARE * scan->rows))
				go_deep(scan);
			else
				leave_first_round(scan);
			return true;
		case FR_SCAN_ROUNDS:
			if (!wants_another_round(scan))
				return false;
			if (scan->order_by && scan->reranked > DEEP_SHARE * scan->rows)
				go_deep(scan);
			else
				continue_rounds(scan, ROUND_GROWTH);
			return true;
		default:
			if (!wants_another_round(scan))
				return false;
			continue_rounds(scan, ROUND_GROWTH);
			return true;
	}
}

static bool
read_round(FrScan *scan)
{
	if (scan->phase != FR_SCAN_FIRST)
		return fr_scan_read_lists(scan, 0, scan->stage_end);
	if (!fr_scan_first_round(scan))
		return false;
	if (scan->best_count == scan->wanted || scan->stage_end == scan->list_count)
		return true;
	/* The lists that were read have not as many rows as are wanted. */
	go_deep(scan);
	return fr_scan_read_lists(scan, 0, scan->stage_end);
}

bool
fr_scan_next_round(FrScan *scan)
{
	if (!prepare_round(scan))
		return false;
	if (!read_round(scan))
		fr_scan_restart(scan);
	return true;
}

void
fr_scan_check_walk(FrScan *scan, BlockNumber steps, uint32 list)
{
	Relation index = scan->descriptor->indexRelation;

	if (likely(steps <= scan->index_blocks))
		return;
	scan->index_blocks = RelationGetNumberOfBlocks(index);
	if (steps > scan->index_blocks)
		fr_index_corrupt(index, "The chain of list %u has no end.", list);
}

void
fr_scan_restart(FrScan *scan)
{
	uint32 version = scan->routing_version;
	uint32 dims = scan->shape.dims;

	scan->nearer.count = 0;
	scan->found.count = 0;
	if (!fr_scan_open_lists(scan) || scan->shape.dims != dims)
	{
		/* VACUUM found no row, and those that came since are too young for
		 * this snapshot. */
		scan->is_exhausted = true;
		scan->list_count = 0;
		scan->plain_block = InvalidBlockNumber;
		return;
	}
	/* Whatever lets a page be reused replaces the routing first. */
	if (scan->routing_version == version)
		fr_index_corrupt(scan->descriptor->indexRelation,
						 "A page is not of the list that leads to it.");
}
