/*
 * plan_qdq.h: layers and checks of the planner's tests of quantised networks.
 *
 * Scales, slopes and factors are powers of two, biases multiples of small
 * ones: every number that the plain operators calculate is then exact in
 * float32, so the planned network must give the same bits on every
 * instruction set, ties of rounding among them.  Header only.
 */
#ifndef FR_TEST_PLAN_QDQ_H
#define FR_TEST_PLAN_QDQ_H

#include "plan_layers.h"

/* ---- layers ---------------------------------------------------------------- */

__attribute__((unused)) static int
random_whole(int low, int high)
{
	return low + (int) check_random(0.0f, (float) (high - low) + 0.999f);
}

__attribute__((unused)) static void
add_scalar_u8(OnnxModel *model, const char *name, int value)
{
	const uint8_t byte = (uint8_t) value;

	onnx_weight_raw(model, name, ONNX_UINT8, 0, NULL, &byte, 1);
}

/* QuantizeLinear and DequantizeLinear: input -> output_q -> output. */
__attribute__((unused)) static void
add_qdq(OnnxModel *model, const char *input, const char *output, float scale,
		int zero)
{
	char names[256];

	onnx_weight_f32(model, layer_name("scale", output), 0, NULL, &scale);
	add_scalar_u8(model, layer_name("zero", output), zero);
	snprintf(names, sizeof names, "%s %s.scale %s.zero", input, output, output);
	onnx_node(model, "QuantizeLinear", layer_name("q", output), names,
			  layer_name("q", output));
	snprintf(names, sizeof names, "%s.q %s.scale %s.zero", output, output,
			 output);
	onnx_node(model, "DequantizeLinear", output, names, output);
}

/* Int8 weights name.w behind a DequantizeLinear, name.d; scales along axis. */
__attribute__((unused)) static void
add_weights(OnnxModel *model, const char *name, int rank, const int64_t *dims,
			int axis)
{
	size_t count = onnx_count(rank, dims), scales = (size_t) dims[axis];
	int8_t *data = malloc(count + 1);
	float *scale = malloc((scales + 1) * sizeof *scale);
	char names[256];

	for (size_t i = 0; i < count; i++)
		data[i] = (int8_t) random_whole(-128, 127);
	for (size_t i = 0; i < scales; i++)
		scale[i] = ldexpf(1.0f, random_whole(-10, -8));
	onnx_weight_raw(model, layer_name("w", name), ONNX_INT8, rank, dims, data,
					count);
	onnx_weight_f32(model, layer_name("ws", name), 1, &dims[axis], scale);
	snprintf(names, sizeof names, "%s.w %s.ws", name, name);
	onnx_node(model, "DequantizeLinear", layer_name("d", name), names,
			  layer_name("d", name));
	onnx_attr_int(model, "axis", axis);
	free(data);
	free(scale);
}

/* A float constant of multiples of 1/16. */
__attribute__((unused)) static void
add_dyadic(OnnxModel *model, const char *name, int rank, const int64_t *dims)
{
	size_t count = onnx_count(rank, dims);
	float *values = malloc((count + 1) * sizeof *values);

	for (size_t i = 0; i < count; i++)
		values[i] = (float) random_whole(-16, 16) / 16.0f;
	onnx_weight_f32(model, name, rank, dims, values);
	free(values);
}

/* A convolution of a dequantised value with int8 weights. */
__attribute__((unused)) static void
add_qconv(OnnxModel *model, const char *input, const char *output,
		  ConvLayer layer)
{
	int64_t kernel_h = layer.kernel_h ? layer.kernel_h : 1;
	int64_t kernel_w = layer.kernel_w ? layer.kernel_w : kernel_h;
	int64_t stride = layer.stride ? layer.stride : 1;
	int64_t dilation = layer.dilation ? layer.dilation : 1;
	int64_t group = layer.group ? layer.group : 1;
	char names[256];

	add_weights(model, output,
				CHECK_DIMS(layer.out, layer.in / group, kernel_h, kernel_w), 0);
	snprintf(names, sizeof names, "%s %s.d", input, output);
	if (layer.has_bias)
	{
		add_dyadic(model, layer_name("b", output), CHECK_DIMS(layer.out));
		snprintf(names, sizeof names, "%s %s.d %s.b", input, output, output);
	}
	onnx_node(model, "Conv", output, names, output);
	onnx_attr_ints(model, "kernel_shape", 2, (int64_t[]){kernel_h, kernel_w});
	onnx_attr_ints(model, "strides", 2, (int64_t[]){stride, stride});
	onnx_attr_ints(model, "dilations", 2, (int64_t[]){dilation, dilation});
	onnx_attr_ints(model, "pads", 4, layer.pads);
	onnx_attr_int(model, "group", group);
}

