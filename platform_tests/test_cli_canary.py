"""The commands about a rollout, as a person types them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headrace.cli import main
from headrace.core.errors import StoreError
from headrace.project import Project
from headrace.releases.guard import guard_home
from headrace.rollout.advance import advance
from headrace.rollout.evidence import Plan
from headrace.rollout.state import Rollout, current, primary, rollouts_log
from headrace.store.site import Site
from platform_tests.end_to_end.shop import land_days, make_project
from platform_tests.rollout.served import ORDERS, Traffic, release, serve

SERVED = "  serve: {online: {}, canary: {steps: [shadow, 50%], tolerance: {quality: null}}}\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    root = make_project(tmp_path / "shop")
    land_days(root, 0, 0, rows=1)
    defs = root / "platform" / "products" / "shop" / "defs.yaml"
    defs.write_text(defs.read_text() + SERVED)
    monkeypatch.chdir(root)
    site = Project(root).load("shop")[1]
    site.tables.replace("shop/validated/orders", ORDERS.empty_table())
    return site


def headrace(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def under_way(site: Site) -> Rollout:
    found = current(site)
    assert found
    return found


def begin(site: Site, traffic: Traffic) -> None:
    """Let a second release begin to take over, a quarter of an hour ago, and have requests."""
    release(site, "one")
    release(site, "two")
    declared = Project(site.place.root).load("shop")[0]
    assert declared.serve.canary
    assert declared.label
    assert declared.model
    begun = datetime.now(UTC) - timedelta(minutes=15)
    advance(site, Plan(declared.serve.canary, declared.label, declared.model), begun)
    serve(site, under_way(site), traffic, at=begun + timedelta(seconds=1))


def test_where_no_rollout_is_under_way_it_is_said_who_answers(site: Site) -> None:
    assert headrace("canary", "status", "shop").output == "No rollout of shop is under way: no model is live.\n"
    release(site, "one")
    assert "under way: release 1 answers everything." in headrace("canary", "status", "shop").output
    assert json.loads(headrace("canary", "status", "shop", "--json").output) == {
        "product": "shop",
        "primary": 1,
        "rollout": None,
        "judgement": None,
        "history": [],
    }


def test_the_status_shows_each_measure_of_both_models_with_its_interval_the_step_and_what_it_waits_for(
    site: Site,
) -> None:
    begin(site, Traffic(requests=700))
    done = headrace("canary", "status", "shop")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].startswith("release 2 (model ")
    assert lines[1].startswith("steps  [shadow] 50% all, this one since ")
    assert lines[2].split()[:3] == ["measure", "champion", "candidate"]
    errors, latency, shift, quality = (line.split() for line in lines[3:7])
    assert errors[:4] == ["errors", "0.00%", "0.00%", "0.00%"]
    assert (latency[0], latency[-3]) == ("latency", "1.00%")
    assert (shift[0], shift[-3:]) == ("shift", ["0.100", "700", "700"])
    assert quality[:3] == ["quality", "-", "-"]
    assert "waits: the step has lasted 15m of 30m" in done.output


def test_the_status_for_programs_holds_the_same_and_the_history(site: Site) -> None:
    begin(site, Traffic(requests=700, errors=(0.0, 0.3)))
    found = json.loads(headrace("canary", "status", "shop", "--json").output)
    assert (found["rollout"]["release"], found["rollout"]["shadow"], found["primary"]) == (2, True, 1)
    assert found["judgement"]["verdict"] == "roll_back"
    assert [measure["measure"] for measure in found["judgement"]["measures"]] == [
        "errors",
        "latency",
        "shift",
        "quality",
    ]
    assert [entry["what"] for entry in found["history"]] == ["begun"]
    assert "goes back: errors: 30" in headrace("canary", "status", "shop").output


def test_a_person_ends_a_rollout_either_way_and_hears_how_to_undo_it(site: Site) -> None:
    begin(site, Traffic(requests=10))
    done = headrace("canary", "abort", "shop", "--why", "a bad feeling", "--by", "ada")
    assert done.output.startswith(
        "release 1 of shop is live again, instead of 2\nTo undo: headrace rollback shop --to 2"
    )
    assert "the last one, of release 2 against 1: rolled back at " in headrace("canary", "status", "shop").output
    release(site, "three")
    done = headrace("canary", "promote", "shop", "--why", "it was proven elsewhere", "--by", "ada")
    assert done.output.startswith("release 4 of shop has taken over from release 3\n")
    again = headrace("canary", "promote", "shop", "--why", "twice")
    assert again.exit_code == 1
    assert again.output == "Error: No rollout of shop is under way.\n"


def test_a_canary_that_is_declared_no_longer_is_said_and_can_be_ended(site: Site) -> None:
    begin(site, Traffic(requests=10))
    defs = site.folder / "defs.yaml"
    defs.write_text(defs.read_text().replace(SERVED, ""))
    done = headrace("canary", "status", "shop")
    assert done.exit_code == 1
    assert "`serve: canary:` is declared no longer: nobody judges it" in done.output
    assert headrace("canary", "abort", "shop", "--why", "no canaries any more").exit_code == 0


def test_a_product_that_nobody_declares_is_told_with_the_nearest_name(site: Site) -> None:
    done = headrace("canary", "status", "shpo")
    assert done.exit_code == 1
    assert "Did you mean 'shop'?" in done.output


def test_live_says_that_a_release_takes_over_in_steps_until_it_has(site: Site) -> None:
    begin(site, Traffic(requests=10))
    said = "it takes over in steps (shadow, 50%): headrace canary status shop"
    assert said in headrace("live", "shop").output
    headrace("canary", "promote", "shop", "--why", "it is good")
    assert said not in headrace("live", "shop").output


def test_an_entry_written_into_the_log_of_rollouts_by_hand_is_refused_named_and_set_aside(site: Site) -> None:
    begin(site, Traffic(requests=10))
    log = rollouts_log(site)
    first = site.place.logs / "shop" / "rollouts" / "000001.json"
    forged = {**log.entries()[0], "what": "promoted", "number": 2, "previous": log.digest_of(1)}
    first.with_name("000002.json").write_text(json.dumps(forged))
    with pytest.raises(StoreError, match="written by hand"):
        primary(site)
    assert "the log of rollouts: entry 2" in headrace("releases", "verify", "shop").output
    [trouble] = guard_home(site)
    assert trouble.what.startswith("The log of rollouts: entry 2 (000002.json) was written by hand")
    found = primary(site)
    assert found
    assert found.number == 1


def test_a_person_whom_the_champion_holds_is_erased_once_the_rollout_has_ended(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(site.place.home / "dagster"))
    (site.place.home / "dagster").mkdir(parents=True)
    release(site, "trees of anna.berg@example.com")
    release(site, "two")
    done = headrace("erase", "shop", "--entity", "customer=anna.berg@example.com")
    assert done.exit_code == 1
    assert (
        "holds the value and answers requests while release 2 takes over in steps. Nothing was erased." in done.output
    )
    assert primary(site) == site.releases.all("shop")[0]
    headrace("canary", "promote", "shop", "--why", "anna asked us to forget her")
    done = headrace("erase", "shop", "--entity", "customer=anna.berg@example.com")
    assert done.exit_code == 0, done.output
    assert "its files hold the value; erased" in done.output
