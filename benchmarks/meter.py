"""Measures what a request costs in the counts of the server: all that the hot route asks of Meter.

Usage: python -m benchmarks.meter [rounds]. The best round counts; exits with 1 where that is a microsecond or more.
"""

import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from headrace.models.meta import Input, Meta
from headrace.serving.meter import Meter
from headrace.serving.watch import Ready
from headrace.store.releases import Release

REQUESTS, MOST_NS = 20_000, 1000.0
NOW = datetime(2024, 1, 1, tzinfo=UTC)


def answering(inputs: int) -> Ready:
    """Return a release of a model with that many inputs; it never scores here."""
    columns = [Input(name=f"x{number}", kind="numeric") for number in range(inputs)]
    facts: dict[str, Any] = {"label": "y", "time": "at", "params": {}, "trees": 1, "seed": 1, "rows": 1}
    meta = Meta(inputs=columns, train_from=NOW, train_to=NOW, **facts)
    model: Any = SimpleNamespace(meta=meta, inputs=columns)
    return Ready(Release(1, "released", "0" * 64, NOW, "a benchmark", "to measure", {}), model)


def nanoseconds(meter: Meter, ready: Ready, seen: list[float]) -> float:
    """Return what one request costs, the loop itself taken off."""
    clock, rounds = time.thread_time_ns, range(REQUESTS)
    began = clock()
    for _ in rounds:
        pass
    empty = clock() - began
    began = clock()
    for _ in rounds:
        meter.looked_up(0.000012)
        meter.answered(ready, seen, 0.42, degraded=False)
        meter.done(200, 0.00006)
    return (clock() - began - empty) / REQUESTS


def main(rounds: int) -> None:
    """Print the best round of each, and whether the limit holds for a model of 20 inputs."""
    best = {}
    with tempfile.TemporaryDirectory() as folder:
        for inputs in (5, 20, 50):
            ready, seen = answering(inputs), [float(number) for number in range(inputs)]
            meter = Meter(Path(folder))
            best[inputs] = min(nanoseconds(meter, ready, seen) for _ in range(rounds))
            print(f"  {inputs:>2} inputs: {best[inputs]:.0f} ns a request")
    held = best[20] < MOST_NS
    print(f"{'PASS' if held else 'FAIL'}: less than {MOST_NS:.0f} ns a request with 20 inputs")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
