"""The sensor daemon is killed in the middle of its ticks: nothing that landed is lost, and nothing is asked for twice."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import cycle, islice
from pathlib import Path

import dagster as dg
import pytest

from headrace.automation.sensors import RANGE_END, RANGE_START, TRAINING
from headrace.project import Project
from platform_tests.end_to_end.shop import START, land_days, make_project
from platform_tests.end_to_end.test_crash import environment, materialize, wait_for

pytestmark = pytest.mark.slow
KILLS = 15
POINTS = ["TICK_CREATED", "TICK_HELD", "RUN_IDS_RESERVED", "RUN_CREATED", "RUN_LAUNCHED"]
"""Where Dagster itself lets a test kill its sensor daemon."""
TICK = """
import logging, signal, sys, time
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._daemon.sensor import execute_sensor_iteration
point, socket = sys.argv[1], sys.argv[2]
target = GrpcServerTarget("localhost", None, socket, "platform")
flags = {"shop__files": {point: signal.SIGKILL}} if point else {}
with DagsterInstance.get() as instance:
    with WorkspaceProcessContext(instance, target) as workspace:
        end = time.monotonic() + (60 if point else 15)
        while time.monotonic() < end:
            list(execute_sensor_iteration(workspace, logging.getLogger("ticks"), None, None, None, flags))
            time.sleep(0.2)
"""


@contextmanager
def code_server(project: Project, **more: str) -> Iterator[str]:
    """Serve the project's code for a while, and yield the socket; loading it takes seconds, so all ticks share it."""
    socket = f"/tmp/headrace-{os.getpid()}.sock"
    serve = ["dagster", "api", "grpc", "-m", "definitions", "-d", "platform", "-s", socket]
    with subprocess.Popen([sys.executable, "-m", *serve], cwd=project.root, env=environment(project, **more)) as server:
        try:
            wait_for(Path(socket).exists, "the code server to listen", 120)
            yield socket
        finally:
            server.kill()
            Path(socket).unlink(missing_ok=True)


def tick(project: Project, socket: str, point: str = "") -> int:
    """Let the sensors look until the daemon dies at a point, or for a while, and return its exit code."""
    command = [sys.executable, "-c", TICK, point, socket]
    env = environment(project)
    return subprocess.run(command, cwd=project.root, env=env, stderr=subprocess.DEVNULL, check=False).returncode


def land(project: Project, day: int) -> None:
    """Land a day that is settled already."""
    land_days(project.root, day, day, rows=5)
    os.utime(project.root / "landing/orders" / f"{START + timedelta(days=day)}.csv", (day + 1, day + 1))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    project = Project(make_project(tmp_path / "shop"))
    environment(project)
    monkeypatch.setenv("DAGSTER_HOME", str(project.place.home / "dagster"))
    return project


def test_no_file_is_lost_and_no_run_is_asked_for_twice(shop: Project) -> None:
    killed = 0
    with code_server(shop) as socket:
        for day, point in enumerate(islice(cycle(POINTS), KILLS)):
            land(shop, day)
            killed += tick(shop, socket, point) == -signal.SIGKILL
        assert killed == KILLS
        assert tick(shop, socket) == 0
    with dg.DagsterInstance.get() as instance:
        runs = [run for run in instance.get_runs() if RANGE_START in run.tags and TRAINING not in run.tags]
    keys = Counter(run.tags["dagster/run_key"] for run in runs)
    asked = {
        first + timedelta(days=i)
        for run in runs
        for first, last in [[date.fromisoformat(run.tags[end]) for end in (RANGE_START, RANGE_END)]]
        for i in range((last - first).days + 1)
    }
    assert set(keys.values()) == {1}
    assert len(runs) <= KILLS
    assert {START + timedelta(days=day) for day in range(KILLS)} <= asked


def test_a_training_that_was_written_down_and_not_launched_is_launched_once(shop: Project) -> None:
    land_days(shop.root, 0, 29)
    assert materialize(shop, 'key:"shop/raw/orders" or key:"shop/validated/orders"') == 0
    shutil.rmtree(shop.root / "landing/orders")  # or the daemon would ask for these, and train afterwards
    with code_server(shop, FAILPOINT="log_published:1") as socket:
        assert tick(shop, socket) == 0
    _, site = shop.load("shop")
    assert len(site.trainings.entries()) == 1
    with code_server(shop) as socket:
        assert tick(shop, socket) == 0
    with dg.DagsterInstance.get() as instance:
        launched = [run.tags[TRAINING] for run in instance.get_runs() if TRAINING in run.tags]
    assert [str(entry["number"]) for entry in site.trainings.entries()] == launched == ["1"]
