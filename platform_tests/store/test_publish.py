"""A published file is there in full, or not at all; also after a power cut."""

import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.core.errors import StoreError
from headrace.store.publish import make_folder, publish, staged

ROOT = Path(__file__).parents[2]
PUBLISH = """
import sys
from pathlib import Path
from headrace.store.publish import publish
publish(Path(sys.argv[1]), b"new", "it stays as it was")
"""
CALL = re.compile(r"(\w+)\((.*)")


def published(path: Path, *strace: str) -> subprocess.CompletedProcess[str]:
    """Publish in a process whose calls to the kernel are watched."""
    command = ["strace", "-f", "-y", *strace, sys.executable, "-c", PUBLISH, str(path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "platform")}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def may_trace() -> None:
    found = shutil.which("strace")
    if not found or subprocess.run([found, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody trace")


def test_what_is_there_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "x.json"
    publish(path, b"old", "lost")
    publish(path, b"new", "lost")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_many_that_publish_at_once_leave_what_one_of_them_wrote(tmp_path: Path) -> None:
    path, texts = tmp_path / "x.json", [str(n).encode() * 10_000 for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: publish(path, data, "lost"), texts * 5))
    assert path.read_bytes() in texts
    assert list(tmp_path.iterdir()) == [path]


def test_what_nobody_gave_its_name_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), staged(tmp_path / "x.json", b"new", "lost"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_the_bytes_stand_on_the_disk_before_the_name_and_the_name_before_it_returns(
    tmp_path: Path, may_trace: None
) -> None:
    path = tmp_path / "new folder" / "x.json"
    said = published(path, "-e", "trace=write,fsync,rename,mkdir").stderr.splitlines()
    calls = [found for line in said if str(tmp_path) in line and (found := CALL.search(line))]
    made, beside = f"<{tmp_path}>", f"<{path.parent}/.x.json."
    parts = [(call[1], next(k for k in (beside, f"<{path.parent}>", made, "") if k in call[2])) for call in calls]
    assert parts == [
        ("mkdir", ""),
        ("fsync", made),
        ("write", beside),
        ("fsync", beside),
        ("rename", ""),
        ("fsync", f"<{path.parent}>"),
    ]


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_kill_at_any_call_leaves_the_old_or_the_new(tmp_path: Path, may_trace: None, call: str) -> None:
    path = tmp_path / "x.json"
    killed = []
    for nth in range(1, 4):
        path.write_bytes(b"old")
        done = published(path, "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={nth}")
        killed.append(done.returncode == -signal.SIGKILL)
        assert path.read_bytes() == (b"old" if killed[-1] and (call, nth) != ("fsync", 2) else b"new")
    assert killed == [True, call == "fsync", False]


def test_those_who_make_a_folder_at_the_same_moment_all_find_it_made(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(300):
            folder = tmp_path / str(number) / "below"
            list(pool.map(make_folder, [folder] * 8))
            assert folder.is_dir()


@pytest.mark.parametrize("below", [".", "below", "far/below"])
def test_a_file_or_a_link_to_nowhere_in_the_place_of_a_folder_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link"):
        with pytest.raises(StoreError, match=f"/{name} is no folder: nothing can be kept in it"):
            make_folder(tmp_path / name / below)
