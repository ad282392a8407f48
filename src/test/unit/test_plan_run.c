/*
 * test_plan_run.c: a net's life: plans cached by shape within a budget,
 * weights packed once, limits checked before memory is taken, cancellation
 * between pieces of long steps, and every allocation failing once.
 */
#include <time.h>

#include "plan_layers.h"

/* A little of everything: picture, depthwise, pool, residual, concatenation,
 * squeeze-excite, head, fully connected, an operator without a kernel. */
static OnnxBuffer
small_model(void)
{
	OnnxModel model;

	begin_map_model(&model, 3);
	add_constant(&model, "Mul", "x", "m", CHECK_DIMS(1, 3, 1, 1));
	add_conv(&model, "m", "c",
			 (ConvLayer){.in = 3,
						 .out = 16,
						 .kernel_h = 3,
						 .stride = 2,
						 .pads = {1, 1, 1, 1}});
	add_prelu(&model, "c", "p", CHECK_DIMS(16, 1, 1));
	add_conv(&model, "p", "d",
			 (ConvLayer){.in = 16,
						 .out = 16,
						 .kernel_h = 3,
						 .group = 16,
						 .pads = {1, 1, 1, 1}});
	onnx_node(&model, "Add", "a", "d p", "a");
	add_pool(&model, "MaxPool", "a", "q", 3, 1, all_pads, false);
	onnx_node(&model, "Concat", "k", "q d", "k");
	onnx_attr_int(&model, "axis", 1);
	onnx_node(&model, "GlobalAveragePool", "g", "k", "g");
	onnx_node(&model, "Sigmoid", "s", "g", "s");
	onnx_node(&model, "Mul", "e", "k s", "e");
	onnx_node(&model, "Transpose", "t", "e", "t");
	onnx_attr_ints(&model, "perm", 4, (int64_t[]){0, 2, 3, 1});
	onnx_node(&model, "Exp", "h", "t", "h");
	add_constant(&model, "Mul", "w0", "w", CHECK_DIMS(8, 32, 1, 1));
	check_weight(&model, "w0", CHECK_DIMS(8, 32, 1, 1));
	onnx_node(&model, "Conv", "f", "e w", "f");
	onnx_node(&model, "GlobalMaxPool", "v", "f", "v");
	onnx_node(&model, "Flatten", "u", "v", "u");
	add_gemm(&model, "u", "y", 8, 5);
	onnx_output(&model, "h", 0, NULL);
	onnx_output(&model, "y", 0, NULL);
	return onnx_finish(&model);
}

static FrStatus
plan_and_run(FrNet *net, const FrShape *shape, FrPlan **plan, FrError *error)
{
	FrStatus status = fr_net_plan(net, shape, NULL, plan, error);

	if (status == FR_OK)
	{
		check_fill_input(fr_plan_input(*plan, 0), shape, 3);
		status = fr_plan_run(*plan, NULL, error);
	}
	return status;
}

static void
test_allocation_failures(void)
{
	OnnxBuffer file = small_model();
	TestMemory memory = {0};
	FrStatus status = FR_ERR_NOMEM;
	int wrong = 0;

	for (long n = 1; status != FR_OK && n < 5000; n++)
	{
		FrAllocator allocator = test_allocator(&memory);
		FrError error = {0};
		FrPlan *plan = NULL;

		memory.requests = 0;
		memory.fail_at = n;

		FrNet *net = check_net(&file, NULL, &allocator, &status, &error);

		if (status == FR_OK)
			status = plan_and_run(net, &CHECK_SHAPE(2, 3, 9, 8), &plan, &error);
		wrong += status != FR_OK && status != FR_ERR_NOMEM;
		wrong += status == FR_ERR_NOMEM && !error.message[0];
		fr_net_destroy(net);
		wrong += memory.live != 0;
		memory.live = 0;
	}
	is_status(status, FR_OK, &(FrError){0}, "the net runs in the end");
	is_int(wrong, 0, "%ld failing allocations are reported and leak nothing",
		   memory.requests);
	free(file.data);
}

