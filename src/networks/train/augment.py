"""Pictures for training, in two steps.

compose(): a face the teachers shall label: one crop, a blend of two aligned faces, or parts of two faces, with a little
rotation, scale and shift. Blends and parts are people who do not exist, which keeps 21,000 crops from being learnt by
heart. It is 128x128: the 112 template with a margin of 8.

view(): what the student sees of it, different at each use: alignment error, light, colour, blur, small faces enlarged,
noise, JPEG, masks, glasses, patches, and the edges of tight pictures. The target stays that of the composed face, so the
student learns to see through the damage ("A good teacher is patient and consistent", Beyer et al., CVPR 2022, asks for
labels of the very picture seen; here a label is used several times because the teachers cost more than the student).
Everything works on uint8 with look-up tables: 0.7 ms a view.
"""
import cv2
import numpy as np

MARGIN = 8                     # of a composed face around the 112 template
SIDE = 112 + 2 * MARGIN


def _similarity(rng, centre, degrees, log_scale, pixels):
    """Random similarity around `centre`, normal with these deviations, cut at three of them."""
    angle, scale, dx, dy = np.clip(rng.normal(size=4), -3, 3) * (degrees, log_scale, pixels, pixels)
    matrix = cv2.getRotationMatrix2D(centre, float(angle), float(np.exp(scale)))
    matrix[:, 2] += (dx, dy)
    return matrix


