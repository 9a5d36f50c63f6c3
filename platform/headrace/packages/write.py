"""Writes a package: a released model with all that answering requests needs, in a folder of its own."""

import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from headrace.core.clock import clock_of
from headrace.core.errors import Refused
from headrace.core.place import Place
from headrace.models.lock import modules_of
from headrace.models.meta import Meta
from headrace.models.parse import RECORD as PARSED
from headrace.models.probe import RECORD as PROBE
from headrace.models.quick import load_quick
from headrace.models.trainers.own import CODE, OwnTrainer
from headrace.online.lookup import OnlineFeatures
from headrace.online.view import View
from headrace.packages.locked import requirements_of
from headrace.packages.needed import Use, needed
from headrace.packages.run import PRODUCT, SERVED, SERVER
from headrace.packages.sealed import About, seal
from headrace.serving.served import Served
from headrace.store.models import Models
from headrace.store.online import open_online
from headrace.store.online_embedded import EmbeddedStore
from headrace.store.releases import Release
from headrace.store.room import room_at
from headrace.store.site import Site

TEMPLATES = Environment(  # noqa: S701  no HTML
    loader=FileSystemLoader(Path(__file__).parent / "templates"), undefined=StrictUndefined, keep_trailing_newline=True
)
VERSION = version("headrace")
PUBLISHED = "published.json"
CHECK_SECONDS = 120


@dataclass(frozen=True)
class Package:
    """A package that was written."""

    folder: Path
    release: Release
    features: int
    """The published version of its features."""
    files: int
    size: int
    """Bytes of all files."""
    digest: str
    """SHA-256 of the list of its files."""
    unknown: tuple[str, ...]
    """The pins of requirements.txt that no lock file of the project knows the digests of."""


