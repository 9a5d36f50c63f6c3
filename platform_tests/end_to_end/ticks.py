"""A sensor daemon in processes that live for a moment: each is forked from one that has loaded Dagster, and dies where it is told to."""

import json
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.scheduler.instigation import InstigatorState, SensorInstigatorData, TickStatus
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._daemon.sensor import execute_sensor_iteration

ROOT = Path(__file__).parents[2]
DAGSTERS_OWN = ["TICK_CREATED", "TICK_HELD", "RUN_IDS_RESERVED", "RUN_CREATED", "RUN_LAUNCHED"]
"""Where Dagster itself lets a test kill its sensor daemon, in the order of a tick."""
ENDED = "ENDED"
"""The cursor is stored, the tick is over."""
INTERVAL_S = 5.0
LOG = logging.getLogger("ticks")


@dataclass(frozen=True)
class Daemon:
    """Where a sensor daemon works: a project, its Dagster instance, and the server of its code."""

    root: Path
    home: Path
    socket: str
    sensor: str

    @contextmanager
    def working(self) -> Iterator[WorkspaceProcessContext]:
        """Be that daemon."""
        os.environ["DAGSTER_HOME"] = str(self.home)
        os.chdir(self.root)
        target = GrpcServerTarget("localhost", None, self.socket, "platform")
        with DagsterInstance.get() as instance, WorkspaceProcessContext(instance, target) as workspace:
            yield workspace


def start(work: Callable[..., None], *args: object) -> ForkServerProcess:
    """Start work in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=work, args=args)
    process.start()
    return process


def die_at(daemon: Daemon, point: str | float) -> None:
    """Look until this process dies at a point of a tick, or some seconds after one began."""
    with daemon.working() as workspace:
        while True:
            wait_until_due(workspace.instance, daemon.sensor)
            if isinstance(point, float):
                threading.Timer(point, os.kill, (os.getpid(), signal.SIGKILL)).start()
            look(workspace, {daemon.sensor: {str(point): signal.SIGKILL}} if point in DAGSTERS_OWN else {})
            if point == ENDED:
                os.kill(os.getpid(), signal.SIGKILL)


def look_for(daemon: Daemon, seconds: float) -> None:
    """Let the sensors look for a while."""
    with daemon.working() as workspace:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            look(workspace, {})
            time.sleep(0.2)


def work_off(daemon: Daemon) -> None:
    """Look, and run what was asked for in this process, until nothing is asked for any more."""
    with daemon.working() as workspace:
        queue = QueuedRunCoordinatorDaemon(interval_seconds=1)
        while not is_quiet(workspace.instance, daemon.sensor):
            wait_until_due(workspace.instance, daemon.sensor)
            look(workspace, {})
            while workspace.instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.QUEUED])):
                list(queue.run_iteration(workspace))


def look(workspace: WorkspaceProcessContext, flags: dict[str, dict[str, signal.Signals]]) -> None:
    """Let each sensor that is due look once."""
    list(execute_sensor_iteration(workspace, LOG, None, None, None, flags))  # type: ignore[arg-type]


def wait_until_due(instance: DagsterInstance, sensor: str) -> None:
    """Wait until a sensor may look again: Dagster spaces its ticks."""
    while (state := state_of(instance, sensor)) and time.time() - last_look(state) <= INTERVAL_S:
        time.sleep(0.05)


def state_of(instance: DagsterInstance, sensor: str) -> InstigatorState | None:
    return next((state for state in instance.all_instigator_state() if state.name == sensor), None)


def last_look(state: InstigatorState) -> float:
    data = state.instigator_data
    assert isinstance(data, SensorInstigatorData)
    return max(data.last_tick_timestamp or 0, data.last_tick_start_timestamp or 0)


def is_quiet(instance: DagsterInstance, sensor: str) -> bool:
    """Return whether the last look found nothing, and waits for nothing that was asked for."""
    state = state_of(instance, sensor)
    if state is None:
        return False
    (tick,) = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1) or [None]
    data = state.instigator_data
    assert isinstance(data, SensorInstigatorData)
    asks = json.loads(data.cursor or "{}").get("asks", [])
    return tick is not None and tick.status == TickStatus.SKIPPED and not asks
