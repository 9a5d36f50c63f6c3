"""What a package needs of Headrace and of libraries, found by reading the code: what a module imports, and what that imports.

An import at the top of a module is always followed, one within a function unless `WHEN` knows that it is not come to.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace.core.user_code import PLACE

SOURCE = Path(__file__).parents[2]
OURS = "headrace"
ROOTS = ("headrace.packages.run", "headrace.packages.events")
TEMPLATES = "templates"


@dataclass(frozen=True)
class Use:
    """What a package is asked to do."""

    trainer: str
    has_sql: bool = False
    """Whether features are computed of the request itself."""
    on_server: bool = False
    """Whether its features are read from Redis."""
    calibration: str = ""
    """How scores are calibrated; empty where they are not."""

    @property
    def library(self) -> str:
        """Which library its trainer is of: sklearn of `sklearn:<path>`."""
        return {"federated": "xgboost"}.get(self.trainer, self.trainer.partition(":")[0])

    @property
    def is_own(self) -> bool:
        """Whether the trainer is the user's own code."""
        return bool(re.fullmatch(PLACE, self.trainer))


Condition = Callable[[Use], bool]


def _never(_: Use) -> bool:
    return False


def _by(library: str) -> Condition:
    return lambda use: use.library == library


WHEN: Mapping[str, Condition] = {
    "headrace.product": _never,
    "headrace.models.spread.trainer": _never,
    "headrace.models.trainer": lambda use: use.trainer != "lightgbm",
    "headrace.online.computed": lambda use: use.has_sql,
    "headrace.store.online_embedded": lambda use: not use.on_server,
    "headrace.store.online_redis": lambda use: use.on_server,
    "lightgbm": _by("lightgbm"),
    "pandas": _by("sklearn"),
    "ray": _never,
    "safetensors": _by("torch"),
    "scipy": lambda use: use.calibration == "platt",
    "skops": _by("sklearn"),
    "sklearn": _by("sklearn"),
    "threadpoolctl": _by("sklearn"),
    "torch": _by("torch"),
    "xgboost": _by("xgboost"),
}
"""When an import within a function is come to; one that is not named here always is."""
UNNAMED: Mapping[str, Condition] = {
    "hiredis": lambda use: use.on_server,
    "httptools": lambda _: True,
    "lightgbm": _by("lightgbm"),
    "tzdata": lambda _: True,
    "uvloop": lambda _: True,
}
"""Libraries that others load by a text, and those of which only a file is used."""


@dataclass(frozen=True)
class Needed:
    """What must be there."""

    files: Mapping[str, Path]
    """Headrace's own, by their path below the source root."""
    libraries: frozenset[str]
    """The names by which libraries are imported."""


def needed(use: Use, roots: tuple[str, ...] = ROOTS, source: Path = SOURCE) -> Needed:
    """Return what modules need to be run: themselves, all that they import in turn, and the templates that they read."""
    files: dict[str, Path] = {}
    libraries = {name for name, is_loaded in UNNAMED.items() if is_loaded(use)}
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        path = _path(source, module)
        if path is None or str(path.relative_to(source)) in files:
            continue
        files[str(path.relative_to(source))] = path
        # A package is imported before what lies in it.
        waiting += [module.rpartition(".")[0]]
        tree = ast.parse(path.read_text())
        for imported in _imported(tree, use):
            if imported.partition(".")[0] == OURS:
                waiting.append(imported)
            else:
                libraries.add(imported.partition(".")[0])
        files |= {str(file.relative_to(source)): file for file in _templates(tree, path)}
    return Needed(dict(sorted(files.items())), frozenset(libraries - sys.stdlib_module_names))


def _path(source: Path, module: str) -> Path | None:
    """Return the file of a module of ours; None for a name that is none, as that of a function in one."""
    place = source.joinpath(*module.split("."))
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if module and path.is_file()), None)


def _imported(tree: ast.AST, use: Use) -> Iterator[str]:
    for name, is_late in _imports(tree, is_late=False):
        parts = name.split(".")
        known = [WHEN[at] for end in range(1, len(parts) + 1) if (at := ".".join(parts[:end])) in WHEN]
        if not is_late or all(is_come_to(use) for is_come_to in known):
            yield name


def _imports(node: ast.AST, *, is_late: bool) -> Iterator[tuple[str, bool]]:
    """Yield the names that are imported, and whether within a function; those for the type checker alone are not."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, is_late) for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            yield child.module, is_late
            yield from ((f"{child.module}.{alias.name}", is_late) for alias in child.names)
        elif not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            within = is_late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports(child, is_late=within)


def _templates(tree: ast.AST, path: Path) -> Iterator[Path]:
    """Yield the templates of a room whose module reads them."""
    if any(isinstance(node, ast.Constant) and node.value == TEMPLATES for node in ast.walk(tree)):
        yield from (file for file in (path.parent / TEMPLATES).glob("*") if file.is_file())
