"""Stories told to MLflow: whoever is killed while telling one, the next one finishes it, and nothing is there twice."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version as version_of_library
from pathlib import Path
from typing import Any

from headrace.core.errors import DigestMismatch, MlflowRefused, StoreError, VersionRemoved
from headrace.core.failpoints import failpoint
from headrace.store import runs
from headrace.store.site import Site
from headrace.store.story import Copy, Dataset, Story

LIGHTGBM = "model.txt"
"""The file that holds a LightGBM model."""
LOADER = "headrace.models.mirror"
"""What MLflow loads a model of ours by, from its rows to its answers."""
EXAMPLE_ROWS = 5
SHOWN = 12
"""How many characters of a story's digest its mark shows."""
TURN_S = 30
"""How long a step waits for another process that is telling."""
_MOST = {"params": 100, "metrics": 1000}
"""How many MLflow takes at once."""
_EXAMPLE, _SERVED = "input_example.json", "serving_input_example.json"


@dataclass(frozen=True)
class Told:
    """What came of telling what waited."""

    versions: dict[str, str] = field(default_factory=dict)
    """The digest of each model that was told of → its version in the registry."""
    troubles: list[str] = field(default_factory=list)
    """Which stories cannot be told at all, and why; they stay where they are."""


@dataclass(frozen=True)
class _Run:
    """The MLflow run that a story is told to."""

    mlflow: Any
    client: Any
    site: Site
    experiment: str
    id: str


def tell_waiting(site: Site, wait_s: float = TURN_S) -> Told:
    """Tell MLflow what waits, oldest first; raises StoreError where it does not answer, and the rest waits on."""
    told = Told()
    if not site.spool.waiting():
        return told
    mlflow = prepared(site)
    with telling(site, wait_s):
        for path in site.spool.waiting():
            try:
                story = site.spool.read(path)
                version = tell(site, mlflow, story)
            except (DigestMismatch, MlflowRefused) as error:
                told.troubles.append(f"{path.name}: {error}")
                continue
            if version:
                told.versions[story.model] = version
            failpoint("story_told")
            site.spool.forget(path)
    return told


@contextmanager
def telling(site: Site, wait_s: float = TURN_S) -> Iterator[None]:
    """Let no other process tell MLflow of the product meanwhile; raises StoreError where one still does after `wait_s` seconds.

    What is told of a release must be read within: else a newer one may have been told of before.
    """
    with site.spool.turn(wait_s) as is_ours:
        if not is_ours:
            raise StoreError(f"Another process is telling MLflow of {site.product.product}. What waits is told by it.")
        yield


def prepared(site: Site) -> Any:
    """Return MLflow, where the product's experiment is; raises StoreError where it does not answer."""
    product = site.product.product
    return runs.prepare(site.place.mlflow_uri, product, site.place.home / "mlflow" / product)


@runs.answering()
def tell(site: Site, mlflow: Any, story: Story) -> str | None:
    """Tell one story, and return the version of its model in the registry, if it has one.

    Raises StoreError where MLflow does not answer, MlflowRefused where it never will take this, DigestMismatch where
    the model's bytes are not as they were stored.
    """
    client, product = mlflow.MlflowClient(), site.product.product
    found = runs.run_of(client, product, story.origin)
    failpoint("story_run")
    run = _Run(mlflow, client, site, found.info.experiment_id, found.info.run_id)
    mark = f"headrace.told.{story.part}"
    if found.data.tags.get(mark) != story.digest[:SHOWN]:
        _tell_run(run, story)
        _tell_trials(run, story)
        if story.copy_of and site.models.exists(story.model):
            _tell_model(run, story, story.copy_of)
    version = runs.version_of(product, story.model) if story.model else None
    for key, value in story.version_tags.items() if version else ():
        client.set_model_version_tag(product, version, key, value)
    if story.end:
        client.set_terminated(run.id, story.end, _milliseconds(story))
    failpoint("story_ended")
    client.set_tag(run.id, mark, story.digest[:SHOWN])
    return version


