/*
 * test_face_quality.c: the quality measures and their direction.
 */
#include "core/face/quality.h"
#include "test/unit/tap.h"

#define SIDE FR_QUALITY_SIDE

static const FrFace frontal = {
	.landmarks = {{38, 52}, {74, 52}, {56, 72}, {41, 92}, {71, 92}}};

/* A pattern of soft discs, blurred by a Gaussian of the given deviation: the
 * analytic picture of erf-shaped edges. */
static double
pattern(int x, int y, double blur)
{
	double value = 0.5;

	for (int i = 0; i < 5; i++)
	{
		double cx = 30 + 13 * i, cy = 40 + (i * 37) % 50, radius = 6 + i;
		double distance = hypot(x - cx, y - cy) - radius;

		value += (i % 2 ? 0.22 : -0.22) * erfc(distance / (blur * sqrt(2)));
	}
	return value;
}

static FrImage
make_crop(double blur, double contrast, double mean)
{
	FrImage image = {0};
	FrError error;

	if (fr_image_create(SIDE, SIDE, &fr_allocator_malloc, &image, &error) !=
		FR_OK)
		exit(1);
	for (int y = 0; y < SIDE; y++)
	{
		for (int x = 0; x < SIDE; x++)
		{
			double value = mean + contrast * 255 * (pattern(x, y, blur) - 0.5);
			uint8_t *pixel = image.pixels + (size_t) (y * SIDE + x) * 3;

			pixel[0] = pixel[1] = pixel[2] =
				(uint8_t) (fmax(0, fmin(255, value)) + 0.5);
		}
	}
	return image;
}

static FrQuality
measure(const FrFace *face, double blur, double contrast, double mean)
{
	FrImage crop = make_crop(blur, contrast, mean);
	FrQuality quality;

	fr_quality_measure(face, &crop, &(FrSimilarity){.a = 1}, &quality);
	fr_image_destroy(&crop);
	return quality;
}

static void
test_scores_never_rise_as_things_get_worse(void)
{
	for (int i = 0; i < FR_QUALITY_COUNT; i++)
	{
		FrQualityMeasure m = (FrQualityMeasure) i;
		bool is_distance =
			m == FR_QUALITY_INTER_EYE_DISTANCE || m == FR_QUALITY_DYNAMIC_RANGE;
		bool is_share = m == FR_QUALITY_UNDER_EXPOSURE_PREVENTION ||
						m == FR_QUALITY_OVER_EXPOSURE_PREVENTION;
		double end = is_share ? 1 : 200;
		float previous = is_distance ? 0 : 100;
		bool is_monotone = true, is_bounded = true;

		if (m == FR_QUALITY_LUMINANCE_MEAN)
			continue;
		for (int k = 0; k <= 400; k++)
		{
			float score = fr_quality_score(m, (float) (end * k / 400));

			is_monotone &= is_distance ? score >= previous : score <= previous;
			is_bounded &= score >= 0 && score <= 100;
			previous = score;
		}
		ok(is_monotone, "%s is monotone", fr_quality_name(m));
		ok(is_bounded, "%s stays between 0 and 100", fr_quality_name(m));
		ok(fr_quality_score(m, NAN) == 0 && fr_quality_score(m, INFINITY) == 0,
		   "%s is 0 when it cannot be measured", fr_quality_name(m));
	}
	ok(fr_quality_score(FR_QUALITY_LUMINANCE_MEAN, 120) == 100 &&
		   fr_quality_score(FR_QUALITY_LUMINANCE_MEAN, 20) < 100 &&
		   fr_quality_score(FR_QUALITY_LUMINANCE_MEAN, 20) >
			   fr_quality_score(FR_QUALITY_LUMINANCE_MEAN, 10) &&
		   fr_quality_score(FR_QUALITY_LUMINANCE_MEAN, 230) >
			   fr_quality_score(FR_QUALITY_LUMINANCE_MEAN, 240),
	   "LuminanceMean falls towards both ends");
	ok_near(fr_quality_score(FR_QUALITY_HEAD_POSE_YAW, -60), 25, 1e-4,
			"HeadPoseYaw is 100 cos^2, whichever side");
}

