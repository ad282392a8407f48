"""Write a training state's averaged network as ONNX and check the file against torch.

  python3 export.py RUN/final.pt embedder.onnx [--bank BANK] [--note TEXT]

With --bank the norms' statistics are measured anew on faces of the bank, half of them damaged views: those that came
along with the moving average lag behind its weights (Izmailov et al., "Averaging Weights Leads to Wider Optima and Better
Generalization", UAI 2018, sec. 3.2); in the middle of a run this raises the cosine to the target by 0.01; after a
cool-down it makes no difference (0.7886 with, 0.7892 without).

Fails when an embedding of the file (run by onnx_graph.py, independent of student.py) has a cosine below 0.9999 to
torch's, or when reading the file back for training gives other embeddings.
"""
import argparse
import json
import os

import numpy as np
import torch
import torch.nn.functional as F

from augment import MARGIN, ViewMaker
from onnx_graph import OnnxGraph
from producer import column_path
from student_onnx import load_student, write_student
from teachers import student_input

NOTE = ('Face embedding, 128 numbers, compare by cosine. Input RGB, (v - 127.5) / 128, face aligned to the 112x112 '
        'template. Distilled on unlabelled crops of which 86 % come from CelebA and UTKFace (non-commercial research only).')


@torch.no_grad()
def measure_norms(student, bank, count=2048, batch=128):
    """Replace the running means and variances by averages over `count` faces of worker 0's bank."""
    faces, view, rng = np.load(column_path(bank, 0, 'picture'), mmap_mode='r'), ViewMaker(3), np.random.default_rng(4)
    with open(os.path.join(bank, 'rows0.json')) as file:
        made = min(json.load(file)['total'], len(faces))
    for _, _, norm in student.pairs():
        norm.reset_running_stats()
        norm.momentum = None                           # a plain average over the batches
    student.train()
    for _ in range(0, count, batch):
        rows = [np.asarray(faces[i]) for i in rng.integers(0, made, batch)]
        inner = slice(MARGIN, MARGIN + 112)
        student(student_input(np.stack([view(f)[0] if i % 2 else f[inner, inner] for i, f in enumerate(rows)])))
    student.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('state')
    parser.add_argument('onnx')
    parser.add_argument('--bank')
    parser.add_argument('--note', default=NOTE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    student, seen = load_student(args.state)
    if args.bank:
        measure_norms(student, args.bank)
    written = args.onnx + '.tmp.onnx'
    write_student(written, student, seen, args.note)
    torch.manual_seed(1)
    x = F.interpolate(torch.randn(16, 3, 14, 14), size=(112, 112), mode='bilinear', align_corners=False)
    with torch.no_grad():
        expected, read_back = student(x), load_student(written)[0](x)
    got = OnnxGraph(written)(x)
    cosine = [F.cosine_similarity(expected, y).min().item() for y in (got, read_back)]
    print('%d samples seen, %d bytes, smallest cosine to torch: graph %.6f, read back %.6f' % (
        seen, os.path.getsize(written), *cosine))
    if min(cosine) < 0.9999:
        raise SystemExit('the file does not agree with torch')
    os.replace(written, args.onnx)


if __name__ == '__main__':
    main()
