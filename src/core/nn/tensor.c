/*
 * tensor.c: element types and shapes; see tensor.h.
 */
#include "core/nn/tensor.h"

#include <stdio.h>

#include "core/base/size.h"

typedef struct DtypeInfo
{
	const char *name;
	size_t size_bytes;
} DtypeInfo;

static const DtypeInfo dtype_infos[] = {
	[FR_DTYPE_NONE] = {"none", 0}, [FR_FLOAT32] = {"float32", 4},
	[FR_FLOAT16] = {"float16", 2}, [FR_INT64] = {"int64", 8},
	[FR_INT32] = {"int32", 4},	   [FR_INT8] = {"int8", 1},
	[FR_UINT8] = {"uint8", 1},	   [FR_BOOL] = {"bool", 1},
};

_Static_assert(sizeof dtype_infos / sizeof *dtype_infos == FR_DTYPE_COUNT,
			   "every element type is described");

size_t
fr_dtype_size(FrDtype dtype)
{
	return (unsigned) dtype < FR_DTYPE_COUNT ? dtype_infos[dtype].size_bytes
											 : 0;
}

const char *
fr_dtype_name(FrDtype dtype)
{
	return (unsigned) dtype < FR_DTYPE_COUNT ? dtype_infos[dtype].name
											 : "unknown";
}

bool
fr_shape_count(const FrShape *shape, size_t *count)
{
	size_t product = 1;
	bool is_empty = false;

	for (int i = 0; i < shape->rank; i++)
	{
		if (shape->dims[i] < 0)
			return false;
		if (shape->dims[i] == 0)
			is_empty = true;
		else if (!fr_size_mul(product, (size_t) shape->dims[i], &product))
			return false;
	}
	*count = is_empty ? 0 : product;
	return true;
}

bool
fr_shape_equal(const FrShape *a, const FrShape *b)
{
	if (a->rank != b->rank)
		return false;
	for (int i = 0; i < a->rank; i++)
		if (a->dims[i] != b->dims[i])
			return false;
	return true;
}

bool
fr_shape_is_static(const FrShape *shape)
{
	for (int i = 0; i < shape->rank; i++)
		if (shape->dims[i] < 0)
			return false;
	return true;
}

const char *
fr_shape_text(const FrShape *shape, char *buffer, size_t buffer_bytes)
{
	size_t used = 0;

	if (buffer_bytes == 0)
		return "";
	buffer[0] = '\0';
	for (int i = 0; i < shape->rank; i++)
	{
		const char *separator = i == 0 ? "[" : ", ";
		size_t room = buffer_bytes - used;
		int length;

		if (shape->dims[i] < 0)
			length = snprintf(buffer + used, room, "%s?", separator);
		else
			length = snprintf(buffer + used, room, "%s%lld", separator,
							  (long long) shape->dims[i]);
		if (length < 0 || (size_t) length >= room)
			return buffer;
		used += (size_t) length;
	}
	snprintf(buffer + used, buffer_bytes - used, shape->rank ? "]" : "[]");
	return buffer;
}
