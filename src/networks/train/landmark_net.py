"""The landmark network: dense 3x3 convolutions in multiples of 16 channels, one linear layer at the end.

  input [n, 3, 64, 64]         BGR 0..255 (1/64 is folded into the weights on export)
  3x3 stride 2, 16               32x32
  3x3 stride 2, 48; 1 residual   16x16    a residual: x + ReLU(3x3 convolution of x)
  3x3 stride 2, 96; 2 residuals  8x8
  3x3 stride 2, 128; 2 residuals 4x4
  linear, 10                   x, y of eye left in the picture, eye right, nose tip, mouth corners; 0..1 of the crop, from
                               edge to edge
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

from landmark_crop import SIDE, template
from norms import restore_norms

CONFIG = dict(widths=(16, 48, 96, 128), depths=(0, 1, 2, 2))
SCALE = 1 / 64
QUIET = 0.1                    # of the random weights of a layer that is added to a trained network
HEAD = 1 / 32                  # of the last weights, folded in on export: slows them down against Adam's even steps


def _convolution(inputs, outputs, stride):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))


def _grown(fresh, known):
    """Weights of a layer that got wider: new outputs are fresh, old outputs do not look at new inputs."""
    out = fresh.clone()
    out[:len(known)] = 0
    out[tuple(slice(n) for n in known.shape)] = known
    return out


class Landmarker(nn.Module):
    def __init__(self, widths, depths):
        super().__init__()
        self.config = dict(widths=tuple(widths), depths=tuple(depths))
        self.down = nn.ModuleList(_convolution(i, o, 2) for i, o in zip((3, *widths), widths))
        self.refine = nn.ModuleList(nn.ModuleList(_convolution(w, w, 1) for _ in range(d)) for w, d in zip(widths, depths))
        side = SIDE >> len(widths)
        self.linear = nn.Linear(widths[-1] * side * side, 10)
        nn.init.normal_(self.linear.weight, 0, 0.002 / HEAD)
        self.linear.bias.data.copy_(torch.from_numpy(template() / SIDE).flatten())

    def forward(self, x):
        """-> [n, 10], points in 0..1 of the crop."""
        x = x * SCALE
        for down, residuals in zip(self.down, self.refine):
            x = F.relu(down(x))
            for layer in residuals:
                x = x + F.relu(layer(x))
        return F.linear(x.flatten(1), self.linear.weight).float() * HEAD + self.linear.bias

    def pairs(self):
        """(name, convolution, its BatchNorm) of every convolution."""
        return [(name, module[0], module[1]) for name, module in self.named_modules() if isinstance(module, nn.Sequential)]

    def folded(self):
        """Weights with BatchNorm and the input's scale folded in: name.weight, name.bias for every layer."""
        out = {'linear.weight': self.linear.weight * HEAD, 'linear.bias': self.linear.bias}
        for name, convolution, norm in self.pairs():
            factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
            out[name + '.weight'] = (convolution.weight.double() * factor.reshape(-1, 1, 1, 1)).float()
            out[name + '.bias'] = (norm.bias.double() - norm.running_mean.double() * factor).float()
        out['down.0.weight'] = out['down.0.weight'] * SCALE
        return {name: value.detach().cpu().clone() for name, value in out.items()}

    @torch.no_grad()
    def load_folded(self, weights, batches=()):
        """Take folded weights, also those of a network with fewer layers or channels; with `batches` (inputs of the
        network) also give BatchNorm its statistics back, measured on them, so that the outputs stay the same and training
        can go on."""
        for name, convolution, norm in self.pairs():
            norm.weight.fill_((1 + norm.eps) ** .5)
            norm.bias.zero_()
            norm.running_mean.zero_()
            norm.running_var.fill_(1)
            if name + '.weight' not in weights:
                convolution.weight.mul_(QUIET)
                continue
            known = weights[name + '.weight'] / (SCALE if name == 'down.0' else 1)
            convolution.weight.copy_(_grown(convolution.weight, known))
            norm.bias[:len(known)] = weights[name + '.bias']
        known = weights['linear.weight'].reshape(10, -1, *[SIDE >> len(self.down)] * 2) / HEAD
        whole = self.linear.weight.reshape(10, -1, *known.shape[2:])
        self.linear.weight.copy_(_grown(whole, known).flatten(1))
        self.linear.bias.copy_(weights['linear.bias'])
        if batches:
            restore_norms(self, self.pairs(), batches)
