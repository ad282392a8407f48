/*
 * test_face_align.c: templates, least-squares similarities, footprints.
 *
 * Expected matrices were computed with numpy from golden detections of real
 * photos (Umeyama's method by singular value decomposition).
 */
#include "core/face/align.h"
#include "test/unit/tap.h"

typedef struct Case
{
	const char *name;
	FrPoint landmarks[5];
	FrTemplate alignment;
	int size;
	double a, b, tx, ty;
} Case;

static const Case cases[] = {
	{
		"upright face, template 112",
		{{127.191214f, 344.688462f},
		 {187.654282f, 339.696123f},
		 {171.421753f, 377.660791f},
		 {137.37587f, 404.043125f},
		 {188.152969f, 398.535599f}},
		FR_TEMPLATE_ARCFACE_112,
		112,
		0.6196990904,
		0.0530315128,
		-24.8109319942,
		-167.8105467535,
	},
	{
		"upright face, template 128",
		{{127.191214f, 344.688462f},
		 {187.654282f, 339.696123f},
		 {171.421753f, 377.660791f},
		 {137.37587f, 404.043125f},
		 {188.152969f, 398.535599f}},
		FR_TEMPLATE_OMZ_128,
		128,
		0.7584825682,
		0.0664746304,
		-34.3215299847,
		-211.395984295,
	},
	{
		"tilted face, template 112",
		{{581.031379f, 88.781132f},
		 {619.646885f, 94.016563f},
		 {599.867453f, 116.157208f},
		 {574.339034f, 127.714624f},
		 {607.794849f, 132.480812f}},
		FR_TEMPLATE_ARCFACE_112,
		112,
		0.9281474983,
		-0.1880396526,
		-518.6756488667,
		80.2783892798,
	},
};

static void
test_matrices_equal_the_least_squares_solution(void)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		const Case *c = &cases[i];
		FrSimilarity t = {0};

		ok(fr_align_landmarks(c->landmarks, c->alignment, c->size, c->size, &t),
		   "%s: determined", c->name);
		ok_near(t.a, c->a, 1e-6, "%s: a", c->name);
		ok_near(t.b, c->b, 1e-6, "%s: b", c->name);
		ok_near(t.tx, c->tx, 1e-3, "%s: tx", c->name);
		ok_near(t.ty, c->ty, 1e-3, "%s: ty", c->name);
	}
}

/* Move a template by a known similarity and get its inverse back. */
static void
test_exact_similarity_is_recovered(void)
{
	static const double angles[] = {0, 0.3, 1.5707963, 3.0, -2.5};

	for (size_t i = 0; i < sizeof angles / sizeof *angles; i++)
	{
		double c = 2.5 * cos(angles[i]), s = 2.5 * sin(angles[i]);
		FrPoint points[5];
		FrSimilarity t = {0};

		fr_align_template(FR_TEMPLATE_ARCFACE_112, 112, 112, points);
		for (int k = 0; k < 5; k++)
		{
			double x = (double) points[k].x, y = (double) points[k].y;

			points[k].x = (float) (c * x - s * y + 300);
			points[k].y = (float) (s * x + c * y - 40);
		}
		ok(fr_align_landmarks(points, FR_TEMPLATE_ARCFACE_112, 112, 112, &t),
		   "angle %g: determined", angles[i]);
		ok_near(t.a, cos(angles[i]) / 2.5, 1e-6, "angle %g: a", angles[i]);
		ok_near(t.b, -sin(angles[i]) / 2.5, 1e-6, "angle %g: b", angles[i]);
		ok_near(fr_align_scale(&t), 0.4, 1e-6, "angle %g: scale", angles[i]);
		ok_near(t.a * 300 - t.b * -40 + t.tx, 0, 1e-4,
				"angle %g: the origin returns (x)", angles[i]);
		ok_near(t.b * 300 + t.a * -40 + t.ty, 0, 1e-4,
				"angle %g: the origin returns (y)", angles[i]);
	}
}

/* A mirrored face must not be reflected back: a^2 + b^2 > 0 is a rotation by
 * construction, and its fit is worse than for the face itself. */
static void
test_mirror_image_gives_a_proper_rotation(void)
{
	FrPoint points[5];
	FrSimilarity t = {0};

	fr_align_template(FR_TEMPLATE_OMZ_128, 128, 128, points);
	for (int k = 0; k < 5; k++)
		points[k].x = 128 - points[k].x;
	ok(fr_align_landmarks(points, FR_TEMPLATE_OMZ_128, 128, 128, &t),
	   "mirror image: determined");
	ok(fr_align_scale(&t) < 0.9, "mirror image: fitted worse than a face");
}

