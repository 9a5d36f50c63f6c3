"""What is edited or lands makes again exactly what it affects; what says the same makes nothing again."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from headrace.automation.looks.sensors import RANGE_END, RANGE_START
from headrace.automation.plan import plan
from headrace.core.recipe import ALL
from headrace.product import build
from headrace.project import Project
from headrace.recipes import recipes_of
from platform_tests.end_to_end.shop import land_days, make_project

ENGINE = Path(__file__).parents[2] / "platform" / "headrace"
DAYS = [f"2024-01-{day:02d}" for day in range(1, 13)]
DATA = ["raw/orders", "validated/orders", "features/habit", "training/set"]
Planned = dict[str, list[str]]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(make_project(tmp_path / "shop"))
    land_days(project.root, 0, len(DAYS) - 1, rows=20)
    return project


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def make(project: Project, instance: dg.DagsterInstance, *names: str) -> Planned:
    """Materialize assets over all days; return which days of which were made."""
    job = build(*project.load("shop")).resolve_implicit_global_asset_job_def()
    keys = {dg.AssetKey(["shop", *name.split("/")]) for name in names}
    tags = {RANGE_START: DAYS[0], RANGE_END: DAYS[-1]}
    result = job.get_subset(asset_selection=keys).execute_in_process(instance=instance, tags=tags)
    found: Planned = {}
    for event in result.get_asset_materialization_events():
        assert event.asset_key
        name = "/".join(event.asset_key.path[1:])
        if name in DATA:
            found.setdefault(name, []).append(event.partition or ALL)
    return {name: sorted(days) for name, days in found.items()}


def planned(project: Project, *, certain: bool = True) -> Planned:
    declared, site = project.load("shop")
    found = plan(site, declared.sources, list(recipes_of(declared, site)))
    listed = {p.table.removeprefix("shop/"): list(p.days) for p in found if p.certain or not certain}
    return {name: days for name, days in listed.items() if name in DATA}


def stale(project: Project, instance: dg.DagsterInstance) -> Planned:
    """Return what Dagster's own view calls stale or missing."""
    graph = build(*project.load("shop")).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    found: Planned = {}
    for name in DATA:
        key = dg.AssetKey(["shop", *name.split("/")])
        for day in DAYS if graph.get(key).is_partitioned else [None]:
            if resolver.get_status(key, day) != StaleStatus.FRESH:
                found.setdefault(name, []).append(day or ALL)
    return found


def edit_day(project: Project, day: int, old: str, new: str) -> None:
    path = project.root / "landing" / "orders" / f"{DAYS[day]}.csv"
    lines = path.read_text().splitlines()
    assert old in lines[1]
    path.write_text("\n".join([lines[0], lines[1].replace(old, new, 1), *lines[2:]]) + "\n")


def layer_by_layer(project: Project, instance: dg.DagsterInstance) -> Iterator[Planned]:
    """Make one layer after the other, each as planned and as Dagster sees it, and yield what was made of it."""
    for name in DATA[1:]:
        expected = {table: days for table, days in planned(project).items() if table == name}
        seen = {table: days for table, days in stale(project, instance).items() if table == name}
        # Dagster itself does not look at the days behind an asset that has none: it calls the training set fresh.
        assert seen == (expected if name != "training/set" else {})
        assert make(project, instance, name) == expected
        yield expected
    assert planned(project, certain=False) == {}
    assert stale(project, instance) == {}


@pytest.mark.slow
def test_one_changed_cell_makes_its_day_again_and_the_days_that_look_at_it(
    project: Project, instance: dg.DagsterInstance
) -> None:
    assert set(make(project, instance, *DATA)) == set(DATA)
    assert make(project, instance, *DATA) == {}
    edit_day(project, 4, lines_amount(project, 4), "77.77")
    assert planned(project) == {"raw/orders": []}
    assert make(project, instance, "raw/orders") == {"raw/orders": DAYS[4:5]}
    validated, features, training = layer_by_layer(project, instance)
    assert validated == {"validated/orders": DAYS[4:5]}
    # A window of three days: the day itself, the day before (an event may lie in it), three days and one on.
    assert features == {"features/habit": DAYS[3:9]}
    assert training == {"training/set": [ALL]}


@pytest.mark.slow
def test_a_late_row_makes_its_own_day_again_and_one_that_only_looks_different_nothing_downstream(
    project: Project, instance: dg.DagsterInstance
) -> None:
    make(project, instance, *DATA)
    folder = project.root / "landing" / "orders"
    header, row = (folder / f"{DAYS[2]}.csv").read_text().splitlines()[:2]
    (folder / "late.csv").write_text(f"{header}\n{row.replace(DAYS[2] + '-0', DAYS[2] + '-late', 1)}\n")
    assert make(project, instance, "raw/orders") == {"raw/orders": DAYS[2:3]}
    assert next(iter(layer_by_layer(project, instance))) == {"validated/orders": DAYS[2:3]}
    make(project, instance, *DATA)

    amount = lines_amount(project, 6)
    edit_day(project, 6, amount, f"{amount}0")
    assert make(project, instance, *DATA) == {"raw/orders": DAYS[6:7], "validated/orders": DAYS[6:7]}
    assert stale(project, instance) == {}


@pytest.mark.slow
def test_files_that_land_again_as_they_were_make_nothing(project: Project, instance: dg.DagsterInstance) -> None:
    make(project, instance, *DATA)
    folder = project.root / "landing" / "orders"
    for file in list(folder.iterdir()):
        os.utime(file)
    shutil.copyfile(folder / f"{DAYS[0]}.csv", folder / "copy.csv")
    assert planned(project, certain=False) == {}
    assert make(project, instance, *DATA) == {}


