"""Write a training state's averaged landmark network as ONNX and check the file against torch.

  python3 landmark_export.py RUN/final.pt landmarks.onnx [--faces STORE] [--note TEXT]

With the store the norms' statistics are measured anew on views, because those of the moving average lag behind its
weights (export.py). Fails when the file, run by OpenCV's dnn module, or after reading it back, is farther from torch than
half precision explains.
"""
import argparse
import os

import cv2
import numpy as np
import torch

from detector_export import fixed_size
from detector_store import Store
from landmark_crop import SIDE
from landmark_onnx import load_landmarker, write_landmarker
from landmark_view import FaceViews, read_detected

NOTE = ('Five landmarks of a face (preset landmarks-5): crop of 64x64, BGR 0..255, to points in 0..1 of it. '
        'Distilled on pictures and crops of which most are for non-commercial research only.')
TOLERANCE = 0.002


@torch.no_grad()
def measure_norms(network, faces, count=60):
    store = Store(faces)
    views, rows = FaceViews(store, 5, detected=read_detected(faces)), np.flatnonzero(~store.held_out)
    for _, _, norm in network.pairs():
        norm.reset_running_stats()
        norm.momentum = None                           # a plain average over the batches
    network.train()
    for _ in range(count):
        x = np.stack([view[0] for row in views.rng.choice(rows, 32) for view in views(row, 2)])
        network(torch.from_numpy(x).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last))
    network.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('state')
    parser.add_argument('onnx')
    parser.add_argument('--faces')
    parser.add_argument('--note', default=NOTE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    network, seen = load_landmarker(args.state)
    if args.faces:
        measure_norms(network, args.faces)
    written = args.onnx + '.tmp.onnx'
    write_landmarker(written, network, seen, args.note)
    picture = cv2.resize(np.random.default_rng(1).integers(0, 256, (8, 8, 3)).astype(np.uint8), (SIDE, SIDE),
                         interpolation=cv2.INTER_CUBIC)
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        expected, read_back = network(x), load_landmarker(written)[0](x)
    net = fixed_size(written, SIDE)
    net.setInput(x.numpy())
    differences = [float(np.abs(got - expected.numpy()).max()) for got in (net.forward(), read_back.numpy())]
    print('%d samples seen, %d bytes, largest difference to torch: graph %.5f, read back %.5f' % (
        seen, os.path.getsize(written), *differences))
    if max(differences) > TOLERANCE:
        raise SystemExit('the file does not agree with torch')
    os.replace(written, args.onnx)


if __name__ == '__main__':
    main()
