"""Measures online features: a look-up against a raw read of the same store and against Feast, and a publication of a million entities.

Usage: python -m benchmarks.online [rounds=15]  look-ups of one request and of a hundred, three tables, 100,000 entities
       python -m benchmarks.online publish      seconds and memory of a publication of 1,000,000 entities

Feast is installed into an environment of its own, .venv-feast. Redis takes part where redis-server is installed.
"""

import json
import os
import random
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from redis import Redis

from benchmarks.validate import peak_mib
from headrace.core.declaration import Identity
from headrace.core.place import Place
from headrace.features.declaration import Feature
from headrace.online.declaration import Online
from headrace.online.lookup import OnlineFeatures
from headrace.online.publish import publish
from headrace.store.online import open_online
from headrace.store.site import Site

ENTITIES, MANY, ASKED, TABLES, VALUES = 100_000, 1_000_000, 100, ("habit", "basket", "visits"), 5
RAW, FEAST_ONE, FEAST_MANY, MOST_MIB = 2.0, 3.0, 15.0, 2048
AT = datetime(2024, 6, 1, tzinfo=UTC)
FEAST = Path(".venv-feast")
Call = Callable[[], Any]


def site_of(home: Path, address: str | None = None) -> Site:
    """Return a site below a folder."""
    return Site(Identity(product="shop"), home, Place.at(home, online_server=address))


def features(names: tuple[str, ...] = TABLES) -> dict[str, Feature]:
    """Return the declared tables."""
    return {name: Feature.model_validate({"sql": f"{name}.sql", "entity": "customer", "time": "at"}) for name in names}


def rows_of(table: str, count: int, steps: int = 1) -> pa.Table:
    """Return `steps` rows of each of many customers: five numbers."""
    chance = np.random.default_rng(len(table))
    at = [AT - timedelta(hours=1) + timedelta(hours=2) * step for step in range(steps)]
    columns = {f"{table}_{n}": chance.normal(size=count * steps) for n in range(VALUES)}
    customers = [f"customer-{number:07}" for number in range(count) for _ in range(steps)]
    times = pa.array(at * count, pa.timestamp("us", "UTC"))
    return pa.table({"customer": customers, "time": times, **columns, "_day": times.cast(pa.date32())})


@contextmanager
def redis_server() -> Iterator[str | None]:
    """Yield the address of a Redis of our own; None, with a notice, where none is installed."""
    program = shutil.which("redis-server")
    if not program:
        print("NOTICE: redis-server is not installed: Redis is LEFT OUT (.ci/system-packages)")
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait(timeout=30)


def microseconds(calls: dict[str, tuple[Call, int]], rounds: int) -> dict[str, float]:
    """Return how long each call takes: the median over rounds of the mean of many calls; all of them take turns."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, (call, times) in calls.items():
            call()
            began = time.perf_counter()
            for _ in range(times):
                call()
            took[name].append((time.perf_counter() - began) / times * 1e6)
    return {name: statistics.median(each) for name, each in took.items()}


def entities() -> list[str]:
    """Return the customers that are asked for: another one in each call."""
    return [f"customer-{random.Random(7 + n).randrange(ENTITIES):07}" for n in range(5000)]


def raw_read(site: Site) -> Callable[[list[str]], Any]:
    """Return a read of the same keys by the store's own client, and nothing else."""
    if site.place.online_server:
        client = Redis.from_url(site.place.online_server)
        return lambda names: client.mget([f"headrace:{{shop}}:customer:text\0{name}" for name in names])
    file = sqlite3.connect(f"file:{site.place.online}/shop.sqlite?mode=ro", uri=True, isolation_level=None)
    file.execute("pragma mmap_size = 1073741824")

    def read(names: list[str]) -> Any:
        keys = [f"customer:text\0{name}".encode() for name in names]
        return file.execute(f"select k, v from payloads where k in ({','.join('?' * len(keys))})", keys).fetchall()

    return read


def ours(site: Site, rounds: int) -> dict[str, float]:
    """Return microseconds of raw reads and of look-ups, one request and a hundred."""
    store = open_online(site.place, "shop")
    publish(site, features(), None, Online(), store)
    online, raw, names = OnlineFeatures(store, "shop"), raw_read(site), entities()
    one, many = iter(names * 1000), iter(names * 1000)
    at = AT + timedelta(minutes=1)
    times = pa.array([at] * ASKED, pa.timestamp("us", "UTC"))
    batches = [names[n : n + ASKED] for n in range(0, len(names), ASKED)]
    batch, raw_batch = iter(batches * 1000), iter(batches * 1000)
    tables = iter([pa.table({"customer": batch}) for batch in batches] * 1000)
    found = online.one({"customer": names[0]}, at).values
    assert len(found) == len(TABLES) * VALUES
    assert None not in found.values()
    del batch
    calls: dict[str, tuple[Call, int]] = {
        "raw, one": (lambda: raw([next(one)]), 2000),
        "one": (lambda: online.one({"customer": next(many)}, at), 2000),
        "raw, many": (lambda: raw(next(raw_batch)), 100),
        "many": (lambda: online.rows(next(tables), pa.chunked_array([times])), 100),
    }
    times_taken = microseconds(calls, rounds)
    store.close()
    return times_taken


