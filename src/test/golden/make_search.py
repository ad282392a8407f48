#!/usr/bin/env python3
"""make_search.py: golden values of the face index's codes, by numpy.

Writes search_codes.h: a vector and a centroid of 576 dimensions by formula,
and what RaBitQ's definitions give for them in float64, rounded to halves as
core/search/codes.h says; estimates for a query with exact arithmetic.
"""
import numpy as np

P = 576
LEVELS = np.array([3, 9, 15, 22, 29, 37, 48, 63])
UNIT = 23.0


def half_up(v):
    h = np.float16(v)
    return h if float(h) >= v else np.nextafter(h, np.float16(np.inf))


def bits(h):
    return int(np.float16(h).view(np.uint16))


def factor(g, yu, yy, uu):
    parallel = g * yu / np.sqrt(yy) - np.sqrt(yy)
    whole = g * g * uu - 2 * g * yu + yy
    return np.sqrt((whole - parallel ** 2) / (P - 1) + parallel ** 2)


i = np.arange(P)
x = np.float32(np.sin(0.37 * i * i + 1) / np.sqrt(P / 2)).astype(np.float64)
q = np.float32(np.sin(0.23 * i * i + 0.5 * i) / np.sqrt(P / 2))
q = q.astype(np.float64)
c_int = (i * 37 % 255 - 127).astype(np.int64)
c_scale = float(np.float32(0.0003))
c = c_scale * c_int

r = x - c
s = np.where(r >= 0, 1.0, -1.0) / np.sqrt(P)
b = float(np.float16(r @ r / (r @ s)))
length = half_up(np.sqrt(r @ r))
e = half_up(max(factor(b, r @ s, r @ r, 1.0), 0.5 * b / np.sqrt(P - 1)))
code = np.packbits(r >= 0, bitorder="little")

y = x * UNIT * np.sqrt(P)
magnitude = np.abs(np.abs(y)[:, None] - LEVELS[None, :]).argmin(axis=1)
v = np.where(y >= 0, 1, -1) * LEVELS[magnitude]
nibble = np.where(y >= 0, 8 + magnitude, 7 - magnitude).astype(np.uint8)
parts = nibble.reshape(-1, 2, 32)
rerank = (parts[:, 0] | parts[:, 1] << 4).ravel()
scale = UNIT * np.sqrt(P)
f = np.float16(x @ x / (x @ v) * scale)
g = float(f) / scale
sigma = half_up(factor(g, x @ v, x @ x, float(v @ v)))

# the same vector, when only its re-rank code is known
xd = g * v
rd = xd - c
sd = np.where(rd >= 0, 1.0, -1.0) / np.sqrt(P)
bd = float(np.float16(rd @ rd / (rd @ sd)))
ed = half_up(max(factor(bd, rd @ sd, rd @ rd, 1.0), 0.5 * bd / np.sqrt(P - 1)))
ed = half_up(np.hypot(float(ed), float(sigma)))
length_d = half_up(float(half_up(np.sqrt(rd @ rd))) + float(sigma) * np.sqrt(P - 1))
code_d = np.packbits(rd >= 0, bitorder="little")


def array(name, values, per_line):
    print("static const uint8_t %s[] = {" % name)
    for k in range(0, len(values), per_line):
        print("\t" + " ".join("%d," % n for n in values[k:k + per_line]))
    print("};")


print("""/*
 * search_codes.h: written by make_search.py; golden values of codes.h.
 */
#ifndef FR_TEST_GOLDEN_SEARCH_CODES_H
#define FR_TEST_GOLDEN_SEARCH_CODES_H

#include <stdint.h>

/* clang-format off */""")
array("golden_bits", code, 16)
array("golden_rerank", rerank, 16)
array("golden_decoded_bits", code_d, 16)
print("/* clang-format on */\n")
for name, value in (("r", length), ("b", b), ("e", e), ("f", f), ("sigma", sigma),
                    ("decoded_r", length_d), ("decoded_b", bd), ("decoded_e", ed)):
    print("static const uint16_t golden_%s = %d; /* %.6g */"
          % (name, bits(value), float(value)))
print("static const double golden_estimate = %.9f;"
      % (c @ q + b * (s @ q)))
print("static const double golden_decoded_9 = %.9f;" % xd[9])
print("static const double golden_rerank_estimate = %.9f;" % (g * (v @ q)))
print("static const double golden_product = %.9f;" % (x @ q))
print("static const double golden_distance = %.9f;" % np.linalg.norm(q - c))
print("\n#endif")
