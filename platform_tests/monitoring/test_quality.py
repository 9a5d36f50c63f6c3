"""How scores came true: known labels only, each model by its own scores, no number where there is none."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import brier_score_loss, log_loss, mean_absolute_error, roc_auc_score

from headrace.core.days import DAY
from headrace.core.errors import DeclarationError
from headrace.declaration import ProductDeclaration
from headrace.evaluation.evaluate import Measuring
from headrace.evaluation.metrics import Aim
from headrace.models.predict import MODEL, SCORE
from headrace.monitoring.quality import (
    Realized,
    Watching,
    live_quality,
    newest_of,
    quality_table,
    quality_words,
    realized_by_day,
    realized_by_month,
)
from headrace.monitoring.realized import realized_rows
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
        "at": pa.array([datetime(2024, 3, 31, tzinfo=UTC) + timedelta(days=i / rows) for i in range(count)]),
        "country": ["DE" if i % 3 else "PT" for i in range(count)],
        "_day": pa.array([FIRST + DAY * (i // rows) for i in range(count)], pa.date32()),
        SCORE: scores,
        MODEL: ["one"] * count,
        "returned": (chance.random(count) < scores).astype(np.int8),
    }
    return pa.table(table | changes)


def watching(task: Any = "classification", **changes: Any) -> Watching:
    """Return how the shop's scores are measured, but for the changes."""
    policy = monitors(quality={"floor": 0.6, "window": "3d"} | changes).quality
    return Watching(Measuring(LABEL, slices=policy.by, aim=Aim(task)), policy)


def overall(rows: pa.Table, how: Watching | None = None, before: pa.Table | None = None) -> list[Realized]:
    """Return the declared metric on all rows, by day."""
    how = how or watching()
    return [d for d in realized_by_day(rows, how, before) if d.metric == how.policy.metric and not d.by]


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
    day = overall(rows)[-1]
    assert (day.value, day.note) == (None, "an AUC needs labels of 0 and 1, and returned is a number")
    assert realized_by_month(rows, LABEL) == {}


def test_a_day_has_the_auc_of_the_window_that_ends_there() -> None:
    rows = scored()
    days = overall(rows)
    assert [d.day for d in days] == [FIRST + DAY * i for i in range(5)]
    window = own(rows, FIRST + DAY * 2, FIRST + DAY * 4)
    assert days[-1].rows == 180
    assert days[-1].value == pytest.approx(roc_auc_score(window["returned"].to_numpy(), window[SCORE].to_numpy()))


def test_scores_of_two_models_are_never_ranked_together() -> None:
    models = ["one"] * 180 + ["two"] * 120
    rows = scored(**{MODEL: models})
    days = overall(rows)
    assert [d.model for d in days] == ["one"] * 3 + ["two"] * 2
    assert [d.rows for d in days] == [60, 120, 180, 60, 120]
    window = own(rows, FIRST + DAY * 3, FIRST + DAY * 4, "two")
    assert days[-1].value == pytest.approx(roc_auc_score(window["returned"].to_numpy(), window[SCORE].to_numpy()))


def test_few_labels_give_no_number_but_a_reason() -> None:
    [day] = overall(scored(days=1))
    assert (day.value, day.note) == (None, "60 labels are too few, fewer than 100")


def test_one_class_gives_no_number_but_a_reason() -> None:
    day = overall(scored(returned=np.zeros(300, np.int8)))[-1]
    assert (day.value, day.note) == (None, "all 180 labels are 0: one class only")


def test_scores_that_are_no_numbers_give_none_either() -> None:
    day = overall(scored(**{SCORE: [float("nan")] * 300}))[-1]
    assert (day.value, day.note) == (None, "some scores are not numbers")


def test_the_live_models_quality_is_that_of_its_newest_day() -> None:
    days = overall(scored(**{MODEL: ["one"] * 240 + ["two"] * 60}))
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
    assert overall(rows) == []
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
    days = overall(realized_rows(site, LABEL))
    assert [d.model for d in days] == [first.model] * 8 + [second.model] * 2
    assert days[-1].rows == 100


def value_of(days: list[Realized], metric: str, part: str = "") -> Realized:
    """Return a metric of the newest day."""
    return next(d for d in reversed(days) if (d.metric, d.part) == (metric, part))


def test_every_metric_of_the_task_is_measured_and_agrees_with_scikit_learn() -> None:
    rows = scored()
    days = realized_by_day(rows, watching())
    window = own(rows, FIRST + DAY * 2, FIRST + DAY * 4)
    answers, scores = window["returned"].to_numpy(), window[SCORE].to_numpy()
    assert value_of(days, "log_loss").value == pytest.approx(log_loss(answers, scores))
    assert value_of(days, "brier").value == pytest.approx(brier_score_loss(answers, scores))
    assert {d.metric for d in days} >= {"auc", "average_precision", "lift", "positive_rate", "calibration_error"}