/* A failed plan leaves the net and its other plans as they were. */
static void
test_failure_keeps_net(void)
{
	OnnxBuffer file = small_model();
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	FrError error = {0};
	FrStatus status;
	FrPlan *first = NULL, *second = NULL, *again = NULL;
	FrNet *net = check_net(&file, NULL, &allocator, &status, &error);

	status = plan_and_run(net, &CHECK_SHAPE(1, 3, 8, 8), &first, &error);
	is_status(status, FR_OK, &error, "a first plan");
	memory.requests = 0;
	memory.fail_at = 3;
	status = fr_net_plan(net, &CHECK_SHAPE(1, 3, 16, 8), NULL, &second, &error);
	is_status(status, FR_ERR_NOMEM, &error, "a second without memory");
	memory.fail_at = 0;
	status = fr_net_plan(net, &CHECK_SHAPE(1, 3, 8, 8), NULL, &again, &error);
	ok(status == FR_OK && again == first, "the first plan is still there");
	status = fr_net_plan(net, &CHECK_SHAPE(1, 4, 8, 8), NULL, &again, &error);
	is_status(status, FR_ERR_MISMATCH, &error, "a shape that does not fit");
	fr_net_destroy(net);
	is_int(memory.live, 0, "nothing leaks");
	free(file.data);
}

static void
test_plan_cache(void)
{
	OnnxBuffer file = small_model();
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	FrError error = {0};
	FrStatus status;
	FrPlan *plans[3] = {0}, *again = NULL;
	FrNet *net = check_net(&file, NULL, &allocator, &status, &error);
	size_t packed = 0;

	/* The largest first, because the others then fit into its arena. */
	for (int i = 0; i < 3; i++)
	{
		size_t before = fr_net_bytes(net);

		fr_net_plan(net, &CHECK_SHAPE(3 - i, 3, 8, 8), NULL, &plans[i], &error);

		size_t own = fr_net_bytes(net) - before - fr_plan_bytes(plans[i]);

		if (i == 0)
			packed = own;
		else
			is_int(own, 0, "weights are packed once, the arena is shared");
	}
	ok(packed > 0, "packed weights and the arena are counted");

	long requests = memory.requests;

	fr_net_plan(net, &CHECK_SHAPE(3, 3, 8, 8), NULL, &again, &error);
	ok(again == plans[0], "the same shape gives the same plan");
	is_int(memory.requests, requests, "and allocates nothing");

	size_t size = fr_plan_bytes(again);

	/* A larger one replaces the arena. */
	status = plan_and_run(net, &CHECK_SHAPE(8, 3, 8, 8), &again, &error);
	is_status(status, FR_OK, &error, "a plan with a larger arena");
	status = plan_and_run(net, &CHECK_SHAPE(1, 3, 8, 8), &again, &error);
	is_status(status, FR_OK, &error, "a small one in it");

	size_t before_trim = fr_net_bytes(net);

	fr_net_trim(net);
	is_int(fr_net_bytes(net), before_trim, "trimming keeps a small arena");

	fr_net_destroy(net);
	is_int(memory.live, 0, "nothing leaks");

	/* Room for about two plans. */
	FrNetOptions options = {.max_cached_bytes = size * 5 / 2};

	net = check_net(&file, &options, &allocator, &status, &error);
	for (int i = 0; i < 20; i++)
		status =
			plan_and_run(net, &CHECK_SHAPE(1, 3, 8 + i % 5, 8), &again, &error);
	is_status(status, FR_OK, &error, "plans come and go");
	ok(fr_net_bytes(net) < packed + size * 6 + file.size_bytes,
	   "the cache stays within its budget");
	fr_net_destroy(net);
	is_int(memory.live, 0, "nothing leaks");
	free(file.data);
}

/* A net that may keep little gives its arena back, and takes a new one. */
static void
test_trim(void)
{
	OnnxBuffer file = small_model();
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	FrError error = {0};
	FrStatus status;
	FrPlan *plan;
	FrNetOptions tiny = {.max_cached_bytes = 64};
	FrNet *net = check_net(&file, &tiny, &allocator, &status, &error);

	plan_and_run(net, &CHECK_SHAPE(1, 3, 8, 8), &plan, &error);

	size_t full = fr_net_bytes(net);

	fr_net_trim(net);
	ok(fr_net_bytes(net) < full, "trimming gives back a large arena");
	status = plan_and_run(net, &CHECK_SHAPE(1, 3, 8, 8), &plan, &error);
	is_status(status, FR_OK, &error, "and the net works on");
	fr_net_destroy(net);
	is_int(memory.live, 0, "nothing leaks");
	free(file.data);
}

