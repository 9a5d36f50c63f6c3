"""The ledger says what has to be made again, and never calls fresh what it does not know."""

import itertools
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.days import Days, unbroken
from headrace.core.recipe import ALL, Reach, Recipe
from headrace.store.addition import Commit
from headrace.store.digest import contents_of
from headrace.store.ledger import Ledger
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
    ledger.record(recipe, work, [tables.replace(recipe.table, rows(values), days=days)])


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
    commit = tables.replace(FEATURE.table, rows({2: [20]}), days=one(2))
    ledger.record(FEATURE, work, [commit])
    assert numbers(ledger, FEATURE) == [8]


def test_an_input_that_changes_while_it_is_read_is_not_taken_for_read(ledger: Ledger, tables: Tables) -> None:
    work = ledger.work(FEATURE, one(5), forced=True)
    write(ledger, tables, SOURCE, {5: [55]}, one(5))
    commit = tables.replace(FEATURE.table, rows({5: [5]}), days=one(5))
    ledger.record(FEATURE, work, [commit])
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
    assert list(contents_of(pa.table({"v": [1, 2]}).to_reader())) == [ALL]


@given(st.sets(st.integers(0, 60)))
def test_unbroken_ranges_hold_the_days_that_they_were_made_of_and_never_touch(numbers: set[int]) -> None:
    days = [FIRST + timedelta(days=number) for number in numbers]
    spans = unbroken(days)
    assert [day for span in spans for day in span] == sorted(days)
    assert all((later.first - earlier.last).days > 1 for earlier, later in itertools.pairwise(spans))


def held(tables: Tables, table: str) -> dict[str, str]:
    """Return what a table really holds."""
    return contents_of(tables.scan(table))


def feature(tables: Tables, value: int, day: int = 2) -> Commit:
    return tables.replace(FEATURE.table, rows({day: [value]}), days=one(day))


def test_the_run_that_wrote_first_and_writes_down_last_hides_nothing_of_the_later_one(
    ledger: Ledger, tables: Tables
) -> None:
    older = ledger.work(FEATURE, one(2), forced=True)
    first = feature(tables, 20)
    write(ledger, tables, SOURCE, {2: [99]}, one(2))
    newer = ledger.work(FEATURE, one(2), forced=True)
    second = feature(tables, 21)
    ledger.record(FEATURE, newer, [second])
    ledger.record(FEATURE, older, [first])
    assert ledger.contents(FEATURE.table) == held(tables, FEATURE.table)
    assert 2 not in numbers(ledger, FEATURE)


def test_rows_of_a_run_that_died_are_not_made_by_the_one_that_wrote_before_it(ledger: Ledger, tables: Tables) -> None:
    work = ledger.work(FEATURE, one(2), forced=True)
    first = feature(tables, 20)
    feature(tables, 21)
    ledger.record(FEATURE, work, [first])
    assert ledger.contents(FEATURE.table) == held(tables, FEATURE.table)
    assert numbers(ledger, FEATURE) == [2]


def test_what_a_run_found_there_already_is_not_made_by_it_once_somebody_has_changed_it(
    ledger: Ledger, tables: Tables
) -> None:
    work = ledger.work(FEATURE, one(2), forced=True)
    found = feature(tables, 2)
    assert not found.changed
    feature(tables, 21)
    ledger.record(FEATURE, work, [found])
    assert ledger.contents(FEATURE.table) == held(tables, FEATURE.table)
    assert numbers(ledger, FEATURE) == [2]


def test_a_run_that_notes_what_it_has_seen_overwrites_nothing_that_others_have_counted(
    ledger: Ledger, tables: Tables
) -> None:
    work, seen = ledger.work(SOURCE, SPAN, forced=True), ledger.contents(SOURCE.table)
    tables.replace(SOURCE.table, rows({4: [44]}), days=one(4))
    ledger.note(SOURCE, work, seen, SPAN)
    assert ledger.contents(SOURCE.table) == held(tables, SOURCE.table)
    assert numbers(ledger, SOURCE) == [4]
    assert numbers(ledger, FEATURE) == [4, 5, 6]


def test_pieces_of_one_run_are_made_and_those_that_somebody_wrote_over_are_not(ledger: Ledger, tables: Tables) -> None:
    work = ledger.work(FEATURE, SPAN, forced=True)
    pieces = [feature(tables, day * 10, day) for day in (1, 2, 3)]
    feature(tables, 5, 2)
    last = feature(tables, 40, 4)
    ledger.record(FEATURE, work, [*pieces, last])
    assert ledger.contents(FEATURE.table) == held(tables, FEATURE.table)
    assert numbers(ledger, FEATURE) == [2]


