/*
 * make_embedder.c: write the ONNX file of an embedder of a given size to
 * standard output.
 *
 * usage: make_embedder megabytes [seed [maps]]
 *
 * A convolution and two fully connected layers with random weights: nothing
 * that recognises anybody, but a model of the preset arcface that is as large
 * as asked for.  With maps, a convolution comes first that makes so many maps
 * of the whole picture, which take memory.  Recovery tests and benchmarks use
 * it.
 */
#include "test/unit/onnx_build.h"

#define SIDE	 112
#define PATCH	 16
#define MAPS	 8
#define FEATURES (MAPS * (SIDE / PATCH) * (SIDE / PATCH))
#define DIMS	 128

static uint32_t state;

/* Add random weights of a variance that keeps the values' size. */
static void
add_weights(OnnxModel *model, const char *name, int rank, const int64_t *dims,
			double inputs)
{
	size_t count = 1;

	for (int i = 0; i < rank; i++)
		count *= (size_t) dims[i];

	float *weights = malloc(count * sizeof *weights);

	if (!weights)
		exit(1);
	for (size_t i = 0; i < count; i++)
	{
		state = state * 1664525u + 1013904223u;
		weights[i] =
			(float) (((double) (state >> 8) / (1 << 24) - 0.5) * 4.0 / inputs);
	}
	onnx_weight_f32(model, name, rank, dims, weights);
	free(weights);
}

int
main(int argc, char **argv)
{
	double megabytes = argc > 1 ? atof(argv[1]) : 0;
	int64_t hidden = (int64_t) (megabytes * 1e6 / (4 * (FEATURES + DIMS)));
	int maps = argc > 3 ? atoi(argv[3]) : 0;
	OnnxModel model;

	if (argc < 2 || argc > 4 || hidden < 1 || hidden > 1000000 || maps < 0 ||
		maps > 1000)
	{
		fprintf(stderr, "usage: %s megabytes [seed [maps]]\n", argv[0]);
		return 2;
	}
	state = argc > 2 ? (uint32_t) atoi(argv[2]) : 1;
	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, (int64_t[]){-1, 3, SIDE, SIDE});
	onnx_output(&model, "y", 2, (int64_t[]){-1, DIMS});
	if (maps > 0)
	{
		add_weights(&model, "w0", 4, (int64_t[]){maps, 3, 1, 1}, 3.0);
		onnx_node(&model, "Conv", "maps", "x w0", "m");
	}
	add_weights(&model, "w1", 4,
				(int64_t[]){MAPS, maps > 0 ? maps : 3, PATCH, PATCH}, 16.0);
	onnx_node(&model, "Conv", "patches", maps > 0 ? "m w1" : "x w1", "a");
	onnx_attr_ints(&model, "strides", 2, (int64_t[]){PATCH, PATCH});
	onnx_node(&model, "Flatten", "flat", "a", "b");
	add_weights(&model, "w2", 2, (int64_t[]){FEATURES, hidden}, 20.0);
	onnx_node(&model, "MatMul", "widen", "b w2", "c");
	onnx_node(&model, "Relu", "relu", "c", "d");
	add_weights(&model, "w3", 2, (int64_t[]){hidden, DIMS}, 20.0);
	onnx_node(&model, "MatMul", "narrow", "d w3", "y");

	OnnxBuffer file = onnx_finish(&model);
	size_t written = fwrite(file.data, 1, file.size_bytes, stdout);
	int is_written = written == file.size_bytes && fflush(stdout) == 0;

	free(file.data);
	return is_written ? 0 : 1;
}
