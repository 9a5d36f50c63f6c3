"""What a process remembers between two looks is found again as soon as the world is another."""

from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.automation.looks.sensors import said_last
from headrace.automation.memory import Memory
from headrace.product import loop_of
from headrace.project import Project
from headrace.store.tables import Tables
from platform_tests.end_to_end.shop import land_days, make_project


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3)), max_size=30))
def test_an_answer_is_that_of_the_state_and_found_once_until_it_changes(asked: list[tuple[str, int]]) -> None:
    memory, found = Memory(), list[tuple[str, int]]()

    def find(question: str, state: int) -> tuple[str, int]:
        found.append((question, state))
        return question, state

    newest: dict[str, int] = {}
    expected = 0
    for question, state in asked:
        expected += newest.get(question) != state
        newest[question] = state
        assert memory.of(question, state, lambda q=question, s=state: find(q, s)) == (question, state)
    assert len(found) == expected


def test_the_stamp_of_a_table_is_another_after_each_commit(tmp_path: Path) -> None:
    tables, stamps = Tables(tmp_path), list[str]()
    assert tables.stamp("shop/raw/orders") == ""
    for number in range(12):
        tables.replace("shop/raw/orders", pa.table({"n": [number]}))
        stamps.append(tables.stamp("shop/raw/orders"))
    assert len(set(stamps)) == 12
    assert stamps == sorted(stamps)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(make_project(tmp_path / "shop"))
    land_days(project.root, 0, 1, rows=3)
    return project


def test_what_a_check_says_anew_is_heard_and_other_checks_of_the_same_assets_are_not(project: Project) -> None:
    loop, memory = loop_of(*project.load("shop")), Memory()
    with dg.DagsterInstance.ephemeral() as instance:
        _say(instance, "freshness", passed=False)
        assert said_last(loop, instance, memory) == {}
        for passed in (False, True, False):
            _say(instance, "files", passed=passed)
            [(key, said)] = said_last(loop, instance, memory).items()
            assert (key, said.passed) == (("raw", "orders", "files"), passed)


def _say(instance: dg.DagsterInstance, check: str, *, passed: bool) -> None:
    orders = dg.AssetKey(["shop", "raw", "orders"])
    severe = dg.AssetCheckSeverity.ERROR
    said = dg.AssetCheckEvaluation(asset_key=orders, check_name=check, passed=passed, metadata={}, severity=severe)
    instance.report_runless_asset_event(said)
