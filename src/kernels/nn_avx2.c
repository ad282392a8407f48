/*
 * nn_avx2.c: network kernels for AVX2 with FMA.
 *
 * 16 registers of 8 floats: a tile of 6 pixels x 1 block (two vectors) keeps
 * 12 sums and leaves two registers for weights and two for broadcasts.
 */
#include "kernels/nn_kernels.h"

#if defined(__x86_64__)

#define VL			 8
#define GROUP_BLOCKS 1
#define TILE_PIXELS	 6
#define PAIRS		 0
#define NN_KERNELS	 fr_nn_kernels_avx2

/* clang-format off */
#define TILES(X)                                                       \
	X(1, 1, 1) X(2, 1, 1) X(3, 1, 1) X(4, 1, 1) X(5, 1, 1) X(6, 1, 1)  \
	X(1, 2, 1) X(2, 2, 1) X(3, 2, 1) X(1, 4, 1)

#define WIDE_TILES(X) X(3, 1) X(4, 1) X(5, 1) X(6, 1)
/* clang-format on */

#include "kernels/nn_template.h"

#endif
