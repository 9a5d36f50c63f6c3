"""The numbers of a product, against the same by hand."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from headrace.core.declaration import Identity
from headrace.core.place import Place
from headrace.incidents.incident import Moment
from headrace.incidents.note import Alarm, close, note_alarm
from headrace.models.origin import ORIGIN
from headrace.numbers.declaration import Numbers
from headrace.numbers.keep import exposition, numbers_over_time, textfile, with_numbers, write_textfile
from headrace.numbers.measure import Declared, Work, cost, costs, product_numbers
from headrace.numbers.number import MEANING, Number
from headrace.serving.declaration import Price
from headrace.sources.declaration import Source
from headrace.store.releases import Release
from headrace.store.site import Site

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PRICE = Price(cpu_hour=0.5, gigabyte=2.0, currency="EUR")
A, B = "a" * 64, "b" * 64


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(Identity(product="shop", timezone="Europe/Berlin"), tmp_path, Place.at(tmp_path))


def measured(site: Site, work: dict[str, Work] | None = None, **more: Any) -> dict[tuple[str, str], Number]:
    declared = Declared(Numbers(), **{"sources": {}, **more})
    return {(one.name, one.of): one for one in product_numbers(site, declared, work or {}, NOON)}


def decide(site: Site, outcome: str, hours: float, model: str = A, **more: Any) -> Release:
    facts = {
        "outcome": outcome,
        "model": model,
        "at": NOON + hours * HOUR,
        "who": "ada",
        "why": "a test",
        "evidence": {},
    }
    return site.releases.decide("shop", {**facts, **more}, after=len(site.releases.all("shop")))


def test_a_product_without_anything_has_no_made_up_number(site: Site) -> None:
    found = measured(site)
    assert {name: number.value for (name, _), number in found.items()} == {
        "deployment_frequency": 0.0,
        "retraining_frequency": 0.0,
        "open_incidents": 0.0,
    }


def test_latency_is_of_requests_that_were_answered_not_of_their_rows_or_shadows(site: Site) -> None:
    times = np.random.default_rng(7).gamma(2, 5, 400)
    rows = [
        {"request": f"r{n}", "received": NOON - HOUR, "role": "live", "status": 200, "milliseconds": t}
        for n, t in enumerate(times)
        for _ in range(1 + n % 3)
    ]
    rows += [{**rows[0], "request": "s", "role": "shadow", "milliseconds": 9e9}]
    rows += [{**rows[0], "request": "e", "status": 503, "milliseconds": 9e9}]
    rows += [{**rows[0], "request": "o", "received": NOON - timedelta(days=31), "milliseconds": 9e9}]
    table = pa.Table.from_pylist(rows).append_column("_day", pa.array([date(2026, 3, 1)] * len(rows)))
    site.tables.replace("shop/predictions/online", table)
    found = measured(site)
    for name, share in (("p95", 95), ("p99", 99)):
        number = found["prediction_latency", name]
        assert number.value == pytest.approx(np.percentile(times, share))
        assert number.count == 400


def test_quality_and_drift_are_those_of_the_live_model_on_its_newest_day(site: Site) -> None:
    decide(site, "released", -50)
    days = [date(2026, 2, 26), date(2026, 2, 27), date(2026, 2, 28)]
    quality = [
        {"day": d, "metric": "auc", "value": v, "rows": 9, "model": m, "by": ""}
        for d, v, m in zip(days, (0.7, 0.8, None), (A, A, A), strict=True)
    ]
    quality.append({**quality[0], "day": date(2026, 3, 1), "value": 0.1, "model": B})
    quality.append({**quality[0], "day": days[1], "value": 0.2, "by": "country"})
    quality.append({**quality[0], "day": days[1], "metric": "log_loss", "value": 0.5})
    site.tables.replace("shop/monitoring/quality", pa.Table.from_pylist(quality))
    drift = [
        {"day": d, "column": "price", "measure": measure, "value": v, "limit": 0.2, "rows": 9, "model": A}
        for d, v, measure in ((days[0], 3.0, "psi"), (days[1], 0.1, "psi"), (days[1], 0.9, "missing"))
    ]
    site.tables.replace("shop/monitoring/drift", pa.Table.from_pylist(drift))
    found = measured(site)
    assert found["realized_quality", "auc"].value == 0.8
    assert found["realized_quality", "log_loss"].value == 0.5
    assert found["drift_score", "price"].value == 0.1


def test_estimated_quality_is_the_newest_that_could_be_estimated_and_counts_of_rows_are_none(site: Site) -> None:
    decide(site, "released", -50)
    known = {"model": A, "rows": 500}
    rows = [
        {**known, "day": date(2026, 2, day), "metric": metric, "value": value}
        for day, metric, value in ((26, "auc", 0.7), (27, "auc", 0.8), (28, "auc", None), (27, "true_positives", 40.0))
    ]
    site.tables.replace("shop/monitoring/estimated", pa.Table.from_pylist(rows))
    found = {key: number for key, number in measured(site).items() if key[0] == "estimated_quality"}
    assert found == {("estimated_quality", "auc"): Number("estimated_quality", 0.8, "auc", "auc", 500)}


def test_freshness_is_the_age_of_each_sources_newest_row(site: Site) -> None:
    rows = pa.table({"at": pa.array([NOON - timedelta(days=9999)], pa.timestamp("us", "UTC"))})
    site.tables.replace("shop/raw/orders", rows)
    sources = {
        "orders": Source(files="landing/orders/*.csv", time="at", partition="day", fresh_within=timedelta(days=1))
    }
    age = (site.clock.now() - NOON) / HOUR + 9999 * 24
    assert measured(site, sources=sources)["freshness", "orders"].value == pytest.approx(age, abs=0.1)


def test_deployments_are_counted_as_dora_does(site: Site) -> None:
    decide(site, "released", -24 * 40)
    for hours, model in ((-50, A), (-40, B), (-30, A), (-20, B)):
        decide(site, "released", hours, model)
    decide(site, "refused", -19)
    decide(site, "rolled back", -14, A, replaces=5, back_to=4)
    for hours in (-24 * 31, -3, -2):
        site.trainings.add({"at": (NOON + hours * HOUR).isoformat(), "reasons": []})
    found = measured(site)
    assert found["deployment_frequency", ""].value == 4
    assert found["deployment_failure_rate", ""].value == 1 / 4
    assert found["deployment_recovery_hours", ""].value == 6
    assert found["retraining_frequency", ""].value == 2


def test_lead_time_is_from_the_landing_of_the_newest_data_to_the_release(site: Site) -> None:
    for value in (1, 2):
        site.tables.replace("shop/raw/orders", pa.table({"value": [value]}))
    old, new = (version.at for version in site.tables.versions("shop/raw/orders"))
    assert old <= new
    versions = {"shop/raw/orders": 1, "shop/validated/orders": 0}
    site.models.record(A, f"{ORIGIN}.shop", {"versions": versions, "before": None})
    released = decide(site, "released", 0)
    lead = measured(site)["lead_time_hours", ""].value
    assert lead == pytest.approx((released.at - new) / HOUR)


def test_incidents_say_how_long_it_took_to_notice_and_to_mend(site: Site) -> None:
    for of, first in (("a", 4), ("b", 2)):
        now = Moment(NOON, NOON)
        note_alarm(site, Alarm("drift", of, "", now, f"check {of}", NOON - first * HOUR), lambda _: ())
    closed = close(site, 1, "cents", "ada", NOON)
    found = measured(site)
    assert found["time_to_detect_hours", ""].value == 3
    assert closed.restored_in is not None
    assert found["time_to_restore_hours", ""].value == pytest.approx(closed.restored_in / HOUR)
    assert found["open_incidents", ""].value == 1


def test_costs_are_processor_hours_and_gigabytes_at_their_prices() -> None:
    work = {
        "training/set": Work(2, 1800.0, 10**9),
        "model/candidate": Work(2, 5400.0, 0),
        "predictions/batch": Work(3, 3600.0, 5 * 10**8, new_rows=50_000),
        "raw/orders": Work(1, 360.0, 0),
    }
    found = {(one.name, one.of): one.value for one in costs(work, PRICE)}
    assert found["cost", "training/set"] == pytest.approx(0.25 + 2)
    assert found["cost_per_model", ""] == pytest.approx((0.25 + 2 + 0.75) / 2)
    assert found["cost_per_1000_predictions", ""] == pytest.approx((0.5 + 1.0) / 50)
    assert found["cpu_seconds", "raw/orders"] == 360
    assert not [one for one in costs(work, None) if one.name.startswith("cost")]


@given(st.floats(0, 1e6), st.integers(0, 10**12), st.floats(0, 1e6), st.integers(0, 10**12))
def test_what_two_pieces_of_work_cost_is_what_both_cost(cpu: float, size: int, more: float, larger: int) -> None:
    both = cost(Work(2, cpu + more, size + larger), PRICE)
    assert both == pytest.approx(cost(Work(1, cpu, size), PRICE) + cost(Work(1, more, larger), PRICE))


def test_a_day_has_one_row_a_number_and_days_before_stay(site: Site) -> None:
    table = "shop/monitoring/numbers"
    for hours, value in ((-24, 1.0), (0, 2.0), (1, 3.0)):
        rows = with_numbers(site, [Number("freshness", value, "hours", "orders")], NOON + hours * HOUR)
        site.tables.replace(table, rows)
    kept = numbers_over_time(site)
    assert kept is not None
    assert list(zip(kept["day"].to_pylist(), kept["value"].to_pylist(), strict=True)) == [
        (date(2026, 2, 28), 1.0),
        (date(2026, 3, 1), 3.0),
    ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(MEANING)), st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False)
        ),
        max_size=8,
        unique_by=lambda t: t[:2],
    )
)
def test_prometheus_reads_what_was_written(said: list[tuple[str, str, float]]) -> None:
    said = [(name, of.replace("\r", "").replace("\x00", ""), value) for name, of, value in said]
    numbers = [Number(name, value, "x", of) for name, of, value in said]
    text = "\n".join(exposition("shop", numbers)) + "\n"
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    told = {(s.name.removeprefix("headrace_product_"), s.labels.get("of", ""), s.value) for s in found}
    assert told == {(n.name, n.of, n.value) for n in numbers}


def test_the_file_for_node_exporter_is_whole_and_says_when(site: Site) -> None:
    path = write_textfile(site, [Number("freshness", 2.0, "hours", "orders")], NOON)
    assert path == textfile(site)
    families = {family.name: family for family in text_string_to_metric_families(path.read_text())}
    [fresh] = families["headrace_product_freshness"].samples
    assert (fresh.labels, fresh.value) == ({"product": "shop", "of": "orders", "unit": "hours"}, 2.0)
    assert families["headrace_product_numbers_at"].samples[0].value == NOON.timestamp()
    assert json.dumps(fresh.labels)
