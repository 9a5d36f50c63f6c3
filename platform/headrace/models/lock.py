"""The libraries that a model was made with, as lists to install: the project's lock file, and what that lacks."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution, distributions, packages_distributions, version
from types import MappingProxyType

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from headrace.store.code import code_files
from headrace.store.site import Site

LOCK, BESIDE = "requirements.txt", "beside.txt"
"""The list itself, and the pins of what it lacks."""
LOCK_FILES = ("requirements/base.txt", LOCK)
"""Where a project keeps its lock file, below its root."""
HASH = b"--hash="
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==", re.MULTILINE)


def locks_of(site: Site, libraries: Iterable[str]) -> dict[str, bytes]:
    """Return the lists of what to install: the project's lock file, and beside it what a model needs that it lacks.

    That is Headrace, the libraries that the model was made by, what Python files beside the declaration import, and all
    that these need in turn, as installed now. A file without hashes is no lock, as it need not name everything: what is
    installed stands for it.
    """
    lock = _lock_file(site)
    if lock is None:
        return {LOCK: _pinned(item for item in installed().items() if item[0] != "headrace")}
    locked = {canonicalize_name(name) for name in _PIN.findall(lock.decode())}
    needed = with_what_they_need({"headrace", *libraries, *_imported(code_files(site.folder))})
    lacking = sorted(needed - locked - {"headrace"})
    return {LOCK: lock} | ({BESIDE: _pinned((name, version(name)) for name in lacking)} if lacking else {})


@lru_cache(maxsize=1)
def installed() -> Mapping[str, str]:
    """Return the version of each library that is installed: of two of one name that which is imported.

    They are looked at once: what a process has imported it does not change for what is installed later.
    """
    found: dict[str, str] = {}
    for one in distributions():
        # Each look at the metadata reads their file.
        told = one.metadata
        found.setdefault(told["Name"], told["Version"])
    return MappingProxyType(dict(sorted(found.items(), key=lambda item: item[0].casefold())))


def _lock_file(site: Site) -> bytes | None:
    paths = (site.place.root / name for name in LOCK_FILES)
    return next((data for path in paths if path.is_file() and HASH in (data := path.read_bytes())), None)


def _pinned(versions: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name}=={at}\n" for name, at in versions).encode()


def _imported(files: Mapping[str, bytes]) -> Iterator[str]:
    """Yield the distributions whose modules Python files import."""
    written = [text for name, text in files.items() if name.endswith(".py")]
    # It looks at every file that is installed.
    homes = packages_distributions() if written else {}
    for text in written:
        for module in modules_of(text):
            yield from homes.get(module.partition(".")[0], [])


def modules_of(text: bytes) -> Iterator[str]:
    """Yield the modules that a Python file imports; none of one that is not Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        # Nobody can have imported it.
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def with_what_they_need(names: Iterable[str]) -> set[str]:
    """Return the distributions that are installed, with all that they need on this machine, as canonical names."""
    found: set[str] = set()
    asked = {(canonicalize_name(name), "") for name in names}
    done: set[tuple[str, str]] = set()
    while asked:
        name, extra = one = asked.pop()
        done.add(one)
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            # An optional need that nobody installed, and the model was made without.
            continue
        found.add(name)
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                asked |= {(canonicalize_name(need.name), of) for of in ("", *need.extras)} - done
    return found
