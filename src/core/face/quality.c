/*
 * quality.c: how well a face is pictured; see quality.h.
 *
 * Sharpness: for an edge blurred by a Gaussian of variance s^2, the energy
 * of the gradient over the energy of the Laplacian is 2 s^2, whatever its
 * contrast; over a whole face the ratio is an average blur.  A small blur of
 * known variance goes first, against noise, and is subtracted afterwards.
 */
#include "core/face/quality.h"

#include <math.h>
#include <string.h>

/* The part of the aligned crop that is face: from above the brows to below
 * the mouth, inside the temples; and what neighbourhoods add to it. */
#define FACE_X0		20
#define FACE_Y0		28
#define FACE_WIDTH	72
#define FACE_HEIGHT 76
#define BORDER		2
#define WIDTH		(FACE_WIDTH + 2 * BORDER)
#define HEIGHT		(FACE_HEIGHT + 2 * BORDER)

#define DARK_LIMIT	 5	 /* luminance up to here counts as under-exposed */
#define BRIGHT_LIMIT 250 /* luminance from here on as over-exposed */

static const char *const names[] = {
#define FR_QUALITY_NAME(name, text, exponent) [FR_QUALITY_##name] = (text),
	FR_QUALITY_LIST(FR_QUALITY_NAME)
#undef FR_QUALITY_NAME
};

