"""Requests that are answered together, in the order in which they were read, as long as others do not wait for it too long.

All that is ready is read before the event loop looks at its sockets again: it is answered by one call then, which finds what
it needs together. What takes longer than a turn goes on in the next one: new connections, refusals and other routes come between.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple, Protocol

from headrace.access.admission import Headers
from headrace.access.refusals import BROKEN
from headrace.core.attempt import Attempt

LONGEST_TURN_S = 0.002
MOST_TOGETHER = 16
WIDEST = 64
Asked = Sequence[tuple[Headers, bytes]]
_log = logging.getLogger("headrace.access")


class Due(NamedTuple):
    """A request that is read and waits for its answer."""

    headers: Headers
    body: bytes
    keeps: bool
    """Whether its client may ask again by the same connection."""


class Waiting(Protocol):
    """A connection in line."""

    def take_due(self) -> Due | None:
        """Return its request; None where it was answered before, or its client is gone."""
        ...

    def give(self, due: Due, answer: bytes) -> None:
        """Write an answer."""
        ...


class Line:
    """The line of one worker process."""

    def __init__(self, answers: Callable[[Asked], Sequence[bytes]]) -> None:
        self._answers = answers
        self._waiting: deque[Waiting] = deque()
        self._since = 0.0
        """When this turn began; 0 between turns."""
        self._width = WIDEST
        """How many answers a turn has time for, by what turns had lately: one that is held up halves it."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def behind(self) -> int:
        """How many will wait for more than this turn: the others are answered as soon as all is read."""
        return max(0, len(self._waiting) - self._width)

    @property
    def has_time(self) -> bool:
        """Whether this turn may take longer."""
        return perf_counter() - self._since < LONGEST_TURN_S

    def join(self, connection: Waiting, loop: asyncio.AbstractEventLoop) -> None:
        """Let a connection be answered in its turn."""
        self._waiting.append(connection)
        if not self._since:
            self._since = perf_counter()
            loop.call_soon(self._end_turn, loop)

    def answer(self, connections: Sequence[Waiting]) -> None:
        """Answer some connections now."""
        asking = [(one, due) for one in connections if (due := one.take_due())]
        answers: Sequence[bytes] = [BROKEN] * len(asking)
        with Attempt() as attempt:
            answers = self._answers([(due.headers, due.body) for _, due in asking])
        if attempt.error:
            _log.error("%d requests could not be answered", len(asking), exc_info=attempt.error)
        for (one, due), answer in zip(asking, answers, strict=True):
            one.give(due, answer)

    def _end_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer those that wait, as many as a turn has time for."""
        self._since, before = perf_counter(), len(self._waiting)
        try:
            while self._waiting and self.has_time:
                self.answer([self._waiting.popleft() for _ in range(min(MOST_TOGETHER, len(self._waiting)))])
        finally:
            answered = before - len(self._waiting)
            self._width = max(answered, self._width if self.has_time else self._width // 2)
            if self._waiting:
                loop.call_soon(self._end_turn, loop)
            else:
                self._since = 0.0
