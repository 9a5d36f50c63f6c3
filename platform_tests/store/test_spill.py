"""What a share of the memory does not hold lies on disk, and is the same rows in the same order."""

from pathlib import Path

import pyarrow as pa
import pytest

from headrace.core.errors import SqlError
from headrace.store.engine import Engine
from headrace.store.spill import Spill
from headrace.store.tables import Tables

MIB = 1 << 20
COUNT = "select i, 'n' || i as name, i % 7 as kind from range({rows}) as numbers(i)"


def engine(folder: Path, memory: int) -> Engine:
    return Engine(Tables(folder / "tables"), Spill(folder / "spill", memory))


def is_mapped(folder: Path) -> bool:
    """Return whether this process looks at a file in a folder, one without a name, too."""
    return str(folder) in Path("/proc/self/maps").read_text()


def test_an_answer_larger_than_its_share_of_memory_lies_on_disk_and_is_the_same(tmp_path: Path) -> None:
    sql = COUNT.format(rows=1_000_000)
    held = engine(tmp_path / "large", 2048 * MIB).query(sql, {})
    assert not is_mapped(tmp_path)
    spilled = engine(tmp_path / "small", 40 * MIB).query(sql, {})
    assert is_mapped(tmp_path / "small")
    assert spilled.equals(held)
    del spilled
    assert not is_mapped(tmp_path)


def test_nothing_is_left_on_disk(tmp_path: Path) -> None:
    spilled = engine(tmp_path, 4 * MIB).query(COUNT.format(rows=300_000), {})
    assert is_mapped(tmp_path / "spill")
    assert spilled["kind"][299_999].as_py() == 299_999 % 7
    assert list((tmp_path / "spill").iterdir()) == []


def test_tables_are_joined_to_one_in_order_and_an_empty_one_keeps_its_columns(tmp_path: Path) -> None:
    parts = [pa.table({"n": range(start, start + 1000)}) for start in range(0, 100_000, 1000)]
    for memory in (1, 2048 * MIB):
        spill = Spill(tmp_path / "spill", memory)
        assert spill.concat(parts).equals(pa.concat_tables(parts))
        assert spill.concat([parts[0].slice(0, 0)]).schema == parts[0].schema


def test_what_goes_wrong_in_the_middle_of_an_answer_is_said_with_its_origin(tmp_path: Path) -> None:
    sql = "select cast(if(i = 400000, 'x', '1') as integer) as n from range(500000) as numbers(i)"
    with pytest.raises(SqlError, match=r"more\.sql: Conversion Error: Could not convert string 'x'"):
        engine(tmp_path, 2048 * MIB).query(sql, {}, origin="more.sql")
