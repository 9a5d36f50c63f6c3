"""What is said of a cause of drift: which columns moved, in which rows, since when, brought by what, and what it may cost."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict

SHOWN = 3
"""How many names of a kind stand in a sentence."""
LEAST_CARRIED = 0.01
"""Less of a column's movement is not worth a word: other rows moved it."""
Kind = Literal["values", "missing", "unseen", "share"]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BinMoved(_Closed):
    """One bin of a column within the slice: its share before and after, and what it adds to the index there."""

    bin: str
    before: float
    after: float
    psi: float


class Upstream(_Closed):
    """What the moved columns are made of, as far as the declaration and the stores tell."""

    sources: list[str] = []
    """`<source>.<column>`, of another product `<product>/<source>.<column>`."""
    files: list[str] = []
    """The files that brought the rows of the first day."""
    changes: list[str] = []
    """What changed in contracts, columns or code of the tables behind them since the live model was trained."""


class Effect(_Closed):
    """What the metric of the test rows would be, were their values spread as in the window."""

    metric: str
    value: float | None
    """The difference that it makes; None where the test rows cannot tell."""
    unseen: float
    """The share of the slice's rows whose values no test row has."""


class Cause(_Closed):
    """One cause: rows in which something happened to some columns, or that have another share than before."""

    kind: Kind
    columns: list[str]
    """The column that tells most first; of a share the columns that the slice is told by."""
    slice: list[str]
    """The conditions that its rows meet; none means all rows."""
    rows: float
    """Their share of the rows of the days on which it holds."""
    rows_before: float
    """Their share of the training rows."""
    what: str
    """What happened, in words."""
    since: date
    until: date | None
    """The last day, where it ended before the window did."""
    is_older: bool
    """Whether it held on the first day that can be compared already, and may be older."""
    carries: float | None
    """The part of the first column's index over all rows that goes with these rows; None where chance reaches that index."""
    bins: list[BinMoved]
    """The bins of the first column that add most within the slice."""
    psi: float
    """The first column's index within the slice; of a share what it adds to the index of being in it."""
    importance: float
    """The part of the live model's importance that its columns have."""
    weight: float
    """What causes are ranked by: index within the slice, times share of rows, times importance, summed over columns."""
    upstream: Upstream = Upstream()
    effect: Effect | None = None

    def __str__(self) -> str:
        more = f" and {len(self.columns) - 1} more" if len(self.columns) > 1 and self.kind != "share" else ""
        subject = "" if self.kind == "share" else f"{self.columns[0]}{more} moved "
        said = [f"{subject}{self._span()}: {self._rows()}{self.what}", self._carried(), *self._brought(), self._cost()]
        return "; ".join(part for part in said if part)

    def _span(self) -> str:
        if self.until:
            return f"on {self.since}" if self.until == self.since else f"from {self.since} to {self.until}"
        return f"since {'at least ' if self.is_older else ''}{self.since}"

    def _rows(self) -> str:
        if self.kind == "share":
            return f"rows with {' and '.join(self.slice)} "
        return f"rows with {' and '.join(self.slice)} ({percent(self.rows)} of rows): " if self.slice else "all rows: "

    def _carried(self) -> str:
        if self.carries is None or self.carries < LEAST_CARRIED or self.kind == "share" or not self.slice:
            return ""
        return f"they carry {percent(self.carries)} of its movement"

    def _brought(self) -> list[str]:
        sources = list(dict.fromkeys(name.rpartition(".")[0] for name in self.upstream.sources))
        said = [f"{'source' if len(sources) == 1 else 'sources'} {some(sources)}"] if sources else []
        if said and self.upstream.files:
            said[0] += f", {'file' if len(self.upstream.files) == 1 else 'files'} {some(self.upstream.files)}"
        return said + ([f"since the training changed: {some(self.upstream.changes)}"] if self.upstream.changes else [])

    def _cost(self) -> str:
        if self.effect is None:
            return ""
        if self.effect.value is None:
            unseen = percent(self.effect.unseen)
            return f"effect on {self.effect.metric.upper()} unknown: no test row has the values of {unseen} of them"
        return f"expected effect on {self.effect.metric.upper()} {self.effect.value:+.3f}"


class Causes(_Closed):
    """The drift of one model over the window that ends with a day, explained."""

    model: str
    day: date
    first: date
    """The first day of the window."""
    alarms: list[str]
    """What is beyond its limit, in words, the farthest first."""
    causes: list[Cause]
    """The one with the greatest weight first."""
    note: str = ""
    """Why there are none, where nothing could be compared."""


def percent(share: float) -> str:
    """Return a share as people write it."""
    return f"{100 * share:.0f} %" if share >= 0.1 or share == 0 else f"{100 * share:.2g} %"


def some(names: list[str]) -> str:
    """Return some names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
