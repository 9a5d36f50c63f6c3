"""What the sensors ask for: which days, how often, and nothing twice."""

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterRunStatus
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from headrace.automation.decide import Decision
from headrace.automation.looks.sensors import RANGE_END, RANGE_START, REASON, TRAINING, failed_checks, said_last
from headrace.automation.loop import Loop
from headrace.automation.memory import Memory
from headrace.core.days import Days
from headrace.product import build
from headrace.project import Project
from headrace.sources.ingest import ingest
from platform_tests.end_to_end.shop import land_days, make_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(make_project(tmp_path / "shop"))
    land_days(project.root, 0, 29, rows=5)
    for file in (project.root / "landing" / "orders").iterdir():
        os.utime(file, (1, 1))
    return project


def tick(project: Project, sensor: str, instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    definitions = build(*project.load("shop")).get_repository_def()
    found = definitions.get_sensor_def(sensor)
    context = dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=definitions)
    return found.evaluate_tick(context)


def test_new_rows_make_their_days_the_days_beside_them_and_as_far_as_windows_reach(loop: Loop) -> None:
    assert loop.newest_day() == date(2024, 1, 30)
    touched = Days(date(2024, 1, 10), date(2024, 1, 12))
    assert loop.days_to_make(touched) == Days(date(2024, 1, 9), date(2024, 1, 16))


def test_no_day_before_the_first_and_none_after_the_newest_is_made(loop: Loop) -> None:
    assert loop.days_to_make(Days(date(2024, 1, 1), date(2024, 1, 30))) == Days(date(2024, 1, 1), date(2024, 1, 30))


def test_a_file_without_days_makes_the_newest_day(loop: Loop) -> None:
    assert loop.days_to_make(None) == Days(date(2024, 1, 30), date(2024, 1, 30))


def test_only_the_days_that_rows_touch_are_made_not_those_between(loop: Loop) -> None:
    touched = {date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 20)}
    assert loop.ranges_to_make(touched) == [
        Days(date(2024, 1, 1), date(2024, 1, 7)),
        Days(date(2024, 1, 19), date(2024, 1, 24)),
    ]
    assert loop.ranges_to_make(set()) == [Days(date(2024, 1, 30), date(2024, 1, 30))]


def test_many_scattered_days_are_a_few_runs_that_reach_over_the_smallest_gaps(loop: Loop) -> None:
    touched = {date(2024, 1, day) for day in (1, 7, 13, 19, 30)}
    ranges = loop.ranges_to_make(touched)
    assert len(ranges) <= 4
    assert all(any(days.first <= day <= days.last for days in ranges) for day in touched)


def test_only_the_assets_of_the_sources_that_have_something_new_are_made(loop: Loop) -> None:
    assert ["shop", "features", "habit"] in loop.data_keys(["orders"])
    assert loop.data_keys([]) == []


def test_late_rows_are_a_run_of_their_own_and_each_is_tried_again_alone(
    project: Project, instance: dg.DagsterInstance
) -> None:
    cursor = tick(project, "shop__files", instance).cursor
    late = project.root / "landing" / "orders" / "late.csv"
    header, row = (project.root / "landing" / "orders" / "2024-01-03.csv").read_text().splitlines()[:2]
    newest = (project.root / "landing" / "orders" / "2024-01-28.csv").read_text().splitlines()[1]
    late.write_text("\n".join([header, row, newest]) + "\n")
    os.utime(late, (1, 1))
    answer = tick(project, "shop__files", instance, cursor)
    requests = answer.run_requests or []
    assert [(r.tags[RANGE_START], r.tags[RANGE_END]) for r in requests] == [
        ("2024-01-02", "2024-01-07"),
        ("2024-01-27", "2024-01-30"),
    ]
    tags = {"dagster/run_key": str(requests[0].run_key)}
    instance.create_run_for_job(job_def=_nothing(), tags=tags, status=DagsterRunStatus.FAILURE)
    again = tick(project, "shop__files", instance, answer.cursor).run_requests or []
    assert [r.tags[RANGE_START] for r in again] == ["2024-01-02"]


