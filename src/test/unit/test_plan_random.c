/*
 * test_plan_random.c: random networks, planned against plain.
 *
 * Each network is a random sequence of layers, each on a random earlier
 * value; some values are outputs, so that chains end anywhere. Together they
 * meet the combinations of fusions, borders, forms and lifetimes that no
 * single test lists. The seed is printed with a failure.
 */
#include "plan_layers.h"

#define NETWORKS 60
#define LAYERS	 14

/* Not check_random, which the weights use. */
static uint32_t choice_seed;

static int
choose(int count)
{
	choice_seed = choice_seed * 1664525u + 1013904223u;
	return (int) ((choice_seed >> 16) % (uint32_t) count);
}

typedef struct Map
{
	char name[16];
	int channels, height, width;
} Map;

typedef struct Builder
{
	OnnxModel model;
	Map maps[LAYERS + 1];
	int count;
} Builder;

/* A new map, named after its number. */
static Map *
new_map(Builder *builder, const Map *like)
{
	Map *map = &builder->maps[builder->count];

	*map = *like;
	snprintf(map->name, sizeof map->name, "v%d", builder->count++);
	return map;
}

static const Map *
any_map(const Builder *builder)
{
	/* Mostly the newest, so that chains arise. */
	return &builder
				->maps[choose(3) ? builder->count - 1 : choose(builder->count)];
}

static void
random_conv(Builder *builder)
{
	static const int channels[] = {1, 4, 16, 20, 32, 48};
	const Map *in = any_map(builder);
	ConvLayer layer = {.in = in->channels,
					   .out = channels[choose(6)],
					   .kernel_h = 1 + choose(3),
					   .kernel_w = 1 + choose(3),
					   .stride = 1 + (choose(4) == 0),
					   .has_bias = choose(2)};

	if (choose(3) == 0)
		layer.out = layer.group = layer.in;
	else if (choose(3) == 0 && layer.in % 2 == 0 && layer.out % 2 == 0)
		layer.group = 2;
	for (int i = 0; i < 4; i++)
		layer.pads[i] = choose(i % 2 ? layer.kernel_w : layer.kernel_h);

	int height = in->height + (int) (layer.pads[0] + layer.pads[2]);
	int width = in->width + (int) (layer.pads[1] + layer.pads[3]);

	if (height < layer.kernel_h || width < layer.kernel_w)
		return;

	Map *out = new_map(builder, in);

	out->channels = layer.out;
	out->height = (height - layer.kernel_h) / layer.stride + 1;
	out->width = (width - layer.kernel_w) / layer.stride + 1;
	add_conv(&builder->model, in->name, out->name, layer);
}

static void
random_affine(Builder *builder)
{
	static const char *const operators[] = {"Mul", "Add", "Sub", "Div"};
	const Map *in = any_map(builder);
	Map *out = new_map(builder, in);

	if (choose(2))
		add_batch_norm(&builder->model, in->name, out->name, in->channels);
	else
		add_constant(&builder->model, operators[choose(4)], in->name, out->name,
					 CHECK_DIMS(1, choose(2) ? in->channels : 1, 1, 1));
}

static void
random_activation(Builder *builder)
{
	static const char *const operators[] = {"Relu", "Sigmoid", "HardSwish",
											"LeakyRelu", "Elu"};
	const Map *in = any_map(builder);
	Map *out = new_map(builder, in);

	if (choose(3) == 0)
		add_prelu(&builder->model, in->name, out->name,
				  CHECK_DIMS(choose(2) ? in->channels : 1, 1, 1));
	else
		onnx_node(&builder->model, operators[choose(5)], out->name, in->name,
				  out->name);
}

/* Two maps of one shape, or a map and its mean per channel. */
static void
random_binary(Builder *builder)
{
	static const char *const operators[] = {"Add", "Add", "Mul", "Sub", "Max"};
	const Map *a = any_map(builder), *b = NULL;
	const char *op = operators[choose(5)];

	for (int tries = 0; tries < 10 && !b; tries++)
	{
		const Map *other = &builder->maps[choose(builder->count)];

		if (other->channels == a->channels && other->height == a->height &&
			other->width == a->width)
			b = other;
	}
	if (choose(4) == 0)
	{
		Map *mean = new_map(builder, a);

		mean->height = mean->width = 1;
		onnx_node(&builder->model, "GlobalAveragePool", mean->name, a->name,
				  mean->name);
		b = mean;
		op = choose(2) ? "Mul" : "Add";
	}
	if (!b || builder->count > LAYERS)
		return;

	Map *out = new_map(builder, a);

	onnx_node(&builder->model, op, out->name, layer_join(a->name, b->name),
			  out->name);
}

