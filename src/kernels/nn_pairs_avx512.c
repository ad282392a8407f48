/*
 * nn_pairs_avx512.c: network kernels for AVX-512 on processors with
 * floating-point adders beside their multiply-add units (see nn_pairs.h).
 *
 * Such a processor reads an operand of an addition from memory and
 * broadcasts it at no cost, while a broadcast into a register occupies an
 * adder: so a tile has one output block, and each broadcast is used once.
 * One 512-bit multiply-add starts per cycle and takes four: 7 or 8 sums are
 * plenty, and the inputs of 8 pixels are reached with addresses of one byte.
 */
#include "kernels/nn_kernels.h"

#if defined(__x86_64__)

#define VL			 16
#define GROUP_BLOCKS 1
#define TILE_PIXELS	 8
#define PAIRS		 5
#define NN_KERNELS	 fr_nn_kernels_pairs_avx512

/* clang-format off */
#define ROW_TILES(X)                                                   \
	X(1, 1, 1) X(2, 1, 1) X(3, 1, 1) X(4, 1, 1) X(5, 1, 1)             \
	X(6, 1, 1) X(7, 1, 1) X(8, 1, 1)

#define TILES(X)                                                       \
	ROW_TILES(X) X(1, 2, 1) X(2, 2, 1) X(3, 2, 1) X(1, 4, 1)

#define WIDE_TILES(X) X(4, 1) X(5, 1) X(6, 1) X(7, 1) X(8, 1)
/* clang-format on */

#include "kernels/nn_template.h"

#endif
