"""Which rows of the sources, known only after a prediction, a leaking cell was made of.

The cell is computed again on what was known at its prediction time, and a group of later rows with it. A group that
changes nothing is set aside as a whole; one that does is halved, down to single rows. Rows that change something only
together with rows of another half are not found: then no row is named.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

from headrace.core.names import quoted
from headrace.features.graph import sources_behind
from headrace.features.leakage import Leak, honest_values, is_same, show_known, show_tables, truncated
from headrace.features.look import Declared, Look, everything, looking
from headrace.features.windows import instant, known_times
from headrace.sources.declaration import Source
from headrace.sources.read import FILE, ROW
from headrace.store.site import Site

Keys = Callable[[str], Sequence[str]]
"""Table of a source → the columns that name one of its rows; none where the declaration knows none."""


@dataclass(frozen=True)
class LaterRow:
    """A row of a source that a cell was made of and that was not known, or not wholly, at the prediction time."""

    source: str
    """Its name; that of another product with the product's before it."""
    named: dict[str, Any]
    """File and row, or the key, or the whole row."""
    known: datetime | None
    """When all of it was known, in UTC; None where it says no time."""

    def __str__(self) -> str:
        name = ", ".join(f"{column} {value}" for column, value in self.named.items())
        return f"{self.source}: {name}, known at {f'{self.known:%Y-%m-%d %H:%M} UTC' if self.known else 'no time'}"


def explain_leaks(
    site: Site, declared: Declared, leaks: Sequence[Leak], keys: Keys, most: int = 3
) -> Iterator[tuple[Leak, list[LaterRow]]]:
    """Yield each leak with the later rows that explain it, the first known first, `most` of them."""
    with looking(site, declared) as looks:
        for leak in leaks:
            [look, *_] = [look for look in looks if leak.table in look.tables] or looks
            found = list(islice(_later_rows(replace(look, row=dict(leak.row)), leak, keys), most))
            owner = "" if look.site is site else f"{look.site.product.product}."
            yield leak, [replace(row, source=f"{owner}{row.source}") for row in found]


def _later_rows(look: Look, leak: Leak, keys: Keys) -> Iterator[LaterRow]:
    declared = look.declared
    if declared.features[leak.table].on_request:
        return
    show_known(look)
    # A table that is read may know its own future, such as the end of a window: only rows of sources are to be found.
    show_tables(look, None)
    known = replace(leak, honest=_value(look, leak))
    for name in sources_behind(look.site, declared.features, leak.table):
        source = declared.sources[name]
        moments = _moments(source)
        if not moments:
            continue
        rows = _number_later_rows(look, name, moments)
        for number in _telling(look, known, name, range(rows)):
            yield _named(look, name, number, keys(look.site.product.table("validated", name)))
        look.session.show(name, truncated(everything(name), source, look.moment))


def _telling(look: Look, leak: Leak, source: str, numbers: range) -> Iterator[int]:
    """Yield the numbers of later rows that change the cell when they are known."""
    if not numbers or not _changes(look, leak, source, numbers):
        return
    if len(numbers) == 1:
        yield numbers[0]
        return
    middle = len(numbers) // 2
    yield from _telling(look, leak, source, numbers[:middle])
    yield from _telling(look, leak, source, numbers[middle:])


def _changes(look: Look, leak: Leak, source: str, numbers: range) -> bool:
    known = truncated(
        f"(from {everything(source)} where rowid not in ({_places(source, numbers)}))",
        look.declared.sources[source],
        look.moment,
    )
    look.session.show(
        source, f"{known} union all from {everything(source)} where rowid in ({_places(source, numbers)})"
    )
    show_tables(look, None)
    return not is_same(leak.honest, _value(look, leak))


def _value(look: Look, leak: Leak) -> Any:
    return honest_values(look, leak.table, look.declared.features[leak.table])[leak.feature]


def _moments(source: Source) -> list[str]:
    """Return the time columns of which the latest says when a whole row is known."""
    if not source.time:
        return []
    return (
        [source.known_at] if isinstance(source.known_at, str) else sorted({source.time, *known_times(source).values()})
    )


def _number_later_rows(look: Look, source: str, moments: list[str]) -> int:
    """Return how many rows were not wholly known at the look's moment, and keep them by number, the first known first."""
    known = f"greatest({', '.join(map(quoted, moments))})"
    look.session.keep(
        _later(source),
        f"select rowid as place, {known} as known, row_number() over (order by {known}, rowid) - 1 as number "
        f"from {everything(source)} where coalesce({known} > {instant(look.moment)}, true)",
    )
    return int(look.session.rows(f"select count(*) as rows from {_later(source)}")[0]["rows"])


def _places(source: str, numbers: range) -> str:
    return f"select place from {_later(source)} where number between {numbers[0]} and {numbers[-1]}"


def _named(look: Look, source: str, number: int, key: Sequence[str]) -> LaterRow:
    sql = f"from {everything(source)} as one join {_later(source)} as later on one.rowid = later.place where number = {number}"
    row = look.session.rows(f"select one.* {sql}")[0]
    known = look.session.rows(f"select known {sql}")[0]["known"]
    place = [FILE, ROW] if FILE in row else list(key) or [column for column in row if column[0] != "_"]
    return LaterRow(source, {column.removeprefix("_"): row[column] for column in place}, known)


def _later(source: str) -> str:
    return f"_later_{source}"
