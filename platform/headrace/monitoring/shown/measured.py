"""Every measure of a column's newest window, as a table: what was measured, against which limit, and what alarmed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.monitoring.facts import ProductFacts, newest_drift

NAMES: Mapping[str, str] = {
    "psi": "PSI",
    "missing": "Rise of missing values",
    "jensen_shannon": "Jensen-Shannon distance",
    "ks": "Kolmogorov-Smirnov",
    "wasserstein": "Wasserstein, in standard deviations",
    "chi_square": "Chi-square",
    "new_categories": "Share of new categories",
}
"""How measures are called, in the order in which they stand."""


@dataclass(frozen=True)
class Measured:
    """One measure of a column: its value, its p and bound where it has them, and its limit where it may alarm."""

    name: str
    value: float
    p: float | None
    bound: float
    limit: float | None
    new: list[str]
    """Names of new categories."""

    @property
    def is_beyond(self) -> bool:
        """Whether the value is beyond its limit."""
        return self.limit is not None and self.value > self.limit


def measures_by_column(facts: ProductFacts) -> dict[str, list[Measured]]:
    """Return all measures of each column of the newest window; those that alarm as drift has them, with its limits.

    Nothing of a window or of a model that drift is not told of: two numbers side by side would be about different rows.
    """
    newest = newest_drift(facts)
    limited = {(row["column"], row["measure"]): row for row in newest}
    found: dict[str, list[Measured]] = {}
    for row in facts.measures:
        if newest and (row["model"], row["day"]) == (newest[0]["model"], newest[0]["day"]):
            found.setdefault(row["column"], []).append(_measured(row, limited.get((row["column"], row["measure"]))))
    place = {name: index for index, name in enumerate(NAMES.values())}
    return {column: sorted(own, key=lambda one: place.get(one.name, len(place))) for column, own in found.items()}


def _measured(row: Mapping[str, Any], alarm: Mapping[str, Any] | None) -> Measured:
    return Measured(
        name=NAMES.get(row["measure"], row["measure"]),
        value=alarm["value"] if alarm else row["value"],
        p=row["p"],
        bound=row["bound"],
        limit=alarm["limit"] if alarm else None,
        new=list(row["new"] or ()),
    )
