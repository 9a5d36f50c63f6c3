"""Models: stored under their content, once, whoever else stores the same at the same moment."""

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from headrace.core.errors import DigestMismatch, StoreError
from headrace.store.models import Models, Training

ROUNDS, WRITERS = 40, 4
FILES = {"model.txt": b"trees", "meta.json": b"{}"}


def put_all(folder: Path, barrier: Barrier) -> None:
    for number in range(ROUNDS):
        barrier.wait(60)
        Models(folder).put({"model.txt": b"tree" * 1000, "meta.json": b"%d" % number})


def test_writers_of_the_same_model_at_the_same_moment_all_succeed_and_leave_one(tmp_path: Path) -> None:
    spawned = multiprocessing.get_context("spawn")
    barrier = spawned.Barrier(WRITERS)
    writers = [spawned.Process(target=put_all, args=(tmp_path, barrier)) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    left = sorted(path.name for path in tmp_path.iterdir() if path.name != "records")
    assert len(left) == ROUNDS
    assert not any(name.startswith(".") for name in left)


def test_the_same_files_are_the_same_model_and_others_another(tmp_path: Path) -> None:
    models = Models(tmp_path)
    first = models.put({"a": b"1", "b": b"2"})
    assert models.put({"b": b"2", "a": b"1"}) == first
    assert models.put({"a": b"1", "b": b"3"}) != first
    assert models.get(first, "b") == b"2"


def test_the_newest_record_counts_and_records_do_not_change_the_model(tmp_path: Path) -> None:
    models = Models(tmp_path)
    digest = models.put({"a": b"1"})
    assert models.recorded(digest, "evaluation") is None
    models.record(digest, "evaluation", {"auc": 0.5})
    models.record(digest, "evaluation", {"auc": 0.75})
    assert models.recorded(digest, "evaluation") == {"auc": 0.75}
    assert models.get(digest, "a") == b"1"


def test_a_damaged_file_is_mended_by_storing_the_same_model_again(tmp_path: Path) -> None:
    models = Models(tmp_path)
    digest = models.put(FILES)
    name = next(iter(FILES))
    (tmp_path / digest / name).write_bytes(b"edited")
    with pytest.raises(DigestMismatch):
        models.get(digest, name)
    assert models.put(FILES) == digest
    models.verify(digest)


def test_a_torn_record_is_told_in_words_with_its_place(tmp_path: Path) -> None:
    models = Models(tmp_path)
    digest = models.put(FILES)
    models.record(digest, "evaluation", {"auc": 0.8})
    (tmp_path / "records" / digest / "evaluation.json").write_text('{"auc')
    with pytest.raises(StoreError, match=r"evaluation\.json cannot be read"):
        models.recorded(digest, "evaluation")


def test_trainings_come_by_version_the_newest_last(tmp_path: Path) -> None:
    models = Models(tmp_path)
    digest = models.put(FILES)
    for version in (10, 9, 0):
        models.record_training(digest, Training("shop", "shop/training/set", version, {}, "2024-04-10"))
    assert [training["version"] for training in models.trainings(digest)] == [0, 9, 10]


def test_what_was_made_of_a_model_lies_beside_it_under_its_own_digest_and_goes_with_it(tmp_path: Path) -> None:
    models = Models(tmp_path)
    digest = models.put(FILES)
    stored = models.put_beside(digest, "forest.o", b"code")
    assert models.get_beside(digest, "forest.o", stored) == b"code"
    assert models.get_beside(digest, "forest.o", digest) is None
    assert models.get_beside(digest, "other.o", stored) is None
    models.verify(digest)
    assert models.files(digest) == FILES
    models.remove(digest)
    assert models.get_beside(digest, "forest.o", stored) is None
    models.put_beside(digest, "forest.o", b"code")
    assert not (tmp_path / digest).exists()
