/*
 * mtcnn_windows.h: the arithmetic of MTCNN's windows.
 *
 * The original counts pixels from 1 and includes the last one: its window
 * x1 .. x2 is x1 - 1 .. x2 here, from pixel edge to pixel edge, the left edge
 * of the picture being 0.  Its two lengths, x2 - x1 + 1 and x2 - x1, are
 * width and width - 1; both occur, and both are kept as they are.
 */
#ifndef FR_CORE_FACE_MTCNN_WINDOWS_H
#define FR_CORE_FACE_MTCNN_WINDOWS_H

#include "core/face/candidates.h"

typedef struct FrWindowBox
{
	double x0, y0, x1, y1;
	float score;
	float shift[4]; /* of x0, y0, x1, y1, in sides of the window */
	FrPoint landmarks[FR_LANDMARK_COUNT];
} FrWindowBox;

typedef struct FrWindows
{
	int count;
	FrWindowBox *windows;
} FrWindows;

/* Windows that overlap a better one by more than max_overlap are dropped; what
 * stays is sorted by falling score (at most FR_MAX_CANDIDATES).  Overlap is
 * intersection over union, or over the smaller of both. */
FrStatus fr_windows_suppress(FrWindows *windows, double max_overlap,
							 bool is_over_smaller, const FrCancel *cancel,
							 FrArena *arena, FrError *error);

/* Move the sides by the shifts.  The first stage measures them in width - 1,
 * the others in width.  Windows that become unusable are dropped. */
void fr_windows_regress(FrWindows *windows, bool is_first_stage);

/* Lengthen the shorter side, the centre stays. */
void fr_windows_square(FrWindows *windows);

/* To whole pixels, towards zero. */
void fr_windows_truncate(FrWindows *windows);

#endif
