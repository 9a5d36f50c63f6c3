"""A rollout goes on, takes over or goes back by itself, once, whoever looks and whoever is killed meanwhile."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from headrace.core.errors import DigestMismatch, Refused
from headrace.models.candidate import Candidate, remember
from headrace.releases.incidents import incidents_of
from headrace.releases.release import Request, release_model
from headrace.rollout.advance import Said, advance, look, say
from headrace.rollout.evidence import Plan
from headrace.rollout.sensors import rollout_automation
from headrace.rollout.state import Rollout, current, primary, rollouts_log
from headrace.store.rollback import Return, roll_back
from headrace.store.site import Site
from platform_tests.models.shop import gates, judged, model, orders, trained
from platform_tests.rollout.served import MINUTE, NOON, QUICK, Traffic, make_shop, release, serve

HARM = Traffic(requests=1000, errors=(0.0, 0.2))
ENOUGH = Traffic(requests=12_000)


def under_way(site: Site) -> Rollout:
    found = current(site)
    assert found
    return found


def verdict(site: Site, plan: Plan, minutes: int) -> str:
    standing = advance(site, plan, NOON + minutes * MINUTE)
    assert standing
    return standing.judgement.verdict


def begun(folder: Path, traffic: Traffic, **canary: object) -> tuple[Site, Plan]:
    """Return a shop whose second release has begun to take over at noon, and has had requests."""
    site, plan = make_shop(folder, **{**QUICK, **canary})
    release(site, "one")
    release(site, "two")
    advance(site, plan, NOON)
    serve(site, under_way(site), traffic, at=NOON + MINUTE)
    return site, plan


def noted(site: Site) -> list[tuple[str, int]]:
    return [(entry["what"], entry["step"]) for entry in rollouts_log(site).entries()]


def outcomes(site: Site) -> list[str]:
    return [decision.outcome for decision in site.releases.all("shop")]


def primary_model(site: Site) -> bytes:
    found = primary(site)
    assert found
    return site.models.get(found.model, "model.txt")


def test_without_a_rollout_nothing_is_done(tmp_path: Path) -> None:
    site, plan = make_shop(tmp_path)
    assert advance(site, plan, NOON) is None
    release(site, "one")
    assert advance(site, plan, NOON) is None
    assert noted(site) == []


def test_the_first_look_notes_that_the_rollout_has_begun_by_the_clock_on_the_wall(tmp_path: Path) -> None:
    site, plan = make_shop(tmp_path)
    release(site, "one")
    release(site, "two", at=NOON - timedelta(days=4000))
    assert verdict(site, plan, 0) == "wait"
    assert noted(site) == [("begun", 0)]
    assert under_way(site).since == NOON
    assert verdict(site, plan, 1) == "wait"
    assert noted(site) == [("begun", 0)]


def test_a_release_that_is_as_good_takes_step_by_step_and_then_over(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, Traffic(requests=1500), steps=["shadow", "50%"])
    assert verdict(site, plan, 9) == "wait"
    assert verdict(site, plan, 10) == "go_on"
    assert noted(site) == [("begun", 0), ("step", 1)]
    assert under_way(site).since == NOON + 10 * MINUTE
    assert verdict(site, plan, 30) == "wait"
    serve(site, under_way(site), ENOUGH, at=NOON + 31 * MINUTE)
    assert verdict(site, plan, 40) == "promote"
    assert current(site) is None
    assert primary_model(site) == b"two"
    assert advance(site, plan, NOON + 50 * MINUTE) is None
    assert outcomes(site) == ["released", "released"]
    evidence = rollouts_log(site).entries()[-1]["evidence"]
    assert [measure["measure"] for measure in evidence["measures"]] == ["errors", "latency", "shift", "quality"]


def test_harm_takes_a_release_back_before_its_time_with_evidence_and_one_incident(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, HARM)
    assert verdict(site, plan, 2) == "roll_back"
    assert primary_model(site) == b"one"
    assert outcomes(site) == ["released", "released", "rolled back"]
    back = site.releases.all("shop")[-1]
    assert (back.who, back.replaces, back.back_to) == ("headrace canary", 2, 1)
    assert back.why.startswith("rollout: errors: ")
    assert back.evidence["rollout"]["verdict"] == "roll_back"
    assert advance(site, plan, NOON + 3 * MINUTE) is None
    [incident] = incidents_of(site).entries()
    assert incident["what"].startswith("Release 2 did harm in step 1 of its rollout: errors: ")
    assert incident["done"] == "Release 1 is live again. To undo: headrace rollback shop --to 2 --why ..."


def test_what_a_rollout_took_back_can_be_brought_back_by_hand_at_once(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, HARM)
    advance(site, plan, NOON + 2 * MINUTE)
    roll_back(site.releases, site.models, "shop", Return("ada", "it was the network", NOON, "2"))
    assert current(site) is None
    assert primary_model(site) == b"two"
    assert advance(site, plan, NOON + 3 * MINUTE) is None


def test_a_release_in_the_shadow_goes_back_though_nobody_had_its_answers(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, Traffic(requests=300, scores=(0.3, 0.5)), steps=["shadow", "50%"])
    assert verdict(site, plan, 2) == "roll_back"
    assert primary_model(site) == b"one"


def test_a_look_does_nothing(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, HARM)
    standing = look(site, plan, NOON + 2 * MINUTE)
    assert standing
    assert standing.judgement.verdict == "roll_back"
    assert noted(site) == [("begun", 0)]
    assert outcomes(site) == ["released", "released"]


def test_a_person_lets_a_release_take_over_at_once_or_go_back_and_is_written_down(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, HARM)
    say(site, Said("promoted", "ada", "the errors were ours", NOON))
    assert primary_model(site) == b"two"
    assert rollouts_log(site).entries()[-1]["who"] == "ada"
    assert advance(site, plan, NOON + 2 * MINUTE) is None
    release(site, "three")
    advance(site, plan, NOON + 3 * MINUTE)
    say(site, Said("rolled back", "ada", "a bad feeling", NOON))
    assert primary_model(site) == b"two"
    assert site.releases.all("shop")[-1].who == "ada"
    assert incidents_of(site).entries() == []


def test_a_person_who_is_not_named_or_has_nothing_to_end_is_refused(tmp_path: Path) -> None:
    site, _ = begun(tmp_path, HARM)
    with pytest.raises(Refused, match="say --by"):
        say(site, Said("promoted", " ", "why", NOON))
    with pytest.raises(Refused, match="say --why"):
        say(site, Said("promoted", "ada", "", NOON))
    say(site, Said("promoted", "ada", "why", NOON))
    with pytest.raises(Refused, match="No rollout of shop is under way"):
        say(site, Said("promoted", "ada", "why", NOON))


def test_a_champion_whose_files_are_damaged_is_said_and_nothing_goes_live(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, HARM)
    champion = under_way(site).champion.model
    [file] = [path for path in site.place.models.rglob("model.txt") if path.read_bytes() == b"one"]
    file.chmod(0o644)
    file.write_bytes(b"two")
    with pytest.raises(DigestMismatch):
        advance(site, plan, NOON + 2 * MINUTE)
    found = primary(site)
    assert found
    assert found.model == champion
    assert outcomes(site) == ["released", "released"]
    file.write_bytes(b"one")
    assert advance(site, plan, NOON + 3 * MINUTE) is None
    assert outcomes(site)[-1] == "rolled back"


def test_a_newer_release_is_not_taken_back_by_the_rollout_of_the_one_before(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, HARM)
    release(site, "three")
    assert verdict(site, plan, 2) == "wait"
    assert under_way(site).candidate.number == 3
    live = site.releases.live("shop")
    assert live
    with pytest.raises(Refused, match="Release 3 of shop is live by now, and not release 2"):
        roll_back(site.releases, site.models, "shop", Return("x", "y", NOON, "1", instead_of=2))


ADVANCE = """
import sys
from datetime import timedelta
from pathlib import Path
from headrace.rollout.advance import advance
from platform_tests.rollout.served import NOON, QUICK, open_shop
site, plan = open_shop(Path(sys.argv[1]), **QUICK)
print("ready", flush=True)
sys.stdin.readline()
standing = advance(site, plan, NOON + timedelta(minutes=2))
print(standing.judgement.verdict if standing else "none")
"""
ROOT = Path(__file__).parents[2]


def process(folder: Path, failpoint: str = "") -> subprocess.Popen[str]:
    """Return a process that has opened the shop, and waits for a line."""
    paths = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    started = subprocess.Popen(
        [sys.executable, "-c", ADVANCE, str(folder)],
        env={**os.environ, "PYTHONPATH": paths, "FAILPOINT": failpoint},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout
    assert started.stdout.readline() == "ready\n"
    return started


KILLS = [
    "log_staged",
    "log_published",
    "rollout_decided",
    "log_intended:2",
    "log_published:2",
    "rollout_returned",
    "log_staged:3",
    "log_published:3",
]
"""While the log of rollouts, the release log and that of incidents are written, and between them."""


@pytest.mark.slow
@pytest.mark.parametrize("where", KILLS)
def test_whoever_is_killed_in_the_middle_of_going_back_the_next_one_finishes_it(tmp_path: Path, where: str) -> None:
    site, plan = begun(tmp_path, HARM)
    killed = process(tmp_path, where)
    killed.communicate("go\n")
    assert killed.returncode == -signal.SIGKILL
    assert primary_model(site) == b"one"
    advance(site, plan, NOON + 3 * MINUTE)
    assert advance(site, plan, NOON + 4 * MINUTE) is None
    assert outcomes(site) == ["released", "released", "rolled back"]
    assert noted(site) == [("begun", 0), ("rolled back", 0)]
    assert len(incidents_of(site).entries()) == 1


@pytest.mark.slow
def test_of_several_processes_that_look_at_once_one_takes_the_release_back(tmp_path: Path) -> None:
    site, _ = begun(tmp_path, HARM)
    looking = [process(tmp_path) for _ in range(4)]
    for each in looking:
        assert each.stdin
        each.stdin.write("go\n")
        each.stdin.flush()
    said = sorted(each.communicate()[0].strip() for each in looking)
    assert said.count("roll_back") == 1
    assert set(said) <= {"roll_back", "wait", "none"}
    assert outcomes(site) == ["released", "released", "rolled back"]
    assert noted(site) == [("begun", 0), ("rolled back", 0)]
    assert len(incidents_of(site).entries()) == 1


def test_the_sensor_says_what_became_of_the_rollout(tmp_path: Path) -> None:
    site, plan = make_shop(tmp_path, **QUICK)
    [sensor] = rollout_automation(site, plan)
    assert sensor.name == "shop__rollout"

    def tick() -> str:
        found = sensor(dg.build_sensor_context())
        assert isinstance(found, dg.SkipReason)
        return str(found.skip_message)

    assert tick() == "No rollout is under way."
    release(site, "one")
    release(site, "two")
    assert tick() == "Release 2 in step 1 of 1 (50%) waits: it has begun"
    serve(site, under_way(site), HARM, at=under_way(site).since)
    assert tick().startswith("Release 2 in step 1 of 1 (50%) went back: errors: ")
    assert tick() == "No rollout is under way."
    (tmp_path / "label.sql").write_text("select")
    rollouts = site.place.logs / "shop" / "rollouts"
    (rollouts / "000001.json").write_text("{}")
    assert "The log" in tick()


@pytest.mark.slow
def test_a_release_through_its_gates_has_the_declared_steps_and_the_loop_does_not_release_again_what_went_back(
    tmp_path: Path,
) -> None:
    site, plan = make_shop(tmp_path, **QUICK)
    site.tables.replace("shop/training/set", orders())
    for trees in (20, 10):
        digest = trained(site, model(trees=trees))
        judged(site, digest, "auc >= 0.6")
        release_model(site, Request(digest, "a test", "to see"), gates("auc >= 0.6"))
    first, second = site.releases.all("shop")
    assert (first.stages, second.stages) == ((), ("50%",))
    advance(site, plan, NOON)
    serve(site, under_way(site), HARM, at=NOON + MINUTE)
    assert verdict(site, plan, 2) == "roll_back"
    remember(site, Candidate(second.model, site.tables.version("shop/training/set") or 0, NOON, "again"))
    judged(site, second.model, "auc >= 0.6")
    again = release_model(site, Request(second.model, "the loop", "again"), gates("auc >= 0.6"))
    assert again.outcome == "refused"
    assert "it was rolled back by headrace canary: rollout: errors: " in again.why