def test_each_metric_has_an_interval_around_it() -> None:
    for day in realized_by_day(scored(rows=200), watching()):
        if day.rows >= 400:
            assert day.low is not None
            assert day.high is not None
            assert day.value is not None
            assert day.low <= day.value <= day.high


def test_slices_are_measured_each_from_their_own_rows() -> None:
    rows = scored(rows=200)
    days = realized_by_day(rows, watching(by=["country"]))
    window = own(rows, FIRST + DAY * 2, FIRST + DAY * 4)
    for country in ("DE", "PT"):
        part = window.filter(pc.equal(window["country"], country))
        found = value_of(days, "auc", country)
        assert (found.by, found.rows) == ("country", part.num_rows)
        assert found.value == pytest.approx(roc_auc_score(part["returned"].to_numpy(), part[SCORE].to_numpy()))


def test_a_slice_of_few_labels_gives_no_number_but_a_reason() -> None:
    few = scored(country=["PT" if i % 10 == 0 else "DE" for i in range(300)])
    found = value_of(realized_by_day(few, watching(by=["country"])), "auc", "PT")
    assert (found.value, found.note) == (None, "18 labels are too few, fewer than 100")


def test_numbers_are_measured_as_numbers() -> None:
    rows = scored(returned=np.linspace(0, 50, 300), score=np.linspace(1, 51, 300))
    days = realized_by_day(rows, watching("regression", metric="mae", floor=None, ceiling=2))
    window = own(rows, FIRST + DAY * 2, FIRST + DAY * 4)
    error = mean_absolute_error(window["returned"].to_numpy(), window[SCORE].to_numpy())
    assert value_of(days, "mae").value == pytest.approx(error)
    assert {d.metric for d in days} >= {"rmse", "mae", "mape", "r2"}


def test_what_the_same_labels_gave_before_is_kept_and_new_labels_are_measured_anew() -> None:
    rows = scored()
    first = realized_by_day(rows, watching())
    marked = pa.Table.from_pylist([{**vars(d), "note": "kept"} for d in first], schema=quality_table(first).schema)
    turned = rows["returned"].to_numpy().copy()
    turned[-1] = 1 - turned[-1]
    rows = rows.set_column(rows.column_names.index("returned"), "returned", pa.array(turned))
    again = overall(rows, before=marked)
    assert [d.note for d in again] == ["60 labels are too few, fewer than 100", "kept", "kept", "kept", ""]
    assert [d.value for d in again[:4]] == [d.value for d in first if d.metric == "auc"][:4]


def test_the_verdict_names_the_interval_and_the_worst_value_of_each_slice() -> None:
    rows, how = scored(rows=200), watching(by=["country"])
    days = realized_by_day(rows, how)
    found = live_quality(days, live("one"))
    assert found
    newest = newest_of(days, live("one"))
    parts = {d.part: d for d in newest if d.metric == "auc" and d.by}
    worst = min(parts.values(), key=lambda d: d.value or 0)
    words = quality_words(found, how.policy, newest)
    assert f"auc is {found.value:.3f} ({found.low:.3f} to {found.high:.3f}), floor 0.6" in words
    assert words.endswith(f"worst by country: {worst.part} {worst.said} on {worst.rows:,}")


def test_slices_come_from_the_labels_sql_where_no_input_has_them(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    rows = realized_rows(site, LABEL, ["country", "noise"])
    assert {"country", "noise"} <= set(rows.column_names)
    with pytest.raises(DeclarationError, match="Did you mean 'country'"):
        realized_rows(site, LABEL, ["contry"])


@pytest.mark.parametrize(
    ("quality", "says"),
    [
        ({"metric": "acu"}, "Did you mean 'auc'"),
        ({"metric": "log_loss", "floor": 0.5}, "say `ceiling`, not `floor`"),
        ({"metric": "auc", "ceiling": 0.5}, "say `floor`, not `ceiling`"),
        ({"metric": "mae", "ceiling": 0.5}, "`mae` is not measured of `task: classification`"),
    ],
)
def test_a_metric_or_limit_that_means_nothing_is_refused(quality: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        product("classification", quality)


@pytest.mark.parametrize(("task", "metric"), [("classification", "auc"), ("regression", "rmse")])
def test_the_tasks_first_metric_is_watched_where_none_is_named(task: str, metric: str) -> None:
    assert product(task, {}).monitors.quality.metric == metric


def product(task: str, quality: dict[str, Any]) -> ProductDeclaration:
    """Return a small product."""
    declared = {
        "product": "shop",
        "sources": {"orders": {"files": "orders.csv"}},
        "label": {"sql": "label.sql", "entity": "order_id", "time": "at", "column": "returned", "known_after": "1d"},
        "model": {"task": task, "split": {"test": "10d"}},
        "monitors": {"quality": quality},
    }
    return ProductDeclaration.model_validate(declared)
