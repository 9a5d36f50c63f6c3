"""Everything that the report and the summary say of a product, gathered from the stores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import DAY as ONE_DAY
from headrace.core.days import local_day
from headrace.core.declaration import Identity
from headrace.evaluation.evaluate import Measured
from headrace.evaluation.judgement import Judgement, recorded_judgement
from headrace.features.declaration import Label
from headrace.incidents.incident import Incident
from headrace.incidents.note import incidents
from headrace.models.meta import Meta, load_meta
from headrace.models.predict import MODEL, SCORE
from headrace.monitoring.cause import Causes
from headrace.monitoring.declaration import Monitors
from headrace.monitoring.inputs.look import OUTLIER
from headrace.monitoring.kept import known_causes
from headrace.monitoring.lines import MOST_POINTS
from headrace.monitoring.quality import is_binary, realized_by_month
from headrace.monitoring.realized import realized_rows
from headrace.sources.declaration import Source
from headrace.sources.freshness import Freshness, freshness
from headrace.store.evaluations import recorded
from headrace.store.releases import Release
from headrace.store.site import Site
from headrace.store.tables import DAY

SCORE_BINS = 40
MOST_REASONS = 5


@dataclass(frozen=True)
class Arrived:
    """What arrived of a source: rows a day, what was set aside and why, how fresh it is."""

    source: str
    rows: int
    by_day: dict[date, int]
    quarantined: int
    reasons: dict[str, int]
    """The reasons that were given most, with their rows."""
    freshness: Freshness | None


@dataclass(frozen=True)
class Live:
    """The model that is live: the release, what it was trained and judged on, what it looks at."""

    release: Release
    meta: Meta
    judgement: Judgement | None
    importance: dict[str, float]


@dataclass(frozen=True)
class Spread:
    """How many scores lie in each of forty equal parts from 0 to 1, by what came true."""

    positives: list[int]
    negatives: list[int]


@dataclass(frozen=True)
class ProductFacts:
    """A product at a moment."""

    product: Identity
    now: datetime
    live: Live | None
    decisions: list[Release]
    trainings: list[dict[str, Any]]
    months: dict[str, Measured]
    quality: list[dict[str, Any]]
    """The rows of monitoring/quality that are about the declared metric on all rows."""
    drift: list[dict[str, Any]]
    """The rows of monitoring/drift."""
    spread: Spread | None
    """The live model's scores; where it has no labelled one yet, those of the models before. None for a label that is a number."""
    arrived: list[Arrived]
    monitors: Monitors
    causes: Causes | None
    """Why the live model's columns moved, as it was found last."""
    incidents: list[Incident]
    """What went wrong, oldest first, the open ones among them."""
    estimated: list[dict[str, Any]] = field(default_factory=list)
    """The rows of monitoring/estimated that are about the metric that is estimated."""
    came_true: list[dict[str, Any]] = field(default_factory=list)
    """The rows of monitoring/quality that are about that metric on all rows."""
    measures: list[dict[str, Any]] = field(default_factory=list)
    """The rows of monitoring/measures: every measure of the newest window."""
    shifts: list[dict[str, Any]] = field(default_factory=list)
    """The rows of monitoring/shifts: drift beyond one column."""
    inputs: list[dict[str, Any]] = field(default_factory=list)
    """The rows of monitoring/inputs, of days and not of single rows."""
    numbers: list[dict[str, Any]] = field(default_factory=list)
    """The rows of monitoring/numbers of the newest 120 days."""


def product_facts(site: Site, sources: Mapping[str, Source], label: Label, monitors: Monitors) -> ProductFacts:
    """Return what is known of the product now; what does not exist yet is empty.

    Raises Refused where the live model's evaluation cannot be read, or is about another model.
    """
    release = site.releases.live(site.product.product)
    scored = realized_rows(site, label)
    return ProductFacts(
        product=site.product,
        now=site.clock.now(),
        live=_live(site, release) if release else None,
        decisions=site.releases.all(site.product.product),
        trainings=site.trainings.entries(),
        months=realized_by_month(scored, label),
        quality=_quality(site, monitors.quality.metric),
        drift=_rows(site, "monitoring", "drift"),
        spread=_spread(scored, label, release.model if release else ""),
        arrived=[_arrived(site, name, source) for name, source in sources.items()],
        monitors=monitors,
        causes=known_causes(site, release.model) if release else None,
        incidents=incidents(site),
        estimated=_of_metric(site, "estimated", monitors.quality.estimated_metric),
        came_true=_quality(site, monitors.quality.estimated_metric),
        measures=_rows(site, "monitoring", "measures"),
        shifts=_rows(site, "monitoring", "shifts"),
        inputs=_rows(site, "monitoring", "inputs", pc.field("measure") != OUTLIER),
        numbers=_numbers(site),
    )


