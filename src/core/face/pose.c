/*
 * pose.c: head pose by a weak-perspective fit of a generic face.
 *
 * The picture of a distant rigid body is x = s r1 . X + tx, y = s r2 . X + ty,
 * with r1 and r2 the first two rows of its rotation.  Both equations are
 * linear in s r1 and s r2 and are solved by least squares: the POS step of D.
 * DeMenthon and L. Davis, "Model-Based Object Pose in 25 Lines of Code",
 * IJCV 15, 1995, section 3.  The rotation nearest to the two rows gives the
 * angles.  The model is five points of MediaPipe's canonical face model.
 *
 * With so few points the depth of the nose alone carries yaw and pitch: its
 * shape, and for pitch a smile, shift them by several degrees.
 */
#include "core/face/pose.h"

#include <math.h>

/*
 * Centimetres; x right, y down, z away from the viewer.  Eyes: mean of the
 * corners and lids (vertices 33, 133, 145, 159 and their mirror images),
 * mouth corners: vertices 61 and 291.  Nose tip: vertex 19, its lower side,
 * which is where detectors put that landmark: with vertex 1, the foremost,
 * people who look into the camera seem to look down by 5 to 8 degrees.
 */
static const double generic_face[FR_LANDMARK_COUNT][3] = {
	{-3.164, -2.627, -3.646}, {3.164, -2.627, -3.646}, {0.0, 1.501, -7.112},
	{-2.456, 4.343, -4.284},  {2.456, 4.343, -4.284},
};

#define DEGREES_PER_RADIAN 57.295779513082320877

/* Solve the symmetric positive definite 3 x 3 system M v = right by
 * cofactors. */
static void
solve3(const double m[3][3], const double right[3], double v[3])
{
	double cofactor[3][3];

	for (int i = 0; i < 3; i++)
	{
		int i1 = (i + 1) % 3, i2 = (i + 2) % 3;

		for (int j = 0; j < 3; j++)
		{
			int j1 = (j + 1) % 3, j2 = (j + 2) % 3;

			cofactor[i][j] = m[i1][j1] * m[i2][j2] - m[i1][j2] * m[i2][j1];
		}
	}

	double determinant = m[0][0] * cofactor[0][0] + m[0][1] * cofactor[0][1] +
						 m[0][2] * cofactor[0][2];

	for (int i = 0; i < 3; i++)
		v[i] = (cofactor[0][i] * right[0] + cofactor[1][i] * right[1] +
				cofactor[2][i] * right[2]) /
			   determinant;
}

/* Least-squares rows s r1 and s r2 for centred model and picture points. */
static void
fit_rows(const FrPoint landmarks[FR_LANDMARK_COUNT], double rows[2][3])
{
	double centre[3] = {0}, x_mean = 0, y_mean = 0;
	double moment[3][3] = {{0}}, right[2][3] = {{0}};

	for (int i = 0; i < FR_LANDMARK_COUNT; i++)
	{
		for (int k = 0; k < 3; k++)
			centre[k] += generic_face[i][k] / FR_LANDMARK_COUNT;
		x_mean += (double) landmarks[i].x / FR_LANDMARK_COUNT;
		y_mean += (double) landmarks[i].y / FR_LANDMARK_COUNT;
	}
	for (int i = 0; i < FR_LANDMARK_COUNT; i++)
	{
		for (int k = 0; k < 3; k++)
		{
			double p = generic_face[i][k] - centre[k];

			for (int l = 0; l < 3; l++)
				moment[k][l] += p * (generic_face[i][l] - centre[l]);
			right[0][k] += p * ((double) landmarks[i].x - x_mean);
			right[1][k] += p * ((double) landmarks[i].y - y_mean);
		}
	}
	solve3(moment, right[0], rows[0]);
	solve3(moment, right[1], rows[1]);
}

static double
dot3(const double a[3], const double b[3])
{
	return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/*
 * Make two rows orthonormal, treating both alike: sum and difference of the
 * unit vectors are orthogonal, and turned by 45 degrees they lie symmetrically
 * about the given rows.  False when the rows are parallel or zero.
 */
static bool
orthonormalise(double rows[2][3])
{
	double sum[3], difference[3];
	double length0 = sqrt(dot3(rows[0], rows[0]));
	double length1 = sqrt(dot3(rows[1], rows[1]));

	if (!(length0 > 0 && length1 > 0) || !isfinite(length0 + length1))
		return false;
	for (int k = 0; k < 3; k++)
	{
		sum[k] = rows[0][k] / length0 + rows[1][k] / length1;
		difference[k] = rows[0][k] / length0 - rows[1][k] / length1;
	}

	double sum_length = sqrt(dot3(sum, sum));
	double difference_length = sqrt(dot3(difference, difference));

	if (!(sum_length > 1e-6 && difference_length > 1e-6))
		return false;
	for (int k = 0; k < 3; k++)
	{
		double s = sum[k] / sum_length * M_SQRT1_2;
		double d = difference[k] / difference_length * M_SQRT1_2;

		rows[0][k] = s + d;
		rows[1][k] = s - d;
	}
	return true;
}

FrPose
fr_pose_estimate(const FrPoint landmarks[FR_LANDMARK_COUNT])
{
	double rows[2][3];

	for (int i = 0; i < FR_LANDMARK_COUNT; i++)
	{
		if (!isfinite(landmarks[i].x) || !isfinite(landmarks[i].y))
			return (FrPose){0, 0, 0};
	}
	fit_rows(landmarks, rows);
	if (!orthonormalise(rows))
		return (FrPose){0, 0, 0};

	const double *r1 = rows[0], *r2 = rows[1];
	const double r3[3] = {r1[1] * r2[2] - r1[2] * r2[1],
						  r1[2] * r2[0] - r1[0] * r2[2],
						  r1[0] * r2[1] - r1[1] * r2[0]};

	/* R = roll about z, after yaw about y, after pitch about x. */
	double yaw = asin(fmax(-1, fmin(1, r3[0])));
	double pitch = atan2(-r3[1], r3[2]);
	double roll = atan2(r2[0], r1[0]);

	return (FrPose){
		.yaw = (float) (yaw * DEGREES_PER_RADIAN),
		.pitch = (float) (pitch * DEGREES_PER_RADIAN),
		.roll = (float) (roll * DEGREES_PER_RADIAN),
	};
}
