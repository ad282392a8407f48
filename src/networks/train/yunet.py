"""The detector's teacher, YuNet, through OpenCV's dnn module, and what its outputs mean.

A face is a row of 15 numbers: box x, y, width, height, then x, y of eye left in the picture, eye right, nose tip, mouth
corner left, right; score; all in pixels of the picture. Decoding after W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-
level Face Detector", Machine Intelligence Research 20, 2023, section 3.
"""
import os

import cv2
import numpy as np

cv2.setNumThreads(1)

STRIDES = (8, 16, 32)
HEADS = ('cls', 'obj', 'bbox', 'kps')


def decode(outputs, height, width, threshold):
    """Outputs by name ([cells, n] arrays; cls and obj in 0..1) -> rows of faces, no suppression yet."""
    rows = []
    for stride in STRIDES:
        columns = width // stride
        cls, obj, box, points = (np.asarray(outputs[f'{head}_{stride}']).reshape(-1, n)
                                 for head, n in zip(HEADS, (1, 1, 4, 10)))
        score = np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))[:, 0]
        keep = np.flatnonzero(score >= threshold)
        cell = np.stack([keep % columns, keep // columns], 1)
        centre, size = (cell + box[keep, :2]) * stride, np.exp(np.minimum(box[keep, 2:], 8)) * stride
        points = (points[keep].reshape(-1, 5, 2) + cell[:, None]) * stride
        rows.append(np.concatenate([centre - size / 2, size, points.reshape(-1, 10), score[keep, None]], 1))
    return np.concatenate(rows).astype(np.float32)


def overlap(a, b):
    """Intersection over union of boxes a [n, 4+] with b [m, 4+] -> [n, m]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:4], b[None, :, :2] + b[None, :, 2:4])
    common = np.prod(np.clip(high - low, 0, None), 2)
    return common / np.maximum(np.prod(a[:, 2:4], 1)[:, None] + np.prod(b[:, 2:4], 1)[None] - common, 1e-9)


def suppress(faces, iou=0.3):
    """Greedy non-maximum suppression, best score first."""
    faces = faces[np.argsort(-faces[:, 14], kind='stable')]
    kept = []
    while len(faces):
        kept.append(faces[0])
        faces = faces[1:][overlap(faces[:1], faces[1:])[0] <= iou]
    return np.array(kept, np.float32).reshape(-1, 15)


class YuNet:
    """`yunet(picture, side)` -> faces of a BGR picture, scaled so that it fills a canvas of 320 or 640 pixels.

    OpenCV reads the files of fixed size only: yunet_n_320_320.onnx and yunet_n_640_640.onnx in `folder`.
    """

    def __init__(self, folder):
        self.nets = {}
        for side in (320, 640):
            self.nets[side] = cv2.dnn.readNet(os.path.join(folder, f'yunet_n_{side}_{side}.onnx'))
            self.nets[side].setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)

    def __call__(self, picture, side=640, threshold=0.6, enlarge=2.0):
        height, width = picture.shape[:2]
        scale = min(enlarge, side / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        canvas = np.zeros((side, side, 3), np.uint8)
        canvas[:size[1], :size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1
                                                else cv2.INTER_LINEAR)
        net = self.nets[side]
        net.setInput(cv2.dnn.blobFromImage(canvas))
        names = net.getUnconnectedOutLayersNames()
        faces = suppress(decode(dict(zip(names, net.forward(names))), side, side, threshold))
        faces[:, 0:14:2] *= width / size[0]
        faces[:, 1:14:2] *= height / size[1]
        return faces
