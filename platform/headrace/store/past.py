"""A product's site as it was: each table at a version of then, nothing written where the product lives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from deltalake import DeltaTable

from headrace.store.ledger import Ledger
from headrace.store.models import Models
from headrace.store.site import Site
from headrace.store.tables import Tables


@dataclass(frozen=True)
class StoppedClock:
    """A clock that stands at a moment of the past."""

    at: datetime

    def now(self) -> datetime:
        """Return that moment."""
        return self.at


class PastTables(Tables):
    """Tables that are read at versions of then where nobody says another."""

    def __init__(self, folder: Path, versions: Mapping[str, int], unsealed: frozenset[str] = frozenset()) -> None:
        """Files of the `unsealed` tables are read as they are, be they damaged."""
        super().__init__(folder)
        self._versions, self._unsealed = versions, unsealed

    def _open(self, name: str, version: int | None = None) -> DeltaTable:
        wanted = self._versions.get(name) if version is None else version
        if wanted in self.removed(name).versions:
            self.removed(name).refuse(name, wanted, super()._at(name, None).version())
        return super()._open(name, wanted)

    def _at(self, name: str, version: int | None) -> DeltaTable:
        return super()._at(name, self._versions.get(name) if version is None else version)

    def _sound(self, name: str, files: list[str]) -> list[str]:
        return files if name in self._unsealed else super()._sound(name, files)


@dataclass(frozen=True)
class PastSite(Site):
    """A site whose tables are those of then and whose clock stands; what is made goes into the folder `scratch`."""

    scratch: Path = Path()
    versions: Mapping[str, int] = field(default_factory=dict)
    at: datetime = datetime.min
    unsealed: frozenset[str] = frozenset()

    @cached_property
    def clock(self) -> StoppedClock:
        """The moment of then."""
        return StoppedClock(self.at)

    @cached_property
    def tables(self) -> PastTables:
        """The tables of the project, as they were."""
        return PastTables(self.place.tables, self.versions, self.unsealed)

    @cached_property
    def ledger(self) -> Ledger:
        """A ledger that nobody reads afterwards."""
        return Ledger(self.scratch / "ledger", self.tables)

    @cached_property
    def models(self) -> Models:
        """Where models are made anew."""
        return Models(self.scratch / "models")
