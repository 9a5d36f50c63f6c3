"""How old the newest row is, by the product's clock."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from headrace.core.errors import DataError
from headrace.sources.declaration import Source
from headrace.sources.freshness import freshness
from headrace.store.site import Site
from platform_tests.sources.ferries import CROSSINGS, crossing, csv, ferry_line, land_file, take

SOURCE = CROSSINGS.model_copy(update={"fresh_within": timedelta(hours=36)})


def ferry_at(root: Path, now: datetime) -> Site:
    site = ferry_line(root, clock="replay")
    site.place.landing.mkdir()
    site.place.replay_clock.write_text(now.isoformat())
    return site


@pytest.mark.parametrize(("hours", "fresh"), [(36, True), (37, False)])
def test_a_source_is_fresh_up_to_its_limit(tmp_path: Path, hours: int, fresh: bool) -> None:
    noon_in_new_york = datetime(2013, 3, 5, 17, tzinfo=UTC)
    site = ferry_at(tmp_path, noon_in_new_york + timedelta(hours=hours))
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    take(site)
    found = freshness(site, "crossings", SOURCE)
    assert (found.fresh, found.age_hours, found.limit_hours) == (fresh, hours, 36)
    assert found.what.startswith(f"newest row of 'crossings' is {hours}.0 h old (2013-03-05 17:00 UTC)")


def test_a_time_that_is_still_to_come_makes_nothing_fresh(tmp_path: Path) -> None:
    site = ferry_at(tmp_path, datetime(2013, 3, 9, tzinfo=UTC))
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2, "2099-01-01")]))
    take(site)
    assert not freshness(site, "crossings", SOURCE).fresh


def test_a_source_that_never_came_is_not_fresh(tmp_path: Path) -> None:
    found = freshness(ferry_at(tmp_path, datetime(2013, 3, 9, tzinfo=UTC)), "crossings", SOURCE)
    assert (found.fresh, found.age_hours, found.what) == (False, None, "source 'crossings' has never arrived")


def test_a_replay_that_has_not_started_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="The replay clock has not started"):
        freshness(ferry_line(tmp_path, clock="replay"), "crossings", SOURCE)


def test_a_limit_without_a_time_is_refused_while_loading() -> None:
    with pytest.raises(ValidationError, match="`fresh_within` needs `time`"):
        Source.model_validate({"files": "x.csv", "fresh_within": "1d"})
