"""What each commit of a table did, read from the table's own log."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from headrace.core.errors import StoreError
from headrace.store.cause import DAYS, INPUTS, RUN, WHY

LOG = "_delta_log"


@dataclass(frozen=True)
class Version:
    """A table as one commit left it."""

    number: int
    at: datetime
    run: str
    """The Dagster run that committed it; empty where none did."""
    why: str
    days: str
    """The days that the commit wrote; empty for a table without days."""
    rows: int
    files: Mapping[str, int]
    """The Parquet files that hold its rows, below the table's folder, each with its rows."""
    inputs: Mapping[str, int] = field(default_factory=dict)
    """Table → the version of it that the rows are made of, as far as the writer said."""


def versions_of(folder: Path) -> list[Version]:
    """Return every version of the table in `folder`, oldest first; raises StoreError where its log is torn."""
    found: list[Version] = []
    files: Mapping[str, int] = {}
    for number, actions in commits_of(folder):
        if number != len(found):
            raise StoreError(
                f"The log of {folder} is broken: entry {len(found)} is missing. "
                "Restore the folder from a backup, or remove it and make the table again."
            )
        files = _applied(files, actions)
        found.append(_version(number, actions, files))
    return found


def commits_of(folder: Path) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yield the number of each commit and its actions; raises StoreError where an entry is torn."""
    for path in sorted((folder / LOG).glob("[0-9]*[0-9].json")):
        yield int(path.stem), actions_of(path)


def actions_of(entry: Path) -> list[dict[str, Any]]:
    """Return the actions of one entry of a table's log; raises StoreError where it is torn."""
    try:
        return [json.loads(line) for line in entry.read_bytes().split(b"\n") if line.strip()]
    except ValueError as error:
        raise StoreError(
            f"{entry} is damaged: {error}. Restore the file from a backup, or remove {entry.parent.parent} and make the "
            "table again."
        ) from error


def added_files(entry: Path) -> list[str]:
    """Return the files that one entry of a table's log adds, below the table's folder."""
    return [unquote(action["add"]["path"]) for action in actions_of(entry) if "add" in action]


def parquet_files(folder: Path) -> list[Path]:
    """Return every Parquet file of the table in `folder`, but for those of its log."""
    return sorted(path for path in folder.rglob("*.parquet") if path.parent.name != LOG)


def orphan_files(folder: Path) -> list[Path]:
    """Return the Parquet files that no version names. While nobody writes they are what killed writes left."""
    known = {path for version in versions_of(folder) for path in version.files}
    return [path for path in parquet_files(folder) if str(path.relative_to(folder)) not in known]


def _applied(files: Mapping[str, int], actions: list[dict[str, Any]]) -> Mapping[str, int]:
    added = {unquote(a["add"]["path"]): _rows_of(a["add"]) for a in actions if "add" in a}
    gone = {unquote(a["remove"]["path"]) for a in actions if "remove" in a}
    if not (added or gone):
        return files
    return {path: rows for path, rows in files.items() if path not in gone} | added


def _rows_of(add: Mapping[str, Any]) -> int:
    stats = add.get("stats")
    return int(json.loads(stats).get("numRecords", 0)) if stats else 0


def _version(number: int, actions: list[dict[str, Any]], files: Mapping[str, int]) -> Version:
    info: dict[str, Any] = next((a["commitInfo"] for a in actions if "commitInfo" in a), {})
    run, why = info.get(RUN, ""), info.get(WHY) or ""
    return Version(
        number=number,
        at=datetime.fromtimestamp(info.get("timestamp", 0) / 1000, UTC),
        run=run,
        why=why.removeprefix(f"run {run}")
        if run
        else why or ("" if WHY in info else info.get("operation", "").lower()),
        days=info.get(DAYS, ""),
        rows=sum(files.values()),
        files=files,
        inputs=json.loads(info.get(INPUTS) or "{}"),
    )
