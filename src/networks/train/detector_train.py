"""Train the detector on scenes. Stop it at any moment; the same command goes on from the last state.

  python3 detector_train.py --crops STORE --pictures STORE --out RUN [--init detector.onnx] [--samples N | --minutes M]

State (every two minutes, at the end, on SIGTERM and SIGINT): weights, moving average, optimizer, counts. A sample is a
canvas of 224x224 pixels, or as much area of smaller or larger ones: each step takes one size, so that the network sees
faces at all distances from a border. The rate stays at its peak and falls linearly to zero over the last --cooldown
part. With AVX512-BF16 the convolutions run in bfloat16; weights, norms and losses stay float32.
"""
import argparse
import collections
import copy
import os
import time

import numpy as np
import torch
import torch.nn as nn

import training
from crop_pack import write_torch
from detector_loss import assign, losses
from detector_net import CONFIG, Detector
from detector_onnx import read_detector
from detector_scene import SceneMaker, mirror
from detector_store import Store
from onnx_graph import has_fast_bf16

# Canvas sides, how many of them a batch of 16 samples holds, and how often they come.
REMEMBERED = 200               # scenes of each size that may come again
CANVASES = ((160, 2.0, 0.22), (224, 1.0, 0.28), (320, 0.5, 0.25), (512, 0.1875, 0.25))


class Trainer:
    def __init__(self, args):
        self.args, self.device = args, args.device
        self.net = Detector(**CONFIG).to(memory_format=torch.channels_last).to(args.device)
        self.average = copy.deepcopy(self.net)
        self.seen = self.steps = self.seen_begun = 0
        self.cpu_s, self.smooth, self.begun = 0.0, None, time.time()
        weights = list(self.net.parameters())
        self.optimizer = torch.optim.AdamW(
            [dict(params=[p for p in weights if p.dim() > 1], weight_decay=args.weight_decay),
             dict(params=[p for p in weights if p.dim() <= 1], weight_decay=0)], lr=args.rate)
        self.rng = np.random.default_rng([args.seed, int(time.time())])
        self.past = {side: collections.deque(maxlen=REMEMBERED) for side, _, _ in CANVASES}
        self.scene = SceneMaker(Store(args.crops), Store(args.pictures), [args.seed, 1, int(time.time())],
                                hard=args.hard)

    @property
    def state_path(self):
        return os.path.join(self.args.out, 'state.pt')

    def restore(self):
        if os.path.exists(self.state_path):
            state = torch.load(self.state_path, map_location=self.device)
            for name in ('net', 'average', 'optimizer'):
                getattr(self, name).load_state_dict(state[name])
            self.seen, self.steps, self.smooth, self.cpu_s = (state[k] for k in ('seen', 'steps', 'smooth', 'cpu_s'))
        elif self.args.init:
            weights, config, self.seen = read_detector(self.args.init)
            if config != self.net.config:
                raise SystemExit(f'{self.args.init} is another network: {config}')
            self.net.load_folded(weights, [self.batch()[0] for _ in range(8)])
            self.average.load_state_dict(self.net.state_dict())
        if self.args.freeze_stem:
            self.net.down[0].load_state_dict(self.average.down[0].state_dict())
            self.net.freeze_stem()
        self.seen_begun = self.seen
        print('at %d samples' % self.seen, flush=True)

    def save(self):
        average = dict(config=self.net.config, average=self.average.state_dict(), seen=self.seen,
                       cpu_s=self.cpu_s + time.process_time())
        write_torch(self.state_path, dict(average, net=self.net.state_dict(), optimizer=self.optimizer.state_dict(),
                                          steps=self.steps, smooth=self.smooth))
        return average

    def batch(self):
        """-> pictures, the arrays of assign(), and how many samples that is."""
        side, many, _ = CANVASES[self.rng.choice(len(CANVASES), p=[c[2] for c in CANVASES])]
        pictures, states, targets, sizes, past = [], [], [], [], self.past[side]
        for _ in range(max(1, round(self.args.batch * many))):
            if len(past) < REMEMBERED or self.rng.random() < 1 / self.args.uses:
                canvas, faces, state = self.scene(side)
                past.append([(canvas, *assign(faces, state, side)), None, faces, state])
                scene = past[-1][0]
            else:
                scene = self._again(past[self.rng.integers(len(past))], side)
            for values, value in zip((pictures, states, targets, sizes), scene):
                values.append(value)
        x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        arrays = [torch.from_numpy(np.stack(v)).to(self.device) for v in (states, targets, sizes)]
        return x.to(self.device), *arrays

    def _again(self, entry, side):
        """A scene as it was or its mirror image, made when first wanted."""
        which = int(self.rng.integers(2))
        if entry[which] is None:
            canvas, faces = mirror(entry[0][0], entry[2])
            entry[which] = (canvas, *assign(faces, entry[3], side))
        return entry[which]

    def step(self):
        for group in self.optimizer.param_groups:
            group['lr'] = training.learning_rate(self)
        x, *wanted = self.batch()
        device = 'cpu' if self.device == 'cpu' else 'cuda'
        with torch.autocast(device, torch.bfloat16, enabled=device != 'cpu' or has_fast_bf16()):
            raw = self.net(x)
        score, box, points = losses(raw, *wanted)
        self.optimizer.zero_grad(set_to_none=True)
        (score + self.args.box * box + self.args.points * points).backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        training.count_step(self, self.args.batch, [score.item(), box.item(), points.item()])

    def report(self):
        seconds, samples = time.time() - self.begun, self.seen - self.seen_begun
        print('seen %d  %.0f/s  %.2f cpu-ms  score %.4f  box %.4f  points %.4f  rate %.5f' % (
            self.seen, samples / seconds, 1e3 * time.process_time() / samples, *self.smooth,
            self.optimizer.param_groups[0]['lr']), flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    training.add_options(parser, batch=16, rate=2e-3, weight_decay=0.02, warmup=300, average=0.999, save_every=120)
    parser.add_argument('--crops', required=True)
    parser.add_argument('--pictures', required=True)
    parser.add_argument('--box', type=float, default=1.0, help='weight of the box term')
    parser.add_argument('--points', type=float, default=2.0, help='weight of the landmarks term')
    parser.add_argument('--uses', type=float, default=2, help='how often a scene is seen on average')
    parser.add_argument('--hard', help='places that look like faces, from detector_mine.py')
    parser.add_argument('--freeze-stem', action='store_true', help='leave the first layer as it is; for long plateaus')
    return parser.parse_args()


def main():
    args = arguments()
    training.prepare(args)
    trainer = Trainer(args)
    trainer.restore()
    print('parameters %d' % sum(p.numel() for p in trainer.net.parameters()), flush=True)
    training.run(trainer)


if __name__ == '__main__':
    main()
