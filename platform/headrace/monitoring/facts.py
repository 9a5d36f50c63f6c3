"""Everything that the report and the summary say of a product, gathered from the stores."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from headrace.core.declaration import Identity
from headrace.features.declaration import Label
from headrace.models.evaluate import Measured
from headrace.models.judgement import RECORD, Judgement
from headrace.models.predict import SCORE
from headrace.monitoring.declaration import Monitors
from headrace.monitoring.watch import realized_by_month, realized_rows
from headrace.sources.declaration import Source
from headrace.sources.freshness import Freshness, freshness
from headrace.store.releases import Release
from headrace.store.site import Site
from headrace.store.tables import DAY


@dataclass(frozen=True)
class Arrived:
    """What arrived of a source: rows a day, what was set aside and why, how fresh it is."""

    source: str
    rows: int
    by_day: dict[date, int]
    quarantined: int
    reasons: dict[str, int]
    freshness: Freshness | None


@dataclass(frozen=True)
class ProductFacts:
    """A product at a moment."""

    product: Identity
    now: datetime
    live: Release | None
    decisions: list[Release]
    trainings: list[dict[str, Any]]
    judgement: Judgement | None
    importance: dict[str, float]
    months: dict[str, Measured]
    quality: list[dict[str, Any]]
    drift: list[dict[str, Any]]
    scores: list[float]
    arrived: list[Arrived]
    monitors: Monitors


def product_facts(site: Site, sources: Mapping[str, Source], label: Label, monitors: Monitors) -> ProductFacts:
    """Return what is known of the product now; what does not exist yet is empty."""
    live = site.releases.live(site.product.product)
    recorded = site.models.recorded(live.model, RECORD) if live else None
    shares = site.models.recorded(live.model, "importance") if live else None
    scored = realized_rows(site, label)
    return ProductFacts(
        product=site.product,
        now=site.clock.now(),
        live=live,
        decisions=site.releases.all(site.product.product),
        trainings=site.trainings.entries(),
        judgement=Judgement.model_validate(recorded) if recorded else None,
        importance=dict(shares["shares"]) if shares else {},
        months=realized_by_month(scored, label),
        quality=_rows(site, "monitoring", "quality"),
        drift=_rows(site, "monitoring", "drift"),
        scores=scored[SCORE].to_pylist()[-20000:],
        arrived=[_arrived(site, name, source) for name, source in sources.items()],
        monitors=monitors,
    )


def newest_drift(facts: ProductFacts, measure: str = "psi") -> dict[str, dict[str, Any]]:
    """Return the drift of each column on the newest day, the farthest first."""
    newest = max((row["day"] for row in facts.drift), default=None)
    rows = [row for row in facts.drift if row["day"] == newest and row["measure"] == measure]
    return {row["column"]: row for row in sorted(rows, key=lambda row: -row["value"])}


def _arrived(site: Site, name: str, source: Source) -> Arrived:
    raw = site.product.table("raw", name)
    exists = site.tables.exists(raw)
    days = Counter(site.tables.read(raw, columns=[DAY])[DAY].to_pylist()) if exists and source.partition else Counter()
    reasons = Counter(row["_reason"] for row in _rows(site, "quarantine", name))
    rows = (
        sum(days.values()) if source.partition else (site.tables.read(raw, columns=["_row"]).num_rows if exists else 0)
    )
    return Arrived(
        source=name,
        rows=rows,
        by_day=dict(sorted(days.items())),
        quarantined=sum(reasons.values()),
        reasons=dict(reasons.most_common()),
        freshness=freshness(site, name, source) if source.fresh_within else None,
    )


def _rows(site: Site, layer: str, name: str) -> list[dict[str, Any]]:
    table = site.product.table(layer, name)
    rows: list[dict[str, Any]] = site.tables.read(table).to_pylist() if site.tables.exists(table) else []
    return rows
