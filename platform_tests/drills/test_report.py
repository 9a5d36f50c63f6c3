"""What a drill tells: the table, and what counts as silence."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace.cli_drill import drill
from headrace.drills.declaration import FAULTS, Drill
from headrace.drills.report import Reaction, Report, State, span_text

REACTED = Reaction("drift", "check", "reacted", "PSI of amount is 2.1", timedelta(days=2), 3.25)


def report(*reactions: Reaction) -> Report:
    return Report("shop", datetime(2024, 3, 1, tzinfo=UTC), {"drift": ["amount moved"]}, reactions)


@pytest.mark.parametrize(
    ("state", "well"),
    [
        ("reacted", True),
        ("not declared", True),
        ("silent", False),
        ("stood before", False),
        ("also when healthy", False),
    ],
)
def test_silence_is_whatever_does_not_tell_the_fault_from_what_was_before(state: State, well: bool) -> None:
    assert bool(report(Reaction("drift", "check", state)).silent) is not well


def test_the_table_says_after_how_long_and_what_is_to_be_declared() -> None:
    lines = report(REACTED, Reaction("late_source", "check", "not declared", "fresh_within: 36h")).text().splitlines()
    assert lines[1].split() == ["drift", "check", "yes", "2", "d", "3.2", "PSI", "of", "amount", "is", "2.1"]
    assert lines[2].endswith("not declared  -             -        declare fresh_within: 36h")


def test_spans_are_days_and_hours() -> None:
    spans = [timedelta(), timedelta(minutes=5), timedelta(hours=42), timedelta(days=3)]
    assert [span_text(span) for span in spans] == ["at once", "under 1 h", "1 d 18 h", "3 d"]


def test_the_command_knows_every_fault() -> None:
    [choice] = [option.type for option in drill.params if option.name == "faults"]
    assert list(getattr(choice, "choices", ())) == list(FAULTS)
    assert Drill(faults=("outage", "outage")).faults == ("outage",)


def test_json_holds_the_same(tmp_path: Path) -> None:
    kept = json.loads(
        report(REACTED, Reaction("drift", "incident", "silent")).write(tmp_path / "drill.json").read_text()
    )
    assert (kept["product"], kept["passed"], kept["planted"]) == ("shop", False, {"drift": ["amount moved"]})
    assert kept["reactions"][0] == {
        "fault": "drift",
        "expected": "check",
        "state": "reacted",
        "after_product_s": 172800.0,
        "after_s": 3.25,
        "evidence": "PSI of amount is 2.1",
    }
    assert kept["reactions"][1]["after_s"] is None
