"""What the log tells of incidents."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.declaration import Identity
from headrace.core.errors import Refused
from headrace.core.place import Place
from headrace.incidents.incident import Incident, Moment, incidents_from, mean
from headrace.incidents.keep import Passed, keep
from headrace.incidents.kinds import kind_of
from headrace.incidents.note import Alarm, close, close_recovered, incidents, note_alarm, note_pass
from headrace.releases.incidents import Trouble, incidents_of, write_down
from headrace.store.person import Person
from headrace.store.site import Site
from headrace.store.traces import mask, masking, traces

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(hours: float) -> Moment:
    moment = NOON + hours * HOUR
    return Moment(moment, moment)


def alarm(hours: float = 0, of: str = "monitoring/drift:features", **more: object) -> Alarm:
    facts = {"kind": "drift", "of": of, "what": "PSI is 3", "moment": at(hours), "evidence": f"check {of} {hours}"}
    return Alarm(**{**facts, **more})  # type: ignore[arg-type]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(Identity(product="shop"), tmp_path, Place.at(tmp_path))


def raised(site: Site, *alarms: Alarm) -> list[Incident]:
    for each in alarms:
        note_alarm(site, each, lambda _: ())
    return incidents(site)


def test_alarms_of_one_cause_are_one_incident_and_those_of_others_are_others(site: Site) -> None:
    found = raised(site, alarm(0), alarm(1), alarm(2, of="monitoring/drift:predictions"))
    assert [(one.number, one.alarms) for one in found] == [(1, 2), (3, 1)]
    assert found[0].newest == at(1)


def test_an_alarm_is_noted_once_however_often_it_is_looked_at(site: Site) -> None:
    assert len(raised(site, alarm(0), alarm(0), alarm(0))) == 1
    assert incidents(site)[0].alarms == 1


def test_what_passes_for_as_long_as_declared_is_over_since_it_passed(site: Site) -> None:
    raised(site, alarm(0, first_bad=NOON - 10 * HOUR))
    note_pass(site, "drift:monitoring/drift:features", at(3), "PSI is 0")
    close_recovered(site, 2 * HOUR, at(4.9))
    assert incidents(site)[0].is_open
    close_recovered(site, 2 * HOUR, at(5))
    [one] = incidents(site)
    assert not one.is_open
    assert (one.detected_in, one.restored_in) == (10 * HOUR, 3 * HOUR)


def test_what_fails_again_before_that_goes_on(site: Site) -> None:
    raised(site, alarm(0))
    note_pass(site, "drift:monitoring/drift:features", at(1), "")
    raised(site, alarm(2))
    close_recovered(site, HOUR, at(9))
    assert incidents(site)[0].is_open
    assert incidents(site)[0].passed is None


def test_a_pass_from_before_the_newest_alarm_ends_nothing(site: Site) -> None:
    raised(site, alarm(5))
    note_pass(site, "drift:monitoring/drift:features", at(4), "")
    assert incidents(site)[0].passed is None


def test_the_next_alarm_after_the_end_opens_another_incident(site: Site) -> None:
    raised(site, alarm(0))
    close(site, 1, "a source had sent cents", "ada", NOON)
    assert [one.is_open for one in raised(site, alarm(1))] == [False, True]
    assert incidents(site)[0].by == "ada"


def test_nobody_closes_without_a_cause_nor_twice_nor_what_is_not_there(site: Site) -> None:
    raised(site, alarm(0))
    for number, cause in ((1, " "), (9, "cents")):
        with pytest.raises(Refused):
            close(site, number, cause, "ada", NOON)
    close(site, 1, "cents", "ada", NOON)
    with pytest.raises(Refused, match="was closed at"):
        close(site, 1, "cents", "ada", NOON)


def test_a_run_that_failed_by_a_check_is_told_with_that_check(site: Site) -> None:
    check = alarm(0, "validated/orders:contract", kind="contract", evidence="check run1 validated/orders:contract 7")
    run = alarm(0, "no matter", kind="failed_run", evidence="run run1", after=("check run1 validated/orders:",))
    assert [one.alarms for one in raised(site, check, run)] == [1]


def test_what_the_guard_has_found_is_an_incident_of_the_same_log(site: Site) -> None:
    write_down(site, [Trouble("The alias was moved", "It was moved back.", mended=True)])
    write_down(site, [Trouble("The files are gone", "Restore them.")])
    write_down(site, [Trouble("The files are gone", "Restore them.")])
    mended, open_ = raised(site, alarm(0))[:2]
    assert (mended.kind, mended.is_open, mended.ending) == ("tampered", False, "It was moved back.")
    assert open_.is_open
    keep(
        site,
        [Passed("tampered", "", "all is well", Moment(open_.opened.at + HOUR, open_.opened.wall + HOUR))],
        HOUR,
        at(0),
        lambda _: (),
    )
    assert incidents(site)[1].passed


def test_what_the_guard_finds_again_after_its_end_is_another_incident(site: Site) -> None:
    gone = Trouble("The files are gone", "Restore them.")
    write_down(site, [gone])
    close(site, 1, "restored", "ada", NOON)
    write_down(site, [gone])
    assert [one.is_open for one in incidents(site)] == [False, True]


def test_an_entry_from_before_incidents_had_kinds_is_read_as_one_that_is_over() -> None:
    [one] = incidents_from([{"number": 1, "at": NOON.isoformat(), "what": "moved", "done": "moved back"}])
    assert (one.kind, one.is_open, one.ending) == ("tampered", False, "moved back")


def test_a_sensor_that_goes_on_failing_is_one_alarm_a_state_change(site: Site) -> None:
    ticks = [alarm(n, "shop__files", kind="failed_sensor") for n in range(3)]
    well = Passed("failed_sensor", "shop__files", "looks again", at(3))
    again = [alarm(n, "shop__files", kind="failed_sensor") for n in (3.5, 3.6)]
    [one] = keep(site, [*ticks, well, *again], HOUR, at(4), lambda _: ())
    assert one.alarms == 2


def test_means_are_those_of_what_is_known() -> None:
    assert mean([None, HOUR, 3 * HOUR]) == 2 * HOUR
    assert mean([None]) is None


@pytest.mark.parametrize(
    ("asset", "check", "severe", "kind"),
    [
        ("monitoring/drift", "features", False, "drift"),
        ("monitoring/quality", "auc", True, "quality"),
        ("monitoring/estimated", "auc", False, "estimated"),
        ("raw/orders", "freshness", True, "freshness"),
        ("validated/orders", "contract", True, "contract"),
        ("validated/orders", "contract", False, None),
        ("serving/requests", "skew", True, "skew"),
        ("training/set", "leakage", True, "check"),
        ("training/set", "suspect", False, None),
        ("model/champion", "guarded", True, None),
    ],
)
def test_a_check_says_by_its_place_which_kind_of_alarm_it_is(asset: str, check: str, severe: bool, kind: str) -> None:
    assert kind_of(["shop", *asset.split("/")], check, severe=severe) == kind


EVENTS = st.lists(st.tuples(st.booleans(), st.sampled_from(["a", "b"]), st.integers(1, 3)), max_size=10)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(EVENTS, st.integers(0, 4))
def test_a_cause_has_one_open_incident_at_most_and_looking_again_changes_nothing(
    events: list[tuple[bool, str, int]], after: int
) -> None:
    found: list[Alarm | Passed] = []
    now = 0
    for fails, of, hours in events:
        now += hours
        found.append(alarm(now, of) if fails else Passed("drift", of, "", at(now)))
    with TemporaryDirectory() as folder:
        site = Site(Identity(product="shop"), Path(folder), Place.at(Path(folder)))
        first = keep(site, found, after * HOUR, at(now), lambda _: ())
        for cause in ("drift:a", "drift:b"):
            own = [one for one in first if one.cause == cause]
            assert sum(one.is_open for one in own) <= 1
            assert all(not one.is_open for one in own[:-1])
        fails_last = {of: fails for fails, of, _ in events}
        open_now = {one.cause[-1] for one in first if one.is_open and not one.passed}
        assert open_now == {of for of, fails in fails_last.items() if fails}
        entries = incidents_of(site).entries()
        keep(site, found, after * HOUR, at(now), lambda _: ())
        assert incidents_of(site).entries() == entries


_NOTE = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
from platform_tests.incidents.test_incident import alarm, at
from headrace.core.declaration import Identity
from headrace.core.place import Place
from headrace.incidents.note import note_alarm
from headrace.store.person import Person
from headrace.store.site import Site
from headrace.store.traces import mask, masking, traces
folder = Path(sys.argv[1])
site = Site(Identity(product="shop"), folder, Place.at(folder))
for hour in range(4):
    note_alarm(site, alarm(hour), lambda _: ())
"""


