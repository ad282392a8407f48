/*
 * bench_quantize.c: how close int8 variants come to their originals.
 *
 * usage: bench_quantize [-o FOLDER] [-t COSINE] [-c CROPS] [-r RULE]
 *                       [MODEL PRESET]
 * Of every two faces in the test data folder's photos (FACEREC_TESTDATA,
 * default ../shared; photos for a detector; pictures of the model's size in
 * the folder CROPS) one calibrates, the other is held out and compared.  RULE
 * 0, the default, sets ranges by the least squared error, 1 by the extremes.
 * -o writes the variants as ONNX files, NAME-int8.onnx; they are compared by
 * ONNX Runtime, too, when ORT_LIB names its library.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/face/input.h"
#include "core/face/samples.h"
#include "core/nn/quantize.h"
#include "core/onnx/import.h"
#include "core/onnx/write.h"
#include "ort_binding.h"

#define MAX_PICTURES 2000
#define MAX_PATH	 4096

typedef struct Settings
{
	const char *folder; /* NULL: write nothing */
	const char *crops;	/* NULL: faces of photos */
	double target;
	int rule; /* FrRangeRule */
	OrtLibrary ort;
	int has_ort;
} Settings;

static const char *const default_models[][2] = {
	{"models/mobilefacenet-128.onnx", "mobilefacenet"},
	{"models/face-reidentification-retail-0095.onnx", "omz-reid-0095"},
	{"src/networks/embedder.onnx", "mobilefacenet"},
};

static void
check(FrStatus status, const FrError *error)
{
	if (status == FR_OK)
		return;
	fprintf(stderr, "%s\n", error->message);
	exit(1);
}

/* Where a file is: as it is called, or below the test data folder. */
static void
find_path(const char *name, char path[MAX_PATH])
{
	const char *folder = getenv("FACEREC_TESTDATA");

	snprintf(path, MAX_PATH, "%s", name);
	if (access(path, R_OK) != 0)
		snprintf(path, MAX_PATH, "%s/%s", folder ? folder : "../shared", name);
}

/* A whole file; NULL: not there. */
static void *
read_bytes(const char *name, size_t *size_bytes)
{
	char path[MAX_PATH];

	find_path(name, path);

	FILE *file = fopen(path, "rb");
	long length = file && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
	void *bytes =
		length >= 0 && length < 1 << 30 ? malloc((size_t) length + 1) : NULL;

	if (bytes)
	{
		rewind(file);
		*size_bytes = fread(bytes, 1, (size_t) length, file);
	}
	if (file)
		fclose(file);
	return bytes;
}

static FrNet *
load_net(const void *bytes, size_t size_bytes)
{
	FrGraph graph;
	FrNet *net;
	FrError error;

	check(
		fr_onnx_import(bytes, size_bytes, &fr_allocator_malloc, &graph, &error),
		&error);
	check(fr_net_create(&graph, NULL, &fr_allocator_malloc, &net, &error),
		  &error);
	return net;
}

/* ---- pictures ----------------------------------------------------------- */

static void
add_photo(FrSampleSet *set, const FrDetector *detector, const char *name)
{
	size_t size_bytes;
	void *bytes = read_bytes(name, &size_bytes);
	FrPhotoOptions options = {.max_pixels = 100000000, .detection_size = 1280};
	FrPhoto *photo;
	FrError error;

	/* Other files than photos are skipped. */
	if (!bytes || fr_photo_open(bytes, size_bytes, &options,
								&fr_allocator_malloc, &photo, &error) != FR_OK)
		return;
	check(fr_sample_set_add_photo(set, photo, detector, &error), &error);
	fr_photo_close(photo);
	free(bytes);
}

