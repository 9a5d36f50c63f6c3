"""Every version of a table is addressable, and says when, by which run, of what and why it was written."""

import os
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.core.days import Days
from headrace.core.errors import StoreError, TableMissing
from headrace.core.running import running
from headrace.store.cause import Cause, days_text
from headrace.store.history import history_text
from headrace.store.tables import Addition, Tables

FIRST = date(2024, 1, 31)
SPAN = Days(FIRST, FIRST + timedelta(days=2))


def rows(*values: int, first: date = FIRST) -> pa.Table:
    """Return a row for each value, a day for each row."""
    days = [first + timedelta(days=i) for i in range(len(values))]
    return pa.table({"v": list(values), "_day": pa.array(days, pa.date32()), "_file": ["f"] * len(values)})


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path)


def test_each_version_says_run_days_rows_why_and_inputs(tables: Tables) -> None:
    with running("0123456789"):
        tables.replace("p/t", rows(1, 2, 3), days=SPAN, why=Cause("to see", {"p/u": 4}))
    tables.replace("p/t", rows(9), days=Days(FIRST, FIRST))
    first, second = tables.versions("p/t")
    assert (first.number, first.run, first.rows, first.why) == (0, "0123456789", 3, "to see")
    assert (first.days, first.inputs) == ("2024-01-31...2024-02-02", {"p/u": 4})
    assert (second.number, second.run, second.rows, second.days) == (1, "", 3, "2024-01-31")
    assert first.at <= second.at


def test_the_files_of_a_version_are_those_that_delta_reads(tables: Tables, tmp_path: Path) -> None:
    tables.replace("p/t", rows(1, 2, 3), days=SPAN)
    tables.replace("p/t", rows(9), days=Days(FIRST, FIRST))
    tables.add_files("p/t", Addition(rows(5), {"g": "digest"}), after=1)
    for version in tables.versions("p/t"):
        expected = {str(Path(f).relative_to(tmp_path / "p/t")) for f in tables.files("p/t", version=version.number)}
        assert set(version.files) == expected
        assert version.rows == tables.read("p/t", version=version.number).num_rows


def test_a_run_is_named_only_while_it_is_at_work(tables: Tables) -> None:
    with running("outer"):
        with running("inner"):
            tables.replace("p/t", rows(1))
        tables.replace("p/t", rows(2))
    tables.replace("p/t", rows(3))
    assert [version.run for version in tables.versions("p/t")] == ["inner", "outer", ""]


def test_the_history_reads_newest_first(tables: Tables) -> None:
    with running("0123456789"):
        tables.replace("p/t", rows(1, 2, 3), days=SPAN, why=Cause(inputs={"p/u": 4}))
    tables.replace("p/t", rows(9), days=Days(FIRST, FIRST), why="by hand")
    head, newest, oldest = history_text(tables.versions("p/t")).splitlines()
    assert head.split() == ["version", "when", "(UTC)", "run", "rows", "days", "why"]
    assert newest.endswith("-            3  2024-01-31               by hand")
    assert oldest.endswith("01234567     3  2024-01-31...2024-02-02  of p/u@4")


def test_a_near_name_is_suggested(tables: Tables) -> None:
    tables.replace("shop/raw/orders", rows(1))
    with pytest.raises(TableMissing, match=r"'shop/raw/order' does not exist yet.* Did you mean 'shop/raw/orders'"):
        tables.versions("shop/raw/order")


def test_a_version_that_is_not_there_is_named_with_those_that_are(tables: Tables) -> None:
    tables.replace("p/t", rows(1))
    tables.replace("p/t", rows(2))
    with pytest.raises(StoreError, match="no version 7; it has 0 to 1"):
        tables.read("p/t", version=7)


@pytest.mark.slow
def test_versions_stay_readable_behind_checkpoints_and_past_thirty_days(tables: Tables, tmp_path: Path) -> None:
    for value in range(205):
        tables.replace("p/t", rows(value), why=str(value))
        for entry in (tmp_path / "p/t/_delta_log").glob("*.json"):
            os.utime(entry, (0, 0))
    assert list((tmp_path / "p/t/_delta_log").glob("*.checkpoint.parquet"))
    assert len(tables.versions("p/t")) == 205
    assert tables.read("p/t", version=0)["v"].to_pylist() == [0]


def test_a_torn_entry_of_the_log_is_named(tables: Tables, tmp_path: Path) -> None:
    tables.replace("p/t", rows(1))
    tables.replace("p/t", rows(2))
    entry = tmp_path / "p/t/_delta_log/00000000000000000000.json"
    entry.write_text(entry.read_text()[:100])
    with pytest.raises(StoreError, match=r"00000.json is damaged.*Restore"):
        tables.versions("p/t")


def test_days_are_told_in_ranges() -> None:
    days = [FIRST, FIRST + timedelta(days=1), FIRST + timedelta(days=9)]
    assert days_text(reversed(days)) == "2024-01-31...2024-02-01, 2024-02-09"
    assert days_text([]) == ""
