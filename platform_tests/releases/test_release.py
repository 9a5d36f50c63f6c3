"""Release: only a model whose own recorded evaluation passes becomes champion, and every decision is written down."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from headrace.core.declaration import Identity
from headrace.core.errors import DigestMismatch, Refused, StoreError
from headrace.evaluation.recipe import evaluation_recipe
from headrace.releases.guard import guard_home, log_troubles
from headrace.releases.release import Answer, Request, answer_waiting, release_model
from headrace.store.evaluations import kind_of, record
from headrace.store.log import Log
from headrace.store.releases import Release
from headrace.store.rollback import Return, roll_back
from headrace.store.site import Site
from platform_tests.models.shop import (
    LABEL,
    gates,
    judged,
    mislabelled,
    model,
    orders,
    priced,
    relabelled,
    shop,
    trained,
    trained_on,
)

PROMOTE = """
import sys, time
from pathlib import Path
from headrace.core.declaration import Identity
from headrace.core.declaration import Identity
from headrace.core.errors import Refused
from headrace.core.place import Place
from headrace.releases.guard import guard_home, log_troubles
from headrace.releases.release import Request, release_model
from headrace.store.site import Site
from platform_tests.models.shop import gates
folder, digest, who, go = Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])
site = Site(Identity(product="shop"), folder, Place.at(folder))
print("ready", flush=True)
while not go.exists():
    time.sleep(0.001)
try:
    print("won" if release_model(site, Request(digest, who, "a race"), gates("auc >= 0.6")).who == who else "lost")
except Refused:
    print("lost")
