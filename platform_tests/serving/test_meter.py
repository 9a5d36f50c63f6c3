"""What a worker counts of its requests."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from headrace.serving.cells import Series
from headrace.serving.meter import BUCKETS, PREDICT, SCORE_BUCKETS, Meter
from headrace.serving.opened import open_service
from headrace.serving.service import Service
from headrace.serving.watch import Ready
from platform_tests.serving.bar import bar, released, served

INPUTS = 5


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    site = bar(tmp_path_factory.mktemp("meter"))
    released(site)
    opened = open_service(served(site), site.place, print)
    yield opened
    opened.close()


@pytest.fixture
def ready(service: Service) -> Ready:
    return service.watch.lineup.live


def row(**missing: float) -> list[float]:
    return [missing.get(name, 1.0) for name in ("price", "country", "gift", "habit_visits", "habit_mean")]


def test_a_request_is_counted_by_its_status_and_in_the_bucket_of_its_seconds() -> None:
    meter = Meter()
    for status, seconds in ((200, 0.0002), (200, 0.0003), (422, 9.0)):
        meter.done(status, seconds)
    totals = meter.totals()
    *buckets, total = totals[Series("request_seconds", (PREDICT, "200"))]
    assert buckets == [0.0, 1.0, 1.0, *[0.0] * (len(BUCKETS) - 2)]
    assert total == pytest.approx(0.0005)
    assert totals[Series("request_seconds", (PREDICT, "422"))][-2:] == [1.0, 9.0]


def test_a_score_is_counted_with_its_release_and_an_unknown_input_by_its_name(ready: Ready) -> None:
    meter = Meter()
    meter.answered(ready, row(price=math.nan), 0.42, degraded=False)
    meter.answered(ready, row(), 0.9, degraded=True)
    totals = meter.totals()
    *buckets, total = totals[Series("predictions", ("1", "chance"))]
    assert total == pytest.approx(1.32)
    assert buckets[SCORE_BUCKETS["chance"].index(0.45)] == 1.0
    assert totals[Series("features_missing", ("price",))] == [1.0]
    assert totals[Series("features_missing", ("gift",))] == [0.0]
    assert totals[Series("degraded", ())] == [1.0]


def test_rows_that_were_scored_together_count_as_if_they_had_come_one_by_one(ready: Ready) -> None:
    chance = np.random.default_rng(3)
    rows = chance.random((50, INPUTS))
    rows[chance.random(rows.shape) < 0.2] = np.nan
    scores, values = chance.random(50), rows.tolist()
    together, apart = Meter(), Meter()
    together.answered_all(ready, rows, scores, degraded=True)
    for own, score in zip(values, scores.tolist(), strict=True):
        apart.answered(ready, own, score, degraded=True)
    one, other = together.totals(), apart.totals()
    for series in one:
        assert one[series] == pytest.approx(other[series]), series


def test_a_lookup_is_counted_in_the_bucket_of_its_seconds() -> None:
    meter = Meter()
    meter.looked_up(0.00002)
    *buckets, total = meter.totals()[Series("feature_lookup_seconds", ())]
    assert (buckets[1], sum(buckets), total) == (1.0, 1.0, 0.00002)


def test_a_score_that_is_no_number_spoils_no_sum(ready: Ready) -> None:
    meter = Meter()
    meter.answered(ready, row(), math.nan, degraded=False)
    meter.answered_all(ready, np.ones((2, INPUTS)), np.array([math.nan, 0.5]), degraded=False)
    assert meter.totals()[Series("predictions", ("1", "chance"))][-1] == 0.5


def test_a_served_row_is_metered_whichever_way_it_is_answered(service: Service) -> None:
    before = service.meter.totals().get(Series("features_missing", ("price",)), [0.0])[0]
    single = service.call(b'{"customer":"c7","price":null,"country":"PT","land":"PT","gift":false}')
    many = service.call(b'[{"customer":"c7","price":null,"country":"PT","land":"PT","gift":false}]')
    service.answer(single)
    service.answer_all([many])
    assert service.meter.totals()[Series("features_missing", ("price",))][0] == before + 2


def test_requests_that_were_sent_away_are_counted_by_their_status() -> None:
    meter = Meter()
    meter.refused(429)
    meter.refused(429, 4)
    assert meter.totals()[Series("refused", ("429",))] == [5.0]
