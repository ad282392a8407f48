/*
 * bench_cancel.c: how long work goes on without asking whether to stop.
 *
 * usage: bench_cancel [picture ...]
 * Every entry point is given a cancel hook that notes the thread CPU time
 * since it was last asked; the longest such stretch, from the call's start to
 * its end, is what a cancelled query would wait for at most.  A 40-megapixel
 * JPEG is made from a photo of FACEREC_TESTDATA (default ../shared) and goes
 * through one-shot detectors, the cascade, landmarks and crops of boxes;
 * further pictures may be named.  Networks with random weights are taken from
 * FACEREC_BENCH_MODELS (default build/models), where they are there.
 */
#include "core/face/detect.h"
#include "core/face/landmarks.h"
#include "core/face/pipeline.h"
#include "core/face/recognise.h"
#include "model_cases.h"

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
	void *bytes[FR_MAX_GRAPHS];
	FrNet *nets[FR_MAX_GRAPHS];
	FrDescriptor descriptor;
	int dims;
} Model;

static void
close_model(Model *model)
{
	for (int i = 0; i < FR_MAX_GRAPHS; i++)
	{
		fr_net_destroy(model->nets[i]);
		free(model->bytes[i]);
	}
}

static bool
open_net(const char *path, Model *model, int index)
{
	FrGraph graph = {0};
	size_t size_bytes;

	model->bytes[index] = load_file(path, &size_bytes);
	return model->bytes[index] &&
		   fr_onnx_import(model->bytes[index], size_bytes, &fr_allocator_malloc,
						  &graph, NULL) == FR_OK &&
		   fr_net_create(&graph, &(FrNetOptions){0}, &fr_allocator_malloc,
						 &model->nets[index], NULL) == FR_OK;
}

/* Recognition, check and trial run, as when a model is loaded. */
static void
watch_load(const char *name, Model *model)
{
	int count = model->descriptor.graph_count;
	FrDetector detector = {.descriptor = &model->descriptor};
	Watch watch = watch_start();
	FrCancel cancel = {note_time, &watch};
	FrDescriptor found;
	FrError error = {0};
	char hint[256], what[128];
	double begin = watch.last;
	FrStatus status =
		fr_preset_recognise(model->nets, count, &cancel, &fr_allocator_malloc,
							&found, hint, &error);

	snprintf(what, sizeof what, "%.40s: recognise", name);
	watch_report(&watch, what, begin,
				 status == FR_ERR_MISMATCH ? FR_OK : status);
	watch = watch_start();
	begin = watch.last;
	status = fr_model_check(&model->descriptor, model->nets, count, &cancel,
							&fr_allocator_malloc, &model->dims, &error);
	if (status == FR_OK && model->descriptor.role == FR_ROLE_DETECTOR)
	{
		memcpy(detector.nets, model->nets, sizeof detector.nets);
		status =
			fr_detect_probe(&detector, &cancel, &fr_allocator_malloc, &error);
	}
	snprintf(what, sizeof what, "%.40s: check and trial run", name);
	watch_report(&watch, what, begin, status);
}

/* The files of a model, separated by blanks. */
static bool
open_model(const char *files, bool is_random, const char *preset, Model *model)
{
	const char *file = files;
	bool is_open = fr_preset_find(preset, &model->descriptor);

	for (int i = 0; i < model->descriptor.graph_count && is_open; i++)
	{
		char name[128];

		snprintf(name, sizeof name, "%.*s", (int) strcspn(file, " "), file);
		file += strcspn(file, " ");
		file += *file == ' ';
		is_open = open_net(file_path(name, is_random), model, i);
	}
	if (is_open)
		watch_load(files, model);
	return is_open;
}

/* What a photo is looked at with. */
typedef struct Case
{
	const char *name;
	int detection_size;
	const Model *detector, *landmarker, *embedder;
} Case;

/* One stage of a photo, whose hook watches. */
static void
watch_stage(const Case *test, const char *stage, Watch *watch, double begin,
			FrStatus status)
{
	char what[128];

	snprintf(what, sizeof what, "%.36s: %s", test->name, stage);
	watch_report(watch, what, begin, status);
	*watch = watch_start();
}

