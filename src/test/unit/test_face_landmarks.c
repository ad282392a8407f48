/*
 * test_face_landmarks.c: landmarks-regression-retail-0009 on the boxes of the
 * golden photos, against the landmarks of YuNet there, and crops of boxes.
 */
#include "core/face/landmarks.h"
#include "core/onnx/import.h"
#include "test/unit/json.h"
#include "test/unit/tap.h"

#if defined(__SANITIZE_ADDRESS__)
#define MAX_PIXELS 300000.0
#else
#define MAX_PIXELS 1e9
#endif

/* ---- crops of boxes ------------------------------------------------------ */

static FrPhoto *
open_photo(const void *bytes, size_t size_bytes, int detection_size)
{
	FrPhotoOptions options = {.max_pixels = 100000000,
							  .detection_size = detection_size};
	FrPhoto *photo = NULL;
	FrError error = {0};

	if (fr_photo_open(bytes, size_bytes, &options, &fr_allocator_malloc, &photo,
					  &error) != FR_OK)
		diag("%s", error.message);
	return photo;
}

/* A JPEG whose red grows with x and green with y; the caller frees it. */
static uint8_t *
make_ramps(int width, int height, size_t *size_bytes)
{
	FrImage image;
	FrError error;
	uint8_t *bytes = NULL;

	if (fr_image_create(width, height, &fr_allocator_malloc, &image, &error))
		exit(1);
	for (int i = 0; i < width * height; i++)
	{
		image.pixels[i * 3] = (uint8_t) (i % width * 255 / (width - 1));
		image.pixels[i * 3 + 1] = (uint8_t) (i / width * 255 / (height - 1));
		image.pixels[i * 3 + 2] = 0;
	}
	if (fr_image_encode_jpeg(&image, 100, NULL, &fr_allocator_malloc, &bytes,
							 size_bytes, &error))
		exit(1);
	fr_image_destroy(&image);
	return bytes;
}

/* The crop's middle column and row have the ramps' values of its area, both
 * from the full-size picture and from a reduced decode. */
static void
test_crops_of_boxes(void)
{
	static const FrPhotoArea areas[] = {
		{100.4, 60.7, 300.2, 221.9}, /* shrunk */
		{10, 20, 34, 44},			 /* enlarged */
		{-40, -30, 100, 90},		 /* over a corner */
		{380, 200, 700, 500},		 /* over the other */
	};
	size_t size_bytes;
	uint8_t *bytes = make_ramps(512, 384, &size_bytes);
	double worst = 0;

	for (int size = 0; size <= 256; size += 128)
	{
		FrPhoto *photo = open_photo(bytes, size_bytes, size);

		for (size_t i = 0; i < sizeof areas / sizeof *areas; i++)
		{
			FrPhotoArea area = areas[i];
			FrImage crop;
			FrError error = {0};

			is_status(fr_photo_stretch(photo, &area, 48, 48, &crop, &error),
					  FR_OK, &error, "area %zu at %d", i, size);
			ok(area.x0 >= 0 && area.y0 >= 0 && area.x1 <= 512 &&
				   area.y1 <= 384 && fabs(area.x0 - fmax(areas[i].x0, 0)) <= 4,
			   "what was cut lies in the picture: %g to %g", area.x0, area.x1);
			for (int k = 4; k < 44; k++)
			{
				const uint8_t *row = fr_image_row(&crop, k);
				double x = area.x0 + (k + 0.5) / 48 * (area.x1 - area.x0) - 0.5;
				double y = area.y0 + (k + 0.5) / 48 * (area.y1 - area.y0) - 0.5;

				worst = fmax(worst, fabs(row[k * 3] - x * 255 / 511));
				worst = fmax(worst, fabs(row[k * 3 + 1] - y * 255 / 383));
			}
			fr_image_destroy(&crop);
		}

		FrPhotoArea outside = {600, 10, 700, 50}, empty = {5, 5, 5, 9},
					odd = {NAN, 0, 10, 10};
		FrImage crop;
		FrError error = {0};

		ok(fr_photo_stretch(photo, &outside, 48, 48, &crop, &error) ==
				   FR_ERR_ARGUMENT &&
			   fr_photo_stretch(photo, &empty, 48, 48, &crop, &error) ==
				   FR_ERR_ARGUMENT &&
			   fr_photo_stretch(photo, &odd, 48, 48, &crop, &error) ==
				   FR_ERR_ARGUMENT,
		   "areas outside, without width, not finite: refused");
		fr_photo_close(photo);
	}
	ok(worst < 4, "pixels come from their places (%.2g levels)", worst);
	free(bytes);
}

