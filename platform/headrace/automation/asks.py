"""Asks: the runs that take in what has come and make what is stale, remembered until they have ended."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from hashlib import sha256
from json import dumps
from typing import Any

from headrace.automation.decide import MOST_TRIES
from headrace.automation.loop import Loop
from headrace.core.days import Days
from headrace.core.recipe import ALL
from headrace.sources.pending import Pending


@dataclass(frozen=True)
class Ask:
    """A run that makes some days of what stands on some sources."""

    key: str
    days: tuple[str, str]
    """The first and the last."""
    of: tuple[str, ...]
    """The sources."""
    tries: int = 1

    @property
    def run_key(self) -> str:
        """What Dagster knows this try by: it starts no second run of that key."""
        return f"{self.key}-{self.tries}"

    @property
    def span(self) -> Days:
        """The days to make."""
        first, last = self.days
        return Days(date.fromisoformat(first), date.fromisoformat(last))

    def once_more(self) -> "Ask":
        """Return the next try."""
        return replace(self, tries=self.tries + 1)


def remembered(facts: Sequence[dict[str, Any]]) -> list[Ask]:
    """Return the asks that a cursor holds."""
    return [Ask(ask["key"], tuple(ask["days"]), tuple(ask["of"]), ask["tries"]) for ask in facts]


def files_asks(loop: Loop, pending: Pending) -> list[Ask]:
    """Return what to ask for when something has come: the days that its rows touch, of the sources that it came from."""
    return _asks(loop, f"files-{_digest(pending.seen)}", pending.touched, list(pending.files))


@dataclass(frozen=True)
class Tried:
    """What was stale when it was asked for last, and how often that has been."""

    digest: str = ""
    number: int = 0


def stale_asks(loop: Loop, tried: Tried) -> tuple[list[Ask], Tried]:
    """Return what to ask for once an ingestion has ended: what the days of its rows do not tell.

    A file that was refused before, rows that other sources refer to, SQL that looks at all days: the ledger knows. It is
    tried once; what is still stale is asked for again when other code or other rows would go into it.
    """
    found = {table: {day: asdict(made) for day, made in work.lasting.items()} for table, work in loop.stale().items()}
    digest = _digest(found)
    if not any(found.values()) or digest == tried.digest:
        return [], tried
    now = Tried(digest, tried.number + 1)
    days = {date.fromisoformat(day) for made in found.values() for day in made if day != ALL}
    asks = _asks(loop, f"stale-{now.number}-{digest}", days, list(loop.sources))
    return [replace(ask, tries=MOST_TRIES) for ask in asks], now


def with_sources(asks: list[Ask], failed: list[Ask]) -> list[Ask]:
    """Return asks for the sources of those, too, that failed: what has come since may have mended them."""
    sources = sorted({source for ask in (*asks, *failed) for source in ask.of})
    return [replace(ask, of=tuple(sources)) for ask in asks] if failed else asks


def _asks(loop: Loop, key: str, days: Collection[date], sources: list[str]) -> list[Ask]:
    """Return one for each range of days."""
    return [
        Ask(f"{key}-{number}", (str(span.first), str(span.last)), tuple(sources))
        for number, span in enumerate(loop.ranges_to_make(days, sources))
    ]


def _digest(facts: Any) -> str:
    return sha256(dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
