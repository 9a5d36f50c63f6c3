"""The contract of a request: which columns it has, in which types, and what their values may be."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta
from pydantic import BaseModel

from headrace.core.errors import Refused

_BITS = {pa.int8(): 8, pa.int16(): 16, pa.int32(): 32, pa.int64(): 64}
_DECIMAL = re.compile(r"decimal\d+\((\d+), (-?\d+)\)")
_SHORT, _REMEMBERED = 64, 10_000
_UNSIGNED = {pa.uint8(): 8, pa.uint16(): 16, pa.uint32(): 32, pa.uint64(): 64}


class Rule(BaseModel, frozen=True):
    """What the contract of its source says of a request's column."""

    nullable: bool = True
    one_of: list[str | int | float] | None = None
    min: float | None = None
    max: float | None = None
    matches: str | None = None


class Column(BaseModel, frozen=True):
    """A column of a request."""

    name: str
    type: str
    """What it is in training, by Arrow's name."""
    rule: Rule
    optional: bool
    """Whether a request may leave it out."""

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        rule, limits = self.rule, []
        if rule.one_of is not None:
            limits.append(f"one of {', '.join(map(str, rule.one_of))}")
        if rule.matches is not None:
            limits.append(f"that matches {rule.matches}")
        if rule.min is not None:
            limits.append(f"at least {rule.min:g}")
        if rule.max is not None:
            limits.append(f"at most {rule.max:g}")
        told = ", ".join([_WORDS.get(self.type, self.type), *limits])
        return f"{told}, or null" if rule.nullable else told


def columns_of(requests: pa.Schema, rules: Mapping[str, Rule], named: tuple[str | None, str | None]) -> list[Column]:
    """Return the columns of a request, by the types that they have in training and the rules of their sources.

    `named` are the column that names a row and the one that says as of when: a request may leave both out.
    """
    entity, moment = named
    columns = []
    for column in requests:
        rule = rules.get(column.name, Rule())
        free = column.name in named
        known = rule.model_copy(update={"nullable": True}) if column.name == entity else rule
        columns.append(
            Column(
                name=column.name,
                type=str(column.type),
                rule=known if column.name != moment else known.model_copy(update={"nullable": True}),
                optional=free or rule.nullable,
            )
        )
    return columns


def struct_of(columns: list[Column], requests: pa.Schema) -> type[msgspec.Struct]:
    """Return the type that a request's row is decoded into: what JSON breaks the contract cannot be."""
    fields: list[Any] = []
    for column in columns:
        kind = typed(column, requests.field(column.name).type)
        fields.append((column.name, kind, None) if column.optional else (column.name, kind))
    return msgspec.defstruct("Row", fields, forbid_unknown_fields=True, kw_only=True)


Check = Callable[[Any], bool]


def check_of(column: Column) -> Check | None:
    """Return what a column's values are held against beside their type; None where the type says all."""
    rule = column.rule
    if rule.matches is not None:
        return Pattern(rule.matches)
    if rule.one_of is not None and _literal(rule) is None:
        return frozenset(rule.one_of).__contains__
    if column.type.startswith("timestamp"):
        return _is_in_reach
    decimal = _DECIMAL.fullmatch(column.type)
    return _Digits(int(decimal[1]), int(decimal[2])) if decimal else None


def _is_in_reach(moment: datetime) -> bool:
    """Return whether an instant can be told in any time zone, and kept: one that cannot makes a table unreadable."""
    return 1 < moment.year < 9999


class _Digits:
    """Whether a decimal has no more digits before and behind its point than its type."""

    def __init__(self, precision: int, scale: int) -> None:
        self._before, self._behind = precision - scale, scale

    def __call__(self, number: Decimal) -> bool:
        if not number.is_finite():
            return False
        _, digits, exponent = number.as_tuple()
        told = "".join(map(str, digits)).lstrip("0")
        if not told:
            return True
        kept = told.rstrip("0")
        behind = -(int(exponent) + len(told) - len(kept))
        return behind <= self._behind and number.adjusted() < self._before


class Pattern:
    """A regular expression that the whole text must match, by RE2: no text makes it slow. What was asked often is known."""

    def __init__(self, pattern: str) -> None:
        self._pattern = f"^(?:{pattern})$"
        self._known: dict[str, bool] = {}

    def __call__(self, text: str) -> bool:
        """Return whether a text matches."""
        known = self._known.get(text)
        if known is None:
            # RE2's `$` is the end of the text, not that of a line.
            known = pc.match_substring_regex(pa.array([text]), self._pattern)[0].as_py()
            if len(text) <= _SHORT:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[text] = known
        return known


def typed(column: Column, of: pa.DataType) -> Any:
    """Return the type of a column's values; raises Refused for one that JSON does not have."""
    kind = _literal(column.rule) or _kind(of, column.rule)
    if kind is None:
        raise Refused(
            f"'{column.name}' is {of} in the label's SQL, which JSON does not have: cast it to a text, a number, a boolean, "
            "a date or a timestamp there to serve it."
        )
    return kind | None if column.rule.nullable else kind


def _literal(rule: Rule) -> Any:
    """Return the type of a column whose values are listed; None where they are numbers with a point, or not listed."""
    listed = rule.one_of
    if not listed or not all(value.__class__ in (str, int) for value in listed):
        return None
    return Literal[tuple(listed)]


def _kind(of: pa.DataType, rule: Rule) -> Any:
    if pa.types.is_integer(of):
        low, high = _whole(of, rule)
        return Annotated[int, Meta(ge=low, le=high)]
    if pa.types.is_floating(of):
        return Annotated[float, Meta(ge=rule.min, le=rule.max)]
    if pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_string_view(of):
        return str
    if pa.types.is_timestamp(of):
        return Annotated[datetime, Meta(tz=of.tz is not None)]
    if pa.types.is_decimal(of):
        return Decimal
    told = {pa.types.is_boolean: bool, pa.types.is_date32: date, pa.types.is_time: time}
    return next((kind for holds, kind in told.items() if holds(of)), None)


def _whole(of: pa.DataType, rule: Rule) -> tuple[int, int]:
    if of in _UNSIGNED:
        least, most = 0, 2 ** _UNSIGNED[of] - 1
    else:
        least, most = -(2 ** (_BITS[of] - 1)), 2 ** (_BITS[of] - 1) - 1
    # Limits of 64 bits and more are JSON's own to the decoder.
    most = min(most, 2**63 - 1)
    low = least if rule.min is None else max(least, math.ceil(rule.min))
    high = most if rule.max is None else min(most, math.floor(rule.max))
    return low, high


_WORDS = {
    "string": "a text",
    "large_string": "a text",
    "string_view": "a text",
    "double": "a number",
    "float": "a number",
    "int64": "a whole number",
    "int32": "a whole number",
    "int16": "a whole number",
    "int8": "a whole number",
    "bool": "true or false",
    "date32[day]": "a date such as 2024-05-31",
    "timestamp[us, tz=UTC]": "an instant such as 2024-05-31T12:00:00Z",
}
