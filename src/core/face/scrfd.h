/*
 * scrfd.h: reading the heads of an SCRFD face detector.
 *
 * Grids of cells 8, 16 and 32 pixels wide (also 64 and 128); each cell has
 * one or two anchors, each of them a score, the distances from the cell's
 * corner to the four sides of the box and, if the network was trained for
 * them, five landmarks: J. Guo, J. Deng, A. Lattas, S. Zafeiriou, "Sample and
 * Computation Redistribution for Efficient Face Detection", ICLR 2022.
 * Exported networks name their outputs by numbers: they are told apart by
 * their shapes.
 */
#ifndef FR_CORE_FACE_SCRFD_H
#define FR_CORE_FACE_SCRFD_H

#include "core/face/heads.h"

#define FR_SCRFD_MAX_GRIDS 5

typedef struct FrScrfdGrid
{
	int rows, columns;
	const float *scores;	/* [rows, columns, anchors], 0..1 */
	const float *distances; /* [rows, columns, anchors, 4]: left, top, right,
							 * bottom, in cells */
	const float *landmarks; /* [rows, columns, anchors, 10]: x, y, in cells */
} FrScrfdGrid;

typedef struct FrScrfd
{
	int grid_count;
	int anchors; /* per cell: 1 or 2 */
	bool has_landmarks;
	FrScrfdGrid grids[FR_SCRFD_MAX_GRIDS]; /* cells of 8, 16, 32, ... */
} FrScrfd;

/* The coarsest cell of a network with so many outputs. */
int fr_scrfd_multiple(int output_count);

/* Whether such a network gives landmarks. */
bool fr_scrfd_has_landmarks(int output_count);

/* Which output is which; MISMATCH says what does not fit. */
FrStatus fr_scrfd_bind(const FrHeads *heads, FrScrfd *scrfd, FrError *error);

/* See fr_heads_decode. */
FrStatus
fr_scrfd_decode(const FrScrfd *scrfd, float threshold, const FrCancel *cancel,
				FrArena *arena, FrCandidates *candidates, FrError *error);

#endif
