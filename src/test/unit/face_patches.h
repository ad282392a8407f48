/*
 * face_patches.h: photos of patches, and the small networks of
 * sql_tests/data/models that take them for faces.
 *
 * A "face" is a square of magenta blocks; where it is, how large and where
 * its landmarks are is known exactly (make_models.py).  Header only.
 */
#ifndef FR_TEST_FACE_PATCHES_H
#define FR_TEST_FACE_PATCHES_H

#include "core/face/embed.h"
#include "core/face/pipeline.h"
#include "core/onnx/import.h"
#include "test/unit/tap.h"

#define MODELS "sql_tests/data/models/"
#define DIMS   16

typedef struct Patch
{
	int x, y, side; /* upper left pixel */
	unsigned seed;	/* of its blocks' shades */
} Patch;

/* ---- drawing ------------------------------------------------------------- */

static uint8_t
shade(unsigned seed, int block, int channel)
{
	unsigned hash =
		seed * 2654435761u + (unsigned) (block * 3 + channel) * 40503u;

	hash = (hash ^ (hash >> 15)) * 2246822519u;
	return (uint8_t) ((hash ^ (hash >> 13)) & 255);
}

static void
draw_patch(FrImage *image, const Patch *patch)
{
	for (int block = 0; block < 16; block++)
	{
		double x0 = patch->x + patch->side * (block % 4) / 4;
		double y0 = patch->y + patch->side * (block / 4) / 4;
		double x1 = patch->x + patch->side * (block % 4 + 1) / 4;
		double y1 = patch->y + patch->side * (block / 4 + 1) / 4;
		uint8_t rgb[3] = {(uint8_t) (200 + shade(patch->seed, block, 0) % 56),
						  (uint8_t) (shade(patch->seed, block, 1) % 40),
						  (uint8_t) (200 + shade(patch->seed, block, 2) % 56)};

		for (int y = (int) y0; y < (int) y1; y++)
		{
			for (int x = (int) x0; x < (int) x1; x++)
				memcpy(image->pixels +
						   ((size_t) y * (size_t) image->width + (size_t) x) *
							   3,
					   rgb, 3);
		}
	}
}

/* A JPEG of patches on a gray ramp; the caller frees it. */
static uint8_t *
make_photo(int width, int height, const Patch *patches, int count,
		   size_t *size_bytes)
{
	FrImage image;
	FrError error;
	uint8_t *bytes = NULL;

	if (fr_image_create(width, height, &fr_allocator_malloc, &image, &error))
		exit(1);
	for (int y = 0; y < height; y++)
	{
		for (int x = 0; x < width; x++)
			memset(image.pixels +
					   ((size_t) y * (size_t) width + (size_t) x) * 3,
				   60 + 120 * x / width, 3);
	}
	for (int i = 0; i < count; i++)
		draw_patch(&image, &patches[i]);
	if (fr_image_encode_jpeg(&image, 95, NULL, &fr_allocator_malloc, &bytes,
							 size_bytes, &error))
		exit(1);
	fr_image_destroy(&image);
	return bytes;
}

/* ---- networks ------------------------------------------------------------ */

typedef struct Model
{
	unsigned char *bytes;
	size_t size_bytes;
	FrNet *net;
	FrDescriptor descriptor;
	int dims;
} Model;

static FrStatus
create_net(Model *model, const FrAllocator *allocator, FrError *error)
{
	FrGraph graph;
	FrStatus status = fr_onnx_import(model->bytes, model->size_bytes, allocator,
									 &graph, error);

	model->net = NULL;
	if (status == FR_OK)
		status = fr_net_create(&graph, &(FrNetOptions){0}, allocator,
							   &model->net, error);
	return status;
}

static void
load_model(const char *path, const char *preset, Model *model)
{
	FrError error = {0};

	model->bytes = read_file(path, &model->size_bytes);
	if (!ok(model->bytes != NULL, "%s is there", path) ||
		!fr_preset_find(preset, &model->descriptor))
		exit(1);

	FrStatus status = create_net(model, &fr_allocator_malloc, &error);

	is_status(status, FR_OK, &error, "%s is loaded", path);
	if (status != FR_OK)
		exit(1);
	status = fr_descriptor_check(&model->descriptor, model->net, NULL,
								 &fr_allocator_malloc, &model->dims, &error);
	is_status(status, FR_OK, &error, "%s fits the preset %s", path, preset);
}

static void
unload_model(Model *model)
{
	fr_net_destroy(model->net);
	free(model->bytes);
}

/* Loaded by load_models. */
static Model detector, embedder;

static void
load_models(void)
{
	load_model(MODELS "patch-detector.onnx", "yunet", &detector);
	load_model(MODELS "patch-embedder.onnx", "mobilefacenet", &embedder);
}

static void
unload_models(void)
{
	unload_model(&detector);
	unload_model(&embedder);
}

/* ---- photos -------------------------------------------------------------- */

static FrPhoto *
open_photo(const uint8_t *bytes, size_t size_bytes, int detection_size)
{
	FrPhotoOptions options = {.max_pixels = 100000000,
							  .detection_size = detection_size};
	FrPhoto *photo = NULL;
	FrError error = {0};

	is_status(fr_photo_open(bytes, size_bytes, &options, &fr_allocator_malloc,
							&photo, &error),
			  FR_OK, &error, "photo opened for %d pixels", detection_size);
	return photo;
}

static FrDescriptor
detector_at(int detection_size)
{
	FrDescriptor descriptor = detector.descriptor;

	descriptor.detection_size = detection_size;
	descriptor.min_face_size = 5;
	return descriptor;
}

/* Detect all; the caller destroys the list. */
static FrFaces
detect(FrPhoto *photo, int detection_size)
{
	FrDescriptor descriptor = detector_at(detection_size);
	FrFaces faces = {0};
	FrError error = {0};

	is_status(fr_photo_detect(photo,
							  &(FrDetector){.nets = {detector.net},
											.descriptor = &descriptor},
							  &faces, &error),
			  FR_OK, &error, "detection runs");
	return faces;
}

#endif
