"""Measures what a look of the sensors costs that decides nothing: in one product, and over many of them in one platform.

Usage: python -m benchmarks.ticks [products] [seconds of the daemon]. One product is trained in this process and copied under
other names: declaration, tables, logs, and what its checks said. A look is Dagster's own `evaluate_tick` on an instance on
disk. Beside it stands an empty sensor, looked at in the same run: what Dagster itself takes. Then, where seconds are given, a
real daemon works over all of them, on a code server that stays, as `dagster dev` has one; its own record of ticks is read. Each
sensor knows what it has seen in the looks before: the copies never ran, and their first look would ask for a run. The daemon's
first round over assets, which writes of each how fresh it is, is waited for. Beside how often a daemon looks stands how often the
sensor asks for it, and whether the daemon keeps up.
"""

import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, SensorInstigatorData, TickStatus

from headrace.demo.run import daemon
from headrace.product import build, loop_of
from headrace.project import Project
from headrace.starter.start import start_project

FIRST = "returns"
LIMIT_MS = 100.0
ROUNDS = 5
ROUND_S = 5
"""The daemon begins a round that often at most: a look may be that much later than asked for."""
FRESHNESS_S = 300
"""How often the daemon asks how fresh each asset is, as docs/how-to.md tells for many products."""
KEPT = ("tables", "logs", "witness", "ledger")


def main(products: int, seconds: float) -> None:
    """Print what a look takes, what a round over all products takes, and what a daemon does in some seconds."""
    for name in ("DAGSTER_HOME", "HEADRACE_HOME"):
        os.environ.pop(name, None)
    os.environ["FRESHNESS_DAEMON_INTERVAL_SECONDS"] = str(FRESHNESS_S)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "platform"
        start_project(root)
        project = Project(root)
        project.instance_home()
        with dg.DagsterInstance.get() as instance:
            _train(project, instance)
            names = [FIRST, *(f"{FIRST}_{number}" for number in range(1, products))]
            _copy(project, instance, names[1:])
            cursors = _looks(project, instance, names)
            if seconds:
                _daemon(project, instance, seconds, cursors, _assets(project, names))


def _train(project: Project, instance: dg.DagsterInstance) -> None:
    declared, site = project.load(FIRST)
    loop, definitions = loop_of(declared, site), build(declared, site)
    job = definitions.resolve_implicit_global_asset_job_def()
    days = {"start": str(site.product.start), "end": str(loop.newest_day())}
    tags = {f"dagster/asset_partition_range_{end}": day for end, day in days.items()}
    for keys in (loop.data_keys(loop.sources), loop.model_keys, loop.live_keys):
        chosen = job.get_subset(asset_selection={dg.AssetKey(key) for key in keys})
        assert chosen.execute_in_process(instance=instance, tags=tags).success


def _copy(project: Project, instance: dg.DagsterInstance, names: list[str]) -> None:
    """Give other products the first one's folder, files and checks; models are named by their content, and shared."""
    home, products = project.place.home, project.root / "platform" / "products"
    records = [path for path in project.place.models.glob("records/*/*") if f".{FIRST}." in path.name]
    checks = _checks(project, instance)
    for name in names:
        shutil.copytree(products / FIRST, products / name)
        defs = products / name / "defs.yaml"
        defs.write_text(defs.read_text().replace(f"product: {FIRST}\n", f"product: {name}\n"))
        for kept in KEPT:
            if (home / kept / FIRST).exists():
                shutil.copytree(home / kept / FIRST, home / kept / name)
        for path in records:
            shutil.copyfile(path, path.with_name(path.name.replace(f".{FIRST}.", f".{name}.")))
        for said in checks:
            key = dg.AssetKey([name, *said.asset_key.path[1:]])
            instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    asset_key=key,
                    check_name=said.check_name,
                    passed=said.passed,
                    metadata=said.metadata,
                    severity=said.severity,
                )
            )


def _checks(project: Project, instance: dg.DagsterInstance) -> list[dg.AssetCheckEvaluation]:
    keys = list(build(*project.load(FIRST)).get_repository_def().asset_graph.asset_check_keys)
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    said = [record.event.dagster_event.event_specific_data for record in found.values() if record.event]  # type: ignore[union-attr]
    return [one for one in said if isinstance(one, dg.AssetCheckEvaluation)]


