"""A small ONNX interpreter on torch: just the operators of the embedding networks used here.

Runs the teachers and checks the exported student without another runtime. BatchNormalization is folded into the
convolution or Gemm before it; weights can be kept in bfloat16, which on processors with AVX512-BF16 takes about a third
of the time of float32 (the teachers' embeddings keep a cosine above 0.999 to their float32 ones).
"""
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper


def has_fast_bf16():
    """True where the processor multiplies bfloat16 in hardware."""
    try:
        with open('/proc/cpuinfo') as file:
            return 'avx512_bf16' in file.read()
    except OSError:
        return False


def _symmetric_padding(attributes):
    top, left, bottom, right = attributes.get('pads', [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        raise NotImplementedError('unequal padding')
    return top, left


class OnnxGraph:
    """`graph(x)` returns the first output; after `expose(name)` a dict of all of them."""

    def __init__(self, path, dtype=torch.float32, device='cpu'):
        model = onnx.load(path)
        graph = model.graph
        self.constants = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
        self.nodes = [(n.op_type, list(n.input), list(n.output),
                       {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute}) for n in graph.node]
        self.input = next(i.name for i in graph.input if i.name not in self.constants)
        self.outputs = [o.name for o in graph.output]
        self.metadata = {p.key: p.value for p in model.metadata_props}
        self.dtype, self.device = dtype, device
        self._fold_batch_norm()
        for name, value in self.constants.items():
            if value.is_floating_point():
                value = value.to(device, dtype)
            self.constants[name] = value.to(memory_format=torch.channels_last) if value.dim() == 4 else value

    def expose(self, name):
        self.outputs.append(name)

    def input_of_kernel(self, kernel):
        """Name of the map that the first convolution with this kernel shape reads."""
        return next(inp[0] for op, inp, _, a in self.nodes if op == 'Conv' and a['kernel_shape'] == list(kernel))

    def _fold_batch_norm(self):
        nodes, producer = [], {}
        for op, inputs, outputs, attributes in self.nodes:
            before = producer.get(inputs[0])
            if op == 'BatchNormalization' and before is not None and nodes[before][0] in ('Conv', 'Gemm'):
                scale, shift, mean, variance = (self.constants[k].double() for k in inputs[1:])
                factor = scale / (variance + attributes.get('epsilon', 1e-5)).sqrt()
                old_op, old_inputs, _, old_attributes = nodes[before]
                weight = self.constants[old_inputs[1]].double()
                if old_op == 'Gemm' and not old_attributes.get('transB'):
                    weight, old_attributes = weight.t(), dict(old_attributes, transB=1)
                bias = self.constants[old_inputs[2]].double() if len(old_inputs) > 2 else 0
                names = [f'folded_{before}_weight', f'folded_{before}_bias']
                self.constants[names[0]] = (weight * factor.reshape([-1] + [1] * (weight.dim() - 1))).float()
                self.constants[names[1]] = ((bias - mean) * factor + shift).float()
                nodes[before] = (old_op, [old_inputs[0]] + names, outputs, old_attributes)
                producer[outputs[0]] = before
                continue
            nodes.append((op, inputs, outputs, attributes))
            producer[outputs[0]] = len(nodes) - 1
        self.nodes = nodes

    def _run_node(self, op, x, a):
        if op == 'Conv':
            return F.conv2d(x[0], x[1], x[2] if len(x) > 2 else None, a.get('strides', [1, 1]), _symmetric_padding(a),
                            a.get('dilations', [1, 1]), a.get('group', 1))
        if op == 'BatchNormalization':
            return F.batch_norm(x[0], x[3], x[4], x[1], x[2], False, 0, a.get('epsilon', 1e-5))
        if op == 'Gemm':
            weight = x[1].t() if a.get('transB') else x[1]
            out = a.get('alpha', 1.0) * (x[0] @ weight)
            return out + a.get('beta', 1.0) * x[2] if len(x) > 2 else out
        if op == 'PRelu':
            return F.prelu(x[0], x[1].reshape(-1))
        if op == 'Flatten':
            return x[0].flatten(a.get('axis', 1))
        if op == 'GlobalAveragePool':
            return x[0].mean((2, 3), keepdim=True)
        if op == 'Cast':
            return x[0].to(self.dtype)
        simple = {'Relu': F.relu, 'Sigmoid': torch.sigmoid, 'Add': torch.add, 'Mul': torch.mul}
        if op in simple:
            return simple[op](*x)
        raise NotImplementedError(op)

    @torch.no_grad()
    def __call__(self, x):
        last_use = {name: i for i, node in enumerate(self.nodes) for name in node[1]}
        values = {self.input: x.to(self.device, self.dtype).contiguous(memory_format=torch.channels_last)}
        for i, (op, inputs, outputs, attributes) in enumerate(self.nodes):
            arguments = [values[k] if k in values else self.constants[k] for k in inputs]
            values[outputs[0]] = self._run_node(op, arguments, attributes)
            for name in inputs:
                if last_use[name] == i and name not in self.outputs:
                    values.pop(name, None)
        if len(self.outputs) == 1:
            return values[self.outputs[0]].float()
        return {name: values[name].float() for name in self.outputs}