/* A picture that has the model's size; others are skipped. */
static void
add_crop(FrSampleSet *set, const char *name)
{
	size_t size_bytes;
	void *bytes = read_bytes(name, &size_bytes);
	FrDecodeOptions options = {.max_pixels = 100000000, .reduction = 1};
	FrImage crop;
	FrError error;

	if (!bytes)
		return;
	if (fr_image_decode(bytes, size_bytes, &options, &fr_allocator_malloc,
						&crop, &error) == FR_OK)
	{
		if (crop.width == set->descriptor->input_width &&
			crop.height == set->descriptor->input_height)
			check(fr_sample_set_add_crop(set, &crop, &error), &error);
		fr_image_destroy(&crop);
	}
	free(bytes);
}

static int
compare_names(const void *left, const void *right)
{
	return strcmp(*(char *const *) left, *(char *const *) right);
}

/* The photos in a folder; its crops when there is no detector. */
static void
add_folder(FrSampleSet *set, const FrDetector *detector, const char *folder)
{
	char root[MAX_PATH], path[MAX_PATH], *names[MAX_PICTURES];
	int count = 0;

	find_path(folder, root);

	DIR *directory = opendir(root);

	for (struct dirent *entry; directory && (entry = readdir(directory));)
		if (entry->d_name[0] != '.' && entry->d_name[0] != 'S' &&
			count < MAX_PICTURES)
			names[count++] = strdup(entry->d_name);
	if (directory)
		closedir(directory);
	qsort(names, (size_t) count, sizeof *names, compare_names);
	for (int i = 0; i < count; i++)
	{
		if (snprintf(path, sizeof path, "%.2000s/%.1000s", root, names[i]) < 0)
			exit(1);
		if (detector)
			add_photo(set, detector, path);
		else
			add_crop(set, path);
		free(names[i]);
	}
}

/* Every second picture: the even ones calibrate, the odd ones compare. */
typedef struct Half
{
	FrSamples all;
	int first;
	FrShape shapes[MAX_PICTURES];
} Half;

static FrStatus
fill_half(void *context, int index, FrPlan *plan, FrError *error)
{
	const Half *half = context;

	return half->all.fill(half->all.context, half->first + 2 * index, plan,
						  error);
}

static FrSamples
take_half(Half *half, FrSamples all, int first)
{
	int count = (all.count - first + 1) / 2;

	half->all = all;
	half->first = first;
	for (int i = 0; i < count; i++)
		half->shapes[i] = all.shapes[first + 2 * i];
	return (FrSamples){count, half->shapes, fill_half, half};
}

/* ---- comparing ---------------------------------------------------------- */

typedef struct Cosines
{
	double sum, least;
	int count;
} Cosines;

static void
add_cosine(Cosines *cosines, const float *a, const float *b, size_t count)
{
	double ab = 0, aa = 0, bb = 0;

	for (size_t i = 0; i < count; i++)
	{
		ab += (double) a[i] * (double) b[i];
		aa += (double) a[i] * (double) a[i];
		bb += (double) b[i] * (double) b[i];
	}

	double cosine = ab / sqrt(aa * bb);

	cosines->sum += cosine;
	cosines->least =
		cosines->count == 0 ? cosine : fmin(cosines->least, cosine);
	cosines->count++;
}

static void
print_cosines(const char *what, const Cosines *cosines)
{
	printf("\n  %s: mean %.5f least %.5f (%d outputs)", what,
		   cosines->sum / cosines->count, cosines->least, cosines->count);
}

/* The input as planes, [1, 3, h, w]. */
static float *
make_planes(const FrSampleSet *set, int index)
{
	const FrImage *image = &set->images[index];
	const FrDescriptor *descriptor = set->descriptor;
	const FrShape *shape = &set->shapes[index];
	int height = (int) shape->dims[2], width = (int) shape->dims[3];
	float *planes =
		malloc(3 * sizeof(float) * (size_t) height * (size_t) width);

	for (int c = 0; planes && c < 3; c++)
		for (int y = 0; y < height; y++)
			for (int x = 0; x < width; x++)
			{
				int channel = descriptor->is_bgr ? 2 - c : c;
				bool is_inside = x < image->width && y < image->height;
				size_t pixel = (size_t) y * (size_t) image->width + (size_t) x;
				float value =
					is_inside ? image->pixels[3 * pixel + (size_t) channel] : 0;

				planes[((size_t) c * (size_t) height + (size_t) y) *
						   (size_t) width +
					   (size_t) x] =
					(value - descriptor->mean[c]) * descriptor->scale[c];
			}
	return planes;
}

