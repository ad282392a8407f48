#!/usr/bin/env python3
"""Golden vectors for quantised networks in QDQ form: small ONNX models, inputs,
and the outputs that ONNX Runtime calculates for them (graph optimisation off).

usage: make_qdq.py <onnxruntime-node folder> <qdq.bin to write>

Needs Python with numpy and onnx, and node.  Scales, slopes and factors are
powers of two and biases multiples of 1/16, so that every runtime that sums
exactly gives the same floats.  qdq.bin is little-endian: "FRQG", uint32 count
of cases; per case uint32 length, name; uint32 length, ONNX file; input "x" and
output "y": uint32 rank 4 or 2, that many uint32 dimensions, float32 data.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.RandomState(7)


class Model:
    """A graph under construction; methods append nodes, return the value."""

    def __init__(self):
        self.nodes, self.inits = [], []

    def constant(self, array):
        name = "c%d" % len(self.inits)
        self.inits.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, kind, *inputs, **attributes):
        output = "v%d" % len(self.nodes)
        self.nodes.append(
            helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def qdq(self, value, scale, zero):
        """zero: np.uint8 or np.int8."""
        args = [self.constant(np.float32(scale)), self.constant(zero)]
        value = self.node("QuantizeLinear", value, *args)
        return self.node("DequantizeLinear", value, *args)

    def weights(self, shape, axis=0):
        count = shape[axis]
        scale = np.ldexp(1.0, RNG.randint(-10, -7, count)).astype(np.float32)
        data = RNG.randint(-127, 128, shape).astype(np.int8)
        return self.node("DequantizeLinear", self.constant(data),
                         self.constant(scale),
                         self.constant(np.zeros(count, np.int8)), axis=axis)

    def dyadic(self, *shape):
        return self.constant(
            (RNG.randint(-16, 17, shape) / 16).astype(np.float32))

    def conv(self, value, ins, outs, kernel, stride=1):
        return self.node("Conv", value,
                         self.weights((outs, ins, kernel, kernel)),
                         self.dyadic(outs), pads=[kernel // 2] * 4,
                         strides=[stride] * 2)

    def norm(self, value, channels):
        scale = np.ldexp(1.0, RNG.randint(-1, 2, channels))
        return self.node("BatchNormalization", value,
                         self.constant(scale.astype(np.float32)),
                         self.dyadic(channels),
                         self.constant(np.zeros(channels, np.float32)),
                         self.constant(np.ones(channels, np.float32)),
                         epsilon=0.0)

    def prelu(self, value, channels):
        slope = np.ldexp(1.0, RNG.randint(-3, 0, (channels, 1, 1)))
        return self.node("PRelu", value,
                         self.constant(slope.astype(np.float32)))

    def finish(self, value):
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(
            self.nodes, "test",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT,
                                           ["n", "c", "h", "w"])],
            [onnx.ValueInfoProto(name="y")], self.inits)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 8
        model.producer_name = ""
        return model.SerializeToString(deterministic=True)


def ir_unit():
    """Normalisation before a padded convolution, a shortcut with stride 2."""
    m = Model()
    start = m.node("Relu", "x")
    short = m.norm(m.conv(m.qdq(start, 1 / 64, np.uint8(0)), 12, 20, 1, 2), 20)
    v = m.qdq(m.norm(start, 12), 1 / 64, np.uint8(93))
    v = m.prelu(m.conv(v, 12, 12, 3), 12)
    v = m.norm(m.conv(m.qdq(v, 1 / 4, np.uint8(77)), 12, 20, 3, 2), 20)
    v = m.node("Add", v, short)
    v = m.conv(m.qdq(m.norm(v, 20), 2.0, np.uint8(140)), 20, 20, 3)
    return m.finish(m.prelu(v, 20)), (2, 12, 11, 9)


def every_output():
    """QuantizeLinear and DequantizeLinear around every operator, int8."""
    m = Model()
    a = m.qdq("x", 1 / 64, np.int8(-5))
    b = m.qdq(m.node("Relu", m.conv(a, 3, 16, 3)), 1 / 64, np.int8(-128))
    c = m.qdq(m.conv(b, 16, 16, 3), 1 / 32, np.int8(3))
    d = m.qdq(m.node("Add", b, c), 1 / 32, np.int8(-7))
    d = m.qdq(m.node("MaxPool", d, kernel_shape=[2, 2], strides=[2, 2]),
              1 / 32, np.int8(-7))
    v = m.qdq(m.conv(d, 16, 5, 1), 1 / 32, np.int8(-20))
    return m.finish(v), (2, 3, 8, 10)


def head():
    """Flattened, fully connected, normalised."""
    m = Model()
    v = m.node("Flatten", m.norm("x", 16))
    v = m.qdq(v, 1 / 64, np.uint8(110))
    v = m.node("Gemm", v, m.weights((24, 16 * 3 * 5)), m.dyadic(24), transB=1)
    v = m.qdq(m.node("Relu", v), 1 / 2, np.uint8(0))
    return m.finish(m.node("MatMul", v, m.weights((24, 7), 1))), (3, 16, 3, 5)


def pack(array):
    return struct.pack("<I%dI" % array.ndim, array.ndim, *array.shape) + \
        np.ascontiguousarray(array, np.float32).tobytes()


def main(ort, target):
    packed = []
    with tempfile.TemporaryDirectory() as folder:
        cases, inputs = [], []
        for index, make in enumerate((ir_unit, every_output, head)):
            model, shape = make()
            x = RNG.uniform(-2, 2, shape).astype(np.float32)
            with open(os.path.join(folder, "%d.onnx" % index), "wb") as file:
                file.write(model)
            x.tofile(os.path.join(folder, "%d.in" % index))
            cases.append({"model": "%d.onnx" % index,
                          "inputs": [{"name": "x", "dims": list(shape),
                                      "file": "%d.in" % index}],
                          "outputs": [{"name": "y",
                                       "file": "%d.out" % index}]})
            inputs.append((make.__name__, model, x))
        with open(os.path.join(folder, "cases.json"), "w") as file:
            json.dump(cases, file)
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                              "run_ort.js")
        subprocess.run(["node", script, ort, folder], check=True)
        with open(os.path.join(folder, "results.json")) as file:
            results = json.load(file)
        for index, (name, model, x) in enumerate(inputs):
            y = np.fromfile(os.path.join(folder, "%d.out" % index), np.float32)
            y = y.reshape(results[index][0]["dims"])
            packed.append(struct.pack("<I", len(name)) + name.encode() +
                          struct.pack("<I", len(model)) + model + pack(x) +
                          pack(y))
    with open(target, "wb") as file:
        file.write(b"FRQG" + struct.pack("<I", len(packed)) + b"".join(packed))


main(sys.argv[1], sys.argv[2])
