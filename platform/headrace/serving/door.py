"""The door: bytes of a request become rows that keep the contract, or a problem that says what is wrong where."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from headrace.core.names import nearest
from headrace.serving.contract import Check, Column, check_of, struct_of, typed
from headrace.serving.problem import Problem

MOST_ERRORS, LONGEST = 20, 80


class Asked(NamedTuple):
    """What a request asks about."""

    rows: list[dict[str, Any]]
    single: bool
    """Whether it was one row by itself, and is answered so."""


class Door:
    """Reads requests by one contract. Any number of threads may use it."""

    def __init__(self, columns: Sequence[Column], requests: pa.Schema, most_rows: int) -> None:
        """Read rows of these columns; raises Refused where a type of theirs is none that JSON has."""
        self.columns = columns
        self._most = most_rows
        self._types = {column.name: typed(column, requests.field(column.name).type) for column in columns}
        checks = {column.name: check_of(column) for column in columns}
        self._checks: dict[str, Check] = {name: check for name, check in checks.items() if check}
        row = struct_of(list(columns), requests)
        self._one = msgspec.json.Decoder(row)
        self._many = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]
        self._names = tuple(column.name for column in columns)

    def read(self, body: bytes) -> Asked:
        """Return the rows of a body: one object, or a list of them. Raises Problem 400, 413 or 422."""
        is_many = body[:1] == b"[" or body.lstrip()[:1] == b"["
        try:
            decoded = self._many.decode(body) if is_many else [self._one.decode(body)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._refused(body, str(error)) from None
        if not 0 < len(decoded) <= self._most:
            few = "The list of rows is empty: send one or more."
            many = f"{len(decoded):,} rows are more than the {self._most:,} that one request may have."
            raise Problem(413 if decoded else 400, many if decoded else few)
        rows = [msgspec.structs.asdict(row) for row in decoded]
        for name, check in self._checks.items():
            for row in rows:
                if row[name] is not None and not check(row[name]):
                    raise self._refused(body, "a value breaks its contract")
        return Asked(rows, single=not is_many)

    def convert(self, rows: Sequence[Mapping[str, Any]]) -> Asked:
        """Return rows that came in another form than JSON; raises Problem 422 where they break the contract."""
        return self.read(msgspec.json.encode(list(rows)))

    def _refused(self, body: bytes, why: str) -> Problem:
        try:
            given = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as malformed:
            return Problem(400, f"The body is no JSON: {malformed}. Send one object, or a list of objects.")
        rows = given if isinstance(given, list) else [given]
        errors = []
        for number, row in enumerate(rows):
            errors += [{"row": number, **wrong} for wrong in self._wrong(row)]
            if len(errors) >= MOST_ERRORS:
                break
        if not errors:
            return Problem(422, f"{why}.")
        first = errors[0]
        place = f"Row {first['row']}, column '{first['column']}'" if first["column"] else f"Row {first['row']}"
        more = f" {len(errors) - 1} more are listed." if len(errors) > 1 else ""
        return Problem(422, f"{place}: expected {first['expected']}, got {first['got']}.{more}", errors[:MOST_ERRORS])

    def _wrong(self, row: Any) -> Iterator[dict[str, Any]]:
        if not isinstance(row, dict):
            yield {"column": None, "expected": f"an object with {', '.join(self._names)}", "got": _shown(row)}
            return
        for name in row:
            if name not in self._types:
                near = nearest(name, self._names)
                meant = f" (did you mean '{near}'?)" if near else ""
                yield {
                    "column": name,
                    "expected": f"a column among {', '.join(self._names)}{meant}",
                    "got": "an unknown one",
                }
        for column in self.columns:
            if column.name not in row:
                if not column.optional:
                    yield {"column": column.name, "expected": column.expected, "got": "nothing"}
                continue
            if not self._holds(column.name, row[column.name]):
                yield {"column": column.name, "expected": column.expected, "got": _shown(row[column.name])}

    def _holds(self, name: str, given: Any) -> bool:
        try:
            value = msgspec.convert(given, self._types[name])
        except msgspec.ValidationError:
            return False
        return value is None or name not in self._checks or self._checks[name](value)


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
