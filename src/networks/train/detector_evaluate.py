"""Compare detectors with YuNet on photos, on mosaics of held-out crops, and on held-out pictures without faces.

  python3 detector_evaluate.py RUN/state.pt detector.onnx --yunet MODELS --crops STORE --pictures STORE --photos FOLDER
                               [--mosaics 1000] [--empty 500] [--threshold 0.6 0.65 ...] [--table table.tsv]

Everything is seen at 640x640, as YuNet's fixed file wants it. Several thresholds make several blocks of figures; the table
gets the first.
  found      share of YuNet's faces with a score of 0.7 or more that the detector finds (score of --threshold or more,
             overlap of the boxes at least 0.4), on the photos, on those of people only (some of YuNet's faces are dogs), and
             on the mosaics
  landmarks  mean distance to YuNet's landmarks in units of the distance of the eyes (the median in brackets)
  steady     the same to the mean of YuNet's landmarks over 8 shifts of the picture by a few pixels (--shifts 200): YuNet's own
             landmarks move with the grid, see src/networks/README; and that figure for YuNet itself
  extra      faces per picture that YuNet does not see even at a score of 0.3
  false      faces per 100 pictures without faces
  turned     faces found when the photos and --turned N of the mosaics are turned by 45, 90, 135 and 180 degrees, and how
             many of those have landmarks that say another roll (by more than 30 degrees): an aligned crop of such a face is
             no face, and such crops resemble each other whoever they show
--cache keeps YuNet's answers, most of the time that an evaluation takes.
The same figures for YuNet itself against the labels made at a larger size say what is noise of the teacher: --self.
"""
import argparse
import glob
import os
import pickle
import time
import zlib

import cv2
import numpy as np
import torch

from detector_net import heads
from detector_onnx import load_detector
from detector_scene import SceneMaker, move, sampling, without_faces
from detector_store import CERTAIN, SURE, Store
from yunet import YuNet, decode, overlap, suppress

SIDE, ANGLES = 640, (45, 90, 135, 180)
ANIMALS = 'animals-'            # photos whose name begins so show no people
# Held-out pictures in which YuNet finds nothing and the eye does: people from far or turned away, painted faces.
NOT_EMPTY = ('BSDS500__data__images__train__293029.jpg', 'BSDS500__data__images__train__56028.jpg',
             'n03481172_hammer.JPEG', 'n03697007_lumbermill.JPEG', 'n03944341_pinwheel.JPEG',
             'n04418357_theater_curtain.JPEG')
SHIFTS = ((0, 0), (3, 9), (6, 2), (9, 13), (12, 5), (15, 15), (18, 7), (21, 11))


