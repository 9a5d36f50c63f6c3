"""What Spark may be sure of: texts that both engines read as one value, and limits that both hold it against alike.

A text is read there only in a form whose meaning is beyond doubt: no blanks around it, no more digits than a number
holds, a year that every clock knows. All other texts are no values there, which makes their rows doubtful, and no more.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from sqlglot import exp

from headrace.contracts.cast import typed_schema
from headrace.contracts.declaration import Column, ColumnType
from headrace.core.spark_text import pattern_there
from headrace.core.spark_time import in_zone
from headrace.core.spark_words import CannotSay, spark, text_literal

WHOLE = 2**53
"""Up to here each whole number is a double of its own."""
LARGEST = 2**63
_DAY = "^(19[7-9]|20[0-9])[0-9]-[0-9]{2}-[0-9]{2}"
"""A day that every list of time zones knows alike."""
_CLOCK = "[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?"
_OFFSET = "(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])"
_FORMS: Mapping[ColumnType, tuple[str, str]] = {
    "integer": (r"^-?[0-9]{1,18}\z", "cast({x} as bigint)"),
    "double": (r"^-?[0-9]{1,15}([.][0-9]{1,17})?([eE][+-]?[0-9]{1,2})?\z", "cast({x} as double) + 0.0D"),
    "boolean": (r"^([Tt]rue|TRUE|[Ff]alse|FALSE|t|f|1|0)\z", "lower({x}) in ('true', 't', '1')"),
    "date": (rf"{_DAY}\z", "try_cast({x} as date)"),
}
_SETS = ("&&", "--", "~~")
"""What makes sets of characters out of sets, in one language of patterns or another."""


def surely_read(name: str, there: pa.DataType, kind: ColumnType, timezone: str) -> str:
    """Return Spark's SQL for a landed column in a declared type: null where it is missing, or in doubt; raises CannotSay."""
    if pa.types.is_string(there) or pa.types.is_string_view(there) or pa.types.is_large_string(there):
        return _of_text(name, kind, timezone)
    if kind == "double" and pa.types.is_float64(there):
        return f"(case when abs({name}) < double('infinity') then {name} + 0.0D end)"
    if there == typed_schema({"": Column(type=kind)}).field(0).type and kind != "double":
        return name
    raise CannotSay(f"{there} is read as {kind} here alone")


def surely_kept(name: str, column: Column) -> Iterator[str]:
    """Yield conditions in Spark's SQL under which a typed value surely keeps the limits of its column; raises CannotSay."""
    within = f" and {name} between -{WHOLE}L and {WHOLE}L" if column.type == "integer" else ""
    if column.min is not None:
        yield f"cast({name} as double) >= {_double(column.min)}{within}"
    if column.max is not None:
        yield f"cast({name} as double) <= {_double(column.max)}{within}"
    if column.one_of is not None:
        yield f"{name} in ({', '.join(_written(value, column.type) for value in column.one_of) or 'null'})"
    if column.matches is not None:
        yield f"{name} rlike {text_literal(_pattern(column.matches))}"


def surely_in_days(moment: str, timezone: str, first: str, last: str) -> str:
    """Return a condition in Spark's SQL under which an instant lies in some local days; raises CannotSay."""
    instant = spark(moment)
    instant.type = exp.DataType.build("timestamptz")
    local = in_zone(exp.Literal.string(timezone), instant).sql(dialect="spark")
    return f"cast({local} as date) between date'{first}' and date'{last}'"


def _of_text(name: str, kind: ColumnType, timezone: str) -> str:
    if kind == "string":
        return name
    if kind == "timestamp":
        return _instant(name, timezone)
    form, value = _FORMS[kind]
    return f"(case when {name} rlike {text_literal(form)} then {value.format(x=name)} end)"


def _instant(name: str, timezone: str) -> str:
    stamp = spark(f"try_cast({name} as timestamp_ntz)")
    stamp.type = exp.DataType.build("timestamp")
    local = in_zone(exp.Literal.string(timezone), stamp).sql(dialect="spark")
    zoned, plain = (text_literal(form) for form in (rf"{_DAY}[T ]{_CLOCK}{_OFFSET}\z", rf"{_DAY}([T ]{_CLOCK})?\z"))
    return f"(case when {name} rlike {zoned} then try_cast({name} as timestamp) when {name} rlike {plain} then {local} end)"


def _double(limit: float) -> str:
    return f"{float(limit)!r}D"


def _written(value: Any, kind: ColumnType) -> str:
    if kind == "string":
        return text_literal(value)
    if kind == "double":
        return _double(value)
    if type(value) is not int or abs(value) >= LARGEST:
        raise CannotSay(f"{value!r} is no whole number there")
    return f"{value}L"


def _pattern(pattern: str) -> str:
    r"""Return a pattern of whole texts for Java. `\d` means fewer digits there, which only makes a text doubtful."""
    if any(word in pattern for word in _SETS) or re.search(r"\[\^[^\]]*\\d", pattern):
        raise CannotSay(f"'{pattern}' may match differently")
    return f"^(?:{pattern_there(pattern)})\\z"
