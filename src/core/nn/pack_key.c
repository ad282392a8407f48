/*
 * pack_key.c: a key of packed weights, by contents.
 *
 * Within a process a constant is known by its address.  Between processes it
 * is known by its offset in the model's image, which both have, or by its
 * contents when planning calculated it.  Factors are short and go into the
 * name as they are.  What the bytes mean in memory (the order in which a
 * kernel reads them) is not in the name: whoever keeps them adds
 * fr_pack_layout and the kernels' name.
 */
#include <string.h>

#include "core/base/checksum.h"
#include "core/nn/planner.h"

/* A field that is added to the key must be added to the name. */
_Static_assert(sizeof(FrPackKey) == 96 && offsetof(FrPackKey, bias) == 88,
			   "fr_pack_key_name writes every field of FrPackKey");

typedef enum NameKind
{
	NAME_CONV = 0,
	NAME_DEPTHWISE,
	NAME_BIAS,
	NAME_INT8
} NameKind;

/* The fixed part of a name. */
typedef struct NameHead
{
	int32_t kind;
	int32_t is_transposed;
	int32_t transform, format, is_unpaired;
	int32_t group, out_channels, in_channels, kernel_h, kernel_w, lanes;
	int32_t has_scale, has_pre_scale, has_bias;
	int32_t is_in_image;
	int32_t zero;
	uint64_t weight_bytes;
	uint64_t place[2]; /* offset and 0, or two checksums */
} NameHead;

_Static_assert(sizeof(NameHead) == 88, "a name has no padding");

/* The weights as they are in the graph. */
static FrBytes
raw_weights(const FrPackKey *key)
{
	/* The constant has these dimensions, so the product fits. */
	size_t count =
		(size_t) key->out_channels *
		(size_t) (key->is_depthwise ? 1 : key->in_channels / key->group) *
		(size_t) key->kernel_h * (size_t) key->kernel_w;

	if (key->bytes)
		return fr_bytes(key->bytes, count);
	return fr_bytes(key->weights, count * sizeof(float));
}

static void
name_weights(const FrPackKey *key, const FrWeightCache *cache, NameHead *head)
{
	FrBytes raw = raw_weights(key);
	uintptr_t first = (uintptr_t) raw.data;
	uintptr_t image = (uintptr_t) cache->image.data;

	head->weight_bytes = raw.length;
	head->is_in_image = first >= image && first - image < cache->image.length &&
						raw.length <= cache->image.length - (first - image);
	if (head->is_in_image)
		head->place[0] = first - image;
	else
		for (uint64_t i = 0; i < 2; i++)
			head->place[i] = fr_checksum(raw.data, raw.length, i);
}

/* The table of 8-bit kernels goes with the one that has it, so that the key's
 * pointer to it needs no name of its own. */
static NameKind
name_kind(const FrPackKey *key)
{
	if (key->is_bias)
		return NAME_BIAS;
	if (key->bytes)
		return NAME_INT8;
	return key->is_depthwise ? NAME_DEPTHWISE : NAME_CONV;
}

static void
append(uint8_t **end, const float *values, int count)
{
	size_t bytes = (size_t) count * sizeof(float);

	if (!values)
		return;
	memcpy(*end, values, bytes);
	*end += bytes;
}

FrStatus
fr_pack_key_name(const FrPackKey *key, const FrWeightCache *cache,
				 const FrAllocator *allocator, FrBytes *name, FrError *error)
{
	NameHead head = {
		.kind = name_kind(key),
		.is_transposed = key->is_transposed,
		.transform = (int32_t) key->transform,
		.format = (int32_t) key->format,
		.is_unpaired = key->is_unpaired,
		.group = key->group,
		.out_channels = key->out_channels,
		.in_channels = key->in_channels,
		.kernel_h = key->kernel_h,
		.kernel_w = key->kernel_w,
		.lanes = key->lanes,
		.has_scale = key->scale != NULL,
		.has_pre_scale = key->pre_scale != NULL,
		.has_bias = key->bias != NULL,
	};
	size_t most = sizeof head +
				  (2 * (size_t) key->out_channels + (size_t) key->in_channels) *
					  sizeof(float);
	uint8_t *bytes = fr_alloc(allocator, most);
	uint8_t *end = bytes + sizeof head;

	if (!bytes)
		return fr_fail_nomem(error, most);
	name_weights(key, cache, &head);
	memcpy(bytes, &head, sizeof head);
	append(&end, key->scale, key->out_channels);
	append(&end, key->pre_scale, key->in_channels);
	append(&end, key->bias, key->out_channels);
	*name = fr_bytes(bytes, (size_t) (end - bytes));
	return FR_OK;
}