def _assets(project: Project, names: list[str]) -> list[dg.AssetKey]:
    """Return the assets of all products, each with those of the first."""
    graph = build(*project.load(FIRST)).get_repository_def().asset_graph
    return [dg.AssetKey([name, *key.path[1:]]) for name in names for key in graph.get_all_asset_keys()]


def _looks(project: Project, instance: dg.DagsterInstance, names: list[str]) -> dict[str, str | None]:
    """Print what looks take, and return the cursor that each sensor has then."""
    began = time.process_time()
    repositories = {name: build(*project.load(name)).get_repository_def() for name in names}
    print(f"{len(names)} products; loaded in {time.process_time() - began:.1f} s of processor time")

    @dg.sensor(name="empty", job_name="none")
    def empty() -> dg.SkipReason:
        return dg.SkipReason("nothing")

    sensors = [(r, s) for r in repositories.values() for s in r.sensor_defs]
    cursors: dict[str, str | None] = {}
    rounds = [[_look(instance, r, s, cursors) for r, s in sensors] for _ in range(ROUNDS + 1)][1:]
    for kind in dict.fromkeys(s.name.rpartition("__")[2] for _, s in sensors):
        own = [[t for t, (_, s) in zip(took, sensors, strict=True) if s.name.endswith(kind)] for took in rounds]
        wall, cpu = (sorted(t[n] for took in own for t in took) for n in (0, 1))
        last, verdict = wall[int(len(wall) * 0.99)], "holds" if statistics.median(wall) < LIMIT_MS else "FAILS"
        print(
            f"  {kind:<10} median {statistics.median(wall):6.1f} ms, p99 {last:7.1f} ms, "
            f"processor {statistics.median(cpu):5.1f} ms; {verdict}: under {LIMIT_MS:.0f} ms"
        )
    nothing = [_look(instance, next(iter(repositories.values())), empty, {}) for _ in range(50)]
    print(f"  {'empty':<10} median {statistics.median(t[0] for t in nothing):6.1f} ms")
    walls, cpus = ([sum(t[n] for t in took) / 1000 for took in rounds] for n in (0, 1))
    print(
        f"  a round over {len(sensors)} sensors: {statistics.median(walls):.1f} s, {statistics.median(cpus):.1f} s of one processor"
    )
    return cursors


def _look(
    instance: dg.DagsterInstance, repository: Any, sensor: Any, cursors: dict[str, str | None]
) -> tuple[float, float]:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursors.get(sensor.name), repository_def=repository, sensor_name=sensor.name
    )
    wall, cpu = time.perf_counter(), time.process_time()
    answer = sensor.evaluate_tick(context)
    took = (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3
    cursors[sensor.name] = answer.cursor or cursors.get(sensor.name)
    return took


def _daemon(
    project: Project,
    instance: dg.DagsterInstance,
    seconds: float,
    cursors: dict[str, str | None],
    assets: list[dg.AssetKey],
) -> None:
    """Print how often a real daemon looks by each sensor, how long a look takes, and the processor time of daemon and code server."""
    log = project.place.home / "daemon.log"
    with _code_server(project) as (server, workspace):
        with daemon(project.root, log, workspace):
            _wait_for_looks(instance, 0.0)
            _wait_for_freshness(instance, assets)
        _remember(instance, cursors)
        began = time.time()
        with daemon(project.root, log, workspace) as process:
            _wait_for_looks(instance, began)
            began, used = time.time(), _used_by(process.pid) + _used_by(server.pid)
            time.sleep(seconds)
            spent, passed = _used_by(process.pid) + _used_by(server.pid) - used, time.time() - began
    states = [s for s in instance.all_instigator_state() if s.instigator_name in cursors]
    looks: dict[str, list[InstigatorTick]] = {}
    for state in states:
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, after=began, before=began + passed)
        kind = state.instigator_name.rpartition("__")[2]
        looks.setdefault(kind, []).extend(t for t in ticks if t.end_timestamp and t.status != TickStatus.STARTED)
    sensors = build(*project.load(FIRST)).get_repository_def().sensor_defs
    asked = {s.name.rpartition("__")[2]: s.minimum_interval_seconds or 0 for s in sensors}
    for kind, made in looks.items():
        took = [((tick.end_timestamp or 0) - tick.timestamp) * 1e3 for tick in made]
        number = sum(s.instigator_name.endswith(f"__{kind}") for s in states)
        failed = sum(tick.status == TickStatus.FAILURE for tick in made)
        every = passed * number / len(made) if made else math.inf
        verdict = "holds" if every < asked[kind] + ROUND_S and not failed else "FAILS"
        print(
            f"  daemon: {kind:<10} {len(made)} looks in {passed:.0f} s, {failed} failed, {statistics.median(took or [0]):.0f} ms in the middle; "
            f"each of {number} about every {every:.0f} s; {verdict}: every {asked[kind]} s"
        )
    print(f"  daemon and code server: {spent / passed:.2f} processors busy")


