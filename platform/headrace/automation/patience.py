"""Patience with a look that fails: it is tried again after a pause that doubles, up to ten minutes."""

from dataclasses import dataclass

FIRST_S, MOST_S = 10.0, 600.0
AWAITED_MOST_S = 60.0
"""The longest pause where what was said is that something is not there yet."""


@dataclass
class Patience:
    """How a look has fared since its process began; `now` is in seconds of a clock that never goes back."""

    failures: int = 0
    until: float = 0.0
    what: str = ""
    """What the last failure said."""
    known: bool = False
    """Whether the diary knows how it fares."""

    def left(self, now: float) -> float:
        """Return for how many seconds more it is left alone; none where it is due."""
        return max(0.0, self.until - now)

    def failed(self, now: float, what: str, most: float = MOST_S) -> None:
        """Let it be left alone for a while: twice as long as after the failure before."""
        self.until = now + min(most, FIRST_S * 2.0**self.failures)
        self.failures, self.what = self.failures + 1, what

    def worked(self) -> None:
        """Forget its failures."""
        self.failures, self.until, self.what = 0, 0.0, ""