/* The limit holds before the arena is allocated. */
static void
test_limits(void)
{
	OnnxBuffer file = small_model();
	FrNetOptions options = {.max_plan_bytes = 100000};
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	FrError error = {0};
	FrStatus status;
	FrPlan *plan = NULL;
	FrNet *net = check_net(&file, &options, &allocator, &status, &error);

	status = fr_net_plan(net, &CHECK_SHAPE(1, 3, 16, 16), NULL, &plan, &error);
	is_status(status, FR_OK, &error, "a small input is within the limit");
	status = fr_net_plan(net, &CHECK_SHAPE(1, 3, 64, 64), NULL, &plan, &error);
	is_status(status, FR_ERR_LIMIT, &error, "a larger one is not");
	status = fr_net_plan(net, &CHECK_SHAPE(1, 3, (int64_t) 1 << 31, 1 << 30),
						 NULL, &plan, &error);
	is_status(status, FR_ERR_LIMIT, &error, "an absurd one is not");
	ok(error.message[0], "and the reason is given: %s", error.message);
	fr_net_destroy(net);
	is_int(memory.live, 0, "nothing leaks");
	free(file.data);
}

/* One constant of many bytes, made by a few, packed with forty different
 * factors. */
static void
test_packed_limit(void)
{
	OnnxModel model;
	FrNetOptions options = {.max_plan_bytes = 8 << 20};
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	FrError error = {0};
	FrStatus status;
	FrPlan *plan = NULL;
	char in[16] = "x", middle[16], out[16];

	begin_map_model(&model, 1024);
	onnx_weight_i64(&model, "s", 4, (int64_t[]){1024, 1024, 1, 1});
	onnx_node(&model, "ConstantOfShape", "fill", "s", "w");
	for (int i = 0; i < 40; i++)
	{
		snprintf(middle, sizeof middle, "m%d", i);
		snprintf(out, sizeof out, "o%d", i);
		onnx_node(&model, "Conv", middle, layer_join(in, "w"), middle);
		add_constant(&model, "Mul", middle, out, CHECK_DIMS(1));
		memcpy(in, out, sizeof in);
	}
	onnx_output(&model, in, 0, NULL);

	OnnxBuffer file = onnx_finish(&model);
	FrNet *net = check_net(&file, &options, &allocator, &status, &error);

	status = fr_net_plan(net, &CHECK_SHAPE(1, 1024, 1, 1), NULL, &plan, &error);
	is_status(status, FR_ERR_LIMIT, &error, "packed weights have a limit");
	ok(strstr(error.message, "weights"), "%s", error.message);
	fr_net_destroy(net);
	is_int(memory.live, 0, "nothing leaks");
	free(file.data);
}

/* Planning itself stays within bounds: slopes of 4 MB each, by few bytes. */
static void
test_planning_limit(void)
{
	OnnxModel model;
	FrNetOptions options = {.max_plan_bytes = 160 << 20};
	FrError error = {0};
	FrStatus status;
	FrPlan *plan = NULL;
	char in[16] = "c", out[16];

	onnx_begin(&model, 13);
	onnx_input(&model, "x", CHECK_DIMS(1, 1, 1, 1));
	onnx_weight_i64(&model, "s", 4, (int64_t[]){1 << 20, 1, 1, 1});
	onnx_node(&model, "ConstantOfShape", "fill", "s", "w");
	onnx_node(&model, "Conv", "conv", "x w", "c");
	for (int i = 0; i < 60; i++)
	{
		snprintf(out, sizeof out, "o%d", i);
		onnx_node(&model, "LeakyRelu", out, in, out);
		memcpy(in, out, sizeof in);
	}
	onnx_output(&model, in, 0, NULL);

	OnnxBuffer file = onnx_finish(&model);
	FrNet *net =
		check_net(&file, &options, &fr_allocator_malloc, &status, &error);

	status = fr_net_plan(net, &CHECK_SHAPE(1, 1, 1, 1), NULL, &plan, &error);
	is_status(status, FR_ERR_LIMIT, &error, "planning has a limit");
	ok(strstr(error.message, "Planning"), "%s", error.message);
	fr_net_destroy(net);
	free(file.data);
}

