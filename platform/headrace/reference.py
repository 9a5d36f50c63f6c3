"""The reference of all that can be declared, written from the declarations themselves."""

import types
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from headrace.core.names import duration_text
from headrace.declaration import ProductDeclaration

HEAD = """# Reference: what can be declared

Everything below `attributes:` of a `defs.yaml` with `type: headrace.Product`. Keys that are not listed are errors.
This page is written from the declarations by `python -m headrace.reference`.
"""


def reference() -> str:
    """Return the page as Markdown."""
    return HEAD + "".join(f"\n{section}" for section in _sections(ProductDeclaration, "Product", set()))


def _sections(model: type[BaseModel], title: str, seen: set[type]) -> Iterator[str]:
    seen.add(model)
    rows = [_row(field.alias or name, field) for name, field in model.model_fields.items()]
    about = (model.__doc__ or "").strip().splitlines()[0]
    yield f"## {title}\n{about}\n\n| key | type | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    for field in model.model_fields.values():
        for inner in _models(field.annotation):
            if inner not in seen and not _is_text(field):
                yield from _sections(inner, inner.__name__, seen)


def _row(name: str, field: FieldInfo) -> str:
    default = "**required**" if field.is_required() else _shown(field.get_default(call_default_factory=True))
    meaning = " ".join((field.description or "").split())
    return f"| `{name}` | {_type(field)} | {default} | {meaning} |"


def _shown(value: Any) -> str:
    if value is None or value in ({}, [], ""):
        return "none"
    if isinstance(value, timedelta):
        return f"`{duration_text(value)}`"
    if isinstance(value, list):
        return "`[" + ", ".join(str(item) or '""' for item in value) + "]`"
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    return (
        type(value).__name__
        if isinstance(value, BaseModel) and type(value).__str__ is BaseModel.__str__
        else str(value)
    )


def _type(field: FieldInfo) -> str:
    if _is_text(field):
        return "text"
    short = any(getattr(m, "json_schema_input_type", str) is not str for m in field.metadata)
    return f"text \\| {_name(field.annotation)}" if short else _name(field.annotation)


def _is_text(field: FieldInfo) -> bool:
    """Return whether a declared object is written as a sentence, such as a gate or a trigger."""
    return any(getattr(m, "json_schema_input_type", None) is str for m in field.metadata) and bool(
        _models(field.annotation)
    )


def _name(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " \\| ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        return " \\| ".join(_name(part) for part in parts if part is not type(None))
    if origin is list:
        return f"list of {_name(parts[0])}"
    if origin is dict:
        return f"{_name(parts[0])} → {_name(parts[1])}"
    if hasattr(annotation, "__metadata__"):
        return _name(parts[0])
    names = {str: "text", int: "integer", float: "number", bool: "true/false", timedelta: "duration"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


if __name__ == "__main__":
    import sys

    sys.stdout.write(reference())
