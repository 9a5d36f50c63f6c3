"""A small airline whose days are made by hand: validated tables and a declaration, real stores, no Dagster."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.contracts.declaration import Column, Contract
from headrace.core.declaration import Identity
from headrace.core.place import Place
from headrace.features.declaration import Feature, Label
from headrace.features.look import Declared
from headrace.sources.declaration import Source
from headrace.store.site import Site

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
LABEL_SQL = """select flight_id, sched_dep - interval 60 minutes as predict_at, sched_dep, origin, tailnum,
  arr_delay > 15 as late from flights"""
FLIGHTS = pa.schema(
    [
        ("flight_id", pa.string()),
        ("origin", pa.string()),
        ("tailnum", pa.string()),
        ("sched_dep", pa.timestamp("us", "UTC")),
        ("dep_at", pa.timestamp("us", "UTC")),
        ("arr_at", pa.timestamp("us", "UTC")),
        ("dep_delay", pa.float64()),
        ("arr_delay", pa.float64()),
    ]
)
_TYPES = {"string": "string", "timestamp[us, tz=UTC]": "timestamp", "double": "double"}
CONTRACT = Contract(columns={f.name: Column.model_validate({"type": _TYPES[str(f.type)]}) for f in FLIGHTS})
SOURCES = {
    "flights": Source.model_validate(
        {
            "files": "flights/*.csv",
            "time": "sched_dep",
            "known_at": {"dep_delay": "dep_at", "arr_delay": "arr_at"},
        }
    )
}
LABEL = Label(sql="label.sql", entity="flight_id", time="predict_at", column="late", known_after=timedelta(days=1))


def flight(number: int, **changes: Any) -> dict[str, Any]:
    """Return a flight that leaves and lands as planned, an hour apart by number, but for the changes."""
    sched = changes.pop("sched_dep", NOON + timedelta(hours=number))
    delay = changes.get("dep_delay", 0.0)
    row = {
        "flight_id": f"f{number:03d}",
        "origin": "EWR",
        "tailnum": "N1",
        "sched_dep": sched,
        "dep_at": None if delay is None else sched + timedelta(minutes=delay),
        "arr_at": None if delay is None else sched + timedelta(minutes=delay + 90),
        "dep_delay": delay,
        "arr_delay": delay,
    }
    return row | changes


def windows(**changes: Any) -> Feature:
    """Return mean delay and count of departures by origin over two hours, but for the changes."""
    declared = {
        "from": "flights",
        "entity": "origin",
        "time": "dep_at",
        "of": {"delay": "dep_delay"},
        "agg": ["mean", "count"],
        "over": ["2h"],
    }
    return Feature.model_validate({"windows": declared | changes})


def airline(folder: Path, flights: list[dict[str, Any]], files: Mapping[str, str] | None = None) -> Site:
    """Return a site with validated flights and SQL files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"label.sql": LABEL_SQL, **(files or {})}.items():
        (folder / name).write_text(text)
    site = Site(Identity(product="air"), folder, Place.at(folder))
    site.tables.replace("air/validated/flights", pa.Table.from_pylist(flights, schema=FLIGHTS))
    return site


def declared(features: Mapping[str, Feature]) -> Declared:
    """Return what the leakage check needs."""
    return Declared(SOURCES, features, LABEL)
