/*
 * pack.c: weights in the order in which the kernels read them.
 *
 * Packed weights belong to a net, not to a plan: they are found again by what
 * determines them (the raw constant, the geometry and the factors folded in),
 * so that planning for another input shape packs nothing.  A cache of packed
 * weights that outlives the net is asked first (FrWeightCache).
 */
#include <string.h>

#include "core/base/size.h"
#include "core/nn/planner.h"

static bool
is_equal_floats(const float *a, const float *b, int count)
{
	if (!a || !b)
		return a == b;
	return memcmp(a, b, (size_t) count * sizeof(float)) == 0;
}

static bool
is_equal_key(const FrPackKey *a, const FrPackKey *b)
{
	return a->weights == b->weights && a->is_depthwise == b->is_depthwise &&
		   a->is_transposed == b->is_transposed && a->group == b->group &&
		   a->out_channels == b->out_channels &&
		   a->in_channels == b->in_channels && a->kernel_h == b->kernel_h &&
		   a->kernel_w == b->kernel_w && a->lanes == b->lanes &&
		   a->transform == b->transform && a->format == b->format &&
		   a->is_unpaired == b->is_unpaired && a->bytes == b->bytes &&
		   is_equal_floats(a->scale, b->scale, a->out_channels) &&
		   is_equal_floats(a->pre_scale, b->pre_scale, a->in_channels) &&
		   a->is_bias == b->is_bias &&
		   is_equal_floats(a->bias, b->bias, a->out_channels);
}

static void
release_packed(FrPacked *packed, const FrAllocator *allocator)
{
	fr_release(allocator, (void *) (uintptr_t) packed->key.scale);
	fr_release(allocator, (void *) (uintptr_t) packed->key.pre_scale);
	fr_release(allocator, (void *) (uintptr_t) packed->key.bias);
	fr_release(allocator, (void *) (uintptr_t) packed->name.data);
	if (!packed->is_found)
		fr_release_aligned(allocator, packed->data);
	fr_release(allocator, packed);
}

void
fr_pack_store_fini(FrPackStore *store, const FrAllocator *allocator)
{
	while (store->first)
	{
		FrPacked *next = store->first->next;

		release_packed(store->first, allocator);
		store->first = next;
	}
	store->bytes = store->own_bytes = 0;
}

/* A copy of an optional array; false when there is no memory. */
static bool
copy_floats(const FrAllocator *allocator, const float *source, int count,
			const float **copy)
{
	float *target;

	*copy = NULL;
	if (!source)
		return true;
	target = fr_alloc(allocator, (size_t) count * sizeof(float));
	if (!target)
		return false;
	memcpy(target, source, (size_t) count * sizeof(float));
	*copy = target;
	return true;
}

/* [channels, 1, kh, kw] -> [blocks, kh, kw, 16], times both factors. */
static void
pack_depthwise(const FrPackKey *key, float *data)
{
	int taps = key->kernel_h * key->kernel_w;

	for (int c = 0; c < key->out_channels; c++)
	{
		float factor = key->scale ? key->scale[c] : 1.0f;
		float *lane =
			data + (ptrdiff_t) (c / FR_BLOCK) * taps * FR_BLOCK + c % FR_BLOCK;

		if (key->pre_scale)
			factor *= key->pre_scale[c];
		for (int t = 0; t < taps; t++)
			lane[(ptrdiff_t) t * FR_BLOCK] =
				key->weights[(ptrdiff_t) c * taps + t] * factor;
	}
}

/* The weights of count output channels from first on, as [count, in, kh, kw]
 * with pre_scale applied, when that differs from what the file has. */
static void
rearrange(const FrPackKey *key, ptrdiff_t first, ptrdiff_t count, float *target)
{
	ptrdiff_t group_in = key->in_channels / key->group;
	ptrdiff_t group_out = key->out_channels / key->group;
	ptrdiff_t taps = (ptrdiff_t) key->kernel_h * key->kernel_w;
	const float *pre_scale =
		key->pre_scale ? key->pre_scale + first / group_out * group_in : NULL;

	for (ptrdiff_t i = 0; i < group_in * taps; i++)
	{
		float factor = pre_scale ? pre_scale[i / taps] : 1.0f;

		for (ptrdiff_t o = 0; o < count; o++)
		{
			ptrdiff_t raw = key->is_transposed
								? i * key->out_channels + first + o
								: (first + o) * group_in * taps + i;

			target[o * group_in * taps + i] = key->weights[raw] * factor;
		}
	}
}

