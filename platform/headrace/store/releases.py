"""The release log: which model is live, since when, why, on what evidence. The truth; MLflow's alias is its mirror."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from headrace.store.log import Log

Outcome = Literal["released", "refused", "erased"]
"""`erased`: the live model held a person who was erased, and is gone; nothing is live from then on."""


@dataclass(frozen=True)
class Release:
    """One decision about one model."""

    number: int
    outcome: Outcome
    model: str
    at: datetime
    who: str
    why: str
    evidence: dict[str, Any]


class Releases:
    """The release logs of all products."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self, product: str) -> list[Release]:
        """Return every decision, oldest first."""
        return [_release(entry) for entry in self._log(product).entries()]

    def live(self, product: str, at: datetime | None = None) -> Release | None:
        """Return the release that is live now, or was live at a past moment."""
        decisions = [r for r in self.all(product) if r.outcome != "refused" and (at is None or r.at <= at)]
        return decisions[-1] if decisions and decisions[-1].outcome == "released" else None

    def decide(self, product: str, decision: dict[str, Any], *, after: int) -> Release:
        """Append a decision behind entry `after`; raises Refused if another came first.

        `decision` holds outcome, model, at (datetime), who, why and evidence.
        """
        facts = {**decision, "at": decision["at"].isoformat()}
        return _release(self._log(product).append(facts, after=after))

    def _log(self, product: str) -> Log:
        return Log(self._folder / product / "releases")


def _release(entry: dict[str, Any]) -> Release:
    return Release(
        number=entry["number"],
        outcome=entry["outcome"],
        model=entry["model"],
        at=datetime.fromisoformat(entry["at"]),
        who=entry["who"],
        why=entry["why"],
        evidence=entry["evidence"],
    )
