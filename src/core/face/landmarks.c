/*
 * landmarks.c: landmarks from the crops of faces; see landmarks.h.
 *
 * A template's crop is sampled bilinearly.  Where that would skip pixels,
 * whole blocks of k x k pixels are averaged first: k is the whole part of
 * picture pixels per crop pixel, so that what is left shrinks less than
 * twofold.
 */
#include "core/face/landmarks.h"

#include <math.h>

#include "core/face/align.h"
#include "core/face/candidates.h"
#include "core/face/embed.h"

/* Detectors count from the edges of pixels, pictures from their centres. */
#define HALF_PIXEL 0.5

/* Scales of the crops of a second look. */
static const double look_scales[] = {0.82, 0.9, 0.98, 1.06};

#define LOOK_COUNT ((int) (sizeof look_scales / sizeof look_scales[0]))

/* From a crop back to the photo: what was stretched, or how it was warped. */
typedef struct Place
{
	bool is_known;
	bool is_warped;
	FrPhotoArea area;
	FrSimilarity transform; /* from pixel edges to the crop's pixel centres */
} Place;

/* The faces of one run. */
typedef struct Batch
{
	FrPhoto *photo;
	const FrPhotoView *view;
	const FrDescriptor *descriptor;
	int count;
	FrImage crops[FR_EMBED_MAX_BATCH];
	Place places[FR_EMBED_MAX_BATCH];
	FrFace *faces[FR_EMBED_MAX_BATCH];
} Batch;

/* ---- crops --------------------------------------------------------------- */

/* Make low .. high whole blocks of k pixels inside 0 .. limit; false when not
 * even one fits. */
static bool
whole_blocks(int *low, int *high, int limit, int k)
{
	int count = (*high - *low + k - 1) / k;

	if (count > limit / k)
		count = limit / k;
	*high = *low + count * k;
	if (*high > limit)
		*high = limit;
	*low = *high - count * k;
	return count > 0;
}

/* Average the blocks of k x k pixels that the crop needs. */
static FrStatus
shrink(const FrPhoto *photo, const FrPhotoView *view, FrImageRect *rect, int k,
	   FrImage *small, FrPhotoView *small_view, FrError *error)
{
	FrStatus status = fr_image_resize_region(
		view->image, rect, (rect->x1 - rect->x0) / k, (rect->y1 - rect->y0) / k,
		&photo->cancel, photo->allocator, small, error);

	*small_view = (FrPhotoView){
		.image = small,
		.step = view->step * k,
		.x_origin = view->x_origin + view->step * (rect->x0 + (k - 1) / 2.0),
		.y_origin = view->y_origin + view->step * (rect->y0 + (k - 1) / 2.0),
	};
	return status;
}

/* Sample a crop through a transform from pixel edges. */
static FrStatus
warp_crop(const FrPhoto *photo, const FrPhotoView *view,
		  const FrSimilarity *transform, int width, int height, FrImage *crop,
		  FrError *error)
{
	FrSimilarity centred =
		fr_align_rebase(transform, 1, HALF_PIXEL, HALF_PIXEL);
	FrSimilarity own =
		fr_align_rebase(&centred, view->step, view->x_origin, view->y_origin);
	FrImageRect rect = fr_align_footprint(
		&own, width, height, view->image->width, view->image->height);
	int k = (int) fmin(1 / fr_align_scale(&own), view->image->width);
	FrImage small = {0};
	FrPhotoView small_view;
	FrStatus status;

	if (k < 2 || rect.x0 >= rect.x1 ||
		!whole_blocks(&rect.x0, &rect.x1, view->image->width, k) ||
		!whole_blocks(&rect.y0, &rect.y1, view->image->height, k))
		return fr_photo_warp(photo, view, &centred, width, height, crop, error);
	status = shrink(photo, view, &rect, k, &small, &small_view, error);
	if (status == FR_OK)
		status = fr_photo_warp(photo, &small_view, &centred, width, height,
							   crop, error);
	fr_image_destroy(&small);
	return status;
}

/* How a face goes into a template's crop; false when nothing about it says
 * where it is. */
