/*
 * write_ops.h: what write.c and write_ops.c share.
 *
 * write.c owns names and messages; write_ops.c knows which attributes an
 * operator needs, and since which opset.
 */
#ifndef FR_CORE_ONNX_WRITE_OPS_H
#define FR_CORE_ONNX_WRITE_OPS_H

#include "core/nn/graph.h"
#include "core/onnx/wire_put.h"

/* The ONNX number of a type that constants may have; 0 when there is none. */
int fr_write_dtype(FrDtype dtype);

/* The lowest opset, from 13 on, that has the node as graph.h describes it. */
int fr_write_opset(const FrNode *node);

/* UNSUPPORTED when no opset has it. */
FrStatus
fr_write_check(const FrGraph *graph, const FrNode *node, FrError *error);

/* Whether the node has to be written as several: Softmax over all dimensions
 * from an axis on, as before opset 13. */
bool fr_write_is_legacy_softmax(const FrNode *node);

/* One attribute of the node whose fields out is getting. */
void fr_write_int(FrWireOut *out, const char *name, int64_t value);

/* The attributes that differ from ONNX's defaults, or have none. */
void fr_write_attributes(FrWireOut *out, const FrNode *node, int opset);

/* The fields of a TensorProto. */
typedef struct FrWriteTensor
{
	const char *name;
	FrDtype dtype;
	const FrShape *shape;
	const void *data;
	size_t size_bytes;
} FrWriteTensor;

/* An FrWirePutter for an FrWriteTensor. */
void fr_write_tensor(FrWireOut *out, const void *context);

#endif