def fit(picture):
    """The picture in the upper left of a 640x640 canvas."""
    scale = min(1.0, SIDE / max(picture.shape[:2]))
    size = [max(1, round(n * scale)) for n in picture.shape[1::-1]]
    canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
    canvas[:size[1], :size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if scale < 1 else picture
    return canvas


@torch.no_grad()
def detect(detector, canvas, threshold):
    x = torch.from_numpy(canvas).permute(2, 0, 1)[None].float().contiguous(memory_format=torch.channels_last)
    return suppress(decode(heads(detector(x)), *canvas.shape[:2], threshold))


def steady_points(yunet, canvas, faces):
    """Landmarks [n, 5, 2] of `faces`, each the mean over shifted copies of the canvas; nan where too few show it."""
    found = [[] for _ in faces]
    for dx, dy in SHIFTS:
        shifted = np.zeros_like(canvas)
        shifted[dy:, dx:] = canvas[:SIDE - dy, :SIDE - dx]
        others = yunet(shifted, threshold=0.5)
        others[:, [0, 4, 6, 8, 10, 12]] -= dx
        others[:, [1, 5, 7, 9, 11, 13]] -= dy
        for i, row in enumerate(overlap(faces, others)):
            if row.max(initial=0) > 0.5:
                found[i].append(others[row.argmax(), 4:14])
    means = [np.mean(f, 0) if len(f) >= 6 else np.full(10, np.nan) for f in found]
    return np.array(means, np.float32).reshape(-1, 5, 2)


def distance(points, others, eyes):
    """Mean distance of five landmarks in units of the distance of the eyes in `eyes`."""
    return np.linalg.norm(points - others, axis=1).mean() / max(np.linalg.norm(eyes[0] - eyes[1]), 1e-3)


class Mosaics(SceneMaker):
    """Held-out crops of 12 to 200 pixels on held-out pictures without faces, undamaged, nearly upright: YuNet's own
    landmarks are poor on turned faces."""

    def _angle(self):
        return float(np.clip(self.rng.normal(0, 6), -15, 15))

    def __call__(self, side):
        canvas, faces = self._collage(side)
        return canvas, faces[faces[:, 14] >= SURE]

    def _collage(self, side):
        rng = self.rng
        canvas, found, taken = self._plain_piece(side), [], np.zeros((0, 3))
        for size in sorted(np.exp(rng.uniform(np.log(12), np.log(200), rng.integers(4, 16))), reverse=True):
            for _ in range(20):
                place = rng.uniform(0.8 * size, side - 0.8 * size, 2)
                if (np.hypot(*(taken[:, :2] - place).T) > 0.9 * (taken[:, 2] + size)).all():
                    taken = np.concatenate([taken, [[*place, size]]])
                    found.append(self._paste(canvas, place, size))
                    break
        return canvas, np.concatenate(found)


class Tally:
    def __init__(self):
        self.wanted = self.found = self.extra = self.pictures = 0
        self.errors, self.steady, self.teacher = [], [], []

    def add(self, certain, possible, ours, steady=None):
        """Faces to be found, faces that do not count as extra, faces of the detector, steady_points() of the first."""
        self.pictures += 1
        self.wanted += len(certain)
        self.extra += int((overlap(ours, possible).max(1, initial=0) < 0.3).sum())
        if not len(certain):
            return
        match = overlap(certain, ours)
        for i, face in enumerate(certain):
            best = match[i].argmax() if len(ours) else -1
            if best < 0 or match[i, best] < 0.4:
                continue
            self.found += 1
            points, others = face[4:14].reshape(5, 2), ours[best, 4:14].reshape(5, 2)
            self.errors.append(distance(points, others, points))
            if steady is not None and np.isfinite(steady[i]).all():
                self.steady.append(distance(steady[i], others, steady[i]))
                self.teacher.append(distance(steady[i], points, steady[i]))

    def text(self):
        text = 'found %.2f %% of %d, landmarks %.2f %% (%.2f %%), extra %.3f' % (
            100 * self.found / max(self.wanted, 1), self.wanted, 100 * np.mean(self.errors or [0]),
            100 * np.median(self.errors or [0]), self.extra / max(self.pictures, 1))
        if self.steady:
            text += ', steady %.2f %% (YuNet %.2f %%)' % (100 * np.mean(self.steady), 100 * np.mean(self.teacher))
        return text

    def figures(self):
        return 100 * self.found / max(self.wanted, 1), 100 * np.mean(self.errors or [0])


def roll(faces):
    """Degrees by which faces are turned, from the middle of the eyes to that of the mouth."""
    points = faces[:, 4:14].reshape(-1, 5, 2)
    down = points[:, 3:].mean(1) - points[:, :2].mean(1)
    return np.degrees(np.arctan2(-down[:, 0], down[:, 1]))


def turned_canvas(canvas, faces, angle):
    """Canvas turned about its middle, and the faces that stay inside."""
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    spin = np.array([[cos, -sin], [sin, cos]])
    matrix = np.column_stack([spin, SIDE / 2 - spin @ (SIDE / 2, SIDE / 2)])
    out = cv2.warpAffine(canvas, sampling(matrix), (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    faces = move(faces, matrix, False)
    return out, faces[((faces[:, :2] > 0) & (faces[:, :2] + faces[:, 2:4] < SIDE)).all(1)]


def turned(detector, material, many, thresholds):
    """Lines about turned pictures, one for each angle and threshold."""
    canvases = [(photo[1], photo[3]) for photo in material.photos] + [(m[0], m[2]) for m in material.mosaics[:many]]
    for angle in ANGLES:
        seen = []
        for canvas, certain in canvases:
            canvas, certain = turned_canvas(canvas, certain, angle)
            ours = detect(detector, canvas, min(thresholds))
            match = overlap(certain, ours) if len(ours) else np.zeros((len(certain), 1))
            best = match.argmax(1)
            apart = np.abs((roll(ours)[best] - roll(certain) + 180) % 360 - 180) if len(ours) else np.zeros(len(certain))
            score = np.where(match.max(1) >= 0.3, ours[best, 14], 0) if len(ours) else np.zeros(len(certain))
            seen += zip(np.sqrt(np.prod(certain[:, 2:4], 1)), score, apart)
        size, score, apart = np.array(seen).reshape(-1, 3).T
        for threshold in thresholds:
            parts = []
            for name, group in (('all', size > 0), ('of 40 pixels', size >= 40)):
                found = (score >= threshold) & group
                parts.append('%s: found %.1f %% of %d, %.1f %% of these with a wrong roll' % (
                    name, 100 * found.sum() / max(group.sum(), 1), group.sum(),
                    100 * (apart[found] > 30).mean() if found.any() else 0))
            yield 'turned by %3d, threshold %.2f  %s' % (angle, threshold, '; '.join(parts))


class Material:
    """Canvases with YuNet's faces (from 0.3 on), made once for all detectors."""

    def __init__(self, args):
        yunet, self.known = YuNet(args.yunet), {}
        if args.cache and os.path.exists(args.cache):
            with open(args.cache, 'rb') as file:
                self.known = pickle.load(file)
        cached = len(self.known)
        files = sorted(glob.glob(os.path.join(args.photos, '*.*')))
        photos = [(os.path.basename(f), cv2.imread(f)) for f in files]
        photos = [(name, fit(photo)) for name, photo in photos if photo is not None]
        self.photos = [(name, canvas, *self._label(yunet, canvas, args.shifts > 0)) for name, canvas in photos]
        crops, pictures = Store(args.crops), Store(args.pictures)
        maker = Mosaics(crops, pictures, 11, held_out=True)
        self.mosaics = []
        for i in range(args.mosaics):
            canvas, labels = maker(SIDE)
            self.mosaics.append((canvas, *self._label(yunet, canvas, i < args.shifts), labels))
        if args.cache and len(self.known) > cached:
            with open(args.cache, 'wb') as file:
                pickle.dump(self.known, file)
        rows = np.flatnonzero(pictures.held_out & without_faces(pictures) & ~np.isin(pictures.name, NOT_EMPTY))
        # First the varied sources, then those with many similar pictures.
        many = {s: (pictures.source[rows] == s).sum() for s in np.unique(pictures.source[rows])}
        rows = sorted(rows, key=lambda i: many[pictures.source[i]])[:args.empty]
        self.empty = [fit(pictures[i][0]) for i in rows]
        self.empty_names = [pictures.source[i] + '/' + pictures.name[i] for i in rows]

    def _label(self, yunet, canvas, shifts):
        """All faces, the certain ones, and their steady landmarks if asked for."""
        key = zlib.crc32(canvas.tobytes()), shifts
        if key not in self.known:
            faces = yunet(canvas, threshold=0.3)
            certain = faces[faces[:, 14] >= CERTAIN]
            self.known[key] = faces, certain, steady_points(yunet, canvas, certain) if shifts else None
        return self.known[key]


def look(detector, material, threshold):
    """The faces of all canvases, group by group, from the lowest threshold on."""
    return [[detect(detector, canvas, threshold) for canvas in canvases] for canvases in (
        [photo[1] for photo in material.photos], [mosaic[0] for mosaic in material.mosaics], material.empty)]


def measure(seen, material, threshold):
    """-> tallies of the photos, of those with people, of the mosaics; false faces with their pictures' names."""
    in_photos, in_mosaics, in_empty = ([faces[faces[:, 14] >= threshold] for faces in group] for group in seen)
    photos, people, mosaics, false = Tally(), Tally(), Tally(), []
    for (name, _, faces, certain, steady), ours in zip(material.photos, in_photos):
        photos.add(certain, faces, ours, steady)
        if not name.startswith(ANIMALS):
            people.add(certain, faces, ours, steady)
    for (_, faces, certain, steady, labels), ours in zip(material.mosaics, in_mosaics):
        mosaics.add(certain, np.concatenate([faces, labels]), ours, steady)
    for name, ours in zip(material.empty_names, in_empty):
        false += [(name, face) for face in ours]
    return photos, people, mosaics, false


def report(path, samples, material, seen, threshold, args):
    photos, people, mosaics, false = measure(seen, material, threshold)
    share = 100 * len(false) / max(len(material.empty), 1)
    print(f'{os.path.basename(path)}: seen {samples}, threshold {threshold:.2f}\n  photos   {photos.text()}\n'
          f'  people   {people.text()}\n  mosaics  {mosaics.text()}\n'
          f'  false    {share:.2f} per 100 of {len(material.empty)}', flush=True)
    if args.list_false:
        for name, face in false:
            print('   ', name, face[:4].round(), face[14])
    if args.table and threshold == args.threshold[0]:
        with open(args.table, 'a') as file:
            file.write('%s\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\n' % (
                time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()), samples, *photos.figures(), *mosaics.figures(), share))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('detectors', nargs='+')
    parser.add_argument('--yunet', required=True)
    parser.add_argument('--crops', required=True)
    parser.add_argument('--pictures', required=True)
    parser.add_argument('--photos', required=True)
    parser.add_argument('--mosaics', type=int, default=1000)
    parser.add_argument('--empty', type=int, default=500)
    parser.add_argument('--threshold', type=float, nargs='+', default=[0.6])
    parser.add_argument('--shifts', type=int, default=0, metavar='N',
                        help='also compare with steady landmarks, on the photos and on N of the mosaics')
    parser.add_argument('--turned', type=int, default=0, metavar='N', help='also turn the photos and N of the mosaics')
    parser.add_argument('--cache', help="file of YuNet's answers, made when missing")
    parser.add_argument('--table')
    parser.add_argument('--list-false', action='store_true')
    parser.add_argument('--self', action='store_true', help="YuNet's own noise on the mosaics")
    args = parser.parse_args()
    torch.set_num_threads(1)
    material = Material(args)
    if args.self:
        tally = Tally()
        for _, faces, _, _, labels in material.mosaics:
            tally.add(labels, labels, faces[faces[:, 14] >= args.threshold[0]])
        print('yunet against labels of a larger size, mosaics:', tally.text(), flush=True)
    for path in args.detectors:
        detector, seen = load_detector(path)
        found = look(detector, material, min(args.threshold))
        for threshold in args.threshold:
            report(path, seen, material, found, threshold, args)
        if args.turned:
            print(*('  ' + line for line in turned(detector, material, args.turned, args.threshold)), sep='\n', flush=True)


if __name__ == '__main__':
    main()
