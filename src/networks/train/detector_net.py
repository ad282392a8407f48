"""The detection network: dense 3x3 convolutions in multiples of 16 channels, a small feature pyramid, YuNet's heads.

  input [n, 3, h, w]           BGR 0..255, h and w multiples of 32
  3x3 stride 2, 16             h/2      scales by 1/64 (folded into the weights on export)
  3x3 stride 2, 32             h/4
  3x3 stride 2, 48; 1 residual 3x3, 48        h/8      a residual 3x3: x + ReLU(convolution of x)
  3x3 stride 2, 96; 1 residual 3x3, 96        h/16
  3x3 stride 2, 96; 1 residual 3x3, 96        h/32
  from above: 1x1 to 48, doubled, added to the 1x1 to 48 of the map below (Lin et al., "Feature Pyramid Networks for
  Object Detection", CVPR 2017)
  per grid: separable 3x3, 48, then 1x1 to 15: score, box 4, landmarks 10

The score stands for both of YuNet's factors (cls and obj), whose geometric mean it then is.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

from norms import restore_norms
from yunet import STRIDES

CONFIG = dict(widths=(16, 32, 48, 96, 96), pyramid=48)
SCALE = 1 / 64
PRIOR = -3.0                   # score's bias at the start: most cells hold no face


def _convolution(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
                         nn.BatchNorm2d(outputs))


class Detector(nn.Module):
    def __init__(self, widths, pyramid):
        super().__init__()
        self.config = dict(widths=tuple(widths), pyramid=pyramid)
        self.stem = None
        self.down = nn.ModuleList(_convolution(i, o, 3, 2) for i, o in zip((3, *widths), widths))
        self.refine = nn.ModuleList(_convolution(w, w, 3) for w in widths[2:])
        self.lateral = nn.ModuleList(_convolution(w, pyramid, 1) for w in widths[2:])
        self.mix = nn.ModuleList(_convolution(pyramid, pyramid, 1) for _ in STRIDES)
        self.look = nn.ModuleList(_convolution(pyramid, pyramid, 3, groups=pyramid) for _ in STRIDES)
        self.predict = nn.ModuleList(nn.Conv2d(pyramid, 15, 1) for _ in STRIDES)
        for head in self.predict:
            nn.init.normal_(head.weight, 0, 0.01)
            nn.init.zeros_(head.bias)
            head.bias.data[0] = PRIOR

    @torch.no_grad()
    def freeze_stem(self):
        """Leave the first layer as it is from now on: a quarter of a training step. It settles first."""
        convolution, norm = self.down[0]
        for value in self.down[0].parameters():
            value.requires_grad_(False)
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        weight = convolution.weight * factor.reshape(-1, 1, 1, 1) * SCALE
        self.stem = (weight.contiguous(memory_format=torch.channels_last), norm.bias - norm.running_mean * factor)

    def _first(self, x):
        if self.stem is None:
            return F.relu(self.down[0](x * SCALE))
        with torch.no_grad():
            return F.conv2d(x, *self.stem, stride=2, padding=1).relu_()

    def pyramid(self, x):
        """-> the maps of the three grids, finest first."""
        x, maps = self._first(x), []
        for i, layer in enumerate(self.down[1:], 1):
            x = F.relu(layer(x))
            if i >= 2:
                x = x + F.relu(self.refine[i - 2](x))
                maps.append(x)
        above = None
        for i in reversed(range(3)):
            maps[i] = self.lateral[i](maps[i])
            if above is not None:
                maps[i] = maps[i] + F.interpolate(above, scale_factor=2)
            above = maps[i] = F.relu(maps[i])
        return maps

    def forward(self, x):
        """-> raw heads of the three grids, [n, 15, h/8, w/8] and so on; the score is a logit."""
        return [predict(F.relu(look(mix(x)))) for x, mix, look, predict in
                zip(self.pyramid(x), self.mix, self.look, self.predict)]

    def pairs(self):
        """(name, convolution, its BatchNorm) of every convolution that has one."""
        return [(name, module[0], module[1]) for name, module in self.named_modules()
                if isinstance(module, nn.Sequential) and isinstance(module[0], nn.Conv2d)]

    def folded(self):
        """Weights with BatchNorm and the input's scale folded in: name.weight, name.bias for every layer."""
        out = {}
        for name, convolution, norm in self.pairs():
            factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
            out[name + '.weight'] = (convolution.weight.double() * factor.reshape(-1, 1, 1, 1)).float()
            out[name + '.bias'] = (norm.bias.double() - norm.running_mean.double() * factor).float()
        out['down.0.weight'] *= SCALE
        for i, head in enumerate(self.predict):
            out[f'predict.{i}.weight'], out[f'predict.{i}.bias'] = head.weight, head.bias
        return {name: value.detach().cpu().clone() for name, value in out.items()}

    @torch.no_grad()
    def load_folded(self, weights, batches=()):
        """Take folded weights; with `batches` (inputs of the network) also give BatchNorm its statistics back, measured
        on them, so that the outputs stay the same and training can go on."""
        for name, convolution, norm in self.pairs():
            convolution.weight.copy_(weights[name + '.weight'] / (SCALE if name == 'down.0' else 1))
            norm.weight.fill_((1 + norm.eps) ** .5)
            norm.bias.copy_(weights[name + '.bias'])
            norm.running_mean.zero_()
            norm.running_var.fill_(1)
        for i, head in enumerate(self.predict):
            head.weight.copy_(weights[f'predict.{i}.weight'])
            head.bias.copy_(weights[f'predict.{i}.bias'])
        if batches:
            restore_norms(self, self.pairs(), batches)


def heads(raw):
    """Raw heads -> YuNet's outputs by name, [n, cells, values]."""
    out = {}
    for stride, grid in zip(STRIDES, raw):
        flat = grid.float().flatten(2).transpose(1, 2)
        out[f'cls_{stride}'] = out[f'obj_{stride}'] = torch.sigmoid(flat[..., :1])
        out[f'bbox_{stride}'], out[f'kps_{stride}'] = flat[..., 1:5], flat[..., 5:]
    return out
