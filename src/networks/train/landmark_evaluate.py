"""Compare landmark networks with YuNet on photos and on mosaics of held-out crops.

  python3 landmark_evaluate.py RUN/state.pt landmarks.onnx --yunet MODELS --crops STORE --pictures STORE --photos FOLDER
                               [--detector detector.onnx] [--mosaics 100] [--cache FILE] [--faces STORE]

Pictures and faces are those of detector_evaluate.py --shifts, and --cache is the same file. The place of a face comes from
  box         YuNet's box, shifted by 6 % and scaled by 8 % (standard deviations)
  points      YuNet's landmarks, each coordinate off by 7 % of the eye distance, which makes 9 % of distance
  detector    the detector's own landmarks, where it finds the face (--detector)
and the network is run --rounds times, each time on the crop aligned by what it said before; "mirror" is the mean of what
it says of the first crop and of its mirror image; "second" is that, but for landmarks which it has moved by more than 9 %
of the eye distance: then the mean over four crops aligned by it (core/face/landmarks.c). Given are mean distances in per
cent of the eye distance, to YuNet / to its steady landmarks / to the mean of --looks looks; all faces, then by the longer
side of the box.

YuNet says different things of one face at different sizes, also on average over shifts. Looks are at sizes of 45 to 160
pixels, to which the face is cut out of the picture and reduced or enlarged, each at another place of the grid, half of them
mirrored. Their mean is itself not exact: "halves" is the distance between the means of one half and of the other, half of
which is about the error of the mean of all.

--faces: held-out faces with such means from landmark_store.py --held-out, seen at the sizes given by the network, from
points that are off as above and behind the detector, and by YuNet, once and again: "again" is the distance between two of
its looks at about one size, the second mirrored and at another place.
"""
import argparse
import os
import pickle
import zlib

import cv2
import numpy as np
import torch

from detector_evaluate import Material, detect, distance
from detector_onnx import load_detector
from detector_scene import move
from detector_store import Store
from landmark_crop import MARGIN, SIDE, aligned_matrix, box_matrix, invert, map_points, sample
from landmark_onnx import load_landmarker
from landmark_store import EDGE, Looker, cut_out
from landmark_view import MIRRORED
from yunet import overlap

RANGES = ((0, 10000), (0, 24), (24, 48), (48, 10000), (48, 80), (80, 10000))
SCALES = (0.4, 1.4)             # of the patches of a face in its looks
SECOND_LOOK = 0.09              # of the eye distance, as in the descriptor of the builtin model
LOOK_SCALES = 0.82, 0.9, 0.98, 1.06


@torch.no_grad()
def refine(network, canvas, matrices, mirror=False):
    """Crops by the matrices -> points [n, 5, 2] in pixels of the canvas, from their centres; with `mirror` averaged with
    those of the mirrored crops."""
    x = np.stack([sample(canvas, matrix) for matrix in matrices])
    x = torch.from_numpy(x).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
    points = network(x).reshape(-1, 5, 2).numpy()
    if mirror:
        other = network(x.flip(3)).reshape(-1, 5, 2).numpy()[:, MIRRORED]
        points = (points + other * (-1, 1) + (1, 0)) / 2
    points = points * SIDE - EDGE
    return np.stack([map_points(invert(m), p) for m, p in zip(matrices, points)])


def look_again(network, canvas, given, said):
    """What a second look makes of points `said`, which the network put in the place of `given`; pixel centres."""
    if not distance(given, said, given) > SECOND_LOOK:
        return said
    matrices = [aligned_matrix(said, margin=(1 + MARGIN) / scale - 1) for scale in LOOK_SCALES]
    return refine(network, canvas, matrices, True).mean(0)


def follow(network, canvas, matrices, given, rounds):
    """-> points [n, 5, 2] after each round, then mirrored ones and those of a second look, all counted from pixel edges as
    YuNet's are."""
    out, mirror = [], refine(network, canvas, matrices, True) + EDGE
    second = np.array([look_again(network, canvas, g - EDGE, m - EDGE) + EDGE for g, m in zip(given, mirror)])
    for _ in range(rounds):
        points = refine(network, canvas, matrices)
        out.append(points + EDGE)
        matrices = [aligned_matrix(p) for p in points]
    return [*out, mirror, second]


