"""A model is addressed by what is in it: complete or not there, and never other bytes than were stored."""

import multiprocessing
from pathlib import Path

import pytest

from headrace.core.errors import DigestMismatch, StoreError
from headrace.store.models import Models

FILES = {"model.txt": b"tree", "meta.json": b"{}"}


def put(folder: Path) -> str:
    return Models(folder).put(FILES)


def test_the_same_files_are_one_model_whatever_their_order(tmp_path: Path) -> None:
    models = Models(tmp_path)
    assert models.put(FILES) == models.put(dict(reversed(FILES.items())))
    assert len(list(tmp_path.iterdir())) == 1


def test_other_bytes_are_another_model(tmp_path: Path) -> None:
    models = Models(tmp_path)
    assert models.put(FILES) != models.put({**FILES, "model.txt": b"tre"})


def test_stored_bytes_come_back(tmp_path: Path) -> None:
    models = Models(tmp_path)
    assert models.get(models.put(FILES), "model.txt") == b"tree"


@pytest.mark.parametrize("damage", [b"", b"tre", b"tref", b"tree\0", b"tree" * 2])
@pytest.mark.parametrize("name", ["model.txt", "manifest.json"])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, damage: bytes) -> None:
    models = Models(tmp_path)
    digest = models.put(FILES)
    (tmp_path / digest / name).write_bytes(damage)
    with pytest.raises(DigestMismatch, match="The model is refused"):
        models.get(digest, "model.txt")


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    models = Models(tmp_path)
    digest = models.put(FILES)
    (tmp_path / digest / "model.txt").unlink()
    with pytest.raises(DigestMismatch, match="The model is refused"):
        models.get(digest, "model.txt")


def test_a_model_that_was_never_stored_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="There is no model abc"):
        Models(tmp_path).get("abc", "model.txt")


def test_many_processes_store_one_model_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        digests = pool.map(put, [tmp_path] * 16)
    assert len(set(digests)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [digests[0]]


def test_the_newest_record_of_a_kind_counts(tmp_path: Path) -> None:
    models = Models(tmp_path)
    digest = models.put(FILES)
    assert models.recorded(digest, "evaluation") is None
    models.record(digest, "evaluation", {"auc": 0.7})
    models.record(digest, "evaluation", {"auc": 0.8})
    assert models.recorded(digest, "evaluation") == {"auc": 0.8}
