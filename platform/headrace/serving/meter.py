"""What a worker counts while it answers: each request costs less than a microsecond here."""

from bisect import bisect_left
from collections.abc import Sequence
from math import hypot, isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from headrace.serving.cells import Cells, Numbers, Series
from headrace.serving.watch import Ready

PREDICT = "/v1/predict"
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper ends of the histogram of latencies, in seconds; the last bucket is all above."""
LOOKUP_BUCKETS = (0.00001, 0.000025, 0.00005, *BUCKETS[:-3])
"""Those of the histogram of feature lookups."""
SCORE_BUCKETS = {
    "chance": tuple(part / 20 for part in range(1, 21)),
    "amount": (*(-(10.0**power) for power in range(6, -2, -1)), 0.0, *(10.0**power for power in range(-1, 7))),
}
"""Those of the histogram of scores: of chances, and of amounts and places in an order."""
SECONDS, LOOKUPS, SCORES = "request_seconds", "feature_lookup_seconds", "predictions"
MISSING, DEGRADED, REFUSED = "features_missing", "degraded", "refused"
REMEMBERED = 4
"""How many releases that have answered lately are at hand."""
NOW = frozenset({"workers", "journal_waiting", "model_refused"})
"""Families that say what is, not what was counted: those of workers that have ended do not count."""


class _OfRelease(NamedTuple):
    """What is counted of one release."""

    ready: Ready | None
    edges: tuple[float, ...]
    scores: Numbers
    missing: list[Numbers]
    """A number for each input of its model."""


class Meter:
    """The counts of one worker. Any number of threads may count.

    A histogram is the counts of its buckets, the one above all edges, and the sum of what was observed.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Count in a folder that the workers of one server share; without one for this process alone."""
        self._cells = Cells(folder)
        self._of_release: dict[int, _OfRelease] = {}
        self._degraded = self._cells.numbers(DEGRADED)
        self._lookups = self._histogram(LOOKUPS, LOOKUP_BUCKETS)
        self._last = _OfRelease(None, (), self._degraded, [])
        for status in (401, 429, 503):
            self.refused(status, 0)
        self._by_status = {status: self._seconds(PREDICT, status) for status in (200, 503)}

    def done(self, status: int, seconds: float) -> None:
        """Count a request for predictions that was answered."""
        spent = self._by_status.get(status)
        if spent is None:
            spent = self._by_status[status] = self._seconds(PREDICT, status)
        spent[bisect_left(BUCKETS, seconds)] += 1.0
        spent[-1] += seconds

    def done_elsewhere(self, route: str, status: int, seconds: float) -> None:
        """Count a request of another route."""
        spent = self._seconds(route, status)
        spent[bisect_left(BUCKETS, seconds)] += 1.0
        spent[-1] += seconds

    def refused(self, status: int, count: int = 1) -> None:
        """Count requests that were sent away before any route saw them: without a key, or because there are too many."""
        self._cells.numbers(REFUSED, (str(status),))[0] += count

    def looked_up(self, seconds: float) -> None:
        """Count a lookup of features."""
        lookups = self._lookups
        lookups[bisect_left(LOOKUP_BUCKETS, seconds)] += 1.0
        lookups[-1] += seconds

    def answered(self, ready: Ready, seen: Sequence[float], score: float, *, degraded: bool) -> None:
        """Count a row that was answered: its model's inputs as numbers, and its score."""
        own = self._last
        if own[0] is not ready:
            own = self._known(ready)
        _, edges, scores, missing = own
        if score == score:  # noqa: PLR0124  what is no number has no place in a sum
            scores[bisect_left(edges, score)] += 1.0
            scores[-1] += score
        # The length of a vector is a number only where all its parts are: one call for all of them.
        if not isfinite(hypot(*seen)):
            for value, count in zip(seen, missing, strict=True):
                if value != value:  # noqa: PLR0124
                    count[0] += 1.0
        if degraded:
            self._degraded[0] += 1.0

    def answered_all(self, ready: Ready, seen: Any, scores: Any, *, degraded: bool) -> None:
        """Count rows that were scored together: their inputs, float64 rows x inputs, and one score each."""
        own, known = self._known(ready), scores[~np.isnan(scores)]
        for bucket, count in enumerate(np.bincount(np.searchsorted(own.edges, known)).tolist()):
            own.scores[bucket] += count
        total = float(known.sum())
        own.scores[-1] += total
        for missing, count in zip(own.missing, np.isnan(seen).sum(axis=0).tolist(), strict=True):
            missing[0] += count
        if degraded:
            self._degraded[0] += len(scores)

    def say(self, family: str, value: float, *labels: str) -> None:
        """Say what a number of this worker is by now."""
        self._cells.numbers(family, labels)[0] = value

    def totals(self) -> dict[Series, list[float]]:
        """Return what all workers of the server have counted."""
        return self._cells.totals(NOW)

    def _seconds(self, route: str, status: int) -> Numbers:
        return self._histogram(SECONDS, BUCKETS, route, str(status))

    def _histogram(self, family: str, edges: tuple[float, ...], *labels: str) -> Numbers:
        return self._cells.numbers(family, labels, len(edges) + 2)

    def _known(self, ready: Ready) -> _OfRelease:
        """Return what is counted of a release, which answers now."""
        number = ready.release.number
        own = self._of_release.get(number)
        if own is None or own.ready is not ready:
            kind = "chance" if ready.model.meta.task == "classification" else "amount"
            edges = SCORE_BUCKETS[kind]
            missing = [self._cells.numbers(MISSING, (column.name,)) for column in ready.model.inputs]
            own = _OfRelease(ready, edges, self._histogram(SCORES, edges, str(number), kind), missing)
            self._of_release = {**dict(list(self._of_release.items())[-REMEMBERED:]), number: own}
        self._last = own
        return own