class Inputs:
    """Where a face is said to be: matrices of the first crops, and the points they came from (nan for boxes)."""

    def __init__(self, detector, seed=5):
        self.rng, self.detector = np.random.default_rng(seed), detector

    def box(self, canvas, faces):
        matrices = []
        for x, y, w, h in faces[:, :4]:
            scale = np.exp(self.rng.normal(0, 0.08))
            dx, dy = self.rng.normal(0, 0.06, 2) * max(w, h)
            x, y = x + dx - (scale - 1) * w / 2 - EDGE, y + dy - (scale - 1) * h / 2 - EDGE
            matrices.append(box_matrix((x, y, w * scale, h * scale)))
        return matrices, np.full((len(faces), 5, 2), np.nan)

    def points(self, canvas, faces):
        points = faces[:, 4:14].reshape(-1, 5, 2)
        eyes = np.linalg.norm(points[:, 0] - points[:, 1], axis=1)[:, None, None]
        points = points + self.rng.normal(0, 0.07, points.shape) * eyes
        return [aligned_matrix(p - EDGE) for p in points], points

    def detected(self, canvas, faces):
        """None for faces that the detector does not find."""
        ours = detect(self.detector, canvas, 0.6)
        match = overlap(faces, ours)
        points = [ours[row.argmax(), 4:14].reshape(5, 2) if row.max(initial=0) > 0.4 else None for row in match]
        return ([None if p is None else aligned_matrix(p - EDGE) for p in points],
                np.array([np.full((5, 2), np.nan) if p is None else p for p in points]))


def rows_of(network, items, give, rounds):
    """Per face its size and the distance of its halves, then distances to YuNet, to steady and to the mean of looks:
    YuNet's own, the input's, those of each round, of the mirrored mean and of the second look."""
    rows = []
    for canvas, faces, steady, halves in items:
        good = np.isfinite(steady).all((1, 2)) & np.isfinite(halves).all((1, 2, 3)) if len(faces) else np.zeros(0, bool)
        if not good.any():
            continue
        faces, steady, halves = faces[good], steady[good], halves[good]
        matrices, given = give(canvas, faces)
        found = [i for i, m in enumerate(matrices) if m is not None]
        if not found:
            continue
        results = follow(network, canvas, [matrices[i] for i in found], [given[i] for i in found], rounds)
        for k, i in enumerate(found):
            points = faces[i, 4:14].reshape(5, 2)
            mean = halves[i].mean(0)
            row = [faces[i, 2:4].max(), distance(*halves[i], mean)]
            for said in (points, given[i], *(result[k] for result in results)):
                row += [distance(target, said, target) for target in (points, steady[i], mean)]
            rows.append(row)
    return np.array(rows)


def report(name, rows, rounds):
    print(f'  {name}: {len(rows)} faces, distance in % of the eyes, to YuNet / to its mean over shifts / over looks')
    if not len(rows):
        return
    for low, high in RANGES:
        part = rows[(rows[:, 0] >= low) & (rows[:, 0] < high)]
        if not len(part):
            continue
        mean = 100 * part[:, 1:].mean(0)
        text = '%3d to %5d px %4d faces, halves %.2f' % (low, high, len(part), mean[0])
        for k, what in enumerate(['yunet', 'input', *(f'round {r + 1}' for r in range(rounds)), 'mirror', 'second']):
            if np.isfinite(mean[3 * k + 1]):
                text += '  %s %.2f / %.2f / %.2f' % (what, *mean[3 * k + 1:3 * k + 4])
        print('    ' + text, flush=True)


def yunet_errors(folder, pictures, faces, size):
    """Distances of one look of YuNet's at about that size, and of that look to another one; faces that it does not find are
    left out."""
    scale = size / np.mean([f[2:4].max() for f in faces])
    found = Looker(folder, (0.97 * scale, 1.03 * scale))(pictures, faces, 2)
    looks = [(f[4:14].reshape(5, 2), look[:, 4:14].reshape(-1, 5, 2)) for f, look in zip(faces, found) if len(look)]
    return ([distance(points, look[0], points) for points, look in looks],
            [distance(look[1], look[0], points) for points, look in looks if len(look) == 2])


def reduced(picture, face, size):
    """The picture with its face as large as that; coordinates count from the centres of pixels."""
    scale = size / face[2:4].max()
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    scale = len(small) / len(picture)
    face = face * scale
    face[[0, 1, *range(4, 14)]] += (scale - 1) / 2
    return small, face


def detected_points(detector, picture, face, rng):
    """The detector's landmarks of a face somewhere on a black canvas, or None."""
    side = len(picture)
    room = (side + 63) // 32 * 32
    x, y = rng.integers(0, room - side + 1, 2)
    canvas = np.zeros((room, room, 3), np.uint8)
    canvas[y:y + side, x:x + side] = picture
    ours = detect(detector, canvas, 0.6)
    ours[:, [0, 1, *range(4, 14)]] -= np.tile((x + EDGE, y + EDGE), 6).astype(np.float32)
    match = overlap(face[None], ours)[0]
    return ours[match.argmax(), 4:14].reshape(5, 2) if match.max(initial=0) > 0.4 else None


