"""A look that fails each time: left alone longer and longer, told once, and nothing is skipped. FAULTS.md, row 25."""

import os
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.automation.looks.sensors import diary_of, steady
from headrace.automation.loop import Loop
from headrace.automation.patience import AWAITED_MOST_S, FIRST_S, MOST_S, Patience
from headrace.core.errors import DataError
from headrace.product import build
from headrace.project import Project
from platform_tests.end_to_end.shop import land_days, make_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(make_project(tmp_path / "shop"))
    land_days(project.root, 0, 9, rows=3)
    for file in (project.root / "landing" / "orders").iterdir():
        os.utime(file, (1, 1))
    return project


@given(st.integers(1, 40), st.sampled_from([MOST_S, AWAITED_MOST_S]))
def test_each_pause_is_twice_the_one_before_up_to_the_longest(failures: int, most: float) -> None:
    patience, now = Patience(), 0.0
    for number in range(failures):
        patience.failed(now, "no", most)
        assert patience.left(now) == min(most, FIRST_S * 2.0**number)
        now = patience.until
        assert not patience.left(now)
    patience.worked()
    patience.failed(now, "no", most)
    assert patience.left(now) == FIRST_S


def test_a_look_that_fails_for_a_day_is_tried_rarely_told_once_and_told_once_more_when_it_works(loop: Loop) -> None:
    now, tries, broken = 0.0, list[float](), True

    @steady(loop, "shop__test", lambda: now)
    def look(context: dg.SensorEvaluationContext) -> str:
        tries.append(now)
        if broken:
            raise ZeroDivisionError("a bug")
        return "seen"

    said: list[Any] = []
    for _ in range(24 * 720):
        now += 5
        try:
            said.append(look(dg.build_sensor_context()))
        except ZeroDivisionError as error:
            said.append(error)
    assert len(tries) < 24 * 6 + 10
    assert sum(isinstance(one, ZeroDivisionError) for one in said) == len(tries), "each try that fails fails its tick"
    assert "ZeroDivisionError: a bug Failed" in str(said[1].skip_message)
    assert [entry["health"] for entry in diary_of(loop).troubles(9)] == ["failing"]
    broken, now = False, now + MOST_S
    assert look(dg.build_sensor_context()) == "seen"
    assert look(dg.build_sensor_context()) == "seen"
    assert [entry["health"] for entry in diary_of(loop).troubles(9)] == ["failing", "well"]


def test_what_fails_in_words_is_said_and_tried_again_within_a_minute(loop: Loop) -> None:
    now, tries = 0.0, 0

    @steady(loop, "shop__test", lambda: now)
    def look(context: dg.SensorEvaluationContext) -> str:
        nonlocal tries
        tries += 1
        raise DataError("The disk is full.")

    for _ in range(720):
        now += 5
        answer = look(dg.build_sensor_context())
        assert isinstance(answer, dg.SkipReason)
        assert "The disk is full." in str(answer.skip_message)
    assert 3600 / AWAITED_MOST_S - 1 <= tries <= 3600 / AWAITED_MOST_S + 6


@pytest.mark.parametrize("sensor", ["shop__files", "shop__retrain"])
def test_a_sensor_that_fails_is_left_alone_and_says_so(
    project: Project, loop: Loop, instance: dg.DagsterInstance, sensor: str
) -> None:
    repository = build(*project.load("shop")).get_repository_def()
    found = repository.get_sensor_def(sensor)
    torn = dg.build_sensor_context(instance=instance, cursor="{", repository_def=repository)
    with pytest.raises(JSONDecodeError):
        found.evaluate_tick(torn)
    again: Any = found.evaluate_tick(torn)
    assert "tried again in" in str(again.skip_message)
    [entry] = diary_of(loop).troubles(9)
    assert (entry["sensor"], entry["health"]) == (sensor, "failing")


def test_what_lands_while_a_sensor_fails_is_ingested_once_it_works(
    project: Project, instance: dg.DagsterInstance
) -> None:
    clock = project.root / "landing" / ".replay_clock"
    moment = clock.read_text()
    clock.unlink()
    failed = _tick(project, instance, None)
    assert not failed.run_requests
    assert failed.cursor is None, "the cursor stays where it was"
    land_days(project.root, 10, 10, rows=3)
    for file in (project.root / "landing" / "orders").iterdir():
        os.utime(file, (1, 1))
    clock.write_text(moment)
    [asked] = _tick(project, instance, failed.cursor).run_requests
    assert asked.tags["dagster/asset_partition_range_start"] == "2024-01-01"


def _tick(project: Project, instance: dg.DagsterInstance, cursor: str | None) -> Any:
    repository = build(*project.load("shop")).get_repository_def()
    context = dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=repository)
    return repository.get_sensor_def("shop__files").evaluate_tick(context)
