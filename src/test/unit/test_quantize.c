/*
 * test_quantize.c: int8 variants of small networks, and of real ones when
 * the test data is there.
 *
 * Codes of weights and biases are checked against what this file calculates
 * from the definition; outputs against the original network; every failing
 * allocation and every poll that cancels is tried.
 */
#include "core/nn/quantize.h"
#include "core/onnx/import.h"
#include "core/onnx/write.h"
#include "plan_check.h"

#define SAMPLES 8

/* ---- samples ------------------------------------------------------------ */

static FrShape sample_shapes[SAMPLES];

/* Smooth waves, other ones in each sample. */
static FrStatus
fill_waves(void *context, int index, FrPlan *plan, FrError *error)
{
	float *input = fr_plan_input(plan, 0);
	size_t count = 0;

	(void) context;
	(void) error;
	fr_shape_count(&sample_shapes[index], &count);
	for (size_t i = 0; i < count; i++)
		input[i] = (float) (sin(0.37 * (double) i + index) +
							0.3 * sin(0.011 * (double) i * (index + 1)));
	return FR_OK;
}

static FrSamples
make_samples(FrShape shape)
{
	for (int i = 0; i < SAMPLES; i++)
		sample_shapes[i] = shape;
	return (FrSamples){SAMPLES, sample_shapes, fill_waves, NULL};
}

/* ---- networks ----------------------------------------------------------- */

typedef struct Model
{
	OnnxBuffer file;
	FrGraph graph;
} Model;

static Model
import_model(OnnxModel *model)
{
	Model made = {.file = onnx_finish(model)};
	FrError error = {0};

	is_status(fr_onnx_import(made.file.data, made.file.size_bytes,
							 &fr_allocator_malloc, &made.graph, &error),
			  FR_OK, &error, "the network is imported");
	return made;
}

static void
free_model(Model *model)
{
	fr_graph_destroy(&model->graph);
	free(model->file.data);
}

/*
 * A stem, two convolutions with a residual, a depthwise one, and a
 * fully connected layer of each form: all kinds of layers there are.
 */
static Model
make_model(void)
{
	OnnxModel model;

	check_seed = 7;
	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, (int64_t[]){-1, 3, 10, 9});
	check_weight(&model, "w1", CHECK_DIMS(16, 3, 3, 3));
	check_weight(&model, "b1", CHECK_DIMS(16));
	check_weight(&model, "w2", CHECK_DIMS(16, 16, 1, 1));
	check_weight(&model, "w3", CHECK_DIMS(16, 16, 3, 3));
	check_weight(&model, "b3", CHECK_DIMS(16));
	check_weight(&model, "wd", CHECK_DIMS(16, 1, 3, 3));
	check_weight(&model, "w4", CHECK_DIMS(320, 12));
	check_weight(&model, "w5", CHECK_DIMS(10, 12));
	check_weight(&model, "b5", CHECK_DIMS(1, 10));
	check_weight(&model, "w6", CHECK_DIMS(10, 8));
	onnx_node(&model, "Conv", "stem", "x w1 b1", "v1");
	onnx_attr_ints(&model, "strides", 2, (int64_t[]){2, 2});
	onnx_attr_ints(&model, "pads", 4, (int64_t[]){1, 1, 1, 1});
	onnx_node(&model, "Relu", "relu1", "v1", "v2");
	onnx_node(&model, "Conv", "point", "v2 w2", "v3");
	onnx_node(&model, "Relu", "relu2", "v3", "v4");
	/* weights that pass by a node, as after a conversion */
	onnx_node(&model, "Identity", "same", "w3", "w3b");
	onnx_node(&model, "Conv", "square", "v4 w3b b3", "v5");
	onnx_attr_ints(&model, "pads", 4, (int64_t[]){1, 1, 1, 1});
	onnx_node(&model, "Add", "add", "v5 v2", "v6");
	onnx_node(&model, "Conv", "depth", "v6 wd", "v7");
	onnx_attr_int(&model, "group", 16);
	onnx_attr_ints(&model, "pads", 4, (int64_t[]){1, 1, 0, 1});
	onnx_node(&model, "Flatten", "flatten", "v7", "v8");
	onnx_node(&model, "MatMul", "matmul", "v8 w4", "v9");
	onnx_node(&model, "Gemm", "gemm", "v9 w5 b5", "v10");
	onnx_attr_int(&model, "transB", 1);
	onnx_node(&model, "Gemm", "", "v10 w6", "y");
	onnx_output(&model, "y", 0, NULL);
	return import_model(&model);
}

