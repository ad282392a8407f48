#!/usr/bin/env python3
"""Embeddings as face networks make them, for the benchmarks of faceindex.

    python3 src/test/bench/make_embeddings.py PREFIX KIND DIMS ROWS EXTRA SEED

KIND "face": a person is a direction drawn from a Gaussian with a decaying
spectrum (effective dimension 100) around a small common mean; a picture is
a * person + sqrt(1 - a^2) * noise with a in [0.707, 0.894], half of the noise
in the same spectrum, half in all dimensions; everything turned at random.
About five pictures a person.  At 512 dimensions the cosine of strangers has
mean 0.02 and deviation 0.08, that of one person 0.64.  60 % of the 2,000
queries are new pictures of persons in the table, the rest are strangers; half
of the extra rows are of persons in the table.
KIND "uniform": uniform on the sphere, where nothing has structure.

Writes PREFIX.base.f32, .extra.f32, .query.f32 (rows of little-endian float32)
and .label.i32, .qlabel.i32 (the person; -1 for strangers).  The same arguments
give the same files with the same numpy.  Needs python3-numpy.
"""

import sys

import numpy as np

QUERIES = 2000
PICTURES = 5           # of a person, on average
EFFECTIVE_DIMS = 100
COMMON = 0.03          # share of the common mean in a person's energy
BLOCK = 8192


def unit(vectors):
    """Rows scaled to norm 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Faces:
    """Persons and pictures of them."""

    def __init__(self, dims):
        random = np.random.default_rng(12345)  # one world for all seeds
        energy = np.exp(-np.arange(dims) / (EFFECTIVE_DIMS / 2))
        self.spread = np.sqrt(energy / energy.sum())
        self.noise = np.sqrt(0.5 * self.spread ** 2 + 0.5 / dims)
        self.mean = unit(random.normal(size=(1, dims)))
        self.mean *= np.sqrt(COMMON / (1 - COMMON))
        self.turn, _ = np.linalg.qr(random.normal(size=(dims, dims)))
        self.turn = self.turn.astype(np.float32)

    def persons(self, random, count):
        """Directions of count persons."""
        return unit(random.normal(size=(count, len(self.spread))) * self.spread
                    + self.mean).astype(np.float32)

    def pictures(self, random, persons):
        """One picture of each row of persons."""
        share = random.uniform(0.707, 0.894, (len(persons), 1))
        noise = unit(random.normal(size=persons.shape) * self.noise)
        rows = share * persons + np.sqrt(1 - share ** 2) * noise
        return unit(rows.astype(np.float32) @ self.turn)


def write(name, count, make):
    """Write count rows, by blocks: make(first, after)."""
    with open(name, "wb") as file:
        for first in range(0, count, BLOCK):
            rows = make(first, min(first + BLOCK, count))
            file.write(rows.astype("<f4").tobytes())


def make_faces(prefix, dims, rows, extra, random):
    """The files of KIND face."""
    faces = Faces(dims)
    count = rows // PICTURES + 1
    sizes = 1 + random.exponential(PICTURES - 0.5, 2 * count).astype(int)
    count = int(np.searchsorted(np.cumsum(sizes), rows)) + 1
    labels = np.repeat(np.arange(count), sizes[:count])[:rows]
    random.shuffle(labels)
    persons = faces.persons(random, count)

    def known_or_new(owners):
        found = persons[np.maximum(owners, 0)].copy()
        found[owners < 0] = faces.persons(random, int((owners < 0).sum()))
        return faces.pictures(random, found)

    query_labels = np.where(np.arange(QUERIES) % 5 < 3,
                            labels[random.integers(0, rows, QUERIES)], -1)
    extra_labels = np.where(np.arange(extra) % 2 == 1,
                            labels[random.integers(0, rows, extra)], -1)
    for part, owners in (("base", labels), ("query", query_labels),
                         ("extra", extra_labels)):
        write(f"{prefix}.{part}.f32", len(owners),
              lambda first, after, owners=owners:
              known_or_new(owners[first:after]))
    labels.astype("<i4").tofile(prefix + ".label.i32")
    query_labels.astype("<i4").tofile(prefix + ".qlabel.i32")


def make_uniform(prefix, dims, rows, extra, random):
    """The files of KIND uniform."""
    for part, count in (("base", rows), ("query", QUERIES), ("extra", extra)):
        write(f"{prefix}.{part}.f32", count,
              lambda first, after:
              unit(random.normal(size=(after - first, dims))))
    np.arange(rows, dtype="<i4").tofile(prefix + ".label.i32")
    np.full(QUERIES, -1, "<i4").tofile(prefix + ".qlabel.i32")


def main():
    if len(sys.argv) != 7 or sys.argv[2] not in ("face", "uniform"):
        sys.exit(__doc__)
    prefix, kind = sys.argv[1:3]
    dims, rows, extra, seed = map(int, sys.argv[3:])
    make = make_faces if kind == "face" else make_uniform
    make(prefix, dims, rows, extra, np.random.default_rng(seed))


if __name__ == "__main__":
    main()
