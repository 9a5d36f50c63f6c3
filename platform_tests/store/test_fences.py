"""Whoever claimed last may commit; whoever claimed before may not."""

import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from headrace.core.days import Days
from headrace.core.errors import FenceLost, StoreError
from headrace.store.fences import Fences

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from headrace.store.fences import Fences
with Fences(Path(sys.argv[1])).alone("t"):
    print("held", flush=True)
    time.sleep(60)
"""


def january(first: int, last: int) -> Days:
    return Days(date(2024, 1, first), date(2024, 1, last))


def test_the_last_claim_holds(tmp_path: Path) -> None:
    fences = Fences(tmp_path)
    fences.claim("t")
    with fences.holding(fences.claim("t")):
        pass


def test_a_later_claim_ends_an_earlier_one(tmp_path: Path) -> None:
    fences = Fences(tmp_path)
    early = fences.claim("t")
    fences.claim("t")
    with (
        pytest.raises(FenceLost, match=r"A later run has claimed 't' \(token 2, this run holds 1\)"),
        fences.holding(early),
    ):
        pass


def test_tables_and_days_apart_do_not_touch_each_other(tmp_path: Path) -> None:
    fences = Fences(tmp_path)
    other, first = fences.claim("u"), fences.claim("t", january(1, 1))
    fences.claim("t", january(2, 2))
    with fences.holding(other), fences.holding(first):
        pass


@pytest.mark.parametrize("later", [january(2, 2), january(2, 9), january(1, 9), None])
def test_a_later_claim_of_one_of_the_days_ends_an_earlier_one(tmp_path: Path, later: Days | None) -> None:
    fences = Fences(tmp_path)
    early = fences.claim("t", january(1, 2))
    fences.claim("t", january(9, 9))
    fences.claim("t", january(20, 20))
    latest = fences.claim("t", later)
    with pytest.raises(FenceLost), fences.holding(early):
        pass
    with fences.holding(latest):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "platform")}
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGKILL)
    with Fences(tmp_path).alone("t"):
        pass


def test_a_file_in_the_place_of_the_folder_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "tables").write_text("no disk is mounted here")
    fences = Fences(tmp_path / "tables" / "_fences")
    with pytest.raises(StoreError, match=r"tables is no folder: nothing can be kept in it\. Is its disk mounted\?"):
        fences.claim("shop/raw/orders")
    with pytest.raises(StoreError, match="is no folder"), fences.writing("shop/raw/orders"):
        pass
