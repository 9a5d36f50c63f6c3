"""A step: what became of all requests at one rate."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel

from headrace.load.declaration import Bounds
from headrace.load.run import CUT, LATE, Seen

OK, TOO_MANY, UNAVAILABLE = 200, 429, 503
BEHIND_MS = 10.0
"""A generator that is later than that with one request in a hundred may be what was slow."""
_WORDS = {LATE: "late", CUT: "cut"}


class Step(BaseModel, frozen=True):
    """How a server did at one rate. Latencies are milliseconds of answered requests, from when each was due."""

    rate: float
    """How many were due a second."""
    seconds: float
    asked: int
    answered: int
    too_many: int
    """Refused with 429: above a limit of key or address."""
    unavailable: int
    """Refused with 503: more than can be answered in time."""
    errors: Mapping[str, int]
    """What else became of requests: other statuses; `late` without an answer, `cut` before it."""
    with_retry: int
    """How many of the refused were told when to try again."""
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    late_ms: float
    """By how much the generator itself was late with one in a hundred requests, at least."""

    @property
    def shed(self) -> int:
        """How many were refused because there were too many."""
        return self.too_many + self.unavailable

    @property
    def failed(self) -> int:
        """How many were not answered, for whatever reason."""
        return self.asked - self.answered

    @property
    def is_behind(self) -> bool:
        """Whether the generator was so late that it may not be the server that was slow."""
        return self.late_ms > BEHIND_MS

    def is_borne(self, bounds: Bounds) -> bool:
        """Return whether the requests were answered as fast, and as many of them, as is asked for."""
        return self.p99_ms is not None and self.p99_ms <= bounds.p99 and self.failed <= bounds.errors * self.asked


def step_of(seen: Sequence[Seen], rate: float, seconds: float) -> Step:
    """Return what became of the requests of all generators that asked at a rate together."""
    status, took, late = (np.concatenate([getattr(s, name) for s in seen]) for name in ("status", "took_ms", "late_ms"))
    retriable = np.concatenate([s.retriable for s in seen])
    counts, answered = Counter(status.tolist()), took[status == OK]
    is_shed = (status == TOO_MANY) | (status == UNAVAILABLE)
    p50, p95, p99, most = np.percentile(answered, (50, 95, 99, 100)).tolist() if len(answered) else (None,) * 4
    return Step(
        rate=rate,
        seconds=seconds,
        asked=len(status),
        answered=counts[OK],
        too_many=counts[TOO_MANY],
        unavailable=counts[UNAVAILABLE],
        errors={
            _WORDS.get(code, f"{code}"): count
            for code, count in sorted(counts.items())
            if code not in (OK, TOO_MANY, UNAVAILABLE)
        },
        with_retry=int((retriable & is_shed).sum()),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=most,
        late_ms=float(np.percentile(late, 99)) if len(late) else 0.0,
    )