def noting(folder: Path, **environment: str) -> "subprocess.Popen[bytes]":
    code = _NOTE.format(paths=[str(ROOT), str(ROOT / "platform")])
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], env={**os.environ, **environment})


@pytest.mark.slow
def test_any_number_of_processes_note_each_alarm_once(site: Site) -> None:
    together = [noting(site.folder) for _ in range(8)]
    assert [process.wait(120) for process in together] == [0] * 8
    assert [one.alarms for one in incidents(site)] == [4]


@pytest.mark.slow
@pytest.mark.parametrize("point", ["incident:1", "incident:3", "log_staged:2", "log_published:2"])
def test_whoever_is_killed_while_noting_leaves_what_the_next_one_ends(site: Site, point: str) -> None:
    assert noting(site.folder, FAILPOINT=point).wait(120) == -signal.SIGKILL
    assert noting(site.folder).wait(120) == 0
    assert [one.alarms for one in incidents(site)] == [4]


def test_an_erasure_masks_what_an_alarm_has_quoted_and_the_log_stays_whole(site: Site) -> None:
    ada = Person("customer", "Ada Lovelace")
    raised(site, alarm(0, what="3 rows break the contract: customer Ada Lovelace"), alarm(1))
    for path in list(masking(site.place.home, ada)):
        mask(path, ada)
    assert list(traces(site.place.home, ada)) == []
    assert incidents_of(site).faults() == []
    assert incidents(site)[0].alarms == 2
    raised(site, alarm(2, what="Ada Lovelace"))
    [_, *others] = masking(site.place.home, ada)
    assert others == []
