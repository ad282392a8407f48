#!/usr/bin/env python3
"""Golden faces of MTCNN on the photos of the test data: the cascade in numpy,
the three networks in OpenCV's DNN module.  Or those of the small networks of
sql_tests/data/models on drawn blobs: all in numpy.

usage: make_mtcnn.py <test data folder> <mtcnn.json to write>
       make_mtcnn.py --blobs <mtcnn_blobs.json to write>

Needs Python with numpy and OpenCV.  Written after the published description
(Zhang et al., IEEE SPL 23(10), 2016) and the conventions of its widespread
implementations: pixels are counted from 1, a window includes its last pixel,
pyramid factor 0.709, thresholds 0.6, 0.7, 0.7, overlaps 0.5, 0.7, 0.7 and
0.7 of the smaller box, pictures and windows resized by averaging (INTER_AREA),
what lies outside the picture is 0.

Per photo: width, height, and faces by falling score, each [x0, y0, x1, y1]
from pixel edge to pixel edge (x0 is the original's x1 - 1), score, and
landmarks x0, y0, .. x4, y4 as the original gives them.
"""
import json
import os
import sys

import cv2
import numpy as np

FACTOR = 0.709
MIN_FACE = 20


def normalise(picture):
    """[h, w, 3] RGB 0..255 to [3, h, w]."""
    return ((picture.astype(np.float64) - 127.5) / 128).transpose(2, 0, 1)


def forward(net, batch, names):
    net.setInput(np.ascontiguousarray(batch, np.float32))
    return net.forward(names)


def suppress(boxes, limit, smaller=False):
    """Indices that stay; boxes [n, >= 5]: x1, y1, x2, y2, score."""
    x1, y1, x2, y2, score = boxes[:, :5].T
    area = (x2 - x1 + 1) * (y2 - y1 + 1)
    order, kept = np.argsort(-score, kind="stable"), []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        w = np.minimum(x2[best], x2[rest]) - np.maximum(x1[best], x1[rest]) + 1
        h = np.minimum(y2[best], y2[rest]) - np.maximum(y1[best], y1[rest]) + 1
        both = np.maximum(w, 0) * np.maximum(h, 0)
        whole = (np.minimum(area[best], area[rest]) if smaller
                 else area[best] + area[rest] - both)
        order = rest[both / whole <= limit]
    return kept


def square(boxes):
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    side = np.maximum(w, h)
    boxes[:, 0] += w * 0.5 - side * 0.5
    boxes[:, 1] += h * 0.5 - side * 0.5
    boxes[:, 2] = boxes[:, 0] + side
    boxes[:, 3] = boxes[:, 1] + side
    return boxes


def shifted(boxes, shift, extra):
    """Sides moved by shifts in units of x2 - x1 + extra."""
    w = boxes[:, 2] - boxes[:, 0] + extra
    h = boxes[:, 3] - boxes[:, 1] + extra
    moved = boxes.copy()
    for i, unit in enumerate((w, h, w, h)):
        moved[:, i] += shift[:, i] * unit
    return moved


def cut(picture, boxes, side):
    """Windows (whole pixels, counted from 1) at side x side."""
    height, width = picture.shape[:2]
    crops = []
    for x1, y1, x2, y2 in boxes[:, :4].astype(int):
        window = np.zeros((y2 - y1 + 1, x2 - x1 + 1, 3))
        left, top = max(x1, 1), max(y1, 1)
        right, bottom = min(x2, width), min(y2, height)
        if left <= right and top <= bottom:
            window[top - y1:bottom - y1 + 1, left - x1:right - x1 + 1] = \
                picture[top - 1:bottom, left - 1:right]
        crops.append(normalise(
            cv2.resize(window, (side, side), interpolation=cv2.INTER_AREA)))
    return np.array(crops)


def propose(picture, net):
    height, width = picture.shape[:2]
    first, left, level = 12.0 / MIN_FACE, min(height, width) * 12.0 / MIN_FACE, 0
    found = np.empty((0, 9))
    while left >= 12:
        scale = first * FACTOR**level
        size = int(np.ceil(width * scale)), int(np.ceil(height * scale))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        prob, reg = forward(net, normalise(small)[None], ["prob", "reg"])
        rows, columns = np.where(prob[0, 1] >= 0.6)
        if rows.size:
            cells = np.stack([columns, rows], 1)
            boxes = np.concatenate([
                np.fix((2 * cells + 1) / scale), np.fix((2 * cells + 12) / scale),
                prob[0, 1, rows, columns][:, None],
                reg[0][:, rows, columns].T], 1)
            found = np.concatenate([found, boxes[suppress(boxes, 0.5)]])
        left *= FACTOR
        level += 1
    if not len(found):
        return found[:, :5]
    found = found[suppress(found, 0.7)]
    return square(shifted(found[:, :5], found[:, 5:], 0))