def feast(parquet: Path, address: str | None, rounds: int) -> dict[str, float] | None:
    """Return what Feast takes for the same, in a process of its own; None, with a notice, where it cannot be had."""
    python = FEAST / "bin" / "python"
    if not python.exists():
        print("Installing Feast into .venv-feast (a minute or two, once) ...")
        for command in (
            [sys.executable, "-m", "venv", str(FEAST)],
            [str(python), "-m", "pip", "install", "-q", "feast[redis]==0.67.*"],
        ):
            if subprocess.run(command, check=False).returncode:
                print("NOTICE: Feast cannot be installed here: the comparison with it is LEFT OUT")
                shutil.rmtree(FEAST, ignore_errors=True)
                return None
    command = [str(python), str(Path(__file__).with_name("online_feast.py")), str(parquet), address or "", str(rounds)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=os.environ | {"FEAST_USAGE": "False"}
    )
    if done.returncode:
        print(f"NOTICE: Feast did not run, and is LEFT OUT:\n{done.stderr[-2000:]}")
        return None
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def speed(rounds: int) -> None:
    """Print the medians and whether the limits hold."""
    with tempfile.TemporaryDirectory() as folder, redis_server() as address:
        home = Path(folder)
        for table in TABLES:
            rows = rows_of(table, ENTITIES)
            site_of(home).tables.replace(f"shop/features/{table}", rows)
            pq.write_table(rows, home / f"{table}.parquet")
        for kind, server in (("SQLite", None), *([("Redis", address)] if address else [])):
            mine = ours(site_of(home, server), rounds)
            print(f"{kind}: {ENTITIES:,} entities, three tables of {VALUES} numbers; microseconds, median of {rounds}")
            for what in ("one", "many"):
                times = mine[what] / mine[f"raw, {what}"]
                words = f"{'1' if what == 'one' else ASKED} requests: {mine[what]:7.1f}, raw read {mine[f'raw, {what}']:7.1f}"
                limit = (
                    f"{'holds' if times <= RAW else 'FAILS'}: {times:.2f} times (limit {RAW})"
                    if what == "one"
                    else f"{times:.2f} times"
                )
                print(f"  {words}; {limit}")
            theirs = feast(home, server, rounds)
            for what, least in (("one", FEAST_ONE), ("many", FEAST_MANY)) if theirs else ():
                assert theirs
                faster = theirs[what] / mine[what]
                print(
                    f"  Feast: {theirs[what]:7.1f}; {'holds' if faster >= least else 'FAILS'}: {faster:.1f} times faster (limit {least})"
                )


def publication() -> None:
    """Print how long a publication of a million entities takes, and its memory, in processes of their own."""
    with tempfile.TemporaryDirectory() as folder, redis_server() as address:
        subprocess.run([sys.executable, "-m", "benchmarks.online", "make", folder], check=True)
        for kind, server in (("SQLite", ""), *([("Redis", address)] if address else [])):
            command = [sys.executable, "-m", "benchmarks.online", "child", folder, server]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            before, peak, seconds, written, again = map(float, done.stdout.split())
            print(
                f"{kind}: {written:,.0f} entities, two steps each in three tables, published in {seconds:.1f} s; nothing new: {again:.1f} s\n"
                f"  {'holds' if peak <= MOST_MIB else 'FAILS'}: {peak:.0f} MiB at most, {before:.0f} before (limit {MOST_MIB})"
            )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", folder]:
            for table in TABLES:
                site_of(Path(folder)).tables.replace(f"shop/features/{table}", rows_of(table, MANY, steps=2))
        case ["child", folder, address]:
            site = site_of(Path(folder), address or None)
            store, before = open_online(site.place, "shop"), peak_mib()
            first, second = (publish(site, features(), None, Online(), store) for _ in range(2))
            print(before, peak_mib(), first.seconds, first.written, second.seconds)
        case ["publish"]:
            publication()
        case rest:
            speed(int(rest[0]) if rest else 15)
            publication()
