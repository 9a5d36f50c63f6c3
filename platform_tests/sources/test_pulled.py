"""Rows that dlt pulls from a real HTTP server: each exactly once, by its state in the commit that holds them."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import dagster as dg
import pytest
from pydantic import ValidationError

from headrace.core.errors import DeclarationError, StoreError
from headrace.sources.assets import source_assets
from headrace.sources.declaration import Source
from headrace.sources.ingest import ingest
from headrace.sources.ingested import Ingested
from headrace.sources.pending import pending_files
from headrace.store.site import Site
from platform_tests.sources.ferries import ferry_line

ROOT = Path(__file__).parents[2]
RAW = "ferry/raw/orders"
SOURCE = Source(dlt="shop_api.py:orders", time="sold_at", partition="day", every=timedelta(seconds=10))
API = """
import dlt
from dlt.sources.helpers import requests

@dlt.resource(primary_key="id", write_disposition="DISPOSITION")
def orders(changed=dlt.sources.incremental("changed", initial_value=0)):
    page, since = 1, changed.last_value
    while page:
        answer = requests.get("URL", params={"since": since, "page": page}).json()
        yield answer["rows"]
        page = answer["next"]

@dlt.source
def two():
    return [orders, orders.with_name("others")]

def nothing():
    return 7
"""
WORK = """
import sys
from pathlib import Path
from platform_tests.sources.test_pulled import take_orders
from platform_tests.sources.ferries import ferry_line
take_orders(ferry_line(Path(sys.argv[1])))
"""


class Shop(ThreadingHTTPServer):
    """Serves its orders by pages of two, from a change number on."""

    orders: list[dict[str, Any]]

    def sell(self, *ids: int, changed: int, ship: str = "Ada", day: str = "2013-03-05") -> None:
        """Add orders, or change those that are there."""
        there = {row["id"]: row for row in self.orders}
        new = {i: {"id": i, "ship": ship, "price": 1.5, "sold_at": f"{day}T12:00:00", "changed": changed} for i in ids}
        self.orders = sorted((there | new).values(), key=lambda row: (row["changed"], row["id"]))


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Shop)
        asked = parse_qs(urlparse(self.path).query)
        page, since = int(asked["page"][0]), int(asked["since"][0])
        rows = [row for row in self.server.orders if row["changed"] >= since]
        following = page + 1 if len(rows) > 2 * page else None
        body = json.dumps({"rows": rows[2 * (page - 1) : 2 * page], "next": following}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop(("127.0.0.1", 0), Pages) as server:
        server.orders = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def site_of(root: Path, shop: Shop, disposition: str = "merge") -> Site:
    site = ferry_line(root)
    url = f"http://127.0.0.1:{shop.server_address[1]}/orders"
    (site.folder / "shop_api.py").write_text(API.replace("URL", url).replace("DISPOSITION", disposition))
    return site


def take_orders(site: Site, source: Source = SOURCE) -> Ingested:
    return ingest(site, "orders", source)


def held(site: Site, *columns: str) -> list[tuple[Any, ...]]:
    rows = site.tables.read(RAW, columns=list(columns))
    return sorted(zip(*(rows[column].to_pylist() for column in columns), strict=True))


def test_rows_come_from_where_the_last_commit_ended(tmp_path: Path, shop: Shop) -> None:
    site = site_of(tmp_path, shop, "append")
    shop.sell(1, 2, 3, changed=1)
    first = take_orders(site)
    assert (first.files, first.rows, first.days) == (["shop_api.py:orders#000001"], 3, (date(2013, 3, 5),))
    assert take_orders(site).rows == 0
    shop.sell(4, changed=1)
    shop.sell(5, changed=2)
    assert take_orders(site).rows == 2
    assert held(site, "id", "price") == [(str(n), "1.5") for n in range(1, 6)]


def test_the_state_stands_in_the_commit_of_its_rows(tmp_path: Path, shop: Shop) -> None:
    site = site_of(tmp_path, shop)
    shop.sell(1, changed=7)
    take_orders(site)
    record = json.loads(site.tables.history(RAW)[0]["headrace.window"])
    assert (record["number"], record["rows"]) == (1, 1)
    assert '"last_value":7' in record["state"]


def test_a_changed_row_takes_the_place_of_its_earlier_version(tmp_path: Path, shop: Shop) -> None:
    site = site_of(tmp_path, shop)
    shop.sell(1, 2, changed=1)
    take_orders(site)
    shop.sell(1, changed=2, ship="Bea", day="2013-03-06")
    assert take_orders(site).days == (date(2013, 3, 5), date(2013, 3, 6))
    assert held(site, "id", "ship") == [("1", "Bea"), ("2", "Ada")]


def test_a_resource_that_replaces_is_the_whole_table(tmp_path: Path, shop: Shop) -> None:
    site = site_of(tmp_path, shop, "replace")
    shop.sell(1, 2, changed=1)
    take_orders(site)
    shop.sell(3, changed=2)
    take_orders(site)
    assert held(site, "id") == [("3",)]


@pytest.mark.slow
@pytest.mark.parametrize("disposition", ["append", "merge"])
@pytest.mark.parametrize("point", ["before_staging", "committed"])
def test_a_kill_at_each_failpoint_loses_and_doubles_nothing(
    tmp_path: Path, shop: Shop, point: str, disposition: str
) -> None:
    site = site_of(tmp_path, shop, disposition)
    shop.sell(*range(10), changed=1)
    take_orders(site)
    shop.sell(*range(10, 20), changed=2)
    path = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": path, "FAILPOINT": point}
    done = subprocess.run([sys.executable, "-c", WORK, str(tmp_path)], env=env, check=False)
    assert done.returncode == -signal.SIGKILL
    take_orders(site)
    ids = [number for (number,) in held(site, "id")]
    assert len(ids) == len(set(ids)) == 20


def test_the_sensor_asks_for_what_is_new_once(tmp_path: Path, shop: Shop) -> None:
    site = site_of(tmp_path, shop)
    shop.sell(1, changed=1)
    found = pending_files(site, {"orders": SOURCE}, {}, 0.0, {})
    assert found.touched == {date(2013, 3, 5)}
    assert pending_files(site, {"orders": SOURCE}, found.seen, 10.0, found.looked).files == {}
    take_orders(site)
    assert pending_files(site, {"orders": SOURCE}, {}, 0.0, {}).files == {}


def test_the_asset_takes_them(tmp_path: Path, shop: Shop) -> None:
    site = site_of(tmp_path, shop)
    shop.sell(1, changed=1)
    tags = {f"dagster/asset_partition_range_{end}": "2013-03-05" for end in ("start", "end")}
    assert dg.materialize(source_assets(site, {"orders": SOURCE}), tags=tags).success
    assert held(site, "id") == [("1",)]


def test_rows_whose_state_is_gone_are_not_pulled_again(tmp_path: Path, shop: Shop) -> None:
    site = site_of(tmp_path, shop)
    shop.sell(1, changed=1)
    take_orders(site)
    rows = site.tables.read(RAW)
    site.tables.replace(RAW, rows.slice(0, 0))
    site.tables.replace(RAW, rows)
    with pytest.raises(StoreError, match="no record of the dlt state"):
        take_orders(site)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("shop_api.py:two", r"makes 2 resources \(orders, others\)"),
        ("shop_api.py:nothing", "returns int: it should return a dlt resource"),
        ("shop_api.py:ordres", "has no function 'ordres'. Did you mean 'orders'"),
        ("shop_ap.py:orders", "Did you mean 'shop_api.py'"),
    ],
)
def test_a_function_that_is_none_is_named(tmp_path: Path, shop: Shop, place: str, words: str) -> None:
    site = site_of(tmp_path, shop)
    with pytest.raises(DeclarationError, match=words):
        take_orders(site, SOURCE.model_copy(update={"dlt": place}))


def test_a_place_outside_of_the_declarations_folder_is_refused() -> None:
    with pytest.raises(ValidationError, match="should match pattern"):
        Source.model_validate({"dlt": "../x.py:orders"})
