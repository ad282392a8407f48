/*
 * scan_rerank.c: a closer look at candidates, by their 4-bit codes.
 *
 * Candidates are taken off the shortlist some at a time, so that pages that are
 * not in memory are asked for at once, and codes that are not in the caches of
 * the processor are on their way while others are looked at.
 */
#include "postgres.h"

#include "core/base/prefetch.h"
#include "executor/instrument.h"
#include "index/page_read.h"
#include "index/scan_state.h"
#include "miscadmin.h"

/* Batches grow, for whoever needs many candidates needs more. */
#define FIRST_BATCH 16
#define LAST_BATCH	128

/* Pages that are pinned at a time. */
#define PINNED 16

static BlockNumber
get_block(const FrCandidate *candidate)
{
	return (BlockNumber) (candidate->tag >> 16);
}

/* In the order of places, for reading from disk.  In memory two candidates of
 * a batch are too seldom on one page for sorting to pay. */
static int
compare_places(const void *a, const void *b)
{
	uint64 left = ((const FrCandidate *) a)->tag;
	uint64 right = ((const FrCandidate *) b)->tag;

	return (left > right) - (left < right);
}

/* On a standby the page may have been reused, be it by another list. */
static bool
is_rerank_page(const FrScan *scan, Page page, const FrCandidate *candidate)
{
	uint32 list = (uint32) (candidate->tag >> 48);

	return list < scan->list_count &&
		   fr_page_is(page, FR_PAGE_RERANK, list, scan->generations[list]);
}

/* The bound by the 4-bit code, or the old one where there is none. */
static float
get_bound(FrScan *scan, Page page, const FrCandidate *candidate)
{
	uint32 position = candidate->tag & 0xFFFF;
	float bound = fr_search_rerank(&scan->query,
								   fr_rerank_at(&scan->shape,
												fr_rerank_area(page), position))
					  .bound;

	return Min(bound, candidate->bound);
}

/* Ask for the pages of a batch when the last one was not in memory. */
static void
prefetch(FrScan *scan, const FrCandidate *batch, int count)
{
	BlockNumber last = InvalidBlockNumber;

	for (int i = 0; i < count; i++)
	{
		if (get_block(&batch[i]) != last)
			PrefetchBuffer(scan->descriptor->indexRelation, MAIN_FORKNUM,
						   get_block(&batch[i]));
		last = get_block(&batch[i]);
	}
}

/* A page with candidates of the batch. */
typedef struct PinnedPage
{
	Buffer buffer;
	int first; /* of the batch */
	int count;
} PinnedPage;

/* Have the codes on their way to the processor before they are needed. */
static void
touch_codes(FrScan *scan, const PinnedPage *pinned, const FrCandidate *batch)
{
	Page page = BufferGetPage(pinned->buffer);
	const char *area = (const char *) fr_rerank_area(page);

	__builtin_prefetch(page);
	__builtin_prefetch(PageGetSpecialPointer(page));
	for (int i = 0; i < pinned->count; i++)
	{
		Size offset = (batch[pinned->first + i].tag & 0xFFFF) *
					  (Size) scan->shape.rerank_bytes;

		fr_prefetch(area + offset, scan->shape.rerank_bytes);
	}
}

/* Pin the pages of the candidates from `next` on, at most PINNED; returns how
 * many. */
static int
pin_pages(FrScan *scan, const FrCandidate *batch, int count, int next,
		  PinnedPage *pinned)
{
	int pages = 0;

	while (next < count && pages < PINNED)
	{
		PinnedPage *page = &pinned[pages++];
		BlockNumber block = get_block(&batch[next]);

		page->buffer =
			fr_index_read_buffer(scan->descriptor->indexRelation, block);
		page->first = next;
		while (next < count && get_block(&batch[next]) == block)
			next++;
		page->count = next - page->first;
		touch_codes(scan, page, batch);
	}
	return pages;
}

static void
rerank_page(FrScan *scan, const PinnedPage *pinned, const FrCandidate *batch)
{
	Page page = BufferGetPage(pinned->buffer);

	bool are_valid = true;

	LockBuffer(pinned->buffer, BUFFER_LOCK_SHARE);
	for (int i = 0; i < pinned->count; i++)
	{
		const FrCandidate *candidate = &batch[pinned->first + i];
		bool is_valid = is_rerank_page(scan, page, candidate);
		float bound =
			is_valid ? get_bound(scan, page, candidate) : candidate->bound;
		FrScanRow row = {.key = -bound,
						 .bound = candidate->bound,
						 .tid = fr_scan_tid(candidate->row)};

		are_valid &= is_valid;
		if (bound >= scan->floor)
			fr_scan_queue_push(&scan->nearer, &row);
	}
	UnlockReleaseBuffer(pinned->buffer);
	if (!are_valid && !scan->is_standby)
		fr_index_corrupt(scan->descriptor->indexRelation,
						 "Block %u is not a re-rank page.",
						 get_block(&batch[pinned->first]));
}

void
fr_scan_rerank_batch(FrScan *scan, FrCandidate *batch, int count)
{
	PinnedPage pinned[PINNED];
	int64 read_before = pgBufferUsage.shared_blks_read;

	if (scan->is_cold)
	{
		qsort(batch, count, sizeof *batch, compare_places);
		prefetch(scan, batch, count);
	}
	for (int next = 0; next < count;)
	{
		int pages = pin_pages(scan, batch, count, next, pinned);

		for (int i = 0; i < pages; i++)
			rerank_page(scan, &pinned[i], batch);
		next = pinned[pages - 1].first + pinned[pages - 1].count;
	}
	scan->is_cold = pgBufferUsage.shared_blks_read != read_before;
}

void
fr_scan_rerank(FrScan *scan)
{
	FrCandidate batch[LAST_BATCH];
	const FrCandidate *candidate;
	int count = 0;

	scan->batch =
		scan->reranked == 0 ? FIRST_BATCH : Min(2 * scan->batch, LAST_BATCH);
	while (count < scan->batch &&
		   (candidate = fr_shortlist_peek(&scan->shortlist)) != NULL)
	{
		batch[count++] = *candidate;
		fr_shortlist_pop(&scan->shortlist);
	}
	fr_scan_rerank_batch(scan, batch, count);
	scan->reranked += count;
	CHECK_FOR_INTERRUPTS();
}
