/*
 * shortlist.c: selection of the best candidates of a round.
 *
 * Candidates collect unordered.  To cut them back, a histogram of their bounds
 * tells the better bins from the worse; quickselect (C. A. R. Hoare,
 * "Algorithm 65: Find", CACM 4, 1961) does where too many bounds are equal.
 * So adding costs constant time.  Popping begins with a bucket sort into such
 * bins; a bin is put in order (D. L. Shell, CACM 2, 1959) when it is reached.
 */
#include "core/search/shortlist.h"

#include <string.h>

#include "core/base/random.h"
#include "core/base/size.h"

static FrStatus
allocate(FrShortlist *shortlist, size_t capacity, const FrAllocator *allocator,
		 FrError *error)
{
	size_t bytes;

	if (!fr_size_mul3(capacity, 2, sizeof(FrCandidate), &bytes))
		return fr_fail(error, FR_ERR_LIMIT,
					   "The shortlist cannot have %zu candidates.", capacity);
	shortlist->candidates = fr_alloc(allocator, bytes);
	if (!shortlist->candidates)
		return fr_fail_nomem(error, bytes);
	shortlist->capacity = capacity;
	return FR_OK;
}

FrStatus
fr_shortlist_init(FrShortlist *shortlist, size_t capacity,
				  const FrAllocator *allocator, FrError *error)
{
	*shortlist = (FrShortlist){0};
	fr_shortlist_reset(shortlist);
	return allocate(shortlist, capacity, allocator, error);
}

void
fr_shortlist_fini(FrShortlist *shortlist, const FrAllocator *allocator)
{
	fr_release(allocator, shortlist->candidates);
	shortlist->candidates = NULL;
}

void
fr_shortlist_reset(FrShortlist *shortlist)
{
	shortlist->count = 0;
	shortlist->is_cut = false;
	shortlist->next = shortlist->sorted = 0;
	shortlist->is_popping = false;
	shortlist->after = (FrCandidate){.bound = INFINITY};
}

FrStatus
fr_shortlist_start_after(FrShortlist *shortlist, const FrCandidate *after,
						 size_t capacity, const FrAllocator *allocator,
						 FrError *error)
{
	fr_shortlist_reset(shortlist);
	shortlist->after = *after;
	if (capacity == shortlist->capacity)
		return FR_OK;
	fr_shortlist_fini(shortlist, allocator);
	return allocate(shortlist, capacity, allocator, error);
}

FrStatus
fr_shortlist_next_round(FrShortlist *shortlist, size_t capacity,
						const FrAllocator *allocator, FrError *error)
{
	const FrCandidate after = shortlist->last;

	return fr_shortlist_start_after(shortlist, &after, capacity, allocator,
									error);
}

void
fr_shortlist_end_at(FrShortlist *shortlist, float lowest)
{
	fr_shortlist_reset(shortlist);
	shortlist->is_cut = true;
	shortlist->last = (FrCandidate){.bound = lowest, .tag = UINT64_MAX};
}

static void
swap(FrCandidate *a, FrCandidate *b)
{
	FrCandidate kept = *a;

	*a = *b;
	*b = kept;
}

/* Reorder so that the first `count` (1 .. total) of [0, total) are its best,
 * and the last of them is the worst of them. */
static void
quickselect(FrCandidate *candidates, size_t total, size_t count)
{
	const ptrdiff_t wanted = (ptrdiff_t) count - 1;
	ptrdiff_t low = 0, high = (ptrdiff_t) total - 1;
	uint64_t seed = total;

	while (low < high)
	{
		const uint64_t width = (uint64_t) (high - low) + 1;
		const FrCandidate pivot =
			candidates[low + (ptrdiff_t) fr_random_below(&seed, width)];
		ptrdiff_t i = low, j = high;

		while (i <= j)
		{
			while (fr_candidate_precedes(&candidates[i], &pivot))
				i++;
			while (fr_candidate_precedes(&pivot, &candidates[j]))
				j--;
			if (i <= j)
				swap(&candidates[i++], &candidates[j--]);
		}
		/* What is between j and i is the pivot. */
		if (wanted <= j)
			high = j;
		else if (wanted >= i)
			low = i;
		else
			return;
	}
}

/* Bins of equal width between the least and the greatest bound; bin 0 has the
 * greatest. */
#define BINS 512

typedef struct Histogram
{
	FrBinScale scale;
	uint32_t count[BINS];
} Histogram;

static uint32_t
bin_of(const FrBinScale *scale, float bound)
{
	return (uint32_t) ((scale->greatest - bound) * scale->factor);
}

/* False when the bounds are equal or not finite, so that there are no bins. */
static bool
make_histogram(Histogram *histogram, const FrCandidate *candidates,
			   size_t total)
{
	float least = candidates[0].bound, greatest = least;

	for (size_t i = 1; i < total; i++)
	{
		const float bound = candidates[i].bound;

		least = bound < least ? bound : least;
		greatest = bound > greatest ? bound : greatest;
	}
	histogram->scale.greatest = greatest;
	/* A little less, so that rounding cannot lead beyond the last bin. */
	histogram->scale.factor = (BINS - 0.5f) / (greatest - least);
	if (!isfinite(histogram->scale.factor) || !isfinite(greatest) ||
		!isfinite(least))
		return false;
	memset(histogram->count, 0, sizeof histogram->count);
	for (size_t i = 0; i < total; i++)
		histogram->count[bin_of(&histogram->scale, candidates[i].bound)]++;
	return true;
}

