"""Fill a bank with labelled faces: picture, the teachers' embeddings, reduced 7x7 map.

  python3 producer.py --pack PACK --mobilefacenet A.onnx --retail B.onnx --basis target_basis.npz --bank BANK

The bank is a ring on disk: when it is full the oldest rows are replaced, for as long as this runs. It may be killed at
any moment; the counter is replaced atomically after the rows have been written, together with the state of the random
generator, and the same command goes on from there. Several may run with different --worker numbers. A row takes 57 kB
(picture 49.2, map 6.3, embeddings 0.8). The bank holds the crops' pixels: publish it as little as the crops.
"""
import argparse
import json
import os
import time

import numpy as np
import torch

from augment import MARGIN, SIDE, compose
from crop_pack import CropPack, write_json
from teachers import TargetBasis, Teachers

COLUMNS = dict(picture=(np.uint8, (SIDE, SIDE, 3)), pair=(np.float16, (384,)), map=(np.float16, (64, 7, 7)))
BATCH = 32


def column_path(bank, worker, column):
    return os.path.join(bank, f'{column}{worker}.npy')


def open_columns(bank, worker, capacity, fresh):
    return {name: np.lib.format.open_memmap(column_path(bank, worker, name), 'w+' if fresh else 'r+',
                                            **(dict(dtype=kind, shape=(capacity,) + shape) if fresh else {}))
            for name, (kind, shape) in COLUMNS.items()}


def samples_seen(bank):
    """What the trainer last wrote into the bank's folder."""
    try:
        with open(os.path.join(bank, 'seen.json')) as file:
            return json.load(file)
    except FileNotFoundError:
        return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pack', required=True, help='folder with crops-NN.tar')
    parser.add_argument('--mobilefacenet', required=True)
    parser.add_argument('--retail', required=True)
    parser.add_argument('--basis', required=True)
    parser.add_argument('--bank', required=True)
    parser.add_argument('--worker', type=int, default=0)
    parser.add_argument('--capacity', type=int, default=100000, help='rows of the ring, a multiple of 32')
    parser.add_argument('--rows', type=int, default=0, help='stop after so many rows in all (0: never)')
    parser.add_argument('--reuse', type=float, default=0, help='wait for the trainer: one row per so many samples it has '
                        'seen, beyond the first --ahead (0: do not wait)')
    parser.add_argument('--ahead', type=int, default=20000)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args()
    torch.set_num_threads(1)
    os.makedirs(args.bank, exist_ok=True)
    pack = CropPack(args.pack)
    teachers, basis = Teachers(args.mobilefacenet, args.retail, args.device), TargetBasis(args.basis)
    # CelebA and UTKFace are the bulk; the smaller, more varied sources come 1.6 times as often.
    weight = np.array([1.0 if source in ('celeba', 'utkface') else 1.6 for source in pack.source])
    cumulative = np.cumsum(weight / weight.sum())
    rng, total = np.random.default_rng([args.seed, args.worker]), 0
    counter = os.path.join(args.bank, f'rows{args.worker}.json')
    if resumed := os.path.exists(counter):
        with open(counter) as file:
            state = json.load(file)
        if state['capacity'] != args.capacity:
            raise SystemExit('the bank was made with another capacity')
        total, rng.bit_generator.state = state['total'], state['rng']
    columns = open_columns(args.bank, args.worker, args.capacity, not resumed)
    start, cpu, first_total = time.time(), time.process_time(), total
    while not args.rows or total < args.rows:
        while args.reuse and total > args.ahead + samples_seen(args.bank) / args.reuse:
            time.sleep(0.5)
        position = total % args.capacity
        firsts = np.minimum(np.searchsorted(cumulative, rng.random(BATCH)), len(pack) - 1)
        pictures = np.stack([compose(pack, i, rng) for i in firsts])
        pair, hint = teachers(pictures, MARGIN)
        rows = dict(picture=pictures, pair=pair.numpy(), map=basis.reduced_map(hint).numpy())
        for name, value in rows.items():
            columns[name][position:position + BATCH] = value
        total += BATCH
        write_json(counter, dict(total=total, capacity=args.capacity, rng=rng.bit_generator.state))
        if total // BATCH % 50 == 0:
            made = total - first_total
            print('rows %d  %.1f rows/s  %.2f cpu-ms/row' % (total, made / (time.time() - start),
                                                            1e3 * (time.process_time() - cpu) / made), flush=True)


if __name__ == '__main__':
    main()
