/*
 * nn_generic.c: network kernels for any machine, with vectors of 4 floats:
 * SSE2 on x86-64, NEON on ARM, whatever the compiler makes of them elsewhere.
 *
 * A block is four vectors.  With 16 registers and no fused multiply-add, 2
 * pixels (8 sums) leave room for the products; with the 32 registers of
 * AArch64, 5 pixels keep 20 sums.
 */
/* clang-format off */
#if defined(__aarch64__)
#define TILE_PIXELS 5
#define TILES(X)                                                       \
	X(1, 1, 1) X(2, 1, 1) X(3, 1, 1) X(4, 1, 1) X(5, 1, 1)             \
	X(1, 2, 1) X(2, 2, 1) X(1, 4, 1)
#define WIDE_TILES(X) X(3, 1) X(4, 1) X(5, 1)
#else
#define TILE_PIXELS 2
#define TILES(X) X(1, 1, 1) X(2, 1, 1) X(1, 2, 1)
#define WIDE_TILES(X) X(1, 1) X(2, 1)
#endif
/* clang-format on */

#define VL			 4
#define GROUP_BLOCKS 1
#define PAIRS		 0
#define NN_KERNELS	 fr_nn_kernels_generic

#include "kernels/nn_template.h"