typedef struct Countdown
{
	int left;
	int asked;
	double last, longest; /* seconds between two polls */
} Countdown;

static bool
count_down(void *context)
{
	Countdown *countdown = context;
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);

	double seconds = (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;

	if (countdown->asked++ > 0 &&
		seconds - countdown->last > countdown->longest)
		countdown->longest = seconds - countdown->last;
	countdown->last = seconds;
	return countdown->left-- <= 0;
}

static void
test_cancel(void)
{
	OnnxBuffer file = small_model();
	FrError error = {0};
	FrStatus status = FR_ERR_CANCELLED;
	FrPlan *plan = NULL;
	FrNet *net = check_net(&file, NULL, &fr_allocator_malloc, &status, &error);
	Countdown countdown = {0};
	FrCancel cancel = {count_down, &countdown};
	FrShape shape = CHECK_SHAPE(2, 3, 9, 8);
	int wrong = 0, tries = 0;

	status = fr_net_plan(net, &shape, &cancel, &plan, &error);
	is_status(status, FR_ERR_CANCELLED, &error, "planning can be cancelled");
	status = FR_ERR_CANCELLED;
	fr_net_plan(net, &shape, NULL, &plan, &error);
	for (; status == FR_ERR_CANCELLED && tries < 1000; tries++)
	{
		countdown = (Countdown){.left = tries};
		check_fill_input(fr_plan_input(plan, 0), &shape, 3);
		status = fr_plan_run(plan, &cancel, &error);
		wrong += status != FR_OK && status != FR_ERR_CANCELLED;
	}
	is_status(status, FR_OK, &error, "a run that is not cancelled ends");
	ok(tries > fr_plan_step_count(plan), "every step polls");
	is_int(wrong, 0, "cancelled runs say so");
	fr_net_destroy(net);
	free(file.data);
}

/* Cancelled at every poll in turn, packing of weights included. */
static void
test_cancelled_planning(void)
{
	OnnxModel model;
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	FrError error = {0};
	FrStatus status = FR_ERR_CANCELLED;
	FrShape shape = CHECK_SHAPE(1, 5, 4, 4);
	int wrong = 0, tries = 0;

	begin_map_model(&model, 5);
	onnx_node(&model, "Flatten", "f", "x", "f");
	add_gemm(&model, "f", "y", 5 * 4 * 4, 320);
	onnx_output(&model, "y", 0, NULL);

	OnnxBuffer file = onnx_finish(&model);

	for (; status == FR_ERR_CANCELLED && tries < 1000; tries++)
	{
		Countdown countdown = {.left = tries};
		FrCancel cancel = {count_down, &countdown};
		FrPlan *plan;
		FrNet *net = check_net(&file, NULL, &allocator, &status, &error);

		status = fr_net_plan(net, &shape, &cancel, &plan, &error);
		fr_net_destroy(net);
		wrong += memory.live != 0;
	}
	is_status(status, FR_OK, &error, "planning ends");
	ok(tries > 10, "after %d polls", tries);
	is_int(wrong, 0, "and never leaks");
	free(file.data);
}

