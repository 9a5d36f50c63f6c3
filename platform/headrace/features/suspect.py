"""Columns that say too much about the label: each alone, by its values, or by what it is made of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from headrace.features.compute import sql_of
from headrace.features.declaration import Label, Suspect
from headrace.features.graph import Graph
from headrace.features.lineage import feature_lineage, label_lineage
from headrace.features.rewritten import find_rewritten
from headrace.features.shared import own_features
from headrace.features.windows import known_times
from headrace.store.site import Site

FOLDS = 5
LEAST_OF_A_CLASS = 30
"""Below as many rows of either class a column may separate them by chance."""


@dataclass(frozen=True)
class Suspicion:
    """A column of the training set that says too much about the label, and why."""

    column: str
    why: str

    def __str__(self) -> str:
        return f"{self.column} {self.why}"


def find_suspects(site: Site, graph: Graph, training_set: pa.Table) -> list[Suspicion]:
    """Return the columns of the training set that look as if they knew the label, each once; then columns of sources that were rewritten."""
    assert graph.label
    made_later = {found.column: found for found in _made_of_the_label(site, graph)}
    telling = {found.column: found for found in too_telling(training_set, graph.label, graph.suspect)}
    found = telling | made_later
    rewritten = [Suspicion(f"{it.source}.{it.column}", it.why) for it in find_rewritten(site, graph, training_set)]
    return [
        *(found[column] for column in training_set.column_names if column in found),
        *(suspicion for suspicion in rewritten if suspicion.column not in graph.suspect.ignore),
    ]


def too_telling(training_set: pa.Table, label: Label, suspect: Suspect) -> Iterator[Suspicion]:
    """Yield the columns that alone separate the two classes of the label, or are the label; none where it is a number."""
    labels = pl.Series(training_set[label.column])
    if not labels.cast(pl.Float64).is_in([0.0, 1.0]).all():
        return
    truth = labels.cast(pl.Boolean)
    if min(truth.sum(), (~truth).sum()) < LEAST_OF_A_CLASS:
        return
    left_out = {label.entity, label.time, label.column, *suspect.ignore}
    for name in training_set.column_names:
        if name in left_out or name.startswith("_"):
            continue
        column = pl.Series(name, training_set[name])
        if _is_the_label(column, truth):
            yield Suspicion(
                column.name, f"is '{label.column}' under another name: one value for each class, on every row"
            )
            continue
        auc = auc_alone(column, truth)
        if auc is not None and auc > suspect.auc:
            yield Suspicion(
                column.name, f"alone tells '{label.column}' with an AUC of {auc:.3f}, above {suspect.auc:g}"
            )


def _is_the_label(values: pl.Series, truth: pl.Series) -> bool:
    """Return whether a column has one value for each class: equal to the label, its negation, or a function of it."""
    classes = pl.DataFrame({"value": values, "truth": truth}).unique()
    return classes.height == 2 and classes["value"].n_unique() == 2


def auc_alone(values: pl.Series, truth: pl.Series) -> float | None:
    """Return how well a column alone separates the label, from 0.5 to 1; None for a column that is no number, boolean or text.

    What is missing counts as the least value or as the greatest, whichever separates better. A text counts as the
    mean label of its value in the other four fifths of the rows: values that come once say nothing.
    """
    if values.dtype.is_numeric() or values.dtype == pl.Boolean:
        numbers = values.cast(pl.Float64).fill_nan(None)
        ends = [numbers.fill_null(end) for end in (float("-inf"), float("inf"))]
        return max(max(auc, 1 - auc) for auc in (_auc(end, truth) for end in ends))
    if values.dtype in (pl.String, pl.Categorical, pl.Enum):
        return max(0.5, _auc(_mean_label_elsewhere(values, truth), truth))
    return None


def _mean_label_elsewhere(values: pl.Series, truth: pl.Series) -> pl.Series:
    """Return for each row the mean label of its value in the other folds, one half where the value is in none."""
    rows = pl.DataFrame({"value": values.cast(pl.String), "truth": truth.cast(pl.Float64)})
    rows = rows.with_columns(fold=pl.int_range(pl.len()).shuffle(seed=0) % FOLDS)
    others = pl.len().over("value") - pl.len().over("value", "fold")
    total = pl.col("truth").sum().over("value") - pl.col("truth").sum().over("value", "fold")
    return rows.select(pl.when(others > 0).then(total / others).otherwise(0.5).alias("mean"))["mean"]


def _auc(scores: pl.Series, truth: pl.Series) -> float:
    """Return the area under the ROC curve, by ranks; ties count half."""
    positives = int(truth.sum())
    above = float(scores.rank("average").filter(truth).sum()) - positives * (positives + 1) / 2
    return above / (positives * (len(truth) - positives))


def _made_of_the_label(site: Site, graph: Graph) -> Iterator[Suspicion]:
    """Yield the columns of tables in SQL that are made of what the label is made of, and never look at when that is known."""
    assert graph.label
    for name, feature in own_features(graph.features).items():
        if not feature.sql:
            continue
        lineage = feature_lineage(site, name, feature, graph)
        named = sql_of(site, feature).named_columns
        for column, origins in lineage.items():
            for source, of, known in _label_origins(site, graph):
                if ("validated", source, of) in origins and known.lower() not in named:
                    yield Suspicion(
                        column,
                        f"is made of {source}.{of}, which '{graph.label.column}' is made of and which is known at '{known}', "
                        f"but holds {f'from `{feature.time}` on' if feature.time else 'for all time'}",
                    )


def _label_origins(site: Site, graph: Graph) -> Sequence[tuple[str, str, str]]:
    """Return what the label is made of that is known later than its row: source, column, and the column that says when."""
    assert graph.label
    found = []
    for _, table, column in sorted(label_lineage(site, graph).get(graph.label.column, set())):
        source = graph.sources[table]
        known = source.known_at if isinstance(source.known_at, str) else known_times(source).get(column)
        if known and column != source.time:
            found.append((table, column, known))
    return found
