"""Alarms over windows: raised when enough of the last windows lie beyond a limit, cleared well below it.

Two limits instead of one (hysteresis, as in O. Schmitt, A Thermionic Trigger, 1938) keep what hovers around its limit
from ending and beginning again all the time; N of the last M windows (binary integration, as in J. V. Harrington, An
Analysis of the Detection of Repeated Signals in Noise by Binary Integration, 1955) keep one odd window from counting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from headrace.core.names import share_text


@dataclass(frozen=True)
class Reading:
    """What was measured over one window."""

    at: datetime
    """When the window ended."""
    ratio: float
    """How far it lies from its limit: 1 is at the limit, above 1 beyond it."""
    what: str
    """The same in words."""


@dataclass(frozen=True)
class Rules:
    """When an alarm is raised, cleared, and a reason again."""

    windows: int
    of: int
    clear: float
    again: timedelta
    """After how long an alarm that was answered and goes on is a reason once more."""


@dataclass(frozen=True)
class Alarm:
    """What the windows say together."""

    fires: bool
    """Whether it is a reason to train, now."""
    since: datetime | None
    """When it was raised; None while it is not."""
    what: str
    """In words how it stands."""


QUIET = Alarm(False, None, "nothing is measured yet")


def alarm_of(readings: Sequence[Reading], rules: Rules, answered: Sequence[datetime], now: datetime) -> Alarm:
    """Return how an alarm stands after some readings, oldest first; `answered` says when trainings began that came to an end.

    It fires when it is raised, and goes on to until a training has answered it. Then it fires again where as many windows as
    raise it are so much worse than all before the answer that these would be clear beside them, or after `rules.again`.
    """
    if not readings:
        return QUIET
    raised, cleared = _episode(readings, rules)
    newest = readings[-1]
    if raised is None:
        recent = readings[cleared:][-rules.of :]
        beyond = sum(reading.ratio > 1 for reading in recent)
        return Alarm(False, None, _calm(newest, beyond, rules))
    since = readings[raised].at
    answers = [at for at in answered if at >= since]
    if not answers:
        return Alarm(True, since, newest.what)
    known = max(reading.ratio for reading in readings[cleared:] if reading.at <= answers[-1])
    worse = sum(reading.ratio * rules.clear > known for reading in readings[cleared:][-rules.of :])
    if worse >= rules.windows:
        return Alarm(True, since, f"{newest.what}; worse than when a training answered it on {answers[-1]:%Y-%m-%d}")
    if now - answers[-1] >= rules.again:
        return Alarm(True, since, f"{newest.what}; goes on since {since:%Y-%m-%d}")
    words = f"answered by the training of {answers[-1]:%Y-%m-%d}, not cleared yet: {newest.what}"
    return Alarm(False, since, words)


def _episode(readings: Sequence[Reading], rules: Rules) -> tuple[int | None, int]:
    """Return where the alarm that goes on was raised, if one does, and where the readings after the last clearing begin."""
    raised, begin = None, 0
    for place, reading in enumerate(readings):
        if raised is None:
            recent = readings[max(begin, place + 1 - rules.of) : place + 1]
            raised = place if sum(one.ratio > 1 for one in recent) >= rules.windows else None
        elif reading.ratio <= rules.clear:
            raised, begin = None, place + 1
    return raised, begin


def _calm(newest: Reading, beyond: int, rules: Rules) -> str:
    if beyond:
        return f"beyond its limit in {beyond} of the last {rules.of} windows, {rules.windows} confirm it: {newest.what}"
    return f"at {share_text(round(newest.ratio, 2))} of its limit"
