/*
 * photo.c: the decoded views of one photo; see photo.h.
 */
#include "core/face/photo.h"

#include <math.h>

#include "core/face/align.h"

static int
longest_side(const FrPhoto *photo)
{
	return photo->info.width > photo->info.height ? photo->info.width
												  : photo->info.height;
}

/* The largest reduction that leaves the longest side at least wanted. */
static int
choose_reduction(int longest, int wanted)
{
	if (wanted <= 0)
		return 1;
	for (int reduction = 8; reduction > 1; reduction /= 2)
	{
		if ((longest + reduction - 1) / reduction >= wanted)
			return reduction;
	}
	return 1;
}

/* Decode the whole picture at a reduction, in place of the decode at hand. */
static FrStatus
decode_whole(FrPhoto *photo, int reduction, FrError *error)
{
	FrDecodeOptions options = {
		.max_pixels = photo->max_pixels,
		.reduction = reduction,
		.cancel = photo->cancel,
	};

	fr_image_destroy(&photo->decoded);

	FrStatus status = fr_image_decode(photo->bytes, photo->size_bytes, &options,
									  photo->allocator, &photo->decoded, error);

	photo->reduction = status == FR_OK ? reduction : 0;
	return status;
}

FrStatus
fr_photo_open(const void *bytes, size_t size_bytes,
			  const FrPhotoOptions *options, const FrAllocator *allocator,
			  FrPhoto **photo, FrError *error)
{
	FrImageInfo info;
	FrStatus status = fr_image_read_info(bytes, size_bytes, &info, error);

	*photo = NULL;
	if (status != FR_OK)
		return status;

	FrPhoto *opened = fr_alloc_zeroed(allocator, 1, sizeof *opened);

	if (!opened)
		return fr_fail_nomem(error, sizeof *opened);
	opened->allocator = allocator;
	opened->bytes = bytes;
	opened->size_bytes = size_bytes;
	opened->max_pixels = options->max_pixels;
	opened->cancel = options->cancel;
	opened->info = info;

	int reduction =
		choose_reduction(longest_side(opened), options->detection_size);

	status = decode_whole(opened, reduction, error);
	if (status != FR_OK)
	{
		fr_photo_close(opened);
		return status;
	}
	*photo = opened;
	return FR_OK;
}

void
fr_photo_close(FrPhoto *photo)
{
	if (!photo)
		return;
	fr_image_destroy(&photo->decoded);
	fr_image_destroy(&photo->detail);
	fr_release(photo->allocator, photo);
}

void
fr_photo_size(const FrPhoto *photo, int *width, int *height)
{
	*width = photo->info.width;
	*height = photo->info.height;
}

FrPhotoView
fr_photo_view_decoded(const FrPhoto *photo)
{
	/* Pixel x of the reduced picture averages pixels x * k .. x * k + k - 1,
	 * whose centre is x * k + (k - 1) / 2. */
	return (FrPhotoView){
		.image = &photo->decoded,
		.step = photo->reduction,
		.x_origin = (photo->reduction - 1) / 2.0,
		.y_origin = (photo->reduction - 1) / 2.0,
	};
}

FrStatus
fr_photo_view_whole(FrPhoto *photo, int longest, FrPhotoView *view,
					FrError *error)
{
	int reduction = choose_reduction(longest_side(photo), longest);

	if (reduction < photo->reduction)
	{
		FrStatus status = decode_whole(photo, reduction, error);

		if (status != FR_OK)
			return status;
	}
	*view = fr_photo_view_decoded(photo);
	return FR_OK;
}

static bool
covers(const FrImageRect *outer, const FrImageRect *inner)
{
	return outer->x0 <= inner->x0 && outer->y0 <= inner->y0 &&
		   outer->x1 >= inner->x1 && outer->y1 >= inner->y1;
}

FrStatus
fr_photo_view_detail(FrPhoto *photo, const FrImageRect *rect, FrPhotoView *view,
					 FrError *error)
{
	if (photo->reduction == 1)
	{
		*view = fr_photo_view_decoded(photo);
		return FR_OK;
	}
	if (!photo->detail.pixels || !covers(&photo->detail_rect, rect))
	{
		FrDecodeOptions options = {
			.max_pixels = photo->max_pixels,
			.reduction = 1,
			.has_region = true,
			.region = *rect,
			.cancel = photo->cancel,
		};

		fr_image_destroy(&photo->detail);

		FrStatus status =
			fr_image_decode(photo->bytes, photo->size_bytes, &options,
							photo->allocator, &photo->detail, error);

		if (status != FR_OK)
			return status;
		photo->detail_rect = *rect;
	}
	*view = (FrPhotoView){
		.image = &photo->detail,
		.step = 1,
		.x_origin = photo->detail_rect.x0,
		.y_origin = photo->detail_rect.y0,
	};
	return FR_OK;
}