@contextmanager
def _code_server(project: Project) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """Yield a process that has loaded all products, and the workspace that leads to it."""
    socket, workspace = project.place.home / "code.sock", project.place.home / "workspace.yaml"
    workspace.write_text(f"load_from: [{{grpc_server: {{socket: {socket}, location_name: platform}}}}]\n")
    told = ["-m", "definitions", "-d", "platform", "--socket", str(socket), "--location-name", "platform"]
    program = str(Path(sys.executable).parent / "dagster")
    with (project.place.home / "code.log").open("ab") as words:
        began = time.monotonic()
        server = subprocess.Popen([program, "api", "grpc", *told], cwd=project.root, stdout=words, stderr=words)
        try:
            while not socket.exists():
                if server.poll() is not None or time.monotonic() > began + 900:
                    raise SystemExit(f"the code server does not come up: {project.place.home / 'code.log'}")
                time.sleep(0.2)
            print(f"  code server: up after {time.monotonic() - began:.0f} s")
            yield server, str(workspace)
        finally:
            # Asked to end, it first waits for whoever may still ask.
            server.kill()
            server.wait(60)


def _remember(instance: dg.DagsterInstance, cursors: dict[str, str | None]) -> None:
    """Let the daemon's sensors go on from where those of this process have come."""
    known = {state.instigator_name: state for state in instance.all_instigator_state()}
    one = next(state for name, state in known.items() if name in cursors)
    for name, cursor in cursors.items():
        state = InstigatorState(
            one.origin._replace(instigator_name=name),
            one.instigator_type,
            one.status,
            SensorInstigatorData(cursor=cursor),
        )
        (instance.update_instigator_state if name in known else instance.add_instigator_state)(state)


def _wait_for_looks(instance: dg.DagsterInstance, since: float) -> None:
    deadline = time.monotonic() + 900
    while not any(
        isinstance(state.instigator_data, SensorInstigatorData)
        and (state.instigator_data.last_tick_timestamp or 0.0) > since
        for state in instance.all_instigator_state()
    ):
        if time.monotonic() > deadline:
            raise SystemExit("the daemon has not looked at anything for 15 minutes")
        time.sleep(1)


def _wait_for_freshness(instance: dg.DagsterInstance, assets: list[dg.AssetKey]) -> None:
    """Wait until Dagster has written down of each asset how fresh it is, which it does once for one that it sees first."""
    began = time.monotonic()
    while len(instance.event_log_storage.get_freshness_state_records(assets)) < len(assets):
        if time.monotonic() > began + 900:
            raise SystemExit("the daemon has not told of all assets how fresh they are in 15 minutes")
        time.sleep(5)
    print(f"  daemon: of {len(assets)} assets it is known how fresh they are after {time.monotonic() - began:.0f} s")


def _used_by(pid: int) -> float:
    """Return the processor seconds of a process and of all below it, by /proc."""
    ticks, parents = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        if path.exists():
            words = path.read_text().rpartition(")")[2].split()
            ticks[int(path.parent.name)] = sum(map(int, words[11:15]))
            parents[int(path.parent.name)] = int(words[1])
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(ticks.get(one, 0) for one in family) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200, float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
