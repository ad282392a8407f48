#!/usr/bin/env python3
"""Golden landmarks of the small network patch-points.onnx on party.png, with
the rules of the preset landmarks-5 in numpy.

usage: make_landmarks.py <landmarks.json to write>

Needs Python with numpy, OpenCV (to read the PNG) and onnx (to read the
network's weights).  Pixels are counted from their edges: pixel i covers i to
i + 1.  A face with landmarks is aligned to ArcFace's template by the
similarity that least squares gives (complex numbers: q = w p + t), a face
with a box only is the square around it; both with a fifth more.  Where a crop's
pixel is k or more pixels of the picture wide (k whole, at least 2), blocks of
k x k pixels are averaged and rounded first; they begin one pixel left of and
above the first pixel that the crop's corner pixels need, and lie inside the
picture.  Then bilinear between centres, zeros outside, rounded.

Each case: box x0, y0, x1, y1; landmarks given, or none; those expected; those
expected with flip averaging: the mean with the points of the mirrored crop,
which shows the right eye in the place of the left one; those of a second look,
which faces with landmarks get: the mean over crops that show 1 / 0.82, 1 / 0.9,
1 / 0.98 and 1 / 1.06 of what the first crop does, aligned by the landmarks with
flip averaging; and how far these are from the given ones, on average, in
distances of the eyes.
"""
import json
import sys

import cv2
import numpy as np
import onnx
from onnx import numpy_helper

SIDE, MARGIN = 64, 0.2
SCALES = 0.82, 0.9, 0.98, 1.06
TEMPLATE = np.array([
    38.2946 + 51.6963j, 73.5318 + 51.5014j, 56.0252 + 71.7366j,
    41.5493 + 92.3655j, 70.7299 + 92.2041j]) * SIDE / 112


def as_points(values):
    return np.array(values[0::2]) + 1j * np.array(values[1::2])


def fit(points, scale=1):
    """w, t of the least-squares similarity from points to the template."""
    middle = (1 + 1j) * SIDE / 2
    target = (TEMPLATE - middle) * scale / (1 + MARGIN) + middle
    p, q = points - points.mean(), target - target.mean()
    w = (q * p.conj()).sum() / (abs(p) ** 2).sum()
    return w, target.mean() - w * points.mean()


def square(box):
    x0, y0, x1, y1 = box
    w = SIDE / (max(x1 - x0, y1 - y0) * (1 + MARGIN))
    return w, (1 + 1j) * (SIDE - 1) / 2 - w * complex(x0 + x1, y0 + y1) / 2


def rounded(values):
    return np.floor(values + 0.5)


