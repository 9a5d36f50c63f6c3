"""Models: stored under their content, once, whoever else stores the same at the same moment."""

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

from headrace.store.models import Models

ROUNDS, WRITERS = 40, 4


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
