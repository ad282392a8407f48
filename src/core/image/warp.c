/*
 * warp.c: sampling an aligned crop through a similarity transform.
 *
 * The convention is that of OpenCV's warpAffine (pixel centres at integers,
 * zeros outside), but positions and weights are exact in double precision
 * instead of rounded to 1/32 pixel, and sums are rounded by floor(v + 0.5).
 */
#include <math.h>

#include "core/image/image.h"

/* The stored pixel at (x, y), or a black one outside the picture. */
static const uint8_t *
pixel_at(const FrImage *source, int x, int y)
{
	static const uint8_t black[3];

	if (x < 0 || y < 0 || x >= source->width || y >= source->height)
		return black;
	return fr_image_row(source, y) + (size_t) x * 3;
}

static void
sample(const FrImage *source, double x, double y, uint8_t *rgb)
{
	rgb[0] = rgb[1] = rgb[2] = 0;
	/* Beyond these nothing of the picture is touched; NaN too ends here. */
	if (!(x > -1 && y > -1 && x < source->width && y < source->height))
		return;

	/* floor() of what is above -1, without the call */
	const int left = (int) (x + 1) - 1;
	const int top = (int) (y + 1) - 1;
	const double fx = x - left;
	const double fy = y - top;
	const uint8_t *corner[4];

	if (left >= 0 && top >= 0 && left + 1 < source->width &&
		top + 1 < source->height)
	{
		corner[0] = fr_image_row(source, top) + (size_t) left * 3;
		corner[1] = corner[0] + 3;
		corner[2] = corner[0] + (size_t) source->width * 3;
		corner[3] = corner[2] + 3;
	}
	else
	{
		corner[0] = pixel_at(source, left, top);
		corner[1] = pixel_at(source, left + 1, top);
		corner[2] = pixel_at(source, left, top + 1);
		corner[3] = pixel_at(source, left + 1, top + 1);
	}
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

	/* The inverse of the linear part. */
	const double inverse_a = a / determinant;
	const double inverse_b = b / determinant;
	uint8_t *rgb = image->pixels;

	for (int v = 0; v < height; v++)
		for (int u = 0; u < width; u++, rgb += 3)
		{
			const double du = u - transform->tx;
			const double dv = v - transform->ty;

			sample(source, inverse_a * du + inverse_b * dv,
				   inverse_a * dv - inverse_b * du, rgb);
		}
	return FR_OK;
}
