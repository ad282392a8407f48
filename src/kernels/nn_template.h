/*
 * nn_template.h: the network kernels of one instruction set (template).
 *
 * nn_<isa>.c defines, then includes this:
 *   VL            floats per vector
 *   GROUP_BLOCKS  output blocks per packed group of weights
 *   TILE_PIXELS   pixels of the widest convolution tile
 *   TILES(X)      the tile shapes, X(pixels, groups, blocks)
 *   ROW_TILES(X)  those of one group, where there are pairs
 *   WIDE_TILES(X) those for inputs with other strides, X(pixels, blocks)
 *   PAIRS         of 8, how many pairs of input channels are multiplied as
 *                 nn_pairs.h says
 *   NN_KERNELS    the name of the table
 */
#ifndef FR_KERNELS_NN_TEMPLATE_H
#define FR_KERNELS_NN_TEMPLATE_H

#include <stdbool.h>

#include "kernels/nn_conv.h"
#include "kernels/nn_depthwise.h"
#include "kernels/nn_maps.h"
#include "kernels/nn_picture.h"
#if PAIRS == 0
#include "kernels/nn_winograd.h"
#endif

const FrNnKernels NN_KERNELS = {
	.conv_group_blocks = GROUP_BLOCKS,
	.conv_packed_bytes = conv_packed_bytes,
	.conv_pack = conv_pack,
	.conv = conv,
#if PAIRS == 0
	.winograd_input = winograd_input,
	.winograd_output = winograd_output,
#endif
	.depthwise = depthwise,
	.pool = pool,
	.eltwise = eltwise,
	.global_average = global_average,
	.upsample = upsample,
	.block = block,
	.block_u8 = block_u8,
	.unblock = unblock,
	.unblock_nhwc = unblock_nhwc,
	.softmax = softmax,
	.activate = activate,
};

#endif