/* Long steps are cut; the slowest instruction set polls often enough. */
static void
test_polls(void)
{
	OnnxModel model;
	FrNetOptions options = {.kernels = fr_kernels_by_name("generic")};
	FrError error = {0};
	FrStatus status;
	FrPlan *plan = NULL;
	Countdown countdown = {.left = 1 << 30};
	FrCancel cancel = {count_down, &countdown};

	begin_map_model(&model, 3);
	add_conv(
		&model, "x", "c",
		(ConvLayer){.in = 3, .out = 64, .kernel_h = 3, .pads = {1, 1, 1, 1}});
	add_conv(&model, "c", "d", (ConvLayer){.in = 64, .out = 64, .kernel_h = 1});
	add_conv(&model, "d", "e",
			 (ConvLayer){.in = 64,
						 .out = 64,
						 .kernel_h = 3,
						 .stride = 2,
						 .pads = {1, 1, 1, 1}});
	add_conv(&model, "e", "f",
			 (ConvLayer){.in = 64, .out = 320, .kernel_h = 3, .stride = 3});
	add_conv(
		&model, "f", "y",
		(ConvLayer){.in = 320, .out = 96, .kernel_h = 3, .pads = {1, 1, 1, 1}});
	onnx_output(&model, "y", 0, NULL);

	OnnxBuffer file = onnx_finish(&model);
	FrNet *net =
		check_net(&file, &options, &fr_allocator_malloc, &status, &error);

	status =
		fr_net_plan(net, &CHECK_SHAPE(1, 3, 120, 150), NULL, &plan, &error);
	if (status == FR_OK)
		status = fr_plan_run(plan, &cancel, &error);
	is_status(status, FR_OK, &error, "large steps run");
	ok(countdown.asked > 2 * fr_plan_step_count(plan), "in %d pieces",
	   countdown.asked);
	diag("longest piece %.2f ms", 1e3 * countdown.longest);
	fr_net_destroy(net);
	free(file.data);
}

/* Polls during one run of the only layer, by the slowest kernels. */
static int
polls_of(OnnxModel *model, const FrShape *shape)
{
	FrNetOptions options = {.kernels = fr_kernels_by_name("generic"),
							.strip_rows = -1};
	Countdown countdown = {.left = 1 << 30};
	FrCancel cancel = {count_down, &countdown};
	OnnxBuffer file = onnx_finish(model);
	FrError error = {0};
	FrStatus status;
	FrPlan *plan = NULL;
	FrNet *net =
		check_net(&file, &options, &fr_allocator_malloc, &status, &error);

	if (status == FR_OK)
		status = fr_net_plan(net, shape, NULL, &plan, &error);
	if (status == FR_OK)
		status = fr_plan_run(plan, &cancel, &error);
	is_status(status, FR_OK, &error, "a long layer runs");
	diag("longest piece %.2f ms", 1e3 * countdown.longest);
	fr_net_destroy(net);
	free(file.data);
	return countdown.asked;
}

/* All groups of a convolution are in one piece; one row has no rows to cut. */
static void
test_polls_of_odd_layers(void)
{
	OnnxModel model;
	int polls;

	begin_map_model(&model, 512);
	add_conv(&model, "x", "y",
			 (ConvLayer){.in = 512, .out = 512, .kernel_h = 3, .group = 32});
	onnx_output(&model, "y", 0, NULL);
	polls = polls_of(&model, &CHECK_SHAPE(1, 512, 42, 42));
	ok(polls > 6, "groups: %d polls", polls);

	begin_map_model(&model, 16);
	add_conv(&model, "x", "c", (ConvLayer){.in = 16, .out = 256});
	add_pool(&model, "MaxPool", "c", "y", 3, 1, all_pads, false);
	onnx_output(&model, "y", 0, NULL);
	polls = polls_of(&model, &CHECK_SHAPE(1, 16, 1, 8192));
	ok(polls > 8, "one row: %d polls", polls);
}

/* The same pieces give the same result as the plain operators. */
static void
test_split_results(void)
{
	static const struct
	{
		const char *what;
		ConvLayer layer;
		int64_t height, width;
	} cases[] = {
		{"rows",
		 {.in = 16,
		  .out = 32,
		  .kernel_h = 3,
		  .pads = {1, 1, 1, 1},
		  .has_bias = true},
		 90,
		 70},
		{"columns",
		 {.in = 64, .out = 64, .kernel_h = 1, .has_bias = true},
		 70,
		 110},
		{"output blocks",
		 {.in = 128,
		  .out = 144,
		  .kernel_h = 3,
		  .pads = {1, 1, 1, 1},
		  .has_bias = true},
		 15,
		 13},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		OnnxModel model;
		ConvLayer layer = cases[i].layer;

		begin_map_model(&model, layer.in);
		add_conv(&model, "x", "c", layer);
		add_prelu(&model, "c", "p", CHECK_DIMS(layer.out, 1, 1));
		add_conv(&model, "x", "d", layer);
		onnx_node(&model, "Add", "y", "p d", "y");
		onnx_output(&model, "y", 0, NULL);
		check_plan(&model,
				   &CHECK_SHAPE(1, layer.in, cases[i].height, cases[i].width),
				   -1, cases[i].what);
	}
}

