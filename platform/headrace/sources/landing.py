"""What has landed: the files that a source's pattern finds, each with its name and its stamp."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from headrace.sources.declaration import Source


@dataclass(frozen=True)
class Landed:
    """One file where it landed: its name below the project's root, and what is in it."""

    name: str
    path: Path

    @property
    def stamp(self) -> tuple[int | str, ...]:
        """Its size and time of change: equal stamps, equal file."""
        facts = self.path.stat()
        return facts.st_size, facts.st_mtime_ns

    @property
    def size(self) -> int:
        """Its bytes, as they lie there."""
        return self.path.stat().st_size

    @property
    def changed(self) -> float:
        """When it was last written, in seconds since 1970."""
        return self.path.stat().st_mtime

    def is_settled(self, now: float, settle_s: float) -> bool:
        """Return whether nobody has written to it for a while, so that it is not half a file."""
        return now - self.changed >= settle_s

    def digest(self) -> str:
        """Return the SHA-256 of its bytes, in hex, without holding them all."""
        with self.path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()

    def forget(self) -> None:
        """Leave it: what landed here is the user's."""

    def data(self) -> bytes:
        """Return its bytes, as they lie there."""
        return self.path.read_bytes()


def files_below(root: Path, source: Source) -> Iterator[Landed]:
    """Yield the files that a source's pattern finds below the project's root, by name."""
    for path in sorted(root.glob(source.files or "")):
        if path.is_file() and not path.name.startswith("."):
            yield Landed(str(path.relative_to(root)), path)
