/*
 * candidates.h: what every decode rule has in common.
 *
 * A detector's heads hold thousands of cells, few of which are faces.  A rule
 * pushes the cells whose score reaches the threshold through a bounded heap,
 * sorts it, and turns only those into boxes and landmarks.
 */
#ifndef FR_CORE_FACE_CANDIDATES_H
#define FR_CORE_FACE_CANDIDATES_H

#include <math.h>

#include "core/face/face.h"
#include "core/face/nms.h"

/* Candidates beyond this many are dropped, lowest scores first: a bound on
 * the work that a network can cause, far above any real picture. */
#define FR_MAX_CANDIDATES 5000

/* No picture has coordinates beyond this many pixels; being a bound far below
 * INT_MAX it also keeps later conversions to int safe. */
#define FR_MAX_COORDINATE 1e6f

/* Cells between two looks at the cancel hook. */
#define FR_CELLS_PER_POLL 16384

/* Candidates in pixels of the network's input, sorted by falling score. */
typedef struct FrCandidates
{
	FrBoxes boxes;
	FrPoint *landmarks; /* [count, 5]; NULL when the network gives none */
} FrCandidates;

/* One cell of a head. */
typedef struct FrCell
{
	float score;
	int grid;
	int index; /* in the grid */
} FrCell;

/* The best cells so far, at most FR_MAX_CANDIDATES: a binary heap with the
 * worst at the root. */
typedef struct FrCellHeap
{
	int count;
	FrCell *cells;
} FrCellHeap;

FrStatus fr_cells_init(FrCellHeap *heap, FrArena *arena, FrError *error);
void fr_cells_push(FrCellHeap *heap, FrCell cell);

/* Best first: higher score, then lower grid, then lower index.  Nothing may
 * be pushed afterwards. */
void fr_cells_sort(FrCellHeap *heap);

/* Room for count candidates; boxes.count stays 0. */
FrStatus fr_candidates_alloc(FrArena *arena, int count, bool has_landmarks,
							 FrCandidates *candidates, FrError *error);

/* Append a candidate (landmarks is NULL when there are none); skipped when a
 * coordinate is not finite or absurd, or the box is empty. */
void fr_candidates_add(FrCandidates *candidates, const float box[4],
					   float score, const FrPoint *landmarks);

/* Between 0 and 1; NaN becomes 0. */
static inline float
fr_clip01(float value)
{
	return value > 0 ? (value < 1 ? value : 1) : 0;
}

/* False for NaN, too. */
static inline bool
fr_is_sane_coordinate(float coordinate)
{
	return fabsf(coordinate) <= FR_MAX_COORDINATE;
}

#endif
