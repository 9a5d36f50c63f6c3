"""The log is append-only, one entry after the other, and shows when somebody has touched it."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from headrace.core.errors import Refused, StoreError
from headrace.store.log import Log


def append_until(job: tuple[Path, int]) -> int:
    """Append five entries, looking again whenever another process came first."""
    folder, who = job
    log, mine = Log(folder), 0
    while mine < 5:
        try:
            log.append({"who": who, "nth": mine}, after=len(log.entries()))
        except Refused:
            continue
        mine += 1
    return mine


def test_entries_are_numbered_and_come_back_in_order(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    assert log.entries() == []
    log.append({"what": "a"}, after=0)
    log.append({"what": "b"}, after=1)
    assert [(entry["number"], entry["what"]) for entry in log.entries()] == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("after", [0, 2])
def test_an_append_that_has_not_seen_the_newest_entry_is_refused(tmp_path: Path, after: int) -> None:
    log = Log(tmp_path)
    log.append({"what": "a"}, after=0)
    with pytest.raises(Refused):
        log.append({"what": "b"}, after=after)
    assert len(log.entries()) == 1


def test_an_edited_entry_breaks_the_chain(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for number in range(3):
        log.append({"what": "a"}, after=number)
    first = tmp_path / "000001.json"
    first.write_text(first.read_text().replace('"a"', '"z"'))
    with pytest.raises(StoreError, match="broken at entry 2"):
        log.entries()


def test_the_first_entries_are_copied_byte_for_byte_and_are_a_log_of_their_own(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    for number in range(3):
        log.append({"what": "a"}, after=number)
    log.copy_to(tmp_path / "copy", 2)
    assert Log(tmp_path / "copy").head() == (2, log.digest_of(2))


def test_nothing_is_copied_of_a_log_that_is_broken(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    for number in range(3):
        log.append({"what": "a"}, after=number)
    first = tmp_path / "log/000001.json"
    first.write_text(first.read_text() + " ")
    with pytest.raises(StoreError, match="broken"):
        log.copy_to(tmp_path / "copy", 1)
    assert not (tmp_path / "copy").exists()


def test_a_removed_entry_breaks_the_chain(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for number in range(3):
        log.append({"what": "a"}, after=number)
    (tmp_path / "000002.json").unlink()
    with pytest.raises(StoreError, match="broken at entry 2"):
        log.entries()


@pytest.mark.slow
def test_eight_processes_append_one_line_of_entries(tmp_path: Path) -> None:
    with ProcessPoolExecutor(8, multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(append_until, [(tmp_path, who) for who in range(8)])) == [5] * 8
    entries = Log(tmp_path).entries()
    assert [entry["number"] for entry in entries] == list(range(1, 41))
    assert len({(entry["who"], entry["nth"]) for entry in entries}) == 40
