#!/usr/bin/env python3
"""From JPEG bytes to the embeddings of all faces: facerec and OpenCV by turns.

    make build/bench/bench_pipeline
    python3 src/test/bench/pipeline_compare.py [SECONDS PER CASE]

Six pictures, 0.3, 2 and 12 megapixels with one and with six faces, are put
together from the portraits of FACEREC_TESTDATA (default ../shared), with the
grain of a camera.  Both sides decode the file, bring it to the detector's size
(longest side at most 1280), run YuNet, align each face to 112 x 112 and embed
all faces as one batch with MobileFaceNet; one thread each, thread CPU time,
medians of alternating runs, by stage, in ms.

OpenCV: imdecode, resize (INTER_AREA), the detector in cv2.dnn with the decode
rules of FaceDetectorYN in numpy, all cells at once (Debian's OpenCV 4.6 knows
only the older YuNet file in that class; what this part takes is printed, and
left out of OpenCV's times, since the class does it in C++),
estimateAffinePartial2D, warpAffine, cv2.dnn.  The embeddings are compared:
the lowest cosine over the faces is printed; exit status 1 when the sides found
another number of faces or a cosine is below 0.98.

Needs Debian's python3-opencv, python3-numpy and python3-onnx.
"""

import glob
import os
import statistics
import subprocess
import sys
import tempfile
import time

import cv2
import numpy as np
import onnx

DATA = os.environ.get("FACEREC_TESTDATA") or "../shared"
DETECTION_SIZE = 1280
TEMPLATE = np.array([(38.2946, 51.6963), (73.5318, 51.5014),
                     (56.0252, 71.7366), (41.5493, 92.3655),
                     (70.7299, 92.2041)], np.float32)
STAGES = ("decode", "detect", "embed", "total")


