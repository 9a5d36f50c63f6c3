"""A crowd: as many generators, each in a process of its own, as a rate needs."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from math import ceil
from os import cpu_count

from headrace.core.orphans import die_with_parent
from headrace.load.run import Target, arrivals, ask_open_loop
from headrace.load.step import Step, step_of

ONE_ASKS = 3000.0
"""How many requests a second one generator is given."""
LEAST = 100
"""Fewer requests have no 99th percentile."""
WARM_RATE, WARM_S = 50.0, 1.0


class Crowd:
    """Asks one server, rate after rate; the requests of a seed are due at the same moments each time."""

    def __init__(self, workers: ProcessPoolExecutor, target: Target, bodies: Sequence[bytes], connections: int) -> None:
        self._workers, self._target, self._bodies, self._connections = workers, target, bodies, connections
        self._asked = 0

    def ask(self, rate: float, seconds: float) -> Step:
        """Return how the server does at a rate, over so many seconds, or as many as a hundred requests take."""
        lasts = max(seconds, LEAST / rate)
        count = min(ceil(rate / ONE_ASKS), most_generators(), self._connections)
        self._asked += 1
        under_way = [
            self._workers.submit(
                ask_open_loop,
                self._target,
                self._bodies,
                arrivals(rate / count, lasts, seed=1000 * self._asked + n),
                self._connections // count + (n < self._connections % count),
            )
            for n in range(count)
        ]
        return step_of([one.result() for one in under_way], rate, lasts)

    def warm(self) -> None:
        """Let processes, connections and caches be there before anything is measured; raises StoreError where nobody listens."""
        self.ask(WARM_RATE, WARM_S)


def most_generators() -> int:
    """Return how many processes may ask: one for each core, and no more than four."""
    return min(cpu_count() or 1, 4)


@contextmanager
def crowd(target: Target, bodies: Sequence[bytes], connections: int) -> Iterator[Crowd]:
    """Yield generators that have asked before; their processes end with it, or with this one."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(most_generators(), context, initializer=die_with_parent) as workers:
        ready = Crowd(workers, target, bodies, connections)
        ready.warm()
        yield ready
