"""Sections that the report ends with: for each one function that gives its facts, and one part of the template that shows them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.monitoring.columns import ColumnShares
from headrace.monitoring.drill import drilled, tint
from headrace.monitoring.facts import ProductFacts


@dataclass(frozen=True)
class Material:
    """What sections draw on."""

    facts: ProductFacts
    columns: Sequence[ColumnShares] = field(default=())


@dataclass(frozen=True)
class Section:
    """A part of the page: its heading, the template that shows it, and the function that gives the template's facts.

    Where the function returns None there is nothing to show, and the page leaves the section out.
    """

    title: str
    part: str
    facts: Callable[[Material], dict[str, Any] | None]


def _columns(material: Material) -> dict[str, Any] | None:
    columns = drilled(material.facts, material.columns)
    return {"columns": columns, "tint": tint} if columns else None


def _incidents(material: Material) -> dict[str, Any] | None:
    return {"incidents": material.facts.incidents[::-1]} if material.facts.incidents else None


SECTIONS = (
    Section("Each column up close", "_columns.html.j2", _columns),
    Section("Incidents", "_incidents.html.j2", _incidents),
)


def sections_of(material: Material) -> list[tuple[Section, dict[str, Any]]]:
    """Return the sections that have something to show, each with its facts."""
    found = ((section, section.facts(material)) for section in SECTIONS)
    return [(section, facts) for section, facts in found if facts is not None]
