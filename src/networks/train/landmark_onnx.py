"""The landmark network as an ONNX file and back: BatchNormalization and the input's scale folded, as the preset
`landmarks-5` reads it. Form and names as detector_onnx.py has them.
"""
import json
import re

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from detector_onnx import Graph
from landmark_crop import SIDE
from landmark_net import Landmarker


def write_landmarker(path, network, seen, note):
    """`network` in its measured (averaged) form; `note` goes into the file's doc string."""
    weights = network.folded()
    graph, x = Graph(weights), 'input'
    for i, residuals in enumerate(network.refine):
        x = graph.relu(graph.layer(x, f'down.{i}', 2))
        for k in range(len(residuals)):
            x = graph.add(x, graph.relu(graph.layer(x, f'refine.{i}.{k}')), f'residual.{i}.{k}')
    x = graph.node('Flatten', [x], 'flat', axis=1)
    half = graph.constant('linear.weight', weights['linear.weight'].numpy().astype(np.float16))
    graph.node('Gemm', [x, graph.node('Cast', [half], half + '32', to=TensorProto.FLOAT),
                        graph.constant('linear.bias', weights['linear.bias'].numpy())], 'landmarks', transB=1)
    inputs = [helper.make_tensor_value_info('input', TensorProto.FLOAT, ['N', 3, SIDE, SIDE])]
    outputs = [helper.make_tensor_value_info('landmarks', TensorProto.FLOAT, ['N', 10])]
    whole = helper.make_graph(graph.nodes, 'facerec_landmarks', inputs, outputs, graph.initialisers, note)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid('', 13)], producer_name='facerec')
    model.ir_version = 7
    helper.set_model_props(model, dict(config=json.dumps(network.config), samples_seen=str(int(seen))))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def read_landmarker(path):
    """-> folded weights (float32 tensors by name), config for Landmarker(), samples seen."""
    model = onnx.load(path)
    properties = {p.key: p.value for p in model.metadata_props}
    weights = {t.name: torch.from_numpy(numpy_helper.to_array(t).astype(np.float32)) for t in model.graph.initializer}
    config = {name: tuple(values) for name, values in json.loads(properties['config']).items()}
    if 'depths' not in config:                   # files of before there were depths: one residual per stage but the first
        config['depths'] = (0, *[1] * (len(config['widths']) - 1))
        weights = {re.sub(r'^refine\.(\d)', lambda m: f'refine.{int(m[1]) + 1}.0', name): w for name, w in weights.items()}
    return weights, config, int(properties['samples_seen'])


def load_landmarker(path):
    """Training state or exported file -> (Landmarker in measuring form, samples seen)."""
    if path.endswith('.onnx'):
        weights, config, seen = read_landmarker(path)
        network = Landmarker(**config)
        network.load_folded(weights)
    else:
        state = torch.load(path, map_location='cpu')
        network, seen = Landmarker(**state['config']), state['seen']
        network.load_state_dict(state['average'])
    return network.to(memory_format=torch.channels_last).eval(), seen