def test_what_has_landed_is_asked_for_once_in_one_run(project: Project, instance: dg.DagsterInstance) -> None:
    first = tick(project, "shop__files", instance)
    (request,) = first.run_requests or []
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("2024-01-01", "2024-01-30")
    assert dg.AssetKey(["shop", "model", "champion"]) not in (request.asset_selection or [])
    assert not tick(project, "shop__files", instance, first.cursor).run_requests


def test_an_ingestion_that_failed_is_asked_for_again_three_times_in_all(
    project: Project, instance: dg.DagsterInstance
) -> None:
    cursor, keys = None, []
    for _ in range(5):
        answer = tick(project, "shop__files", instance, cursor)
        for request in answer.run_requests or []:
            keys.append(request.run_key)
            instance.create_run_for_job(
                job_def=_nothing(), tags={"dagster/run_key": str(request.run_key)}, status=DagsterRunStatus.FAILURE
            )
        cursor = answer.cursor or cursor
    assert [str(key).rpartition("-")[2] for key in keys] == ["1", "2", "3"]


def test_a_source_whose_requests_failed_is_asked_for_again_with_the_next_file_of_any(
    project: Project, instance: dg.DagsterInstance
) -> None:
    defs = project.root / "platform/products/shop/defs.yaml"
    defs.write_text(
        defs.read_text().replace("  contracts:\n", '    people: {files: "landing/people.csv"}\n  contracts:\n')
    )
    answer = tick(project, "shop__files", instance)
    for number in range(3):
        (request,) = answer.run_requests or []
        tags = {"dagster/run_key": str(request.run_key)}
        instance.create_run_for_job(job_def=_nothing(), tags=tags, status=DagsterRunStatus.FAILURE)
        answer = tick(project, "shop__files", instance, answer.cursor)
        assert bool(answer.run_requests) == (number < 2)
    people = project.root / "landing" / "people.csv"
    people.write_text("name\nc1\n")
    os.utime(people, (1, 1))
    (request,) = tick(project, "shop__files", instance, answer.cursor).run_requests or []
    assert dg.AssetKey(["shop", "raw", "orders"]) in (request.asset_selection or [])


def test_a_check_that_a_dead_run_had_planned_does_not_hide_what_was_said_before(
    project: Project, loop: Loop, instance: dg.DagsterInstance
) -> None:
    definitions = build(*project.load("shop"))
    key = dg.AssetCheckKey(dg.AssetKey(["shop", "raw", "orders"]), "files")
    (project.root / "landing" / "orders" / "2024-01-02.csv").write_text("")
    job = definitions.resolve_implicit_global_asset_job_def()
    raw = [dg.AssetKey(["shop", "raw", "orders"])]
    days = {RANGE_START: "2024-01-01", RANGE_END: "2024-01-30"}
    job.get_subset(asset_selection=set(raw)).execute_in_process(instance=instance, tags=days, raise_on_error=False)
    assert [key for key in failed_checks(said_last(loop, instance, Memory())) if key[0] == "raw"]
    instance.create_run_for_job(job_def=job.get_subset(asset_selection=set(raw)), tags=days)
    (latest,) = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).values()
    assert latest.status == AssetCheckExecutionRecordStatus.PLANNED
    assert [key for key in failed_checks(said_last(loop, instance, Memory())) if key[0] == "raw"]


def test_a_look_that_cannot_be_had_says_why_and_does_not_fail(project: Project, instance: dg.DagsterInstance) -> None:
    (project.root / "landing" / ".replay_clock").unlink()
    assert "The replay clock has not started" in str(tick(project, "shop__retrain", instance).skip_message)


def test_a_file_that_is_still_written_is_left_alone(project: Project, instance: dg.DagsterInstance) -> None:
    for file in (project.root / "landing" / "orders").iterdir():
        os.utime(file)
    assert not tick(project, "shop__files", instance).run_requests


