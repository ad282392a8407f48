#!/usr/bin/env python3
"""Golden candidates of SCRFD's and RetinaFace's heads, decoded in numpy.

usage: make_heads.py <heads.json to write>

Needs Python with numpy.  Written after the papers (Guo et al., ICLR 2022;
Deng et al., CVPR 2020) and the anchors and priors of their published
implementations.  The heads' values follow from a formula, so that they need
not be stored: value i of output number h is
((i * 2654435761 + (h + 1) * 2654454893) mod 2^32) / 2^32 =: u, as it is for
scores, 4 u for distances to the sides, 4 u - 2 for everything else.

Per case: width, height, outputs (rows and columns of each), and the
candidates with a score of at least the threshold, best first: box x0, y0, x1,
y1, score, landmarks x0, y0, ...
"""
import json
import sys

import numpy as np


def uniform(head, shape):
    index = np.arange(np.prod(shape), dtype=np.uint64)
    hashed = (index * 2654435761 + (head + 1) * 2654454893) % 2**32
    return (hashed / 2.0**32).astype(np.float32).astype(float).reshape(shape)


def centres(width, height, stride, repeat, offset):
    """Row by row, each cell repeated for its anchors: [n, 2]."""
    y, x = np.mgrid[:-(-height // stride), :-(-width // stride)]
    cells = np.stack([x, y], -1).reshape(-1, 2)
    return np.repeat((cells + offset) * stride, repeat, axis=0)


def scrfd(width, height, grids, anchors, has_landmarks):
    strides = [8 << g for g in range(grids)]
    rows = [anchors * (width // s) * (height // s) for s in strides]
    kinds = [1, 4, 10] if has_landmarks else [1, 4]
    shapes = [[n, size] for size in kinds for n in rows]
    found = []
    for g, stride in enumerate(strides):
        score = uniform(g, (rows[g], 1))
        distance = 4 * uniform(grids + g, (rows[g], 4)) * stride
        point = centres(width, height, stride, anchors, 0)
        box = np.concatenate([point - distance[:, :2],
                              point + distance[:, 2:]], 1)
        parts = [box, score]
        if has_landmarks:
            kps = (4 * uniform(2 * grids + g, (rows[g], 10)) - 2) * stride
            parts.append(kps + np.tile(point, 5))
        found.append(np.concatenate(parts, 1))
    return shapes, np.concatenate(found)


def retinaface(width, height):
    point, side = [], []
    for stride, sides in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512))):
        cells = centres(width, height, stride, 2, 0.5)
        point.append(cells)
        side.append(np.tile(sides, len(cells) // 2))
    point, side = np.concatenate(point), np.concatenate(side)[:, None]
    n = len(point)
    loc = 4 * uniform(0, (n, 4)) - 2
    conf = uniform(1, (n, 2))
    landms = 4 * uniform(2, (n, 10)) - 2
    centre = point + loc[:, :2] * 0.1 * side
    size = side * np.exp(loc[:, 2:] * 0.2)
    kps = np.tile(point, 5) + landms * 0.1 * side
    return ([[n, 4], [n, 2], [n, 10]],
            np.concatenate([centre - size / 2, centre + size / 2, conf[:, 1:],
                            kps], 1))


def case(preset, width, height, shapes, found, threshold):
    found = found[found[:, 4] >= threshold]
    found = found[np.argsort(-found[:, 4], kind="stable")]
    return {"preset": preset, "width": width, "height": height,
            "threshold": threshold, "outputs": shapes,
            "candidates": np.round(found, 3).tolist()}


def main(path):
    cases = [
        case("scrfd", 128, 96, *scrfd(128, 96, 3, 2, True), 0.97),
        case("scrfd", 96, 64, *scrfd(96, 64, 3, 1, True), 0.9),
        case("scrfd", 160, 64, *scrfd(160, 64, 3, 2, False), 0.97),
        case("scrfd", 256, 128, *scrfd(256, 128, 5, 1, True), 0.98),
        case("scrfd", 128, 128, *scrfd(128, 128, 5, 1, False), 0.97),
        case("retinaface", 96, 64, *retinaface(96, 64), 0.95),
        case("retinaface", 100, 70, *retinaface(100, 70), 0.95),
    ]
    with open(path, "w") as out:
        out.write("[" + ",\n".join(json.dumps(c) for c in cases) + "]\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
