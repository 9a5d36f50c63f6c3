"""A table without a person: rows, earlier versions, statistics and predicates go, and version numbers go on.

The table stays readable as it is newest at each moment: first a commit without the rows, then what is older goes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, write_deltalake
from deltalake.exceptions import DeltaError
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from headrace.core.failpoints import failpoint
from headrace.store.cause import AT, INPUTS, RUN, WHY
from headrace.store.commits import LOG, actions_of, parquet_files, versions_of
from headrace.store.layout import MONTH
from headrace.store.person import Person, held_by, statistics_hold
from headrace.store.publish import publish
from headrace.store.removed import erase_versions
from headrace.store.room import room_at
from headrace.store.seals import refuse_damaged, seal

ERASED = "erased"
_STAY = ("protocol", "metaData", "domainMetadata")


@dataclass(frozen=True)
class Rewritten:
    """What an erasure takes out of one table."""

    table: str
    rows: int
    """The rows of the newest version that are of the person."""
    versions: int
    """The versions that go: all but the newest."""


def held_in(folder: Path, table: str, person: Person) -> Rewritten | None:
    """Return what of the table in `folder` is of a person, in any of its versions; None where nothing is."""
    files = [path for path in parquet_files(folder) if held_by(ds.dataset(path), person) is not None]
    if not files and not any(_log_holds(entry, person) for entry in _entries(folder)):
        return None
    rows = _rows_of(folder)
    held = held_by(rows, person)
    count = rows.count_rows(filter=held) if held is not None else 0
    removed = len(versions_of(folder)) - (held is None)
    return Rewritten(table, count, removed)


def rewrite_without(folder: Path, person: Person, now: datetime) -> None:
    """Take a person out of every version of the table in `folder`, to which nobody may write meanwhile.

    Killed at any moment, a second call finishes the work: the files that hold the person go last.
    """
    refuse_damaged(folder, [folder / path for path in versions_of(folder)[-1].files])
    held = held_by(_rows_of(folder), person)
    if held is not None:
        _commit_without(folder, held, now)
    failpoint("rows_erased")
    newest = versions_of(folder)[-1]
    erase_versions(folder, range(newest.number), now)
    for path in _derived(folder):
        path.unlink()
    for entry in _entries(folder):
        _write_whole(entry, list(_scrubbed(actions_of(entry), newest.files, person)))
        failpoint("entry_scrubbed")
    seal(folder)
    for path in parquet_files(folder):
        if str(path.relative_to(folder)) not in newest.files:
            path.unlink()
            failpoint("erased_file")


def _rows_of(folder: Path) -> ds.Dataset:
    native = SubTreeFileSystem(str(folder), LocalFileSystem())
    return DeltaTable(str(folder)).to_pyarrow_dataset(filesystem=native)


def _commit_without(folder: Path, held: ds.Expression, now: datetime) -> None:
    table, rows = DeltaTable(str(folder)), _rows_of(folder)
    before: Mapping[str, Any] = next((c for c in table.history() if AT in c), {})
    facts = {name: fact for name, fact in before.items() if name.startswith("headrace.") and name != "headrace.digest"}
    facts |= {AT: now.isoformat(), RUN: "", WHY: ERASED, INPUTS: "{}"}
    with room_at(folder, "nothing was erased from it", (DeltaError, OSError)):
        write_deltalake(
            table,
            rows.scanner(filter=~held).to_reader(),
            mode="overwrite",
            partition_by=[MONTH] if MONTH in rows.schema.names else None,
            commit_properties=CommitProperties(custom_metadata=facts),
            post_commithook_properties=PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False),
        )


def _entries(folder: Path) -> list[Path]:
    return sorted((folder / LOG).glob("[0-9]*[0-9].json"))


def _derived(folder: Path) -> list[Path]:
    """Return what Delta has made of the log's entries, and can make again; what points to the rest comes first."""
    others = {path for path in (folder / LOG).iterdir() if path.is_file()} - set(_entries(folder))
    return sorted(others, key=lambda path: (path.name != "_last_checkpoint", path.name))


def _log_holds(entry: Path, person: Person) -> bool:
    if person.is_in(entry.read_text()):
        return True
    return any("add" in action and statistics_hold(action["add"], person) for action in actions_of(entry))


def _scrubbed(actions: Sequence[dict[str, Any]], live: Mapping[str, int], person: Person) -> Iterator[dict[str, Any]]:
    """Yield what an entry says without files that are gone, predicates, and the value."""
    for action in actions:
        if "commitInfo" in action:
            info = {k: v for k, v in action["commitInfo"].items() if k == "timestamp" or k.startswith("headrace.")}
            said = {k: person.masked_text(v) if isinstance(v, str) else v for k, v in info.items()}
            yield {"commitInfo": {"operation": "WRITE", **said}}
        elif "add" in action:
            if unquote(action["add"]["path"]) in live:
                yield action
        elif "txn" in action:
            yield {"txn": {**action["txn"], "appId": person.masked(action["txn"]["appId"])}}
        elif any(kind in action for kind in _STAY):
            yield action


def _write_whole(path: Path, actions: Sequence[dict[str, Any]]) -> None:
    publish(path, "".join(f"{json.dumps(action)}\n" for action in actions).encode(), f"{path} stays as it was")
