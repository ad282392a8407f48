"""What the trainers share: options, learning rate, moving average, and the loop that saves and stops.

A trainer has args, net, average, seen (samples), steps, begun (time), smooth (terms of the loss, or None), and the
functions step, report and save; save returns what a milestone keeps.
"""
import os
import signal
import time

import torch

from crop_pack import write_torch


def add_options(parser, batch, rate, weight_decay, warmup, average, save_every):
    parser.add_argument('--out', required=True)
    parser.add_argument('--init', help='exported network to start from')
    parser.add_argument('--samples', type=float, default=1e9, help='stop when so many have been seen in all')
    parser.add_argument('--minutes', type=float, default=1e9, help='stop so long after this start')
    parser.add_argument('--cooldown-samples', type=float, default=0)
    parser.add_argument('--cooldown-minutes', type=float, default=0)
    parser.add_argument('--batch', type=int, default=batch, help='of each process')
    parser.add_argument('--rate', type=float, default=rate)
    parser.add_argument('--weight-decay', type=float, default=weight_decay)
    parser.add_argument('--warmup', type=int, default=warmup, help='steps')
    parser.add_argument('--average', type=float, default=average, help='of the moving average, per step')
    parser.add_argument('--save-every', type=float, default=save_every, help='seconds')
    parser.add_argument('--keep-every', type=float, default=0, help='also keep the average every so many samples')
    parser.add_argument('--seed', type=int, default=7)
    parser.add_argument('--device', default='cpu')


def prepare(args):
    """Before a trainer is made."""
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    os.makedirs(args.out, exist_ok=True)


def learning_rate(trainer):
    """Warm-up, plateau, linear cool-down to zero over the last part of the samples or of the minutes."""
    args, left = trainer.args, 1.0
    if args.cooldown_samples:
        left = (args.samples - trainer.seen) / args.cooldown_samples
    if args.cooldown_minutes:
        left = min(left, (args.minutes - (time.time() - trainer.begun) / 60) / args.cooldown_minutes)
    return args.rate * min(1.0, (trainer.steps + 1) / args.warmup) * max(0.0, min(1.0, left))


def count_step(trainer, samples, terms):
    """After a step of the optimizer: counts, the moving average of the weights, that of the loss's terms."""
    trainer.steps += 1
    trainer.seen += samples
    with torch.no_grad():
        keep = min(trainer.args.average, (1 + trainer.steps) / (20 + trainer.steps))
        for old, new in zip(trainer.average.state_dict().values(), trainer.net.state_dict().values()):
            if old.dtype.is_floating_point:
                old.mul_(keep).add_(new, alpha=1 - keep)
    trainer.smooth = terms if trainer.smooth is None else [.98 * a + .02 * b for a, b in zip(trainer.smooth, terms)]


def run(trainer):
    """Train until the samples or minutes are over, or somebody wants it to stop; the average stays as final.pt."""
    args, stopped = trainer.args, []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.append(1))
    saved, kept = time.time(), trainer.seen
    while not stopped and trainer.seen < args.samples and time.time() - trainer.begun < 60 * args.minutes:
        trainer.step()
        if trainer.steps % 50 == 0:
            trainer.report()
        if time.time() - saved > args.save_every:
            trainer.save()
            saved = time.time()
        if args.keep_every and trainer.seen - kept >= args.keep_every:
            write_torch(os.path.join(args.out, 'average_%08d.pt' % trainer.seen), trainer.save())
            saved, kept = time.time(), trainer.seen
    write_torch(os.path.join(args.out, 'final.pt'), trainer.save())
    print('stopped at', trainer.seen, flush=True)
