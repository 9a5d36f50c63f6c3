"""A process is gone when it has ended, or when its number belongs to a younger one."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from headrace.core.processes import is_gone


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
