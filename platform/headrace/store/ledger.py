"""The ledger: what each day of a table holds, and what it was made of. It is written behind each commit.

A table of a version that the ledger does not know was changed by somebody else, or by a run that died between its
commit and its entry: its days are counted anew, and those that hold other rows count as not made.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from filelock import FileLock

from headrace.core.days import Days
from headrace.core.recipe import ALL, Made, Recipe, Work, digest_within, why_again
from headrace.store.digest import rows_digest
from headrace.store.layout import DAY
from headrace.store.tables import Tables

Contents = Mapping[str, str]
"""Day → digest of its rows, without days that have none; `ALL` where rows do not lie in days."""


@dataclass
class Entry:
    """What is known of a table."""

    version: int | None = None
    contents: dict[str, str] = field(default_factory=dict)
    made: dict[str, Made] = field(default_factory=dict)
    parts: dict[str, dict[str, str]] = field(default_factory=dict)
    """Version of the code → its parts."""


class Ledger:
    """A folder of entries, one a table."""

    def __init__(self, folder: Path, tables: Tables) -> None:
        self._folder = folder
        self._tables = tables

    def contents(self, table: str) -> Contents:
        """Return what a table holds; of what is no table (a model, say) what was recorded."""
        return self._entry(table).contents

    def work(self, recipe: Recipe, days: Days | None = None, *, forced: bool = False) -> Work:
        """Return which of the days have to be made, and why; with `forced` all of them."""
        entry = self._entry(recipe.table)
        wanted = self._wanted(recipe, [str(day) for day in days] if days else [ALL])
        reasons = {}
        for day, now in wanted.items():
            before = entry.made.get(day)
            why = why_again(recipe, now, before, entry.parts.get(before.code, {}) if before else {})
            if why or forced:
                reasons[day] = why or ("asked for",)
        return Work(reasons, wanted)

    def record(self, recipe: Recipe, work: Work, rows: pa.Table, span: Days | None = None) -> Contents:
        """Write down that the work on a span is done, and return what its days hold now."""
        return self.note(recipe, work, contents_of(rows), span)

    def note(self, recipe: Recipe, work: Work, contents: Contents, span: Days | None = None) -> Contents:
        """Write down that the work on a span is done, of what is no table: by digests of what was made."""
        done = [str(day) for day in span] if span else [ALL]
        with self._locked(recipe.table) as path:
            entry = self._counted(recipe.table, _read(path), committed=1)
            for day in done if span else list(entry.contents):
                entry.contents.pop(day, None)
            entry.contents |= {day: digest for day, digest in contents.items() if not span or day in done}
            entry.made |= {day: work.wanted[day] for day in done}
            entry.parts[recipe.code] = recipe.parts
            used = {made.code for made in entry.made.values()}
            entry.parts = {code: parts for code, parts in entry.parts.items() if code in used}
            _write(path, entry)
        return contents

    def recount(self, table: str, days: Sequence[date]) -> None:
        """Count the given days of a table anew, and take the rest as they were: only these have changed."""
        if not days:
            return
        span = Days(min(days), max(days))
        found = contents_of(self._tables.read(table, days=span))
        with self._locked(table) as path:
            entry = _read(path)
            for day in map(str, days):
                entry.contents.pop(day, None)
                if day in found:
                    entry.contents[day] = found[day]
            entry.version = self._tables.version(table)
            _write(path, entry)

    def renew(self, table: str) -> None:
        """Count a table anew from which rows were erased. Its days are as made as before; what is made of them is not.

        What was remembered of its rows is forgotten.
        """
        self._path(f"{table}.facts").unlink(missing_ok=True)
        with self._locked(table) as path:
            if path.exists() and self._tables.exists(table):
                entry = _read(path)
                entry.contents, entry.version = contents_of(self._tables.read(table)), self._tables.version(table)
                _write(path, entry)

    def remembered(self, table: str, what: str, find: Callable[[], Any]) -> Any:
        """Return something that a table's rows say, found once for each of its versions; it must go into JSON."""
        version = self._tables.version(table)
        with self._locked(f"{table}.facts") as path:
            known = json.loads(path.read_text()) if path.exists() else {}
            facts = known.get("facts", {}) if known.get("version") == version else {}
            if what not in facts:
                facts[what] = find()
                _publish(path, {"version": version, "facts": facts})
        return facts[what]

    def _wanted(self, recipe: Recipe, days: Sequence[str]) -> dict[str, Made]:
        code, facts = recipe.code, dict(recipe.facts)
        inputs = {name: self.contents(name) for name in recipe.inputs}
        whole = {name: digest_within(inputs[name], ALL, None) for name, reach in recipe.inputs.items() if reach is None}
        near = {name: reach for name, reach in recipe.inputs.items() if reach is not None}
        return {
            day: Made(
                code,
                facts
                | whole
                | {name: digest_within(inputs[name], day, near[name]) for name in near}
                | {what: of[day] for what, of in recipe.days.items() if day in of},
            )
            for day in days
        }

    def _entry(self, table: str) -> Entry:
        entry = _read(self._path(table))
        if entry.version is not None and not self._tables.exists(table):
            return Entry()  # it was removed: nothing of it is made
        if not self._tables.exists(table) or self._tables.version(table) == entry.version:
            return entry
        with self._locked(table) as path:
            entry = self._counted(table, _read(path), committed=0)
            _write(path, entry)
        return entry

    def _counted(self, table: str, entry: Entry, committed: int) -> Entry:
        """Return an entry for the newest version; counted anew unless that is `committed` behind the one it is about."""
        version = self._tables.version(table)
        if version is None or version == entry.version:
            return entry
        if entry.version is None or version != entry.version + committed:
            found = dict(contents_of(self._tables.read(table)))
            entry.made = {d: made for d, made in entry.made.items() if entry.contents.get(d) == found.get(d)}
            entry.contents = found
        entry.version = version
        return entry

    def _path(self, table: str) -> Path:
        return self._folder / f"{table}.json"

    @contextmanager
    def _locked(self, table: str) -> Iterator[Path]:
        path = self._path(table)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            yield path


def contents_of(rows: pa.Table) -> dict[str, str]:
    """Return a digest of the rows of each day, as a multiset: equal rows in any order give an equal digest."""
    if DAY not in rows.column_names:
        return {ALL: rows_digest(rows)}
    frame = pl.DataFrame(rows.select(sorted(rows.column_names)))
    schema = ",".join(f"{name}:{kind}" for name, kind in frame.schema.items()).encode()
    hashes = pl.DataFrame({"day": frame[DAY], "hash": frame.hash_rows(seed=0)}).sort("day", "hash")
    return {
        str(day): sha256(schema + part["hash"].to_numpy().tobytes()).hexdigest()[:16]
        for (day,), part in hashes.group_by("day", maintain_order=True)
    }


def _read(path: Path) -> Entry:
    if not path.exists():
        return Entry()
    facts = json.loads(path.read_text())
    made = {day: Made(**of) for day, of in facts["made"].items()}
    return Entry(facts["version"], facts["contents"], made, facts["parts"])


def _write(path: Path, entry: Entry) -> None:
    _publish(path, asdict(entry))


def _publish(path: Path, facts: dict[str, Any]) -> None:
    staged = path.with_suffix(".new")
    staged.write_text(json.dumps(facts, sort_keys=True))
    staged.replace(path)
