"""The two teachers and the ensemble target.

For each face both networks embed the picture and its mirror image; each network's pair is added and normalised. The
target is the concatenation of the two unit vectors, weighted so that its cosine is 0.3 x (mobilefacenet-128) + 0.7 x
(face-reidentification-retail-0095), projected to 128 dimensions by an uncentred principal component analysis. The
projection is in target_basis.npz (a statistic of the teachers' outputs on 3,000 crops): it must stay the same as long
as a student is trained on, since another basis rotates the space. target_basis.py makes it.
"""
import cv2
import numpy as np
import torch
import torch.nn.functional as F

from onnx_graph import OnnxGraph, has_fast_bf16

# Weights of the two teachers in the cosine of the ensemble; 0.7 was best of 0.3 ... 0.8 on the development benchmark.
WEIGHTS = (0.3, 0.7)
# Least-squares similarity from the 112x112 template to retail-0095's 128x128 template.
TO_TEMPLATE_128 = np.array([[1.21633729, -0.00219848561, -3.95356802], [0.00219848561, 1.21633729, -5.32501247]])


def student_input(pictures):
    """BGR uint8 [n, 112, 112, 3] -> float32 [n, 3, 112, 112], RGB, (v - 127.5) / 128."""
    x = torch.from_numpy(np.ascontiguousarray(pictures[..., ::-1])).permute(0, 3, 1, 2).float()
    return x.sub_(127.5).div_(128).contiguous(memory_format=torch.channels_last)


class Teachers:
    """Both teachers; mobilefacenet's 7x7 map (before its global depthwise convolution) comes along as a hint."""

    def __init__(self, mobilefacenet, retail, device='cpu'):
        dtype = torch.bfloat16 if device != 'cpu' or has_fast_bf16() else torch.float32
        self.device = device
        self.mobilefacenet = OnnxGraph(mobilefacenet, dtype, device)
        self.retail = OnnxGraph(retail, dtype, device)
        self.embedding, self.map = self.mobilefacenet.outputs[0], self.mobilefacenet.input_of_kernel((7, 7))
        self.mobilefacenet.expose(self.map)

    def _embed(self, pictures, offset):
        inner = pictures[:, offset:offset + 112, offset:offset + 112]
        out = self.mobilefacenet(student_input(inner))
        warp = TO_TEMPLATE_128.copy()
        warp[:, 2] -= warp[:, :2] @ [offset, offset]
        large = np.stack([cv2.warpAffine(p, warp, (128, 128)) for p in pictures])
        retail = self.retail(torch.from_numpy(large).permute(0, 3, 1, 2).float())
        return F.normalize(out[self.embedding]), F.normalize(retail), out[self.map]

    def __call__(self, pictures, offset=0):
        """BGR uint8 [n, 112 + 2 offset, 112 + 2 offset, 3] -> weighted pair of unit vectors float32 [n, 384], whose
        length is 1, and the map of the picture that is not mirrored [n, 512, 7, 7]."""
        a, b, hint = self._embed(pictures, offset)
        a2, b2, _ = self._embed(np.ascontiguousarray(pictures[:, :, ::-1]), offset)
        pair = torch.cat([WEIGHTS[0] ** .5 * F.normalize(a + a2), WEIGHTS[1] ** .5 * F.normalize(b + b2)], 1)
        return pair.cpu(), hint.cpu()


class TargetBasis:
    """The projections of target_basis.npz."""

    def __init__(self, path):
        with np.load(path) as z:
            self.embedding = torch.from_numpy(z['embedding'].astype(np.float32))      # [384, 128], orthonormal columns
            self.map_mean = torch.from_numpy(z['map_mean'].astype(np.float32))        # [512]
            self.map = torch.from_numpy(z['map'].astype(np.float32))                  # [512, 64], scaled

    def target(self, pair):
        return F.normalize(pair @ self.embedding)

    def reduced_map(self, hint):
        """[n, 512, 7, 7] -> [n, 64, 7, 7] with mean variance 1."""
        return ((hint.permute(0, 2, 3, 1) - self.map_mean) @ self.map).permute(0, 3, 1, 2)