"""
WORSE = {"min_gain_to_split": 1e9}
FEW, QUICK = orders(1000), model(trees=10)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return shop(tmp_path)


def release(site: Site, digest: str, *texts: str) -> Release:
    return release_model(site, Request(digest, "a test", "to see"), gates(*texts))


def released(site: Site, digest: str, *texts: str) -> Release:
    judged(site, digest, *texts)
    return release(site, digest, *texts)


def live(site: Site) -> str | None:
    found = site.releases.live("shop")
    return found.model if found else None


def test_the_first_model_that_passes_goes_live_with_its_evidence(site: Site) -> None:
    decision = released(site, trained(site))
    assert (decision.outcome, decision.number, decision.who) == ("released", 1, "a test")
    assert decision.evidence["auc"] > 0.7
    assert decision.evidence["version"] == 0
    assert [gate["gate"] for gate in decision.evidence["gates"]] == ["auc >= 0.6", "auc >= champion - 0.005"]
    assert live(site) == decision.model


def test_a_release_says_the_metric_of_its_models_task(tmp_path: Path) -> None:
    site, declared = shop(tmp_path, priced()), model(task="regression")
    digest = trained(site, declared)
    judgement = judged(site, digest, "rmse <= 8", declared=declared)
    assert release(site, digest, "rmse <= 8").measured == ("rmse", judgement.evaluation.overall.metrics["rmse"])


def test_a_model_that_was_never_evaluated_is_refused(site: Site) -> None:
    with pytest.raises(Refused, match="never evaluated: materialize model/evaluation first"):
        release(site, trained(site))
    assert site.releases.all("shop") == []


def test_a_refused_model_is_written_down_with_the_gates_and_the_champion_stays(site: Site) -> None:
    champion = trained(site)
    released(site, champion)
    decision = released(site, trained(site, model(params=WORSE)))
    assert decision.outcome == "refused"
    assert "refused by auc >= 0.6 (0.5000 is not >= 0.6000)" in decision.why
    assert live(site) == champion


def test_an_evaluation_that_was_edited_is_no_evidence_and_is_made_again(site: Site) -> None:
    digest = trained(site, model(params=WORSE))
    judgement = judged(site, digest).model_dump(mode="json")
    before = evaluation_recipe(site, LABEL, model(), gates()).facts
    judgement["evaluation"]["overall"]["metrics"]["auc"] = 0.99
    site.models.record(digest, kind_of(site), judgement)
    with pytest.raises(StoreError, match="is not the one that was written: it was edited"):
        release(site, digest)
    assert live(site) is None
    assert "was edited" in evaluation_recipe(site, LABEL, model(), gates()).facts["record"]
    judged(site, digest)
    assert evaluation_recipe(site, LABEL, model(), gates()).facts == before
    assert release(site, digest).outcome == "refused"


def test_the_edited_evaluation_of_a_model_that_went_live_is_found(site: Site) -> None:
    digest = released(site, trained(site)).model
    assert log_troubles(site) == []
    site.models.record(digest, kind_of(site), {"model": digest})
    assert "was edited" in str(log_troubles(site))
    assert "was edited" in str(guard_home(site))


def test_a_torn_evaluation_is_told_in_words(site: Site) -> None:
    digest = trained(site)
    judged(site, digest)
    path = site.place.models / "records" / digest / f"{kind_of(site)}.json"
    path.write_text(path.read_text()[:200])
    with pytest.raises(StoreError, match="cannot be read: it was torn or edited"):
        release(site, digest)
    assert "torn" in evaluation_recipe(site, LABEL, model(), gates()).facts["record"]


def test_an_evaluation_that_another_release_of_headrace_wrote_is_no_evidence(site: Site) -> None:
    digest = trained(site)
    record(site, digest, {"model": digest, "passed": True})
    with pytest.raises(Refused, match="cannot be read: materialize model/evaluation again"):
        release(site, digest)


def test_a_model_that_another_product_has_evaluated_is_not_released(site: Site) -> None:
    digest = trained(site)
    judged(site, digest)
    other = Site(Identity(product="other"), site.folder, site.place)
    with pytest.raises(Refused, match="was never evaluated"):
        release_model(other, Request(digest, "ada", "by name", by_name=True), gates())


def test_the_gates_are_those_of_now_not_those_of_the_evaluation(site: Site) -> None:
    digest = trained(site)
    judged(site, digest, "auc >= 0.1")
    assert release(site, digest, "auc >= 0.99").outcome == "refused"


def test_a_gate_on_what_was_not_measured_then_refuses(site: Site) -> None:
    digest = trained(site)
    judged(site, digest, "auc >= 0.1")
    decision = release(site, digest, "auc by country >= 0.1")
    assert (decision.outcome, "nothing was measured by 'country'" in decision.why) == ("refused", True)


def test_a_model_that_is_live_stays_so_and_nothing_is_written(site: Site) -> None:
    first = released(site, trained(site))
    assert release(site, first.model) == first
    assert len(site.releases.all("shop")) == 1


def test_the_same_refusal_is_written_once(site: Site) -> None:
    digest = trained(site, model(params=WORSE))
    assert released(site, digest) == released(site, digest)
    assert len(site.releases.all("shop")) == 1


def test_a_refused_model_is_released_once_the_gates_allow_it(site: Site) -> None:
    digest = trained(site)
    assert released(site, digest, "auc >= 0.99").outcome == "refused"
    assert released(site, digest, "auc >= 0.6").outcome == "released"
    assert [entry.number for entry in site.releases.all("shop")] == [1, 2]


def test_a_comparison_with_a_champion_that_is_no_longer_live_is_no_evidence(site: Site) -> None:
    first, second, third = (trained(site, model(trees=trees)) for trees in (5, 20, 30))
    released(site, first)
    judged(site, third)
    released(site, second)
    with pytest.raises(Refused, match=r"was compared with .* is live now: materialize model/evaluation again"):
        release(site, third)
    assert live(site) == second


def test_an_edited_model_is_refused_although_its_evaluation_passes(site: Site) -> None:
    digest = trained(site)
    judged(site, digest)
    path = site.place.models / digest / "model.txt"
    path.write_bytes(path.read_bytes().replace(b"leaf_value=", b"leaf_value=9", 1))
    with pytest.raises(DigestMismatch):
        release(site, digest)
    assert live(site) is None


def test_an_edited_log_is_refused(site: Site) -> None:
    released(site, trained(site))
    released(site, trained(site, model(params=WORSE)))
    entry = site.place.logs / "shop/releases/000001.json"
    entry.write_text(entry.read_text().replace("a test", "nobody"))
    with pytest.raises(StoreError, match=r"entry 1 \(000001.json\) was edited"):
        site.releases.live("shop")


def test_one_class_in_the_test_span_is_refused_with_the_reason(tmp_path: Path) -> None:
    rows = orders()
    late = np.arange(rows.num_rows) > 1400
    site = shop(tmp_path, relabelled(rows, np.where(late, 0, rows["returned"].to_numpy())))
    decision = released(site, trained(site))
    assert (decision.outcome, "one class only" in decision.why) == ("refused", True)


def test_no_row_that_neither_has_trained_on_is_refused_with_the_reason(site: Site) -> None:
    released(site, trained(site))
    first_thirty_days = orders().slice(0, 1500)
    decision = released(site, trained_on(site, first_thirty_days))
    assert (decision.outcome, "no row that neither has trained on" in decision.why) == ("refused", True)


def test_candidate_and_champion_are_compared_on_rows_that_came_when_all_labels_either_saw_were_known(
    site: Site,
) -> None:
    champion = trained(site, model(split={"test": "5d"}))
    judged(site, champion)
    assert released(site, champion).outcome == "released"
    judgement = judged(site, trained(site))
    assert judgement.duel is not None
    assert (judgement.evaluation.overall.rows, judgement.duel.candidate.overall.rows) == (500, 250)
    assert judgement.duel.candidate.overall.positives == judgement.duel.champion.overall.positives


@pytest.mark.slow
def test_forty_worse_challengers_are_never_released(site: Site) -> None:
    champion = trained_on(site, FEW, QUICK)
    released(site, champion, "auc >= champion")
    for seed in range(40):
        challenger = trained_on(site, mislabelled(FEW, 0.4, seed), QUICK)
        assert released(site, challenger, "auc >= champion").outcome == "refused"
    assert (live(site), len(site.releases.all("shop"))) == (champion, 41)


@pytest.mark.slow
def test_of_twenty_clearly_better_challengers_all_but_one_are_released(tmp_path: Path) -> None:
    outcomes = []
    for seed in range(20):
        site = shop(tmp_path / str(seed), mislabelled(FEW, 0.4, seed))
        released(site, trained(site, QUICK), "auc >= champion")
        outcomes.append(released(site, trained_on(site, FEW, QUICK), "auc >= champion").outcome)
    assert outcomes.count("released") >= 19


@pytest.mark.slow
def test_of_eight_promoters_at_once_one_wins_each_round_and_the_log_stays_linear(site: Site) -> None:
    for round_ in range(2):
        digests = [trained(site, model(seed=8 * round_ + i, params={"extra_trees": True})) for i in range(8)]
        for digest in digests:
            judged(site, digest, "auc >= 0.6")
        said = race(site, digests)
        assert sorted(said) == ["lost"] * 7 + ["won"]
    assert [(entry.number, entry.outcome) for entry in site.releases.all("shop")] == [(n, "released") for n in (1, 2)]
    assert site.releases.faults("shop") == []


def race(site: Site, digests: list[str]) -> list[str]:
    """Return what eight promoters say who were let go at the same moment."""
    go = site.folder / f"go-{digests[0]}"
    racers = [promoter(site, digest, f"promoter {number}", go) for number, digest in enumerate(digests)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    go.touch()
    return [racer.communicate(timeout=120)[0].strip() for racer in racers]


def promoter(site: Site, digest: str, who: str, go: Path, **env: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROMOTE, str(site.folder), digest, who, str(go)]
    return subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("failpoint", ["log_staged", "log_intended", "log_published"])
def test_a_killed_release_run_again_leaves_one_entry(site: Site, failpoint: str) -> None:
    digest = trained(site)
    judged(site, digest, "auc >= 0.6")
    killed = promoter(site, digest, "a promoter", site.folder, FAILPOINT=failpoint)
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert release(site, digest, "auc >= 0.6").outcome == "released"
    assert [entry.model for entry in site.releases.all("shop")] == [digest]


def test_a_candidate_is_refused_while_what_is_served_differs_from_training(tmp_path: Path) -> None:
    site = shop(tmp_path)
    digest = trained(site)
    seen = Log(site.place.logs / "shop" / "skew")
    assert all(verdict.passed for verdict in judged(site, digest, "skew == 0").verdicts(gates("skew == 0")))
    seen.append({"at": "2024-04-10T00:00:00+00:00", "requests": 20, "features": ["price"]}, after=0)
    before = evaluation_recipe(site, LABEL, model(), gates("skew == 0")).facts
    [refused] = judged(site, digest, "skew == 0").verdicts(gates("skew == 0"))
    assert not refused.passed
    assert refused.why == "1.0000 is not == 0.0000"
    seen.append({"at": "2024-04-11T00:00:00+00:00", "requests": 20, "features": []}, after=1)
    assert evaluation_recipe(site, LABEL, model(), gates("skew == 0")).facts != before
    [passed] = judged(site, digest, "skew == 0").verdicts(gates("skew == 0"))
    assert passed.passed


def asked_by_name(site: Site, digest: str, *texts: str) -> Release:
    return release_model(site, Request(digest, "ada", "by name", by_name=True), gates(*texts))


def back(site: Site) -> Release:
    return roll_back(site.releases, site.models, "shop", Return("ada", "it scores badly", site.clock.now()))


def two_live(site: Site) -> tuple[str, str]:
    """Release two models one after the other; the second is live and the candidate."""
    first = released(site, trained(site, model(trees=5)), "auc >= 0.6").model
    return first, released(site, trained(site), "auc >= 0.6").model


def test_a_model_that_was_rolled_back_is_not_released_again_but_by_its_name(site: Site) -> None:
    first, second = two_live(site)
    back(site)
    decision = release(site, second, "auc >= 0.6")
    assert (decision.outcome, live(site)) == ("refused", first)
    assert "it was rolled back by ada: it scores badly" in decision.why
    assert release(site, second, "auc >= 0.6") == decision, "it is written down once"
    assert asked_by_name(site, second, "auc >= 0.6").outcome == "released"
    assert live(site) == second


def test_a_release_names_the_one_that_it_replaces(site: Site) -> None:
    two_live(site)
    assert [entry.replaces for entry in site.releases.all("shop")] == [None, 1]


def test_where_approval_is_required_a_candidate_that_passed_waits_and_is_not_live(tmp_path: Path) -> None:
    site = shop(tmp_path, approval="required")
    waiting = released(site, trained(site))
    assert (waiting.outcome, live(site)) == ("waiting", None)
    assert "waits for approval: headrace approve shop --by <name>" in waiting.why
    assert site.releases.waiting("shop") == waiting
    assert release(site, waiting.model) == waiting, "it waits once"


def test_an_approved_candidate_is_live_and_the_log_says_who_asked_and_who_approved(tmp_path: Path) -> None:
    site = shop(tmp_path, approval="required")
    waiting = released(site, trained(site))
    decision = answer_waiting(site, Answer("grace", "looks right"), gates())
    assert (decision.outcome, decision.who, decision.approver) == ("released", "a test", "grace")
    assert decision.why == "to see; all gates passed; approved by grace: looks right"
    assert decision.evidence == waiting.evidence
    assert (live(site), site.releases.waiting("shop")) == (waiting.model, None)


def test_a_candidate_that_somebody_said_no_to_is_not_asked_about_again(tmp_path: Path) -> None:
    site = shop(tmp_path, approval="required")
    waiting = released(site, trained(site))
    declined = answer_waiting(site, Answer("grace", "too young", agrees=False), gates())
    assert (declined.outcome, declined.approver, live(site)) == ("refused", "grace", None)
    assert "grace said no: too young" in declined.why
    assert release(site, waiting.model) == declined
    assert asked_by_name(site, waiting.model).outcome == "waiting"


@pytest.mark.parametrize(
    ("who", "texts", "words"),
    [(" ", ["auc >= 0.6"], "Nobody is named"), ("grace", ["auc >= 0.99"], "the gates of now refuse it")],
)
def test_an_approval_without_a_name_or_against_the_gates_is_refused(
    tmp_path: Path, who: str, texts: list[str], words: str
) -> None:
    site = shop(tmp_path, approval="required")
    released(site, trained(site), "auc >= 0.6")
    with pytest.raises(Refused, match=words):
        answer_waiting(site, Answer(who), gates(*texts))
    assert live(site) is None


def test_an_approval_after_another_model_went_live_is_refused(tmp_path: Path) -> None:
    site = shop(tmp_path, approval="required")
    for trees in (5, 20):
        released(site, trained(site, model(trees=trees)), "auc >= 0.6")
        answer_waiting(site, Answer("grace"), gates("auc >= 0.6"))
    released(site, trained(site, model(trees=30)), "auc >= 0.6")
    back(site)
    with pytest.raises(Refused, match="Nothing of shop waits"):
        answer_waiting(site, Answer("grace"), gates("auc >= 0.6"))


def test_a_yes_to_another_decision_than_the_one_that_waits_is_refused(tmp_path: Path) -> None:
    site = shop(tmp_path, approval="required")
    read = released(site, trained(site, model(trees=5)))
    waits = released(site, trained(site, model(trees=30)))
    with pytest.raises(Refused, match="Decision 2 waits by now, and the answer is to 1"):
        answer_waiting(site, Answer("grace", to=read.number), gates())
    assert live(site) is None
    assert answer_waiting(site, Answer("grace", to=waits.number), gates()).model == waits.model


def test_a_yes_to_evidence_that_is_another_by_now_is_refused(tmp_path: Path) -> None:
    site = shop(tmp_path, approval="required")
    digest = released(site, trained(site)).model
    site.tables.replace("shop/training/set", orders(seed=1))
    judged(site, digest)
    with pytest.raises(Refused, match="was evaluated again, or has other gates, since decision 1"):
        answer_waiting(site, Answer("grace"), gates())
    assert release(site, digest).number == 2, "the candidate waits again, with what there is by now"
    assert answer_waiting(site, Answer("grace"), gates()).outcome == "released"


def test_a_rollback_to_a_decision_that_refused_a_model_goes_back_to_its_release(site: Site) -> None:
    first = released(site, trained(site, model(trees=5)))
    released(site, trained(site, model(trees=30)), "auc >= 0.6")
    refused = released(site, first.model, "auc >= 0.99")
    assert refused.outcome == "refused"
    decision = roll_back(
        site.releases, site.models, "shop", Return("ada", "bad", site.clock.now(), str(refused.number))
    )
    assert (decision.back_to, decision.evidence) == (first.number, first.evidence)


def test_each_decision_is_kept_with_the_model_that_it_is_about(site: Site) -> None:
    two_live(site)
    decision = back(site)
    kept = site.models.recorded(decision.model, f"release.shop.{decision.number}") or {}
    assert kept["digest"] == site.releases.log("shop").digest_of(decision.number)


def test_nothing_waits_where_nothing_was_asked_for(site: Site) -> None:
    with pytest.raises(Refused, match="Nothing of shop waits for approval"):
        answer_waiting(site, Answer("grace"), gates())


def test_an_edited_model_that_waits_cannot_be_approved(tmp_path: Path) -> None:
    site = shop(tmp_path, approval="required")
    waiting = released(site, trained(site))
    path = site.place.models / waiting.model / "meta.json"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DigestMismatch):
        answer_waiting(site, Answer("grace"), gates())
