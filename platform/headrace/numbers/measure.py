"""Measure: the numbers of a product at a moment, from its tables and logs. What nobody knows yet has no number.

Deployment failure rate, recovery, frequency and lead time follow DORA's four software delivery metrics (N. Forsgren, J. Humble,
G. Kim, Accelerate, 2018; DORA, Software delivery performance metrics, dora.dev, 2024). A deployment is a release; one that was taken back, by
hand or by the canary, has failed; what changes is data, so that the lead time begins when the newest data of the training landed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow.compute as pc

from headrace.core.days import DAY, Days
from headrace.incidents.note import incidents
from headrace.models.origin import origin_of
from headrace.monitoring.estimated.estimate import COUNTS
from headrace.numbers.declaration import Numbers
from headrace.numbers.number import Number
from headrace.serving.declaration import Price
from headrace.sources.declaration import Source
from headrace.sources.freshness import freshness
from headrace.store.releases import Release
from headrace.store.site import Site

HOUR, MONTH = timedelta(hours=1), timedelta(days=30)
QUANTILES = {"p95": 0.95, "p99": 0.99}
LEARNING = (
    "training/set",
    *(f"model/{name}" for name in ("candidate", "evaluation", "explanation", "loadtest", "champion", "card")),
)
"""What a training makes, from its rows to its release."""
SCORING, CANDIDATE = "predictions/batch", "model/candidate"
GIGABYTE = 1e9


@dataclass(frozen=True)
class Work:
    """What making an asset took within a window."""

    times: int = 0
    cpu_seconds: float = 0.0
    bytes: int = 0
    new_rows: int = 0


@dataclass(frozen=True)
class Declared:
    """What of a declaration numbers need."""

    policy: Numbers
    sources: Mapping[str, Source]
    price: Price | None = None
    is_estimated: bool = False
    """Whether there is monitoring/estimated."""


def product_numbers(site: Site, declared: Declared, work: Mapping[str, Work], now: datetime) -> list[Number]:
    """Return all numbers that are known at a moment of the product's clock; `work` is what was spent on each asset, `layer/name`."""
    since = now - declared.policy.window
    return [
        *latency(site, since, now),
        *realized(site),
        *estimated(site),
        *drift(site),
        *ages(site, declared.sources),
        *costs(work, declared.price),
        *deployments(site, since, declared.policy.window),
        *troubles(site, since),
    ]


def latency(site: Site, since: datetime, now: datetime) -> Iterator[Number]:
    """Yield p95 and p99 of the milliseconds of served requests, from predictions/online: shadows and errors are none."""
    table = site.product.table("predictions", "online")
    if not site.tables.exists(table):
        return
    days = Days(since.date() - DAY, now.date() + DAY)
    rows = site.tables.read(table, days=days, columns=["request", "received", "role", "status", "milliseconds"])
    served = rows.filter((pc.field("received") >= since) & (pc.field("role") != "shadow") & (pc.field("status") < 400))
    times = served.group_by("request").aggregate([("milliseconds", "max")])["milliseconds_max"].drop_null().to_numpy()
    for name, share in QUANTILES.items() if len(times) else ():
        yield Number("prediction_latency", float(np.quantile(times, share)), "ms", name, len(times))


def realized(site: Site) -> Iterator[Number]:
    """Yield how the live model's scores came true on the newest window with labels, by each metric, over all rows."""
    rows = [row for row in _own(site, "quality") if not row["by"]]
    yield from _newest("realized_quality", rows)


def estimated(site: Site) -> Iterator[Number]:
    """Yield how good the live model probably is on its newest window, by each metric that is estimated without labels."""
    yield from _newest("estimated_quality", [row for row in _own(site, "estimated") if row["metric"] not in COUNTS])


def drift(site: Site) -> Iterator[Number]:
    """Yield the stability index of each column on the newest day that the live model was compared on."""
    rows = [row for row in _own(site, "drift") if row["measure"] == "psi"]
    newest = max((row["day"] for row in rows), default=None)
    for row in rows:
        if row["day"] == newest:
            yield Number("drift_score", row["value"], "psi", row["column"], row["rows"])


def ages(site: Site, sources: Mapping[str, Source]) -> Iterator[Number]:
    """Yield how old the newest row is of each source that has a time."""
    for name, source in sources.items():
        age = freshness(site, name, source).age_hours if source.time else None
        if age is not None:
            yield Number("freshness", age, "hours", name)


