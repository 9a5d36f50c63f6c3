"""Estimated quality in words and in one picture with what came true."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from matplotlib.collections import PolyCollection

from headrace.monitoring.charts import report_charts
from headrace.monitoring.facts import ProductFacts
from headrace.monitoring.report import report_html
from headrace.monitoring.shown.expected import AGREES, DIFFERS, NOTHING, expected_words
from headrace.monitoring.standing import standing_of
from platform_tests.monitoring.test_report import measured, nothing
from platform_tests.monitoring.watched import monitors, watched_shop

LAST = date(2024, 4, 9)


def estimates(model: str, realized: Sequence[float | None], metric: str = "auc") -> list[dict[str, Any]]:
    """Return an estimate of 0.8 within 0.7 to 0.9 for each of some days, beside what came true."""
    return [
        {"day": LAST - timedelta(days=len(realized) - 1 - n), "model": model, "metric": metric, "value": 0.8, "low": 0.7,
         "high": 0.9, "deviation": 0.05, "tested": 0.81, "realized": real, "rows": 500, "labels": 500, "note": "",
         "difference": None if real is None else 0.8 - real}
        for n, real in enumerate(realized)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> ProductFacts:
    return measured(watched_shop(tmp_path_factory.mktemp("shop")))


def with_estimates(facts: ProductFacts, *realized: float | None, **more: Any) -> ProductFacts:
    assert facts.live is not None
    return replace(facts, estimated=estimates(facts.live.release.model, realized, **more))


def test_before_anything_is_estimated_one_sentence_says_so(tmp_path: Path) -> None:
    facts = measured(nothing(tmp_path))
    assert expected_words(facts) == [NOTHING]
    assert NOTHING in report_html(facts)


def test_a_task_that_cannot_be_estimated_says_so(watched: ProductFacts) -> None:
    ranked = replace(watched, monitors=monitors(quality={"metric": "ndcg"}))
    assert expected_words(ranked)[0].startswith("What a ranking will come true is not estimated")


def test_the_newest_estimate_is_told_with_its_band_its_test_and_its_limit(watched: ProductFacts) -> None:
    [newest, further] = expected_words(with_estimates(watched, None, None))
    assert newest.startswith(
        "To 2024-04-09 the live model's AUC is estimated at 0.800 (0.700 to 0.900) from 500 scores of 28d"
    )
    assert newest.endswith("0.810 on its test set; alarm: three deviations worse than its test.")
    assert "No labels of these windows are known yet" in further


def test_what_came_true_is_held_against_the_band(watched: ProductFacts) -> None:
    _, counted, verdict = expected_words(with_estimates(watched, 0.6, 0.75, 0.79, None))
    assert counted.startswith("Of 3 windows whose labels came since, 2 came true within the band")
    assert "0.087 too high on average" in counted
    assert verdict == AGREES
    assert expected_words(with_estimates(watched, 0.75, 0.6))[-1] == DIFFERS


def test_a_model_that_has_scored_nothing_yet_leaves_what_came_true_of_those_before(watched: ProductFacts) -> None:
    before = replace(watched, estimated=estimates("m" * 64, [0.6, None]))
    assert expected_words(before)[0] == NOTHING
    assert expected_words(before)[1].startswith("Of 1 window whose labels came since, 0 came true")
    assert expected_words(replace(watched, estimated=estimates("m" * 64, [None]))) == [NOTHING]


def test_band_and_what_came_true_are_in_one_picture_and_end_at_one(watched: ProductFacts) -> None:
    plain = report_charts(watched)["quality"].axes[0]
    charts = report_charts(with_estimates(watched, 0.75, None))
    [axes] = charts["quality"].axes
    bands = [one for one in axes.collections if isinstance(one, PolyCollection)]
    assert len(bands) == 1
    assert len(axes.lines) == len(plain.lines) + 1
    assert axes.get_ylim()[1] <= 1.0
    assert "estimated" not in charts


def test_a_metric_of_its_own_has_a_picture_of_its_own(watched: ProductFacts) -> None:
    declared = monitors(quality={"metric": "average_precision", "estimated": {"metric": "accuracy", "floor": 0.5}})
    facts = replace(with_estimates(watched, None, metric="accuracy"), monitors=declared)
    charts = report_charts(facts)
    assert charts["estimated"].axes[0].get_ylabel() == "ACCURACY"
    assert "ACCURACY as it came true, and as it was estimated before" in report_html(facts)


def test_an_estimate_a_day_before_the_first_release_is_drawn_over_days_not_years(watched: ProductFacts) -> None:
    facts = replace(with_estimates(watched, None), quality=[])
    first, last = report_charts(facts)["quality"].axes[0].get_xlim()
    assert last - first < 20


def test_the_page_of_all_products_tells_the_estimate_beside_quality(watched: ProductFacts) -> None:
    marks = {mark.name: mark for mark in standing_of(with_estimates(watched, None)).marks}
    assert marks["quality"].what.endswith("; estimated AUC 0.800 to 2024-04-09")