static FrPlan *
run(FrNet *net, const FrSamples *samples, int index)
{
	FrPlan *plan;
	FrError error;

	check(fr_net_plan(net, &samples->shapes[index], NULL, &plan, &error),
		  &error);
	check(samples->fill(samples->context, index, plan, &error), &error);
	check(fr_plan_run(plan, NULL, &error), &error);
	return plan;
}

/* The output of the net with ONNX Runtime's name for it. */
static const float *
named_output(FrNet *net, const FrPlan *plan, const char *name)
{
	const FrGraph *graph = fr_net_graph(net);
	const FrShape *shape;

	for (int i = 0; i < graph->output_count; i++)
		if (strcmp(graph->values[graph->outputs[i]].name, name) == 0)
			return fr_plan_output(plan, i, &shape);
	fprintf(stderr, "no output is called \"%s\"\n", name);
	exit(1);
}

/* The file of the variant, by ONNX Runtime: against this engine, and against
 * the original by ONNX Runtime.  For the samples with odd numbers. */
static void
compare_with_ort(const Settings *settings, const char *original,
				 const char *variant, FrNet *net, FrSampleSet *set)
{
	FrSamples samples = fr_sample_set_samples(set);
	Cosines engines = {0}, networks = {0};
	char path[MAX_PATH];
	OrtModel models[2];

	find_path(original, path);
	ort_load(&settings->ort, path, &models[0]);
	ort_load(&settings->ort, variant, &models[1]);
	for (int i = 1; i < samples.count; i += 2)
	{
		float *planes = make_planes(set, i);
		void *input = ort_tensor(&settings->ort, planes, set->shapes[i].dims,
								 set->shapes[i].rank);
		FrPlan *plan = run(net, &samples, i);

		ort_run(&models[0], input);
		ort_run(&models[1], input);
		for (size_t k = 0; k < models[1].output_count; k++)
		{
			size_t count;
			const float *a = ort_output(&models[0], k, &count);
			const float *b = ort_output(&models[1], k, &count);

			add_cosine(&networks, a, b, count);
			add_cosine(&engines, b,
					   named_output(net, plan, models[1].output_names[k]),
					   count);
		}
		ORT_RELEASE(&settings->ort, ORT_RELEASE_VALUE, input);
		free(planes);
	}
	print_cosines("ONNX Runtime, variant and original", &networks);
	print_cosines("variant, ONNX Runtime and this engine", &engines);
	ort_unload(&models[0]);
	ort_unload(&models[1]);
}

static void
save(const FrGraph *graph, const char *path)
{
	void *bytes;
	size_t size_bytes;
	FrError error;

	check(fr_onnx_write(graph, NULL, 0, &fr_allocator_malloc, &bytes,
						&size_bytes, &error),
		  &error);

	FILE *file = fopen(path, "wb");

	if (!file || fwrite(bytes, 1, size_bytes, file) != size_bytes ||
		fclose(file) != 0)
	{
		perror(path);
		exit(1);
	}
	printf("\n  %s: %zu bytes", path, size_bytes);
	free(bytes);
}

static void
variant_path(const Settings *settings, const char *name, char path[MAX_PATH])
{
	const char *slash = strrchr(name, '/');
	const char *base = slash ? slash + 1 : name;

	snprintf(path, MAX_PATH, "%s/%.*s-int8.onnx", settings->folder,
			 (int) strcspn(base, "."), base);
}

