"""Pictures and crops with YuNet's faces, ready to be pasted: the detector's training material.

  python3 detector_store.py --yunet MODELS --out STORE --pack DATA
  python3 detector_store.py --yunet MODELS --out STORE --pictures NAME=FOLDER ... --animals NAME=FOLDER ...

Writes one store, STORE.bin (pixels) and STORE.npz (sizes and faces). --pictures reads all JPEG and PNG files of a folder;
each is reduced to at most 640 pixels (448 without faces) and labelled at two scales, so that very large faces are found
too. --animals does so with pictures of animals, and some people: what YuNet is certain of (score 0.7, some dogs, too) is
a face, the rest unsure. --things: of things, where what YuNet finds is mostly wrong and counts as unsure.
--pack reads the pack's crops, each enlarged before labelling: a face pasted at 12 pixels keeps landmarks that were
measured at 150. Faces with scores from 0.3 on are stored; below 0.6 they mean "neither face nor background".

Held out, for measuring only: the pack's last crops, and pictures whose name has a checksum divisible by 5.
"""
import argparse
import glob
import os
import zlib

import cv2
import numpy as np

from crop_pack import HELD_OUT, read_crops
from yunet import YuNet, suppress

SURE, UNSURE, CERTAIN = 0.6, 0.3, 0.7


class Store:
    """`store[i]` -> (BGR picture uint8 [h, w, 3], faces [n, 15]); arrays `source`, `name`, `held_out`, `best` (highest
    score in the picture)."""

    def __init__(self, path):
        with np.load(path + '.npz') as z:
            self.offset, self.size, self.source, self.name = z['offset'], z['size'], z['source'], z['name']
            self.held_out, self.first, self.faces = z['held_out'], z['first'], z['faces']
        self.pixels = np.memmap(path + '.bin', np.uint8, 'r')
        self.best = np.array([self.faces_of(i)[:, 14].max(initial=0) for i in range(len(self))])

    def __len__(self):
        return len(self.size)

    def faces_of(self, i):
        return self.faces[self.first[i]:self.first[i + 1]]

    def __getitem__(self, i):
        height, width = self.size[i]
        start = self.offset[i]
        return self.pixels[start:start + height * width * 3].reshape(height, width, 3), self.faces_of(i)


class StoreWriter:
    def __init__(self, path):
        self.path, self.rows, self.end = path, [], 0
        self.file = open(path + '.bin.tmp', 'wb')

    def add(self, source, name, held_out, picture, faces):
        self.file.write(np.ascontiguousarray(picture).tobytes())
        self.rows.append((self.end, picture.shape[:2], source, name, held_out, faces))
        self.end += picture.size

    def close(self):
        self.file.close()
        offset, size, source, name, held_out, faces = zip(*self.rows)
        first = np.cumsum([0] + [len(f) for f in faces])
        np.savez(self.path + '.tmp.npz', offset=offset, size=size, source=source, name=name, held_out=held_out,
                 first=first, faces=np.concatenate(faces).astype(np.float32))
        os.replace(self.path + '.bin.tmp', self.path + '.bin')
        os.replace(self.path + '.tmp.npz', self.path + '.npz')


def label_crop(yunet, crop):
    """Faces of a 160x160 crop, or None if the face in the middle is not found."""
    faces = yunet(cv2.copyMakeBorder(crop, 40, 40, 40, 40, cv2.BORDER_CONSTANT), 320, UNSURE)
    faces[:, [0, 1, *range(4, 14)]] -= 40
    centre = faces[:, :2] + faces[:, 2:4] / 2
    middle = (np.abs(centre - (80, 84)) < 24).all(1) & (faces[:, 3] > 60) & (faces[:, 14] >= SURE)
    return faces if middle.any() else None


def label_picture(yunet, picture):
    side = 320 if max(picture.shape[:2]) <= 200 else 640
    faces = yunet(picture, side, UNSURE)
    if side == 640:
        large = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        more = yunet(large, 320, UNSURE, 1.0)
        more[:, :14] *= 2
        faces = suppress(np.concatenate([faces, more[more[:, 3] > 100]]))
    return faces


def shrink(picture, faces, side):
    scale = side / max(picture.shape[:2])
    if scale >= 1:
        return picture, faces
    faces = faces.copy()
    faces[:, :14] *= scale
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), faces


def add_pack(writer, yunet, folder, limit):
    crops = read_crops(folder)
    for i in range(0, len(crops), max(1, len(crops) // (limit or len(crops)))):
        name, jpeg = crops[i]
        crop = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
        if (faces := label_crop(yunet, crop)) is not None:
            writer.add(name.split('/')[0], name, i >= len(crops) - HELD_OUT, crop, faces)
        if i % 1000 == 0:
            print('crop', i, 'kept', len(writer.rows), flush=True)


def add_pictures(writer, yunet, source, folder, trusted, limit):
    """`trusted`: the score from which on a face is one."""
    files = sorted(f for f in glob.glob(os.path.join(folder, '**'), recursive=True)
                   if f.lower().endswith(('.jpg', '.jpeg', '.png')))
    for i, path in enumerate(files[:limit]):
        picture = cv2.imread(path)
        if picture is None or min(picture.shape[:2]) < 32:
            continue
        picture = shrink(picture, np.empty((0, 15)), 1280)[0]
        faces = label_picture(yunet, picture)
        picture, faces = shrink(picture, faces, 640 if len(faces) else 448)
        faces[faces[:, 14] < trusted, 14] = UNSURE
        name = os.path.relpath(path, folder)
        writer.add(source, name, zlib.crc32(name.encode()) % 5 == 0, picture, faces)
        if i % 200 == 0:
            print(source, i, 'of', len(files), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--yunet', required=True, help='folder of yunet_n_320_320.onnx and yunet_n_640_640.onnx')
    parser.add_argument('--out', required=True)
    parser.add_argument('--pack', help='folder of the crops')
    parser.add_argument('--pictures', action='append', default=[], metavar='NAME=FOLDER')
    parser.add_argument('--animals', action='append', default=[], metavar='NAME=FOLDER')
    parser.add_argument('--things', action='append', default=[], metavar='NAME=FOLDER')
    parser.add_argument('--limit', type=int, help='take so many of each source only')
    args = parser.parse_args()
    yunet, writer = YuNet(args.yunet), StoreWriter(args.out)
    if args.pack:
        add_pack(writer, yunet, args.pack, args.limit)
    for trusted, folders in ((SURE, args.pictures), (CERTAIN, args.animals), (np.inf, args.things)):
        for source, folder in (text.split('=', 1) for text in folders):
            add_pictures(writer, yunet, source, folder, trusted, args.limit)
    writer.close()


if __name__ == '__main__':
    main()
