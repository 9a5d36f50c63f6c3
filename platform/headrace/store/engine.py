"""The engine: DuckDB in memory, with snapshots of tables as views.

SQL is written by users and reads what strangers sent: a connection sees the files of the snapshots that it was given and
nothing else of the disk, the network or this process, and no SQL can change that.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from headrace.core.days import Days
from headrace.core.errors import HeadraceError, SqlError, StoreError
from headrace.core.names import quoted, quoted_text
from headrace.store.prepared import explained, fenced
from headrace.store.spill import BATCH, Spill
from headrace.store.tables import DAY, MONTH, Tables

LEAST = 64 << 20
"""How much memory DuckDB gets at the least, in bytes."""


@dataclass(frozen=True)
class TableView:
    """A table as a query sees it: one version (default: the newest), all days or some."""

    table: str
    days: Days | None = None
    version: int | None = None


class Engine:
    """Runs SQL over snapshots of tables and over Arrow tables. The session's time zone is always UTC."""

    def __init__(self, tables: Tables, spill: Spill) -> None:
        self._tables = tables
        self._spill = spill

    def query(self, sql: str, views: Mapping[str, TableView | pa.Table], *, origin: str = "") -> pa.Table:
        """Return the rows of one SQL statement; `origin` names the file that an error should point to.

        Rows beyond a quarter of the product's memory lie on disk.
        """
        try:
            return self._answer(sql, views, origin, {})
        except _Stopped:
            return self._answer(sql, views, origin, {"threads": 1})

    def _answer(
        self, sql: str, views: Mapping[str, TableView | pa.Table], origin: str, settings: Mapping[str, Any]
    ) -> pa.Table:
        try:
            with self._connection(views, settings) as connection:
                answer = connection.execute(sql).to_arrow_reader(BATCH)
                return self._spill.gather(answer.schema, _batches(answer, origin))
        except duckdb.Error as error:
            raise SqlError(explained(error, origin)) from error

    @contextmanager
    def reading(
        self, sql: str, views: Mapping[str, TableView | pa.Table], *, size: int, origin: str = ""
    ) -> Iterator[pa.RecordBatchReader]:
        """Yield the rows of one SQL statement in batches of about `size`, for more than memory holds."""
        try:
            with self._connection(views) as connection:
                yield connection.execute(sql).to_arrow_reader(size)
        except duckdb.Error as error:
            raise SqlError(explained(error, origin)) from error

    @contextmanager
    def ordered(
        self, schema: pa.Schema, rows: Iterable[pa.RecordBatch], by: Sequence[str], *, size: int
    ) -> Iterator[pa.RecordBatchReader]:
        """Yield rows in the order of some columns, in batches of about `size`: for more than memory holds.

        What goes wrong where the rows are made is raised as it was there.
        """
        failed: list[HeadraceError] = []
        try:
            # One thread is as fast here, and two need more than 200 MiB for rows of 1 kB, however many these are.
            with self._connection({}, {"threads": 1}) as connection:
                connection.register("rows", pa.RecordBatchReader.from_batches(schema, _watched(rows, failed)))
                yield connection.execute(f"from rows order by {', '.join(map(quoted, by))}").to_arrow_reader(size)
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise failed[0] if failed else StoreError(f"Rows could not be ordered: {error}") from error

    def text(self, sql: str, views: Mapping[str, TableView | pa.Table]) -> str:
        """Return the rows of one SQL statement as a table that people can read."""
        with self._connection(views) as connection:
            try:
                return str(connection.sql(sql))
            except duckdb.Error as error:
                raise SqlError(str(error)) from error

    @contextmanager
    def session(self, tables: Mapping[str, TableView]) -> Iterator["Session"]:
        """Yield a session that holds copies of the tables in memory, for many small questions."""
        with self._connection({f"_stored{name}": view for name, view in tables.items()}) as connection:
            for name in tables:
                connection.execute(f"create table {quoted(name)} as from {quoted(f'_stored{name}')}")
            yield Session(connection)

    def _connection(
        self, views: Mapping[str, TableView | pa.Table], settings: Mapping[str, Any] | None = None
    ) -> duckdb.DuckDBPyConnection:
        self._spill.folder.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(":memory:", config=dict(settings or {}))
        connection.execute(f"set memory_limit = '{max(self._spill.memory // 2, LEAST) >> 20}MiB'")
        connection.execute(f"set temp_directory = {quoted_text(str(self._spill.folder))}")
        files = [file for name, view in views.items() for file in self._show(connection, name, view)]
        return fenced(connection, files)

    def _show(self, connection: duckdb.DuckDBPyConnection, name: str, view: TableView | pa.Table) -> list[str]:
        """Let a name stand for a table, and return the files that this takes."""
        if isinstance(view, pa.Table):
            connection.register(name, view)
            return []
        files = self._tables.files(view.table, version=view.version)
        if files:
            connection.execute(f"create view {quoted(name)} as {_select(files, view.days)}")
        else:
            connection.register(name, self._tables.schema(view.table).empty_table())
        return files


