"""What is due to be told, and when: a pure function."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.alerts.declaration import Alert
from headrace.alerts.notice import Notice, Told, due, is_quiet, lines, title
from headrace.core.declaration import Identity
from headrace.incidents.incident import Incident, Line, Moment
from headrace.incidents.kinds import KINDS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SHOP = Identity(product="shop", timezone="Europe/Berlin")


def at(hours: float) -> Moment:
    return Moment(NOON + hours * HOUR, NOON + hours * HOUR)


def incident(number: int = 1, **more: Any) -> Incident:
    return Incident(
        **{"number": number, "kind": "drift", "cause": f"drift:{number}", "what": "PSI is 3", "opened": at(0)} | more
    )


def alert(**more: Any) -> Alert:
    return Alert.model_validate({"folder": "here"} | more)


class Teller:
    """Tells what is due, hour by hour, and remembers it."""

    def __init__(self, declared: Alert) -> None:
        self.declared, self.told = declared, dict[str, Told]()

    def tell(self, hours: float, *incidents: Incident) -> list[str]:
        now = NOON + hours * HOUR
        found: list[Notice] = list(due(SHOP, self.declared, incidents, self.told, now))
        self.told |= {notice.id: Told(notice.event, now) for notice in found}
        return [notice.event for notice in found]


def test_an_incident_is_told_once_again_after_a_time_and_when_it_is_over() -> None:
    teller = Teller(alert(repeat="2h"))
    assert teller.tell(0, incident()) == ["opened"]
    assert teller.tell(1, incident(alarms=2)) == []
    assert teller.tell(2.1, incident()) == ["repeated"]
    assert teller.tell(2.2, incident()) == []
    assert teller.tell(4.1, incident()) == ["repeated"]
    over = incident(closed=at(5), ending="it passes")
    assert teller.tell(5, over) == ["recovered"]
    assert teller.tell(9, over) == []


def test_who_wants_neither_repeats_nor_recoveries_is_told_once() -> None:
    teller = Teller(alert(repeat=None, recovery=False))
    assert teller.tell(0, incident()) == ["opened"]
    assert teller.tell(500, incident()) == []
    assert teller.tell(501, incident(closed=at(5))) == []


def test_only_the_kinds_that_are_declared_are_told() -> None:
    assert Teller(alert(on=["quality"])).tell(0, incident()) == []


def test_what_was_over_before_anybody_was_told_is_told_as_that_unless_it_is_old() -> None:
    over = incident(kind="rolled_back", closed=at(0), ending="Release 1 is live again.")
    assert Teller(alert()).tell(1, over) == ["over"]
    assert Teller(alert()).tell(25, over) == []
    teller = Teller(alert())
    assert [teller.tell(1, over), teller.tell(2, over)] == [["over"], []]


def test_quiet_hours_are_those_of_the_products_zone_and_what_came_in_them_is_told_when_they_end() -> None:
    teller = Teller(alert(quiet="13:00-15:00"))
    assert teller.tell(0, incident()) == []  # 13:00 in Berlin
    assert teller.tell(1.9, incident()) == []
    assert teller.tell(2, incident()) == ["opened"]


def test_urgent_kinds_are_told_in_quiet_hours_all_the_same() -> None:
    teller = Teller(alert(quiet="13:00-15:00", urgent=["rolled_back"]))
    assert teller.tell(0, incident(), incident(2, kind="rolled_back")) == ["opened"]


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 10**6))
def test_of_two_halves_of_a_day_exactly_one_is_quiet(first: int, last: int, minutes: int) -> None:
    if first == last:
        return
    begins, ends = (f"{m // 60:02}:{m % 60:02}" for m in (first, last))
    one, other = alert(quiet=f"{begins}-{ends}").quiet, alert(quiet=f"{ends}-{begins}").quiet
    assert one
    assert other
    now = NOON + timedelta(minutes=minutes)
    assert is_quiet(one, now, "Europe/Berlin") != is_quiet(other, now, "Europe/Berlin")


def test_a_notice_says_since_when_what_had_changed_and_what_to_do() -> None:
    timeline = (
        Line(NOON, "decision 3: model ab released", "decision"),
        Line(NOON, "raw/orders was made", "materialized"),
    )
    known = incident(first_bad=NOON - 30 * HOUR, timeline=timeline)
    [notice] = due(SHOP, alert(runbook="https://wiki/{kind}"), [known], {}, NOON)
    text = "\n".join(lines(notice))
    assert title(notice) == "[shop] drift: PSI is 3"
    for words in ("First bad: 2026-02-28 06:00 UTC; noticed after 1d 6h", "decision 3", "https://wiki/drift"):
        assert words in text
    assert "raw/orders" not in text
    assert "headrace incidents show 1 --product shop" in text


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "one channel"),
        ({"folder": "a", "slack": "env:A"}, "one channel"),
        ({"slack": "https://hooks.slack.com/services/T/B/x"}, "pattern"),
        ({"folder": "a", "quiet": "25:00-07:00"}, "are no hours"),
        ({"folder": "a", "quiet": "07:00-07:00"}, "are no hours"),
        ({"folder": "a", "urgent": ["drift"]}, "no `quiet` hours"),
        ({"folder": "a", "on": ["drift"], "quiet": "22:00-07:00", "urgent": ["skew"]}, "not among `on`"),
        ({"folder": "a", "on": ["drfit"]}, "drift"),
        ({"email": {"to": ["nobody"]}}, "pattern"),
    ],
)
def test_what_cannot_be_meant_is_refused_while_loading(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Alert.model_validate(said)


def test_each_kind_of_incident_has_its_section_of_the_runbook() -> None:
    page = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text()
    assert [kind for kind in KINDS if f"## Incident: {kind}\n" not in page] == []