/* One group of a convolution, its output channels from none to count. */
static FrConvFilter
conv_filter(const FrPackKey *key, int count)
{
	return (FrConvFilter){.out_channels = count,
						  .in_channels = key->in_channels / key->group,
						  .kernel_h = key->kernel_h,
						  .kernel_w = key->kernel_w,
						  .in_lanes = key->lanes,
						  .format = key->format};
}

/* Bytes of the packed weights, and of one group's; false on overflow. */
static bool
packed_size(const FrPackKey *key, const FrNnKernels *kernels,
			size_t *group_bytes, size_t *bytes)
{
	int blocks = (key->out_channels + FR_BLOCK - 1) / FR_BLOCK;

	if (key->bytes)
		return fr_pack_int8_bytes(key, group_bytes, bytes);
	if (key->is_bias)
	{
		*group_bytes = 0;
		return fr_size_mul((size_t) key->out_channels, sizeof(float), bytes);
	}
	if (key->is_depthwise)
	{
		*group_bytes = 0;
		return fr_size_mul3((size_t) blocks * FR_BLOCK, (size_t) key->kernel_h,
							(size_t) key->kernel_w * sizeof(float), bytes);
	}

	if (key->transform != FR_PACK_FILTERS)
	{
		*group_bytes = 0;
		return fr_pack_winograd_bytes(key, kernels, bytes);
	}

	FrConvFilter filter = conv_filter(key, key->out_channels / key->group);

	*group_bytes = kernels->conv_packed_bytes(&filter);
	return fr_size_mul(*group_bytes, (size_t) key->group, bytes);
}

/* Pack as many output channels at a time as share a stream of weights: the
 * cancel hook is asked between them, and a copy is no larger. */
static FrStatus
pack_conv(const FrPackKey *key, const FrNnKernels *kernels,
		  const FrCancel *cancel, const FrAllocator *allocator,
		  FrPacked *packed, FrError *error)
{
	int group_in = key->in_channels / key->group;
	int group_out = key->out_channels / key->group;
	int most = kernels->conv_group_blocks * FR_BLOCK;
	ptrdiff_t depth = (ptrdiff_t) group_in * key->kernel_h * key->kernel_w;
	float *copy = NULL;

	if (most > group_out)
		most = group_out;
	if (key->is_transposed || key->pre_scale)
	{
		size_t bytes;

		if (!fr_size_mul3((size_t) depth, (size_t) most, sizeof(float), &bytes))
			return fr_fail_nomem(error, SIZE_MAX);
		copy = fr_alloc(allocator, bytes);
		if (!copy)
			return fr_fail_nomem(error, bytes);
	}
	for (int g = 0; g < key->group; g++)
	{
		char *target = (char *) packed->data + (size_t) g * packed->group_bytes;

		for (int out = 0; out < group_out; out += most)
		{
			int count = group_out - out < most ? group_out - out : most;
			ptrdiff_t first = (ptrdiff_t) g * group_out + out;
			FrConvFilter filter = conv_filter(key, count);

			if (fr_is_cancelled(cancel))
			{
				fr_release(allocator, copy);
				return fr_fail(error, FR_ERR_CANCELLED,
							   "Planning was cancelled.");
			}
			if (copy)
				rearrange(key, first, count, copy);
			kernels->conv_pack(&filter,
							   copy ? copy : key->weights + first * depth,
							   key->scale ? key->scale + first : NULL, target);
			target += kernels->conv_packed_bytes(&filter);
		}
	}
	fr_release(allocator, copy);
	return FR_OK;
}

/* Outputs whose biases are folded at a time where their weights lie side by
 * side. */
#define FOLDED_OUTPUTS 64

/* Sums over all inputs of weights * pre_scale, of count outputs from first on,
 * all of one group. */
static void
sum_weights(const FrPackKey *key, ptrdiff_t first, int count, double *sums)
{
	ptrdiff_t group_in = key->in_channels / key->group;
	ptrdiff_t group_out = key->out_channels / key->group;
	ptrdiff_t taps = (ptrdiff_t) key->kernel_h * key->kernel_w;
	ptrdiff_t step = key->is_transposed ? key->out_channels : 1;
	const float *weights =
		key->weights + (key->is_transposed ? first : first * group_in * taps);
	const float *pre_scale = key->pre_scale + first / group_out * group_in;

	memset(sums, 0, (size_t) count * sizeof *sums);
	for (ptrdiff_t i = 0; i < group_in; i++)
	{
		double of_taps[FOLDED_OUTPUTS] = {0.0};

		for (ptrdiff_t t = 0; t < taps; t++, weights += step)
			for (int o = 0; o < count; o++)
				of_taps[o] += (double) weights[o];
		for (int o = 0; o < count; o++)
			sums[o] += of_taps[o] * (double) pre_scale[i];
	}
}

