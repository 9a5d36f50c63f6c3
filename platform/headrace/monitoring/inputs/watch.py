"""The days that the live model has scored, batch and online, looked at row by row."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import Days
from headrace.evaluation.evaluate import LEAST_ROWS
from headrace.evaluation.judgement import recorded_judgement
from headrace.features.declaration import Label
from headrace.features.statistics import recorded_statistics
from headrace.models.candidate import split_version
from headrace.models.declaration import Model
from headrace.models.meta import load_meta
from headrace.models.predict import MODEL
from headrace.monitoring.declaration import Inputs
from headrace.monitoring.drift import window_start
from headrace.monitoring.inputs.look import STRANGE, Known, Scored, Strange, strange_rows
from headrace.monitoring.inputs.outliers import grown
from headrace.store.releases import Release
from headrace.store.site import Site
from headrace.store.tables import DAY

BATCH, ONLINE = "predictions/batch", "predictions/online"


def live_inputs(site: Site, label: Label, model: Model, policy: Inputs, live: Release) -> list[Strange]:
    """Return what is strange about each day of the last window that the live model has scored 100 rows of.

    Raises Refused where the model was never evaluated, StoreError where its training rows are gone.
    """
    scored = [day for day in _scored(site, label, policy, live) if day.rows.num_rows >= LEAST_ROWS]
    if not scored:
        return []
    inputs = load_meta(site.models, live.model).inputs
    train = split_version(site, label, model, recorded_judgement(site, live.model).version).train
    forest = grown(train, inputs, model.seed) if inputs else None
    known = Known(live.model, inputs, recorded_statistics(site, live.model), forest)
    return [one for day in scored for one in strange_rows(day, known, policy)]


def inputs_table(site: Site, found: Sequence[Strange]) -> pa.Table:
    """Return the rows of monitoring/inputs: the days looked at now, behind those before."""
    table = site.product.table("monitoring", "inputs")
    before: list[dict[str, Any]] = site.tables.read(table).to_pylist() if site.tables.exists(table) else []
    looked = {(one.day, one.table) for one in found}
    kept = [row for row in before if (row["day"], row["table"]) not in looked]
    return pa.Table.from_pylist([*kept, *map(asdict, found)], schema=STRANGE)


def newest_day(found: Sequence[Strange]) -> list[Strange]:
    """Return what was found on the newest day of each table."""
    newest: dict[str, date] = {}
    for one in found:
        newest[one.table] = max(one.day, newest.get(one.table, one.day))
    return [one for one in found if one.day == newest[one.table]]


def _scored(site: Site, label: Label, policy: Inputs, live: Release) -> Iterator[Scored]:
    for name, entity in ((BATCH, label.entity), (ONLINE, "entity")):
        table = site.product.table(*name.split("/"))
        if not site.tables.exists(table):
            continue
        newest = pc.max(site.tables.read(table, columns=[DAY])[DAY]).as_py()
        if newest is None:
            continue
        rows = site.tables.read(table, days=Days(window_start(newest, policy.window), newest))
        own = rows.filter(pc.equal(rows[MODEL], live.model))
        for day in sorted(set(own[DAY].to_pylist())):
            yield Scored(day, name, own.filter(pc.equal(own[DAY], pa.scalar(day))), entity)
