"""What was served one by one counts as scores of whole days do: the same rows give the same drift and the same quality."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from headrace.core.days import DAY
from headrace.features.steps import local_days
from headrace.models.predict import MODEL, SCORE, load_predictor
from headrace.monitoring.drift import Moved
from headrace.monitoring.realized import realized_rows
from headrace.monitoring.served import served_days, served_models
from headrace.monitoring.watch import live_drift, newest_scored_day
from headrace.serving.gather import gather_predictions
from headrace.serving.journal import Entry, Journal, journal_folder
from headrace.serving.opened import hashing_secret
from headrace.store.releases import Release
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, orders
from platform_tests.monitoring.watched import (
    FIRST,
    LAST,
    at,
    monitors,
    open_shop,
    release,
    shifted,
    watched_shop,
)

pytestmark = pytest.mark.slow
POLICY = monitors().drift
OVER = datetime(LAST.year, LAST.month, LAST.day, tzinfo=UTC) + timedelta(days=2)


def live(site: Site) -> Release:
    found = site.releases.live("shop")
    assert found is not None
    return found


def of_days(site: Site, rows: pa.Table) -> pa.Table:
    """Return the orders of the scored days, by the shop's calendar."""
    days = local_days(rows["at"], site.product.timezone)
    return rows.filter(pc.and_(pc.greater_equal(days, pa.scalar(FIRST)), pc.less_equal(days, pa.scalar(LAST))))


def entries(site: Site, rows: pa.Table, **changes: Any) -> list[Entry]:
    """Return what a server writes down that answers requests about some rows by the live model, changed if asked."""
    model = live(site).model
    asked = rows.drop_columns(["returned"])
    scores = load_predictor(site.models, model).predict(asked)
    facts = {
        "row": 0, "release": 1, "model": model, "role": "live", "features_version": 1, "status": 200, "degraded": False,
        "milliseconds": 1.0, "key": "k", "types": asked.schema,
    } | changes  # fmt: skip
    return [
        Entry(
            request=f"r{n}", at=row["at"], received=row["at"].timestamp(), entity=row["order_id"], values=row,
            **({"score": score} | facts),
        )
        for n, (row, score) in enumerate(zip(asked.to_pylist(), scores.tolist(), strict=True))
    ]  # fmt: skip


def answer(site: Site, told: Sequence[Entry], hashed: Sequence[str] = ()) -> None:
    """Let entries be written and gathered, as a server does."""
    secret = hashing_secret(site.place) if hashed else b""
    journal = Journal(journal_folder(site.place, "shop"), hashed=hashed, entity="order_id", secret=secret)
    for entry in told:
        journal.take(entry)
    journal.close()
    gather_predictions(site)


def served_shop(folder: Path, rows: pa.Table | None = None, hashed: Sequence[str] = (), **identity: Any) -> Site:
    """Return a shop that has scored nothing but what it was asked one by one."""
    site = open_shop(folder, **identity)
    release(site)
    answer(site, entries(site, of_days(site, orders() if rows is None else rows)), hashed)
    at(site, OVER)
    return site


def drift(site: Site) -> list[Moved]:
    return live_drift(site, live(site), POLICY)


def told(moved: Sequence[Moved]) -> list[dict[str, Any]]:
    return sorted((vars(m) for m in moved), key=lambda m: (m["day"], m["column"], m["measure"]))


def alarms(moved: Sequence[Moved]) -> set[tuple[str, str]]:
    return {(m.column, m.measure) for m in moved if m.alarms and m.day == LAST}


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_the_same_rows_give_the_same_quality_and_drift_whichever_way_they_were_scored(
    tmp_path: Path, zone: str
) -> None:
    whole, served = watched_shop(tmp_path / "whole", timezone=zone), served_shop(tmp_path / "one", timezone=zone)
    assert live(whole).model == live(served).model
    assert not served.tables.exists("shop/predictions/batch")
    expected = realized_rows(whole, LABEL)
    assert expected.num_rows > 100
    assert realized_rows(served, LABEL).equals(expected)
    assert told(drift(served)) == told(drift(whole)) != []
    assert newest_scored_day(served) == newest_scored_day(whole) == LAST


