#!/usr/bin/env python3
"""Write face networks with seeded random weights as ONNX files, for benchmarks.

    python3 src/test/bench/make_models.py FOLDER [NAME ...]

Speed does not depend on what the weights are, only on the architecture, so
these stand for the pretrained networks that people bring and that cannot be
shipped.  He initialisation and mild normalisations keep activations near 1 in
every layer, as in a trained network.  The same name always gives the same file.

ir50, ir100         He et al., "Deep Residual Learning", CVPR 2016, in the form
                    of Deng et al., "ArcFace", CVPR 2019, sec. 3.1: input
                    112 x 112, unit BN-conv-BN-PReLU-conv-BN, 512 dimensions
mobilefacenet       Chen et al., "MobileFaceNets", CCBR 2018, table 1
facenet             Szegedy et al., "Inception-v4, Inception-ResNet", AAAI 2017,
                    Inception-ResNet-v1, figures 10-15: input 160 x 160
sphereface20        Liu et al., "SphereFace", CVPR 2017, table 2: 112 x 96

Needs numpy and onnx (Debian: python3-numpy, python3-onnx).
"""

import os
import sys
import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Network:
    """A graph under construction; methods append a node and return its value.

    channels, height and width are those of the last value made."""

    def __init__(self, name, height, width):
        self.name = name
        self.random = np.random.default_rng(zlib.crc32(name.encode()))
        self.nodes, self.initializers = [], []
        self.shape = {"input": (3, height, width)}
        self.multiply_adds = 0

    def constant(self, array):
        name = "c%d" % len(self.initializers)
        array = np.ascontiguousarray(array, np.float32)
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op, inputs, shape, **attributes):
        output = "v%d" % len(self.nodes)
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        self.shape[output] = shape
        return output

    def conv(self, value, out, kernel, stride=1, pad=None, group=1,
             bias=False, gain=1.0):
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        pad = (kernel[0] // 2, kernel[1] // 2) if pad is None else (pad, pad)
        channels, height, width = self.shape[value]
        depth = channels // group * kernel[0] * kernel[1]
        weights = self.random.normal(
            0.0, gain * np.sqrt(2.0 / depth),
            (out, channels // group, kernel[0], kernel[1]))
        inputs = [value, self.constant(weights)]
        if bias:
            inputs.append(self.constant(self.random.normal(0.0, 0.1, out)))
        height = (height + 2 * pad[0] - kernel[0]) // stride + 1
        width = (width + 2 * pad[1] - kernel[1]) // stride + 1
        self.multiply_adds += out * depth * height * width
        return self.node("Conv", inputs, (out, height, width),
                         kernel_shape=kernel, strides=[stride] * 2,
                         pads=list(pad) * 2, group=group)

    def norm(self, value, gain=1.0, epsilon=1e-5):
        shape = self.shape[value]
        count = shape[0]
        scale = gain * self.random.uniform(0.8, 1.2, count)
        inputs = [value, self.constant(scale)]
        inputs += [self.constant(self.random.normal(0.0, 0.1, count))
                   for _ in range(2)]
        inputs.append(self.constant(self.random.uniform(0.8, 1.2, count)))
        return self.node("BatchNormalization", inputs, shape, epsilon=epsilon)

    def prelu(self, value):
        shape = self.shape[value]
        slope = self.random.uniform(0.1, 0.4, (shape[0], 1, 1))
        return self.node("PRelu", [value, self.constant(slope)], shape)

    def relu(self, value):
        return self.node("Relu", [value], self.shape[value])

    def add(self, a, b):
        return self.node("Add", [a, b], self.shape[a])

    def scale(self, value, factor):
        return self.node("Mul", [value, self.constant(np.array(factor))],
                         self.shape[value])

    def concat(self, values):
        channels = sum(self.shape[v][0] for v in values)
        return self.node("Concat", values,
                         (channels,) + self.shape[values[0]][1:], axis=1)

    def max_pool(self, value):
        channels, height, width = self.shape[value]
        return self.node("MaxPool", [value],
                         (channels, (height - 3) // 2 + 1,
                          (width - 3) // 2 + 1),
                         kernel_shape=[3, 3], strides=[2, 2])

    def average(self, value):
        return self.node("GlobalAveragePool", [value],
                         (self.shape[value][0], 1, 1))

    def flatten(self, value):
        return self.node("Flatten", [value], (int(np.prod(self.shape[value])),))

    def dense(self, value, out, bias=True):
        count = self.shape[value][0]
        weights = self.random.normal(0.0, np.sqrt(1.0 / count), (out, count))
        inputs = [value, self.constant(weights)]
        if bias:
            inputs.append(self.constant(self.random.normal(0.0, 0.1, out)))
        self.multiply_adds += out * count
        return self.node("Gemm", inputs, (out,), transB=1)

    def save(self, value, folder):
        channels, height, width = self.shape["input"]
        model = helper.make_model(
            helper.make_graph(
                self.nodes, self.name,
                [helper.make_tensor_value_info(
                    "input", TensorProto.FLOAT,
                    ["batch", channels, height, width])],
                [helper.make_tensor_value_info(
                    value, TensorProto.FLOAT,
                    ["batch", self.shape[value][0]])],
                self.initializers),
            producer_name="facerec make_models",
            opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 7
        onnx.checker.check_model(model)
        path = os.path.join(folder, self.name + ".onnx")
        onnx.save(model, path)
        print("%-14s %7.1f M multiply-adds, %6.1f MB" %
              (self.name, self.multiply_adds / 1e6,
               os.path.getsize(path) / 1e6))


def ir_net(name, units):
    net = Network(name, 112, 112)
    value = net.prelu(net.norm(net.conv("input", 64, 3)))
    for stage, count in enumerate(units):
        out = 64 << stage
        for unit in range(count):
            stride = 2 if unit == 0 else 1
            shortcut = value
            if unit == 0:
                shortcut = net.norm(net.conv(value, out, 1, stride, gain=0.7))
            value = net.prelu(net.norm(net.conv(net.norm(value), out, 3)))
            value = net.norm(net.conv(value, out, 3, stride), gain=0.3)
            value = net.add(value, shortcut)
    value = net.dense(net.flatten(net.norm(value)), 512)
    return net, net.norm(value)


def ir50():
    return ir_net("ir50", (3, 4, 14, 3))


def ir100():
    return ir_net("ir100", (3, 13, 30, 3))


def mobilefacenet():
    net = Network("mobilefacenet", 112, 112)

    def unit(value, out, kernel, stride=1, group=1, pad=None, linear=False):
        value = net.norm(net.conv(value, out, kernel, stride, pad, group))
        return value if linear else net.prelu(value)

    value = unit("input", 64, 3, 2)
    value = unit(value, 64, 3, 1, 64)
    for factor, out, count, first_stride in (
            (2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2),
            (2, 128, 2, 1)):
        for i in range(count):
            stride = first_stride if i == 0 else 1
            wide = net.shape[value][0] * factor
            inner = unit(unit(value, wide, 1), wide, 3, stride, wide)
            inner = net.norm(net.conv(inner, out, 1), gain=0.3)
            if stride == 1 and net.shape[inner] == net.shape[value]:
                inner = net.add(inner, value)
            value = inner
    value = unit(value, 512, 1)
    value = unit(value, 512, 7, 1, 512, 0, True)
    value = net.dense(net.flatten(value), 128, bias=False)
    return net, net.norm(value)


def facenet():
    net = Network("facenet", 160, 160)

    def unit(value, out, kernel, stride=1, pad=None):
        return net.relu(net.norm(net.conv(value, out, kernel, stride, pad),
                                 epsilon=1e-3))

    def residual(value, branches, factor, last=True):
        out = net.shape[value][0]
        mixed = net.concat(branches)
        up = net.conv(mixed, out, 1, bias=True)
        total = net.add(value, net.scale(up, factor))
        return net.relu(total) if last else total

    def block35(value):
        return residual(value, [
            unit(value, 32, 1),
            unit(unit(value, 32, 1), 32, 3),
            unit(unit(unit(value, 32, 1), 32, 3), 32, 3)], 0.17)

    def block17(value):
        return residual(value, [
            unit(value, 128, 1),
            unit(unit(unit(value, 128, 1), 128, (1, 7)), 128, (7, 1))], 0.10)

    def block8(value, factor=0.20, last=True):
        return residual(value, [
            unit(value, 192, 1),
            unit(unit(unit(value, 192, 1), 192, (1, 3)), 192, (3, 1))],
            factor, last)

    value = unit("input", 32, 3, 2, 0)
    value = unit(unit(value, 32, 3, 1, 0), 64, 3)
    value = unit(net.max_pool(value), 80, 1)
    value = unit(unit(value, 192, 3, 1, 0), 256, 3, 2, 0)
    for _ in range(5):
        value = block35(value)
    value = net.concat([
        unit(value, 384, 3, 2, 0),
        unit(unit(unit(value, 192, 1), 192, 3), 256, 3, 2, 0),
        net.max_pool(value)])
    for _ in range(10):
        value = block17(value)
    value = net.concat([
        unit(unit(value, 256, 1), 384, 3, 2, 0),
        unit(unit(value, 256, 1), 256, 3, 2, 0),
        unit(unit(unit(value, 256, 1), 256, 3), 256, 3, 2, 0),
        net.max_pool(value)])
    for _ in range(5):
        value = block8(value)
    value = block8(value, 1.0, False)
    value = net.dense(net.flatten(net.average(value)), 512, bias=False)
    return net, net.norm(value)


def sphereface20():
    net = Network("sphereface20", 112, 96)
    value = "input"
    for stage, count in enumerate((1, 2, 4, 1)):
        out = 64 << stage
        value = net.prelu(net.conv(value, out, 3, 2, bias=True))
        for _ in range(count):
            inner = net.prelu(net.conv(value, out, 3, bias=True))
            inner = net.prelu(net.conv(inner, out, 3, bias=True, gain=0.3))
            value = net.add(value, inner)
    return net, net.dense(net.flatten(value), 512)


MODELS = {f.__name__: f
          for f in (ir50, ir100, mobilefacenet, facenet, sphereface20)}


def main(arguments):
    names = arguments[1:] or list(MODELS)
    if not arguments or not set(names) <= set(MODELS):
        sys.exit("usage: make_models.py FOLDER [%s]" % " | ".join(MODELS))
    os.makedirs(arguments[0], exist_ok=True)
    for name in names:
        net, value = MODELS[name]()
        net.save(value, arguments[0])


if __name__ == "__main__":
    main(sys.argv[1:])
