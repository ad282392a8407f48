/*
 * yunet.h: reading the heads of a YuNet face detector.
 *
 * The network has three grids of cells, 8, 16 and 32 pixels wide; each cell
 * has a class score, an objectness score, a box and five landmarks relative
 * to the cell: W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face
 * Detector", Machine Intelligence Research 20, 2023, section 3.
 */
#ifndef FR_CORE_FACE_YUNET_H
#define FR_CORE_FACE_YUNET_H

#include "core/face/face.h"
#include "core/face/nms.h"

#define FR_YUNET_GRID_COUNT 3

/* Candidates beyond this many are dropped, lowest scores first: a bound on
 * the work that a network can cause, far above any real picture. */
#define FR_YUNET_MAX_CANDIDATES 5000

enum
{
	FR_YUNET_CLS = 0, /* [cells, 1], 0..1 */
	FR_YUNET_OBJ,	  /* [cells, 1], 0..1 */
	FR_YUNET_BBOX,	  /* [cells, 4]: centre x, y, log width, log height */
	FR_YUNET_KPS,	  /* [cells, 10]: x, y of five landmarks */
	FR_YUNET_HEAD_COUNT
};

/* The cell width of each grid, pixels, and the values per cell of each
 * head. */
extern const int fr_yunet_strides[FR_YUNET_GRID_COUNT];
extern const int fr_yunet_head_sizes[FR_YUNET_HEAD_COUNT];

/* Which graph output is which head; MISMATCH names one that is missing. */
FrStatus fr_yunet_bind(const FrGraph *graph,
					   int outputs[FR_YUNET_GRID_COUNT][FR_YUNET_HEAD_COUNT],
					   FrError *error);

/* One grid, row-major. */
typedef struct FrYunetGrid
{
	int rows, columns;
	const float *heads[FR_YUNET_HEAD_COUNT];
} FrYunetGrid;

/* Candidates in pixels of the network's input, sorted by falling score. */
typedef struct FrCandidates
{
	FrBoxes boxes;
	FrPoint *landmarks; /* [count, 5] */
} FrCandidates;

/*
 * Collect the cells whose score reaches threshold, allocated from arena.
 * Cells with a value that is not finite, or absurdly far away, are skipped:
 * nothing that a network writes can break what follows.
 */
FrStatus
fr_yunet_decode(const FrYunetGrid grids[FR_YUNET_GRID_COUNT], float threshold,
				const FrCancel *cancel, FrArena *arena,
				FrCandidates *candidates, FrError *error);

#endif