def detect(picture, nets):
    boxes = propose(picture, nets[0])
    if len(boxes):
        boxes[:, :4] = np.fix(boxes[:, :4])
        prob, reg = forward(nets[1], cut(picture, boxes, 24), ["prob", "reg"])
        boxes[:, 4] = prob[:, 1]
        boxes, reg = boxes[prob[:, 1] > 0.7], reg[prob[:, 1] > 0.7]
        kept = suppress(boxes, 0.7)
        boxes = square(shifted(boxes[kept], reg[kept], 1))
    if not len(boxes):
        return []
    boxes[:, :4] = np.fix(boxes[:, :4])
    prob, reg, points = forward(nets[2], cut(picture, boxes, 48),
                                ["prob", "reg", "landmarks"])
    boxes[:, 4] = prob[:, 1]
    is_face = prob[:, 1] > 0.7
    boxes, reg, points = boxes[is_face], reg[is_face], points[is_face]
    xs = (boxes[:, 2] - boxes[:, 0] + 1)[:, None] * points[:, :5] \
        + boxes[:, :1] - 1
    ys = (boxes[:, 3] - boxes[:, 1] + 1)[:, None] * points[:, 5:] \
        + boxes[:, 1:2] - 1
    boxes = shifted(boxes, reg, 1)
    return [{"box": [boxes[i, 0] - 1, boxes[i, 1] - 1, boxes[i, 2],
                     boxes[i, 3]],
             "score": boxes[i, 4],
             "landmarks": np.stack([xs[i], ys[i]], 1).ravel().tolist()}
            for i in suppress(boxes, 0.7, smaller=True)]


def rounded(value):
    if isinstance(value, (list, tuple)):
        return [rounded(v) for v in value]
    return round(float(value), 4)


def draw_blobs():
    """The picture of test_face_mtcnn.c: discs on gray, magenta in the middle,
    unevenly, so that no two windows are equally good."""
    picture = np.full((200, 240, 3), 90, np.uint8)
    y, x = np.mgrid[:200, :240]
    for left, top, radius in ((62, 71, 41), (169, 63, 53), (135, 161, 31)):
        square = (x - left)**2 + (y - top)**2
        inside = square < radius**2
        picture[inside] = 250, 0, 250
        shade = 92 + square * 56 // radius**2 + (3 * x * x + 5 * y + x * y) % 9
        picture[inside, 1] = shade[inside]
    return picture


# where a patch has its landmarks, as make_models.py says it
PATCH_LANDMARKS = np.array([(-0.20, -0.15), (0.20, -0.15), (0.0, 0.08),
                            (-0.16, 0.30), (0.16, 0.30)])


class PatchNet:
    """A network of make_mtcnn in make_models.py: how much is magenta."""

    def __init__(self, stage):
        self.stage = stage

    def setInput(self, batch):
        self.batch = batch.astype(np.float64)

    def forward(self, names):
        mask = np.clip(self.batch[:, 0] - 2 * self.batch[:, 1]
                       + self.batch[:, 2] - 96 / 64, 0, 1)
        if self.stage == "p":
            view = np.lib.stride_tricks.sliding_window_view
            mask = view(mask, (3, 3), (1, 2)).mean((3, 4))
            # pairs; the last one may be one only
            pad = [(0, 0)] + [(0, n % 2) for n in mask.shape[1:]]
            pairs = np.pad(mask, pad, constant_values=np.nan)
            n, h, w = pairs.shape
            mask = np.nanmean(pairs.reshape(n, h // 2, 2, w // 2, 2), (2, 4))
            mean = view(mask, (5, 5), (1, 2)).mean((3, 4))[:, None]
        else:
            mean = mask.mean((1, 2))[:, None]
        points = np.tile(PATCH_LANDMARKS.T.reshape(-1) + 0.5, (len(mean), 1))
        given = {"prob": np.concatenate([1 - mean, mean], 1),
                 "reg": np.concatenate([mean * 0] * 4, 1),
                 "landmarks": points}
        return [given[name] for name in names]


def make_blobs(path):
    faces = detect(draw_blobs(), [PatchNet(stage) for stage in "pro"])
    with open(path, "w") as out:
        out.write("[" + ",\n".join(json.dumps(
            {k: rounded(v) for k, v in f.items()}) for f in faces) + "]\n")


def main(folder, path):
    if folder == "--blobs":
        return make_blobs(path)
    nets = [cv2.dnn.readNetFromONNX(
        os.path.join(folder, "models", "mtcnn-%snet.onnx" % n)) for n in "pro"]
    photos = {}
    for name in sorted(os.listdir(os.path.join(folder, "photos"))):
        picture = cv2.imread(os.path.join(folder, "photos", name))
        # WebP and CMYK are not decoded alike by every library
        if picture is None or "webp" in name or "cmyk" in name:
            continue
        faces = detect(picture[:, :, ::-1].copy(), nets)
        photos[name] = {
            "width": picture.shape[1], "height": picture.shape[0],
            "faces": [{k: rounded(v) for k, v in f.items()} for f in faces]}
    with open(path, "w") as out:
        out.write("{" + ",\n".join(
            "%s: %s" % (json.dumps(k), json.dumps(v))
            for k, v in photos.items()) + "}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
