#!/usr/bin/env python3
"""Golden vectors for the plain operators: small ONNX models, inputs, and the
outputs that ONNX Runtime calculates for them (graph optimisation off).

usage: make_ops.py <onnxruntime-node folder> <ops.bin to write>

Needs Python with numpy and onnx, and node.  ops.bin is little-endian:
  "FROP", uint32 count of cases; per case
  uint32 length, name; uint32 length, ONNX file;
  uint32 inputs, each: uint32 rank, int64 dims[rank], float32 data;
  uint32 outputs, each: uint32 type (0 float32, 1 int64, 2 int32, 3 bool,
  4 uint8, 5 int8), uint32 rank, int64 dims[rank], data.
Every field starts where the last one ends, without padding.
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

CASES = []
RNG = np.random.RandomState(20)


def rand(*shape):
    return RNG.uniform(-2, 2, shape).astype(np.float32)


def ints(*values):
    return np.array(values, dtype=np.int64)


def case(name, nodes, inputs, inits=None, opset=13, outputs=("y",)):
    """nodes: list of NodeProto; inputs: {name: array}; inits likewise."""
    declared = [
        helper.make_tensor_value_info(
            key, TensorProto.FLOAT,
            ["%s%d" % (key, i) for i in range(value.ndim)])
        for key, value in inputs.items()
    ]
    results = [onnx.ValueInfoProto() for _ in outputs]
    for info, key in zip(results, outputs):
        info.name = key
    graph = helper.make_graph(
        nodes, "test", declared, results,
        [numpy_helper.from_array(value, key)
         for key, value in (inits or {}).items()])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    model.producer_name = ""
    CASES.append((name, model, inputs, list(outputs)))


def op(name, kind, inputs, inits=None, opset=13, outputs=("y",), order=None,
       **attributes):
    """One node; order gives its input names, '' for an absent one."""
    names = order or list(inputs) + list(inits or {})
    case(name, [helper.make_node(kind, names, list(outputs), name=name,
                                 **attributes)],
         inputs, inits, opset, outputs)


def add_convolutions():
    x = rand(2, 4, 7, 9)
    op("conv 3x3", "Conv", {"x": x}, {"w": rand(5, 4, 3, 3)})
    op("conv 3x3 bias pads", "Conv", {"x": x},
       {"w": rand(5, 4, 3, 3), "b": rand(5)}, pads=[1, 2, 0, 1])
    op("conv 3x3 stride 2", "Conv", {"x": x},
       {"w": rand(6, 4, 3, 3), "b": rand(6)}, pads=[1, 1, 1, 1],
       strides=[2, 2])
    op("conv 2x3 strides 3 2", "Conv", {"x": x}, {"w": rand(2, 4, 2, 3)},
       strides=[3, 2])
    op("conv dilation", "Conv", {"x": x}, {"w": rand(3, 4, 3, 2)},
       dilations=[2, 3], pads=[2, 0, 2, 3])
    op("conv groups", "Conv", {"x": x}, {"w": rand(6, 2, 3, 3)}, group=2,
       pads=[1, 1, 1, 1])
    op("conv depthwise", "Conv", {"x": x}, {"w": rand(4, 1, 3, 3)}, group=4,
       pads=[1, 1, 1, 1])
    op("conv depthwise multiplier", "Conv", {"x": x},
       {"w": rand(8, 1, 3, 3), "b": rand(8)}, group=4, strides=[2, 1])
    op("conv 1x1", "Conv", {"x": x}, {"w": rand(7, 4, 1, 1)})
    op("conv whole image", "Conv", {"x": x}, {"w": rand(3, 4, 7, 9)})
    for mode in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        op("conv " + mode, "Conv", {"x": x}, {"w": rand(2, 4, 4, 3)},
           auto_pad=mode, strides=[2, 3])
    t = rand(2, 4, 4, 5)
    op("conv transpose", "ConvTranspose", {"x": t}, {"w": rand(4, 3, 3, 3)})
    op("conv transpose stride 2", "ConvTranspose", {"x": t},
       {"w": rand(4, 3, 4, 4), "b": rand(3)}, strides=[2, 2],
       pads=[1, 1, 1, 1])
    op("conv transpose groups", "ConvTranspose", {"x": t},
       {"w": rand(4, 2, 3, 2)}, group=2, strides=[2, 3],
       output_padding=[1, 2], pads=[1, 0, 0, 1])
    op("conv transpose dilation", "ConvTranspose", {"x": t},
       {"w": rand(4, 2, 3, 3)}, dilations=[2, 2])
    op("conv transpose output shape", "ConvTranspose", {"x": t},
       {"w": rand(4, 2, 3, 3)}, strides=[2, 2], output_shape=[8, 10])
    for mode in ("SAME_UPPER", "SAME_LOWER"):
        op("conv transpose " + mode, "ConvTranspose", {"x": t},
           {"w": rand(4, 2, 3, 3)}, strides=[2, 2], auto_pad=mode)


def add_pools():
    x = rand(2, 3, 7, 10)
    for opset in (10, 12, 19):
        for ceil in (0, 1):
            tail = " ceil %d opset %d" % (ceil, opset)
            op("max pool 2x2" + tail, "MaxPool", {"x": x}, opset=opset,
               kernel_shape=[2, 2], strides=[2, 2], ceil_mode=ceil)
            op("max pool 3x3" + tail, "MaxPool", {"x": x}, opset=opset,
               kernel_shape=[3, 3], strides=[2, 3], pads=[1, 1, 1, 1],
               ceil_mode=ceil)
            for include in (0, 1):
                op("average pool 3x3 include %d" % include + tail,
                   "AveragePool", {"x": x}, opset=opset, kernel_shape=[3, 3],
                   strides=[2, 3], pads=[1, 1, 1, 0], ceil_mode=ceil,
                   count_include_pad=include)
    op("max pool last window in padding", "MaxPool", {"x": rand(1, 1, 3, 5)},
       kernel_shape=[1, 1], strides=[2, 3], ceil_mode=1, pads=[0, 0, 0, 0])
    op("max pool ceil dropped window", "MaxPool", {"x": rand(1, 2, 5, 5)},
       kernel_shape=[2, 2], strides=[3, 3], ceil_mode=1, pads=[1, 1, 1, 1],
       opset=19)
    op("average pool ceil dropped window", "AveragePool",
       {"x": rand(1, 2, 5, 5)}, kernel_shape=[2, 2], strides=[3, 3],
       ceil_mode=1, pads=[1, 1, 1, 1], opset=19)
    op("max pool dilation", "MaxPool", {"x": x}, kernel_shape=[2, 3],
       dilations=[2, 2], strides=[1, 2])
    op("average pool dilation", "AveragePool", {"x": x}, opset=19,
       kernel_shape=[2, 3], dilations=[2, 2], pads=[1, 1, 1, 1])
    op("average pool dilation include", "AveragePool", {"x": x}, opset=19,
       kernel_shape=[2, 3], dilations=[2, 2], pads=[1, 1, 1, 1],
       count_include_pad=1)
    for mode in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        op("max pool " + mode, "MaxPool", {"x": x}, kernel_shape=[3, 2],
           strides=[2, 2], auto_pad=mode)
        op("average pool " + mode, "AveragePool", {"x": x},
           kernel_shape=[3, 2], strides=[2, 2], auto_pad=mode)
    op("global average pool", "GlobalAveragePool", {"x": x})
    op("global max pool", "GlobalMaxPool", {"x": x})


def add_products():
    op("gemm", "Gemm", {"a": rand(3, 4)}, {"b": rand(4, 5), "c": rand(5)})
    op("gemm transposed", "Gemm", {"a": rand(4, 3)},
       {"b": rand(5, 4), "c": rand(3, 1)}, transA=1, transB=1, alpha=0.5,
       beta=2.0)
    op("gemm without c", "Gemm", {"a": rand(3, 4)}, {"b": rand(5, 4)},
       transB=1)
    op("gemm scalar c", "Gemm", {"a": rand(3, 4), "b": rand(4, 2)},
       {"c": rand(1)}, opset=9)
    op("matmul", "MatMul", {"a": rand(3, 4), "b": rand(4, 5)})
    op("matmul batch", "MatMul", {"a": rand(2, 1, 3, 4), "b": rand(5, 4, 2)})
    op("matmul vector right", "MatMul", {"a": rand(2, 3, 4), "b": rand(4)})
    op("matmul vector left", "MatMul", {"a": rand(4), "b": rand(2, 4, 3)})
    op("matmul vectors", "MatMul", {"a": rand(4), "b": rand(4)})


def add_norms():
    x = rand(2, 3, 4, 5)
    stats = {"s": rand(3), "b": rand(3), "m": rand(3), "v": abs(rand(3))}
    op("batch norm", "BatchNormalization", {"x": x}, stats, epsilon=1e-3)
    op("batch norm opset 7", "BatchNormalization", {"x": x}, stats, opset=7)
    op("batch norm opset 15", "BatchNormalization", {"x": x}, stats, opset=15)
    op("batch norm matrix", "BatchNormalization", {"x": rand(4, 3)}, stats)
    op("instance norm", "InstanceNormalization", {"x": x},
       {"s": rand(3), "b": rand(3)})
    op("layer norm", "LayerNormalization", {"x": x},
       {"s": rand(5), "b": rand(5)}, opset=17)
    op("layer norm axis", "LayerNormalization", {"x": x},
       {"s": rand(3, 4, 5), "b": rand(3, 4, 5)}, opset=17, axis=1,
       epsilon=0.1)
    op("layer norm no bias", "LayerNormalization", {"x": x}, {"s": rand(5)},
       opset=17)
    for p in (1, 2):
        op("lp norm %d" % p, "LpNormalization", {"x": x}, p=p, axis=1)
    op("lp norm last", "LpNormalization", {"x": rand(3, 7)})
    op("lrn 3", "LRN", {"x": rand(1, 6, 2, 3)}, size=3, alpha=0.5)
    op("lrn 5", "LRN", {"x": rand(2, 7, 2, 3)}, size=5, beta=0.5, bias=2.0)
    for opset in (11, 13):
        op("softmax opset %d" % opset, "Softmax", {"x": x}, opset=opset)
        op("softmax axis 2 opset %d" % opset, "Softmax", {"x": x},
           opset=opset, axis=2)
    op("softmax negative axis", "Softmax", {"x": x}, axis=-3)


def add_elementwise():
    x = rand(2, 3, 11)
    for kind in ("Relu", "LeakyRelu", "Elu", "Sigmoid", "HardSigmoid", "Tanh",
                 "Erf", "Softplus", "Exp", "Abs", "Neg", "Reciprocal",
                 "Floor", "Ceil", "Identity", "Dropout"):
        op(kind, kind, {"x": x})
    op("HardSwish", "HardSwish", {"x": 3 * x}, opset=14)
    op("Gelu", "Gelu", {"x": x}, opset=20)
    op("Gelu tanh", "Gelu", {"x": x}, opset=20, approximate="tanh")
    op("Log", "Log", {"x": abs(x) + np.float32(0.1)})
    op("Sqrt", "Sqrt", {"x": abs(x)})
    op("leaky relu alpha", "LeakyRelu", {"x": x}, alpha=0.3)
    op("elu alpha", "Elu", {"x": x}, alpha=0.5)
    op("hard sigmoid alpha", "HardSigmoid", {"x": x}, alpha=0.4, beta=0.3)
    op("clip attributes", "Clip", {"x": x}, opset=6 + 1, min=-0.5, max=1.0)
    op("clip inputs", "Clip", {"x": x},
       {"lo": np.float32(-0.5), "hi": np.float32(1)})
    op("clip max only", "Clip", {"x": x}, {"hi": np.float32(0.25)},
       order=["x", "", "hi"])
    op("clip nothing", "Clip", {"x": x})
    op("prelu channel", "PRelu", {"x": rand(2, 3, 4, 5)},
       {"slope": rand(3, 1, 1)})
    op("prelu scalar", "PRelu", {"x": x}, {"slope": rand(1)})
    op("dropout opset 7", "Dropout", {"x": x}, opset=7, ratio=0.3)
    op("dropout opset 12", "Dropout", {"x": x}, {"r": np.float32(0.4)},
       opset=12)
    a, b = rand(2, 3, 4, 5), rand(3, 1, 5)
    for kind in ("Add", "Sub", "Mul", "Div"):
        op(kind + " broadcast", kind, {"a": a, "b": b})
        op(kind + " scalar", kind, {"a": a}, {"b": np.float32(1.5)})
        op(kind + " reversed", kind, {"a": rand(5), "b": a})
        op(kind + " both", kind, {"a": rand(4, 1), "b": rand(1, 3)}, opset=7)
    op("Pow", "Pow", {"a": abs(a), "b": b})
    op("Pow integer exponent", "Pow", {"a": a}, {"b": ints(2)})
    for kind in ("Min", "Max"):
        op(kind + " three", kind, {"a": a, "b": b, "c": rand(2, 1, 1, 1)})
        op(kind + " one", kind, {"a": a})


def add_reductions():
    x = rand(2, 3, 4, 5)
    for kind in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin",
                 "ReduceL2"):
        op(kind + " all", kind, {"x": x}, opset=11)
        op(kind + " axes", kind, {"x": x}, opset=11, axes=[1, 3])
        op(kind + " negative axis", kind, {"x": x}, opset=11, axes=[-2],
           keepdims=0)
        op(kind + " input", kind, {"x": x}, {"axes": ints(2, 3)}, opset=18,
           keepdims=0)
    op("ReduceSum input", "ReduceSum", {"x": x}, {"axes": ints(0)})
    op("ReduceSum noop", "ReduceSum", {"x": x}, {"axes": ints()},
       noop_with_empty_axes=1)
    op("ReduceSum empty axes", "ReduceSum", {"x": x}, {"axes": ints()})


def add_resizes():
    x = rand(1, 2, 4, 5)
    roi = np.zeros(0, np.float32)
    up = np.array([1, 1, 2, 2.6], np.float32)
    down = np.array([1, 1, 0.6, 0.7], np.float32)
    for coordinates in ("half_pixel", "pytorch_half_pixel", "asymmetric",
                        "align_corners"):
        for tag, scales in (("up", up), ("down", down)):
            op("resize linear %s %s" % (coordinates, tag), "Resize",
               {"x": x}, {"roi": roi, "scales": scales}, mode="linear",
               coordinate_transformation_mode=coordinates)
            for rounding in ("round_prefer_floor", "round_prefer_ceil",
                             "floor", "ceil"):
                op("resize nearest %s %s %s" % (coordinates, rounding, tag),
                   "Resize", {"x": x}, {"roi": roi, "scales": scales},
                   mode="nearest", nearest_mode=rounding,
                   coordinate_transformation_mode=coordinates)
    op("resize sizes linear", "Resize", {"x": x}, {"sizes": ints(1, 2, 7, 3)},
       order=["x", "", "", "sizes"], mode="linear")
    op("resize sizes nearest opset 11", "Resize", {"x": x},
       {"roi": roi, "scales": roi.copy(), "sizes": ints(1, 2, 9, 8)},
       opset=11, mode="nearest")
    op("resize to one", "Resize", {"x": x}, {"sizes": ints(1, 2, 1, 1)},
       order=["x", "", "", "sizes"], mode="linear",
       coordinate_transformation_mode="align_corners")
    for opset in (10,):
        for mode in ("nearest", "linear"):
            op("resize opset 10 " + mode, "Resize", {"x": x}, {"s": up},
               opset=opset, mode=mode)
            op("resize opset 10 down " + mode, "Resize", {"x": x},
               {"s": down}, opset=opset, mode=mode)
    for mode in ("nearest", "linear"):
        op("upsample opset 7 " + mode, "Upsample", {"x": x}, opset=7,
           mode=mode, scales=[1.0, 1.0, 2.0, 3.0])
        op("upsample opset 9 " + mode, "Upsample", {"x": x}, {"s": up},
           opset=9, mode=mode)


def add_shapes():
    x = rand(2, 3, 4, 5)
    op("flatten", "Flatten", {"x": x})
    op("flatten 0", "Flatten", {"x": x}, axis=0)
    op("flatten negative", "Flatten", {"x": x}, axis=-1)
    op("reshape", "Reshape", {"x": x}, {"s": ints(0, -1, 10)})
    op("reshape all", "Reshape", {"x": x}, {"s": ints(-1)}, opset=7)
    op("reshape allowzero", "Reshape", {"x": x}, {"s": ints(6, 20)},
       opset=14, allowzero=1)
    op("transpose", "Transpose", {"x": x}, perm=[0, 2, 3, 1])
    op("transpose reverse", "Transpose", {"x": x})
    op("squeeze axes", "Squeeze", {"x": rand(1, 3, 1, 2)}, opset=11,
       axes=[0])
    op("squeeze input", "Squeeze", {"x": rand(1, 3, 1, 2)},
       {"axes": ints(-2)})
    op("unsqueeze axes", "Unsqueeze", {"x": rand(3, 2)}, opset=11,
       axes=[0, 3])
    op("unsqueeze input", "Unsqueeze", {"x": rand(3, 2)},
       {"axes": ints(-1, 1)})
    op("concat", "Concat", {"a": x, "b": rand(2, 1, 4, 5), "c": x}, axis=1)
    op("concat last", "Concat", {"a": x, "b": rand(2, 3, 4, 2)}, axis=-1)
    op("split attribute", "Split", {"x": x}, opset=11, axis=3, split=[1, 4],
       outputs=("y", "z"))
    op("split input", "Split", {"x": x}, {"s": ints(2, 1, 1)}, axis=2,
       outputs=("y", "z", "w"))
    op("split equal", "Split", {"x": x}, axis=2, outputs=("y", "z"))
    op("split uneven", "Split", {"x": x}, opset=18, axis=3, num_outputs=2,
       outputs=("y", "z"))
    op("slice attributes", "Slice", {"x": x}, opset=9, starts=[1, -3],
       ends=[4, 1000], axes=[2, 3])
    op("slice inputs", "Slice", {"x": x},
       {"s": ints(0, 1), "e": ints(-1, 4), "a": ints(-1, 2),
        "t": ints(2, 1)})
    op("slice negative step", "Slice", {"x": x},
       {"s": ints(-1, 3), "e": ints(-(2 ** 62), 0), "a": ints(3, 2),
        "t": ints(-1, -2)})
    op("slice no axes", "Slice", {"x": x}, {"s": ints(1, 0), "e": ints(2, 2)})
    op("slice huge step", "Slice", {"x": x},
       {"s": ints(1), "e": ints(5), "a": ints(3), "t": ints(2 ** 62)})
    for mode in ("constant", "reflect", "edge"):
        op("pad attributes " + mode, "Pad", {"x": x}, opset=10, mode=mode,
           pads=[0, 0, 1, 2, 0, 1, 3, 0])
        op("pad input " + mode, "Pad", {"x": x},
           {"p": ints(1, 0, 2, 0, 0, 2, 1, 4), "v": np.float32(7)}, mode=mode)
    op("pad attribute value", "Pad", {"x": x}, opset=7, value=3.5,
       pads=[0, 0, 1, 1, 0, 0, 1, 1])
    op("pad negative", "Pad", {"x": x}, {"p": ints(0, 0, -1, 1, 0, 0, 2, -2)})
    op("pad axes", "Pad", {"x": x},
       {"p": ints(1, 2, 0, 1), "v": np.float32(-1), "a": ints(3, -3)},
       opset=18)
    op("gather", "Gather", {"x": x}, {"i": ints(2, 0, -1)}, axis=2)
    op("gather matrix", "Gather", {"x": x},
       {"i": np.array([[0, -2], [1, 1]], np.int64)}, axis=1)
    op("gather scalar", "Gather", {"x": x}, {"i": np.int64(-1)}, axis=3)
    op("expand", "Expand", {"x": rand(3, 1)}, {"s": ints(2, 1, 4)})
    op("shape", "Shape", {"x": x})
    op("shape range", "Shape", {"x": x}, opset=15, start=1, end=-1)
    op("cast int64", "Cast", {"x": 3 * x}, to=TensorProto.INT64)
    op("cast int32", "Cast", {"x": 3 * x}, to=TensorProto.INT32)
    op("cast bool", "Cast", {"x": np.floor(x)}, to=TensorProto.BOOL)


def add_graphs():
    """Several nodes: shape arithmetic that folding must remove."""
    node = helper.make_node
    x = rand(2, 3, 4, 6)
    case("view as size", [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Unsqueeze", ["n"], ["n1"], axes=[0]),
        node("Concat", ["n1", "minus"], ["to"], axis=0),
        node("Reshape", ["x", "to"], ["y"]),
    ], {"x": x}, {"zero": np.int64(0), "minus": ints(-1)}, opset=11)
    case("half size", [
        node("Shape", ["x"], ["s"]),
        node("Slice", ["s", "two", "four"], ["hw"]),
        node("Mul", ["hw", "twos"], ["hw2"]),
        node("Slice", ["s", "none", "two"], ["nc"]),
        node("Concat", ["nc", "hw2"], ["sizes"], axis=0),
        node("Resize", ["x", "", "", "sizes"], ["y"], mode="nearest",
             coordinate_transformation_mode="asymmetric",
             nearest_mode="floor"),
    ], {"x": x}, {"two": ints(2), "four": ints(4), "none": ints(0),
                  "twos": ints(2, 2)})
    case("scales by division", [
        node("Shape", ["x"], ["s"]),
        node("Cast", ["s"], ["f"], to=TensorProto.FLOAT),
        node("Div", ["target", "f"], ["scales"]),
        node("Resize", ["x", "", "scales"], ["y"], mode="linear"),
    ], {"x": x}, {"target": np.array([2, 3, 8, 9], np.float32)})
    case("fill and add", [
        node("Shape", ["x"], ["s"]),
        node("ConstantOfShape", ["s"], ["ones"],
             value=helper.make_tensor("v", TensorProto.FLOAT, [1], [1.5])),
        node("Add", ["x", "ones"], ["y"]),
    ], {"x": x})
    case("integer arithmetic", [
        node("Shape", ["x"], ["s"]),
        node("Sub", ["s", "k"], ["a"]),
        node("Div", ["a", "k"], ["b"]),
        node("Neg", ["b"], ["c"]),
        node("Abs", ["c"], ["d"]),
        node("Max", ["d", "k"], ["e"]),
        node("ReduceSum", ["e"], ["y"], keepdims=0),
    ], {"x": x}, {"k": ints(3, -2, 2, 4)})
    case("constants", [
        node("Constant", [], ["c"], value_floats=[1.0, 2.0, 3.0, 4.0, 5.0,
                                                  6.0]),
        node("Constant", [], ["t"],
             value=helper.make_tensor("v", TensorProto.FLOAT, [], [0.5])),
        node("Constant", [], ["k"], value_int=1),
        node("Cast", ["k"], ["kf"], to=TensorProto.FLOAT),
        node("Mul", ["c", "t"], ["m"]),
        node("Add", ["m", "kf"], ["a"]),
        node("Add", ["x", "a"], ["y"]),
    ], {"x": x})
    case("identity output", [node("Identity", ["x"], ["y"]),
                             node("Relu", ["x"], ["z"])],
         {"x": x}, outputs=("y", "z"))
    half = numpy_helper.from_array(rand(6).astype(np.float16), "h")
    case("float16 weights", [
        node("Constant", [], ["h"], value=half),
        node("Cast", ["h"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["x", "f"], ["y"])], {"x": x})
    case("typed fields", [
        node("Constant", [], ["d"], value=helper.make_tensor(
            "v", TensorProto.DOUBLE, [6], [0.1, 1e-3, -5, 6, 7, 8])),
        node("Constant", [], ["i"], value=helper.make_tensor(
            "v", TensorProto.INT32, [6], [-1, 2, 3, -400000, 5, 6])),
        node("Constant", [], ["u"], value=helper.make_tensor(
            "v", TensorProto.UINT8, [6], [0, 255, 128, 127, 1, 2])),
        node("Constant", [], ["b"], value=helper.make_tensor(
            "v", TensorProto.INT8, [6], [-128, 127, -1, 0, 1, 2])),
        node("Cast", ["d"], ["df"], to=TensorProto.FLOAT),
        node("Cast", ["i"], ["if"], to=TensorProto.FLOAT),
        node("Cast", ["u"], ["uf"], to=TensorProto.FLOAT),
        node("Cast", ["b"], ["bf"], to=TensorProto.FLOAT),
        node("Add", ["df", "if"], ["s1"]), node("Add", ["uf", "bf"], ["s2"]),
        node("Mul", ["s1", "s2"], ["m"]), node("Mul", ["x", "m"], ["y"]),
    ], {"x": x})


def add_quantization():
    """Quantised tensors; ties, saturation, every type and axis."""
    def byte(kind, *values):
        return np.array(values, dtype=kind)

    # Multiples of a quarter with scale 0.5: every other one is a tie.
    x = (np.arange(-600, 600, dtype=np.float32) / 4).reshape(2, 3, 10, 20)
    scale = np.array(0.5, dtype=np.float32)
    for kind, zero in (("uint8", 0), ("uint8", 7), ("uint8", 255),
                       ("int8", 0), ("int8", -128), ("int8", 5)):
        z = np.array(zero, dtype=kind)
        for opset in (10, 13):
            name = "quantize %s zero %d opset %d" % (kind, zero, opset)
            op(name, "QuantizeLinear", {"x": x}, {"s": scale, "z": z}, opset)
            case("de" + name, [
                helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
                helper.make_node("DequantizeLinear", ["q", "t", "z"], ["y"]),
            ], {"x": x}, {"s": scale, "z": z,
                          "t": np.array([0.3], dtype=np.float32)}, opset)
    op("quantize without zero", "QuantizeLinear", {"x": x}, {"s": scale})
    odd = np.array(0.37, dtype=np.float32)
    op("quantize odd scale", "QuantizeLinear",
       {"x": RNG.uniform(-60, 60, (2, 3, 10, 20)).astype(np.float32)},
       {"s": odd, "z": byte("uint8", 128).reshape(())})
    scales = np.array([0.5, 0.25, 1.5], dtype=np.float32)
    for axis in (1, -3):
        op("quantize axis %d" % axis, "QuantizeLinear", {"x": x},
           {"s": scales, "z": byte("int8", 0, -3, 100)}, axis=axis)
    tall = np.linspace(0.1, 2, 20).astype(np.float32)
    op("quantize last axis", "QuantizeLinear", {"x": x},
       {"s": tall, "z": np.arange(20, dtype=np.uint8)}, axis=3)
    small = rand(2, 3, 4)
    for kind, values in (
            ("int8", RNG.randint(-128, 128, (2, 3, 4)).astype(np.int8)),
            ("uint8", RNG.randint(0, 256, (2, 3, 4)).astype(np.uint8)),
            ("int32", RNG.randint(-9**9, 9**9, (2, 3, 4)).astype(np.int32))):
        for axis, count in ((0, 2), (1, 3), (2, 4), (-1, 4)):
            s = np.linspace(0.1, 0.4, count).astype(np.float32)
            inits = {"q": values, "s": s * (1e-9 if kind == "int32" else 1)}
            inits["s"] = inits["s"].astype(np.float32)
            names = ["q", "s"]
            if kind != "int32":
                inits["z"] = np.arange(count).astype(kind)
                names.append("z")
            case("dequantize %s axis %d" % (kind, axis), [
                helper.make_node("DequantizeLinear", names, ["d"], axis=axis),
                helper.make_node("Add", ["x", "d"], ["y"]),
            ], {"x": small}, inits)
    weights = RNG.randint(-127, 128, (6, 4, 3, 3)).astype(np.int8)
    case("quantized convolution", [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws"], ["wd"], axis=0),
        helper.make_node("DequantizeLinear", ["b", "bs"], ["bd"], axis=0),
        helper.make_node("Conv", ["d", "wd", "bd"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("QuantizeLinear", ["c", "os", "oz"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "os", "oz"], ["y"]),
    ], {"x": rand(1, 4, 8, 9)}, {
        "s": np.array(0.0157, np.float32), "z": np.array(127, np.uint8),
        "w": weights, "ws": np.linspace(0.004, 0.01, 6).astype(np.float32),
        "b": RNG.randint(-5000, 5000, 6).astype(np.int32),
        "bs": (0.0157 * np.linspace(0.004, 0.01, 6)).astype(np.float32),
        "os": np.array(0.08, np.float32), "oz": np.array(120, np.uint8)})


def run_reference(ort, folder):
    listing = []
    for index, (_, model, inputs, outputs) in enumerate(CASES):
        path = "%d.onnx" % index
        with open(os.path.join(folder, path), "wb") as file:
            file.write(model.SerializeToString(deterministic=True))
        entry = {"model": path, "inputs": [], "outputs": []}
        for key, value in inputs.items():
            data = "%d.%s.in" % (index, key)
            np.ascontiguousarray(value).tofile(os.path.join(folder, data))
            entry["inputs"].append(
                {"name": key, "dims": list(value.shape), "file": data})
        for key in outputs:
            entry["outputs"].append(
                {"name": key, "file": "%d.%s.out" % (index, key)})
        listing.append(entry)
    with open(os.path.join(folder, "cases.json"), "w") as file:
        json.dump(listing, file)
    here = os.path.dirname(os.path.abspath(__file__))
    subprocess.run(["node", os.path.join(here, "run_ort.js"), ort, folder],
                   check=True)
    with open(os.path.join(folder, "results.json")) as file:
        return json.load(file)


TYPES = {"float32": 0, "int64": 1, "int32": 2, "bool": 3, "uint8": 4,
         "int8": 5}


def pack_shape(dims):
    return struct.pack("<I%dq" % len(dims), len(dims), *dims)


def main():
    ort, target = sys.argv[1:3]
    for add in (add_convolutions, add_pools, add_products, add_norms,
                add_elementwise, add_reductions, add_resizes, add_shapes,
                add_graphs, add_quantization):
        add()
    with tempfile.TemporaryDirectory() as folder:
        results = run_reference(ort, folder)
        packed, skipped = [], 0
        for index, (name, model, inputs, outputs) in enumerate(CASES):
            result = results[index]
            if isinstance(result, dict):
                print("left out: %s: %s" % (name, result["error"]))
                skipped += 1
                continue
            bytes_of_model = model.SerializeToString(deterministic=True)
            part = struct.pack("<I", len(name)) + name.encode()
            part += struct.pack("<I", len(bytes_of_model)) + bytes_of_model
            part += struct.pack("<I", len(inputs))
            for value in inputs.values():
                part += pack_shape(value.shape)
                part += np.ascontiguousarray(value).tobytes()
            part += struct.pack("<I", len(outputs))
            for key, about in zip(outputs, result):
                with open(os.path.join(folder, "%d.%s.out" % (index, key)),
                          "rb") as file:
                    part += struct.pack("<I", TYPES[about["type"]])
                    part += pack_shape(about["dims"]) + file.read()
            packed.append(part)
    with open(target, "wb") as file:
        file.write(b"FROP" + struct.pack("<I", len(packed)) + b"".join(packed))
    print("%d cases, %d left out" % (len(packed), skipped))


main()
