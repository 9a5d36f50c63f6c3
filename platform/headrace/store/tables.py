"""Tables: Delta Lake folders named by asset key, replaced atomically, readable at every version."""

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from headrace.core.days import Days
from headrace.core.errors import StoreError, TableMissing
from headrace.core.failpoints import failpoint
from headrace.core.names import quoted_text
from headrace.store.digest import rows_digest
from headrace.store.fences import Fence, Fences

DAY, MONTH = "_day", "_month"


@dataclass(frozen=True)
class Commit:
    """What a write left behind; `changed` is False when the rows were there already."""

    table: str
    version: int
    digest: str
    rows: int
    changed: bool


class Tables:
    """A folder of Delta tables. Tables with a `_day` column lie in month partitions and are replaced by days."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fences = Fences(folder / "_fences")

    def exists(self, name: str) -> bool:
        """Return whether anybody has written the table."""
        return DeltaTable.is_deltatable(str(self._folder / name))

    def names(self) -> list[str]:
        """Return the names of all tables."""
        logs = self._folder.glob("**/_delta_log")
        return sorted(str(log.parent.relative_to(self._folder)) for log in logs)

    def version(self, name: str) -> int | None:
        """Return the newest version, or None where there is no table."""
        return self._open(name).version() if self.exists(name) else None

    def schema(self, name: str) -> pa.Schema:
        """Return the columns of the newest version, without the physical month."""
        schema = pa.schema(self._open(name).schema().to_arrow())
        return pa.schema([field for field in schema if field.name != MONTH])

    def history(self, name: str) -> list[dict[str, Any]]:
        """Return the commits, newest first."""
        return self._open(name).history()

    def files(self, name: str, *, version: int | None = None) -> list[str]:
        """Return the Parquet files of one version: what every engine may read."""
        return self._open(name, version).file_uris()

    def read(
        self, name: str, *, days: Days | None = None, columns: Sequence[str] | None = None, version: int | None = None
    ) -> pa.Table:
        """Return the rows of one version (default: the newest), of some days if asked."""
        dataset = self._open(name, version).to_pyarrow_dataset()
        wanted = list(columns) if columns is not None else [c for c in dataset.schema.names if c != MONTH]
        rows: pa.Table = dataset.to_table(columns=wanted, filter=_in_days(days))
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
        predicate = None if self._wholly(name, rows, days) else _days_predicate(days)
        failpoint("before_staging")
        with self._fences.holding(fence), _explained(name):
            self._write(name, rows, "overwrite", predicate, _properties(fence, why, digest))
        failpoint("committed")
        return Commit(name, self._open(name).version(), digest, rows.num_rows, changed=True)

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Keep every other process from adding files to the table meanwhile."""
        with self._fences.alone(f"{name}@files"):
            yield

    def add_files(self, name: str, rows: pa.Table, *, digests: Mapping[str, str], replacing: Sequence[str]) -> Commit:
        """Add the rows of landed files, each exactly once: file and rows commit together.

        `digests` maps each file's name to its content digest; rows of the names in `replacing` are taken out first.
        """
        failpoint("before_staging")
        marks = [Transaction(f"file:{file}:{digest}", 1) for file, digest in digests.items()]
        predicate = f"_file in ({', '.join(quoted_text(f) for f in replacing)})" if replacing else None
        with _explained(name):
            self._write(
                name,
                rows,
                "overwrite" if replacing else "append",
                predicate,
                CommitProperties(app_transactions=marks),
            )
        failpoint("committed")
        return Commit(name, self._open(name).version(), rows_digest(rows), rows.num_rows, changed=True)

    def _write(
        self, name: str, rows: pa.Table, mode: str, predicate: str | None, properties: CommitProperties
    ) -> None:
        rows = _with_month(rows)
        partition_by = [MONTH] if MONTH in rows.column_names else None
        target = self._folder / name
        kind: dict[str, Any] = {"mode": mode, "partition_by": partition_by, "commit_properties": properties}
        if not self.exists(name):
            target.mkdir(parents=True, exist_ok=True)
            kind["mode"] = "error"
        elif predicate is not None:
            kind |= {"predicate": predicate, "schema_mode": None}
        elif mode == "overwrite":
            kind["schema_mode"] = "overwrite"
        elif mode == "append":
            kind["schema_mode"] = "merge"
        write_deltalake(str(target), rows, **kind)

    def _holds(self, name: str, digest: str, days: Days | None) -> bool:
        return self.exists(name) and rows_digest(self.read(name, days=days)) == digest

    def _wholly(self, name: str, rows: pa.Table, days: Days | None) -> bool:
        """Return whether a write of some days is one of the whole table: then its columns may change."""
        if days is None or not self.exists(name) or set(self.schema(name).names) == set(rows.column_names):
            return days is None
        there = pc.min_max(self.read(name, columns=[DAY])[DAY]).as_py()
        if there["min"] is None or (days.first <= there["min"] and there["max"] <= days.last):
            return True
        raise StoreError(
            f"The columns of '{name}' changed: new {sorted(set(rows.column_names) - set(self.schema(name).names))}, "
            f"gone {sorted(set(self.schema(name).names) - set(rows.column_names))}. Make all its days again in one run: "
            f"--partition-range {min(there['min'], days.first)}...{max(there['max'], days.last)}"
        )

    def _open(self, name: str, version: int | None = None) -> DeltaTable:
        try:
            return DeltaTable(str(self._folder / name), version=version)
        except TableNotFoundError as error:
            raise TableMissing(f"Table '{name}' does not exist yet: materialize the asset of that name first.") from error
        except DeltaError as error:
            raise StoreError(f"Table '{name}' has no version {version}: {error}") from error


def _in_days(days: Days | None) -> pc.Expression | None:
    if days is None:
        return None
    return (pc.field(DAY) >= pa.scalar(days.first)) & (pc.field(DAY) <= pa.scalar(days.last))


def _days_predicate(days: Days | None) -> str | None:
    return days and f"{DAY} >= date '{days.first}' and {DAY} <= date '{days.last}'"


def _with_month(rows: pa.Table) -> pa.Table:
    if DAY not in rows.column_names:
        return rows
    return rows.append_column(MONTH, pc.strftime(rows[DAY], format="%Y-%m"))


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
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise StoreError(f"The disk is full: '{name}' was not written. Free some space and run this again.") from error
