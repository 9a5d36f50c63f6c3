"""What is strange about the rows of a day: against the training set's own ranges and categories."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.features.statistics import Statistics
from headrace.models.meta import Input
from headrace.models.predict import SCORE
from headrace.monitoring.declaration import Inputs
from headrace.monitoring.inputs.outliers import Forest

MOST_NAMED = 20
OUT_OF_RANGE, UNSEEN, MISSING, DEGRADED = "out_of_range", "unseen", "missing", "degraded"
CONSTANT, OUTLIERS, OUTLIER = "constant", "outliers", "outlier"
STRANGE = pa.schema(
    {
        "day": pa.date32(),
        "table": pa.string(),
        "column": pa.string(),
        "measure": pa.string(),
        "value": pa.float64(),
        "limit": pa.float64(),
        "rows": pa.int64(),
        "entity": pa.string(),
        "model": pa.string(),
    }
)


@dataclass(frozen=True)
class Strange:
    """One measure of a column of a day's scored rows, a share of them; or how strange one row is, which `entity` names."""

    day: date
    table: str
    column: str
    measure: str
    value: float
    limit: float
    rows: int
    entity: str = ""
    model: str = ""

    @property
    def alarms(self) -> bool:
        """Whether it is beyond its limit; one row alone never alarms."""
        return self.measure != OUTLIER and self.value > self.limit

    def __str__(self) -> str:
        what = _WORDS[self.measure].format(column=self.column)
        return f"{self.value:.1%} of {self.rows:,} rows of {self.table} on {self.day} {what}, limit {self.limit:.1%}"


_WORDS = {
    OUT_OF_RANGE: "have a {column} outside what training had",
    UNSEEN: "have a {column} that training never had",
    MISSING: "have no {column}, beyond what training lacked",
    DEGRADED: "were answered degraded",
    CONSTANT: "have one and the same score",
    OUTLIERS: "are as strange as one training row in a thousand",
}


@dataclass(frozen=True)
class Known:
    """What the live model's training says of its inputs."""

    model: str
    inputs: Sequence[Input]
    statistics: Mapping[str, Statistics]
    forest: Forest | None


@dataclass(frozen=True)
class Scored:
    """The rows of one day of a table of scores."""

    day: date
    table: str
    rows: pa.Table
    entity: str
    """The column that names a row."""


def strange_rows(scored: Scored, known: Known, policy: Inputs) -> list[Strange]:
    """Return every measure of a day's rows, as shares from 0 to 1, and the strangest rows by name."""
    rows = scored.rows
    found = [
        one for column in known.inputs if column.name in rows.column_names for one in _of(column, scored, known, policy)
    ]
    scores = rows[SCORE].drop_null().to_numpy()
    if len(scores):
        most = float(np.unique(scores, return_counts=True)[1].max() / len(scores))
        found.append(_share(scored, SCORE, CONSTANT, most, policy.constant))
    if DEGRADED in rows.column_names and rows.num_rows:
        share = float(pc.sum(rows[DEGRADED].cast(pa.int64())).as_py() or 0) / rows.num_rows
        found.append(_share(scored, "", DEGRADED, share, policy.degraded))
    found += _outliers(scored, known, policy)
    return [Strange(**{**asdict(one), "model": known.model}) for one in found]


def _of(column: Input, scored: Scored, known: Known, policy: Inputs) -> Iterator[Strange]:
    values, trained = scored.rows[column.name], known.statistics.get(column.name)
    count = scored.rows.num_rows
    texts = column.kind == "categorical"
    numbers = np.array([]) if texts else values.cast(pa.float64()).to_numpy()
    missing = values.null_count if texts else int(np.isnan(numbers).sum())
    rise = missing / count - (trained.missing_share if trained else 0.0)
    yield _share(scored, column.name, MISSING, max(rise, 0.0), policy.missing)
    present = count - missing
    if not present:
        return
    if texts:
        seen = pc.is_in(values.cast(pa.string()).drop_null(), pa.array(column.categories, pa.string()))
        yield _share(scored, column.name, UNSEEN, 1 - float(pc.sum(seen).as_py() or 0) / present, policy.unseen)
    elif trained and isinstance(trained.least, float) and isinstance(trained.greatest, float):
        shown = numbers[~np.isnan(numbers)]
        outside = ((shown < trained.least) | (shown > trained.greatest)).sum()
        yield _share(scored, column.name, OUT_OF_RANGE, float(outside) / present, policy.out_of_range)


def _outliers(scored: Scored, known: Known, policy: Inputs) -> Iterator[Strange]:
    rows, forest = scored.rows, known.forest
    if forest is None or not {i.name for i in known.inputs} <= set(rows.column_names):
        return
    scores = forest.scores(rows)
    yield _share(scored, "", OUTLIERS, float((scores > forest.limit).mean()), policy.outliers)
    names = rows[scored.entity].cast(pa.string()).to_pylist()
    for place in np.argsort(-scores, kind="stable")[:MOST_NAMED]:
        if scores[place] > forest.limit:
            value = float(scores[place])
            yield Strange(
                scored.day, scored.table, scored.entity, OUTLIER, value, forest.limit, len(names), names[place] or ""
            )


def _share(scored: Scored, column: str, measure: str, value: float, limit: float) -> Strange:
    return Strange(scored.day, scored.table, column, measure, value, limit, scored.rows.num_rows)
