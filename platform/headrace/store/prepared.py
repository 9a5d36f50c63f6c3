"""SQL over Arrow tables alone: a connection that is shut in, and statements that are asked again and again."""

import threading
from collections.abc import Sequence

import duckdb
import pyarrow as pa

from headrace.core.errors import SqlError
from headrace.core.names import quoted_text


class Prepared:
    """One SQL statement over one Arrow table, parsed once and asked again and again, by any number of threads.

    The settings are those of every query; a connection has one thread of its own, for questions about a few rows.
    """

    def __init__(self, sql: str, view: str, *, origin: str) -> None:
        self._sql, self._view, self._origin = sql, view, origin
        self._local = threading.local()

    def rows(self, rows: pa.Table) -> pa.Table:
        """Return what the statement makes of some rows."""
        try:
            connection, statement = self._prepared()
            connection.register(self._view, rows.combine_chunks())
            return connection.execute(statement).to_arrow_table()
        except duckdb.Error as error:
            raise SqlError(explained(error, self._origin)) from error

    def _prepared(self) -> tuple[duckdb.DuckDBPyConnection, duckdb.Statement]:
        known: tuple[duckdb.DuckDBPyConnection, duckdb.Statement] | None = getattr(self._local, "prepared", None)
        if known is None:
            connection = fenced(duckdb.connect(":memory:", config={"threads": 1}), [])
            known = connection, connection.extract_statements(self._sql)[0]
            self._local.prepared = known
        return known


def fenced(connection: duckdb.DuckDBPyConnection, files: Sequence[str]) -> duckdb.DuckDBPyConnection:
    """Shut a connection in with the files that it may read, for good."""
    connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = true")
    connection.execute(f"set allowed_paths = [{', '.join(map(quoted_text, files))}]")
    connection.execute("set enable_external_access = false; set python_enable_replacements = false")
    connection.execute("set lock_configuration = true")
    return connection


def explained(error: Exception, origin: str) -> str:
    """Return what DuckDB says, with the place of the SQL that it is about."""
    text = str(error).strip()
    return f"{origin}: {text}" if origin else text
