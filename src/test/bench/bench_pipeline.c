/*
 * bench_pipeline.c: JPEG bytes to the embeddings of all faces, by stage.
 *
 * Usage: bench_pipeline [detection_size [picture ...]]; by default 1280 and a
 * few photos of the test data folder (FACEREC_TESTDATA, default ../shared),
 * one of them also as a 12-megapixel file.  Best of several runs, one thread;
 * the networks' plans exist already, as in a backend's second call.
 *
 * bench_pipeline -serve [detection_size] is the half of pipeline_compare.py
 * that runs this library: for each file name on standard input it prints the
 * stages' thread CPU times in ms and the number of faces, then one line per
 * face with its embedding.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/face/align.h"
#include "core/face/input.h"
#include "core/face/pipeline.h"
#include "core/face/pose.h"
#include "core/face/quality.h"
#include "core/onnx/import.h"

#define RUNS	  5
#define MAX_FACES 100

static const char *const default_photos[] = {
	"photos/obama-small.jpg", "photos/kit-john2.jpg",
	"photos/biden2.jpg",	  "photos/group-multiface.jpg",
	"photos/rose-img1.jpg",	  "photos/obama-and-biden.jpg",
};

typedef struct Model
{
	void *bytes;
	FrNet *net;
	FrDescriptor descriptor;
	int dims;
} Model;

typedef struct Times
{
	double open, detect, embed, total;
	int faces;
} Times;

static double
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double) now.tv_sec * 1e3 + (double) now.tv_nsec / 1e6;
}

static void
check(FrStatus status, const FrError *error)
{
	if (status == FR_OK)
		return;
	fprintf(stderr, "%s\n", error->message);
	exit(1);
}

static void *
read_whole(const char *path, size_t *size_bytes)
{
	FILE *file = fopen(path, "rb");
	void *bytes = NULL;
	long length;

	if (!file)
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) > 0 &&
		fseek(file, 0, SEEK_SET) == 0 && (bytes = malloc((size_t) length)))
		*size_bytes = fread(bytes, 1, (size_t) length, file);
	fclose(file);
	return bytes;
}

static const char *
data_path(const char *name)
{
	static char path[4096];
	const char *folder = getenv("FACEREC_TESTDATA");

	snprintf(path, sizeof path, "%s/%s",
			 folder && *folder ? folder : "../shared", name);
	return path;
}

static bool
load_model(const char *name, const char *preset, Model *model)
{
	size_t size_bytes;
	FrGraph graph;
	FrError error;

	model->bytes = read_whole(data_path(name), &size_bytes);
	if (!model->bytes)
		return false;
	check(fr_onnx_import(model->bytes, size_bytes, &fr_allocator_malloc, &graph,
						 &error),
		  &error);
	check(fr_net_create(&graph, &(FrNetOptions){0}, &fr_allocator_malloc,
						&model->net, &error),
		  &error);
	fr_preset_find(preset, &model->descriptor);
	check(fr_descriptor_check(&model->descriptor, model->net, NULL,
							  &fr_allocator_malloc, &model->dims, &error),
		  &error);
	return true;
}

/* One photo, once; room for MAX_FACES embeddings. */
static Times
run_once(const void *bytes, size_t size_bytes, const Model *detector,
		 const Model *embedder, float *embeddings)
{
	FrPhotoOptions options = {.max_pixels = 100000000,
							  .detection_size =
								  detector->descriptor.detection_size};
	FrPhoto *photo;
	FrFaces faces;
	FrError error;
	double start = now_ms();

	check(fr_photo_open(bytes, size_bytes, &options, &fr_allocator_malloc,
						&photo, &error),
		  &error);

	double opened = now_ms();

	check(fr_photo_detect(photo,
						  &(FrDetector){.nets = {detector->net},
										.descriptor = &detector->descriptor},
						  &faces, &error),
		  &error);

	double detected = now_ms();

	check(fr_photo_embed(photo, embedder->net, &embedder->descriptor,
						 faces.faces, faces.count, embedder->dims, embeddings,
						 &error),
		  &error);

	double embedded = now_ms();
	Times times = {opened - start, detected - opened, embedded - detected,
				   embedded - start, faces.count};

	fr_faces_destroy(&faces);
	fr_photo_close(photo);
	return times;
}

static void
keep_best(double *best, double value, int run)
{
	if (run == 1 || value < *best)
		*best = value;
}

static void
bench_photo(const char *name, const void *bytes, size_t size_bytes,
			const Model *detector, const Model *embedder)
{
	FrImageInfo info;
	FrError error;
	Times best = {0};
	float *embeddings =
		malloc(sizeof(float) * MAX_FACES * (size_t) embedder->dims);

	check(fr_image_read_info(bytes, size_bytes, &info, &error), &error);
	/* Run 0 makes the plans. */
	for (int run = 0; run <= RUNS; run++)
	{
		Times times =
			run_once(bytes, size_bytes, detector, embedder, embeddings);

		if (run == 0)
			continue;
		keep_best(&best.open, times.open, run);
		keep_best(&best.detect, times.detect, run);
		keep_best(&best.embed, times.embed, run);
		keep_best(&best.total, times.total, run);
		best.faces = times.faces;
	}

	const char *slash = strrchr(name, '/');

	printf("%-24.24s %5d x %-5d %3d faces: decode %7.2f  detect %7.2f  embed "
		   "%7.2f  total %7.2f ms\n",
		   slash ? slash + 1 : name, info.width, info.height, best.faces,
		   best.open, best.detect, best.embed, best.total);
	free(embeddings);
}

