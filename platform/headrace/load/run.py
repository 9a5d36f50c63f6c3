"""The generator: requests leave when they are due, whatever became of the earlier ones.

Latency counts from the moment at which a request was due, not from when it could be sent: a server that stalls is seen by all
that came meanwhile (no coordinated omission; Gil Tene, "How NOT to Measure Latency", and his wrk2). Arrivals are those of a
Poisson process: users do not know of each other.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.core.errors import StoreError
from headrace.load.alarm import Alarm
from headrace.load.line import Answered, Line

LATE, CUT = 0, -1
"""Stand for a status where there is none: no answer in time; the connection ended before it."""
TIMEOUT_S = 10.0
AGAIN_S = 0.1
AT_ONCE = 32
"""After so many requests that were due at once answers are read."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Target:
    """Whom to ask."""

    host: str
    port: int
    tls: bool = False
    path: str = "/v1/predict"
    key: str = field(default="", repr=False)

    def request(self, body: bytes) -> bytes:
        """Return a request as it goes over the line."""
        key = f"authorization: Bearer {self.key}\r\n" if self.key else ""
        head = f"POST {self.path} HTTP/1.1\r\nhost: {self.host}:{self.port}\r\n{key}content-type: application/json\r\n"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


@dataclass(frozen=True)
class Seen:
    """What became of the requests, in the order in which they were due."""

    due_s: Floats
    """Seconds from the start."""
    took_ms: Floats
    """From when a request was due to the end of its answer."""
    late_ms: Floats
    """From when it was due to when the generator came to it: its own fault, not the server's."""
    status: npt.NDArray[np.int64]
    retriable: npt.NDArray[np.bool_]


def arrivals(rate: float, seconds: float, seed: int) -> Floats:
    """Return when requests are due, in seconds from the start: a Poisson process of `rate` a second."""
    chance = np.random.default_rng(seed)
    count = chance.poisson(rate * seconds)
    return np.sort(chance.random(count) * seconds)


def ask_open_loop(target: Target, bodies: Sequence[bytes], due_s: Floats, connections: int) -> Seen:
    """Ask each request when it is due, on a connection that is free or as soon as one is, and return what became of them.

    Raises StoreError where nobody listens.
    """
    import uvloop

    return uvloop.run(_Loop(target, [target.request(body) for body in bodies], due_s, connections).run())


class _Loop:
    """One run of the generator."""

    def __init__(self, target: Target, requests: Sequence[bytes], due_s: Floats, connections: int) -> None:
        self._target, self._requests, self._due, self._connections = target, requests, due_s.tolist(), connections
        count = len(self._due)
        self._took, self._late = np.full(count, np.nan), np.zeros(count)
        self._status, self._retriable = np.full(count, LATE), np.zeros(count, bool)
        self._free: list[Line] = []
        self._lines: set[Line] = set()
        self._waiting: deque[int] = deque()
        self._busy: dict[Line, int] = {}
        self._left = count
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._began = 0.0
        self._next = 0
        """The request that is due next."""

    async def run(self) -> Seen:
        try:
            await asyncio.gather(*(self._connect() for _ in range(self._connections)))
        except OSError as error:
            where = f"{self._target.host}:{self._target.port}"
            raise StoreError(
                f"Nobody answers at {where}: {error}. Is the server running, and this its address?"
            ) from None
        self._began = time.perf_counter()
        self._do(self._give_up())
        self._alarm = Alarm(self._ask_due)
        self._ask_due()
        if self._left:
            await self._over.wait()
        self._alarm.close()
        self._connections = 0
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for line in list(self._lines):
            line.cut()
        return Seen(np.array(self._due), self._took, self._late, self._status, self._retriable)

    async def _connect(self) -> None:
        context = ssl.create_default_context() if self._target.tls else None
        make = asyncio.get_running_loop().create_connection
        _, line = await make(
            lambda: Line(self._answered, self._ended), self._target.host, self._target.port, ssl=context
        )
        self._lines.add(line)
        self._take(line)

    def _ask_due(self) -> None:
        """Ask what is due, and come back when the next one is; among many at once, to read answers."""
        late = 0.0
        for _ in range(AT_ONCE):
            if self._next == len(self._due):
                return
            late = self._now() - self._due[self._next]
            if late < 0:
                break
            self._late[self._next] = late * 1000
            self._waiting.append(self._next)
            self._next += 1
            if self._free:
                self._take(self._free.pop())
        self._alarm.set(max(0.0, -late))

    def _take(self, line: Line) -> None:
        """Let a free connection ask what has waited longest; else it waits itself, and the last to come goes first."""
        if self._waiting:
            number = self._waiting.popleft()
            self._busy[line] = number
            line.ask(self._requests[number % len(self._requests)])
        else:
            self._free.append(line)

    def _answered(self, line: Line, answered: Answered) -> None:
        number = self._busy.pop(line, None)
        if number is None:
            return
        self._done(number, answered)
        if answered.stays:
            self._take(line)
        else:
            line.cut()

    def _ended(self, line: Line) -> None:
        """Count what was under way as cut, and connect anew."""
        self._lines.discard(line)
        number = self._busy.pop(line, None)
        if number is not None:
            self._done(number, Answered(CUT, is_retriable=False))
        if line in self._free:
            self._free.remove(line)
        if self._connections:
            self._do(self._again())

    async def _again(self) -> None:
        while True:
            await asyncio.sleep(AGAIN_S)
            try:
                return await self._connect()
            except OSError:
                # Requests that wait meanwhile are late, and counted so.
                continue

    async def _give_up(self) -> None:
        """Count as late what was due so long ago that nobody waits for it."""
        while True:
            await asyncio.sleep(AGAIN_S)
            limit = self._now() - TIMEOUT_S
            while self._waiting and self._due[self._waiting[0]] < limit:
                self._done(self._waiting.popleft(), Answered(LATE, is_retriable=False))
            for line, number in [(line, n) for line, n in self._busy.items() if self._due[n] < limit]:
                del self._busy[line]
                self._done(number, Answered(LATE, is_retriable=False))
                line.cut()

    def _done(self, number: int, answered: Answered) -> None:
        self._took[number] = (self._now() - self._due[number]) * 1000
        self._status[number], self._retriable[number] = answered.status, answered.is_retriable
        self._left -= 1
        if not self._left:
            self._over.set()

    def _now(self) -> float:
        return time.perf_counter() - self._began

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
