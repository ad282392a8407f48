/*
 * op_resize.c: plain Resize, nearest and linear, over any dimensions.
 *
 * Each output index maps to an input coordinate by the rule of ONNX's
 * coordinate_transformation_mode; linear interpolation is the tensor product
 * of its one-dimensional form, with coordinates held inside the input.
 */
#include <math.h>

#include "core/nn/op_table.h"

static FrStatus
fail_scales(const FrNode *node, FrError *error)
{
	return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
						"It needs either constant scales or constant sizes, "
						"positive and one for each dimension.");
}

static bool
is_given(const FrNode *node, const FrTensor *const *inputs, int index)
{
	return node->input_count > index && inputs[index] &&
		   inputs[index]->shape.rank == 1 && inputs[index]->shape.dims[0] > 0;
}

FrStatus
fr_resize_sizes(const FrNode *node, const FrTensor *const *inputs,
				int64_t sizes[FR_MAX_RANK], double scales[FR_MAX_RANK],
				FrError *error)
{
	const FrShape *shape = &inputs[0]->shape;
	bool has_scales = is_given(node, inputs, 2);
	int count = 0;

	if (has_scales)
	{
		const FrTensor *tensor = inputs[2];

		if (!tensor->data || tensor->dtype != FR_FLOAT32 ||
			tensor->shape.dims[0] != shape->rank)
			return fail_scales(node, error);
		for (int i = 0; i < shape->rank; i++)
		{
			float scale = ((const float *) tensor->data)[i];
			/* ONNX Runtime multiplies in float, too. */
			float size = floorf(scale * (float) shape->dims[i]);

			if (!(scale > 0.0f) || !(size <= (float) FR_MAX_DIM))
				return fail_scales(node, error);
			sizes[i] = (int64_t) size;
			scales[i] = (double) scale;
		}
		return FR_OK;
	}
	if (!is_given(node, inputs, 3))
		return fail_scales(node, error);

	FrStatus status = fr_read_ints(node, inputs[3], "sizes", sizes, FR_MAX_RANK,
								   &count, error);

	if (status != FR_OK)
		return status;
	if (count != shape->rank)
		return fail_scales(node, error);
	for (int i = 0; i < count; i++)
	{
		if (sizes[i] < 1 || sizes[i] > FR_MAX_DIM || shape->dims[i] < 1)
			return fail_scales(node, error);
		scales[i] = (double) ((float) sizes[i] / (float) shape->dims[i]);
	}
	return FR_OK;
}

FR_DECLARE_INFER(resize)
{
	double scales[FR_MAX_RANK];

	outputs[0].shape = inputs[0]->shape;
	if (inputs[0]->dtype != FR_FLOAT32)
		return fr_node_fail(error, FR_ERR_UNSUPPORTED, node,
							"The input is %s; float32 is supported.",
							fr_dtype_name(inputs[0]->dtype));
	for (int i = 0; i < inputs[0]->shape.rank; i++)
		if (inputs[0]->shape.dims[i] < 1)
			return fr_node_fail(error, FR_ERR_MISMATCH, node,
								"The input is empty.");
	return fr_resize_sizes(node, inputs, outputs[0].shape.dims, scales, error);
}

/* One dimension of the mapping. */
typedef struct Mapping
{
	FrResizeCoordinates coordinates;
	FrResizeRounding rounding;
	int64_t in_size, out_size;
	float scale;
} Mapping;

static float
source_coordinate(const Mapping *map, int64_t index)
{
	float x = (float) index;

	if (map->scale == 1.0f && map->in_size == map->out_size)
		return x;
	switch (map->coordinates)
	{
		case FR_COORD_ASYMMETRIC:
			return x / map->scale;
		case FR_COORD_ALIGN_CORNERS:
			return map->out_size == 1 ? 0.0f
									  : x * (float) (map->in_size - 1) /
											(float) (map->out_size - 1);
		case FR_COORD_PYTORCH_HALF_PIXEL:
			return map->out_size > 1 ? (x + 0.5f) / map->scale - 0.5f : 0.0f;
		case FR_COORD_HALF_PIXEL:
			break;
	}
	return (x + 0.5f) / map->scale - 0.5f;
}

