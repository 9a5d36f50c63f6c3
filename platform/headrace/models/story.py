"""What MLflow is told of a training: what was learned how, from which rows, and why."""

from collections.abc import Mapping

import pyarrow as pa

from headrace.features.declaration import Label
from headrace.models.candidate import Candidate, Made, training_set
from headrace.models.lock import installed
from headrace.models.meta import Input
from headrace.models.predict import stored_file
from headrace.models.trainer import trainer_of
from headrace.models.tuning.logged import logged_trials
from headrace.store.digest import rows_digest
from headrace.store.site import Site
from headrace.store.story import Copy, Dataset, Origin, Story, Type

SHOWN, LONGEST = 12, 36
"""How many characters of a digest are shown, and how many MLflow takes for a dataset."""


def training_story(site: Site, label: Label, candidate: Candidate, made: Made, origin: Origin) -> Story:
    """Return what MLflow is told of a training."""
    rows, table = training_set(site, label, candidate.version), site.product.table("training", "set")
    reason, name = candidate.reason, f"{table}@{candidate.version}"
    params = {**made.meta.params, **made.meta.model_dump(include={"trainer", "task", "trees", "seed", "rows"})}
    params |= {"workers": made.meta.workers} if made.meta.workers else {}
    tags = {"reason": reason, "training_set": name}
    return Story(
        origin=origin,
        part="candidate",
        params={key: str(value) for key, value in params.items() if not isinstance(value, dict | list)},
        tags={
            **tags,
            "mlflow.runName": f"model {candidate.digest[:SHOWN]}",
            "mlflow.note.content": _note(site, candidate, made),
        },
        datasets=[dataset_of(site, candidate.version, rows, "training")],
        model=candidate.digest,
        trials=logged_trials(made.tuning.found) if made.tuning else [],
        copy_of=Copy(
            file=stored_file(site.models, candidate.digest)[0],
            inputs=types_of(rows, made.meta.inputs),
            table=table,
            version=candidate.version,
            needs=_needs(made.meta.trainer),
            tags={"headrace.reason": reason, "headrace.training_set": name},
        ),
    )


def dataset_of(site: Site, version: int, rows: pa.Table, context: str) -> Dataset:
    """Return rows of a version of the training set as MLflow knows datasets; `context` is training or testing."""
    table = site.product.table("training", "set")
    return Dataset.model_validate(
        {
            "name": table,
            "digest": rows_digest(rows)[:LONGEST],
            "path": str(site.place.tables / table),
            "version": version,
            "context": context,
            "columns": {field.name: _type(rows[field.name]) for field in rows.schema},
            "rows": rows.num_rows,
            "behind": dict(site.tables.versions(table)[version].inputs),
        }
    )


def plots_of(pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return pictures by name as files of a run."""
    return {f"plots/{name.replace(' ', '_')}.png": data for name, data in pictures.items()}


def types_of(rows: pa.Table, inputs: list[Input]) -> Mapping[str, Type]:
    """Return the type of each input, as people know it: a category is a text, not its code."""
    return {column.name: _type(rows[column.name]) for column in inputs}


def _type(column: pa.ChunkedArray) -> Type:
    if pa.types.is_boolean(column.type):
        return "boolean"
    if pa.types.is_integer(column.type) and not column.null_count:
        return "long"
    # A whole number that may be missing is none in a data frame.
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        return "double"
    return "string"


def _needs(trainer: str) -> list[str]:
    """Return the libraries that the model is loaded with, and Headrace."""
    there = installed()
    return [f"{name}=={there[name]}" for name in ["headrace", *trainer_of(trainer).libraries] if name in there]


def _note(site: Site, candidate: Candidate, made: Made) -> str:
    """Return what MLflow's page of the run says of it in words."""
    meta, product = made.meta, site.product.product
    return (
        f"Training of **{product}**, because: {candidate.reason}.\n\n"
        f"Model `{candidate.digest[:SHOWN]}` learned from {meta.rows} rows, {meta.train_from:%Y-%m-%d} to "
        f"{meta.train_to:%Y-%m-%d}, of version {candidate.version} of `{site.product.table('training', 'set')}`. "
        f"All of its story: `headrace why {product}@{candidate.digest[:SHOWN]}`"
    )
