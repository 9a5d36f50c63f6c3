"""How many answers begin in one turn of the event loop.

All that is ready runs before the loop looks at its sockets again, and libuv takes one new connection each time that it does: eight
answers of 5 ms at once let a refusal wait 40 ms, and the hundredth new connection four seconds. So no more begin in a turn than
took about a millisecond lately, at least one; the others wait in line.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter

WIDEST = 64
_SHORT_S, _LONG_S = 0.0005, 0.002


class Turns:
    """The line of one worker process."""

    def __init__(self) -> None:
        self._line: deque[Callable[[], None]] = deque()
        self._width = 1
        self._begun = 0
        self._since = 0.0

    def __len__(self) -> int:
        return len(self._line)

    def begin(self, start: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        """Call `start` in this turn, or in a later one, in line."""
        self._line.append(start)
        if not self._begun:
            self._begin_turn(loop)
        elif self._begun < self._width:
            self._begin_next()

    def _begin_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._since = perf_counter()
        while self._line and self._begun < self._width:
            self._begin_next()
        loop.call_soon(loop.call_soon, self._end_turn, loop)

    def _begin_next(self) -> None:
        self._begun += 1
        self._line.popleft()()

    def _end_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Widen or narrow the turns by how long the last one took: what began in it has run once by now."""
        took = perf_counter() - self._since
        if took < _SHORT_S:
            self._width = min(WIDEST, self._width * 2)
        elif took > _LONG_S:
            self._width = max(1, self._width // 2)
        self._begun = 0
        if self._line:
            self._begin_turn(loop)
