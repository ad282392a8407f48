"""The student as an ONNX file and back.

write_student() writes the graph by hand: BatchNormalization folded, opset 13, weights as float16 initialisers with a
Cast to float32 each, biases float32. Initialisers carry the layers' names and the metadata the shape of the network and
the samples seen, so that read_student() can give training its weights back.
"""
import json

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from student import Student


class _Graph:
    def __init__(self, weights):
        self.weights, self.nodes, self.initialisers = weights, [], []

    def parameters(self, name):
        weight, bias = self.weights[name + '.weight'].numpy(), self.weights[name + '.bias'].numpy()
        self.initialisers += [numpy_helper.from_array(weight.astype(np.float16), name + '.weight'),
                              numpy_helper.from_array(bias.astype(np.float32), name + '.bias')]
        self.nodes.append(helper.make_node('Cast', [name + '.weight'], [name + '.weight32'], to=TensorProto.FLOAT))
        return [name + '.weight32', name + '.bias']

    def node(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def convolution(self, x, name, module):
        c = module[0]
        return self.node('Conv', [x] + self.parameters(name), name, kernel_shape=list(c.kernel_size), strides=list(c.stride),
                         pads=list(c.padding) * 2, group=c.groups)

    def relu(self, x):
        return self.node('Relu', [x], x + '.relu')


def write_student(path, student, seen, note):
    """`student` in its measured (averaged) form; `note` goes into the file's doc string."""
    graph, x = _Graph(student.folded()), 'input'
    for i, module in enumerate(student.stem):
        x = graph.relu(graph.convolution(x, f'stem.{i}', module))
    for i, block in enumerate(student.blocks):
        name = f'blocks.{i}'
        skip = x if block.skip is None else graph.convolution(x, name + '.skip', block.skip)
        inner = graph.relu(graph.convolution(x, name + '.a', block.a))
        x = graph.relu(graph.node('Add', [graph.convolution(inner, name + '.b', block.b), skip], name + '.sum'))
    x = graph.relu(graph.convolution(x, 'up', student.up))
    x = graph.node('Flatten', [graph.convolution(x, 'weigh', student.weigh)], 'flat', axis=1)
    graph.node('Gemm', [x] + graph.parameters('linear'), 'embedding', transB=1)
    shape = [helper.make_tensor_value_info('input', TensorProto.FLOAT, ['N', 3, 112, 112])]
    out = [helper.make_tensor_value_info('embedding', TensorProto.FLOAT, ['N', student.config['dimensions']])]
    model = helper.make_model(helper.make_graph(graph.nodes, 'facerec_embedder', shape, out, graph.initialisers, note),
                              opset_imports=[helper.make_opsetid('', 13)], producer_name='facerec')
    model.ir_version = 7
    helper.set_model_props(model, dict(config=json.dumps(student.config), samples_seen=str(int(seen))))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def read_student(path):
    """-> folded weights (float32 tensors by name), config for Student(), samples seen."""
    model = onnx.load(path)
    properties = {p.key: p.value for p in model.metadata_props}
    config = json.loads(properties['config'])
    config.update(widths=tuple(config['widths']), blocks=tuple(config['blocks']))
    weights = {t.name: torch.from_numpy(numpy_helper.to_array(t).astype(np.float32)) for t in model.graph.initializer}
    return weights, config, int(properties['samples_seen'])


def load_student(path, batches=()):
    """A Student from a training state (.pt, its average) or from an ONNX file (which needs `batches` for the norms'
    statistics only where training goes on)."""
    if path.endswith('.onnx'):
        weights, config, seen = read_student(path)
        student = Student(**config)
        student.load_folded(weights, batches or [torch.zeros(1, 3, 112, 112)])
    else:
        state = torch.load(path, map_location='cpu')
        student, seen = Student(**state['config']), state['seen']
        student.load_state_dict(state['average'])
    return student.to(memory_format=torch.channels_last).eval(), seen
