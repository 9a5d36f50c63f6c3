"""Limits that are learned once from a source's first days and then stand still, in a file that git shows."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field, ValidationError

from headrace.contracts.declaration import Column, Contract, Learned
from headrace.contracts.landed import days_with_rows
from headrace.contracts.limits import missing_share, value_range, value_set
from headrace.contracts.validate import validate
from headrace.contracts.written import line
from headrace.core.days import DAY as ONE_DAY
from headrace.core.days import Days, whole_days
from headrace.core.declaration import Declaration
from headrace.core.document import read_document
from headrace.core.errors import DeclarationError, NoRows, Refused
from headrace.core.names import did_you_mean
from headrace.sources.convert import last_day
from headrace.sources.declaration import Source
from headrace.store.site import Site
from headrace.store.tables import DAY

MARGIN = 0.1
"""How far beyond the values of the first days a range reaches, as a share of it."""


class Limits(Declaration):
    """What was learned about one column."""

    one_of: list[str | int | float] | None = None
    """The values that came."""
    min: float | None = None
    """Below the least value that came."""
    max: float | None = None
    """Above the greatest value that came."""
    max_missing: float | None = Field(default=None, ge=0, le=1)
    """Twice the share of missing values of the worst day."""


class LearnedLimits(Declaration):
    """What was learned about a source, from which days."""

    learned_from: str
    """The days, such as 2013-01-01...2013-01-28."""
    columns: dict[str, Limits]
    """By column; what the declaration says itself stands above it."""


@dataclass(frozen=True)
class Lesson:
    """What was learned, and where it was written."""

    file: Path
    limits: LearnedLimits


def learn_limits(site: Site, name: str, source: Source, contract: Contract) -> Lesson:
    """Learn the limits of a source anew from its first days, and write them beside the declaration.

    Only rows that keep the contract count. Raises DeclarationError if nothing is to be learned, and Refused as long as
    the days have not all landed.
    """
    wanted = _wanted(contract)
    if not wanted:
        raise DeclarationError(f"The contract of '{name}' has nothing to learn: say `learned: {{from: 28d}}` there.")
    days = {column: _first_days(site, name, learned) for column, learned in wanted.items()}
    widest = max(days.values(), key=len)
    rows = pl.DataFrame(validate(site, name, source, contract, widest).valid)
    columns = {
        column: limits
        for column, span in days.items()
        if (limits := _limits(rows.filter(pl.col(DAY) <= span.last), column, contract.columns[column]))
    }
    learned = LearnedLimits.model_validate({"learned_from": str(widest), "columns": columns})
    return Lesson(_write(site, name, learned), learned)


def with_learned(site: Site, name: str, contract: Contract) -> Contract:
    """Return the contract with the limits that were learned; what it says itself stands."""
    file = learned_file(site, name)
    if not (_wanted(contract) and file.exists()):
        return contract
    learned = _read(file)
    columns = dict(contract.columns)
    for column, limits in learned.columns.items():
        if column not in columns:
            raise DeclarationError(
                f"{file}: no column '{column}' in the contract; there are {', '.join(columns)}."
                f"{did_you_mean(column, columns)} Learn it anew: headrace contract learn {site.product.product}.{name}"
            )
        if column in _wanted(contract):
            columns[column] = _filled(columns[column], limits, file)
    return contract.model_copy(update={"columns": columns})


def is_to_be_learned(site: Site, name: str, contract: Contract) -> bool:
    """Return whether a contract asks for limits that nobody has learned yet."""
    return bool(_wanted(contract)) and not learned_file(site, name).exists()


def learned_file(site: Site, name: str) -> Path:
    """Return the file of a source's learned limits."""
    return site.folder / "contracts" / f"{name}.learned.yaml"


def _wanted(contract: Contract) -> dict[str, Learned]:
    spans = {name: column.learned or contract.learned for name, column in contract.columns.items()}
    return {name: learned for name, learned in spans.items() if learned}


def _first_days(site: Site, name: str, learned: Learned) -> Days:
    start = site.product.start or date.min
    counts = days_with_rows(site, name, Days(start, max(start, last_day(site))))
    if not counts:
        raise NoRows(f"No row of '{name}' has landed yet: there is nothing to learn from.")
    first, newest = date.fromisoformat(min(counts)), date.fromisoformat(max(counts))
    days = Days(first, first + ONE_DAY * (whole_days(learned.span) - 1))
    if newest < days.last:
        landed = (newest - first) // timedelta(days=1) + 1
        raise Refused(f"{landed} of the first {len(days)} days of '{name}' have landed: learn when all have.")
    return days


def _limits(rows: pl.DataFrame, name: str, column: Column) -> dict[str, Any]:
    """Return what the rows teach about a column that it does not say itself."""
    values, found = rows[name], dict[str, Any]()
    is_limited = any(getattr(column, word) for word in ("one_of", "matches", "references", "unique"))
    if not is_limited:
        found |= value_set(values, column.type)
    if column.type in ("integer", "double") and not (is_limited or "one_of" in found):
        found |= {word: limit for word, limit in value_range(values, MARGIN).items() if getattr(column, word) is None}
    if column.nullable and column.max_missing is None and rows.height:
        by_day = rows.group_by(DAY).agg((pl.col(name).null_count() / pl.len()).alias("share"))
        found["max_missing"] = missing_share(float(by_day["share"].to_numpy().max()))
    return found


def _filled(column: Column, limits: Limits, file: Path) -> Column:
    learned = limits.model_dump(exclude_none=True)
    said = {**learned, **column.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)}
    try:
        return Column.model_validate(said)
    except ValidationError as error:
        raise DeclarationError(f"{file}: {error.errors()[0]['msg']}") from None


def _read(file: Path) -> LearnedLimits:
    try:
        return LearnedLimits.model_validate(read_document(file))
    except ValidationError as error:
        first = error.errors()[0]
        raise DeclarationError(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _write(site: Site, name: str, learned: LearnedLimits) -> Path:
    file = learned_file(site, name)
    file.parent.mkdir(exist_ok=True)
    head = f"# Learned by `headrace contract learn {site.product.product}.{name}`. Nothing else writes here; edit as you like.\n"
    said = learned.model_dump(exclude_none=True)
    columns = "".join(f"  {line(column, limits)}\n" for column, limits in said["columns"].items()) or "  {}\n"
    staged = file.with_name(f".{file.name}")
    staged.write_text(f"{head}learned_from: {said['learned_from']}\ncolumns:\n{columns}")
    staged.replace(file)
    return file
