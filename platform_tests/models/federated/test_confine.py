"""A program of a site reads its own files and those of the machine, and none that lies beside its folder: the kernel refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.models.federated import confine

READ = "import sys; print(open(sys.argv[1]).read())"
READ_BY_A_CHILD = "import subprocess, sys; sys.exit(subprocess.run(['cat', sys.argv[1]]).returncode)"


@pytest.fixture
def sites(tmp_path: Path) -> Path:
    for name in ("site-0", "site-1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows").write_text(f"the rows of {name}")
    return tmp_path


def confined(sites: Path, *words: str, parent: int | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", confine.__file__, str(parent or os.getpid()), str(sites / "site-0"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not (sites / "site-0" / confine.MARK).exists():
        pytest.skip("NOTICE: this kernel has no Landlock: sites are kept apart by nothing here")
    return done


@pytest.mark.parametrize("code", [READ, READ_BY_A_CHILD])
def test_its_own_rows_are_read_and_those_of_another_site_are_refused(sites: Path, code: str) -> None:
    own, other = (
        confined(sites, sys.executable, "-c", code, str(sites / name / "rows")) for name in ("site-0", "site-1")
    )
    assert (own.returncode, own.stdout.strip()) == (0, "the rows of site-0")
    assert other.returncode
    assert "Permission denied" in other.stderr
    assert "site-1" not in other.stdout


def test_no_link_leads_to_another_sites_rows(sites: Path, tmp_path: Path) -> None:
    (sites / "site-0" / "link").symlink_to(sites / "site-1" / "rows")
    found = confined(sites, sys.executable, "-c", READ, str(sites / "site-0" / "link"))
    assert "Permission denied" in found.stderr


def test_what_it_may_read_is_all_but_what_lies_beside_it(sites: Path) -> None:
    found = set(confine.readable(sites / "site-0"))
    assert sites / "site-0" in found
    assert not any(sites.is_relative_to(place) or place == sites / "site-1" for place in found)
    assert Path("/usr") in found


def test_it_does_not_begin_once_its_parent_is_gone(sites: Path) -> None:
    assert "its parent is gone" in confined(sites, sys.executable, "-c", READ, __file__, parent=1).stderr
