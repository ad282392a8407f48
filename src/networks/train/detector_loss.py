"""Which cell answers for which face, and the loss.

A face belongs to the grid whose stride suits its size, near the limits to two grids, and there to the cells near its
centre. The score learns sqrt(overlap of the predicted box with the face's), as YuNet's does, by the quality focal loss
(Li et al., "Generalized Focal Loss", NeurIPS 2020); boxes learn by overlap and by distance, landmarks by distance in
units of the face. Landmarks that are quite wrong lower the score's target: where the network cannot tell which way a
turned face looks, no face is better than an upright one that is not there.
"""
import numpy as np
import torch
import torch.nn.functional as F

from yunet import STRIDES

# Face sizes (sqrt of the box's area) of each grid; neighbours share a part of the range.
SIZES = ((0, 44), (32, 104), (80, 1e9))
NOTHING, FACE, IGNORED = 0, 1, 2
# Mean distance of landmarks in units of the face: the score's target falls between these (usual is 0.04).
NEAR, WRONG = 0.15, 0.4


def assign(faces, state, side):
    """faces [n, 14+] and their states (FACE or IGNORED) on a square canvas -> for all cells of the three grids, finest
    first: state uint8 [cells], target float32 [cells, 14] in YuNet's encoding, size float32 [cells]."""
    states, targets, sizes = [], [], []
    size = np.sqrt(np.prod(faces[:, 2:4], 1))
    order = np.argsort(-size)                               # small faces last: they win contested cells
    for stride, (low, high) in zip(STRIDES, SIZES):
        n = side // stride
        status, target = np.zeros((n, n), np.uint8), np.zeros((n, n, 14), np.float32)
        scale = np.ones((n, n), np.float32)
        for i in order:
            x, y, w, h = faces[i, :4]
            centre = np.array((x + w / 2, y + h / 2)) / stride
            ours = low <= size[i] < high
            if state[i] == IGNORED or not ours:
                # Unsure faces are left alone on all grids, sure ones on the grids beside theirs only at the border.
                if state[i] != IGNORED and not low * 0.8 <= size[i] < high * 1.25:
                    continue
                reach = np.array((w, h)) * (0.5 if state[i] == IGNORED else 0.15) / stride
            else:
                reach = np.full(2, min(1.5, max(0.25 * size[i] / stride, 0.75)))
            first = np.clip(np.ceil(centre - reach), 0, n).astype(int)
            last = np.clip(np.floor(centre + reach) + 1, 0, n).astype(int)
            if (last <= first).any():
                continue
            area = np.s_[first[1]:last[1], first[0]:last[0]]
            if state[i] == IGNORED or not ours:
                status[area][status[area] == NOTHING] = IGNORED
                continue
            rows, columns = np.mgrid[area]
            cell = np.stack([columns, rows], 2).astype(np.float32)
            status[area], scale[area] = FACE, size[i] / stride
            target[area][..., :2] = centre - cell
            target[area][..., 2:4] = np.log(np.maximum((w, h), 1) / np.float32(stride))
            target[area][..., 4:] = (faces[i, 4:14].reshape(5, 2) / stride - cell[:, :, None]).reshape(*rows.shape, 10)
        states.append(status.ravel())
        targets.append(target.reshape(-1, 14))
        sizes.append(scale.ravel())
    return np.concatenate(states), np.concatenate(targets), np.concatenate(sizes)


def box_overlap(a, b):
    """Intersection over union and, for boxes apart, the share of the hull that neither covers; encoded boxes [n, 4]."""
    size_a, size_b = a[:, 2:].clamp(max=6).exp(), b[:, 2:].exp()
    low_a, high_a, low_b, high_b = a[:, :2] - size_a / 2, a[:, :2] + size_a / 2, b[:, :2] - size_b / 2, b[:, :2] + size_b / 2
    common = (torch.minimum(high_a, high_b) - torch.maximum(low_a, low_b)).clamp(min=0).prod(1)
    union = size_a.prod(1) + size_b.prod(1) - common
    hull = (torch.maximum(high_a, high_b) - torch.minimum(low_a, low_b)).prod(1)
    return common / union, (hull - union) / hull


def losses(raw, state, target, size):
    """Raw heads and assign()'s arrays, batched -> the three terms: score, box, landmarks."""
    flat = torch.cat([grid.float().flatten(2).transpose(1, 2) for grid in raw], 1)
    logit, positive = flat[..., 0], state == FACE
    count = positive.sum().clamp(min=1)
    predicted, wanted, unit = flat[positive][:, 1:], target[positive], size[positive][:, None]
    overlap, apart = box_overlap(predicted[:, :4], wanted[:, :4])
    quality = torch.zeros_like(logit)
    with torch.no_grad():
        apart_points = ((predicted[:, 4:] - wanted[:, 4:]) / unit).unflatten(1, (5, 2)).norm(dim=2).mean(1)
        right = ((WRONG - apart_points) / (WRONG - NEAR)).clamp(0, 1)
        quality[positive] = overlap.clamp(min=0).sqrt() * right
    focal = (torch.sigmoid(logit).detach() - quality).abs().pow(1.5)
    score = F.binary_cross_entropy_with_logits(logit, quality, reduction='none') * focal
    score = score[state != IGNORED].sum() / count
    distance = F.smooth_l1_loss(predicted[:, :2] / unit, wanted[:, :2] / unit, beta=0.05, reduction='sum')
    distance = distance + F.smooth_l1_loss(predicted[:, 2:4], wanted[:, 2:4], beta=0.1, reduction='sum')
    box = (1 - overlap + apart).sum() / count + distance / count
    points = F.smooth_l1_loss(predicted[:, 4:] / unit, wanted[:, 4:] / unit, beta=0.02, reduction='sum') / count
    return score, box, points
