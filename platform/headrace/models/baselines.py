"""Baselines: what a candidate must be worth more than. They are trained beside it each time, and score the same rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DataError, StoreError
from headrace.features.declaration import Label
from headrace.models.declaration import Model
from headrace.models.encode import encode
from headrace.models.folds import asked_of
from headrace.models.headline import NUMBERS, Asked, Headline, headline, is_better
from headrace.models.meta import Input
from headrace.models.predict import load_predictor
from headrace.models.split import Split
from headrace.models.words import Task
from headrace.store.site import Site

RECORD = "baselines"
BINS = 32
PRIOR_ROWS = 20
"""How many rows of the mean a bin is mixed with: a category that came once says little."""
HELD_OUT = 0.2
"""The part of the training rows, the last, that chooses the one feature: the test must not."""
EDGE_ROWS = 100_000
"""Of how many rows the bins' edges are told."""


@dataclass(frozen=True)
class Baseline:
    """A simple model on the candidate's test rows."""

    name: str
    what: str
    found: Headline

    def listed(self, task: Task) -> dict[str, Any]:
        """Return the baseline as a row of a table."""
        return {"model": self.name, "what": self.what, **self.found.listed(task)}


@dataclass(frozen=True)
class Told:
    """Rows as a baseline sees them."""

    encoded: pa.Table
    asked: Asked


def baselines(site: Site, split: Split, label: Label, model: Model, inputs: list[Input]) -> list[Baseline]:
    """Return the baselines of a candidate: always the same answer, the best feature alone, and the last model.

    The same answer is the share of the majority's class, the mean, or the quantile. The best feature alone is a table of
    the mean answer (or the quantile) by its categories, or by 32 bins of equal share. The last model is the live one, or
    before the first release the candidate of before; none for a first training.
    """
    train, test = (Told(encode(part, inputs), asked_of(part, label, model)) for part in (split.train, split.test))
    constant = _middle(train.asked.answers, model.quantile)
    same = headline(model.task, test.asked, np.full(split.test.num_rows, constant))
    return [
        Baseline("always the same", f"{label.column} = {constant:.4g}", same),
        *_one_feature(train, test, model, inputs),
        *_last_model(site, split, label, model),
    ]


def _middle(answers: Any, quantile: float | None) -> float:
    return float(np.quantile(answers, quantile) if quantile is not None else answers.mean())


def _one_feature(train: Told, test: Told, model: Model, inputs: list[Input]) -> Iterator[Baseline]:
    """Yield the feature that alone does best on the last fifth of the training rows, learned from all of them."""
    count = len(train.asked.answers)
    cut = count - max(1, int(count * HELD_OUT))
    if cut < 1:
        return
    metric, best = NUMBERS[model.task][0], dict[str, float]()
    groups = train.asked.groups
    held = Asked(train.asked.answers[cut:], groups[cut:] if groups is not None else None, model.quantile)
    for column in inputs:
        values = train.encoded[column.name].to_numpy()
        scores = _table_scores(column, (values[:cut], train.asked.answers[:cut]), values[cut:], model.quantile)
        found = headline(model.task, held, scores).numbers.get(metric)
        if found is not None and all(is_better(metric, found, other) for other in best.values()):
            best[column.name] = found
    if best:
        column = next(i for i in inputs if i.name == list(best)[-1])
        known = (train.encoded[column.name].to_numpy(), train.asked.answers)
        scores = _table_scores(column, known, test.encoded[column.name].to_numpy(), model.quantile)
        yield Baseline("one feature", column.name, headline(model.task, test.asked, scores))


def _table_scores(column: Input, known: tuple[Any, Any], values: Any, quantile: float | None) -> Any:
    """Return for each value the mean answer, or quantile, of its bin among what is known: values and answers."""
    seen, answers = known
    edges = _edges(column, seen)
    bins, count = _bins(seen, edges), len(edges) + 2
    rows, middle = np.bincount(bins, minlength=count), _middle(answers, quantile)
    if quantile is None:
        told = np.bincount(bins, answers, minlength=count) / np.maximum(rows, 1)
    else:
        told = np.array([_middle(answers[bins == b], quantile) if rows[b] else middle for b in range(count)])
    return ((rows * told + PRIOR_ROWS * middle) / (rows + PRIOR_ROWS))[_bins(values, edges)]


def _edges(column: Input, values: Any) -> Any:
    if column.kind == "categorical":
        return np.arange(len(column.categories))
    present = values[:: max(1, len(values) // EDGE_ROWS)]
    present = present[~np.isnan(present)]
    return np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1])) if len(present) else np.array([])


def _bins(values: Any, edges: Any) -> Any:
    """Return the bin of each value, that of what is missing last."""
    return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="left"))


def _last_model(site: Site, split: Split, label: Label, model: Model) -> Iterator[Baseline]:
    """Yield the last model; where it has learned from some of the test rows, the note says from how many."""
    digest = _last_digest(site)
    if digest is None:
        return
    try:
        predictor = load_predictor(site.models, digest)
        if (predictor.meta.task, predictor.meta.label) != (model.task, label.column):
            found = Headline({}, f"it is a {predictor.meta.task} of {predictor.meta.label}")
        else:
            found = headline(model.task, asked_of(split.test, label, model), predictor.predict(split.test))
            times = split.test[label.time]
            seen = pc.sum(pc.less_equal(times, pa.scalar(predictor.meta.train_to, times.type))).as_py() or 0
            found = Headline(found.numbers, found.note or (f"it may have learned from {seen} of them" if seen else ""))
    except (DataError, StoreError) as error:
        found = Headline({}, str(error))
    yield Baseline("last model", digest[:12], found)


def _last_digest(site: Site) -> str | None:
    """Return the live model, or else the candidate of before; None where its files are gone."""
    live, table = site.releases.live(site.product.product), site.product.table("model", "candidate")
    before = site.tables.read(table).to_pylist() if site.tables.exists(table) else []
    digest: str | None = live.model if live else next((row["digest"] for row in before), None)
    return digest if digest and site.models.exists(digest) else None
