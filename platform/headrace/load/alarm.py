"""An alarm that rings within fractions of a millisecond.

uvloop counts whole milliseconds: what is due sooner it waits for without ever resting, on a processor that the server may need.
Linux has a clock that wakes whoever waits for its file (timerfd; Python has it from 3.13 on); elsewhere the loop's own has to do.
"""

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress

_CLOSE_ON_EXEC, _NONBLOCK = 0o2000000, 0o4000
_SOONEST_NS = 1000
"""No time at all would stop the clock."""
_BILLION = 10**9


class Alarm:
    """Calls a function of the running loop when it is time to."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring, self._loop = ring, asyncio.get_running_loop()
        self._clock = _clock() if sys.platform == "linux" else -1
        self._later: asyncio.TimerHandle | None = None
        if self._clock >= 0:
            self._loop.add_reader(self._clock, self._rung)

    def set(self, seconds: float) -> None:
        """Ring after so many seconds, once; what was set before is forgotten."""
        if self._clock < 0:
            self._forget()
            self._later = self._loop.call_later(seconds, self._ring)
            return
        after = _Times(0, 0, *divmod(max(int(seconds * _BILLION), _SOONEST_NS), _BILLION))
        _libc.timerfd_settime(self._clock, 0, ctypes.byref(after), None)

    def close(self) -> None:
        """Ring no more."""
        self._forget()
        if self._clock >= 0:
            self._loop.remove_reader(self._clock)
            os.close(self._clock)
            self._clock = -1

    def _forget(self) -> None:
        if self._later:
            self._later.cancel()

    def _rung(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._clock, 8)
        self._ring()


class _Times(ctypes.Structure):
    """The kernel's itimerspec: how often, and when first; each as seconds and nanoseconds."""

    _fields_ = (
        ("every_s", ctypes.c_long),
        ("every_ns", ctypes.c_long),
        ("at_s", ctypes.c_long),
        ("at_ns", ctypes.c_long),
    )


_libc = ctypes.CDLL(None)


def _clock() -> int:
    """Return the file of a clock that stands still; below 0 where there is none."""
    return int(_libc.timerfd_create(time.CLOCK_MONOTONIC, _CLOSE_ON_EXEC | _NONBLOCK))
