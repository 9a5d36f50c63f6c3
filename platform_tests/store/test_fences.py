"""Whoever claimed last may commit; whoever claimed before may not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.core.errors import FenceLost
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


def test_scopes_do_not_touch_each_other(tmp_path: Path) -> None:
    fences = Fences(tmp_path)
    fence = fences.claim("t@2013-01-01")
    fences.claim("t@2013-01-02")
    with fences.holding(fence):
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


def test_a_token_that_was_written_as_a_bare_number_is_read(tmp_path: Path) -> None:
    fences = Fences(tmp_path)
    fences.claim("t")
    (written,) = [path for path in tmp_path.iterdir() if not path.suffix]
    written.write_text("7")
    assert fences.claim("t").token == 8
