"""Training views of faces: a crop as the landmark network sees it, and where the landmarks are in it.

A face of the store is perhaps mirrored and occluded, reduced to a size of 13 pixels to all it has, damaged (light, blur,
noise, JPEG) at that size, and then cut out as the pipeline does it: aligned by landmarks that are wrong by some amount,
or by a box of a turned head that is off and of the wrong size. The labels move along.
"""
import os

import cv2
import numpy as np

from augment import ViewMaker
from detector_scene import SceneMaker, move
from landmark_crop import SIDE, aligned_matrix, box_matrix, chain, map_points, sample, scale_of
from landmark_store import PATCH, unit

MIRRORED = [1, 0, 2, 4, 3]          # landmarks in the mirror image
DETECTED = 0.9                      # share of the aligned crops that a detector's landmarks align
WHOLE, DAMAGED = 0.6, 0.75          # share of the pictures that are not reduced; that are damaged
WIDE = 0.5, 1.0, 2.5                # the detector's errors are about the first
MIRROR = np.array([[-1.0, 0, PATCH - 1], [0, 1, 0]])        # faces of this store count from the centres of pixels
BORDERS = cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT_101, cv2.BORDER_REPLICATE      # 40, 40 and 20 % of the views


def read_detected(faces):
    """What landmark_detected.py has written, or None."""
    if not os.path.exists(faces + '.detected.npz'):
        return None
    with np.load(faces + '.detected.npz') as z:
        return {name: z[name] for name in z.files}


def _turn(degrees, scale, middle, shift):
    """Turn and scale around (middle, middle), then shift."""
    cos, sin = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[cos, -sin, middle + shift[0] - middle * (cos - sin)],
                     [sin, cos, middle + shift[1] - middle * (sin + cos)]])


class FaceViews(SceneMaker):
    """`views(row, count)` -> so many (crop uint8 [64, 64, 3], points [5, 2] in 0..1 of it, unit of length in the same),
    cut from one damaged picture in different ways."""

    def __init__(self, store, seed, aligned=0.92, detected=None):
        self.store, self.aligned, self.detected = store, aligned, detected
        self.rng = np.random.default_rng(seed)
        self.noise = self._noise_planes()
        self.occluder = ViewMaker(seed)

    def __call__(self, row, count=1):
        rng = self.rng
        patch, face, given = self._picture(row)
        out = []
        for _ in range(count):
            if rng.random() >= self.aligned:
                matrix = self._boxed(face, len(patch))
            elif given is not None and rng.random() < DETECTED:
                matrix = self._aligned(given, unit(face), 0.25)
            else:
                matrix = self._aligned(face[4:14].reshape(5, 2), unit(face), rng.choice(WIDE, p=(0.5, 0.35, 0.15)))
            crop = sample(patch, matrix, SIDE, BORDERS[min(int(rng.random() / 0.4), 2)])
            points = (map_points(matrix, face[4:14].reshape(5, 2)) + 0.5) / SIDE
            out.append((crop, points, unit(face) * scale_of(matrix) / SIDE))
        return out

    def _picture(self, row):
        """A face's picture, perhaps reduced, damaged; the face, and where a detector sees its landmarks, or None."""
        rng = self.rng
        patch, faces = self.store[row]
        if rng.random() < 0.12:
            patch = patch.copy()                       # of the pack's crops this is the 112 template
            patch[24:136, 24:136] = self.occluder._occlude(patch[24:136, 24:136])
        mirrored = rng.random() < 0.5
        if mirrored:
            patch, faces = patch[:, ::-1], move(faces, MIRROR, True)
        face, longer = faces[0], faces[0, 2:4].max()
        size = longer if rng.random() < WHOLE else min(longer, np.exp(rng.uniform(np.log(13), np.log(longer))))
        given = self._given(row, size, mirrored)
        side = max(8, round(PATCH * size / longer))
        if side < PATCH:
            scale = side / PATCH
            patch = cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA)
            face = face * scale
            face[[0, 1, *range(4, 14)]] += (scale - 1) / 2          # pixel edges stay on pixel edges
            given = None if given is None else given * scale + (scale - 1) / 2
        patch = np.ascontiguousarray(patch)
        return self._damage(patch, size) if rng.random() < DAMAGED else patch, face, given

    def _given(self, row, size, mirrored):
        """The landmarks that the detector saw when the face had most nearly that size, in the whole picture; or None."""
        if self.detected is None:
            return None
        seen = self.detected['size'][row]
        k = np.abs(np.log(np.maximum(seen, 1e-3) / size)).argmin()
        points = self.detected['points'][row, k].astype(float)
        if mirrored:
            points = map_points(MIRROR, points)[MIRRORED]
        return points if seen[k] else None

    def _aligned(self, points, eyes, wide):
        """Aligned by landmarks of which all, and each, are off."""
        rng = self.rng
        matrix = aligned_matrix(points + rng.normal(0, wide * rng.uniform(0, 0.1), (5, 2)) * eyes)
        turn, scale, *shift = rng.normal(0, 1, 4) * wide * (4, 0.05, 0.025 * SIDE, 0.025 * SIDE)
        return chain(_turn(turn, np.exp(scale), (SIDE - 1) / 2, shift), matrix)

    def _boxed(self, face, side):
        """The square around the box of a turned head."""
        rng = self.rng
        angle = rng.uniform(-45, 45) if rng.random() < 0.35 else rng.normal(0, 10)
        turn = _turn(angle, 1.0, (side - 1) / 2, (0, 0))
        box = move(face[None], turn, False)[0, :4]
        shift = rng.uniform(-0.12, 0.12, 2) * box[2:4].max()
        grow, stretch = np.exp(rng.uniform(np.log(0.8), np.log(1.25), 2) * (1, 0.4))
        size = box[2:4] * (grow, grow * stretch)
        return chain(box_matrix((*(box[:2] + box[2:4] / 2 + shift - size / 2), *size)), turn)
