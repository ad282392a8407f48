/*
 * test_plan_int8_edges.c: quantised networks of unusual form or size.
 *
 * Constants where others have activations, zero points at the ends of their
 * range, a picture with several readers, scales whose product overflows; what
 * planning polls and allocates; how wide maps are cut.
 */
#include "plan_qdq.h"

/* ---- constants ------------------------------------------------------------- */

/* Int8 constants with DequantizeLinear where a value is calculated otherwise:
 * as the data of a convolution, as what is added to one and to a product. */
static void
test_constants(void)
{
	OnnxModel model;

	begin_map_model(&model, 16);
	add_weights(&model, "k", CHECK_DIMS(1, 16, 8, 8), 0);
	add_qdq(&model, "k.d", "a", 1.0f / 64.0f, 128);
	add_qconv(&model, "a", "c", point(16, 16, 1));
	add_qdq(&model, "x", "b", 1.0f / 64.0f, 128);
	onnx_node(&model, "Add", "y", "c b", "y");
	onnx_output(&model, "y", 0, NULL);
	finish_exact(&model, &CHECK_SHAPE(1, 16, 8, 8), 0, "a constant quantised");

	begin_map_model(&model, 16);
	add_weights(&model, "k", CHECK_DIMS(1, 16, 8, 8), 0);
	add_qdq(&model, "x", "a", 1.0f / 64.0f, 128);
	add_qconv(&model, "a", "c", point(16, 16, 1));
	onnx_node(&model, "Add", "y", "c k.d", "y");
	onnx_output(&model, "y", 0, NULL);
	onnx_output(&model, "k.d", 0, NULL);
	finish_exact(&model, &CHECK_SHAPE(1, 16, 8, 8), 1, "a constant added");

	for (int64_t images = 1; images <= 2; images++)
	{
		begin_map_model(&model, 16);
		onnx_node(&model, "Flatten", "f", "x", "f");
		add_qdq(&model, "f", "a", 1.0f / 64.0f, 128);
		add_weights(&model, "k", CHECK_DIMS(1, 40), 0);
		add_weights(&model, "g", CHECK_DIMS(16, 40), 1);
		onnx_node(&model, "MatMul", "g", "a g.d", "g");
		onnx_node(&model, "Add", "y", "g k.d", "y");
		onnx_output(&model, "y", 0, NULL);
		finish_exact(&model, &CHECK_SHAPE(images, 16, 1, 1), 1,
					 "a constant added to a product");
	}
}

/* A product's bias and the slopes of a PRelu go into the epilogue although
 * they are int8 constants. */
static void
test_quantised_parameters(void)
{
	OnnxModel model;

	begin_map_model(&model, 16);
	add_qdq(&model, "x", "a", 1.0f / 64.0f, 128);
	add_qconv(&model, "a", "c", point(16, 24, 1));
	add_weights(&model, "s", CHECK_DIMS(24, 1, 1), 0);
	onnx_node(&model, "PRelu", "p", "c s.d", "p");
	add_qdq(&model, "p", "pq", 0.25f, 77);
	onnx_node(&model, "Flatten", "f", "pq", "f");
	add_weights(&model, "g", CHECK_DIMS(40, 24), 0);
	add_weights(&model, "k", CHECK_DIMS(1, 40), 0);
	onnx_node(&model, "Gemm", "y", "f g.d k.d", "y");
	onnx_attr_int(&model, "transB", 1);
	onnx_output(&model, "y", 0, NULL);

	OnnxBuffer file = onnx_finish(&model);
	const FrShape shape = CHECK_SHAPE(3, 16, 1, 1);
	FrNet *net;
	FrPlan *plan = make_plan(&file, NULL, &shape, &net);

	check_exact(&file, &shape, 2, "quantised bias and slopes");
	is_int(check_count_steps(plan, "+prelu"), 1, "the slopes are fused");
	fr_net_destroy(net);
	free(file.data);
}

int
main(void)
{
	test_constants();
	test_quantised_parameters();
	return tap_done();
}
