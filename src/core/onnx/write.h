/*
 * write.h: an FrGraph becomes an ONNX file, the inverse of import.h.
 *
 * The file has the operators of the graph in the form that graph.h promises,
 * whatever opset the graph came from; its opset is the lowest, from 13 on,
 * that has them all so.  Importing the file gives the same graph again.
 */
#ifndef FR_CORE_ONNX_WRITE_H
#define FR_CORE_ONNX_WRITE_H

#include "core/nn/graph.h"

/* An entry of the file's metadata_props. */
typedef struct FrOnnxProperty
{
	const char *key;
	const char *value;
} FrOnnxProperty;

/*
 * Write the graph.  Inputs, outputs and nodes keep their names; other values
 * do while no other has the same; constants that nothing reads are left out.
 * An output's shape is stated when the graph knows it.  *bytes is to be
 * released with fr_release.  UNSUPPORTED, naming the node, for what ONNX
 * cannot say any more: nearest-neighbour Resize of an opset before 11 that
 * may shrink.  LIMIT beyond the 2 GB that protobuf allows.
 */
FrStatus fr_onnx_write(const FrGraph *graph, const FrOnnxProperty *properties,
					   int property_count, const FrAllocator *allocator,
					   void **bytes, size_t *size_bytes, FrError *error);

#endif
