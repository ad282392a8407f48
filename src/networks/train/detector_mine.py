"""Places in the training pictures without faces that a detector takes for faces, for the trainer to show more often.

  python3 detector_mine.py RUN/state.pt --pictures STORE --out hard.npz [--threshold 0.3]

Every picture is seen at three scales. A place counts from a score of --threshold on, as often as its score deserves: every
further 0.1 once more. Held-out pictures are left alone, and places that YuNet takes for faces once they are enlarged
(--yunet). Look at what comes out (--sheet): a real face among the places teaches to miss faces; --skip ROW ... leaves
pictures out.
"""
import argparse

import cv2
import numpy as np
import torch

from detector_net import heads
from detector_onnx import load_detector
from detector_scene import sampling, without_faces
from detector_store import Store
from yunet import YuNet, decode, suppress

SCALES = (1.0, 0.7, 0.5)
FACELIKE = 0.3                 # score from which on YuNet looks at a place, too
ENLARGED, LOOKALIKE = 110, 0.5 # size at which it does, and its score from which on the place is left alone


@torch.no_grad()
def places_of(detector, picture, threshold):
    """-> rows x, y (in the picture), scale, score, size on the canvas."""
    rows = []
    for scale in SCALES:
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = (-(-n // 32) * 32 for n in small.shape[:2])
        canvas = np.zeros((height, width, 3), np.uint8)
        canvas[:small.shape[0], :small.shape[1]] = small
        x = torch.from_numpy(canvas).permute(2, 0, 1)[None].float().contiguous(memory_format=torch.channels_last)
        for face in suppress(decode(heads(detector(x)), height, width, threshold)):
            rows.append((*((face[:2] + face[2:4] / 2) / scale), scale, face[14], np.sqrt(face[2] * face[3])))
    return rows


def is_face(yunet, picture, place):
    """Does YuNet see a face at a place, enlarged to ENLARGED pixels?"""
    x, y, scale, _, size = place
    zoom, side = ENLARGED * scale / size, 320
    matrix = np.array([[zoom, 0, side / 2 - zoom * x], [0, zoom, side / 2 - zoom * y]])
    faces = yunet(cv2.warpAffine(picture, sampling(matrix), (side, side)), side, LOOKALIKE)
    return (np.abs(faces[:, :2] + faces[:, 2:4] / 2 - side / 2) < 0.4 * ENLARGED).all(1).any()


def draw(pictures, rows, path, cell=96, columns=16):
    sheet = np.zeros((-(-len(rows) // columns) * cell, columns * cell, 3), np.uint8)
    for k, (row, x, y, scale, score, size) in enumerate(rows):
        zoom = 0.5 * cell / (size / scale)
        matrix = np.array([[zoom, 0, cell / 2 - zoom * x], [0, zoom, cell / 2 - zoom * y]])
        part = cv2.warpAffine(pictures[int(row)][0], matrix, (cell, cell))
        cv2.putText(part, '%d' % row, (2, 10), 0, 0.35, (0, 0, 255), 1)
        sheet[k // columns * cell:, k % columns * cell:][:cell, :cell] = part
    cv2.imwrite(path, sheet)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('detector')
    parser.add_argument('--pictures', required=True)
    parser.add_argument('--out', required=True)
    parser.add_argument('--yunet', required=True, help='folder of its files')
    parser.add_argument('--threshold', type=float, default=0.3)
    parser.add_argument('--skip', type=int, nargs='*', default=[], metavar='ROW')
    parser.add_argument('--sheet', help='picture of the places, best score first')
    args = parser.parse_args()
    torch.set_num_threads(1)
    detector, seen = load_detector(args.detector)
    pictures, places, yunet = Store(args.pictures), [], YuNet(args.yunet)
    for row in np.flatnonzero(~pictures.held_out & without_faces(pictures)):
        if row not in args.skip:
            places += [(row, *place) for place in places_of(detector, pictures[row][0], args.threshold)
                       if place[3] < FACELIKE or not is_face(yunet, pictures[row][0], place)]
    places = np.array(sorted(places, key=lambda p: -p[4])).reshape(-1, 6)
    repeated = np.repeat(places, 1 + (10 * (places[:, 4] - args.threshold)).astype(int), axis=0)
    np.savez(args.out, places=repeated)
    print('at %d samples: %d places in %d pictures, %d of them at 0.6 or more' % (
        seen, len(places), len(np.unique(places[:, 0])), (places[:, 4] >= 0.6).sum()))
    if args.sheet:
        draw(pictures, places[:320], args.sheet)


if __name__ == '__main__':
    main()
