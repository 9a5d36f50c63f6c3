"""A version of a table as the files that it consists of: whether two are the same, and which days differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from hashlib import sha256

import pyarrow as pa
from deltalake import DeltaTable

from headrace.core.days import Days
from headrace.store.layout import DAY, MONTH


@dataclass(frozen=True)
class Snapshot:
    """One version of a table."""

    version: int
    columns: str
    """Its columns and their types, as JSON."""
    files: Mapping[str, Days | None]
    """Each of its Parquet files, and the days that its rows lie in at most; None where nobody knows."""

    @cached_property
    def digest(self) -> str:
        """A digest that no other version of any table has, unless its rows are the same."""
        return sha256("\n".join([str(self.version), self.columns, *sorted(self.files)]).encode()).hexdigest()[:16]

    def days_since(self, before: "Snapshot") -> list[Days] | None:
        """Return the days that may hold other rows than they did in an earlier version; None where all may."""
        others = {**before.files, **self.files}.items()
        changed = [days for file, days in others if (file in before.files) != (file in self.files)]
        if self.columns != before.columns or None in changed:
            return None
        return [days for days in changed if days]


def snapshot_of(table: DeltaTable) -> Snapshot:
    """Return the version that a table was opened at."""
    return Snapshot(table.version(), table.schema().to_json(), dict(_files(table)))


def _files(table: DeltaTable) -> Iterator[tuple[str, Days | None]]:
    added = pa.table(table.get_add_actions(flatten=True))
    # The bounds of other columns may lie where Python has no times, such as before the year 1.
    asked = [name for name in ("path", f"min.{DAY}", f"max.{DAY}", f"partition.{MONTH}") if name in added.column_names]
    for file in added.select(asked).to_pylist():
        first, last, month = file.get(f"min.{DAY}"), file.get(f"max.{DAY}"), file.get(f"partition.{MONTH}")
        known = Days(first, last) if first and last else _month(month) if month else None
        yield file["path"], known if month else None


def _month(month: str) -> Days:
    """Return the days of a month: what is known of the rows of a file without statistics."""
    first = date.fromisoformat(f"{month}-01")
    return Days(first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1))
