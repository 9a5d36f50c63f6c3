"""Where else a project's home holds a person: logs, run histories, records; and how they are masked there."""

import gzip
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from headrace.core.names import quoted
from headrace.store.person import Person, held_by, is_text
from headrace.store.publish import publish

_SQLITE, _GZIP, _ZLIB = b"SQLite format 3\0", b"\x1f\x8b", b"x\x9c"
_WHOLE = (
    "tables",
    "models",
    "logs",
    "witness",
    "code",
    "ledger",
    "fetched",
    "spill",
    "reports",
    "online",
    "erasure.key",
)
"""What is not masked: it is rewritten, removed, or held against a digest."""


def masking(home: Path, person: Person) -> Iterator[Path]:
    """Yield the files that only tell of what happened, and hold the person."""
    for path in _files(home):
        inside = path.relative_to(home).parts
        is_record = inside[:2] == ("models", "records")
        if (is_record or inside[0] not in _WHOLE) and _is_log(path) and holds(path, person):
            yield path


def mask(path: Path, person: Person) -> None:
    """Put asterisks in the place of a person; of a log in as many bytes, so that whoever appends to it may go on."""
    if _begins(path, _SQLITE):
        _mask_database(path, person)
        return
    if path.suffix == ".json":
        publish(path, person.masked_text(path.read_text()).encode(), f"{path} stays as it was")
        return
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.write(person.masked_bytes(data))


def traces(home: Path, person: Person) -> Iterator[Path]:
    """Yield every file below a home that holds a person: Parquet decoded, gzip unpacked."""
    # Looking into a database lets SQLite remove its log, which stands in the list behind it.
    return (path for path in _files(home) if path.exists() and holds(path, person))


def holds(path: Path, person: Person) -> bool:
    """Return whether a file holds a person: as bytes, in a cell of Parquet, or packed by gzip."""
    if path.suffix == ".parquet":
        rows = ds.dataset(path)
        return held_by(rows, person) is not None or any(
            person.is_in(cell or "")
            for column in rows.schema
            if is_text(column.type)
            for cell in rows.to_table(columns=[column.name])[column.name].unique().to_pylist()
        )
    if _begins(path, _SQLITE):
        wal = path.with_name(f"{path.name}-wal")
        data = path.read_bytes() + (wal.read_bytes() if wal.exists() else b"")
        return person.is_in(data) or _database_holds(path, person)
    data = path.read_bytes()
    return person.is_in(gzip.decompress(data) if data.startswith(_GZIP) else data)


def _files(home: Path) -> list[Path]:
    # Environments hold libraries, tens of thousands of files, and nothing of ours.
    tops = [path for path in home.iterdir() if path.name != "environments"] if home.is_dir() else []
    found = (path for top in tops for path in ([top] if top.is_file() else top.rglob("*")))
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


def _is_log(path: Path) -> bool:
    return path.suffix != ".parquet" and not path.name.endswith(("-wal", "-shm")) and not _begins(path, _GZIP)


def _begins(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark)) == mark


def _mask_database(path: Path, person: Person) -> None:
    """Mask each text of an SQLite file, and write it anew, so that no free page holds what was there."""

    def masked(value: Any) -> Any:
        if isinstance(value, str):
            return person.masked_text(value)
        if isinstance(value, bytes) and value.startswith(_ZLIB):
            plain = zlib.decompress(value)
            return zlib.compress(person.masked_bytes(plain)) if person.is_in(plain) else value
        return person.masked_bytes(value) if isinstance(value, bytes) else value

    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as database:
        database.create_function("masked", 1, masked, deterministic=True)
        database.execute("pragma secure_delete = on")
        database.execute("begin immediate")
        for table, column in _columns(database):
            spot = quoted(column)
            database.execute(f"update {quoted(table)} set {spot} = masked({spot}) where masked({spot}) is not {spot}")
        database.execute("commit")
        database.execute("pragma wal_checkpoint(truncate)")
        database.execute("vacuum")
        database.execute("pragma wal_checkpoint(truncate)")


def _database_holds(path: Path, person: Person) -> bool:
    def holds_it(value: Any) -> bool:
        if isinstance(value, bytes) and value.startswith(_ZLIB):
            value = zlib.decompress(value)
        return isinstance(value, str | bytes) and person.is_in(value)

    with closing(sqlite3.connect(path, timeout=60)) as database:
        database.create_function("holds_it", 1, holds_it, deterministic=True)
        return any(
            database.execute(f"select 1 from {quoted(table)} where holds_it({quoted(column)}) limit 1").fetchone()
            for table, column in _columns(database)
        )


def _columns(database: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the table and name of each column; views and SQLite's own tables have none of their own."""
    tables = database.execute("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")
    return [
        (table, column[1])
        for (table,) in tables.fetchall()
        for column in database.execute(f"pragma table_info({quoted(table)})").fetchall()
    ]
