"""Scenes for the detector: square canvases with faces whose places are known, or with none.

Kinds: whole pictures (rotated, scaled, mirrored); collages of crops on a picture without faces, from one large face to a
crowd of small ones; and pictures without faces, alone or as patchwork. Then the damage of augment.py in a form for
canvases: light, colour, blur, noise, JPEG. Labels are YuNet's, made once per picture at a comfortable size
(detector_store.py) and carried through every transformation: a face of 12 pixels keeps landmarks measured at 100.

Coordinates count from the corner of the first pixel, as YuNet's do: its centre is (0.5, 0.5). OpenCV's warps count from
the pixel's centre; sampling() translates. Without it labels of faces reduced to 20 pixels are 0.4 pixels off.
"""
import cv2
import numpy as np

from detector_loss import FACE, IGNORED
from detector_store import SURE, UNSURE

FULL_OF_PEOPLE = ('mask', 'human')
TURNED_SHARE = 0.2             # of the scenes are turned by 90, 180 or 270 degrees
HARD_SHARE = 0.3               # of the backgrounds show a place that earlier weights took for a face
NOISE = 512                    # side of the planes of noise, at least that of the largest canvas
SEEN = 0.55                    # share of a face's box that a picture's edge must leave, with an eye and the nose
HIDDEN = np.array((0.25, 0.7)) # how much of what lies beyond a picture's right and lower edge YuNet's boxes cover; beyond
                               # the left and upper one nothing (60 crops, cut at 0.55 to 0.9 of the face)
LARGE = 130                    # sqrt of a face's area: enough pixels to fill a canvas with
SMALLEST = 10                  # sqrt of a face's area in pixels: below, neither face nor background


def move(faces, matrix, mirrored):
    """Faces under a 2x3 similarity, which may contain a reflection; boxes stay upright around the turned oval."""
    out = faces.copy()
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    cos, sin = matrix[0, 0] / scale, matrix[1, 0] / scale
    centre = (faces[:, :2] + faces[:, 2:4] / 2) @ matrix[:, :2].T + matrix[:, 2]
    w, h = faces[:, 2] * scale, faces[:, 3] * scale
    out[:, 2], out[:, 3] = np.hypot(w * cos, h * sin), np.hypot(w * sin, h * cos)
    out[:, :2] = centre - out[:, 2:4] / 2
    points = faces[:, 4:14].reshape(-1, 5, 2) @ matrix[:, :2].T + matrix[:, 2]
    if mirrored:
        points = points[:, [1, 0, 2, 4, 3]]
    out[:, 4:14] = points.reshape(-1, 10)
    return out


def sampling(matrix):
    """The same map for cv2.warpAffine."""
    return np.column_stack([matrix[:, :2], matrix[:, 2] + 0.5 * matrix[:, :2].sum(1) - 0.5])


def cut(faces, width, height):
    """Faces that a window shows; those it cuts too much are marked as unsure (score below SURE). Of faces cut to SEEN YuNet
    finds two thirds with a score of 0.7. Its boxes of cut faces end as HIDDEN says."""
    window = np.array((width, height))
    low, high = np.clip(faces[:, :2], 0, window), np.clip(faces[:, :2] + faces[:, 2:4], 0, window)
    area = np.prod(faces[:, 2:4], 1)
    seen = np.prod(high - low, 1) / np.maximum(area, 1e-6)
    points = faces[:, 4:10].reshape(-1, 3, 2)                               # eyes and nose
    inside = ((points > 0) & (points < window)).all(2)
    faces = faces.copy()
    faces[(seen < SEEN) | ~(inside[:, 0] | inside[:, 1]) | ~inside[:, 2], 14] = UNSURE
    end = faces[:, :2] + faces[:, 2:4]
    faces[:, :2], end = np.maximum(faces[:, :2], 0), np.minimum(end, window + np.maximum(end - window, 0) * HIDDEN)
    faces[:, 2:4] = np.maximum(end - faces[:, :2], 1)
    return faces[(seen > 0.05) & (area > 9)]


def mirror(canvas, faces):
    """The mirror image of a scene."""
    matrix = np.array([[-1.0, 0, canvas.shape[1]], [0, 1, 0]])
    return np.ascontiguousarray(canvas[:, ::-1]), move(faces, matrix, True)


