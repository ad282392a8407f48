"""Aligned face crops in tars, and files that are never seen half written.

A pack is a folder with crops-00.tar, crops-01.tar, ...: JPEGs of 160x160, five landmarks moved to the 112 template and
the template placed in the middle (offset 24). The JPEGs stay compressed in memory and are decoded when asked for. The
last HELD_OUT crops of the pack are for measuring only: `CropPack(folder)` leaves them out, `held_out(folder)` gives
nothing else. The order inside a pack is shuffled, so its tail is a fair sample of it.
"""
import glob
import json
import os
import tarfile

import cv2
import numpy as np

cv2.setNumThreads(1)

HELD_OUT = 1000


def read_crops(folder):
    """All (name, JPEG bytes) of a pack in the order of the tars."""
    tars = sorted(glob.glob(os.path.join(folder, 'crops-*.tar')))
    if not tars:
        raise SystemExit(f'no crops-NN.tar in {folder}')
    rows = []
    for path in tars:
        with tarfile.open(path) as tar:
            rows += [(m.name, np.frombuffer(tar.extractfile(m).read(), np.uint8)) for m in tar if m.isfile()]
    return rows


class CropPack:
    """The training part of a pack; `pack[i]` is a BGR picture uint8 [160, 160, 3]."""

    def __init__(self, folder):
        rows = read_crops(folder)[:-HELD_OUT]
        self.source = [name.split('/')[0] for name, _ in rows]
        self._jpeg = [jpeg for _, jpeg in rows]

    def __len__(self):
        return len(self._jpeg)

    def __getitem__(self, index):
        return cv2.imdecode(self._jpeg[int(index)], cv2.IMREAD_COLOR)


def held_out(folder):
    """The crops no training step sees: BGR uint8 [1000, 112, 112, 3]."""
    return np.stack([cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[24:136, 24:136] for _, jpeg in read_crops(folder)[-HELD_OUT:]])


def write_json(path, value):
    with open(path + '.tmp', 'w') as file:
        json.dump(value, file)
    os.replace(path + '.tmp', path)


def write_torch(path, value):
    import torch
    with open(path + '.tmp', 'wb') as file:
        torch.save(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + '.tmp', path)
