"""Requirements are what is installed, with the digests that the project's lock files know, or with none at all."""

from importlib.metadata import version
from pathlib import Path

from headrace.packages.locked import known_pins, requirements_of
from platform_tests.packages.shop import ROOT


def lock(folder: Path, name: str, *pins: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(f"{pin} \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n" for pin in pins))


def test_a_library_and_all_that_it_needs_are_pinned_with_their_digests() -> None:
    wanted = requirements_of({"uvicorn"}, ROOT)
    assert wanted.unknown == ()
    assert [line.split("==")[0] for line in wanted.text.splitlines() if "==" in line] == ["click", "h11", "uvicorn"]
    assert wanted.text.startswith(f"click=={version('click')} \\\n    --hash=sha256:")
    assert "\\" not in wanted.text.splitlines()[-1]


def test_one_pin_that_no_lock_file_knows_leaves_all_without_digests(tmp_path: Path) -> None:
    lock(tmp_path, "requirements.txt", f"click=={version('click')}", f"uvicorn=={version('uvicorn')}", "h11==0.0.1")
    wanted = requirements_of({"uvicorn"}, tmp_path)
    assert wanted.unknown == (f"h11=={version('h11')}",)
    assert "--hash" not in wanted.text
    assert f"uvicorn=={version('uvicorn')}\n" in wanted.text


def test_a_module_is_pinned_by_the_name_of_its_distribution() -> None:
    assert "scikit-learn==" in requirements_of({"sklearn"}, ROOT).text


def test_a_module_that_is_not_installed_is_no_requirement(tmp_path: Path) -> None:
    assert requirements_of({"no_such_library"}, tmp_path).text.strip() == ""


def test_pins_are_read_with_extras_markers_and_names_as_people_write_them(tmp_path: Path) -> None:
    lock(tmp_path, "requirements/base.txt", "Redis_Client[hiredis]==1.2", 'uvloop==3.0 ; sys_platform != "win32"')
    (tmp_path / "requirements/notes.txt").write_text("plain==1.0\n# uvloop==9.9\n")
    digests = frozenset({"--hash=sha256:aa", "--hash=sha256:bb"})
    assert known_pins(tmp_path) == {("redis-client", "1.2"): digests, ("uvloop", "3.0"): digests}
