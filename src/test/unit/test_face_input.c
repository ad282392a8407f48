/*
 * test_face_input.c: what a network is fed with, and the preset table.
 */
#include "core/face/input.h"
#include "core/onnx/import.h"
#include "test/unit/onnx_build.h"
#include "test/unit/tap.h"

/* 2 x 2: red 10, green 20, blue 30, and so on. */
static uint8_t pixels[] = {10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120};
static const FrImage image = {2, 2, pixels, NULL};

/* A network that gives back what it is fed with. */
typedef struct Mirror
{
	OnnxBuffer file;
	FrNet *net;
} Mirror;

static Mirror
make_mirror(void)
{
	Mirror mirror;
	OnnxModel onnx;
	FrGraph graph;
	FrError error = {0};

	onnx_begin(&onnx, 13);
	onnx_input(&onnx, "x", 4, (int64_t[]){-1, 3, -1, -1});
	onnx_weight_f32(&onnx, "zero", 1, (int64_t[]){1}, (float[]){0});
	onnx_node(&onnx, "Add", "add", "x zero", "y");
	onnx_output(&onnx, "y", 0, NULL);
	mirror.file = onnx_finish(&onnx);
	if (fr_onnx_import(mirror.file.data, mirror.file.size_bytes,
					   &fr_allocator_malloc, &graph, &error) != FR_OK ||
		fr_net_create(&graph, NULL, &fr_allocator_malloc, &mirror.net,
					  &error) != FR_OK)
		exit(1);
	return mirror;
}

static void
free_mirror(Mirror *mirror)
{
	fr_net_destroy(mirror->net);
	free(mirror->file.data);
}

/* Feed the picture to an input of width x height; planes [3, height, width]
 * gets what arrives. */
static FrStatus
feed(Mirror *mirror, const FrDescriptor *descriptor, bool is_mirrored,
	 int width, int height, float *planes, FrError *error)
{
	FrShape shape = fr_input_shape(fr_net_graph(mirror->net), 1, width, height);
	const FrShape *out_shape;
	FrPlan *plan;
	FrStatus status = fr_net_plan(mirror->net, &shape, NULL, &plan, error);

	if (status == FR_OK)
		status = fr_input_set(plan, 0, &image, descriptor, is_mirrored, error);
	if (status == FR_OK)
		status = fr_plan_run(plan, NULL, error);
	if (status == FR_OK)
		memcpy(planes, fr_plan_output(plan, 0, &out_shape),
			   sizeof(float) * 3 * (size_t) (width * height));
	return status;
}

static void
test_bgr_without_normalisation(Mirror *mirror)
{
	FrDescriptor d;
	FrError error = {0};
	float planes[3 * 3 * 4];
	static const float want[3 * 3 * 4] = {
		30, 60, 0, 0, 90, 120, 0, 0, 0, 0, 0, 0, /* blue */
		20, 50, 0, 0, 80, 110, 0, 0, 0, 0, 0, 0, /* green */
		10, 40, 0, 0, 70, 100, 0, 0, 0, 0, 0, 0, /* red */
	};

	ok(fr_preset_find("yunet", &d) && d.is_bgr, "yunet takes BGR");
	is_status(feed(mirror, &d, false, 4, 3, planes, &error), FR_OK, &error,
			  "fed");
	ok(memcmp(planes, want, sizeof want) == 0,
	   "planes, padded with zeros at the right and bottom");
}

static void
test_rgb_normalised_and_mirrored(Mirror *mirror)
{
	FrDescriptor d;
	FrError error = {0};
	float planes[3 * 2 * 3];

	ok(fr_preset_find("mobilefacenet", &d) && !d.is_bgr,
	   "mobilefacenet takes RGB");
	is_status(feed(mirror, &d, true, 3, 2, planes, &error), FR_OK, &error,
			  "fed mirrored");
	ok_near(planes[0], (40 - 127.5) / 128, 1e-7, "the first row of red");
	ok_near(planes[1], (10 - 127.5) / 128, 1e-7, "mirrored");
	ok_near(planes[2], -127.5 / 128, 1e-7, "padding is black");
	ok_near(planes[6], (50 - 127.5) / 128, 1e-7, "green follows");
	ok_near(planes[15], (120 - 127.5) / 128, 1e-7, "second row of blue");
	d.mean[1] = 0;
	d.scale[1] = 2;
	is_status(feed(mirror, &d, false, 2, 2, planes, &error), FR_OK, &error,
			  "fed with a scale per channel");
	ok_near(planes[4], 40, 1e-6, "each channel has its own");
	ok_near(planes[0], (10 - 127.5) / 128, 1e-7, "of both");
}

static void
test_limits(Mirror *mirror)
{
	FrDescriptor d;
	FrError error = {0};
	float planes[12];

	fr_preset_find("arcface", &d);
	is_status(feed(mirror, &d, false, 1, 2, planes, &error), FR_ERR_ARGUMENT,
			  &error, "a picture larger than the input is refused");
}

static void
test_presets(void)
{
	FrDescriptor d;

	ok(fr_preset_find("omz-reid-0095", &d) && d.is_bgr &&
		   d.input_width == 128 && d.input_height == 128 &&
		   d.alignment == FR_TEMPLATE_OMZ_128 && d.mean[0] == 0 &&
		   d.scale[0] == 1 && d.role == FR_ROLE_EMBEDDER,
	   "omz-reid-0095");
	ok(fr_preset_find("arcface", &d) && d.input_width == 112 &&
		   d.scale[2] == 1 / 127.5f && d.mean[2] == 127.5f &&
		   d.alignment == FR_TEMPLATE_ARCFACE_112,
	   "arcface");
	ok(fr_preset_find("yunet", &d) && d.role == FR_ROLE_DETECTOR &&
		   d.detection_size == 1280 && d.min_face_size == 20 &&
		   d.max_faces == 100 && d.size_multiple == 32,
	   "yunet");
	ok(!fr_preset_find("", &d) && !fr_preset_find("YuNet", &d),
	   "names are exact");
}

int
main(void)
{
	Mirror mirror = make_mirror();

	test_bgr_without_normalisation(&mirror);
	test_rgb_normalised_and_mirrored(&mirror);
	test_limits(&mirror);
	free_mirror(&mirror);
	test_presets();
	return tap_done();
}
