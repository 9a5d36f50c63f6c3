"""Tables are replaced atomically, by days, never silently changed, and readable at every version."""

import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.core.days import Days
from headrace.core.errors import FenceLost, StoreError, TableMissing
from headrace.store.tables import Addition, Tables

ROOT = Path(__file__).parents[2]
FIRST, SECOND = date(2013, 1, 31), date(2013, 2, 1)
BOTH = Days(FIRST, SECOND)


def one(day: date) -> Days:
    return Days(day, day)


def rows(values: list[Any], day: date = FIRST, kind: pa.DataType | None = None) -> pa.Table:
    return pa.table({"v": pa.array(values, kind or pa.int64()), "_day": pa.array([day] * len(values), pa.date32())})


def values(tables: Tables, **read: Any) -> list[Any]:
    return sorted(tables.read("t", columns=["v"], **read)["v"].to_pylist())


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    tables = Tables(tmp_path)
    tables.replace("t", pa.concat_tables([rows([1, 2]), rows([3], SECOND)]), days=BOTH)
    return tables


def test_days_are_replaced_and_others_stay(tables: Tables) -> None:
    tables.replace("t", rows([9]), days=one(FIRST))
    assert values(tables) == [3, 9]
    assert values(tables, days=one(FIRST)) == [9]


def test_every_version_stays_readable(tables: Tables) -> None:
    tables.replace("t", rows([9]), days=one(FIRST))
    assert values(tables, version=0) == [1, 2, 3]


def test_the_files_of_a_version_hold_its_rows_and_no_others_for_engines_that_read_nothing_else(tables: Tables) -> None:
    tables.replace("t", rows([1, 2]))
    tables.replace("t", rows([3], SECOND), days=one(SECOND))
    tables.replace("t", rows([4]), days=one(FIRST))
    held = [pq.ParquetFile(file).read(columns=["v"])["v"].to_pylist() for file in tables.files("t")]
    assert sorted(value for each in held for value in each) == [3, 4]


def test_what_repeats_is_written_with_a_dictionary_and_what_does_not_without(tables: Tables) -> None:
    measured, kinds = [n / 7 for n in range(5000)], [f"kind {n % 5}" for n in range(5000)]
    rows = pa.table({"measured": [None, *measured], "kind": [*kinds, None], "nothing": pa.nulls(5001, pa.int64())})
    tables.replace("shop/raw/kinds", rows)
    [file] = tables.files("shop/raw/kinds")
    written = pq.read_metadata(file).row_group(0)
    encodings = {written.column(n).path_in_schema: written.column(n).encodings for n in range(written.num_columns)}
    assert {name for name, used in encodings.items() if "RLE_DICTIONARY" in used} >= {"kind"}
    assert "RLE_DICTIONARY" not in encodings["measured"]
    assert tables.read("shop/raw/kinds").equals(rows)


def test_the_month_that_rows_lie_in_is_not_shown(tables: Tables) -> None:
    assert tables.schema("t").names == tables.read("t").column_names == ["v", "_day"]


def test_equal_rows_in_another_order_are_not_written_again(tables: Tables) -> None:
    commit = tables.replace("t", rows([2, 1]), days=one(FIRST))
    assert (commit.changed, commit.version) == (False, 0)


def test_no_rows_empty_their_days(tables: Tables) -> None:
    tables.replace("t", rows([]), days=one(FIRST))
    assert values(tables) == [3]


def test_a_digest_depends_on_the_rows_alone(tables: Tables, tmp_path: Path) -> None:
    other = Tables(tmp_path / "other").replace("x", pa.concat_tables([rows([3], SECOND), rows([2]), rows([1])]))
    assert other.digest == tables.replace("t", tables.read("t"), days=BOTH).digest


def test_a_changed_type_of_some_days_is_refused_instead_of_cut(tables: Tables) -> None:
    with pytest.raises(StoreError, match=r"v \(was int64, is double\).*Make all its days again in one run"):
        tables.replace("t", rows([1.5], kind=pa.float64()), days=one(FIRST))
    assert values(tables) == [1, 2, 3]


def test_a_value_that_fits_the_type_of_the_table_is_taken(tables: Tables) -> None:
    tables.replace("t", rows([7.0], kind=pa.float64()), days=one(FIRST))
    assert values(tables) == [3, 7]


def test_types_may_change_when_all_days_are_made_again(tables: Tables) -> None:
    tables.replace(
        "t", pa.concat_tables([rows([1.5], kind=pa.float64()), rows([2.5], SECOND, pa.float64())]), days=BOTH
    )
    assert values(tables) == [1.5, 2.5]


