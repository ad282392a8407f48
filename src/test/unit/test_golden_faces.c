/*
 * test_golden_faces.c: photos to boxes, landmarks, crops and embeddings,
 * against what OpenCV's decoder, ONNX Runtime and numpy computed for the same
 * files (photos/golden.json of the test data).
 *
 * Built with a sanitizer, or with FACEREC_TEST_SMALL set, only the smaller
 * photos are run.
 */
#include "core/face/embed.h"
#include "core/face/nms.h"
#include "core/face/pipeline.h"
#include "core/onnx/import.h"
#include "test/unit/json.h"
#include "test/unit/tap.h"

#if defined(__SANITIZE_ADDRESS__)
#define MAX_PIXELS 500000.0
#else
#define MAX_PIXELS 1e9
#endif
#define SMALL_PIXELS 80000.0

typedef struct Model
{
	unsigned char *bytes;
	FrNet *net;
	FrDescriptor descriptor;
	int dims;
	const char *crop_key, *vector_key; /* in golden.json */
} Model;

/* The worst values over all faces. */
typedef struct Worst
{
	double iou, landmark, crop, cosine_photo, cosine_crop;
	int photos, faces;
} Worst;

static bool
load_model(const char *file, const char *preset, Model *model)
{
	char name[256];
	size_t size_bytes;
	FrGraph graph;
	FrError error = {0};

	snprintf(name, sizeof name, "models/%s", file);
	model->bytes = read_file(testdata_path(name), &size_bytes);
	if (!model->bytes)
		return ok(false, "%s is there", file);

	FrStatus status = fr_onnx_import(model->bytes, size_bytes,
									 &fr_allocator_malloc, &graph, &error);

	if (status == FR_OK)
		status = fr_net_create(&graph, &(FrNetOptions){0}, &fr_allocator_malloc,
							   &model->net, &error);
	is_status(status, FR_OK, &error, "%s is loaded", file);
	if (status != FR_OK)
		return false;
	ok(fr_preset_find(preset, &model->descriptor), "preset %s", preset);
	status = fr_descriptor_check(&model->descriptor, model->net, NULL,
								 &fr_allocator_malloc, &model->dims, &error);
	is_status(status, FR_OK, &error, "%s fits the preset %s", file, preset);
	return status == FR_OK;
}

static void
unload_model(Model *model)
{
	fr_net_destroy(model->net);
	free(model->bytes);
}

static double
cosine(const float *a, const Json *b, int count)
{
	double ab = 0, aa = 0, bb = 0;
	const Json *element = b ? b->first : NULL;

	for (int i = 0; i < count; i++, element = element ? element->next : NULL)
	{
		double x = (double) a[i], y = json_number(element);

		ab += x * y;
		aa += x * x;
		bb += y * y;
	}
	return ab / sqrt(aa * bb);
}

static double
face_iou(const FrFace *face, const Json *golden)
{
	const Json *box = json_get(golden, "box");
	float x = (float) json_number(json_at(box, 0));
	float y = (float) json_number(json_at(box, 1));
	float w = (float) json_number(json_at(box, 2));
	float h = (float) json_number(json_at(box, 3));

	return (double) fr_nms_iou(face->x0, face->y0, face->x1, face->y1, x, y,
							   x + w, y + h);
}

static double
landmark_error(const FrFace *face, const Json *golden)
{
	double worst = 0;

	for (int k = 0; k < FR_LANDMARK_COUNT; k++)
	{
		const Json *point = json_at(json_get(golden, "landmarks"), k);

		worst = fmax(worst, hypot((double) face->landmarks[k].x -
									  json_number(json_at(point, 0)),
								  (double) face->landmarks[k].y -
									  json_number(json_at(point, 1))));
	}
	return worst;
}

