/*
 * photo.h: the decoded views of one photo (internal to core/face).
 *
 * A photo is decoded once, at the largest reduction that serves detection.
 * When a face needs more pixels than that decode has, the full-size pixels of
 * its region are decoded as well.
 */
#ifndef FR_CORE_FACE_PHOTO_H
#define FR_CORE_FACE_PHOTO_H

#include "core/face/pipeline.h"

struct FrPhoto
{
	const FrAllocator *allocator;
	const void *bytes; /* the file; not owned */
	size_t size_bytes;
	size_t max_pixels;
	FrCancel cancel;
	FrImageInfo info;
	int reduction;	 /* of decoded: 1, 2, 4 or 8 */
	FrImage decoded; /* the whole picture */
	FrImage detail;	 /* full-size pixels of detail_rect; often absent */
	FrImageRect detail_rect;
};

/* A picture whose pixel (x, y) has its centre at (x * step + x_origin,
 * y * step + y_origin) of the full-size picture. */
typedef struct FrPhotoView
{
	const FrImage *image; /* belongs to the photo */
	double step;
	double x_origin, y_origin;
} FrPhotoView;

/* The whole picture, its longest side at least longest pixels (0, or more
 * than it has: full size); decodes again if the decode at hand is smaller. */
FrStatus fr_photo_view_whole(FrPhoto *photo, int longest, FrPhotoView *view,
							 FrError *error);

/* The decode at hand, whatever its reduction. */
FrPhotoView fr_photo_view_decoded(const FrPhoto *photo);

/* Full-size pixels that cover rect, which lies inside the picture and is not
 * empty.  Valid until the next call. */
FrStatus fr_photo_view_detail(FrPhoto *photo, const FrImageRect *rect,
							  FrPhotoView *view, FrError *error);

/*
 * The pixels to sample an aligned crop from: the decode at hand if it has at
 * least the crop's resolution there, else full-size ones.
 */
FrStatus
fr_photo_view_crop(FrPhoto *photo, const FrSimilarity *transform, int width,
				   int height, FrPhotoView *view, FrError *error);

/* Whether fr_photo_view_crop would want full-size pixels; *rect gets those
 * that the crop needs. */
bool fr_photo_needs_detail(const FrPhoto *photo, const FrSimilarity *transform,
						   int width, int height, FrImageRect *rect);

/* Sample an aligned crop from a view. */
FrStatus fr_photo_warp(const FrPhoto *photo, const FrPhotoView *view,
					   const FrSimilarity *transform, int width, int height,
					   FrImage *crop, FrError *error);

/* A rectangle of the full-size picture between pixel edges; the left edge of
 * the picture is 0. */
typedef struct FrPhotoArea
{
	double x0, y0, x1, y1;
} FrPhotoArea;

/* The box of a face and a margin: a share of each side, added to it in
 * all. */
FrPhotoArea fr_photo_area_of(const FrFace *face, float margin);

/* Whether stretching an area to width x height wants full-size pixels; *rect
 * gets those that it needs. */
bool fr_photo_area_needs_detail(const FrPhoto *photo, const FrPhotoArea *area,
								int width, int height, FrImageRect *rect);

/*
 * Cut out an area and stretch it to width x height (averaging where it
 * shrinks).  *area gets what was really cut: whole pixels inside the picture,
 * at least one; ARGUMENT when it lies outside.
 */
FrStatus fr_photo_stretch(FrPhoto *photo, FrPhotoArea *area, int width,
						  int height, FrImage *crop, FrError *error);

#endif
