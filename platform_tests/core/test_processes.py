"""A process is gone when it has ended, or when its number belongs to a younger one."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from headrace.core.processes import is_gone, working_in


def test_this_process_is_there() -> None:
    assert not is_gone(os.getpid(), datetime.now(UTC))


def test_a_process_that_was_killed_is_gone_also_before_its_parent_has_looked() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert not is_gone(child.pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(child.pid)
    assert is_gone(child.pid)


def test_a_number_that_a_younger_process_has_taken_is_not_the_old_one() -> None:
    assert is_gone(os.getpid(), datetime.now(UTC) - timedelta(days=3650))


def test_those_that_work_in_a_folder_are_found_whoever_started_them_and_none_once_they_were_killed(
    tmp_path: Path,
) -> None:
    code = "import subprocess, sys; subprocess.Popen(['sleep', '60'], start_new_session=True); print('there', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path
    ) as first:
        assert first.stdout
        assert first.stdout.readline()
        assert first.pid in working_in(tmp_path)
        assert len(list(working_in(tmp_path))) == 2
        assert not list(working_in(tmp_path / "within"))
        for process in working_in(tmp_path):
            os.kill(process, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while list(working_in(tmp_path)):
            assert time.monotonic() < deadline
