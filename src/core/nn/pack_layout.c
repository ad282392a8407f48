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

/* Stands for the weights of a probe that has 8-bit ones. */
static const int8_t is_int8[1];

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
	 .out_channels = 41,
	 .in_channels = 21,
	 .kernel_h = 3,
	 .kernel_w = 3,
	 .lanes = 16,
	 .is_unpaired = true,
	 .transform = FR_PACK_WINOGRAD_3},
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
	{.group = 1,
	 .bytes = is_int8,
	 .out_channels = 37,
	 .in_channels = 21,
	 .kernel_h = 3,
	 .kernel_w = 3},
	{.group = 1,
	 .bytes = is_int8,
	 .is_transposed = true,
	 .out_channels = 70,
	 .in_channels = 37,
	 .kernel_h = 1,
	 .kernel_w = 1},
	{.group = 2,
	 .is_bias = true,
	 .out_channels = 32,
	 .in_channels = 32,
	 .kernel_h = 1,
	 .kernel_w = 1},
};

/* What the probes are made of. */
typedef struct Constants
{
	float *weights, *factors;
	int8_t *bytes;
} Constants;

static bool
make_constants(FrArena *memory, Constants *constants)
{
	constants->weights = fr_arena_alloc(memory, MOST_WEIGHTS * sizeof(float));
	constants->factors = fr_arena_alloc(memory, MOST_FACTORS * sizeof(float));
	constants->bytes = fr_arena_alloc(memory, MOST_WEIGHTS);
	if (!constants->weights || !constants->factors || !constants->bytes)
		return false;
	for (int i = 0; i < MOST_WEIGHTS; i++)
	{
		constants->weights[i] = (float) (i % 2039 + 1); /* exact as a half */
		constants->bytes[i] = (int8_t) (i % 251 - 125);
	}
	for (int i = 0; i < MOST_FACTORS; i++)
		constants->factors[i] = 1.0f + (float) i / MOST_FACTORS;
	return true;
}

static FrPackKey
complete(FrPackKey key, const Constants *constants, const FrKernels *kernels)
{
	if (key.bytes)
	{
		key.bytes = constants->bytes;
		key.int8 = kernels->int8;
		return key;
	}
	key.weights = constants->weights;
	key.scale = key.pre_scale = constants->factors;
	key.bias = key.is_bias ? constants->factors : NULL;
	return key;
}

uint64_t
fr_pack_layout(const FrKernels *kernels, const FrAllocator *allocator)
{
	FrArena memory;
	FrPackStore store = {0};
	Constants constants;
	FrError error;
	uint64_t layout = FR_PACK_VERSION;

	fr_arena_init(&memory, allocator);
	if (!make_constants(&memory, &constants))
		layout = 0;
	for (size_t i = 0; i < sizeof probes / sizeof *probes && layout != 0; i++)
	{
		FrPackKey key = complete(probes[i], &constants, kernels);
		const FrPacked *packed;
		FrStatus status =
			fr_pack_get(&store, &key, SIZE_MAX,
						key.is_unpaired ? kernels->unpaired : kernels->nn, NULL,
						allocator, &packed, &error);

		layout = status == FR_OK
					 ? fr_checksum(packed->data, packed->bytes, layout)
					 : 0;
	}
	fr_pack_store_fini(&store, allocator);
	fr_arena_fini(&memory);
	return layout;
}