def _tell_run(run: _Run, story: Story) -> None:
    """Tell what stands at the run itself: params, metrics, tags, files and datasets."""
    entities = run.mlflow.entities
    tags = {**story.tags, **({runs.DIGEST_TAG: story.model} if story.model else {})}
    params = [entities.Param(key, value) for key, value in story.params.items()]
    for first in range(0, len(params), _MOST["params"]):
        run.client.log_batch(run.id, params=params[first : first + _MOST["params"]])
    # The moment and step are the story's own: a metric that is told again is the same one to MLflow, and kept once.
    at, model = _milliseconds(story), _logged_model(run, story.model) if story.metrics and story.model else None
    of = {"model_id": model.model_id} if model else {}
    metrics = [entities.Metric(key, value, at, 0, **of) for key, value in story.metrics.items()]
    for first in range(0, len(metrics), _MOST["metrics"]):
        run.client.log_batch(run.id, metrics=metrics[first : first + _MOST["metrics"]])
    failpoint("story_measured")
    run.client.log_batch(run.id, tags=[entities.RunTag(key, value) for key, value in tags.items()])
    run.client.log_inputs(run.id, [_input(entities, dataset) for dataset in story.datasets])
    failpoint("story_read")
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), story.files)
        if story.files:
            run.client.log_artifacts(run.id, folder)
    failpoint("story_filed")


def _tell_trials(run: _Run, story: Story) -> None:
    """Tell of each trial as a run within the run, with its own times and end."""
    if not story.trials:
        return
    entities, parent = run.mlflow.entities, "mlflow.parentRunId"
    within = run.client.search_runs([run.experiment], f"tags.`{parent}` = '{run.id}'", max_results=len(story.trials))
    known = {each.info.run_name: each for each in within}
    for trial in story.trials:
        begun, ended = (int(moment.timestamp() * 1000) for moment in (trial.begun, trial.ended))
        found = known.get(trial.name) or run.client.create_run(
            run.experiment, begun, {parent: run.id, **trial.tags}, trial.name
        )
        params = [entities.Param(name, value) for name, value in trial.params.items()]
        metrics = [entities.Metric(name, value, ended, step) for name, step, value in trial.metrics]
        run.client.log_batch(found.info.run_id, metrics, params)
        failpoint("trial_told")
        run.client.set_terminated(found.info.run_id, trial.end, ended)


def _input(entities: Any, dataset: Dataset) -> Any:
    schema = [{"type": kind, "name": name, "required": True} for name, kind in dataset.columns.items()]
    described = entities.Dataset(
        name=dataset.name,
        digest=dataset.digest,
        source_type="delta_table",
        source=json.dumps({"path": dataset.path, "delta_table_version": dataset.version}),
        schema=json.dumps({"mlflow_colspec": schema}),
        profile=json.dumps({"num_rows": dataset.rows}),
    )
    tags = {"mlflow.data.context": dataset.context, "version": str(dataset.version)}
    tags |= {table: str(version) for table, version in dataset.behind.items()}
    return entities.DatasetInput(described, [entities.InputTag(key, value) for key, value in tags.items()])


def _tell_model(run: _Run, story: Story, copy: Copy) -> None:
    """Log a model and register it, once under its digest; and keep its own files with the run, from which they are mended."""
    product = run.site.product.product
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), run.site.models.files(story.model))
        run.client.log_artifacts(run.id, folder, runs.KEPT)
    if not runs.version_of(product, story.model):
        model = _logged(run, story, copy)
        failpoint("model_logged")
        if not run.client.search_registered_models(f"name = '{product}'"):
            run.client.create_registered_model(product)
        # The digest goes in with the version: a version without it would be registered again after a kill.
        tags = {**copy.tags, runs.DIGEST_TAG: story.model}
        run.client.create_model_version(product, f"models:/{model}", run.id, tags, model_id=model, await_creation_for=0)
    failpoint("model_registered")
    _link(run, story.model)


