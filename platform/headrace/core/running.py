"""Which run is at work: set where a step starts, written down by whoever commits meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_run: ContextVar[str] = ContextVar("headrace_run", default="")


def current_run() -> str:
    """Return the id of the run whose step is at work here, or "" outside of any."""
    return _run.get()


@contextmanager
def running(run: str) -> Iterator[None]:
    """Let `run` be the run at work meanwhile."""
    before = _run.get()
    _run.set(run)
    try:
        yield
    finally:
        # No token: a generator may be closed in another context than the one that it was started in.
        _run.set(before)
