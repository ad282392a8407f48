"""Write a training state's averaged detector as ONNX and check the file against torch.

  python3 detector_export.py RUN/final.pt detector.onnx [--crops STORE --pictures STORE] [--note TEXT]

With the stores the norms' statistics are measured anew on scenes, because those of the moving average lag behind its
weights (export.py). Fails when an output of the file, run by OpenCV's dnn module, or after reading the file back, is
farther from torch's than half precision explains.
"""
import argparse
import os

import cv2
import numpy as np
import torch

from detector_net import heads
from detector_onnx import load_detector, write_detector

NOTE = ('Face detection with five landmarks, heads of YuNet (preset yunet). Input BGR 0..255, sides multiples of 32. '
        'Distilled on pictures and crops of which most are for non-commercial research only.')
TOLERANCE = 0.02


@torch.no_grad()
def measure_norms(detector, crops, pictures, count=60):
    from detector_scene import SceneMaker
    from detector_store import Store
    scene = SceneMaker(Store(crops), Store(pictures), 5)
    for _, _, norm in detector.pairs()[1:]:             # the first layer's belong to it: freeze_stem()
        norm.reset_running_stats()
        norm.momentum = None                           # a plain average over the batches
    detector.freeze_stem()
    detector.train()
    for i in range(count):
        side, many = ((160, 32), (224, 16), (320, 8), (448, 4))[i % 4]
        x = np.stack([scene(side)[0] for _ in range(many)])
        detector(torch.from_numpy(x).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last))
    detector.eval()
    detector.stem = None


def difference(expected, got):
    return max(float(np.abs(np.asarray(got[name]).reshape(value.shape) - value.numpy()).max())
               for name, value in expected.items())


def fixed_size(path, side):
    """The file as OpenCV reads it: constants instead of Casts, one input size."""
    import onnx
    from onnx import numpy_helper
    model = onnx.load(path)
    graph = model.graph
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for node in [n for n in graph.node if n.op_type == 'Cast']:
        graph.initializer.append(numpy_helper.from_array(values[node.input[0]].astype(np.float32), node.output[0]))
        graph.node.remove(node)
    for half in [t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]:
        graph.initializer.remove(half)
    for dim, value in zip(graph.input[0].type.tensor_type.shape.dim, (1, 3, side, side)):
        dim.dim_value = value
    return cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('state')
    parser.add_argument('onnx')
    parser.add_argument('--crops')
    parser.add_argument('--pictures')
    parser.add_argument('--note', default=NOTE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    detector, seen = load_detector(args.state)
    if args.crops:
        measure_norms(detector, args.crops, args.pictures)
    written = args.onnx + '.tmp.onnx'
    write_detector(written, detector, seen, args.note)
    picture = cv2.resize(np.random.default_rng(1).integers(0, 256, (12, 12, 3)).astype(np.uint8), (192, 192),
                         interpolation=cv2.INTER_CUBIC)
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        expected, read_back = heads(detector(x)), heads(load_detector(written)[0](x))
    net = fixed_size(written, 192)
    net.setInput(x.numpy())
    names = list(expected)
    got = dict(zip(names, net.forward(names)))
    differences = difference(expected, got), difference(expected, read_back)
    print('%d samples seen, %d bytes, largest difference to torch: graph %.5f, read back %.5f' % (
        seen, os.path.getsize(written), *differences))
    if max(differences) > TOLERANCE:
        raise SystemExit('the file does not agree with torch')
    os.replace(written, args.onnx)


if __name__ == '__main__':
    main()
