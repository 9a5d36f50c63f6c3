"""A package of the shop that is served, and servers of it: by any interpreter, in any folder."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace.core.place import Place
from headrace.core.ports import free_port
from headrace.packages.write import Package, write_package
from headrace.releases.release import Request, release_model
from headrace.store.site import Site
from platform_tests.models.shop import gates, judged, plain, trained
from platform_tests.serving.bar import Running, answers, bar, released, served, until

ROOT = Path(__file__).parents[2]
ASIDE = ["customer", "land"]


def locked(site: Site) -> Site:
    """Give a shop the lock files of this project."""
    shutil.copytree(ROOT / "requirements", site.place.root / "requirements")
    return site


def shop(folder: Path, trainer: str = "lightgbm", *, computed: bool = False) -> Site:
    """Return a shop with a live model of a trainer and published features."""
    site = locked(bar(folder, computed=computed))
    if trainer == "lightgbm":
        released(site)
    else:
        released_by(site, trainer)
    return site


def another(site: Site, folder: Path) -> Site:
    """Return a shop of one's own that is like another."""
    shutil.copytree(site.place.root, folder)
    return Site(site.product, folder, Place.at(folder))


def released_by(site: Site, trainer: str, **declared: Any) -> str:
    """Train a model by another trainer, release it, and return its digest."""
    model = plain(trainer, ignore=ASIDE, **declared)
    digest = trained(site, model)
    judged(site, digest, "auc >= 0.6", declared=model)
    release_model(site, Request(digest, "a test", "to see", by_name=True), gates("auc >= 0.6"))
    return digest


def packaged(site: Site, folder: Path, word: str = "", **declared: Any) -> Package:
    """Write a package of the live model, or of a named release."""
    release = site.releases.named_or_live("shop", word)
    return write_package(site, served(site, **declared), release, folder)


def bare(**more: str) -> dict[str, str]:
    """Return this environment without what leads to Headrace or to its servers, and with more."""
    hidden = ("PYTHONPATH", "HEADRACE_ONLINE_URL", "HEADRACE_WRITE_TO", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in hidden} | more


@contextmanager
def serving(
    folder: Path,
    words: Sequence[str] = (),
    *,
    python: str = sys.executable,
    before: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Yield a server of a package that answers, started as its README says."""
    port = free_port()
    log = folder.parent / f"package-{port}.log"
    command = [*before, python, str(folder / "serve.py"), "--port", str(port), *words]
    with (
        log.open("w") as file,
        subprocess.Popen(
            command, stdout=file, stderr=file, text=True, cwd="/", env=bare() if environment is None else environment
        ) as process,
    ):
        server = Running(process, port, log)
        try:
            until(lambda: answers(server))
            yield server
        finally:
            if process.poll() is None:
                server.stop()
