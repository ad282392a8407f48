/*
 * int8_template.h: the 8-bit kernels of one instruction set (template).
 *
 * int8_<isa>.c defines, then includes this:
 *   VL            32-bit integers per vector
 *   GROUP_BLOCKS  output blocks per packed group of weights
 *   TILE_PIXELS   pixels of the widest convolution tile
 *   TILES(X)      the tile shapes, X(pixels, groups)
 *   INT8_KERNELS  the name of the table
 */
#ifndef FR_KERNELS_INT8_TEMPLATE_H
#define FR_KERNELS_INT8_TEMPLATE_H

#include "kernels/int8_conv.h"
#include "kernels/int8_maps.h"

const FrInt8Kernels INT8_KERNELS = {
	.group_blocks = GROUP_BLOCKS,
	.packed_bytes = packed_bytes,
	.pack = pack,
	.conv = conv,
	.quantize = quantize,
	.dequantize = dequantize,
};

#endif
