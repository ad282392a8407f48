/*
 * shortlist.h: the best candidates of a round of the scan.
 *
 * Candidates are ordered by falling bound, then by rising tag (the caller's
 * name for a place in the index, unique within a search), so that their order
 * is total and equal vectors are no special case.  A round keeps the first
 * `capacity` or more of those that come after `after` in that order; what it
 * turned away comes after its last one, so the next round starts there: rounds
 * neither repeat nor miss a candidate.
 *
 * Adding is cheap: up to twice the capacity is kept, and cut back to it by
 * selection when full; from then on fr_shortlist_lowest() tells the scan
 * which bounds are not worth adding.
 */
#ifndef FR_CORE_SEARCH_SHORTLIST_H
#define FR_CORE_SEARCH_SHORTLIST_H

#include <math.h>
#include <stdbool.h>

#include "core/base/arena.h"
#include "core/search/search_shape.h"

typedef struct FrCandidate
{
	uint64_t tag;
	float bound;
	FrRowId row;
} FrCandidate;

/* Bins of bounds: number (greatest - bound) * factor, rounded down. */
typedef struct FrBinScale
{
	float greatest, factor;
} FrBinScale;

typedef struct FrShortlist
{
	FrCandidate *candidates; /* [2 * capacity] */
	size_t capacity, count;
	/* Where this round starts and where it was cut off; bound and tag only. */
	FrCandidate after, last;
	bool is_cut;	  /* candidates after `last` were turned away */
	bool is_popping;  /* popping has begun: */
	size_t next;	  /* the candidate to pop, */
	size_t sorted;	  /* those before are in order, */
	FrBinScale scale; /* the others in the order of their bins */
} FrShortlist;

/* a comes before b */
static inline bool
fr_candidate_precedes(const FrCandidate *a, const FrCandidate *b)
{
	return a->bound > b->bound || (a->bound == b->bound && a->tag < b->tag);
}

/* Start the first round of a search with room for capacity (>= 1)
 * candidates (48 bytes each).  End with fr_shortlist_fini, also after a
 * failure. */
FrStatus fr_shortlist_init(FrShortlist *shortlist, size_t capacity,
						   const FrAllocator *allocator, FrError *error);
void fr_shortlist_fini(FrShortlist *shortlist, const FrAllocator *allocator);

/* Start a search anew with the same capacity. */
void fr_shortlist_reset(FrShortlist *shortlist);

/*
 * Start the next round with room for capacity candidates: those after the last
 * of the round before.  Call it when everything was popped and
 * fr_shortlist_is_cut().  On failure the shortlist can only be ended.
 */
FrStatus fr_shortlist_next_round(FrShortlist *shortlist, size_t capacity,
								 const FrAllocator *allocator, FrError *error);

/*
 * Start anew with room for capacity candidates, taking those after `after` as
 * the next ones; INFINITY as its bound takes all.  On failure the shortlist
 * can only be ended.
 */
FrStatus fr_shortlist_start_after(FrShortlist *shortlist,
								  const FrCandidate *after, size_t capacity,
								  const FrAllocator *allocator, FrError *error);

/* Start anew, as at the end of a round that took exactly the candidates whose
 * bound is at least `lowest`. */
void fr_shortlist_end_at(FrShortlist *shortlist, float lowest);

/* Bounds worth adding are in lowest..highest, both included. */
static inline float
fr_shortlist_lowest(const FrShortlist *shortlist)
{
	return shortlist->is_cut ? shortlist->last.bound : -INFINITY;
}

static inline float
fr_shortlist_highest(const FrShortlist *shortlist)
{
	return shortlist->after.bound;
}

/* Offer a candidate; not allowed any more when popping has begun. */
void fr_shortlist_add(FrShortlist *shortlist, float bound, uint64_t tag,
					  FrRowId row);

/* The next candidate, or NULL when this round has no more; it stays valid
 * until the next round. */
const FrCandidate *fr_shortlist_peek(FrShortlist *shortlist);
void fr_shortlist_pop(FrShortlist *shortlist);

/* True when candidates were turned away: another round would bring more, all
 * with bounds up to fr_shortlist_lowest(). */
static inline bool
fr_shortlist_is_cut(const FrShortlist *shortlist)
{
	return shortlist->is_cut;
}

#endif