static void
serve(const Model *detector, const Model *embedder)
{
	int dims = embedder->dims;
	float *embeddings = malloc(sizeof(float) * MAX_FACES * (size_t) dims);
	char path[4096];

	while (embeddings && fgets(path, sizeof path, stdin))
	{
		size_t size_bytes = 0;

		path[strcspn(path, "\n")] = '\0';

		void *bytes = read_whole(path, &size_bytes);
		Times times = {0};

		if (bytes)
			times = run_once(bytes, size_bytes, detector, embedder, embeddings);
		printf("%.4f %.4f %.4f %.4f %d\n", times.open, times.detect,
			   times.embed, times.total, times.faces);
		for (int i = 0; i < times.faces * dims; i++)
			printf("%.7g%c", (double) embeddings[i],
				   i % dims == dims - 1 ? '\n' : ' ');
		fflush(stdout);
		free(bytes);
	}
	free(embeddings);
}

/* A photo enlarged to 4000 pixels and saved as JPEG. */
static void
bench_large(const void *bytes, size_t size_bytes, const Model *detector,
			const Model *embedder)
{
	FrDecodeOptions options = {.max_pixels = 100000000, .reduction = 1};
	FrImage image, large;
	FrError error;
	uint8_t *file;
	size_t file_bytes;

	check(fr_image_decode(bytes, size_bytes, &options, &fr_allocator_malloc,
						  &image, &error),
		  &error);
	check(fr_image_resize(&image, 4000, 4000 * image.height / image.width, NULL,
						  &fr_allocator_malloc, &large, &error),
		  &error);
	check(fr_image_encode_jpeg(&large, 90, NULL, &fr_allocator_malloc, &file,
							   &file_bytes, &error),
		  &error);
	bench_photo("enlarged", file, file_bytes, detector, embedder);
	fr_image_destroy(&image);
	fr_image_destroy(&large);
	free(file);
}

/* What is done per face besides the networks. */
static void
bench_parts(void)
{
	enum
	{
		COUNT = 200
	};
	FrImage image, crop;
	FrError error;
	FrFace face = {.x1 = 100, .y1 = 100};
	FrQuality quality;
	FrSimilarity transform;
	double warp = 1e9, measure = 1e9, pose = 1e9, sum = 0;

	check(fr_image_create(1280, 960, &fr_allocator_malloc, &image, &error),
		  &error);
	memset(image.pixels, 99, (size_t) image.width * (size_t) image.height * 3);
	fr_align_template(FR_TEMPLATE_ARCFACE_112, 300, 320, face.landmarks);
	fr_align_landmarks(face.landmarks, FR_TEMPLATE_ARCFACE_112, 112, 112,
					   &transform);
	for (int i = 0; i < COUNT; i++)
	{
		double t0 = now_ms();

		check(fr_image_warp(&image, &transform, 112, 112, &fr_allocator_malloc,
							&crop, &error),
			  &error);

		double t1 = now_ms();

		fr_quality_measure(&face, &image, &transform, &quality);

		double t2 = now_ms();

		sum += (double) fr_pose_estimate(face.landmarks).yaw;

		double t3 = now_ms();

		warp = t1 - t0 < warp ? t1 - t0 : warp;
		measure = t2 - t1 < measure ? t2 - t1 : measure;
		pose = t3 - t2 < pose ? t3 - t2 : pose;
		fr_image_destroy(&crop);
	}
	printf(
		"per face: crop 112 x 112 %.1f us, quality %.1f us, pose %.1f us%s\n",
		warp * 1e3, measure * 1e3, pose * 1e3, sum > 1e9 ? "!" : "");
	fr_image_destroy(&image);
}

int
main(int argc, char **argv)
{
	Model detector = {0}, embedder = {0};
	const char *last = NULL;
	void *bytes;
	size_t size_bytes;
	bool is_serving = argc > 1 && strcmp(argv[1], "-serve") == 0;

	if (is_serving)
	{
		argv++;
		argc--;
	}
	else
		bench_parts();
	if (!load_model("models/yunet_n_dynamic.onnx", "yunet", &detector) ||
		!load_model("models/mobilefacenet-128.onnx", "mobilefacenet",
					&embedder))
	{
		printf("the test data folder is not there: no photos\n");
		return 0;
	}
	if (argc > 1)
		detector.descriptor.detection_size = atoi(argv[1]);
	if (is_serving)
		serve(&detector, &embedder);
	for (int i = 2; i < argc; i++)
	{
		if ((bytes = read_whole(argv[i], &size_bytes)))
			bench_photo(argv[i], bytes, size_bytes, &detector, &embedder);
		free(bytes);
	}
	for (size_t i = 0; argc <= 2 && !is_serving &&
					   i < sizeof default_photos / sizeof *default_photos;
		 i++)
	{
		last = default_photos[i];
		if ((bytes = read_whole(data_path(last), &size_bytes)))
			bench_photo(last, bytes, size_bytes, &detector, &embedder);
		free(bytes);
	}
	if (last && (bytes = read_whole(data_path(last), &size_bytes)))
	{
		bench_large(bytes, size_bytes, &detector, &embedder);
		free(bytes);
	}
	fr_net_destroy(detector.net);
	fr_net_destroy(embedder.net);
	free(detector.bytes);
	free(embedder.bytes);
	return 0;
}
