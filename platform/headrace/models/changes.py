"""What changed from one model's origin to the next one's: data, rows, code, configuration, libraries."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from headrace.core.errors import StoreError
from headrace.core.names import quoted, quoted_text
from headrace.core.recipe import ALL
from headrace.features.declaration import Label
from headrace.store.cause import days_text
from headrace.store.diff import diff_versions
from headrace.store.engine import TableView
from headrace.store.site import Site

Facts = Mapping[str, Any]
LIBRARY, DECLARATION = "library ", "defs.yaml"
MOST_FILES = 20
_DECLARED = ("features.", "sources.")
_SETTINGS = frozenset({"days", "known_at", "engine"})


def changes(site: Site, label: Label, before: Facts, now: Facts) -> dict[str, Any]:
    """Return what changed from an earlier origin to a later one, as plain values."""
    old, new = (dict(_parts(facts)) for facts in (before, now))
    moved = sorted({part for part in {*old, *new} if old.get(part) != new.get(part)})
    code = [part for part in moved if not _is_library(part) and not _is_declared(part)]
    return {
        "data": list(_data(site, before, now)),
        "rows": _rows(site, label, before, now),
        "code": [part.removeprefix("headrace.") for part in code],
        "files": _files(site, before["code"], now["code"]) if code else [],
        "config": _differing(dict(_flat(before["declaration"])), dict(_flat(now["declaration"]))),
        "libraries": _differing(before["libraries"], now["libraries"]),
        "used": libraries_of(now),
    }


def libraries_of(facts: Facts) -> list[str]:
    """Return the libraries that a model and the tables behind it are made by."""
    return sorted({part.removeprefix(LIBRARY) for part, _ in _parts(facts) if _is_library(part)})


def _parts(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield each part of each table, once where tables share it."""
    for parts in facts["parts"].values():
        yield from parts.items()


def _is_library(part: str) -> bool:
    return part.startswith(LIBRARY)


def _is_declared(part: str) -> bool:
    return " as declared" in part or part.startswith(_DECLARED) or part in _SETTINGS


def _data(site: Site, before: Facts, now: Facts) -> Iterator[dict[str, Any]]:
    """Yield the landed tables that changed: days that are new, days that hold other rows, and the files behind these."""
    for table, contents in now["contents"].items():
        known = before["contents"].get(table, {})
        if table.split("/")[1] != "raw" or contents == known or None in (contents, known):
            continue
        newest = max((day for day in known if day != ALL), default="")
        moved = sorted(day for day in {*contents, *known} if contents.get(day) != known.get(day))
        old = [day for day in moved if day <= newest or day == ALL]
        yield {
            "table": table,
            "versions": [before["versions"].get(table), now["versions"][table]],
            "old_days": _in_words(old),
            "new_days": _in_words([day for day in moved if day not in old]),
            "files": _files_of(site, table, now["versions"][table], old, before["versions"].get(table)),
        }


def _in_words(days: list[str]) -> str:
    return ALL if ALL in days else days_text(date.fromisoformat(day) for day in days)


def _files_of(site: Site, table: str, version: int, days: list[str], earlier: int | None) -> list[str]:
    """Return the files whose rows of some days are others than in an earlier version, as far as that can be read."""
    if not days or earlier is None:
        return []
    where = "" if ALL in days else f"where _day in ({', '.join(f'date {quoted_text(day)}' for day in days)})"
    views = {"before": TableView(table, version=earlier), "after": TableView(table, version=version)}
    counted = "select _file, count(*) as rows, sum(hash({0}::varchar)) as content from {0} {1} group by _file"
    sql = (
        f"select coalesce(b._file, a._file) as file from ({counted.format('before', where)}) b full join "
        f"({counted.format('after', where)}) a using (_file) where a.content is distinct from b.content order by file"
    )
    try:
        return [str(file) for file in site.engine.query(sql, views)["file"].to_pylist()][:MOST_FILES]
    except StoreError:
        return []


def _rows(site: Site, label: Label, before: Facts, now: Facts) -> dict[str, Any] | None:
    """Return how the rows of the training set differ; None where the earlier version can no longer be compared."""
    table, versions = site.product.table("training", "set"), (before["training_set"], now["training_set"])
    try:
        if not {label.entity, label.time, label.column} <= set(site.tables.schema(table, version=versions[0]).names):
            return None
        found = diff_versions(site.tables, site.engine, table, versions, [label.entity])
        counted = _counted(site, label, table, versions)
    except StoreError:
        return None
    features = {column: rows for column, rows in found.changed.items() if column not in (label.column, label.time)}
    gone, come = list(found.columns_removed), list(found.columns_added)
    return counted | {"removed": found.removed, "features": features, "columns_added": come, "columns_removed": gone}


def _counted(site: Site, label: Label, table: str, versions: tuple[int, int]) -> dict[str, Any]:
    """Return how many rows came, late or new, and whose labels are others, of which days."""
    entity, time, column = quoted(label.entity), quoted(label.time), quoted(label.column)
    is_new = f"before.{entity} is null"
    newest = f"(select max({time}) from before)"
    other = f"before.{entity} is not null and after.{entity} is not null and before.{column} is distinct from after.{column}"
    sql = (
        f"select count(*) filter ({is_new} and after.{time} > {newest}) as new, "
        f"count(*) filter ({is_new} and after.{time} <= {newest}) as late, count(*) filter ({other}) as labels, "
        f"min(after.{time}) filter ({other}) as first, max(after.{time}) filter ({other}) as last "
        f"from before full join after using ({entity})"
    )
    views = {name: TableView(table, version=v) for name, v in zip(("before", "after"), versions, strict=True)}
    row = site.engine.query(sql, views).to_pylist()[0]
    span = [moment.isoformat() for moment in (row["first"], row["last"]) if isinstance(moment, datetime)]
    return {"new": row["new"], "late": row["late"], "labels": row["labels"], "label_times": span}


def _files(site: Site, before: str, now: str) -> list[str]:
    old, new = site.code.listed(before), site.code.listed(now)
    return sorted(file for file in {*old, *new} if old.get(file) != new.get(file) and file != DECLARATION)


def _differing(before: Facts, now: Facts) -> dict[str, list[Any]]:
    keys = sorted({*before, *now})
    return {key: [before.get(key), now.get(key)] for key in keys if before.get(key) != now.get(key)}


def _flat(facts: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of a declaration under the path of its key."""
    if isinstance(facts, Mapping) and facts:
        for key, value in facts.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, facts
