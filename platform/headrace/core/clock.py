"""The one clock: freshness, age, label maturity, cooldown and schedules all ask it for the time."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from headrace.core.errors import DataError

ClockKind = Literal["wall", "replay"]
MINUTE = 60e6
"""In microseconds."""


class Clock(Protocol):
    """Says what time it is."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        ...


class WallClock:
    """The clock on the wall."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        return datetime.now(UTC)


class ReplayClock:
    """A clock that stands at the end of the last day that was replayed into the landing folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> datetime:
        """Return the moment written in the clock file, aware, in UTC."""
        if not self._path.exists():
            raise DataError(
                f"The replay clock has not started: {self._path} does not exist. Land some days first: headrace demo land"
            )
        return datetime.fromisoformat(self._path.read_text().strip()).astimezone(UTC)


def clock_of(kind: ClockKind, replay_file: Path) -> Clock:
    """Return the clock that a product declares."""
    return WallClock() if kind == "wall" else ReplayClock(replay_file)
