"""Measure students on the development benchmark and on the held-out crops.

  python3 evaluate.py RUN/state.pt embedder.onnx --data DATA --mobilefacenet A.onnx --retail B.onnx --basis target_basis.npz
                      [--cache held_out.npz] [--table table.tsv] [--flip]

DATA holds the crops' tars and benchmark/ (pairs.tsv, faces.tsv, pictures 112x112). Printed, and appended to --table:
  imfdb8, good, orl40   ten-fold verification accuracy, %; the threshold of a fold is the best one on the other nine.
                        good: the imfdb8 pairs of two near-frontal faces (|yaw| < 0.25) with eyes 16 px or more apart
  cosine                mean cosine to the 128-d target on 1,000 crops no training step sees
  full                  the same to the whole 384-d ensemble (at most 0.932 there: the target keeps 88 % of its energy)
Students are measured in float32, one crop without its mirror image unless --flip.
"""
import argparse
import os
import time

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from crop_pack import held_out
from student_onnx import load_student
from teachers import TargetBasis, Teachers, student_input


@torch.no_grad()
def embed(student, pictures, flip=False):
    """BGR uint8 [n, 112, 112, 3] -> unit vectors [n, 128]."""
    out = []
    for i in range(0, len(pictures), 32):
        batch = pictures[i:i + 32]
        y = F.normalize(student(student_input(batch)))
        if flip:
            y = F.normalize(y + F.normalize(student(student_input(batch[:, :, ::-1]))))
        out.append(y)
    return torch.cat(out)


class Benchmark:
    def __init__(self, folder):
        def table(name):
            with open(os.path.join(folder, name)) as file:
                return [line.rstrip('\n').split('\t') for line in file][1:]
        self.pairs = table('pairs.tsv')
        self.good = {f[0] for f in table('faces.tsv') if float(f[1]) >= 16 and abs(float(f[3])) < 0.25}
        self.files = sorted({name for pair in self.pairs for name in pair[:2]})
        self.index = {name: i for i, name in enumerate(self.files)}
        self.pictures = np.stack([cv2.imread(os.path.join(folder, name)) for name in self.files])

    def accuracies(self, embeddings):
        """-> accuracy in percent on imfdb8, its good pairs, orl40."""
        out = []
        for name, only_good in (('imfdb8', False), ('imfdb8', True), ('orl40', False)):
            rows = [(self.index[a], self.index[b], same == '1') for a, b, same in self.pairs
                    if a.startswith(name + '/') and (not only_good or (a in self.good and b in self.good))]
            a, b, same = (np.array(column) for column in zip(*rows))
            out.append(ten_fold((embeddings[a] * embeddings[b]).sum(1).numpy(), same))
        return out


def ten_fold(similarity, same):
    """Ten folds in file order, each with the same share of genuine pairs."""
    fold = np.empty(len(same), int)
    for value in (True, False):
        where = np.flatnonzero(same == value)
        fold[where] = np.arange(len(where)) * 10 // len(where)
    thresholds, correct = np.linspace(-0.3, 1, 651), []
    right = (similarity[None] > thresholds[:, None]) == same[None]
    for k in range(10):
        train = right[:, fold != k].mean(1)
        threshold = thresholds[train == train.max()].mean()
        correct.append(((similarity > threshold) == same)[fold == k].mean())
    return 100 * float(np.mean(correct))


def held_out_pairs(args):
    """The teachers' outputs on the held-out crops, remembered in --cache."""
    pictures = held_out(args.data)
    if args.cache and os.path.exists(args.cache):
        return pictures, torch.from_numpy(np.load(args.cache)['pair'])
    teachers = Teachers(args.mobilefacenet, args.retail)
    pair = torch.cat([teachers(pictures[i:i + 32])[0] for i in range(0, len(pictures), 32)])
    if args.cache:
        np.savez(args.cache, pair=pair.numpy())
    return pictures, pair


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('students', nargs='+')
    parser.add_argument('--data', required=True)
    parser.add_argument('--mobilefacenet', required=True)
    parser.add_argument('--retail', required=True)
    parser.add_argument('--basis', required=True)
    parser.add_argument('--cache')
    parser.add_argument('--table')
    parser.add_argument('--flip', action='store_true')
    args = parser.parse_args()
    torch.set_num_threads(1)
    basis, benchmark = TargetBasis(args.basis), Benchmark(os.path.join(args.data, 'benchmark'))
    pictures, pair = held_out_pairs(args)
    target = basis.target(pair)
    for path in args.students:
        student, seen = load_student(path)
        accuracy = benchmark.accuracies(embed(student, benchmark.pictures, args.flip))
        y = embed(student, pictures, args.flip)
        cosine, full = (y * target).sum(1).mean().item(), (y @ basis.embedding.t() * pair).sum(1).mean().item()
        line = '%d\t%.2f\t%.2f\t%.2f\t%.4f\t%.4f' % (seen, *accuracy, cosine, full)
        print('%s%s: seen %s' % (os.path.basename(path), ' flip' if args.flip else '', line.replace('\t', '  ')), flush=True)
        if args.table:
            with open(args.table, 'a') as file:
                file.write('%s\t%s\n' % (time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()), line))


if __name__ == '__main__':
    main()
