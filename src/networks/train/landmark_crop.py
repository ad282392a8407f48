"""What the landmark network sees of a face: a square of SIDE pixels, by the rules of core/face/landmarks.c.

A face that has landmarks is aligned by them, as for an embedder, but with a margin that shows its outline; a face that has
only a box is shown upright, the longer side of its box and that margin filling the square. Sampling: where the crop shrinks
the picture, blocks of k x k pixels are averaged first, k being the whole part of 1 / scale; then bilinear, zeros outside.
Matrices are 2x3 similarities from the picture to the crop, pixel centres at integers.
"""
import cv2
import numpy as np

cv2.setNumThreads(1)

SIDE = 64
MARGIN = 0.2                # share by which the square is larger than the box or the template
# insightface's five points of a 112 x 112 crop.
TEMPLATE = np.array([(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)])


def template(side=SIDE, margin=MARGIN):
    """Where the template's points are in a square of so many pixels that shows that margin around it."""
    return ((TEMPLATE - 56) / (1 + margin) + 56) * (side / 112)


def aligned_matrix(points, side=SIDE, margin=MARGIN):
    """The least-squares similarity (Umeyama, IEEE TPAMI 13(4), 1991) of points [5, 2] to the template."""
    target = template(side, margin)
    p, q = points - points.mean(0), target - target.mean(0)
    spread = (p ** 2).sum()
    a, b = (p * q).sum() / spread, (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum() / spread
    turn = np.array([[a, -b], [b, a]])
    return np.column_stack([turn, target.mean(0) - turn @ points.mean(0)])


def box_matrix(box, side=SIDE, margin=MARGIN):
    """The square around a box x, y, width, height."""
    x, y, width, height = box[:4]
    scale = side / (max(width, height) * (1 + margin))
    return np.array([[scale, 0, (side - 1) / 2 - scale * (x + width / 2)],
                     [0, scale, (side - 1) / 2 - scale * (y + height / 2)]])


def map_points(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


def scale_of(matrix):
    return np.hypot(matrix[0, 0], matrix[1, 0])


def chain(second, first):
    """Both maps, one after the other."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])


def invert(matrix):
    return cv2.invertAffineTransform(matrix)


def sample(picture, matrix, side=SIDE, border=cv2.BORDER_CONSTANT, colour=(0, 0, 0)):
    """Cut the crop out of a picture."""
    step = int(1 / scale_of(matrix))
    if step > 1:
        height, width = picture.shape[:2]
        height, width = -(-height // step) * step, -(-width // step) * step
        whole = cv2.copyMakeBorder(picture, 0, height - picture.shape[0], 0, width - picture.shape[1], border, value=colour)
        picture = cv2.resize(whole, (width // step, height // step), interpolation=cv2.INTER_AREA)
        centre = np.full(2, (step - 1) / 2)                     # of the first block
        matrix = np.column_stack([matrix[:, :2] * step, matrix[:, 2] + matrix[:, :2] @ centre])
    return cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=colour)
