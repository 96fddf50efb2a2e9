# SPDX-License-Identifier: Apache-2.0
"""Contenders measured in turns, round by round, and what becomes of the samples.

Machines are noisy: what is told is the median over the rounds of the ratio within a round, with the
lowest and the highest of them. Every second round goes the other way around, so that nobody always
runs behind the same one.
"""
import statistics
import sys

# What a sample may hold, and whether more of it is better.
METRICS = {
    "iops": True,
    "bytes_per_second": True,
    "latency_us": False,
    "p99_us": False,
    "cpu_us": False,  # Of the server, for one request.
    "ns": False,
    "ms": False,
    "bytes": False,
    "cpu_percent": False,  # Of one core.
}


def interleave(contenders, measure, rounds, label=""):
    """contenders: names; measure(name) -> sample. Returns name -> list of samples, one a round."""
    samples = {name: [] for name in contenders}
    for number in range(rounds):
        order = list(contenders) if number % 2 == 0 else list(reversed(contenders))
        for name in order:
            progress(f"{label}: round {number + 1} of {rounds}: {name}")
            samples[name].append(measure(name))
    progress("")
    return samples


def progress(text):
    """One line that is replaced by the next; nothing where no terminal is."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def median(samples, metric):
    return statistics.median(sample[metric] for sample in samples)


def meets(value, goal, metric):
    """A goal is a lower bound where more is better, else an upper one."""
    return value >= goal if METRICS[metric] else value <= goal


class Ratio:
    """Ours over theirs, one figure a round; `better`: how many times better ours is."""

    def __init__(self, ours, theirs, metric):
        pairs = [(a[metric], b[metric]) for a, b in zip(ours, theirs)]
        self.metric = metric
        self.ratios = sorted(a / b for a, b in pairs if b)
        self.median = statistics.median(self.ratios) if self.ratios else float("nan")
        self.lowest, self.highest = ((self.ratios[0], self.ratios[-1]) if self.ratios
                                     else (float("nan"),) * 2)

    def meets(self, goal):
        return meets(self.median, goal, self.metric)
