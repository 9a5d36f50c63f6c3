"""MLflow: what people look a training up in. A mirror: nothing is decided or served from here."""

import logging
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from headrace.core.errors import StoreError
from headrace.core.failpoints import failpoint
from headrace.store.log import Head
from headrace.store.mirrored import End, LoggedTrial, Registered

DIGEST_TAG = "headrace.digest"
HEAD_TAG = "headrace.releases"
"""Where the registry is told how long the release log is, and the digest of its last entry."""
STRANGE_TAG = "headrace.verdict"
"""Marks a version that we have not registered."""
ALIAS, KEPT = "champion", "headrace"
DAGSTER_TAG = "dagster_run_id"
"""Where dagster-mlflow writes which Dagster run an MLflow run belongs to."""
PARENT_TAG = "mlflow.parentRunId"
LIGHTGBM = "model.txt"
"""The file that holds a LightGBM model."""
RETRIES, WAIT_S = 1, 2
"""How often a server is asked again that does not answer, and how long each time; MLflow's own habit takes minutes."""


@contextmanager
def answering() -> Iterator[None]:
    """Say in words that MLflow does not answer, or refuses: raises StoreError."""
    import requests
    from mlflow import get_tracking_uri
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        said = str(error).splitlines()[0]
        words = f"MLflow at {get_tracking_uri()} did not do what it was asked: {said}"
        raise StoreError(f"{re.sub(r'//[^/@ ]+@', '//', words)}. Is its server up? Then run this again.") from error


def prepare(uri: str, experiment: str, artifacts: Path) -> None:
    """Make sure that the experiment is there, its files under `artifacts`, or where a server keeps them; one process at a time.

    Raises StoreError where MLflow does not answer.
    """
    mlflow = _reached_at(uri)
    # MLflow warns of its own type hints while it is imported.
    warnings.filterwarnings("ignore", message=".*Any type hint is inferred", category=UserWarning)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    artifacts.mkdir(parents=True, exist_ok=True)
    # Between the look and the creation another process could create it, and MLflow would fail this one.
    with answering(), FileLock(artifacts.parent / ".lock"):
        if mlflow.get_experiment_by_name(experiment) is None:
            mlflow.create_experiment(experiment, artifact_location=artifacts.as_uri() if _is_local(uri) else None)


def _is_local(uri: str) -> bool:
    return uri.startswith("sqlite:")


def _reached_at(uri: str) -> Any:
    """Return MLflow, set to talk to `uri`, and to give up within seconds unless the environment says otherwise."""
    import mlflow
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT

    for variable, most in ((MLFLOW_HTTP_REQUEST_MAX_RETRIES, RETRIES), (MLFLOW_HTTP_REQUEST_TIMEOUT, WAIT_S)):
        if not variable.is_set():
            variable.set(most)
    mlflow.set_tracking_uri(uri)
    return mlflow


@answering()
def end_lost(experiment: str, end_of: Callable[[str], End | None]) -> None:
    """End the MLflow runs that nobody will end: `end_of` says how the Dagster run behind one ended, None if it did not."""
    import mlflow

    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(experiment)
    for run in client.search_runs([found.experiment_id], "attributes.status = 'RUNNING'"):
        parent = run.data.tags.get(PARENT_TAG, run.info.run_id)
        end = end_of(client.get_run(parent).data.tags.get(DAGSTER_TAG, ""))
        if end:
            client.set_terminated(run.info.run_id, end)


@answering()
def log_model(product: str, digest: str, file: tuple[str, bytes], inputs: list[str], facts: Mapping[str, Any]) -> str:
    """Log a model, the file that its trainer wrote, and its facts to the active run; return its version in the registry.

    What LightGBM wrote can be loaded by MLflow; of others the registry holds the file as it is.
    """
    import mlflow

    known = _version_of(product, digest)
    mlflow.log_params({key: value for key, value in facts.items() if not isinstance(value, dict | list)})
    mlflow.set_tag(DIGEST_TAG, digest)
    if known:
        return known
    logged = _log_lightgbm(file[1], inputs) if file[0] == LIGHTGBM else _log_file(*file)
    failpoint("model_logged")
    # The digest goes in with the version: a version without it would be registered again after a kill.
    registered = mlflow.register_model(logged, product, tags={DIGEST_TAG: digest})
    failpoint("model_registered")
    return str(registered.version)


def _log_lightgbm(text: bytes, inputs: list[str]) -> str:
    import lightgbm
    import mlflow.lightgbm
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    signature = ModelSignature(Schema([ColSpec("double", name) for name in inputs]), Schema([ColSpec("double")]))
    logged = mlflow.lightgbm.log_model(
        lightgbm.Booster(model_str=text.decode()),
        name="model",
        signature=signature,
        pip_requirements=[f"lightgbm=={lightgbm.__version__}"],
    )
    return str(logged.model_uri)


def _log_file(name: str, data: bytes) -> str:
    """Log a file as it is, with a description by which the registry takes it for a model."""
    import mlflow
    from mlflow.models import Model

    run = mlflow.active_run()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(data)
        Model(artifact_path="model", run_id=run.info.run_id, flavors={"headrace": {"file": name}}).save(
            f"{folder}/MLmodel"
        )
        mlflow.log_artifacts(folder, "model")
    return f"runs:/{run.info.run_id}/model"


