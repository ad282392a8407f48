/*
 * int8_avx512.c: 8-bit kernels for AVX-512 without VNNI.
 *
 * Widened weights take two registers per vector: 12 pixels x 2 blocks keep 24
 * sums beside them.  The weights are packed as for int8_avx512vnni.c.
 */
#include "kernels/int8_kernels.h"

#if defined(__x86_64__)

#define VL			 16
#define GROUP_BLOCKS 2
#define TILE_PIXELS	 12
#define INT8_KERNELS fr_int8_kernels_avx512

/* clang-format off */
#define TILES(X)                                                       \
	X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(5, 1) X(6, 1) X(7, 1) X(8, 1)    \
	X(9, 1) X(10, 1) X(11, 1) X(12, 1)                                 \
	X(1, 2) X(2, 2) X(3, 2) X(4, 2) X(1, 4)
/* clang-format on */

#include "kernels/int8_template.h"

#endif
