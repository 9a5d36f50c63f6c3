"""A person as the value of one column, and which cells, texts and bytes hold it."""

import html
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import Refused

if TYPE_CHECKING:
    import pyarrow.dataset as ds

LEAST, LEAST_DIGITS = 4, 6
STATISTICS_KEEP = 32
"""How many characters of a text Delta's statistics keep."""
_WORDS = ("true", "false", "null", "none")
_PLACES = ("_file", "_digest", "_month")


@dataclass(frozen=True)
class Person:
    """Whoever a column names by a value; the value is never shown."""

    column: str
    value: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Person":
        """Return the person of "COLUMN=VALUE"; raises Refused where a part is missing."""
        column, mark, value = text.partition("=")
        if not (mark and column.strip() and value.strip()):
            raise Refused(f"'{column}' names nobody: write COLUMN=VALUE, such as customer=c-10482")
        return cls(column.strip(), value.strip())

    @property
    def is_telling(self) -> bool:
        """Whether the value can be told from other text, so that it may be looked for outside of its column."""
        least = LEAST_DIGITS if self.value.isdigit() else LEAST
        return len(self.value) >= least and self.value.casefold() not in _WORDS

    def is_column(self, name: str) -> bool:
        """Return whether a column is the one that names the person; case does not matter, as in SQL."""
        return name.casefold() == self.column.casefold()

    def is_cell(self, value: Any) -> bool:
        """Return whether a cell of the column is the person, as text or typed."""
        return spelled(value) == self.value

    def is_in(self, text: str | bytes) -> bool:
        """Return whether a text holds the value as a word of its own; never for a value that is not telling."""
        pattern = self._word if isinstance(text, str) else self._word_bytes
        return self.is_telling and bool(pattern.search(text))  # type: ignore[arg-type]

    def masked(self, text: str) -> str:
        """Return a text of the same length, with asterisks in the place of the value."""
        return self._word.sub(lambda found: "*" * len(found[0]), text) if self.is_telling else text

    def masked_bytes(self, data: bytes) -> bytes:
        """Return bytes of the same length, with asterisks in the place of the value."""
        return self._word_bytes.sub(lambda found: b"*" * len(found[0]), data) if self.is_telling else data

    def masked_text(self, text: str) -> str:
        """Return a text without the value; JSON stays JSON: a number that is the value becomes 0."""
        if not self.is_in(text):
            return text
        if text.lstrip()[:1] not in ("{", "[", '"'):
            return self.masked(text)
        try:
            facts = json.loads(text)
        except ValueError:
            return self.masked(text)
        return json.dumps(self._masked_fact(facts))

    def _masked_fact(self, fact: Any) -> Any:
        if isinstance(fact, dict):
            return {self.masked(key): self._masked_fact(value) for key, value in fact.items()}
        if isinstance(fact, list):
            return [self._masked_fact(value) for value in fact]
        if isinstance(fact, str):
            return self.masked_text(fact)
        return 0 if not isinstance(fact, bool) and self.is_cell(fact) else fact

    @cached_property
    def _word(self) -> re.Pattern[str]:
        return re.compile(self._pattern)

    @cached_property
    def _word_bytes(self) -> re.Pattern[bytes]:
        return re.compile(self._pattern.encode())

    @property
    def _pattern(self) -> str:
        """The value as it is, and as JSON, HTML and URLs spell it; an escaped line end is no letter before it."""
        in_json = json.dumps(self.value)[1:-1]
        in_utf8 = json.dumps(self.value, ensure_ascii=False)[1:-1]
        spellings = {
            self.value,
            in_json,
            in_utf8,
            json.dumps(in_json)[1:-1],
            html.escape(self.value),
            quote(self.value),
        }
        spellings |= {self.value.replace('"', '""'), quote(self.value, safe="")}
        longest_first = sorted(spellings, key=lambda text: (-len(text), text))
        before = r"(?:(?<!\w)|(?<=\\[nrt]))" if re.match(r"\w", self.value) else ""
        after = r"(?!\w)" if re.search(r"\w\Z", self.value) else ""
        return f"{before}(?:{'|'.join(map(re.escape, longest_first))}){after}"


def spelled(value: Any) -> str | None:
    """Return a cell as text: a whole number without a fraction, however it is typed."""
    if value is None or isinstance(value, str):
        return value.strip() if value else value
    if isinstance(value, bool):
        return str(value).lower()
    whole = isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value)
    return str(int(value)) if whole else str(value)


def held_by(rows: "ds.Dataset", person: Person) -> pc.Expression | None:
    """Return the filter of the rows that are of a person; None where none is.

    Those are the rows whose column has the value; and those in which Headrace's own texts (a malformed line, a reason)
    hold it; where a table has no such column, those in which any text does.
    """
    there = any(person.is_column(name) for name in rows.schema.names)
    found: pc.Expression | None = None
    for column in rows.schema:
        values = _values_of(rows, column, person, there)
        if values:
            part = pc.field(column.name).isin(pa.array(values, plain_type(column.type)))
            found = part if found is None else found | part
    return found


def _values_of(rows: "ds.Dataset", column: pa.Field, person: Person, there: bool) -> list[Any]:
    is_one: Callable[[Any], bool]
    if pa.types.is_nested(column.type):
        return []
    if person.is_column(column.name):
        is_one = person.is_cell
    elif is_text(plain_type(column.type)) and column.name not in _PLACES and (column.name.startswith("_") or not there):
        is_one = person.is_in
    else:
        return []
    cells = pc.unique(rows.to_table(columns=[column.name])[column.name])
    return [cell for cell in cells.to_pylist() if cell is not None and is_one(cell)]


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values of a column, also where it is packed as a dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def statistics_hold(add: dict[str, Any], person: Person) -> bool:
    """Return whether the statistics of a file in a table's log name the person; they may hold the beginning of a text alone."""
    stats = json.loads(add.get("stats") or "{}")
    ends = [stats.get(end, {}) for end in ("minValues", "maxValues")]
    cells = [spelled(cell) for end in ends for name, cell in end.items() if person.is_column(name)]
    return any(
        cell == person.value or (cell and len(cell) >= STATISTICS_KEEP and person.value.startswith(cell))
        for cell in cells
    )
