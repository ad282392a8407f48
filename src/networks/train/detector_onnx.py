"""The detector as an ONNX file and back: BatchNormalization and the input's scale folded, heads as the `yunet` preset
reads them.

Opset 13; weights are float16 initialisers with a Cast to float32 each, biases float32. cls and obj are the same score:
both have the weights of the score's row. Initialisers carry the layers' names, so that training can start from the file.
"""
import json

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from detector_net import SCALE, Detector
from yunet import HEADS, STRIDES

ROWS = dict(cls=(0, 1), obj=(0, 1), bbox=(1, 5), kps=(5, 15))


class Graph:
    def __init__(self, weights):
        self.weights, self.nodes, self.initialisers = weights, [], []

    def constant(self, name, value):
        self.initialisers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def convolution(self, x, name, weight, bias, stride=1, groups=1):
        half = self.constant(name + '.weight', weight.numpy().astype(np.float16))
        inputs = [x, self.node('Cast', [half], half + '32', to=TensorProto.FLOAT),
                  self.constant(name + '.bias', bias.numpy().astype(np.float32))]
        kernel = weight.shape[2]
        return self.node('Conv', inputs, name, kernel_shape=[kernel, kernel], strides=[stride, stride],
                         pads=[kernel // 2] * 4, group=groups)

    def layer(self, x, name, stride=1, groups=1):
        return self.convolution(x, name, self.weights[name + '.weight'], self.weights[name + '.bias'], stride, groups)

    def relu(self, x):
        return self.node('Relu', [x], x + '.relu')

    def add(self, a, b, name):
        return self.node('Add', [a, b], name)


def _pyramid(graph, levels):
    x, maps = 'input', []
    for i in range(levels):
        x = graph.relu(graph.layer(x, f'down.{i}', 2))
        if i >= 2:
            x = graph.add(x, graph.relu(graph.layer(x, f'refine.{i - 2}')), f'residual.{i - 2}')
            maps.append(x)
    scales = graph.constant('double', np.array([1, 1, 2, 2], np.float32))
    above = None
    for i in reversed(range(3)):
        maps[i] = graph.layer(maps[i], f'lateral.{i}')
        if above is not None:
            doubled = graph.node('Resize', [above, '', scales], f'doubled.{i}', mode='nearest',
                                 coordinate_transformation_mode='asymmetric', nearest_mode='floor')
            maps[i] = graph.add(maps[i], doubled, f'sum.{i}')
        above = maps[i] = graph.relu(maps[i])
    return maps


def _heads(graph, maps, pyramid):
    outputs = []
    for i, (stride, x) in enumerate(zip(STRIDES, maps)):
        x = graph.relu(graph.layer(graph.layer(x, f'mix.{i}'), f'look.{i}', groups=pyramid))
        for head in HEADS:
            first, last = ROWS[head]
            weight, bias = (graph.weights[f'predict.{i}.{part}'][first:last] for part in ('weight', 'bias'))
            y = graph.convolution(x, f'predict.{i}.{head}', weight, bias)
            y = graph.node('Transpose', [y], f'{y}.last', perm=[0, 2, 3, 1])
            name = f'{head}_{stride}'
            shape = graph.constant(f'{y}.shape', np.array([0, -1, last - first], np.int64))
            if head in ('cls', 'obj'):
                graph.node('Sigmoid', [graph.node('Reshape', [y, shape], f'{y}.flat')], name)
            else:
                graph.node('Reshape', [y, shape], name)
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ['N', None, last - first]))
    return outputs


def write_detector(path, detector, seen, note):
    """`detector` in its measured (averaged) form; `note` goes into the file's doc string."""
    graph = Graph(detector.folded())
    outputs = _heads(graph, _pyramid(graph, len(detector.down)), detector.config['pyramid'])
    inputs = [helper.make_tensor_value_info('input', TensorProto.FLOAT, ['N', 3, 'H', 'W'])]
    model = helper.make_model(helper.make_graph(graph.nodes, 'facerec_detector', inputs, outputs, graph.initialisers, note),
                              opset_imports=[helper.make_opsetid('', 13)], producer_name='facerec')
    model.ir_version = 7
    helper.set_model_props(model, dict(config=json.dumps(detector.config), samples_seen=str(int(seen))))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def read_detector(path):
    """-> folded weights (float32 tensors by name), config for Detector(), samples seen."""
    model = onnx.load(path)
    properties = {p.key: p.value for p in model.metadata_props}
    config = json.loads(properties['config'])
    arrays = {t.name: torch.from_numpy(numpy_helper.to_array(t).astype(np.float32)) for t in model.graph.initializer
              if t.name.endswith(('.weight', '.bias'))}
    weights = {name: value for name, value in arrays.items() if not name.startswith('predict.')}
    for i in range(len(STRIDES)):
        for part in ('weight', 'bias'):
            weights[f'predict.{i}.{part}'] = torch.cat([arrays[f'predict.{i}.{head}.{part}']
                                                        for head in ('cls', 'bbox', 'kps')])
    return weights, dict(config, widths=tuple(config['widths'])), int(properties['samples_seen'])


def load_detector(path):
    """Training state or exported file -> (Detector in measuring form, samples seen)."""
    if path.endswith('.onnx'):
        weights, config, seen = read_detector(path)
        detector = Detector(**config)
        detector.load_folded(weights)
    else:
        state = torch.load(path, map_location='cpu')
        detector, seen = Detector(**state['config']), state['seen']
        detector.load_state_dict(state['average'])
    return detector.to(memory_format=torch.channels_last).eval(), seen
