"""The plan: what would be made again, which days of it, and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from headrace.core.days import DAY, Days, unbroken
from headrace.core.recipe import ALL, Reach, Recipe, Work
from headrace.sources.declaration import Source
from headrace.sources.ingested import Ingested
from headrace.sources.known import candidates, known_files, new_files
from headrace.store.site import Site

SPANS_SHOWN = 3


@dataclass(frozen=True)
class Planned:
    """One table that would be made again."""

    table: str
    days: tuple[str, ...]
    """The days to make; none for a table that does not lie in days, or where only the making of its inputs will tell."""
    why: tuple[str, ...]
    certain: bool
    """Whether it is stale already; else it depends on whether its inputs come out the same."""

    @property
    def span(self) -> str:
        """The days, in short."""
        spans = unbroken(date.fromisoformat(day) for day in self.days if day != ALL)
        more = f", and {len(spans) - SPANS_SHOWN} more spans" if len(spans) > SPANS_SHOWN else ""
        return f"{len(self.days)}: {', '.join(map(str, spans[:SPANS_SHOWN]))}{more}" if spans else ""


def plan(site: Site, sources: Mapping[str, Source], recipes: Sequence[Recipe]) -> list[Planned]:
    """Return what would be made again, inputs before what is made of them; nothing where all is as it should be."""
    found: dict[str, Planned] = {}
    works = _works(site, sources, recipes)
    for name in sources:
        landed = _landed(site, name, sources[name])
        if landed:
            found[landed.table] = landed
    for recipe in recipes:
        planned = _certain(recipe, works.get(recipe.table)) or _perhaps(recipe, found)
        if planned and recipe.table not in found:
            found[recipe.table] = planned
    return list(found.values())


def stale(site: Site, sources: Mapping[str, Source], recipes: Iterable[Recipe]) -> dict[str, Work]:
    """Return the tables that are no longer what their inputs and code would make them, with what there is to make.

    What has landed since does not count, nor does a table whose inputs are not there.
    """
    there = [recipe for recipe in recipes if all(map(site.tables.exists, recipe.inputs or [recipe.table]))]
    return {table: work for table, work in _works(site, sources, there).items() if work}


def _works(site: Site, sources: Mapping[str, Source], recipes: Iterable[Recipe]) -> dict[str, Work]:
    """Return what there is to make of each table, but for those of days while nothing has landed for any."""
    history = _history(site, sources)
    works = {}
    for recipe in recipes:
        if not recipe.by_day:
            works[recipe.table] = site.ledger.work(recipe)
        elif history:
            days = _reached(site, recipe, history)
            works[recipe.table] = site.ledger.work(recipe, days) if days else Work({}, {})
    return works


def _reached(site: Site, recipe: Recipe, history: Days) -> Days | None:
    """Return the days that rows of a recipe's inputs go into; None where they have none."""
    inputs = recipe.inputs or {recipe.table: Reach()}
    spans = []
    for table, reach in inputs.items():
        days = [date.fromisoformat(day) for day in site.ledger.contents(table) if day != ALL]
        if reach is None:
            return history
        if days:
            spans.append(Days(min(days) - DAY * reach.ahead, max(days) + DAY * reach.back))
    if not spans:
        return None
    first, last = min(span.first for span in spans), max(span.last for span in spans)
    return Days(max(first, history.first), min(last, history.last))


def _landed(site: Site, name: str, source: Source) -> Planned | None:
    looked = Ingested()
    new = new_files(list(candidates(site, source)), known_files(site, name, source).files, looked)
    if not new:
        return None
    more = f" and {len(new) - 1} more" if len(new) > 1 else ""
    return Planned(site.product.table("raw", name), (), (f"new or changed: {new[0].name}{more}",), certain=True)


def _history(site: Site, sources: Mapping[str, Source]) -> Days | None:
    """Return the days that anything has landed for."""
    tables = [site.product.table("raw", name) for name, source in sources.items() if source.partition]
    days = [date.fromisoformat(day) for table in tables for day in site.ledger.contents(table)]
    return Days(min(days), max(days)) if days else None


def _certain(recipe: Recipe, work: Work | None) -> Planned | None:
    if work is None:
        return Planned(recipe.table, (), ("never made",), certain=True)
    if not work:
        return None
    reasons = dict.fromkeys(why for whys in work.reasons.values() for why in whys)
    return Planned(recipe.table, tuple(work.reasons), tuple(reasons), certain=True)


def _perhaps(recipe: Recipe, found: Mapping[str, Planned]) -> Planned | None:
    again = [name for name in recipe.inputs if name in found]
    return Planned(recipe.table, (), tuple(f"if {name} changes" for name in again), certain=False) if again else None
