"""A shop whose releases take over in steps, and requests that were served meanwhile: real logs, real tables, no server."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.place import Place
from headrace.declaration import ProductDeclaration
from headrace.rollout.evidence import Plan
from headrace.rollout.state import Rollout, assigned
from headrace.store.releases import Release
from headrace.store.site import Site

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
"""When a test's first release is taken to go live, and a rollout to begin."""
MINUTE = timedelta(minutes=1)
QUICK = {"steps": ["50%"], "bake": "10m"}

ORDERS = pa.schema({"order_id": pa.string(), "at": pa.timestamp("us", "UTC"), "returned": pa.int8()})


def declared(**canary: Any) -> ProductDeclaration:
    """Return the shop, with what is said of its canary."""
    return ProductDeclaration.model_validate(
        {
            "product": "shop",
            "start": "2024-05-01",
            "sources": {"orders": {"files": "landing/orders/*.csv"}},
            "label": {
                "sql": "label.sql",
                "entity": "order_id",
                "time": "at",
                "column": "returned",
                "known_after": "1d",
            },
            "model": {"split": {"test": "10d"}},
            "serve": {"online": {}, "canary": canary},
        }
    )


def make_shop(folder: Path, **canary: Any) -> tuple[Site, Plan]:
    """Return a site and its plan, where nothing is live yet."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "label.sql").write_text("select * from orders")
    site, plan = open_shop(folder, **canary)
    site.tables.replace("shop/validated/orders", ORDERS.empty_table())
    return site, plan


def open_shop(folder: Path, **canary: Any) -> tuple[Site, Plan]:
    """Return a site that is there, and its plan."""
    product = declared(**canary)
    assert product.label
    assert product.model
    assert product.serve.canary
    return Site(product, folder, Place.at(folder)), Plan(product.serve.canary, product.label, product.model)


def release(site: Site, name: str, stages: Sequence[str] | None = None, *, at: datetime = NOON) -> Release:
    """Let a model of some bytes go live, by the product's steps where another is live."""
    decisions = site.releases.all("shop")
    digest = site.models.put({"model.txt": name.encode()})
    steps = site.product.stages if stages is None else stages
    fact = {"outcome": "released", "model": digest, "at": at, "who": "a test", "why": "to see", "evidence": {}}
    staged = {"stages": list(steps)} if steps and site.releases.live("shop") else {}
    return site.releases.decide("shop", fact | staged, after=len(decisions))


@dataclass(frozen=True)
class Traffic:
    """How requests go; by default both models do alike."""

    requests: int = 2000
    errors: tuple[float, float] = (0.0, 0.0)
    milliseconds: tuple[float, float] = (20.0, 20.0)
    scores: tuple[float, float] = (0.3, 0.3)
    """Mean scores of champion and candidate."""
    customers: int | None = None
    """How many entities ask; by default each asks once."""
    seed: int = 0


def serve(
    site: Site, rollout: Rollout, traffic: Traffic, *, at: datetime, more: Callable[[int], Any] | None = None
) -> None:
    """Write down requests as the server does, one row each, and a second where the candidate scores in the shadow."""
    chance = np.random.default_rng(traffic.seed)
    rows = [row for number in range(traffic.requests) for row in _rows(rollout, traffic, chance, number, at)]
    table = pa.Table.from_pylist(rows, schema=SERVED)
    if more:
        table = table.append_column("customer", pa.array([more(int(r["request"].split("-")[1])) for r in rows]))
    before = site.tables.read("shop/predictions/online") if site.tables.exists("shop/predictions/online") else None
    site.tables.replace("shop/predictions/online", pa.concat_tables([before, table]) if before is not None else table)


SERVED = pa.schema(
    {
        "request": pa.string(),
        "row": pa.int32(),
        "at": pa.timestamp("us", "UTC"),
        "received": pa.timestamp("us", "UTC"),
        "entity": pa.string(),
        "release": pa.int64(),
        "model": pa.string(),
        "role": pa.string(),
        "status": pa.int32(),
        "degraded": pa.bool_(),
        "score": pa.float64(),
        "milliseconds": pa.float64(),
        "key": pa.string(),
        "worker": pa.string(),
        "_day": pa.date32(),
    }
)


def _rows(rollout: Rollout, traffic: Traffic, chance: Any, number: int, at: datetime) -> list[dict[str, Any]]:
    entity = f"o{number % (traffic.customers or traffic.requests):05d}"
    mine = assigned(rollout, entity.encode()) == "candidate"
    arms = [0, 1] if rollout.shadow else [int(mine)]
    price, luck, spread = chance.normal(), chance.random(), np.exp(0.3 * chance.normal())
    return [
        {
            "request": f"{at:%H%M}-{number}",
            "row": 0,
            "at": at,
            "received": at + timedelta(milliseconds=number),
            "entity": entity,
            "release": (rollout.champion, rollout.candidate)[arm].number,
            "model": (rollout.champion, rollout.candidate)[arm].model,
            "role": "live" if arm == 0 else "shadow" if rollout.shadow else "canary",
            "status": 503 if luck < traffic.errors[arm] else 200,
            "degraded": False,
            "score": None if luck < traffic.errors[arm] else traffic.scores[arm] + 0.1 * price + 0.01 * chance.normal(),
            "milliseconds": traffic.milliseconds[arm] * spread,
            "key": "k",
            "worker": "w",
            "_day": at.date(),
        }
        for arm in arms
    ]
