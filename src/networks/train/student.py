"""The embedding network: dense 3x3 convolutions, ReLU, basic residual blocks.

Dense convolutions with channels in multiples of 16 are what a blocked (NCHW16c) engine multiplies fastest, and they
train several times faster on a CPU than depthwise ones. 179 M multiply-adds, 1.55 M parameters (3.1 MB as float16).

  input [n, 3, 112, 112]       RGB, (v - 127.5) / 128
  3x3 stride 2, 16             56x56
  3x3 stride 2, 48             28x28
  1 block, 48                  28x28      a block: 3x3, 3x3, sum with its input (or with a 2x2 stride 2 convolution of
  3 blocks, 96                 14x14      it, where the size changes), ReLU
  2 blocks, 160                7x7
  1x1, 384                     7x7
  7x7 depthwise, no padding    1x1        weighs the places of the face ("MobileFaceNets", Chen et al., 2018, sec. 3.2)
  linear, 128

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016 (basic block).
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

from norms import restore_norms

CONFIG = dict(stem=16, widths=(48, 96, 160), blocks=(1, 3, 2), hidden=384, dimensions=128)


def _convolution(inputs, outputs, kernel, stride=1, groups=1, padding=0):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
                         nn.BatchNorm2d(outputs))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.a = _convolution(inputs, outputs, 3, stride, padding=1)
        self.b = _convolution(outputs, outputs, 3, padding=1)
        self.skip = None
        if inputs != outputs or stride != 1:
            self.skip = _convolution(inputs, outputs, stride, stride)

    def forward(self, x):
        return F.relu(self.b(F.relu(self.a(x))) + (x if self.skip is None else self.skip(x)))


class Student(nn.Module):
    def __init__(self, stem, widths, blocks, hidden, dimensions):
        super().__init__()
        self.config = dict(stem=stem, widths=tuple(widths), blocks=tuple(blocks), hidden=hidden, dimensions=dimensions)
        self.stem = nn.ModuleList([_convolution(3, stem, 3, 2, padding=1), _convolution(stem, widths[0], 3, 2, padding=1)])
        self.blocks, channels = nn.ModuleList(), widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks)):
            for i in range(count):
                self.blocks.append(Block(channels, width, 2 if stage and not i else 1))
                channels = width
        self.up = _convolution(channels, hidden, 1)
        self.weigh = _convolution(hidden, hidden, 7, groups=hidden)
        self.linear = nn.Linear(hidden, dimensions)

    def features(self, x):
        """-> the last 7x7 map [n, 160, 7, 7], which the hint loss looks at."""
        for layer in self.stem:
            x = F.relu(layer(x))
        for block in self.blocks:
            x = block(x)
        return x

    def head(self, x):
        x = F.relu(self.up(x))
        convolution, norm = self.weigh
        if self.training:      # the same sum as the depthwise convolution, whose backward pass is slow on CPUs
            x = (x.float() * convolution.weight[:, 0]).sum((2, 3), keepdim=True)
        else:
            x = convolution(x)
        return self.linear(norm(x).flatten(1))

    def forward(self, x):
        """-> embeddings [n, 128], not unit length."""
        return self.head(self.features(x))

    def pairs(self):
        """(name, convolution, its BatchNorm) of every convolution."""
        return [(name, module[0], module[1]) for name, module in self.named_modules()
                if isinstance(module, nn.Sequential) and isinstance(module[0], nn.Conv2d)]

    def folded(self):
        """Weights with BatchNorm folded in: name.weight, name.bias for every layer."""
        out = {}
        for name, convolution, norm in self.pairs():
            factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
            out[name + '.weight'] = (convolution.weight.double() * factor.reshape(-1, 1, 1, 1)).float()
            out[name + '.bias'] = (norm.bias.double() - norm.running_mean.double() * factor).float()
        out['linear.weight'], out['linear.bias'] = self.linear.weight.float(), self.linear.bias.float()
        return {name: value.detach().cpu().clone() for name, value in out.items()}

    @torch.no_grad()
    def load_folded(self, weights, batches):
        """Take folded weights and give BatchNorm its statistics back, measured on `batches` (inputs of the network),
        so that the outputs stay the same and training can go on."""
        for name, convolution, norm in self.pairs():
            convolution.weight.copy_(weights[name + '.weight'])
            norm.weight.fill_((1 + norm.eps) ** .5)
            norm.bias.copy_(weights[name + '.bias'])
            norm.running_mean.zero_()
            norm.running_var.fill_(1)
        self.linear.weight.copy_(weights['linear.weight'])
        self.linear.bias.copy_(weights['linear.bias'])
        restore_norms(self, self.pairs(), batches)


def multiply_adds(network, side=112):
    total, hooks = [0], []

    def count(module, _, out):
        total[0] += out[0].numel() * module.weight[0].numel() if out.dim() == 4 else module.weight.numel()
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            hooks.append(module.register_forward_hook(count))
    was_training = network.training
    network.eval()
    with torch.no_grad():
        network(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    network.train(was_training)
    return total[0]
