"""An open-loop client: requests leave when they are due, whatever became of the earlier ones (no coordinated omission)."""

import asyncio
import time
from dataclasses import dataclass

from platform_tests.access.server import request

_REQUEST = request(body=b"x" * 200)


@dataclass(frozen=True)
class Asked:
    """A request: when it was due, in seconds from the start, how long after that it was answered, and how."""

    due_s: float
    took_s: float
    status: int
    is_retriable: bool


class Line:
    """A connection that asks one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> tuple[int, bool]:
        """Return the status, and whether the answer said when to try again."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(_REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        if b"connection: close" in head:
            await self.close()
        return int(head[9:12]), b"\r\nretry-after: " in head

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            await self._streams[1].wait_closed()
        self._streams = None


async def ask_open_loop(port: int, rate: float, lasts_s: float) -> list[Asked]:
    """Ask `rate` requests a second; each that is due takes a free connection, or a new one."""
    began, asked, free, all_lines = time.monotonic(), [], [], []

    async def one(due_s: float) -> None:
        if not free:
            all_lines.append(Line(port))
            free.append(all_lines[-1])
        line = free.pop()
        status, is_retriable = await line.ask()
        free.append(line)
        asked.append(Asked(due_s, time.monotonic() - began - due_s, status, is_retriable))

    async with asyncio.TaskGroup() as group:
        for n in range(int(rate * lasts_s)):
            await asyncio.sleep(max(0.0, began + n / rate - time.monotonic()))
            group.create_task(one(n / rate))
    for line in all_lines:
        await line.close()
    return asked


async def capacity(port: int, lasts_s: float) -> float:
    """Return how many answers a second come if four connections ask as fast as they are answered."""
    until, answered = time.monotonic() + lasts_s, 0

    async def ask() -> None:
        nonlocal answered
        line = Line(port)
        while time.monotonic() < until:
            status, _ = await line.ask()
            answered += status == 200
        await line.close()

    await asyncio.gather(*(ask() for _ in range(4)))
    return answered / lasts_s


def p99(asked: list[Asked]) -> float:
    """Return how long the slowest in a hundred took, or infinity where nothing was asked."""
    took = sorted(one.took_s for one in asked)
    return took[int(len(took) * 0.99)] if took else float("inf")
