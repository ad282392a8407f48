/*
 * nn_avx512.c: network kernels for AVX-512 (F, BW, DQ, VL).
 *
 * 32 registers of 16 floats: a tile of 14 pixels x 2 blocks keeps 28 sums
 * and leaves two registers for weights and two for broadcasts.
 */
#include "kernels/nn_kernels.h"

#if defined(__x86_64__)

#define VL			 16
#define GROUP_BLOCKS 2
#define TILE_PIXELS	 14
#define PAIRS		 0
#define NN_KERNELS	 fr_nn_kernels_avx512

/* clang-format off */
#define TILES(X)                                                       \
	X(1, 1, 2) X(2, 1, 2) X(3, 1, 2) X(4, 1, 2) X(5, 1, 2)             \
	X(6, 1, 2) X(7, 1, 2) X(8, 1, 2) X(9, 1, 2) X(10, 1, 2)            \
	X(11, 1, 2) X(12, 1, 2) X(13, 1, 2) X(14, 1, 2)                    \
	X(1, 2, 2) X(2, 2, 2) X(3, 2, 2) X(4, 2, 2) X(5, 2, 2)             \
	X(6, 2, 2) X(7, 2, 2) X(1, 4, 2) X(2, 4, 2) X(3, 4, 2)             \
	X(1, 1, 1) X(2, 1, 1) X(3, 1, 1) X(4, 1, 1) X(5, 1, 1)             \
	X(6, 1, 1) X(7, 1, 1) X(8, 1, 1) X(9, 1, 1) X(10, 1, 1)            \
	X(11, 1, 1) X(12, 1, 1) X(13, 1, 1) X(14, 1, 1)

#define WIDE_TILES(X)                                                  \
	X(7, 2) X(8, 2) X(9, 2) X(10, 2) X(11, 2) X(12, 2) X(13, 2)        \
	X(14, 2) X(7, 1) X(8, 1) X(9, 1) X(10, 1) X(11, 1) X(12, 1)        \
	X(13, 1) X(14, 1)
/* clang-format on */

#include "kernels/nn_template.h"

#endif