def make_picture(width, height, faces, portraits, random):
    """A JPEG file's bytes: a grid of portraits with sensor noise."""
    columns, rows = (1, 1) if faces == 1 else (3, 2)
    picture = np.zeros((height, width, 3), np.float32)
    for i in range(faces):
        x0, x1 = (width * (i % columns + k) // columns for k in (0, 1))
        y0, y1 = (height * (i // columns + k) // rows for k in (0, 1))
        portrait = portraits[i]
        scale = min((x1 - x0) / portrait.shape[1], (y1 - y0) / portrait.shape[0])
        small = cv2.resize(portrait, None, fx=scale * 0.98, fy=scale * 0.98,
                           interpolation=cv2.INTER_CUBIC)
        cell = picture[y0:y1, x0:x1]
        cell[:] = portrait[:20, :20].mean((0, 1))
        top = (cell.shape[0] - small.shape[0]) // 2
        left = (cell.shape[1] - small.shape[1]) // 2
        cell[top:top + small.shape[0], left:left + small.shape[1]] = small
    picture += random.normal(0.0, 5.0, picture.shape)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]


def decode(outputs, columns, score):
    """All cells of a score at least this at once: boxes [cells, 4] as x, y,
    width, height, scores [cells], points [cells, 5, 2]."""
    boxes, scores, points = [], [], []
    for stride in (8, 16, 32):
        s = str(stride)
        total = np.sqrt(np.clip(outputs["cls_" + s].ravel(), 0, 1) *
                        np.clip(outputs["obj_" + s].ravel(), 0, 1))
        cells = np.flatnonzero(total >= score)
        corner = np.stack([cells % (columns // stride),
                           cells // (columns // stride)], 1)
        box = outputs["bbox_" + s].reshape(-1, 4)[cells]
        size = np.exp(box[:, 2:]) * stride
        boxes.append(np.hstack([(corner + box[:, :2]) * stride - size / 2,
                                size]))
        scores.append(total[cells])
        points.append((outputs["kps_" + s].reshape(-1, 5, 2)[cells] +
                       corner[:, None]) * stride)
    return (np.concatenate(boxes), np.concatenate(scores),
            np.concatenate(points))


class OpenCvPipeline:
    def __init__(self):
        self.detectors = {}
        self.decode_ms = []  # of that, in Python
        self.embedder = cv2.dnn.readNetFromONNX(
            DATA + "/models/mobilefacenet-128.onnx")

    def detector(self, width, height):
        """YuNet for one input size: the file of fixed size, reshaped."""
        if (width, height) not in self.detectors:
            model = onnx.load(DATA + "/models/yunet_n_640_640.onnx")
            dims = model.graph.input[0].type.tensor_type.shape.dim
            dims[2].dim_value, dims[3].dim_value = height, width
            for output in model.graph.output:
                stride = int(output.name.split("_")[1])
                output.type.tensor_type.shape.dim[1].dim_value = (
                    width // stride * (height // stride))
            del model.graph.value_info[:]
            self.detectors[width, height] = cv2.dnn.readNetFromONNX(
                np.frombuffer(model.SerializeToString(), np.uint8))
        return self.detectors[width, height]

    def detect(self, picture, score=0.6, iou=0.3):
        """Landmarks [faces, 5, 2] in pixels of the picture."""
        height, width = picture.shape[:2]
        scale = min(1.0, DETECTION_SIZE / max(width, height))
        if scale < 1.0:
            picture = cv2.resize(
                picture, (round(width * scale), round(height * scale)),
                interpolation=cv2.INTER_AREA)
        rows, columns = (-(-n // 32) * 32 for n in picture.shape[:2])
        picture = cv2.copyMakeBorder(
            picture, 0, rows - picture.shape[0], 0,
            columns - picture.shape[1], cv2.BORDER_CONSTANT)
        net = self.detector(columns, rows)
        net.setInput(cv2.dnn.blobFromImage(picture))
        names = [kind + "_" + str(stride) for stride in (8, 16, 32)
                 for kind in ("cls", "obj", "bbox", "kps")]
        outputs = dict(zip(names, net.forward(names)))
        begin = time.thread_time()
        boxes, scores, points = decode(outputs, columns, score)
        keep = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), score, iou)
        keep = np.ravel(keep).astype(int)
        keep = keep[np.argsort(-boxes[keep, 2] * boxes[keep, 3],
                               kind="stable")]
        self.decode_ms.append(1e3 * (time.thread_time() - begin))
        return points[keep] / scale

    def run(self, data):
        start = time.thread_time()
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
        decoded = time.thread_time()
        landmarks = self.detect(picture)
        detected = time.thread_time()
        embeddings = np.zeros((0, 128), np.float32)
        if len(landmarks):
            crops = [cv2.warpAffine(
                picture, cv2.estimateAffinePartial2D(
                    p.astype(np.float32), TEMPLATE, method=cv2.LMEDS)[0],
                (112, 112)) for p in landmarks]
            self.embedder.setInput(cv2.dnn.blobFromImages(
                crops, 1 / 128.0, mean=(127.5,) * 3, swapRB=True))
            embeddings = self.embedder.forward().copy()
        end = time.thread_time()
        times = (decoded - start, detected - decoded, end - detected,
                 end - start)
        return [1e3 * t for t in times], embeddings


class FacerecPipeline:
    def __init__(self):
        self.process = subprocess.Popen(
            ["build/bench/bench_pipeline", "-serve", str(DETECTION_SIZE)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, path):
        """Times, and the embeddings, one line each."""
        self.process.stdin.write(path + "\n")
        self.process.stdin.flush()
        *times, faces = self.process.stdout.readline().split()
        embeddings = [self.process.stdout.readline().split()
                      for _ in range(int(faces))]
        return ([float(t) for t in times],
                np.array(embeddings, np.float32).reshape(int(faces), -1))


def lowest_cosine(a, b):
    """Each of a's faces with the most similar of b's."""
    if a.shape != b.shape or not len(a):
        return float("nan")
    a = a / np.linalg.norm(a, axis=1, keepdims=True)
    b = b / np.linalg.norm(b, axis=1, keepdims=True)
    return (a @ b.T).max(1).min()


def compare(label, data, opencv, facerec, seconds, folder):
    path = os.path.join(folder, "picture.jpg")
    data.tofile(path)
    theirs, ours = [], []
    _, expected = opencv.run(data)
    _, found = facerec.run(path)
    opencv.decode_ms.clear()
    begin = time.monotonic()
    while len(ours) < 5 or time.monotonic() - begin < seconds:
        theirs.append(opencv.run(data)[0])
        ours.append(facerec.run(path)[0])
    theirs = [statistics.median(t) for t in zip(*theirs)]
    ours = [statistics.median(t) for t in zip(*ours)]
    in_python = statistics.median(opencv.decode_ms)
    theirs[1] -= in_python
    theirs[3] -= in_python
    cosine = lowest_cosine(found, expected)
    print("%s, %4.0f kB, found %d and %d, cosine %.4f, decoding in Python "
          "%.2f ms:" % (label, data.size / 1e3, len(found), len(expected),
                        cosine, in_python))
    for stage, a, b in zip(STAGES, ours, theirs):
        print("  %-7s facerec %8.2f ms   OpenCV %8.2f ms   ratio %5.2f" %
              (stage, a, b, b / a))
    sys.stdout.flush()
    return len(found) == len(expected) and cosine >= 0.98


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4.0
    files = sorted(glob.glob(DATA + "/portraits/*-1.jpg"))[:6]
    if len(files) < 6 or not os.path.exists(DATA + "/models"):
        sys.exit("skipped: FACEREC_TESTDATA names no folder with models/ and "
                 "portraits/")
    cv2.setNumThreads(1)
    portraits = [cv2.imread(name) for name in files]
    random = np.random.default_rng(1)
    opencv, facerec = OpenCvPipeline(), FacerecPipeline()
    agree = True
    with tempfile.TemporaryDirectory() as folder:
        for width, height in ((640, 480), (1632, 1224), (4000, 3000)):
            for faces in (1, 6):
                data = make_picture(width, height, faces, portraits, random)
                agree &= compare("%.1f megapixels, %d face%s" % (
                    width * height / 1e6, faces, "s" if faces > 1 else ""),
                    data, opencv, facerec, seconds, folder)
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
