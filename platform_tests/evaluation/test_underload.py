"""Gates on latency under load: what they say, and that nothing passes which was not tested."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from headrace.core.errors import Refused
from headrace.evaluation.declaration import GateText, before_load, under_load
from headrace.evaluation.gate import Verdict
from headrace.evaluation.underload import UnderLoad, load_facts, record_load
from headrace.store.site import Site
from platform_tests.models.shop import gates, judged, shop, trained

FOUND = {
    "at": datetime(2024, 5, 1, tzinfo=UTC), "rate": 200, "seconds": 5, "asked": 1000, "failed": 0, "allowed": 0.001,
    "p50_ms": 2.0, "p95_ms": 8.0, "p99_ms": 14.2, "late_ms": 0.3, "is_late": False, "machine": {}, "versions": {},
}  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return shop(tmp_path)


def verdict(site: Site, text: str, **changes: Any) -> Verdict:
    digest = trained(site)
    record_load(site, UnderLoad.model_validate({**FOUND, "model": digest, **changes}))
    [found] = judged(site, digest, text).verdicts(gates(text), load_facts(site, digest))
    return found


@pytest.mark.parametrize("text", ["latency.p99 <= 20ms", "latency.p95 <= 1.5s", "latency.p50 <= 0.5ms"])
def test_such_a_gate_reads_back_what_it_says(text: str) -> None:
    [gate] = gates(text)
    assert str(gate) == text
    assert gate.is_under_load


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latency.p99 >= 20ms", "write latency.p99 <= <number> with ms or s behind it"),
        ("latency.p99 <= 20", "write latency.p99 <= <number> with ms or s behind it"),
        ("latency.p99 by country <= 20ms", "write latency.p99 <= <number>"),
        ("latency.p98 <= 20ms", "no metric 'latency.p98'.*Did you mean 'latency.p9[59]'"),
    ],
)
def test_one_whose_words_do_not_go_together_says_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(GateText).validate_python(text)


def test_gates_are_told_apart_by_when_their_evidence_is_there() -> None:
    found = gates("auc >= 0.6", "latency.p99 <= 20ms", "latency <= 5ms")
    assert [str(gate) for gate in before_load(found)] == ["auc >= 0.6", "latency <= 5ms"]
    assert [str(gate) for gate in under_load(found)] == ["latency.p99 <= 20ms"]


@pytest.mark.parametrize(
    ("text", "passed", "why"),
    [
        ("latency.p99 <= 20ms", True, "14.2ms is <= 20ms: 1,000 requests at 200/s in 5 s"),
        ("latency.p99 <= 14ms", False, "14.2ms is not <= 14ms: 1,000 requests at 200/s in 5 s"),
        ("latency.p95 <= 8ms", True, "8ms is <= 8ms: 1,000 requests at 200/s in 5 s"),
        ("latency.p50 <= 1ms", False, "2ms is not <= 1ms: 1,000 requests at 200/s in 5 s"),
    ],
)
def test_a_gate_is_held_against_the_percentile_that_it_names(site: Site, text: str, passed: bool, why: str) -> None:
    found = verdict(site, text)
    assert (found.passed, found.why) == (passed, why)


def test_a_model_that_was_never_tested_is_refused_and_the_command_named(site: Site) -> None:
    digest = trained(site)
    judgement = judged(site, digest, "latency.p99 <= 20ms")
    [untold] = judgement.verdicts(gates("latency.p99 <= 20ms"))
    [told] = judgement.verdicts(gates("latency.p99 <= 20ms"), load_facts(site, digest))
    assert not untold.passed
    assert not told.passed
    assert told.why.endswith("materialize model/loadtest, or: headrace loadtest shop --candidate")


@pytest.mark.parametrize(("failed", "passed"), [(1, True), (2, False)])
def test_fast_answers_do_not_make_up_for_requests_that_had_none(site: Site, failed: int, passed: bool) -> None:
    found = verdict(site, "latency.p99 <= 20ms", failed=failed)
    assert found.passed is passed
    assert passed or "2 of 1,000 requests at 200/s in 5 s were not answered, more than the 0.10%" in found.why


@pytest.mark.parametrize("changes", [{"asked": 0}, {"p99_ms": None, "failed": 0}])
def test_where_nothing_was_asked_or_answered_nothing_passes(site: Site, changes: dict[str, Any]) -> None:
    assert not verdict(site, "latency.p99 <= 20ms", **changes).passed


def test_a_generator_that_fell_behind_is_named(site: Site) -> None:
    assert "the generator itself was late by 30 ms" in verdict(site, "latency.p99 <= 9ms", late_ms=30, is_late=True).why


def test_a_record_that_cannot_be_read_refuses_and_names_the_command(site: Site) -> None:
    digest = trained(site)
    site.models.record(digest, "loadtest.shop", {"rate": 1})
    with pytest.raises(Refused, match="Test it again: headrace loadtest shop --candidate"):
        load_facts(site, digest)
