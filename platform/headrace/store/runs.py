"""MLflow: what people look a training up in. A mirror: nothing is decided or served from here."""

import logging
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from headrace.core.errors import StoreError
from headrace.core.failpoints import failpoint

DIGEST_TAG = "headrace.digest"
DAGSTER_TAG = "dagster_run_id"
"""Where dagster-mlflow writes which Dagster run an MLflow run belongs to."""
LIGHTGBM = "model.txt"
"""The file that holds a LightGBM model."""
RETRIES, WAIT_S = 1, 2
"""How often a server is asked again that does not answer, and how long each time; MLflow's own habit takes minutes."""
End = Literal["FINISHED", "FAILED", "KILLED"]


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
        end = end_of(run.data.tags.get(DAGSTER_TAG, ""))
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
def log_evaluation(metrics: Mapping[str, float], pictures: Mapping[str, bytes], tags: Mapping[str, str]) -> None:
    """Log metrics, pictures (file name → PNG) and tags to the active run."""
    import mlflow

    mlflow.log_metrics(dict(metrics))
    mlflow.set_tags(dict(tags))
    with tempfile.TemporaryDirectory() as folder:
        for name, data in pictures.items():
            (Path(folder) / name).write_bytes(data)
        mlflow.log_artifacts(folder, "plots")


def mirror_champion(uri: str, product: str, digest: str) -> str | None:
    """Point the registry's alias `champion` at the model that is live, and return its version; None where it has none.

    Raises StoreError where MLflow does not answer.
    """
    mlflow = _reached_at(uri)
    with answering():
        version = _version_of(product, digest)
        if version:
            mlflow.MlflowClient().set_registered_model_alias(product, "champion", version)
    failpoint("champion_mirrored")
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
    return next((str(v.version) for v in found if v.tags.get(DIGEST_TAG) == digest), None)
