/*
 * bench_cancel.c: how long work goes on without asking whether to stop.
 *
 * usage: bench_cancel [picture ...]
 * Every entry point is given a cancel hook that notes the thread CPU time
 * since it was last asked; the longest such stretch, from the call's start to
 * its end, is what a cancelled query would wait for at most.  A 40-megapixel
 * JPEG is made from a photo of FACEREC_TESTDATA (default ../shared);
 * further pictures may be named.  Networks with random weights are taken from
 * FACEREC_BENCH_MODELS (default build/models), where they are there.
 */
#include "core/face/pipeline.h"
#include "model_cases.h"

#define MAX_FACES 100

typedef struct Watch
{
	double last, longest;
	long polls;
} Watch;

static bool
note_time(void *context)
{
	Watch *watch = context;
	double now = thread_seconds();

	if (now - watch->last > watch->longest)
		watch->longest = now - watch->last;
	watch->last = now;
	watch->polls++;
	return false;
}

static Watch
watch_start(void)
{
	return (Watch){.last = thread_seconds()};
}

static void
watch_report(Watch *watch, const char *what, double begin, FrStatus status)
{
	note_time(watch);
	printf("%-52s %9.1f ms, asked %7ld times, longest stretch %6.2f ms%s\n",
		   what, 1e3 * (watch->last - begin), watch->polls - 1,
		   1e3 * watch->longest, status == FR_OK ? "" : "  (failed)");
	fflush(stdout);
}

typedef struct Model
{
	void *bytes;
	FrNet *net;
	FrDescriptor descriptor;
	int dims;
} Model;

static bool
open_model(const char *file, const char *preset, Model *model)
{
	ModelCase source = {.file = file};
	FrGraph graph = {0};
	size_t size_bytes;
	FrError error;

	model->bytes = load_file(model_path(&source), &size_bytes);
	return model->bytes &&
		   fr_onnx_import(model->bytes, size_bytes, &fr_allocator_malloc,
						  &graph, &error) == FR_OK &&
		   fr_net_create(&graph, &(FrNetOptions){0}, &fr_allocator_malloc,
						 &model->net, &error) == FR_OK &&
		   fr_preset_find(preset, &model->descriptor) &&
		   fr_descriptor_check(&model->descriptor, model->net, NULL,
							   &fr_allocator_malloc, &model->dims,
							   &error) == FR_OK;
}

static void
watch_photo(const char *name, const void *bytes, size_t size_bytes,
			int detection_size, Model *detector, const Model *embedder)
{
	Watch watch = watch_start();
	FrPhotoOptions options = {.max_pixels = 100000000,
							  .detection_size = detection_size,
							  .cancel = {note_time, &watch}};
	FrPhoto *photo = NULL;
	FrFaces faces = {0};
	char what[128];
	double begin = thread_seconds();
	FrStatus status = fr_photo_open(bytes, size_bytes, &options,
									&fr_allocator_malloc, &photo, NULL);

	snprintf(what, sizeof what, "%.28s: decode for %d", name, detection_size);
	watch_report(&watch, what, begin, status);
	if (status != FR_OK)
		return;
	detector->descriptor.detection_size = detection_size;
	watch = watch_start();
	begin = watch.last;
	status = fr_photo_detect(photo,
							 &(FrDetector){.nets = {detector->net},
										   .descriptor = &detector->descriptor},
							 &faces, NULL);
	snprintf(what, sizeof what, "%.28s: detect %d faces", name, faces.count);
	watch_report(&watch, what, begin, status);
	if (status == FR_OK && faces.count > 0)
	{
		float *embeddings = malloc((size_t) faces.count *
								   (size_t) embedder->dims * sizeof(float));

		watch = watch_start();
		begin = watch.last;
		status = fr_photo_embed(photo, embedder->net, &embedder->descriptor,
								faces.faces, faces.count, embedder->dims,
								embeddings, NULL);
		snprintf(what, sizeof what, "%.28s: embed", name);
		watch_report(&watch, what, begin, status);
		free(embeddings);
	}
	fr_faces_destroy(&faces);
	fr_photo_close(photo);
}

