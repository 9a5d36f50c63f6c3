"""What the report and the summary say: gathered at every stage of a product's life."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from headrace.core.errors import Refused, StoreError
from headrace.monitoring.facts import MOST_REASONS, ProductFacts, alarming, newest_drift, product_facts
from headrace.store.evaluations import kind_of, record
from headrace.store.site import Site
from platform_tests.models.shop import LABEL
from platform_tests.monitoring.watched import SOURCES, monitors, open_shop, release, score, watched_shop

DRIFT = pa.schema({"day": pa.date32(), "column": pa.string(), "measure": pa.string(), "value": pa.float64(),
                   "limit": pa.float64(), "rows": pa.int64(), "model": pa.string()})  # fmt: skip


def facts(site: Site, **changes: Any) -> ProductFacts:
    return product_facts(site, SOURCES, LABEL, monitors(**changes))


def moved(column: str, value: float, model: str, day: int = 9, limit: float = 0.25) -> dict[str, Any]:
    return {"day": date(2024, 4, day), "column": column, "measure": "psi", "value": value, "limit": limit, "rows": 150,
            "model": model}  # fmt: skip


def land(site: Site, days: list[date | None], reasons: list[str]) -> None:
    count = len(days)
    site.tables.replace("shop/raw/orders", pa.table({
        "at": ["2024-04-09T12:00:00Z"] * count, "_row": pa.array(range(count), pa.int64()), "_day": pa.array(days, pa.date32()),
    }))  # fmt: skip
    quarantined = pa.table(
        {"_reason": pa.array(reasons, pa.string()), "_day": pa.array([days[0]] * len(reasons), pa.date32())}
    )
    site.tables.replace("shop/quarantine/orders", quarantined)


def test_before_anything_arrived_all_is_empty(tmp_path: Path) -> None:
    found = facts(open_shop(tmp_path))
    assert (found.live, found.decisions, found.trainings, found.months) == (None, [], [], {})
    assert (found.quality, found.drift, found.spread) == ([], [], None)
    [arrived] = found.arrived
    assert (arrived.rows, arrived.by_day, arrived.quarantined) == (0, {}, 0)
    assert arrived.freshness is not None
    assert not arrived.freshness.fresh


def test_rows_are_counted_by_day_and_reasons_by_how_often_they_were_given(tmp_path: Path) -> None:
    site = open_shop(tmp_path)
    first, second = date(2024, 4, 1), date(2024, 4, 2)
    land(site, [second, first, second, None], ["price: x is no number"] * 3 + ["country: XX is none of DE"])
    [arrived] = facts(site).arrived
    assert (arrived.rows, arrived.by_day, arrived.quarantined) == (4, {first: 1, second: 2}, 4)
    assert list(arrived.by_day) == [first, second]
    assert arrived.reasons == {"price: x is no number": 3, "country: XX is none of DE": 1}


def test_of_very_many_reasons_the_most_given_ones_are_told(tmp_path: Path) -> None:
    site = open_shop(tmp_path)
    land(site, [date(2024, 4, 1)], ["often"] * 3 + [f"reason {i}" for i in range(100)])
    [arrived] = facts(site).arrived
    assert arrived.quarantined == 103
    assert len(arrived.reasons) == MOST_REASONS
    assert next(iter(arrived.reasons)) == "often"


def test_the_live_model_comes_with_what_it_was_trained_and_judged_on(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    found = facts(site)
    assert found.live is not None
    assert found.live.release == site.releases.live("shop")
    assert found.live.judgement is not None
    assert (found.live.meta.rows, found.live.judgement.evaluation.overall.rows) == (1450, 500)
    assert next(iter(found.live.importance)) in {"price", "country"}


def test_an_evaluation_that_is_not_the_live_models_is_not_told_as_its_own(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    [*_, released] = site.releases.all("shop")
    digest = released.model
    known = site.models.recorded(digest, kind_of(site)) or {}
    site.models.record(digest, kind_of(site), {**known, "model": "another"})
    with pytest.raises(StoreError, match="is not the one that was written"):
        facts(site)
    record(site, digest, {"model": digest})
    with pytest.raises(Refused, match="cannot be read"):
        facts(site)


def test_scores_are_counted_by_what_came_true(tmp_path: Path) -> None:
    spread = facts(watched_shop(tmp_path)).spread
    assert spread is not None
    positives, negatives = sum(spread.positives), sum(spread.negatives)
    assert 450 <= positives + negatives <= 500
    middle = len(spread.positives) // 2
    assert sum(spread.positives[middle:]) / positives > sum(spread.negatives[middle:]) / negatives


def test_until_a_new_model_has_labels_the_spread_is_that_of_the_one_before(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    before = facts(site).spread
    release(site, trees=10)
    assert facts(site).spread == before


def test_drift_is_told_of_the_live_model_alone_the_farthest_first(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    live = site.releases.live("shop")
    assert live is not None
    rows = [moved("price", 9.0, "another"), moved("price", 0.3, live.model, 8), moved("noise", 0.1, live.model),
            moved("price", 0.5, live.model), moved("gift", 0.4, live.model, limit=0.1)]  # fmt: skip
    site.tables.replace("shop/monitoring/drift", pa.Table.from_pylist(rows, schema=DRIFT))
    found = facts(site)
    assert [(row["column"], row["value"]) for row in newest_drift(found)] == [
        ("gift", 0.4),
        ("price", 0.5),
        ("noise", 0.1),
    ]
    assert [row["column"] for row in alarming(found)] == ["gift", "price"]
    quiet = facts(site, drift={"ignore": ["gift"]})
    assert [row["column"] for row in alarming(quiet)] == ["price"]


def test_now_is_the_products_clock(tmp_path: Path) -> None:
    site = open_shop(tmp_path)
    release(site)
    score(site)
    assert facts(site).now == datetime(2024, 4, 11, tzinfo=UTC)


@pytest.mark.parametrize("partition", ["day", None])
def test_a_source_without_days_is_counted_as_a_whole(tmp_path: Path, partition: Any) -> None:
    site = open_shop(tmp_path)
    land(site, [date(2024, 4, 1)] * 3, [])
    source = SOURCES["orders"].model_copy(update={"partition": partition})
    [arrived] = product_facts(site, {"orders": source}, LABEL, monitors()).arrived
    assert arrived.rows == 3
    assert bool(arrived.by_day) is (partition == "day")
