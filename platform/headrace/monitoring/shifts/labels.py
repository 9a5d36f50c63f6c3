"""Drift of the labels: those of a window whose labels are all known, against those that the live model was trained on.

Only whole days count whose labels have all had their time (`known_after`): labels that come early are not like those that come
late. The window begins behind the last row that the model was trained on.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from headrace.core.days import DAY, Days, last_whole_day, local_day, whole_days
from headrace.features.declaration import Label
from headrace.features.training import label_rows
from headrace.models.meta import Input, load_meta
from headrace.models.profile import profile_of
from headrace.models.words import Task
from headrace.monitoring.calibrate import DECLARED
from headrace.monitoring.declaration import Drift
from headrace.monitoring.drift import PSI, groups_of
from headrace.monitoring.measures import measures_of
from headrace.monitoring.shifts.counts import Counts, calibrated, measured
from headrace.monitoring.shifts.rows import Sample
from headrace.monitoring.shifts.shift import Shift
from headrace.monitoring.shifts.sliced import by_day, codes_of
from headrace.store.releases import Release
from headrace.store.site import Site


@dataclass(frozen=True)
class Labelled:
    """Drift of the label, and in words where its limit comes from, or why there is none yet."""

    shifts: list[Shift]
    words: str = DECLARED


def mature_window(site: Site, live: Release, label: Label, policy: Drift) -> Days | None:
    """Return the newest window whose labels are all known by now; None where it reaches into what the live model learned from."""
    last = last_whole_day(site.clock.now() - label.known_after, site.product.timezone)
    learned = local_day(load_meta(site.models, live.model).train_to, site.product.timezone)
    window = Days(last - DAY * (whole_days(policy.window) - 1), last)
    return window if window.first > learned else None


def shifts_of_label(site: Site, live: Release, label: Label, policy: Drift, trained: Sample) -> Labelled:
    """Return every measure of the label in the newest window that is mature; PSI alone has a limit. `trained` has the label."""
    window = mature_window(site, live, label, policy)
    if window is None:
        return Labelled([], "the labels of a whole window behind the training set are not all known yet")
    rows = label_rows(site, label, window).select([label.column])
    if not rows.num_rows - rows[label.column].null_count:
        return Labelled([], f"no row from {window.first} to {window.last} has a label")
    return drift_of_label(trained, rows, window.last, load_meta(site.models, live.model).task, policy)


def drift_of_label(trained: Sample, window: pa.Table, day: date, task: Task, policy: Drift) -> Labelled:
    """Return every measure of a label, the only column of both; classes and grades are compared as categories."""
    [name] = trained.rows.column_names
    is_class = task in ("classification", "ranking")
    before, now = (_as_texts(rows) if is_class else rows for rows in (trained.rows, window))
    known = sorted(set(before[name].drop_null().to_pylist())) if is_class else []
    column = Input(name=name, kind="categorical" if is_class else "numeric", categories=known)
    reference = profile_of(before, [column])
    current = profile_of(now, [column], reference)
    part, size = (name, "", ""), int(groups_of(reference[name]).max(initial=0)) + 2
    codes = [codes_of(rows, column, reference[name]) for rows in (before, now)]
    days = trained.days - trained.days.min()
    of_days = by_day(codes[0], days, (int(days.max()) + 1, size))
    counts = {part: Counts(of_days, np.bincount(codes[1], minlength=size))}
    declared = {PSI: policy.label_psi or 0.0}
    limits, words = calibrated(counts, policy, declared)
    limited = {one.measure: one.limit for one in measured(counts, limits, declared)}
    found = [
        Shift(day, "label", one.name, one.value, limited.get(one.name), now.num_rows, column=name)
        for one in measures_of(reference[name], current[name])
    ]
    return Labelled(found, words)


def _as_texts(rows: pa.Table) -> pa.Table:
    """Return a label of whole numbers as texts, the same for 1 and 1.0."""
    [name] = rows.column_names
    return pa.table({name: rows[name].cast(pa.int64()).cast(pa.string())})
