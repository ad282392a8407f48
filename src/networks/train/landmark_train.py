"""Train the landmark network. Stop it at any moment; the same command goes on from the last state.

  python3 landmark_train.py --faces STORE --out RUN [--init landmarks.onnx] [--samples N | --minutes M]

State (every minute, at the end, on SIGTERM and SIGINT): weights, moving average, optimizer, counts. The loss is the mean
distance in units of that of the eyes, as in landmark_evaluate.py, bent to a square below BEND. STORE.detected.npz, if
landmark_detected.py has written it, says where most of the crops start from. --init also takes a network with fewer layers
or channels. The rate stays at its peak and falls linearly to zero over the last --cooldown part. With AVX512-BF16 the
convolutions run in bfloat16; weights, norms and losses stay float32.
"""
import argparse
import copy
import functools
import os
import time

import numpy as np
import torch
import torch.nn as nn

import training
from crop_pack import write_torch
from detector_store import Store
from helpers import Helpers
from landmark_crop import SIDE
from landmark_net import CONFIG, Landmarker
from landmark_onnx import read_landmarker
from landmark_view import FaceViews, read_detected
from onnx_graph import has_fast_bf16

BEND = 0.02                    # about what is left of the scatter of YuNet's landmarks in a mean of looks
CUTS = 4                       # crops from each damaged picture, which costs more than a crop
USES = 4                       # how often a crop is seen
REMEMBERED = 6000              # crops that may be seen again
UNSTEADY = 0.25                # scatter from which a face is left out