static bool
find_transform(const FrFace *face, const FrDescriptor *descriptor,
			   FrSimilarity *transform)
{
	int width = descriptor->input_width, height = descriptor->input_height;
	FrPhotoArea area = fr_photo_area_of(face, descriptor->margin);

	if (!face->lacks_landmarks &&
		fr_align_landmarks(face->landmarks, descriptor->alignment, width,
						   height, transform))
	{
		fr_align_widen(transform, (double) descriptor->margin, width, height);
		return true;
	}
	return fr_align_box((float) area.x0, (float) area.y0, (float) area.x1,
						(float) area.y1, width, height, transform);
}

static FrStatus
cut_face(const Batch *batch, const FrFace *face, Place *place, FrImage *crop,
		 FrError *error)
{
	const FrDescriptor *descriptor = batch->descriptor;
	int width = descriptor->input_width, height = descriptor->input_height;

	*crop = (FrImage){0};
	*place = (Place){.is_known = true};
	if (descriptor->alignment == FR_TEMPLATE_BOX)
	{
		place->area = fr_photo_area_of(face, descriptor->margin);
		return fr_photo_stretch(batch->photo, &place->area, width, height, crop,
								error);
	}
	place->is_warped = true;
	place->is_known = find_transform(face, descriptor, &place->transform);
	if (!place->is_known)
		return FR_OK;
	return warp_crop(batch->photo, batch->view, &place->transform, width,
					 height, crop, error);
}

/* ---- landmarks ----------------------------------------------------------- */

/* From 0..1 of the crop to the picture. */
static FrPoint
place_point(const Place *place, const FrDescriptor *descriptor, double u,
			double v)
{
	const FrPhotoArea *area = &place->area;
	const FrSimilarity *t = &place->transform;

	if (!place->is_warped)
		return (FrPoint){
			(float) (area->x0 + u * (area->x1 - area->x0)),
			(float) (area->y0 + v * (area->y1 - area->y0)),
		};
	u = u * descriptor->input_width - HALF_PIXEL - t->tx;
	v = v * descriptor->input_height - HALF_PIXEL - t->ty;

	double determinant = t->a * t->a + t->b * t->b;

	return (FrPoint){
		(float) ((t->a * u + t->b * v) / determinant),
		(float) ((t->a * v - t->b * u) / determinant),
	};
}

static void
place_landmarks(const Place *place, const FrDescriptor *descriptor,
				const float *values, FrFace *face)
{
	FrPoint landmarks[FR_LANDMARK_COUNT];

	for (int k = 0; k < FR_LANDMARK_COUNT; k++)
	{
		landmarks[k] = place_point(place, descriptor, (double) values[2 * k],
								   (double) values[2 * k + 1]);
		if (!fr_is_sane_coordinate(landmarks[k].x) ||
			!fr_is_sane_coordinate(landmarks[k].y))
			return;
	}
	for (int k = 0; k < FR_LANDMARK_COUNT; k++)
		face->landmarks[k] = landmarks[k];
	face->lacks_landmarks = false;
}

static FrStatus
run_batch(Batch *batch, FrNet *net, FrError *error)
{
	float values[FR_EMBED_MAX_BATCH * FR_LANDMARK_VALUES];
	FrStatus status = fr_embed_crops(net, batch->descriptor, batch->crops,
									 batch->count, FR_LANDMARK_VALUES,
									 &batch->photo->cancel, values, error);

	for (int i = 0; i < batch->count && status == FR_OK; i++)
		place_landmarks(&batch->places[i], batch->descriptor,
						values + i * FR_LANDMARK_VALUES, batch->faces[i]);
	return status;
}

static void
clear_batch(Batch *batch)
{
	for (int i = 0; i < batch->count; i++)
		fr_image_destroy(&batch->crops[i]);
	batch->count = 0;
}

static FrStatus
add_face(Batch *batch, FrFace *face, FrError *error)
{
	int i = batch->count;

	if (fr_is_cancelled(&batch->photo->cancel))
		return fr_fail(error, FR_ERR_CANCELLED,
					   "Finding landmarks was cancelled.");

	FrStatus status =
		cut_face(batch, face, &batch->places[i], &batch->crops[i], error);

	if (status != FR_OK || !batch->places[i].is_known)
		return status;
	batch->faces[i] = face;
	batch->count++;
	return FR_OK;
}