def test_a_table_that_was_removed_and_made_again_is_not_taken_for_the_one_before(
    ledger: Ledger, tables: Tables, tmp_path: Path
) -> None:
    assert ledger.remembered(SOURCE.table, "most", lambda: 9) == 9
    shutil.rmtree(tmp_path / "tables" / SOURCE.table)
    assert ledger.contents(SOURCE.table) == {}
    assert len(numbers(ledger, SOURCE)) == len(SPAN)
    tables.replace(SOURCE.table, rows({day: [day + (day == 3)] for day in range(10)}), days=SPAN)
    assert tables.version(SOURCE.table) == 0
    assert ledger.contents(SOURCE.table) == held(tables, SOURCE.table)
    assert numbers(ledger, SOURCE) == [3]
    assert ledger.remembered(SOURCE.table, "most", lambda: 8) == 8


TORN = [b"", b'{"version": 0, "conte', bytes(300), b"\xff\xfe", b"[]", b'{"made": {"2024-01-01": 1}}', b"null"]


@pytest.mark.parametrize("torn", TORN)
def test_a_torn_entry_is_the_same_as_none(ledger: Ledger, tables: Tables, tmp_path: Path, torn: bytes) -> None:
    (tmp_path / "ledger" / f"{FEATURE.table}.json").write_bytes(torn)
    assert set(ledger.work(FEATURE, SPAN).reasons.values()) == {("never made",)}
    assert ledger.contents(FEATURE.table) == held(tables, FEATURE.table)
    write(ledger, tables, FEATURE, {4: [4]}, one(4))
    assert 4 not in numbers(ledger, FEATURE)


@pytest.mark.parametrize("torn", TORN)
def test_torn_facts_are_found_anew(ledger: Ledger, tmp_path: Path, torn: bytes) -> None:
    ledger.remembered(SOURCE.table, "most", lambda: 9)
    (tmp_path / "ledger" / f"{SOURCE.table}.facts.json").write_bytes(torn)
    assert ledger.remembered(SOURCE.table, "most", lambda: 9) == 9


def test_what_is_torn_of_a_model_was_never_made(ledger: Ledger, tmp_path: Path) -> None:
    recipe = Recipe("p/model/m", {"train": "1"})
    ledger.note(recipe, ledger.work(recipe), {ALL: "a"})
    assert not ledger.work(recipe)
    (tmp_path / "ledger" / "p/model/m.json").write_bytes(b"{")
    assert ledger.work(recipe).reasons == {ALL: ("never made",)}


def test_a_run_that_makes_nothing_writes_nothing_down(ledger: Ledger, tables: Tables, tmp_path: Path) -> None:
    def written() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in (tmp_path / "ledger").rglob("*.json")}

    ledger.remembered(SOURCE.table, "most", lambda: 9)
    before = written()
    work = ledger.work(SOURCE, SPAN)
    ledger.note(SOURCE, work, ledger.contents(SOURCE.table), SPAN)
    ledger.record(FEATURE, ledger.work(FEATURE, SPAN), [tables.replace(FEATURE.table, rows({1: [1]}), days=one(1))])
    ledger.remembered(SOURCE.table, "most", lambda: 9)
    assert written() == before


def test_values_that_fit_the_type_of_the_table_are_counted_as_the_table_has_them(
    ledger: Ledger, tables: Tables
) -> None:
    work = ledger.work(FEATURE, one(2), forced=True)
    fractions = rows({2: [7]}).set_column(0, "v", pa.array([7.0]))
    ledger.record(FEATURE, work, [tables.replace(FEATURE.table, fractions, days=one(2))])
    assert ledger.contents(FEATURE.table) == held(tables, FEATURE.table)
    assert numbers(ledger, FEATURE) == []


def test_a_table_made_as_a_whole_whose_rows_lie_in_days_is_not_made_once_somebody_has_changed_it(
    ledger: Ledger, tables: Tables
) -> None:
    recipe = Recipe("p/features/whole", {"sum": "1"})
    ledger.record(recipe, ledger.work(recipe), [tables.replace(recipe.table, rows({1: [1], 40: [2]}))])
    assert not ledger.work(recipe)
    tables.replace(recipe.table, rows({1: [5]}), days=one(1))
    assert ledger.work(recipe).reasons == {ALL: ("never made",)}


def test_of_a_commit_by_somebody_else_only_the_months_that_it_wrote_are_read(
    ledger: Ledger, tables: Tables, tmp_path: Path
) -> None:
    table, span = SOURCE.table, Days(FIRST, FIRST + timedelta(days=59))
    tables.replace(table, rows({day: [day] for day in range(60)}), days=span)
    ledger.contents(table)
    january = next(Path(file) for file in tables.files(table) if "_month=2024-01" in file)
    tables.replace(table, rows({50: [5]}), days=one(50))
    january.write_bytes(b"damaged")
    assert ledger.contents(table)[str(one(50).first)] == contents_of(rows({50: [5]}).to_reader())[str(one(50).first)]


def test_days_of_rows_that_were_erased_stay_made_but_for_those_that_a_dead_run_has_written(
    ledger: Ledger, tables: Tables
) -> None:
    feature(tables, 70, day=7)
    with ledger.erasing(FEATURE.table):
        tables.replace(FEATURE.table, rows({}), days=one(3))
    assert ledger.contents(FEATURE.table) == held(tables, FEATURE.table)
    assert numbers(ledger, FEATURE) == [7]
