"""Functions that users write beside their declaration: loaded as they stand there, and their errors told in words."""

import ast
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from headrace.core.errors import DeclarationError, HeadraceError, UserCodeError
from headrace.core.names import did_you_mean

PLACE = r"^[A-Za-z_][A-Za-z0-9_]*[.]py:[A-Za-z_][A-Za-z0-9_]*$"
"""`file.py:function`, the file beside the declaration."""


def load_function(folder: Path, product: str, place: str) -> Callable[..., Any]:
    """Return the function that `file.py:function` names, as the file stands now.

    The files of a folder are one package: one of them imports another by `from .other import ...`. Raises
    DeclarationError for a file or function that is not there, UserCodeError where the file cannot be imported.
    """
    file, _, name = place.partition(":")
    if not (folder / file).is_file():
        beside = [path.name for path in folder.glob("*.py")]
        raise DeclarationError(f"{folder / file} is not there.{did_you_mean(file, beside)}")
    with told_in_words(folder / file):
        module = _module(folder, product, file, _stamp(folder))
    found = getattr(module, name, None)
    if not callable(found):
        functions = [word for word, value in vars(module).items() if callable(value)]
        raise DeclarationError(f"{folder / file} has no function '{name}'.{did_you_mean(name, functions)}")
    function: Callable[..., Any] = found
    return function


def files_of(folder: Path, file: str) -> dict[str, bytes]:
    """Return a file of a folder and those that it imports from beside it (`from .other import ...`), by name.

    Raises DeclarationError for an import from a folder within.
    """
    found: dict[str, bytes] = {}
    waiting = [file]
    while waiting:
        name = waiting.pop()
        found[name] = (folder / name).read_bytes()
        waiting.extend(beside for beside in _imported_by(folder, name, found[name]) if beside not in found)
    return dict(sorted(found.items()))


def _imported_by(folder: Path, file: str, text: bytes) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ImportFrom) or node.level != 1:
            continue
        for module in [node.module] if node.module else [alias.name for alias in node.names]:
            if not (folder / f"{module}.py").is_file():
                raise DeclarationError(
                    f"{folder / file}:{node.lineno}: '.{module}' is no file beside it: what a trainer imports is stored with its "
                    "model, so keep it in the same folder."
                )
            yield f"{module}.py"


class told_in_words:  # noqa: N801  # reads as what it does: with told_in_words(file)
    """Tell what fails in a user's code in words, with the user's own file and line, instead of a traceback of ours."""

    def __init__(self, place: Path, doing: str = "") -> None:
        self._place = place
        self._doing = f" (while {doing})" if doing else ""

    def __enter__(self) -> None:
        """Begin to listen."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise UserCodeError in the place of an error; what Headrace says itself, and what ends a process, passes."""
        if isinstance(error, Exception) and not isinstance(error, HeadraceError):
            raise UserCodeError(f"{_where(error, self._place)}: {_what(error)}{self._doing}") from error


def _where(error: Exception, place: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(place.parent)]
    if not own:
        return str(place)
    frame = own[-1]
    code = f": `{frame.line}`" if frame.line else ""
    return f"{frame.filename}:{frame.lineno}{code}"


def _what(error: Exception) -> str:
    hint = ""
    if isinstance(error, ModuleNotFoundError):
        hint = f". Is it a file beside the declaration? Then write `from .{error.name} import ...`"
    return f"{type(error).__name__}: {error}{hint}"


def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Return what tells that a file of the folder has changed."""
    facts = ((str(path), path.stat()) for path in sorted(folder.rglob("*.py")))
    return tuple((path, fact.st_mtime_ns, fact.st_size) for path, fact in facts)


@cache
def _module(folder: Path, product: str, file: str, stamp: tuple[tuple[str, int, int], ...]) -> ModuleType:
    """Return a file of a product's package, imported anew once any file of it has changed."""
    package = f"product_{product}"
    there = sys.modules.get(package)
    if there is None or vars(there).get("__stamp__") != stamp:
        for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
            del sys.modules[name]
        made = ModuleType(package, "The files of a product.")
        vars(made).update(__path__=[str(folder)], __stamp__=stamp)
        sys.modules[package] = made
        invalidate_caches()
    with _without_bytecode():
        return import_module(f"{package}.{Path(file).stem}")


@contextmanager
def _without_bytecode() -> Iterator[None]:
    """Write no bytecode meanwhile: that of a file which changes twice within a second would hide the second change."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
