/*
 * test_direction.c: packing is exact, idempotent and symmetric for random
 * vectors of many dimensions and magnitudes.
 */
#include "core/metric/direction.h"
#include "kernels/half.h"
#include "test/unit/tap.h"

static uint64_t seed = 7;

static double
random_uniform(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (double) (seed >> 11) / 9007199254740992.0;
}

static double
random_normal(void)
{
	return sqrt(-2.0 * log(random_uniform() + 1e-300)) *
		   cos(6.283185307179586 * random_uniform());
}

/* Kinds of vectors: what halves and norms find hard. */
typedef enum Kind
{
	KIND_NORMAL,	/* Gaussian, norm about sqrt(n) */
	KIND_UNIT,		/* already of norm 1 */
	KIND_NEAR_UNIT, /* of norm 1 give or take 0.002: across the slack */
	KIND_TINY,		/* float subnormals */
	KIND_HUGE,		/* close to the largest float */
	KIND_SPARSE,	/* one large value, the others below 2^-14: half
					 * subnormals and zeros */
	KIND_MIXED,		/* exponents from -24 to 0 */
	KIND_COUNT
} Kind;

static const char *const kind_names[KIND_COUNT] = {
	"normal", "unit", "near-unit", "tiny", "huge", "sparse", "mixed"};

static const size_t dims_list[] = {1,  2,	3,	 4,	  5,   31,	 32,
								   33, 127, 128, 256, 512, 1000, 4096};

static void
scale_to_norm(float *values, size_t count, double norm)
{
	double squares = 0.0;

	for (size_t i = 0; i < count; i++)
		squares += (double) values[i] * (double) values[i];
	for (size_t i = 0; i < count; i++)
		values[i] = (float) (values[i] * (norm / sqrt(squares)));
}

static void
make_vector(Kind kind, float *values, size_t count)
{
	for (size_t i = 0; i < count; i++)
	{
		double value = random_normal();

		if (kind == KIND_TINY)
			value *= 1e-40;
		if (kind == KIND_HUGE)
			value = (random_uniform() - 0.5) * 6.8e38;
		if (kind == KIND_SPARSE && i != count / 2)
			value *= ldexp(1.0, -17);
		if (kind == KIND_MIXED)
			value *= ldexp(1.0, -(int) (24 * random_uniform()));
		values[i] = (float) value;
	}
	if (kind == KIND_UNIT)
		scale_to_norm(values, count, 1.0);
	if (kind == KIND_NEAR_UNIT)
		scale_to_norm(values, count, 0.998 + 0.004 * random_uniform());
}

/* What one packed vector must satisfy; returns a bit per broken rule. */
static unsigned
broken_rules(const float *values, size_t count, double *worst_norm,
			 double *worst_angle)
{
	static uint16_t halves[FR_DIRECTION_MAX_DIMS];
	static uint16_t again[FR_DIRECTION_MAX_DIMS];
	static float floats[FR_DIRECTION_MAX_DIMS];
	const FrVectorKernels *kernels = &fr_vector_kernels_generic;
	float scale = 0.0f, scale_again = 0.0f;
	double squares = 0.0, dot = 0.0, norm = 0.0;
	unsigned broken = 0;

	if (fr_direction_pack(values, count, halves, &scale) != FR_DIRECTION_OK)
		return 1;
	for (size_t i = 0; i < count; i++)
	{
		double half = floats[i] = fr_half_to_float(halves[i]);

		squares += half * half;
		dot += half * values[i];
		norm += (double) values[i] * (double) values[i];
	}
	*worst_norm = fmax(*worst_norm, fabs(sqrt(squares) - 1.0));
	*worst_angle = fmax(*worst_angle, 1.0 - dot / sqrt(norm) / sqrt(squares));
	if (fabs((double) scale * sqrt(squares) - 1.0) > 1e-6)
		broken |= 2;
	if (fr_direction_pack(floats, count, again, &scale_again) !=
			FR_DIRECTION_OK ||
		memcmp(halves, again, count * sizeof *halves) != 0 ||
		scale != scale_again)
		broken |= 4;
	if (!fr_direction_scale(halves, count, &scale_again) ||
		scale != scale_again)
		broken |= 8;
	if (fr_direction_distance(kernels, halves, scale, halves, scale, count) !=
		0.0)
		broken |= 16;
	return broken;
}

