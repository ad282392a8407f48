/*
 * int8_avx2.c: 8-bit kernels for AVX2.
 *
 * 16 registers: 4 pixels x 1 block (two vectors) keep 8 sums beside four of
 * widened weights.
 */
#include "kernels/int8_kernels.h"

#if defined(__x86_64__)

#define VL			 8
#define GROUP_BLOCKS 1
#define TILE_PIXELS	 4
#define INT8_KERNELS fr_int8_kernels_avx2

#define TILES(X) X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(1, 2)

#include "kernels/int8_template.h"

#endif
