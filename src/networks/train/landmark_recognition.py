"""What landmarks do to recognition: accuracy on the benchmark with crops that are aligned anew.

  python3 landmark_recognition.py landmarks.onnx --embedder embedder.onnx --data DATA [--noise 0.07]

The benchmark's crops are aligned by YuNet's landmarks. They are aligned again: by the template's points with each
coordinate off by --noise of the eye distance ("off"), by what the network makes of those ("refined"), and of their mirror
images, too ("mirror"). Printed are ten-fold accuracies (imfdb8, its good pairs, orl40; one crop) and the mean cosine to the
embedding of the crop as it was.
"""
import argparse
import os

import numpy as np
import torch

from evaluate import Benchmark, embed
from landmark_crop import TEMPLATE, aligned_matrix, sample
from landmark_evaluate import refine
from landmark_onnx import load_landmarker
from student_onnx import load_student


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('network')
    parser.add_argument('--embedder', required=True)
    parser.add_argument('--data', required=True)
    parser.add_argument('--noise', type=float, default=0.07)
    args = parser.parse_args()
    torch.set_num_threads(1)
    benchmark, rng = Benchmark(os.path.join(args.data, 'benchmark')), np.random.default_rng(4)
    network, student = load_landmarker(args.network)[0], load_student(args.embedder)[0]
    eyes = np.linalg.norm(TEMPLATE[0] - TEMPLATE[1])
    views = dict(given=benchmark.pictures, off=[], refined=[], mirror=[])
    for picture in benchmark.pictures:
        points = TEMPLATE + rng.normal(0, args.noise, (5, 2)) * eyes
        better = [refine(network, picture, [aligned_matrix(points)], mirror)[0] for mirror in (False, True)]
        for name, where in zip(('off', 'refined', 'mirror'), (points, *better)):
            views[name].append(sample(picture, aligned_matrix(where, 112, 0), 112))
    embeddings = {name: embed(student, np.stack(pictures)) for name, pictures in views.items()}
    for name, values in embeddings.items():
        cosine = (values * embeddings['given']).sum(1).mean().item()
        print('%-8s imfdb8 %.2f  good %.2f  orl40 %.2f  cosine %.4f' % (
            name, *benchmark.accuracies(values), cosine), flush=True)


if __name__ == '__main__':
    main()
