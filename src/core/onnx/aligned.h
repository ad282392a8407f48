/*
 * aligned.h: the same ONNX model with its large tensors ready to be used.
 *
 * An exporter puts tensor data at any offset and in any type, so importing a
 * file copies most of its weights.  The aligned image of a model is an ONNX
 * model, too, and imports to the same graph, but the data of every large
 * tensor is raw, of a type that the engine has, and at a multiple of 64
 * bytes from the image's first byte: importing copies nothing large, and the
 * image can be mapped from a file that all processes share.
 */
#ifndef FR_CORE_ONNX_ALIGNED_H
#define FR_CORE_ONNX_ALIGNED_H

#include "core/base/arena.h"
#include "core/base/status.h"

/* Tensors of fewer bytes stay as they are: importing may copy them. */
#define FR_ONNX_ALIGN_BYTES 1024

/* Bytes of the aligned image. */
size_t fr_onnx_aligned_size(const void *bytes, size_t size_bytes);

/* Write the aligned image, of that many bytes, to image.  What is malformed
 * is copied as it is, so that the importer names the fault.  Fails only with
 * CANCELLED. */
FrStatus fr_onnx_align(const void *bytes, size_t size_bytes, void *image,
					   const FrCancel *cancel, FrError *error);

#endif
