"""Drift beyond one column, as a table: all columns together, slices, the label; what alarms first."""

from collections.abc import Mapping
from typing import Any

from headrace.monitoring.facts import ProductFacts
from headrace.monitoring.shifts.shift import Shift

MOST = 12
NAMES: Mapping[str, str] = {
    "domain_classifier": "All columns: domain classifier, AUC",
    "pca": "All columns: reconstruction error",
    "slices": "Slice",
    "label": "Label",
}
"""How kinds of shifts are called."""


def newest_shifts(facts: ProductFacts) -> list[Shift]:
    """Return what was measured last of the live model, of each kind on its own newest day; farthest beyond its limit first."""
    own = [row for row in facts.shifts if facts.live and row["model"] == facts.live.release.model]
    newest = {kind: max(row["day"] for row in own if row["kind"] == kind) for kind in {row["kind"] for row in own}}
    found = [_shift(row) for row in own if row["day"] == newest[row["kind"]]]
    return sorted(found, key=lambda shift: (not shift.alarms, -shift.ratio))


def _shift(row: Mapping[str, Any]) -> Shift:
    facts = {name: value for name, value in row.items() if name != "model"}
    return Shift(**facts | {"told_by": tuple(row["told_by"] or ())})
