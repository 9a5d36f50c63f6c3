"""Waiting until something holds, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PAUSE_S = 0.05


def eventually(holds: Callable[[], T], within_s: float = 30.0) -> T:
    """Return what is said as soon as it is true; behind the deadline, whatever is said then. For `assert eventually(...), why`."""
    end = time.monotonic() + within_s
    while not (said := holds()) and time.monotonic() < end:
        time.sleep(PAUSE_S)
    return said
