"""Measures whether a server that is asked for long, under half of what it bears, grows: memory, open files, and errors.

Usage: python -m benchmarks.steady [seconds=3600] [rate]

The product is served as `headrace serve` does it: a supervisor, one worker process, and one that gathers
predictions into their table all the while. Requests come in an open loop, at 40 % of what the worker bears, or at `rate` if that is less. Memory is the PSS of
what is no file's, in RAM and swapped out, once a second (the pages of a library come and go with whoever else has loaded it); its
slope is that of a line by least squares, without the first quarter of the time. The slope's error is that of thirty means of neighbouring seconds, which know less of each other.
"""

import math
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headrace.core.ports import free_port
from headrace.load.crowd import Crowd, crowd
from headrace.load.requests import requests_of
from headrace.load.run import Target, ask_open_loop
from headrace.load.step import OK, Step
from platform_tests.serving.bar import bar, released, running, served

MOST_MB_AN_HOUR = 1.0
STEP_MB = 3.0
"""Allocators take memory, and give it back, in steps of up to 2.5 MB, as was seen of a worker: less than one in all is no slope."""
SHARE_OF_CAPACITY, BURST, CONNECTIONS, MEANS = 0.4, 800, 16, 30
WARM = 0.25
EVERY_S = 1.0
MB = 1e6


@dataclass(frozen=True)
class Sample:
    """One look at a process."""

    at_s: float
    pss_mb: float
    files: int


@dataclass(frozen=True)
class Growth:
    """How a process grew, once it was warm."""

    mb_an_hour: float
    error: float
    """The standard error of that."""
    first_mb: float
    last_mb: float
    files: tuple[int, int]
    """Open file descriptors when it was warm, and at the end: medians, as a segment or a connection comes and goes."""

    @property
    def holds(self) -> bool:
        """Whether it does not grow by more than the limit, as far as can be told: by twice the error, or by one step."""
        return self.mb_an_hour - 2 * self.error <= MOST_MB_AN_HOUR or self.last_mb - self.first_mb <= STEP_MB

    def __str__(self) -> str:
        return (
            f"{self.mb_an_hour:+.2f} ± {self.error:.2f} MB/h, {self.first_mb:.1f} to {self.last_mb:.1f} MB, "
            f"{self.files[0]} to {self.files[1]} open files"
        )


def growth_of(samples: Sequence[Sample], warm: float = WARM) -> Growth:
    """Return how a process grew, without the first share of its samples; at least sixty of them."""
    seen = samples[int(len(samples) * warm) :]
    parts = [part for part in np.array_split(np.array([(s.at_s / 3600, s.pss_mb) for s in seen]), MEANS) if len(part)]
    slope, error = line_of(*np.array([part.mean(axis=0) for part in parts]).T)
    first, last = parts[0][:, 1].mean(), parts[-1][:, 1].mean()
    files = [int(np.median([s.files for s in some])) for some in (seen[: len(parts[0])], seen[-len(parts[-1]) :])]
    return Growth(slope, error, float(first), float(last), (files[0], files[1]))


def line_of(x: Any, y: Any) -> tuple[float, float]:
    """Return the slope of the line through points by least squares, and its standard error; at least three points."""
    away = x - x.mean()
    spread = (away**2).sum()
    slope = (away * (y - y.mean())).sum() / spread
    left = y - y.mean() - slope * away
    return float(slope), float(np.sqrt((left**2).sum() / (len(x) - 2) / spread))


def look(pid: int, since: float) -> Sample:
    """Return what a process holds now."""
    told = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    pss = sum(int(line.split()[1]) for line in told if line.startswith(("Pss_Anon:", "Pss_Shmem:", "SwapPss:")))
    return Sample(time.monotonic() - since, pss * 1024 / MB, len(list(Path(f"/proc/{pid}/fd").iterdir())))


def processes_of(supervisor: int) -> dict[str, int]:
    """Return the processes of a server with one worker: `supervisor`, and `worker`, which it has begun first.

    That which gathers is replaced every few minutes, so that nothing grows there.
    """
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    worker, *_ = [pid for pid in map(int, children) if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
    return {"supervisor": supervisor, "worker": worker}


@contextmanager
def watching(pids: Mapping[str, int]) -> Iterator[Mapping[str, list[Sample]]]:
    """Look at some processes each second; what was seen is complete at the end."""
    seen: dict[str, list[Sample]] = {name: [] for name in pids}
    over, since = threading.Event(), time.monotonic()

    def watch() -> None:
        while not over.wait(EVERY_S):
            for name, pid in pids.items():
                seen[name].append(look(pid, since))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


@dataclass(frozen=True)
class Steady:
    """What became of a server that was asked for long."""

    step: Step
    samples: Mapping[str, Sequence[Sample]]

    def growth(self, process: str) -> Growth:
        """Return how one of its processes grew."""
        return growth_of(self.samples[process])


def capacity(target: Target, bodies: Sequence[bytes]) -> float:
    """Return the answers a second where connections ask as fast as they are answered: all is due at once."""
    seen = ask_open_loop(target, bodies, np.zeros(BURST), CONNECTIONS)
    return float((seen.status == OK).sum() / seen.took_ms.max() * 1000)


def steady(generators: Crowd, pids: Mapping[str, int], rate: float, seconds: float) -> Steady:
    """Return what becomes of a server that is asked at a rate for so many seconds."""
    with watching(pids) as samples:
        step = generators.ask(rate, seconds)
    return Steady(step, samples)


def measured(folder: Path, seconds: float, most_rate: float = math.inf) -> Steady:
    """Return what becomes of a shop's server that is asked for so many seconds at 40 % of its capacity, or less."""
    site = bar(folder)
    released(site)
    declared, port = served(site), free_port()
    bodies = requests_of(site, declared)
    target = Target("127.0.0.1", port)
    with running(site, declared, port=port) as server, crowd(target, bodies, CONNECTIONS) as generators:
        rate = min(SHARE_OF_CAPACITY * capacity(target, bodies), most_rate)
        return steady(generators, processes_of(server.process.pid), rate, seconds)


def main(seconds: float, most_rate: float) -> None:
    """Print what grew, and whether the limits hold."""
    with tempfile.TemporaryDirectory() as made:
        found = measured(Path(made), seconds, most_rate)
    step = found.step
    print(f"{step.asked:,} requests in {seconds:g} s ({step.rate:,.0f}/s): {step.failed} failed, {dict(step.errors)}")
    print(f"p50 {step.p50_ms} ms, p99 {step.p99_ms} ms, generator late by {step.late_ms:.2f} ms")
    told = [("no request failed", not step.failed)]
    for name, samples in found.samples.items():
        growth = found.growth(name)
        print(f"{name}: {growth}")
        for part in (0.25, 0.5, 0.75):
            begun = samples[: max(int(len(samples) * part), 1)]
            print(f"  the first {part:.0%} of the time alone: {growth_of(begun)}")
        told.append((f"{name}: no more than {MOST_MB_AN_HOUR:g} MB/h", growth.holds))
        told.append((f"{name}: no more open files", growth.files[1] <= growth.files[0]))
    for what, holds in told:
        print(f"{'ok  ' if holds else 'FAIL'} {what}")
    sys.exit(0 if all(holds for _, holds in told) else 1)


if __name__ == "__main__":
    main(
        float(sys.argv[1]) if len(sys.argv) > 1 else 3600.0,
        float(sys.argv[2]) if len(sys.argv) > 2 else math.inf,
    )