static const double exponents[] = {
#define FR_QUALITY_EXPONENT(name, text, exponent) \
	[FR_QUALITY_##name] = (exponent),
	FR_QUALITY_LIST(FR_QUALITY_EXPONENT)
#undef FR_QUALITY_EXPONENT
};

_Static_assert(sizeof names / sizeof *names == FR_QUALITY_COUNT,
			   "every measure has a name");

const char *
fr_quality_name(FrQualityMeasure measure)
{
	return (unsigned) measure < FR_QUALITY_COUNT ? names[measure] : "unknown";
}

/* ---- scores --------------------------------------------------------------
 *
 * The curves for size, blur, exposure and range are fitted to the mean cosine
 * between the MobileFaceNet embeddings of real faces and of the same crops
 * made smaller, blurred, brighter or darker (table in the README).
 */

/* 1 at 0, 1/2 at half, then falling as value^-power. */
static double
falling(double value, double half, double power)
{
	return 1 / (1 + pow(value / half, power));
}

static double
cosine_squared(double degrees)
{
	double radian = fabs(degrees) / 57.295779513082320877;

	return radian < M_PI_2 ? cos(radian) * cos(radian) : 0;
}

/* 1 between low and high, falling linearly to 0 at zero_low and zero_high. */
static double
plateau(double value, double zero_low, double low, double high,
		double zero_high)
{
	double rising = (value - zero_low) / (low - zero_low);
	double sinking = (zero_high - value) / (zero_high - high);

	return fmax(0, fmin(1, fmin(rising, sinking)));
}

float
fr_quality_score(FrQualityMeasure measure, float raw)
{
	double value = (double) raw, score = 0;

	if (!isfinite(value))
		return 0;
	switch (measure)
	{
		case FR_QUALITY_INTER_EYE_DISTANCE:
			score = value > 0 ? 1 - falling(value, 7.4, 3.27) : 0;
			break;
		case FR_QUALITY_SHARPNESS:
			score = falling(fmax(0, value), 2.33, 3.75);
			break;
		case FR_QUALITY_HEAD_POSE_YAW:
		case FR_QUALITY_HEAD_POSE_PITCH:
		case FR_QUALITY_HEAD_POSE_ROLL:
			score = cosine_squared(value);
			break;
		case FR_QUALITY_LUMINANCE_MEAN:
			/* Wide, so that no skin colour is marked down. */
			score = plateau(value, 0, 25, 220, 255);
			break;
		case FR_QUALITY_UNDER_EXPOSURE_PREVENTION:
		case FR_QUALITY_OVER_EXPOSURE_PREVENTION:
			value = fmax(0, fmin(1, value));
			score = 1 - value * value;
			break;
		case FR_QUALITY_DYNAMIC_RANGE:
			score = value > 0 ? 1 - falling(value, 10.5, 2) : 0;
			break;
		case FR_QUALITY_COUNT:
			break;
	}
	return (float) (100 * score);
}

/* ---- measures ------------------------------------------------------------ */

/* ITU-R BT.601 luma, 0..255 * 256. */
static inline int
luma(const uint8_t *rgb)
{
	return 77 * rgb[0] + 150 * rgb[1] + 29 * rgb[2];
}

/* Luma at pixel (x, y); zero outside the picture. */
static int
luma_or_zero(const FrImage *image, int x, int y)
{
	if (x < 0 || y < 0 || x >= image->width || y >= image->height)
		return 0;
	return luma(fr_image_row(image, y) + (size_t) x * 3);
}

static uint8_t
sample_luma(const FrImage *image, double x, double y)
{
	/* Beyond these nothing of the picture is touched; NaN too ends here. */
	if (!(x > -1 && y > -1 && x < image->width && y < image->height))
		return 0;

	int left = (int) (x + 1) - 1; /* floor, as x > -1 */
	int top = (int) (y + 1) - 1;
	float fx = (float) (x - left);
	float fy = (float) (y - top);
	int corner[4];

	if (left >= 0 && top >= 0 && left + 1 < image->width &&
		top + 1 < image->height)
	{
		const uint8_t *upper = fr_image_row(image, top) + (size_t) left * 3;
		const uint8_t *lower = upper + (size_t) image->width * 3;

		corner[0] = luma(upper);
		corner[1] = luma(upper + 3);
		corner[2] = luma(lower);
		corner[3] = luma(lower + 3);
	}
	else
	{
		for (int i = 0; i < 4; i++)
			corner[i] = luma_or_zero(image, left + (i & 1), top + (i >> 1));
	}

	float above = (float) corner[0] + fx * (float) (corner[1] - corner[0]);
	float below = (float) corner[2] + fx * (float) (corner[3] - corner[2]);

	return (uint8_t) ((above + fy * (below - above)) / 256 + 0.5f);
}

/* Sample the face part of the aligned crop. */
static void
make_gray(const FrImage *image, const FrSimilarity *transform,
		  uint8_t gray[HEIGHT][WIDTH])
{
	double determinant =
		transform->a * transform->a + transform->b * transform->b;
	double a = transform->a / determinant, b = transform->b / determinant;

	for (int y = 0; y < HEIGHT; y++)
	{
		double v = FACE_Y0 - BORDER + y - transform->ty;

		for (int x = 0; x < WIDTH; x++)
		{
			double u = FACE_X0 - BORDER + x - transform->tx;

			gray[y][x] = sample_luma(image, a * u + b * v, a * v - b * u);
		}
	}
}

/* Luminance statistics of the face part. */
static void
measure_exposure(const uint8_t gray[HEIGHT][WIDTH], float raw[FR_QUALITY_COUNT])
{
	int histogram[256] = {0};
	int total = FACE_WIDTH * FACE_HEIGHT;
	int seen = 0, dark = 0, bright = 0, low = -1, high = -1;
	double sum = 0;

	for (int y = BORDER; y < HEIGHT - BORDER; y++)
	{
		for (int x = BORDER; x < WIDTH - BORDER; x++)
			histogram[gray[y][x]]++;
	}
	for (int value = 0; value < 256; value++)
	{
		seen += histogram[value];
		sum += (double) value * histogram[value];
		if (low < 0 && seen * 20 >= total)
			low = value;
		if (high < 0 && seen * 20 >= total * 19)
			high = value;
		if (value <= DARK_LIMIT)
			dark += histogram[value];
		if (value >= BRIGHT_LIMIT)
			bright += histogram[value];
	}
	raw[FR_QUALITY_LUMINANCE_MEAN] = (float) (sum / total);
	raw[FR_QUALITY_UNDER_EXPOSURE_PREVENTION] = (float) dark / (float) total;
	raw[FR_QUALITY_OVER_EXPOSURE_PREVENTION] = (float) bright / (float) total;
	raw[FR_QUALITY_DYNAMIC_RANGE] = (float) (high - low);
}

/* Binomial 3 x 3 blur (variance 1/2 in each direction), times 16. */
static void
blur_binomial(const uint8_t gray[HEIGHT][WIDTH], int16_t blurred[HEIGHT][WIDTH])
{
	for (int y = 1; y < HEIGHT - 1; y++)
	{
		int16_t columns[WIDTH];

		for (int x = 0; x < WIDTH; x++)
			columns[x] =
				(int16_t) (gray[y - 1][x] + 2 * gray[y][x] + gray[y + 1][x]);
		for (int x = 1; x < WIDTH - 1; x++)
			blurred[y][x] =
				(int16_t) (columns[x - 1] + 2 * columns[x] + columns[x + 1]);
	}
}

/* The face part's apparent blur, crop pixels. */
static float
measure_blur(const uint8_t gray[HEIGHT][WIDTH])
{
	int16_t blurred[HEIGHT][WIDTH];
	int64_t gradient_energy = 0, laplacian_energy = 0;

	blur_binomial(gray, blurred);
	for (int y = BORDER; y < HEIGHT - BORDER; y++)
	{
		int32_t row_gradient = 0;
		int64_t row_laplacian = 0;

		for (int x = BORDER; x < WIDTH - BORDER; x++)
		{
			int centre = blurred[y][x];
			int dx = blurred[y][x + 1] - centre;
			int dy = blurred[y + 1][x] - centre;
			int laplacian = blurred[y][x - 1] + blurred[y - 1][x] +
							blurred[y][x + 1] + blurred[y + 1][x] - 4 * centre;

			row_gradient += (dx * dx + dy * dy) >> 4;
			row_laplacian += (laplacian * laplacian) >> 4;
		}
		gradient_energy += row_gradient;
		laplacian_energy += row_laplacian;
	}
	/* No edge at all: as blurred as the crop is wide. */
	if (laplacian_energy <= 0)
		return FR_QUALITY_SIDE;

	double variance =
		(double) gradient_energy / (2.0 * (double) laplacian_energy) - 0.5;

	return (float) fmin(FR_QUALITY_SIDE, sqrt(fmax(0, variance)));
}

void
fr_quality_measure(const FrFace *face, const FrImage *image,
				   const FrSimilarity *transform, FrQuality *quality)
{
	uint8_t gray[HEIGHT][WIDTH];
	const FrPoint *eyes = face->landmarks;
	double distance = hypot((double) eyes[1].x - (double) eyes[0].x,
							(double) eyes[1].y - (double) eyes[0].y);
	double foreshortening = sqrt(cosine_squared((double) face->yaw));
	double log_sum = 0;

	memset(quality, 0, sizeof *quality);
	/* Beyond 60 degrees the estimated yaw is too rough to divide by. */
	quality->raw[FR_QUALITY_INTER_EYE_DISTANCE] =
		(float) (distance / fmax(0.5, foreshortening));
	quality->raw[FR_QUALITY_HEAD_POSE_YAW] = face->yaw;
	quality->raw[FR_QUALITY_HEAD_POSE_PITCH] = face->pitch;
	quality->raw[FR_QUALITY_HEAD_POSE_ROLL] = face->roll;
	make_gray(image, transform, gray);
	measure_exposure(gray, quality->raw);
	quality->raw[FR_QUALITY_SHARPNESS] = measure_blur(gray);
	for (int i = 0; i < FR_QUALITY_COUNT; i++)
	{
		quality->score[i] =
			fr_quality_score((FrQualityMeasure) i, quality->raw[i]);
		log_sum +=
			exponents[i] * log(fmax(0, (double) quality->score[i]) / 100);
	}
	quality->unified = (float) (100 * exp(log_sum));
}
