"""Recipes: what a table is made of, so that it can be said whether it has to be made again, and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256

from headrace.core.days import Days, unbroken
from headrace.core.fingerprint import Parts, version_of

TIME = "the time"
"""Names the fact that goes into what is judged by the clock."""
ALL = "all"
"""Stands for the one part of a table that does not lie in days."""
NAMES_SHOWN = 3


@dataclass(frozen=True)
class Reach:
    """Which days of an input a day is made of: from `back` days before it to `ahead` days after it."""

    back: int = 0
    ahead: int = 0


@dataclass(frozen=True)
class Recipe:
    """What a table is made of."""

    table: str
    parts: Parts
    """Its code, declarations and libraries."""
    inputs: Mapping[str, Reach | None] = field(default_factory=dict)
    """The tables that it reads, and how far; None for the whole of one."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else goes in: the model that is live, say."""
    days: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What else goes into single days: what → day → digest."""
    by_day: bool = False
    """Whether it is made day by day."""
    lost: bool = False
    """Whether what it made, outside its table, is no longer there: the files of a model, say."""

    @property
    def code(self) -> str:
        """The version of its code: what Dagster knows, too."""
        return version_of(self.parts)


@dataclass(frozen=True)
class Made:
    """What one day of a table was made of."""

    code: str
    inputs: Mapping[str, str]
    """Input → digest of what of it went in."""


@dataclass(frozen=True)
class Work:
    """The days to make, each with the reasons why; `ALL` for a table that does not lie in days."""

    reasons: Mapping[str, tuple[str, ...]]
    wanted: Mapping[str, Made]
    """What each day that was asked for is made of by now."""

    def __bool__(self) -> bool:
        return bool(self.reasons)

    def __str__(self) -> str:
        """Return what is left out and why, in words."""
        left = len(self.wanted) - len(self.reasons)
        what = f"{left} of {len(self.wanted)} days are" if ALL not in self.wanted else "It is"
        return f"{what} as they should be: made by this code, of this content." if left else "Everything is made."

    @property
    def lasting(self) -> dict[str, Made]:
        """What the days to make are made of, without the time; days for which only time has passed are left out."""
        days = (day for day, why in self.reasons.items() if why != (f"other {TIME}",))
        made = {day: self.wanted[day] for day in days}
        return {d: Made(m.code, {what: of for what, of in m.inputs.items() if what != TIME}) for d, m in made.items()}

    def also(self, reasons: Mapping[str, str]) -> "Work":
        """Return the work with more days, each with its reason."""
        more = {day: (*self.reasons.get(day, ()), why) for day, why in reasons.items()}
        return Work({**self.reasons, **more}, self.wanted)

    @property
    def spans(self) -> list[Days | None]:
        """The days as unbroken ranges; [None] for a table that does not lie in days."""
        if ALL in self.reasons:
            return [None]
        return list(unbroken(date.fromisoformat(day) for day in self.reasons))


def hull(spans: Sequence[Days | None]) -> Days | None:
    """Return the range from the first day of all spans to the last."""
    days = [span for span in spans if span]
    return Days(min(span.first for span in days), max(span.last for span in days)) if days else None


def digest_within(contents: Mapping[str, str], day: str, reach: Reach | None) -> str:
    """Return a digest of what of an input goes into a day: its rows from `back` days before to `ahead` days after."""
    if reach is None or day == ALL or ALL in contents:
        return _digest(f"{name}={digest}" for name, digest in sorted(contents.items()))
    middle = date.fromisoformat(day)
    near = (str(middle + timedelta(days=i)) for i in range(-reach.back, reach.ahead + 1))
    return _digest(f"{name}={contents[name]}" for name in near if name in contents)


def why_again(recipe: Recipe, wanted: Made, made: Made | None, before: Parts) -> tuple[str, ...]:
    """Return the reasons for which a day has to be made again; none where it is as it should be.

    `before` are the parts that the day was made of.
    """
    if made is None:
        return ("never made",)
    reasons = ["its files are gone"] if recipe.lost else []
    if made.code != wanted.code:
        parts = {name for name in {*before, *recipe.parts} if before.get(name) != recipe.parts.get(name)}
        changed = sorted(name.removeprefix("headrace.") for name in parts)
        more = f" and {len(changed) - NAMES_SHOWN} more" if len(changed) > NAMES_SHOWN else ""
        reasons.append(f"changed: {', '.join(changed[:NAMES_SHOWN]) or 'its code'}{more}")
    others = [n for n in sorted({*made.inputs, *wanted.inputs}) if made.inputs.get(n) != wanted.inputs.get(n)]
    return (*reasons, *(f"other content of {name}" if "/" in name else f"other {name}" for name in others))


def _digest(lines: Iterable[str]) -> str:
    return sha256("\n".join(lines).encode()).hexdigest()[:16]
