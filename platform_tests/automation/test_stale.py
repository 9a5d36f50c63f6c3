"""What the files sensor asks for beyond the days that new rows touch."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from headrace.automation.looks.sensors import RANGE_END, RANGE_START
from headrace.product import build, loop_of
from headrace.project import Project
from platform_tests.end_to_end.shop import DECLARATION, land_days, make_project

pytestmark = pytest.mark.slow

DEFS = "platform/products/shop/defs.yaml"
DAYS = [f"2024-01-{number:02}" for number in range(1, 11)]
Span = tuple[str, str]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(make_project(tmp_path / "shop"))
    land(project, 0, 9)
    return project


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def land(project: Project, first: int, last: int) -> None:
    land_days(project.root, first, last, rows=8)
    for file in (project.root / "landing").rglob("*.csv"):
        os.utime(file, (1, 1))


def until_quiet(project: Project, instance: dg.DagsterInstance, cursor: str | None = None) -> tuple[list[Span], str]:
    """Let the sensor look, and do what it asks for, until it asks for nothing; return the days of each run."""
    spans = []
    for _ in range(6):
        definitions = build(*project.load("shop"))
        sensor = definitions.get_repository_def().get_sensor_def("shop__files")
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor, repository_def=definitions.get_repository_def()
        )
        answer: Any = sensor.evaluate_tick(context)
        cursor = answer.cursor or cursor
        if not answer.run_requests:
            return spans, cursor or ""
        job = definitions.resolve_implicit_global_asset_job_def()
        for request in answer.run_requests:
            spans.append((request.tags[RANGE_START], request.tags[RANGE_END]))
            chosen = job.get_subset(asset_selection=set(request.asset_selection or []))
            tags = {**request.tags, "dagster/run_key": request.run_key}
            chosen.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
    raise AssertionError(f"the sensor goes on asking: {spans}")


def test_what_was_taken_in_and_made_is_not_asked_for_again(project: Project, instance: dg.DagsterInstance) -> None:
    spans, cursor = until_quiet(project, instance)
    assert spans == [("2024-01-01", "2024-01-10")]
    assert until_quiet(project, instance, cursor)[0] == []
    assert loop_of(*project.load("shop")).stale() == {}


def test_days_of_files_that_were_refused_are_made_once_the_declaration_is_mended(
    project: Project, instance: dg.DagsterInstance
) -> None:
    defs = project.root / DEFS
    whole = defs.read_text()
    defs.write_text(whole.replace("partition: day,", "partition: day, limits: {unpacked: 1500},"))
    land_days(project.root, 2, 2, rows=40)
    land(project, 9, 9)
    _, cursor = until_quiet(project, instance)
    _, site = project.load("shop")
    assert set(site.ledger.contents("shop/raw/orders")) == set(DAYS) - {"2024-01-03"}
    assert not site.tables.exists("shop/validated/orders"), "a refused file stops its source"

    defs.write_text(whole)
    land(project, 10, 10)
    spans, _ = until_quiet(project, instance, cursor)
    assert spans[0] == ("2024-01-10", "2024-01-11")
    assert any(first <= "2024-01-03" <= last for first, last in spans[1:])
    declared, site = project.load("shop")
    assert "2024-01-03" in site.ledger.contents("shop/features/habit")
    assert loop_of(declared, site).stale() == {}


def test_rows_that_another_source_refers_to_make_the_days_that_refer_to_them(
    project: Project, instance: dg.DagsterInstance
) -> None:
    (project.root / DEFS).write_text(
        DECLARATION.replace(
            "  contracts:\n",
            '    people: {files: "landing/people.csv"}\n  contracts:\n    people:\n      columns: {name: {type: string}}\n',
        ).replace("customer: {type: string}", "customer: {type: string, references: people.name}")
    )
    people = project.root / "landing" / "people.csv"
    people.write_text("name\n" + "".join(f"c{number}\n" for number in range(10)))
    os.utime(people, (1, 1))
    _, cursor = until_quiet(project, instance)
    _, site = project.load("shop")
    aside = site.tables.count("shop/quarantine/orders")
    assert aside > 0

    people.write_text("name\n" + "".join(f"c{number}\n" for number in range(20)))
    os.utime(people, (2, 2))
    spans, _ = until_quiet(project, instance, cursor)
    assert ("2024-01-01", "2024-01-10") in spans
    assert site.tables.count("shop/validated/orders") == site.tables.count("shop/raw/orders")
    assert loop_of(*project.load("shop")).stale() == {}


def test_a_value_that_a_day_takes_makes_the_later_day_that_had_it_however_it_is_written(
    project: Project, instance: dg.DagsterInstance
) -> None:
    defs = project.root / DEFS
    defs.write_text(defs.read_text().replace("min: 0}", "min: 0, unique: true}"))
    with_amount(project, "2024-01-09", "777.7")
    _, cursor = until_quiet(project, instance)
    _, site = project.load("shop")
    aside = site.tables.count("shop/quarantine/orders")
    with_amount(project, "2024-01-02", "777.70")
    spans, _ = until_quiet(project, instance, cursor)
    assert spans == [("2024-01-01", "2024-01-06"), ("2024-01-08", "2024-01-10")]
    assert site.tables.count("shop/quarantine/orders") == aside + 1


def with_amount(project: Project, day: str, amount: str) -> None:
    """Give the first order of a day another amount."""
    file = project.root / "landing" / "orders" / f"{day}.csv"
    header, first, *others = file.read_text().splitlines()
    cells = first.split(",")
    file.write_text("\n".join([header, ",".join([*cells[:4], amount, cells[5]]), *others]) + "\n")
    os.utime(file, (3, 3))


def test_a_contract_that_asks_the_time_is_not_judged_again_without_end(
    project: Project, instance: dg.DagsterInstance
) -> None:
    defs = project.root / DEFS
    text = defs.read_text().replace("clock: replay", "clock: wall").replace("  end: 2024-12-31\n", "")
    defs.write_text(text.replace("ordered_at: {type: timestamp}", "ordered_at: {type: timestamp, fresh_within: 36h}"))
    _, cursor = until_quiet(project, instance)
    land(project, 10, 10)
    spans, _ = until_quiet(project, instance, cursor)
    assert spans == [("2024-01-10", "2024-01-15")]


def test_code_that_changed_makes_all_days_again_when_the_next_rows_come(
    project: Project, instance: dg.DagsterInstance
) -> None:
    _, cursor = until_quiet(project, instance)
    defs = project.root / DEFS
    defs.write_text(defs.read_text().replace("{returned: settled_at}", "{returned: ordered_at}"))
    assert until_quiet(project, instance, cursor)[0] == []
    land(project, 10, 10)
    spans, _ = until_quiet(project, instance, cursor)
    assert spans == [("2024-01-10", "2024-01-11"), ("2024-01-01", "2024-01-11")]


def test_a_table_with_other_columns_is_made_as_a_whole_after_its_new_days_alone_have_failed(
    project: Project, instance: dg.DagsterInstance
) -> None:
    _, cursor = until_quiet(project, instance)
    defs = project.root / DEFS
    defs.write_text(defs.read_text().replace("over: [3d]", "over: [4d]"))
    land(project, 10, 10)
    spans, _ = until_quiet(project, instance, cursor)
    assert spans == [("2024-01-10", "2024-01-11")] * 3 + [("2024-01-01", "2024-01-11")]
    assert loop_of(*project.load("shop")).stale() == {}


def test_a_day_that_cannot_be_made_holds_up_no_other_day_and_is_not_tried_without_end(
    project: Project, instance: dg.DagsterInstance
) -> None:
    defs = project.root / DEFS
    defs.write_text(defs.read_text().replace("min: 0}", "min: 0, on_fail: fail}"))
    bad = project.root / "landing" / "orders" / "2024-01-03.csv"
    _, cursor = until_quiet(project, instance)
    bad.write_text(re.sub(r"[0-9.]+,(True|False)", r"-1,\1", bad.read_text(), count=1))
    os.utime(bad, (1, 1))
    spans, cursor = until_quiet(project, instance, cursor)
    assert spans == [("2024-01-02", "2024-01-07")] * 3 + [("2024-01-02", "2024-01-07")]
    land(project, 10, 10)
    spans, _ = until_quiet(project, instance, cursor)
    assert spans == [("2024-01-10", "2024-01-11")]
    _, site = project.load("shop")
    assert "2024-01-11" in site.ledger.contents("shop/features/habit")
