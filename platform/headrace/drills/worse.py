"""A model that is really worse: it has learned from turned labels, and is judged on true ones."""

from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import Refused
from headrace.drills.resources import Stage, require
from headrace.evaluation.declaration import under_load
from headrace.models.candidate import split_version
from headrace.store.cause import Cause

REASON = "drill: a model of turned labels"
Labels = Callable[[pa.ChunkedArray], pa.ChunkedArray]
"""True labels → those that a model learns."""


def bad_model(stage: Stage) -> Iterator[str]:
    """Train a challenger on turned labels, put it to the gates, and yield what was done."""
    if not (stage.declared.label and stage.declared.model):
        return
    learned = judge_model_of(stage, turned, REASON)
    yield f"a model was trained on {learned:,} rows with turned labels, and judged on rows with true ones"


def judge_model_of(stage: Stage, labels: Labels, reason: str) -> int:
    """Train a model on other labels and let it be released or refused; return of how many rows it has learned."""
    product = stage.site.product
    require(stage.make([product.key("training", "set")]), "Making the training set")
    learned = _change_labels(stage, labels, reason)
    tested = ["loadtest"] if under_load(stage.declared.gates) else []
    keys = [product.key("model", name) for name in ("candidate", "evaluation", *tested, "champion")]
    stage.make(keys, {"headrace/reason": reason})
    stage.look("incidents")
    return learned


def _change_labels(stage: Stage, labels: Labels, reason: str) -> int:
    """Change the labels of the rows that a model learns from, not of those that it is judged on; return how many."""
    site, model, label = stage.site, stage.declared.model, stage.declared.label
    table = site.product.table("training", "set")
    version = site.tables.version(table)
    if version is None or model is None or label is None:
        raise Refused(f"'{table}' is not made: there is nothing to train a worse model on.")
    rows = site.tables.read(table, version=version)
    judged = split_version(site, label, model, version).test[label.entity]
    learned = pc.invert(pc.is_in(rows[label.entity], judged.combine_chunks()))
    taught = pc.if_else(learned, labels(rows[label.column]), rows[label.column])
    inputs = site.tables.versions(table)[version].inputs
    made = rows.set_column(rows.column_names.index(label.column), rows.schema.field(label.column), taught)
    site.tables.replace(table, made, why=Cause(reason, inputs))
    return int(pc.sum(learned).as_py())


def turned(labels: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return labels turned: yes for no, the greatest number for the least."""
    if pa.types.is_boolean(labels.type):
        return pc.invert(labels)
    bounds = pc.min_max(labels)
    return pc.subtract(pc.add(bounds["min"], bounds["max"]), labels).cast(labels.type)
