"""The live model's newest window against its training set, beyond one column."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from headrace.core.days import Days
from headrace.core.fingerprint import code_version
from headrace.features.declaration import Label
from headrace.models.meta import load_meta
from headrace.monitoring.declaration import Drift
from headrace.monitoring.shifts.labels import shifts_of_label
from headrace.monitoring.shifts.rows import Sample, trained_rows, window_rows
from headrace.monitoring.shifts.shift import SHIFTS, Kind, Shift
from headrace.monitoring.shifts.sliced import shifts_of_slices
from headrace.monitoring.shifts.together import Asked, Usual, shifts_of_all, usual_windows, words_of
from headrace.monitoring.watch import reference_of, whole_window
from headrace.store.releases import Release
from headrace.store.site import Site

USUAL = "usual"
"""The kind of record beside a model that holds what windows of its training set look like."""


@dataclass(frozen=True)
class Shifted:
    """What was measured, and in words where each kind's limits come from, or why there is nothing yet."""

    shifts: list[Shift]
    words: Mapping[Kind, str]


def live_shifts(site: Site, live: Release, label: Label, policy: Drift) -> Shifted:
    """Return all that is declared beyond one column, of the newest whole window.

    Raises StoreError where the training set or the profile of the live model is gone, DeclarationError for an unknown column.
    """
    shifts: list[Shift] = []
    words: dict[Kind, str] = {}
    for kinds, found, said in _measured(site, live, label, policy):
        shifts += found
        words |= dict.fromkeys(kinds, said)
    return Shifted(shifts, words)


def shifts_table(site: Site, found: Sequence[Shift], model: str) -> pa.Table:
    """Return the rows of monitoring/shifts: those measured now, behind those of other models, days and kinds."""
    table = site.product.table("monitoring", "shifts")
    before: list[dict[str, Any]] = site.tables.read(table).to_pylist() if site.tables.exists(table) else []
    new = {(one.kind, one.day) for one in found}
    kept = [row for row in before if row["model"] != model or (row["kind"], row["day"]) not in new]
    return pa.Table.from_pylist([*kept, *({**asdict(one), "model": model} for one in found)], schema=SHIFTS)


def _measured(
    site: Site, live: Release, label: Label, policy: Drift
) -> Iterator[tuple[Sequence[Kind], Sequence[Shift], str]]:
    """Yield for each group of kinds what was found, and what is to be said of its limits."""
    together: list[Kind] = [k for k in ("domain_classifier", "pca") if k in policy.shift_checks]
    window = whole_window(site, live, policy) if together or policy.by else None
    if together:
        yield (together, *(_of_all(site, live, policy, window) if window else ([], _NOTHING)))
    if policy.by:
        yield (["slices"], *(_of_slices(site, live, policy, window) if window else ([], _NOTHING)))
    if policy.label_psi is not None:
        seed = load_meta(site.models, live.model).seed
        labels = shifts_of_label(site, live, label, policy, trained_rows(site, live, [label.column], seed))
        yield ["label"], labels.shifts, labels.words


_NOTHING = "the live model has not scored a whole window"


def _of_all(site: Site, live: Release, policy: Drift, window: Days) -> tuple[list[Shift], str]:
    asked = _asked(site, live, policy)
    names = [i.name for i in asked.inputs]
    history = trained_rows(site, live, names, asked.seed)
    now = window_rows(site, live, window, names, asked.seed)
    usual = _usual(site, live, history, asked)
    found = list(shifts_of_all(history, now.rows, window.last, asked, usual))
    return found, words_of(policy, usual) if found else f"fewer than 50 rows from {window.first} to {window.last}"


def _of_slices(site: Site, live: Release, policy: Drift, window: Days) -> tuple[Sequence[Shift], str]:
    asked = _asked(site, live, policy)
    columns = list(dict.fromkeys([*(i.name for i in asked.inputs), *policy.by]))
    history = trained_rows(site, live, columns, asked.seed)
    now = window_rows(site, live, window, columns, asked.seed)
    found = shifts_of_slices(history, now, window.last, asked, reference_of(site, live).profile)
    return found.shifts, found.words if found.shifts else f"no slice has {policy.least_rows} rows on both sides"


def _asked(site: Site, live: Release, policy: Drift) -> Asked:
    meta = load_meta(site.models, live.model)
    return Asked([i for i in meta.inputs if i.name not in policy.ignore], policy, meta.seed)


def _usual(site: Site, live: Release, history: Sample, asked: Asked) -> Usual:
    """Return how windows of the training set lie to its other days: measured once for a model, a policy and this code."""
    made_by = code_version(asked.policy, usual_windows)
    kind = f"{USUAL}.{site.product.product}"
    known = site.models.recorded(live.model, kind)
    if known and known["made_by"] == made_by:
        return Usual(known["aucs"], known["errors"], known["words"])
    usual = usual_windows(history, asked)
    site.models.record(live.model, kind, {"made_by": made_by, **asdict(usual)})
    return usual
