"""One connection of the guarded protocol: what stands about it, its deadlines, and how it ends."""

import asyncio
from functools import partial
from math import inf
from typing import Any, ClassVar, Literal

from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from headrace.access.guard import LINGER_S, Guard
from headrace.access.joined import Joined
from headrace.access.line import Due
from headrace.access.problem import closing, status_of
from headrace.access.refusals import BROKEN, TOO_LATE, TOO_SLOW


class GuardedConnection(HttpToolsProtocol):
    """What a connection is doing, and until when it may; `guard` is what it shares with the others."""

    guard: ClassVar[Guard]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.timeout_keep_alive = self.guard.idle_s  # type: ignore[assignment]
        self._address = ""
        self._reading: Literal["nothing", "head", "body"] = "nothing"
        self._read_until = self._answer_until = self._abort_at = inf
        self._fed = self._head_read = self._body_read = 0
        self._running: RequestResponseCycle | None = None
        self._direct_body: list[bytes] | None = None
        self._due: Due | None = None
        self._has_hurried = False
        self._is_refused = self._is_deaf = self._is_ending = self._is_body_under_way = False

    def judge(self, now: float) -> None:
        """End what is over at `now`: a connection, the reading of a request, or the wait for its answer."""
        if self.transport.is_closing():
            # What was written may wait for a client that never reads.
            self._abort_at = min(self._abort_at, now + LINGER_S)
            if now >= self._abort_at:
                self.transport.abort()
        elif now >= self._answer_until:
            self._give_up_answer()
        elif now < self._read_until:
            return
        elif self._is_deaf or self._reading == "nothing" or not self._fed:
            self.transport.close()
        else:
            self._cut(TOO_SLOW)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        self._joined = Joined(self.transport)
        cycle.transport = self._joined  # type: ignore[assignment]
        self._answer_until = inf if cycle.more_body else self.loop.time() + self.guard.answer_s
        is_alone = not self._waiting()
        self._is_body_under_way = cycle.more_body
        self.guard.bodies_under_way += cycle.more_body
        if is_alone:
            super()._start_asgi_task(cycle, app)
        else:
            self.guard.turns.begin(partial(self._begin_answer, cycle, app), self.loop)

    def _waiting(self) -> int:
        """Return how many requests of all connections are read, and not answered yet."""
        guard = self.guard
        return len(self.tasks) + len(guard.turns) + guard.line.behind - guard.bodies_under_way - guard.answered

    def _begin_answer(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if not cycle.disconnected:
            super()._start_asgi_task(cycle, app)

    def take_due(self) -> Due | None:
        """Return the request that waits in line; None where it was answered before, or its client is gone."""
        due, self._due = self._due, None
        return None if self.transport.is_closing() else due

    def give(self, due: Due, answer: bytes) -> None:
        """Write the answer to a request that waited in line."""
        self.server_state.total_requests += 1
        self._read_until = self.loop.time() + self.guard.idle_s
        if answer is BROKEN:
            self.guard.refusals[status_of(answer)] += 1
        if due.keeps and answer is not BROKEN and not self._is_ending:
            self.transport.write(answer)
        else:
            self.transport.write(closing(answer))
            self._linger()

    def _hurry(self) -> None:
        """Answer the request that waits in line, if one does: something comes behind it."""
        if self._due is not None:
            self.guard.line.answer([self])

    def _cut(self, answer: bytes) -> None:
        """Refuse a request whose rest is not to be read."""
        self._hurry()
        is_running = self._reading == "body" and self._direct_body is None and self.cycle is self._running
        if self._is_deaf or self._is_refused or (is_running and self.cycle.response_complete):
            self._linger()
            return
        if is_running and not self.cycle.response_started:
            self._drop(self.cycle)
        self._write(answer, keeps=False)

    def _give_up_answer(self) -> None:
        if self._running is None or self._running.response_started:
            self.transport.abort()
        else:
            self._drop(self._running)
            self._write(TOO_LATE, keeps=False)

    def _has_read_body(self) -> None:
        self.guard.bodies_under_way -= self._is_body_under_way
        self._is_body_under_way = False

    def _drop(self, cycle: RequestResponseCycle) -> None:
        """Tell the application that its client is gone; what it sends from now on goes nowhere."""
        self._has_read_body()
        cycle.disconnected, cycle.waiting_for_100_continue = True, False
        cycle.message_event.set()
        self.pipeline.clear()

    def _write(self, answer: bytes, *, keeps: bool) -> None:
        """Write an answer, if it is its turn; else the connection ends behind the answer that is being made."""
        self.guard.refusals[status_of(answer)] += 1
        if self._is_answering:
            self._end()
        elif self.flow.write_paused:
            self.transport.abort()
        else:
            self.transport.write(answer if keeps else closing(answer))
            if not keeps:
                self._linger()

    @property
    def _is_answering(self) -> bool:
        running = self._running
        return running is not None and not (running.response_complete or running.disconnected)

    def _end(self) -> None:
        """Read nothing more, and close when the answer that is being made is written."""
        if self._running is None or not self._is_answering:
            self._linger()
            return
        self._is_deaf, self._running.keep_alive, self._read_until = True, False, inf
        self.pipeline.clear()
        self._answer_until = min(self._answer_until, self.loop.time() + self.guard.answer_s)

    def _linger(self) -> None:
        """Say that nothing more is written, and read past what still comes for a while."""
        if self._is_deaf or self.transport.is_closing():
            return
        self._is_deaf, self._read_until, self._answer_until = True, self.loop.time() + LINGER_S, inf
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _begin_head(self) -> None:
        self._reading, self._read_until = "head", self.loop.time() + self.guard.header_s
        self._fed = self._head_read = self._body_read = 0
        self._is_refused, self._direct_body = False, None