static const FrShape input_shape = {4, {1, 3, 10, 9}};

/* The node of that name, or output when it has none. */
static const FrNode *
find_node(const FrGraph *graph, const char *name)
{
	for (int i = 0; i < graph->node_count; i++)
	{
		const FrNode *node = &graph->nodes[i];

		if (strcmp(node->name, name) == 0 ||
			strcmp(graph->values[node->outputs[0]].name, name) == 0)
			return node;
	}
	return NULL;
}

/* The node that calculates input number index; NULL: none. */
static const FrNode *
producer(const FrGraph *graph, const FrNode *node, int index)
{
	for (int i = 0; i < graph->node_count; i++)
		if (graph->nodes[i].outputs[0] == node->inputs[index])
			return &graph->nodes[i];
	return NULL;
}

static bool
is_quantized(const FrGraph *graph, const char *name)
{
	const FrNode *node = find_node(graph, name);
	const FrNode *weights = node ? producer(graph, node, 1) : NULL;
	const FrNode *input = node ? producer(graph, node, 0) : NULL;

	return weights && weights->op == FR_OP_DEQUANTIZE && input &&
		   input->op == FR_OP_DEQUANTIZE &&
		   producer(graph, input, 0)->op == FR_OP_QUANTIZE;
}

static FrStatus
quantize(const FrGraph *source, const FrQuantizeOptions *options,
		 FrGraph *graph, FrQuantizeReport *report, FrError *error)
{
	FrSamples samples = make_samples(input_shape);

	return fr_quantize(source, &samples, options, NULL, &fr_allocator_malloc,
					   graph, report, error);
}

/* ---- structure ---------------------------------------------------------- */

static const void *
constant_of(const FrGraph *graph, const FrNode *node, int index)
{
	return graph->values[node->inputs[index]].constant;
}

/* The codes of [outputs, inputs] weights that are [inputs, outputs] in the
 * source: the largest of each output becomes 127. */
static void
check_codes(const FrGraph *source, const FrGraph *graph)
{
	const float *weights = constant_of(source, find_node(source, "matmul"), 1);
	const FrNode *decode = producer(graph, find_node(graph, "matmul"), 1);
	const int8_t *codes = constant_of(graph, decode, 0);
	const float *scales = constant_of(graph, decode, 1);
	const int8_t *zeros = constant_of(graph, decode, 2);
	int wrong = 0;

	for (int o = 0; o < 12; o++)
	{
		float largest = 0;

		for (int i = 0; i < 320; i++)
			largest = fmaxf(largest, fabsf(weights[i * 12 + o]));
		wrong += fabsf(scales[o] * 127 - largest) > 1e-6f || zeros[o] != 0;
		for (int i = 0; i < 320; i++)
			wrong += fabsf((float) codes[o * 320 + i] -
						   weights[i * 12 + o] * 127 / largest) > 0.5001f;
	}
	is_int(wrong, 0, "scales and codes of weights");
	is_int(decode->u.quantize.axis, 0, "the scales belong to axis 0");
}

