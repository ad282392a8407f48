/*
 * pack_layout.c: a fingerprint of what packing does.
 *
 * Packed weights that were made by other code must not be used.  A version
 * number alone would be forgotten; so small weights are packed in every way
 * there is and the result is hashed.
 */
#include "core/base/checksum.h"
#include "core/nn/pack_file.h"
#include "core/nn/planner.h"

#define MOST_WEIGHTS 8192
#define MOST_FACTORS 64

/*
 * More channels than one group of blocks, and than whole blocks, have.  A new
 * way to pack gets a probe here.
 */
static const FrPackKey probes[] = {
	{.group = 1,
	 .out_channels = 41,
	 .in_channels = 21,
	 .kernel_h = 3,
	 .kernel_w = 3,
	 .lanes = 16},
	{.group = 1,
	 .out_channels = 41,
	 .in_channels = 21,
	 .kernel_h = 3,
	 .kernel_w = 3,
	 .lanes = 16,
	 .is_unpaired = true},
	{.group = 1,
	 .out_channels = 41,
	 .in_channels = 21,
	 .kernel_h = 3,
	 .kernel_w = 3,
	 .lanes = 16,
	 .is_unpaired = true,
	 .format = FR_WEIGHTS_F16},
	{.group = 1,
	 .out_channels = 41,
	 .in_channels = 21,
	 .kernel_h = 3,
	 .kernel_w = 3,
	 .lanes = 16,
	 .is_unpaired = true,
	 .transform = FR_PACK_WINOGRAD},
	{.group = 1,
	 .out_channels = 24,
	 .in_channels = 3,
	 .kernel_h = 3,
	 .kernel_w = 2,
	 .lanes = 4},
	{.group = 1,
	 .is_transposed = true,
	 .out_channels = 40,
	 .in_channels = 17,
	 .kernel_h = 1,
	 .kernel_w = 2,
	 .lanes = 16},
	{.group = 20,
	 .is_depthwise = true,
	 .out_channels = 20,
	 .in_channels = 20,
	 .kernel_h = 3,
	 .kernel_w = 5,
	 .lanes = 16},
	{.group = 2,
	 .is_bias = true,
	 .out_channels = 32,
	 .in_channels = 32,
	 .kernel_h = 1,
	 .kernel_w = 1},
};

uint64_t
fr_pack_layout(const FrKernels *kernels, const FrAllocator *allocator)
{
	FrArena memory;
	FrPackStore store = {0};
	FrError error;
	uint64_t layout = FR_PACK_VERSION;
	float *weights, *factors;

	fr_arena_init(&memory, allocator);
	weights = fr_arena_alloc(&memory, MOST_WEIGHTS * sizeof(float));
	factors = fr_arena_alloc(&memory, MOST_FACTORS * sizeof(float));
	for (int i = 0; weights && i < MOST_WEIGHTS; i++)
		weights[i] = (float) (i % 2039 + 1); /* exact in half precision */
	for (int i = 0; factors && i < MOST_FACTORS; i++)
		factors[i] = 1.0f + (float) i / MOST_FACTORS;
	for (size_t i = 0; i < sizeof probes / sizeof *probes; i++)
	{
		FrPackKey key = probes[i];
		const FrPacked *packed;

		key.weights = weights;
		key.scale = key.pre_scale = factors;
		key.bias = key.is_bias ? factors : NULL;
		if (!weights || !factors ||
			fr_pack_get(&store, &key, SIZE_MAX,
						key.is_unpaired ? kernels->unpaired : kernels->nn, NULL,
						allocator, &packed, &error) != FR_OK)
		{
			layout = 0;
			break;
		}
		layout = fr_checksum(packed->data, packed->bytes, layout);
	}
	fr_pack_store_fini(&store, allocator);
	fr_arena_fini(&memory);
	return layout;
}
