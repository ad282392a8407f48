"""Make target_basis.npz: principal components of the teachers' embeddings and of mobilefacenet's last map.

  python3 target_basis.py --pack PACK --mobilefacenet A.onnx --retail B.onnx --out target_basis.npz

The embedding part is uncentred (it keeps cosines as well as 128 dimensions can: 88 % of the energy on crops); the map
part keeps 64 of 512 channels. Making it anew rotates the space of the student: only for a student from scratch.
"""
import argparse

import numpy as np
import torch

from crop_pack import CropPack
from teachers import Teachers


def principal(matrix, count):
    """Largest eigenvalues and their vectors, largest first, with a sign that does not depend on the library."""
    values, vectors = np.linalg.eigh(matrix)
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    return values, vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(count)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pack', required=True)
    parser.add_argument('--mobilefacenet', required=True)
    parser.add_argument('--retail', required=True)
    parser.add_argument('--out', required=True)
    parser.add_argument('--count', type=int, default=3000, help='crops used')
    parser.add_argument('--dimensions', type=int, default=128)
    args = parser.parse_args()
    torch.set_num_threads(1)
    pack, teachers = CropPack(args.pack), Teachers(args.mobilefacenet, args.retail)
    pairs, mean, square, cells = [], 0, 0, 0
    for i in range(0, min(args.count, len(pack)), 32):
        crops = np.stack([pack[k][16:144, 16:144] for k in range(i, min(i + 32, args.count, len(pack)))])
        pair, hint = teachers(crops, 8)
        pairs.append(pair.double().numpy())
        flat = hint.double().permute(0, 2, 3, 1).reshape(-1, hint.shape[1]).numpy()
        mean, square, cells = mean + flat.sum(0), square + flat.T @ flat, cells + len(flat)
    pairs = np.concatenate(pairs)
    second_moment = pairs.T @ pairs / len(pairs)
    values, basis = principal(second_moment, args.dimensions)
    print('embedding energy kept %.3f' % (values.sum() / np.trace(second_moment)))
    mean = mean / cells
    covariance = square / cells - np.outer(mean, mean)
    map_values, map_basis = principal(covariance, 64)
    print('map variance kept %.3f' % (map_values.sum() / np.trace(covariance)))
    np.savez(args.out, embedding=basis.astype(np.float16), map_mean=mean.astype(np.float32),
             map=(map_basis / np.sqrt(map_values.mean())).astype(np.float16))


if __name__ == '__main__':
    main()
