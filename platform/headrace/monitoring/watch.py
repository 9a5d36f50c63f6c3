"""The live model's scored days, as profiles against those that it was trained on."""

from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa

from headrace.core.days import DAY as ONE_DAY
from headrace.core.days import Days, local_day, whole_days
from headrace.core.errors import StoreError
from headrace.models.meta import Input, load_meta
from headrace.models.predict import MODEL, SCORE
from headrace.models.profile import Profile
from headrace.monitoring import spark
from headrace.monitoring.calibrate import Calibrated, calibrate
from headrace.monitoring.declaration import Drift
from headrace.monitoring.drift import DayProfile, Moved, drift_by_day, window_start
from headrace.monitoring.profiled.table import (
    Against,
    Made,
    batch_profiles,
    kept_profiles,
    stale_days,
    training_profiles,
)
from headrace.monitoring.served import served_models, served_rows
from headrace.store.engine import TableView
from headrace.store.measured import MeasuredDrift, MovedColumn, write_drift
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
    watched = watched_days(site, live, policy)
    if watched is None:
        return []
    scored_since = _scored_since(site)
    since = _since(scored_since, {model: _comparable(site, live, model) for model in scored_since})
    against = reference_of(site, live)
    profiles = _profiles(site, live, watched)
    first = watched.first + ONE_DAY * (whole_days(policy.window) - 1)
    limits = calibrated_limits(site, live, policy).limits
    return [m for m in drift_by_day(profiles, against.profile, policy, since, limits) if m.day >= first]


def calibrated_limits(site: Site, live: Release, policy: Drift) -> Calibrated:
    """Return the limits of the features, from the days that the live model was trained on where the policy says so."""
    if policy.threshold == "declared":
        return Calibrated()
    against = reference_of(site, live)
    history = kept_profiles(site, against, "training") or training_profiles(site, against).profiles
    return calibrate(history, against.profile, policy)


def watched_days(site: Site, live: Release, policy: Drift) -> Days | None:
    """Return the days whose profiles the drift of the live model is measured from; None where nothing is scored."""
    newest = newest_scored_day(site)
    if newest is None:
        return None
    first = min(newest, local_day(live.at, site.product.timezone))
    return Days(window_start(first, policy.window), newest)


def stale_profiles(site: Site, live: Release, days: Days) -> Made:
    """Return new profiles of the days whose rows changed since theirs were kept, in one pass over these days."""
    against, table = reference_of(site, live), site.product.table("predictions", "batch")
    if not site.tables.exists(table):
        return Made("scored", [], 0, [])
    inputs = {model: _comparable(site, live, model) for model in _scored_since(site)}
    version = site.tables.version(table) or 0
    stale = stale_days(site, against, days)
    parts = [part for span in stale for part in day_profiles(site, span, inputs, against.profile)]
    return Made("scored", stale, version, parts)


def day_profiles(site: Site, days: Days, inputs: Inputs, reference: Profile) -> Iterator[DayProfile]:
    """Yield one profile for each scored day and model over the bins of the reference, by the product's engine."""
    scored = site.product.table("predictions", "batch")
    if site.spark:
        yield from spark.day_profiles(site.spark, TableView(scored, days), inputs, reference)
    else:
        yield from batch_profiles(site.tables.scan(scored, days=days), (DAY, MODEL), inputs, reference)


def served_profiles(site: Site, live: Release, days: Days) -> Iterator[DayProfile]:
    """Yield one profile for each day and model of what was served one by one, which lies here whatever the engine is."""
    inputs = {model: _comparable(site, live, model) for model in _scored_since(site)}
    served = served_rows(site, days, inputs)
    if served:
        rows, read = served
        known = {model: [i for i in own if i.name in read] for model, own in inputs.items()}
        yield from batch_profiles(rows.to_batches(), (DAY, MODEL), known, reference_of(site, live).profile)