def newest_drift(facts: ProductFacts) -> list[dict[str, Any]]:
    """Return what moved on the newest day that the live model was compared on, the farthest beyond its limit first."""
    own = [row for row in facts.drift if facts.live and row["model"] == facts.live.release.model]
    newest = max((row["day"] for row in own), default=None)
    return sorted((r for r in own if r["day"] == newest), key=lambda r: -r["value"] / r["limit"])


def alarming(facts: ProductFacts) -> list[dict[str, Any]]:
    """Return those of `newest_drift` that are beyond their limit and not ignored."""
    ignored = facts.monitors.drift.ignore
    return [row for row in newest_drift(facts) if row["value"] > row["limit"] and row["column"] not in ignored]


def _live(site: Site, release: Release) -> Live:
    shares = site.models.recorded(release.model, "importance")
    return Live(
        release=release,
        meta=load_meta(site.models, release.model),
        judgement=recorded_judgement(site, release.model) if recorded(site, release.model) else None,
        importance=dict(shares["shares"]) if shares else {},
    )


def _spread(scored: pa.Table, label: Label, model: str) -> Spread | None:
    own = scored.filter(pc.equal(scored[MODEL], model)) if scored.num_rows else scored
    own = own if own.num_rows else scored
    if not own.num_rows or not is_binary(own[label.column]):
        return None
    scores, came_true = own[SCORE].to_numpy(), own[label.column].to_numpy() == 1
    bins = np.clip((scores * SCORE_BINS).astype(int), 0, SCORE_BINS - 1)
    return Spread(
        positives=np.bincount(bins[came_true], minlength=SCORE_BINS).tolist(),
        negatives=np.bincount(bins[~came_true], minlength=SCORE_BINS).tolist(),
    )


def _arrived(site: Site, name: str, source: Source) -> Arrived:
    days = _counts(site, site.product.table("raw", name), DAY if source.partition else "_row")
    reasons = _counts(site, site.product.table("quarantine", name), "_reason")
    most = sorted(reasons, key=lambda reason: (-reasons[reason], reason))[:MOST_REASONS]
    return Arrived(
        source=name,
        rows=sum(days.values()),
        by_day=dict(sorted((day, rows) for day, rows in days.items() if day is not None)) if source.partition else {},
        quarantined=sum(reasons.values()),
        reasons={reason: reasons[reason] for reason in most},
        freshness=freshness(site, name, source) if source.fresh_within else None,
    )


def _counts(site: Site, table: str, column: str) -> dict[Any, int]:
    """Return how often each value of a column occurs; none where there is no table."""
    if not site.tables.exists(table):
        return {}
    counted = site.tables.read(table, columns=[column])[column].value_counts()
    return {row["values"]: row["counts"] for row in counted.to_pylist()}


def _quality(site: Site, metric: str) -> list[dict[str, Any]]:
    return _of_metric(site, "quality", metric, pc.field("by") == "")


def _of_metric(site: Site, name: str, metric: str, more: pc.Expression | None = None) -> list[dict[str, Any]]:
    own = pc.field("metric") == metric
    return _rows(site, "monitoring", name, own if more is None else own & more)


def _numbers(site: Site) -> list[dict[str, Any]]:
    """Return what is kept of the newest days; the table lies on a floor above, and is read by its name."""
    first = local_day(site.clock.now(), site.product.timezone) - ONE_DAY * MOST_POINTS
    return _rows(site, "monitoring", "numbers", pc.field("day") > pa.scalar(first))


def _rows(site: Site, layer: str, name: str, of: pc.Expression | None = None) -> list[dict[str, Any]]:
    table = site.product.table(layer, name)
    if not site.tables.exists(table):
        return []
    rows = site.tables.read(table)
    found: list[dict[str, Any]] = (rows if of is None else rows.filter(of)).to_pylist()
    return found
