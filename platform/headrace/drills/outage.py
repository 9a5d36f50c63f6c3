"""The outage: the folder of tables is away for a while, as a disk that is not mounted, and comes back as it was."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date

from headrace.drills.guards import NOTHING_LOST, RECOVERY
from headrace.drills.resources import Stage
from headrace.store.site import Site

AWAY = "tables.away"


def outage(stage: Stage, land: Callable[[], tuple[date, dict[str, int]]]) -> Iterator[str]:
    """Land a day while the store is away, let it come back, and yield what was done."""
    before = _rows(stage.site, stage.declared.sources)
    day, landed = land()
    with _away(stage.site):
        stage.look("files")
        stage.look("incidents")
        yield f"{day} landed while the folder of tables was away"
    for _ in range(2):
        stage.look("files")
        stage.look("incidents")
    after = _rows(stage.site, stage.declared.sources)
    if all(after[name] == before[name] + landed.get(name, 0) for name in before):
        stage.seen[NOTHING_LOST] = ", ".join(
            f"{name}: {before[name]:,} rows before, {landed.get(name, 0):,} landed, {after[name]:,} are there"
            for name in before
        )
    passing = [(one, one.passed or one.closed) for one in stage.incidents() if one.kind == "failed_run"]
    for one, since in passing:
        if since:
            stage.seen[RECOVERY] = f"incident {one.number} passes since {since.at:%Y-%m-%d %H:%M}"
    yield "the folder of tables is back"


def _rows(site: Site, sources: Iterable[str]) -> dict[str, int]:
    """Return how many rows each source's raw table has."""
    tables = {name: site.product.table("raw", name) for name in sources}
    return {name: site.tables.count(table) for name, table in tables.items() if site.tables.exists(table)}


@contextmanager
def _away(site: Site) -> Iterator[None]:
    tables = site.place.tables
    away = tables.with_name(AWAY)
    tables.rename(away)
    tables.write_text("The store is away: this is a drill.\n")
    try:
        yield
    finally:
        tables.unlink()
        away.rename(tables)
