"""Tables: Delta Lake folders named by asset key, replaced atomically, readable at every version."""

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Schema, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from headrace.core.days import Days
from headrace.core.errors import StoreError, TableMissing
from headrace.core.failpoints import failpoint
from headrace.store.digest import rows_digest
from headrace.store.fences import Fence, Fences
from headrace.store.layout import (
    DAY,
    MONTH,
    days_predicate,
    files_predicate,
    fitted,
    in_days,
    month_of,
    same_types,
    with_month,
    without_month,
)

__all__ = ["DAY", "MONTH", "Addition", "Commit", "Tables"]


@dataclass(frozen=True)
class Commit:
    """What a write left behind; `changed` is False when the rows were there already."""

    table: str
    version: int
    digest: str
    rows: int
    changed: bool


@dataclass(frozen=True)
class Addition:
    """Rows of landed files that enter a table in one commit."""

    rows: pa.Table
    digests: Mapping[str, str]
    """File → digest of its content."""
    replacing: Sequence[str] | None = ()
    """Files whose earlier rows go out; None for all rows."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the commit should remember."""

    @property
    def predicate(self) -> str | None:
        """Which rows go out; Delta asks that all rows that come in are among them, so the new files are named, too."""
        return files_predicate(self.replacing and sorted({*self.replacing, *self.digests}))


