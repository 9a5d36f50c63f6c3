"""The ledger's files: an entry a table, and what was remembered of its rows. A torn one is the same as none."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import TypeAdapter, ValidationError

from headrace.core.recipe import Made
from headrace.store.publish import make_folder, publish

FACTS = ".facts"


@dataclass
class Entry:
    """What is known of a table."""

    version: int | None = None
    """The version that the contents are those of; None for what is no table."""
    snapshot: str = ""
    """The digest of that version's files: a table that was removed and made again counts its versions from 0."""
    contents: dict[str, str] = field(default_factory=dict)
    made: dict[str, Made] = field(default_factory=dict)
    parts: dict[str, dict[str, str]] = field(default_factory=dict)
    """Version of the code → its parts."""


@dataclass
class Facts:
    """What the rows of one version of a table say."""

    snapshot: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


_ENTRY, _FACTS = TypeAdapter(Entry), TypeAdapter(Facts)


class Entries:
    """A folder of entries, `<table>.json`, each with its facts beside it, `<table>.facts.json`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, table: str) -> Entry:
        """Return what is known of a table: nothing where its entry is torn."""
        return _read(self._path(table), _ENTRY) or Entry()

    @contextmanager
    def changing(self, table: str) -> Iterator[Entry]:
        """Yield what is known of a table, for nobody else to change meanwhile, and keep what was changed."""
        with self._locked(self._path(table)) as path:
            entry = _read(path, _ENTRY) or Entry()
            yield entry
            _keep(path, entry)

    @contextmanager
    def remembering(self, table: str) -> Iterator[Facts]:
        """Yield what was remembered of a table's rows, for nobody else to change meanwhile, and keep what was changed."""
        with self._locked(self._path(table, FACTS)) as path:
            facts = _read(path, _FACTS) or Facts()
            yield facts
            _keep(path, facts)

    def forget_facts(self, table: str) -> None:
        """Forget what was remembered of a table's rows."""
        with self._locked(self._path(table, FACTS)) as path:
            path.unlink(missing_ok=True)

    def tables(self) -> list[str]:
        """Return the names that have an entry, or facts."""
        found = (path.relative_to(self._folder).with_suffix("") for path in self._folder.glob("**/*.json"))
        return sorted({str(path).removesuffix(FACTS) for path in found})

    def is_of_table(self, table: str) -> bool:
        """Return whether what is known of a name was known of a table, and not of a model, say."""
        return self.read(table).version is not None or self._path(table, FACTS).exists()

    def unpublished(self) -> list[Path]:
        """Return files that were written to be entries and never became any, by names that are in use no more."""
        return sorted(self._folder.glob("**/*.new"))

    def torn(self, table: str) -> list[Path]:
        """Return the files of a table that cannot be read."""
        kinds: dict[Path, TypeAdapter[Any]] = {self._path(table): _ENTRY, self._path(table, FACTS): _FACTS}
        return [path for path, kind in kinds.items() if path.exists() and _read(path, kind) is None]

    def forget_torn(self, table: str) -> None:
        """Remove the files of a table that cannot be read; what somebody has written anew meanwhile stays."""
        for path in self.torn(table):
            with self._locked(path):
                if path in self.torn(table):
                    path.unlink()

    def forget(self, table: str) -> None:
        """Remove all that is known of a table."""
        for path in (self._path(table), self._path(table, FACTS)):
            with self._locked(path):
                path.unlink(missing_ok=True)

    def _path(self, table: str, kind: str = "") -> Path:
        return self._folder / f"{table}{kind}.json"

    @contextmanager
    def _locked(self, path: Path) -> Iterator[Path]:
        make_folder(path.parent)
        with FileLock(path.with_suffix(".lock")):
            yield path


def _read(path: Path, kind: TypeAdapter[Any]) -> Any:
    """Return what a file says; None where there is none, or where it is torn."""
    try:
        return kind.validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _keep(path: Path, known: Entry | Facts) -> None:
    """Write a file, unless it says the same already."""
    data = json.dumps(asdict(known), sort_keys=True).encode()
    if not path.exists() or path.read_bytes() != data:
        publish(path, data, "the next run looks again at what was made")