static void
test_structure(void)
{
	Model model = make_model();
	FrQuantizeOptions options = {0};
	FrQuantizeReport report;
	FrGraph graph;
	FrError error = {0};

	is_status(quantize(&model.graph, &options, &graph, &report, &error), FR_OK,
			  &error, "a network is quantised");
	is_int(report.layer_count, 5, "five layers can be int8");
	is_int(report.quantized_count, 5, "and are");
	ok(report.mean_agreement > 0.999 &&
		   report.least_agreement <= report.mean_agreement,
	   "agreement %.5f, least %.5f", report.mean_agreement,
	   report.least_agreement);
	ok(is_quantized(&graph, "point") && is_quantized(&graph, "square") &&
		   is_quantized(&graph, "matmul") && is_quantized(&graph, "gemm") &&
		   is_quantized(&graph, "y"),
	   "convolutions, Gemm and MatMul read decoded bytes");
	ok(!is_quantized(&graph, "stem") && !is_quantized(&graph, "depth"),
	   "stem and depthwise convolution do not");
	ok(find_node(&graph, "matmul")->op == FR_OP_GEMM &&
		   find_node(&graph, "matmul")->u.gemm.is_b_transposed,
	   "MatMul of a matrix becomes Gemm");
	is_int(find_node(&graph, "point")->input_count, 3,
		   "a layer without a bias gets one");
	ok(fr_quantize_is_quantized(&graph) &&
		   !fr_quantize_is_quantized(&model.graph),
	   "a quantised network is known as such");
	check_codes(&model.graph, &graph);
	fr_graph_destroy(&graph);
	free_model(&model);
}

/* Two layers that read one value share its bytes. */
static void
test_shared_input(void)
{
	OnnxModel builder;
	FrQuantizeOptions options = {0};
	FrQuantizeReport report;
	FrGraph graph;
	FrError error = {0};
	int coded = 0;

	onnx_begin(&builder, 13);
	onnx_input(&builder, "x", 4, (int64_t[]){1, 8, 4, 4});
	check_weight(&builder, "w1", CHECK_DIMS(4, 8, 1, 1));
	check_weight(&builder, "w2", CHECK_DIMS(6, 8, 1, 1));
	onnx_node(&builder, "Conv", "a", "x w1", "y1");
	onnx_node(&builder, "Conv", "b", "x w2", "y2");
	onnx_output(&builder, "y1", 0, NULL);
	onnx_output(&builder, "y2", 0, NULL);

	Model model = import_model(&builder);
	FrSamples samples = make_samples((FrShape){4, {1, 8, 4, 4}});

	is_status(fr_quantize(&model.graph, &samples, &options, NULL,
						  &fr_allocator_malloc, &graph, &report, &error),
			  FR_OK, &error, "two heads are quantised");
	for (int i = 0; i < graph.node_count; i++)
		coded += graph.nodes[i].op == FR_OP_QUANTIZE;
	is_int(coded, 1, "their input is coded once");
	fr_graph_destroy(&graph);
	free_model(&model);
}

/* ---- numbers ------------------------------------------------------------ */

/*
 * A layer that always reads 1: what rounding takes from its weights is what
 * the bias gives back, so the output is the original's but for float's own
 * rounding and the code of 1, which 255 steps of its range hit exactly.
 */
static FrStatus
fill_ones(void *context, int index, FrPlan *plan, FrError *error)
{
	float *input = fr_plan_input(plan, 0);

	(void) context;
	(void) index;
	(void) error;
	for (int i = 0; i < 40; i++)
		input[i] = 1;
	return FR_OK;
}

static FrStatus
keep_output(void *context, int number, int sample, const FrShape *shape,
			const float *data, FrError *error)
{
	size_t count = 0;

	(void) number;
	(void) sample;
	(void) error;
	fr_shape_count(shape, &count);
	memcpy(context, data, count * sizeof(float));
	return FR_OK;
}

