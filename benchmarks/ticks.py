"""Measures what a look of the sensors costs that decides nothing: in one product, and over many of them in one platform.

Usage: python -m benchmarks.ticks [products] [seconds of the daemon]. One product is trained in this process and copied under
other names: declaration, tables, logs, and what its checks said. A look is Dagster's own `evaluate_tick` on an instance on
disk. Beside it stands an empty sensor, looked at in the same run: what Dagster itself takes. Then, where seconds are given, a
real daemon works over all of them, and its own record of ticks is read.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.scheduler.instigation import TickStatus

from headrace.demo.run import daemon
from headrace.product import build, loop_of
from headrace.project import Project
from headrace.starter.start import start_project

FIRST = "returns"
LIMIT_MS = 100.0
ROUNDS = 5
KEPT = ("tables", "logs", "witness", "ledger")


def main(products: int, seconds: float) -> None:
    """Print what a look takes, what a round over all products takes, and what a daemon does in some seconds."""
    for name in ("DAGSTER_HOME", "HEADRACE_HOME"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "platform"
        start_project(root)
        project = Project(root)
        project.instance_home()
        with dg.DagsterInstance.get() as instance:
            _train(project, instance)
            names = [FIRST, *(f"{FIRST}_{number}" for number in range(1, products))]
            _copy(project, instance, names[1:])
            _looks(project, instance, names)
            if seconds:
                _daemon(project, instance, seconds)


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


def _looks(project: Project, instance: dg.DagsterInstance, names: list[str]) -> None:
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


def _daemon(project: Project, instance: dg.DagsterInstance, seconds: float) -> None:
    """Print how often a real daemon looks by each sensor, how long a look takes, and the processor time of all its processes."""
    log = project.place.home / "daemon.log"
    with daemon(project.root, log) as process:
        _wait_for_ticks(instance)
        began, used = time.time(), _used_by(process.pid)
        time.sleep(seconds)
        spent, passed = _used_by(process.pid) - used, time.time() - began
        states = [s for s in instance.all_instigator_state() if "__" in s.instigator_name]
        ticks = [
            tick
            for s in states
            for tick in instance.get_ticks(s.instigator_origin_id, s.selector_id, after=began)
            if tick.end_timestamp and tick.status != TickStatus.STARTED
        ]
    took = sorted((tick.end_timestamp or 0) - tick.timestamp for tick in ticks)
    failed = sum(tick.status == TickStatus.FAILURE for tick in ticks)
    each = passed * len(states) / max(1, len(ticks))
    print(
        f"  daemon: {len(ticks)} looks in {passed:.0f} s, {failed} failed; each of {len(states)} about every {each:.1f} s"
    )
    print(
        f"  daemon: a look takes {statistics.median(took) * 1e3:.0f} ms in the middle; {spent / passed:.2f} processors busy"
    )


def _wait_for_ticks(instance: dg.DagsterInstance) -> None:
    deadline = time.monotonic() + 900
    while not any("__" in state.instigator_name for state in instance.all_instigator_state()):
        if time.monotonic() > deadline:
            raise SystemExit("the daemon has not looked at anything for 15 minutes")
        time.sleep(1)


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
