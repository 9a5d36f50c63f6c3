"""Which rollout is under way, who answers outside of it, and who gets which model."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from headrace.rollout.state import Rollout, assigned, current, primary, primary_of, rollout_of, rollouts_log
from headrace.store.releases import Release
from headrace.store.rollback import Return, roll_back
from headrace.store.site import Site
from platform_tests.rollout.served import NOON, make_shop, release

STAGES = ("shadow", "5%", "50%")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_shop(tmp_path, steps=list(STAGES))[0]


def note(site: Site, what: str, number: int, step: int = 0, minutes: int = 0) -> None:
    at = (NOON + timedelta(minutes=minutes)).isoformat()
    said = {
        "what": what,
        "release": number,
        "against": 1,
        "step": step,
        "at": at,
        "who": "a test",
        "why": "",
        "evidence": {},
    }
    rollouts_log(site).add(said)


def under_way(site: Site) -> Rollout:
    found = current(site)
    assert found
    return found


def primary_number(site: Site) -> int:
    found = primary(site)
    assert found
    return found.number


def in_step(share: float, number: int = 2) -> Rollout:
    candidate = Release(number, "released", "b" * 64, NOON, "", "", {}, stages=STAGES)
    champion = Release(1, "released", "a" * 64, NOON, "", "", {})
    return Rollout(candidate, champion, 1, share, share == 0, NOON)


def test_the_first_release_answers_everything_at_once(site: Site) -> None:
    assert primary(site) is None
    release(site, "one")
    assert current(site) is None
    assert primary_number(site) == 1


def test_a_release_is_under_way_from_the_moment_at_which_it_is_written_down(site: Site) -> None:
    release(site, "one")
    release(site, "two")
    rollout = under_way(site)
    assert (rollout.candidate.number, rollout.champion.number, rollout.step) == (2, 1, 0)
    assert (rollout.shadow, rollout.share, rollout.since, rollout.starts) == (True, 0.0, NOON, ())
    assert primary_number(site) == 1


def test_each_step_that_is_noted_has_its_share_and_its_beginning(site: Site) -> None:
    release(site, "one")
    release(site, "two")
    note(site, "begun", 2, minutes=1)
    note(site, "step", 2, 1, minutes=40)
    rollout = under_way(site)
    assert (rollout.step, rollout.share, rollout.shadow, rollout.is_last) == (1, 0.05, False, False)
    assert rollout.since == NOON + timedelta(minutes=40)
    note(site, "step", 2, 2, minutes=80)
    assert under_way(site).is_last
    note(site, "promoted", 2, 2, minutes=120)
    assert current(site) is None
    assert primary_number(site) == 2


def test_steps_that_are_declared_anew_change_the_next_rollout_alone(site: Site, tmp_path: Path) -> None:
    release(site, "one")
    release(site, "two")
    other, _ = make_shop(tmp_path, steps=["10%"])
    assert under_way(other).stages == STAGES


def test_a_release_that_its_rollout_refused_answers_nothing_before_the_release_log_says_so(site: Site) -> None:
    release(site, "one")
    release(site, "two")
    note(site, "rolled back", 2)
    assert current(site) is None
    assert primary_number(site) == 1
    live = site.releases.live("shop")
    assert live
    assert live.number == 2


def test_a_newer_release_ends_a_rollout_and_is_held_against_the_release_that_was_proven(site: Site) -> None:
    for name in ("one", "two", "three"):
        release(site, name)
    rollout = under_way(site)
    assert (rollout.candidate.number, rollout.champion.number) == (3, 1)
    assert primary_number(site) == 1


def test_a_rollback_by_hand_ends_a_rollout_and_needs_none_itself(site: Site) -> None:
    release(site, "one")
    release(site, "two")
    back = roll_back(site.releases, site.models, "shop", Return("ada", "scores are off", NOON))
    assert (back.back_to, back.stages) == (1, ())
    assert current(site) is None
    assert primary_number(site) == 3


def test_a_rollback_by_hand_passes_over_releases_that_never_took_over(site: Site) -> None:
    for name in ("one", "two", "three"):
        release(site, name)
    back = roll_back(site.releases, site.models, "shop", Return("ada", "scores are off", NOON))
    assert back.back_to == 1


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Release], list[dict[str, Any]]]:
    models = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=6))
    outcomes = st.sampled_from(["released", "rolled back", "refused", "waiting"])
    decisions = [
        Release(n, "released" if n == 1 else draw(outcomes), model, NOON, "", "", {}, stages=STAGES if n > 1 else ())
        for n, model in enumerate(models, 1)
    ]
    said = st.tuples(st.integers(1, len(models)), st.sampled_from(["begun", "step", "promoted", "rolled back"]))
    entries = [
        {"what": what, "release": number, "step": draw(st.integers(0, 2)), "at": NOON.isoformat()}
        for number, what in draw(st.lists(said, max_size=6))
    ]
    return decisions, entries


@given(histories())
def test_whatever_was_noted_there_is_a_primary_which_is_the_champion_while_a_rollout_is_under_way(
    history: tuple[list[Release], list[dict[str, Any]]],
) -> None:
    rollout, primary_now = rollout_of(*history), primary_of(*history)
    assert primary_now
    if rollout:
        assert rollout.champion == primary_now
        assert rollout.champion.model != rollout.candidate.model


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_entities_are_drawn_evenly(share: float) -> None:
    drawn = sum(assigned(in_step(share), f"customer {n}".encode()) == "candidate" for n in range(50_000))
    assert chisquare([drawn, 50_000 - drawn], [50_000 * share, 50_000 * (1 - share)]).pvalue > 0.001


@given(st.binary(max_size=40), st.floats(0.0001, 0.98), st.floats(0, 0.01))
def test_who_had_the_candidate_keeps_it_as_the_share_grows(entity: bytes, share: float, more: float) -> None:
    if assigned(in_step(share), entity) == "candidate":
        assert assigned(in_step(share + more), entity) == "candidate"


def test_nobody_gets_the_candidate_in_a_shadow_step_and_a_request_without_any_name_gets_the_champion() -> None:
    assert {assigned(in_step(0.0), f"{n}".encode()) for n in range(1000)} == {"champion"}
    assert assigned(in_step(0.5), None) == "champion"


def test_each_rollout_draws_anew() -> None:
    both = [
        (assigned(in_step(0.5, 2), f"{n}".encode()), assigned(in_step(0.5, 3), f"{n}".encode())) for n in range(10_000)
    ]
    counts = [both.count((a, b)) for a in ("champion", "candidate") for b in ("champion", "candidate")]
    assert chisquare(counts).pvalue > 0.001


def test_every_process_draws_the_same_and_loads_neither_engine_nor_statistics_for_it() -> None:
    code = """
import sys
from datetime import UTC, datetime
from headrace.rollout.state import Rollout, assigned, current, primary
from headrace.store.releases import Release
noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
candidate = Release(2, "released", "b" * 64, noon, "", "", {}, stages=("shadow", "5%", "50%"))
rollout = Rollout(candidate, Release(1, "released", "a" * 64, noon, "", "", {}), 1, 0.25, False, noon)
print("".join(assigned(rollout, f"{n}".encode())[1] for n in range(200)))
print(sorted({"duckdb", "polars", "scipy", "dagster", "pandas"} & set(sys.modules)))
"""
    source = Path(__file__).parents[2] / "platform"
    said = {
        subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    here = "".join(assigned(in_step(0.25), f"{n}".encode())[1] for n in range(200))
    assert said == {f"{here}\n[]\n"}