/*
 * Drop those of the bins after `bin`; return how many stay, and the last of them
 * in *last.
 */
static size_t
keep_bins(FrCandidate *candidates, size_t total, const Histogram *histogram,
		  uint32_t bin, FrCandidate *last)
{
	size_t kept = 0;

	*last = (FrCandidate){.bound = INFINITY};
	for (size_t i = 0; i < total; i++)
	{
		const FrCandidate candidate = candidates[i];
		const uint32_t own = bin_of(&histogram->scale, candidate.bound);

		/* Written whether it stays or not: half of them do, at random. */
		candidates[kept] = candidate;
		kept += own <= bin;
		if (own == bin && fr_candidate_precedes(last, &candidate))
			*last = candidate;
	}
	return kept;
}

/* Cut back to the capacity and what shares a bin with the last, but to three
 * quarters of the room at most. */
static void
cut(FrShortlist *shortlist)
{
	FrCandidate *candidates = shortlist->candidates;
	const size_t total = shortlist->count, wanted = shortlist->capacity;
	Histogram histogram;
	size_t before = 0;
	uint32_t bin = 0;

	shortlist->is_cut = true;
	if (make_histogram(&histogram, candidates, total))
	{
		while (before + histogram.count[bin] < wanted)
			before += histogram.count[bin++];
		if (before + histogram.count[bin] <= wanted + wanted / 2)
		{
			shortlist->count =
				keep_bins(candidates, total, &histogram, bin, &shortlist->last);
			return;
		}
	}
	quickselect(candidates, total, wanted);
	shortlist->count = wanted;
	shortlist->last = candidates[wanted - 1];
}

void
fr_shortlist_add(FrShortlist *shortlist, float bound, uint64_t tag, FrRowId row)
{
	const FrCandidate candidate = {.tag = tag, .bound = bound, .row = row};

	if (!fr_candidate_precedes(&shortlist->after, &candidate) ||
		(shortlist->is_cut &&
		 !fr_candidate_precedes(&candidate, &shortlist->last)))
		return;
	if (shortlist->count == 2 * shortlist->capacity)
	{
		cut(shortlist);
		if (!fr_candidate_precedes(&candidate, &shortlist->last))
			return;
	}
	shortlist->candidates[shortlist->count++] = candidate;
}

/* ---- popping ------------------------------------------------------------ */

/* Put the candidates into the order of their bins (American flag sort). */
static void
order_bins(FrCandidate *candidates, const Histogram *histogram)
{
	uint32_t next[BINS], end[BINS], total = 0;

	for (uint32_t bin = 0; bin < BINS; bin++)
	{
		next[bin] = total;
		total += histogram->count[bin];
		end[bin] = total;
	}
	for (uint32_t bin = 0; bin < BINS; bin++)
		while (next[bin] < end[bin])
		{
			FrCandidate *candidate = &candidates[next[bin]];
			const uint32_t own = bin_of(&histogram->scale, candidate->bound);

			if (own == bin)
				next[bin]++;
			else
				swap(candidate, &candidates[next[own]++]);
		}
}

static void
shell_sort(FrCandidate *candidates, size_t count)
{
	/* M. Ciura's gaps, then a factor of 2.25. */
	static const size_t gaps[] = {46271, 20565, 9140, 4062, 1805, 701, 301,
								  132,	 57,	23,	  10,	4,	  1};

	for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++)
		for (size_t i = gaps[g]; i < count; i++)
		{
			const FrCandidate moved = candidates[i];
			size_t at = i;

			for (; at >= gaps[g] &&
				   fr_candidate_precedes(&moved, &candidates[at - gaps[g]]);
				 at -= gaps[g])
				candidates[at] = candidates[at - gaps[g]];
			candidates[at] = moved;
		}
}

static void
begin_popping(FrShortlist *shortlist)
{
	Histogram histogram;

	shortlist->is_popping = true;
	if (shortlist->count == 0)
		return;
	if (make_histogram(&histogram, shortlist->candidates, shortlist->count))
	{
		order_bins(shortlist->candidates, &histogram);
		shortlist->scale = histogram.scale;
		return;
	}
	shell_sort(shortlist->candidates, shortlist->count);
	shortlist->sorted = shortlist->count;
}

/* Put the next bin in order. */
static void
sort_bin(FrShortlist *shortlist)
{
	const FrBinScale *scale = &shortlist->scale;
	FrCandidate *candidates = shortlist->candidates;
	const size_t start = shortlist->sorted;
	const uint32_t bin = bin_of(scale, candidates[start].bound);
	size_t end = start + 1;

	while (end < shortlist->count &&
		   bin_of(scale, candidates[end].bound) == bin)
		end++;
	shell_sort(candidates + start, end - start);
	shortlist->sorted = end;
}

const FrCandidate *
fr_shortlist_peek(FrShortlist *shortlist)
{
	if (!shortlist->is_popping)
		begin_popping(shortlist);
	if (shortlist->next == shortlist->count)
		return NULL;
	if (shortlist->next == shortlist->sorted)
		sort_bin(shortlist);
	return &shortlist->candidates[shortlist->next];
}

void
fr_shortlist_pop(FrShortlist *shortlist)
{
	if (fr_shortlist_peek(shortlist))
		shortlist->next++;
}