def test_nothing_is_trained_before_anything_was_validated(project: Project, instance: dg.DagsterInstance) -> None:
    answer = tick(project, "shop__retrain", instance)
    assert not answer.run_requests
    assert "no data yet" in str(answer.skip_message)


def test_nothing_is_trained_on_days_that_the_test_and_the_wait_for_labels_take(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    project = Project(make_project(tmp_path / "young"))
    land_days(project.root, 0, 7, rows=5)
    declared, site = project.load("shop")
    ingest(site, "orders", declared.sources["orders"])
    site.tables.replace("shop/validated/orders", site.tables.read("shop/raw/orders"))
    answer = tick(project, "shop__retrain", instance)
    assert "'orders' has rows of 8 days; the test and the wait for labels take 8" in str(answer.skip_message)


def test_a_source_that_is_late_at_this_moment_forbids_training_whatever_its_last_check_said(
    project: Project, loop: Loop, instance: dg.DagsterInstance
) -> None:
    ingest(loop.site, "orders", loop.sources["orders"])
    loop.site.tables.replace("shop/validated/orders", loop.site.tables.read("shop/raw/orders"))
    assert "no model is live yet" in (tick(project, "shop__retrain", instance).run_requests or [])[0].tags[REASON]
    land_days(project.root, 30, 34, rows=5)
    loop.site.place.logs.joinpath("shop", "trainings", "000001.json").unlink()
    answer = tick(project, "shop__retrain", instance)
    assert not answer.run_requests
    assert "late source: newest row of 'orders' is" in str(answer.skip_message)


def test_a_first_training_that_failed_is_asked_for_three_times_and_a_refused_one_once(
    project: Project, loop: Loop, instance: dg.DagsterInstance
) -> None:
    ingest(loop.site, "orders", loop.sources["orders"])
    loop.site.tables.replace("shop/validated/orders", loop.site.tables.read("shop/raw/orders"))
    for number in ("1", "2", "3"):
        (request,) = tick(project, "shop__retrain", instance).run_requests or []
        assert request.run_key == f"training-{number}"
        tags = {TRAINING: number, "headrace/product": "shop"}
        instance.create_run_for_job(job_def=_nothing(), tags=tags, status=DagsterRunStatus.FAILURE)
    assert request.tags[REASON] == "no model is live yet (try 3: 2 failed)"
    answer = tick(project, "shop__retrain", instance)
    assert not answer.run_requests
    assert "less than 3d, and 3 have failed in a row" in str(answer.skip_message)

    refused = {
        "outcome": "refused",
        "model": "a" * 64,
        "at": loop.site.clock.now(),
        "who": "a test",
        "why": "",
        "evidence": {},
    }
    loop.site.releases.decide("shop", refused, after=0)
    answer = tick(project, "shop__retrain", instance)
    assert str(answer.skip_message).endswith("less than 3d), although: no model is live yet")


def test_a_training_that_was_written_down_but_never_launched_is_launched(
    project: Project, loop: Loop, instance: dg.DagsterInstance
) -> None:
    loop.record_training(Decision(train=True, reasons=("drift: far",), obstacles=()))
    (request,) = tick(project, "shop__retrain", instance).run_requests or []
    assert (request.tags[TRAINING], request.tags[REASON]) == ("1", "drift: far")
    assert request.run_key == "training-1"
    instance.create_run_for_job(job_def=_nothing(), tags={TRAINING: "1", "headrace/product": "shop"})
    assert not tick(project, "shop__retrain", instance).run_requests


def test_a_training_is_written_down_with_reasons_and_time_of_the_products_clock(loop: Loop) -> None:
    loop.record_training(Decision(train=True, reasons=("age", "drift"), obstacles=()))
    (entry,) = loop.site.trainings.entries()
    assert entry["reasons"] == ["age", "drift"]
    assert loop.trainings() == (datetime(2024, 1, 31, tzinfo=UTC),)
    assert json.dumps(entry)


def _nothing() -> dg.JobDefinition:
    @dg.job
    def nothing() -> None:
        pass

    return nothing
