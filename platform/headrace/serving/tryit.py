"""The page to try a server by: a form made of the contract, that needs nothing from elsewhere and runs nothing but its own script."""

import base64
import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from jinja2 import Environment, StrictUndefined

from headrace.core.place import Place
from headrace.serving.card import has_card
from headrace.serving.contract import Column
from headrace.serving.openapi import sample_of
from headrace.serving.service import SHORT, Service

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE, _SCRIPT = ((_TEMPLATES / name).read_text() for name in ("try.css", "try.js"))
_MEANING = {
    "classification": "The chance of {label}",
    "regression": "{label}, as predicted",
    "quantile": "{label}, as predicted at the model's quantile",
    "ranking": "The place of the row among others: the higher, the further ahead",
}
_INPUTS: Mapping[str, tuple[str, str, str]] = {
    "timestamp": ("datetime-local", "instant", "1"),
    "date": ("date", "text", ""),
    "time": ("time", "text", "1"),
    "int": ("number", "number", "1"),
    "uint": ("number", "number", "1"),
    "double": ("number", "number", "any"),
    "float": ("number", "number", "any"),
    "halffloat": ("number", "number", "any"),
    "decimal": ("text", "text", ""),
}
"""How the name of a type begins → the input, what its value becomes, and its step; longer names come first."""


class Option(NamedTuple):
    """A value to choose."""

    json: str
    text: str


class Field(NamedTuple):
    """A field of the form."""

    id: str
    name: str
    hint: str
    type: str
    kind: str
    """How the script makes JSON of its value."""
    step: str
    required: bool
    value: str
    """What stands in it at first."""
    options: list[Option] | None
    min: float | None
    max: float | None


def _source(text: str) -> str:
    """Return how a policy names an inline text that may be used."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; script-src {_source(_SCRIPT)}; style-src {_source(_STYLE)}; img-src data:; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def try_page(service: Service, place: Place) -> str:
    """Return the page; raises Refused where nothing is published."""
    served, ready = service.served, service.watch.lineup.live
    threshold = ready.model.tuned.threshold
    facts = {
        "product": served.product,
        "description": served.description,
        "label": served.label,
        "owner": served.owner,
        "release": ready.release.number,
        "since": f"{ready.release.at:%Y-%m-%d %H:%M} UTC",
        "model": ready.model.digest[:SHORT],
        "card": has_card(service, place),
        "meaning": _MEANING[served.task].format(label=served.label),
        "odds": served.task == "classification",
        "threshold": "" if threshold is None else f"{threshold:.4g}",
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((_TEMPLATES / "try.html.j2").read_text())
    return template.render(p=facts, fields=fields_of(service), style=_STYLE, script=_SCRIPT)


def fields_of(service: Service) -> list[Field]:
    """Return a field for each column of a request: those that may always be left out come last."""
    row, served = sample_of(service).row or {}, service.served
    last = (served.entity, served.time)
    notes = {served.time: " Empty: now.", served.entity: " May be left empty."}
    ordered = sorted(service.bound.door.columns, key=lambda column: column.name in last)
    return [field_of(f"f{n}", column, row, notes) for n, column in enumerate(ordered)]


def field_of(id_: str, column: Column, row: Mapping[str, Any], notes: Mapping[str, str]) -> Field:
    """Return the field of a column, filled in from an example; `notes` say more of some columns."""
    rule = column.rule
    kind, made, step = next(
        (told for word, told in _INPUTS.items() if column.type.startswith(word)), ("text", "text", "")
    )
    if made == "instant" and "tz=" not in column.type:
        made = "text"
    values = _values(column)
    if column.type == "bool" and values is None:
        made = "tick"
    hint = column.expected.removesuffix(", or null")
    instant = " In UTC." if made == "instant" else ""
    empty = notes.get(column.name, " May be left empty." if column.optional else "")
    return Field(
        id_, column.name, f"{hint[:1].upper()}{hint[1:]}.{instant}{empty}", kind, made, step, not column.optional,
        _shown(row.get(column.name), as_json=values is not None or made == "tick"), _options(values), rule.min, rule.max,
    )  # fmt: skip


def _values(column: Column) -> Collection[Any] | None:
    """Return the values to choose from; None where there are none, or two that a tick tells apart."""
    if column.rule.one_of is not None:
        return column.rule.one_of
    return (True, False) if column.type == "bool" and column.optional else None


def _options(values: Collection[Any] | None) -> list[Option] | None:
    if values is None:
        return None
    words = {True: "yes", False: "no"}
    return [
        Option(msgspec.json.encode(value).decode(), words[value] if value is True or value is False else str(value))
        for value in values
    ]


def _shown(value: Any, *, as_json: bool) -> str:
    """Return what stands in a field at first."""
    if value is None:
        return ""
    if as_json:
        return msgspec.json.encode(value).decode()
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value).removesuffix("+00:00")
