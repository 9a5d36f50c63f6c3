"""Two versions of a table differ by what was added, removed and changed."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.errors import StoreError
from headrace.store.diff import Diff, diff_versions
from headrace.store.engine import Engine
from headrace.store.spill import Spill
from headrace.store.tables import Tables


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path / "tables")


def diff(tables: Tables, *versions: pa.Table, key: str = "") -> Diff:
    """Write the versions and return how the last differs from the first."""
    for rows in versions:
        tables.replace("p/t", rows)
    newest = tables.version("p/t") or 0
    engine = Engine(tables, Spill(Path("/tmp")))
    return diff_versions(tables, engine, "p/t", (newest - len(versions) + 1, newest), [key] if key else [])


def orders(**columns: list[Any]) -> pa.Table:
    return pa.table(columns)


BEFORE = orders(id=["a", "b", "c"], price=[1.0, None, 3.0], city=["x", "y", "z"])
AFTER = orders(id=["b", "c", "d", "e"], price=[2.0, 3.0, 4.0, 5.0], city=["y", "w", "v", "u"])


def test_by_key_rows_are_added_removed_and_changed_with_the_columns_that_did(tables: Tables) -> None:
    found = diff(tables, BEFORE, AFTER, key="id")
    assert (found.added, found.removed, found.changed_rows) == (2, 1, 2)
    assert found.changed == {"price": 1, "city": 1}
    assert [row["id"] for row in found.examples["added"]] == ["d", "e"]
    assert found.examples["changed"][0] == {"id": "b", "price": "null → 2.0", "city": "y → y"}


def test_without_a_key_rows_are_a_multiset(tables: Tables) -> None:
    found = diff(tables, orders(v=[1, 1, 2]), orders(v=[1, 2, 2, 2]))
    assert (found.key, found.added, found.removed, found.changed_rows) == ((), 2, 1, 0)
    assert "as a multiset of rows" in str(found)


def test_a_key_that_names_two_rows_is_no_key(tables: Tables) -> None:
    found = diff(tables, orders(id=["a", "a"], v=[1, 2]), orders(id=["a"], v=[1]), key="id")
    assert (found.key, found.added, found.removed) == ((), 0, 1)


def test_columns_that_came_and_went_are_told_and_the_others_compared(tables: Tables) -> None:
    found = diff(tables, orders(id=["a"], v=[1], old=[1]), orders(id=["a"], v=[2], new=[1]), key="id")
    assert (found.columns_added, found.columns_removed, found.changed) == (("new",), ("old",), {"v": 1})


@pytest.mark.parametrize("key", ["", "id"])
def test_a_column_of_another_type_is_compared_as_text(tables: Tables, key: str) -> None:
    found = diff(tables, orders(id=["a", "b"], v=[1, 2]), orders(id=["a", "b"], v=["1", "3"]), key=key)
    assert found.changed_rows + found.added == 1


def test_the_summary_says_it_in_words(tables: Tables) -> None:
    text = str(diff(tables, BEFORE, AFTER, key="id"))
    assert text.startswith(
        "p/t: version 0 → 1, compared by id\n2 rows added, 1 removed, 2 changed: price in 1, city in 1"
    )
    assert "null → 2.0" in text


def test_a_version_that_is_not_there_is_named(tables: Tables) -> None:
    tables.replace("p/t", BEFORE)
    with pytest.raises(StoreError, match="no version 3"):
        diff_versions(tables, Engine(tables, Spill(Path("/tmp"))), "p/t", (0, 3), [])


VALUES = st.dictionaries(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 3)), max_size=8)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(before=VALUES, after=VALUES)
def test_a_diff_by_key_is_that_of_two_dictionaries(
    tmp_path_factory: pytest.TempPathFactory, before: dict[int, int | None], after: dict[int, int | None]
) -> None:
    tables = Tables(tmp_path_factory.mktemp("tables"))
    versions = [
        pa.table({"id": pa.array(list(d), pa.int64()), "v": pa.array(list(d.values()), pa.int64())})
        for d in (before, after)
    ]
    tables.replace("p/t", pa.table({"id": pa.array([-1]), "v": pa.array([0])}))
    tables.replace("p/t", versions[0])
    first = tables.version("p/t") or 0
    tables.replace("p/t", versions[1])
    second = tables.version("p/t") or 0
    found = diff_versions(tables, Engine(tables, Spill(Path("/tmp"))), "p/t", (first, second), ["id"])
    assert found.added == len(after.keys() - before.keys())
    assert found.removed == len(before.keys() - after.keys())
    assert found.changed_rows == sum(1 for k in before.keys() & after.keys() if before[k] != after[k])
