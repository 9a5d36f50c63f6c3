"""MLflow: what people look a training up in. A mirror: nothing is decided or served from here."""

import logging
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

DIGEST_TAG = "headrace.digest"


def prepare(uri: str, experiment: str, artifacts: Path) -> None:
    """Make sure that the experiment is there, with its files under `artifacts`; one process at a time."""
    import mlflow

    # MLflow warns of its own type hints while it is imported.
    warnings.filterwarnings("ignore", message=".*Any type hint is inferred", category=UserWarning)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    mlflow.set_tracking_uri(uri)
    artifacts.mkdir(parents=True, exist_ok=True)
    # Between the look and the creation another process could create it, and MLflow would fail this one.
    with FileLock(artifacts.parent / ".lock"):
        if mlflow.get_experiment_by_name(experiment) is None:
            mlflow.create_experiment(experiment, artifact_location=artifacts.as_uri())


def log_model(product: str, digest: str, text: bytes, inputs: list[str], facts: Mapping[str, Any]) -> str:
    """Log a LightGBM model and its facts to the active run, and return its version in the registry."""
    import lightgbm
    import mlflow
    import mlflow.lightgbm
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    known = _version_of(product, digest)
    mlflow.log_params({key: value for key, value in facts.items() if not isinstance(value, dict | list)})
    mlflow.set_tag(DIGEST_TAG, digest)
    if known:
        return known
    signature = ModelSignature(Schema([ColSpec("double", name) for name in inputs]), Schema([ColSpec("double")]))
    logged = mlflow.lightgbm.log_model(
        lightgbm.Booster(model_str=text.decode()),
        name="model",
        signature=signature,
        registered_model_name=product,
        pip_requirements=[f"lightgbm=={lightgbm.__version__}"],
    )
    version = str(logged.registered_model_version)
    mlflow.MlflowClient().set_model_version_tag(product, version, DIGEST_TAG, digest)
    return version


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
    """Point the registry's alias `champion` at the model that is live, and return its version."""
    import mlflow

    mlflow.set_tracking_uri(uri)
    version = _version_of(product, digest)
    if version:
        mlflow.MlflowClient().set_registered_model_alias(product, "champion", version)
    return version


def finish(failed: bool) -> None:
    """End the active run with the status that is true."""
    import mlflow

    mlflow.end_run("FAILED" if failed else "FINISHED")


def _version_of(product: str, digest: str) -> str | None:
    import mlflow

    client = mlflow.MlflowClient()
    found = client.search_model_versions(f"name = '{product}'")
    return next((str(v.version) for v in found if v.tags.get(DIGEST_TAG) == digest), None)
