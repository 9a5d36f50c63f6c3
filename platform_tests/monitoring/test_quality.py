"""How scores came true: known labels only, each model by its own scores, no number where there is none."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import roc_auc_score

from headrace.core.days import DAY
from headrace.models.predict import MODEL, SCORE
from headrace.monitoring.quality import (
    Realized,
    live_quality,
    quality_words,
    realized_by_day,
    realized_by_month,
    realized_rows,
)
from headrace.store.releases import Release
from platform_tests.models.shop import LABEL
from platform_tests.monitoring.watched import FIRST, LAST, at, monitors, open_shop, release, score, watched_shop

POLICY = monitors(quality={"floor": 0.6, "window": "3d"}).quality


def scored(days: int = 5, rows: int = 60, **changes: Any) -> pa.Table:
    """Return labelled scores of some days by model "one", with columns changed."""
    chance, count = np.random.default_rng(1), days * rows
    scores = chance.random(count)
    table = {
        "order_id": [f"o{i}" for i in range(count)],
        "_day": pa.array([FIRST + DAY * (i // rows) for i in range(count)], pa.date32()),
        SCORE: scores,
        MODEL: ["one"] * count,
        "returned": (chance.random(count) < scores).astype(np.int8),
    }
    return pa.table(table | changes)


def own(rows: pa.Table, first: date, last: date, model: str = "one") -> pa.Table:
    kept = [
        first <= d <= last and m == model
        for d, m in zip(rows["_day"].to_pylist(), rows[MODEL].to_pylist(), strict=True)
    ]
    return rows.filter(pa.array(kept))


def live(model: str) -> Release:
    return Release(1, "released", model, datetime(2024, 4, 1, tzinfo=UTC), "a person", "a test", {})


def test_where_the_label_is_a_number_no_auc_is_claimed(tmp_path: Path) -> None:
    rows = scored(returned=np.linspace(0, 50, 300))
    day = realized_by_day(rows, LABEL, POLICY)[-1]
    assert (day.value, day.note) == (None, "an AUC needs labels of 0 and 1, and returned is a number")
    assert realized_by_month(rows, LABEL) == {}


def test_a_day_has_the_auc_of_the_window_that_ends_there() -> None:
    rows = scored()
    days = realized_by_day(rows, LABEL, POLICY)
    assert [d.day for d in days] == [FIRST + DAY * i for i in range(5)]
    window = own(rows, FIRST + DAY * 2, FIRST + DAY * 4)
    assert days[-1].rows == 180
    assert days[-1].value == pytest.approx(roc_auc_score(window["returned"].to_numpy(), window[SCORE].to_numpy()))


def test_scores_of_two_models_are_never_ranked_together() -> None:
    models = ["one"] * 180 + ["two"] * 120
    rows = scored(**{MODEL: models})
    days = realized_by_day(rows, LABEL, POLICY)
    assert [d.model for d in days] == ["one"] * 3 + ["two"] * 2
    assert [d.rows for d in days] == [60, 120, 180, 60, 120]
    window = own(rows, FIRST + DAY * 3, FIRST + DAY * 4, "two")
    assert days[-1].value == pytest.approx(roc_auc_score(window["returned"].to_numpy(), window[SCORE].to_numpy()))


def test_few_labels_give_no_number_but_a_reason() -> None:
    [day] = realized_by_day(scored(days=1), LABEL, POLICY)
    assert (day.value, day.note) == (None, "60 labels are too few, fewer than 100")


def test_one_class_gives_no_number_but_a_reason() -> None:
    day = realized_by_day(scored(returned=np.zeros(300, np.int8)), LABEL, POLICY)[-1]
    assert (day.value, day.note) == (None, "all 180 labels are 0: one class only")


def test_scores_that_are_no_numbers_give_none_either() -> None:
    day = realized_by_day(scored(**{SCORE: [float("nan")] * 300}), LABEL, POLICY)[-1]
    assert (day.value, day.note) == (None, "some scores are not numbers")


def test_the_live_models_quality_is_that_of_its_newest_day() -> None:
    days = realized_by_day(scored(**{MODEL: ["one"] * 240 + ["two"] * 60}), LABEL, POLICY)
    assert live_quality(days, live("one")) == days[3]
    assert live_quality(days, live("two")) == days[4]
    assert live_quality(days, live("three")) is None


def test_the_verdict_is_a_sentence() -> None:
    found = Realized(LAST, "one", 1234, 0.7123)
    assert quality_words(found, POLICY) == "auc is 0.712, floor 0.6, on 1,234 labels of 3d to 2024-04-09"
    assert quality_words(None, POLICY) == "labels of what the live model scored are not known yet"
    assert quality_words(found, monitors(quality={}).quality).startswith("auc is 0.712, no floor is declared")


def test_without_scores_there_is_nothing(tmp_path: Path) -> None:
    rows = realized_rows(open_shop(tmp_path), LABEL)
    assert rows.num_rows == 0
    assert realized_by_day(rows, LABEL, POLICY) == []
    assert realized_by_month(rows, LABEL) == {}


@pytest.mark.parametrize("hours", [0, 5, 30])
def test_a_label_counts_only_when_it_is_known(tmp_path: Path, hours: int) -> None:
    site = watched_shop(tmp_path)
    now = datetime(2024, 4, 5, tzinfo=UTC) + timedelta(hours=hours)
    at(site, now)
    rows = realized_rows(site, LABEL)
    assert pc.max(rows["at"]).as_py() <= now - LABEL.known_after
    assert pc.max(rows["at"]).as_py() > now - LABEL.known_after - timedelta(hours=1)


def test_a_score_whose_label_is_null_does_not_count(tmp_path: Path) -> None:
    def half_known(rows: pa.Table) -> pa.Table:
        answers = [a if i % 2 else None for i, a in enumerate(rows["returned"].to_pylist())]
        return rows.set_column(rows.column_names.index("returned"), "returned", pa.array(answers, pa.int8()))

    rows = realized_rows(watched_shop(tmp_path, half_known), LABEL)
    assert rows["returned"].null_count == 0
    assert 0 < rows.num_rows <= 250


def test_labels_are_joined_to_the_scores_of_their_own_entity_in_order(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    rows = realized_rows(site, LABEL)
    truth = dict(
        zip(*(site.tables.read("shop/validated/orders")[c].to_pylist() for c in ("order_id", "returned")), strict=True)
    )
    assert rows["returned"].to_pylist() == [truth[order] for order in rows["order_id"].to_pylist()]
    assert rows["at"].to_pylist() == sorted(rows["at"].to_pylist())


def test_months_are_local(tmp_path: Path) -> None:
    site = watched_shop(tmp_path, timezone="Pacific/Auckland")
    months = realized_by_month(realized_rows(site, LABEL), LABEL)
    assert list(months) == ["2024-03", "2024-04"]
    # One local day of 50 orders; in UTC these are 37 hours with 77 of them.
    assert months["2024-03"].rows == 50


def test_a_retrained_model_starts_its_own_record(tmp_path: Path) -> None:
    site = open_shop(tmp_path)
    first = release(site)
    score(site, FIRST, LAST - DAY * 2)
    second = release(site, trees=10)
    score(site, LAST - DAY, LAST)
    days = realized_by_day(realized_rows(site, LABEL), LABEL, POLICY)
    assert [d.model for d in days] == [first.model] * 8 + [second.model] * 2
    assert days[-1].rows == 100
