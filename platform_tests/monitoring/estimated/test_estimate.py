"""The estimate of a live model: made before labels come, compared with them as they do, and held against its limits."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from headrace.core.days import DAY
from headrace.monitoring.declaration import Quality
from headrace.monitoring.estimated.assets import CHECK, estimated_assets
from headrace.monitoring.estimated.estimate import (
    Estimated,
    Estimating,
    estimate_words,
    estimated_table,
    live_estimates,
    newest_estimate,
)
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, model
from platform_tests.monitoring.watched import FIRST, LAST, at, misjudged, monitors, watched_shop

pytestmark = pytest.mark.slow
ASKED = Estimating(LABEL, model(), monitors().quality)
MIDNIGHT = datetime(LAST.year, LAST.month, LAST.day, tzinfo=UTC) + DAY


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return watched_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return watched_shop(tmp_path_factory.mktemp("turned"), misjudged)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def estimates(site: Site, now: datetime | None = None, how: Estimating = ASKED) -> list[Estimated]:
    """Return what is estimated at a moment; by default once all labels are known."""
    at(site, now or MIDNIGHT + timedelta(days=2))
    live = site.releases.live("shop")
    assert live
    return live_estimates(site, live, how)


def newest(found: list[Estimated]) -> Estimated:
    one = newest_estimate(found, ASKED.policy)
    assert one
    return one


def test_each_scored_day_has_an_estimate_of_every_metric_and_of_the_confusion_counts(site: Site) -> None:
    found = [one for one in estimates(site) if one.day == LAST]
    assert {"auc", "accuracy", "precision", "recall", "log_loss", "true_positives"} <= {one.metric for one in found}
    counts = [one.value or 0 for one in found if one.metric.endswith(("positives", "negatives"))]
    assert sum(counts) == pytest.approx(found[0].rows)


def test_before_labels_come_there_is_an_estimate_and_nothing_that_came_true(site: Site) -> None:
    one = newest(estimates(site, datetime(2024, 3, 31, tzinfo=UTC)))
    assert one.value is not None
    assert (one.realized, one.difference, one.labels) == (None, None, 0)


def test_once_labels_are_known_what_came_true_stands_beside_it(site: Site) -> None:
    one = newest(estimates(site))
    assert one.value is not None
    assert one.realized is not None
    assert one.low is not None
    assert one.high is not None
    assert one.difference == pytest.approx(one.value - one.realized)
    assert one.low <= one.realized <= one.high


def test_labels_that_were_turned_around_show_only_in_what_came_true(turned: Site) -> None:
    before, after = newest(estimates(turned, datetime(2024, 3, 31, tzinfo=UTC))), newest(estimates(turned))
    assert before.value == pytest.approx(after.value)
    assert after.realized is not None
    assert (after.difference or 0) > 0.4


def test_few_scores_give_no_estimate_but_a_reason(site: Site) -> None:
    first = next(one for one in estimates(site) if one.day == FIRST)
    assert (first.value, first.note) == (None, "50 scores are too few, fewer than 100")


def test_what_the_same_scores_gave_before_is_kept(site: Site) -> None:
    found = estimates(site)
    marked = [replace(one, note="kept") for one in found]
    site.tables.replace("shop/monitoring/estimated", estimated_table(site, marked, found[0].model))
    assert {one.note for one in estimates(site)} == {"kept"}
    other = replace(ASKED, version="other code")
    assert "kept" not in {one.note for one in estimates(site, how=other)}


def test_a_window_is_good_enough_by_its_declared_limit_or_within_three_deviations_of_its_test() -> None:
    one = Estimated(LAST, "m", "auc", 500, 0.70, 0.66, 0.74, 0.02, 0.75)
    assert one.is_good_enough(Quality())
    assert not replace(one, value=0.68).is_good_enough(Quality())
    assert one.is_good_enough(limited(floor=0.65))
    assert not one.is_good_enough(limited(floor=0.72))
    loss = replace(one, metric="log_loss", tested=0.60)
    assert not loss.is_good_enough(Quality(metric="log_loss"))


def limited(**limits: Any) -> Quality:
    return Quality.model_validate({"estimated": limits})


@pytest.mark.parametrize(
    ("quality", "says"),
    [
        ({"estimated": {"metric": "acuracy"}}, "Did you mean 'accuracy'"),
        ({"estimated": {"ceiling": 0.6}}, "say `floor`, not `ceiling`"),
        ({"estimated": {"metric": "mae"}}, "of `task: classification` auc, accuracy"),
        ({"metric": "ndcg", "estimated": {"floor": 0.5}}, "nothing is estimated for `task: ranking`"),
    ],
)
def test_what_cannot_be_estimated_is_refused(quality: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Quality.model_validate(quality)


def test_a_ranking_has_no_such_asset_as_nothing_can_be_estimated(site: Site) -> None:
    assert estimated_assets(site, LABEL, model(), Quality(metric="ndcg")) == []


@pytest.mark.parametrize(("floor", "passes"), [(0.5, True), (0.99, False)])
def test_the_check_holds_the_estimate_against_the_floor_in_words(
    site: Site, instance: dg.DagsterInstance, floor: float, passes: bool
) -> None:
    at(site, MIDNIGHT + timedelta(days=2))
    policy = monitors(quality={"estimated": {"floor": floor}, "window": "3d"}).quality
    result = dg.materialize(estimated_assets(site, LABEL, model(), policy), instance=instance)
    [check] = result.get_asset_check_evaluations()
    facts = {key: value.value for key, value in check.metadata.items()}
    assert (check.check_name, check.passed, facts["limit"]) == (CHECK, passes, floor)
    assert f"estimated auc is {facts['value']:.3f} ({facts['low']:.3f} to {facts['high']:.3f}), floor {floor}" in str(
        facts["what"]
    )
    rows = site.tables.read("shop/monitoring/estimated").to_pylist()
    assert facts["value"] == [row["value"] for row in rows if row["metric"] == "auc"][-1]


def test_the_words_say_the_test_value_and_what_came_true() -> None:
    one = Estimated(LAST, "m", "auc", 500, 0.70, 0.66, 0.74, 0.02, 0.75, 0.69, 0.01)
    words = estimate_words(one, Quality())
    assert "0.750 on its test set" in words
    assert words.endswith("0.690 came true, +0.010 off")
    assert estimate_words(None, Quality()) == "the live model has scored nothing yet"
