"""The sensor daemon is killed in the middle of its ticks: nothing that landed is lost, and nothing is asked for twice."""

import multiprocessing.process
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from itertools import cycle, islice
from pathlib import Path

import dagster as dg
import pytest
import yaml

from headrace.automation.looks.sensors import RANGE_END, RANGE_START, TRAINING
from headrace.project import Project
from platform_tests.end_to_end.shop import START, land_days, make_project
from platform_tests.end_to_end.test_crash import environment, materialize, wait_for
from platform_tests.end_to_end.ticks import DAGSTERS_OWN, ENDED, ROOT, Daemon, die_at, look_for, start, work_off

pytestmark = pytest.mark.slow
SHOPS, KILLS_EACH = 10, 10
ROWS = 5
LONGEST_TICK_S = 0.5
IN_PROCESS = {"module": "dagster._core.launcher.sync_in_memory_run_launcher", "class": "SyncInMemoryRunLauncher"}


@contextmanager
def code_server(project: Project, env: dict[str, str]) -> Iterator[Daemon]:
    """Serve the project's code for a while, and yield the daemon that may ask it; loading it takes seconds, so all ticks share it."""
    socket = f"/tmp/headrace-{os.getpid()}-{project.root.name}.sock"
    serve = ["dagster", "api", "grpc", "-m", "definitions", "-d", "platform", "-s", socket]
    with subprocess.Popen([sys.executable, "-m", *serve], cwd=project.root, env=env) as server:
        try:
            wait_for(Path(socket).exists, "the code server to listen", 120)
            yield Daemon(project.root, project.place.home / "dagster", socket, "shop__files")
        finally:
            server.kill()
            Path(socket).unlink(missing_ok=True)


def land(project: Project, day: int) -> None:
    """Land a day that is settled already."""
    land_days(project.root, day, day, rows=ROWS)
    os.utime(project.root / "landing/orders" / f"{START + timedelta(days=day)}.csv", (day + 1, day + 1))


def ended(process: multiprocessing.process.BaseProcess, deadline_s: float = 180) -> int | None:
    process.join(deadline_s)
    return process.exitcode


@pytest.fixture(autouse=True)
def paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes of their own find what these tests import."""
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "platform"), str(ROOT)]))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(make_project(tmp_path / "shop"))
    environment(project)
    monkeypatch.setenv("DAGSTER_HOME", str(project.place.home / "dagster"))
    return project


def shop_of_data(root: Path) -> Project:
    """Return a shop that takes files and judges them, and runs what is asked for in the process that asks."""
    project = Project(make_project(root))
    file = root / "platform/products/shop/defs.yaml"
    file.write_text(file.read_text().split("  features:")[0])
    settings = yaml.safe_load((root / "dagster.yaml").read_text()) | {"run_launcher": IN_PROCESS}
    (root / "dagster.yaml").write_text(yaml.safe_dump(settings))
    return project


def points(seed: int) -> Iterator[str | float]:
    """Yield where to kill: each point of a tick in turn, and a moment at random."""
    chance = random.Random(seed)
    for point in cycle([*DAGSTERS_OWN, ENDED, 0.0]):
        yield point or chance.uniform(0, LONGEST_TICK_S)


def kill_again_and_again(project: Project, daemon: Daemon, seed: int) -> int:
    """Kill the daemon while a day after the other lands, then let it work everything off; return how often it was killed."""
    killed = 0
    for day, point in enumerate(islice(points(seed), seed % 7, seed % 7 + KILLS_EACH)):
        land(project, day)
        killed += ended(start(die_at, daemon, point)) == -signal.SIGKILL
    assert ended(start(work_off, daemon), 600) == 0
    return killed


def test_a_hundred_kills_lose_no_file_take_none_twice_and_ask_for_no_run_twice(tmp_path: Path) -> None:
    shops = [shop_of_data(tmp_path / f"shop{number}") for number in range(SHOPS)]
    with ExitStack() as stack, ThreadPoolExecutor(SHOPS) as at_once:
        servers = [code_server(shop, environment(shop)) for shop in shops]
        daemons = list(at_once.map(stack.enter_context, servers))
        killed = list(at_once.map(kill_again_and_again, shops, daemons, range(SHOPS)))
    assert sum(killed) == SHOPS * KILLS_EACH
    for shop, daemon in zip(shops, daemons, strict=True):
        everything_was_taken_once(shop, daemon)


def everything_was_taken_once(project: Project, daemon: Daemon) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(daemon.home))
        with dg.DagsterInstance.get() as instance:
            runs = list(instance.get_runs())
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert set(Counter(run.tags["dagster/run_key"] for run in runs).values()) == {1}
    assert {START + timedelta(days=day) for day in range(KILLS_EACH)} <= {day for run in runs for day in days_of(run)}
    _, site = project.load("shop")
    for layer in ("raw", "validated"):
        orders = site.tables.read(f"shop/{layer}/orders")["order_id"].to_pylist()
        assert len(orders) == len(set(orders)) == KILLS_EACH * ROWS


def days_of(run: dg.DagsterRun) -> list[date]:
    first, last = (date.fromisoformat(run.tags[end]) for end in (RANGE_START, RANGE_END))
    return [first + timedelta(days=i) for i in range((last - first).days + 1)]


def test_a_training_that_was_written_down_and_not_launched_is_launched_once(shop: Project) -> None:
    land_days(shop.root, 0, 29)
    assert materialize(shop, 'key:"shop/raw/orders" or key:"shop/validated/orders"') == 0
    shutil.rmtree(shop.root / "landing/orders")  # or the daemon would ask for these, and train afterwards
    # The first log to be written is that of decisions, the second that of trainings.
    with code_server(shop, environment(shop, FAILPOINT="log_published:2")) as daemon:
        assert ended(start(look_for, daemon, 15.0)) == 0
    _, site = shop.load("shop")
    assert len(site.trainings.entries()) == 1
    with code_server(shop, environment(shop)) as daemon:
        assert ended(start(look_for, daemon, 15.0)) == 0
    with dg.DagsterInstance.get() as instance:
        launched = [run.tags[TRAINING] for run in instance.get_runs() if TRAINING in run.tags]
    assert [str(entry["number"]) for entry in site.trainings.entries()] == launched == ["1"]
