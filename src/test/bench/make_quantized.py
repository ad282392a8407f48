#!/usr/bin/env python3
"""Write a network with 8-bit weights and activations (QDQ form), for benchmarks.

    python3 src/test/bench/make_quantized.py IN.onnx OUT.onnx [LARGEST]

Before every convolution of more than 4 channels and every fully connected
layer its input goes through QuantizeLinear and DequantizeLinear (uint8, one
scale and zero point per tensor, shared by its readers); weights are int8, one
scale per output channel, zero point 0.  Depthwise convolutions stay float.
Ranges come from a few smooth random pictures, of values from -1 to 1 or, if
LARGEST is given, from 0 to that: right for timing and for comparing runtimes,
not for accuracy.

Needs numpy and onnx (Debian: python3-numpy, python3-onnx).
"""

import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper


def attributes_of(node):
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def windows(x, kernel, stride, pads, dilation, fill=0.0):
    top, left, bottom, right = pads
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)),
               constant_values=fill)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    view = np.lib.stride_tricks.sliding_window_view(x, reach, (2, 3))
    return view[:, :, ::stride[0], ::stride[1],
                ::dilation[0], ::dilation[1]]


def conv(x, weights, bias, a):
    kernel = weights.shape[2:]
    group = a.get("group", 1)
    view = windows(x, kernel, a.get("strides", [1, 1]),
                   a.get("pads", [0] * 4), a.get("dilations", [1, 1]))
    count = x.shape[1] // group
    parts = []
    for g, part in enumerate(np.split(weights, group)):
        parts.append(np.tensordot(view[:, g * count:(g + 1) * count], part,
                                  ([1, 4, 5], [1, 2, 3])))
    out = np.moveaxis(np.concatenate(parts, -1), -1, 1)
    return out if bias is None else out + bias.reshape(1, -1, 1, 1)


def gemm(a, b, c, attributes):
    b = b.T if attributes.get("transB") else b
    out = attributes.get("alpha", 1.0) * (a @ b)
    return out if c is None else out + attributes.get("beta", 1.0) * c


def batch_norm(x, scale, bias, mean, variance, a):
    shape = (1, -1) + (1,) * (x.ndim - 2)
    factor = scale / np.sqrt(variance + a.get("epsilon", 1e-5))
    return x * factor.reshape(shape) + (bias - mean * factor).reshape(shape)


def pool(x, a, reduce, fill):
    kernel = a["kernel_shape"]
    view = windows(x, kernel, a.get("strides", [1, 1]),
                   a.get("pads", [0] * 4), [1, 1], fill)
    return reduce(view, axis=(4, 5))


def run_node(node, get):
    """The first output of a node whose inputs get(i) gives."""
    a = attributes_of(node)
    x = get(0)
    if node.op_type == "Conv":
        return conv(x, get(1), get(2), a)
    if node.op_type == "Gemm":
        return gemm(x, get(1), get(2), a)
    if node.op_type == "MatMul":
        return x @ get(1)
    if node.op_type == "BatchNormalization":
        return batch_norm(x, get(1), get(2), get(3), get(4), a)
    if node.op_type == "PRelu":
        return np.where(x > 0, x, x * get(1))
    if node.op_type == "Relu":
        return np.maximum(x, 0)
    if node.op_type == "Clip":
        return np.clip(x, a.get("min", get(1)), a.get("max", get(2)))
    if node.op_type == "MaxPool":
        return pool(x, a, np.max, -np.inf)
    if node.op_type == "AveragePool":
        return pool(x, a, np.mean, 0.0)
    if node.op_type == "GlobalAveragePool":
        return x.mean((2, 3), keepdims=True)
    if node.op_type == "Flatten":
        return x.reshape(x.shape[0], -1)
    if node.op_type == "Reshape":
        return x.reshape([x.shape[i] if n == 0 else n
                          for i, n in enumerate(get(1))])
    if node.op_type == "Concat":
        return np.concatenate([get(i) for i in range(len(node.input))],
                              a["axis"])
    if node.op_type == "Constant":
        return numpy_helper.to_array(a["value"])
    if node.op_type == "Sigmoid":
        return 1 / (1 + np.exp(-x))
    simple = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply,
              "Div": np.divide}
    return simple[node.op_type](x, get(1))


