/*
 * pipeline.c: from a photo to faces and embeddings; see pipeline.h.
 */
#include "core/face/pipeline.h"

#include <limits.h>
#include <math.h>

#include "core/face/align.h"
#include "core/face/detect.h"
#include "core/face/embed.h"
#include "core/face/face_merge.h"
#include "core/face/landmarks.h"
#include "core/face/nms.h"
#include "core/face/photo.h"
#include "core/face/pose.h"
#include "core/face/quality.h"

/* A region that a user marks is looked at again, with half its size added on
 * each side, enlarged until its shorter side has this many pixels, at most
 * this many times. */
#define REGION_SIDE		  64
#define MAX_REGION_FACTOR 4.0

/* A detector that finds large faces looks a second time, at the picture with
 * this longest side, where the first look's is longer than LARGE_FROM.  Of the
 * second it believes boxes whose shorter side is at least MIN_LARGE: smaller
 * faces the first look has seen better, up to 1280 / 160 * MIN_LARGE = 192 of
 * its pixels. */
#define LARGE_LOOK 160
#define LARGE_FROM 240
#define MIN_LARGE  24

/* ---- finding faces ------------------------------------------------------- */

/* Bring coordinates from a picture of count pixels, resized from a view, to
 * the full-size picture: both maps keep pixel edges on pixel edges. */
typedef struct AxisMap
{
	double scale, offset;
} AxisMap;

static AxisMap
make_axis_map(int view_count, int count, double step, double origin)
{
	double ratio = (double) view_count / count;

	return (AxisMap){
		.scale = ratio * step,
		.offset = (ratio - 1) / 2 * step + origin,
	};
}

static inline float
map_axis(const AxisMap *map, float value)
{
	return (float) ((double) value * map->scale + map->offset);
}

static void
map_face(const AxisMap *x, const AxisMap *y, FrFace *face)
{
	face->x0 = map_axis(x, face->x0);
	face->y0 = map_axis(y, face->y0);
	face->x1 = map_axis(x, face->x1);
	face->y1 = map_axis(y, face->y1);
	for (int i = 0; i < FR_LANDMARK_COUNT; i++)
	{
		face->landmarks[i].x = map_axis(x, face->landmarks[i].x);
		face->landmarks[i].y = map_axis(y, face->landmarks[i].y);
	}
}

/* The order of FrFaces: larger, then surer, then upper left first. */
static bool
comes_before(const FrFace *a, const FrFace *b)
{
	float area_a = fr_face_area(a), area_b = fr_face_area(b);

	if (area_a != area_b)
		return area_a > area_b;
	if (a->score != b->score)
		return a->score > b->score;
	if (a->y0 != b->y0)
		return a->y0 < b->y0;
	return a->x0 < b->x0;
}

/* Shell's sort with Ciura's gaps: lists are short, but a hostile network may
 * make them long. */
static void
sort_faces(FrFaces *faces)
{
	static const int gaps[] = {1750, 701, 301, 132, 57, 23, 10, 4, 1};

	for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++)
	{
		for (int i = gaps[g]; i < faces->count; i++)
		{
			FrFace face = faces->faces[i];
			int hole = i;

			while (hole >= gaps[g] &&
				   comes_before(&face, &faces->faces[hole - gaps[g]]))
			{
				faces->faces[hole] = faces->faces[hole - gaps[g]];
				hole -= gaps[g];
			}
			faces->faces[hole] = face;
		}
	}
}

/* Drop faces that are too small or lie wholly outside the picture. */
static void
filter_faces(const FrPhoto *photo, int min_face_size, FrFaces *faces)
{
	int kept = 0;

	for (int i = 0; i < faces->count; i++)
	{
		const FrFace *face = &faces->faces[i];
		float side = fminf(face->x1 - face->x0, face->y1 - face->y0);

		if (side >= (float) min_face_size && face->x1 > 0 && face->y1 > 0 &&
			face->x0 < (float) photo->info.width &&
			face->y0 < (float) photo->info.height)
			faces->faces[kept++] = *face;
	}
	faces->count = kept;
}

/* One look at a view, resized to fit_width x fit_height: faces in full-size
 * coordinates, of at least min_face_size. */