def _watched(rows: Iterable[pa.RecordBatch], failed: list[HeadraceError]) -> Iterator[pa.RecordBatch]:
    """Yield rows to a library that makes errors of its own of ours; keep ours."""
    try:
        yield from rows
    except HeadraceError as error:
        failed.append(error)
        raise


class _Stopped(SqlError):
    """DuckDB says that a thread was stopped, and not why: now and then the one that failed loses this race."""


def _batches(answer: pa.RecordBatchReader, origin: str) -> Iterator[pa.RecordBatch]:
    """Yield the rows of an answer; what goes wrong in the middle of it is not DuckDB's error any more, but Arrow's."""
    try:
        yield from answer
    except OSError as error:
        failed = _Stopped if "INTERRUPT Error" in str(error) else SqlError
        raise failed(explained(error, origin)) from error


def query_rows(sql: str, views: Mapping[str, pa.Table], *, origin: str = "") -> pa.Table:
    """Return the rows of one SQL statement over Arrow tables alone, without any store."""
    with duckdb.connect(":memory:") as connection:
        for name, rows in views.items():
            connection.register(name, rows)
        try:
            return fenced(connection, []).execute(sql).to_arrow_table()
        except duckdb.Error as error:
            raise SqlError(explained(error, origin)) from error


def verify_sql(sql: str, tables: Mapping[str, pa.Schema]) -> None:
    """Raise SqlError where a statement cannot be asked of tables with these columns."""
    with duckdb.connect(":memory:") as connection:
        for name, schema in tables.items():
            columns = ", ".join(f"{quoted(field.name)} {_duckdb_type(field.type)}" for field in schema)
            connection.execute(f"create table {quoted(name)} ({columns})")
        try:
            fenced(connection, []).execute(sql)
        except duckdb.Error as error:
            raise SqlError(str(error)) from error


def _duckdb_type(kind: pa.DataType) -> str:
    """Return what DuckDB calls an Arrow type; it knows most of them by Arrow's names."""
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    return "date" if pa.types.is_date(kind) else str(kind)


class Session:
    """Many small questions to one connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def show(self, name: str, sql: str) -> None:
        """Let a name stand for a query from now on."""
        self._connection.execute(f"create or replace view {quoted(name)} as {sql}")

    def keep(self, name: str, sql: str) -> None:
        """Let a name stand for the rows that a query has now."""
        self._connection.execute(f"create or replace table {quoted(name)} as {sql}")

    def take(self, name: str, rows: pa.Table) -> None:
        """Let a name stand for Arrow rows from now on."""
        self._connection.register(name, rows)

    def table(self, sql: str, values: Sequence[Any] = ()) -> pa.Table:
        """Return the rows of a query."""
        try:
            return self._connection.execute(sql, list(values)).to_arrow_table()
        except duckdb.Error as error:
            raise SqlError(str(error)) from error

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return the rows of a query as dictionaries."""
        rows: list[dict[str, Any]] = self.table(sql, values).to_pylist()
        return rows


def _select(files: list[str], days: Days | None) -> str:
    listed = ", ".join(quoted_text(file) for file in files)
    monthly = any(f"/{MONTH}=" in file for file in files)
    hive = f"hive_partitioning = true, hive_types = {{'{MONTH}': varchar}}" if monthly else "hive_partitioning = false"
    columns = f"* exclude ({MONTH})" if monthly else "*"
    where = f" where {DAY} between date '{days.first}' and date '{days.last}'" if days else ""
    return f"select {columns} from read_parquet([{listed}], union_by_name = true, {hive}){where}"
