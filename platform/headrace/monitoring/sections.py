"""Sections that the report ends with: for each one function that gives its facts, and one part of the template that shows them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.monitoring.columns import ColumnShares
from headrace.monitoring.drill import drilled, tint
from headrace.monitoring.facts import ProductFacts
from headrace.monitoring.shown.inputs import NAMES, scored_inputs
from headrace.monitoring.shown.measured import measures_by_column
from headrace.monitoring.shown.numbers import newest_numbers, number_groups, spent_on
from headrace.monitoring.shown.shifts import MOST, newest_shifts
from headrace.monitoring.shown.shifts import NAMES as KINDS

CALIBRATED = "Limits of features are calibrated on the days of the training set, where these are enough."


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
    if not columns:
        return None
    limits = CALIBRATED if material.facts.monitors.drift.threshold == "calibrated" else ""
    return {"columns": columns, "tint": tint, "measures": measures_by_column(material.facts), "limits": limits}


def _inputs(material: Material) -> dict[str, Any]:
    return {"inputs": scored_inputs(material.facts), "names": NAMES}


def _shifts(material: Material) -> dict[str, Any] | None:
    if not material.facts.monitors.drift.shift_checks:
        return None
    return {"shifts": newest_shifts(material.facts), "names": KINDS, "most": MOST}


def _numbers(material: Material) -> dict[str, Any]:
    newest = newest_numbers(material.facts)
    return {
        "groups": number_groups(material.facts),
        "spent": spent_on(material.facts),
        "day": newest[0]["day"] if newest else None,
    }


def _incidents(material: Material) -> dict[str, Any] | None:
    return {"incidents": material.facts.incidents[::-1]} if material.facts.incidents else None


SECTIONS = (
    Section("The numbers that matter", "_numbers.html.j2", _numbers),
    Section("The rows that were scored", "_inputs.html.j2", _inputs),
    Section("Drift beyond one column", "_shifts.html.j2", _shifts),
    Section("Each column up close", "_columns.html.j2", _columns),
    Section("Incidents", "_incidents.html.j2", _incidents),
)


def sections_of(material: Material) -> list[tuple[Section, dict[str, Any]]]:
    """Return the sections that have something to show, each with its facts."""
    found = ((section, section.facts(material)) for section in SECTIONS)
    return [(section, facts) for section, facts in found if facts is not None]
