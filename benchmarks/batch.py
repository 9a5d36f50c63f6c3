"""Measures batch scores of 3.3 M rows: compiled trees against LightGBM's own `Booster.predict`, and the whole job.

The model has 200 trees of 63 leaves and 25 features, three of them texts; numbers lack two in a hundred values.
Usage: python -m benchmarks.batch [rounds] [rows]
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.spill import OPEN_MIB, Watch
from headrace.core.days import Days
from headrace.core.declaration import Identity
from headrace.core.names import memory_bytes
from headrace.core.place import Place
from headrace.features.declaration import Feature, Label
from headrace.features.training import request_rows, training_rows
from headrace.models.candidate import train_candidate
from headrace.models.compilation import bulk_predictor
from headrace.models.declaration import Model
from headrace.models.encode import encode
from headrace.models.predict import load_predictor
from headrace.models.trainers.lightgbm import Boosted
from headrace.serving.score import score_days
from headrace.store.cause import Cause
from headrace.store.site import Site

FASTER, WHOLE = 3.0, 1.5
ROWS, TAUGHT = 3_300_000, 200_000
START, TAUGHT_DAYS, DAYS = datetime(2024, 1, 1, tzinfo=UTC), 30, 60
CUSTOMERS, PLACES, WORDS = 20_000, 500, 40
SCORED = Days(date(2024, 2, 1), date(2024, 3, 31))
FEATURES = {
    "customer": Feature(sql="none.sql", entity="customer", time="time"),
    "place": Feature(sql="none.sql", entity="place", time="time", ttl=timedelta(days=90)),
}
LABEL = Label(sql="label.sql", entity="visit", time="at", column="late", known_after=timedelta(days=1))
MODEL = Model.model_validate(
    {"split": {"test": "3d"}, "trees": 200, "params": {"num_leaves": 63}, "ignore": ["customer", "place"]}
)


def site_of(folder: Path, memory: str = "2GiB") -> Site:
    """Return the site of a product that may take so much memory."""
    return Site(Identity(product="shop", start=START.date(), memory=memory), folder, Place.at(folder))


def prepare(folder: Path, rows: int, model: Model = MODEL) -> None:
    """Write visits and two feature tables, train the model on the first month, let it go live, and compile it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "label.sql").write_text("select * exclude (_day) from visits")
    site, chance = site_of(folder, "64GiB"), np.random.default_rng(0)
    for name, entities, numbers in (("customer", CUSTOMERS, 8), ("place", PLACES, 4)):
        site.tables.replace(f"shop/features/{name}", _features(name, entities, numbers, chance))
    taught = _visits(0, TAUGHT, START, TAUGHT_DAYS, chance)
    site.tables.replace("shop/validated/visits", taught)
    site.tables.replace("shop/training/set", training_rows(site, FEATURES, LABEL))
    digest = train_candidate(site, LABEL, model, 0, print).digest
    first = START + timedelta(days=TAUGHT_DAYS + 1)
    site.tables.replace("shop/validated/visits", _visits(TAUGHT, rows, first, DAYS, chance))
    live = {"outcome": "released", "model": digest, "who": "bench", "why": "", "evidence": {}, "at": site.clock.now()}
    site.releases.decide("shop", live, after=0)
    print(bulk_predictor(site, digest).how)


def predicting(folder: Path, rows: int) -> dict[str, float]:
    """Return seconds: of LightGBM on a ready array, of compiled trees on the same encoded rows, and with their encoding."""
    site = site_of(folder)
    live = site.releases.live("shop")
    assert live
    own, bulk = load_predictor(site.models, live.model), bulk_predictor(site, live.model).predictor
    asked = request_rows(site_of(folder, "64GiB"), FEATURES, LABEL, SCORED).slice(0, rows)
    encoded = encode(asked, own.inputs)
    ready = np.column_stack([column.to_numpy() for column in encoded.columns])
    assert isinstance(own.fitted, Boosted)
    seconds, said = {}, []
    ways: dict[str, Any] = {
        "lightgbm": lambda: own.fitted.booster.predict(ready),
        "compiled": lambda: bulk.fitted.predict(encoded),
        "encoded": lambda: bulk.predict(asked),
    }
    for way, predict in ways.items():
        started = time.perf_counter()
        said.append(predict())
        seconds[way] = time.perf_counter() - started
    assert all(np.abs(scores - said[0]).max() <= 1e-6 for scores in said)
    return seconds


def whole_job(folder: Path, memory: str) -> dict[str, float]:
    """Return the seconds from the declared days to a committed table of scores, and the peak memory in MiB."""
    site, table = site_of(folder, memory), "shop/predictions/batch"
    watch, started = Watch(), time.perf_counter()
    with site.tables.claim(table, SCORED) as fence:
        scored = score_days(site, FEATURES, LABEL, SCORED)
        made = time.perf_counter() - started
        site.tables.replace(table, scored.rows, days=SCORED, fence=fence, why=Cause(inputs=scored.versions))
    took = time.perf_counter() - started
    return {"rows": scored.new, "made": made, "job": took, "peak": watch.stop()}


LIBRARIES_MIB = 160
"""What LightGBM's package, with pandas and scikit-learn, and LLVM take beside what every run has open."""


