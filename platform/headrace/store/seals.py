"""Seals: the digest of each Parquet file as it was written, held against the file before anybody reads it.

Parquet notices a file that was cut, but not every byte that was changed: some of those read as other values.
"""

import json
from collections.abc import Iterable
from functools import lru_cache
from hashlib import file_digest
from pathlib import Path

from headrace.core.errors import DigestMismatch, StoreError
from headrace.store.commits import LOG, added_files
from headrace.store.publish import publish

_FOLDER = Path("_headrace", "seals")


def seal(folder: Path) -> None:
    """Keep the digests of the files that commits have added since the last seal; whoever was killed before, too."""
    for entry in unsealed(folder):
        paths = [folder / name for name in added_files(entry)]
        facts = {str(path.relative_to(folder)): digest_of(path) for path in paths if path.exists()}
        path = folder / _FOLDER / f"{entry.stem}.json"
        publish(path, json.dumps(facts).encode(), f"{folder} is written, its seal is not")


def unsealed(folder: Path) -> list[Path]:
    """Return the entries of a table's log whose files have no seal yet."""
    sealed = {path.stem for path in (folder / _FOLDER).glob("*.json")}
    return [entry for entry in sorted((folder / LOG).glob("[0-9]*[0-9].json")) if entry.stem not in sealed]


def seals_of(folder: Path) -> dict[str, str]:
    """Return the digest of each sealed file, by its path below the table's folder."""
    found: dict[str, str] = {}
    for path in sorted((folder / _FOLDER).glob("*.json")):
        found |= _read(str(path), path.stat().st_mtime_ns)
    return found


def refuse_damaged(folder: Path, files: Iterable[Path]) -> None:
    """Raise StoreError for a file that is not there, DigestMismatch for one that is not as it was written."""
    seals = seals_of(folder)
    for path in files:
        if not path.exists():
            raise StoreError(
                f"{path} is not there, although the table's log names it: it was removed. {_what_to_do(folder)}"
            )
        sealed = seals.get(str(path.relative_to(folder)))
        if sealed and digest_of(path) != sealed:
            raise DigestMismatch(
                f"{path} is not the file that was written: it was edited or damaged. {_what_to_do(folder)}"
            )


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex; of a file that has not changed, from memory."""
    facts = path.stat()
    return _digest(str(path), facts.st_size, facts.st_mtime_ns, facts.st_ino)


@lru_cache(maxsize=100_000)
def _digest(path: str, _size: int, _changed: int, _inode: int) -> str:
    with Path(path).open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=100_000)
def _read(path: str, _changed: int) -> dict[str, str]:
    facts: dict[str, str] = json.loads(Path(path).read_text())
    return facts


def _what_to_do(folder: Path) -> str:
    return (
        f"Nothing is read from it. Restore it from a backup, read an older version (headrace history), or remove {folder} "
        "and make the table again."
    )
