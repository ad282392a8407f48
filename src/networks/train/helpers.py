"""More processes that compute gradients for the same step, each on a batch of its own.

The main process writes the weights into shared memory, lets the helpers go, computes its own gradients meanwhile and
averages. Every process has one torch thread: on a machine shared with other work they wait on semaphores instead of
spinning at barriers. A helper ends when it is told to or when its parent is gone.
"""
import os
import signal

import torch
import torch.multiprocessing as multiprocessing


def flatten(tensors, out):
    offset = 0
    for t in tensors:
        out[offset:offset + t.numel()].copy_(t.reshape(-1))
        offset += t.numel()


def unflatten(flat, tensors):
    offset = 0
    for t in tensors:
        t.copy_(flat[offset:offset + t.numel()].view_as(t))
        offset += t.numel()


def _work(make_worker, shared, go, done, quit_flag):
    """`make_worker()` -> (weights, statistics, compute): lists of tensors, and a function that leaves gradients in the
    weights and returns its loss terms."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    parent = os.getppid()
    weights, statistics, compute = make_worker()
    while True:
        while not go.acquire(timeout=5):
            if os.getppid() != parent:
                os._exit(0)
        if quit_flag.is_set():
            os._exit(0)
        with torch.no_grad():
            unflatten(shared['weights'], weights)
            unflatten(shared['statistics'], statistics)
        terms = compute()
        with torch.no_grad():
            flatten([w.grad for w in weights], shared['gradients'])
            flatten(statistics, shared['new_statistics'])
            shared['terms'].copy_(torch.tensor(terms))
        done.release()


class Helpers:
    """`count` helper processes beside this one (0: none). Weights: parameters with gradients; statistics: the running
    means and variances of BatchNorm, which are averaged too."""

    def __init__(self, count, make_worker, weights, statistics):
        self.weights, self.statistics, self.members = weights, statistics, []
        context = multiprocessing.get_context('spawn')
        self.shared_weights = torch.zeros(sum(w.numel() for w in weights)).share_memory_()
        self.shared_statistics = torch.zeros(sum(s.numel() for s in statistics)).share_memory_()
        self.quit_flag = context.Event()
        for index in range(count):
            shared = dict(weights=self.shared_weights, statistics=self.shared_statistics,
                          gradients=torch.zeros_like(self.shared_weights).share_memory_(),
                          new_statistics=torch.zeros_like(self.shared_statistics).share_memory_(),
                          terms=torch.zeros(3).share_memory_())
            go, done = context.Semaphore(0), context.Semaphore(0)
            work = (make_worker(index + 1), shared, go, done, self.quit_flag)
            process = context.Process(target=_work, args=work, daemon=True)
            process.start()
            self.members.append((process, shared, go, done))

    def step(self, compute):
        """Run `compute` here and in the helpers; leaves the mean gradient in the weights, returns all loss terms."""
        if self.members:
            with torch.no_grad():
                flatten(self.weights, self.shared_weights)
                flatten(self.statistics, self.shared_statistics)
        for _, _, go, _ in self.members:
            go.release()
        terms = [compute()]
        if not self.members:
            return terms
        gradients, statistics = torch.empty_like(self.shared_weights), torch.empty_like(self.shared_statistics)
        flatten([w.grad for w in self.weights], gradients)
        with torch.no_grad():
            flatten(self.statistics, statistics)
            for process, shared, _, done in self.members:
                while not done.acquire(timeout=5):
                    if not process.is_alive():
                        raise RuntimeError('a helper process ended')
                gradients += shared['gradients']
                statistics += shared['new_statistics']
                terms.append(shared['terms'].tolist())
            share = 1 / (1 + len(self.members))
            unflatten(gradients * share, [w.grad for w in self.weights])
            unflatten(statistics * share, self.statistics)
        return terms

    def close(self):
        self.quit_flag.set()
        for process, _, go, _ in self.members:
            go.release()
            process.join(10)
