"""Spark: a cluster that runs SQL over the same snapshots of tables, and gives back the types that DuckDB would.

The cluster reads the Parquet files that a version of a table consists of; it never looks at the folder. A session's
time zone is UTC, its casts and sums raise where a value does not fit, and its names are those of one statement alone.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.arrow import NO_CAST
from headrace.core.errors import DataError, SqlError, StoreError
from headrace.core.names import quoted_text
from headrace.core.spark_sql import carried, schema_of
from headrace.store.engine import Engine, TableView
from headrace.store.tables import DAY, Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MEANING = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.caseSensitive": "false",
    "spark.sql.groupByOrdinal": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
}
"""What decides how a statement is understood. How much memory or how many tasks there are is the cluster's own matter."""
View: TypeAlias = TableView | pa.Table
_TOO_LARGE = ("ARITHMETIC_OVERFLOW", "NUMERIC_VALUE_OUT_OF_RANGE", "DECIMAL")


class Spark:
    """Runs statements on a cluster: a master's URL (`spark://`, `local[2]`), or Spark Connect (`sc://`)."""

    def __init__(self, url: str, tables: Tables, engine: Engine) -> None:
        self._url = url
        self._tables = tables
        self._engine = engine

    def query(self, sql: str, views: Mapping[str, View], *, origin: str = "") -> pa.Table:
        """Return the rows of one SELECT in DuckDB's dialect, in no order, in the columns and types that DuckDB gives.

        Raises NotCarried for what Spark would understand differently, DataError for values that stop it.
        """
        shape = self.shape(sql, views, origin=origin)
        return as_shaped(self.run(self.carry(sql, views, origin=origin), views, origin=origin), shape, origin)

    def carry(self, sql: str, views: Mapping[str, View], *, origin: str = "") -> str:
        """Return a SELECT in DuckDB's dialect as Spark's SQL over these views."""
        return carried(sql, origin, schema_of({name: self.columns_of(view) for name, view in views.items()}))

    def shape(self, sql: str, views: Mapping[str, View], *, origin: str = "") -> pa.Schema:
        """Return the columns that DuckDB gives a statement over these views, without reading a row."""
        empty = {name: self.columns_of(view).empty_table() for name, view in views.items()}
        return self._engine.query(sql, empty, origin=origin).schema

    def run(self, sql: str, views: Mapping[str, View], *, origin: str = "") -> pa.Table:
        """Return the rows of one statement in Spark's own SQL."""
        with _in_words(origin):
            return self._asked(sql, views).toArrow()

    def columns(self, sql: str, views: Mapping[str, View], *, origin: str = "") -> dict[str, str]:
        """Return the columns of a statement in Spark's own SQL and what Spark calls their types, without running it."""
        with _in_words(origin):
            return {field.name: field.dataType.simpleString() for field in self._asked(sql, views).schema}

    def columns_of(self, view: View) -> pa.Schema:
        """Return the columns and types of a view as they are stored."""
        return view.schema if isinstance(view, pa.Table) else self._tables.schema(view.table, version=view.version)

    def _asked(self, sql: str, views: Mapping[str, View]) -> "DataFrame":
        session = _session(self._url).newSession()
        for name, value in MEANING.items():
            session.conf.set(name, value)
        for name, view in views.items():
            self._frame(session, view).createOrReplaceTempView(name)
        return session.sql(sql)

    def _frame(self, session: "SparkSession", view: View) -> "DataFrame":
        from pyspark.sql.pandas.types import from_arrow_schema

        columns = from_arrow_schema(_plain(self.columns_of(view).empty_table()).schema)
        if isinstance(view, pa.Table):
            return session.createDataFrame(_plain(view), columns)
        files = self._tables.files(view.table, version=view.version)
        if not files:
            return session.createDataFrame([], columns)
        rows = session.read.schema(columns).parquet(*map(_as_glob, files))
        days = view.days
        return rows.where(f"{DAY} between date'{days.first}' and date'{days.last}'") if days else rows


def as_shaped(rows: pa.Table, shape: pa.Schema, origin: str) -> pa.Table:
    """Return rows under other names and in other types, value by value the same; raises DataError where one would be lost."""
    renamed = rows.rename_columns(shape.names)
    try:
        columns = [_as(renamed[field.name], field.type) for field in shape]
    except NO_CAST as error:
        raise DataError(f"{origin}: Spark gave values that do not fit: {error}") from None
    return pa.table(columns, schema=shape)


def _as(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_decimal(values.type) and pa.types.is_floating(kind):
        return pc.cast(values, kind, safe=False)
    return values.cast(kind)


def _plain(rows: pa.Table) -> pa.Table:
    """Return rows in the types of text that Spark takes."""
    kinds = [pa.string() if _is_text(field.type) else field.type for field in rows.schema]
    return rows.cast(pa.schema(list(zip(rows.column_names, kinds, strict=True))))


def _as_glob(path: str) -> str:
    """Return a path as the pattern that matches it alone: Spark takes no other."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", path)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string_view(kind) or pa.types.is_large_string(kind) or pa.types.is_string(kind))


@cache
def _session(url: str) -> "SparkSession":
    """Return this process's session at a cluster, started at the first question."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.logger import PySparkLogger
    from pyspark.sql import SparkSession

    # What it logs beside each error, with Java's stack, is said in the error.
    PySparkLogger.getLogger("SQLQueryContextLogger").setLevel("CRITICAL")
    builder = SparkSession.builder.appName("headrace")
    try:
        if url.startswith("sc://"):
            return builder.remote(url).getOrCreate()
        return builder.master(url).getOrCreate()
    except (PySparkException, Py4JError) as error:
        place = url.partition(";")[0]
        raise StoreError(f"Spark at {place} does not answer: {_first_line(error)}") from error


@contextmanager
def _in_words(origin: str) -> Iterator[None]:
    from py4j.protocol import Py4JError
    from pyspark.errors import AnalysisException, PySparkException

    where = f"{origin}: " if origin else ""
    try:
        yield
    except AnalysisException as error:
        raise SqlError(f"{where}Spark does not understand it: {_first_line(error)}") from error
    except PySparkException as error:
        if any(word in str(error) for word in _TOO_LARGE):
            raise DataError(
                f"{where}values are too large to be worked on exactly: aggregate them in a larger unit. ({_first_line(error)})"
            ) from error
        raise DataError(f"{where}Spark stopped: {_first_line(error)}") from error
    except Py4JError as error:
        raise StoreError(f"{where}Spark is gone: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def spark_text(text: str) -> str:
    """Return a text as a literal of Spark's SQL."""
    return quoted_text(text.replace("\\", "\\\\")).replace("''", "\\'")


def spark_name(identifier: str) -> str:
    """Return an identifier quoted for Spark's SQL."""
    return "`" + identifier.replace("`", "``") + "`"