static void
test_bias(void)
{
	OnnxModel builder;
	FrQuantizeOptions options = {.rule = FR_RANGE_EXTREMES};
	FrQuantizeReport report;
	FrGraph graph;
	FrError error = {0};
	float outputs[2][20];
	double worst = 0;

	check_seed = 3;
	onnx_begin(&builder, 13);
	onnx_input(&builder, "x", 2, (int64_t[]){1, 40});
	check_weight(&builder, "w", CHECK_DIMS(20, 40));
	check_weight(&builder, "b", CHECK_DIMS(20));
	onnx_node(&builder, "Gemm", "gemm", "x w b", "y");
	onnx_attr_int(&builder, "transB", 1);
	onnx_output(&builder, "y", 0, NULL);

	Model model = import_model(&builder);
	FrSamples samples = make_samples((FrShape){2, {1, 40}});

	samples.fill = fill_ones;
	is_status(fr_quantize(&model.graph, &samples, &options, NULL,
						  &fr_allocator_malloc, &graph, &report, &error),
			  FR_OK, &error, "a layer that reads ones");
	for (int k = 0; k < 2; k++)
	{
		const FrGraph *run = k == 0 ? &model.graph : &graph;
		FrObservation observation = {.graph = run,
									 .values = run->outputs,
									 .value_count = 1,
									 .samples = &samples,
									 .observer = keep_output,
									 .context = outputs[k]};

		is_status(fr_observe(&observation, NULL, &fr_allocator_malloc, &error),
				  FR_OK, &error, "it runs");
	}
	for (int i = 0; i < 20; i++)
		worst =
			fmax(worst, fabs((double) outputs[0][i] - (double) outputs[1][i]));
	ok(worst < 2e-5, "the bias makes up for rounded weights, but for %.2g",
	   worst);
	fr_graph_destroy(&graph);
	free_model(&model);
}

/* ---- choosing layers ---------------------------------------------------- */

static void
test_excluding(void)
{
	Model model = make_model();
	const char *names[] = {"square", "y"};
	const char *wrong[] = {"stem"};
	const char *all[] = {"point", "square", "matmul", "gemm", "y"};
	FrQuantizeOptions options = {.excluded = names, .excluded_count = 2};
	FrQuantizeReport report;
	FrGraph graph;
	FrError error = {0};

	is_status(quantize(&model.graph, &options, &graph, &report, &error), FR_OK,
			  &error, "two layers are excluded, by node and by output");
	is_int(report.quantized_count, 3, "three are left");
	ok(strcmp(report.kept[0], "square") == 0 &&
		   strcmp(report.kept[1], "y") == 0,
	   "the others are named");
	ok(!is_quantized(&graph, "square") && !is_quantized(&graph, "y") &&
		   is_quantized(&graph, "gemm"),
	   "the graph is so");
	fr_graph_destroy(&graph);
	options = (FrQuantizeOptions){.excluded = wrong, .excluded_count = 1};
	is_status(quantize(&model.graph, &options, &graph, &report, &error),
			  FR_ERR_ARGUMENT, &error, "a name that is none of a layer's");
	is_status(fr_quantize_check(&model.graph, sample_shapes, &options, NULL,
								&fr_allocator_malloc, &error),
			  FR_ERR_ARGUMENT, &error, "which shows without samples");
	options.excluded = names;
	is_status(fr_quantize_check(&model.graph, sample_shapes, &options, NULL,
								&fr_allocator_malloc, &error),
			  FR_OK, &error, "as does that a name fits");
	options = (FrQuantizeOptions){.excluded = all, .excluded_count = 5};
	is_status(quantize(&model.graph, &options, &graph, &report, &error),
			  FR_ERR_MISMATCH, &error, "nothing is left");
	free_model(&model);
}

static void
test_agreement(void)
{
	Model model = make_model();
	FrQuantizeOptions options = {0};
	FrQuantizeReport whole, report;
	FrGraph graph;
	FrError error = {0};

	is_status(quantize(&model.graph, &options, &graph, &whole, &error), FR_OK,
			  &error, "all layers");
	fr_graph_destroy(&graph);
	/* a third of the error may stay */
	options.min_agreement = 1 - (1 - whole.mean_agreement) / 3;
	is_status(quantize(&model.graph, &options, &graph, &report, &error), FR_OK,
			  &error, "as many as agree to %.6f", options.min_agreement);
	ok(report.quantized_count < 5 && report.quantized_count > 0 &&
		   report.mean_agreement >= options.min_agreement,
	   "%d layers agree to %.6f", report.quantized_count,
	   report.mean_agreement);
	for (int i = 0; i < 5 - report.quantized_count; i++)
		ok(!is_quantized(&graph, report.kept[i]), "\"%s\" stays float32",
		   report.kept[i]);
	fr_graph_destroy(&graph);
	options.min_agreement = 1;
	is_status(quantize(&model.graph, &options, &graph, &report, &error),
			  FR_ERR_MISMATCH, &error, "no layer agrees exactly");
	free_model(&model);
}

