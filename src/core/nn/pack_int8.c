/*
 * pack_int8.c: 8-bit weights in the kernels' order, and their sums.
 *
 * A zero point of the input adds itself times the sum of a channel's weights
 * to every output; the sums are kept behind the packed weights, so that plans
 * need not read the weights again.
 */
#include <string.h>

#include "core/base/size.h"
#include "core/nn/planner.h"

bool
fr_pack_int8_bytes(const FrPackKey *key, size_t *weight_bytes, size_t *bytes)
{
	size_t blocks = ((size_t) key->out_channels + FR_BLOCK - 1) / FR_BLOCK;
	size_t depth, raw;

	/* Padding to whole blocks and quads less than multiplies this by 256. */
	if (!fr_size_mul3((size_t) key->in_channels, (size_t) key->kernel_h,
					  (size_t) key->kernel_w, &depth) ||
		!fr_size_mul3(depth, (size_t) key->out_channels, 256, &raw))
		return false;
	*weight_bytes = key->int8->packed_bytes(key->out_channels, key->in_channels,
											key->kernel_h, key->kernel_w);
	return fr_size_add(*weight_bytes, blocks * FR_BLOCK * sizeof(int32_t),
					   bytes);
}

/* The weights of count output channels from first on, as [count, depth]. */
static void
copy_transposed(const FrPackKey *key, int first, int count, ptrdiff_t depth,
				int8_t *target)
{
	for (ptrdiff_t i = 0; i < depth; i++)
		for (int o = 0; o < count; o++)
			target[o * depth + i] =
				key->bytes[i * key->out_channels + first + o];
}

/* Pack as many output channels at a time as share a stream of weights: the
 * cancel hook is asked between them. */
FrStatus
fr_pack_int8(const FrPackKey *key, const FrCancel *cancel,
			 const FrAllocator *allocator, void *data, FrError *error)
{
	const FrInt8Kernels *kernels = key->int8;
	ptrdiff_t depth =
		(ptrdiff_t) key->in_channels * key->kernel_h * key->kernel_w;
	int most = kernels->group_blocks * FR_BLOCK;
	size_t weight_bytes, bytes;
	int8_t *target = data, *copy = NULL;

	fr_pack_int8_bytes(key, &weight_bytes, &bytes);
	if (key->is_transposed)
	{
		copy = fr_alloc(allocator, (size_t) depth * (size_t) most);
		if (!copy)
			return fr_fail_nomem(error, (size_t) depth * (size_t) most);
	}

	int32_t *sums = (int32_t *) (void *) ((char *) data + weight_bytes);

	memset(sums, 0, bytes - weight_bytes);
	for (int first = 0; first < key->out_channels; first += most)
	{
		int left = key->out_channels - first;
		int count = left < most ? left : most;
		const int8_t *source = copy ? copy : key->bytes + first * depth;

		if (fr_is_cancelled(cancel))
		{
			fr_release(allocator, copy);
			return fr_fail(error, FR_ERR_CANCELLED, "Planning was cancelled.");
		}
		if (copy)
			copy_transposed(key, first, count, depth, copy);
		kernels->pack(source, count, key->in_channels, key->kernel_h,
					  key->kernel_w, target);
		target += kernels->packed_bytes(count, key->in_channels, key->kernel_h,
										key->kernel_w);
		for (int o = 0; o < count; o++)
			for (ptrdiff_t i = 0; i < depth; i++)
				sums[first + o] += source[o * depth + i];
	}
	fr_release(allocator, copy);
	return FR_OK;
}