def blocks(low, high, limit, k):
    """Where whole blocks of k pixels for low .. high begin, and how many."""
    count = min(-(-(high - low) // k), limit // k)
    return min(low + count * k, limit) - count * k, count


def shrink(picture, corners, k):
    """The averaged blocks that the crop's corners (pixel centres at integers)
    need, and the edge that they begin at."""
    if k < 2:
        return picture, 0, 0
    ranges = []
    for values, limit in ((corners.real, picture.shape[1]),
                          (corners.imag, picture.shape[0])):
        low = min(max(int(np.floor(values.min())) - 1, 0), limit)
        high = min(max(int(np.floor(values.max())) + 3, 0), limit)
        ranges.append(blocks(low, high, limit, k))
    (x, columns), (y, rows) = ranges
    part = picture[y:y + rows * k, x:x + columns * k].astype(float)
    part = part.reshape(rows, k, columns, k, 3).mean((1, 3))
    return rounded(part), x, y


def sample(picture, x, y):
    """Bilinear at x, y (arrays; pixel centres at integers), zeros outside."""
    height, width = picture.shape[:2]
    padded = np.zeros((height + 2, width + 2, 3))
    padded[1:-1, 1:-1] = picture
    x, y = np.clip(x, -1, width) + 1, np.clip(y, -1, height) + 1
    left, top = (np.minimum(np.floor(v).astype(int), limit)
                 for v, limit in ((x, width), (y, height)))
    fx, fy = (x - left)[..., None], (y - top)[..., None]
    return rounded((padded[top, left] * (1 - fx) + padded[top, left + 1] * fx)
                   * (1 - fy) + (padded[top + 1, left] * (1 - fx)
                                 + padded[top + 1, left + 1] * fx) * fy)


def crop_of(picture, w, t):
    """RGB [64, 64, 3]: the centre of crop pixel u shows the picture's place
    (u - t) / w, which counts from pixel edges."""
    u = np.arange(SIDE)[None, :] + 1j * np.arange(SIDE)[:, None]
    place, k = (u - t) / w, max(int(1 / abs(w)), 1)
    corners = place[[0, 0, -1, -1], [0, -1, 0, -1]] - (0.5 + 0.5j)
    small, x0, y0 = shrink(picture, corners, k)
    return sample(small, (place.real - x0) / k - 0.5,
                  (place.imag - y0) / k - 0.5)


def network(path):
    graph = onnx.load(path).graph
    gemm = next(n for n in graph.node if n.op_type == "Gemm")
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    weights, bias = (values[name].astype(float) for name in gemm.input[1:3])

    def run(crop):
        bgr = crop[:, :, ::-1].transpose(2, 0, 1)
        means = bgr.reshape(3, 8, 8, 8, 8).mean((2, 4))
        return as_points(means.reshape(-1) @ weights + bias)
    return run


def look(picture, run, w, t):
    """Points in the picture, from the crop and from its mirror image."""
    crop = crop_of(picture, w, t)
    both = run(crop), 1 - run(crop[:, ::-1])[[1, 0, 2, 4, 3]].conj()
    # 0..1 from the crop's edge to its edge
    return [(p * SIDE - (0.5 + 0.5j) - t) / w for p in both]


def expect(picture, run, box, landmarks):
    w, t = fit(as_points(landmarks)) if landmarks else square(box)
    points, mirrored = look(picture, run, w, t)
    again = averaged = (points + mirrored) / 2
    case = {"box": list(box), "landmarks": landmarks or []}
    if landmarks:
        again = np.mean([look(picture, run, *fit(averaged, scale))
                         for scale in SCALES], (0, 1))
        given = as_points(landmarks)
        case["moved"] = abs(averaged - given).mean() / abs(given[1] - given[0])
    for name, p in (("expected", points), ("averaged", averaged),
                    ("again", again)):
        case[name] = [round(v, 4) for q in p for v in (q.real, q.imag)]
    return case


def turned(x, y, size, degrees):
    """Five points like the template's, turned around x, y."""
    points = (TEMPLATE - TEMPLATE.mean()) * size / SIDE
    points = points * np.exp(1j * np.radians(degrees)) + complex(x, y)
    bent = points + size * np.array([0.03, -0.02j, 0.04j, -0.03, 0.02 + 0.01j])
    return [round(v, 2) for p in bent for v in (p.real, p.imag)]


CASES = [
    ((100.25, 80.5, 160.75, 150.0), None),          # about as large
    ((50.5, 20.25, 330.0, 300.5), None),            # shrunk fourfold
    ((210.0, 100.0, 224.5, 119.5), None),           # enlarged
    ((-30.0, -40.5, 40.0, 60.0), None),             # over a corner
    ((400.0, 180.0, 560.0, 330.0), None),           # over another, shrunk
    ((0.0, 0.0, 480.0, 320.0), None),               # all of it
    ((0.0, 0.0, 1.0, 1.0), turned(200, 150, 70, 25)),
    ((0.0, 0.0, 1.0, 1.0), turned(240, 160, 250, -70)),
    ((0.0, 0.0, 1.0, 1.0), turned(12, 300, 160, 10)),
    ((0.0, 0.0, 1.0, 1.0), turned(300, 90, 12, 170)),
]


def main():
    data = "sql_tests/data/"
    picture = cv2.imread(data + "patches/party.png")[:, :, ::-1]
    run = network(data + "models/patch-points.onnx")
    cases = [expect(picture, run, box, landmarks) for box, landmarks in CASES]
    with open(sys.argv[1], "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


if __name__ == "__main__":
    main()
