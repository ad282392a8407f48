/*
 * test_face_samples.c: what networks are calibrated on is what they are fed
 * with.
 *
 * The small networks of sql_tests/data/models find and embed the faces of a
 * drawn photo; the samples, given to the network, must give the embeddings
 * that the pipeline gives.
 */
#include "core/face/embed.h"
#include "core/face/samples.h"
#include "core/onnx/import.h"
#include "tap.h"

#define MODELS	  "sql_tests/data/models/"
#define PARTY	  "sql_tests/data/patches/party.png"
#define DIMS	  16
#define MAX_FACES 16

typedef struct Model
{
	unsigned char *bytes;
	FrNet *net;
	FrDescriptor descriptor;
} Model;

static Model detector, embedder;
static unsigned char *party;
static size_t party_bytes;

static void
load_model(const char *path, const char *preset, Model *model)
{
	size_t size_bytes;
	FrGraph graph;
	FrError error = {0};

	model->bytes = read_file(path, &size_bytes);
	if (!model->bytes || !fr_preset_find(preset, &model->descriptor) ||
		fr_onnx_import(model->bytes, size_bytes, &fr_allocator_malloc, &graph,
					   &error) != FR_OK ||
		fr_net_create(&graph, NULL, &fr_allocator_malloc, &model->net,
					  &error) != FR_OK)
	{
		ok(false, "%s cannot be loaded: %s", path, error.message);
		exit(1);
	}
}

static FrStatus
open_party(const FrAllocator *allocator, FrPhoto **photo, FrError *error)
{
	FrPhotoOptions options = {.max_pixels = 1000000};

	return fr_photo_open(party, party_bytes, &options, allocator, photo, error);
}

static FrDetector
get_detector(void)
{
	return (FrDetector){.descriptor = &detector.descriptor,
						.nets = {detector.net}};
}

/* A set with the samples of one photo. */
static FrStatus
collect(const Model *model, int capacity, size_t max_bytes,
		const FrAllocator *allocator, FrSampleSet *set, FrError *error)
{
	FrDetector finder = get_detector();
	FrPhoto *photo;
	FrStatus status =
		fr_sample_set_init(set, fr_net_graph(model->net), &model->descriptor,
						   capacity, max_bytes, allocator, error);

	if (status != FR_OK)
		return status;
	status = open_party(allocator, &photo, error);
	if (status == FR_OK)
	{
		status = fr_sample_set_add_photo(set, photo, &finder, error);
		fr_photo_close(photo);
	}
	if (status != FR_OK)
		fr_sample_set_fini(set);
	return status;
}

/* The pipeline's embeddings; returns how many. */
static int
embed_party(float embeddings[MAX_FACES][DIMS])
{
	FrDetector finder = get_detector();
	FrFaces faces = {0};
	FrPhoto *photo;
	FrError error = {0};
	FrStatus status = open_party(&fr_allocator_malloc, &photo, &error);

	if (status == FR_OK)
		status = fr_photo_detect(photo, &finder, &faces, &error);

	int count = faces.count < MAX_FACES ? faces.count : MAX_FACES;

	if (status == FR_OK)
		status =
			fr_photo_embed(photo, embedder.net, &embedder.descriptor,
						   faces.faces, count, DIMS, embeddings[0], &error);
	is_status(status, FR_OK, &error, "%d faces are embedded", count);
	fr_faces_destroy(&faces);
	fr_photo_close(photo);
	return count;
}

static double
largest_difference(const float *a, const float *b)
{
	double largest = 0;

	for (int i = 0; i < DIMS; i++)
		largest = fmax(largest, fabs((double) a[i] - (double) b[i]));
	return largest;
}

