"""Faces with steady landmarks of YuNet: the landmark network's training material.

  python3 landmark_store.py --yunet MODELS --crops STORE [--pictures STORE] --out STORE [--looks 8] [--mosaics N]
  python3 landmark_store.py --yunet MODELS --crops STORE --out STORE --held-out --looks 24 --limit 300

Reads the detector's stores and writes one of the same form with one face per picture of 160x160 pixels: the crops as they
are, and the faces of the pictures from SMALLEST pixels on; with --mosaics also faces of so many mosaics of crops, from
SMALLEST_PASTED pixels on, with what surrounds them there. YuNet's landmarks move by 3 to 5 % of the eye distance when a
picture is shifted by a few pixels, and the crops are all aligned to one place; so each face is looked at several times, at
another scale and place each time, half of them mirrored, many faces on one canvas; where it says quite different things, as
of masks, MORE times as often. Between a face and its mirror image YuNet differs by about one pixel of the canvas, whatever
the size of the face: its numbers count from the edge of the first pixel (EDGE), those in the store from its centre. Box and
landmarks are the means over the looks. The score's place (column 14) holds the scatter instead: the mean distance to the
mean landmarks in units of the face (`unit`).
"""
import argparse
import itertools

import cv2
import numpy as np

from detector_evaluate import SIDE, Mosaics
from detector_scene import move
from detector_store import SURE, Store, StoreWriter
from landmark_crop import sample
from yunet import YuNet, overlap

PATCH, SMALLEST, SMALLEST_PASTED, CANVAS, GAP = 160, 40, 20, 640, 6
UNSURE, MORE = 0.08, 3                  # scatter from which faces are looked at again, so many times as often
MOSAICS_SEED = 12
EDGE = 0.5                              # YuNet counts from the edge of the first pixel, this code from its centre


def unit(faces):
    """The length that errors are measured in: the distance of the eyes, but not less than profiles' 0.2 of the box."""
    points = faces[..., 4:14].reshape(*faces.shape[:-1], 5, 2)
    eyes = np.linalg.norm(points[..., 0, :] - points[..., 1, :], axis=-1)
    return np.maximum(eyes, 0.2 * faces[..., 2:4].max(-1))


def cut_out(canvas, face):
    """-> the patch around a face of a picture, the face in it, and the map to it; what is given and returned counts from
    the edge of the first pixel in the picture, and from its centre in the patch."""
    face = face.copy()
    face[[0, 1, *range(4, 14)]] -= EDGE
    scale, centre = 0.7 * PATCH / face[2:4].max(), face[:2] + face[2:4] / 2
    matrix = np.column_stack([np.eye(2) * scale, (PATCH - 1) / 2 - scale * centre])
    return sample(canvas, matrix, PATCH), move(face[None], matrix, False)[0], matrix


def patches(store, held_out):
    """(source, name, held out, patch, its face roughly) of all faces that are worth it: in a crop the face in the middle."""
    for row in np.flatnonzero(store.held_out) if held_out else range(len(store)):
        picture, faces = store[row]
        origin = store.source[row], store.name[row], store.held_out[row]
        if picture.shape[:2] == (PATCH, PATCH):
            centre = faces[:, :2] + faces[:, 2:4] / 2
            yield *origin, picture, faces[np.abs(centre - (80, 84)).sum(1).argmin()]
            continue
        for face in faces[(faces[:, 14] >= SURE) & (faces[:, 2:4].max(1) >= SMALLEST)]:
            scale = min(1.0, 0.7 * PATCH / face[2:4].max())
            small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            centre = (face[:2] + face[2:4] / 2) * scale
            matrix = np.array([[1.0, 0, round(PATCH / 2 - centre[0])], [0, 1, round(PATCH / 2 - centre[1])]])
            patch = cv2.warpAffine(small, matrix, (PATCH, PATCH), borderMode=cv2.BORDER_REFLECT_101)
            matrix = np.column_stack([matrix[:, :2] * scale, matrix[:, 2] + (scale - 1) / 2])
            yield *origin, patch, move(face[None], matrix, False)[0]


def pasted(crops, pictures, mosaics, held_out):
    """The same of the faces of mosaics."""
    maker = Mosaics(crops, pictures, MOSAICS_SEED, held_out=held_out)
    for i in range(mosaics):
        canvas, faces = maker(SIDE)
        for face in faces[faces[:, 2:4].max(1) >= SMALLEST_PASTED]:
            yield 'mosaics', f'mosaic {i}', held_out, *cut_out(canvas, face)[:2]


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


def look_at(looker, patches, faces, looks):
    """-> per patch its steady face, or None."""
    found = [steady(face, looks - looks // 4) for face in looker(patches, faces, looks)]
    unsure = [i for i, face in enumerate(found) if face is not None and face[14] > UNSURE]
    again = looker([patches[i] for i in unsure], [found[i] for i in unsure], MORE * looks)
    for i, face in zip(unsure, again):
        found[i] = steady(face, MORE * (looks - looks // 4))
    return found


def add(writer, looker, items, looks):
    """Look at what patches() or pasted() gives, and write it."""
    while group := list(itertools.islice(items, 1500)):
        found = look_at(looker, [item[-2] for item in group], [item[-1] for item in group], looks)
        good = [(item, face) for item, face in zip(group, found) if face is not None]
        for (*origin, patch, _), face in good:
            writer.add(*origin, patch, face[None])
        scatter = np.mean([face[14] for _, face in good] or [0])
        print('faces %d of %d, scatter %.4f' % (len(good), len(group), scatter), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--yunet', required=True, help='folder of yunet_n_320_320.onnx and yunet_n_640_640.onnx')
    parser.add_argument('--crops', required=True)
    parser.add_argument('--pictures')
    parser.add_argument('--out', required=True)
    parser.add_argument('--looks', type=int, default=8)
    parser.add_argument('--mosaics', type=int, default=0, help='take the faces of so many (with --pictures)')
    parser.add_argument('--scales', type=float, nargs=2, default=(0.4, 1.4), help='of the pictures on the canvas')
    parser.add_argument('--held-out', action='store_true', help='only what training does not see')
    parser.add_argument('--limit', type=int, help='take so many of each store only')
    args = parser.parse_args()
    if args.mosaics and not args.pictures:
        parser.error('--mosaics needs --pictures for what is behind the faces')
    looker, writer = Looker(args.yunet, args.scales), StoreWriter(args.out)
    stores = [Store(path) for path in (args.crops, args.pictures) if path]
    for store in stores:
        add(writer, looker, itertools.islice(patches(store, args.held_out), args.limit), args.looks)
    if args.mosaics:
        add(writer, looker, pasted(*stores, args.mosaics, args.held_out), args.looks)
    writer.close()


if __name__ == '__main__':
    main()
