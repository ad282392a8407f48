/*
 * fuse.h: what the files of the fusion stage share.
 *
 * fuse.c has the units with weights and what follows them (passes one and
 * two), fuse_merge.c those that are better computed together, fuse_rest.c
 * every other node (pass three).  Private to core/nn.
 */
#ifndef FR_CORE_NN_FUSE_H
#define FR_CORE_NN_FUSE_H

#include "core/nn/planner.h"

static inline const FrShape *
shape_of(const FrPlanner *planner, int32_t value)
{
	return &planner->graph->values[value].shape;
}

/* How many nodes read a value; one that reads it twice counts twice. */
static inline int32_t
use_count(const FrPlanner *planner, int32_t value)
{
	return planner->use_first[value + 1] - planner->use_first[value];
}

/* A float32 tensor that is calculated or given for each run. */
static inline bool
is_float_variable(const FrPlanner *planner, int32_t value)
{
	return value >= 0 && !planner->graph->values[value].constant &&
		   planner->graph->values[value].dtype == FR_FLOAT32;
}

/* A unit around a node, reading its first input and writing its first output;
 * NULL, with the error set, when there is no memory. */
FrUnit *fr_unit_new(FrPlanner *planner, FrUnitKind kind, const FrNode *node);

/* The unit is complete and runs where node number last stood. */
void fr_unit_place(FrPlanner *planner, FrUnit *unit, int32_t last);

/* Try to take one node that reads the unit's output. */
FrStatus fr_unit_take_next(FrPlanner *planner, FrUnit *unit, const FrNode *node,
						   bool *is_taken);

/* Take as much as fits of what follows; *last is the unit's last node. */
FrStatus
fr_unit_take_followers(FrPlanner *planner, FrUnit *unit, int32_t *last);

/* x * sigmoid(x) around a value that has exactly these two readers: the
 * product's node number, with the sigmoid's in *gate, or -1. */
int32_t fr_find_swish(const FrPlanner *planner, int32_t value, int32_t *gate);

/* Whether kernels can take the window: moderate numbers, padding less than
 * the kernel's reach. */
bool fr_is_window_usable(const FrWindow *window);

/* Describe a convolution, or a product as a convolution, but for its bias;
 * unit->weights is NULL unless they are constant floats. */
bool fr_match_conv(const FrPlanner *planner, const FrNode *node, FrUnit *unit);

/* Fill in scale and bias from the node itself; *is_found is false when its
 * bias is not a constant per channel. */
FrStatus fr_read_bias(FrPlanner *planner, const FrNode *node, FrUnit *unit,
					  bool *is_found);

/* Make the unit that was found around a node, with what follows it. */
FrStatus fr_take_conv_unit(FrPlanner *planner, int32_t index,
						   const FrUnit *found, FrUnit **made);

/* The node before value when it is an affine map (in planner->channel_*) of
 * *input that has one reader; else -1. */
int32_t fr_affine_before(FrPlanner *planner, int32_t value, int32_t *input);

/* fuse_int8.c, in this order: quantise before flattening (before uses are
 * indexed for good; returns whether nodes changed); units on 8-bit integers,
 * before pass one; the bytes that they read, before pass three; the other
 * conversions, as part of pass three. */
bool fr_int8_reorder(FrPlanner *planner);
FrStatus fr_fuse_int8(FrPlanner *planner);
FrStatus fr_fuse_bytes(FrPlanner *planner);
FrStatus fr_match_bytes(FrPlanner *planner, const FrNode *node, FrUnit *unit,
						bool *is_found);

/* Whether a node is a Softmax that a kernel takes (softmax.c). */
bool
fr_match_softmax(const FrPlanner *planner, const FrNode *node, FrUnit *unit);

/* The node that alone reads a value, or -1. */
int32_t fr_only_user(const FrPlanner *planner, int32_t value);

/* Between passes two and three: merge units that read the same value
 * (fuse_merge.c). */
FrStatus fr_fuse_merge(FrPlanner *planner);

/* Pass three: a unit for a node that no other has taken. */
FrStatus fr_fuse_rest(FrPlanner *planner, int32_t index);

#endif
