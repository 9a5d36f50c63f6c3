"""The ledger says what has to be made again, and never calls fresh what it does not know."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.days import Days, unbroken
from headrace.core.recipe import ALL, Reach, Recipe
from headrace.store.ledger import Ledger, contents_of
from headrace.store.tables import Tables

FIRST = date(2024, 1, 1)
SPAN = Days(FIRST, FIRST + timedelta(days=9))
SOURCE = Recipe("p/raw/s", {"read": "1"}, by_day=True)
FEATURE = Recipe("p/features/f", {"sum": "1"}, {"p/raw/s": Reach(back=2)}, by_day=True)


def rows(values: dict[int, list[int]]) -> pa.Table:
    days = [FIRST + timedelta(days=day) for day, found in values.items() for _ in found]
    listed = [value for found in values.values() for value in found]
    return pa.table({"v": pa.array(listed, pa.int64()), "_day": pa.array(days, pa.date32())})


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path / "tables")


@pytest.fixture
def ledger(tmp_path: Path, tables: Tables) -> Ledger:
    ledger = Ledger(tmp_path / "ledger", tables)
    for recipe in (SOURCE, FEATURE):
        write(ledger, tables, recipe, {day: [day] for day in range(10)})
    return ledger


def write(ledger: Ledger, tables: Tables, recipe: Recipe, values: dict[int, list[int]], days: Days = SPAN) -> None:
    work = ledger.work(recipe, days)
    tables.replace(recipe.table, rows(values), days=days)
    ledger.record(recipe, work, rows(values), days)


def one(day: int) -> Days:
    return Days(FIRST + timedelta(days=day), FIRST + timedelta(days=day))


def numbers(ledger: Ledger, recipe: Recipe) -> list[int]:
    return [(date.fromisoformat(day) - FIRST).days for day in ledger.work(recipe, SPAN).reasons]


def test_what_was_made_of_the_same_is_left_alone(ledger: Ledger) -> None:
    assert not ledger.work(SOURCE, SPAN)
    assert not ledger.work(FEATURE, SPAN)


def test_another_day_of_an_input_makes_the_days_again_that_look_at_it(ledger: Ledger, tables: Tables) -> None:
    write(ledger, tables, SOURCE, {4: [99]}, one(4))
    assert numbers(ledger, SOURCE) == []
    assert numbers(ledger, FEATURE) == [4, 5, 6]
    assert set(ledger.work(FEATURE, SPAN).reasons.values()) == {("other content of p/raw/s",)}


def test_the_same_rows_in_another_order_make_nothing_again(ledger: Ledger, tables: Tables) -> None:
    write(ledger, tables, SOURCE, {4: [5, 6]}, one(4))
    write(ledger, tables, FEATURE, {day: [day] for day in range(10)})
    write(ledger, tables, SOURCE, {4: [6, 5]}, one(4))
    assert numbers(ledger, FEATURE) == []


def test_other_code_makes_every_day_again_and_is_named(ledger: Ledger) -> None:
    changed = Recipe(FEATURE.table, {"sum": "1", "headrace.mean": "2"}, FEATURE.inputs, by_day=True)
    work = ledger.work(changed, SPAN)
    assert len(work.reasons) == len(SPAN)
    assert set(work.reasons.values()) == {("changed: mean",)}


def test_a_commit_that_a_killed_run_never_wrote_down_counts_as_not_made(ledger: Ledger, tables: Tables) -> None:
    tables.replace(FEATURE.table, rows({7: [70]}), days=one(7))
    assert ledger.work(FEATURE, SPAN).reasons == {str(one(7).first): ("never made",)}
    tables.replace(SOURCE.table, rows({1: []}), days=one(1))
    assert numbers(ledger, FEATURE) == [1, 2, 3, 7]


def test_a_commit_of_another_run_in_between_is_not_taken_for_ours(ledger: Ledger, tables: Tables) -> None:
    work = ledger.work(FEATURE, one(2), forced=True)
    tables.replace(FEATURE.table, rows({8: [80]}), days=one(8))
    tables.replace(FEATURE.table, rows({2: [20]}), days=one(2))
    ledger.record(FEATURE, work, rows({2: [20]}), one(2))
    assert numbers(ledger, FEATURE) == [8]


def test_an_input_that_changes_while_it_is_read_is_not_taken_for_read(ledger: Ledger, tables: Tables) -> None:
    work = ledger.work(FEATURE, one(5), forced=True)
    write(ledger, tables, SOURCE, {5: [55]}, one(5))
    tables.replace(FEATURE.table, rows({5: [5]}), days=one(5))
    ledger.record(FEATURE, work, rows({5: [5]}), one(5))
    assert 5 in numbers(ledger, FEATURE)


def test_what_many_write_down_at_once_is_all_there(ledger: Ledger, tables: Tables, tmp_path: Path) -> None:
    recipe = Recipe("p/model/m", {"train": "1"}, by_day=True)
    works = {day: ledger.work(recipe, one(day)) for day in range(10)}
    with ThreadPoolExecutor(8) as pool:
        for day, work in works.items():
            pool.submit(ledger.note, recipe, work, {str(one(day).first): f"{day}"}, one(day))
    assert len(Ledger(tmp_path / "ledger", tables).contents("p/model/m")) == 10
    assert not ledger.work(recipe, SPAN)


def test_what_a_version_says_is_found_once(ledger: Ledger, tables: Tables) -> None:
    found: list[int] = []

    def find() -> int:
        found.append(len(found))
        return found[-1]

    assert [ledger.remembered(SOURCE.table, "lag", find) for _ in range(3)] == [0, 0, 0]
    tables.replace(SOURCE.table, rows({1: [11]}), days=one(1))
    assert ledger.remembered(SOURCE.table, "lag", find) == 1


def test_rows_without_days_are_one_part() -> None:
    assert list(contents_of(pa.table({"v": [1, 2]}))) == [ALL]


@given(st.sets(st.integers(0, 60)))
def test_unbroken_ranges_hold_the_days_that_they_were_made_of_and_never_touch(numbers: set[int]) -> None:
    days = [FIRST + timedelta(days=number) for number in numbers]
    spans = unbroken(days)
    assert [day for span in spans for day in span] == sorted(days)
    assert all((later.first - earlier.last).days > 1 for earlier, later in itertools.pairwise(spans))