static bool
load_crop(const char *file, FrImage *image)
{
	char name[256];
	size_t size_bytes;
	FrError error;
	FrDecodeOptions options = {.max_pixels = 1000000, .reduction = 1};

	snprintf(name, sizeof name, "photos/%s", file);

	unsigned char *bytes = read_file(testdata_path(name), &size_bytes);
	bool is_loaded =
		bytes && fr_image_decode(bytes, size_bytes, &options,
								 &fr_allocator_malloc, image, &error) == FR_OK;

	free(bytes);
	return is_loaded;
}

/* Mean absolute difference of two pictures of the same size. */
static double
difference(const FrImage *a, const FrImage *b)
{
	size_t count = (size_t) a->width * (size_t) a->height * 3;
	double sum = 0;

	if (a->width != b->width || a->height != b->height)
		return INFINITY;
	for (size_t i = 0; i < count; i++)
		sum += abs(a->pixels[i] - b->pixels[i]);
	return sum / (double) count;
}

/* One embedder on one face: our crop and the golden one. */
static void
check_embedder(FrPhoto *photo, const Model *model, const FrFace *face,
			   const Json *golden, Worst *worst)
{
	const FrDescriptor *d = &model->descriptor;
	const Json *vector = json_get(golden, model->vector_key);
	FrImage ours = {0}, wanted = {0};
	FrError error = {0};
	float embedding[512] = {0};
	FrStatus status =
		fr_photo_align(photo, face->landmarks, d->alignment, d->input_width,
					   d->input_height, &ours, &error);

	if (json_count(vector) != model->dims || status != FR_OK ||
		!load_crop(json_text(json_get(golden, model->crop_key)), &wanted))
	{
		ok(false, "%s: crop and vector are there", model->vector_key);
		fr_image_destroy(&ours);
		return;
	}
	worst->crop = fmax(worst->crop, difference(&ours, &wanted));
	status = fr_photo_embed(photo, model->net, d, face, 1, model->dims,
							embedding, &error);
	if (status == FR_OK)
		worst->cosine_photo =
			fmin(worst->cosine_photo, cosine(embedding, vector, model->dims));
	if (status == FR_OK)
		status =
			fr_embed_aligned(&wanted, model->net, d, model->dims, embedding,
							 NULL, &fr_allocator_malloc, &error);
	if (status == FR_OK)
		worst->cosine_crop =
			fmin(worst->cosine_crop, cosine(embedding, vector, model->dims));
	else
		is_status(status, FR_OK, &error, "%s runs", model->vector_key);
	fr_image_destroy(&ours);
	fr_image_destroy(&wanted);
}

/* Each golden face has a face of ours in the same place. */
static bool
check_faces(FrPhoto *photo, const Model *embedders, const FrFaces *faces,
			const Json *golden, Worst *worst)
{
	for (const Json *g = golden ? golden->first : NULL; g; g = g->next)
	{
		int best = 0;

		for (int i = 1; i < faces->count; i++)
		{
			if (face_iou(&faces->faces[i], g) >
				face_iou(&faces->faces[best], g))
				best = i;
		}

		const FrFace *face = &faces->faces[best];

		worst->iou = fmin(worst->iou, face_iou(face, g));
		worst->landmark = fmax(worst->landmark, landmark_error(face, g));
		worst->faces++;
		if (fabs((double) face->score - json_number(json_get(g, "score"))) >
			2e-3)
			return false;
		for (int m = 0; m < 2; m++)
			check_embedder(photo, &embedders[m], face, g, worst);
	}
	return true;
}