class Worker:
    """A network under training with its own views: what every process of a run has."""

    def __init__(self, args, index):
        self.args, seed = args, [args.seed, index, int(time.time())]
        self.net = Landmarker(**CONFIG).to(memory_format=torch.channels_last).to(args.device)
        self.weights = list(self.net.parameters())
        self.statistics = [b for b in self.net.buffers() if b.dtype.is_floating_point]
        store, self.rng = Store(args.faces), np.random.default_rng(seed)
        scatter = np.array([store.faces_of(i)[0, 14] for i in range(len(store))])
        self.rows = np.flatnonzero(~store.held_out & (scatter < UNSTEADY))
        self.views = FaceViews(store, seed, detected=read_detected(args.faces))
        self.made = 0
        self.ring = (np.zeros((REMEMBERED, SIDE, SIDE, 3), np.uint8), np.zeros((REMEMBERED, 5, 2), np.float32),
                     np.zeros(REMEMBERED, np.float32))

    def fresh(self, count):
        """Put so many new views into the ring, in place of the oldest; returns where they are."""
        rows = self.rng.choice(self.rows, count // CUTS)
        crops, points, units = zip(*(view for row in rows for view in self.views(row, CUTS)))
        places = (self.made + np.arange(len(crops))) % REMEMBERED
        self.made += len(crops)
        for array, value in zip(self.ring, (np.stack(crops), np.stack(points), np.array(units))):
            array[places] = value
        return places

    def batch(self):
        """-> crops [n, 3, 64, 64], points [n, 10], units [n, 1]: new views and remembered ones, half of them mirrored."""
        count = self.args.batch if self.made < self.args.batch * USES else self.args.batch // USES
        places = self.fresh(count)
        old = self.rng.integers(0, min(self.made, REMEMBERED), self.args.batch - len(places))
        crops, points, units = (array[np.concatenate([places, old])] for array in self.ring)
        turned = self.rng.random(len(crops)) < 0.5
        crops[turned] = crops[turned, :, ::-1]
        points[turned] = (points[turned] * (-1, 1) + (1, 0))[:, [1, 0, 2, 4, 3]]
        x = torch.from_numpy(crops).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        arrays = points.reshape(-1, 10), units[:, None]
        return x.to(self.args.device), *(torch.from_numpy(a).float().to(self.args.device) for a in arrays)

    def compute(self):
        """Gradients of one batch; returns the loss, the mean distance, and that of the worst landmark of each face."""
        x, points, units = self.batch()
        device = 'cpu' if self.args.device == 'cpu' else 'cuda'
        with torch.autocast(device, torch.bfloat16, enabled=device != 'cpu' or has_fast_bf16()):
            got = self.net(x)
        error = ((got - points) / units).reshape(-1, 5, 2)
        loss = ((error ** 2).sum(2) + BEND ** 2).sqrt().mean()
        for weight in self.weights:
            weight.grad = None
        loss.backward()
        distance = error.detach().norm(dim=2)
        return [loss.item(), distance.mean().item(), distance.max(1)[0].mean().item()]


def helper(args, index):
    """A Worker in the form that Helpers wants, made in the helper's own process."""
    worker = Worker(args, index)
    return worker.weights, worker.statistics, worker.compute


class Trainer:
    def __init__(self, args):
        self.args, self.device = args, args.device
        self.worker = Worker(args, 0)
        self.net = self.worker.net
        self.average = copy.deepcopy(self.net)
        self.seen = self.steps = self.seen_begun = 0
        self.cpu_s, self.smooth, self.begun = 0.0, None, time.time()
        weights = self.worker.weights
        self.optimizer = torch.optim.AdamW(
            [dict(params=[p for p in weights if p.dim() > 1], weight_decay=args.weight_decay),
             dict(params=[p for p in weights if p.dim() <= 1], weight_decay=0)], lr=args.rate)
        make_worker = functools.partial(functools.partial, helper, args)      # make_worker(index) -> partial to be sent
        self.helpers = Helpers(args.helpers, make_worker, weights, self.worker.statistics)

    def cpu(self):
        """CPU seconds of this start, helpers included (they run in step with this process)."""
        return time.process_time() * (1 + self.args.helpers)

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
            weights, config, self.seen = read_landmarker(self.args.init)
            if any(a > b for name in config for a, b in zip(config[name], self.net.config[name])):
                raise SystemExit(f'{self.args.init} is another network: {config}')
            self.net.load_folded(weights, [self.worker.batch()[0] for _ in range(16)])
            self.average.load_state_dict(self.net.state_dict())
        self.seen_begun = self.seen
        print('at %d samples' % self.seen, flush=True)

    def save(self):
        average = dict(config=self.net.config, average=self.average.state_dict(), seen=self.seen,
                       cpu_s=self.cpu_s + self.cpu())
        write_torch(self.state_path, dict(average, net=self.net.state_dict(), optimizer=self.optimizer.state_dict(),
                                          steps=self.steps, smooth=self.smooth))
        return average

    def step(self):
        for group in self.optimizer.param_groups:
            group['lr'] = training.learning_rate(self)
        terms = self.helpers.step(self.worker.compute)
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        training.count_step(self, self.args.batch * len(terms), [sum(column) / len(terms) for column in zip(*terms)])

    def report(self):
        seconds, samples = time.time() - self.begun, self.seen - self.seen_begun
        print('seen %d  %.0f/s  %.2f cpu-ms  loss %.4f  distance %.4f  rate %.5f' % (
            self.seen, samples / seconds, 1e3 * self.cpu() / samples, *self.smooth[:2],
            self.optimizer.param_groups[0]['lr']), flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    training.add_options(parser, batch=96, rate=2e-3, weight_decay=0.02, warmup=200, average=0.998, save_every=60)
    parser.add_argument('--faces', required=True)
    parser.add_argument('--helpers', type=int, default=0, help='further processes that compute gradients')
    return parser.parse_args()


def main():
    args = arguments()
    training.prepare(args)
    trainer = Trainer(args)
    trainer.restore()
    print('parameters %d' % sum(p.numel() for p in trainer.net.parameters()), flush=True)
    training.run(trainer)
    trainer.helpers.close()


if __name__ == '__main__':
    main()
