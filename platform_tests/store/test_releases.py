"""The release log: what is live now and was live then, and only one decision at a time."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.errors import Refused, StoreError
from headrace.store.releases import Release, Releases

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


def decide(releases: Releases, number: int, outcome: str = "released", **changes: Any) -> Release:
    decision = {
        "outcome": outcome,
        "model": f"model {number}",
        "at": NOON + timedelta(days=number),
        "who": "a test",
        "why": "to see",
        "evidence": {"auc": 0.75},
    }
    return releases.decide("shop", decision | changes, after=number - 1)


def test_nothing_is_live_before_the_first_release(tmp_path: Path) -> None:
    releases = Releases(tmp_path, tmp_path / "witness")
    assert (releases.all("shop"), releases.live("shop")) == ([], None)
    decide(releases, 1, "refused")
    assert releases.live("shop") is None


def test_a_decision_reads_back_as_it_was_written(tmp_path: Path) -> None:
    written = decide(Releases(tmp_path, tmp_path / "witness"), 1)
    assert Releases(tmp_path, tmp_path / "witness").all("shop") == [written]


def test_what_was_live_at_a_past_moment_can_be_told(tmp_path: Path) -> None:
    releases = Releases(tmp_path, tmp_path / "witness")
    for number, outcome in enumerate(["released", "refused", "released"], start=1):
        decide(releases, number, outcome)
    live = [releases.live("shop", NOON + timedelta(days=day)) for day in (0, 1, 2, 3)]
    assert [release and release.model for release in live] == [None, "model 1", "model 1", "model 3"]


def test_nothing_is_live_once_the_live_model_was_erased_and_what_was_live_before_can_be_told(tmp_path: Path) -> None:
    releases = Releases(tmp_path, tmp_path / "witness")
    for number, outcome in enumerate(["released", "erased", "refused", "released"], start=1):
        decide(releases, number, outcome)
    live = [releases.live("shop", NOON + timedelta(days=day)) for day in (1, 2, 3, 4)]
    assert [release and release.model for release in live] == ["model 1", None, None, "model 4"]


def test_a_decision_on_an_old_log_is_refused(tmp_path: Path) -> None:
    releases = Releases(tmp_path, tmp_path / "witness")
    decide(releases, 1)
    with pytest.raises(Refused, match=r"Somebody else wrote entry 1"):
        decide(releases, 1, model="another")
    assert [release.model for release in releases.all("shop")] == ["model 1"]


def test_products_have_logs_of_their_own(tmp_path: Path) -> None:
    releases = Releases(tmp_path, tmp_path / "witness")
    decide(releases, 1)
    assert releases.live("ferry") is None


@settings(deadline=None)
@given(st.integers(0, 2), st.sampled_from(["model", "who", "why", "at"]))
def test_an_edited_entry_that_others_stand_on_breaks_the_log(
    tmp_path_factory: pytest.TempPathFactory, edited: int, key: str
) -> None:
    folder = tmp_path_factory.mktemp("log")
    releases = Releases(folder, folder / "witness")
    for number in range(1, 5):
        decide(releases, number)
    path = sorted((folder / "shop/releases").glob("*.json"))[edited]
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: "2000-01-01T00:00:00+00:00"}))
    with pytest.raises(StoreError, match=f"entry {edited + 1} .* was edited"):
        releases.live("shop")


def test_a_removed_entry_breaks_the_log(tmp_path: Path) -> None:
    releases = Releases(tmp_path, tmp_path / "witness")
    for number in (1, 2, 3):
        decide(releases, number)
    (tmp_path / "shop/releases/000002.json").unlink()
    with pytest.raises(StoreError, match="broken at entry 2"):
        releases.all("shop")
