/*
 * plan_layers.h: one-line layers for the planner's tests.
 *
 * Each function adds one node to a model, with random weights where it has
 * any; the node is named after its output.  Header only.
 */
#ifndef FR_TEST_PLAN_LAYERS_H
#define FR_TEST_PLAN_LAYERS_H

#include "plan_check.h"

/* A weight's name: what + the output's name. */
static const char *
layer_name(const char *what, const char *output)
{
	static char names[4][64];
	static unsigned next;
	char *name = names[next++ % 4];

	snprintf(name, sizeof names[0], "%s.%s", output, what);
	return name;
}

/* "a b", in one of several static buffers. */
static const char *
layer_join(const char *a, const char *b)
{
	static char joined[4][192];
	static unsigned next;
	char *text = joined[next++ % 4];
	char copy[sizeof joined[0]];

	snprintf(copy, sizeof copy, "%s %s", a, b);
	memcpy(text, copy, sizeof copy);
	return text;
}

/* Geometry of a convolution; zeros mean 1 (pads: 0). */
typedef struct ConvLayer
{
	int in, out, kernel_h, kernel_w, stride, dilation, group;
	int64_t pads[4]; /* top, left, bottom, right */
	bool has_bias;
} ConvLayer;

__attribute__((unused)) static void
add_conv(OnnxModel *model, const char *input, const char *output,
		 ConvLayer layer)
{
	int64_t kernel_h = layer.kernel_h ? layer.kernel_h : 1;
	int64_t kernel_w = layer.kernel_w ? layer.kernel_w : kernel_h;
	int64_t stride = layer.stride ? layer.stride : 1;
	int64_t dilation = layer.dilation ? layer.dilation : 1;
	int64_t group = layer.group ? layer.group : 1;
	const char *weight = layer_name("w", output);
	const char *inputs = layer_join(input, weight);

	check_weight(model, weight,
				 CHECK_DIMS(layer.out, layer.in / group, kernel_h, kernel_w));
	if (layer.has_bias)
	{
		const char *bias = layer_name("b", output);

		check_weight(model, bias, CHECK_DIMS(layer.out));
		inputs = layer_join(inputs, bias);
	}
	onnx_node(model, "Conv", output, inputs, output);
	onnx_attr_ints(model, "kernel_shape", 2, (int64_t[]){kernel_h, kernel_w});
	onnx_attr_ints(model, "strides", 2, (int64_t[]){stride, stride});
	onnx_attr_ints(model, "dilations", 2, (int64_t[]){dilation, dilation});
	onnx_attr_ints(model, "pads", 4, layer.pads);
	onnx_attr_int(model, "group", group);
}

__attribute__((unused)) static void
add_batch_norm(OnnxModel *model, const char *input, const char *output,
			   int64_t channels)
{
	char inputs[256];

	check_weight_in(model, layer_name("g", output), CHECK_DIMS(channels), 0.5f,
					1.5f);
	check_weight(model, layer_name("b", output), CHECK_DIMS(channels));
	check_weight(model, layer_name("m", output), CHECK_DIMS(channels));
	check_weight_in(model, layer_name("v", output), CHECK_DIMS(channels), 0.2f,
					2.0f);
	snprintf(inputs, sizeof inputs, "%s %s.g %s.b %s.m %s.v", input, output,
			 output, output, output);
	onnx_node(model, "BatchNormalization", output, inputs, output);
	onnx_attr_float(model, "epsilon", 1e-3f);
}

/* A binary operator with a constant of the given shape on the right. */
__attribute__((unused)) static void
add_constant(OnnxModel *model, const char *op, const char *input,
			 const char *output, int rank, const int64_t *dims)
{
	const char *weight = layer_name("c", output);

	check_weight_in(model, weight, rank, dims, 0.5f, 1.5f);
	onnx_node(model, op, output, layer_join(input, weight), output);
}

/* PRelu with slopes of the given shape. */
__attribute__((unused)) static void
add_prelu(OnnxModel *model, const char *input, const char *output, int rank,
		  const int64_t *dims)
{
	const char *weight = layer_name("s", output);

	check_weight(model, weight, rank, dims);
	onnx_node(model, "PRelu", output, layer_join(input, weight), output);
}

__attribute__((unused)) static void
add_pool(OnnxModel *model, const char *op, const char *input,
		 const char *output, int64_t kernel, int64_t stride,
		 const int64_t pads[4], bool is_ceil)
{
	onnx_node(model, op, output, input, output);
	onnx_attr_ints(model, "kernel_shape", 2, (int64_t[]){kernel, kernel});
	onnx_attr_ints(model, "strides", 2, (int64_t[]){stride, stride});
	onnx_attr_ints(model, "pads", 4, pads);
	onnx_attr_int(model, "ceil_mode", is_ceil);
}

/* Gemm with weights [out, in] and a bias. */
__attribute__((unused)) static void
add_gemm(OnnxModel *model, const char *input, const char *output, int64_t in,
		 int64_t out)
{
	char inputs[192];

	check_weight(model, layer_name("w", output), CHECK_DIMS(out, in));
	check_weight(model, layer_name("b", output), CHECK_DIMS(out));
	snprintf(inputs, sizeof inputs, "%s %s.w %s.b", input, output, output);
	onnx_node(model, "Gemm", output, inputs, output);
	onnx_attr_int(model, "transB", 1);
}

/* Begin a model whose input "x" is [?, channels, ?, ?]. */
__attribute__((unused)) static void
begin_map_model(OnnxModel *model, int64_t channels)
{
	onnx_begin(model, 13);
	check_seed = 12345u;
	onnx_input(model, "x", CHECK_DIMS(-1, channels, -1, -1));
}

static const int64_t no_pads[4] = {0, 0, 0, 0};
static const int64_t all_pads[4] = {1, 1, 1, 1};

#endif
