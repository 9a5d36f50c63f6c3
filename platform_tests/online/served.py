"""A small airline whose features are served online: every aggregation, SQL with ttl and age, several keys, no time at all."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.features.compute import feature_rows
from headrace.features.declaration import Feature
from headrace.online.declaration import Online
from headrace.online.lookup import OnlineFeatures
from headrace.online.publish import Published, publish
from headrace.store.online import OnlineStore, open_online
from headrace.store.site import Site
from platform_tests.features.airline import LABEL, NOON, SOURCES, airline, flight, windows

ALL = ["count", "since", "sum", "mean", "std", "min", "max", "last", "first", "distinct"]
FILES = {
    "label.sql": """select flight_id, sched_dep - interval 60 minutes as predict_at, sched_dep, origin, tailnum,
  arr_delay > 15 as late from flights""",
    "gate.sql": """select origin, dep_at as at, flight_id as flight, dep_delay > 5 as slow, cast(dep_delay as float) as narrow,
  cast(dep_delay as decimal(9, 2)) as exact, cast(dep_at as date) as day, dep_at as moment, hour(dep_at)::tinyint as hour
  from flights where dep_at is not null""",
    "plane.sql": "select tailnum, min(origin) as home, count(*) as flights from flights where tailnum is not null group by all",
    "calendar.sql": """select *, hour(sched_dep) as hour, origin || '-' || coalesce(tailnum, '?') as route,
  now_delay_mean_2h * 2 as twice, date_diff('minute', predict_at, sched_dep) as ahead from request""",
}
FEATURES: dict[str, Feature] = {
    "now": windows(agg=ALL, over=["2h", "6h"]),
    "late": windows(agg=["share", "last", "std"], of={"late": "dep_delay > 5"}),
    "leg": windows(entity=["origin", "tailnum"], of={"plane": "tailnum"}, agg=["last", "distinct", "count"]),
    "gate": Feature.model_validate({"sql": "gate.sql", "entity": "origin", "time": "at", "ttl": "90m", "age": True}),
    "plane": Feature.model_validate({"sql": "plane.sql", "entity": "tailnum"}),
    "calendar": Feature.model_validate({"on_request": "calendar.sql"}),
}
STORED = {name: feature for name, feature in FEATURES.items() if not feature.on_request}


def flights(count: int = 40, seed: int = 0) -> list[dict[str, Any]]:
    """Return flights of two days from three airports with six aircraft; some never leave."""
    chance = random.Random(seed)
    return [
        flight(
            number,
            sched_dep=NOON + timedelta(minutes=chance.randrange(0, 60 * 30)),
            dep_delay=chance.choice([None, 0.0, -3.5, 7.0, 45.25, 200.0]),
            origin=chance.choice(["EWR", "JFK", "Zürich 7:x"]),
            tailnum=chance.choice(["N1", "N2", "N3", "N4", "", None]),
        )
        for number in range(count)
    ]


class Later:
    """A clock that stands where a test puts it."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        """Return that moment."""
        return self.at


def site_of(
    folder: Path, rows: list[dict[str, Any]], *, at: datetime = NOON, address: str | None = None, **files: str
) -> Site:
    """Return a site with these flights and their feature tables, whose clock stands at a moment."""
    site = airline(folder, rows, FILES | {f"{name}.sql": text for name, text in files.items()})
    site = replace(site, place=replace(site.place, online_server=address))
    vars(site)["clock"] = Later(at)
    make_features(site)
    return site


def make_features(site: Site, features: Mapping[str, Feature] = STORED) -> None:
    """Make the feature tables anew."""
    for name, feature in features.items():
        rows = feature_rows(site, name, feature, SOURCES, None)
        site.tables.replace(f"air/features/{name}", rows)


def published(site: Site, store: OnlineStore, **declared: Any) -> Published:
    """Publish what has changed."""
    return publish(site, FEATURES, LABEL, Online.model_validate(declared), store)


@contextmanager
def opened(site: Site) -> Iterator[tuple[OnlineStore, OnlineFeatures]]:
    """Yield the site's online store, and what serves from it."""
    store = open_online(site.place, "air")
    try:
        yield store, OnlineFeatures(store, "air")
    finally:
        store.close()


def requests(count: int = 30, seed: int = 0, first: datetime = NOON) -> pa.Table:
    """Return label rows without a label, at random instants of the two days after `first`, of known and unknown entities."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        at = first + timedelta(microseconds=chance.randrange(0, 48 * 3600 * 10**6))
        at = chance.choice([at, at.replace(second=0, microsecond=0)])
        rows.append(
            {
                "flight_id": f"r{number}",
                "predict_at": at,
                "sched_dep": at + timedelta(minutes=chance.randrange(0, 400)),
                "origin": chance.choice(["EWR", "JFK", "Zürich 7:x", "LGA", None]),
                "tailnum": chance.choice(["N1", "N2", "N3", "N9", "", None]),
            }
        )
    schema = [(name, pa.string()) for name in ("flight_id", "origin", "tailnum")]
    times = [(name, pa.timestamp("us", "UTC")) for name in ("predict_at", "sched_dep")]
    types = dict(schema + times)
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, types[name]) for name in rows[0]]))
