"""Train the student on the banks. Stop it at any moment; the same command goes on from the last state.

  python3 train.py --bank BANK --basis target_basis.npz --out RUN [--init embedder.onnx] [--samples N | --minutes M]

State (every two minutes, at the end, on SIGTERM and SIGINT): weights, moving average, optimizer, counts. --init starts
from an exported network where RUN holds no state yet: a fresh machine needs nothing else of an earlier run.

Loss: 1 - cosine to the ensemble target; 5 x mean squared difference between the batch's similarity matrix and the
teachers' (Park et al., "Relational Knowledge Distillation", CVPR 2019, in its plainest form); 0.3 x smooth L1 from a 1x1
projection of the last map to the teacher's reduced 7x7 map (hints: Romero et al., "FitNets", ICLR 2015).

The rate stays at its peak and falls linearly to zero over the last --cooldown part, so that a run can be prolonged
until the cool-down begins. What counts is the exponential moving average of the weights. With AVX512-BF16 the
convolutions run in bfloat16 (half the time); weights, norms and losses stay float32.
"""
import argparse
import copy
import functools
import os
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

import training
from bank_reader import BankReader
from crop_pack import write_json, write_torch
from helpers import Helpers
from onnx_graph import has_fast_bf16
from student import CONFIG, Student, multiply_adds
from student_onnx import read_student
from teachers import TargetBasis


class Worker:
    """A network under training with its source of batches: what every process of a run has."""

    def __init__(self, args, index):
        self.args = args
        self.net = Student(**CONFIG).to(memory_format=torch.channels_last).to(args.device)
        self.projection = nn.Conv2d(CONFIG['widths'][-1], 64, 1).to(args.device)
        self.weights = list(self.net.parameters()) + list(self.projection.parameters())
        self.statistics = [b for b in self.net.buffers() if b.dtype.is_floating_point]
        self.basis = TargetBasis(args.basis)
        self.basis.embedding = self.basis.embedding.to(args.device)
        self.reader = BankReader(args.bank, args.batch, [args.seed, index, int(time.time())], args.minimum_rows)

    def losses(self, x, pair, hint):
        """-> the three terms, unweighted, float32."""
        device = 'cpu' if self.args.device == 'cpu' else 'cuda'
        target = self.basis.target(pair)
        with torch.autocast(device, torch.bfloat16, enabled=device != 'cpu' or has_fast_bf16()):
            features = self.net.features(x)
            embedding, projected = self.net.head(features), self.projection(features)
        embedding = F.normalize(embedding.float())
        cosine = (1 - (embedding * target).sum(1)).mean()
        relation = ((embedding @ embedding.t() - target @ target.t()) ** 2).mean()
        return cosine, relation, F.smooth_l1_loss(projected.float(), hint)

    def compute(self):
        """Gradients of one batch; returns the loss terms."""
        terms = self.losses(*(t.to(self.args.device, non_blocking=True) for t in next(self.reader)))
        for weight in self.weights:
            weight.grad = None
        (terms[0] + self.args.relation * terms[1] + self.args.hint * terms[2]).backward()
        return [t.item() for t in terms]


def helper(args, index):
    """A Worker in the form that Helpers wants, made in the helper's own process."""
    worker = Worker(args, index)
    return worker.weights, worker.statistics, worker.compute


class Trainer:
    def __init__(self, args):
        self.args, self.device = args, args.device
        self.worker = Worker(args, 0)
        self.net, self.projection = self.worker.net, self.worker.projection
        self.average = copy.deepcopy(self.net)
        self.seen = self.steps = self.seen_begun = 0
        self.cpu_s = self.wall_s = 0.0
        weights = self.worker.weights
        self.optimizer = torch.optim.AdamW(
            [dict(params=[p for p in weights if p.dim() > 1], weight_decay=args.weight_decay),
             dict(params=[p for p in weights if p.dim() <= 1], weight_decay=0)], lr=args.rate)
        self.smooth, self.begun = None, time.time()
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
            for name, part in (('student', self.net), ('average', self.average), ('projection', self.projection),
                               ('optimizer', self.optimizer)):
                part.load_state_dict(state[name])
            self.seen, self.steps, self.smooth = state['seen'], state['steps'], state['smooth']
            self.cpu_s, self.wall_s = state['cpu_s'], state['wall_s']
        elif self.args.init:
            weights, config, self.seen = read_student(self.args.init)
            if config != self.net.config:
                raise SystemExit(f'{self.args.init} is another network: {config}')
            batches = [next(self.worker.reader)[0].to(self.device) for _ in range(8)]
            self.net.load_folded(weights, batches)
            self.average.load_state_dict(self.net.state_dict())
        self.seen_begun = self.seen
        print('at %d samples' % self.seen, flush=True)

    def save(self):
        used = dict(cpu_s=self.cpu_s + self.cpu(), wall_s=self.wall_s + time.time() - self.begun)
        average = dict(config=self.net.config, average=self.average.state_dict(), seen=self.seen, **used)
        full = dict(average, student=self.net.state_dict(), projection=self.projection.state_dict(),
                    optimizer=self.optimizer.state_dict(), steps=self.steps, smooth=self.smooth)
        write_torch(self.state_path, full)
        return average

    def step(self):
        for group in self.optimizer.param_groups:
            group['lr'] = training.learning_rate(self)
        terms = self.helpers.step(self.worker.compute)
        nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.optimizer.step()
        training.count_step(self, self.args.batch * len(terms), [sum(column) / len(terms) for column in zip(*terms)])
        if self.steps % 10 == 0:                       # the producers keep pace with this
            write_json(os.path.join(self.args.bank, 'seen.json'), self.seen)

    def report(self):
        seconds, samples = time.time() - self.begun, self.seen - self.seen_begun
        print('seen %d  rows %d  %.0f/s  %.2f cpu-ms  cos %.4f  relation %.5f  hint %.4f  rate %.5f' % (
            self.seen, self.worker.reader.rows_made(), samples / seconds, 1e3 * self.cpu() / samples,
            1 - self.smooth[0], self.smooth[1], self.smooth[2], self.optimizer.param_groups[0]['lr']), flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    training.add_options(parser, batch=96, rate=3e-3, weight_decay=0.03, warmup=200, average=0.999, save_every=120)
    parser.add_argument('--bank', required=True)
    parser.add_argument('--basis', required=True)
    parser.add_argument('--helpers', type=int, default=0, help='further processes that compute gradients')
    parser.add_argument('--relation', type=float, default=5)
    parser.add_argument('--hint', type=float, default=0.3)
    parser.add_argument('--minimum-rows', type=int, default=3000, help='wait until the banks hold so many')
    return parser.parse_args()


def main():
    args = arguments()
    training.prepare(args)
    trainer = Trainer(args)
    trainer.restore()
    print('parameters %d, multiply-adds %.1f M' % (sum(p.numel() for p in trainer.net.parameters()),
                                                  multiply_adds(trainer.average) / 1e6), flush=True)
    training.run(trainer)
    trainer.worker.reader.stop.set()
    trainer.helpers.close()


if __name__ == '__main__':
    main()
