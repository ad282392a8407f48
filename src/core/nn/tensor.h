/*
 * tensor.h: shapes and plain tensors.
 *
 * A plain tensor is row-major, last index fastest, without padding.  Shapes
 * have at most FR_MAX_RANK dimensions.  Depends on core/base only.
 */
#ifndef FR_CORE_NN_TENSOR_H
#define FR_CORE_NN_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

#define FR_MAX_RANK 6

/* A dimension that is known only when an input is given. */
#define FR_DIM_DYNAMIC ((int64_t) -1)

typedef enum FrDtype
{
	FR_DTYPE_NONE = 0,
	FR_FLOAT32,
	FR_FLOAT16,
	FR_INT64,
	FR_INT32,
	FR_INT8,
	FR_UINT8,
	FR_BOOL,
	FR_DTYPE_COUNT
} FrDtype;

/* Bytes per element; 0 for FR_DTYPE_NONE. */
size_t fr_dtype_size(FrDtype dtype);
const char *fr_dtype_name(FrDtype dtype);

typedef struct FrShape
{
	int rank;
	int64_t dims[FR_MAX_RANK];
} FrShape;

/* Number of elements; false when a dimension is dynamic or negative, or the
 * product does not fit. A scalar (rank 0) has one. */
bool fr_shape_count(const FrShape *shape, size_t *count);

bool fr_shape_equal(const FrShape *a, const FrShape *b);
bool fr_shape_is_static(const FrShape *shape);

/* Write e.g. "[1, 3, ?, ?]"; returns buffer. */
const char *
fr_shape_text(const FrShape *shape, char *buffer, size_t buffer_bytes);

/* A plain tensor; data is not owned. */
typedef struct FrTensor
{
	FrDtype dtype;
	FrShape shape;
	void *data;
} FrTensor;

#endif