/* A row of sums, long enough to be cut; once, because it is large. */
static void
test_split_sums(void)
{
	const FrShape shape = CHECK_SHAPE(1, 80, 1, 51000);
	const FrNetOptions options = {.is_reference = true};
	OnnxModel model;
	FrError error = {0};
	FrStatus status;
	FrPlan *plan = NULL;

	begin_map_model(&model, 80);
	add_batch_norm(&model, "x", "n", 80);
	onnx_node(&model, "Max", "m", "x n", "m");
	add_prelu(&model, "m", "y", CHECK_DIMS(80, 1, 1));
	onnx_output(&model, "y", 0, NULL);

	OnnxBuffer file = onnx_finish(&model);
	FrNet *net =
		check_net(&file, &options, &fr_allocator_malloc, &status, &error);

	if (status == FR_OK)
		status = fr_net_plan(net, &shape, NULL, &plan, &error);
	if (status == FR_OK)
	{
		check_fill_input(fr_plan_input(plan, 0), &shape, 77);
		status = fr_plan_run(plan, NULL, &error);
	}
	is_status(status, FR_OK, &error, "a row of sums");
	if (status == FR_OK)
		check_isa(&file, fr_kernels_best()->name, plan, &shape, -1,
				  CHECK_TOLERANCE, "a row of sums");
	fr_net_destroy(net);
	free(file.data);
}

/* One long row, cut by blocks of channels: depthwise, pool, sums. */
static void
test_split_blocks(void)
{
	OnnxModel model;

	begin_map_model(&model, 80);
	add_conv(&model, "x", "d",
			 (ConvLayer){.in = 80,
						 .out = 80,
						 .kernel_h = 3,
						 .group = 80,
						 .pads = {1, 1, 1, 1},
						 .has_bias = true});
	add_prelu(&model, "d", "y", CHECK_DIMS(80, 1, 1));
	add_pool(&model, "AveragePool", "y", "z", 3, 1, all_pads, false);
	onnx_output(&model, "y", 0, NULL);
	onnx_output(&model, "z", 0, NULL);
	check_plan(&model, &CHECK_SHAPE(1, 80, 1, 6000), -1, "windows of a row");

	test_split_sums();
}

static void
test_description(void)
{
	OnnxBuffer file = small_model();
	FrNetOptions options = {.kernels = fr_kernels_by_name("generic")};
	FrError error = {0};
	FrStatus status;
	FrPlan *plan = NULL;
	FrNet *net =
		check_net(&file, &options, &fr_allocator_malloc, &status, &error);
	FrPlanStep step;

	fr_net_plan(net, &CHECK_SHAPE(1, 3, 8, 8), NULL, &plan, &error);
	fr_plan_step(plan, 1, &step);
	ok(strcmp(step.kernel, "conv 3x3 s2 4c +prelu generic") == 0, "kernel: %s",
	   step.kernel);
	ok(strcmp(step.name, "c") == 0, "name: %s", step.name);
	ok(step.flops == 2.0 * 16 * 16 * 27, "work: %.0f", step.flops);
	ok(step.weight_bytes >= 16 * 27 * sizeof(float), "weights: %zu bytes",
	   step.weight_bytes);
	ok(fr_shape_equal(&step.shape, &CHECK_SHAPE(1, 16, 4, 4)), "shape");
	is_int(check_count_steps(plan, "plain Exp"), 1, "a plain step");
	ok(check_count_steps(plan, "generic") > 5, "kernels name their ISA");
	fr_net_destroy(net);
	free(file.data);
}

int
main(void)
{
	test_allocation_failures();
	test_failure_keeps_net();
	test_plan_cache();
	test_trim();
	test_limits();
	test_packed_limit();
	test_planning_limit();
	test_cancel();
	test_cancelled_planning();
	test_polls();
	test_polls_of_odd_layers();
	test_split_blocks();
	test_split_results();
	test_description();
	return tap_done();
}
