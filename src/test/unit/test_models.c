/*
 * test_models.c: every model of the test data against its test vectors,
 * which ONNX Runtime computed (models/README.md there), for every instruction
 * set of this CPU.  Under sanitizers, or with FACEREC_TEST_SMALL set, only the
 * smaller inputs are run.
 */
#include "plan_check.h"

#define TOLERANCE 1e-4 /* of the largest output; about 1e-6 is expected */

/* The reference's logistic function is exact to about 1e-7 in absolute terms,
 * so outputs that are all smaller than this are compared on this scale. */
#define SMALLEST_SCALE 0.01

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

/* One entry of testvectors.json. */
typedef struct Vector
{
	char model[128];
	char outputs_file[128];
	FrShape shape;
	double scale, offset;
	const char *outputs; /* where the outputs are listed */
} Vector;

/* Where the value of a key begins, from text on; NULL when it is not there. */
static const char *
find_key(const char *text, const char *key)
{
	char quoted[64];
	const char *found;

	snprintf(quoted, sizeof quoted, "\"%s\":", key);
	found = text ? strstr(text, quoted) : NULL;
	return found ? found + strlen(quoted) : NULL;
}

static void
read_string(const char *text, char *target, size_t size)
{
	const char *begin = text ? strchr(text, '"') : NULL;
	size_t length = begin ? strcspn(begin + 1, "\"") : 0;

	if (length >= size)
		length = size - 1;
	if (begin)
		memcpy(target, begin + 1, length);
	target[length] = 0;
}

static void
read_shape(const char *text, FrShape *shape)
{
	char *at = text ? strchr(text, '[') : NULL;

	shape->rank = 0;
	while (at && *at != ']' && shape->rank < FR_MAX_RANK)
		shape->dims[shape->rank++] = strtoll(at + 1, &at, 10),
		at += strcspn(at, ",]");
}

/* Read the next entry; false at the end. */
static bool
next_vector(const char **text, Vector *vector)
{
	const char *at = find_key(*text, "model");

	if (!at)
		return false;
	read_string(at, vector->model, sizeof vector->model);
	read_shape(find_key(at, "shape"), &vector->shape);
	vector->scale = strtod(find_key(at, "scale"), NULL);
	vector->offset = strtod(find_key(at, "offset"), NULL);
	read_string(find_key(at, "outputs_file"), vector->outputs_file,
				sizeof vector->outputs_file);
	vector->outputs = find_key(at, "outputs");
	*text = vector->outputs;
	return true;
}

static void
fill_formula(const Vector *vector, float *input)
{
	size_t count = 0;

	fr_shape_count(&vector->shape, &count);
	for (size_t i = 0; i < count; i++)
	{
		uint32_t u = (uint32_t) (i * 2654435761u);

		input[i] = (float) (u >> 8) / 16777216.0f * (float) vector->scale +
				   (float) vector->offset;
	}
}

/* The output of the graph with a name, or -1. */
static int
find_output(const FrNet *net, const char *name)
{
	const FrGraph *graph = fr_net_graph(net);

	for (int i = 0; i < graph->output_count; i++)
		if (strcmp(graph->values[graph->outputs[i]].name, name) == 0)
			return i;
	return -1;
}

/* Compare every listed output; returns the largest difference relative to the
 * scale of its output. */
static double
compare_outputs(const Vector *vector, const FrNet *net, const FrPlan *plan,
				const float *want, size_t want_count)
{
	const char *end = find_key(vector->outputs, "model");
	const char *at = vector->outputs;
	double worst = 0.0;
	int found = 0;

	while ((at = find_key(at, "name")) && (!end || at < end))
	{
		char name[64];
		FrShape shape;
		const FrShape *got_shape;
		size_t count;

		read_string(at, name, sizeof name);
		read_shape(find_key(at, "shape"), &shape);

		size_t offset = strtoull(find_key(at, "float_offset"), NULL, 10);
		int index = find_output(net, name);

		if (index < 0)
			return HUGE_VAL;

		const float *got = fr_plan_output(plan, index, &got_shape);
		double scale = SMALLEST_SCALE, largest = 0.0;

		if (!fr_shape_equal(got_shape, &shape) ||
			!fr_shape_count(&shape, &count) || offset + count > want_count)
			return HUGE_VAL;
		for (size_t i = 0; i < count; i++)
		{
			double difference =
				fabs((double) got[i] - (double) want[offset + i]);

			if (!isfinite(difference))
				return HUGE_VAL;
			largest = fmax(largest, difference);
			scale = fmax(scale, fabs((double) want[offset + i]));
		}
		worst = fmax(worst, largest / scale);
		found++;
	}
	return found == fr_net_graph(net)->output_count ? worst : HUGE_VAL;
}

static void
test_vector(const Vector *vector, const char *isa, const OnnxBuffer *model,
			const float *want, size_t want_count)
{
	FrNetOptions options = {.kernels = fr_kernels_by_name(isa),
							.is_poisoned = true};
	FrError error = {0};
	FrStatus status;
	FrPlan *plan = NULL;
	double worst = HUGE_VAL;
	char text[96];

	if (!options.kernels)
		return;

	FrNet *net =
		check_net(model, &options, &fr_allocator_malloc, &status, &error);

	if (status == FR_OK)
		status = fr_net_plan(net, &vector->shape, NULL, &plan, &error);
	if (status == FR_OK)
	{
		fill_formula(vector, fr_plan_input(plan, 0));
		status = fr_plan_run(plan, NULL, &error);
	}
	if (status == FR_OK)
		worst = compare_outputs(vector, net, plan, want, want_count);
	ok(worst <= TOLERANCE, "%s %s %s: %.2g", vector->model,
	   fr_shape_text(&vector->shape, text, sizeof text), isa, worst);
	if (status != FR_OK)
		diag("%s: %s", fr_status_name(status), error.message);
	fr_net_destroy(net);
}

/* Whether a vector is too slow for this run. */
static bool
is_left_out(const Vector *vector, const char *isa)
{
	bool is_small = IS_SANITIZED || getenv("FACEREC_TEST_SMALL");
	size_t count = 0;

	fr_shape_count(&vector->shape, &count);
	return is_small &&
		   (count > 200000 || (count > 40000 && strcmp(isa, "avx512") != 0));
}

static void
test_model(const Vector *vector)
{
	char path[256];
	OnnxBuffer model = {0};
	size_t want_bytes;
	float *want;

	snprintf(path, sizeof path, "models/%s", vector->model);
	model.data = read_file(testdata_path(path), &model.size_bytes);
	snprintf(path, sizeof path, "models/testvectors/%s", vector->outputs_file);
	want = (float *) (void *) read_file(testdata_path(path), &want_bytes);
	if (ok(model.data && want, "%s can be read", vector->model))
		for (int i = 0; i < CHECK_ISA_COUNT; i++)
			if (!is_left_out(vector, check_isas[i]))
				test_vector(vector, check_isas[i], &model, want,
							want_bytes / sizeof(float));
	free(model.data);
	free(want);
}

int
main(void)
{
	size_t size;
	unsigned char *bytes =
		read_file(testdata_path("models/testvectors/testvectors.json"), &size);
	Vector vector;

	if (!bytes)
	{
		skip("models", "the test data is not here");
		return tap_done();
	}

	char *text = calloc(size + 1, 1);
	const char *at = text;

	memcpy(text, bytes, size);
	while (next_vector(&at, &vector))
		test_model(&vector);
	free(text);
	free(bytes);
	return tap_done();
}
