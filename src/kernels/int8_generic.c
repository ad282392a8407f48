/*
 * int8_generic.c: 8-bit kernels for any machine, with vectors of 4 integers.
 *
 * A block is four vectors; two pixels keep 8 sums.
 */
#include "kernels/int8_kernels.h"

#define VL			 4
#define GROUP_BLOCKS 1
#define TILE_PIXELS	 2
#define INT8_KERNELS fr_int8_kernels_generic

#define TILES(X) X(1, 1) X(2, 1)

#include "kernels/int8_template.h"