def _logged(run: _Run, story: Story, copy: Copy) -> str:
    """Return the id of the logged model, made anew or finished."""
    tags, params = {runs.DIGEST_TAG: story.model}, dict(story.params)
    model = _logged_model(run, story.model)
    model = model or run.client.create_logged_model(run.experiment, "model", run.id, tags, params)
    failpoint("model_begun")
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), _files(run, story, copy, model))
        run.client.log_model_artifacts(model.model_id, folder)
    outputs = run.client.get_run(run.id).outputs.model_outputs
    if model.model_id not in {output.model_id for output in outputs}:
        run.client.log_outputs(run.id, [run.mlflow.entities.LoggedModelOutput(model.model_id, 0)])
    run.client.finalize_logged_model(model.model_id, run.mlflow.entities.LoggedModelStatus.READY)
    return str(model.model_id)


def _logged_model(run: _Run, digest: str) -> Any | None:
    found = run.client.search_logged_models([run.experiment], f"tags.`{runs.DIGEST_TAG}` = '{digest}'")
    return found[0] if found else None


def _link(run: _Run, digest: str) -> None:
    """Let the logged model lead to its version, as MLflow does itself where it registers."""
    product = run.site.product.product
    version = run.client.get_model_version(product, runs.version_of(product, digest))
    kind, _, model = version.source.partition(":/")
    if kind == "models":
        led = json.dumps([{"name": product, "version": version.version}])
        run.client.set_logged_model_tags(model, {"mlflow.modelVersions": led})


def _files(run: _Run, story: Story, copy: Copy, model: Any) -> dict[str, bytes]:
    """Return a model as MLflow reads it: its own files, what is loaded how, its signature, and an example."""
    mlflow, example = run.mlflow, _example(run.site, copy)
    columns = [mlflow.types.ColSpec(kind, name) for name, kind in copy.inputs.items()]
    described = mlflow.models.Model(
        artifact_path=model.artifact_location,
        model_uuid=model.model_id,
        model_id=model.model_id,
        run_id=run.id,
        signature=mlflow.models.ModelSignature(
            mlflow.types.Schema(columns), mlflow.types.Schema([mlflow.types.ColSpec("double", "score")])
        ),
    )
    mlflow.pyfunc.add_to_model(described, loader_module=LOADER, data=runs.KEPT)
    described.add_flavor("headrace", file=copy.file, digest=story.model)
    if copy.file == LIGHTGBM:
        library, data = version_of_library("lightgbm"), f"{runs.KEPT}/{LIGHTGBM}"
        described.add_flavor("lightgbm", lgb_version=library, data=data, model_class="lightgbm.basic.Booster")
    files = {f"{runs.KEPT}/{name}": data for name, data in run.site.models.files(story.model).items()}
    files |= {"requirements.txt": "".join(f"{need}\n" for need in copy.needs).encode()}
    if example:
        described.saved_input_example_info = {
            "artifact_path": _EXAMPLE,
            "serving_input_path": _SERVED,
            "type": "dataframe",
            "pandas_orient": "split",
        }
        files |= {_EXAMPLE: json.dumps(example).encode(), _SERVED: json.dumps({"dataframe_split": example}).encode()}
    return files | {"MLmodel": described.to_yaml().encode()}


def _example(site: Site, copy: Copy) -> dict[str, Any] | None:
    """Return the first rows of what the model learned from, its inputs alone; None where they are gone."""
    try:
        rows = next(iter(site.tables.scan(copy.table, version=copy.version)), None)
    except VersionRemoved:
        return None
    if rows is None:
        return None
    listed = rows.slice(0, EXAMPLE_ROWS).select(list(copy.inputs)).to_pylist()
    return {"columns": list(copy.inputs), "data": [list(row.values()) for row in listed]}


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _milliseconds(story: Story) -> int:
    return int(story.origin.at.timestamp() * 1000)