def costs(work: Mapping[str, Work], price: Price | None) -> Iterator[Number]:
    """Yield what was spent on each asset; with a price its cost, that of a training, and of a thousand new scores."""
    for asset, spent in sorted(work.items()):
        yield Number("cpu_seconds", spent.cpu_seconds, "s", asset, spent.times)
        yield Number("bytes", float(spent.bytes), "bytes", asset, spent.times)
        if price:
            yield Number("cost", cost(spent, price), price.currency, asset, spent.times)
    trained, scored = work.get(CANDIDATE, Work()).times, work.get(SCORING, Work()).new_rows
    if price and trained:
        spent_on = sum(cost(work[asset], price) for asset in LEARNING if asset in work)
        yield Number("cost_per_model", spent_on / trained, price.currency, count=trained)
    if price and scored:
        thousand = cost(work[SCORING], price) / scored * 1000
        yield Number("cost_per_1000_predictions", thousand, price.currency, count=scored)


def cost(work: Work, price: Price) -> float:
    """Return what work costs: processor hours and gigabytes, each at its price."""
    return work.cpu_seconds / 3600 * price.cpu_hour + work.bytes / GIGABYTE * price.gigabyte


def deployments(site: Site, since: datetime, window: timedelta) -> Iterator[Number]:
    """Yield how often is released and trained, how long data take to a release, and what of that had to be taken back."""
    decisions = site.releases.all(site.product.product)
    released = [decision for decision in decisions if decision.outcome == "released" and decision.at >= since]
    trainings = [each for each in site.trainings.entries() if datetime.fromisoformat(each["at"]) >= since]
    yield Number("deployment_frequency", len(released) * (MONTH / window), "per 30d", count=len(released))
    yield Number("retraining_frequency", len(trainings) * (MONTH / window), "per 30d", count=len(trainings))
    if released:
        failed = {decision.replaces for decision in decisions if decision.outcome == "rolled back"}
        share = fmean(decision.number in failed for decision in released)
        yield Number("deployment_failure_rate", share, "share", count=len(released))
    yield from _hours("lead_time_hours", [_lead(site, decision) for decision in released])
    by_number = {decision.number: decision for decision in decisions}
    taken_back = [d for d in decisions if d.outcome == "rolled back" and d.at >= since and d.replaces in by_number]
    recoveries = [decision.at - by_number[decision.replaces or 0].at for decision in taken_back]
    yield from _hours("deployment_recovery_hours", recoveries)


def troubles(site: Site, since: datetime) -> Iterator[Number]:
    """Yield how long it took to notice what was wrong, and to mend it."""
    known = incidents(site)
    own = [incident for incident in known if incident.opened.at >= since]
    still = sum(incident.is_open for incident in known)
    yield Number("open_incidents", float(still), "incidents", count=len(known))
    yield from _hours("time_to_detect_hours", [incident.detected_in for incident in own])
    yield from _hours("time_to_restore_hours", [incident.restored_in for incident in own])


def _hours(name: str, spans: Sequence[timedelta | None]) -> Iterator[Number]:
    known = [span / HOUR for span in spans if span is not None]
    if known:
        yield Number(name, fmean(known), "hours", count=len(known))


def _lead(site: Site, release: Release) -> timedelta | None:
    """Return how long before a release the newest of its data landed; None for a replay, which has landed it all at once."""
    origin = origin_of(site, release.model) if site.product.clock == "wall" else None
    raw = {} if origin is None else {t: v for t, v in origin["versions"].items() if "/raw/" in t}
    landed = [one.at for table, number in raw.items() for one in site.tables.versions(table) if one.number == number]
    return release.at - max(landed) if landed else None


def _newest(name: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[Number]:
    """Yield of each metric the value of the newest day that has one."""
    known = {row["metric"]: row for row in sorted(rows, key=lambda row: row["day"]) if row["value"] is not None}
    for metric, row in known.items():
        yield Number(name, row["value"], metric, metric, row["rows"])


def _own(site: Site, name: str) -> list[dict[str, Any]]:
    """Return the rows of a monitoring table that are about the live model."""
    table, live = site.product.table("monitoring", name), site.releases.live(site.product.product)
    if live is None or not site.tables.exists(table):
        return []
    return [row for row in site.tables.read(table).to_pylist() if row["model"] == live.model]
