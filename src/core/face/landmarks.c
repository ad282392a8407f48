/*
 * landmarks.c: landmarks from boxes; see landmarks.h.
 */
#include "core/face/landmarks.h"

#include <math.h>

#include "core/face/candidates.h"
#include "core/face/embed.h"

/* The part of the face's box that lies in the picture, stretched to the
 * network's input; *area gets that part. */
static FrStatus
cut_face(FrPhoto *photo, const FrDescriptor *descriptor, const FrFace *face,
		 FrPhotoArea *area, FrImage *crop, FrError *error)
{
	*area = (FrPhotoArea){face->x0, face->y0, face->x1, face->y1};
	return fr_photo_stretch(photo, area, descriptor->input_width,
							descriptor->input_height, crop, error);
}

static void
place_landmarks(const FrPhotoArea *area, const float *values, FrFace *face)
{
	FrPoint landmarks[FR_LANDMARK_COUNT];

	for (int k = 0; k < FR_LANDMARK_COUNT; k++)
	{
		double x = area->x0 + (double) values[2 * k] * (area->x1 - area->x0);
		double y =
			area->y0 + (double) values[2 * k + 1] * (area->y1 - area->y0);

		landmarks[k] = (FrPoint){(float) x, (float) y};
		if (!fr_is_sane_coordinate(landmarks[k].x) ||
			!fr_is_sane_coordinate(landmarks[k].y))
			return;
	}
	for (int k = 0; k < FR_LANDMARK_COUNT; k++)
		face->landmarks[k] = landmarks[k];
	face->lacks_landmarks = false;
}

/* At most FR_EMBED_MAX_BATCH faces. */
static FrStatus
find_some(FrPhoto *photo, FrNet *net, const FrDescriptor *descriptor,
		  FrFace *faces, int count, FrError *error)
{
	FrImage crops[FR_EMBED_MAX_BATCH] = {{0}};
	FrPhotoArea areas[FR_EMBED_MAX_BATCH];
	float values[FR_EMBED_MAX_BATCH * FR_LANDMARK_VALUES];
	FrStatus status = FR_OK;

	for (int i = 0; i < count && status == FR_OK; i++)
		status =
			cut_face(photo, descriptor, &faces[i], &areas[i], &crops[i], error);
	if (status == FR_OK)
		status =
			fr_embed_crops(net, descriptor, crops, count, FR_LANDMARK_VALUES,
						   &photo->cancel, values, error);
	for (int i = 0; i < count; i++)
		fr_image_destroy(&crops[i]);
	for (int i = 0; i < count && status == FR_OK; i++)
		place_landmarks(&areas[i], values + i * FR_LANDMARK_VALUES, &faces[i]);
	return status;
}

FrStatus
fr_landmarks_find(FrPhoto *photo, FrNet *net, const FrDescriptor *descriptor,
				  FrFace *faces, int count, FrError *error)
{
	FrStatus status = FR_OK;

	for (int start = 0; start < count && status == FR_OK;
		 start += FR_EMBED_MAX_BATCH)
	{
		int left = count - start;

		status = find_some(
			photo, net, descriptor, faces + start,
			left < FR_EMBED_MAX_BATCH ? left : FR_EMBED_MAX_BATCH, error);
	}
	return status;
}