def turn(canvas, faces, quarters):
    """A square scene turned by quarters of a circle, against the clock."""
    half = len(canvas) / 2
    spin = np.round([[np.cos(quarters * np.pi / 2), np.sin(quarters * np.pi / 2)],
                     [-np.sin(quarters * np.pi / 2), np.cos(quarters * np.pi / 2)]])
    matrix = np.column_stack([spin, half - spin @ (half, half)])
    return np.ascontiguousarray(np.rot90(canvas, quarters)), move(faces, matrix, False)


def without_faces(pictures):
    """Rows of pictures without faces: nothing found, and not from a source that shows people in every picture."""
    return (pictures.best == 0) & ~np.isin(pictures.source, FULL_OF_PEOPLE)


class SceneMaker:
    """`maker(side)` -> BGR canvas uint8 [side, side, 3], faces [n, 15], states [n] (FACE or IGNORED)."""

    def __init__(self, crops, pictures, seed, held_out=False, hard=None):
        """`hard`: file of detector_mine.py."""
        self.rng = np.random.default_rng(seed)
        self.crops, self.pictures = crops, pictures
        self.crop_rows = np.flatnonzero(crops.held_out == held_out)
        ours = pictures.held_out == held_out
        self.hard = np.load(hard)['places'] if hard else ()
        self.empty = np.flatnonzero(ours & without_faces(pictures))
        self.whole = np.flatnonzero(ours & (pictures.best >= SURE))
        sure = pictures.faces[:, 14] >= SURE
        row = np.repeat(np.arange(len(pictures)), np.diff(pictures.first))
        large = np.isin(self.whole, row[sure & (np.prod(pictures.faces[:, 2:4], 1) > LARGE ** 2)])
        # Sources with many look-alike pictures count as one part among others.
        self.empty_share = self._even(pictures.source[self.empty])
        self.whole_share = self._even(pictures.source[self.whole])
        self.large = self.whole[large] if large.any() else self.whole
        self.large_share = self._even(pictures.source[self.large])
        self.masks = [self._mask() for _ in range(100)]
        self.noise = self._noise_planes()
        self.is_tilted = False

    def _noise_planes(self):
        return self.rng.normal(0, 1, (3, NOISE, NOISE, 3)).astype(np.float32)

    @staticmethod
    def _even(source):
        names, inverse, count = np.unique(source, return_inverse=True, return_counts=True)
        share = 1 / count[inverse] ** 0.6
        return np.cumsum(share / share.sum())

    def _mask(self):
        """How a crop is cut out: rectangle or oval, soft or hard edge."""
        rng, mask = self.rng, np.zeros((160, 160), np.uint8)
        if rng.random() < 0.5:
            inset = int(rng.integers(0, 22))
            mask[inset:160 - inset, inset:160 - inset] = 255
        else:
            axes = int(rng.integers(62, 80)), int(rng.integers(70, 80))
            cv2.ellipse(mask, (80, 80), axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
        if rng.random() < 0.6:
            mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(1, 8), borderType=cv2.BORDER_CONSTANT)
        return mask

    def _pick(self, rows, share):
        return rows[min(np.searchsorted(share, self.rng.random()), len(rows) - 1)]

    def __call__(self, side):
        rng, kind = self.rng, self.rng.random()
        turned = rng.random() < TURNED_SHARE
        self.is_tilted = turned and rng.random() < 0.5
        if kind < 0.30 and len(self.whole):
            canvas, faces = self._whole_pictures(side)
        elif kind < 0.78:
            canvas, faces = self._collage(side)
        else:
            canvas, faces = self._empty_picture(side), np.zeros((0, 15), np.float32)
        if turned:
            canvas, faces = turn(canvas, faces, int(rng.choice((1, 2, 3), p=(0.25, 0.5, 0.25))))
        width = height = side
        if rng.random() < 0.25:
            canvas, faces, width, height = self._frame(canvas, faces)
        state = np.where(faces[:, 14] >= SURE, FACE, IGNORED)
        size = np.sqrt(np.prod(faces[:, 2:4], 1))
        state[size < SMALLEST] = IGNORED
        canvas = self._damage(np.ascontiguousarray(canvas), size[state == FACE].min(initial=side))
        canvas[height:], canvas[:, width:] = 0, 0
        return canvas, faces, state

    def _frame(self, canvas, faces):
        """A picture that does not fill its canvas; most cut one of its faces. The part without picture is for the caller to
        blacken, after the damage."""
        rng, side = self.rng, len(canvas)
        low, high = np.zeros(2), np.full(2, float(side))
        axis = int(rng.integers(2))
        if len(faces) and rng.random() < 0.8:
            size = np.prod(faces[:, 2:4], 1) ** 0.5
            face = faces[rng.choice(len(faces), p=size / size.sum())]
            begin, extent, seen = face[axis], face[2 + axis], rng.uniform(SEEN, 1.0)
            if rng.random() < 0.5:
                high[axis] = np.clip(begin + seen * extent, 0.3 * side, side)
            else:
                low[axis] = np.clip(begin + (1 - seen) * extent, 0, 0.7 * side)
        else:
            high[axis] = side * rng.uniform(0.4, 1)
        low, high = low.astype(int), high.astype(int)
        part, (width, height) = canvas[low[1]:high[1], low[0]:high[0]], high - low
        out = np.zeros_like(canvas)
        out[:height, :width] = part
        faces = faces.copy()
        faces[:, [0, 1, *range(4, 14)]] -= np.tile(low, 6).astype(np.float32)
        return out, cut(faces, width, height), width, height

    def _similarity(self, centre, target, scale, angle, mirrored):
        """Maps `centre` to `target`."""
        cos, sin = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
        matrix = np.array([[cos, -sin], [sin, cos]])
        if mirrored:
            matrix = matrix @ np.diag([-1.0, 1.0])
        return np.column_stack([matrix, np.asarray(target) - matrix @ np.asarray(centre)])

    def _angle(self):
        rng, kind = self.rng, self.rng.random()
        if self.is_tilted:                                 # with turn(): any direction
            return float(rng.uniform(-50, 50))
        if kind < 0.14:
            return float(rng.uniform(-180, 180) if kind < 0.06 else rng.uniform(-60, 60))
        return float(np.clip(rng.normal(0, 10), -30, 30))

    def _warp(self, picture, matrix, side, border):
        """Bilinear sampling of a picture that was halved as often as the scale allows."""
        scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        while scale < 0.6 and min(picture.shape[:2]) > 8:
            height, width = picture.shape[:2]
            picture = cv2.resize(picture, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
            fx, fy = width / picture.shape[1], height / picture.shape[0]
            matrix = np.column_stack([matrix[:, :2] * (fx, fy), matrix[:, 2]])
            scale *= np.sqrt(fx * fy)
        return cv2.warpAffine(picture, sampling(matrix), (side, side), flags=cv2.INTER_LINEAR, borderMode=border)

    def _whole_pictures(self, side):
        """One picture, or four in a square."""
        if self.rng.random() < 0.6:
            return self._whole_picture(side)
        canvas, found, half = np.empty((side, side, 3), np.uint8), [], side // 2
        for y in (0, half):
            for x in (0, half):
                canvas[y:y + half, x:x + half], faces = self._whole_picture(half)
                faces[:, [0, 4, 6, 8, 10, 12]] += x
                faces[:, [1, 5, 7, 9, 11, 13]] += y
                found.append(faces)
        return canvas, np.concatenate(found)

    def _whole_picture(self, side):
        rng = self.rng
        fill = rng.random() < 0.35                         # one face fills the canvas
        rows = (self.large, self.large_share) if fill else (self.whole, self.whole_share)
        picture, faces = self.pictures[self._pick(*rows)]
        sure = faces[faces[:, 14] >= SURE]
        if fill:
            face = sure[np.prod(sure[:, 2:4], 1).argmax()]
            size = float(rng.uniform(0.4, 1.0)) * side
        else:
            face = sure[rng.integers(len(sure))]
            size = float(np.exp(rng.uniform(np.log(12), np.log(0.9 * side))))
        scale = min(size / np.sqrt(face[2] * face[3]), 3.0)
        mirrored = rng.random() < 0.5
        # Small faces lie anywhere, large ones near the middle.
        slack = max(0.0, 0.5 - 0.6 * scale * np.sqrt(face[2] * face[3]) / side)
        target = side * (0.5 + rng.uniform(-slack, slack, 2))
        matrix = self._similarity(face[:2] + face[2:4] / 2, target, scale, self._angle(), mirrored)
        faces = cut(move(faces, matrix, mirrored), side, side)
        ground = self._plain_piece(side) if rng.random() < 0.8 else np.full((side, side, 3), rng.integers(0, 256, 3), np.uint8)
        inside = cv2.warpAffine(np.full(picture.shape[:2], 255, np.uint8), sampling(matrix), (side, side),
                                flags=cv2.INTER_NEAREST)
        canvas = self._warp(picture, matrix, side, cv2.BORDER_REPLICATE)
        cv2.copyTo(canvas, inside, ground)
        return ground, faces

    def _texture(self, side):
        """Noise of random coarseness, or gradients: what no photograph shows."""
        rng, cells = self.rng, int(2 ** self.rng.uniform(1, 6.5))
        small = rng.integers(0, 256, (cells, cells, 3 if rng.random() < 0.7 else 1)).astype(np.uint8)
        out = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_NEAREST)
        return np.broadcast_to(out.reshape(side, side, -1), (side, side, 3)).copy()

    def _plain_piece(self, side):
        rng = self.rng
        if rng.random() < 0.06 or not len(self.empty):
            return self._texture(side)
        if len(self.hard) and rng.random() < HARD_SHARE:
            return self._hard_piece(side)
        picture, _ = self.pictures[self._pick(self.empty, self.empty_share)]
        height, width = picture.shape[:2]
        scale = side / min(height, width) * float(np.exp(rng.uniform(-0.3, 0.7)))
        centre = rng.uniform(0.25, 0.75, 2) * (width, height)
        matrix = self._similarity(centre, (side / 2, side / 2), scale, float(rng.normal(0, 6)), rng.random() < 0.5)
        return self._warp(picture, matrix, side, cv2.BORDER_REFLECT_101)

    def _hard_piece(self, side):
        """Around a place that looks like a face, at about the size at which it did."""
        rng = self.rng
        row, x, y, scale = self.hard[rng.integers(len(self.hard))][:4]
        matrix = self._similarity((x, y), rng.uniform(0.2, 0.8, 2) * side, scale * float(np.exp(rng.normal(0, 0.25))),
                                  float(rng.normal(0, 6)), rng.random() < 0.5)
        return self._warp(self.pictures[int(row)][0], matrix, side, cv2.BORDER_REFLECT_101)

    def _empty_picture(self, side):
        pieces = int(self.rng.choice((1, 2, 3), p=(0.5, 0.35, 0.15)))
        part = -(-side // pieces)
        rows = [np.concatenate([self._plain_piece(part) for _ in range(pieces)], 1) for _ in range(pieces)]
        return np.concatenate(rows)[:side, :side]

    def _collage(self, side):
        rng = self.rng
        canvas = self._plain_piece(side)
        kind = rng.random()
        if kind < 0.12:                                    # one that fills the canvas
            sizes = rng.uniform(0.4, 0.9, 1) * side
        elif kind < 0.40:                                  # a few faces of any size
            sizes = np.exp(rng.uniform(np.log(12), np.log(0.7 * side), rng.integers(1, 6)))
        elif kind < 0.75:                                  # several small ones
            sizes = np.exp(rng.uniform(np.log(11), np.log(48), rng.integers(4, 14)))
        else:                                              # a crowd of about one size
            sizes = np.exp(rng.uniform(np.log(11), np.log(32)) + rng.normal(0, 0.2, rng.integers(10, 30)))
        found, taken = [], np.zeros((0, 3))
        for size in sorted(sizes, reverse=True):
            for _ in range(6):
                place = rng.uniform(0.3 * size, side - 0.3 * size, 2) if size < 0.8 * side else rng.uniform(0.4, 0.6, 2) * side
                gap = np.hypot(*(taken[:, :2] - place).T) - 0.62 * (taken[:, 2] + size)
                if (gap > 0).all():
                    break
            else:
                continue
            taken = np.concatenate([taken, [[*place, size]]])
            found.append(self._paste(canvas, place, size))
        return canvas, cut(np.concatenate(found), side, side) if found else np.zeros((0, 15), np.float32)

    def _paste(self, canvas, place, size):
        """One crop through a mask; returns its faces."""
        rng, side = self.rng, len(canvas)
        crop, faces = self.crops[self.crop_rows[rng.integers(len(self.crop_rows))]]
        centre = faces[:, :2] + faces[:, 2:4] / 2
        middle = np.argmin(np.abs(centre - (80, 84)).sum(1))
        scale = size / np.sqrt(faces[middle, 2] * faces[middle, 3])
        mirrored = rng.random() < 0.5
        # Work on the window that the crop can touch.
        reach = int(np.ceil(120 * scale)) + 2
        x0, y0 = np.floor(place).astype(int) - reach
        matrix = self._similarity(centre[middle], place - (x0, y0), scale, self._angle(), mirrored)
        window = 2 * reach
        mask = self.masks[rng.integers(len(self.masks))]
        patch = self._warp(crop, matrix, window, cv2.BORDER_REPLICATE)
        alpha = cv2.warpAffine(mask, sampling(matrix), (window, window), flags=cv2.INTER_LINEAR)
        ax, ay = max(0, -x0), max(0, -y0)
        bx, by = min(window, side - x0), min(window, side - y0)
        area = canvas[y0 + ay:y0 + by, x0 + ax:x0 + bx]
        share = alpha[ay:by, ax:bx, None].astype(np.uint16)
        area[:] = ((patch[ay:by, ax:bx] * share + area * (255 - share) + 127) // 255).astype(np.uint8)
        moved = move(faces, matrix, mirrored)
        moved[:, :2] += (x0, y0)
        moved[:, 4:14:2] += x0
        moved[:, 5:14:2] += y0
        # Other faces at the crop's border are cut by the mask: unsure.
        moved[np.arange(len(moved)) != middle, 14] = np.minimum(moved[np.arange(len(moved)) != middle, 14], 0.5)
        return moved

    def _damage(self, out, smallest):
        """Light, colour, blur, noise, JPEG; strong blur only where faces are large enough to bear it."""
        rng, side = self.rng, len(out)
        if rng.random() < 0.2:
            keep = 0.0 if rng.random() < 0.6 else float(np.exp(rng.normal(0, 0.35)))
            grey = np.array([0.114, 0.587, 0.299])
            out = cv2.transform(out, keep * np.eye(3) + (1 - keep) * np.tile(grey, (3, 1)))
        level = np.repeat(np.arange(256, dtype=np.float32)[:, None], 3, 1)
        if rng.random() < 0.7:
            mean = float(out[::8, ::8].mean())
            level = (level - mean) * np.exp(rng.normal(0, 0.25)) + mean + rng.normal(0, 18)
        if rng.random() < 0.3:
            level = level * np.exp(rng.normal(0, 0.1, 3))
        if rng.random() < 0.25:
            level = 255 * (np.clip(level, 0, 255) / 255) ** np.exp(rng.normal(0, 0.3))
        if rng.random() < 0.05:
            level = level * rng.uniform(0.15, 0.4)
        out = cv2.LUT(out, np.ascontiguousarray(np.clip(level + 0.5, 0, 255).astype(np.uint8)[:, None, :]))
        kind = rng.random()
        if kind < 0.15:
            out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 0.5 + min(1.5, smallest / 40)))
        elif kind < 0.25:
            out = cv2.addWeighted(out, 1.8, cv2.GaussianBlur(out, (0, 0), 1.0), -0.8, 0)
        if rng.random() < 0.2:
            plane, y, x = rng.integers(3), *rng.integers(0, NOISE - side + 1, 2)
            noise = self.noise[plane, y:y + side, x:x + side] * rng.uniform(1, 12)
            out = np.clip(out + noise, 0, 255).astype(np.uint8)
        if rng.random() < 0.3:
            quality = int(rng.integers(30, 92))
            out = cv2.imdecode(cv2.imencode('.jpg', out, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
        return out
