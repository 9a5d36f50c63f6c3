"""The JSON schema of a request, made of the very types that read it and of the checks beside them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from headrace.serving.contract import Column, struct_of

_FOREIGN = re.compile(r"\(\?(?!:)|\\[ABCEGKQXZpPzaUu]|\[\[:|\\x\{")
"""What RE2 knows and JSON's regular expressions do not, or mean otherwise."""

_IN_REACH = "^(?!000[01]|9999)"
"""The years of instants that are refused."""


def row_schema(columns: Sequence[Column], requests: pa.Schema, notes: Mapping[str, str]) -> dict[str, Any]:
    """Return the schema of one row, in JSON Schema 2020-12; `notes` say more of some columns."""
    _, components = msgspec.json.schema_components([struct_of(list(columns), requests)])
    schema: dict[str, Any] = components["Row"]
    properties = {column.name: _told(column, schema["properties"][column.name], notes) for column in columns}
    return {**schema, "title": "Row", "properties": properties}


def _told(column: Column, made: Mapping[str, Any], notes: Mapping[str, str]) -> dict[str, Any]:
    rule, alternatives = column.rule, made.get("anyOf", [made])
    value = {key: of for key, of in alternatives[0].items() if key != "default"}
    if rule.one_of is not None:
        value["enum"] = [*rule.one_of]
    elif rule.matches is not None and not _FOREIGN.search(rule.matches):
        value["pattern"] = f"^(?:{rule.matches})$"
    if column.type.startswith("timestamp"):
        value["pattern"] = _IN_REACH
    if value.get("format") == "decimal":
        value["type"] = ["string", "number"]
    if rule.nullable:
        _let_miss(value)
    note = notes.get(column.name, "")
    return {**value, "description": f"{_sentence(column.expected)}{' ' if note else ''}{note}"}


def _let_miss(value: dict[str, Any]) -> None:
    if "type" in value:
        types = value["type"]
        value["type"] = [*(types if isinstance(types, list) else [types]), "null"]
    if "enum" in value:
        value["enum"] = [*value["enum"], None]


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
