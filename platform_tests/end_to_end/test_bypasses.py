"""Five ways round the gate, tried for real while Dagster's own daemon runs: each is refused, or noticed within a minute and mended."""

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import mlflow
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from headrace.core.errors import StoreError
from headrace.definitions import load_platform, watching
from headrace.demo.run import daemon, follow
from headrace.models.candidate import Candidate, remember, the_candidate
from headrace.project import Project
from headrace.store.log import Log
from headrace.store.site import Site
from platform_tests.end_to_end.shop import land_days, make_project
from platform_tests.waiting import eventually

pytestmark = pytest.mark.slow
A_MINUTE_S = 60
"""How long noticing and mending may take."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    project = Project(make_project(tmp_path / "shop"))
    monkeypatch.setenv("DAGSTER_HOME", str(project.instance_home()))
    return project


def within_a_minute(condition: Callable[[], bool], what: str) -> None:
    assert eventually(condition, A_MINUTE_S), f"not within a minute: {what}"


def test_no_way_round_the_gate_stays_unnoticed_for_a_minute(project: Project) -> None:
    _, site = project.load("shop")
    log = site.place.home / "daemon.log"
    with watching("shop") as watch, daemon(project.root, log) as process:
        land_days(project.root, 0, 29)
        follow(watch, process, lambda _: None, log)
        champion = live(site)
        assert champion
        name_another_candidate(site)
        by_materializing_the_champion_alone(project)
        by_a_backfill(project, watch.instance)
        assert live(site) == champion
        by_moving_the_alias(site, champion)
        by_writing_into_the_registry(site, champion)
        by_writing_into_the_log(site, champion)
        by_editing_the_model(site, champion)
        within_a_minute(lambda: all(word in alarms(watch.instance) for word in SAID), "the check said each of them")
    assert live(site) == champion
    assert site.releases.faults("shop") == []


GUARDED = dg.AssetCheckKey(dg.AssetKey(["shop", "model", "champion"]), "guarded")


SAID = ("stood at no version", "was registered by hand", "was written by hand", "The files of the live model")


def alarms(instance: dg.DagsterInstance) -> str:
    """Return what the guard's check failed for, of which one look may find several: it is written down only after that is mended."""
    said = instance.event_log_storage.get_asset_check_execution_history(GUARDED, limit=50)
    failed = [record.event for record in said if record.status.value == "FAILED"]
    told = [entry.dagster_event.asset_check_evaluation_data for entry in failed if entry and entry.dagster_event]
    return "\n".join(one.description or "" for one in told)


def live(site: Site) -> str | None:
    """Return the model that is live; None while the log is refused."""
    try:
        release = site.releases.live("shop")
    except StoreError:
        return None
    return release.model if release else None


def name_another_candidate(site: Site) -> None:
    """Let a model be the candidate that nobody has judged."""
    files = site.models.files(the_candidate(site).digest)
    worse = site.models.put({**files, "model.txt": files["model.txt"].replace(b"leaf_value=", b"leaf_value=-", 1)})
    remember(site, Candidate(worse, 0, datetime.now(UTC), "by hand"))


def by_materializing_the_champion_alone(project: Project) -> None:
    dagster = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "definitions", "-d", "platform"]
    select = ["--select", 'key:"shop/model/champion"']
    done = subprocess.run([*dagster, *select], cwd=project.root, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "was never evaluated" in done.stderr


def by_a_backfill(project: Project, instance: dg.DagsterInstance) -> None:
    graph = load_platform(project.root / "platform" / "products").resolve_asset_graph()
    backfill = PartitionBackfill.from_asset_partitions(
        asset_graph=graph,
        backfill_id="roundabout",
        tags={},
        backfill_timestamp=time.time(),
        asset_selection=[dg.AssetKey(["shop", "model", "champion"])],
        partition_names=None,
        dynamic_partitions_store=instance,
        all_partitions=True,
        title=None,
        description=None,
        run_config=None,
    )
    instance.add_backfill(backfill)
    ended = {BulkActionStatus.COMPLETED, BulkActionStatus.COMPLETED_FAILED, BulkActionStatus.FAILED}

    def is_over() -> bool:
        found = instance.get_backfill("roundabout")
        return found is not None and found.status in ended

    assert eventually(is_over, 3 * A_MINUTE_S), "the backfill does not end"
    runs = instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": "roundabout"}))
    assert [run.status for run in runs] == [dg.DagsterRunStatus.FAILURE]


def alias(site: Site) -> str | None:
    client = mlflow.MlflowClient(site.place.mlflow_uri)
    at = client.get_registered_model("shop").aliases.get("champion")
    return client.get_model_version("shop", str(at)).tags.get("headrace.digest") if at else None


def by_moving_the_alias(site: Site, champion: str) -> None:
    mlflow.MlflowClient(site.place.mlflow_uri).delete_registered_model_alias("shop", "champion")
    within_a_minute(lambda: alias(site) == champion, "the alias is back")


def by_writing_into_the_registry(site: Site, champion: str) -> None:
    client = mlflow.MlflowClient(site.place.mlflow_uri)
    elsewhere = (site.place.home / "elsewhere").as_uri()
    forged = client.create_model_version("shop", elsewhere, tags={"headrace.digest": "f" * 64})
    client.set_registered_model_alias("shop", "champion", forged.version)
    within_a_minute(lambda: alias(site) == champion, "the alias left what was registered by hand")
    within_a_minute(
        lambda: "headrace.verdict" in client.get_model_version("shop", forged.version).tags,
        "what was registered is marked",
    )


def by_writing_into_the_log(site: Site, champion: str) -> None:
    forged = Log(site.place.logs / "shop" / "releases")
    entries = forged.entries()
    forged.append({**entries[0], "model": the_candidate(site).digest}, after=len(entries))
    assert live(site) is None, "nothing is read from it"
    within_a_minute(lambda: live(site) == champion, "what was written is out of the log")


def by_editing_the_model(site: Site, champion: str) -> None:
    path = site.place.models / champion / "model.txt"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"leaf_value=", b"leaf_value=9", 1))
    within_a_minute(lambda: path.read_bytes() == whole, "the model's own bytes are back")
