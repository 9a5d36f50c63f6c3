"""The watch: what is live answers; what cannot be loaded stays out and is said, and what answered before goes on."""

import json
from pathlib import Path

import pytest

from headrace.core.errors import Refused, StoreError
from headrace.models.probe import RECORD
from headrace.serving.problem import Problem
from headrace.serving.watch import Wanted, Watch
from headrace.store.rollback import Return, roll_back
from headrace.store.site import Site
from platform_tests.serving.bar import ROW, bar, released, until
from platform_tests.serving.test_service import opened


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return bar(tmp_path)


def watching(site: Site) -> tuple[Watch, list[str]]:
    said: list[str] = []
    return Watch(site.models, lambda: Wanted(site.releases.live("shop")), said.append), said


def test_nothing_is_served_before_a_model_is_live(site: Site) -> None:
    with pytest.raises(Refused, match="No model is live yet"):
        watching(site)


def test_a_release_takes_over(site: Site) -> None:
    first = released(site)
    watch, said = watching(site)
    assert watch.lineup.live.model.digest == first
    second = released(site, 5)
    watch.look()
    assert (watch.lineup.live.release.number, watch.lineup.live.model.digest) == (2, second)
    assert not said


def test_a_rollback_takes_over_without_another_load(site: Site) -> None:
    first = released(site)
    watch, _ = watching(site)
    before = watch.lineup.live.model
    released(site, 5)
    watch.look()
    roll_back(site.releases, site.models, "shop", Return(who="a test", why="to see", at=site.clock.now()))
    watch.look()
    assert (watch.lineup.live.release.number, watch.lineup.live.model.digest) == (3, first)
    assert watch.lineup.live.model is before


def test_a_model_whose_bytes_were_edited_stays_out_until_they_are_restored(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = released(site)
    watch, said = watching(site)
    second = released(site, 5)
    file = site.place.models / second / "model.txt"
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"leaf_value=0", b"leaf_value=9", 1)[:-3])
    for _ in range(3):
        watch.look()
    assert watch.lineup.live.model.digest == first
    assert len(said) == 1
    assert "Release 2" in said[0]
    assert watch.lineup.refused == said[0]
    file.write_bytes(whole)
    monkeypatch.setattr("headrace.serving.watch.time.monotonic", lambda: 1e12)
    watch.look()
    assert (watch.lineup.live.model.digest, watch.lineup.refused) == (second, "")


def test_a_model_that_scores_its_probe_rows_otherwise_stays_out(site: Site) -> None:
    first = released(site)
    watch, said = watching(site)
    second = released(site, 5)
    kept = site.models.recorded(second, RECORD)
    assert kept
    assert len(kept["scores"]) == 3
    site.models.record(second, RECORD, kept | {"scores": [score + 1e-6 for score in kept["scores"]]})
    watch.look()
    assert watch.lineup.live.model.digest == first
    assert "gives a probe row" in said[0]


def test_a_log_that_cannot_be_read_changes_nothing(site: Site) -> None:
    first = released(site)
    watch, _ = watching(site)
    released(site, 5)
    entry = site.place.logs / "shop" / "releases" / "000002.json"
    entry.write_text(entry.read_text().replace("to see", "to hide"))
    with pytest.raises(StoreError):
        watch.look()
    assert watch.lineup.live.model.digest == first


def test_what_was_refused_is_said_no_more_once_it_is_well(site: Site) -> None:
    released(site)
    watch, _ = watching(site)
    watch.lineup = watch.lineup._replace(refused="the log could not be read")
    watch.look()
    assert watch.lineup.refused == ""


def test_a_model_that_is_gone_with_a_person_answers_nobody(site: Site) -> None:
    digest = released(site)
    for service in opened(site):
        assert service.answer_all([service.call(json.dumps([ROW]).encode())])
        gone = {
            "outcome": "erased",
            "model": digest,
            "at": site.clock.now(),
            "who": "a test",
            "why": "",
            "evidence": {},
        }
        site.releases.decide("shop", gone, after=1)
        service.watch.look()
        for asked in (ROW, [ROW, ROW]):
            [answer] = service.answer_all([service.call(json.dumps(asked).encode())])
            assert isinstance(answer, Problem)
            assert answer.status == 503
        with pytest.raises(Problem, match="No model is live any more"):
            service.answer(service.call(json.dumps(ROW).encode()))
        assert "No model is live any more" in service.why_not_ready()
        released(site, 5)
        service.watch.look()
        assert service.why_not_ready() == ""


def test_an_error_that_nobody_has_foreseen_ends_no_watch(site: Site) -> None:
    released(site)
    said: list[str] = []
    answers = iter([Wanted(site.releases.live("shop"))] * 2)

    def wanted() -> Wanted:
        for answer in answers:
            return answer
        if not said:
            raise ZeroDivisionError
        return Wanted(site.releases.live("shop"))

    watch = Watch(site.models, wanted, said.append)
    released(site, 5)
    watch.start()
    try:
        until(lambda: watch.lineup.live.release.number == 2)
    finally:
        watch.stop()
    assert said == ["Releases cannot be followed: ZeroDivisionError"]
