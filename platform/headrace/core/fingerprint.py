"""Code versions: equal for code that does the same, different as soon as a literal, a helper or a library changes."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.metadata import distributions, version
from itertools import chain
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from pydantic import BaseModel

from headrace.core.sql import normalized

Parts = dict[str, str]
"""What a piece of work is made of: the name of a function, constant, declaration or library → its digest."""
_PLAIN = (str, int, float, bool, bytes, tuple, frozenset, type(None))
_CLUSTER = re.compile(r"headrace\.(?:.+\.)?spark(?:_[^.]*)?")
_INFRASTRUCTURE = ("headrace.core", "headrace.store")


def sql_version(sql: str, origin: str = "an SQL file") -> str:
    """Return the version of an SQL text: comments, case of keywords and layout change nothing."""
    return _digest(normalized(sql, origin))


def code_parts(*parts: Callable[..., Any] | type | BaseModel | str) -> Parts:
    """Return what a piece of work is made of: its functions with the helpers and constants they call, its declarations.

    Comments, docstrings, layout and names of local variables change nothing. Followed are names of the same top
    package, except the store and the core: how a table is kept says nothing about what is in it. Nor does code of ours
    for a cluster (`spark.py`, `spark_*.py`) about what is made without one: see `cluster_parts`.
    """
    seen: dict[str, str] = {}
    for part in parts:
        if isinstance(part, BaseModel):
            number = sum(name.startswith(f"{type(part).__name__} as declared") for name in seen)
            seen[f"{type(part).__name__} as declared{f' ({number + 1})' if number else ''}"] = _digest(
                part.model_dump_json(by_alias=True)
            )
        elif isinstance(part, str):
            seen[f"text {len(seen)}"] = _digest(part)
        else:
            _add_code(part, seen)
    return seen


def cluster_parts(engine: str, *parts: Callable[..., Any]) -> Parts:
    """Return what an engine other than the local one adds to what a table is made of: its own code; nothing for "duckdb"."""
    return {} if engine == "duckdb" else {"engine": engine} | code_parts(*parts) | libraries("pyspark")


def libraries(*names: str) -> Parts:
    """Return the installed versions of libraries, as parts."""
    return {f"library {name}": version(name) for name in names}


def installed(names: Sequence[str]) -> Parts:
    """Return the versions of libraries; of an extra that is not installed none: what needs it says so in words."""
    return libraries(*(name for name in names if any(distributions(name=name))))


def version_of(parts: Parts) -> str:
    """Return one version for all parts."""
    return _digest("\n".join(f"{name}={digest}" for name, digest in sorted(parts.items())))


def code_version(*parts: Callable[..., Any] | type | BaseModel | str) -> str:
    """Return the version of a piece of work: see `code_parts`."""
    return version_of(code_parts(*parts))


def _add_code(item: Any, seen: dict[str, str]) -> None:
    name = f"{item.__module__}.{item.__qualname__}"
    if name in seen:
        return
    seen[name] = _shape(item)
    functions = [item] if inspect.isfunction(item) else [m for m in vars(item).values() if inspect.isfunction(m)]
    for function in functions:
        for called, value in _named(function):
            if _is_own(value, item):
                _add_code(value, seen)
            elif isinstance(value, _PLAIN) or (called.rpartition(".")[2].isupper() and _is_constant(value)):
                seen[f"{function.__module__}.{called}"] = _digest(_spelled(value))


def _named(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the global names that a function uses, and what it uses of the modules among them that are its own."""
    yield from _used_of(_code_names(function.__code__), function.__globals__, function.__module__)


def _used_of(used: Sequence[str], there: Mapping[str, Any], caller: str) -> Iterator[tuple[str, Any]]:
    for name in used:
        if name not in there:
            continue
        value = there[name]
        if inspect.ismodule(value) and _is_apart(value.__name__, caller):
            continue
        if inspect.ismodule(value) and value.__name__.split(".")[0] == caller.split(".", maxsplit=1)[0]:
            others = [other for other in used if other != name]
            of_module = ((of, found) for of, found in _used_of(others, vars(value), caller))
            yield from ((f"{name}.{of}", found) for of, found in of_module)
        else:
            yield name, inspect.unwrap(value) if callable(value) else value


@cache
def _code_names(code: CodeType) -> Sequence[str]:
    """Return the names that a piece of code and what is defined in it use, in order; each platform asks thousands of times."""
    inner = (_code_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return sorted({*code.co_names, *chain.from_iterable(inner)})


def _is_own(value: Any, caller: Any) -> bool:
    if not (inspect.isfunction(value) or inspect.isclass(value)):
        return False
    module = value.__module__
    same_package = module.split(".")[0] == caller.__module__.split(".")[0]
    return same_package and not module.startswith(_INFRASTRUCTURE) and not _is_apart(module, caller.__module__)


def _is_apart(module: str, caller: str) -> bool:
    """Return whether a module of ours works on a cluster alone, and its caller does not."""
    return bool(_CLUSTER.fullmatch(module)) and not _CLUSTER.fullmatch(caller)


def _is_constant(value: Any) -> bool:
    """Return whether a list, set or mapping holds plain values alone; by its name in capitals nobody changes it."""
    if isinstance(value, dict):
        return all(_is_constant(part) for part in [*value, *value.values()])
    if isinstance(value, list | set | tuple | frozenset):
        return all(map(_is_constant, value))
    return isinstance(value, _PLAIN)


def _spelled(value: Any) -> str:
    """Return a constant as text, the same in each process: a set has no order of its own, and addresses say nothing."""
    if isinstance(value, frozenset | set):
        return f"{{{', '.join(sorted(map(_spelled, value)))}}}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_spelled, value))})"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


@cache
def _shape(item: Any) -> str:
    """Return a digest of what a function or class says, whatever its local variables are called."""
    return _digest(_told(_definition(item), {}))


def _told(node: Any, numbers: Mapping[str, str]) -> str:
    """Return a tree as text, without docstrings; `numbers` stand for the names of local variables."""
    if isinstance(node, list):
        return f"[{','.join(_told(part, numbers) for part in node)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Name):
        return f"{numbers.get(node.id, node.id)}:{type(node.ctx).__name__}"
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        numbers = {**_numbered(node), **numbers}
    fields = ((field, getattr(node, field, None)) for field in node._fields)
    parts = (_told(_without_docstring(value) if field == "body" else value, numbers) for field, value in fields)
    return f"{type(node).__name__}({','.join(parts)})"


def _without_docstring(body: Any) -> Any:
    """Return the body of a function or class without the text that stands first."""
    first = body[0] if isinstance(body, list) and body else None
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return body[1:] if is_text else body


def _definition(item: Any) -> ast.AST:
    path = Path(inspect.getfile(item))
    found: ast.AST = _module(path, path.stat().st_mtime_ns)
    for name in item.__qualname__.replace("<locals>.", "").split("."):
        found = next(node for node in ast.walk(found) if getattr(node, "name", None) == name)
    return found


@cache
def _module(path: Path, _changed_ns: int) -> ast.Module:
    """Return the tree of a module: parsed once, where `inspect.getsource` would read it for each function."""
    return ast.parse(path.read_text())


def _numbered(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, str]:
    """Return a number for each variable that a function assigns, in the order in which they stand; arguments keep their names."""
    nodes = list(ast.walk(function))
    kept = {node.arg for node in nodes if isinstance(node, ast.arg)}
    kept |= {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    stored = (node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    return {name: f"_{number}" for number, name in enumerate(dict.fromkeys(n for n in stored if n not in kept))}


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
