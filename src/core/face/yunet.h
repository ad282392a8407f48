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

#include "core/face/heads.h"

#define FR_YUNET_GRID_COUNT 3

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

/* One grid, row-major. */
typedef struct FrYunetGrid
{
	int rows, columns;
	const float *heads[FR_YUNET_HEAD_COUNT];
} FrYunetGrid;

/* Point at the heads, by their names; MISMATCH names one that is missing or
 * has another size. */
FrStatus fr_yunet_bind(const FrHeads *heads,
					   FrYunetGrid grids[FR_YUNET_GRID_COUNT], FrError *error);

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
