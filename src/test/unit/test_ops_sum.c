/*
 * test_ops_sum.c: Sum, which exports of MXNet write for residual
 * connections: of any number of inputs, alone and fused.
 */
#include "core/nn/plan.h"
#include "core/onnx/import.h"
#include "test/unit/onnx_build.h"
#include "test/unit/tap.h"

/* Sum of count inputs: x, and constants of shapes that broadcast. */
static FrNet *
build(int count, unsigned char **bytes)
{
	static const char *const inputs[] = {"x", "x row", "x row one",
										 "x row one x"};
	OnnxModel onnx;
	FrGraph graph;
	FrNet *net = NULL;
	FrError error = {0};

	onnx_begin(&onnx, 13);
	onnx_input(&onnx, "x", 4, (int64_t[]){1, 2, 3, 4});
	onnx_weight_f32(&onnx, "row", 1, (int64_t[]){4}, (float[]){1, 2, 3, 4});
	onnx_weight_f32(&onnx, "one", 3, (int64_t[]){2, 1, 1}, (float[]){10, 20});
	onnx_node(&onnx, "Sum", "sum", inputs[count - 1], "y");
	onnx_output(&onnx, "y", 0, NULL);

	OnnxBuffer file = onnx_finish(&onnx);

	*bytes = file.data;
	if (fr_onnx_import(file.data, file.size_bytes, &fr_allocator_malloc, &graph,
					   &error) == FR_OK)
	{
		ok(graph.nodes[0].op == (count == 1	  ? FR_OP_IDENTITY
								 : count == 2 ? FR_OP_ADD
											  : FR_OP_SUM),
		   "%d inputs: %s", count, fr_op_name(graph.nodes[0].op));
		fr_net_create(&graph, NULL, &fr_allocator_malloc, &net, &error);
	}
	if (!ok(net != NULL, "%d inputs: a network %s", count, error.message))
		exit(1);
	return net;
}

static void
test_sum(int count)
{
	FrShape shape = {.rank = 4, .dims = {1, 2, 3, 4}};
	unsigned char *bytes;
	FrNet *net = build(count, &bytes);
	const FrShape *out_shape;
	FrPlan *plan;
	FrError error = {0};
	int wrong = 0;

	is_status(fr_net_plan(net, &shape, NULL, &plan, &error), FR_OK, &error,
			  "planned");
	for (int i = 0; i < 24; i++)
		fr_plan_input(plan, 0)[i] = (float) i;
	is_status(fr_plan_run(plan, NULL, &error), FR_OK, &error, "run");

	const float *out = fr_plan_output(plan, 0, &out_shape);

	for (int i = 0; i < 24; i++)
	{
		float want = (float) i * (count == 4 ? 2 : 1);

		if (count > 1)
			want += (float) (i % 4 + 1);
		if (count > 2)
			want += i < 12 ? 10 : 20;
		wrong += out[i] != want;
	}
	is_int(wrong, 0, "%d inputs: the sum", count);
	fr_net_destroy(net);
	free(bytes);
}

int
main(void)
{
	for (int count = 1; count <= 4; count++)
		test_sum(count);
	return tap_done();
}
