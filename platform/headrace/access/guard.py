"""What the connections of one worker process share: limits, the hook that lets requests in, and one sweep over deadlines."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from headrace.access.admission import NO_RULE, Headers
from headrace.access.declaration import Limits
from headrace.access.line import Line
from headrace.access.turns import Turns
from headrace.core.names import memory_bytes

Admit = Callable[[str, Headers, str], bytes | None]
"""Takes path, headers and address of a request; returns the answer that refuses it, or None to go on."""
MOST_HEAD = 64 * 1024
"""Bytes of a request's line and headers."""
MOST_PIPELINED = 16
LINGER_S = 2.0
"""How long the rest of a refused body is read past, so that the answer is not lost with the connection (RFC 9112, 9.6)."""
GRACE_S = 1.0
"""How long an idle connection stays open at the server's end: a request that is under way to it is answered."""
SWEEP_EVERY_S = 0.25


class Direct(NamedTuple):
    """What answers the requests of one path, each within microseconds and without the application, several at once."""

    named: str
    """The path."""
    path: bytes
    """The same, as it comes."""
    takes: Callable[[bytes], bool]
    """Takes the body of a POST; returns whether it is answered so. Else the application must."""
    answers: Callable[[Sequence[tuple[Headers, bytes]]], Sequence[bytes]]
    """Takes headers and bodies of some POSTs; returns the whole answer of each."""


class Watched(Protocol):
    """A connection that has deadlines."""

    def judge(self, now: float) -> None:
        """End what is over at a moment of the event loop's clock."""
        ...


def deny_all(_: str, __: Headers, ___: str) -> bytes | None:
    """Let nobody in."""
    return NO_RULE


class Guard:
    """Limits as numbers, and who is connected.

    One sweep looks at every deadline four times a second: a request then costs no timer of its own.
    """

    def __init__(self, limits: Limits, admit: Admit = deny_all, unshed: frozenset[str] = frozenset()) -> None:
        self.admit = admit
        self.unshed = unshed
        """Paths that are answered under overload, too."""
        self.most_body = memory_bytes(limits.body)
        self.most_waiting = limits.most_waiting
        self.most_connections = limits.most_connections
        self.header_s = limits.within.header.total_seconds()
        self.body_s = limits.within.body.total_seconds()
        self.answer_s = limits.within.answer.total_seconds()
        self.idle_s = limits.within.idle.total_seconds()
        self.refusals: Counter[int] = Counter()
        """How many requests were refused before the application saw them, by status."""
        self.turns = Turns()
        self.line = Line(self._answers)
        self.bodies_under_way = 0
        """How many applications wait for the rest of a body: a client that is slow to send one takes nobody's place."""
        self.answered = 0
        """How many applications have answered and are about to end: their clients may ask again already."""
        self.direct: Direct | None = None
        self._connections: set[Watched] = set()
        self._next_sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._connections)

    def enter(self, connection: Watched, loop: asyncio.AbstractEventLoop) -> None:
        """Watch a connection."""
        self._connections.add(connection)
        if self._next_sweep is None:
            self._plan(loop)

    def leave(self, connection: Watched) -> None:
        """Watch a connection no more."""
        self._connections.discard(connection)

    def answers(self, task: "asyncio.Task[None] | None") -> None:
        """Count the application that runs in a task as answered, until it ends."""
        if task is not None:
            self.answered += 1
            task.add_done_callback(self._is_over)

    def _is_over(self, _: "asyncio.Task[None]") -> None:
        self.answered -= 1

    def _answers(self, asked: Sequence[tuple[Headers, bytes]]) -> Sequence[bytes]:
        assert self.direct
        return self.direct.answers(asked)

    def _plan(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next_sweep = loop.call_later(SWEEP_EVERY_S, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Judge all connections; what has come while the loop was busy was read before, as timers run behind sockets."""
        self._next_sweep = None
        now = loop.time()
        for connection in list(self._connections):
            connection.judge(now)
        if self._connections:
            self._plan(loop)
