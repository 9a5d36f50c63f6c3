"""Incidents: what was not as it was released, or did harm while it was live, and what was done about it. Written down for good.

This is the log that the room `incidents` keeps, too: what is found here is one of its incidents.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from headrace.core.errors import Refused, StoreError
from headrace.store.log import Log
from headrace.store.site import Site

MOST_REPEATED = 5
"""How many of the last incidents are looked at before the same one is written down again."""


@dataclass(frozen=True)
class Trouble:
    """Something that is not as it was released: what, and what was done about it, or is to be done."""

    what: str
    done: str
    mended: bool = False
    kind: str = "tampered"
    """Which kind of incident it is: `tampered`, or `rolled_back`."""
    of: str = ""
    """What it is about; the same as `what` where that is empty."""
    since: datetime | None = None
    """Since when it did harm, if that is known."""

    def __str__(self) -> str:
        return f"{self.what}. {self.done}"


def incidents_of(site: Site) -> Log:
    """Return the log of a product's incidents."""
    return Log(site.place.logs / site.product.product / "incidents")


def write_down(site: Site, found: list[Trouble]) -> list[Trouble]:
    """Write down what was found, and return it; with it, where that cannot be done, why."""
    log = incidents_of(site)
    try:
        told = {entry["what"] for entry in _since_last_end(log.entries())[-MOST_REPEATED:]}
        for trouble in found:
            if trouble.mended or trouble.what not in told:
                log.add(_entry(site, trouble))
    except StoreError as error:
        return [*found, Trouble("What was found cannot be written down", str(error))]
    return found


def write_once(site: Site, trouble: Trouble) -> bool:
    """Write down an incident that can happen once, and return whether it was not there yet; any number of callers at once."""
    log = incidents_of(site)
    while True:
        entries = log.entries()
        if any(entry["what"] == trouble.what for entry in entries):
            return False
        try:
            log.append(_entry(site, trouble), after=len(entries))
        except Refused:
            # Somebody else has written one: it may be this one.
            continue
        return True


def _since_last_end(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was found since an incident was closed last: what comes back after that is another one."""
    ends = [place for place, entry in enumerate(entries, 1) if entry.get("event") == "closed"]
    return [entry for entry in entries[max(ends, default=0) :] if "done" in entry]


def _entry(site: Site, trouble: Trouble) -> dict[str, Any]:
    since = {"first_bad": trouble.since.isoformat()} if trouble.since else {}
    return {
        "at": site.clock.now().isoformat(),
        "wall": datetime.now(UTC).isoformat(),
        "what": trouble.what,
        "done": trouble.done,
        "mended": trouble.mended,
        "kind": trouble.kind,
        "of": trouble.of,
        **since,
    }
