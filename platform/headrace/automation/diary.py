"""The diary: what was decided at each look, kept for good; what repeats is counted, not written again."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from headrace.automation.decide import Decision
from headrace.core.errors import Refused
from headrace.store.log import Log

BEAT = timedelta(hours=1)
"""How long a decision may repeat before it is written down once more, by the product's clock."""
DECISIONS, TROUBLES = "decisions-", "troubles"
"""The logs: one of decisions for each month, so that none grows without end, and one of looks that failed."""
Health = Literal["failing", "well"]


@dataclass(frozen=True)
class Last:
    """The decision that was written down last, and how often it has repeated since."""

    log: str = ""
    number: int = 0
    state: str = ""
    at: str = ""
    repeated: int = 0

    def is_due(self, state: str, now: datetime) -> bool:
        """Return whether a decision in some state has to be written down: it is another, or an hour has passed."""
        if not self.at or state != self.state:
            return True
        return not timedelta() <= now - datetime.fromisoformat(self.at) < BEAT


class Diary:
    """The logs of one product's decisions."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, decision: Decision, now: datetime, last: Last) -> Last:
        """Keep a decision, and return what to remember for the next one.

        Where a process died between writing and remembering, what it has written is not written again.
        """
        state = decision.state
        if not decision.train and not last.is_due(state, now):
            return Last(last.log, last.number, last.state, last.at, last.repeated + 1)
        log = f"{DECISIONS}{now:%Y-%m}"
        entry = _entry(decision, state, now, last)
        after = last.number if log == last.log else 0
        try:
            number = int(Log(self._folder / log).append(entry, after=after)["number"])
        except Refused:
            written = Log(self._folder / log).entries()
            if written and (written[-1]["state"], written[-1]["at"]) == (state, entry["at"]):
                return Last(log, len(written), state, str(written[-1]["at"]))
            number = int(Log(self._folder / log).add(entry)["number"])
        return Last(log, number, state, now.isoformat())

    def tell(self, sensor: str, health: Health, what: str, now: datetime) -> bool:
        """Keep that a look of a sensor fails or is well again, and return whether that is news: once a change of state."""
        if self.health(sensor) == health:
            return False
        facts = {"sensor": sensor, "health": health, "what": what, "at": now.isoformat()}
        Log(self._folder / TROUBLES).add(facts)
        return True

    def health(self, sensor: str) -> Health:
        """Return whether a sensor's looks fail, as it was told last; well where nothing ever was."""
        entries = Log(self._folder / TROUBLES).entries()
        told: Health = next((entry["health"] for entry in reversed(entries) if entry["sensor"] == sensor), "well")
        return told

    def entries(self, most: int) -> list[dict[str, Any]]:
        """Return the last decisions that were written down, oldest first."""
        return sorted(self._newest(most), key=lambda entry: str(entry["at"]))[-most:]

    def troubles(self, most: int) -> list[dict[str, Any]]:
        """Return when looks of sensors last began to fail, or were well again, oldest first."""
        return Log(self._folder / TROUBLES).entries()[-most:]

    def _newest(self, most: int) -> Iterator[dict[str, Any]]:
        """Yield at least the last decisions, as far as there are any, newest month first."""
        found = 0
        for folder in sorted(self._folder.glob(f"{DECISIONS}*"), reverse=True):
            entries = Log(folder).entries()
            yield from entries[-most:]
            found += len(entries)
            if found >= most:
                return


def _entry(decision: Decision, state: str, now: datetime, last: Last) -> dict[str, Any]:
    return {
        "at": now.isoformat(),
        "train": decision.train,
        "what": str(decision),
        "state": state,
        "reasons": list(decision.reasons),
        "obstacles": list(decision.obstacles),
        "notes": list(decision.notes),
        "triggers": [asdict(fired) for fired in decision.fired],
        "repeated": last.repeated,
    }


def in_words(entry: Mapping[str, Any]) -> str:
    """Return an entry as a line: when, what was decided, and why."""
    when = str(entry["at"])[:16].replace("T", " ")
    if "health" in entry:
        return f"{when}  {entry['sensor']} is {entry['health']}: {entry['what']}"
    before = f" (the one before: {entry['repeated'] + 1:,} times)" if entry["repeated"] else ""
    return f"{when}  {entry['what']}{before}"
