"""What a commit remembers beside its rows: which run made it, why, of what, and which days it wrote."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from headrace.core.days import unbroken
from headrace.core.running import current_run

AT, DAYS, INPUTS, RUN, WHY = (f"headrace.{fact}" for fact in ("at", "days", "inputs", "run", "why"))


@dataclass(frozen=True)
class Cause:
    """Why a table is written, and the versions of the tables that its rows are made of."""

    why: str = ""
    inputs: Mapping[str, int] = field(default_factory=dict)


def commit_facts(cause: Cause, days: Iterable[date] | None) -> dict[str, str]:
    """Return what a commit should remember; `days` are those that it writes, None for a table without days."""
    return {
        AT: datetime.now(UTC).isoformat(),
        RUN: current_run(),
        WHY: cause.why,
        DAYS: days_text(days or ()),
        INPUTS: json.dumps(dict(cause.inputs), sort_keys=True),
    }


def days_text(days: Iterable[date]) -> str:
    """Return days as short text: unbroken ranges, oldest first, such as "2024-01-01...2024-01-03, 2024-01-09"."""
    return ", ".join(map(str, unbroken(days)))