/* A normalisation whose factors are powers of two. */
__attribute__((unused)) static void
add_dyadic_norm(OnnxModel *model, const char *input, const char *output,
				int64_t channels)
{
	float *values = malloc(3 * (size_t) channels * sizeof *values);
	char names[256];

	for (int64_t c = 0; c < channels; c++)
	{
		values[c] = ldexpf(c % 3 ? 1.0f : -1.0f, random_whole(-1, 1));
		values[channels + c] = 0.0f;
		values[2 * channels + c] = 1.0f;
	}
	onnx_weight_f32(model, layer_name("g", output), 1, &channels, values);
	add_dyadic(model, layer_name("b", output), 1, &channels);
	onnx_weight_f32(model, layer_name("m", output), 1, &channels,
					values + channels);
	onnx_weight_f32(model, layer_name("v", output), 1, &channels,
					values + 2 * channels);
	snprintf(names, sizeof names, "%s %s.g %s.b %s.m %s.v", input, output,
			 output, output, output);
	onnx_node(model, "BatchNormalization", output, names, output);
	onnx_attr_float(model, "epsilon", 0.0f);
	free(values);
}

__attribute__((unused)) static void
add_dyadic_prelu(OnnxModel *model, const char *input, const char *output,
				 int64_t channels)
{
	float *slopes = malloc((size_t) channels * sizeof *slopes);

	for (int64_t c = 0; c < channels; c++)
		slopes[c] = ldexpf(1.0f, random_whole(-3, -1));
	onnx_weight_f32(model, layer_name("s", output), 3,
					(int64_t[]){channels, 1, 1}, slopes);
	onnx_node(model, "PRelu", output,
			  layer_join(input, layer_name("s", output)), output);
	free(slopes);
}

__attribute__((unused)) static ConvLayer
square(int in, int out, int stride)
{
	return (ConvLayer){.in = in,
					   .out = out,
					   .kernel_h = 3,
					   .stride = stride,
					   .pads = {1, 1, 1, 1},
					   .has_bias = true};
}

/* A 1x1 convolution. */
__attribute__((unused)) static ConvLayer
point(int in, int out, int stride)
{
	return (ConvLayer){
		.in = in, .out = out, .stride = stride, .has_bias = true};
}

/* ---- checks ---------------------------------------------------------------- */

__attribute__((unused)) static FrPlan *
make_plan(const OnnxBuffer *file, const FrNetOptions *options,
		  const FrShape *shape, FrNet **net)
{
	FrError error = {0};
	FrStatus status;
	FrPlan *plan = NULL;

	*net = check_net(file, options, &fr_allocator_malloc, &status, &error);
	if (status == FR_OK)
		status = fr_net_plan(*net, shape, NULL, &plan, &error);
	is_status(status, FR_OK, &error, "a plan");
	return plan;
}

/* The planned network gives the plain operators' bits; int8: how many steps
 * are convolutions on integers, -1 any. */
__attribute__((unused)) static void
check_exact(const OnnxBuffer *file, const FrShape *shape, int int8,
			const char *what)
{
	FrNetOptions plain = {.is_reference = true};
	FrNet *net, *other;
	FrPlan *want = make_plan(file, &plain, shape, &net);
	FrPlan *got = make_plan(file, NULL, shape, &other);

	if (int8 >= 0 && got &&
		!ok(check_count_steps(got, "int8 conv") == int8,
			"%s: %d convolutions on integers", what, int8))
		check_print_steps(got);
	fr_net_destroy(other);
	if (want)
	{
		check_fill_input(fr_plan_input(want, 0), shape, 77);
		fr_plan_run(want, NULL, NULL);
		for (int i = 0; i < CHECK_ISA_COUNT; i++)
			check_isa(file, check_isas[i], want, shape, -1, 0.0, what);
	}
	fr_net_destroy(net);
}

__attribute__((unused)) static void
finish_exact(OnnxModel *model, const FrShape *shape, int int8, const char *what)
{
	OnnxBuffer file = onnx_finish(model);

	check_exact(&file, shape, int8, what);
	free(file.data);
}

#endif
