"""What a model looks at: over many rows, by slice, and against the live model on the same rows."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import BaseModel, ValidationError

from headrace.core.errors import DataError, Refused, StoreError
from headrace.explain.contributions import Contributions, contributions
from headrace.features.declaration import Label
from headrace.models.candidate import Candidate, split_version
from headrace.models.declaration import Model
from headrace.models.encode import encode
from headrace.models.predict import load_predictor
from headrace.store.site import Site

RECORD = "explanation"
ROWS = 1000
"""How many test rows are explained, evenly over their time: means over more say the same, and take longer."""
LEAST_ROWS = 30
"""Slices of fewer explained rows are left out."""
MOST_SLICES = 20
MISSING = "(missing)"


class Influence(BaseModel):
    """What one input does to the scores of some rows."""

    name: str
    share: float
    """Its part of all inputs' mean absolute contributions: 0 to 1."""
    mean_abs: float
    """Mean absolute contribution, in the raw score's unit."""
    lean: float | None = None
    """Rank correlation (Spearman) of value and contribution: 1 where more always raises the score; None for categories."""


class SliceInfluence(BaseModel):
    """What inputs do to the scores of the rows with one value of a column."""

    rows: int
    mean: dict[str, float]
    """Input → mean contribution, with its sign."""


class Shift(BaseModel):
    """How much more one model looks at an input than another does."""

    name: str
    share: float
    champion: float


class Explanation(BaseModel):
    """What a model looks at, on a sample of the rows that it was tested on."""

    model: str
    rows: int
    base: float
    """The raw score without knowing any input."""
    inputs: list[Influence]
    """The greatest share first."""
    slices: dict[str, dict[str, SliceInfluence]] = {}
    """Column → value → what it does there."""
    champion: str | None = None
    shifts: list[Shift] = []
    """Against the champion on the same rows, the greatest difference first."""
    note: str = ""


def rows_to_explain(site: Site, label: Label, model: Model, candidate: Candidate) -> pa.Table:
    """Return the rows that a candidate is explained on: of those that it was not trained on, evenly over their time."""
    return sampled(split_version(site, label, model, candidate.version).test, ROWS)


def explain_candidate(
    site: Site, digest: str, rows: pa.Table, slices: Sequence[str]
) -> tuple[Explanation, Contributions]:
    """Return, and record with the model, what a candidate looks at, and what the live model does on the same rows."""
    live = site.releases.live(site.product.product)
    champion = live.model if live and live.model != digest else None
    explanation, told = explained(site, digest, rows, slices)
    if champion:
        explanation = explanation.model_copy(update=_against(site, champion, rows, explanation))
    site.models.record(digest, RECORD, explanation.model_dump(mode="json"))
    return explanation, told


def explained(site: Site, digest: str, rows: pa.Table, slices: Sequence[str] = ()) -> tuple[Explanation, Contributions]:
    """Return what a stored model looks at on some rows, and the contributions that say so."""
    predictor = load_predictor(site.models, digest)
    told = contributions(rows, predictor)
    explanation = Explanation(
        model=digest,
        rows=rows.num_rows,
        base=told.base,
        inputs=list(
            influences(told, encode(rows, predictor.inputs), {i.name for i in predictor.inputs if i.categories})
        ),
        slices={column: dict(_by_value(rows[column], told)) for column in slices},
    )
    return explanation, told


def influences(told: Contributions, encoded: pa.Table, categorical: set[str]) -> Iterator[Influence]:
    """Yield what each input does, the greatest first."""
    mean_abs = np.abs(told.values).mean(axis=0) if len(told.values) else np.zeros(len(told.names))
    total = float(mean_abs.sum()) or 1.0
    for place in np.argsort(-mean_abs, kind="stable").tolist():
        name = told.names[place]
        lean = None if name in categorical else _lean(encoded[name], told.values[:, place])
        yield Influence(name=name, share=mean_abs[place] / total, mean_abs=mean_abs[place], lean=lean)


def sampled(rows: pa.Table, most: int) -> pa.Table:
    """Return at most `most` rows, evenly over their order."""
    if rows.num_rows <= most:
        return rows
    return rows.take(pa.array(np.linspace(0, rows.num_rows - 1, most).astype(np.int64)))


def recorded_explanation(site: Site, digest: str) -> Explanation | None:
    """Return what is recorded of a model, None where nothing is; raises Refused where it cannot be read."""
    facts = site.models.recorded(digest, RECORD)
    try:
        return Explanation.model_validate(facts) if facts else None
    except ValidationError as error:
        raise Refused(
            f"The explanation of model {digest[:12]} cannot be read: materialize model/explanation again."
        ) from error


def _against(site: Site, champion: str, rows: pa.Table, mine: Explanation) -> dict[str, Any]:
    try:
        theirs, _ = explained(site, champion, rows)
    except (DataError, Refused, StoreError) as error:
        return {"champion": champion, "note": f"the live model cannot be asked about these rows: {error}"}
    shares = {influence.name: influence.share for influence in theirs.inputs}
    own = {influence.name: influence.share for influence in mine.inputs}
    shifts = [Shift(name=n, share=own.get(n, 0.0), champion=shares.get(n, 0.0)) for n in own | shares]
    return {"champion": champion, "shifts": sorted(shifts, key=lambda s: -abs(s.share - s.champion))}


def _by_value(column: pa.ChunkedArray, told: Contributions) -> Iterator[tuple[str, SliceInfluence]]:
    values = np.array([MISSING if value is None else str(value) for value in column.to_pylist()])
    names, counts = np.unique(values, return_counts=True)
    largest = [
        names[place] for place in np.argsort(-counts, kind="stable")[:MOST_SLICES] if counts[place] >= LEAST_ROWS
    ]
    for name in largest:
        own = told.values[values == name]
        yield (
            str(name),
            SliceInfluence(rows=len(own), mean=dict(zip(told.names, own.mean(axis=0).tolist(), strict=True))),
        )


def _lean(values: pa.ChunkedArray, contributed: Any) -> float | None:
    frame = pl.DataFrame({"value": pl.Series(values), "contributed": contributed}).drop_nulls()
    if frame["value"].n_unique() < 2 or frame["contributed"].n_unique() < 2:
        return None
    return float(frame.select(pl.corr("value", "contributed", method="spearman")).item())