def pictures(count, shape, largest):
    """Smooth random pictures."""
    random = np.random.default_rng(1)
    channels, height, width = shape
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    out = np.zeros((count, channels, height, width), np.float32)
    for image in out:
        for plane in image:
            for _ in range(8):
                u, v = random.normal(0, 8, 2)
                plane += random.normal(0, 0.4) * np.cos(
                    u * x + v * y + random.uniform(0, 6.3))
    out = np.clip(out, -1, 1)
    return (out + 1) * (largest / 2) if largest else out


def ranges(model, images):
    """Smallest and largest value of every tensor."""
    weights = {t.name: numpy_helper.to_array(t)
               for t in model.graph.initializer}
    found = {}
    for image in images:
        values = {model.graph.input[0].name: image[None]}

        def value(name):
            return values.get(name, weights.get(name)) if name else None

        for node in model.graph.node:
            def get(i):
                return value(node.input[i]) if i < len(node.input) else None
            out = run_node(node, get)
            values[node.output[0]] = out.astype(np.float32)
        for name, v in values.items():
            low, high = found.get(name, (0.0, 0.0))
            found[name] = min(low, float(v.min())), max(high, float(v.max()))
    return found


class Quantiser:
    def __init__(self, model, found):
        self.model, self.found = model, found
        self.weights = {t.name: numpy_helper.to_array(t)
                        for t in model.graph.initializer}
        self.nodes, self.added, self.done = [], [], {}

    def constant(self, name, array):
        self.added.append(numpy_helper.from_array(array, name))
        return name

    def activation(self, name):
        if name not in self.done:
            low, high = self.found[name]
            scale = np.float32(max(high - low, 1e-6) / 255)
            zero = np.uint8(np.clip(round(-low / scale), 0, 255))
            args = [self.constant(name + "_scale", scale),
                    self.constant(name + "_zero", zero)]
            self.nodes.append(helper.make_node(
                "QuantizeLinear", [name] + args, [name + "_q"]))
            self.nodes.append(helper.make_node(
                "DequantizeLinear", [name + "_q"] + args, [name + "_dq"]))
            self.done[name] = name + "_dq"
        return self.done[name]

    def weight(self, name, axis):
        if name not in self.done:
            array = self.weights[name]
            others = tuple(i for i in range(array.ndim) if i != axis)
            scale = np.maximum(np.abs(array).max(others), 1e-8) / 127
            scale = scale.astype(np.float32)
            shape = [1] * array.ndim
            shape[axis] = -1
            data = np.clip(np.round(array / scale.reshape(shape)), -127, 127)
            args = [self.constant(name + "_q", data.astype(np.int8)),
                    self.constant(name + "_scale", scale),
                    self.constant(name + "_zero",
                                  np.zeros(len(scale), np.int8))]
            self.nodes.append(helper.make_node(
                "DequantizeLinear", args, [name + "_dq"], axis=axis))
            self.done[name] = name + "_dq"
        return self.done[name]

    def run(self):
        for node in self.model.graph.node:
            a = attributes_of(node)
            weights = self.weights.get(node.input[1]) \
                if len(node.input) > 1 else None
            axis = 0
            wanted = node.op_type == "Conv" and a.get("group", 1) == 1 and \
                weights is not None and weights.shape[1] > 4
            if node.op_type in ("Gemm", "MatMul") and weights is not None:
                wanted, axis = True, 0 if a.get("transB") else 1
            if wanted:
                node.input[0] = self.activation(node.input[0])
                node.input[1] = self.weight(node.input[1], axis)
            self.nodes.append(node)
        graph = self.model.graph
        del graph.node[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend(self.added)
        used = {i for n in self.nodes for i in n.input}
        kept = [t for t in graph.initializer if t.name in used]
        del graph.initializer[:]
        graph.initializer.extend(kept)
        del graph.value_info[:]


def main(arguments):
    if len(arguments) not in (2, 3):
        sys.exit("usage: make_quantized.py IN.onnx OUT.onnx [LARGEST]")
    model = onnx.load(arguments[0])
    if model.opset_import[0].version < 13:
        model = onnx.version_converter.convert_version(model, 13)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    shape = [d.dim_value for d in dims][1:]
    largest = np.float32(arguments[2]) if len(arguments) == 3 else None
    images = pictures(4, shape, largest)
    Quantiser(model, ranges(model, images)).run()
    onnx.save(model, arguments[1])


if __name__ == "__main__":
    main(sys.argv[1:])