def write_package(site: Site, served: Served, release: Release, folder: Path) -> Package:
    """Write the model of a release, as a product is served, into a folder that is empty or not there, whole or not at all.

    It is started once before it gets its name. Raises Refused where the folder holds anything, where the release never went
    live, nothing is published, or the published features are not those that the model was trained on; DigestMismatch
    where a file of the model was edited.
    """
    if not release.goes_live:
        raise Refused(
            f"Decision {release.number} of {served.product} is '{release.outcome}': only what went live is packaged."
        )
    if folder.is_file() or (folder.exists() and any(folder.iterdir())):
        raise Refused(f"{folder} is not empty: choose a new folder, so that nothing of yours is overwritten.")
    folder = folder.resolve()
    staged = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        with room_at(folder.parent, f"{folder} was not written"):
            package = _Draft(site, served, release, staged).write()
        _start_once(site, staged)
        _open_to_all(staged)
        if folder.exists():
            folder.rmdir()
        staged.rename(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return Package(folder, release, files=len(files), size=sum(path.stat().st_size for path in files), **package)


class _Draft:
    """A package in the making."""

    def __init__(self, site: Site, served: Served, release: Release, folder: Path) -> None:
        self._site, self._served, self._release, self._folder = site, served, release, folder
        self._home = Place.at(folder / PRODUCT, str(folder / PRODUCT))

    def write(self) -> dict[str, Any]:
        """Write all files and their list, and return what is to be told of it."""
        self._home.home.mkdir(parents=True)
        model = load_quick(self._site.models, self._release.model)
        view = self._write_features()
        self._write_release()
        calibration = model.tuned.calibration
        use = Use(
            model.meta.trainer,
            has_sql=bool(view.manifest.on_request),
            on_server=bool(self._site.place.online_server),
            calibration=calibration.method if calibration else "",
        )
        need = needed(use)
        self._write_code(need.files)
        own = _imported_by_own(self._site.models, self._release.model, model.meta)
        wanted = requirements_of({*need.libraries, *own}, self._site.place.root)
        self._write_texts(use, view, wanted.text)
        digest = seal(self._folder, self._about(use, view))
        return {"features": view.version, "digest": digest, "unknown": wanted.unknown}

    def _write_features(self) -> View:
        """Write the features as they are published now, or on Redis leave them there; return which they are."""
        place, product = self._site.place, self._served.product
        if not place.online_server:
            own = self._home.online / f"{product}.sqlite"
            own.parent.mkdir()
            EmbeddedStore(place.online / own.name).copy_to(own)
            place = self._home
        store = open_online(place, product)
        try:
            view = OnlineFeatures(store, product).view
        finally:
            store.close()
        (self._home.home / PUBLISHED).write_text(view.manifest.model_dump_json(indent=1))
        if self._served.clock == "replay":
            stands = clock_of("replay", self._site.place.replay_clock).now()
            self._home.landing.mkdir()
            self._home.replay_clock.write_text(stands.isoformat())
        return view

    def _write_release(self) -> None:
        """Write the model, what serving reads of what is known about it, and the release log up to the release."""
        digest, product, models = self._release.model, self._served.product, Models(self._home.models)
        models.restore(digest, self._site.models.files(digest))
        for kind in (PARSED, PROBE):
            facts = self._site.models.recorded(digest, kind)
            if facts is not None:
                models.record(digest, kind, facts)
        models.seal()
        log = self._site.releases.log(product)
        log.copy_to(self._home.logs / product / "releases", self._release.number)
        for card in self._site.place.reports.glob(f"{product}.release-{self._release.number}.*"):
            self._home.reports.mkdir(exist_ok=True)
            shutil.copyfile(card, self._home.reports / card.name)

    def _write_code(self, files: Mapping[str, Path]) -> None:
        for name, path in files.items():
            target = self._folder / "app" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        about = self._folder / "app" / f"headrace-{VERSION}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: headrace\nVersion: {VERSION}\n")

    def _write_texts(self, use: Use, view: View, requirements: str) -> None:
        (self._home.home / SERVED).write_text(self._served.model_dump_json(indent=1))
        (self._folder / "requirements.txt").write_text(requirements)
        facts = self._about(use, view).model_dump() | {
            "python": platform.python_version(),
            "task": self._served.task,
            "hashes": "--hash=" in requirements,
            "needs_gomp": use.library == "lightgbm",
            "is_on_redis": use.on_server,
            "resource": self._served.product.replace("_", "-"),
            "short": self._release.model[:12],
            "published": view.manifest.instant.isoformat(),
            "clock": self._served.clock,
            "needs_temp": use.is_own,
            "logged": self._served.logged,
        }
        for name in TEMPLATES.list_templates():
            (self._folder / name.removesuffix(".j2")).write_text(TEMPLATES.get_template(name).render(facts))

    def _about(self, use: Use, view: View) -> About:
        return About(
            product=self._served.product,
            release=self._release.number,
            model=self._release.model,
            trainer=use.trainer,
            features=view.version,
            online="redis" if use.on_server else "snapshot",
            headrace=VERSION,
        )


def _imported_by_own(models: Models, digest: str, meta: Meta) -> Iterator[str]:
    """Yield what the files of a trainer of the user's own import."""
    if meta.code:
        with zipfile.ZipFile(BytesIO(models.get(digest, OwnTrainer.form))) as packed:
            for name in (name for name in packed.namelist() if name.startswith(CODE)):
                yield from (module.partition(".")[0] for module in modules_of(packed.read(name)))


def _start_once(site: Site, folder: Path) -> None:
    """Open the package by its own code in a process of its own; raises Refused in its words where it cannot answer."""
    server = site.place.online_server
    try:
        done = subprocess.run(
            [sys.executable, "-B", "serve.py", "--check"],
            cwd=folder,
            env={**site.environment, **({SERVER: server} if server else {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=CHECK_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise Refused(f"The package does not start within {CHECK_SECONDS} s, and was not written.") from error
    if done.returncode:
        raise Refused(f"The package does not start, and was not written: {done.stderr.strip()[-2000:]}")


def _open_to_all(folder: Path) -> None:
    """Let any user read it: in a container it is another one than here."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
