/*
 * test_plan_softmax.c: Softmax along any axis, by the kernel where it fits,
 * against the plain operator.
 */
#include "plan_layers.h"

typedef struct SoftmaxCase
{
	const char *what;
	int opset, axis;
	FrShape shape;
	bool is_kernel;
} SoftmaxCase;

static const SoftmaxCase cases[] = {
	{"classes of a map", 13, 1, {4, {2, 2, 7, 9}}, true},
	{"many classes of a map", 13, 1, {4, {1, 101, 5, 5}}, true},
	{"a large map", 13, -3, {4, {1, 3, 400, 300}}, true},
	{"pairs of candidates", 13, -1, {3, {2, 1500, 2}}, true},
	{"a few candidates", 13, 2, {3, {1, 3, 5}}, true},
	{"the last axis of a map", 13, 3, {4, {1, 2, 3, 64}}, true},
	{"a narrow map", 13, 1, {4, {3, 5, 3, 4}}, true},
	{"the batch", 13, 0, {2, {6, 20}}, true},
	{"all that follows, as opset 11 has it", 11, 1, {4, {3, 2, 4, 5}}, true},
	{"long lines stay plain", 13, -1, {2, {3, 200}}, false},
};

static void
test_softmax(const SoftmaxCase *one)
{
	OnnxModel model;
	OnnxBuffer file;
	FrError error = {0};
	FrStatus status;
	FrPlan *plan = NULL;
	int64_t dims[4] = {-1, -1, -1, -1};

	for (int built = 0; built < 2; built++)
	{
		onnx_begin(&model, one->opset);
		onnx_input(&model, "x", one->shape.rank, dims);
		onnx_node(&model, "Softmax", "y", "x", "y");
		onnx_attr_int(&model, "axis", one->axis);
		onnx_output(&model, "y", 0, NULL);
		if (built == 0)
			check_plan(&model, &one->shape, 1, one->what);
	}
	file = onnx_finish(&model);

	FrNet *net = check_net(&file, NULL, &fr_allocator_malloc, &status, &error);

	if (status == FR_OK)
		status = fr_net_plan(net, &one->shape, NULL, &plan, &error);
	ok(plan && check_count_steps(plan, "plain Softmax") != one->is_kernel,
	   "%s: which implementation", one->what);
	fr_net_destroy(net);
	free(file.data);
}

/* Cancels at the poll after *context others. */
static void
test_cancelled(void)
{
	const FrShape shape = CHECK_SHAPE(1, 2, 900, 500);
	int left = 0, tries = 0;
	const FrCancel cancel = {test_count_down, &left};
	OnnxModel model;
	OnnxBuffer file;
	FrError error = {0};
	FrStatus status;
	FrPlan *plan;

	begin_map_model(&model, 2);
	onnx_node(&model, "Softmax", "y", "x", "y");
	onnx_attr_int(&model, "axis", 1);
	onnx_output(&model, "y", 0, NULL);
	file = onnx_finish(&model);

	FrNet *net = check_net(&file, NULL, &fr_allocator_malloc, &status, &error);

	fr_net_plan(net, &shape, NULL, &plan, &error);
	check_fill_input(fr_plan_input(plan, 0), &shape, 1);
	do
		left = tries++;
	while (fr_plan_run(plan, &cancel, &error) == FR_ERR_CANCELLED);
	is_int(tries - 1, 4, "polls of a large map");
	fr_net_destroy(net);
	free(file.data);
}

/* Lines that hold NaN or infinities are what the plain operator makes of
 * them. */
static void
test_special(void)
{
	static const float lines[][3] = {
		{NAN, 0, 1},	   {0, NAN, 1},
		{-INFINITY, 0, 1}, {-INFINITY, -INFINITY, -INFINITY},
		{INFINITY, 0, 1},  {1000, -1000, 999},
	};
	enum
	{
		LINES = sizeof lines / sizeof *lines
	};
	const FrShape shape = CHECK_SHAPE(1, 3, LINES, 20);
	OnnxModel model;

	begin_map_model(&model, 3);
	onnx_node(&model, "Softmax", "y", "x", "y");
	onnx_attr_int(&model, "axis", 1);
	onnx_output(&model, "y", 0, NULL);

	OnnxBuffer file = onnx_finish(&model);
	const float *want = NULL;
	FrNet *nets[CHECK_ISA_COUNT + 1] = {NULL};

	for (int k = 0; k <= CHECK_ISA_COUNT; k++)
	{
		FrNetOptions options = {.is_reference = k == 0};
		FrError error = {0};
		FrStatus status;
		FrPlan *plan = NULL;
		int wrong = 0;

		if (k > 0 && !(options.kernels = fr_kernels_by_name(check_isas[k - 1])))
			continue;
		nets[k] =
			check_net(&file, &options, &fr_allocator_malloc, &status, &error);
		fr_net_plan(nets[k], &shape, NULL, &plan, &error);
		for (int i = 0; i < 3 * LINES * 20; i++)
			fr_plan_input(plan, 0)[i] = lines[i / 20 % LINES][i / (LINES * 20)];
		fr_plan_run(plan, NULL, &error);

		const float *got = fr_plan_output(plan, 0, NULL);

		want = k == 0 ? got : want;
		for (int i = 0; i < 3 * LINES * 20; i++)
			wrong += isnan(got[i]) != isnan(want[i]) ||
					 fabsf(got[i] - want[i]) > 1e-6f;
		is_int(wrong, 0, "NaN and infinities: %s",
			   k == 0 ? "plain" : check_isas[k - 1]);
	}
	for (int k = 0; k <= CHECK_ISA_COUNT; k++)
		fr_net_destroy(nets[k]);
	free(file.data);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		test_softmax(&cases[i]);
	test_special();
	test_cancelled();
	return tap_done();
}
