/*
 * retinaface.h: reading the heads of a RetinaFace detector.
 *
 * Two square priors per cell of three grids, 8, 16 and 32 pixels wide; each
 * has two class probabilities, a box and five landmarks as offsets from the
 * prior: J. Deng, J. Guo, E. Ververas, I. Kotsia, S. Zafeiriou, "RetinaFace:
 * Single-Shot Multi-Level Face Localisation in the Wild", CVPR 2020, with the
 * priors and variances of the widespread PyTorch implementation.
 */
#ifndef FR_CORE_FACE_RETINAFACE_H
#define FR_CORE_FACE_RETINAFACE_H

#include "core/face/heads.h"

/* Grid by grid, row by row, cell by cell, the smaller prior first. */
typedef struct FrRetinaface
{
	int width, height;		/* of the input */
	const float *boxes;		/* [priors, 4]: centre x, y, log width, height */
	const float *classes;	/* [priors, 2]: background, face; 0..1 */
	const float *landmarks; /* [priors, 10]: x, y */
} FrRetinaface;

/* Which output is which, by the values per prior; MISMATCH says what does not
 * fit. */
FrStatus fr_retinaface_bind(const FrHeads *heads, FrRetinaface *retinaface,
							FrError *error);

/* See fr_heads_decode. */
FrStatus fr_retinaface_decode(const FrRetinaface *retinaface, float threshold,
							  const FrCancel *cancel, FrArena *arena,
							  FrCandidates *candidates, FrError *error);

#endif
