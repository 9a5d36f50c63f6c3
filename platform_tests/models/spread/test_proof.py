"""Workers that learned apart are caught: LightGBM without a network trains each on its own rows, and does not say so."""

import socket
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from headrace.core.errors import StoreError
from headrace.models.spread.gang import Here
from headrace.models.spread.lesson import as_rows, dealt
from headrace.models.spread.proof import draws_rows, proven
from headrace.models.spread.trainer import _refuse_other_versions
from headrace.models.spread.worker import Learned, Work, learn
from headrace.models.train import lesson_of
from headrace.store.lessons import lying
from platform_tests.models.shop import LABEL, SAMPLED, model, orders, silent


def learned_apart(folder: Path, **params: float) -> list[Learned]:
    """Return what two workers learn from their halves where nobody tells LightGBM of the other."""
    lesson = lesson_of(orders(), LABEL, model(params=params), silent)
    with lying(folder, as_rows(lesson), dealt(lesson, 2)) as rows:
        return [learn(Work(number, [], rows, lesson.meta, 1)) for number in range(2)]


def free_ports(count: int) -> list[int]:
    taken = [socket.socket() for _ in range(count)]
    for one in taken:
        one.bind(("", 0))
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


@pytest.mark.slow
def test_workers_that_are_joined_learn_the_same_however_many_processors_each_has(tmp_path: Path) -> None:
    lesson = lesson_of(orders(), LABEL, model(trees=2), silent)
    texts = []
    for processors in (1, 2):
        machines = [f"127.0.0.1:{port}" for port in free_ports(2)]
        with (
            lying(tmp_path, as_rows(lesson), dealt(lesson, 2)) as rows,
            ProcessPoolExecutor(2, get_context("spawn")) as pool,
        ):
            works = [Work(number, machines, rows, lesson.meta, processors) for number in range(2)]
            texts.append(proven(list(pool.map(learn, works)), 2000, {}))
    assert texts[0] == texts[1]


def test_workers_that_were_never_joined_are_caught_by_the_rows_that_their_roots_have_seen(tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match=r"did not learn together.*have seen 1000 rows of 2000, they read 1000 \+ 1000"
    ):
        proven(learned_apart(tmp_path), 2000, {})


def test_one_that_was_never_joined_is_caught_though_all_have_the_same_trees(tmp_path: Path) -> None:
    first = learned_apart(tmp_path)[0]
    with pytest.raises(StoreError, match=r"have seen 1000 rows of 2000.*1 different models"):
        proven([first, first], 2000, {})


def test_where_rows_are_drawn_they_are_caught_by_their_different_trees(tmp_path: Path) -> None:
    assert draws_rows(SAMPLED)
    with pytest.raises(StoreError, match=r"did not learn together.*2 different models"):
        proven(learned_apart(tmp_path, **SAMPLED), 2000, SAMPLED)


def test_a_worker_that_has_read_too_little_is_caught(tmp_path: Path) -> None:
    apart = learned_apart(tmp_path)
    text = apart[0].text.replace("internal_count=1000 ", "internal_count=2000 ")
    whole = [replace(one, text=text) for one in apart]
    assert proven(whole, 2000, {}) == text
    with pytest.raises(StoreError, match=r"they read 1000 \+ 999"):
        proven([whole[0], replace(whole[1], rows=999)], 2000, {})


@pytest.mark.parametrize(
    ("params", "draws"),
    [
        ({"num_leaves": 7}, False),
        ({"boosting": "dart"}, False),
        ({"boosting": "rf"}, True),
        ({"boosting": "goss"}, True),
        ({"data_sample_strategy": "goss"}, True),
        ({"pos_bagging_fraction": 0.5}, True),
    ],
)
def test_it_is_known_which_parameters_draw_rows(params: dict[str, float | str], draws: bool) -> None:
    assert draws_rows(params) is draws


def test_a_node_with_another_lightgbm_is_refused() -> None:
    with pytest.raises(StoreError, match=r"Node 10.0.0.7 has LightGBM 3.0.0.*Install the same on all nodes"):
        _refuse_other_versions([Here("node", "10.0.0.7", 1, "3.0.0")])