static FrStatus
look_at_view(FrPhoto *photo, const FrPhotoView *view, int fit_width,
			 int fit_height, int min_face_size, const FrDetector *detector,
			 FrFaces *faces, FrError *error)
{
	const FrImage *image = view->image;
	double step = view->step * image->width / fit_width;
	FrImage resized = {0};
	FrStatus status = FR_OK;

	if (fit_width != image->width || fit_height != image->height)
	{
		status = fr_image_resize(image, fit_width, fit_height, &photo->cancel,
								 photo->allocator, &resized, error);
		image = &resized;
	}
	if (status == FR_OK)
		status = fr_detect_run(detector, image, min_face_size / step,
							   &photo->cancel, photo->allocator, faces, error);
	fr_image_destroy(&resized);
	if (status != FR_OK)
		return status;

	AxisMap x = make_axis_map(view->image->width, fit_width, view->step,
							  view->x_origin);
	AxisMap y = make_axis_map(view->image->height, fit_height, view->step,
							  view->y_origin);

	for (int i = 0; i < faces->count; i++)
		map_face(&x, &y, &faces->faces[i]);
	filter_faces(photo, min_face_size, faces);
	return FR_OK;
}

/* Add the faces that are too large for the first look, of the same view at
 * fit_width x fit_height. */
static FrStatus
add_large_faces(FrPhoto *photo, const FrPhotoView *view, int fit_width,
				int fit_height, const FrDetector *detector, FrFaces *faces,
				FrError *error)
{
	const FrDescriptor *descriptor = detector->descriptor;
	int longest = fit_width > fit_height ? fit_width : fit_height;
	double ratio = (double) LARGE_LOOK / longest;
	int width = (int) fmax(1, floor(fit_width * ratio + 0.5));
	int height = (int) fmax(1, floor(fit_height * ratio + 0.5));
	double side = ceil(MIN_LARGE * view->step * view->image->width / width);
	int min_face_size = (int) fmin(side, INT_MAX);
	FrFaces large;

	if (!descriptor->finds_large_faces || longest <= LARGE_FROM)
		return FR_OK;
	if (min_face_size < descriptor->min_face_size)
		min_face_size = descriptor->min_face_size;

	FrStatus status = look_at_view(photo, view, width, height, min_face_size,
								   detector, &large, error);

	if (status != FR_OK)
		return status;
	status = fr_faces_merge(faces, &large, descriptor->nms_iou, &photo->cancel,
							error);
	fr_faces_destroy(&large);
	return status;
}

/* Detect in a view, resized to fit_width x fit_height: faces in full-size
 * coordinates, filtered and sorted. */
static FrStatus
detect_in_view(FrPhoto *photo, const FrPhotoView *view, int fit_width,
			   int fit_height, const FrDetector *detector, FrFaces *faces,
			   FrError *error)
{
	FrStatus status = look_at_view(photo, view, fit_width, fit_height,
								   detector->descriptor->min_face_size,
								   detector, faces, error);

	if (status != FR_OK)
		return status;
	status = add_large_faces(photo, view, fit_width, fit_height, detector,
							 faces, error);
	if (status != FR_OK)
		fr_faces_destroy(faces);
	else
		sort_faces(faces);
	return status;
}

/* All faces of the photo, without pose and quality. */
static FrStatus
find_faces(FrPhoto *photo, const FrDetector *detector, FrFaces *faces,
		   FrError *error)
{
	const FrDescriptor *descriptor = detector->descriptor;
	FrPhotoView view;
	int width, height;
	FrStatus status =
		fr_photo_view_whole(photo, descriptor->detection_size, &view, error);

	*faces = (FrFaces){.allocator = photo->allocator};
	if (status != FR_OK)
		return status;
	fr_detect_fit(detector->nets[0], descriptor->detection_size,
				  view.image->width, view.image->height, &width, &height);
	return detect_in_view(photo, &view, width, height, detector, faces, error);
}

FrStatus
fr_photo_reduce(FrPhoto *photo, const FrDetector *detector, FrImage *picture,
				FrError *error)
{
	int longest = detector->descriptor->detection_size, width, height;
	FrPhotoView view;
	FrStatus status = fr_photo_view_whole(photo, longest, &view, error);

	*picture = (FrImage){0};
	if (status != FR_OK)
		return status;
	fr_detect_fit(detector->nets[0], longest, view.image->width,
				  view.image->height, &width, &height);
	return fr_image_resize(view.image, width, height, &photo->cancel,
						   photo->allocator, picture, error);
}