static void
watch_photo(const Case *test, const void *bytes, size_t size_bytes)
{
	Watch watch = watch_start();
	FrPhotoOptions options = {.max_pixels = 100000000,
							  .detection_size = test->detection_size,
							  .cancel = {note_time, &watch}};
	FrDescriptor descriptor = test->detector->descriptor;
	const Model *embedder = test->embedder;
	FrDetector detector = {.descriptor = &descriptor};
	FrPhoto *photo = NULL;
	FrFaces faces = {0};
	FrFace face;
	bool is_found;
	char stage[64];
	double begin = watch.last;
	FrStatus status = fr_photo_open(bytes, size_bytes, &options,
									&fr_allocator_malloc, &photo, NULL);

	memcpy(detector.nets, test->detector->nets, sizeof detector.nets);
	descriptor.detection_size = test->detection_size;
	watch_stage(test, "decode", &watch, begin, status);
	if (status != FR_OK)
		return;
	begin = watch.last;
	status = fr_photo_detect(photo, &detector, &faces, NULL);
	snprintf(stage, sizeof stage, "detect %d faces", faces.count);
	watch_stage(test, stage, &watch, begin, status);
	if (test->landmarker && status == FR_OK)
	{
		/* as for a detector that gives only boxes */
		begin = watch.last;
		FrPhotoView view = fr_photo_view_decoded(photo);

		status = fr_landmarks_find(photo, &view, test->landmarker->nets[0],
								   &test->landmarker->descriptor, faces.faces,
								   faces.count, NULL);
		watch_stage(test, "landmarks", &watch, begin, status);
	}
	begin = watch.last;
	/* a place where nothing is: the surroundings are looked at, too */
	status = fr_photo_detect_region(photo, &detector, 10, 10, 4000, 6000, &face,
									&is_found, NULL);
	watch_stage(test, "detect in a region", &watch, begin, status);

	float *embeddings = calloc(
		(size_t) (faces.count + 1) * (size_t) embedder->dims, sizeof(float));

	begin = watch.last;
	if (embeddings && faces.count > 0)
	{
		status = fr_photo_embed(photo, embedder->nets[0], &embedder->descriptor,
								faces.faces, faces.count, embedder->dims,
								embeddings, NULL);
		watch_stage(test, "embed", &watch, begin, status);
	}
	free(embeddings);
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

/* The photo through every kind of detector and embedder. */
static void
watch_kinds(const void *large, size_t size_bytes)
{
	Model yunet = {0}, mtcnn = {0}, points = {0}, aligned = {0}, cut = {0};
	bool is_there =
		open_model("yunet_n_dynamic.onnx", false, "yunet", &yunet) &&
		open_model("mtcnn-pnet.onnx mtcnn-rnet.onnx mtcnn-onet.onnx", false,
				   "mtcnn", &mtcnn) &&
		open_model("landmarks-regression-retail-0009.onnx", false,
				   "omz-landmarks-0009", &points) &&
		open_model("mobilefacenet-128.onnx", false, "mobilefacenet",
				   &aligned) &&
		open_model("mobilefacenet-128.onnx", false, "mobilefacenet", &cut);
	const Case cases[] = {
		{"1280, YuNet", 1280, &yunet, NULL, &aligned},
		{"native, YuNet", 0, &yunet, NULL, &aligned},
		/* boxes are cut out of all pixels for landmarks and embeddings */
		{"native, YuNet, cut by boxes", 0, &yunet, &points, &cut},
		{"1280, YuNet, cut by boxes", 1280, &yunet, &points, &cut},
		{"1280, MTCNN", 1280, &mtcnn, NULL, &aligned},
		{"native, MTCNN", 0, &mtcnn, NULL, &aligned},
	};

	cut.descriptor.alignment = FR_TEMPLATE_BOX;
	cut.descriptor.margin = 1;
	for (size_t i = 0; is_there && i < sizeof cases / sizeof *cases; i++)
		watch_photo(&cases[i], large, size_bytes);
	close_model(&yunet);
	close_model(&mtcnn);
	close_model(&points);
	close_model(&aligned);
	close_model(&cut);
}

int
main(int argc, char **argv)
{
	const char *folder = getenv("FACEREC_TESTDATA");
	size_t size_bytes = 0;
	char path[4096];

	snprintf(path, sizeof path, "%s/photos/obama-small.jpg",
			 folder && *folder ? folder : "../shared");

	uint8_t *large = enlarge(path, &size_bytes);

	if (!large)
	{
		puts("skipped: the test data folder is not there");
		return 0;
	}
	watch_kinds(large, size_bytes);
	free(large);
	for (int i = 1; i < argc; i++)
	{
		void *bytes = load_file(argv[i], &size_bytes);

		printf("%s\n", argv[i]);
		if (bytes)
			watch_kinds(bytes, size_bytes);
		free(bytes);
	}
	for (size_t i = 0; i < MODEL_CASE_COUNT; i++)
		watch_model(&model_cases[i]);
	return 0;
}