static void
test_packing_is_idempotent(Kind kind)
{
	static float values[FR_DIRECTION_MAX_DIMS];
	double worst_norm = 0.0, worst_angle = 0.0;
	unsigned broken = 0;

	for (size_t d = 0; d < sizeof dims_list / sizeof *dims_list; d++)
	{
		int rounds = dims_list[d] > 500 ? 12 : 200;

		for (int round = 0; round < rounds; round++)
		{
			make_vector(kind, values, dims_list[d]);
			broken |=
				broken_rules(values, dims_list[d], &worst_norm, &worst_angle);
		}
	}
	is_int(broken, 0, "%s vectors: packed, exact again, self distance 0",
		   kind_names[kind]);
	ok(worst_angle < 1e-6, "%s vectors: the direction stays", kind_names[kind]);
	ok(worst_norm <= FR_DIRECTION_SLACK, "%s vectors: norm within the slack",
	   kind_names[kind]);
	diag("largest |norm - 1| %.3g, 1 - cosine %.3g", worst_norm, worst_angle);
}

/* Every pair of halves in two dimensions whose norm is near the slack. */
static void
test_edges_of_the_slack(void)
{
	int kept = 0, changed = 0, faults = 0;

	for (uint32_t x = 0; x <= 0x3c01; x += 3)
		for (uint32_t y = 0x3800; y <= 0x3c02; y += 7)
		{
			float values[2] = {fr_half_to_float((uint16_t) x),
							   fr_half_to_float((uint16_t) y)};
			uint16_t halves[2], again[2];
			double norm = hypot(values[0], values[1]);
			float scale;

			if (fabs(norm - 1.0) > 0.002)
				continue;
			faults +=
				fr_direction_pack(values, 2, halves, &scale) != FR_DIRECTION_OK;
			kept += halves[0] == x && halves[1] == y;
			for (int i = 0; i < 2; i++)
				values[i] = fr_half_to_float(halves[i]);
			faults +=
				fr_direction_pack(values, 2, again, &scale) != FR_DIRECTION_OK;
			changed += memcmp(halves, again, sizeof halves) != 0;
		}
	is_int(faults, 0, "vectors at the edge of the slack are packed");
	is_int(changed, 0, "and stay when packed again");
	ok(kept > 1000, "%d of them are kept as they are", kept);
}

static void
test_faults(void)
{
	float values[3] = {1.0f, 2.0f, 3.0f};
	static float many[FR_DIRECTION_MAX_DIMS + 1];
	static uint16_t halves[FR_DIRECTION_MAX_DIMS + 1];
	float scale;

	is_int(fr_direction_pack(values, 0, halves, &scale), FR_DIRECTION_EMPTY,
		   "no values");
	many[0] = 1.0f;
	is_int(fr_direction_pack(many, FR_DIRECTION_MAX_DIMS + 1, halves, &scale),
		   FR_DIRECTION_TOO_LONG, "too many values");
	is_int(fr_direction_pack(many + 1, 5, halves, &scale), FR_DIRECTION_ZERO,
		   "zeros");
	values[1] = NAN;
	is_int(fr_direction_pack(values, 3, halves, &scale), FR_DIRECTION_NAN,
		   "NaN");
	values[1] = -INFINITY;
	is_int(fr_direction_pack(values, 3, halves, &scale), FR_DIRECTION_INFINITE,
		   "infinity");
}

static void
test_scale_rejects(void)
{
	static const struct
	{
		uint16_t halves[2];
		bool is_direction;
		const char *what;
	} cases[] = {
		{{0x3c00, 0}, true, "(1, 0)"},
		{{0xbc00, 0x0001}, true, "(-1, 2^-24)"},
		{{0x3c00, 0x8000}, false, "a negative zero"},
		{{0x7c00, 0}, false, "infinity"},
		{{0x7e00, 0}, false, "NaN"},
		{{0x3c00, 0x3c00}, false, "norm 1.41"},
		{{0x3c01, 0}, false, "norm 1.001"},
		{{0x3bfe, 0}, false, "norm 0.999"},
		{{0, 0}, false, "zeros"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		float scale = 0.0f;

		is_int(fr_direction_scale(cases[i].halves, 2, &scale),
			   cases[i].is_direction, "scale of %s", cases[i].what);
	}
}

static void
test_distances(void)
{
	static const float axes[4][2] = {{1, 0}, {0, 1}, {-1, 0}, {3, 3}};
	static const double expected[4] = {0.0, 1.0, 2.0, 0.29289321881345254};
	uint16_t halves[4][2];
	float scales[4];

	for (int i = 0; i < 4; i++)
		fr_direction_pack(axes[i], 2, halves[i], &scales[i]);
	for (int i = 0; i < 4; i++)
		ok_near(fr_direction_distance(&fr_vector_kernels_generic, halves[0],
									  scales[0], halves[i], scales[i], 2),
				expected[i], 5e-7, "distance to axis %d", i);
}

int
main(void)
{
	for (int kind = 0; kind < KIND_COUNT; kind++)
		test_packing_is_idempotent((Kind) kind);
	test_edges_of_the_slack();
	test_faults();
	test_scale_rejects();
	test_distances();
	return tap_done();
}
