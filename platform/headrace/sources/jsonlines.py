"""JSON lines, read as text: each value as it stands in its line, so that a number keeps all its digits."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from headrace.core.errors import FileRefused
from headrace.sources.declaration import Source
from headrace.sources.delimited import BOM, checked_names, in_utf8
from headrace.sources.parsed import Aside, Parsed

MOST_COLUMNS = 2_000


class _Number(str):
    """The text of a number: told apart from a text."""

    __slots__ = ()


def read_jsonlines(name: str, data: bytes, source: Source) -> Parsed:
    """Return the objects of JSON lines, a column for each key; a line that is no object goes aside.

    Texts are as they are, numbers and truth values as they are written, objects and lists as JSON; null and an absent
    key are missing. Raises FileRefused for a file without any line, or with keys that differ by case alone.
    """
    lines = in_utf8(name, data, source).removeprefix(BOM).split(b"\n")
    if not any(line.strip() for line in lines):
        raise FileRefused(f"{name} is empty: not a single line. Land it again, or remove it.")
    aside, numbers = Aside(), list[int]()
    columns: dict[str, list[str | None]] = {}
    for number, row in _objects(lines, source, aside):
        for key in row.keys() - columns.keys():
            columns[key] = [None] * len(numbers)
        for key, values in columns.items():
            values.append(row.get(key))
        numbers.append(number)
        if len(columns) > MOST_COLUMNS:
            raise FileRefused(f"{name} has more than {MOST_COLUMNS:,} different keys. Keys are columns, not data.")
    if not numbers:
        raise FileRefused(f"{name} holds no JSON lines: the first line is {next(iter(aside.lines.values()))[:200]}")
    names = [column for column in checked_names(name, list(columns)) if column]
    return Parsed(
        pa.table({column: pa.array(columns[column], pa.string()) for column in names}),
        pa.array(numbers, pa.int64()),
        aside,
    )


def _objects(lines: list[bytes], source: Source, aside: Aside) -> Iterator[tuple[int, dict[str, str | None]]]:
    number = 0
    for line in lines:
        if not line.strip():
            continue
        number += 1
        if len(line) > source.limits.line:
            aside.keep(number, f"{len(line):,} bytes where a line may have {source.limits.line:,}", line)
            continue
        try:
            yield number, _object(line.decode())
        except RecursionError:
            aside.keep(number, "JSON that is nested too deeply", line)
        except ValueError as error:
            aside.keep(number, f"no JSON object ({error})", line)


def _object(line: str) -> dict[str, str | None]:
    row = json.loads(
        line, parse_int=_Number, parse_float=_Number, parse_constant=_no_number, object_pairs_hook=_unlike_pairs
    )
    if not isinstance(row, dict):
        raise ValueError("it is a single value or a list")
    texts = {key: _text(value) for key, value in row.items()}
    if "\\u" in line and any(_is_broken(text) for text in (*texts, *texts.values()) if text):
        raise ValueError("a NUL or half a surrogate pair")
    return texts


def _unlike_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key '{next(key for key in keys if keys.count(key) > 1)}' stands in it twice")
    return found


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _text(value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _json(value)


def _json(value: Any) -> str:
    """Return an object or a list as JSON in one spelling, with its numbers as they were written."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quoted(key)}:{_json(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return str(value) if isinstance(value, _Number) else _quoted(value)


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _is_broken(text: str) -> bool:
    return "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text)
