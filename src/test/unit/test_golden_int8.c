/*
 * test_golden_int8.c: quantised networks against ONNX Runtime.
 *
 * src/test/golden/qdq.bin holds small networks in QDQ form with an input and
 * the output that ONNX Runtime calculated (make_qdq.py there has the format).
 * All their factors are powers of two: planned for every instruction set of
 * this CPU they must give the same floats.
 */
#include "core/base/bytes.h"
#include "plan_check.h"

/* Convolutions and products on integers in the networks of the file. */
static const int int8_steps[] = {4, 3, 2};

typedef struct Golden
{
	char name[64];
	OnnxBuffer model; /* not owned */
	FrShape in_shape, out_shape;
	const uint8_t *input, *output; /* float32 */
} Golden;

static bool
take_tensor(FrBytes *bytes, FrShape *shape, const uint8_t **data)
{
	uint32_t rank, size;
	size_t count;

	*shape = (FrShape){0};
	if (!fr_bytes_take_le32(bytes, &rank) || rank > FR_MAX_RANK)
		return false;
	shape->rank = (int) rank;
	for (uint32_t i = 0; i < rank; i++)
	{
		if (!fr_bytes_take_le32(bytes, &size))
			return false;
		shape->dims[i] = size;
	}
	return fr_shape_count(shape, &count) &&
		   fr_bytes_take(bytes, count * sizeof(float), data);
}

static bool
take_golden(FrBytes *bytes, Golden *golden)
{
	uint32_t length;
	const uint8_t *data;

	*golden = (Golden){0};
	if (!fr_bytes_take_le32(bytes, &length) || length >= sizeof golden->name ||
		!fr_bytes_take(bytes, length, &data))
		return false;
	memcpy(golden->name, data, length);
	if (!fr_bytes_take_le32(bytes, &length) ||
		!fr_bytes_take(bytes, length, &data))
		return false;
	golden->model.data = (unsigned char *) (uintptr_t) data;
	golden->model.size_bytes = length;
	return take_tensor(bytes, &golden->in_shape, &golden->input) &&
		   take_tensor(bytes, &golden->out_shape, &golden->output);
}

static void
run_golden(const Golden *golden, const char *isa, int steps)
{
	FrNetOptions options = {.kernels = fr_kernels_by_name(isa),
							.is_poisoned = true};
	size_t in_count = 0, out_count = 0, wrong = 0;
	FrError error = {0};
	FrStatus status;
	FrPlan *plan = NULL;
	const FrShape *shape = NULL;

	if (!options.kernels)
		return;

	FrNet *net = check_net(&golden->model, &options, &fr_allocator_malloc,
						   &status, &error);

	fr_shape_count(&golden->in_shape, &in_count);
	fr_shape_count(&golden->out_shape, &out_count);
	if (status == FR_OK)
		status = fr_net_plan(net, &golden->in_shape, NULL, &plan, &error);
	if (status == FR_OK)
	{
		memcpy(fr_plan_input(plan, 0), golden->input, in_count * sizeof(float));
		status = fr_plan_run(plan, NULL, &error);
	}
	is_status(status, FR_OK, &error, "%s: %s runs", golden->name, isa);
	if (status == FR_OK)
	{
		const float *got = fr_plan_output(plan, 0, &shape);

		is_int(check_count_steps(plan, "int8 conv"), steps,
			   "%s: layers on integers", golden->name);
		ok(fr_shape_equal(shape, &golden->out_shape), "%s: shape",
		   golden->name);
		for (size_t i = 0; i < out_count; i++)
		{
			float want;

			memcpy(&want, golden->output + i * sizeof want, sizeof want);
			wrong += !(got[i] == want);
		}
		is_int(wrong, 0, "%s: %s gives ONNX Runtime's %zu floats", golden->name,
			   isa, out_count);
	}
	fr_net_destroy(net);
}

int
main(void)
{
	size_t size_bytes = 0;
	unsigned char *file = read_file("src/test/golden/qdq.bin", &size_bytes);
	FrBytes bytes = fr_bytes(file, size_bytes);
	uint32_t magic = 0, count = 0;

	if (!ok(file != NULL, "qdq.bin is readable"))
		return tap_done();
	fr_bytes_take_le32(&bytes, &magic);
	fr_bytes_take_le32(&bytes, &count);
	ok(magic == 0x47515246 && count == sizeof int8_steps / sizeof *int8_steps,
	   "qdq.bin holds %u networks", count);
	for (uint32_t i = 0; i < count; i++)
	{
		Golden golden;

		if (!ok(take_golden(&bytes, &golden), "network %u is whole", i))
			break;
		for (int k = 0; k < CHECK_ISA_COUNT; k++)
			run_golden(&golden, check_isas[k], int8_steps[i]);
	}
	free(file);
	return tap_done();
}
