"""Where a detector sees the landmarks of a store's faces: what the landmark network starts from.

  python3 landmark_detected.py --faces STORE --detector detector.onnx [--looks 2]

Writes STORE.detected.npz, which the trainer uses when it is there: points [faces, looks, 5, 2] in pixels of the stored
pictures, from their centres (nan where the detector does not find the face), and size [faces, looks], the longer side of
the face's box when the detector saw it. A detector's errors come with certain faces and go in certain directions; random
ones teach the network to trust its crop too much or too little.
"""
import argparse
import os

import numpy as np
import torch

from detector_evaluate import detect
from detector_onnx import load_detector
from detector_store import Store
from landmark_store import EDGE, Looker

SCALES = (0.13, 1.2)           # of the pictures of 160 pixels, faces of 15 to 135
GROUP = 1500


class DetectorLooker(Looker):
    """Another network in YuNet's place."""

    def __init__(self, detector, seed=4):
        self.yunet, self.scales = lambda canvas, _, threshold: detect(detector, canvas, threshold), np.log(SCALES)
        self.rng = np.random.default_rng(seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--faces', required=True)
    parser.add_argument('--detector', required=True)
    parser.add_argument('--looks', type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    store, looker = Store(args.faces), DetectorLooker(load_detector(args.detector)[0])
    points = np.full((len(store), args.looks, 5, 2), np.nan, np.float32)
    size = np.zeros((len(store), args.looks), np.float32)
    for start in range(0, len(store), GROUP):
        rows = range(start, min(start + GROUP, len(store)))
        patches, faces = [store[i][0] for i in rows], np.array([store.faces_of(i)[0] for i in rows])
        for i, looks in zip(rows, looker.with_scales(patches, faces, args.looks)):
            for k, (scale, face) in enumerate(looks):
                points[i, k], size[i, k] = face[4:14].reshape(5, 2), scale * face[2:4].max()
        print('%d faces, found %.3f' % (rows[-1] + 1, np.isfinite(points[:rows[-1] + 1, :, 0, 0]).mean()), flush=True)
    np.savez(args.faces + '.tmp.npz', points=points, size=size)
    os.replace(args.faces + '.tmp.npz', args.faces + '.detected.npz')


if __name__ == '__main__':
    main()
