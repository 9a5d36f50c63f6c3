# mypy: ignore-errors
"""What Feast takes for the look-ups of `benchmarks.online`; runs in Feast's own environment, prints JSON.

Usage: python online_feast.py <folder with parquet files> <redis address or ""> <rounds>
"""

import json
import random
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64
from feast.value_type import ValueType

ENTITIES, ASKED, TABLES, VALUES = 100_000, 100, ("habit", "basket", "visits"), 5


def store_in(folder, parquet, address):
    """Return a store with the three tables written to it."""
    online = {"type": "sqlite", "path": f"{folder}/online.db"}
    if address:
        online = {"type": "redis", "connection_string": address.removeprefix("redis://").removesuffix("/0") + ",db=1"}
    config = RepoConfig(
        project="shop",
        provider="local",
        registry=f"{folder}/registry.db",
        online_store=online,
        offline_store={"type": "file"},
        entity_key_serialization_version=3,
    )
    store, customer = FeatureStore(config=config), Entity(name="customer", value_type=ValueType.STRING)
    views = [
        FeatureView(
            name=table,
            entities=[customer],
            ttl=timedelta(days=36500),
            schema=[Field(name=f"{table}_{n}", dtype=Float64) for n in range(VALUES)],
            source=FileSource(path=str(parquet / f"{table}.parquet"), timestamp_field="time"),
        )
        for table in TABLES
    ]
    store.apply([customer, *views])
    for table in TABLES:
        store.write_to_online_store(table, pd.read_parquet(parquet / f"{table}.parquet").drop(columns="_day"))
    return store


def microseconds(call, rounds, calls):
    """Return the median over rounds of the mean of many calls."""
    call()
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(calls):
            call()
        took.append((time.perf_counter() - began) / calls * 1e6)
    return statistics.median(took)


def main(parquet, address, rounds):
    """Print the medians."""
    with tempfile.TemporaryDirectory() as folder:
        store = store_in(folder, Path(parquet), address)
        wanted = [f"{table}:{table}_{n}" for table in TABLES for n in range(VALUES)]
        names = [f"customer-{random.Random(7 + n).randrange(ENTITIES):07}" for n in range(5000)]
        one = iter(names * 100)
        batches = iter([names[n : n + ASKED] for n in range(0, len(names), ASKED)] * 100)

        def ask(customers):
            return store.get_online_features(features=wanted, entity_rows=[{"customer": name} for name in customers])

        found = ask([names[0]]).to_dict()
        assert None not in [found[f"{table}_0"][0] for table in TABLES], found
        print(
            json.dumps(
                {
                    "one": microseconds(lambda: ask([next(one)]), int(rounds), 200),
                    "many": microseconds(lambda: ask(next(batches)), int(rounds), 20),
                }
            )
        )


main(*sys.argv[1:])