def _face(crop, rng):
    """160 crop -> 128 face."""
    matrix = _similarity(rng, (80, 84), 2.5, 0.03, 1.0)
    matrix[:, 2] -= 24 - MARGIN
    face = cv2.warpAffine(crop, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.ascontiguousarray(face[:, ::-1]) if rng.random() < 0.5 else face


def _split(rng):
    """A feathered mask [128, 128, 1] of one half or one box."""
    mask = np.zeros((SIDE, SIDE), np.float32)
    kind = rng.integers(3)
    if kind == 0:
        mask[:int(rng.uniform(42, 94))] = 1
    elif kind == 1:
        mask[:, :int(rng.uniform(42, 86))] = 1
    else:
        w, h = rng.integers(32, 76, 2)
        x, y = rng.integers(8, SIDE - 8 - w), rng.integers(8, SIDE - 8 - h)
        mask[y:y + h, x:x + w] = 1
    return cv2.GaussianBlur(mask, (0, 0), rng.uniform(1, 6))[..., None]


def compose(pack, first, rng):
    """A face to be labelled, uint8 [128, 128, 3]; `first` is the index of its first crop."""
    face, kind = _face(pack[first], rng), rng.random()
    if kind < 0.45:
        return face
    other = _face(pack[rng.integers(len(pack))], rng)
    if kind < 0.72:
        share = rng.uniform(0.3, 0.7)
        return cv2.addWeighted(face, share, other, 1 - share, 0)
    mask = _split(rng)
    return (face * mask + other * (1 - mask)).astype(np.uint8)


class ViewMaker:
    """`maker(face)` -> uint8 [112, 112, 3] and whether it is mirrored. One per thread."""

    def __init__(self, seed):
        self.rng = rng = np.random.default_rng(seed)
        self.noise = rng.normal(0, 1, (4, 160, 160, 3)).astype(np.float32)
        y, x = np.mgrid[-1:1:112j, -1:1:112j].astype(np.float32)
        self.grid = x, y

    def __call__(self, face):
        rng = self.rng
        matrix = _similarity(rng, (64, 68), 3.5, 0.04, 1.5)
        matrix[:, 2] -= MARGIN
        out = cv2.warpAffine(face, matrix, (112, 112), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        mirrored = rng.random() < 0.5
        if mirrored:
            out = np.ascontiguousarray(out[:, ::-1])
        if rng.random() < 0.18:
            out = self._occlude(out)
        out = self._sharpness(self._light(out))
        if rng.random() < 0.25:
            out = self._grain(out)
        if rng.random() < 0.3:
            quality = int(rng.integers(20, 92))
            out = cv2.imdecode(cv2.imencode('.jpg', out, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
        if rng.random() < 0.3:
            out = self._picture_edge(out)
        return out, mirrored

    def _picture_edge(self, out):
        """Black outside a rotated rectangle, as where a tight picture ends: alignment fills with zeros there."""
        rng = self.rng
        left, top, right, bottom = rng.uniform((-6, -6, -6, -10), (24, 26, 24, 14))
        corners = np.array([(left, top), (112 - right, top), (112 - right, 112 - bottom), (left, 112 - bottom)])
        angle = np.radians(np.clip(rng.normal(0, 10), -30, 30))
        turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
        mask = np.zeros_like(out)
        cv2.fillConvexPoly(mask, np.int32(np.rint((corners - 56) @ turn + 56)), (255, 255, 255), cv2.LINE_AA)
        return cv2.multiply(out, mask, scale=1 / 255)

    def _light(self, out):
        rng = self.rng
        if rng.random() < 0.3:                                   # saturation, or grey
            keep = 0.0 if rng.random() < 0.4 else float(np.exp(rng.normal(0, 0.35)))
            grey = np.array([0.114, 0.587, 0.299])
            out = cv2.transform(out, keep * np.eye(3) + (1 - keep) * np.tile(grey, (3, 1)))
        if rng.random() < 0.2:                                   # light from one side
            angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.65)
            field = 1 + strength * (np.cos(angle) * self.grid[0] + np.sin(angle) * self.grid[1])
            out = np.clip(out * field[..., None].astype(np.float32), 0, 255).astype(np.uint8)
        level = np.repeat(np.arange(256, dtype=np.float32)[:, None], 3, 1)
        if rng.random() < 0.8:
            mean = float(out.mean())
            level = (level - mean) * np.exp(rng.normal(0, 0.22)) + mean + rng.normal(0, 14)
        if rng.random() < 0.35:
            level = level * np.exp(rng.normal(0, 0.09, 3))       # colour cast
        if rng.random() < 0.3:
            level = 255 * (np.clip(level, 0, 255) / 255) ** np.exp(rng.normal(0, 0.3))
        if rng.random() < 0.06:
            level = level * rng.uniform(0.12, 0.4)               # low light
        table = np.clip(level + 0.5, 0, 255).astype(np.uint8)
        return cv2.LUT(out, np.ascontiguousarray(table[:, None, :]))

    def _sharpness(self, out):
        rng = self.rng
        kind = rng.random()
        if kind < 0.10:
            return cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 1.9))
        if kind < 0.28:                                          # a small face, enlarged
            scale = float(np.exp(rng.uniform(np.log(0.22), np.log(0.8))))
            small = cv2.resize(out, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            return cv2.resize(small, (112, 112), interpolation=cv2.INTER_CUBIC if rng.random() < 0.3 else cv2.INTER_LINEAR)
        if kind < 0.34:                                          # motion
            length = int(rng.integers(3, 10))
            kernel = np.zeros((length, length), np.float32)
            dx, dy = np.cos(a := rng.uniform(0, np.pi)) * length / 2, np.sin(a) * length / 2
            centre = (length - 1) / 2
            cv2.line(kernel, (round(centre - dx), round(centre - dy)), (round(centre + dx), round(centre + dy)), 1.0)
            return cv2.filter2D(out, -1, kernel / max(float(kernel.sum()), 1.0), borderType=cv2.BORDER_REFLECT_101)
        if kind < 0.50:                                          # sharpened: most CelebA crops are soft
            amount = rng.uniform(0.4, 1.6)
            return cv2.addWeighted(out, 1 + amount, cv2.GaussianBlur(out, (0, 0), rng.uniform(0.8, 1.6)), -amount, 0)
        return out

    def _grain(self, out):
        rng = self.rng
        plane, y, x = rng.integers(4), *rng.integers(0, 48, 2)
        noise = self.noise[plane, y:y + 112, x:x + 112] * rng.uniform(1, 9)
        return np.clip(out + noise, 0, 255).astype(np.uint8)

    def _occlude(self, out):
        """Mask, sunglasses or a rectangle, at the places of the 112 template (mirror images of each other)."""
        rng = self.rng
        out = out.copy()
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        kind = rng.random()
        if kind < 0.3:                                           # mask: nose bridge, cheeks, chin
            top, side = rng.uniform(60, 74), rng.uniform(12, 24)
            right = 112 - side
            outline = np.array([(56, top - rng.uniform(2, 9)), (right, top + 4), (right - 6, 92), (72, 111), (40, 111),
                                (side + 6, 92), (side, top + 4)])
            cv2.fillPoly(out, [np.int32(outline + rng.normal(0, 1.5, outline.shape))], colour, cv2.LINE_AA)
        elif kind < 0.55:                                        # glasses: dark lenses or only the frame
            radius, thickness = (int(rng.integers(11, 16)), int(rng.integers(8, 13))), int(rng.integers(1, 4))
            dark = tuple(int(v) for v in rng.integers(0, 90, 3))
            filled = rng.random() < 0.5
            for x in (38, 74):
                cv2.ellipse(out, (x, 53), radius, 0, 0, 360, dark, -1 if filled else thickness, cv2.LINE_AA)
            cv2.line(out, (38 + radius[0], 51), (74 - radius[0], 51), dark, thickness, cv2.LINE_AA)
        else:
            w, h = rng.integers(12, 50, 2)
            x, y = rng.integers(0, 112 - w), rng.integers(0, 112 - h)
            out[y:y + h, x:x + w] = colour if rng.random() < 0.6 else rng.integers(0, 256, (h, w, 3))
        return out
