"""A server whose service time is known: one request at a time, in the order in which they came, each takes as long."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ANSWER = b"HTTP/1.1 %d X\r\n%scontent-length: 2\r\n\r\nok"


class Queue:
    """One waiting line for all connections. `stall` is when it stands still, and for how long, in seconds from the first request."""

    def __init__(self, takes_s: float, stall: tuple[float, float] | None, most_waiting: int) -> None:
        self.takes_s, self.stall, self.most_waiting = takes_s, stall, most_waiting
        self.free_at, self.began, self.asked = 0.0, 0.0, 0

    def take(self, now: float) -> float | None:
        """Return when a request that comes now is answered; None where too many wait."""
        self.began, self.asked = self.began or now, self.asked + 1
        start = max(now, self.free_at)
        if self.stall:
            at, lasts = self.began + self.stall[0], self.stall[1]
            start = at + lasts if at <= start < at + lasts else start
        if self.takes_s and (start - now) / self.takes_s >= self.most_waiting:
            return None
        self.free_at = start + self.takes_s
        return self.free_at


class Served(asyncio.Protocol):
    """A connection to the queue."""

    def __init__(self, queue: Queue, open_ones: set["Served"]) -> None:
        self.queue, self.open_ones, self.read = queue, open_ones, b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.open_ones.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio says why
        self.open_ones.discard(self)

    def data_received(self, data: bytes) -> None:
        self.read += data
        head, end, body = self.read.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            return
        self.read = b""
        if body == b'"cut"':
            self.transport.close()
            return
        now = time.perf_counter()
        at = self.queue.take(now)
        if at is None:
            self.transport.write(ANSWER % (503, b"retry-after: 1\r\n"))
        else:
            answer = ANSWER % (200, b"connection: close\r\n" if body == b'"last"' else b"")
            asyncio.get_running_loop().call_later(max(0.0, at - now), self.transport.write, answer)


@contextmanager
def slow_server(
    takes_s: float = 0.0, stall: tuple[float, float] | None = None, most_waiting: int = 1_000_000
) -> Iterator[tuple[int, Queue]]:
    """Yield the port of a server, and its queue."""
    queue, ports, over, ready = Queue(takes_s, stall, most_waiting), [], [], threading.Event()
    open_ones: set[Served] = set()

    async def run() -> None:
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        server = await loop.create_server(lambda: Served(queue, open_ones), "127.0.0.1", 0)
        over.append(lambda: loop.call_soon_threadsafe(end.set))
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await end.wait()
        # asyncio forgets a connection that it accepts while its server is closed.
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)
        server.close()
        for one in list(open_ones):
            one.transport.abort()
        while open_ones:
            await asyncio.sleep(0)
        await server.wait_closed()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(30)
    try:
        yield ports[0], queue
    finally:
        over[0]()
        thread.join()
