/*
 * heads.h: the outputs of a one-shot detector, and the rules to read them.
 *
 * Asked twice: when a model is loaded, with shapes alone, and after each run,
 * with values.  Each rule has a file of its own (yunet.h, scrfd.h,
 * retinaface.h); here is what they share and the table of them.
 */
#ifndef FR_CORE_FACE_HEADS_H
#define FR_CORE_FACE_HEADS_H

#include "core/face/candidates.h"

/* No family has more outputs. */
#define FR_MAX_HEADS 16

typedef struct FrHead
{
	const char *name;
	FrShape shape;
	const float *values; /* NULL: not run yet */
} FrHead;

typedef struct FrHeads
{
	int width, height; /* of the network's input */
	int count;
	FrHead heads[FR_MAX_HEADS];
} FrHeads;

/* The outputs of a graph that was specialised for an input of width x
 * height, or of a plan that was run; MISMATCH when there are too many, or one
 * of a graph is not float32 (a plan's outputs always are). */
FrStatus
fr_heads_of_graph(const FrGraph *graph, const FrGraph *sized, int width,
				  int height, FrHeads *heads, FrError *error);
FrStatus fr_heads_of_plan(const FrNet *net, const FrPlan *plan, int width,
						  int height, FrHeads *heads, FrError *error);

/* Read an output as rows of values: [rows, columns], ones in front allowed;
 * false for other shapes. */
bool fr_head_rows(const FrHead *head, int64_t *rows, int64_t *columns);

/* MISMATCH unless all values of an output that was run are finite, and, of
 * scores, probabilities. */
FrStatus
fr_head_check_values(const FrHead *head, bool is_score, FrError *error);

/* Whether a rule reads one network with heads. */
bool fr_heads_has_rule(FrDecodeRule rule);

/* What the sides of an input must be a multiple of, for a network of so many
 * outputs. */
int fr_heads_multiple(FrDecodeRule rule, int output_count);

/* Do names and shapes fit the rule?  *has_landmarks says what it gives. */
FrStatus fr_heads_check(FrDecodeRule rule, const FrHeads *heads,
						bool *has_landmarks, FrError *error);

/* Collect the cells whose score reaches threshold, allocated from arena.
 * Nothing that a network writes can break what follows. */
FrStatus
fr_heads_decode(FrDecodeRule rule, const FrHeads *heads, float threshold,
				const FrCancel *cancel, FrArena *arena,
				FrCandidates *candidates, FrError *error);

#endif
