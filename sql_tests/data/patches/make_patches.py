#!/usr/bin/python3
"""Make the pictures of this folder: squares of magenta on gray.

The patch detector of ../models finds them; each "person" is a pattern of 4 x
4 shades, which the patch embedders tell apart.  The standard library is
enough.
"""

import os
import random
import struct
import zlib

FOLDER = os.path.dirname(os.path.abspath(__file__))


def chunk(kind, data):
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def pattern(person):
    shades = random.Random(person)
    return [[(shades.randint(200, 255), shades.randint(0, 40),
              shades.randint(200, 255)) for _ in range(4)] for _ in range(4)]


def write_png(name, width, height, gray, patches):
    """patches: (person, left, top, side)."""
    rows = [[(gray, gray, gray)] * width for _ in range(height)]
    for person, left, top, side in patches:
        shades = pattern(person)
        for y in range(side):
            for x in range(side):
                rows[top + y][left + x] = shades[4 * y // side][4 * x // side]
    lines = b"".join(
        b"\0" + b"".join(bytes(pixel) for pixel in row) for row in rows)
    with open(os.path.join(FOLDER, name), "wb") as file:
        file.write(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR",
                    struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(lines, 9))
            + chunk(b"IEND", b""))


if __name__ == "__main__":
    # the largest patch is neither the first nor the left one
    write_png("party.png", 480, 320, 128,
              [(1, 60, 60, 48), (2, 240, 100, 96), (3, 120, 200, 64)])
    write_png("ann-1.png", 320, 240, 128, [(1, 112, 64, 96)])
    write_png("ann-2.png", 256, 256, 128, [(1, 64, 80, 80)])
    write_png("bob-1.png", 320, 240, 128, [(2, 100, 72, 88)])
    write_png("bob-2.png", 240, 320, 128, [(2, 80, 100, 72)])
    write_png("cid-1.png", 320, 320, 128, [(3, 96, 112, 96)])
    write_png("nobody.png", 160, 120, 128, [])
    write_png("crop.png", 112, 112, 128, [(1, 12, 12, 88)])
