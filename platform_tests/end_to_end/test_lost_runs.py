"""After everything was killed, a restart fails the runs whose process is gone, and frees what they held."""

import signal
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster import DagsterRunStatus

from headrace.cli import main
from headrace.demo.run import daemon
from headrace.project import Project
from headrace.resources import RunLauncher, lost_process
from platform_tests.end_to_end.shop import land_days, make_project
from platform_tests.end_to_end.test_crash import materialize, wait_for

pytestmark = pytest.mark.slow
RAW = 'key:"shop/raw/orders"'


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    project = Project(make_project(tmp_path / "shop"))
    land_days(project.root, 0, 29)
    assert materialize(project, RAW, FAILPOINT="before_staging:1") == -signal.SIGKILL
    monkeypatch.setenv("DAGSTER_HOME", str(project.place.home / "dagster"))
    return project


def test_a_daemon_that_starts_fails_the_run_whose_process_is_gone_and_frees_its_pool(shop: Project) -> None:
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.run_launcher, RunLauncher)
        (run,) = instance.get_runs()
        assert run.status == DagsterRunStatus.STARTED
        assert lost_process(instance, run)
        slots = instance.event_log_storage
        slots.set_concurrency_slots("warehouse", 1)
        assert slots.claim_concurrency_slot("warehouse", run.run_id, "step").is_claimed

        def status() -> DagsterRunStatus | None:
            found = instance.get_run_by_id(run.run_id)
            return found.status if found else None

        with daemon(shop.root, shop.place.home / "daemon.log"):
            wait_for(lambda: status() == DagsterRunStatus.FAILURE, "the lost run to be failed", 90)
            wait_for(lambda: not slots.get_concurrency_info("warehouse").active_run_ids, "its slot to be freed", 90)
        failure = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)[0]
        assert "is gone: killed, or the machine stopped" in failure.message


def test_the_doctor_finds_the_lost_run_and_fails_it(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop.root)
    found = CliRunner().invoke(main, ["doctor"])
    assert found.exit_code == 1
    assert "Dagster calls it started, but its process" in found.output
    assert "fence 'shop/raw/orders" not in found.output  # files are taken under a lock, which a dead process lets go
    mended = CliRunner().invoke(main, ["doctor", "--mend"])
    assert (mended.exit_code, "mended" in mended.output) == (0, True)
    assert CliRunner().invoke(main, ["doctor"]).output == "Nothing is wrong.\n"
    with dg.DagsterInstance.get() as instance:
        assert [run.status for run in instance.get_runs()] == [DagsterRunStatus.FAILURE]
