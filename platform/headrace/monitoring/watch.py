"""The live model's scored days, as profiles against those that it was trained on."""

from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import Days, local_day
from headrace.core.errors import StoreError
from headrace.models.encode import Input
from headrace.models.predict import MODEL, SCORE, load_meta
from headrace.models.profile import Profile, profile_of
from headrace.monitoring import spark
from headrace.monitoring.declaration import Drift
from headrace.monitoring.drift import DayProfile, Moved, drift_by_day, window_start
from headrace.store.engine import TableView
from headrace.store.releases import Release
from headrace.store.site import Site
from headrace.store.tables import DAY

SCORE_INPUT = Input(name=SCORE, kind="numeric")
MOVED = pa.schema(
    {
        "day": pa.date32(),
        "column": pa.string(),
        "measure": pa.string(),
        "value": pa.float64(),
        "limit": pa.float64(),
        "rows": pa.int64(),
        "model": pa.string(),
    }
)
Inputs = dict[str, list[Input]]
"""Model → the columns of its scored rows that can be held against the live model's reference."""


def live_drift(site: Site, live: Release, policy: Drift) -> list[Moved]:
    """Return the drift of each scored day since the release, at least of the newest one; none where nothing is scored."""
    newest = newest_scored_day(site)
    if newest is None:
        return []
    first = min(newest, local_day(live.at, site.product.timezone))
    span = Days(window_start(first, policy.window), newest)
    scored_since = _scored_since(site)
    inputs = {model: _comparable(site, live, model) for model in scored_since}
    since = _since(scored_since, inputs)
    reference = _reference(site, live)
    moved = drift_by_day(list(day_profiles(site, span, inputs, reference)), reference, policy, since)
    return [m for m in moved if m.day >= first]


def day_profiles(site: Site, days: Days, inputs: Inputs, reference: Profile) -> Iterator[DayProfile]:
    """Yield one profile for each scored day and model over the bins of the reference, by the product's engine."""
    scored = site.product.table("predictions", "batch")
    if site.spark:
        yield from spark.day_profiles(site.spark, TableView(scored, days), inputs, reference)
    else:
        yield from _day_profiles(site.tables.read(scored, days=days), inputs, reference)


def with_history(site: Site, moved: Sequence[Moved], model: str) -> pa.Table:
    """Return the rows of monitoring/drift: the new ones, behind those of other models and of earlier days.

    What led to a decision stays, also where nothing was measured now.
    """
    table = site.product.table("monitoring", "drift")
    before = site.tables.read(table).to_pylist() if site.tables.exists(table) else []
    kept = [row for row in before if not moved or row["model"] != model or row["day"] < moved[0].day]
    return pa.Table.from_pylist([*kept, *({**vars(m), "model": model} for m in moved)], schema=MOVED)


def newest_scored_day(site: Site) -> date | None:
    """Return the last day that has scores."""
    table = site.product.table("predictions", "batch")
    if not site.tables.exists(table):
        return None
    newest: date | None = pc.max(site.tables.read(table, columns=[DAY])[DAY]).as_py()
    return newest


def _reference(site: Site, live: Release) -> Profile:
    reference = site.models.recorded(live.model, "profile")
    if reference is None:
        raise StoreError(
            f"The profile of the live model {live.model[:12]} is gone, so that nothing can be compared with its training "
            "set: restore the models folder from a backup, or train again."
        )
    return reference


def _scored_since(site: Site) -> dict[str, date]:
    """Return the first day that each model has scored."""
    rows = site.tables.read(site.product.table("predictions", "batch"), columns=[DAY, MODEL])
    first = rows.group_by(MODEL).aggregate([(DAY, "min")])
    return dict(zip(first[MODEL].to_pylist(), first[f"{DAY}_min"].to_pylist(), strict=True))


def _since(scored_since: dict[str, date], inputs: Inputs) -> dict[str, date]:
    """Return from which day on there are rows of each column."""
    since: dict[str, date] = {}
    for model, day in scored_since.items():
        for column in inputs[model]:
            since[column.name] = min(day, since.get(column.name, day))
    return since


def _comparable(site: Site, live: Release, model: str) -> list[Input]:
    """Return what a model's rows say about the live one: its own scores; of other models the features that both have.

    A column that an earlier model did not have is empty in its rows, which does not make it missing.
    """
    mine = _inputs(site, live.model)
    if model == live.model:
        return [*mine, SCORE_INPUT]
    theirs = {(i.name, i.kind) for i in _inputs(site, model)} if site.models.exists(model) else set()
    return [i for i in mine if (i.name, i.kind) in theirs]


def _inputs(site: Site, model: str) -> list[Input]:
    return load_meta(site.models, model).inputs


def _day_profiles(rows: pa.Table, inputs: Inputs, reference: Profile) -> Iterator[DayProfile]:
    """Yield one profile for each day and model."""
    days, models = rows[DAY].combine_chunks(), rows[MODEL].combine_chunks()
    for part in rows.select([DAY, MODEL]).group_by([DAY, MODEL]).aggregate([]).to_pylist():
        own = rows.filter(pc.and_(pc.equal(days, pa.scalar(part[DAY])), pc.equal(models, part[MODEL])))
        known: Sequence[Input] = inputs[part[MODEL]]
        yield DayProfile(part[DAY], profile_of(own, known, reference))
