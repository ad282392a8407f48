#!/usr/bin/python3
"""Make the small networks that the tests run with.

These are test fixtures, not face models: nothing in them is trained.

patch-detector.onnx      has YuNet's input and outputs (preset "yunet") and
                         finds squares of magenta on any other background.
                         All weights follow from closed forms.
patch-embedder.onnx      112 x 112 crops to 16 dimensions (preset
                         "mobilefacenet"), random weights from a fixed seed.
patch-embedder-b.onnx    the same with another seed and 24 dimensions.
patch-scrfd.onnx         the detector with SCRFD's input and outputs: two
                         anchors per cell, nine outputs with numbers for
                         names (preset "scrfd").
patch-scrfd-boxes.onnx   the same without landmarks, six outputs with a batch
                         axis.
patch-retinaface.onnx    the same as RetinaFace (preset "retinaface").
patch-landmarks.onnx     48 x 48 crops to the landmarks of a patch that fills
                         them (preset "omz-landmarks-0009").
patch-points.onnx        64 x 64 crops to five landmarks (preset "landmarks-5"):
                         about where the template has them, moved by what the
                         crop shows, random weights from a fixed seed.
patch-mtcnn-?.onnx       three networks with MTCNN's inputs and outputs: the
                         more magenta a window, the higher its score (preset
                         "mtcnn").
patch-sface.onnx         the embedder, with a Sub and a Mul in front.

Run in this folder: ./make_models.py (needs python3-onnx and python3-numpy).
The files are committed, so that tests need neither.

How the detector works.  A pixel belongs to a patch when (red + blue) / 2 -
green is above 160 (below 96 it does not; in between, in part).  For each cell
of the three grids the mass, the first and the second moments of that mask are
summed over a window of cells around it; from these follow exactly the
patch's centre (first moment / mass), its side (square root of the mass) and
how square it is (second moments).  A cell scores when a whole patch, and
nothing else, lies in the window's inside, and its outermost ring of cells is
empty.  Patches need 8 to 256 pixels of side and a distance of about their
side from each other.
"""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Landmarks, in sides of the patch from its centre: eye left in the picture,
# eye right, nose tip, mouth corner left, mouth corner right.
LANDMARKS = [(-0.20, -0.15), (0.20, -0.15), (0.0, 0.08), (-0.16, 0.30),
             (0.16, 0.30)]
# stride: cells from a window's centre to the border of its inside
INSIDE = {8: 2, 16: 2, 32: 4}


class Graph:
    """Collects nodes and constants."""

    def __init__(self):
        self.nodes, self.constants, self.count = [], [], 0

    def constant(self, value, dtype=np.float32):
        self.count += 1
        name = "c%d" % self.count
        self.constants.append(
            numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def op(self, kind, *inputs, output=None, **attributes):
        self.count += 1
        output = output or "v%d" % self.count
        self.nodes.append(helper.make_node(
            kind, list(inputs), [output], name="%s_%d" % (kind, self.count),
            **attributes))
        return output

    def conv(self, x, weights, bias=None, **attributes):
        inputs = [x, self.constant(weights)]
        if bias is not None:
            inputs.append(self.constant(bias))
        attributes.setdefault("kernel_shape", list(np.shape(weights)[2:]))
        return self.op("Conv", *inputs, **attributes)

    def save(self, path, inputs, outputs):
        graph = helper.make_graph(self.nodes, path.split(".")[0], inputs,
                                  outputs, self.constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 13)],
            producer_name="make_models.py", ir_version=7,
            doc_string="Test fixture, not a face model.")
        onnx.checker.check_model(model)
        onnx.save(model, path)


def moment_weights(offsets_y, offsets_x, scale):
    """Sum the moments of parts, whose centres lie at the given offsets, about
    the common centre.  Channels: mass, x, y, xx, yy; one unit of the result
    is 1 / scale units of the parts, offsets are in the result's units."""
    weights = np.zeros((5, 5, len(offsets_y), len(offsets_x)))
    for i, oy in enumerate(offsets_y):
        for j, ox in enumerate(offsets_x):
            for first, second, o in ((1, 3, ox), (2, 4, oy)):
                weights[0, 0, i, j] = 1
                weights[first, 0, i, j] = o
                weights[first, first, i, j] = scale
                weights[second, 0, i, j] = o * o
                weights[second, first, i, j] = 2 * o * scale
                weights[second, second, i, j] = scale * scale
    return weights


