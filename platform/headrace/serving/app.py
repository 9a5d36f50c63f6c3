"""The application: predictions straight from bytes to bytes, in front of FastAPI, which knows all other routes.

One row whose features are looked up where it stands is answered as it is read (`direct`), in some ten microseconds: no task,
no ASGI messages. All else that is asked of the same route waits its turn as an ASGI application's requests do.
"""

import logging
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

from headrace.access.guard import Direct
from headrace.core.attempt import Attempt
from headrace.core.errors import HeadraceError
from headrace.serving.call import Call
from headrace.serving.logs import FAILED, Line, RequestLines
from headrace.serving.manners import Headers, asker
from headrace.serving.meter import PREDICT
from headrace.serving.problem import CONTENT_TYPE, Problem
from headrace.serving.service import OK, UNAVAILABLE, Service
from headrace.serving.together import Together
from headrace.serving.traces import Trace, Traces
from headrace.serving.watched import Asgi, Receive, Scope, Send, Watched

_JSON = b"application/json"
_GIVEN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\nheadrace-release: %d\r\n\r\n%s"
_log = logging.getLogger("headrace.serving")


class Answer(NamedTuple):
    """What a request is answered."""

    status: int
    body: bytes
    kind: bytes = _JSON
    why: str = ""
    """Why it is no prediction."""


class App:
    """An ASGI application that answers predictions itself and leaves the rest to another."""

    def __init__(
        self, service: Service, others: Asgi, lines: RequestLines | None = None, traces: Traces | None = None
    ) -> None:
        """Answer for a service; `lines` says which requests failed or took long, `traces` makes spans of them."""
        self.service = service
        self._lines = lines or RequestLines(service.served.sla.p99 / 1000)
        self._said_from, self._traces = self._lines.from_seconds, traces
        self._others = Watched(others, service.meter, self._lines, traces)
        self._together = Together(service)

    @property
    def direct(self) -> Direct:
        """What answers a request that is read, for a server that asks."""
        return Direct(PREDICT, PREDICT.encode(), self.takes, self.answers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["path"] == PREDICT and scope["method"] == "POST":
            await self._predict(scope, receive, send)
        else:
            await self._others(scope, receive, send)

    def takes(self, body: bytes) -> bool:
        """Return whether a body is one row, for which nobody else must be waited for."""
        return body[:1] == b"{" and self.service.lookups.is_plain

    def answers(self, asked: Sequence[tuple[Headers, bytes]]) -> list[bytes]:
        """Return the whole answers to requests of one row each."""
        begun = [self._read(headers, body) for headers, body in asked]
        told = iter(self.service.answer_each([read for _, _, read in begun if isinstance(read, Call)]))
        whole = []
        for began, trace, read in begun:
            call, answer = (read, next(told)) if isinstance(read, Call) else (None, read)
            given = _refused(answer, call) if isinstance(answer, Exception) else Answer(OK, answer)
            self._ended(began, trace, call, given)
            whole.append(self._whole(given, trace))
        return whole

    def _read(self, headers: Headers, body: bytes) -> tuple[float, Trace | None, Call | Exception]:
        began, trace = time.perf_counter(), self._begun(headers)
        with Attempt() as attempt:
            return began, trace, self.service.call(body, *asker(headers), trace)
        assert attempt.error
        return began, trace, attempt.error

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, headers = time.perf_counter(), scope["headers"]
        message = await receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            return
        service, trace = self.service, self._begun(headers)
        call: Call | None = None
        with Attempt() as attempt:
            call = service.call(body, *asker(headers), trace)
            is_quick = call.asked.single and service.lookups.is_plain
            told = service.answer(call) if is_quick else await self._together.answer(call)
        answer = _refused(attempt.error, call) if attempt.error else Answer(OK, told)
        self._ended(began, trace, call, answer)
        await send({"type": "http.response.start", "status": answer.status, "headers": self._headers(answer, trace)})
        await send({"type": "http.response.body", "body": answer.body})

    def _begun(self, headers: Headers) -> Trace | None:
        return None if self._traces is None else self._traces.begin("POST", PREDICT, headers)

    def _ended(self, began: float, trace: Trace | None, call: Call | None, answer: Answer) -> Answer:
        """Count a request, and say it where it failed or took long."""
        seconds, status = time.perf_counter() - began, answer.status
        self.service.meter.done(status, seconds)
        if trace is not None:
            trace.end(status, call.request if call else "")
        if seconds > self._said_from or status >= FAILED:
            request, of = call.request if call else "", trace.id if trace else ""
            self._lines.add(Line(PREDICT, status, seconds, request, of, answer.why))
        return answer

    def _headers(self, answer: Answer, trace: Trace | None) -> list[tuple[bytes, bytes]]:
        headers = [(b"content-type", answer.kind), (b"content-length", b"%d" % len(answer.body))]
        headers.append((b"headrace-release", b"%d" % self.service.watch.lineup.live.release.number))
        if trace is not None:
            headers.append((b"traceparent", trace.header))
        if answer.status == UNAVAILABLE:
            headers.append((b"retry-after", b"1"))
        return headers

    def _whole(self, answer: Answer, trace: Trace | None) -> bytes:
        """Return an answer as it goes over the line."""
        if answer.status == OK and trace is None:
            return _GIVEN % (len(answer.body), self.service.watch.lineup.live.release.number, answer.body)
        head = b"".join(b"%s: %s\r\n" % header for header in self._headers(answer, trace))
        return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (
            answer.status,
            HTTPStatus(answer.status).phrase.encode(),
            head,
            answer.body,
        )


def _refused(error: Exception, call: Call | None) -> Answer:
    """Return what a request is answered that has failed."""
    if not isinstance(error, HeadraceError | Problem):
        _log.error("A prediction failed", exc_info=error)
        error = Problem(FAILED, "The server failed; its log says how.")
    problem = error if isinstance(error, Problem) else Problem(UNAVAILABLE, str(error))
    return Answer(problem.status, problem.body(call.request if call else ""), CONTENT_TYPE, str(problem))
