"""Rows of the training set and of the newest window, as far as they are looked at: seeded samples of a size that is capped.

The training set is read at the version that the live model was trained on, from its first to its last row in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import Days
from headrace.core.errors import DeclarationError, StoreError
from headrace.core.names import did_you_mean
from headrace.features.steps import local_days
from headrace.models.blocks import Array
from headrace.models.meta import load_meta
from headrace.models.predict import MODEL
from headrace.monitoring.served import served_rows
from headrace.monitoring.watch import alike_models
from headrace.store.releases import Release
from headrace.store.site import Site
from headrace.store.tables import DAY

MOST_HISTORY = 200_000
"""How many rows of the training set are looked at."""
MOST_WINDOW = 40_000
"""How many rows of the window are."""


@dataclass(frozen=True)
class Sample:
    """Rows, and the local day of each, counted from 1970 on."""

    rows: pa.Table
    days: Array

    def within(self, first: int, last: int) -> pa.Table:
        """Return the rows of some days."""
        return self.rows.filter(pa.array((self.days >= first) & (self.days <= last)))

    def without(self, first: int, last: int) -> pa.Table:
        """Return the rows of all other days."""
        return self.rows.filter(pa.array((self.days < first) | (self.days > last)))


def drawn(rows: pa.Table, most: int, seed: int) -> pa.Table:
    """Return at most `most` of the rows, drawn by chance, in their order."""
    return rows.take(pa.array(_places(rows.num_rows, most, seed)))


def trained_rows(site: Site, live: Release, columns: Sequence[str], seed: int) -> Sample:
    """Return at most 200,000 rows that the live model was trained on.

    Raises StoreError where that version of the training set is gone, DeclarationError for a column that it does not have.
    """
    meta, product = load_meta(site.models, live.model), site.product
    own = [one for one in site.models.trainings(live.model) if one["product"] == product.product]
    table = product.table("training", "set")
    if not own or own[-1]["version"] in site.tables.removed(table).versions:
        raise StoreError(
            f"The training set of the live model {live.model[:12]} is gone, and with it the rows that those of the last days are "
            "compared with: restore the tables folder from a backup, or train again."
        )
    version = own[-1]["version"]
    scanned = site.tables.scan(table, version=version)
    _refuse_unknown(columns, scanned.schema.names)
    count = site.tables.versions(table)[version].rows
    rows = _drawn(scanned, [*columns, meta.time], _places(count, MOST_HISTORY, seed))
    times = rows[meta.time].cast(pa.timestamp("us", "UTC"))
    first, last = (pa.scalar(moment, times.type) for moment in (meta.train_from, meta.train_to))
    seen = pc.and_(pc.greater_equal(times, first), pc.less_equal(times, last))
    return _with_days(rows.filter(seen).select(list(columns)), local_days(times.filter(seen), product.timezone))


def window_rows(site: Site, live: Release, days: Days, columns: Sequence[str], seed: int) -> Sample:
    """Return at most 40,000 rows that models with the live one's inputs have scored of some days.

    What was served one by one is among them where all columns of it can be read. Raises DeclarationError for a column that
    the scored rows do not have.
    """
    alike, parts = alike_models(site, live), []
    table = site.product.table("predictions", "batch")
    if site.tables.exists(table):
        scanned = site.tables.scan(table, days=days)
        _refuse_unknown(columns, scanned.schema.names)
        count = site.tables.read(table, days=days, columns=[DAY]).num_rows
        rows = _drawn(scanned, list(dict.fromkeys([*columns, DAY, MODEL])), _places(count, MOST_WINDOW, seed))
        parts.append(rows.filter(pc.is_in(rows[MODEL], pa.array(alike, pa.string()))))
    inputs = load_meta(site.models, live.model).inputs
    served = served_rows(site, days, dict.fromkeys(alike, inputs))
    if served and set(columns) <= set(served[1]):
        parts.append(served[0].select(list(dict.fromkeys([*columns, DAY, MODEL]))))
    if not parts:
        return Sample(pa.table({name: [] for name in columns}), np.zeros(0, np.int64))
    whole = drawn(pa.concat_tables(parts, promote_options="permissive"), MOST_WINDOW, seed)
    return _with_days(whole.select(list(columns)), whole[DAY])


def _with_days(rows: pa.Table, days: Any) -> Sample:
    return Sample(rows, days.cast(pa.date32()).cast(pa.int32()).to_numpy(zero_copy_only=False).astype(np.int64))


def _drawn(rows: pa.RecordBatchReader, columns: Sequence[str], places: Array) -> pa.Table:
    """Return columns of the rows at some places, in order, without holding more than those."""
    kept, seen = [], 0
    for batch in rows:
        own = places[(places >= seen) & (places < seen + batch.num_rows)] - seen
        kept.append(batch.select(list(columns)).take(pa.array(own)))
        seen += batch.num_rows
    return pa.Table.from_batches(kept, pa.schema([rows.schema.field(name) for name in columns]))


def _places(count: int, most: int, seed: int) -> Array:
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def _refuse_unknown(columns: Sequence[str], known: Sequence[str]) -> None:
    for name in columns:
        if name not in known:
            raise DeclarationError(
                f"`by` names '{name}', which the training set or the scored rows do not have.{did_you_mean(name, list(known))}",
                ("monitors", "drift", "by"),
            )
