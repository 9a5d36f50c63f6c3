"""Names and durations: the small words of every declaration."""

import difflib
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, StringConstraints

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
"""A word that is safe as a key, a folder and an identifier."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZES = {"KB": 10**3, "MB": 10**6, "GB": 10**9}


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the known word that looks most like `word`, or None."""
    found = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" where a known word is near, else an empty text."""
    near = nearest(word, words)
    return f" Did you mean '{near}'?" if near else ""


def parse_duration(text: Any) -> timedelta:
    """Return the time span of "36h", "7d", "30m", "15s" or "2w"."""
    if isinstance(text, timedelta):
        return text
    match = re.fullmatch(r"(\d+)\s*([smhdw])", str(text).strip())
    if not match:
        raise ValueError(f"'{text}' is not a duration: write a number and a unit, such as 36h, 7d or 30m")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def duration_text(span: timedelta) -> str:
    """Return a short text that `parse_duration` reads back as `span`: whole days from two days on, else hours, ..."""
    seconds = int(span.total_seconds())
    units = ("d", "h", "m", "s") if seconds >= 2 * _UNITS["d"] else ("h", "m", "s")
    unit = next(u for u in units if seconds % _UNITS[u] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration, json_schema_input_type=str), PlainSerializer(duration_text)
]
"""A time span, written "36h"."""


def parse_size(text: Any) -> int:
    """Return the bytes of "16MB", "500KB" or "1GB" (units of 1,000)."""
    if isinstance(text, int):
        return text
    match = re.fullmatch(r"(\d+)\s*(KB|MB|GB)", str(text).strip())
    if not match:
        raise ValueError(f"'{text}' is not a size: write a number and a unit, such as 500KB, 16MB or 1GB")
    return int(match[1]) * _SIZES[match[2]]


def size_text(size: int) -> str:
    """Return a short text that `parse_size` reads back, where the bytes are a round number of a unit."""
    unit = next((u for u in ("GB", "MB", "KB") if size and size % _SIZES[u] == 0), None)
    return f"{size // _SIZES[unit]}{unit}" if unit else str(size)


Size = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=str), PlainSerializer(size_text)]
"""A number of bytes, written "16MB"."""


def parse_share(text: Any) -> float:
    """Return the share of "1%", "0.5%", or of a number from 0 to 1."""
    if isinstance(text, int | float) and not isinstance(text, bool) and 0 <= text <= 1:
        return float(text)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", str(text).strip())
    if not match or float(match[1]) > 100:
        raise ValueError(f"'{text}' is not a share: write a percentage, such as 1%, or a number from 0 to 1")
    return float(match[1]) / 100


def share_text(share: float) -> str:
    """Return a short text that `parse_share` reads back."""
    return f"{share * 100:g}%"


Share = Annotated[
    float, BeforeValidator(parse_share, json_schema_input_type=str), PlainSerializer(share_text, return_type=str)
]
"""A part of a whole, written "1%"."""


Memory = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(MiB|GiB)$")]
"""An amount of memory, written "2GiB"."""


def memory_bytes(memory: Memory) -> int:
    """Return an amount of memory in bytes."""
    return int(memory[:-3]) * 1024 ** (2 if memory.endswith("MiB") else 3)


_SHORT_UNITS = {"ms": 1.0, "s": 1000.0}


def parse_milliseconds(text: Any) -> float:
    """Return the milliseconds of "20ms", "1.5s", or of a number of them above 0."""
    if isinstance(text, int | float) and not isinstance(text, bool) and text > 0:
        return float(text)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s)", str(text).strip())
    if not match or float(match[1]) == 0:
        raise ValueError(f"'{text}' is not a short time: write a number above 0 with ms or s behind it, such as 20ms")
    return float(match[1]) * _SHORT_UNITS[match[2]]


def milliseconds_text(milliseconds: float) -> str:
    """Return a short text that `parse_milliseconds` reads back."""
    return f"{milliseconds:g}ms"


Milliseconds = Annotated[
    float,
    BeforeValidator(parse_milliseconds, json_schema_input_type=str),
    PlainSerializer(milliseconds_text, return_type=str),
]
"""A short time, written "20ms" or "1.5s"."""


def quoted(identifier: str) -> str:
    """Return the identifier quoted for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """Return the text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
