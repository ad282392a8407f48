/*
 * align.c: alignment templates and least-squares similarities; see align.h.
 */
#include "core/face/align.h"

#include <math.h>

/* insightface's five points for a 112 x 112 crop, in pixels. */
static const double arcface_112[FR_LANDMARK_COUNT][2] = {
	{38.2946, 51.6963}, {73.5318, 51.5014}, {56.0252, 71.7366},
	{41.5493, 92.3655}, {70.7299, 92.2041},
};

/* Open Model Zoo's points for face-reidentification-retail-0095, as
 * fractions of the crop. */
static const double omz_128[FR_LANDMARK_COUNT][2] = {
	{0.31556875, 0.4615741071},	  {0.6826229166, 0.4615741071},
	{0.5002624999, 0.640505357},  {0.3494791666, 0.8246919642},
	{0.6534364583, 0.8246919642},
};

/* The points of the 96 x 112 crops of SphereFace's authors: ArcFace's, which
 * were taken from them, 8 pixels to the left. */
static const double sphereface_112[FR_LANDMARK_COUNT][2] = {
	{30.2946, 51.6963}, {65.5318, 51.5014}, {48.0252, 71.7366},
	{33.5493, 92.3655}, {62.7299, 92.2041},
};

/* A template in units of its own size. */
typedef struct Template
{
	const double (*points)[2];
	double width, height;
} Template;

static const Template templates[] = {
	[FR_TEMPLATE_ARCFACE_112] = {arcface_112, 112, 112},
	[FR_TEMPLATE_OMZ_128] = {omz_128, 1, 1},
	[FR_TEMPLATE_SPHEREFACE] = {sphereface_112, 96, 112},
	/* Where landmarks lie in such a crop depends on the detector. */
	[FR_TEMPLATE_BOX] = {arcface_112, 112, 112},
};

_Static_assert(sizeof templates / sizeof *templates == FR_TEMPLATE_COUNT,
			   "every template has its points");

/* Landmarks closer together than this (root mean square distance from their
 * centre, pixels) carry no direction. */
#define MIN_SPREAD 0.1

static void
template_point(FrTemplate alignment, int index, int width, int height,
			   double point[2])
{
	const Template *source = &templates[alignment];

	point[0] = source->points[index][0] * width / source->width;
	point[1] = source->points[index][1] * height / source->height;
}

void
fr_align_template(FrTemplate alignment, int width, int height,
				  FrPoint points[FR_LANDMARK_COUNT])
{
	for (int i = 0; i < FR_LANDMARK_COUNT; i++)
	{
		double point[2];

		template_point(alignment, i, width, height, point);
		points[i] = (FrPoint){(float) point[0], (float) point[1]};
	}
}

/*
 * Umeyama's solution for two dimensions.  With both point sets centred, p
 * and q, the rotation that minimises sum |q - s R p|^2 among proper rotations
 * has cos : sin = sum(p . q) : sum(p x q); the best scale makes
 * a = s cos = sum(p . q) / sum |p|^2 and b = s sin = sum(p x q) / sum |p|^2.
 */