/* ---- the real network ---------------------------------------------------- */

typedef struct Sum
{
	double distance; /* in widths of the face */
	int points, faces;
	double worst;
} Sum;

static void
compare_face(FrPhoto *photo, FrNet *net, const FrDescriptor *descriptor,
			 const Json *golden, Sum *sum)
{
	const Json *box = json_get(golden, "box");
	float width = (float) json_number(json_at(box, 2));
	FrFace face = {
		.x0 = (float) json_number(json_at(box, 0)),
		.y0 = (float) json_number(json_at(box, 1)),
		.lacks_landmarks = true,
	};
	FrError error = {0};

	face.x1 = face.x0 + width;
	face.y1 = face.y0 + (float) json_number(json_at(box, 3));
	if (fr_landmarks_find(photo, net, descriptor, &face, 1, &error) != FR_OK ||
		face.lacks_landmarks)
	{
		ok(false, "landmarks: %s", error.message);
		return;
	}
	for (int k = 0; k < FR_LANDMARK_COUNT; k++)
	{
		const Json *point = json_at(json_get(golden, "landmarks"), k);
		double distance =
			hypot((double) face.landmarks[k].x - json_number(json_at(point, 0)),
				  (double) face.landmarks[k].y -
					  json_number(json_at(point, 1))) /
			(double) width;

		sum->distance += distance;
		sum->worst = fmax(sum->worst, distance);
		sum->points++;
	}
	sum->faces++;
}

static void
compare_photo(const Json *golden, FrNet *net, const FrDescriptor *descriptor,
			  Sum *sum)
{
	char name[256];
	size_t size_bytes;

	snprintf(name, sizeof name, "photos/%s", golden->name);

	unsigned char *bytes = read_file(testdata_path(name), &size_bytes);
	FrPhoto *photo = bytes ? open_photo(bytes, size_bytes, 0) : NULL;

	if (ok(photo != NULL, "%s: opened", golden->name))
	{
		for (const Json *g = json_get(golden, "faces")->first; g; g = g->next)
			compare_face(photo, net, descriptor, g, sum);
	}
	fr_photo_close(photo);
	free(bytes);
}

static void
test_real_network(void)
{
	size_t golden_bytes, size_bytes;
	unsigned char *text =
		read_file(testdata_path("photos/golden.json"), &golden_bytes);
	unsigned char *bytes =
		read_file(testdata_path("models/landmarks-regression-retail-0009.onnx"),
				  &size_bytes);
	FrDescriptor descriptor;
	FrGraph graph;
	FrNet *net = NULL;
	FrError error = {0};
	Sum sum = {0};
	int dims;

	if (!text || !bytes)
	{
		skip("landmarks on photos", "the test data folder is not there");
		return;
	}
	fr_preset_find("omz-landmarks-0009", &descriptor);

	FrStatus status =
		fr_onnx_import(bytes, size_bytes, &fr_allocator_malloc, &graph, &error);

	if (status == FR_OK)
		status =
			fr_net_create(&graph, NULL, &fr_allocator_malloc, &net, &error);
	if (status == FR_OK)
		status = fr_descriptor_check(&descriptor, net, NULL,
									 &fr_allocator_malloc, &dims, &error);
	is_status(status, FR_OK, &error, "the network fits its preset");

	Json *golden = json_parse(text, golden_bytes);

	for (const Json *photo = json_get(golden, "photos")->first;
		 photo && status == FR_OK; photo = photo->next)
	{
		if (json_number(json_get(photo, "width")) *
					json_number(json_get(photo, "height")) <=
				MAX_PIXELS &&
			strcmp(json_text(json_get(photo, "format")), "WEBP") != 0)
			compare_photo(photo, net, &descriptor, &sum);
	}
	diag("%d faces: landmarks %.4f of the face's width from YuNet's, at most "
		 "%.4f",
		 sum.faces, sum.distance / sum.points, sum.worst);
	ok(sum.faces > 0 && sum.distance / sum.points < 0.06,
	   "two networks agree on where eyes, nose and mouth are");
	if (net)
		fr_net_destroy(net);
	json_destroy(golden);
	free(text);
	free(bytes);
}

int
main(void)
{
	test_crops_of_boxes();
	test_real_network();
	return tap_done();
}
