"""Why one row has its score: what each of its inputs added to it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.errors import DataError, Refused
from headrace.core.names import quoted, quoted_text
from headrace.explain.contributions import BACKGROUND, contributions
from headrace.explain.explanation import sampled
from headrace.features.declaration import Label
from headrace.models.predict import MODEL, RELEASE, Predictor, load_predictor, score_rows
from headrace.models.trainer import Explained
from headrace.store.engine import TableView
from headrace.store.site import Site

MOST = 10


@dataclass(frozen=True)
class Reason:
    """One input of a row."""

    name: str
    value: Any
    contribution: float
    """What it adds to the raw score: log-odds where the score is a probability."""


@dataclass(frozen=True)
class Scorer:
    """The model that is asked."""

    model: str
    release: int
    scored: bool
    """Whether it scored the row when that was due; otherwise it is the live one, asked about a row of training now."""


@dataclass(frozen=True)
class Reasons:
    """Why a row has its score."""

    row: str
    at: str
    by: Scorer
    score: float
    base: float
    """The raw score without knowing any input."""
    reasons: list[Reason]
    """The greatest contribution first; they and the base sum up to the raw score."""


def reasons_of(site: Site, label: Label, row: str) -> Reasons:
    """Return why a row of the label has its score, by the model that gave it, or the live one for a row of training.

    `row` is the text of the label's entity. Raises DataError for one that is neither scored nor in the training set,
    Refused where no model is live for one that is not scored.
    """
    found = _found(site, label, "predictions", "batch", row)
    if found is not None:
        by = Scorer(found[MODEL][0].as_py(), found[RELEASE][0].as_py(), scored=True)
        return _reasons(site, label, found, by)
    found = _found(site, label, "training", "set", row)
    if found is None:
        raise DataError(
            f"No row with {label.entity} '{row}' was scored, and none is in the training set: look with "
            f"headrace sql for what there is in {site.product.table('predictions', 'batch')}."
        )
    live = site.releases.live(site.product.product)
    if live is None:
        raise Refused("No model is live yet: nothing can be explained. Train and release one first.")
    return _reasons(site, label, found, Scorer(live.model, live.number, scored=False))


def reasons_text(told: Reasons, product: str, entity: str, most: int = MOST) -> str:
    """Return the reasons as lines for people, the greatest first, what is left as one."""
    how = "scored" if told.by.scored else "a row of the training set, scored now"
    lines = [
        f"{entity} {told.row}, at {told.at}: score {told.score:.4f}",
        f"{how} by release {told.by.release} of {product}, model {told.by.model[:12]}; without knowing anything it says {told.base:+.3f}",
    ]
    shown, rest = told.reasons[:most], told.reasons[most:]
    width = max((len(reason.name) for reason in shown), default=0)
    lines += [f"  {reason.contribution:+8.3f}  {reason.name:<{width}}  {_value(reason.value)}" for reason in shown]
    if rest:
        lines.append(f"  {sum(reason.contribution for reason in rest):+8.3f}  {len(rest)} other inputs")
    raw = told.base + sum(reason.contribution for reason in told.reasons)
    return "\n".join([*lines, f"  {raw:+8.3f}  together: the raw score"])


def _reasons(site: Site, label: Label, found: pa.Table, by: Scorer) -> Reasons:
    predictor = load_predictor(site.models, by.model)
    told = contributions(found, predictor, _background(site, predictor))
    reasons = [
        Reason(name, found[name][0].as_py(), float(value))
        for name, value in zip(told.names, told.values[0], strict=True)
    ]
    return Reasons(
        row=str(found[label.entity][0].as_py()),
        at=f"{found[label.time][0].as_py():%Y-%m-%d %H:%M} UTC",
        by=by,
        score=float(np.asarray(score_rows(found, predictor))[0]),
        base=told.base,
        reasons=sorted(reasons, key=lambda reason: -abs(reason.contribution)),
    )


def _background(site: Site, predictor: Predictor) -> pa.Table | None:
    """Return rows that a model is held against which does not explain itself."""
    if isinstance(predictor.fitted, Explained):
        return None
    return sampled(site.tables.read(site.product.table("training", "set")), BACKGROUND)


def _found(site: Site, label: Label, layer: str, name: str, row: str) -> pa.Table | None:
    table = site.product.table(layer, name)
    if not site.tables.exists(table):
        return None
    asked = f"select * from rows where cast({quoted(label.entity)} as varchar) = {quoted_text(row)} limit 1"
    found = site.engine.query(asked, {"rows": TableView(table)}, origin=table)
    return found if found.num_rows else None


def _value(value: Any) -> str:
    if value is None:
        return "missing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
