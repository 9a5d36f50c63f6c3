"""A package is held against the list of its files: what was edited, removed or added is named, and nothing is answered."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.errors import DigestMismatch, StoreError
from headrace.packages.sealed import LIST, About, seal, verify

FILES = {
    "serve.py": b"print(1)",
    "app/headrace/__init__.py": b"",
    "product/served.json": b'{"a": 1}',
    "README.md": b"#",
}


def package(folder: Path) -> Path:
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    about = {"release": 3, "model": "ab", "trainer": "lightgbm", "features": 2, "online": "snapshot", "headrace": "0"}
    seal(folder, About.model_validate(about | {"product": "shop"}))
    return folder


def test_what_was_written_is_accepted_with_the_facts_about_it(tmp_path: Path) -> None:
    about = verify(package(tmp_path))
    assert (about.product, about.release, about.online) == ("shop", 3, "snapshot")


@given(name=st.sampled_from(sorted(FILES)), at=st.integers(0, 100), byte=st.binary(min_size=1, max_size=3))
def test_any_other_bytes_of_any_file_are_refused_by_its_name(
    tmp_path_factory: pytest.TempPathFactory, name: str, at: int, byte: bytes
) -> None:
    folder = package(tmp_path_factory.mktemp("package"))
    before = FILES[name]
    after = before[: at % (len(before) + 1)] + byte + before[at % (len(before) + 1) :]
    (folder / name).write_bytes(after)
    with pytest.raises(DigestMismatch, match=f"{name} is not the file that was packaged"):
        verify(folder)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_removed_file_is_named(tmp_path: Path, name: str) -> None:
    (package(tmp_path) / name).unlink()
    with pytest.raises(DigestMismatch, match=f"{name} was removed from the package"):
        verify(tmp_path)


@pytest.mark.parametrize("name", ["app/json.py", "product/models/other", "app/headrace/more/__init__.py"])
def test_a_file_that_was_put_beside_the_code_or_the_model_is_refused(tmp_path: Path, name: str) -> None:
    added = package(tmp_path) / name
    added.parent.mkdir(parents=True, exist_ok=True)
    added.touch()
    with pytest.raises(DigestMismatch, match=f"{name} is no part of the package"):
        verify(tmp_path)


@pytest.mark.parametrize("name", ["app/headrace/__pycache__/x.cpython-311.pyc", "notes.txt"])
def test_pythons_bytecode_and_files_at_the_top_are_nobodys_business(tmp_path: Path, name: str) -> None:
    added = package(tmp_path) / name
    added.parent.mkdir(parents=True, exist_ok=True)
    added.touch()
    assert verify(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"files"', '{"files": 1}', '{"files": []}'])
def test_a_list_that_is_none_is_refused_in_words(tmp_path: Path, text: str) -> None:
    (package(tmp_path) / LIST).write_text(text)
    with pytest.raises(DigestMismatch, match="is not the list that was written"):
        verify(tmp_path)


def test_a_folder_without_a_list_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no package, or a part of one"):
        verify(tmp_path)
