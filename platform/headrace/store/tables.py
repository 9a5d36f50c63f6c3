"""Tables: Delta Lake folders named by asset key, replaced atomically, readable at every version."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import DeltaError, TableNotFoundError
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from headrace.core.days import Days
from headrace.core.errors import DiskFull, StoreError, TableMissing
from headrace.core.failpoints import failpoint
from headrace.core.names import did_you_mean
from headrace.store.addition import Addition, Commit, arrived
from headrace.store.cause import Cause, commit_facts
from headrace.store.commits import Version, orphan_files, versions_of
from headrace.store.conflicts import explained, is_there_already
from headrace.store.digest import rows_digest
from headrace.store.fences import Fence, Fences
from headrace.store.layout import (
    DAY,
    MONTH,
    days_in,
    days_predicate,
    in_days,
    may_hold,
    same_types,
    without_month,
)
from headrace.store.removed import Removed, removed_of
from headrace.store.seals import refuse_damaged, seal
from headrace.store.snapshot import Snapshot, snapshot_of
from headrace.store.write import KEEP_LOG, columns_of, create, write_onto

if TYPE_CHECKING:
    import pyarrow.dataset as ds  # it loads pandas where that is installed

__all__ = ["DAY", "MONTH", "Addition", "Commit", "Tables"]


class Tables:
    """A folder of Delta tables. Tables with a `_day` column lie in month partitions and are replaced by days."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fences = Fences(folder / "_fences")

    def exists(self, name: str) -> bool:
        """Return whether anybody has written the table."""
        return bool(DeltaTable.is_deltatable(str(self._folder / name)))

    def names(self) -> list[str]:
        """Return the names of all tables."""
        return sorted(str(log.parent.relative_to(self._folder)) for log in self._folder.glob("**/_delta_log"))

    def version(self, name: str) -> int | None:
        """Return the newest version, or None where there is no table."""
        return self._open(name).version() if self.exists(name) else None

    def stamp(self, name: str) -> str:
        """Return what is another text after each commit, a hundred times as fast as `version`; empty where there is no table."""
        log = self._folder / name / "_delta_log"
        return max((path.name for path in log.glob("*.json")), default="") if log.is_dir() else ""

    def newest(self, names: Iterable[str]) -> dict[str, int]:
        """Return the newest version of each of some tables that is there."""
        return {name: version for name in names if (version := self.version(name)) is not None}

    def snapshot(self, name: str, *, version: int | None = None) -> Snapshot | None:
        """Return the files of one version (default: the newest), or None where there is no table."""
        return snapshot_of(self._at(name, version)) if self.exists(name) else None

    def schema(self, name: str, *, version: int | None = None) -> pa.Schema:
        """Return the columns of one version (default: the newest), without the physical month."""
        return without_month(columns_of(self._open(name, version)))

    def history(self, name: str) -> list[dict[str, Any]]:
        """Return the commits, newest first."""
        return list(self._open(name).history())

    def count(self, name: str) -> int:
        """Return the number of rows of the newest version."""
        told = self._open(name).get_add_actions().column("num_records").to_pylist()
        return sum(told) if None not in told else self.read(name, columns=[]).num_rows

    def versions(self, name: str) -> list[Version]:
        """Return what each version holds, when and why it was written, oldest first."""
        if not self.exists(name):
            raise self._missing(name)
        return versions_of(self._folder / name)

    def removed(self, name: str) -> Removed:
        """Return the versions that can no longer be read."""
        return removed_of(self._folder / name)

    def files(self, name: str, *, version: int | None = None) -> list[str]:
        """Return the Parquet files of one version: what every engine may read."""
        return self._sound(name, [unquote(file) for file in self._open(name, version).file_uris()])

    def read(
        self, name: str, *, days: Days | None = None, columns: Sequence[str] | None = None, version: int | None = None
    ) -> pa.Table:
        """Return the rows of one version (default: the newest), of some days if asked."""
        return self._scanner(name, self._open(name, version), days, columns).to_table()

    def scan(self, name: str, *, days: Days | None = None, version: int | None = None) -> pa.RecordBatchReader:
        """Return the rows of one version, of some days if asked, piece by piece: for more than memory holds."""
        return self._reader(name, self._open(name, version), days)

    @contextmanager
    def claim(self, name: str, days: Days | None = None) -> Iterator[Fence]:
        """Hold the right to write these days of a table meanwhile, in any number of pieces; earlier claims of them end."""
        fence = self._fences.claim(name, days)
        try:
            yield fence
        finally:
            self._fences.settle(fence)

    def replace(
        self, name: str, rows: pa.Table, *, days: Days | None = None, fence: Fence | None = None, why: str | Cause = ""
    ) -> Commit:
        """Replace the table, or the given days of it, in one commit; equal rows are not written again.

        Raises StoreError if the columns changed and only some of the table's days are given.
        """
        if fence is None:
            with self.claim(name, days) as own:
                return self.replace(name, rows, days=days, fence=own, why=why)
        digest = rows_digest(rows)
        there = self._open(name) if self.exists(name) else None
        if there and rows_digest(self._reader(name, there, days)) == digest:
            with self._fences.holding(fence):
                left = snapshot_of(there)
                return Commit(name, left.version, digest, rows.num_rows, changed=False, days=days, snapshot=left.digest)
        failpoint("before_staging")
        cause = why if isinstance(why, Cause) else Cause(why)
        facts = commit_facts(cause, days or days_in(rows)) | {"headrace.digest": digest}
        marks = [Transaction(f"fence:{fence.scope}", fence.token)]
        properties = CommitProperties(app_transactions=marks, custom_metadata=facts)
        with self._fences.holding(fence), self._writing(name):
            left = self._replace(name, rows, days, properties)
        failpoint("committed")
        return Commit(name, left.version, digest, rows.num_rows, changed=True, days=days, snapshot=left.digest)

    def widen(self, name: str, rows: pa.Table) -> pa.Table:
        """Give the table the columns that only the rows have, and return the rows with the columns that only it has."""
        if not self.exists(name):
            return rows
        there = self.schema(name)
        new = [column for column in rows.schema if column.name not in there.names]
        if new:
            with self._writing(name):
                fields = list(Schema.from_arrow(pa.schema(new)).fields)
                self._open(name).alter.add_columns(fields, post_commithook_properties=KEEP_LOG)
        for column in there:
            if column.name not in rows.column_names:
                rows = rows.append_column(column, pa.nulls(rows.num_rows, column.type))
        return rows

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Keep every other process from adding files to the table meanwhile."""
        with self._fences.alone(f"{name}@files"):
            yield

    @contextmanager
    def quiet(self, name: str) -> Iterator[Path | None]:
        """Yield the table's folder while no process writes to it, for whoever removes files; None where one does."""
        with self._fences.quiet(name) as is_quiet:
            yield self._folder / name if is_quiet else None

    def add_files(self, name: str, added: Addition, *, after: int | None) -> Commit:
        """Add the rows of landed files, each exactly once: file and rows commit together.

        `after` is the version that was looked at to find out what is new (None: there was no table). Raises
        StoreError if another process has added one of the files, or rows that these replace, since then.
        """
        failpoint("before_staging")
        facts = commit_facts(Cause(f"{len(added.digests)} files"), days_in(added.rows)) | dict(added.facts)
        properties = CommitProperties(app_transactions=added.marks, custom_metadata=facts)
        with self._writing(name):
            if after is None:
                left = create(self._folder / name, added.rows, properties)
            else:
                left = write_onto(self._open(name, after), added.rows, added.predicate, properties)
        failpoint("committed")
        digest, count = rows_digest(added.rows), added.rows.num_rows
        return Commit(name, left.version, digest, count, changed=True, snapshot=left.digest)

    def added(self, name: str, digests: Mapping[str, str]) -> set[str]:
        """Return which of some landed files have come into the table with that content, whatever became of their rows."""
        return arrived(self._open(name), digests) if self.exists(name) else set()

    def rewrite(self, name: str, rows: pa.Table, *, days: Days, why: str) -> Commit:
        """Write the rows of some days again, in the order given and in few files, in one commit; what they say stays.

        Raises StoreError if they are not the rows that are there.
        """
        with self._writing(name):
            there, digest = self._open(name), rows_digest(rows)
            if rows_digest(self._reader(name, there, days)) != digest:
                raise StoreError(f"'{name}' of {days} has other rows by now than those to write again: run this again.")
            properties = CommitProperties(custom_metadata=commit_facts(Cause(why), set(days)))
            left = write_onto(there, rows, days_predicate(days), properties)
        return Commit(name, left.version, digest, rows.num_rows, changed=True, days=days, snapshot=left.digest)

    def facts(self, name: str) -> dict[str, str]:
        """Return what the newest commit of files remembers; nothing where there is none."""
        history = self.history(name) if self.exists(name) else []
        kept = next((commit for commit in history if any(key.startswith("headrace.") for key in commit)), {})
        return {key: value for key, value in kept.items() if key.startswith("headrace.")}

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            with self._fences.writing(name):
                with explained(name, self._folder):
                    yield
                failpoint("unsealed")
                seal(self._folder / name)
        except DiskFull:
            with self.quiet(name) as folder:
                for path in orphan_files(folder) if folder else ():
                    path.unlink()
            raise

    def _replace(self, name: str, rows: pa.Table, days: Days | None, properties: CommitProperties) -> Snapshot:
        if not self.exists(name):
            try:
                return create(self._folder / name, rows, properties)
            except DeltaError as error:
                if not is_there_already(error):
                    raise
        predicate = None if self._wholly(name, rows, days) else days_predicate(days)
        return write_onto(self._open(name), rows, predicate, properties)

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

    def _reader(self, name: str, table: DeltaTable, days: Days | None) -> pa.RecordBatchReader:
        """Return the rows of a table piece by piece; Arrow's own habit is to read sixteen pieces of four files ahead."""
        return self._scanner(name, table, days, batch_readahead=2, fragment_readahead=1).to_reader()

    def _scanner(
        self, name: str, table: DeltaTable, days: Days | None, columns: Sequence[str] | None = None, **ahead: int
    ) -> "ds.Scanner":
        """Return the rows of a table as it was opened, through Arrow's own file system.

        deltalake's is a Python object, which Arrow's threads may let go of when Python is gone already: exit code 134.
        """
        self._sound(name, [file for file in table.file_uris() if may_hold(file, days)])
        native = SubTreeFileSystem(str(self._folder / name), LocalFileSystem())
        dataset = table.to_pyarrow_dataset(filesystem=native)
        wanted = list(columns) if columns is not None else [c for c in dataset.schema.names if c != MONTH]
        return dataset.scanner(columns=wanted, filter=in_days(days), **ahead)

    def _open(self, name: str, version: int | None = None) -> DeltaTable:
        if version in self.removed(name).versions:
            self.removed(name).refuse(name, version, self._open(name).version())
        return self._at(name, version)

    def _at(self, name: str, version: int | None) -> DeltaTable:
        """Return the table at a version whose rows may be gone."""
        try:
            return DeltaTable(str(self._folder / name), version=version)
        except TableNotFoundError as error:
            raise self._missing(name) from error
        except DeltaError as error:
            if version is None:
                what = str(error).splitlines()[0]
                raise StoreError(f"Table '{name}' cannot be opened: {what}. Look closer: headrace doctor") from error
            newest = self._open(name).version()
            raise StoreError(f"Table '{name}' has no version {version}; it has 0 to {newest}.") from error

    def _sound(self, name: str, files: list[str]) -> list[str]:
        """Return the files; raises StoreError if one is missing or not as it was written."""
        refuse_damaged(self._folder / name, map(Path, files))
        return files

    def _missing(self, name: str) -> TableMissing:
        near = did_you_mean(name, self.names())
        return TableMissing(f"Table '{name}' does not exist yet: materialize the asset of that name first.{near}")