def test_changed_columns_of_some_days_are_refused_with_the_range_to_make(tables: Tables) -> None:
    with pytest.raises(StoreError, match=r"new \['w'\], gone \[\].*--partition-range 2013-01-31...2013-02-01"):
        tables.replace("t", rows([1]).append_column("w", pa.array([1])), days=one(FIRST))


def test_a_table_that_nobody_has_written_says_what_to_do(tables: Tables) -> None:
    assert (tables.exists("x"), tables.version("x")) == (False, None)
    with pytest.raises(TableMissing, match="materialize the asset of that name first"):
        tables.read("x")


def test_a_version_that_is_not_there_is_named(tables: Tables) -> None:
    with pytest.raises(StoreError, match="no version 7"):
        tables.read("t", version=7)


def test_an_older_claim_cannot_commit(tables: Tables) -> None:
    with tables.claim("t", one(FIRST)) as orphan:
        with tables.claim("t", one(FIRST)) as later:
            tables.replace("t", rows([9]), days=one(FIRST), fence=later)
        with pytest.raises(FenceLost, match="A later run has claimed"):
            tables.replace("t", rows([5]), days=one(FIRST), fence=orphan)
    assert values(tables) == [3, 9]


def test_an_older_claim_is_refused_although_its_rows_are_there_already(tables: Tables) -> None:
    with tables.claim("t", one(FIRST)) as orphan, tables.claim("t", one(FIRST)), pytest.raises(FenceLost):
        tables.replace("t", rows([1, 2]), days=one(FIRST), fence=orphan)


def test_a_commit_says_its_own_version_whoever_has_written_since_it_looked(tables: Tables) -> None:
    added = [Addition(rows([n], SECOND), {f"{n}.csv": "digest"}) for n in (4, 5)]
    assert [tables.add_files("t", files, after=0).version for files in added] == [1, 2]
    assert tables.replace("t", rows([9]), days=one(FIRST)).version == 3
    tables.replace("t", rows([6], SECOND), days=one(SECOND))
    assert tables.replace("t", rows([9]), days=one(FIRST)).version == 4


def test_a_claim_of_a_longer_range_ends_an_older_one_within_it_and_days_apart_commit_in_any_order(
    tables: Tables,
) -> None:
    with tables.claim("t", Days(FIRST, SECOND)) as long, tables.claim("t", one(SECOND)) as short:
        tables.replace("t", rows([9], SECOND), days=one(SECOND), fence=short)
        with pytest.raises(FenceLost):
            tables.replace("t", rows([5]), days=Days(FIRST, SECOND), fence=long)
    with tables.claim("t", one(FIRST)) as one_day, tables.claim("t", one(SECOND)) as another:
        tables.replace("t", rows([8], SECOND), days=one(SECOND), fence=another)
        tables.replace("t", rows([7]), days=one(FIRST), fence=one_day)
    assert values(tables) == [7, 8]


def test_the_reason_of_a_commit_is_kept(tables: Tables) -> None:
    tables.replace("t", rows([9]), days=one(FIRST), why="run 42")
    assert tables.history("t")[0]["headrace.why"] == "run 42"


KILLED = """
import sys
from datetime import date
from pathlib import Path
from headrace.core.days import Days
from platform_tests.store.test_tables import FIRST, one, rows
from headrace.store.tables import Tables
Tables(Path(sys.argv[1])).replace("t", rows([9]), days=one(FIRST))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "after"), [("before_staging", [1, 2, 3]), ("unsealed", [3, 9]), ("committed", [3, 9])]
)
def test_a_kill_leaves_the_old_rows_or_the_new_ones(
    tables: Tables, tmp_path: Path, point: str, after: list[int]
) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)]), "FAILPOINT": point}
    run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=env, check=False)
    assert run.returncode == -signal.SIGKILL
    assert values(tables) == after
    tables.replace("t", rows([9]), days=one(FIRST))
    assert values(tables) == [3, 9]


RACING = """
import sys
from datetime import date
from pathlib import Path
from headrace.core.errors import StoreError
from headrace.store.tables import Tables
from platform_tests.store.test_tables import FIRST, one, rows
mine = int(sys.argv[2])
for round in range(6):
    try:
        Tables(Path(sys.argv[1])).replace("new", rows([mine] * 50), days=one(FIRST))
    except StoreError:
        pass
"""


@pytest.mark.slow
def test_of_eight_processes_that_replace_the_same_days_one_wins_wholly(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)])}
    racers = [subprocess.Popen([sys.executable, "-c", RACING, str(tmp_path), str(n)], env=env) for n in range(8)]
    assert [racer.wait(timeout=120) for racer in racers] == [0] * 8
    found = Tables(tmp_path).read("new")["v"].to_pylist()
    assert len(found) == 50
    assert len(set(found)) == 1
