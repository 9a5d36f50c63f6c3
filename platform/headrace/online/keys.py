"""Keys of the online store: the entity columns with their kinds, and the entity as text.

An entity of one column is its text; one of several is each text with its length before it, in the order in which the
table declares them, so that no two entities share a key. Tables that are looked up by the same columns share theirs.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from headrace.core.errors import DataError, DeclarationError
from headrace.core.names import did_you_mean
from headrace.online.payload import microseconds

MANIFEST, CONTENTS = b"\0manifest", b"\0contents"
"""The keys under which a version says what it consists of: for readers, and for the next publication."""
_ABSENT = object()
_TYPES: dict[str, type] = {
    "text": str,
    "integer": int,
    "boolean": bool,
    "date": date,
    "instant": datetime,
    "float": float,
}


def kind_of(there: pa.DataType, asked: pa.DataType, table: str, column: str) -> str:
    """Return what an entity column is in requests; raises DeclarationError where the join could not compare it by text."""
    mine, theirs = _kind(there), _kind(asked)
    if mine and (mine == theirs or (mine, theirs) == ("integer", "text")):
        return theirs
    raise DeclarationError(
        f"Feature table '{table}' is looked up by '{column}', which is {there} there but {asked} in the rows to predict: "
        "cast it in the label's SQL to serve it online."
    )


def prefix_of(entities: Sequence[str], kinds: Sequence[str]) -> bytes:
    """Return what the keys of all tables begin with that are looked up by these columns, of these kinds."""
    return joined([f"{entity}:{kind}" for entity, kind in zip(entities, kinds, strict=True)]).encode() + b"\0"


def key_maker(table: str, entities: Sequence[str], kinds: Sequence[str]) -> Callable[[Any], bytes | None]:
    """Return a function from a request (a mapping) to the key of its entity; None where a part of it is null.

    It raises DataError for a request that lacks a column, or has a value of another type in it.
    """
    prefix = prefix_of(entities, kinds)
    if len(entities) == 1 and kinds[0] == "text":
        [entity] = entities

        def text_key(request: Any) -> bytes | None:
            value = request.get(entity, _ABSENT)
            if value.__class__ is str:
                return prefix + value.encode()
            if value is None:
                return None
            raise _refused(table, entity, str, request)

        return text_key
    parts = [(entity, _TYPES[kind], _WRITERS[kind]) for entity, kind in zip(entities, kinds, strict=True)]

    def key(request: Any) -> bytes | None:
        texts = []
        for entity, kind, written in parts:
            value = request.get(entity, _ABSENT)
            if value is None:
                return None
            if value.__class__ is not kind:
                raise _refused(table, entity, kind, request)
            texts.append(written(value))
        return prefix + joined(texts).encode()

    return key


def joined(texts: Sequence[str]) -> str:
    """Return the texts of an entity's columns as one."""
    return texts[0] if len(texts) == 1 else "".join(f"{len(text)}:{text}" for text in texts)


def parted(text: str, count: int) -> list[str]:
    """Return the texts of an entity of `count` columns: the inverse of `joined`."""
    if count == 1:
        return [text]
    parts = []
    for _ in range(count):
        length, _, text = text.partition(":")
        parts.append(text[: int(length)])
        text = text[int(length) :]
    return parts


_WRITERS: dict[str, Callable[[Any], str]] = {
    "text": lambda text: text,
    "integer": str,
    "boolean": lambda truth: "true" if truth else "false",
    "date": date.isoformat,
    "instant": lambda moment: str(microseconds(moment)),
    "float": lambda number: repr(number + 0.0),
}


def _kind(of: pa.DataType) -> str:
    """Return what Python calls a value of an entity column; nothing for what is none."""
    if pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_string_view(of):
        return "text"
    if pa.types.is_timestamp(of):
        return "instant" if of.tz else ""
    told = {
        pa.types.is_integer: "integer",
        pa.types.is_boolean: "boolean",
        pa.types.is_date32: "date",
        pa.types.is_float64: "float",
    }
    return next((word for holds, word in told.items() if holds(of)), "")


def _refused(table: str, entity: str, kind: type, request: Any) -> DataError:
    if entity not in request:
        return DataError(
            f"Feature table '{table}' is looked up by '{entity}', which the request does not have; it has "
            f"{', '.join(request)}.{did_you_mean(entity, request)}"
        )
    return DataError(
        f"Feature table '{table}' is looked up by '{entity}', a {kind.__name__}; the request has a {type(request[entity]).__name__}."
    )


def typed(text: str, kind: str) -> Any:
    """Return the value that a text on the command line means."""
    readers: dict[str, Callable[[str], Any]] = {
        "text": str,
        "integer": int,
        "boolean": lambda word: {"true": True, "false": False}[word.lower()],
        "date": date.fromisoformat,
        "instant": datetime.fromisoformat,
        "float": float,
    }
    try:
        return readers[kind](text)
    except (ValueError, KeyError):
        raise DataError(f"'{text}' is no {kind}.") from None
