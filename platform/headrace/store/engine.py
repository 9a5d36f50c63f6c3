"""The engine: DuckDB in memory, with snapshots of tables as views."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from headrace.core.days import Days
from headrace.core.errors import SqlError
from headrace.core.names import quoted, quoted_text
from headrace.store.tables import DAY, MONTH, Tables


@dataclass(frozen=True)
class TableView:
    """A table as a query sees it: one version (default: the newest), all days or some."""

    table: str
    days: Days | None = None
    version: int | None = None


class Engine:
    """Runs SQL over snapshots of tables and over Arrow tables. The session's time zone is always UTC."""

    def __init__(self, tables: Tables, *, spill: Path, memory: str = "1GB") -> None:
        self._tables = tables
        self._spill = spill
        self._memory = memory

    def query(self, sql: str, views: Mapping[str, TableView | pa.Table], *, origin: str = "") -> pa.Table:
        """Return the rows of one SQL statement; `origin` names the file that an error should point to."""
        with self._connection(views) as connection:
            try:
                return connection.execute(sql).to_arrow_table()
            except duckdb.Error as error:
                raise SqlError(_explained(error, origin)) from error

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

    def _connection(self, views: Mapping[str, TableView | pa.Table]) -> duckdb.DuckDBPyConnection:
        self._spill.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(":memory:")
        connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = true")
        connection.execute(f"set memory_limit = {quoted_text(self._memory)}")
        connection.execute(f"set temp_directory = {quoted_text(str(self._spill))}")
        for name, view in views.items():
            self._show(connection, name, view)
        self._close_off(connection)
        return connection

    def _close_off(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let SQL read the tables and nothing else: no other file, no network, no change of these settings."""
        folders = ", ".join(quoted_text(f"{folder}/") for folder in (self._tables.folder, self._spill))
        connection.execute(f"set allowed_directories = [{folders}]")
        connection.execute("set enable_external_access = false; set lock_configuration = true")

    def _show(self, connection: duckdb.DuckDBPyConnection, name: str, view: TableView | pa.Table) -> None:
        if isinstance(view, pa.Table):
            connection.register(name, view)
            return
        files = self._tables.files(view.table, version=view.version)
        if not files:
            connection.register(name, self._tables.schema(view.table).empty_table())
            return
        connection.execute(f"create view {quoted(name)} as {_select(files, view.days)}")


class Session:
    """Many small questions to one connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def show(self, name: str, sql: str) -> None:
        """Let a name stand for a query from now on."""
        self._connection.execute(f"create or replace view {quoted(name)} as {sql}")

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return the rows of a query as dictionaries."""
        try:
            rows: list[dict[str, Any]] = self._connection.execute(sql, list(values)).to_arrow_table().to_pylist()
        except duckdb.Error as error:
            raise SqlError(str(error)) from error
        return rows


def _select(files: list[str], days: Days | None) -> str:
    listed = ", ".join(quoted_text(file) for file in files)
    monthly = any(f"/{MONTH}=" in file for file in files)
    hive = f"hive_partitioning = true, hive_types = {{'{MONTH}': varchar}}" if monthly else "hive_partitioning = false"
    columns = f"* exclude ({MONTH})" if monthly else "*"
    where = f" where {DAY} between date '{days.first}' and date '{days.last}'" if days else ""
    return f"select {columns} from read_parquet([{listed}], union_by_name = true, {hive}){where}"


def _explained(error: duckdb.Error, origin: str) -> str:
    text = str(error).strip()
    return f"{origin}: {text}" if origin else text
