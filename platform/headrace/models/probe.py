"""Probe rows: made-up rows in the middle of what a model was trained on, with the scores that it gave them on that day.

Whoever loads the model later asks it about them first: another library, machine or way to ask that changes a score shows.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.core.errors import StoreError
from headrace.models.meta import Input
from headrace.models.quick import Quick
from headrace.store.models import Models

if TYPE_CHECKING:
    from headrace.models.predict import Predictor

RECORD = "probe"
PLACES = (0.25, 0.5, 0.75)
NEAR = 1e-9


def probe_of(predictor: "Predictor", profile: Mapping[str, Any]) -> dict[str, Any]:
    """Return rows of encoded inputs at the quartiles of a profile, and what the model says to them."""
    columns = {
        column.name: [_value(profile[column.name], column, place) for place in PLACES] for column in predictor.inputs
    }
    encoded = pa.table({name: pa.array(values, pa.float64()) for name, values in columns.items()})
    scores = predictor.tuned.apply(predictor.fitted.predict(encoded))
    return {"columns": columns, "scores": np.asarray(scores, np.float64).tolist()}


def _value(profile: Mapping[str, Any], column: Input, place: float) -> float:
    if column.kind == "categorical":
        order = np.argsort(profile["counts"], kind="stable")[::-1]
        return (
            float(column.categories.index(profile["categories"][order[int(place * len(order))]])) if len(order) else 0.0
        )
    edges: Sequence[float] = profile["edges"]
    return float(edges[int(place * len(edges))]) if len(edges) else 0.0


def refuse_other_scores(models: Models, model: Quick) -> None:
    """Raise StoreError where a model that was loaded gives its probe rows other scores than it did when it was trained."""
    kept = models.recorded(model.digest, RECORD)
    if kept is None:
        return
    rows = np.array([kept["columns"][column.name] for column in model.inputs], np.float64).T
    for row, before in zip(rows, kept["scores"], strict=True):
        score = model.scored(row.tolist())
        if not abs(score - before) <= NEAR * max(1.0, abs(before)):
            raise StoreError(
                f"Model {model.digest[:12]} gives a probe row {score:.9g}, and gave it {before:.9g} when it was trained: it is not "
                "served. Another version of its library or another processor may be why; train again here."
            )
