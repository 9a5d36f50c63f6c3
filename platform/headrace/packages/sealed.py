"""The list of what a package consists of: an edited file is refused before anything of it is used."""

from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from headrace.core.errors import DigestMismatch, StoreError

LIST = "MANIFEST.json"
CLOSED = ("app", "product")
"""The folders in which nothing may lie that is not listed, but for Python's own bytecode."""
BYTECODE = "__pycache__"


class About(BaseModel, frozen=True, extra="forbid"):
    """What a package is."""

    product: str
    release: int
    model: str
    """The model's digest."""
    trainer: str
    features: int
    """The published version of its features."""
    online: Literal["snapshot", "redis"]
    """Where its features are: in the package itself, or on a server."""
    headrace: str
    """The version of Headrace."""


class Listed(About):
    """The list of a package."""

    files: dict[str, str]
    """SHA-256 of each file, by its path."""


def seal(folder: Path, about: About) -> str:
    """Write the list of all files of a folder, and return the list's own digest."""
    digests = {name: _digest(folder / name) for name in sorted(_files(folder))}
    (folder / LIST).write_text(Listed(**about.model_dump(), files=digests).model_dump_json(indent=1))
    return _digest(folder / LIST)


def verify(folder: Path) -> About:
    """Return the facts about a package whose files are all as they were listed.

    Raises DigestMismatch where one was edited, removed or added, StoreError where there is no list.
    """
    path = folder / LIST
    if not path.is_file():
        raise StoreError(f"{path} is not there: {folder} is no package, or a part of one. Copy all of it.")
    try:
        listed = Listed.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DigestMismatch(f"{path} is not the list that was written: it was edited or damaged. {_AGAIN}") from error
    for name, digest in listed.files.items():
        if not (folder / name).is_file():
            raise DigestMismatch(f"{folder / name} was removed from the package. {_AGAIN}")
        if _digest(folder / name) != digest:
            raise DigestMismatch(
                f"{folder / name} is not the file that was packaged: it was edited or damaged. {_AGAIN}"
            )
    for name in _files(folder):
        if name.startswith(tuple(f"{closed}/" for closed in CLOSED)) and name not in listed.files:
            raise DigestMismatch(f"{folder / name} is no part of the package: somebody has put it there. {_AGAIN}")
    return listed


_AGAIN = "Nothing is answered; copy the package again, or write it again: headrace package"


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        parts = path.relative_to(folder)
        if path.is_file() and BYTECODE not in parts.parts and parts.as_posix() != LIST:
            yield parts.as_posix()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
