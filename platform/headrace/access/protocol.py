"""uvicorn's HTTP protocol with deadlines, caps and refusals that are written before a body is read.

uvicorn 0.54 has no deadline but that of idle connections, reads headers and bodies of any size, and starts the application for
each request. Here a request is judged when its headers are there: what is refused is answered straight from the protocol, and
its body, if it is short enough, is read past, so that the connection stays good. Upgrades (WebSocket, h2c) are not made.
"""

import asyncio
import logging
from math import inf

import httptools

from headrace.access.connection import GuardedConnection
from headrace.access.declaration import Limits
from headrace.access.guard import GRACE_S, MOST_HEAD, MOST_PIPELINED, Admit, Guard, deny_all
from headrace.access.limits import network_of
from headrace.access.line import Due
from headrace.access.problem import without_body
from headrace.access.refusals import BROKEN, BUSY, FULL, MALFORMED, TOO_LARGE_HEAD, too_large
from headrace.access.request import length_of, path_of

_log = logging.getLogger("headrace.access")


def guarded(limits: Limits, admit: Admit = deny_all, unshed: frozenset[str] = frozenset()) -> "type[GuardedProtocol]":
    """Return the class that uvicorn is given as `http`: one for each worker process. Without a hook nobody is let in."""
    return type("Guarded", (GuardedProtocol,), {"guard": Guard(limits, admit, unshed)})


