"""One column up close: the shares of its bins in the training set, in the newest window and on each day of that, as drift sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from headrace.models.profile import Profile
from headrace.monitoring.declaration import Drift
from headrace.monitoring.drift import DayProfile, cells_of, groups_of
from headrace.monitoring.watch import window_profiles
from headrace.store.releases import Release
from headrace.store.site import Site

MISSING_BIN = "missing"
OTHERS = "others, new ones among them"
MOST_NAMED = 3
"""How many categories a bin of several names."""


@dataclass(frozen=True)
class ColumnShares:
    """A column's bins, those that drift is measured over and missing values behind them, and the share of rows in each.

    Shares are between 0 and 1 and add up to 1 wherever there are rows.
    """

    column: str
    bins: list[str]
    reference: list[float]
    window: list[float]
    days: dict[date, list[float]]
    """Of the days of the window that have rows of it, oldest first."""
    rows: int
    """The window's."""


def column_shares(site: Site, live: Release, policy: Drift) -> list[ColumnShares]:
    """Return the shares of each column of the live model and of its scores over the newest window of scored days.

    None where nothing is scored yet. Raises StoreError where the live model's profile is gone.
    """
    reference, profiles = window_profiles(site, live, policy)
    return [shares_of(column, reference, profiles) for column in _columns(profiles)]


def shares_of(column: str, reference: Profile, profiles: Sequence[DayProfile]) -> ColumnShares:
    """Return the shares of one column that at least one of the profiles has; profiles of the same day add up."""
    counted, groups = reference[column], groups_of(reference[column])
    by_day: dict[date, Any] = {}
    for part in sorted(profiles, key=lambda part: part.day):
        if column in part.profile:
            cells = _cells(part.profile[column], groups)
            by_day[part.day] = by_day.get(part.day, 0) + cells
    window = np.sum(list(by_day.values()), axis=0)
    return ColumnShares(
        column=column,
        bins=[*_names(counted, groups), MISSING_BIN],
        reference=_shares(_cells(counted, groups)),
        window=_shares(window),
        days={day: _shares(cells) for day, cells in by_day.items()},
        rows=int(window.sum()),
    )


def _columns(profiles: Sequence[DayProfile]) -> list[str]:
    return list(dict.fromkeys(column for part in profiles for column in part.profile))


def _cells(counted: Mapping[str, Any], groups: Any) -> Any:
    """Return the counts of each group of bins, and of missing values behind them."""
    size = int(groups.max()) + 1 if len(groups) else 0
    return np.append(np.bincount(groups, cells_of(counted), minlength=size), counted["missing"])


def _shares(cells: Any) -> list[float]:
    shares: list[float] = (cells / max(cells.sum(), 1)).tolist()
    return shares


def _names(counted: Mapping[str, Any], groups: Any) -> list[str]:
    size = int(groups.max()) + 1 if len(groups) else 0
    inside = [np.flatnonzero(groups == group) for group in range(size)]
    if "categories" in counted:
        names = [*counted["categories"], OTHERS]
        return [_named([names[place] for place in places]) for places in inside]
    edges = counted["edges"]
    return [_between(edges, int(places[0]), int(places[-1])) for places in inside]


def _named(categories: list[str]) -> str:
    more = len(categories) - MOST_NAMED
    return ", ".join(categories[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _between(edges: Sequence[float], first: int, last: int) -> str:
    """Return the span of some neighbouring bins: bin i ends with edge i, which belongs to it."""
    above = f"above {edges[first - 1]:.4g}" if first else ""
    to = f"to {edges[last]:.4g}" if last < len(edges) else ""
    return f"{above} {to}".strip() or "all"
