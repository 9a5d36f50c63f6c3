"""A clean environment: a virtual environment of exactly the libraries that a model was made with."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from headrace.core.errors import Refused, StoreError
from headrace.models.lock import BESIDE, HASH, LOCK
from headrace.models.origin import origin_of
from headrace.store.site import Site

READY = ".ready"


def run_in_clean(site: Site, model: str, words: Sequence[str], say: Callable[[str], None]) -> int:
    """Run a command of Headrace with the libraries that a model was made with, and return its exit code.

    Headrace itself is the one that runs now; what its version was then is said. Raises Refused where nothing is kept of
    the model's origin, StoreError where the libraries cannot be installed.
    """
    origin = origin_of(site, model)
    if origin is None:
        raise Refused(f"Nothing is kept of what model {model[:12]} was made with.")
    lists = site.code.get(origin["lock"])
    folder = site.place.home / "environments" / origin["lock"][:16]
    if not (folder / READY).exists():
        say(f"Installing the libraries of model {model[:12]} into {folder} (minutes, once) ...")
        _install(folder, lists)
    source = Path(__file__).parents[1]
    say(f"In a clean environment, Python {origin['python']} then, {sys.version.split()[0]} now:")
    command = [str(folder / "bin" / "python"), "-c", _CODE.format(source=str(source)), *words]
    return subprocess.run(command, cwd=site.place.root, check=False).returncode


_CODE = "import sys; sys.path.insert(0, {source!r}); from headrace.cli import main; main()"


def _install(folder: Path, lists: Mapping[str, bytes]) -> None:
    _done([sys.executable, "-m", "venv", "--clear", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    for name in (name for name in (LOCK, BESIDE) if name in lists):
        listed = folder / name
        listed.write_bytes(lists[name])
        how = "--require-hashes" if HASH in lists[name] else "--no-deps"
        _done([*pip, how, "-r", str(listed)])
    (folder / READY).touch()


def _done(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StoreError(f"The environment could not be made ({' '.join(command[:4])} ...): {done.stderr[-1000:]}")
