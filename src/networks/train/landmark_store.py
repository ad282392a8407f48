"""Faces with steady landmarks of YuNet: the landmark network's training material.

  python3 landmark_store.py --yunet MODELS --crops STORE [--pictures STORE] --out STORE [--looks 8]
  python3 landmark_store.py --yunet MODELS --crops STORE --out STORE --held-out --looks 24 --limit 300

Reads the detector's stores and writes one of the same form with one face per picture of 160x160 pixels: the crops as they
are, and the faces of the pictures from SMALLEST pixels on. YuNet's landmarks move by 3 to 5 % of the eye distance when a
picture is shifted by a few pixels, and the crops are all aligned to one place; so each face is looked at several times, at
another scale and place each time, half of them mirrored, many faces on one canvas. Between a face and its mirror image
YuNet differs by about one pixel of the canvas, whatever the size of the face: its numbers count from the edge of the first
pixel (EDGE), those in the store from its centre. Box and landmarks are the means over the looks. The score's place (column
14) holds the scatter instead: the mean distance to the mean landmarks in units of the face (`unit`).
"""
import argparse
import itertools

import cv2
import numpy as np

from detector_scene import move
from detector_store import SURE, Store, StoreWriter
from yunet import YuNet, overlap

PATCH, SMALLEST, CANVAS, GAP = 160, 40, 640, 6
EDGE = 0.5                              # YuNet counts from the edge of the first pixel, this code from its centre


def unit(faces):
    """The length that errors are measured in: the distance of the eyes, but not less than profiles' 0.2 of the box."""
    points = faces[..., 4:14].reshape(*faces.shape[:-1], 5, 2)
    eyes = np.linalg.norm(points[..., 0, :] - points[..., 1, :], axis=-1)
    return np.maximum(eyes, 0.2 * faces[..., 2:4].max(-1))


def patches(store, held_out):
    """(row, patch, its face roughly) of all faces that are worth it: in a crop the face in the middle."""
    for row in np.flatnonzero(store.held_out) if held_out else range(len(store)):
        picture, faces = store[row]
        if picture.shape[:2] == (PATCH, PATCH):
            centre = faces[:, :2] + faces[:, 2:4] / 2
            yield row, picture, faces[np.abs(centre - (80, 84)).sum(1).argmin()]
            continue
        for face in faces[(faces[:, 14] >= SURE) & (faces[:, 2:4].max(1) >= SMALLEST)]:
            scale = min(1.0, 0.7 * PATCH / face[2:4].max())
            small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            centre = (face[:2] + face[2:4] / 2) * scale
            matrix = np.array([[1.0, 0, round(PATCH / 2 - centre[0])], [0, 1, round(PATCH / 2 - centre[1])]])
            patch = cv2.warpAffine(small, matrix, (PATCH, PATCH), borderMode=cv2.BORDER_REFLECT_101)
            matrix = np.column_stack([matrix[:, :2] * scale, matrix[:, 2] + (scale - 1) / 2])
            yield row, patch, move(face[None], matrix, False)[0]


class Looker:
    """Puts patches on canvases at random scales and places, and collects what YuNet says about each. The scales of a patch's
    looks are spread evenly: each look has an own part of the range, in a random order."""

    def __init__(self, folder, scales, seed=3):
        self.yunet, self.scales, self.rng = YuNet(folder), np.log(scales), np.random.default_rng(seed)

    def __call__(self, patches, faces, looks):
        """-> per patch the faces [n, 15] found in its looks, in the patch's pixels."""
        return [np.array([face for _, face in found], np.float32).reshape(-1, 15)
                for found in self.with_scales(patches, faces, looks)]

    def with_scales(self, patches, faces, looks):
        """-> per patch (scale, face) of each look that found it."""
        found = [[] for _ in patches]
        low, width = self.scales[0], (self.scales[1] - self.scales[0]) / looks
        for look, part in enumerate(self.rng.permutation(looks)):
            queue = list(self.rng.permutation(len(patches)))
            while queue:
                scale = np.exp(low + (part + self.rng.random()) * width)
                self._canvas(patches, faces, queue, scale, look % 2 == 1, found)
        return found

    def _canvas(self, patches, faces, queue, scale, mirrored, found):
        """One canvas of as many patches at that scale as it holds, taken from the queue's end."""
        rng, canvas, placed = self.rng, np.zeros((CANVAS, CANVAS, 3), np.uint8), []
        side = int(PATCH * scale)
        columns = CANVAS // (side + GAP)
        pitch, scale = CANVAS // columns, side / PATCH
        for cell in range(min(columns ** 2, len(queue))):
            i = queue.pop()
            x, y = (np.array([cell % columns, cell // columns]) * pitch + rng.integers(0, pitch - side, 2)).tolist()
            small = cv2.resize(patches[i], (side, side), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
            canvas[y:y + side, x:x + side] = small[:, ::-1] if mirrored else small
            half = (scale - 1) / 2                  # resizing keeps pixel edges on pixel edges
            matrix = np.array([[scale, 0, x + half], [0, scale, y + half]])
            if mirrored:
                matrix[0] = -scale, 0, x + side - 1 - half
            placed.append((i, matrix))
        rows = self.yunet(canvas, CANVAS, 0.4)
        rows[:, [0, 1, *range(4, 14)]] -= EDGE
        for i, matrix in placed:
            match = overlap(move(faces[i][None], matrix, mirrored), rows)[0] if len(rows) else np.zeros(1)
            if match.max() > 0.5:
                face = move(rows[match.argmax()][None], cv2.invertAffineTransform(matrix), mirrored)[0]
                found[i].append((scale, face))


def steady(looks, wanted):
    """The mean face with its scatter in column 14, or None where YuNet is not sure what it sees."""
    if len(looks) < wanted:
        return None
    mean = looks.mean(0)
    points = looks[:, 4:14].reshape(-1, 5, 2)
    distance = np.linalg.norm(points - points.mean(0), axis=2).mean(1) / unit(mean)
    mean[14] = distance.mean()
    return mean


def add(writer, looker, store, args):
    items = itertools.islice(patches(store, args.held_out), args.limit)
    while group := list(itertools.islice(items, 1500)):
        flush(writer, looker, store, group, args.looks)


def flush(writer, looker, store, group, looks):
    found = looker([patch for _, patch, _ in group], [face for _, _, face in group], looks)
    scatter = []
    for (row, patch, _), faces in zip(group, found):
        if (face := steady(faces, looks - looks // 4)) is not None:
            writer.add(store.source[row], store.name[row], store.held_out[row], patch, face[None])
            scatter.append(face[14])
    print('faces %d of %d, scatter %.4f' % (len(scatter), len(group), np.mean(scatter or [0])), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--yunet', required=True, help='folder of yunet_n_320_320.onnx and yunet_n_640_640.onnx')
    parser.add_argument('--crops', required=True)
    parser.add_argument('--pictures')
    parser.add_argument('--out', required=True)
    parser.add_argument('--looks', type=int, default=8)
    parser.add_argument('--scales', type=float, nargs=2, default=(0.4, 1.4), help='of the pictures on the canvas')
    parser.add_argument('--held-out', action='store_true', help='only what training does not see')
    parser.add_argument('--limit', type=int, help='take so many of each store only')
    args = parser.parse_args()
    looker, writer = Looker(args.yunet, args.scales), StoreWriter(args.out)
    for path in (args.crops, args.pictures):
        if path:
            add(writer, looker, Store(path), args)
    writer.close()


if __name__ == '__main__':
    main()
