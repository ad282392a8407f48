/*
 * fuzz_plan.c: libFuzzer target for the planner and the executor.
 *
 * The input is an ONNX file.  It is imported, planned for small inputs
 * (dynamic dimensions become 8), for larger ones, which may need a new arena,
 * and for the first ones again; each plan runs once.  Memory, size of plans
 * and work are bounded: using more memory than a plan of this size can
 * justify is an error, as is memory that is not given back.  Outputs are
 * looked at, so that MemorySanitizer finds those that nobody wrote.
 */
#include <stdlib.h>
#include <string.h>

#include "core/nn/plan.h"
#include "core/onnx/import.h"

#define MAX_INPUTS	   4
#define MAX_PLAN_BYTES ((size_t) 1 << 20)
#define MAX_LIVE_BYTES ((size_t) 256 << 20)
#define MAX_POLLS	   64 /* of a few milliseconds of work each, at most */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

/* Live bytes; each block starts with its size. */
#define HEADER_BYTES ((size_t) 16)

static void *
counting_alloc(void *context, size_t size_bytes)
{
	size_t *live_bytes = context;
	unsigned char *block;

	*live_bytes += size_bytes;
	if (*live_bytes > MAX_LIVE_BYTES)
		abort();
	block = malloc(HEADER_BYTES + size_bytes);
	if (!block)
		abort();
	memcpy(block, &size_bytes, sizeof size_bytes);
	return block + HEADER_BYTES;
}

static void
counting_release(void *context, void *memory)
{
	size_t *live_bytes = context, size_bytes;
	unsigned char *block = memory;

	if (!block)
		return;
	block -= HEADER_BYTES;
	memcpy(&size_bytes, block, sizeof size_bytes);
	*live_bytes -= size_bytes;
	free(block);
}

static bool
is_out_of_work(void *context)
{
	return ++*(int *) context > MAX_POLLS;
}

/* Plan for dynamic dimensions of the given size, run once, and read every
 * output. */
static void
plan_and_run(FrNet *net, int64_t dynamic)
{
	const FrGraph *graph = fr_net_graph(net);
	int polls = 0;
	FrCancel cancel = {is_out_of_work, &polls};
	FrShape shapes[MAX_INPUTS];
	FrPlan *plan;
	FrError error;
	double sum = 0;

	for (int i = 0; i < graph->input_count; i++)
	{
		shapes[i] = graph->values[graph->inputs[i]].shape;
		for (int d = 0; d < shapes[i].rank; d++)
			if (shapes[i].dims[d] < 0)
				shapes[i].dims[d] = dynamic;
	}
	if (fr_net_plan(net, shapes, &cancel, &plan, &error) != FR_OK)
		return;
	for (int i = 0; i < graph->input_count; i++)
	{
		float *input = fr_plan_input(plan, i);
		size_t count = 0;

		fr_shape_count(&shapes[i], &count);
		for (size_t k = 0; k < count; k++)
			input[k] = (float) (k % 17) / 8 - 1;
	}
	if (fr_plan_run(plan, &cancel, &error) != FR_OK)
		return;
	for (int i = 0; i < graph->output_count; i++)
	{
		const FrShape *shape;
		const float *output = fr_plan_output(plan, i, &shape);
		size_t count = 0;

		fr_shape_count(shape, &count);
		for (size_t k = 0; k < count; k++)
			sum += output[k] > 0 ? 1 : 0; /* a branch: MSan looks at it */
	}
	if (sum < 0)
		abort();
}

/* Every table that this CPU runs gets its share of the inputs. */
static const FrKernels *
kernels_for(size_t size_bytes)
{
	static const char *const names[] = {"generic", "avx2", "avx512"};
	const FrKernels *kernels = fr_kernels_by_name(names[size_bytes % 3]);

	return kernels ? kernels : fr_kernels_best();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	size_t live_bytes = 0;
	FrAllocator allocator = {counting_alloc, counting_release, &live_bytes};
	FrNetOptions options = {.kernels = kernels_for(size_bytes),
							.max_plan_bytes = MAX_PLAN_BYTES,
							.max_cached_bytes = MAX_PLAN_BYTES / 4,
							.is_reference = size_bytes % 8 == 7};
	FrGraph graph;
	FrError error;
	FrNet *net;

	if (fr_onnx_import(data, size_bytes, &allocator, &graph, &error) == FR_OK &&
		fr_net_create(&graph, &options, &allocator, &net, &error) == FR_OK)
	{
		if (fr_net_graph(net)->input_count <= MAX_INPUTS)
		{
			plan_and_run(net, 8);
			plan_and_run(net, 13);
			plan_and_run(net, 8);
			fr_net_trim(net);
			plan_and_run(net, 13);
		}
		fr_net_destroy(net);
	}
	if (live_bytes != 0)
		abort();
	return 0;
}
