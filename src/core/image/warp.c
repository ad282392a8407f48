/*
 * warp.c: sampling an aligned crop through a similarity transform.
 *
 * The convention is that of OpenCV's warpAffine (pixel centres at integers,
 * zeros outside), but positions and weights are exact in double precision
 * instead of rounded to 1/32 pixel, and sums are rounded by floor(v + 0.5).
 */
#include <math.h>

#include "core/image/image.h"

/* The pixel at (x, y) as three doubles; zeros outside the picture. */
static void
fetch(const FrImage *source, int x, int y, double pixel[3])
{
	if (x < 0 || y < 0 || x >= source->width || y >= source->height)
	{
		pixel[0] = pixel[1] = pixel[2] = 0;
		return;
	}

	const uint8_t *stored = fr_image_row(source, y) + (size_t) x * 3;

	for (int c = 0; c < 3; c++)
		pixel[c] = stored[c];
}

static void
sample(const FrImage *source, double x, double y, uint8_t *rgb)
{
	rgb[0] = rgb[1] = rgb[2] = 0;
	/* Beyond these nothing of the picture is touched; NaN too ends here. */
	if (!(x > -1 && y > -1 && x < source->width && y < source->height))
		return;

	const int left = (int) floor(x);
	const int top = (int) floor(y);
	const double fx = x - left;
	const double fy = y - top;
	double corner[4][3];

	fetch(source, left, top, corner[0]);
	fetch(source, left + 1, top, corner[1]);
	fetch(source, left, top + 1, corner[2]);
	fetch(source, left + 1, top + 1, corner[3]);
	for (int c = 0; c < 3; c++)
	{
		const double value =
			(corner[0][c] * (1 - fx) + corner[1][c] * fx) * (1 - fy) +
			(corner[2][c] * (1 - fx) + corner[3][c] * fx) * fy;

		rgb[c] = (uint8_t) (value + 0.5);
	}
}

FrStatus
fr_image_warp(const FrImage *source, const FrSimilarity *transform, int width,
			  int height, const FrAllocator *allocator, FrImage *image,
			  FrError *error)
{
	const double a = transform->a;
	const double b = transform->b;
	const double determinant = a * a + b * b;

	*image = (FrImage){0};
	if (!isfinite(determinant) || determinant < 1e-18 ||
		!isfinite(transform->tx) || !isfinite(transform->ty))
		return fr_fail(
			error, FR_ERR_ARGUMENT,
			"The transform (a = %g, b = %g, tx = %g, ty = %g) cannot "
			"be inverted.",
			a, b, transform->tx, transform->ty);

	FrStatus status = fr_image_create(width, height, allocator, image, error);

	if (status != FR_OK)
		return status;

	uint8_t *rgb = image->pixels;

	for (int v = 0; v < height; v++)
		for (int u = 0; u < width; u++, rgb += 3)
		{
			const double du = u - transform->tx;
			const double dv = v - transform->ty;

			sample(source, (a * du + b * dv) / determinant,
				   (a * dv - b * du) / determinant, rgb);
		}
	return FR_OK;
}
