"""A look at everything that a project keeps: what is damaged, what a killed run left, and what to do about it."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from headrace.core.errors import StoreError
from headrace.core.place import Place
from headrace.store.checksum import bytes_digest
from headrace.store.commits import orphan_files, versions_of
from headrace.store.entries import Entries
from headrace.store.erasures import Erasures
from headrace.store.fences import Fences
from headrace.store.leftovers import staged_leftovers
from headrace.store.log import Log
from headrace.store.models import Models
from headrace.store.removed import removed_of
from headrace.store.seals import refuse_damaged, seal, unsealed
from headrace.store.story import Spool
from headrace.store.tables import Tables

LEAST_FREE = 1_000_000_000
"""Bytes below which the next run may well fail."""
_HALF_WRITTEN = timedelta(days=1)


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: where, why, what to do; and what mends it, where that is safe."""

    where: str
    why: str
    advice: str
    mend: Callable[[], object] | None = None


def diagnose(place: Place, now: datetime, least_free: int = LEAST_FREE) -> Iterator[Finding]:
    """Yield what is wrong with the files of a project: disk, tables, models, logs, staged files, claims."""
    yield from _disk(place.home, least_free)
    tables = Tables(place.tables)
    for name in tables.names():
        yield from _table(tables, place.tables / name, name)
    yield from _models(Models(place.models), place.models)
    yield from _logs(place)
    for leftover in staged_leftovers(place.home, now, _HALF_WRITTEN):
        yield Finding(str(leftover.path), leftover.why, "remove it: headrace doctor --mend", leftover.remove)
    yield from _erasures(place)
    yield from _claims(Fences(place.tables / "_fences"))
    yield from _ledger(Entries(place.ledger), tables)
    yield from _untold(place.spool)


def _disk(home: Path, least_free: int) -> Iterator[Finding]:
    place = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < least_free:
        why = f"the disk is full, or nearly: {free / 1e6:,.0f} MB are free"
        yield Finding(str(home), why, "free some space; headrace gc removes what nobody needs")


def _table(tables: Tables, folder: Path, name: str) -> Iterator[Finding]:
    try:
        versions = versions_of(folder)
        tables.version(name)
    except StoreError as error:
        yield Finding(name, str(error), "until then nothing can read or write it")
        return
    removed = removed_of(folder).versions
    readable = [version for version in versions if version.number not in removed]
    for path in sorted({path for version in readable for path in version.files}):
        try:
            refuse_damaged(folder, [folder / path])
        except StoreError as error:
            numbers = ", ".join(str(v.number) for v in readable if path in v.files)
            yield Finding(f"{name}, version {numbers}", str(error), f"versions without it: headrace history {name}")
    yield from _unfinished(tables, name)


def _unfinished(tables: Tables, name: str) -> Iterator[Finding]:
    """Yield what killed writes have left; a table that is being written is left alone."""
    with tables.quiet(name) as folder:
        orphans = orphan_files(folder) if folder else []
        bare = unsealed(folder) if folder else []
    for path in orphans:
        yield Finding(
            str(path),
            "no version of the table names it: a run was killed while it wrote",
            "remove it: headrace doctor --mend",
            path.unlink,
        )
    if folder and bare:
        why = f"{len(bare)} commits have no seal: a run was killed between its commit and its seal"
        yield Finding(name, why, "the next write seals them, or: headrace doctor --mend", partial(seal, folder))


def _models(models: Models, folder: Path) -> Iterator[Finding]:
    for digest in models.digests():
        try:
            models.verify(digest)
        except StoreError as error:
            yield Finding(f"model {digest[:12]}", str(error), "it is never used as it is")
    for path in sorted(folder.glob("[0-9a-f]*")):
        if path.name not in models.digests() and len(path.name) == len(bytes_digest(b"")):
            why = "the model has no manifest, which says what belongs to it"
            yield Finding(str(path), why, "restore the folder from a backup, or remove it and train again")
    for path in sorted((folder / "records").glob("*/*.json")):
        try:
            json.loads(path.read_text())
        except ValueError as error:
            why = f"the record is damaged: {error}"
            yield Finding(str(path), why, "materialize model/evaluation again, or restore it from a backup")


def _logs(place: Place) -> Iterator[Finding]:
    for log in sorted(path for path in place.logs.glob("*/*") if path.is_dir()):
        try:
            Log(log, place.witness / log.relative_to(place.logs)).entries()
        except StoreError as error:
            yield Finding(str(log), str(error), "until then nothing is released or launched by it")


def _erasures(place: Place) -> Iterator[Finding]:
    """Yield the erasures that were begun and not done; a broken log of them was found among the logs."""
    for log in sorted(place.logs.glob("*/erasures")):
        try:
            begun = Erasures(log, place.home / "erasure.key").unfinished()
        except StoreError:
            continue
        for entry in begun:
            product, column = log.parent.name, entry["column"]
            why = (
                f"the erasure of a person by '{column}' was begun at {entry['at'][:19]} and is not done: it was killed"
            )
            yield Finding(f"product {product}", why, f"finish it: headrace erase {product} --entity {column}=...")


def _claims(fences: Fences) -> Iterator[Finding]:
    for claim in fences.abandoned():
        yield Finding(
            f"fence '{claim.scope}'",
            f"process {claim.pid} claimed it at {claim.at[:19]} and is gone before it wrote",
            "nobody waits for it, the next run claims it anew; to forget it: headrace doctor --mend",
            partial(fences.settle, claim),
        )


def _ledger(entries: Entries, tables: Tables) -> Iterator[Finding]:
    for table in entries.tables():
        for path in entries.torn(table):
            why = "it is torn: the machine stopped while it was written, or somebody edited it"
            advice = "it counts as none, so that its table is counted anew; to remove it: headrace doctor --mend"
            yield Finding(str(path), why, advice, partial(entries.forget_torn, table))
        if entries.is_of_table(table) and not tables.exists(table):
            why = "the ledger has an entry for it, and there is no such table: it was removed"
            advice = "its next run makes all of it; to forget the entry: headrace doctor --mend"
            yield Finding(table, why, advice, partial(entries.forget, table))
    for path in entries.unpublished():
        why = "a killed run has left it, half written"
        yield Finding(str(path), why, "remove it: headrace doctor --mend", partial(path.unlink, missing_ok=True))


def _untold(folder: Path) -> Iterator[Finding]:
    """Yield what MLflow was to be told and cannot be, and how much waits for it."""
    for spool in (Spool(path) for path in sorted(folder.glob("*"))):
        waiting = 0
        for path in spool.waiting():
            try:
                spool.read(path)
                waiting += 1
            except StoreError as error:
                advice = (
                    "train again with the tag headrace/force=true to tell it anew; to forget it: headrace doctor --mend"
                )
                yield Finding(str(path), str(error), advice, partial(spool.forget, path))
        if waiting:
            why = f"{waiting} {'story waits' if waiting == 1 else 'stories wait'} to be told to MLflow, which was away or refused them"
            yield Finding(
                str(spool.folder), why, "the guard tells them while Dagster's daemon runs, the next training too"
            )
