"""A shop whose live model is served: two columns come with a request, two are looked up by its customer."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.contracts.declaration import Contract
from headrace.core.declaration import Identity
from headrace.core.place import Place
from headrace.features.declaration import Feature, Label
from headrace.features.graph import Graph
from headrace.online.publish import Published, publish
from headrace.releases.release import Request, release_model
from headrace.rollout.advance import advance
from headrace.rollout.declaration import Canary
from headrace.rollout.evidence import Plan
from headrace.serving.declaration import Serve
from headrace.serving.gatherer import Gatherer
from headrace.serving.prepare import served_of
from headrace.serving.served import Served
from headrace.serving.server import Chore, Listening, serve
from headrace.sources.declaration import Source
from headrace.store.online import open_online
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, SPRING, gates, judged, model, orders, shop, trained
from platform_tests.waiting import eventually

CUSTOMERS = 50
FEATURES = {"habit": Feature.model_validate({"sql": "habit.sql", "entity": "customer"})}
COMPUTED = FEATURES | {"basket": Feature.model_validate({"on_request": "basket.sql"})}
FILES = {
    "label.sql": 'select order_id, "at", customer, price, country, upper(country) as land, gift, returned from orders',
    "habit.sql": "select customer, count(*) as visits, avg(price) as mean from orders group by customer",
    "basket.sql": "select price * habit_visits as worth from request",
}
CONTRACT = Contract.model_validate(
    {
        "columns": {
            "order_id": {"type": "string", "unique": True},
            "at": {"type": "timestamp"},
            "customer": {"type": "string", "matches": "c[0-9]{1,3}"},
            "price": {"type": "double", "nullable": True, "min": -100, "max": 100},
            "country": {"type": "string", "one_of": ["DE", "FR", "PT"]},
            "gift": {"type": "boolean"},
            "noise": {"type": "double"},
            "returned": {"type": "boolean"},
        }
    }
)
ROW = {"customer": "c7", "price": 1.5, "country": "PT", "land": "PT", "gift": False}
DEADLINE = 60.0
FREE = {"per_key": None, "per_address": None}
"""Tests ask more than anybody may by default."""


def training_rows(*, computed: bool = False, seed: int = 0) -> pa.Table:
    """Return the training set: orders with their customer and what is known of it."""
    rows = orders(seed=seed).drop_columns(["noise"])
    customers = [f"c{number % CUSTOMERS}" for number in range(rows.num_rows)]
    visits = np.array([40 + number % CUSTOMERS for number in range(rows.num_rows)])
    rows = rows.append_column("customer", pa.array(customers))
    rows = rows.append_column("land", rows["country"])
    rows = rows.append_column("habit_visits", pa.array(visits, pa.int64()))
    rows = rows.append_column("habit_mean", pa.array(visits / 10.0))
    worth = rows["price"].to_numpy() * visits
    return rows.append_column("basket_worth", pa.array(worth, from_pandas=True)) if computed else rows


def bar(folder: Path, *, address: str | None = None, computed: bool = False) -> Site:
    """Return the shop with a training set, published features, and nothing live."""
    site = shop(folder, training_rows(computed=computed), start=SPRING.date())
    site = Site(site.product, folder, Place.at(folder, online_server=address))
    for name, text in FILES.items():
        (folder / name).write_text(text)
    site.tables.replace("shop/validated/orders", training_rows())
    known = {"customer": [f"c{n}" for n in range(CUSTOMERS)], "visits": [40 + n for n in range(CUSTOMERS)]}
    habit = pa.table({**known, "mean": [(40 + n) / 10.0 for n in range(CUSTOMERS)]})
    site.tables.replace("shop/features/habit", habit.rename_columns(["customer", "habit_visits", "habit_mean"]))
    published(site, computed=computed)
    return site


def published(site: Site, *, computed: bool = False, **declared: Any) -> Published:
    """Publish the features."""
    serve = Serve.model_validate({"online": declared})
    assert serve.online
    store = open_online(site.place, "shop")
    try:
        return publish(site, COMPUTED if computed else FEATURES, LABEL, serve.online, store)
    finally:
        store.close()


def released(site: Site, trees: int = 20) -> str:
    """Train and release a model, and return its digest."""
    digest = trained(site, model(trees=trees, ignore=["customer", "land"]))
    judged(site, digest, "auc >= 0.6")
    release_model(site, Request(digest, "a test", "to see", by_name=True), gates("auc >= 0.6"))
    return digest


def graph(label: Label = LABEL) -> Graph:
    """Return what the shop declares."""
    source = Source.model_validate({"files": "orders.csv", "time": "at"})
    return Graph({"orders": source}, {"orders": CONTRACT}, FEATURES, label)


def served(site: Site, **declared: Any) -> Served:
    """Return the shop as it is served."""
    return served_of(site, graph(), model(), Serve.model_validate({"online": {}, "limits": FREE} | declared))


@dataclass(frozen=True)
class Reply:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        """Its JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Running:
    """A server of its own process, and what it says."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    def ask(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None, method: str = "") -> Reply:
        """Send a request; a body that is not bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, dict(headers or {}))
        if method:
            request.method = method
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                return Reply(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())

    def stop(self) -> int:
        """End it as an operator does, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


@contextmanager
def running(
    site: Site, declared: Served | None = None, *, port: int, workers: int = 1, keys: bool = False
) -> Iterator[Running]:
    """Yield a server of the shop that answers."""
    facts = (declared or served(site)).model_dump_json()
    log = site.place.root / f"server-{port}.log"
    command = [
        sys.executable,
        "-m",
        "platform_tests.serving.bar",
        str(site.place.root),
        str(port),
        str(workers),
        "keys" if keys else "open",
        facts,
    ]
    environment = dict(os.environ) | ({"SHOP_ONLINE": site.place.online_server} if site.place.online_server else {})
    with (
        log.open("w") as file,
        subprocess.Popen(command, stdout=file, stderr=file, text=True, env=environment) as process,
    ):
        server = Running(process, port, log)
        try:
            until(lambda: answers(server))
            yield server
        finally:
            if process.poll() is None:
                server.stop()


def answers(server: Running) -> bool:
    """Return whether a server answers; raises AssertionError with its log where it has ended."""
    assert server.process.poll() is None, server.log.read_text()
    try:
        return server.ask("/healthz").status == 200
    except OSError:
        return False


def until(holds: Any, seconds: float = DEADLINE) -> None:
    """Wait until a condition holds; raises AssertionError when the time is over."""
    assert eventually(holds, seconds), "it did not come to hold in time"


def main(root: Path, port: int, workers: int, *, keys: bool, facts: str) -> None:
    """Serve the shop until it is stopped."""
    place = Place.at(root, online_server=os.environ.get("SHOP_ONLINE"))
    site = Site(Identity(product="shop"), root, replace(place, traces_to=os.environ.get("SHOP_TRACES")))
    chores: list[Chore] = [Gatherer(site)]
    if "SHOP_CANARY" in os.environ:
        plan = Plan(Canary.model_validate_json(os.environ["SHOP_CANARY"]), LABEL, model())
        chores.append(lambda _: advance(site, plan, datetime.now(UTC)))
    listening = Listening(port=port, workers=workers, keys=keys, access_log="SHOP_ACCESS_LOG" in os.environ)
    serve(Served.model_validate_json(facts), site.place, listening, chores)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), keys=sys.argv[4] == "keys", facts=sys.argv[5])