def patch_cells(g, moments, stride):
    """What each cell of a grid sees: how square and how whole the patch is
    (both 0..1), its centre from the cell's corner in cells, and its area in
    cells."""
    reach = INSIDE[stride] + 1
    offsets = np.arange(-reach, reach + 1)
    weights = np.zeros((6, 5, len(offsets), len(offsets)))
    weights[:5] = moment_weights(offsets, offsets, 1)
    weights[5, 0] = 1
    weights[5, 0, 1:-1, 1:-1] = 0  # the ring alone
    window = g.conv(moments, weights, pads=[reach] * 4)

    def channel(index):
        select = np.zeros((1, 6, 1, 1))
        select[0, index] = 1
        return g.conv(window, select)

    one = g.constant(1.0)
    mass = g.op("Clip", channel(0), one)
    x, y = (g.op("Div", channel(i), mass) for i in (1, 2))
    cells = g.op("Mul", mass, g.constant(1.0 / stride**2))
    spread = g.op("Div", g.op("Add", channel(3), channel(4)), mass)
    spread = g.op("Sub", spread, g.op("Add", g.op("Mul", x, x),
                                      g.op("Mul", y, y)))
    # 1 for a square, more for anything longer or in pieces
    shape = g.op("Div", g.op("Mul", spread, g.constant(6.0)), cells)
    zero = g.constant(0.0)
    cls = g.op("Clip", g.op("Sub", g.constant(2.0), shape), zero, one)
    large = g.op("Clip", g.op("Mul", g.op("Sub", mass, g.constant(30.0)),
                              g.constant(1 / 34.0)), zero, one)
    ring = g.op("Clip", g.op("Sub", one, g.op("Mul", channel(5),
                                              g.constant(1 / 8.0))), zero, one)
    obj = g.op("Mul", large, ring)

    middle = g.constant((stride - 1) / (2 * stride))
    bx, by = g.op("Add", x, middle), g.op("Add", y, middle)
    return cls, obj, bx, by, cells


def landmark_weights():
    """From centre x, y and side to x, y of five landmarks."""
    weights = np.zeros((10, 3, 1, 1))
    for k, (dx, dy) in enumerate(LANDMARKS):
        weights[2 * k, :, 0, 0] = 1, 0, dx
        weights[2 * k + 1, :, 0, 0] = 0, 1, dy
    return weights


def detector_heads(g, moments, stride):
    """The four heads of one grid from the moments of its cells, in cells."""
    cls, obj, bx, by, cells = patch_cells(g, moments, stride)
    log_side = g.op("Mul", g.op("Log", cells), g.constant(0.5))
    bbox = g.op("Concat", bx, by, log_side, log_side, axis=1)
    kps = g.conv(g.op("Concat", bx, by, g.op("Sqrt", cells), axis=1),
                 landmark_weights())
    for name, value, size in (("cls", cls, 1), ("obj", obj, 1),
                              ("bbox", bbox, 4), ("kps", kps, 10)):
        last = g.op("Transpose", value, perm=[0, 2, 3, 1])
        g.op("Reshape", last, g.constant([0, -1, size], np.int64),
             output="%s_%d" % (name, stride))


def grid_moments(g, weights, bias):
    """Moments of the mask for the cells of each grid; weights and bias make
    it of the input's channels."""
    mask = g.conv("input", np.reshape(weights, (1, 3, 1, 1)), [bias])
    mask = g.op("Clip", mask, g.constant(0.0), g.constant(1.0))
    inside = (np.arange(8) - 3.5) / 8
    # a single pixel has no moments of its own: only column "mass" is used
    moments = g.conv(mask, moment_weights(inside, inside, 1)[:, :1],
                     strides=[8, 8])
    for stride in (8, 16, 32):
        if stride > 8:
            halves = [-0.25, 0.25]
            moments = g.conv(moments, moment_weights(halves, halves, 0.5),
                             strides=[2, 2])
        yield stride, moments


