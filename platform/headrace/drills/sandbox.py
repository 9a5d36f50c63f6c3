"""The sandbox: a copy of one product's declaration, landed files and store, from which nothing leads back to the original."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from headrace.core.days import Days, last_whole_day
from headrace.core.errors import Refused
from headrace.declaration import ProductDeclaration
from headrace.project import Project
from headrace.sources.landing import files_below
from headrace.store.site import Site

SERVERS = frozenset(
    ["HEADRACE_HOME", "HEADRACE_MLFLOW_URI", "HEADRACE_ONLINE_URL", "OTEL_EXPORTER_OTLP_ENDPOINT", "DAGSTER_HOME"]
)
"""What the environment says of places that others use: a sandbox has none of them."""
STORE = ("logs", "witness", "ledger", "tables", "models", "code", "studies", "erasure.key")
"""What is copied of the store, in this order: what a log or ledger speaks of is there, as it was written before. MLflow's
mirror, reports, spill and Dagster's instance are made anew: they name folders, or can be made again."""
START, CURSORS = "start", "cursors.json"


@dataclass(frozen=True)
class Sandbox:
    """A copy of a project with one product in it that is alive."""

    root: Path
    product: str
    environment: Mapping[str, str]

    def load(self) -> tuple[ProductDeclaration, Site]:
        """Return the product as it is declared, but with a clock that stands still until it is moved."""
        project = Project(self.root, self.environment)
        declared, site = project.load(self.product)
        replayed = declared.model_copy(update={"clock": "replay"})
        return replayed, Site(replayed, site.folder, site.place, self.environment)

    @property
    def now(self) -> datetime:
        """The moment by the product's clock."""
        return self.load()[1].clock.now()

    def move_clock(self, moment: datetime) -> None:
        """Let the product's clock show another moment."""
        file = Project(self.root, self.environment).place.replay_clock
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(moment.isoformat())

    def next_midnight(self) -> datetime:
        """Return the end of the day that the product's clock is in: one more day is whole then."""
        declared, site = self.load()
        day = last_whole_day(site.clock.now(), declared.timezone)
        return Days(day, day).widened(after=1).instants(declared.timezone)[1]

    def copy_to(self, name: str) -> "Sandbox":
        """Return another copy, beside this one. Files of tables are never written twice, and are shared between copies."""
        root = self.root.parent / name
        shutil.copytree(self.root, root, copy_function=_share)
        return Sandbox(root, self.product, self.environment)

    def cursors(self) -> dict[str, str]:
        """Return how far its sensors have looked."""
        file = self.root / CURSORS
        kept: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        return kept

    def keep_cursors(self, cursors: Mapping[str, str]) -> None:
        """Keep how far its sensors have looked."""
        (self.root / CURSORS).write_text(json.dumps(dict(cursors)))


def make_sandbox(project: Project, product: str, folder: Path) -> Sandbox:
    """Copy a product into `folder`/start and return the copy; the original is only read.

    Raises Refused where the folder holds something already, or lies within the project.
    """
    folder = folder.resolve()
    place = project.place
    for mine in (place.root, place.home):
        if folder.is_relative_to(mine):
            raise Refused(f"{folder} lies within {mine}, which a drill never writes to: name a folder elsewhere.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is not empty: name a new folder for the drill, or leave --sandbox out.")
    declared, site = project.load(product)
    root = folder / START
    shutil.copytree(place.root / "platform" / "products", root / "platform" / "products", ignore=_compiled)
    shutil.copyfile(place.root / "workspace.yaml", root / "workspace.yaml")
    for source in declared.sources.values():
        for landed in files_below(place.root, source) if source.files and not source.in_bucket else ():
            (root / landed.name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(landed.path, root / landed.name)
    apart = {name: value for name, value in project.environment.items() if name not in SERVERS}
    made = Sandbox(root, product, apart)
    _copy_store(place.home, Project(root, apart).place.home)
    made.move_clock(site.clock.now())
    return made


_compiled = shutil.ignore_patterns("__pycache__")


def _copy_store(home: Path, to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    for name in STORE:
        there = home / name
        if there.is_dir():
            _copy_logs_first(there, to / name)
        elif there.exists():
            shutil.copy2(there, to / name)


def _copy_logs_first(folder: Path, to: Path) -> None:
    """Copy a folder; Delta's logs first, so that what a running product writes meanwhile is not half in the copy."""
    for log in sorted(folder.rglob("_delta_log")):
        shutil.copytree(log, to / log.relative_to(folder))
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "_delta_log" not in path.parts:
            (to / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, to / path.relative_to(folder))


def _share(source: str, to: str) -> str:
    """Copy a file; one that is only ever written once is linked."""
    if source.endswith(".parquet") and "_delta_log" not in source:
        os.link(source, to)
        return to
    return str(shutil.copy2(source, to))
