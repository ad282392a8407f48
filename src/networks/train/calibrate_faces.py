"""Embeddings of aligned faces as the extension computes them, for calibrate.py.

Every picture goes through face_embed_aligned() of a running server, so that a calibration rests on the very numbers that
the extension compares: its own normalisation, network, rounding to halves. The crops of the pack stand for what
alignment cuts out of a photo: the inner 112x112 pixels are the template of 112, and the template of 128 is cut out of the
160x160 picture by the similarity between the two templates.

They are kept in a folder, one file per network (by the SHA-256 of its ONNX file) with or without flip averaging.
"""
import hashlib
import os
import subprocess

import cv2
import numpy as np

from crop_pack import HELD_OUT, read_crops
from teachers import TO_TEMPLATE_128

INSET = 24        # of the 112 template in a crop of the pack
BATCH = 500


class Faces:
    """Crops of the pack, then the pictures of the benchmark: names and encoded bytes."""

    def __init__(self, folder):
        crops = read_crops(folder)
        benchmark = os.path.join(folder, 'benchmark')
        with open(os.path.join(benchmark, 'faces.tsv')) as file:
            rows = [line.rstrip('\n').split('\t') for line in file][1:]
        self.names = [name for name, _ in crops] + [row[0] for row in rows]
        self.crop_count = len(crops)
        self._bytes = [data for _, data in crops] + [np.fromfile(os.path.join(benchmark, row[0]), np.uint8) for row in rows]
        self.yaw = {row[0]: float(row[3]) for row in rows}
        self.eye_px = {row[0]: float(row[1]) for row in rows}
        self.source = np.array([name.split('/')[0] for name in self.names])
        index = np.arange(len(self.names))
        self.is_held_out = (index >= self.crop_count - HELD_OUT) & (index < self.crop_count)
        with open(os.path.join(benchmark, 'pairs.tsv')) as file:
            self.pairs = [line.rstrip('\n').split('\t') for line in file][1:]

    def picture(self, i, side):
        """BGR [side, side, 3], aligned to the template of 112 or of 128."""
        picture = cv2.imdecode(self._bytes[i], cv2.IMREAD_COLOR)
        inset = INSET if i < self.crop_count else 0
        if side == 112:
            return picture[inset:inset + 112, inset:inset + 112]
        warp = TO_TEMPLATE_128.copy()
        warp[:, 2] -= warp[:, :2] @ [inset, inset]
        return cv2.warpAffine(picture, warp, (128, 128))


class Server:
    """A scratch database with the extension, by way of psql."""

    def __init__(self, command):
        self.command = command.split() + ['-qXAt', '-v', 'ON_ERROR_STOP=1']

    def run(self, script):
        """`script` is bytes or text; -> what psql prints."""
        script = script if isinstance(script, bytes) else script.encode()
        return subprocess.run(self.command, input=script, stdout=subprocess.PIPE, check=True).stdout.decode()

    def load(self, path, preset, descriptor, flip=None):
        """Load a model, unless an earlier run has done so; -> its name. Models of other names, the builtin ones among them,
        may have the same weights and another alignment or detector: they are not taken."""
        sha256 = sha256_of(path)
        name = os.path.basename(path).split('.')[0] + f'-{sha256[:8]}-{preset}' + ('-flip' if flip else '')
        same = f"name = '{name}' AND sha256 = '\\x{sha256}' AND preset = '{preset}'"
        if not self.run(f'SELECT name FROM facerec_models WHERE {same};'):
            with open(path, 'rb') as file:
                weights = file.read().hex()
            self.run(f"SELECT face_model_load('{name}', '\\x{weights}'::bytea, '{preset}', '{descriptor}');")
        return name

    def embed(self, pictures, model):
        """Aligned BGR pictures -> unit vectors float32 [n, dims]."""
        script = [b'CREATE TEMP TABLE crop (i int, picture bytea);\nCOPY crop FROM STDIN;\n']
        for i, picture in enumerate(pictures):
            png = cv2.imencode('.png', picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
            script.append(b'%d\t\\\\x%s\n' % (i, png.hex().encode()))
        script.append(b'\\.\n')
        script.append(b"COPY (SELECT face_embed_aligned(picture, '%s')::real[] FROM crop ORDER BY i) TO STDOUT;\n"
                      % model.encode())
        lines = self.run(b''.join(script)).splitlines()
        return np.stack([np.array(line[1:-1].split(','), np.float32) for line in lines])


def sha256_of(path):
    with open(path, 'rb') as file:
        return hashlib.sha256(file.read()).hexdigest()


def embed_all(server, faces, model, side, path):
    """Embeddings of all faces, float32 [n, dims], kept in the file `path`."""
    if os.path.exists(path):
        return np.load(path)
    parts = []
    for start in range(0, len(faces.names), BATCH):
        stop = min(start + BATCH, len(faces.names))
        parts.append(server.embed([faces.picture(i, side) for i in range(start, stop)], model))
        print(f'{model}: {stop} of {len(faces.names)} faces', flush=True)
    np.save(path + '.tmp.npy', np.concatenate(parts))
    os.replace(path + '.tmp.npy', path)
    return np.load(path)