class GuardedProtocol(GuardedConnection):
    """What uvicorn makes of each connection: it judges a request when its headers are there."""

    # What the transport calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection in, or refuse it where there are too many."""
        if len(self.guard) >= self.guard.most_connections:
            self.transport, self._is_deaf = transport, True
            self.guard.refusals[503] += 1
            transport.write(FULL)
            transport.close()
            return
        super().connection_made(transport)
        self._address = network_of(self.client[0]) if self.client else ""
        self._begin_head()
        self.guard.enter(self, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self.guard.leave(self)
        self._has_read_body()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, unless the connection is at its end."""
        if self._is_deaf:
            return
        self._unset_keepalive_if_required()
        if self._reading == "nothing":
            self._begin_head()
        self._fed += len(data)
        self._has_hurried = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end()
        except httptools.HttpParserCallbackError as error:
            _log.error("A request could not be judged", exc_info=error)
            self._cut(BROKEN)
        except httptools.HttpParserError:
            self._cut(MALFORMED)
        else:
            self._hold_size()

    def eof_received(self) -> None:
        """Answer what waits in line: the connection ends then."""
        self._hurry()

    def shutdown(self) -> None:
        """Answer what is under way, and let an idle connection stay a moment for a request that is under way to it."""
        self._is_ending = True
        if self._is_answering:
            self.cycle.keep_alive = False
        elif self._reading == "nothing" or (self._reading == "head" and not self._fed):
            self._read_until = min(self._read_until, self.loop.time() + GRACE_S)

    # What the parser calls; it goes on to the end of what was fed, so that each looks whether the connection is at its end.

    def on_message_begin(self) -> None:
        """Begin a request, behind the answer to the one before."""
        if self._due is not None:
            self._has_hurried = True
            self._hurry()
        if self._reading != "head":
            self._begin_head()
        # What the application is told beside these is made when it is started.
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_url(self, url: bytes) -> None:
        """Take a part of the path."""
        self._head_read += len(url)
        if self._head_read > MOST_HEAD:
            self._cut(TOO_LARGE_HEAD)
        elif not self._is_deaf:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer, which comes behind the body, is nothing that anybody has judged, and is dropped."""
        if self._is_deaf or self._reading != "head":
            return
        self._head_read += len(name) + len(value)
        if self._head_read > MOST_HEAD:
            self._cut(TOO_LARGE_HEAD)
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Judge a request, and start the application or write why not."""
        if self._is_deaf:
            return
        refusal = self._refusal()
        self._reading, self._read_until = "body", self.loop.time() + self.guard.body_s
        if refusal is not None:
            self._refuse(refusal)
        elif len(self.pipeline) >= MOST_PIPELINED:
            self._end()
        elif self._goes_direct():
            self._direct_body = []
        else:
            self._start()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, of a refused request for nothing."""
        if self._is_deaf:
            return
        self._body_read += len(body)
        if self._body_read > self.guard.most_body:
            self._cut(too_large(self.guard.most_body))
        elif self._direct_body is not None:
            self._direct_body.append(body)
        elif not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End the reading of a request."""
        if self._is_deaf:
            return
        self._reading = "nothing"
        if self._is_refused:
            self._read_until = self.loop.time() + (GRACE_S if self._is_ending else self.guard.idle_s)
            return
        if self._direct_body is not None and self._answers_directly():
            return
        super().on_message_complete()
        self._has_read_body()
        now = self.loop.time()
        self._read_until = inf if self._is_answering else now + self.guard.idle_s
        if self.cycle is self._running and self._is_answering:
            self._answer_until = now + self.guard.answer_s

    def on_response_complete(self) -> None:
        """Let the next request come."""
        self._answer_until = inf
        self._has_read_body()
        self.guard.answers(asyncio.current_task(self.loop))
        self._joined.flush()
        super().on_response_complete()

    def _should_upgrade(self) -> bool:
        return False

    def _start(self) -> None:
        """Start the application."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()
        if self._is_ending or self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def _goes_direct(self) -> bool:
        """Return whether a request may be answered without the application.

        Who sends many at once, without waiting for answers, takes no more than a turn's time of the others.
        """
        direct = self.guard.direct
        return (
            direct is not None
            and (self.guard.line.has_time or not self._has_hurried)
            and self.url == direct.path
            and self.parser.get_method() == b"POST"
            and not (self._is_answering or self.expect_100_continue or self.flow.write_paused)
            and not self.parser.should_upgrade()
        )

    def _answers_directly(self) -> bool:
        """Answer a request that is read, in its turn, and return whether that can be done; else the application is started."""
        direct, parts = self.guard.direct, self._direct_body
        assert direct is not None
        assert parts is not None
        body, self._direct_body = b"".join(parts), None
        if not direct.takes(body):
            self._start()
            super().on_body(body)
            return False
        self._due, self._read_until = Due(self.headers, body, self.parser.should_keep_alive()), inf
        self.guard.line.join(self, self.loop)
        return True

    def _refusal(self) -> bytes | None:
        """Return the answer that refuses a request whose headers are there, or None."""
        direct = self.guard.direct
        path = direct.named if direct and self.url == direct.path else path_of(self.url)
        if path is None:
            return MALFORMED
        if self._waiting() >= self.guard.most_waiting and path not in self.guard.unshed:
            return BUSY
        refusal = self.guard.admit(path, self.headers, self._address)
        if refusal is None and (length_of(self.headers) or 0) > self.guard.most_body:
            return too_large(self.guard.most_body)
        return refusal

    def _refuse(self, answer: bytes) -> None:
        """Write a refusal, and keep the connection where the end of the body will be known and is near."""
        keeps = (
            self.parser.should_keep_alive()
            and self.parser.get_http_version() == "1.1"
            and (length_of(self.headers) or 0) <= self.guard.most_body
            and not (self.expect_100_continue or self._is_ending or self.parser.should_upgrade())
            and answer is not MALFORMED
        )
        self._write(without_body(answer) if self.parser.get_method() == b"HEAD" else answer, keeps=keeps)
        self._is_refused = True

    def _hold_size(self) -> None:
        """Refuse headers that do not end, and a body whose chunks are mostly their own frames."""
        if self._reading == "head" and self._fed > MOST_HEAD:
            self._cut(TOO_LARGE_HEAD)
        elif self._reading == "body" and self._fed > 2 * self.guard.most_body + 4 * MOST_HEAD:
            self._cut(too_large(self.guard.most_body))