def against_consensus(network, store, folder, detector=None, sizes=(16, 24, 32, 48, 72, 112)):
    """Distance to many looks' mean by size of the face, and that of the points given and of YuNet's single look."""
    rows, rng = np.flatnonzero(store.held_out), np.random.default_rng(8)
    pictures, faces = [store[row][0] for row in rows], [store[row][1][0] for row in rows]
    for size in sizes:
        errors, behind, places = [], [], np.random.default_rng(size)
        for picture, face in zip(pictures, faces):
            small, face = reduced(picture, face, size)
            points = face[4:14].reshape(5, 2)
            start = points + rng.normal(0, 0.07, (5, 2)) * np.linalg.norm(points[0] - points[1])
            found = detected_points(detector, small, face, places) if detector else None
            for given, out in ((start, errors), (found, behind)):
                if given is not None:
                    refined = [refine(network, small, [aligned_matrix(given)], mirror)[0] for mirror in (False, True)]
                    refined.append(look_again(network, small, given, refined[-1]))
                    out.append([distance(points, said, points) for said in (given, *refined)])
        yunet, again = yunet_errors(folder, pictures, faces, size)
        text = '%4d px  %4d faces  input %5.2f  network %5.2f, mirror %5.2f, second %5.2f' % (
            size, len(errors), *100 * np.mean(errors, 0))
        if behind:
            text += '  detector %5.2f  network %5.2f, mirror %5.2f, second %5.2f (median %5.2f) of %d faces' % (
                *100 * np.mean(behind, 0), 100 * np.median(behind, 0)[3], len(behind))
        print('    %s  yunet %5.2f of %d faces, again %5.2f of %d' % (
            text, 100 * np.mean(yunet or [0]), len(yunet), 100 * np.mean(again or [0]), len(again)), flush=True)


def look_often(looker, canvases, faces, looks):
    """For the faces [n, 15] of each canvas: the means [n, 2, 5, 2] of two halves of YuNet's looks; nan where it did not
    find them often enough."""
    cuts = [cut_out(canvas, face) for canvas, some in zip(canvases, faces) for face in some]
    patches, rough, matrices = zip(*cuts)
    means = np.full((len(cuts), 2, 5, 2), np.nan)
    for i, (found, matrix) in enumerate(zip(looker(patches, np.array(rough), looks), matrices)):
        if len(found) >= looks - looks // 3:
            points = looker.rng.permutation(found[:, 4:14].reshape(-1, 5, 2))[:len(found) // 2 * 2]
            halves = np.stack([half.mean(0) for half in np.split(points, 2)])
            means[i] = map_points(invert(matrix), halves.reshape(10, 2)).reshape(2, 5, 2) + EDGE
    return np.split(means, np.cumsum([len(some) for some in faces])[:-1])


def load_material(args):
    """Photos and mosaics as (canvas, certain faces, their steady landmarks, the means of both halves of their looks)."""
    args.empty, args.shifts = 0, args.mosaics
    material = Material(args)
    groups = {'photos': [(canvas, certain, steady) for _, canvas, _, certain, steady in material.photos],
              'mosaics': [(canvas, certain, steady) for canvas, _, certain, steady, _ in material.mosaics]}
    for name, items in groups.items():
        canvases, faces, _ = zip(*items)
        key = name, zlib.crc32(b''.join(canvas.tobytes() for canvas in canvases)), args.looks
        if key not in material.known:
            material.known[key] = look_often(Looker(args.yunet, SCALES, 31), canvases, faces, args.looks)
            if args.cache:
                with open(args.cache, 'wb') as file:
                    pickle.dump(material.known, file)
        groups[name] = [(*item, halves) for item, halves in zip(items, material.known[key])]
    return groups


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('networks', nargs='+')
    parser.add_argument('--yunet', required=True)
    parser.add_argument('--crops', required=True)
    parser.add_argument('--pictures', required=True)
    parser.add_argument('--photos', required=True)
    parser.add_argument('--detector')
    parser.add_argument('--faces', help='store of held-out faces')
    parser.add_argument('--mosaics', type=int, default=100)
    parser.add_argument('--rounds', type=int, default=2)
    parser.add_argument('--looks', type=int, default=24, help="of YuNet's at each face of the photos and mosaics")
    parser.add_argument('--cache', help="file of YuNet's answers, made when missing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    material = load_material(args)
    detector = load_detector(args.detector)[0] if args.detector else None
    for path in args.networks:
        network, seen = load_landmarker(path)
        print(f'{os.path.basename(path)}: seen {seen}')
        if args.faces:
            print('  held-out faces, points, distance to the mean of many looks')
            against_consensus(network, Store(args.faces), args.yunet, detector)
        for place, items in material.items():
            inputs = Inputs(detector)
            for name, give in (('box', inputs.box), ('points', inputs.points), ('detector', inputs.detected)):
                if name != 'detector' or args.detector:
                    report(f'{place}, {name}', rows_of(network, items, give, args.rounds), args.rounds)


if __name__ == '__main__':
    main()
