#!/usr/bin/python3
"""Make small ONNX files that are each broken in one way.

The base is a sound embedder: Conv, GlobalAveragePool, Flatten.  Needs
python3-onnx and python3-numpy; the files are committed, so that tests need
neither.
"""

import os

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FOLDER = os.path.dirname(os.path.abspath(__file__))


def base():
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((8, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["a"], name="conv"),
        helper.make_node("GlobalAveragePool", ["a"], ["b"], name="pool"),
        helper.make_node("Flatten", ["b"], ["embedding"], name="flatten"),
    ]
    graph = helper.make_graph(
        nodes, "base",
        [helper.make_tensor_value_info(
            "input", TensorProto.FLOAT, ["batch", 3, 112, 112])],
        [helper.make_tensor_value_info(
            "embedding", TensorProto.FLOAT, ["batch", 8])],
        [numpy_helper.from_array(weights, "w")])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def save(name, model):
    with open(os.path.join(FOLDER, name), "wb") as file:
        file.write(model.SerializeToString())


if __name__ == "__main__":
    model = base()
    del model.graph.initializer[:]
    save("missing-weight.onnx", model)

    model = base()
    weights = model.graph.initializer[0]
    weights.raw_data = weights.raw_data[:-4]
    save("short-weight.onnx", model)

    model = base()
    model.graph.initializer[0].dims[1] = 4
    model.graph.initializer[0].raw_data = bytes(4 * 8 * 4 * 3 * 3)
    save("wrong-shape.onnx", model)

    model = base()
    model.graph.node[1].input[0] = "embedding"
    save("cycle.onnx", model)

    model = base()
    model.graph.node[1].op_type = "FaceMagic"
    save("unknown-op.onnx", model)

    model = base()
    model.graph.initializer[0].dims[0] = -8
    save("negative-dimension.onnx", model)

    model = base()
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend([2**31, 2**31])
    save("huge-tensor.onnx", model)

    model = base()
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info(
        "a", TensorProto.FLOAT, ["batch", 8, 110, 110]))
    save("map-output.onnx", model)

    model = base()
    model.graph.output.append(helper.make_tensor_value_info(
        "b", TensorProto.FLOAT, ["batch", 8, 1, 1]))
    save("two-outputs.onnx", model)

    model = base()
    save("truncated.onnx", model)
    path = os.path.join(FOLDER, "truncated.onnx")
    os.truncate(path, os.path.getsize(path) // 2)
