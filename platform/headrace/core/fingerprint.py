"""Code versions: equal for code that does the same, different as soon as a literal or a helper changes."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from types import CodeType, FunctionType
from typing import Any

from pydantic import BaseModel

from headrace.core.sql import normalized

_PLAIN = (str, int, float, bool, bytes, tuple, frozenset, type(None))
_INFRASTRUCTURE = ("headrace.core", "headrace.store")


def sql_version(sql: str) -> str:
    """Return the version of an SQL text: comments, case of keywords and layout change nothing."""
    return _digest([normalized(sql)])


def code_version(*parts: Callable[..., Any] | type | BaseModel | str) -> str:
    """Return the version of a piece of work: its functions with the helpers and constants they call, its declarations.

    Comments, docstrings and layout change nothing. Followed are names of the same top package, except
    the store and the core: how a table is kept says nothing about what is in it.
    """
    seen: dict[str, str] = {}
    for part in parts:
        _add(part, seen)
    return _digest([f"{name}={text}" for name, text in sorted(seen.items())])


def _add(part: Any, seen: dict[str, str]) -> None:
    if isinstance(part, BaseModel):
        seen[f"declared {type(part).__name__} {len(seen)}"] = part.model_dump_json(by_alias=True)
    elif isinstance(part, str):
        seen[f"text {len(seen)}"] = part
    else:
        _add_code(part, seen)


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
            elif isinstance(value, _PLAIN):
                seen[f"{function.__module__}:{called}"] = repr(value)


def _named(function: FunctionType) -> Iterator[tuple[str, Any]]:
    names = sorted(set(_code_names(function.__code__)) & set(function.__globals__))
    yield from ((name, inspect.unwrap(v) if callable(v := function.__globals__[name]) else v) for name in names)


def _code_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_names(constant)


def _is_own(value: Any, caller: Any) -> bool:
    if not (inspect.isfunction(value) or inspect.isclass(value)):
        return False
    module = value.__module__
    same_package = module.split(".")[0] == caller.__module__.split(".")[0]
    return same_package and not module.startswith(_INFRASTRUCTURE)


@cache
def _shape(item: Any) -> str:
    tree = ast.parse(textwrap.dedent(inspect.getsource(item)))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree, annotate_fields=False)


def _digest(texts: list[str]) -> str:
    return sha256("\n".join(texts).encode()).hexdigest()[:16]