def memory(rows: int, limit: str) -> bool:
    """Return whether a first back-fill of so many rows, by a small model, stays within a product's memory."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), rows, MODEL.model_copy(update={"trees": 40}))
        told, most = _child("job", folder, limit), memory_bytes(limit) / 1024**2 + OPEN_MIB + LIBRARIES_MIB
        held = told["rows"] == rows and told["peak"] <= most
        return _said(held, f"{told['rows']:,.0f} rows, {told['peak']:.0f} MiB at most (limit {most:.0f})")


def compare(rounds: int, rows: int) -> None:
    """Print the medians, and whether the limits hold."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), rows)
        for _ in range(rounds):
            shutil.rmtree(Path(folder, ".headrace", "tables", "shop", "predictions"), ignore_errors=True)
            told = _child("predict", folder, str(rows)) | _child("job", folder, "2GiB")
            print(f"  {json.dumps({name: round(value, 2) for name, value in told.items()})}", flush=True)
            for name, value in told.items():
                found.setdefault(name, []).append(value)
    middle = {name: statistics.median(values) for name, values in found.items()}
    own, compiled, job = middle["lightgbm"], middle["compiled"], middle["job"]
    print(f"{rows:,} rows of 25 features, 200 trees of 63 leaves; median of {rounds}, the same processors for both")
    print(f"  LightGBM, a ready array    {own:6.2f} s")
    print(f"  compiled trees             {compiled:6.2f} s")
    print(f"  and their encoding         {middle['encoded']:6.2f} s")
    print(f"  features and scores        {middle['made']:6.2f} s   the job, without its commit")
    print(f"  the whole job              {job:6.2f} s   {middle['peak']:.0f} MiB at most, `memory: 2GiB`")
    _said(own / compiled >= FASTER, f"{own / compiled:.2f} times LightGBM's rows a second (limit {FASTER})")
    _said(job / own <= WHOLE, f"the whole job takes {job / own:.2f} times LightGBM's prediction alone (limit {WHOLE})")
    print(
        f"  {job / compiled:.2f} times the compiled prediction alone: joining and writing rows take longer than scoring them"
    )


def _child(way: str, folder: str, given: str) -> dict[str, float]:
    asked = [sys.executable, "-m", "benchmarks.batch", way, folder, given]
    done = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _visits(first: int, rows: int, start: datetime, days: int, chance: np.random.Generator) -> pa.Table:
    """Return visits, evenly over some days: ten numbers and two texts each."""
    step = timedelta(days=days) / rows
    moments = np.datetime64(start.replace(tzinfo=None), "us") + np.arange(rows) * np.timedelta64(step)
    words = np.array([f"word {i:02}" for i in range(WORDS)])
    columns: dict[str, Any] = {
        "visit": pa.array(np.arange(first, first + rows)),
        "at": pa.array(moments).cast(pa.timestamp("us", "UTC")),
        "customer": chance.integers(0, CUSTOMERS, rows),
        "place": chance.integers(0, PLACES, rows),
        "browser": pa.array(words[chance.integers(0, WORDS, rows)]),
        "campaign": pa.array(words[chance.integers(0, WORDS, rows)], mask=chance.random(rows) < 0.1),
    }
    numbers = [chance.normal(size=rows) for _ in range(10)]
    for number, values in enumerate(numbers):
        columns[f"number_{number}"] = pa.array(values, mask=chance.random(rows) < 0.02)
    odds = numbers[0] + numbers[1] * numbers[2] + np.sin(3 * numbers[3]) + (columns["place"] % 7 - 3) / 3
    columns["late"] = (chance.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    columns["_day"] = pa.array(moments.astype("datetime64[D]"))
    return pa.table(columns)


def _features(name: str, entities: int, numbers: int, chance: np.random.Generator) -> pa.Table:
    """Return what is known of each entity from every tenth day on."""
    days = np.arange(0, TAUGHT_DAYS + DAYS + 1, 10)
    moments = np.repeat(np.datetime64(START.replace(tzinfo=None), "us") + days * np.timedelta64(1, "D"), entities)
    rows = len(moments)
    columns: dict[str, Any] = {
        name: np.tile(np.arange(entities), len(days)),
        "time": pa.array(moments).cast(pa.timestamp("us", "UTC")),
    }
    for number in range(numbers):
        columns[f"{name}_{number}"] = pa.array(chance.normal(size=rows), mask=chance.random(rows) < 0.02)
    if name == "place":
        columns["place_kind"] = pa.array(np.array(["shop", "market", "stall"])[chance.integers(0, 3, rows)])
    columns["_day"] = pa.array(moments.astype("datetime64[D]"))
    return pa.table(columns)


def _said(holds: bool, what: str) -> bool:
    print(f"  {'holds' if holds else 'FAILS'}: {what}")
    return holds


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["predict", folder, rows]:
            print(json.dumps(predicting(Path(folder), int(rows))))
        case ["job", folder, limit]:
            print(json.dumps(whole_job(Path(folder), limit)))
        case rest:
            compare(int(rest[0]) if rest else 5, int(rest[1]) if len(rest) > 1 else ROWS)