def image_input(height="height", width="width"):
    return helper.make_tensor_value_info(
        "input", TensorProto.FLOAT, ["batch", 3, height, width])


def output_info(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def make_detector(path):
    g = Graph()
    blue, green, red = 0.5 / 64, -1 / 64, 0.5 / 64
    for stride, moments in grid_moments(g, [blue, green, red], -96 / 64):
        detector_heads(g, moments, stride)
    outputs = []
    for name, size in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        outputs += [helper.make_tensor_value_info(
            "%s_%d" % (name, s), TensorProto.FLOAT,
            ["batch", "cells_%d" % s, size]) for s in (8, 16, 32)]
    g.save(path, [image_input()], outputs)


def make_scrfd(path, has_landmarks):
    """Names as in exports: numbers, all scores first, then all boxes."""
    g = Graph()
    heads = [("448", "471", "494"), ("451", "474", "497"),
             ("454", "477", "500")][:3 if has_landmarks else 2]
    front = [] if has_landmarks else [1]
    # RGB, (v - 127.5) / 128: the means cancel
    for index, (stride, moments) in enumerate(
            grid_moments(g, [1.0, -2.0, 1.0], -96 / 64)):
        cls, obj, bx, by, cells = patch_cells(g, moments, stride)
        score = g.op("Sqrt", g.op("Mul", cls, obj))
        side = g.op("Sqrt", cells)
        half = g.op("Mul", side, g.constant(0.5))
        box = g.op("Concat", g.op("Sub", half, bx), g.op("Sub", half, by),
                   g.op("Add", half, bx), g.op("Add", half, by), axis=1)
        kps = g.conv(g.op("Concat", bx, by, side, axis=1), landmark_weights())
        # the second anchor says the same, less sure
        other = g.op("Mul", score, g.constant(0.9))
        for kind, (first, second, size) in enumerate(
                ((score, other, 1), (box, box, 4), (kps, kps, 10))):
            if kind == len(heads):
                break
            both = g.op("Concat", first, second, axis=1)
            last = g.op("Transpose", both, perm=[0, 2, 3, 1])
            g.op("Reshape", last, g.constant(front + [-1, size], np.int64),
                 output=heads[kind][index])
    g.save(path, [image_input()], [
        output_info(name, *front, "cells_%d" % (8 << i), size)
        for names, size in zip(heads, (1, 4, 10))
        for i, name in enumerate(names)])


def make_retinaface(path):
    g = Graph()
    parts = {"loc": [], "conf": [], "landms": []}
    # BGR minus (104, 117, 123)
    blue, green, red = 0.5 / 64, -1 / 64, 0.5 / 64
    for stride, moments in grid_moments(
            g, [blue, green, red], (-96 + 113.5 - 117) / 64):
        cls, obj, bx, by, cells = patch_cells(g, moments, stride)
        score = g.op("Sqrt", g.op("Mul", cls, obj))
        log_side = g.op("Mul", g.op("Log", cells), g.constant(0.5))
        half = g.constant(0.5)
        dx, dy = g.op("Sub", bx, half), g.op("Sub", by, half)
        kps = g.conv(g.op("Concat", dx, dy, g.op("Sqrt", cells), axis=1),
                     landmark_weights())
        heads = {"loc": [], "conf": [], "landms": []}
        for side in {8: (16, 32), 16: (64, 128), 32: (256, 512)}[stride]:
            unit = g.constant(stride / (0.1 * side))
            size = g.op("Mul", g.op("Sub", log_side, g.constant(
                np.log(side / stride))), g.constant(5.0))
            heads["loc"] += [g.op("Mul", dx, unit), g.op("Mul", dy, unit),
                             size, size]
            heads["conf"] += [g.op("Sub", g.constant(1.0), score), score]
            heads["landms"] += [g.op("Mul", kps, unit)]
        for name, values in heads.items():
            size = {"loc": 4, "conf": 2, "landms": 10}[name]
            last = g.op("Transpose", g.op("Concat", *values, axis=1),
                        perm=[0, 2, 3, 1])
            parts[name].append(g.op("Reshape", last, g.constant(
                [0, -1, size], np.int64)))
    for name, values in parts.items():
        g.op("Concat", *values, axis=1, output=name)
    g.save(path, [image_input()], [
        output_info("loc", "batch", "priors", 4),
        output_info("conf", "batch", "priors", 2),
        output_info("landms", "batch", "priors", 10)])


def make_landmarks(path):
    """The landmarks lie where a patch has them, whatever the picture."""
    g = Graph()
    mean = g.op("Flatten", g.op("GlobalAveragePool", "input"), axis=1)
    points = np.array(LANDMARKS).reshape(-1) + 0.5
    g.op("Gemm", mean, g.constant(np.zeros((3, 10))), g.constant(points),
         output="landmarks")
    g.save(path, [image_input(48, 48)], [output_info("landmarks", "batch", 10)])


def make_points(path):
    """Means of 8 x 8 blocks, times random weights, added to the template."""
    g = Graph()
    template = [(38.29, 51.70), (73.53, 51.50), (56.03, 71.74),
                (41.55, 92.37), (70.73, 92.20)]
    blocks = g.op("AveragePool", "input", kernel_shape=[8, 8], strides=[8, 8])
    weights = np.random.default_rng(20240503).normal(0, 3e-5, (192, 10))
    g.op("Gemm", g.op("Flatten", blocks, axis=1), g.constant(weights),
         g.constant(np.reshape(template, -1) / 112), output="landmarks")
    g.save(path, [image_input(64, 64)], [output_info("landmarks", "batch", 10)])


def make_mtcnn(stage, side):
    """Score: how much of the window is magenta."""
    g = Graph()
    # RGB, (v - 127.5) / 128
    mask = g.conv("input", np.reshape([1.0, -2.0, 1.0], (1, 3, 1, 1)),
                  [-96 / 64])
    mask = g.op("Clip", mask, g.constant(0.0), g.constant(1.0))
    if stage == "p":
        mean = g.conv(mask, np.full((1, 1, 3, 3), 1 / 9))
        mean = g.op("AveragePool", mean, kernel_shape=[2, 2], strides=[2, 2],
                    ceil_mode=1)
        mean = g.conv(mean, np.full((1, 1, 5, 5), 1 / 25))
    else:
        mean = g.op("Flatten", g.op("GlobalAveragePool", mask), axis=1)
    g.op("Concat", g.op("Sub", g.constant(1.0), mean), mean, axis=1,
         output="prob")
    none = g.op("Mul", mean, g.constant(0.0))
    g.op("Concat", none, none, none, none, axis=1, output="reg")
    rest = ["rows", "columns"] if stage == "p" else []
    outputs = [output_info("prob", "batch", 2, *rest),
               output_info("reg", "batch", 4, *rest)]
    if stage == "o":
        points = np.array(LANDMARKS).T.reshape(-1) + 0.5  # all x, then all y
        g.op("Gemm", mean, g.constant(np.zeros((1, 10))), g.constant(points),
             output="landmarks")
        outputs.append(output_info("landmarks", "batch", 10))
    sides = [side, side] if side else []
    g.save("patch-mtcnn-%s.onnx" % stage, [image_input(*sides)], outputs)


def forward(x, w):
    """The embedder in numpy, up to its last bias."""
    def conv(x, k, stride, group=1):
        x = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        view = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
        view = view[:, ::stride, ::stride]
        if group > 1:
            return np.einsum("chwij,cij->chw", view, k[:, 0])
        return np.einsum("chwij,ocij->ohw", view, k)

    def prelu(x, slope):
        return np.where(x > 0, x, x * slope[:, None, None])

    x = conv(x, w["stem"], 2)
    x = prelu(x * w["bn_scale"][:, None, None] + w["bn_shift"][:, None, None],
              w["slope1"])
    x = np.maximum(conv(x, w["depthwise"], 2, group=8), 0)
    x = prelu(np.einsum("chw,oc->ohw", x, w["point"][:, :, 0, 0]),
              w["slope2"])
    x = conv(x, w["last"], 2)
    view = np.lib.stride_tricks.sliding_window_view(x, (5, 5), (1, 2))
    return w["gemm"] @ view[:, ::3, ::3].mean((3, 4)).reshape(-1)


def random_crops(random, count):
    """Crops as the tests have them: a patch of magenta shades on gray."""
    for _ in range(count):
        crop = np.full((3, 112, 112), random.uniform(0, 255))
        blocks = random.uniform(0, 1, (3, 4, 4))
        patch = np.stack([200 + 55 * blocks[0], 40 * blocks[1],
                          200 + 55 * blocks[2]])
        crop[:, 12:100, 12:100] = np.kron(patch, np.ones((22, 22)))
        yield (crop - 127.5) / 128


def make_embedder(path, seed, dims, is_normalised=False):
    random = np.random.RandomState(seed)

    def normal(*shape):
        fan_in = np.prod(shape[1:])
        return (random.randn(*shape) * np.sqrt(2 / fan_in)).astype(np.float32)

    w = {"stem": normal(8, 3, 3, 3), "depthwise": normal(8, 1, 3, 3),
         "point": normal(16, 8, 1, 1), "last": normal(8, 16, 3, 3),
         "gemm": normal(dims, 128),
         "bn_scale": random.uniform(0.5, 1.5, 8).astype(np.float32),
         "bn_shift": random.uniform(-0.2, 0.2, 8).astype(np.float32),
         "slope1": random.uniform(0.1, 0.4, 8).astype(np.float32),
         "slope2": random.uniform(0.1, 0.4, 16).astype(np.float32)}
    # Centred on patches, so that different ones are far apart.
    bias = -np.mean([forward(c, w) for c in random_crops(random, 32)], 0)

    g = Graph()
    x = "input"
    if is_normalised:
        x = g.op("Sub", x, g.constant(127.5))
        x = g.op("Mul", x, g.constant(0.0078125))
    x = g.conv(x, w["stem"], strides=[2, 2], pads=[1] * 4)
    x = g.op("BatchNormalization", x, g.constant(w["bn_scale"]),
             g.constant(w["bn_shift"]), g.constant(np.zeros(8)),
             g.constant(np.ones(8)), epsilon=0.0)
    x = g.op("PRelu", x, g.constant(w["slope1"].reshape(8, 1, 1)))
    x = g.conv(x, w["depthwise"], strides=[2, 2], pads=[1] * 4, group=8)
    x = g.op("Relu", x)
    x = g.conv(x, w["point"])
    x = g.op("PRelu", x, g.constant(w["slope2"].reshape(16, 1, 1)))
    x = g.conv(x, w["last"], strides=[2, 2], pads=[1] * 4)
    x = g.op("AveragePool", x, kernel_shape=[5, 5], strides=[3, 3])
    x = g.op("Flatten", x, axis=1)
    g.op("Gemm", x, g.constant(w["gemm"]), g.constant(bias), transB=1,
         output="embedding")
    g.save(path, [helper.make_tensor_value_info(
        "input", TensorProto.FLOAT, ["batch", 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT,
                                       ["batch", dims])])


if __name__ == "__main__":
    make_detector("patch-detector.onnx")
    make_embedder("patch-embedder.onnx", 20240501, 16)
    make_embedder("patch-embedder-b.onnx", 20240502, 24)
    make_embedder("patch-sface.onnx", 20240501, 16, is_normalised=True)
    make_scrfd("patch-scrfd.onnx", True)
    make_scrfd("patch-scrfd-boxes.onnx", False)
    make_retinaface("patch-retinaface.onnx")
    make_landmarks("patch-landmarks.onnx")
    make_points("patch-points.onnx")
    make_mtcnn("p", None)
    make_mtcnn("r", 24)
    make_mtcnn("o", 48)
