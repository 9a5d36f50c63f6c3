"""Stories on the disk: whole or named as torn, in the order in which they were told."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.errors import DigestMismatch
from headrace.store.story import Origin, Spool, Story

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


def story(part: str = "candidate", at: datetime = NOON, **said: object) -> Story:
    return Story.model_validate({"origin": {"run": "r" * 36, "job": "job", "at": at}, "part": part, **said})


@given(
    st.dictionaries(WORDS, st.floats(allow_nan=False)),
    st.dictionaries(WORDS, st.binary(max_size=20)),
    st.dictionaries(WORDS, WORDS),
)
def test_a_story_that_was_kept_is_the_story_that_was_told(
    metrics: dict[str, float], files: dict[str, bytes], params: dict[str, str]
) -> None:
    said = story(metrics=metrics, files=files, params=params)
    assert Story.model_validate_json(said.to_bytes().partition(b"\n")[2]) == said


def test_a_number_that_is_none_stays_that(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put(story(metrics={"auc": math.nan, "loss": math.inf}))
    found = spool.read(spool.waiting()[0])
    assert math.isnan(found.metrics["auc"])
    assert found.metrics["loss"] == math.inf


@given(st.data())
def test_a_story_that_was_cut_or_edited_anywhere_is_refused_by_its_name(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = story(metrics={"auc": 0.75}).to_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    spoilt = data.draw(st.sampled_from([whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]]))
    path = tmp_path_factory.mktemp("spool") / "x.story"
    path.write_bytes(spoilt)
    with pytest.raises(DigestMismatch, match=r"x\.story cannot be read"):
        Spool(path.parent).read(path)


def test_stories_wait_in_the_order_in_which_they_were_told_and_those_that_were_heard_go(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "new")
    assert spool.waiting() == []
    for minutes, part in ((2, "evaluation"), (1, "candidate"), (3, "end")):
        spool.put(story(part, NOON + timedelta(minutes=minutes)))
    assert [spool.read(path).part for path in spool.waiting()] == ["candidate", "evaluation", "end"]
    spool.forget(spool.waiting()[0])
    assert [spool.read(path).part for path in spool.waiting()] == ["evaluation", "end"]


def test_one_process_tells_at_a_time(tmp_path: Path) -> None:
    with Spool(tmp_path).turn(0) as first, Spool(tmp_path).turn(0) as second:
        assert (first, second) == (True, False)
    with Spool(tmp_path).turn(0) as third:
        assert third


def test_where_a_story_comes_from_is_part_of_it() -> None:
    assert story().origin == Origin(run="r" * 36, job="job", at=NOON)
    assert story().digest != story(at=NOON + timedelta(microseconds=1)).digest