static void
test_blur_is_recovered(void)
{
	static const double blurs[] = {1.2, 2, 3};

	for (size_t i = 0; i < sizeof blurs / sizeof *blurs; i++)
	{
		FrQuality q = measure(&frontal, blurs[i], 1, 128);

		ok_near(q.raw[FR_QUALITY_SHARPNESS], blurs[i], 0.2 * blurs[i],
				"blur of %g pixels is seen", blurs[i]);
	}

	FrQuality strong = measure(&frontal, 2, 0.9, 128);
	FrQuality weak = measure(&frontal, 2, 0.3, 128);

	ok_near(weak.raw[FR_QUALITY_SHARPNESS], strong.raw[FR_QUALITY_SHARPNESS],
			0.2, "contrast does not change it much");
}

/* Measured through a transform, or on the crop that it makes. */
static void
test_transform_equals_crop(void)
{
	FrImage image = make_crop(1.5, 1, 128), crop;
	FrSimilarity transform = {.a = 0.9, .b = 0.2, .tx = 20, .ty = -14};
	FrSimilarity identity = {.a = 1};
	FrQuality direct, cropped;
	FrError error = {0};

	is_status(fr_image_warp(&image, &transform, SIDE, SIDE,
							&fr_allocator_malloc, &crop, &error),
			  FR_OK, &error, "the crop is made");
	fr_quality_measure(&frontal, &image, &transform, &direct);
	fr_quality_measure(&frontal, &crop, &identity, &cropped);
	for (int i = 0; i < FR_QUALITY_COUNT; i++)
		ok_near(direct.raw[i], cropped.raw[i],
				i == FR_QUALITY_SHARPNESS ? 0.1 : 1, "%s is the same",
				fr_quality_name((FrQualityMeasure) i));
	fr_image_destroy(&crop);
	transform.tx = 1e9;
	fr_quality_measure(&frontal, &image, &transform, &direct);
	ok(direct.unified == 0, "outside the picture there is no quality");
	fr_image_destroy(&image);
}

static void
test_exposure_is_measured(void)
{
	FrQuality dark = measure(&frontal, 1.2, 0.1, 4);
	FrQuality flat = measure(&frontal, 1.2, 0, 100);
	FrQuality bright = measure(&frontal, 1.2, 0.1, 254);

	ok_near(flat.raw[FR_QUALITY_LUMINANCE_MEAN], 100, 0.5, "mean of flat gray");
	ok_near(flat.raw[FR_QUALITY_DYNAMIC_RANGE], 0, 0, "its range is 0");
	ok_near(flat.raw[FR_QUALITY_SHARPNESS], SIDE, 0, "it has no edge");
	ok(flat.unified == 0, "a flat crop has quality 0");
	ok(dark.raw[FR_QUALITY_UNDER_EXPOSURE_PREVENTION] > 0.6f,
	   "a dark crop is under-exposed");
	ok(bright.raw[FR_QUALITY_OVER_EXPOSURE_PREVENTION] > 0.3f,
	   "a bright crop is over-exposed");
	ok(dark.raw[FR_QUALITY_OVER_EXPOSURE_PREVENTION] == 0, "but not both");
}

static void
test_unified_falls_with_each(void)
{
	FrFace face = frontal;
	float best = measure(&face, 0.8, 1, 128).unified;

	ok(best > 70 && best <= 100, "a good face: %.1f", (double) best);
	ok(measure(&face, 4, 1, 128).unified < best, "blur lowers it");
	ok(measure(&face, 0.8, 0.1, 128).unified < best, "low contrast lowers it");
	ok(measure(&face, 0.8, 1, 10).unified < best, "darkness lowers it");
	face.pitch = 30;
	ok(measure(&face, 0.8, 1, 128).unified < best, "pitch lowers it");
	face = frontal;
	face.roll = 40;
	ok(measure(&face, 0.8, 1, 128).unified < best, "roll lowers it");
	face = frontal;
	for (int i = 0; i < 5; i++)
	{
		face.landmarks[i].x /= 4;
		face.landmarks[i].y /= 4;
	}
	ok(measure(&face, 0.8, 1, 128).unified < best, "smallness lowers it");
	face = frontal;
	face.yaw = 89.9f;
	ok(measure(&face, 0.8, 1, 128).unified < 40, "a profile is poor");
	face.yaw = NAN;
	ok(measure(&face, 0.8, 1, 128).unified == 0, "NaN gives 0");
}

int
main(void)
{
	test_scores_never_rise_as_things_get_worse();
	test_blur_is_recovered();
	test_transform_equals_crop();
	test_exposure_is_measured();
	test_unified_falls_with_each();
	return tap_done();
}