/* Numbers that the other samples never have; counts its calls. */
static FrStatus
fill_far(void *context, int index, FrPlan *plan, FrError *error)
{
	FrStatus status = fill_waves(NULL, index, plan, error);
	float *input = fr_plan_input(plan, 0);
	size_t count = 0;

	fr_shape_count(&sample_shapes[index], &count);
	for (size_t i = 0; i < count; i++)
		input[i] *= 40;
	++*(int *) context;
	return status;
}

/* What is held out is measured, and changes nothing. */
static void
test_held_out(void)
{
	Model model = make_model();
	int calls = 0;
	FrSamples far = make_samples(input_shape);
	FrQuantizeOptions options = {0};
	FrQuantizeReport without, with;
	FrGraph graphs[2];
	FrError error = {0};

	far.count = 5;
	far.fill = fill_far;
	far.context = &calls;
	is_status(quantize(&model.graph, &options, &graphs[0], &without, &error),
			  FR_OK, &error, "nothing is held out");
	is_int(without.measured_count, SAMPLES, "the samples are measured");
	ok(without.calibrated_agreement == without.mean_agreement,
	   "it is calibrated on what it is measured on");
	options.held_out = &far;
	is_status(quantize(&model.graph, &options, &graphs[1], &with, &error),
			  FR_OK, &error, "larger samples are held out");
	is_int(with.measured_count, 5, "they are measured");
	is_int(calls, 10, "each was given to both networks, and nothing else");
	ok(with.mean_agreement < 0.99 &&
		   with.least_agreement <= with.mean_agreement,
	   "they are far beyond the ranges: %.5f", with.mean_agreement);
	ok(with.calibrated_agreement == without.calibrated_agreement,
	   "the choice was made without them");

	float scales[2];

	for (int i = 0; i < 2; i++)
	{
		const FrNode *decode =
			producer(&graphs[i], find_node(&graphs[i], "point"), 0);

		scales[i] = *(const float *) constant_of(&graphs[i], decode, 1);
		fr_graph_destroy(&graphs[i]);
	}
	ok(scales[0] == scales[1], "and so were the ranges");
	free_model(&model);
}

/* ---- files -------------------------------------------------------------- */

static FrStatus
append_output(void *context, int number, int sample, const FrShape *shape,
			  const float *data, FrError *error)
{
	(void) number;
	(void) error;
	memcpy((float *) context + 8 * sample, data,
		   (size_t) shape->dims[1] * sizeof(float));
	return FR_OK;
}

static void
run_samples(const FrGraph *graph, float *outputs)
{
	FrSamples samples = make_samples(input_shape);
	FrError error = {0};
	FrObservation observation = {.graph = graph,
								 .values = graph->outputs,
								 .value_count = 1,
								 .samples = &samples,
								 .observer = append_output,
								 .context = outputs};

	is_status(fr_observe(&observation, NULL, &fr_allocator_malloc, &error),
			  FR_OK, &error, "the samples run");
}

static void
test_file(void)
{
	Model model = make_model();
	FrQuantizeOptions options = {0};
	FrQuantizeReport report;
	FrGraph graph, again = {0};
	FrError error = {0};
	float outputs[2][8 * SAMPLES];
	void *bytes;
	size_t size_bytes;

	is_status(quantize(&model.graph, &options, &graph, &report, &error), FR_OK,
			  &error, "a network to write");
	is_status(fr_onnx_write(&graph, NULL, 0, &fr_allocator_malloc, &bytes,
							&size_bytes, &error),
			  FR_OK, &error, "it is written");
	run_samples(&graph, outputs[0]);
	fr_graph_destroy(&graph);
	free_model(&model);
	is_status(
		fr_onnx_import(bytes, size_bytes, &fr_allocator_malloc, &again, &error),
		FR_OK, &error, "and imported");
	run_samples(&again, outputs[1]);
	ok(memcmp(outputs[0], outputs[1], sizeof outputs[0]) == 0,
	   "the file gives the same bits");
	ok(size_bytes < 14000, "%zu bytes: a byte per weight, and little else",
	   size_bytes);
	fr_graph_destroy(&again);
	free(bytes);
}

