"""The rows of a product's history as they are now: read once, from versions of tables that are told."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.automation.evidence import end_of
from headrace.core.days import DAY as ONE_DAY
from headrace.core.days import Days, local_day
from headrace.core.errors import NoRows, Refused
from headrace.features.declaration import Label
from headrace.features.training import Features, label_statement, request_rows
from headrace.features.usable import usable_views
from headrace.models.split import canonical
from headrace.store.site import Site

TRIES = 3
Instants = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class History:
    """Every row to predict with its features, as of its prediction time, in canonical order."""

    rows: pa.Table
    label: Label
    zone: ZoneInfo
    versions: Mapping[str, int]
    """Table → the version that was read."""

    @property
    def days(self) -> Days:
        """From the first to the last day that has a row."""
        first, last = (self.rows[self.label.time][place].as_py() for place in (0, -1))
        return Days(local_day(first, self.zone.key), local_day(last, self.zone.key))

    @cached_property
    def labelled(self) -> pa.Table:
        """The rows that have a label."""
        return self.rows.filter(pc.is_valid(self.rows[self.label.column]))

    @cached_property
    def answers(self) -> npt.NDArray[np.float64]:
        """What came true of each row, a float64; not a number where nobody will know."""
        answers: npt.NDArray[np.float64] = self.rows[self.label.column].cast(pa.float64()).to_numpy()
        return answers

    def known_at(self, now: datetime) -> pa.Table:
        """Return the rows whose label is known at a moment, as a training set has them; nothing is copied."""
        latest = np.datetime64((now - self.label.known_after).replace(tzinfo=None), "us")
        return self.labelled.slice(0, int(np.searchsorted(self._labelled_times, latest, side="right")))

    def between(self, first: date, last: date) -> slice:
        """Return where the rows of some local days stand."""
        start = np.searchsorted(self._ends, np.datetime64(_utc(first - ONE_DAY, self.zone), "us"))
        stop = np.searchsorted(self._ends, np.datetime64(_utc(last, self.zone), "us"))
        return slice(int(start), int(stop))

    @cached_property
    def _labelled_times(self) -> Instants:
        return _instants(self.labelled, self.label)

    @cached_property
    def _ends(self) -> Instants:
        return _instants(self.rows, self.label)


def frozen_history(site: Site, features: Features, label: Label, days: Days | None = None) -> History:
    """Return the history of a product, of some days if asked.

    Raises NoRows where there is none, Refused where its tables are written all the time meanwhile.
    """
    names = [site.product.table("validated", name) for name in label_statement(site, label).tables]
    names += [view.table for view in usable_views(site, features, None).values()]
    for _ in range(TRIES):
        versions = site.tables.newest(names)
        rows = canonical(request_rows(site, features, label, days), label)
        if site.tables.newest(names) != versions:
            continue
        if not rows.num_rows:
            raise NoRows(f"{label.sql} gives no row of these days: there is no history to replay. Ingest some first.")
        return History(rows, label, ZoneInfo(site.product.timezone), versions)
    raise Refused("Runs are writing the tables of this product all the time: try again when they have ended.")


def _instants(rows: pa.Table, label: Label) -> Instants:
    instants: Instants = rows[label.time].cast(pa.timestamp("us")).to_numpy()
    return instants


def _utc(day: date, zone: ZoneInfo) -> datetime:
    return end_of(day, zone).replace(tzinfo=None)