/* Fill in pose and quality, as seen in a view. */
static void
describe_face(const FrPhotoView *view, FrFace *face)
{
	FrPose pose;
	FrSimilarity transform;
	FrQuality quality;

	if (face->lacks_landmarks)
		return;
	pose = fr_pose_estimate(face->landmarks);
	face->yaw = pose.yaw;
	face->pitch = pose.pitch;
	face->roll = pose.roll;
	face->quality = 0;
	/* Landmarks in one place: no face that anything can be done with. */
	if (!fr_align_landmarks(face->landmarks, FR_TEMPLATE_ARCFACE_112,
							FR_QUALITY_SIDE, FR_QUALITY_SIDE, &transform))
		return;
	transform =
		fr_align_rebase(&transform, view->step, view->x_origin, view->y_origin);
	fr_quality_measure(face, view->image, &transform, &quality);
	face->quality = quality.unified;
}

/* Landmarks by the network that the detector names, from the pixels that the
 * faces were found in. */
static FrStatus
complete_faces(FrPhoto *photo, const FrPhotoView *view,
			   const FrDetector *detector, FrFace *faces, int count,
			   FrError *error)
{
	if (!detector->landmarker)
		return FR_OK;
	return fr_landmarks_find(photo, view, detector->landmarker,
							 detector->landmarks, faces, count, error);
}

FrStatus
fr_photo_detect(FrPhoto *photo, const FrDetector *detector, FrFaces *faces,
				FrError *error)
{
	int max_faces = detector->descriptor->max_faces;
	FrStatus status = find_faces(photo, detector, faces, error);

	if (status != FR_OK)
		return status;
	if (faces->count > max_faces)
		faces->count = max_faces > 0 ? max_faces : 0;

	FrPhotoView view = fr_photo_view_decoded(photo);

	status = complete_faces(photo, &view, detector, faces->faces, faces->count,
							error);
	if (status != FR_OK)
	{
		fr_faces_destroy(faces);
		return status;
	}
	for (int i = 0; i < faces->count; i++)
	{
		if (fr_is_cancelled(&photo->cancel))
		{
			fr_faces_destroy(faces);
			return fr_fail(error, FR_ERR_CANCELLED, "Detection was cancelled.");
		}
		describe_face(&view, &faces->faces[i]);
	}
	return FR_OK;
}

/* ---- the face in a region ------------------------------------------------ */

/* Real-valued rectangle in full-size pixels. */
typedef struct Region
{
	float x0, y0, x1, y1;
} Region;

static float
region_iou(const Region *region, const FrFace *face)
{
	return fr_nms_iou(region->x0, region->y0, region->x1, region->y1, face->x0,
					  face->y0, face->x1, face->y1);
}

static bool
is_centre_inside(const Region *region, const FrFace *face)
{
	float x = (face->x0 + face->x1) / 2;
	float y = (face->y0 + face->y1) / 2;

	return x >= region->x0 && x <= region->x1 && y >= region->y0 &&
		   y <= region->y1;
}

/* Share of the region that the face's box covers. */
static float
covered_share(const Region *region, const FrFace *face)
{
	float area = (region->x1 - region->x0) * (region->y1 - region->y0);

	return fr_nms_overlap(region->x0, region->y0, region->x1, region->y1,
						  face->x0, face->y0, face->x1, face->y1) /
		   area;
}

/* The face with the largest overlap among those that match the region; -1
 * when none does.  A loose match only has to have its centre inside. */
static int
best_match(const FrFaces *faces, const Region *region, bool is_loose)
{
	float best_iou = -1;
	int best = -1;

	for (int i = 0; i < faces->count; i++)
	{
		const FrFace *face = &faces->faces[i];
		float iou = region_iou(region, face);
		bool is_match =
			iou >= 0.3f || (is_centre_inside(region, face) &&
							(is_loose || covered_share(region, face) >= 0.5f));

		if (is_match && iou > best_iou)
		{
			best_iou = iou;
			best = i;
		}
	}
	return best;
}