/* ---- refusals ----------------------------------------------------------- */

static FrStatus
fill_nan(void *context, int index, FrPlan *plan, FrError *error)
{
	FrStatus status = fill_waves(context, index, plan, error);

	if (index == 3)
		fr_plan_input(plan, 0)[5] = NAN;
	return status;
}

static FrStatus
fail_to_fill(void *context, int index, FrPlan *plan, FrError *error)
{
	(void) context;
	(void) index;
	(void) plan;
	return fr_fail(error, FR_ERR_LIMIT, "There is no sample.");
}

static void
test_refusals(void)
{
	Model model = make_model();
	FrSamples samples = make_samples(input_shape), none = samples;
	FrQuantizeOptions options = {0};
	FrQuantizeReport report;
	FrGraph graph, two = model.graph;
	FrError error = {0};
	OnnxModel builder;

	none.count = 0;
	is_status(fr_quantize(&model.graph, &none, &options, NULL,
						  &fr_allocator_malloc, &graph, &report, &error),
			  FR_ERR_ARGUMENT, &error, "no samples");
	two.input_count = 2;
	is_status(fr_quantize(&two, &samples, &options, NULL, &fr_allocator_malloc,
						  &graph, &report, &error),
			  FR_ERR_MISMATCH, &error, "two inputs");
	options.net = &(FrNetOptions){.max_plan_bytes = 100000};
	is_status(fr_quantize(&model.graph, &samples, &options, NULL,
						  &fr_allocator_malloc, &graph, &report, &error),
			  FR_ERR_LIMIT, &error, "histograms beyond the limit");
	options.net = NULL;
	samples.fill = fill_nan;
	is_status(fr_quantize(&model.graph, &samples, &options, NULL,
						  &fr_allocator_malloc, &graph, &report, &error),
			  FR_ERR_MISMATCH, &error, "a sample that is not finite");
	ok(strstr(error.message, "sample 4") != NULL, "%s", error.message);
	samples.fill = fail_to_fill;
	is_status(fr_quantize(&model.graph, &samples, &options, NULL,
						  &fr_allocator_malloc, &graph, &report, &error),
			  FR_ERR_LIMIT, &error, "a sample that cannot be had");
	sample_shapes[0].dims[1] = 4;
	samples.fill = fill_waves;
	is_status(fr_quantize(&model.graph, &samples, &options, NULL,
						  &fr_allocator_malloc, &graph, &report, &error),
			  FR_ERR_MISMATCH, &error, "a sample of another shape");
	free_model(&model);

	onnx_begin(&builder, 13);
	onnx_input(&builder, "x", 4, (int64_t[]){1, 3, 10, 9});
	onnx_node(&builder, "Relu", "", "x", "y");
	onnx_output(&builder, "y", 0, NULL);
	model = import_model(&builder);
	is_status(quantize(&model.graph, &options, &graph, &report, &error),
			  FR_ERR_MISMATCH, &error, "no layer");
	free_model(&model);

	/* a sum of more products than the 8-bit kernels add up */
	onnx_begin(&builder, 13);
	onnx_input(&builder, "x", 2, (int64_t[]){1, 33000});
	check_weight(&builder, "w", CHECK_DIMS(33000, 2));
	onnx_node(&builder, "MatMul", "", "x w", "y");
	onnx_output(&builder, "y", 0, NULL);
	model = import_model(&builder);
	samples = make_samples((FrShape){2, {1, 33000}});
	is_status(fr_quantize(&model.graph, &samples, &options, NULL,
						  &fr_allocator_malloc, &graph, &report, &error),
			  FR_ERR_MISMATCH, &error, "a layer that is too deep");
	free_model(&model);
}

