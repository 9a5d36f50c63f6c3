"""SQL sees the snapshots that it was given, and nothing else: no file, no network, no setting, no variable."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.cast import cast_rows, guess_columns
from headrace.contracts.declaration import Column
from headrace.core.errors import DataError, SqlError
from headrace.core.names import quoted
from headrace.store.engine import Engine, TableView, query_rows
from headrace.store.spill import Spill
from headrace.store.tables import Tables
from platform_tests.sources.ferries import ferry_line

MINE, YOURS = "shop/raw/mine", "shop/raw/yours"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    tables = Tables(tmp_path / "tables")
    for name in (MINE, YOURS):
        tables.replace(name, pa.table({"n": [1, 2, 3]}))
    (tmp_path / "secret.csv").write_text("n\n7\n")
    return Engine(tables, Spill(tmp_path / "spill", 200 << 20))


def asks(folder: Path) -> list[str]:
    other = next((folder / "tables" / YOURS).glob("*.parquet"))
    return [
        f"select * from '{folder / 'secret.csv'}'",
        f"select * from read_csv('{folder / 'secret.csv'}')",
        f"select * from read_parquet('{other}')",
        f"select * from read_parquet('{folder / 'tables' / MINE}/../yours/{other.name}')",
        f"select * from read_text('{folder}/*')",
        f"select * from glob('{folder}/*')",
        f"copy mine to '{folder / 'out.csv'}'",
        f"export database '{folder / 'out'}'",
        f"attach '{folder / 'other.db'}'",
        "select * from 'https://example.com/x.csv'",
        "install httpfs",
        "load httpfs",
        "set memory_limit = '9GB'",
        "set enable_external_access = true",
        "reset lock_configuration",
        "pragma threads = 9",
        "select * from stranger",
    ]


@pytest.mark.parametrize("number", range(17))
def test_what_was_not_given_is_not_there(tmp_path: Path, engine: Engine, number: int) -> None:
    stranger = pa.table({"n": [7]})
    with pytest.raises(SqlError):
        engine.query(asks(tmp_path)[number], {"mine": TableView(MINE)})
    with pytest.raises(SqlError):
        query_rows(asks(tmp_path)[number], {"mine": stranger})
    assert not list(tmp_path.glob("o*"))


def test_what_was_given_is_read_and_what_does_not_fit_is_spilled(tmp_path: Path, engine: Engine) -> None:
    assert engine.query("select sum(n) as s from mine", {"mine": TableView(MINE)})["s"].to_pylist() == [6]
    sql = "select count(*) as c from (select n, repeat('x', 60) as t from range(2000000) r(n) order by t, n desc)"
    assert engine.query(sql, {})["c"].to_pylist() == [2_000_000]


def test_a_session_is_shut_in_too(tmp_path: Path, engine: Engine) -> None:
    with engine.session({"mine": TableView(MINE)}) as session:
        session.show("twice", "select n * 2 as n from mine")
        assert session.rows("select sum(n) as s from twice where n > ?", [2]) == [{"s": 10}]
        with pytest.raises(SqlError):
            session.rows(f"select * from '{tmp_path / 'secret.csv'}'")


Odd = st.one_of(
    st.text(min_size=1, max_size=12).filter(lambda name: "\x00" not in name and name.isprintable()),
    st.sampled_from(
        ['a"; drop table landed; --', "a' or 1=1", "{text}", "$1", "select", "a\\", 'x" as "y', "/*", "%s"]
    ),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(Odd, min_size=1, max_size=3, unique_by=str.casefold), Odd)
def test_a_column_and_a_value_are_data_whatever_they_are_called(names: list[str], value: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = ferry_line(Path(folder))
        rows = pa.table({name: [value] for name in names})
        columns = {name: Column(type="string") for name in names}
        assert cast_rows(site, rows, columns).to_pydict() == {name: [value] for name in names}
        assert set(guess_columns(site, rows, ())) == set(names)
        chosen = site.engine.query(f"select {quoted(names[0])} as v from rows", {"rows": rows})
        assert chosen["v"].to_pylist() == [value]


def test_rows_in_batches_come_in_order_though_memory_does_not_hold_them(tmp_path: Path) -> None:
    schema = pa.schema([("key", pa.binary()), ("slot", pa.int32()), ("rest", pa.binary())])
    engine = Engine(Tables(tmp_path / "tables"), Spill(tmp_path / "spill", 400 << 20))
    keys = [[f"{first + n:06}".encode() for n in range(5000)] for first in range(0, 125_000, 5000)]
    batches = (
        pa.record_batch([part, [slot] * 5000, [bytes(900)] * 5000], schema=schema) for slot in range(4) for part in keys
    )
    with engine.ordered(schema, batches, ["key", "slot"], size=1000) as rows:
        found = [pair for batch in rows for pair in zip(*(batch[n].to_pylist() for n in ("key", "slot")), strict=True)]
    assert found == [(key, slot) for part in keys for key in part for slot in range(4)]


def test_what_goes_wrong_in_making_rows_is_raised_as_it_is(engine: Engine) -> None:
    schema = pa.schema([("n", pa.int32())])

    def made() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch([pa.array([1], pa.int32())], schema=schema)
        raise DataError("no second batch")

    with pytest.raises(DataError, match=r"^no second batch$"), engine.ordered(schema, made(), ["n"], size=10) as rows:
        rows.read_all()