@answering()
def log_trials(trials: Sequence[LoggedTrial]) -> None:
    """Log each trial of a search as a run within the active run."""
    import mlflow
    from mlflow.entities import Metric, Param

    client, parent = mlflow.MlflowClient(), mlflow.active_run()
    for trial in trials:
        begun, ended = (int(moment.timestamp() * 1000) for moment in (trial.begun, trial.ended))
        tags = {PARENT_TAG: parent.info.run_id, **trial.tags}
        run = client.create_run(parent.info.experiment_id, begun, tags, trial.name).info.run_id
        metrics = [Metric(name, value, ended, step) for name, step, value in trial.metrics]
        client.log_batch(run, metrics, [Param(name, str(value)) for name, value in trial.params.items()])
        failpoint("trial_logged")
        client.set_terminated(run, trial.end, ended)


@answering()
def log_evaluation(metrics: Mapping[str, float], pictures: Mapping[str, bytes], tags: Mapping[str, str]) -> None:
    """Log metrics, pictures (file name → PNG) and tags to the active run."""
    import mlflow

    mlflow.log_metrics(dict(metrics))
    mlflow.set_tags(dict(tags))
    with tempfile.TemporaryDirectory() as folder:
        for name, data in pictures.items():
            (Path(folder) / name).write_bytes(data)
        mlflow.log_artifacts(folder, "plots")


@answering()
def keep_files(files: Mapping[str, bytes]) -> None:
    """Keep a copy of a model's own files with the active run."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        mlflow.log_artifacts(folder, KEPT)


def kept_files(uri: str, product: str, digest: str) -> Iterator[dict[str, bytes]]:
    """Yield the copies of a model's files that its runs have kept, whatever became of them since.

    Raises StoreError where MLflow does not answer.
    """
    mlflow = _reached_at(uri)
    with answering(), tempfile.TemporaryDirectory() as folder:
        client = mlflow.MlflowClient()
        found = client.get_experiment_by_name(product)
        for run in client.search_runs([found.experiment_id], f"tags.`{DIGEST_TAG}` = '{digest}'") if found else ():
            names = [file.path for file in client.list_artifacts(run.info.run_id, KEPT)]
            paths = [Path(client.download_artifacts(run.info.run_id, name, folder)) for name in names]
            yield {path.name: path.read_bytes() for path in paths}


def registered(uri: str, product: str, is_known: Callable[[str], bool]) -> Registered:
    """Return what the registry says; `is_known` tells which digests are of models of ours.

    Raises StoreError where MLflow does not answer.
    """
    mlflow = _reached_at(uri)
    with answering():
        client = mlflow.MlflowClient()
        if not client.search_registered_models(f"name = '{product}'"):
            return Registered(None, None, None, [])
        model = client.get_registered_model(product)
        alias, told = model.aliases.get(ALIAS), _head(model.tags)
        own: dict[str, str] = {}
        strange = []
        for version in sorted(client.search_model_versions(f"name = '{product}'"), key=lambda v: int(v.version)):
            digest = version.tags.get(DIGEST_TAG, "")
            if digest not in own.values() and is_known(digest):
                own[str(version.version)] = digest
            elif STRANGE_TAG not in version.tags:
                strange.append(str(version.version))
    champion = str(alias) if alias is not None else None
    return Registered(champion, own.get(champion or ""), told, strange)


def mark_strange(uri: str, product: str, version: str) -> None:
    """Say in the registry that a version was never released; raises StoreError where MLflow does not answer."""
    mlflow = _reached_at(uri)
    with answering():
        mlflow.MlflowClient().set_model_version_tag(product, version, STRANGE_TAG, "registered by hand, never released")


def told_head(uri: str, product: str) -> Head | None:
    """Return how long the release log was when the alias was set last, and the digest of its last entry, as MLflow was told.

    Raises StoreError where MLflow does not answer.
    """
    mlflow = _reached_at(uri)
    with answering():
        found = mlflow.MlflowClient().search_registered_models(f"name = '{product}'")
    return _head(found[0].tags) if found else None


def _head(tags: Mapping[str, str]) -> Head | None:
    count, _, digest = tags.get(HEAD_TAG, "").partition(" ")
    return (int(count), digest) if count.isdigit() else None


def mirror_champion(uri: str, product: str, digest: str, head: Head) -> str | None:
    """Point the registry's alias `champion` at the model that is live, and return its version; None where it has none.

    `head` is that of the release log, and is kept there, too. Raises StoreError where MLflow does not answer.
    """
    mlflow = _reached_at(uri)
    with answering():
        version = _version_of(product, digest)
        if version:
            client = mlflow.MlflowClient()
            client.set_registered_model_alias(product, ALIAS, version)
            client.set_registered_model_tag(product, HEAD_TAG, f"{head[0]} {head[1]}")
    failpoint("champion_mirrored")
    return version


def attach_card(uri: str, product: str, digest: str, texts: Mapping[str, str], description: str) -> str | None:
    """Keep texts (file name → content) with a model's run, describe its version, and return that; None where it has none.

    Raises StoreError where MLflow does not answer.
    """
    mlflow = _reached_at(uri)
    with answering():
        version = _version_of(product, digest)
        if version:
            client = mlflow.MlflowClient()
            run = client.get_model_version(product, version).run_id
            for name, text in texts.items():
                client.log_text(run, text, name)
            client.update_model_version(product, version, description)
    return version


@answering()
def finish(failed: bool) -> None:
    """End the active run with the status that is true; raises StoreError where MLflow does not answer."""
    import mlflow

    mlflow.end_run("FAILED" if failed else "FINISHED")
    failpoint("mlflow_finished")


def _version_of(product: str, digest: str) -> str | None:
    import mlflow

    client = mlflow.MlflowClient()
    found = client.search_model_versions(f"name = '{product}'")
    # The first one: whoever registers another version by hand may give it the same tag.
    own = [int(v.version) for v in found if v.tags.get(DIGEST_TAG) == digest]
    return str(min(own)) if own else None
