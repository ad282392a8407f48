/*
 * int8_avx512vnni.c: 8-bit kernels for AVX-512 with VNNI.
 *
 * 32 registers: a tile of 14 pixels x 2 blocks keeps 28 sums and leaves two
 * registers for weights and two for broadcasts.
 */
#include "kernels/int8_kernels.h"

#if defined(__x86_64__)

#define VL			 16
#define GROUP_BLOCKS 2
#define TILE_PIXELS	 14
#define INT8_KERNELS fr_int8_kernels_avx512vnni

/* clang-format off */
#define TILES(X)                                                       \
	X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(5, 1) X(6, 1) X(7, 1) X(8, 1)    \
	X(9, 1) X(10, 1) X(11, 1) X(12, 1) X(13, 1) X(14, 1)               \
	X(1, 2) X(2, 2) X(3, 2) X(4, 2) X(5, 2) X(6, 2) X(7, 2)            \
	X(1, 4) X(2, 4) X(3, 4)
/* clang-format on */

#include "kernels/int8_template.h"

#endif