/* The region and half its size around it, clipped to the picture. */
static FrImageRect
surroundings(const FrPhoto *photo, const Region *region)
{
	double width = (double) region->x1 - (double) region->x0;
	double height = (double) region->y1 - (double) region->y0;
	int picture_width = photo->info.width;
	int picture_height = photo->info.height;

	return (FrImageRect){
		.x0 = (int) fmax(0, floor((double) region->x0 - width / 2)),
		.y0 = (int) fmax(0, floor((double) region->y0 - height / 2)),
		.x1 = (int) fmin(picture_width, ceil((double) region->x1 + width / 2)),
		.y1 =
			(int) fmin(picture_height, ceil((double) region->y1 + height / 2)),
	};
}

/* Detect in the surroundings of the region alone, closer up. */
static FrStatus
detect_around(FrPhoto *photo, const Region *region, const FrDetector *detector,
			  FrFaces *faces, FrError *error)
{
	const FrDescriptor *descriptor = detector->descriptor;
	FrImageRect rect = surroundings(photo, region);
	float side = fminf(region->x1 - region->x0, region->y1 - region->y0);
	double factor =
		fmax(1, fmin(MAX_REGION_FACTOR, REGION_SIDE / (double) side));
	FrPhotoView view;
	FrImage cut;
	int width, height;
	FrStatus status = fr_photo_view_detail(photo, &rect, &view, error);

	if (status != FR_OK)
		return status;

	/* The view may be larger than was asked for. */
	FrImageRect inner = {
		.x0 = rect.x0 - (int) view.x_origin,
		.y0 = rect.y0 - (int) view.y_origin,
		.x1 = rect.x1 - (int) view.x_origin,
		.y1 = rect.y1 - (int) view.y_origin,
	};

	status = fr_image_crop(view.image, &inner, &photo->cancel, photo->allocator,
						   &cut, error);
	if (status != FR_OK)
		return status;
	view = (FrPhotoView){
		.image = &cut, .step = 1, .x_origin = rect.x0, .y_origin = rect.y0};
	fr_detect_fit(detector->nets[0], descriptor->detection_size,
				  (int) (cut.width * factor), (int) (cut.height * factor),
				  &width, &height);
	status =
		detect_in_view(photo, &view, width, height, detector, faces, error);
	fr_image_destroy(&cut);
	return status;
}

static FrStatus
check_region(const FrPhoto *photo, const Region *region, FrError *error)
{
	if (!isfinite(region->x0) || !isfinite(region->y0) ||
		!isfinite(region->x1) || !isfinite(region->y1) ||
		!(region->x1 > region->x0) || !(region->y1 > region->y0))
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "A region needs finite corners and a width and height "
					   "above 0.");
	if (region->x1 <= 0 || region->y1 <= 0 ||
		region->x0 >= (float) photo->info.width ||
		region->y0 >= (float) photo->info.height)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "The region (%g, %g), (%g, %g) lies outside the picture "
					   "of %d x %d pixels.",
					   (double) region->x0, (double) region->y0,
					   (double) region->x1, (double) region->y1,
					   photo->info.width, photo->info.height);
	return FR_OK;
}

/* Pose and quality of a face that may be too small in the decode at hand. */
static FrStatus
describe_closely(FrPhoto *photo, FrFace *face, FrError *error)
{
	FrSimilarity transform;
	FrPhotoView view = fr_photo_view_decoded(photo);
	FrStatus status = FR_OK;

	if (fr_align_landmarks(face->landmarks, FR_TEMPLATE_ARCFACE_112,
						   FR_QUALITY_SIDE, FR_QUALITY_SIDE, &transform))
		status = fr_photo_view_crop(photo, &transform, FR_QUALITY_SIDE,
									FR_QUALITY_SIDE, &view, error);
	if (status == FR_OK)
		describe_face(&view, face);
	return status;
}

/* Keep the region's part inside the picture, so that no arithmetic on it can
 * overflow. */
static Region
clip_region(const FrPhoto *photo, const Region *region)
{
	return (Region){
		.x0 = fmaxf(region->x0, 0),
		.y0 = fmaxf(region->y0, 0),
		.x1 = fminf(region->x1, (float) photo->info.width),
		.y1 = fminf(region->y1, (float) photo->info.height),
	};
}