def test_a_row_that_was_scored_with_its_day_and_served_counts_once_as_it_was_served(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    before = realized_rows(site, LABEL)
    half = of_days(site, orders()).slice(0, 200)
    answer(site, entries(site, half, score=0.123))
    after = realized_rows(site, LABEL)
    assert after["order_id"].equals(before["order_id"])
    mine = pc.is_in(after["order_id"], half["order_id"].combine_chunks())
    assert set(after.filter(mine)[SCORE].to_pylist()) == {0.123}
    assert after.filter(pc.invert(mine)).equals(before.filter(pc.invert(mine)))


def test_the_same_order_asked_about_as_of_another_time_counts_beside_it(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    before = realized_rows(site, LABEL)
    [first] = entries(site, of_days(site, orders()).slice(0, 1))
    answer(site, [first._replace(at=first.at + timedelta(hours=1))])
    assert realized_rows(site, LABEL).num_rows == before.num_rows + 1


def test_of_several_answers_about_one_order_and_time_the_last_counts(tmp_path: Path) -> None:
    site = served_shop(tmp_path)
    rows = of_days(site, orders()).slice(0, 1)
    for later, value in ((60, 0.9), (30, 0.5)):
        [entry] = entries(site, rows, score=value)
        answer(site, [entry._replace(received=entry.received + later)])
    found = realized_rows(site, LABEL)
    mine = found.filter(pc.equal(found["order_id"], rows["order_id"][0]))
    assert mine[SCORE].to_pylist() == [0.9]


@pytest.mark.parametrize("changes", [{"role": "shadow"}, {"status": 503, "score": None}])
def test_what_nobody_was_answered_counts_for_nothing(tmp_path: Path, changes: dict[str, Any]) -> None:
    site = watched_shop(tmp_path)
    scored, moved = realized_rows(site, LABEL), told(drift(site))
    answer(site, entries(site, shifted(of_days(site, orders())), **changes))
    assert realized_rows(site, LABEL).equals(scored)
    assert told(drift(site)) == moved


def test_answers_about_rows_that_the_model_was_trained_on_say_nothing_of_its_quality(tmp_path: Path) -> None:
    site = served_shop(tmp_path)
    scored = realized_rows(site, LABEL)
    old = orders().slice(0, 200)
    answer(site, [entry._replace(at=entry.at.replace(month=4)) for entry in entries(site, old)])
    assert realized_rows(site, LABEL).equals(scored)


def test_an_answer_as_of_when_the_label_was_known_says_nothing_of_its_quality(tmp_path: Path) -> None:
    site = served_shop(tmp_path)
    scored = realized_rows(site, LABEL)
    late = LABEL.known_after + timedelta(seconds=1)
    answer(site, [entry._replace(at=entry.at + late) for entry in entries(site, of_days(site, orders()))])
    assert realized_rows(site, LABEL).equals(scored)


def test_entities_and_categories_that_are_kept_as_hashes_are_recognized(tmp_path: Path) -> None:
    plain, hashed = served_shop(tmp_path / "plain"), served_shop(tmp_path / "hidden", hashed=["order_id", "country"])
    kept = hashed.tables.read("shop/predictions/online", columns=["entity", "country"])
    assert all(len(value) == 64 for name in kept.column_names for value in kept[name].to_pylist())
    assert realized_rows(hashed, LABEL).equals(realized_rows(plain, LABEL))
    assert told(drift(hashed)) == told(drift(plain))


def test_a_number_of_which_a_hash_is_kept_is_left_out_and_does_not_alarm(tmp_path: Path) -> None:
    plain, hashed = served_shop(tmp_path / "plain"), served_shop(tmp_path / "hidden", hashed=["price"])
    assert told(drift(hashed)) == [m for m in told(drift(plain)) if m["column"] != "price"]


def test_hashes_by_another_secret_are_left_out_and_do_not_alarm(tmp_path: Path) -> None:
    site = served_shop(tmp_path, hashed=["country"])
    site.place.hashing_key.write_bytes(b"another")
    moved = drift(site)
    assert "price" in {m.column for m in moved}
    assert "country" not in {m.column for m in moved}


def test_a_shift_that_only_requests_have_is_found(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    assert alarms(drift(site)) == set()
    answer(site, entries(site, shifted(of_days(site, orders()))))
    assert ("price", "psi") in alarms(drift(site))


def test_an_input_that_is_named_like_a_column_of_the_log_is_read_under_its_own_name(tmp_path: Path) -> None:
    site = open_shop(tmp_path)
    richer = orders().append_column("status", pa.array([float(i % 7) for i in range(2000)]))
    site.tables.replace("shop/training/set", richer)
    site.tables.replace("shop/validated/orders", richer)
    release(site)
    answer(site, entries(site, of_days(site, richer)))
    at(site, OVER)
    assert "status" in {m.column for m in drift(site)}
    assert alarms(drift(site)) == set()


def test_a_day_that_is_not_over_is_not_measured_yet(tmp_path: Path) -> None:
    site = served_shop(tmp_path)
    at(site, datetime(LAST.year, LAST.month, LAST.day, 18, tzinfo=UTC))
    assert newest_scored_day(site) == LAST - DAY
    assert max(m.day for m in drift(site)) == LAST - DAY


def test_before_anything_is_served_there_is_nothing(tmp_path: Path) -> None:
    site = open_shop(tmp_path)
    release(site)
    assert (served_models(site), served_days(site)) == ({}, None)
    answer(site, entries(site, of_days(site, orders()).slice(0, 5), status=503, score=None))
    assert (served_models(site), served_days(site)) == ({}, None)
    assert drift(site) == []
    assert realized_rows(site, LABEL).num_rows == 0


def test_models_that_took_turns_are_told_apart(tmp_path: Path) -> None:
    site = open_shop(tmp_path)
    first = release(site)
    rows = of_days(site, orders())
    answer(site, entries(site, rows.slice(0, 300)))
    second = release(site, trees=10)
    answer(site, entries(site, rows.slice(300), role="canary"))
    at(site, OVER)
    assert set(served_models(site)) == {first.model, second.model}
    assert set(realized_rows(site, LABEL)[MODEL].to_pylist()) == {first.model, second.model}
    assert served_models(site)[second.model][1] == LAST