/* Quantise and print a block of lines. */
static void
run_samples(const Settings *settings, const char *name, const FrGraph *source,
			FrSampleSet *set)
{
	static const char *const rules[] = {"least error", "extremes"};
	static Half halves[2];
	FrSamples all = fr_sample_set_samples(set);
	FrSamples samples = take_half(&halves[0], all, 0);
	FrSamples held_out = take_half(&halves[1], all, 1);
	FrQuantizeOptions options = {.rule = (FrRangeRule) settings->rule,
								 .min_agreement = settings->target,
								 .held_out = &held_out};
	FrQuantizeReport report;
	FrGraph quantized;
	FrNet *net;
	FrError error;
	char path[MAX_PATH];
	clock_t start = clock();

	check(fr_quantize(source, &samples, &options, NULL, &fr_allocator_malloc,
					  &quantized, &report, &error),
		  &error);
	printf("%s, %s: %d of %d layers, %.1f s\n  calibration: mean %.5f (%d)\n"
		   "  held out: mean %.5f least %.5f (%d of %d)",
		   name, rules[settings->rule], report.quantized_count,
		   report.layer_count, (double) (clock() - start) / CLOCKS_PER_SEC,
		   report.calibrated_agreement, samples.count, report.mean_agreement,
		   report.least_agreement, report.measured_count, held_out.count);
	for (int i = 0; i < report.layer_count - report.quantized_count; i++)
		printf("\n  float32: %s", report.kept[i]);
	if (settings->folder)
	{
		variant_path(settings, name, path);
		save(&quantized, path);
	}
	check(fr_net_create(&quantized, NULL, &fr_allocator_malloc, &net, &error),
		  &error);
	if (settings->folder && settings->has_ort)
		compare_with_ort(settings, name, path, net, set);
	printf("\n");
	fflush(stdout);
	fr_net_destroy(net);
}

static void
collect(const Settings *settings, FrSampleSet *set, FrNet *original)
{
	size_t size_bytes;
	void *yunet = read_bytes("models/yunet_n_dynamic.onnx", &size_bytes);
	FrDescriptor detection;

	if (settings->crops)
	{
		add_folder(set, NULL, settings->crops);
		return;
	}
	if (!yunet || !fr_preset_find("yunet", &detection))
	{
		fprintf(stderr, "The test data folder has no detector.\n");
		exit(1);
	}

	FrNet *finder = load_net(yunet, size_bytes);
	FrDetector detector = {.descriptor = &detection, .nets = {finder}};

	if (set->descriptor->role == FR_ROLE_DETECTOR)
		detector =
			(FrDetector){.descriptor = set->descriptor, .nets = {original}};
	add_folder(set, &detector, "photos");
	add_folder(set, &detector, "portraits");
	fr_net_destroy(finder);
	free(yunet);
}

static void
run_model(const Settings *settings, const char *name, const char *preset)
{
	size_t size_bytes;
	void *bytes = read_bytes(name, &size_bytes);
	FrDescriptor descriptor;
	FrSampleSet set;
	FrError error;

	if (!bytes || !fr_preset_find(preset, &descriptor))
	{
		printf("%s: the model or the preset is missing\n", name);
		return;
	}

	FrNet *original = load_net(bytes, size_bytes);
	const FrGraph *graph = fr_net_graph(original);

	check(fr_sample_set_init(&set, graph, &descriptor, MAX_PICTURES, SIZE_MAX,
							 &fr_allocator_malloc, &error),
		  &error);
	collect(settings, &set, original);
	run_samples(settings, name, graph, &set);
	fr_sample_set_fini(&set);
	fr_net_destroy(original);
	free(bytes);
}

int
main(int argc, char **argv)
{
	Settings settings = {0};
	int option;

	while ((option = getopt(argc, argv, "o:t:c:r:")) != -1)
	{
		if (option == 'o')
			settings.folder = optarg;
		else if (option == 't')
			settings.target = atof(optarg);
		else if (option == 'c')
			settings.crops = optarg;
		else if (option == 'r')
			settings.rule = atoi(optarg) == 1;
		else
			return 2;
	}
	settings.has_ort = ort_open(&settings.ort);
	if (optind + 2 == argc)
		run_model(&settings, argv[optind], argv[optind + 1]);
	else
		for (size_t i = 0; i < sizeof default_models / sizeof *default_models;
			 i++)
			run_model(&settings, default_models[i][0], default_models[i][1]);
	return 0;
}
