"""A log with a witness names the very entry that somebody touched, and no killed process raises a false alarm."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.errors import StoreError
from headrace.store.log import Log

APPEND = """
import sys
from pathlib import Path
from headrace.store.log import Log
folder = Path(sys.argv[1])
log = Log(folder / "log", folder / "witness")
log.append({"what": "from another process"}, after=len(log.entries()))
"""


APPEND_MANY = """
import sys
from pathlib import Path
from headrace.core.errors import Refused
from headrace.store.log import Log
folder, mine = Path(sys.argv[1]), 0
log = Log(folder / "log", folder / "witness")
while mine < 15:
    try:
        log.append({"what": mine}, after=len(log.entries()))
    except Refused:
        continue
    mine += 1
"""


def log_in(folder: Path, entries: int = 4) -> Log:
    log = Log(folder / "log", folder / "witness")
    for number in range(entries):
        log.append({"what": f"thing {number}"}, after=number)
    return log


def path(folder: Path, number: int) -> Path:
    return folder / "log" / f"{number:06d}.json"


def edit(folder: Path, number: int) -> None:
    path(folder, number).write_text(path(folder, number).read_text().replace("thing", "other"))


def remove(folder: Path, number: int) -> None:
    path(folder, number).unlink()


def tear(folder: Path, number: int) -> None:
    path(folder, number).write_bytes(path(folder, number).read_bytes()[:-9])


def swap(folder: Path, number: int) -> None:
    other = 2 if number == 1 else 1
    mine, theirs = path(folder, number).read_bytes(), path(folder, other).read_bytes()
    path(folder, number).write_bytes(theirs)
    path(folder, other).write_bytes(mine)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize(("touch", "what"), [(edit, "edited"), (tear, "torn"), (swap, "reordered")])
def test_an_entry_that_was_touched_is_named_be_it_the_last(
    tmp_path: Path, touch: Callable[[Path, int], None], what: str, number: int
) -> None:
    log = log_in(tmp_path)
    touch(tmp_path, number)
    assert (number, what) in [(fault.number, fault.what) for fault in log.faults()]
    with pytest.raises(StoreError, match="is broken at entry"):
        log.entries()


@pytest.mark.parametrize(
    ("gone", "found"), [([2], [(2, "removed")]), ([4], [(4, "cut off")]), ([3, 4], [(3, "cut off"), (4, "cut off")])]
)
def test_entries_that_were_removed_are_named_and_so_is_an_end_that_was_cut_off(
    tmp_path: Path, gone: list[int], found: list[tuple[int, str]]
) -> None:
    log = log_in(tmp_path)
    for number in gone:
        remove(tmp_path, number)
    assert [(fault.number, fault.what) for fault in log.faults()] == found


def test_an_entry_written_by_hand_is_none_of_ours_though_its_chain_holds_and_it_can_be_set_aside(
    tmp_path: Path,
) -> None:
    log = log_in(tmp_path)
    forged = Log(tmp_path / "log")
    forged.append({"what": "mine"}, after=4)
    [fault] = log.faults()
    assert str(fault) == "entry 5 (000005.json) was written by hand: no process of Headrace wrote it"
    there = log.set_aside(fault)
    assert "mine" in there.read_text()
    assert len(log.entries()) == 4
    log.append({"what": "ours"}, after=4)
    assert log.faults() == []


def test_a_log_that_was_rewritten_as_a_whole_chain_is_noticed(tmp_path: Path) -> None:
    log = log_in(tmp_path, 3)
    for number in (1, 2, 3):
        remove(tmp_path, number)
    forged = Log(tmp_path / "log")
    for number in range(3):
        forged.append({"what": "another past"}, after=number)
    assert [(fault.number, fault.what) for fault in log.faults()] == [(1, "edited"), (2, "edited"), (3, "edited")]


@pytest.mark.parametrize("failpoint", ["log_staged", "log_intended", "log_published"])
def test_a_process_killed_at_any_point_leaves_a_log_without_fault_that_goes_on(tmp_path: Path, failpoint: str) -> None:
    log = log_in(tmp_path, 2)
    killed = subprocess.run(
        [sys.executable, "-c", APPEND, str(tmp_path)], env={**os.environ, "FAILPOINT": failpoint}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert log.faults() == []
    there = len(log.entries())
    assert there == (3 if failpoint == "log_published" else 2)
    log.append({"what": "next"}, after=there)
    assert log.faults() == []
    remove(tmp_path, there)
    assert [(fault.number, fault.what) for fault in log.faults()] == [(there, "removed")]


def test_a_line_of_the_witness_that_a_killed_process_left_half_written_is_none(tmp_path: Path) -> None:
    log = log_in(tmp_path, 2)
    with (tmp_path / "witness").open("a") as file:
        file.write("\nentry 3 abc")
    assert log.faults() == []
    log.append({"what": "next"}, after=2)
    assert log.faults() == []


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 5), st.data())
def test_any_byte_of_any_entry_that_is_changed_is_noticed_and_the_entry_named(
    tmp_path_factory: pytest.TempPathFactory, number: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = log_in(folder, 5)
    whole = path(folder, number).read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda value: value != whole[place]))
    path(folder, number).write_bytes(whole[:place] + bytes([other]) + whole[place + 1 :])
    assert [fault.number for fault in log.faults()] == [number]


@pytest.mark.slow
def test_whoever_looks_while_others_append_sees_no_fault(tmp_path: Path) -> None:
    command = [sys.executable, "-c", APPEND_MANY, str(tmp_path)]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    log, looks = Log(tmp_path / "log", tmp_path / "witness"), 0
    while any(writer.poll() is None for writer in writers):
        assert log.faults() == []
        looks += 1
    for writer in writers:
        _, said = writer.communicate()
        assert writer.returncode == 0, said
    assert looks > 10
    assert len(log.entries()) == 60
