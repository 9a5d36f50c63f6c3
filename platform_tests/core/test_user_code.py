"""Functions beside a declaration are loaded as they stand, followed into their helpers, and fail in words."""

from pathlib import Path

import pytest

from headrace.core.errors import DeclarationError, UserCodeError
from headrace.core.fingerprint import code_version
from headrace.core.user_code import load_function, told_in_words

WHOLE = """
from . import cleaning
from .limits import most

WEIGHTS = {"a": 1}


def whole(rows):
    return [min(cleaning.tidy(row), most()) * WEIGHTS["a"] for row in rows]
"""
CLEANING = """
UNUSED = 1


def tidy(row):
    return row + 1


def other(row):
    return row
"""
LIMITS = """
LIMIT = 5


def most():
    return LIMIT
"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path, whole=WHOLE, cleaning=CLEANING, limits=LIMITS)


def version(folder: Path) -> str:
    return code_version(load_function(folder, "shop", "whole.py:whole"))


def test_a_function_imports_the_files_beside_it(folder: Path) -> None:
    assert load_function(folder, "shop", "whole.py:whole")([1, 9]) == [2, 5]


def test_a_file_that_changed_is_loaded_anew_also_within_the_same_second(folder: Path) -> None:
    assert load_function(folder, "shop", "whole.py:whole")([9]) == [5]
    write(folder, limits=LIMITS.replace("5", "7"))
    assert load_function(folder, "shop", "whole.py:whole")([9]) == [7]
    write(folder, limits=LIMITS)
    assert load_function(folder, "shop", "whole.py:whole")([9]) == [5]
    assert not (folder / "__pycache__").exists()


def test_two_products_may_have_files_of_the_same_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other", whole="def whole(rows):\n    return 'other'\n")
    first, second = load_function(folder, "shop", "whole.py:whole"), load_function(other, "inn", "whole.py:whole")
    assert (first([1]), second([1])) == ([2], "other")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("whole", '"a": 1', '"a": 2'),
        ("cleaning", "row + 1", "row + 2"),
        ("limits", "LIMIT = 5", "LIMIT = 6"),
        ("limits", "return LIMIT", "return LIMIT + 0"),
    ],
)
def test_a_changed_helper_or_constant_in_another_file_changes_the_version(
    folder: Path, file: str, old: str, new: str
) -> None:
    before, text = version(folder), (folder / f"{file}.py").read_text()
    assert old in text
    write(folder, **{file: text.replace(old, new)})
    assert version(folder) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("cleaning", "UNUSED = 1", "UNUSED = 2"), ("cleaning", "    return row\n", "    return row * 3\n"), ("limits", "def most", "# why\ndef most")],
)  # fmt: skip
def test_what_the_function_does_not_use_changes_nothing(folder: Path, file: str, old: str, new: str) -> None:
    before, text = version(folder), (folder / f"{file}.py").read_text()
    assert old in text
    write(folder, **{file: text.replace(old, new)})
    assert version(folder) == before


def test_a_missing_file_or_function_is_named_with_the_nearest(folder: Path) -> None:
    with pytest.raises(DeclarationError, match=r"whol.py is not there. Did you mean 'whole.py'"):
        load_function(folder, "shop", "whol.py:whole")
    with pytest.raises(DeclarationError, match=r"has no function 'hole'. Did you mean 'whole'"):
        load_function(folder, "shop", "whole.py:hole")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def whole(:\n", r"whole.py:1: SyntaxError"),
        ("\n1 / 0\n", r"whole.py:2: `1 / 0`: ZeroDivisionError: division by zero"),
        ("import cleaning\n", r"whole.py:1: .*ModuleNotFoundError.*write `from .cleaning import ...`"),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_in_words(folder: Path, text: str, says: str) -> None:
    write(folder, whole=text)
    with pytest.raises(UserCodeError, match=says):
        load_function(folder, "shop", "whole.py:whole")


def test_what_fails_in_a_helper_is_told_with_the_helpers_line(folder: Path) -> None:
    function = load_function(folder, "shop", "whole.py:whole")
    with (
        pytest.raises(UserCodeError, match=r"cleaning.py:6: `return row \+ 1`: TypeError: .* \(while trying\)"),
        told_in_words(folder / "whole.py", "trying"),
    ):
        function(["text"])


def test_a_process_that_is_to_end_ends(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt), told_in_words(folder / "whole.py"):
        raise KeyboardInterrupt