static void
random_pool(Builder *builder)
{
	const Map *in = any_map(builder);
	int pad = choose(2);

	if (in->height < 3 || in->width < 3)
		return;

	Map *out = new_map(builder, in);
	int stride = 1 + choose(2);

	bool is_ceil = choose(3) == 0;
	int round = is_ceil ? stride - 1 : 0;

	out->height = (in->height + 2 * pad - 3 + round) / stride + 1;
	out->width = (in->width + 2 * pad - 3 + round) / stride + 1;

	/* A window that would begin beyond the input is left out. */
	if (is_ceil && (out->height - 1) * stride >= in->height + pad)
		out->height--;
	if (is_ceil && (out->width - 1) * stride >= in->width + pad)
		out->width--;
	add_pool(&builder->model, choose(2) ? "MaxPool" : "AveragePool", in->name,
			 out->name, 3, stride, (int64_t[]){pad, pad, pad, pad}, is_ceil);
}

static void
random_concat(Builder *builder)
{
	const Map *parts[4];
	int count = 1, channels;
	char names[64];

	parts[0] = any_map(builder);
	channels = parts[0]->channels;
	snprintf(names, sizeof names, "%s", parts[0]->name);
	for (int tries = 0; tries < 12 && count < 4; tries++)
	{
		const Map *other = &builder->maps[choose(builder->count)];

		if (other->height != parts[0]->height ||
			other->width != parts[0]->width)
			continue;
		parts[count++] = other;
		channels += other->channels;
		strcat(names, " ");
		strcat(names, other->name);
	}
	if (channels > 128)
		return;

	Map *out = new_map(builder, parts[0]);

	out->channels = channels;
	onnx_node(&builder->model, "Concat", out->name, names, out->name);
	onnx_attr_int(&builder->model, "axis", 1);
}

static void
random_resize(Builder *builder)
{
	const Map *in = any_map(builder);
	int factor_h = 1 + choose(3), factor_w = 1 + choose(3);

	if (in->height * factor_h > 24 || in->width * factor_w > 24)
		return;

	Map *out = new_map(builder, in);
	const char *scales = layer_name("k", out->name);

	out->height *= factor_h;
	out->width *= factor_w;
	onnx_weight_f32(&builder->model, scales, 1, (int64_t[]){4},
					(float[]){1, 1, (float) factor_h, (float) factor_w});
	onnx_node(&builder->model, "Resize", out->name,
			  layer_join(layer_join(in->name, "-"), scales), out->name);
	onnx_attr_string(&builder->model, "mode", "nearest");
	onnx_attr_string(&builder->model, "coordinate_transformation_mode",
					 "asymmetric");
	onnx_attr_string(&builder->model, "nearest_mode", "floor");
}

/* Up to two fully connected layers behind one Flatten, all outputs. */
static void
random_heads(Builder *builder)
{
	static const char *const names[] = {"head0", "head1"};
	const Map *in = any_map(builder);
	int count = choose(3);

	if (count > 0)
		onnx_node(&builder->model, "Flatten", "flat", in->name, "flat");
	for (int i = 0; i < count; i++)
	{
		add_gemm(&builder->model, "flat", names[i],
				 (int64_t) in->channels * in->height * in->width,
				 1 + choose(40));
		onnx_output(&builder->model, names[i], 0, NULL);
	}
}

/* Steps in strips, over all networks. */
static int strip_steps;

/* Planned against plain, and stripped against planned for one of the
 * instruction sets by turns. */
static void
check_network(OnnxModel *model, const FrShape *shape, uint32_t seed,
			  const char *what)
{
	OnnxBuffer file = onnx_finish(model);

	check_plan_file(&file, shape, -1, what);
	strip_steps +=
		check_strips(&file, check_isas[seed % CHECK_ISA_COUNT], shape, what);
	free(file.data);
}

static void
test_network(uint32_t seed)
{
	Builder builder = {0};
	static const int channels[] = {3, 5, 16, 32};
	Map input = {.channels = 3, .height = 5, .width = 5};
	char what[64];
	int64_t batch;

	choice_seed = seed * 7919u + 1u;
	input.channels = channels[choose(4)];
	input.height = 4 + choose(8);
	input.width = 4 + choose(8);
	batch = 1 + choose(3);
	onnx_begin(&builder.model, 14);
	check_seed = seed;
	new_map(&builder, &input);
	onnx_input(&builder.model, "v0", CHECK_DIMS(-1, input.channels, -1, -1));
	while (builder.count < LAYERS)
	{
		void (*const layers[])(Builder *) = {
			random_conv,   random_conv,		  random_conv,
			random_affine, random_activation, random_binary,
			random_pool,   random_concat,	  random_resize};

		layers[choose(9)](&builder);
	}
	for (int i = 1; i < builder.count; i++)
		if (i + 1 == builder.count || choose(6) == 0)
			onnx_output(&builder.model, builder.maps[i].name, 0, NULL);
	random_heads(&builder);
	snprintf(what, sizeof what, "random network %u", seed);
	check_network(
		&builder.model,
		&CHECK_SHAPE(batch, input.channels, input.height, input.width), seed,
		what);
}

int
main(int argc, char **argv)
{
	uint32_t first = argc > 1 ? (uint32_t) atoi(argv[1]) : 1;
	uint32_t count = argc > 2 ? (uint32_t) atoi(argv[2]) : NETWORKS;

	for (uint32_t i = 0; i < count; i++)
		test_network(first + i);
	ok(strip_steps > 0, "%d steps ran in strips", strip_steps);
	return tap_done();
}
