"""What is made piece by piece, because memory holds no more, is what would be made at once."""

import random
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from headrace.core.days import Days
from headrace.features import compute, training
from headrace.features.compute import feature_rows
from headrace.features.declaration import Feature
from headrace.features.training import training_rows
from headrace.store.site import Site
from platform_tests.features.airline import LABEL, NOON, SOURCES, airline, flight, windows

DAYS = Days(date(2013, 1, 1), date(2013, 2, 28))
EVER = "select tailnum, arr_at as known, arr_delay as delay from flights"
FEATURES = {
    "now": windows(agg=["count", "since", "sum", "mean", "std", "min", "max", "last", "first", "distinct"], over=["2h", "3d"]),
    "ever": Feature(sql="ever.sql", entity="tailnum", time="known", age=True),
    "recent": Feature(sql="ever.sql", entity="tailnum", time="known", ttl=timedelta(days=2)),
    "plane": Feature(sql="plane.sql", entity="tailnum"),
    "clock": Feature(on_request="clock.sql"),
}  # fmt: skip


@pytest.fixture
def flights() -> list[dict[str, Any]]:
    chance = random.Random(4)
    return [
        flight(
            number,
            sched_dep=NOON + timedelta(minutes=chance.randrange(58 * 24 * 60)),
            dep_delay=None if chance.random() < 0.1 else float(chance.randrange(-10, 300)),
            origin=chance.choice(["EWR", "JFK", "LGA"]),
            tailnum=f"N{chance.randrange(40)}",
        )
        for number in range(6_000)
    ]


def site_with(folder: Path, flights: list[dict[str, Any]], memory: str) -> Site:
    files = {
        "ever.sql": EVER,
        "plane.sql": "select distinct tailnum, length(tailnum) as letters from flights",
        "clock.sql": "select *, hour(sched_dep) as hour from request",
    }
    made = airline(folder, flights, files)
    product = made.product.model_copy(
        update={"start": DAYS.first, "end": DAYS.last, "memory": memory, "timezone": "America/New_York"}
    )
    return Site(product, made.folder, made.place)


def test_tables_and_training_set_are_the_same_however_small_the_memory_is(
    tmp_path: Path, flights: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {}
    for memory in ("2GiB", "1MiB"):
        made = [counted(monkeypatch, compute, "step_function"), counted(monkeypatch, training, "join_features")]
        site = site_with(tmp_path / memory, flights, memory)
        for name, feature in FEATURES.items():
            if not feature.on_request:
                rows = feature_rows(site, name, feature, SOURCES, DAYS if feature.timed else None)
                site.tables.replace(site.product.table("features", name), rows)
                assert whole.setdefault(name, rows).equals(rows), name
        rows = training_rows(site, FEATURES, LABEL)
        assert rows.num_rows > 4_000
        assert whole.setdefault("training", rows).equals(rows)
        assert all(len(pieces) > 1 if memory == "1MiB" else len(pieces) == 1 for pieces in made)


def counted(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> list[str]:
    """Return a list that grows with each call of a module's function."""
    calls: list[str] = []
    function = getattr(module, name)

    def wrapper(*given: Any) -> Any:
        calls.append(name)
        return function(*given)

    monkeypatch.setattr(module, name, wrapper)
    return calls
