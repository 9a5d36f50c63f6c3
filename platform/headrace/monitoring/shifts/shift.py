"""What has shifted, as a row of monitoring/shifts and in words."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

import pyarrow as pa

Kind = Literal["domain_classifier", "pca", "slices", "label"]
AUC, ERROR = "auc", "reconstruction_error"
SHIFTS = pa.schema(
    {
        "day": pa.date32(),
        "kind": pa.string(),
        "measure": pa.string(),
        "column": pa.string(),
        "by": pa.string(),
        "part": pa.string(),
        "value": pa.float64(),
        "low": pa.float64(),
        "limit": pa.float64(),
        "rows": pa.int64(),
        "told_by": pa.list_(pa.string()),
        "model": pa.string(),
    }
)
_NAMES = {"psi": "PSI", "missing": "rise of missing values"}


@dataclass(frozen=True)
class Shift:
    """One measure of the window that ends on a day: of all columns together, of one in a slice, or of the label."""

    day: date
    kind: Kind
    measure: str
    value: float
    limit: float | None
    """The greatest value that is no alarm; None for what is only shown."""
    rows: int
    low: float | None = None
    """The least value that is no alarm."""
    column: str = ""
    by: str = ""
    part: str = ""
    """Of a slice: the column and its value."""
    told_by: tuple[str, ...] = ()
    """Of columns together: those that tell most."""

    @property
    def alarms(self) -> bool:
        """Whether it lies beyond its limits."""
        return self.limit is not None and (self.value > self.limit or (self.low is not None and self.value < self.low))

    @property
    def ratio(self) -> float:
        """How far it has come to its limit: 1 is there."""
        if self.limit is None:
            return 0.0
        if self.kind == "domain_classifier":
            return (self.value - 0.5) / (self.limit - 0.5)
        if self.low is None:
            return self.value / self.limit
        middle = (self.limit + self.low) / 2
        return abs(self.value - middle) / (self.limit - middle)

    def __str__(self) -> str:
        over = f"over {self.rows:,} rows to {self.day}"
        told = ", ".join(self.told_by) or "nothing"
        if self.kind == "domain_classifier":
            return (
                f"a classifier tells the window from the training set with an AUC of {self.value:.3f}, limit {self.limit:.3f}, "
                f"{over}; it looks most at {told}"
            )
        if self.kind == "pca":
            return (
                f"the reconstruction error of all columns is {self.value:.3f}, usual is {self.low:.3f} to {self.limit:.3f}, "
                f"{over}; farthest from usual: {told}"
            )
        where = f"{self.column} where {self.by} = {self.part}" if self.by else f"the label {self.column}"
        return f"{_NAMES.get(self.measure, self.measure)} of {where} is {self.value:.3f}, limit {self.limit or 0:.3g}, {over}"


def most_shifted(shifts: list[Shift]) -> Shift | None:
    """Return what is farthest beyond its limit, or nearest to it; None where nothing has a limit."""
    return max((one for one in shifts if one.limit is not None), key=lambda one: one.ratio, default=None)
