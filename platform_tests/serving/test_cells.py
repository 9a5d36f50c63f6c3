"""What processes count lies in files that any of them adds up."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from headrace.serving import cells
from headrace.serving.cells import CELLS, COUNTS, NAMES, Cells, Series, added_up

ROOT = Path(__file__).parents[2]
COUNTING = """
import sys
from pathlib import Path
from headrace.serving.cells import Cells
own = Cells(Path(sys.argv[1]))
own.numbers("requests", ("a", "200"))[0] += 5
own.numbers("workers")[0] = 1
"""


def counted_elsewhere(folder: Path) -> None:
    """Let a process of its own count, and end."""
    subprocess.run([sys.executable, "-c", COUNTING, str(folder)], cwd=ROOT / "platform", check=True)


def test_what_several_processes_have_counted_is_added_up_also_of_those_that_have_ended(tmp_path: Path) -> None:
    counted_elsewhere(tmp_path)
    counted_elsewhere(tmp_path)
    own = Cells(tmp_path)
    own.numbers("requests", ("a", "200"))[0] += 2
    own.numbers("requests", ("b", "503"))[0] += 1
    totals = own.totals()
    assert totals[Series("requests", ("a", "200"))] == [12.0]
    assert totals[Series("requests", ("b", "503"))] == [1.0]


def test_what_is_said_of_the_present_is_said_of_living_processes_alone(tmp_path: Path) -> None:
    counted_elsewhere(tmp_path)
    own = Cells(tmp_path)
    own.numbers("workers")[0] = 1
    assert own.totals({"workers"})[Series("workers", ())] == [1.0]
    assert own.totals()[Series("workers", ())] == [2.0]


def test_the_same_series_is_the_same_numbers(tmp_path: Path) -> None:
    own = Cells(tmp_path)
    own.numbers("seconds", ("a",), 3)[1] += 1
    own.numbers("seconds", ("a",), 3)[1] += 1
    assert own.totals() == {Series("seconds", ("a",)): [0.0, 2.0, 0.0]}


def test_a_process_that_has_used_up_a_file_begins_another_and_all_counts_stay(tmp_path: Path) -> None:
    own = Cells(tmp_path)
    for number in range(CELLS // 100 + 2):
        own.numbers("scores", (str(number),), 100)[99] += number
    assert len(list(tmp_path.glob(f"*{COUNTS}"))) == 2
    assert sum(numbers[99] for numbers in own.totals().values()) == sum(range(CELLS // 100 + 2))


def test_a_line_that_is_being_written_is_no_series_yet(tmp_path: Path) -> None:
    Cells(tmp_path).numbers("requests")[0] += 1
    [names] = tmp_path.glob(f"*{NAMES}")
    names.write_bytes(names.read_bytes() + b'{"family": "half')
    assert added_up(tmp_path) == {Series("requests", ()): [1.0]}


def test_threads_that_count_at_once_lose_nothing(tmp_path: Path) -> None:
    numbers = Cells(tmp_path).numbers("requests")
    rounds, before = 200_000, sys.getswitchinterval()

    def count() -> None:
        for _ in range(rounds):
            numbers[0] += 1.0

    threads = [threading.Thread(target=count) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert numbers[0] == 4 * rounds


def test_without_room_on_the_disk_a_process_goes_on_counting_and_says_that_nobody_sees_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = Cells(tmp_path / "gone")
    numbers = own.numbers("requests")
    numbers[0] += 1
    assert numbers[0] == 1.0
    assert own.totals() == {}
    assert "missing in /metrics" in caplog.text
    assert cells.log.name == "headrace.serving"
