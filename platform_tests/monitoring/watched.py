"""The shop of the model tests with a live model that has scored its orders: what monitoring watches."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import Days
from headrace.monitoring.declaration import Monitors
from headrace.releases.release import Request, release_model
from headrace.serving.score import score_days
from headrace.sources.declaration import Source
from headrace.store.releases import Release
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, SPRING, gates, judged, model, orders, shop, trained

FIRST, LAST = date(2024, 3, 31), date(2024, 4, 9)
SOURCES = {"orders": Source(files="landing/orders/*.csv", time="at", partition="day", fresh_within=timedelta(hours=36))}
Change = Callable[[pa.Table], pa.Table]


def at(site: Site, moment: datetime) -> None:
    """Let the shop's clock stand at a moment."""
    site.place.replay_clock.parent.mkdir(parents=True, exist_ok=True)
    site.place.replay_clock.write_text(moment.isoformat())


def open_shop(folder: Path, **identity: Any) -> Site:
    """Return a shop with forty days of orders whose clock stands at the end of the thirtieth."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "label.sql").write_text("select * from orders")
    site = shop(folder, **{"clock": "replay", "start": SPRING.date(), **identity})
    site.tables.replace("shop/validated/orders", orders())
    at(site, SPRING + timedelta(days=30))
    return site


def release(site: Site, why: str = "a test", trees: int = 20) -> Release:
    """Train, judge and release a model."""
    digest = trained(site, model(trees=trees))
    judged(site, digest, "auc >= 0.6")
    return release_model(site, Request(digest, "a person", why), gates("auc >= 0.6"))


def score(site: Site, first: date = FIRST, last: date = LAST) -> None:
    """Let the live model score some days once they are over and all their labels are known."""
    days = Days(first, last)
    at(site, datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=2))
    rows = site.tables.widen("shop/predictions/batch", score_days(site, {}, LABEL, days).rows)
    site.tables.replace("shop/predictions/batch", rows, days=days)


def watched_shop(folder: Path, change: Change | None = None, **identity: Any) -> Site:
    """Return a shop whose live model has scored ten days of orders, changed in some way if asked."""
    site = open_shop(folder, **identity)
    release(site)
    if change:
        site.tables.replace("shop/validated/orders", change(orders()))
    score(site)
    return site


def shifted(rows: pa.Table, by: float = 3.0) -> pa.Table:
    """Return the orders, dearer from the first scored day on."""
    return _changed(rows, "price", lambda price, late: np.where(late, price + by, price))


def without_price(rows: pa.Table) -> pa.Table:
    """Return the orders, half of them without a price from the first scored day on."""
    half = np.arange(rows.num_rows) % 2 == 0
    return _changed(rows, "price", lambda price, late: np.where(late & half, np.nan, price))


def misjudged(rows: pa.Table) -> pa.Table:
    """Return the orders with all answers turned around from the first scored day on."""
    turned = _changed(rows, "returned", lambda answers, late: np.where(late, 1 - answers, answers))
    return turned.set_column(turned.column_names.index("returned"), "returned", turned["returned"].cast(pa.int8()))


def monitors(**changes: Any) -> Monitors:
    """Return what the shop watches: three days of drift, a floor, but for the changes."""
    declared = {"drift": {"window": "3d", "psi": 0.25}, "quality": {"floor": 0.6}}
    return Monitors.model_validate(declared | changes)


def _changed(rows: pa.Table, column: str, change: Callable[[Any, Any], Any]) -> pa.Table:
    late = pc.greater_equal(rows["at"].cast(pa.date32()), pa.scalar(FIRST)).to_numpy()
    values = change(rows[column].to_numpy(), late)
    return rows.set_column(rows.column_names.index(column), column, pa.array(values, from_pandas=True))
