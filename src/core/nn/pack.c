/*
 * pack.c: weights in the order in which the kernels read them.
 *
 * Packed weights belong to a net, not to a plan: they are found again by what
 * determines them (the raw constant, the geometry and the factors folded in),
 * so that planning for another input shape packs nothing.
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
		   is_equal_floats(a->scale, b->scale, a->out_channels) &&
		   is_equal_floats(a->pre_scale, b->pre_scale, a->in_channels);
}

static void
release_packed(FrPacked *packed, const FrAllocator *allocator)
{
	fr_release(allocator, (void *) (uintptr_t) packed->key.scale);
	fr_release(allocator, (void *) (uintptr_t) packed->key.pre_scale);
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
	store->bytes = 0;
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

/* Raw weights as [out, in, kh, kw] with pre_scale applied, when that differs
 * from what the file has. */
static void
rearrange(const FrPackKey *key, float *target)
{
	ptrdiff_t group_in = key->in_channels / key->group;
	ptrdiff_t group_out = key->out_channels / key->group;
	ptrdiff_t taps = (ptrdiff_t) key->kernel_h * key->kernel_w;

	for (ptrdiff_t o = 0; o < key->out_channels; o++)
		for (ptrdiff_t i = 0; i < group_in; i++)
		{
			ptrdiff_t in_channel = o / group_out * group_in + i;
			float factor = key->pre_scale ? key->pre_scale[in_channel] : 1.0f;

			for (ptrdiff_t t = 0; t < taps; t++)
			{
				ptrdiff_t index = (o * group_in + i) * taps + t;
				ptrdiff_t raw = key->is_transposed
									? (i * taps + t) * key->out_channels + o
									: index;

				target[index] = key->weights[raw] * factor;
			}
		}
}

/* Floats of the packed weights, and of one group's; false on overflow. */
static bool
packed_size(const FrPackKey *key, const FrNnKernels *kernels,
			size_t *group_floats, size_t *bytes)
{
	int blocks = (key->out_channels + FR_BLOCK - 1) / FR_BLOCK;

	if (key->is_depthwise)
	{
		*group_floats = 0;
		return fr_size_mul3((size_t) blocks * FR_BLOCK, (size_t) key->kernel_h,
							(size_t) key->kernel_w * sizeof(float), bytes);
	}
	*group_floats = kernels->conv_packed_floats(
		key->out_channels / key->group, key->in_channels / key->group,
		key->kernel_h, key->kernel_w, key->lanes);
	return fr_size_mul3(*group_floats, (size_t) key->group, sizeof(float),
						bytes);
}

static FrStatus
pack_conv(const FrPackKey *key, const FrNnKernels *kernels,
		  const FrAllocator *allocator, FrPacked *packed, FrError *error)
{
	int group_in = key->in_channels / key->group;
	int group_out = key->out_channels / key->group;
	ptrdiff_t raw_floats =
		(ptrdiff_t) group_out * group_in * key->kernel_h * key->kernel_w;
	const float *weights = key->weights;
	float *copy = NULL;

	if (key->is_transposed || key->pre_scale)
	{
		size_t bytes;

		if (!fr_size_mul3((size_t) raw_floats, (size_t) key->group,
						  sizeof(float), &bytes))
			bytes = SIZE_MAX;
		copy = fr_alloc(allocator, bytes);
		if (!copy)
			return fr_fail_nomem(error, bytes);
		rearrange(key, copy);
		weights = copy;
	}
	for (int g = 0; g < key->group; g++)
		kernels->conv_pack(weights + g * raw_floats,
						   key->scale ? key->scale + g * group_out : NULL,
						   group_out, group_in, key->kernel_h, key->kernel_w,
						   key->lanes,
						   packed->data + (size_t) g * packed->group_floats);
	fr_release(allocator, copy);
	return FR_OK;
}

static FrStatus
make_packed(const FrPackKey *key, size_t room_bytes, const FrNnKernels *kernels,
			const FrAllocator *allocator, FrPacked *packed, FrError *error)
{
	packed->key = *key;
	packed->key.scale = packed->key.pre_scale = NULL;
	if (!packed_size(key, kernels, &packed->group_floats, &packed->bytes) ||
		packed->bytes > room_bytes)
		return fr_fail(error, FR_ERR_LIMIT,
					   "The weights of a layer with %d output and %d input "
					   "channels are too large.",
					   key->out_channels, key->in_channels);
	if (!copy_floats(allocator, key->scale, key->out_channels,
					 &packed->key.scale) ||
		!copy_floats(allocator, key->pre_scale, key->in_channels,
					 &packed->key.pre_scale) ||
		!(packed->data = fr_alloc_aligned(allocator, packed->bytes)))
		return fr_fail_nomem(error, packed->bytes);
	if (!key->is_depthwise)
		return pack_conv(key, kernels, allocator, packed, error);
	memset(packed->data, 0, packed->bytes);
	pack_depthwise(key, packed->data);
	return FR_OK;
}

FrStatus
fr_pack_get(FrPackStore *store, const FrPackKey *key, size_t max_bytes,
			const FrNnKernels *kernels, const FrAllocator *allocator,
			const FrPacked **packed, FrError *error)
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
		key, max_bytes > store->bytes ? max_bytes - store->bytes : 0, kernels,
		allocator, made, error);
	if (status != FR_OK)
	{
		release_packed(made, allocator);
		return status;
	}
	made->next = store->first;
	store->first = made;
	store->bytes += made->bytes;
	*packed = made;
	return FR_OK;
}