/* bias + scale * (weights * pre_scale), summed in double. */
static FrStatus
fold_bias(const FrPackKey *key, const FrCancel *cancel, float *data,
		  FrError *error)
{
	int most = key->is_transposed ? FOLDED_OUTPUTS : 1;

	for (int first = 0; first < key->out_channels; first += most)
	{
		int rest = key->out_channels - first;
		int count = rest < most ? rest : most;
		double sums[FOLDED_OUTPUTS];

		if (fr_is_cancelled(cancel))
			return fr_fail(error, FR_ERR_CANCELLED, "Planning was cancelled.");
		sum_weights(key, first, count, sums);
		for (int o = 0; o < count; o++)
			data[first + o] =
				(float) ((double) key->bias[first + o] +
						 (double) key->scale[first + o] * sums[o]);
	}
	return FR_OK;
}

static FrStatus
fill_packed(const FrPackKey *key, const FrNnKernels *kernels,
			const FrCancel *cancel, const FrAllocator *allocator,
			FrPacked *packed, FrError *error)
{
	packed->data = fr_alloc_aligned(allocator, packed->bytes);
	if (!packed->data)
		return fr_fail_nomem(error, packed->bytes);
	if (key->is_bias)
		return fold_bias(key, cancel, packed->data, error);
	if (key->bytes)
		return fr_pack_int8(key, cancel, allocator, packed->data, error);
	if (key->transform != FR_PACK_FILTERS)
		return fr_pack_winograd(key, kernels, cancel, allocator, packed->data,
								error);
	if (!key->is_depthwise)
		return pack_conv(key, kernels, cancel, allocator, packed, error);
	memset(packed->data, 0, packed->bytes);
	pack_depthwise(key, packed->data);
	return FR_OK;
}

/* Take the packed weights from the cache, if there is one that has them. */
static FrStatus
find_cached(const FrWeightCache *cache, const FrPackKey *key,
			const FrAllocator *allocator, FrPacked *packed, FrError *error)
{
	if (!cache)
		return FR_OK;

	FrStatus status =
		fr_pack_key_name(key, cache, allocator, &packed->name, error);

	if (status != FR_OK || !cache->find)
		return status;

	const void *found =
		cache->find(cache->context, packed->name, packed->bytes);

	packed->is_found = found != NULL;
	packed->data = (void *) (uintptr_t) found; /* only ever read */
	return FR_OK;
}

static FrStatus
make_packed(const FrPackKey *key, const FrPackStore *store, size_t room_bytes,
			const FrNnKernels *kernels, const FrCancel *cancel,
			const FrAllocator *allocator, FrPacked *packed, FrError *error)
{
	FrStatus status;

	packed->key = *key;
	packed->key.scale = packed->key.pre_scale = packed->key.bias = NULL;
	if (!packed_size(key, kernels, &packed->group_bytes, &packed->bytes) ||
		packed->bytes > room_bytes)
		return fr_fail(error, FR_ERR_LIMIT,
					   "The weights of a layer with %d output and %d input "
					   "channels are too large.",
					   key->out_channels, key->in_channels);
	if (!copy_floats(allocator, key->scale, key->out_channels,
					 &packed->key.scale) ||
		!copy_floats(allocator, key->pre_scale, key->in_channels,
					 &packed->key.pre_scale) ||
		!copy_floats(allocator, key->bias, key->out_channels,
					 &packed->key.bias))
		return fr_fail_nomem(error, packed->bytes);
	status = find_cached(store->cache, key, allocator, packed, error);
	if (status != FR_OK || packed->is_found)
		return status;
	return fill_packed(key, kernels, cancel, allocator, packed, error);
}

FrStatus
fr_pack_get(FrPackStore *store, const FrPackKey *key, size_t max_bytes,
			const FrNnKernels *kernels, const FrCancel *cancel,
			const FrAllocator *allocator, const FrPacked **packed,
			FrError *error)
{
	FrPacked *made;
	FrStatus status;

	for (FrPacked *p = store->first; p; p = p->next)
		if (is_equal_key(&p->key, key))
		{
			*packed = p;
			return FR_OK;
		}
	made = fr_alloc_zeroed(allocator, 1, sizeof *made);
	if (!made)
		return fr_fail_nomem(error, sizeof *made);
	status = make_packed(
		key, store, max_bytes > store->bytes ? max_bytes - store->bytes : 0,
		kernels, cancel, allocator, made, error);
	if (status != FR_OK)
	{
		release_packed(made, allocator);
		return status;
	}
	made->next = store->first;
	store->first = made;
	store->bytes += made->bytes;
	store->own_bytes += made->is_found ? 0 : made->bytes;
	*packed = made;
	return FR_OK;
}
