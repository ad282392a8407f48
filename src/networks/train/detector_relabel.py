"""Give a store the steady labels of landmark_store.py.

  python3 detector_relabel.py --store STORE --steady LANDMARK_STORE

YuNet's landmarks move by some percent of the eye distance with a face's size and place on the grid; one look is a poor
label. landmark_store.py looks several times and keeps the means. Boxes and landmarks of the faces that it knows are
replaced; a face that it looked for in vain counts as unsure from then on unless the first look was quite sure (DOUBTFUL).
The first labels are kept in STORE.once.npz.
"""
import argparse
import os

import numpy as np

from detector_store import UNSURE, Store
from landmark_store import EDGE, PATCH, SMALLEST, SURE
from yunet import overlap

DOUBTFUL = 0.8

def candidates(picture, faces):
    """(which face, scale, shift) of every patch that landmark_store.patches() may have cut from a picture."""
    if picture == (PATCH, PATCH):
        centre = faces[:, :2] + faces[:, 2:4] / 2
        return [(int(np.abs(centre - (80, 84)).sum(1).argmin()), 1.0, np.zeros(2))]
    out = []
    for k in np.flatnonzero((faces[:, 14] >= SURE) & (faces[:, 2:4].max(1) >= SMALLEST)):
        scale = min(1.0, 0.7 * PATCH / faces[k, 2:4].max())
        out.append((k, scale, np.round(PATCH / 2 - (faces[k, :2] + faces[k, 2:4] / 2) * scale)))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--store', required=True)
    parser.add_argument('--steady', required=True)
    args = parser.parse_args()
    store, steady = Store(args.store), Store(args.steady)
    known = {}
    for i in range(len(steady)):
        known.setdefault((steady.source[i], steady.name[i]), []).append(steady.faces_of(i)[0])
    faces, changed, doubtful, moved = store.faces.copy(), 0, 0, []
    for i in range(len(store)):
        for k, scale, shift in candidates(tuple(store.size[i]), store.faces_of(i)):
            j, before = store.first[i] + k, changed
            for label in known.get((store.source[i], store.name[i]), ()):
                new = faces[j].copy()
                new[:14] = label[:14]
                new[[0, 1, *range(4, 14)]] += EDGE - np.tile(shift, 6)
                new[:14] /= scale
                if overlap(store.faces[j:j + 1], new[None])[0, 0] > 0.5:
                    faces[j] = new
                    changed += 1
                    moved.append(np.abs(new[4:14] - store.faces[j, 4:14]).mean() / np.sqrt(new[2] * new[3]))
            if changed == before and faces[j, 14] < DOUBTFUL:
                faces[j, 14] = min(faces[j, 14], UNSURE)
                doubtful += 1
    print('%d of %d faces have new labels, landmarks moved by %.2f %% of the face; %d became unsure' % (
        changed, len(faces), 100 * np.mean(moved or [0]), doubtful))
    with np.load(args.store + '.npz') as z:
        rest = {name: z[name] for name in z.files if name != 'faces'}
    np.savez(args.store + '.tmp.npz', faces=faces, **rest)
    if not os.path.exists(args.store + '.once.npz'):
        os.link(args.store + '.npz', args.store + '.once.npz')
    os.replace(args.store + '.tmp.npz', args.store + '.npz')


if __name__ == '__main__':
    main()
