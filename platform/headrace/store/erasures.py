"""Who was erased: a log without any value, which is certificate and tombstone in one.

A value stands there as an HMAC-SHA256 under a random key that never leaves the home folder: whoever has the log alone
cannot find it by trying values out.
"""

import hmac
import os
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import StoreError
from headrace.store.log import Log
from headrace.store.person import Person, spelled
from headrace.store.publish import sync_folder

BEGUN, DONE = "begun", "done"
_MALFORMED = "_malformed"


class Erasures:
    """The erasures of one product: each is begun, which keeps the person out from then on, and done."""

    def __init__(self, log: Path, key: Path) -> None:
        self._log = Log(log)
        self._key = key

    def begin(self, person: Person, now: datetime, facts: Mapping[str, Any]) -> None:
        """Keep a person out from now on: written before anything is removed. `facts` say what is to go, without values."""
        digest, entries = self._digest(person.value, self._made_key()), self._log.entries()
        last = [entry for entry in entries if entry["digest"] == digest]
        if not last or last[-1]["state"] == DONE:
            self._append(BEGUN, person, now, facts)

    def certify(self, person: Person, now: datetime, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write down that an erasure is done, and what it has removed; `facts` hold no value. Return the entry."""
        return self._append(DONE, person, now, facts)

    def unfinished(self) -> list[dict[str, Any]]:
        """Return the erasures that were begun and never done: whoever began them was killed."""
        newest = {(entry["column"], entry["digest"]): entry for entry in self._log.entries()}
        return [entry for entry in newest.values() if entry["state"] == BEGUN]

    def entries(self) -> list[dict[str, Any]]:
        """Return all entries, oldest first: when, which column, which digest, and what was removed."""
        return self._log.entries()

    def without(self, rows: pa.Table) -> pa.Table:
        """Return landed rows without those of anybody who was erased; lines that are no rows are searched word by word."""
        erased: dict[str, set[str]] = {}
        for entry in self._log.entries():
            erased.setdefault(entry["column"].casefold(), set()).add(entry["digest"])
        if not erased or not rows.num_rows:
            return rows
        key = self._read_key()
        held = pa.array([False] * rows.num_rows)
        for name in rows.column_names:
            digests = erased.get(name.casefold(), set())
            if name == _MALFORMED:
                digests = set().union(*erased.values())
            if digests and not pa.types.is_nested(rows.schema.field(name).type):
                gone = [
                    cell
                    for cell in pc.unique(rows[name]).to_pylist()
                    if cell is not None and digests & {self._digest(word, key) for word in _words(name, cell)}
                ]
                held = pc.or_(held, pc.is_in(rows[name], pa.array(gone, rows.schema.field(name).type)))
        return rows.filter(pc.invert(held))

    def _append(self, state: str, person: Person, now: datetime, facts: Mapping[str, Any]) -> dict[str, Any]:
        entry = {"state": state, "at": now.isoformat(), "column": person.column, **facts}
        entry["digest"] = self._digest(person.value, self._made_key())
        return self._log.append(entry, after=len(self._log.entries()))

    def _digest(self, value: str, key: bytes) -> str:
        return hmac.new(key, value.encode("utf-8", "surrogatepass"), "sha256").hexdigest()

    def _made_key(self) -> bytes:
        if not self._key.exists() and not self._log.entries():
            self._key.parent.mkdir(parents=True, exist_ok=True)
            opened = os.open(self._key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(opened, "wb") as file:
                file.write(secrets.token_bytes(32))
                file.flush()
                os.fsync(file.fileno())
            sync_folder(self._key.parent)
        return self._read_key()

    def _read_key(self) -> bytes:
        data = self._key.read_bytes() if self._key.exists() else b""
        if len(data) != 32:
            raise StoreError(
                f"The key of erasures is gone or damaged: {self._key}. Without it nobody can tell who was erased, so that "
                "nothing is taken in. Restore the file from a backup."
            )
        return data


def _words(column: str, cell: Any) -> set[str]:
    """Return what of a cell may be a value: the cell, or the parts of a malformed line."""
    whole = spelled(cell) or ""
    if column != _MALFORMED:
        return {whole}
    marks = str.maketrans(dict.fromkeys(",;|\t\"'{}[]()<>=", "\n"))
    lines = whole.replace(": ", "\n").translate(marks)
    return {part.strip() for part in [*lines.split("\n"), *lines.split(), *lines.replace(":", " ").split()]}
