"""Two products, one feature table: the owner makes it, the user trains, releases and scores with it, and keeps what it needs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace.project import Project
from headrace.store.retention import collect
from platform_tests.end_to_end.shop import land_days
from platform_tests.features.neighbours import land_calls, make, make_care, make_shop, neighbours

pytestmark = pytest.mark.slow
DAYS = 20
MODEL = ["model/candidate", "model/evaluation", "model/champion"]
LIVE = ["predictions/batch", "monitoring/drift", "reports/product"]


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return both products, the care desk's model live."""
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    project = neighbours(tmp_path / "project", days=DAYS)
    make_shop(project, days=DAYS)
    assert make_care(project, *MODEL, days=DAYS).success
    return project


def test_the_user_trains_releases_and_scores_with_the_owners_table(live: Project) -> None:
    _, site = live.load("care")
    release = site.releases.live("care")
    assert release
    recorded = site.models.recorded(release.model, "importance")
    assert recorded
    assert {"habit_count_3d", "habit_amount_mean_3d"} <= {name for name, _ in recorded["shares"]}
    [training] = site.models.trainings(release.model)
    assert training["inputs"]["shop/features/habit"] == site.tables.version("shop/features/habit")

    land_days(live.root, DAYS, DAYS + 1, rows=30)
    make_shop(live, days=DAYS + 2)
    land_calls(live.root, DAYS + 2)
    assert make(live, "care", "raw/orders", "validated/orders", *LIVE, days=DAYS + 2).success
    scored = site.tables.read("care/predictions/batch")
    assert scored.num_rows > 30
    habit = site.tables.read("shop/features/habit").to_pylist()
    for row in scored.to_pylist()[:20]:
        known = [
            h["habit_count_3d"] for h in habit if h["customer"] == row["customer"] and h["time"] <= row["called_at"]
        ]
        times = [h["time"] for h in habit if h["customer"] == row["customer"] and h["time"] <= row["called_at"]]
        assert row["habit_count_3d"] == (dict(zip(times, known, strict=True))[max(times)] if times else 0)
    assert "shared by shop, windows by customer" in (site.place.reports / "care.features.html").read_text()


def test_the_owners_retention_leaves_what_the_users_model_was_trained_on(live: Project) -> None:
    _, site = live.load("care")
    before = site.tables.version("shop/features/habit")
    assert before is not None
    rows = site.tables.read("shop/features/habit")
    land_days(live.root, 0, DAYS - 1, shift=30.0, rows=30)
    make_shop(live, days=DAYS)
    declared, owner = live.load("shop")
    assert owner.tables.version("shop/features/habit") != before
    collect(owner, declared.keep, datetime.now(UTC) + timedelta(days=400), remove=True)
    assert site.tables.read("shop/features/habit", version=before).equals(rows)