bool
fr_photo_needs_detail(const FrPhoto *photo, const FrSimilarity *transform,
					  int width, int height, FrImageRect *rect)
{
	*rect = fr_align_footprint(transform, width, height, photo->info.width,
							   photo->info.height);
	return photo->reduction != 1 && rect->x0 < rect->x1 &&
		   fr_align_scale(transform) * photo->reduction > 1;
}

FrStatus
fr_photo_view_crop(FrPhoto *photo, const FrSimilarity *transform, int width,
				   int height, FrPhotoView *view, FrError *error)
{
	FrImageRect rect;

	if (fr_photo_needs_detail(photo, transform, width, height, &rect))
		return fr_photo_view_detail(photo, &rect, view, error);
	*view = fr_photo_view_decoded(photo);
	return FR_OK;
}

FrStatus
fr_photo_warp(const FrPhoto *photo, const FrPhotoView *view,
			  const FrSimilarity *transform, int width, int height,
			  FrImage *crop, FrError *error)
{
	FrSimilarity rebased =
		fr_align_rebase(transform, view->step, view->x_origin, view->y_origin);

	return fr_image_warp(view->image, &rebased, width, height, photo->allocator,
						 crop, error);
}

FrPhotoArea
fr_photo_area_of(const FrFace *face, float margin)
{
	double width = (double) face->x1 - (double) face->x0;
	double height = (double) face->y1 - (double) face->y0;
	double half = (double) margin / 2;

	return (FrPhotoArea){
		.x0 = (double) face->x0 - width * half,
		.y0 = (double) face->y0 - height * half,
		.x1 = (double) face->x1 + width * half,
		.y1 = (double) face->y1 + height * half,
	};
}

/* Whole pixels low .. high of count, from edges that may lie anywhere; at
 * least one pixel unless they lie outside. */
static void
clip_range(double edge0, double edge1, int count, int *low, int *high)
{
	double first = fmax(0, floor(edge0));
	double last = fmin(count, floor(edge1));

	if (!(first < count) || !(edge1 > 0) || !(edge1 > edge0))
	{
		*low = *high = 0;
		return;
	}
	*low = (int) first;
	*high = last > first ? (int) last : *low + 1;
}

bool
fr_photo_area_needs_detail(const FrPhoto *photo, const FrPhotoArea *area,
						   int width, int height, FrImageRect *rect)
{
	clip_range(area->x0, area->x1, photo->info.width, &rect->x0, &rect->x1);
	clip_range(area->y0, area->y1, photo->info.height, &rect->y0, &rect->y1);

	double x_scale = width / (area->x1 - area->x0);
	double y_scale = height / (area->y1 - area->y0);

	return photo->reduction != 1 && rect->x0 < rect->x1 &&
		   rect->y0 < rect->y1 && fmax(x_scale, y_scale) * photo->reduction > 1;
}

FrStatus
fr_photo_stretch(FrPhoto *photo, FrPhotoArea *area, int width, int height,
				 FrImage *crop, FrError *error)
{
	FrPhotoView view = fr_photo_view_decoded(photo);
	FrStatus status = FR_OK;
	FrImageRect rect;

	*crop = (FrImage){0};
	if (fr_photo_area_needs_detail(photo, area, width, height, &rect))
		status = fr_photo_view_detail(photo, &rect, &view, error);
	if (status != FR_OK)
		return status;

	/* Pixel u of the view covers u * step .. (u + 1) * step of the picture,
	 * counted from the view's left edge. */
	double left = view.x_origin - (view.step - 1) / 2;
	double top = view.y_origin - (view.step - 1) / 2;

	clip_range((area->x0 - left) / view.step, (area->x1 - left) / view.step,
			   view.image->width, &rect.x0, &rect.x1);
	clip_range((area->y0 - top) / view.step, (area->y1 - top) / view.step,
			   view.image->height, &rect.y0, &rect.y1);
	if (rect.x0 == rect.x1 || rect.y0 == rect.y1)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "The box of the face lies outside the picture.");
	*area = (FrPhotoArea){
		.x0 = rect.x0 * view.step + left,
		.y0 = rect.y0 * view.step + top,
		.x1 = rect.x1 * view.step + left,
		.y1 = rect.y1 * view.step + top,
	};
	return fr_image_resize_region(view.image, &rect, width, height,
								  &photo->cancel, photo->allocator, crop,
								  error);
}
