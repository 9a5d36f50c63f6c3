"""What changed between two versions of a table: rows added, removed and changed, found inside the engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.core.columns import in_columns
from headrace.core.names import quoted
from headrace.store.engine import Engine, TableView
from headrace.store.layout import same_types
from headrace.store.tables import Tables

EXAMPLES = 5
_BOTH = "before full join after using ({keys})"


@dataclass(frozen=True)
class Diff:
    """The difference of two versions. Without a key, rows are a multiset, and none counts as changed."""

    table: str
    versions: tuple[int, int]
    key: tuple[str, ...]
    added: int
    removed: int
    changed: Mapping[str, int]
    """Column → rows of the same key in which it has another value."""
    changed_rows: int
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    examples: Mapping[str, Sequence[Mapping[str, Any]]]
    """"added", "removed", "changed" → a few rows; changed cells read "old → new"."""

    def __str__(self) -> str:
        by = f"by {', '.join(self.key)}" if self.key else "as a multiset of rows"
        lines = [f"{self.table}: version {self.versions[0]} → {self.versions[1]}, compared {by}"]
        lines += [f"column {c} is new" for c in self.columns_added]
        lines += [f"column {c} is gone" for c in self.columns_removed]
        lines.append(f"{self.added:,} rows added, {self.removed:,} removed" + self._changed_words())
        for kind, rows in self.examples.items():
            if rows:
                lines += ["", f"{kind}:", in_columns(list(rows[0]), [list(row.values()) for row in rows])]
        return "\n".join(lines)

    def _changed_words(self) -> str:
        if not self.key:
            return ""
        most = sorted(self.changed.items(), key=lambda item: -item[1])
        columns = ", ".join(f"{column} in {rows:,}" for column, rows in most)
        return f", {self.changed_rows:,} changed" + (f": {columns}" if columns else "")


def diff_versions(tables: Tables, engine: Engine, table: str, versions: tuple[int, int], key: Sequence[str]) -> Diff:
    """Return what changed from one version to another, by `key` where its values name one row each in both.

    Raises TableMissing or StoreError where the table or a version is not there.
    """
    before, after = (tables.schema(table, version=version) for version in versions)
    views = {name: TableView(table, version=v) for name, v in zip(("before", "after"), versions, strict=True)}
    common = [name for name in before.names if name in after.names]
    keyed = tuple(key) if key and set(key) <= set(common) and _is_unique(engine, views, key) else ()
    values = [name for name in common if name not in keyed]
    # Values of another type cannot be told apart as values: their texts can.
    plain = {name: quoted(name) for name in common}
    if not same_types(before, after):
        plain = {name: f"cast({quoted(name)} as varchar)" for name in common}
    found = _by_key(engine, views, keyed, values) if keyed else _as_multiset(engine, views, plain)
    return Diff(
        table=table,
        versions=versions,
        key=keyed,
        columns_added=tuple(name for name in after.names if name not in common),
        columns_removed=tuple(name for name in before.names if name not in common),
        **found,
    )


def _is_unique(engine: Engine, views: Mapping[str, TableView], key: Sequence[str]) -> bool:
    keys = ", ".join(map(quoted, key))
    present = " and ".join(f"{quoted(column)} is not null" for column in key)
    sql = " union all ".join(
        f"select count(*) as rows, count(distinct ({keys})) filter ({present}) as names from {name}" for name in views
    )
    return all(row["rows"] == row["names"] for row in engine.query(sql, views).to_pylist())


def _by_key(
    engine: Engine, views: Mapping[str, TableView], key: Sequence[str], values: Sequence[str]
) -> dict[str, Any]:
    keys = ", ".join(map(quoted, key))
    joined = _BOTH.format(keys=keys)
    differs = {
        name: f"before.{quoted(name)}::varchar is distinct from after.{quoted(name)}::varchar" for name in values
    }
    first = quoted(key[0])
    is_new, is_gone = f"before.{first} is null", f"after.{first} is null"
    both = f"not ({is_new} or {is_gone})"
    any_differs = " or ".join(differs.values()) or "false"
    counts = [
        f"count(*) filter ({is_new}) as added",
        f"count(*) filter ({is_gone}) as removed",
        f"count(*) filter ({both} and ({any_differs})) as changed_rows",
        *(f"count(*) filter ({both} and {sql}) as {quoted(f'changed {name}')}" for name, sql in differs.items()),
    ]
    row = engine.query(f"select {', '.join(counts)} from {joined}", views).to_pylist()[0]
    changed = {name: row[f"changed {name}"] for name in values if row[f"changed {name}"]}
    shown = [f"{_cell('before', c)} || ' → ' || {_cell('after', c)} as {quoted(c)}" for c in changed]
    return {
        "added": row["added"],
        "removed": row["removed"],
        "changed_rows": row["changed_rows"],
        "changed": changed,
        "examples": {
            "added": _some(engine, views, f"select after.* from {joined} where {is_new} order by {keys}"),
            "removed": _some(engine, views, f"select before.* from {joined} where {is_gone} order by {keys}"),
            "changed": _some(
                engine,
                views,
                f"select {', '.join([keys, *shown])} from {joined} where {both} and ({any_differs}) order by {keys}",
            )
            if changed
            else [],
        },
    }


def _as_multiset(engine: Engine, views: Mapping[str, TableView], plain: Mapping[str, str]) -> dict[str, Any]:
    columns = ", ".join(f"{sql} as {quoted(name)}" for name, sql in plain.items())
    before, after = (f"select {columns} from {name}" for name in ("before", "after"))
    new, gone = f"({after} except all {before})", f"({before} except all {after})"
    counts = f"select (select count(*) from {new}) as added, (select count(*) from {gone}) as removed"
    row = engine.query(counts, views).to_pylist()[0]
    return {
        **row,
        "changed_rows": 0,
        "changed": {},
        "examples": {
            kind: _some(engine, views, f"from {rows} order by all")
            for kind, rows in (("added", new), ("removed", gone))
        },
    }


def _some(engine: Engine, views: Mapping[str, TableView], sql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = engine.query(f"{sql} limit {EXAMPLES}", views).to_pylist()
    return [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]


def _cell(side: str, column: str) -> str:
    return f"coalesce({side}.{quoted(column)}::varchar, 'null')"
