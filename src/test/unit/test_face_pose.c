/*
 * test_face_pose.c: head pose from five landmarks.
 *
 * The generic face is turned by known angles and projected; the estimate must
 * return them.  The rotation is written out here as turns of a head, not as
 * in pose.c.
 */
#include "core/face/pose.h"
#include "test/unit/tap.h"

/* MediaPipe's canonical face: x right, y up, z towards the viewer, cm. */
static const double face[5][3] = {
	{-3.164, 2.627, 3.646},	 {3.164, 2.627, 3.646},	 {0.0, -1.501, 7.112},
	{-2.456, -4.343, 4.284}, {2.456, -4.343, 4.284},
};

static double
radian(double degrees)
{
	return degrees * 3.14159265358979323846 / 180;
}

/* First nod up, then turn towards the picture's right, then tilt clockwise. */
static void
project(double yaw, double pitch, double roll, double scale, FrPoint points[5])
{
	for (int i = 0; i < 5; i++)
	{
		double x = face[i][0], y = face[i][1], z = face[i][2], t;
		double c = cos(radian(pitch)), s = sin(radian(pitch));

		t = c * y + s * z;
		z = c * z - s * y;
		y = t;
		c = cos(radian(yaw)), s = sin(radian(yaw));
		t = c * x + s * z;
		z = c * z - s * x;
		x = t;
		(void) z;
		c = cos(radian(roll)), s = sin(radian(roll));
		t = c * x + s * y;
		y = c * y - s * x;
		x = t;
		points[i] =
			(FrPoint){(float) (scale * x + 320), (float) (240 - scale * y)};
	}
}

static void
test_known_angles_return(void)
{
	static const double angles[][3] = {
		{0, 0, 0},	  {20, 0, 0},	  {-35, 0, 0}, {0, 15, 0},	{0, -25, 0},
		{0, 0, 30},	  {0, 0, -80},	  {0, 0, 170}, {25, 10, 5}, {-40, -20, 15},
		{60, 5, -10}, {-10, 30, -45}, {75, 0, 0},  {5, -3, 2},
	};

	for (size_t i = 0; i < sizeof angles / sizeof *angles; i++)
	{
		FrPoint points[5];

		project(angles[i][0], angles[i][1], angles[i][2], 12, points);

		FrPose pose = fr_pose_estimate(points);

		ok_near(pose.yaw, angles[i][0], 0.01, "case %zu: yaw", i);
		ok_near(pose.pitch, angles[i][1], 0.01, "case %zu: pitch", i);
		ok_near(pose.roll, angles[i][2], 0.01, "case %zu: roll", i);
	}
}

static void
test_scale_does_not_matter(void)
{
	FrPoint small[5], large[5];

	project(30, -10, 12, 0.8, small);
	project(30, -10, 12, 300, large);

	FrPose a = fr_pose_estimate(small), b = fr_pose_estimate(large);

	ok_near(a.yaw, b.yaw, 0.02, "yaw does not depend on size");
	ok_near(a.pitch, b.pitch, 0.02, "pitch does not depend on size");
	ok_near(a.roll, b.roll, 0.02, "roll does not depend on size");
}

static bool
is_finite_pose(FrPose pose)
{
	return isfinite(pose.yaw) && isfinite(pose.pitch) && isfinite(pose.roll);
}

static void
test_useless_landmarks_give_zero(void)
{
	FrPoint same[5] = {{4, 4}, {4, 4}, {4, 4}, {4, 4}, {4, 4}};
	FrPoint line[5] = {{0, 0}, {4, 0}, {2, 0}, {1, 0}, {3, 0}};
	FrPoint broken[5] = {{0, 0}, {4, 0}, {NAN, 2}, {1, 4}, {3, 4}};
	FrPoint huge[5] = {{-3e38f, -3e38f},
					   {3e38f, -3e38f},
					   {0, 0},
					   {-3e38f, 3e38f},
					   {3e38f, 3e38f}};
	FrPose pose = fr_pose_estimate(same);

	ok(pose.yaw == 0 && pose.pitch == 0 && pose.roll == 0,
	   "landmarks in one place: no pose");
	ok(is_finite_pose(fr_pose_estimate(line)), "a line: finite");
	pose = fr_pose_estimate(broken);
	ok(pose.yaw == 0 && pose.pitch == 0 && pose.roll == 0, "NaN: no pose");
	ok(is_finite_pose(fr_pose_estimate(huge)), "the largest floats: finite");
}

int
main(void)
{
	test_known_angles_return();
	test_scale_does_not_matter();
	test_useless_landmarks_give_zero();
	return tap_done();
}
