"""Skew: what was served against what training computes of the same requests, cell by cell, exactly and by type."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headrace.features.declaration import Label
from headrace.features.training import Features
from headrace.online.causes import Evidence, cause_of
from headrace.online.gather import gather, requests_table
from headrace.online.replay import cells, logged
from headrace.store.log import Log
from headrace.store.site import Site

LAST = 10_000


@dataclass(frozen=True)
class Skew:
    """A feature that is served otherwise than it is trained on."""

    feature: str
    table: str
    """The feature table that it is of."""
    rows: int
    request: str
    """One of these requests, by its instant."""
    served: Any
    recomputed: Any
    cause: str

    def __str__(self) -> str:
        return (
            f"{self.feature} ({self.table}) differs in {self.rows} requests, such as that of {self.request}: served {self.served!r}, "
            f"recomputed {self.recomputed!r}\n  likely cause: {self.cause}"
        )


@dataclass(frozen=True)
class Checked:
    """Requests that were computed anew."""

    requests: int
    cells: int
    dropped: int
    """Requests that were not logged although they were drawn, as a buffer was full."""
    skews: Sequence[Skew]

    def __str__(self) -> str:
        lost = f" {self.dropped} more were dropped by full buffers." if self.dropped else ""
        if not self.requests:
            return f"No request is logged yet.{lost}"
        told = f"{len(self.skews)} features differ" if self.skews else "nothing differs"
        return f"{self.requests:,} requests, {self.cells:,} values: {told}.{lost}"


def check_skew(site: Site, features: Features, label: Label, last: int = LAST) -> Checked:
    """Return how the newest `last` logged requests were served against what training computes of them, with likely causes.

    Segments that nobody writes to any more are gathered before; which features differ is written down for gates.
    """
    gather(site)
    checked = _checked(site, features, label, last)
    _remember(site, checked)
    return checked


def skewed_features(site: Site) -> int:
    """Return how many features differed when that was looked at last; 0 where no request was ever looked at."""
    entries = _log(site).entries()
    return len(entries[-1]["features"]) if entries else 0


def _log(site: Site) -> Log:
    return Log(site.place.logs / site.product.product / "skew")


def _remember(site: Site, checked: Checked) -> None:
    """Write down which features differ, if others did when that was looked at last; no values."""
    log, features = _log(site), sorted(skew.feature for skew in checked.skews)
    entries = log.entries()
    if checked.requests and (not entries or entries[-1]["features"] != features):
        facts = {"at": site.clock.now().isoformat(), "requests": checked.requests, "features": features}
        log.append(facts, after=len(entries))


def _checked(site: Site, features: Features, label: Label, last: int) -> Checked:
    if not site.tables.exists(requests_table(site)):
        return Checked(0, 0, 0, [])
    replay, dropped = logged(site, features, label, last)
    if not replay.served:
        return Checked(0, 0, dropped, [])
    computed = replay.again()
    evidence = Evidence(replay, cells(computed), computed.schema)
    skews = [_skew(evidence, name) for name in evidence.types if evidence.differing(name)]
    return Checked(len(replay.served), len(replay.served) * len(evidence.types), dropped, skews)


def _skew(evidence: Evidence, feature: str) -> Skew:
    rows = evidence.differing(feature)
    first = rows[0]
    return Skew(
        feature=feature,
        table=evidence.table_of(feature),
        rows=len(rows),
        request=f"{evidence.replay.instants[first].as_py():%Y-%m-%dT%H:%M:%S.%fZ}",
        served=evidence.replay.served[first].get(feature),
        recomputed=evidence.computed[feature][first],
        cause=cause_of(evidence, feature),
    )