/* Planning (with packing of the weights) and one run. */
static void
watch_model(const ModelCase *model)
{
	FrNetOptions options = {0};
	FrGraph graph = {0};
	FrNet *net = NULL;
	FrPlan *plan = NULL;
	Watch watch;
	FrCancel cancel = {note_time, &watch};
	size_t size = 0, floats = 0;
	void *bytes = load_file(model_path(model), &size);
	char what[128];

	if (!bytes ||
		fr_onnx_import(bytes, size, &fr_allocator_malloc, &graph, NULL) !=
			FR_OK ||
		fr_net_create(&graph, &options, &fr_allocator_malloc, &net, NULL) !=
			FR_OK)
	{
		free(bytes);
		return;
	}
	watch = watch_start();

	double begin = watch.last;
	FrStatus status = fr_net_plan(net, &model->shape, &cancel, &plan, NULL);

	snprintf(what, sizeof what, "%s: plan", model->file);
	watch_report(&watch, what, begin, status);
	if (status == FR_OK)
	{
		float *input = make_input(model);

		fr_shape_count(&model->shape, &floats);
		memcpy(fr_plan_input(plan, 0), input, floats * sizeof *input);
		free(input);
		watch = watch_start();
		begin = watch.last;
		status = fr_plan_run(plan, &cancel, NULL);
		snprintf(what, sizeof what, "%s: run", model->file);
		watch_report(&watch, what, begin, status);
	}
	fr_net_destroy(net);
	free(bytes);
}

/* The file's picture, enlarged to 40 megapixels, as a JPEG file. */
static uint8_t *
enlarge(const char *path, size_t *size_bytes)
{
	FrDecodeOptions options = {.max_pixels = 100000000, .reduction = 1};
	FrImage picture = {0}, large = {0};
	uint8_t *file = NULL;
	size_t bytes_count = 0;
	void *bytes = load_file(path, &bytes_count);

	if (bytes &&
		fr_image_decode(bytes, bytes_count, &options, &fr_allocator_malloc,
						&picture, NULL) == FR_OK &&
		fr_image_resize(&picture, 5164, 7746, NULL, &fr_allocator_malloc,
						&large, NULL) == FR_OK)
		fr_image_encode_jpeg(&large, 90, NULL, &fr_allocator_malloc, &file,
							 size_bytes, NULL);
	fr_image_destroy(&picture);
	fr_image_destroy(&large);
	free(bytes);
	return file;
}

int
main(int argc, char **argv)
{
	const char *folder = getenv("FACEREC_TESTDATA");
	Model detector = {0}, embedder = {0};
	size_t size_bytes = 0;
	char path[4096];

	if (!open_model("yunet_n_dynamic.onnx", "yunet", &detector) ||
		!open_model("mobilefacenet-128.onnx", "mobilefacenet", &embedder))
	{
		puts("skipped: the test data folder is not there");
		return 0;
	}
	snprintf(path, sizeof path, "%s/photos/obama-small.jpg",
			 folder && *folder ? folder : "../shared");

	uint8_t *large = enlarge(path, &size_bytes);

	if (large)
	{
		watch_photo("40 megapixels", large, size_bytes, 1280, &detector,
					&embedder);
		watch_photo("40 megapixels, native", large, size_bytes, 0, &detector,
					&embedder);
		free(large);
	}
	for (int i = 1; i < argc; i++)
	{
		void *bytes = load_file(argv[i], &size_bytes);

		if (bytes)
			watch_photo(argv[i], bytes, size_bytes, 1280, &detector, &embedder);
		free(bytes);
	}
	for (size_t i = 0; i < MODEL_CASE_COUNT; i++)
		watch_model(&model_cases[i]);
	fr_net_destroy(detector.net);
	fr_net_destroy(embedder.net);
	free(detector.bytes);
	free(embedder.bytes);
	return 0;
}