FrStatus
fr_photo_detect_region(FrPhoto *photo, const FrDetector *detector, float x0,
					   float y0, float x1, float y1, FrFace *face,
					   bool *is_found, FrError *error)
{
	Region region = {x0, y0, x1, y1};
	FrFaces faces;
	FrStatus status = check_region(photo, &region, error);

	*is_found = false;
	if (status != FR_OK)
		return status;
	region = clip_region(photo, &region);
	status = find_faces(photo, detector, &faces, error);
	if (status != FR_OK)
		return status;

	int match = best_match(&faces, &region, false);
	FrPhotoView view = fr_photo_view_decoded(photo);

	if (match < 0)
	{
		FrImageRect rect = surroundings(photo, &region);

		fr_faces_destroy(&faces);
		status = detect_around(photo, &region, detector, &faces, error);
		if (status != FR_OK)
			return status;
		match = best_match(&faces, &region, true);
		/* the pixels at hand that it was found in */
		status = fr_photo_view_detail(photo, &rect, &view, error);
	}
	if (match >= 0 && status == FR_OK)
	{
		*face = faces.faces[match];
		status = complete_faces(photo, &view, detector, face, 1, error);
		if (status == FR_OK)
			status = describe_closely(photo, face, error);
		*is_found = status == FR_OK;
	}
	fr_faces_destroy(&faces);
	return status;
}

/* ---- crops and embeddings ------------------------------------------------ */

/* How a face goes into the crop: by its landmarks, or, when they are no use,
 * by its box. */
static FrStatus
face_transform(const FrFace *face, const FrDescriptor *descriptor,
			   FrSimilarity *transform, FrError *error)
{
	int width = descriptor->input_width, height = descriptor->input_height;

	if (fr_align_landmarks(face->landmarks, descriptor->alignment, width,
						   height, transform) ||
		fr_align_box(face->x0, face->y0, face->x1, face->y1, width, height,
					 transform))
		return FR_OK;
	return fr_fail(error, FR_ERR_ARGUMENT,
				   "Neither the landmarks nor the box of the face determine "
				   "where it is.");
}

/* Whether the face's crop wants full-size pixels; *rect gets those. */
static FrStatus
crop_needs_detail(const FrPhoto *photo, const FrDescriptor *descriptor,
				  const FrFace *face, bool *needs_detail, FrImageRect *rect,
				  FrError *error)
{
	int width = descriptor->input_width, height = descriptor->input_height;
	FrSimilarity transform;

	if (descriptor->alignment == FR_TEMPLATE_BOX)
	{
		FrPhotoArea area = fr_photo_area_of(face, descriptor->margin);

		*needs_detail =
			fr_photo_area_needs_detail(photo, &area, width, height, rect);
		return FR_OK;
	}

	FrStatus status = face_transform(face, descriptor, &transform, error);

	if (status == FR_OK)
		*needs_detail =
			fr_photo_needs_detail(photo, &transform, width, height, rect);
	return status;
}

static FrImageRect
unite(const FrImageRect *a, const FrImageRect *b)
{
	if (a->x0 >= a->x1)
		return *b;
	return (FrImageRect){
		.x0 = a->x0 < b->x0 ? a->x0 : b->x0,
		.y0 = a->y0 < b->y0 ? a->y0 : b->y0,
		.x1 = a->x1 > b->x1 ? a->x1 : b->x1,
		.y1 = a->y1 > b->y1 ? a->y1 : b->y1,
	};
}

/* Decode, once, the full-size pixels of all faces that need them. */
static FrStatus
prepare_detail(FrPhoto *photo, const FrDescriptor *descriptor,
			   const FrFace *faces, int count, FrError *error)
{
	FrImageRect all = {0}, rect;
	FrPhotoView view;

	for (int i = 0; i < count; i++)
	{
		bool needs_detail;
		FrStatus status = crop_needs_detail(photo, descriptor, &faces[i],
											&needs_detail, &rect, error);

		if (status != FR_OK)
			return status;
		if (needs_detail)
			all = unite(&all, &rect);
	}
	return all.x0 < all.x1 ? fr_photo_view_detail(photo, &all, &view, error)
						   : FR_OK;
}