class Tables:
    """A folder of Delta tables. Tables with a `_day` column lie in month partitions and are replaced by days."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fences = Fences(folder / "_fences")

    @property
    def folder(self) -> Path:
        """Where the tables lie."""
        return self._folder

    def exists(self, name: str) -> bool:
        """Return whether anybody has written the table."""
        return bool(DeltaTable.is_deltatable(str(self._folder / name)))

    def names(self) -> list[str]:
        """Return the names of all tables."""
        logs = self._folder.glob("**/_delta_log")
        return sorted(str(log.parent.relative_to(self._folder)) for log in logs)

    def version(self, name: str) -> int | None:
        """Return the newest version, or None where there is no table."""
        return self._open(name).version() if self.exists(name) else None

    def schema(self, name: str) -> pa.Schema:
        """Return the columns of the newest version, without the physical month."""
        return without_month(_columns(self._open(name)))

    def history(self, name: str) -> list[dict[str, Any]]:
        """Return the commits, newest first."""
        return list(self._open(name).history())

    def files(self, name: str, *, version: int | None = None) -> list[str]:
        """Return the Parquet files of one version: what every engine may read."""
        return list(self._open(name, version).file_uris())

    def read(
        self, name: str, *, days: Days | None = None, columns: Sequence[str] | None = None, version: int | None = None
    ) -> pa.Table:
        """Return the rows of one version (default: the newest), of some days if asked."""
        dataset = self._open(name, version).to_pyarrow_dataset(filesystem=self._native(name))
        wanted = list(columns) if columns is not None else [c for c in dataset.schema.names if c != MONTH]
        rows: pa.Table = dataset.to_table(columns=wanted, filter=in_days(days))
        return rows

    def claim(self, name: str, days: Days | None = None) -> Fence:
        """Claim the right to write these days of a table; earlier claims of them end."""
        return self._fences.claim(f"{name}@{days or 'all'}")

    def replace(
        self, name: str, rows: pa.Table, *, days: Days | None = None, fence: Fence | None = None, why: str = ""
    ) -> Commit:
        """Replace the table, or the given days of it, in one commit; equal rows are not written again.

        Raises StoreError if the columns changed and only some of the table's days are given.
        """
        digest = rows_digest(rows)
        fence = fence or self.claim(name, days)
        if self._holds(name, digest, days):
            return Commit(name, self._open(name).version(), digest, rows.num_rows, changed=False)
        failpoint("before_staging")
        with self._fences.holding(fence), _explained(name):
            self._replace(name, rows, days, _properties(fence, why, digest))
        failpoint("committed")
        return Commit(name, self._open(name).version(), digest, rows.num_rows, changed=True)

    def widen(self, name: str, rows: pa.Table) -> pa.Table:
        """Give the table the columns that only the rows have, and return the rows with the columns that only it has."""
        if not self.exists(name):
            return rows
        new = [column for column in rows.schema if column.name not in self.schema(name).names]
        if new:
            self._open(name).alter.add_columns(list(Schema.from_arrow(pa.schema(new)).fields))
        for column in self.schema(name):
            if column.name not in rows.column_names:
                rows = rows.append_column(column, pa.nulls(rows.num_rows, column.type))
        return rows

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Keep every other process from adding files to the table meanwhile."""
        with self._fences.alone(f"{name}@files"):
            yield

    def add_files(self, name: str, added: Addition, *, after: int | None) -> Commit:
        """Add the rows of landed files, each exactly once: file and rows commit together.

        `after` is the version that was looked at to find out what is new (None: there was no table). Raises
        StoreError if another process has added one of the files, or rows that these replace, since then.
        """
        failpoint("before_staging")
        marks = [Transaction(f"file:{file}:{digest}", 1) for file, digest in added.digests.items()]
        properties = CommitProperties(app_transactions=marks, custom_metadata=dict(added.facts))
        with _explained(name):
            if after is None:
                self._create(name, added.rows, properties)
            else:
                self._onto(self._open(name, after), added.rows, added.predicate, properties)
        failpoint("committed")
        return Commit(name, self._open(name).version(), rows_digest(added.rows), added.rows.num_rows, changed=True)

    def facts(self, name: str) -> dict[str, str]:
        """Return what the newest commit of files remembers; nothing where there is none."""
        history = self.history(name) if self.exists(name) else []
        kept = next((commit for commit in history if any(key.startswith("headrace.") for key in commit)), {})
        return {key: value for key, value in kept.items() if key.startswith("headrace.")}

    def _replace(self, name: str, rows: pa.Table, days: Days | None, properties: CommitProperties) -> None:
        if not self.exists(name):
            try:
                self._create(name, rows, properties)
            except DeltaError as error:
                if not _is_there_already(error):
                    raise
            else:
                return
        predicate = None if self._wholly(name, rows, days) else days_predicate(days)
        self._onto(self._open(name), rows, predicate, properties)

    def _create(self, name: str, rows: pa.Table, properties: CommitProperties) -> None:
        target = self._folder / name
        target.mkdir(parents=True, exist_ok=True)
        rows = with_month(rows)
        write_deltalake(str(target), rows, mode="error", partition_by=month_of(rows), commit_properties=properties)

    def _onto(self, table: DeltaTable, rows: pa.Table, predicate: str | None, properties: CommitProperties) -> None:
        """Write onto one version: all rows change (None), those of a predicate do, or none ("")."""
        kind: dict[str, Any] = {"mode": "append" if predicate == "" else "overwrite"}
        if predicate is None:
            kind["schema_mode"] = "overwrite"
        elif predicate:
            kind["predicate"] = predicate
        else:
            kind["schema_mode"] = "merge"
        if predicate is not None:
            rows = fitted(rows, without_month(_columns(table)), table.table_uri)
        rows = with_month(rows)
        write_deltalake(table, rows, partition_by=month_of(rows), commit_properties=properties, **kind)

    def _holds(self, name: str, digest: str, days: Days | None) -> bool:
        return self.exists(name) and rows_digest(self.read(name, days=days)) == digest

    def _wholly(self, name: str, rows: pa.Table, days: Days | None) -> bool:
        """Return whether a write of some days is one of the whole table: then its columns may change."""
        if days is None or same_types(self.schema(name), rows.schema):
            return days is None
        there = pc.min_max(self.read(name, columns=[DAY])[DAY]).as_py()
        if there["min"] is None or (days.first <= there["min"] and there["max"] <= days.last):
            return True
        if set(self.schema(name).names) == set(rows.column_names):
            return False
        raise StoreError(
            f"The columns of '{name}' changed: new {sorted(set(rows.column_names) - set(self.schema(name).names))}, "
            f"gone {sorted(set(self.schema(name).names) - set(rows.column_names))}. Make all its days again in one run: "
            f"--partition-range {min(there['min'], days.first)}...{max(there['max'], days.last)}"
        )

    def _native(self, name: str) -> SubTreeFileSystem:
        """Return the table's folder as Arrow's own file system.

        deltalake's is a Python object, which Arrow's threads may let go of when Python is gone already: exit code 134.
        """
        return SubTreeFileSystem(str(self._folder / name), LocalFileSystem())

    def _open(self, name: str, version: int | None = None) -> DeltaTable:
        try:
            return DeltaTable(str(self._folder / name), version=version)
        except TableNotFoundError as error:
            raise TableMissing(
                f"Table '{name}' does not exist yet: materialize the asset of that name first."
            ) from error
        except DeltaError as error:
            raise StoreError(f"Table '{name}' has no version {version}: {error}") from error


def _columns(table: DeltaTable) -> pa.Schema:
    return pa.schema(table.schema().to_arrow())


def _is_there_already(error: DeltaError) -> bool:
    return "already exists" in str(error)


def _properties(fence: Fence, why: str, digest: str) -> CommitProperties:
    return CommitProperties(
        app_transactions=[Transaction(f"fence:{fence.scope}", fence.token)],
        custom_metadata={"headrace.why": why, "headrace.digest": digest, "headrace.at": datetime.now(UTC).isoformat()},
    )


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn the store's own errors into ones that say what to do."""
    try:
        yield
    except CommitFailedError as error:
        raise StoreError(
            f"Another run wrote '{name}' at the same moment and won ({error}). Nothing was written twice: run this again."
        ) from error
    except DeltaError as error:
        if not _is_there_already(error):
            raise
        raise StoreError(
            f"Another run created '{name}' at the same moment. Nothing was written twice: run this again."
        ) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise StoreError(f"The disk is full: '{name}' was not written. Free some space and run this again.") from error