def window_profiles(site: Site, live: Release, policy: Drift) -> tuple[Profile, list[DayProfile]]:
    """Return the live model's reference, and the profiles of the days of the newest window; no day where nothing is scored."""
    newest, against = newest_scored_day(site), reference_of(site, live)
    if newest is None:
        return against.profile, []
    return against.profile, _profiles(site, live, Days(window_start(newest, policy.window), newest))


def _profiles(site: Site, live: Release, days: Days) -> list[DayProfile]:
    """Return the profiles of scored days: those that are kept, new ones where rows were written since, and of what was served."""
    made = stale_profiles(site, live, days)
    new = {day for span in made.days for day in span}
    kept = [part for part in kept_profiles(site, reference_of(site, live), "scored", days) if part.day not in new]
    return [*kept, *made.profiles, *served_profiles(site, live, days)]


def with_history(site: Site, moved: Sequence[Moved], model: str) -> pa.Table:
    """Return the rows of monitoring/drift: the new ones, behind those of other models and of earlier days.

    What led to a decision stays, also where nothing was measured now.
    """
    table = site.product.table("monitoring", "drift")
    before = site.tables.read(table).to_pylist() if site.tables.exists(table) else []
    kept = [row for row in before if not moved or row["model"] != model or row["day"] < moved[0].day]
    return pa.Table.from_pylist([*kept, *({**vars(m), "model": model} for m in moved)], schema=MOVED)


def tell_servers(site: Site, model: str, now: Sequence[Moved]) -> None:
    """Keep how far each column has moved by the newest day where servers read it; where nothing was measured what was stays."""
    if now:
        columns = [MovedColumn(column=m.column, measure=m.measure, value=m.value, limit=m.limit) for m in now]
        write_drift(site.place, site.product.product, MeasuredDrift(model=model, day=now[0].day, columns=columns))


def newest_scored_day(site: Site) -> date | None:
    """Return the last day that has scores, of whole days or served one by one; of the latter days that are over count."""
    return max((last for _, (_, last) in _scored_days(site)), default=None)


def alike_models(site: Site, live: Release) -> list[str]:
    """Return the models that have scored rows with all inputs of the live one."""
    wanted = {(i.name, i.kind) for i in _inputs(site, live.model)}
    scored_by = [model for model in _scored_since(site) if site.models.exists(model)]
    return [model for model in scored_by if {(i.name, i.kind) for i in _inputs(site, model)} >= wanted]


def whole_window(site: Site, live: Release, policy: Drift) -> Days | None:
    """Return the window that ends with the newest scored day; None where rows with all inputs of the live model do not fill it."""
    newest, scored = newest_scored_day(site), _scored_since(site)
    since = min((scored[model] for model in alike_models(site, live)), default=None)
    if newest is None or since is None or since > window_start(newest, policy.window):
        return None
    return Days(window_start(newest, policy.window), newest)


def reference_of(site: Site, live: Release) -> Against:
    """Return the profile that was recorded with the live model; raises StoreError where it is gone."""
    reference = site.models.recorded(live.model, "profile")
    if reference is None:
        raise StoreError(
            f"The profile of the live model {live.model[:12]} is gone, so that nothing can be compared with its training "
            "set: restore the models folder from a backup, or train again."
        )
    return Against(live.model, reference)


def _scored_since(site: Site) -> dict[str, date]:
    """Return the first day that each model has scored."""
    since: dict[str, date] = {}
    for model, (first, _) in _scored_days(site):
        since[model] = min(first, since.get(model, first))
    return since


def _scored_days(site: Site) -> list[tuple[str, tuple[date, date]]]:
    """Return the first and the last day of each model's scores: of whole days, and of what was served."""
    table, found = site.product.table("predictions", "batch"), list(served_models(site).items())
    if site.tables.exists(table):
        spans = site.tables.read(table, columns=[DAY, MODEL]).group_by(MODEL).aggregate([(DAY, "min"), (DAY, "max")])
        found += [(row[MODEL], (row[f"{DAY}_min"], row[f"{DAY}_max"])) for row in spans.to_pylist()]
    return found


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