static FrStatus
crop_face(FrPhoto *photo, const FrDescriptor *descriptor, const FrFace *face,
		  FrImage *crop, FrError *error)
{
	int width = descriptor->input_width, height = descriptor->input_height;
	FrSimilarity transform;
	FrPhotoView view;

	if (fr_is_cancelled(&photo->cancel))
		return fr_fail(error, FR_ERR_CANCELLED, "Embedding was cancelled.");
	if (descriptor->alignment == FR_TEMPLATE_BOX)
	{
		FrPhotoArea area = fr_photo_area_of(face, descriptor->margin);

		return fr_photo_stretch(photo, &area, width, height, crop, error);
	}

	FrStatus status = face_transform(face, descriptor, &transform, error);

	if (status == FR_OK)
		status =
			fr_photo_view_crop(photo, &transform, width, height, &view, error);
	if (status == FR_OK)
		status =
			fr_photo_warp(photo, &view, &transform, width, height, crop, error);
	return status;
}

/* At most FR_EMBED_MAX_BATCH faces. */
static FrStatus
embed_some(FrPhoto *photo, FrNet *embedder, const FrDescriptor *descriptor,
		   const FrFace *faces, int count, int dims, float *embeddings,
		   FrError *error)
{
	FrImage crops[FR_EMBED_MAX_BATCH] = {{0}};
	FrStatus status = FR_OK;

	for (int i = 0; i < count && status == FR_OK; i++)
		status = crop_face(photo, descriptor, &faces[i], &crops[i], error);
	if (status == FR_OK)
		status = fr_embed_crops(embedder, descriptor, crops, count, dims,
								&photo->cancel, embeddings, error);
	for (int i = 0; i < count; i++)
		fr_image_destroy(&crops[i]);
	return status;
}

static FrStatus
check_crop_size(int width, int height, FrError *error)
{
	if (width < 1 || height < 1 || width > FR_MAX_CROP_SIDE ||
		height > FR_MAX_CROP_SIDE)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "A crop of %d x %d pixels was asked for; its sides must "
					   "be between 1 and %d.",
					   width, height, FR_MAX_CROP_SIDE);
	return FR_OK;
}

FrStatus
fr_photo_crop(FrPhoto *photo, const FrDescriptor *descriptor,
			  const FrFace *face, FrImage *crop, FrError *error)
{
	FrStatus status = check_crop_size(descriptor->input_width,
									  descriptor->input_height, error);

	*crop = (FrImage){0};
	if (status == FR_OK)
		status = crop_face(photo, descriptor, face, crop, error);
	return status;
}

FrStatus
fr_photo_embed(FrPhoto *photo, FrNet *embedder, const FrDescriptor *descriptor,
			   const FrFace *faces, int count, int dims, float *embeddings,
			   FrError *error)
{
	FrStatus status = check_crop_size(descriptor->input_width,
									  descriptor->input_height, error);

	if (status == FR_OK)
		status = prepare_detail(photo, descriptor, faces, count, error);
	for (int start = 0; start < count && status == FR_OK;
		 start += FR_EMBED_MAX_BATCH)
	{
		int left = count - start;

		status = embed_some(
			photo, embedder, descriptor, faces + start,
			left < FR_EMBED_MAX_BATCH ? left : FR_EMBED_MAX_BATCH, dims,
			embeddings + (size_t) start * (size_t) dims, error);
	}
	return status;
}

FrStatus
fr_photo_align(FrPhoto *photo, const FrPoint landmarks[5], FrTemplate alignment,
			   int width, int height, FrImage *crop, FrError *error)
{
	FrSimilarity transform;
	FrPhotoView view;
	FrStatus status = check_crop_size(width, height, error);

	*crop = (FrImage){0};
	if (status != FR_OK)
		return status;
	if (!fr_align_landmarks(landmarks, alignment, width, height, &transform))
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "The landmarks determine no alignment: they must be "
					   "finite and must not lie in one place.");
	status = fr_photo_view_crop(photo, &transform, width, height, &view, error);
	if (status == FR_OK)
		status =
			fr_photo_warp(photo, &view, &transform, width, height, crop, error);
	return status;
}

FrStatus
fr_embed_aligned(const FrImage *crop, FrNet *embedder,
				 const FrDescriptor *descriptor, int dims, float *embedding,
				 const FrCancel *cancel, const FrAllocator *allocator,
				 FrError *error)
{
	(void) allocator; /* nothing to allocate */
	return fr_embed_crops(embedder, descriptor, crop, 1, dims, cancel,
						  embedding, error);
}
