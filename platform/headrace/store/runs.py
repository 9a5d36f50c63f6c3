"""MLflow: what people look a training up in. A mirror: nothing is decided or served from here."""

import logging
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from headrace.core.errors import MlflowRefused, StoreError
from headrace.core.failpoints import failpoint
from headrace.store.log import Head
from headrace.store.story import End, Origin

DIGEST_TAG = "headrace.digest"
HEAD_TAG = "headrace.releases"
"""Where the registry is told how long the release log is, and the digest of its last entry."""
RELEASE_TAG = "headrace.release"
"""Says of a version as which release it is live, or was last."""
STRANGE_TAG = "headrace.verdict"
"""Marks a version that we have not registered."""
ALIAS, KEPT = "champion", "headrace"
DAGSTER_TAG = "dagster_run_id"
"""Where dagster-mlflow writes which Dagster run an MLflow run belongs to."""
RETRIES, WAIT_S = 0, 5
"""How often a server is asked again that does not answer, and how long each time; MLflow's own habit takes minutes."""


@contextmanager
def answering() -> Iterator[None]:
    """Say in words that MLflow does not answer: raises StoreError; MlflowRefused where asking again would not help."""
    import requests
    from mlflow import get_tracking_uri
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        said = str(error).splitlines()[0]
        words = re.sub(r"//[^/@ ]+@", "//", f"MLflow at {get_tracking_uri()} did not do what it was asked: {said}")
        if isinstance(error, MlflowException) and error.error_code == "INVALID_PARAMETER_VALUE":
            raise MlflowRefused(f"{words}. It would say so again.") from error
        raise StoreError(f"{words}. Is its server up? Then run this again.") from error


def prepare(uri: str, experiment: str, artifacts: Path) -> Any:
    """Make sure that the experiment is there, its files under `artifacts`, or where a server keeps them, and return MLflow.

    One process at a time. Raises StoreError where MLflow does not answer.
    """
    mlflow = reached_at(uri)
    # MLflow warns of its own type hints while it is imported.
    warnings.filterwarnings("ignore", message=".*Any type hint is inferred", category=UserWarning)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    artifacts.mkdir(parents=True, exist_ok=True)
    # Between the look and the creation another process could create it, and MLflow would fail this one.
    with answering(), FileLock(artifacts.parent / ".lock"):
        if mlflow.get_experiment_by_name(experiment) is None:
            mlflow.create_experiment(experiment, artifact_location=artifacts.as_uri() if _is_local(uri) else None)
    return mlflow


def _is_local(uri: str) -> bool:
    return uri.startswith("sqlite:")


def reached_at(uri: str) -> Any:
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


def run_of(client: Any, product: str, origin: Origin) -> Any:
    """Return the MLflow run of a Dagster run, begun if there is none.

    It bears the Dagster run's id from its first moment on, so that whoever is killed begins no second one.
    """
    experiment = client.get_experiment_by_name(product).experiment_id
    found = client.search_runs([experiment], f"tags.{DAGSTER_TAG} = '{origin.run}'", order_by=["start_time ASC"])
    if found:
        return found[0]
    began = int(origin.at.timestamp() * 1000)
    return client.create_run(experiment, began, {DAGSTER_TAG: origin.run}, run_name=origin.job)


def kept_files(uri: str, product: str, digest: str) -> Iterator[dict[str, bytes]]:
    """Yield the copies of a model's files that its runs have kept, whatever became of them since.

    Raises StoreError where MLflow does not answer.
    """
    mlflow = reached_at(uri)
    with answering(), tempfile.TemporaryDirectory() as folder:
        client = mlflow.MlflowClient()
        found = client.get_experiment_by_name(product)
        for run in client.search_runs([found.experiment_id], f"tags.`{DIGEST_TAG}` = '{digest}'") if found else ():
            names = [file.path for file in client.list_artifacts(run.info.run_id, KEPT)]
            paths = [Path(client.download_artifacts(run.info.run_id, name, folder)) for name in names]
            yield {path.name: path.read_bytes() for path in paths}


@dataclass(frozen=True)
class Registered:
    """What MLflow's registry says of a product."""

    champion: str | None
    """The version that the alias stands at."""
    digest: str | None
    """The model that this version holds, as far as we have registered it."""
    told: Head | None
    """How long the release log was when the alias was set last, and the digest of its last entry."""
    strange: Sequence[str]
    """Versions that we have not registered, and not marked yet."""


def registered(uri: str, product: str, is_known: Callable[[str], bool]) -> Registered:
    """Return what the registry says; `is_known` tells which digests are of models of ours.

    Raises StoreError where MLflow does not answer.
    """
    mlflow = reached_at(uri)
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
    mlflow = reached_at(uri)
    with answering():
        mlflow.MlflowClient().set_model_version_tag(product, version, STRANGE_TAG, "registered by hand, never released")


def told_head(uri: str, product: str) -> Head | None:
    """Return how long the release log was when the alias was set last, and the digest of its last entry, as MLflow was told.

    Raises StoreError where MLflow does not answer.
    """
    mlflow = reached_at(uri)
    with answering():
        found = mlflow.MlflowClient().search_registered_models(f"name = '{product}'")
    return _head(found[0].tags) if found else None


def _head(tags: Mapping[str, str]) -> Head | None:
    count, _, digest = tags.get(HEAD_TAG, "").partition(" ")
    return (int(count), digest) if count.isdigit() else None


def mirror_champion(uri: str, product: str, digest: str, head: Head, release: int) -> str | None:
    """Point the registry's alias `champion` at the model that is live, and return its version; None where it has none.

    `head` is that of the release log, and is kept there, too, as is the number of the release. Raises StoreError where MLflow does not answer.
    """
    mlflow = reached_at(uri)
    with answering():
        version = version_of(product, digest)
        if version:
            client = mlflow.MlflowClient()
            client.set_model_version_tag(product, version, RELEASE_TAG, str(release))
            client.set_registered_model_alias(product, ALIAS, version)
            client.set_registered_model_tag(product, HEAD_TAG, f"{head[0]} {head[1]}")
    failpoint("champion_mirrored")
    return version


def attach_card(uri: str, product: str, digest: str, texts: Mapping[str, str], description: str) -> str | None:
    """Keep texts (file name → content) with a model's run, describe its version, and return that; None where it has none.

    Raises StoreError where MLflow does not answer.
    """
    mlflow = reached_at(uri)
    with answering():
        version = version_of(product, digest)
        if version:
            client = mlflow.MlflowClient()
            run = client.get_model_version(product, version).run_id
            for name, text in texts.items():
                client.log_text(run, text, name)
            client.update_model_version(product, version, description)
    return version


@answering()
def finish(end: End) -> None:
    """End the active run with the status that is true; raises StoreError where MLflow does not answer."""
    import mlflow

    mlflow.end_run(end)
    failpoint("mlflow_finished")


def version_of(product: str, digest: str) -> str | None:
    """Return the version under which a model is registered; MLflow is set to talk to its store already."""
    import mlflow

    client = mlflow.MlflowClient()
    found = client.search_model_versions(f"name = '{product}'")
    # The first one: whoever registers another version by hand may give it the same tag.
    own = [int(v.version) for v in found if v.tags.get(DIGEST_TAG) == digest]
    return str(min(own)) if own else None