/* Weights that are not finite, or all zero in a channel. */
static void
test_odd_weights(void)
{
	for (int odd = 0; odd < 2; odd++)
	{
		OnnxModel builder;
		FrQuantizeOptions options = {0};
		FrQuantizeReport report;
		FrGraph graph;
		FrError error = {0};
		float weights[2 * 8] = {1, 2, 3, 4, 5, 6, 7, 8};

		if (odd == 1)
			weights[12] = INFINITY;
		onnx_begin(&builder, 13);
		onnx_input(&builder, "x", 4, (int64_t[]){1, 8, 3, 3});
		onnx_weight_f32(&builder, "w", 4, (int64_t[]){2, 8, 1, 1}, weights);
		onnx_node(&builder, "Conv", "conv", "x w", "y");
		onnx_output(&builder, "y", 0, NULL);

		Model model = import_model(&builder);
		FrSamples samples = make_samples((FrShape){4, {1, 8, 3, 3}});
		FrStatus status =
			fr_quantize(&model.graph, &samples, &options, NULL,
						&fr_allocator_malloc, &graph, &report, &error);

		is_status(status, odd == 1 ? FR_ERR_MISMATCH : FR_OK, &error,
				  odd == 1 ? "an infinite weight" : "a channel of zeros");
		if (status == FR_OK)
			fr_graph_destroy(&graph);
		free_model(&model);
	}
}

/* ---- memory and cancelling ---------------------------------------------- */

/* Polls until one says to stop. */
static void
test_failures(void)
{
	Model model = make_model();
	FrQuantizeOptions options = {.min_agreement = 0.99999};
	FrNetOptions net = {.kernels = fr_kernels_best()};
	FrStatus status = FR_ERR_NOMEM;
	FrError error = {0};
	long n = 1, leaks = 0, other = 0;

	options.net = &net;
	/* every one of the first, then ever fewer: there are thousands */
	for (; status == FR_ERR_NOMEM && n < 1000000; n += 1 + n / 60)
	{
		TestMemory memory = {.fail_at = n};
		FrAllocator allocator = test_allocator(&memory);
		FrSamples samples = make_samples(input_shape);
		FrQuantizeReport report;
		FrGraph graph;

		samples.count = 2;
		status = fr_quantize(&model.graph, &samples, &options, NULL, &allocator,
							 &graph, &report, &error);
		if (status == FR_OK)
			fr_graph_destroy(&graph);
		leaks += memory.live;
		other += status != FR_OK && status != FR_ERR_NOMEM;
	}
	is_status(status, FR_OK, &error, "all %ld allocations may fail", n);
	ok(n > 100, "they were many");
	is_int(leaks, 0, "nothing is left");
	is_int(other, 0, "no other error");
	free_model(&model);
}

static void
test_cancelling(void)
{
	Model model = make_model();
	FrQuantizeOptions options = {.min_agreement = 0.99999};
	FrStatus status = FR_ERR_CANCELLED;
	FrError error = {0};
	long leaks = 0;
	int stop_at = 1;

	for (; status == FR_ERR_CANCELLED && stop_at < 100000;
		 stop_at += 1 + stop_at / 10)
	{
		TestMemory memory = {0};
		FrAllocator allocator = test_allocator(&memory);
		TestCancel countdown = {.cancel_at = stop_at};
		FrCancel cancel = test_cancel_at(&countdown);
		FrSamples samples = make_samples(input_shape);
		FrQuantizeReport report;
		FrGraph graph;

		samples.count = 2;
		status = fr_quantize(&model.graph, &samples, &options, &cancel,
							 &allocator, &graph, &report, &error);
		if (status == FR_OK)
			fr_graph_destroy(&graph);
		leaks += memory.live;
	}
	is_status(status, FR_OK, &error, "any of %d polls may cancel", stop_at);
	ok(stop_at > 50, "they were many");
	is_int(leaks, 0, "nothing is left");
	free_model(&model);
}

int
main(void)
{
	test_structure();
	test_shared_input();
	test_bias();
	test_excluding();
	test_agreement();
	test_held_out();
	test_file();
	test_refusals();
	test_odd_weights();
	test_failures();
	test_cancelling();
	return tap_done();
}
