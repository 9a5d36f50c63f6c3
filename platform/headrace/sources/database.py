"""Rows of a table in an SQL database, from a cursor value on. The one door to databases: SQLAlchemy, whatever the driver."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, NoSuchTableError, SQLAlchemyError

from headrace.core.errors import DataError, DeclarationError, StoreError
from headrace.core.names import did_you_mean
from headrace.core.secrets import looked_up
from headrace.sources.declaration import Database
from headrace.sources.delimited import checked_names

AT_ONCE = 10_000
DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
Value = datetime | date | int | str
"""A value of a cursor column."""


@dataclass(frozen=True)
class DatabaseTable:
    """One table of an open database."""

    connection: sa.Connection
    table: sa.Table
    declared: Database

    @property
    def cursor(self) -> sa.Column[Any]:
        """The column that says what is new."""
        return self.table.c[self.declared.cursor]

    def cursor_value(self, text: str) -> Value:
        """Return the cursor value that a text stands for: `cursor_text` turned round."""
        kind = self.cursor.type
        if isinstance(kind, sa.Integer):
            return int(text)
        if isinstance(kind, sa.DateTime):
            return datetime.fromisoformat(text)
        return date.fromisoformat(text) if isinstance(kind, sa.Date) else text

    def before(self, high: Value) -> Value:
        """Return where to look again from: `lag` before the highest value that was taken."""
        lag = self.declared.lag
        if not lag:
            return high
        fits = isinstance(high, int) if isinstance(lag, int) else isinstance(high, date)
        if not fits:
            raise DeclarationError(
                f"`lag: {lag}` does not fit the cursor '{self.declared.cursor}', which is {self.cursor.type}: "
                "write a duration for times, a number for numbers."
            )
        earlier: Value = high - lag  # type: ignore[assignment, operator]
        return earlier

    def end_of_window(self, high: Value | None, rows: int) -> Value | None:
        """Return the cursor value of the row that is `rows` rows behind `high`; None where fewer are there."""
        behind = [self.cursor.is_not(None)] + ([self.cursor > high] if high is not None else [])
        query = sa.select(self.cursor).where(*behind).order_by(self.cursor).offset(rows - 1).limit(1)
        found: Value | None = self.connection.execute(query).scalar()
        return found

    def rows(self, low: Value | None, end: Value | None) -> pa.Table:
        """Return the rows with a cursor value from `low` to `end`, both included, in one snapshot of the database."""
        span: list[sa.ColumnElement[bool]] = [self.cursor.is_not(None)]
        span += [self.cursor >= low] if low is not None else []
        span += [self.cursor <= end] if end is not None else []
        query = sa.select(self.table).where(*span).order_by(self.cursor)
        found = self.connection.execution_options(yield_per=AT_ONCE).execute(query)
        schema = pa.schema([(column.name, _arrow_type(column.type)) for column in self.table.c])
        pieces = [_arrow(schema, rows) for rows in found.partitions()]
        return pa.concat_tables(pieces) if pieces else schema.empty_table()

    def without_cursor(self) -> int:
        """Return how many rows have no cursor value: they are never taken."""
        query = sa.select(sa.func.count()).select_from(self.table).where(self.cursor.is_(None))
        return int(self.connection.execute(query).scalar_one())


def cursor_text(value: Value) -> str:
    """Return a cursor value as a text that can be written down."""
    return value.isoformat() if isinstance(value, date) else str(value)


@contextmanager
def open_table(name: str, declared: Database, environment: Mapping[str, str]) -> Iterator[DatabaseTable]:
    """Yield a source's table, in a transaction that only reads.

    Raises DeclarationError where the database has no such table or column, StoreError where it cannot be asked.
    """
    engine = _engine(name, looked_up(declared.url, environment), declared)
    try:
        with engine.execution_options(**_reading_only(engine)).connect() as connection:
            yield DatabaseTable(connection, _reflected(name, connection, declared), declared)
    except sa.exc.DataError as error:
        raise DataError(f"Source '{name}': a value of '{declared.table}' cannot be read: {_words(error)}") from None
    except SQLAlchemyError as error:
        raise StoreError(
            f"The database of source '{name}' ({declared.url}) cannot be asked: {_words(error)}. Nothing was taken; run this again."
        ) from None
    finally:
        engine.dispose()


def _reading_only(engine: sa.Engine) -> dict[str, Any]:
    return {"postgresql_readonly": True} if engine.dialect.name == "postgresql" else {}


def _engine(name: str, address: str, declared: Database) -> sa.Engine:
    try:
        url = sa.make_url(address)
        url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
        limits = {"connect_timeout": 10} if url.drivername.startswith("postgresql") else {}
        return sa.create_engine(url, poolclass=sa.NullPool, connect_args=limits, hide_parameters=True)
    except (ArgumentError, NoSuchModuleError):
        raise DeclarationError(
            f"Source '{name}': {declared.url} holds no address of a database: write postgresql://user:password@host/name"
        ) from None
    except ImportError as error:
        raise DeclarationError(
            f"Source '{name}': {error}. For PostgreSQL: pip install 'headrace[postgres]'; for another database, its driver."
        ) from None


def _reflected(name: str, connection: sa.Connection, declared: Database) -> sa.Table:
    schema, _, table = declared.table.rpartition(".")
    try:
        found = sa.Table(table, sa.MetaData(), schema=schema or None, autoload_with=connection)
    except NoSuchTableError:
        there = sa.inspect(connection).get_table_names(schema=schema or None)
        raise DeclarationError(
            f"Source '{name}': the database has no table '{declared.table}'.{did_you_mean(table, there)}"
        ) from None
    checked_names(declared.table, list(found.c.keys()))
    for column in [declared.cursor, *declared.keys]:
        if column not in found.c:
            raise DeclarationError(
                f"Source '{name}': '{declared.table}' has no column '{column}'; it has {', '.join(found.c.keys())}."
                f"{did_you_mean(column, found.c.keys())}"
            )
    return found


def _words(error: SQLAlchemyError) -> str:
    """Return what the driver says, without the statement and without a URL that may hold a password."""
    return str(getattr(error, "orig", None) or type(error).__name__).strip()


def _arrow_type(kind: sa.types.TypeEngine[Any]) -> pa.DataType:
    """Return the type in which a column lands: text for all that other engines do not know."""
    if isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float):
        exact = kind.precision is not None and kind.precision <= 38
        return pa.decimal128(kind.precision, kind.scale or 0) if exact else pa.string()
    if isinstance(kind, sa.DateTime):
        return pa.timestamp("us", "UTC") if kind.timezone else pa.string()
    plain = {sa.Boolean: pa.bool_(), sa.Integer: pa.int64(), sa.Float: pa.float64(), sa.Date: pa.date32()}
    return next((arrow for of, arrow in plain.items() if isinstance(kind, of)), pa.string())


def _arrow(schema: pa.Schema, rows: Any) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    return pa.table(
        [pa.array(_values(column, field.type), field.type) for column, field in zip(columns, schema, strict=True)],
        schema=schema,
    )


def _values(column: tuple[Any, ...], kind: pa.DataType) -> list[Any]:
    if kind != pa.string():
        return list(column)
    return [None if value is None else _text(value) for value in column]


def _text(value: Any) -> str:
    writers: tuple[tuple[Any, Callable[[Any], str]], ...] = (
        (str, str),
        (datetime, lambda v: str(v.isoformat(" ")) if v.tzinfo is None else str(v.astimezone(UTC).isoformat())),
        (bytes | memoryview, lambda v: bytes(v).hex()),
        (timedelta, lambda v: f"{v.total_seconds()}"),
        (Decimal, lambda v: f"{v:f}"),
        (dict | list, lambda v: json.dumps(v, ensure_ascii=False, default=str)),
    )
    return next((write(value) for of, write in writers if isinstance(value, of)), str(value))