static int64_t
nearest_index(const Mapping *map, int64_t index)
{
	float x = source_coordinate(map, index);
	float rounded = floorf(x);

	switch (map->rounding)
	{
		case FR_ROUND_PREFER_FLOOR:
			rounded = x - rounded <= 0.5f ? rounded : ceilf(x);
			break;
		case FR_ROUND_PREFER_CEIL:
			rounded = x - rounded < 0.5f ? rounded : ceilf(x);
			break;
		case FR_ROUND_CEIL:
			rounded = ceilf(x);
			break;
		case FR_ROUND_LEGACY:
			rounded = map->scale < 1.0f ? ceilf(x) : rounded;
			break;
		case FR_ROUND_FLOOR:
			break;
	}
	if (rounded < 0.0f)
		return 0;
	return rounded < (float) map->in_size ? (int64_t) rounded
										  : map->in_size - 1;
}

/* The two neighbours of output index and the weight of the second. */
static float
linear_neighbours(const Mapping *map, int64_t index, int64_t *low,
				  int64_t *high)
{
	float x = source_coordinate(map, index);
	float largest = (float) (map->in_size - 1);

	x = x < 0.0f ? 0.0f : x > largest ? largest : x;
	*low = (int64_t) x;
	if (*low > map->in_size - 1)
		*low = map->in_size - 1;
	*high = *low + 1 < map->in_size ? *low + 1 : *low;
	return x - (float) *low;
}

/* Interpolate at one output position over the dimensions that change. */
static float
interpolate(const float *input, const Mapping *maps, const size_t *strides,
			const int64_t *position, int rank)
{
	size_t low_offset[FR_MAX_RANK], high_offset[FR_MAX_RANK];
	float weight[FR_MAX_RANK];
	size_t base = 0;
	float sum = 0.0f;
	int active = 0;

	for (int d = 0; d < rank; d++)
	{
		int64_t low, high;
		float fraction = linear_neighbours(&maps[d], position[d], &low, &high);

		if (fraction == 0.0f)
		{
			base += (size_t) low * strides[d];
			continue;
		}
		low_offset[active] = (size_t) low * strides[d];
		high_offset[active] = (size_t) high * strides[d];
		weight[active++] = fraction;
	}
	for (unsigned corner = 0; corner < 1u << active; corner++)
	{
		size_t offset = base;
		float product = 1.0f;

		for (int d = 0; d < active; d++)
		{
			bool is_high = corner >> d & 1;

			offset += is_high ? high_offset[d] : low_offset[d];
			product *= is_high ? weight[d] : 1.0f - weight[d];
		}
		sum += product * input[offset];
	}
	return sum;
}

static size_t
nearest_offset(const Mapping *maps, const size_t *strides,
			   const int64_t *position, int rank)
{
	size_t offset = 0;

	for (int d = 0; d < rank; d++)
		offset += (size_t) nearest_index(&maps[d], position[d]) * strides[d];
	return offset;
}

FR_DECLARE_RUN(resize)
{
	const FrShape *shape = &outputs[0].shape;
	const float *input = inputs[0]->data;
	float *output = outputs[0].data;
	int rank = shape->rank;
	int64_t sizes[FR_MAX_RANK], position[FR_MAX_RANK] = {0};
	double scales[FR_MAX_RANK];
	size_t strides[FR_MAX_RANK] = {0}, stride = 1;
	Mapping maps[FR_MAX_RANK];
	FrPoll poll = fr_poll_begin(cancel);
	FrStatus status = fr_resize_sizes(node, inputs, sizes, scales, error);

	if (status != FR_OK)
		return status;
	for (int d = rank - 1; d >= 0; d--)
	{
		maps[d] = (Mapping){.coordinates = node->u.resize.coordinates,
							.rounding = node->u.resize.rounding,
							.in_size = inputs[0]->shape.dims[d],
							.out_size = sizes[d],
							.scale = (float) scales[d]};
		strides[d] = stride;
		stride *= (size_t) maps[d].in_size;
	}
	for (size_t i = 0, count = fr_shape_span(shape, 0, rank); i < count; i++)
	{
		if (node->u.resize.mode == FR_RESIZE_NEAREST)
			output[i] = input[nearest_offset(maps, strides, position, rank)];
		else
			output[i] = interpolate(input, maps, strides, position, rank);
		for (int d = rank - 1; d >= 0 && ++position[d] == sizes[d]; d--)
			position[d] = 0;
		if (fr_poll(&poll, 32))
			return fr_fail_cancelled(error);
	}
	return FR_OK;
}