static void
test_useless_landmarks_are_refused(void)
{
	FrPoint same[5] = {{7, 9}, {7, 9}, {7, 9}, {7, 9}, {7, 9}};
	FrPoint broken[5] = {{0, 0}, {9, 0}, {4, 5}, {1, NAN}, {8, 9}};
	FrPoint endless[5] = {{0, 0}, {INFINITY, 0}, {4, 5}, {1, 9}, {8, 9}};
	FrPoint huge[5] = {{-3e38f, -3e38f},
					   {3e38f, -3e38f},
					   {0, 0},
					   {-3e38f, 3e38f},
					   {3e38f, 3e38f}};
	FrSimilarity t = {0};

	ok(!fr_align_landmarks(same, FR_TEMPLATE_ARCFACE_112, 112, 112, &t),
	   "landmarks in one place are refused");
	ok(!fr_align_landmarks(broken, FR_TEMPLATE_ARCFACE_112, 112, 112, &t),
	   "NaN is refused");
	ok(!fr_align_landmarks(endless, FR_TEMPLATE_ARCFACE_112, 112, 112, &t),
	   "infinity is refused");
	ok(!fr_align_landmarks(huge, FR_TEMPLATE_ARCFACE_112, 112, 112, &t) ||
		   (isfinite(t.a) && isfinite(t.b) && isfinite(t.tx) && isfinite(t.ty)),
	   "the largest floats give finite numbers or nothing");
}

static void
test_box_fills_the_crop(void)
{
	FrSimilarity t = {0};

	ok(fr_align_box(100, 200, 150, 300, 112, 112, &t), "box: determined");
	ok_near(t.a, 1.12, 1e-9, "box: scale by the longer side");
	ok_near(t.a * 125 + t.tx, 55.5, 1e-9, "box: centre to centre (x)");
	ok_near(t.a * 250 + t.ty, 55.5, 1e-9, "box: centre to centre (y)");
	ok(!fr_align_box(5, 5, 5, 5, 112, 112, &t), "an empty box is refused");
	ok(!fr_align_box(0, NAN, 5, 5, 112, 112, &t), "NaN is refused");
	ok(!fr_align_box(-3e38f, 0, INFINITY, 5, 112, 112, &t),
	   "infinity is refused");
}

static void
test_templates_scale(void)
{
	FrPoint p[5];

	fr_align_template(FR_TEMPLATE_ARCFACE_112, 224, 224, p);
	ok_near(p[0].x, 2 * 38.2946, 1e-4, "arcface 224: x of the first eye");
	ok_near(p[4].y, 2 * 92.2041, 1e-4, "arcface 224: y of the last corner");
	fr_align_template(FR_TEMPLATE_OMZ_128, 128, 64, p);
	ok_near(p[1].x, 128 * 0.6826229166, 1e-4, "omz 128 x 64: x of an eye");
	ok_near(p[1].y, 64 * 0.4615741071, 1e-4, "omz 128 x 64: y of an eye");
}

/* A point goes to the same place through the reduced picture. */
static void
test_rebased_transform_agrees(void)
{
	FrSimilarity t = {.a = 0.3, .b = -0.2, .tx = 12, .ty = -7};
	FrSimilarity r = fr_align_rebase(&t, 4, 1.5, 1.5);
	double x = 33, y = 21; /* in the reduced picture */
	double fx = x * 4 + 1.5, fy = y * 4 + 1.5;

	ok_near(r.a * x - r.b * y + r.tx, t.a * fx - t.b * fy + t.tx, 1e-9,
			"rebased: x");
	ok_near(r.b * x + r.a * y + r.ty, t.b * fx + t.a * fy + t.ty, 1e-9,
			"rebased: y");

	FrSimilarity same = fr_align_rebase(&t, 1, 0, 0);

	ok(same.a == t.a && same.b == t.b && same.tx == t.tx && same.ty == t.ty,
	   "the full picture needs no rebasing");
}

static void
test_footprint_covers_the_samples(void)
{
	/* crop pixel u shows picture pixel 2 u + 10 */
	FrSimilarity t = {.a = 0.5, .b = 0, .tx = -5, .ty = -5};
	FrImageRect rect = fr_align_footprint(&t, 20, 10, 1000, 1000);

	is_int(rect.x0, 9, "left, with one to spare");
	is_int(rect.y0, 9, "top");
	is_int(rect.x1, 10 + 2 * 19 + 3, "right");
	is_int(rect.y1, 10 + 2 * 9 + 3, "bottom");
	rect = fr_align_footprint(&t, 20, 10, 30, 12);
	ok(rect.x1 == 30 && rect.y1 == 12, "clipped to the picture");
	t.tx = 1e9;
	rect = fr_align_footprint(&t, 20, 10, 1000, 1000);
	ok(rect.x0 == rect.x1, "empty when the crop lies outside");
	t = (FrSimilarity){.a = 1e-12, .b = 0, .tx = 0, .ty = 0};
	rect = fr_align_footprint(&t, 112, 112, 1000, 800);
	ok(rect.x0 == 0 && rect.y0 == 0 && rect.x1 == 1000 && rect.y1 == 800,
	   "a vanishing scale covers everything right and below");
}

int
main(void)
{
	test_matrices_equal_the_least_squares_solution();
	test_exact_similarity_is_recovered();
	test_mirror_image_gives_a_proper_rotation();
	test_useless_landmarks_are_refused();
	test_box_fills_the_crop();
	test_templates_scale();
	test_rebased_transform_agrees();
	test_footprint_covers_the_samples();
	return tap_done();
}