@pytest.mark.slow
def test_what_was_made_and_never_reported_is_reported_and_not_made_again(
    project: Project, instance: dg.DagsterInstance
) -> None:
    made = make(project, instance, *DATA)
    _, site = project.load("shop")
    versions = {name: site.tables.version(f"shop/{name}") for name in DATA}
    with dg.DagsterInstance.ephemeral() as other:
        assert make(project, other, *DATA) == made
        assert stale(project, other) == {}
        assert make(project, other, *DATA) == {}
    assert {name: site.tables.version(f"shop/{name}") for name in DATA} == versions


def test_days_that_were_skipped_are_not_called_failed_when_a_later_step_fails(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS", "true")  # as our event log does
    make(project, instance, *DATA)
    label = project.root / LABEL
    label.write_text(label.read_text().replace("from orders", "from orders where amount < 0"))
    job = build(*project.load("shop")).resolve_implicit_global_asset_job_def()
    keys = {dg.AssetKey(["shop", *name.split("/")]) for name in DATA}
    tags = {RANGE_START: DAYS[0], RANGE_END: DAYS[-1]}
    run = job.get_subset(asset_selection=keys).execute_in_process(instance=instance, tags=tags, raise_on_error=False)
    assert run.get_failed_step_keys() == {"shop__training__set"}
    storage = instance.event_log_storage
    for name in DATA[:3]:
        key = dg.AssetKey(["shop", *name.split("/")])
        assert not storage.get_latest_asset_partition_materialization_attempts_without_materializations(key)


def test_a_table_that_was_removed_is_made_again(project: Project, instance: dg.DagsterInstance) -> None:
    make(project, instance, *DATA)
    shutil.rmtree(project.place.tables / "shop" / "validated" / "orders")
    assert make(project, instance, *DATA) == {"validated/orders": DAYS}


def lines_amount(project: Project, day: int) -> str:
    path = project.root / "landing" / "orders" / f"{DAYS[day]}.csv"
    return path.read_text().splitlines()[1].split(",")[4]


DEFS, LABEL = "platform/products/shop/defs.yaml", "platform/products/shop/label.sql"
ALL_DAYS = sorted(DAYS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "again"),
    [
        pytest.param((LABEL, "from orders", "from orders where amount > 1.5"), {"training/set": [ALL]}, id="a literal in SQL"),
        pytest.param((DEFS, "over: [3d]", "over: [4d]"), {"features/habit": ALL_DAYS, "training/set": [ALL]}, id="a declared window"),
        pytest.param((DEFS, "{returned: settled_at}", "{returned: ordered_at}"), {"features/habit": ALL_DAYS, "training/set": [ALL]}, id="when a value is known"),
        pytest.param((DEFS, "  owner:", "  timezone: Europe/Berlin\n  owner:"), {"validated/orders": ALL_DAYS, "features/habit": ALL_DAYS, "training/set": [ALL]}, id="the time zone"),
        pytest.param((DEFS, "min: 0}", "min: 1}"), {"validated/orders": ALL_DAYS}, id="a rule of the contract"),
        pytest.param(("features/windows.py", '"decimal(38, 9)"', '"decimal(38, 8)"'), {"features/habit": ALL_DAYS}, id="a constant of a helper"),
        pytest.param(("contracts/cast.py", "|yes|no", "|yes|no|ja|nein"), {"validated/orders": ALL_DAYS}, id="the body of a helper"),
        pytest.param(("polars-99.9.dist-info", "", "Metadata-Version: 2.1\nName: polars\nVersion: 99.9\n"), {"validated/orders": ALL_DAYS, "features/habit": ALL_DAYS, "training/set": [ALL]}, id="a library"),
        pytest.param((LABEL, "from orders", "-- all of them\nFROM   orders"), {}, id="a comment and layout in SQL"),
        pytest.param((DEFS, "attributes:", "# what it is\nattributes:"), {}, id="a comment in YAML"),
        pytest.param(("features/compute.py", '    """Return the validated sources as views, by name."""', '    """Say it otherwise."""\n    # and more'), {}, id="comments and docstrings in Python"),
        pytest.param(("features/compute.py", "    file = feature.sql or feature.on_request or \"\"\n    return Statement(site.text(file), f\"{site.folder / file}\")", "    path = feature.sql or feature.on_request or \"\"\n    return Statement(site.text(path), f\"{site.folder / path}\")"), {}, id="the name of a local variable"),
    ],
)  # fmt: skip
def test_an_edit_makes_again_what_it_affects(
    project: Project, instance: dg.DagsterInstance, tmp_path: Path, edit: tuple[str, str, str], again: Planned
) -> None:
    make(project, instance, *DATA)
    file, old, new = edit
    engine = tmp_path / "engine"
    shutil.copytree(ENGINE, engine / "headrace")
    target = project.root / file if file.startswith("platform") else engine / "headrace" / file
    if file.endswith(".dist-info"):
        target = engine / file / "METADATA"
        target.parent.mkdir()
        target.write_text("")
    text = target.read_text()
    assert old in text
    target.write_text(text.replace(old, new, 1) if old else new)
    assert planned_by(engine, project) == again


def planned_by(engine: Path, project: Project) -> Planned:
    """Return what a copy of the engine plans, in a process of its own."""
    command = [sys.executable, "-m", "headrace.cli", "plan", "shop", "--json"]
    done = subprocess.run(
        command,
        cwd=project.root,
        env={**os.environ, "PYTHONPATH": str(engine)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    listed = {p["asset"].removeprefix("shop/"): p["days"] for p in found if p["certain"]}
    return {name: sorted(days) for name, days in listed.items() if name in DATA}