static void
check_photo(const Json *golden, const Model *detector, const Model *embedders,
			Worst *worst)
{
	char name[256];
	size_t size_bytes;
	int width, height;
	FrPhotoOptions options = {.max_pixels = 100000000};
	FrDescriptor descriptor = detector->descriptor;
	FrPhoto *photo;
	FrFaces faces;
	FrError error = {0};

	snprintf(name, sizeof name, "photos/%s", golden->name);

	unsigned char *bytes = read_file(testdata_path(name), &size_bytes);

	if (!ok(bytes != NULL, "%s: read", golden->name))
		return;

	FrStatus status = fr_photo_open(bytes, size_bytes, &options,
									&fr_allocator_malloc, &photo, &error);

	if (strcmp(json_text(json_get(golden, "format")), "WEBP") == 0)
	{
		is_status(status, FR_ERR_UNSUPPORTED, &error,
				  "%s: the format is refused", golden->name);
		free(bytes);
		return;
	}
	is_status(status, FR_OK, &error, "%s: opened", golden->name);
	if (status != FR_OK)
		return;
	fr_photo_size(photo, &width, &height);
	ok(width == json_number(json_get(golden, "width")) &&
		   height == json_number(json_get(golden, "height")),
	   "%s: %d x %d pixels", golden->name, width, height);
	descriptor.detection_size = 0;
	descriptor.min_face_size = 0;
	status = fr_photo_detect(
		photo,
		&(FrDetector){.nets = {detector->net}, .descriptor = &descriptor},
		&faces, &error);
	is_status(status, FR_OK, &error, "%s: detected", golden->name);
	if (status == FR_OK)
	{
		const Json *golden_faces = json_get(golden, "faces");

		is_int(faces.count, json_count(golden_faces), "%s: faces",
			   golden->name);
		if (faces.count == json_count(golden_faces))
			ok(check_faces(photo, embedders, &faces, golden_faces, worst),
			   "%s: scores agree", golden->name);
		worst->photos++;
		fr_faces_destroy(&faces);
	}
	fr_photo_close(photo);
	free(bytes);
}

static void
check_all(const Json *photos, const Model *detector, const Model *embedders)
{
	Worst worst = {1, 0, 0, 1, 1, 0, 0};
	double max_pixels =
		getenv("FACEREC_TEST_SMALL") ? SMALL_PIXELS : MAX_PIXELS;
	int skipped = 0;

	for (const Json *photo = photos->first; photo; photo = photo->next)
	{
		double pixels = json_number(json_get(photo, "width")) *
						json_number(json_get(photo, "height"));

		if (pixels > max_pixels)
			skipped++;
		else
			check_photo(photo, detector, embedders, &worst);
	}
	diag("%d photos, %d faces; %d photos left out for their size", worst.photos,
		 worst.faces, skipped);
	diag("worst: IoU %.6f, landmarks %.4f px, crop %.4f of 255", worst.iou,
		 worst.landmark, worst.crop);
	diag("worst cosine: %.8f from the photo, 1 - %.3g from the golden crop",
		 worst.cosine_photo, 1 - worst.cosine_crop);
	ok(worst.iou >= 0.99, "boxes: IoU at least 0.99");
	ok(worst.landmark <= 0.5, "landmarks: within 0.5 pixels");
	ok(worst.crop <= 0.5, "crops: mean difference at most 0.5 of 255");
	ok(worst.cosine_photo >= 0.9995,
	   "embeddings from the photo: cosine at least 0.9995");
	ok(worst.cosine_crop >= 0.99999,
	   "embeddings from the golden crop: cosine at least 0.99999");
}

int
main(void)
{
	size_t size_bytes;
	unsigned char *bytes =
		read_file(testdata_path("photos/golden.json"), &size_bytes);
	Json *golden = bytes ? json_parse(bytes, size_bytes) : NULL;
	Model detector = {0};
	Model embedders[2] = {
		{.crop_key = "crop112", .vector_key = "mobilefacenet"},
		{.crop_key = "crop128", .vector_key = "retail0095"},
	};

	if (!bytes)
		skip("golden photos", "the test data folder is not there");
	else if (ok(golden != NULL, "golden.json is parsed") &&
			 load_model("yunet_n_dynamic.onnx", "yunet", &detector) &&
			 load_model("mobilefacenet-128.onnx", "mobilefacenet",
						&embedders[0]) &&
			 load_model("face-reidentification-retail-0095.onnx",
						"omz-reid-0095", &embedders[1]))
		check_all(json_get(golden, "photos"), &detector, embedders);
	unload_model(&detector);
	unload_model(&embedders[0]);
	unload_model(&embedders[1]);
	json_destroy(golden);
	free(bytes);
	return tap_done();
}
