"""The libraries of a package, pinned as they are installed, with the digests of the project's lock files where these know them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from headrace.models.lock import with_what_they_need

LOCKS = ("requirements.txt", "requirements/*.txt")
"""Where a project keeps its lock files, below its root."""
_PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)[^\n\\]*(?P<hashes>(?:\\\n\s+--hash=\S+\s*)+)",
    re.MULTILINE,
)
_HASH = re.compile(r"--hash=\S+")
Known = Mapping[tuple[str, str], frozenset[str]]
"""Name and version → the digests of its files."""


@dataclass(frozen=True)
class Requirements:
    """What to install."""

    text: str
    unknown: tuple[str, ...]
    """The pins that no lock file knows: where there are any, nothing can be installed by digests."""


def requirements_of(modules: Iterable[str], root: Path) -> Requirements:
    """Return the distributions of imported modules that are installed, and all that these need; `root` is the project's.

    pip installs by digests all or none: one pin that no lock file knows leaves all without.
    """
    known = known_pins(root)
    pins = [(name, distribution(name).version) for name in sorted(with_what_they_need(_distributions(modules)))]
    unknown = tuple(f"{name}=={version}" for name, version in pins if (name, version) not in known)
    lines = []
    for name, version in pins:
        hashes = [] if unknown else [f"    {digest}" for digest in sorted(known[name, version])]
        lines.append(" \\\n".join([f"{name}=={version}", *hashes]))
    return Requirements("\n".join(lines) + "\n", unknown)


def known_pins(root: Path) -> Known:
    """Return what the lock files of a project know."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for path in sorted(path for pattern in LOCKS for path in root.glob(pattern)):
        for pin in _PIN.finditer(path.read_text()):
            key = (canonicalize_name(pin["name"]), pin["version"])
            found[key] = found.get(key, frozenset()) | frozenset(_HASH.findall(pin["hashes"]))
    return found


def _distributions(modules: Iterable[str]) -> set[str]:
    homes = packages_distributions()
    named = {name for module in modules for name in homes.get(module, [module])}
    return {name for name in named if _is_installed(name)}


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