static void
test_faces(void)
{
	float embeddings[MAX_FACES][DIMS];
	FrSampleSet set;
	FrError error = {0};
	int count = embed_party(embeddings);

	is_status(
		collect(&embedder, 100, SIZE_MAX, &fr_allocator_malloc, &set, &error),
		FR_OK, &error, "the faces of a photo are collected");
	is_int(set.count, count, "as many as the pipeline embeds");
	ok(count > 1, "which are several");
	is_int((int64_t) set.bytes, 3 * 112 * 112 * count, "their size is known");

	FrSamples samples = fr_sample_set_samples(&set);

	for (int i = 0; i < samples.count; i++)
	{
		FrPlan *plan;
		const FrShape *shape;
		FrStatus status =
			fr_net_plan(embedder.net, &samples.shapes[i], NULL, &plan, &error);

		if (status == FR_OK)
			status = samples.fill(samples.context, i, plan, &error);
		if (status == FR_OK)
			status = fr_plan_run(plan, NULL, &error);
		is_status(status, FR_OK, &error, "sample %d runs", i);
		ok(largest_difference(fr_plan_output(plan, 0, &shape), embeddings[i]) <
			   1e-4,
		   "and gives the pipeline's embedding");
	}
	fr_sample_set_truncate(&set, 1);
	ok(set.count == 1 && set.bytes == 3 * 112 * 112, "one is kept");
	fr_sample_set_fini(&set);
}

static void
test_photos(void)
{
	FrSampleSet set;
	FrError error = {0};

	is_status(
		collect(&detector, 100, SIZE_MAX, &fr_allocator_malloc, &set, &error),
		FR_OK, &error, "a photo is collected for a detector");
	is_int(set.count, 1, "it is one sample");
	ok(set.shapes[0].dims[2] % 32 == 0 && set.shapes[0].dims[3] % 32 == 0 &&
		   set.shapes[0].dims[2] >= set.images[0].height &&
		   set.shapes[0].dims[3] >= set.images[0].width,
	   "with room for the padding");
	fr_sample_set_fini(&set);
}

static void
test_limits(void)
{
	FrSampleSet set;
	FrImage crop;
	FrError error = {0};

	is_status(
		collect(&embedder, 2, SIZE_MAX, &fr_allocator_malloc, &set, &error),
		FR_OK, &error, "a set for two");
	ok(set.count == 2 && fr_sample_set_is_full(&set), "is full with two");
	fr_sample_set_fini(&set);
	is_status(collect(&embedder, 100, 1, &fr_allocator_malloc, &set, &error),
			  FR_OK, &error, "a set for one byte");
	ok(set.count == 1 && fr_sample_set_is_full(&set), "is full with one");
	fr_sample_set_truncate(&set, 0);
	is_status(fr_image_create(112, 111, &fr_allocator_malloc, &crop, &error),
			  FR_OK, &error, "a crop of another size");
	is_status(fr_sample_set_add_crop(&set, &crop, &error), FR_ERR_MISMATCH,
			  &error, "is refused");
	fr_image_destroy(&crop);
	fr_sample_set_fini(&set);
}

static void
test_memory(void)
{
	FrStatus status = FR_ERR_NOMEM;
	FrError error = {0};
	long n = 1, leaks = 0;

	for (; status == FR_ERR_NOMEM && n < 1000; n++)
	{
		TestMemory memory = {.fail_at = n};
		FrAllocator allocator = test_allocator(&memory);
		FrSampleSet set;

		status = collect(&embedder, 100, SIZE_MAX, &allocator, &set, &error);
		if (status == FR_OK)
			fr_sample_set_fini(&set);
		leaks += memory.live;
	}
	is_status(status, FR_OK, &error, "collected after %ld failures", n - 2);
	ok(n > 5, "they were several");
	is_int(leaks, 0, "nothing is left");
}

int
main(void)
{
	load_model(MODELS "patch-detector.onnx", "yunet", &detector);
	load_model(MODELS "patch-embedder.onnx", "mobilefacenet", &embedder);
	party = read_file(PARTY, &party_bytes);
	if (!ok(party != NULL, "the photo is there"))
		return tap_done();
	test_faces();
	test_photos();
	test_limits();
	test_memory();
	fr_net_destroy(detector.net);
	fr_net_destroy(embedder.net);
	free(detector.bytes);
	free(embedder.bytes);
	free(party);
	return tap_done();
}