bool
fr_align_landmarks(const FrPoint landmarks[FR_LANDMARK_COUNT],
				   FrTemplate alignment, int width, int height,
				   FrSimilarity *transform)
{
	double target[FR_LANDMARK_COUNT][2];
	double px = 0, py = 0, qx = 0, qy = 0;

	for (int i = 0; i < FR_LANDMARK_COUNT; i++)
	{
		if (!isfinite(landmarks[i].x) || !isfinite(landmarks[i].y))
			return false;
		template_point(alignment, i, width, height, target[i]);
		px += (double) landmarks[i].x / FR_LANDMARK_COUNT;
		py += (double) landmarks[i].y / FR_LANDMARK_COUNT;
		qx += target[i][0] / FR_LANDMARK_COUNT;
		qy += target[i][1] / FR_LANDMARK_COUNT;
	}

	double dot = 0, cross = 0, spread = 0;

	for (int i = 0; i < FR_LANDMARK_COUNT; i++)
	{
		double x = (double) landmarks[i].x - px;
		double y = (double) landmarks[i].y - py;
		double u = target[i][0] - qx;
		double v = target[i][1] - qy;

		dot += x * u + y * v;
		cross += x * v - y * u;
		spread += x * x + y * y;
	}
	if (!(spread > FR_LANDMARK_COUNT * MIN_SPREAD * MIN_SPREAD))
		return false;

	double a = dot / spread;
	double b = cross / spread;
	double scale = hypot(a, b);

	/* Points that fit the template in no orientation at all give a scale of
	 * about zero, which no crop can be sampled with. */
	if (!(scale * sqrt(spread) > 1e-3 * width))
		return false;
	*transform = (FrSimilarity){
		.a = a,
		.b = b,
		.tx = qx - (a * px - b * py),
		.ty = qy - (b * px + a * py),
	};
	return true;
}

bool
fr_align_box(float x0, float y0, float x1, float y1, int width, int height,
			 FrSimilarity *transform)
{
	double side = fmax((double) x1 - (double) x0, (double) y1 - (double) y0);
	double x = ((double) x0 + (double) x1) / 2;
	double y = ((double) y0 + (double) y1) / 2;

	if (!isfinite(side) || !isfinite(x) || !isfinite(y) || !(side > MIN_SPREAD))
		return false;

	double scale = (width < height ? width : height) / side;

	*transform = (FrSimilarity){
		.a = scale,
		.b = 0,
		.tx = (width - 1) / 2.0 - scale * x,
		.ty = (height - 1) / 2.0 - scale * y,
	};
	return true;
}

void
fr_align_widen(FrSimilarity *transform, double margin, int width, int height)
{
	double scale = 1 / (1 + margin);

	transform->a *= scale;
	transform->b *= scale;
	transform->tx = (transform->tx - width / 2.0) * scale + width / 2.0;
	transform->ty = (transform->ty - height / 2.0) * scale + height / 2.0;
}

double
fr_align_scale(const FrSimilarity *transform)
{
	return hypot(transform->a, transform->b);
}

FrSimilarity
fr_align_rebase(const FrSimilarity *transform, double step, double origin_x,
				double origin_y)
{
	double a = transform->a, b = transform->b;

	return (FrSimilarity){
		.a = a * step,
		.b = b * step,
		.tx = transform->tx + a * origin_x - b * origin_y,
		.ty = transform->ty + b * origin_x + a * origin_y,
	};
}

/* Turn a coordinate into a pixel index between 0 and limit. */
static int
clamp_index(double value, int limit)
{
	if (!(value > 0))
		return 0;
	return value < limit ? (int) value : limit;
}

FrImageRect
fr_align_footprint(const FrSimilarity *transform, int width, int height,
				   int picture_width, int picture_height)
{
	double a = transform->a, b = transform->b;
	double determinant = a * a + b * b;
	double x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;

	for (int corner = 0; corner < 4; corner++)
	{
		double u = (corner & 1 ? width - 1 : 0) - transform->tx;
		double v = (corner & 2 ? height - 1 : 0) - transform->ty;
		double x = (a * u + b * v) / determinant;
		double y = (a * v - b * u) / determinant;

		x0 = fmin(x0, x);
		y0 = fmin(y0, y);
		x1 = fmax(x1, x);
		y1 = fmax(y1, y);
	}

	/* A bilinear sample at x reads pixels floor(x) and floor(x) + 1. */
	FrImageRect rect = {
		.x0 = clamp_index(floor(x0) - 1, picture_width),
		.y0 = clamp_index(floor(y0) - 1, picture_height),
		.x1 = clamp_index(floor(x1) + 3, picture_width),
		.y1 = clamp_index(floor(y1) + 3, picture_height),
	};

	if (rect.x0 >= rect.x1 || rect.y0 >= rect.y1)
		rect = (FrImageRect){0, 0, 0, 0};
	return rect;
}
