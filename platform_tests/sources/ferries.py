"""A small ferry line: crossings that land a file a day, and a list of its ships. Real files, real stores, no Dagster."""

import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.core.declaration import Identity
from headrace.core.place import Place
from headrace.sources.declaration import Source
from headrace.sources.ingest import ingest
from headrace.sources.ingested import Ingested
from headrace.store.site import Site

CROSSINGS = Source(files="landing/crossings/*.csv", time="departs", partition="day", nulls=["", "NA"])
SHIPS = Source(files="landing/ships*.csv")
RAW, SHIP_TABLE = "ferry/raw/crossings", "ferry/raw/ships"
COLUMNS = ("crossing", "departs", "ship", "passengers")


def ferry_line(root: Path, sql: str = "", **identity: Any) -> Site:
    """Return the site of a ferry line in New York; `sql` becomes crossings.sql."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "crossings.sql").write_text(sql)
    declared = {"product": "ferry", "timezone": "America/New_York", "start": date(2013, 3, 1), "end": date(2014, 1, 1)}
    return Site(Identity(**(declared | identity)), root, Place.at(root))


def crossing(number: int, day: str = "2013-03-05", **changes: Any) -> dict[str, Any]:
    """Return a crossing at noon, New York time, but for the changes."""
    row = {"crossing": f"c{number:03d}", "departs": f"{day}T12:00:00", "ship": "Ada", "passengers": "100"}
    return row | changes


def csv(rows: Iterable[dict[str, Any]], columns: Iterable[str] = COLUMNS) -> str:
    """Return rows as CSV text."""
    names = list(columns)
    return "\n".join([",".join(names), *(",".join(str(row.get(name, "")) for name in names) for row in rows)]) + "\n"


def land_file(site: Site, name: str, text: str | bytes, mtime: float | None = None) -> None:
    """Write a file into the landing folder."""
    path = site.place.landing / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if mtime is not None:
        os.utime(path, (mtime, mtime))


def take(site: Site, source: Source = CROSSINGS) -> Ingested:
    """Ingest the crossings."""
    return ingest(site, "crossings", source)


def raw_rows(site: Site, *columns: str) -> list[tuple[Any, ...]]:
    """Return some columns of the raw crossings, sorted."""
    rows: pa.Table = site.tables.read(RAW, columns=list(columns))
    return sorted(zip(*(rows[column].to_pylist() for column in columns), strict=True), key=str)
