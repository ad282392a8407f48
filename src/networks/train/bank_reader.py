"""Batches from the banks that producer.py fills: a thread makes fresh views while the network computes."""
import glob
import json
import os
import queue
import threading

import numpy as np
import torch

from augment import ViewMaker
from producer import COLUMNS, column_path
from teachers import student_input

GUARD = 64          # rows right behind the write position are left alone: their columns may be of different ages


class BankReader:
    """`next(reader)` -> input [n, 3, 112, 112], pair [n, 384], map [n, 64, 7, 7]; rows are drawn at random."""

    def __init__(self, folder, batch, seed, minimum_rows):
        self.folder, self.batch, self.minimum_rows = folder, batch, minimum_rows
        self.rng, self.view = np.random.default_rng(seed), ViewMaker(seed + [1])
        self.columns, self.state = {}, {}
        self.stop = threading.Event()
        self.ready = queue.Queue(3)
        threading.Thread(target=self._fill, daemon=True).start()

    def rows_made(self):
        """Rows labelled so far, those replaced since included."""
        return sum(s['total'] for s in self.state.values())

    def _refresh(self):
        for path in glob.glob(os.path.join(self.folder, 'rows*.json')):
            worker = int(os.path.basename(path)[4:-5])
            with open(path) as file:
                self.state[worker] = json.load(file)
            if worker not in self.columns:
                self.columns[worker] = {c: np.load(column_path(self.folder, worker, c), mmap_mode='r') for c in COLUMNS}

    def _draw(self):
        """-> list of (worker, row)."""
        workers = sorted(self.state)
        sizes = [min(self.state[w]['total'], self.state[w]['capacity']) for w in workers]
        picks = self.rng.choice(len(workers), self.batch, p=np.array(sizes) / sum(sizes))
        rows = []
        for pick in picks:
            state = self.state[workers[pick]]
            if state['total'] > state['capacity']:       # a ring that has wrapped: not the rows about to be replaced
                row = (state['total'] + GUARD + self.rng.integers(state['capacity'] - GUARD)) % state['capacity']
            else:
                row = self.rng.integers(state['total'])
            rows.append((workers[pick], int(row)))
        return rows

    def _make(self):
        views, pairs, maps = [], [], []
        for worker, row in self._draw():
            columns = self.columns[worker]
            view, mirrored = self.view(np.asarray(columns['picture'][row]))
            hint = np.asarray(columns['map'][row])
            views.append(view)
            pairs.append(np.asarray(columns['pair'][row]))
            maps.append(hint[:, :, ::-1] if mirrored else hint)
        return (student_input(np.stack(views)), torch.from_numpy(np.stack(pairs)).float(),
                torch.from_numpy(np.stack(maps)).float())

    def _fill(self):
        count = 0
        while not self.stop.is_set():
            if count % 20 == 0:
                self._refresh()
                if self.rows_made() < self.minimum_rows:
                    self.stop.wait(2)
                    continue
            count += 1
            batch = self._make()
            while not self.stop.is_set():
                try:
                    self.ready.put(batch, timeout=1)
                    break
                except queue.Full:
                    pass

    def __next__(self):
        return self.ready.get()
