#!/usr/bin/python3
"""Make the fixture images of this folder, and pixels.tsv.

Everything is synthetic but the portraits, which are reduced copies of the
pictures in a folder given as the first argument (left as they are without
it).  pixels.tsv lists what OpenCV's imread makes of each decodable file:
name, width, height and the SHA-256 of its RGB bytes.

Needs Pillow, numpy and OpenCV.
"""

import hashlib
import io
import os
import struct
import sys
import zlib

import cv2
import numpy
from PIL import Image

FOLDER = os.path.dirname(os.path.abspath(__file__))
CORNERS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))
# How the stored picture comes from the upright one.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
PORTRAITS = {
    "person-1a.jpg": "01-suyeri-1.jpg",
    "person-1b.jpg": "01-suyeri-2.jpg",
    "person-2a.jpg": "02-devaran-1.jpg",
}


def path(name):
    return os.path.join(FOLDER, name)


def write(name, data):
    with open(path(name), "wb") as file:
        file.write(data)


def quarters(width=48, height=32):
    """Red, green over blue, yellow: every orientation looks different."""
    pixels = numpy.zeros((height, width, 3), numpy.uint8)
    pixels[: height // 2, : width // 2] = CORNERS[0]
    pixels[: height // 2, width // 2 :] = CORNERS[1]
    pixels[height // 2 :, : width // 2] = CORNERS[2]
    pixels[height // 2 :, width // 2 :] = CORNERS[3]
    return Image.fromarray(pixels)


def waves(width=61, height=43):
    """Smooth and detailed parts in all channels; odd sides."""
    y, x = numpy.mgrid[0:height, 0:width].astype(float)
    red = 127 + 120 * numpy.sin(x / 5 + y / 9)
    green = 127 + 120 * numpy.sin(x * y / 150)
    blue = 255 * ((x // 3 + y // 4) % 2)
    stack = numpy.stack([red, green, blue], axis=2)
    return Image.fromarray(stack.round().astype(numpy.uint8))


def jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def png(image, **options):
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


def exif(orientation, big_endian):
    order = ">" if big_endian else "<"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    head = (b"MM" if big_endian else b"II") + struct.pack(order + "HI", 42, 8)
    return head + struct.pack(order + "H", 1) + entry + struct.pack(order + "I", 0)


def chunk(kind, data):
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def raw_png(width, height, depth, color, rows, extra=b"", interlace=0):
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def adam7(pixels):
    """The scan lines of an interlaced RGB picture, all with filter 0."""
    lines = b""
    for x, y, dx, dy in (
        (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4),
        (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
    ):
        for row in pixels[y::dy, x::dx]:
            if row.size:
                lines += b"\0" + row.tobytes()
    return lines


def without_adobe(data):
    start = data.index(b"\xff\xee")
    length = struct.unpack(">H", data[start + 2 : start + 4])[0]
    return data[:start] + data[start + 2 + length :]


def with_frame(data, offset, value):
    """Overwrite bytes of the SOF segment, counted from its precision."""
    for marker in (b"\xff\xc0", b"\xff\xc2"):
        if marker in data:
            start = data.index(marker) + 4 + offset
            return data[:start] + value + data[start + len(value) :]
    raise ValueError("no frame header")


def make_jpegs():
    for orientation in range(1, 9):
        stored = quarters()
        if orientation in STORED:
            stored = stored.transpose(STORED[orientation])
        block = b"Exif\0\0" + exif(orientation, orientation % 2 == 0)
        write("orientation-%d.jpg" % orientation,
              jpeg(stored, quality=95, subsampling=0, exif=block))
    picture = waves()
    for name, options in {
        "444": {"subsampling": 0},
        "422": {"subsampling": 1},
        "420": {"subsampling": 2},
        "progressive": {"progressive": True},
    }.items():
        write("waves-%s.jpg" % name, jpeg(picture, quality=85, **options))
    write("waves-gray.jpg", jpeg(picture.convert("L"), quality=85))
    cmyk = jpeg(picture.convert("CMYK"), quality=90)
    write("cmyk-adobe.jpg", cmyk)
    write("cmyk-plain.jpg", without_adobe(cmyk))
    adobe = cmyk.index(b"Adobe") + 11
    write("ycck.jpg", cmyk[:adobe] + b"\x02" + cmyk[adobe + 1 :])
    write("one-pixel.jpg", jpeg(Image.new("RGB", (1, 1), (200, 100, 50))))
    base = jpeg(quarters(), quality=75)
    write("huge-header.jpg", with_frame(base, 1, b"\xff\xdc\xff\xdc"))
    write("twelve-bit.jpg", with_frame(base, 0, b"\x0c"))


def make_pngs():
    picture = waves()
    pixels = numpy.asarray(picture)
    height, width = pixels.shape[:2]
    alpha = numpy.mgrid[0:height, 0:width][1].astype(numpy.uint8) * 4
    rgba = numpy.dstack([pixels, alpha])
    gray = pixels[:, :, 0]
    write("rgb.png", png(picture))
    write("rgba.png", png(Image.fromarray(rgba)))
    write("gray.png", png(Image.fromarray(gray)))
    write("gray-alpha.png", png(Image.fromarray(numpy.dstack([gray, alpha]), "LA")))
    write("palette.png", png(picture.quantize(200)))
    for depth in (1, 2, 4):
        few = picture.quantize(2**depth)
        write("palette-%d.png" % depth, png(few, bits=depth, transparency=1))
        top = (gray >> (8 - depth)).astype(numpy.uint8)
        bits = numpy.unpackbits(top[:, :, None], axis=2)[:, :, 8 - depth :]
        lines = numpy.packbits(bits.reshape(height, -1), axis=1)
        rows = b"".join(b"\0" + line.tobytes() for line in lines)
        write("gray-%d.png" % depth, raw_png(width, height, depth, 0, rows))
    deep = pixels.astype(">u2") * 257 + 100
    rows = b"".join(b"\0" + line.tobytes() for line in deep)
    write("rgb-16.png", raw_png(width, height, 16, 2, rows))
    rows = b"".join(b"\0" + line.tobytes() for line in deep[:, :, 0])
    write("gray-16.png", raw_png(width, height, 16, 0, rows))
    write("interlaced.png",
          raw_png(width, height, 8, 2, adam7(pixels), interlace=1))
    write("orientation-6.png",
          png(quarters().transpose(Image.Transpose.ROTATE_90),
              exif=b"Exif\0\0" + exif(6, True)))
    write("one-pixel.png", png(Image.new("RGB", (1, 1), (200, 100, 50))))
    write("png-named.jpg", png(picture))
    side = 16000
    rows = b"\0" * ((side // 8 + 1) * side)
    write("bomb.png", raw_png(side, side, 1, 0, rows))


def make_others():
    small = quarters(16, 16)
    for name, kind in (("small.gif", "GIF"), ("small.bmp", "BMP"),
                       ("small.tiff", "TIFF"), ("small.webp", "WEBP")):
        small.save(path(name), kind)


def make_portraits(folder):
    for name, source in PORTRAITS.items():
        image = Image.open(os.path.join(folder, source)).convert("RGB")
        image.thumbnail((400, 400), Image.Resampling.LANCZOS)
        write(name, jpeg(image, quality=85))


def list_pixels():
    lines = []
    for name in sorted(os.listdir(FOLDER)):
        if not name.endswith((".jpg", ".png")):
            continue
        if name in ("bomb.png", "huge-header.jpg", "twelve-bit.jpg"):
            continue
        pixels = cv2.imread(path(name), cv2.IMREAD_COLOR)
        height, width = pixels.shape[:2]
        rgb = numpy.ascontiguousarray(pixels[:, :, ::-1]).tobytes()
        digest = hashlib.sha256(rgb).hexdigest()
        lines.append("%s\t%d\t%d\t%s\n" % (name, width, height, digest))
    write("pixels.tsv", "".join(lines).encode())


if __name__ == "__main__":
    make_jpegs()
    make_pngs()
    make_others()
    if len(sys.argv) > 1:
        make_portraits(sys.argv[1])
    list_pixels()