static FrStatus
look_once(FrPhoto *photo, const FrPhotoView *view, FrNet *net,
		  const FrDescriptor *descriptor, FrFace *faces, int count,
		  FrError *error)
{
	Batch batch = {.photo = photo, .view = view, .descriptor = descriptor};
	FrStatus status = FR_OK;

	for (int i = 0; i < count && status == FR_OK; i++)
	{
		status = add_face(&batch, &faces[i], error);
		if (status == FR_OK && batch.count > 0 &&
			(batch.count == FR_EMBED_MAX_BATCH || i == count - 1))
		{
			status = run_batch(&batch, net, error);
			clear_batch(&batch);
		}
	}
	clear_batch(&batch);
	return status;
}

/* ---- a second look ------------------------------------------------------- */

/* How far landmarks are from where they were, on average, in distances of the
 * eyes. */
static double
get_movement(const FrFace *before, const FrFace *after)
{
	const FrPoint *from = before->landmarks;
	const FrPoint *to = after->landmarks;
	double sum = 0;

	for (int k = 0; k < FR_LANDMARK_COUNT; k++)
		sum += hypot((double) (to[k].x - from[k].x),
					 (double) (to[k].y - from[k].y));
	return sum / FR_LANDMARK_COUNT /
		   hypot((double) (from[1].x - from[0].x),
				 (double) (from[1].y - from[0].y));
}

/* Landmarks of faces [count] from crops at several scales, each aligned by the
 * landmarks that they have now; the mean. */
static FrStatus
look_again(FrPhoto *photo, const FrPhotoView *view, FrNet *net,
		   const FrDescriptor *descriptor, FrFace **faces, int count,
		   FrError *error)
{
	double sums[FR_EMBED_MAX_BATCH][FR_LANDMARK_COUNT][2] = {0};
	FrFace looks[FR_EMBED_MAX_BATCH];
	FrStatus status = FR_OK;

	for (int look = 0; look < LOOK_COUNT && status == FR_OK; look++)
	{
		FrDescriptor scaled = *descriptor;

		scaled.margin =
			(float) ((1 + (double) descriptor->margin) / look_scales[look] - 1);
		for (int i = 0; i < count; i++)
			looks[i] = *faces[i];
		status = look_once(photo, view, net, &scaled, looks, count, error);
		for (int i = 0; i < count; i++)
			for (int k = 0; k < FR_LANDMARK_COUNT; k++)
			{
				sums[i][k][0] += (double) looks[i].landmarks[k].x;
				sums[i][k][1] += (double) looks[i].landmarks[k].y;
			}
	}
	for (int i = 0; i < count && status == FR_OK; i++)
		for (int k = 0; k < FR_LANDMARK_COUNT; k++)
			faces[i]->landmarks[k] =
				(FrPoint){(float) (sums[i][k][0] / LOOK_COUNT),
						  (float) (sums[i][k][1] / LOOK_COUNT)};
	return status;
}

/* Up to FR_EMBED_MAX_BATCH faces. */
static FrStatus
find_some(FrPhoto *photo, const FrPhotoView *view, FrNet *net,
		  const FrDescriptor *descriptor, FrFace *faces, int count,
		  FrError *error)
{
	FrFace before[FR_EMBED_MAX_BATCH];
	FrFace *unsure[FR_EMBED_MAX_BATCH];
	int unsure_count = 0;

	for (int i = 0; i < count; i++)
		before[i] = faces[i];

	FrStatus status =
		look_once(photo, view, net, descriptor, faces, count, error);

	for (int i = 0; i < count && status == FR_OK; i++)
		if (!before[i].lacks_landmarks && get_movement(&before[i], &faces[i]) >
											  (double) descriptor->second_look)
			unsure[unsure_count++] = &faces[i];
	if (status == FR_OK && unsure_count > 0)
		status = look_again(photo, view, net, descriptor, unsure, unsure_count,
							error);
	return status;
}

FrStatus
fr_landmarks_find(FrPhoto *photo, const FrPhotoView *view, FrNet *net,
				  const FrDescriptor *descriptor, FrFace *faces, int count,
				  FrError *error)
{
	FrStatus status = FR_OK;

	if (!(descriptor->second_look > 0) ||
		descriptor->alignment == FR_TEMPLATE_BOX)
		return look_once(photo, view, net, descriptor, faces, count, error);
	for (int i = 0; i < count && status == FR_OK; i += FR_EMBED_MAX_BATCH)
		status = find_some(photo, view, net, descriptor, faces + i,
						   count - i < FR_EMBED_MAX_BATCH ? count - i
														  : FR_EMBED_MAX_BATCH,
						   error);
	return status;
}
