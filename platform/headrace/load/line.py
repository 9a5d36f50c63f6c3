"""A connection of the generator: it sends one request at a time, and reads of an answer what a load test needs."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple, cast

_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
MOST_HEAD = 64 * 1024


class Answered(NamedTuple):
    """What is known of an answer."""

    status: int
    is_retriable: bool
    """Whether it says when to try again."""
    stays: bool = True
    """Whether the connection is good for another request."""


class Line(asyncio.Protocol):
    """An HTTP/1.1 connection that stays open. Answers are told apart by their content-length; one without is no answer."""

    def __init__(self, on_answer: Callable[["Line", Answered], None], on_end: Callable[["Line"], None]) -> None:
        self._on_answer, self._on_end = on_answer, on_end
        self._transport: asyncio.Transport | None = None
        self._read = b""
        self._head: tuple[Answered, int] | None = None
        self._is_asking = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's transport is none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes) -> None:
        """Send a request."""
        assert self._transport
        self._is_asking = True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        self._read += data
        if self._head is None and _END in self._read:
            self._head = _head(self._read)
        if self._head is None:
            if len(self._read) > MOST_HEAD or _END in self._read:
                self.cut()
            return
        answered, end = self._head
        if len(self._read) < end:
            return
        if len(self._read) > end or not self._is_asking:
            # Nobody has asked for this.
            self.cut()
            return
        self._read, self._head, self._is_asking = b"", None, False
        self._on_answer(self, answered)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio says why it ended
        """Tell that it is over."""
        self._on_end(self)

    def cut(self) -> None:
        """End it at once."""
        if self._transport:
            self._transport.abort()


def _head(read: bytes) -> tuple[Answered, int] | None:
    """Return what the head of an answer says, and where the answer ends; None for no answer."""
    head, _, _ = read.partition(_END)
    told = head.lower()
    place = told.find(_LENGTH)
    if not told.startswith(b"http/1.1 ") or not told[9:12].isdigit() or place < 0:
        return None
    length = told[place + len(_LENGTH) :].partition(b"\r\n")[0].strip()
    if not length.isdigit():
        return None
    answered = Answered(int(told[9:12]), b"\r\nretry-after:" in told, b"\r\nconnection: close" not in told)
    return answered, len(head) + len(_END) + int(length)
