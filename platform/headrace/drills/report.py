"""What a drill has found: a table for people, and the same as JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

from headrace.core.columns import in_columns
from headrace.drills.declaration import Fault

State = Literal["reacted", "silent", "not declared", "stood before", "also when healthy"]
HEAD = ("fault", "expected", "reacted", "product time", "seconds", "evidence")
SHOWN = 110
_WORDS: dict[State, str] = {
    "reacted": "yes",
    "silent": "NO",
    "not declared": "not declared",
    "stood before": "NO: it failed before the fault",
    "also when healthy": "NO: it fails on healthy days, too",
}


@dataclass(frozen=True)
class Reaction:
    """What a guard has done about a fault."""

    fault: Fault
    expected: str
    state: State
    evidence: str = ""
    """The guard's own words; of one that is not declared, the line that declares it."""
    after: timedelta | None = None
    """How long after the fault began, by the product's clock."""
    seconds: float | None = None
    """How long after it was planted, by the clock on the wall."""

    @property
    def is_well(self) -> bool:
        """Whether it has reacted, or could not, as it is not declared."""
        return self.state in ("reacted", "not declared")


@dataclass(frozen=True)
class Report:
    """A drill of one product."""

    product: str
    at: datetime
    planted: dict[str, list[str]]
    """Fault → what was done, step by step."""
    reactions: Sequence[Reaction]

    @property
    def silent(self) -> list[Reaction]:
        """What should have reacted, and did not."""
        return [reaction for reaction in self.reactions if not reaction.is_well]

    def text(self) -> str:
        """Return it as a table."""
        return in_columns(HEAD, [_row(reaction) for reaction in self.reactions])

    def facts(self) -> dict[str, Any]:
        """Return it as values that go into JSON; times in seconds."""
        return {
            "product": self.product,
            "at": self.at.isoformat(),
            "passed": not self.silent,
            "planted": self.planted,
            "reactions": [_facts(reaction) for reaction in self.reactions],
        }

    def write(self, path: Path) -> Path:
        """Write it as JSON, and return the file."""
        path.write_text(json.dumps(self.facts(), indent=1) + "\n")
        return path


def _row(reaction: Reaction) -> tuple[str, ...]:
    is_in = reaction.state == "reacted"
    shown = f"declare {reaction.evidence}" if reaction.state == "not declared" else reaction.evidence
    return (
        reaction.fault,
        reaction.expected,
        _WORDS[reaction.state],
        span_text(reaction.after) if is_in else "-",
        f"{reaction.seconds:.1f}" if is_in and reaction.seconds is not None else "-",
        shorten(shown, SHOWN, placeholder=" ..."),
    )


def span_text(span: timedelta | None) -> str:
    """Return a span of the product's time in days and hours."""
    if not span:
        return "at once"
    hours = round(span / timedelta(hours=1))
    days, rest = divmod(hours, 24)
    return " ".join(part for part in (f"{days} d" if days else "", f"{rest} h" if rest else "") if part) or "under 1 h"


def _facts(reaction: Reaction) -> dict[str, Any]:
    return {
        "fault": reaction.fault,
        "expected": reaction.expected,
        "state": reaction.state,
        "after_product_s": reaction.after.total_seconds() if reaction.after is not None else None,
        "after_s": round(reaction.seconds, 3) if reaction.seconds is not None else None,
        "evidence": reaction.evidence,
    }
