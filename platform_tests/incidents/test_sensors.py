"""The sensor that keeps incidents, over real runs of a real product."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from dagster import DagsterRunStatus

from headrace.incidents.incident import Incident
from headrace.incidents.note import incidents
from headrace.product import build
from headrace.project import Project
from headrace.store.releases import Release
from headrace.store.site import Site
from platform_tests.end_to_end.shop import land_days, make_project

SPAN = {"dagster/asset_partition_range_start": "2024-01-01", "dagster/asset_partition_range_end": "2024-01-05"}
DATA = [("raw", "orders"), ("validated", "orders")]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = make_project(tmp_path / "shop")
    defs = root / "platform/products/shop/defs.yaml"
    defs.write_text(defs.read_text() + "  incidents: {recovered_after: 0m}\n")
    land_days(root, 0, 4, rows=5)
    return Project(root)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as made:
        yield made


def site_of(project: Project) -> Site:
    return project.load("shop")[1]


def look(project: Project, instance: dg.DagsterInstance, cursor: str | None = None) -> str:
    """Let the sensor look once, and return its cursor."""
    definitions = build(*project.load("shop")).get_repository_def()
    sensor = definitions.get_sensor_def("shop__incidents")
    context = dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=definitions)
    sensor.evaluate_tick(context)
    assert context.cursor
    return context.cursor


def run(project: Project, instance: dg.DagsterInstance, *assets: tuple[str, str]) -> dg.ExecuteInProcessResult:
    job = build(*project.load("shop")).resolve_implicit_global_asset_job_def()
    wanted = job.get_subset(asset_selection={dg.AssetKey(["shop", *asset]) for asset in assets})
    return wanted.execute_in_process(instance=instance, tags=SPAN, raise_on_error=False)


def spoil(project: Project) -> Path:
    """Land a file that no reader understands."""
    file = project.root / "landing" / "orders" / "2024-01-05.csv"
    file.write_text("order_id,customer\n1\n")
    os.utime(file, (1, 1))
    return file


def known(project: Project) -> list[Incident]:
    return incidents(site_of(project))


def test_a_check_that_fails_opens_an_incident_that_closes_when_it_passes_again(
    project: Project, instance: dg.DagsterInstance
) -> None:
    good = (project.root / "landing" / "orders" / "2024-01-05.csv").read_text()
    file = spoil(project)
    run(project, instance, *DATA[:1])
    cursor = look(project, instance)
    [one] = known(project)
    assert (one.kind, one.is_open, one.assets) == ("files", True, ("raw/orders",))
    assert one.opened.at == datetime(2024, 1, 6, tzinfo=UTC)
    assert look(project, instance, cursor)
    assert known(project) == [one]
    file.write_text(good)
    run(project, instance, *DATA[:1])
    look(project, instance, cursor)
    [one] = known(project)
    assert not one.is_open
    assert one.ending.startswith("It has passed since")


def test_nothing_is_skipped_and_nothing_is_twice_where_a_cursor_was_lost(
    project: Project, instance: dg.DagsterInstance
) -> None:
    spoil(project)
    for _ in range(3):
        run(project, instance, *DATA[:1])
    look(project, instance)
    look(project, instance)
    assert [one.alarms for one in known(project)] == [3]


def test_a_run_that_was_planned_first_and_speaks_last_is_heard(project: Project, instance: dg.DagsterInstance) -> None:
    job = build(*project.load("shop")).resolve_implicit_global_asset_job_def()
    raw = job.get_subset(asset_selection={dg.AssetKey(["shop", "raw", "orders"])})
    slow = instance.create_run_for_job(job_def=raw, tags=SPAN, status=DagsterRunStatus.STARTED)
    run(project, instance, *DATA[:1])
    cursor = look(project, instance)
    assert known(project) == []
    said = dg.AssetCheckEvaluation(
        dg.AssetKey(["shop", "raw", "orders"]), "files", False, {}, severity=dg.AssetCheckSeverity.ERROR
    )
    instance.report_dagster_event(run_id=slow.run_id, dagster_event=_event(raw, said))
    look(project, instance, cursor)
    assert [one.kind for one in known(project)] == ["files"]


def _event(job: dg.JobDefinition, said: dg.AssetCheckEvaluation) -> Any:
    return dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
        job_name=job.name,
        event_specific_data=said,
    )


def test_a_run_that_fails_is_an_incident_of_its_step_and_words_until_one_of_the_same_ends_well(
    project: Project, instance: dg.DagsterInstance
) -> None:
    site_of(project).tables.replace("shop/raw/orders", _other_columns())
    assert not run(project, instance, DATA[1]).success
    cursor = look(project, instance)
    [one] = [each for each in known(project) if each.kind == "failed_run"]
    assert one.assets == ("validated/orders",)
    assert not run(project, instance, DATA[1]).success
    cursor = look(project, instance, cursor)
    assert [each.alarms for each in known(project)] == [2]
    site_of(project).tables.replace("shop/raw/orders", _other_columns().slice(0, 0))
    for folder in ("tables", "ledger"):
        subprocess.run(["rm", "-rf", str(site_of(project).place.home / folder)], check=True)
    assert run(project, instance, *DATA).success
    look(project, instance, cursor)
    assert [each.is_open for each in known(project)] == [False]


def _other_columns() -> Any:
    return pa.table({"_file": ["a"], "_row": [1], "nothing": ["x"]})


def test_the_timeline_says_what_was_made_and_decided_before_and_which_contract_was_new(
    project: Project, instance: dg.DagsterInstance
) -> None:
    assert run(project, instance, *DATA).success
    defs = project.root / "platform/products/shop/defs.yaml"
    defs.write_text(defs.read_text().replace("amount: {type: double, min: 0}", "amount: {type: double, min: 1000}"))
    defs.write_text(
        defs.read_text().replace("    orders:\n      columns", "    orders:\n      max_bad: 0.01\n      columns")
    )
    decide(site_of(project), "released")
    run(project, instance, *DATA)
    look(project, instance)
    [one] = [each for each in known(project) if each.kind == "contract"]
    told = {line.of for line in one.timeline}
    assert {"materialized", "contract", "decision"} <= told
    assert any("raw/orders was made by run" in line.what for line in one.timeline)
    assert one.first_bad == datetime(2024, 1, 1, tzinfo=UTC)
    assert one.detected_in == timedelta(days=5)


def decide(site: Site, outcome: str, **more: Any) -> Release:
    after = len(site.releases.all("shop"))
    facts = {
        "outcome": outcome,
        "model": "a" * 64,
        "at": site.clock.now(),
        "who": "ada",
        "why": "a test",
        "evidence": {},
    }
    return site.releases.decide("shop", {**facts, **more}, after=after)


def test_a_refusal_by_a_gate_stays_open_until_a_model_is_released(
    project: Project, instance: dg.DagsterInstance
) -> None:
    site = site_of(project)
    gates = {"gates": [{"gate": "auc >= 0.6", "passed": False}, {"gate": "rows > 1", "passed": True}]}
    for _ in range(2):
        decide(site, "refused", evidence=gates)
    cursor = look(project, instance)
    [one] = known(project)
    assert (one.cause, one.alarms, one.is_open) == ("gate_failed:auc >= 0.6", 2, True)
    decide(site, "released")
    look(project, instance, cursor)
    assert not known(project)[0].is_open


def test_a_rollback_by_hand_is_an_incident_that_it_ends_itself(project: Project, instance: dg.DagsterInstance) -> None:
    site = site_of(project)
    first, second = decide(site, "released"), decide(site, "released", model="b" * 64)
    decide(site, "rolled back", replaces=second.number, back_to=first.number)
    look(project, instance)
    [one] = known(project)
    assert (one.kind, one.is_open, one.first_bad) == ("rolled_back", False, second.at)
    assert one.ending == "Release 1 is live again."


def test_a_no_that_a_person_has_said_is_nothing_that_failed(project: Project, instance: dg.DagsterInstance) -> None:
    decide(site_of(project), "refused", approver="ada")
    look(project, instance)
    assert known(project) == []


def test_a_look_that_cannot_be_had_says_why(project: Project, instance: dg.DagsterInstance) -> None:
    (project.root / "landing" / ".replay_clock").unlink()
    definitions = build(*project.load("shop")).get_repository_def()
    context = dg.build_sensor_context(instance=instance, repository_def=definitions)
    said = definitions.get_sensor_def("shop__incidents").evaluate_tick(context)
    assert "The replay clock has not started" in str(said.skip_message)


def headrace(project: Project, *words: str, check: bool = True) -> str:
    command = [sys.executable, "-m", "headrace.cli", "incidents", *words]
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=project.root, env=path, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == check, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_people_list_show_and_close_incidents(project: Project, instance: dg.DagsterInstance) -> None:
    assert headrace(project) == "shop: no incidents.\n"
    spoil(project)
    run(project, instance, *DATA[:1])
    look(project, instance)
    assert "1 incidents, 1 open" in headrace(project)
    assert "incident 1: files, open" in headrace(project, "show", "1")
    closed = json.loads(headrace(project, "close", "1", "--cause", "cut off by the mail", "--by", "ada", "--json"))
    assert (closed["open"], closed["closed_by"], closed["ending"]) == (False, "ada", "cut off by the mail")
    assert "was closed at" in headrace(project, "close", "1", "--cause", "again", check=False)
    assert [one["number"] for one in json.loads(headrace(project, "list", "--product", "shop", "--json"))] == [1]
    assert "No incident has the number 7; there are 1" in headrace(project, "show", "7", check=False)
