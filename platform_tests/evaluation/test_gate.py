"""Gates: what they say, and that nothing passes which was not measured."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from headrace.evaluation.declaration import Gate, GateText
from headrace.evaluation.duel import Difference, Duel
from headrace.evaluation.evaluate import LEAST_ROWS, Evaluation, Measured
from headrace.evaluation.gate import judge
from headrace.models.words import MEASURED
from platform_tests.models.shop import gates

METRIC = st.sampled_from([metric for metrics in MEASURED.values() for metric in metrics])
LIMIT = st.floats(-1, 1, allow_nan=False).map(lambda x: round(x, 4))


def measured(rows: int = 1000, note: str = "", **metrics: float | None) -> Measured:
    return Measured(rows=rows, positives=rows // 3, metrics=metrics, note=note)


def evaluation(overall: Measured, **by_origin: Measured) -> Evaluation:
    return Evaluation(overall=overall, slices={"origin": by_origin} if by_origin else {})


def duel_of(candidate: Evaluation, champion: Evaluation, chance: float = 0.0) -> Duel:
    """Return a duel whose differences chance may have moved by so much."""
    differences = {
        name: Difference(
            value=value - theirs, low=value - theirs - chance, high=value - theirs + chance, detectable=1.4 * chance
        )
        for name, value in candidate.overall.metrics.items()
        if value is not None and (theirs := champion.overall.metrics.get(name)) is not None
    }
    return Duel(candidate=candidate, champion=champion, differences=differences)


def passes(text: str, candidate: Evaluation, champion: Evaluation | None = None, chance: float = 0.0) -> bool:
    duel = duel_of(candidate, champion, chance) if champion else None
    return all(verdict.passed for verdict in judge(gates(text), candidate, duel))


def why(text: str, candidate: Evaluation, champion: Evaluation | None = None, chance: float = 0.0) -> str:
    duel = duel_of(candidate, champion, chance) if champion else None
    return "; ".join(verdict.why for verdict in judge(gates(text), candidate, duel))


@settings(deadline=None)
@given(METRIC, st.sampled_from([">=", "<="]), st.booleans(), st.sampled_from([None, "origin"]), LIMIT)
def test_a_gate_reads_back_what_it_says(
    metric: str, comparison: str, champion: bool, by: str | None, limit: float
) -> None:
    gate = Gate.model_validate(
        {"metric": metric, "comparison": comparison, "champion": champion, "by": by, "limit": limit}
    )
    assert gates(str(gate)) == [gate]


@pytest.mark.parametrize("text", ["auc > 0.7", "auc >= ", "auc >= nan", "auc by >= 0.7", "auc >= champion * 2", ""])
def test_a_sentence_that_is_no_gate_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValidationError, match="is not a gate: write"):
        TypeAdapter(GateText).validate_python(text)


def test_an_unknown_metric_gets_the_nearest_name() -> None:
    with pytest.raises(ValidationError, match=r"no metric 'brierr'.*Did you mean 'brier'"):
        TypeAdapter(GateText).validate_python("brierr <= 0.2")


@settings(deadline=None)
@given(METRIC, st.sampled_from([">=", "<="]), st.sampled_from([math.nan, math.inf, -math.inf, None]), LIMIT)
def test_what_is_not_a_number_never_passes(metric: str, comparison: str, value: float | None, limit: float) -> None:
    bad = evaluation(measured(**{metric: value}))
    good = evaluation(measured(**{metric: 0.5}))
    assert not passes(f"{metric} {comparison} {limit:f}", bad)
    assert not passes(f"{metric} {comparison} champion", bad, good)
    assert not passes(f"{metric} {comparison} champion", good, bad)


@settings(deadline=None)
@given(st.floats(0, 1), LIMIT)
def test_an_absolute_gate_is_the_comparison_it_says(value: float, limit: float) -> None:
    candidate = evaluation(measured(auc=value))
    assert passes(f"auc >= {limit:f}", candidate) == (value >= limit)
    assert passes(f"auc <= {limit:f}", candidate) == (value <= limit)


@pytest.mark.parametrize(("auc", "passed"), [(0.80, True), (0.796, True), (0.79, False)])
def test_a_relative_gate_compares_with_the_champion(auc: float, passed: bool) -> None:
    champion = evaluation(measured(auc=0.80))
    assert passes("auc >= champion - 0.005", evaluation(measured(auc=auc)), champion) is passed


@pytest.mark.parametrize(("chance", "passed"), [(0.004, True), (0.006, False)])
def test_a_relative_gate_must_be_met_for_sure(chance: float, passed: bool) -> None:
    candidate, champion = evaluation(measured(auc=0.80)), evaluation(measured(auc=0.80))
    assert passes("auc >= champion - 0.005", candidate, champion, chance) is passed
    assert passes("auc <= champion + 0.005", candidate, champion, chance) is passed


def test_a_candidate_of_which_too_little_is_known_hears_what_such_rows_can_tell() -> None:
    candidate, champion = evaluation(measured(auc=0.80)), evaluation(measured(auc=0.80))
    text = why("auc >= champion - 0.005", candidate, champion, 0.02)
    assert text.startswith("0.8000 against 0.8000: +0.0000 (-0.0200 to +0.0200 at 95 %), is not >= -0.0050 for sure;")
    assert "tell differences from 0.0280 on: test longer, or allow more" in text


def test_a_difference_that_chance_could_not_be_told_from_is_refused() -> None:
    candidate, champion = evaluation(measured(auc=0.9)), evaluation(measured(auc=0.8))
    [verdict] = judge(gates("auc >= champion"), candidate, Duel(candidate=candidate, champion=champion))
    assert not verdict.passed
    assert "one class is rare" in verdict.why


def test_a_relative_gate_looks_at_the_rows_that_neither_has_seen_and_an_absolute_one_at_the_whole_test() -> None:
    whole, common = evaluation(measured(auc=0.60)), evaluation(measured(auc=0.90))
    duel = duel_of(common, evaluation(measured(auc=0.80)))
    absolute, relative = judge(gates("auc >= 0.7", "auc >= champion"), whole, duel)
    assert (absolute.passed, absolute.value) == (False, 0.60)
    assert (relative.passed, relative.value, relative.limit) == (True, 0.90, 0.80)


def test_a_relative_gate_passes_while_no_model_is_live() -> None:
    candidate = evaluation(measured(auc=0.5))
    assert passes("auc >= champion", candidate)
    assert why("auc >= champion", candidate) == "no model is live yet"


def test_a_missing_metric_is_refused_with_the_reason() -> None:
    one_class = evaluation(measured(note="one class only: nothing can be ranked"))
    assert why("auc >= 0.1", one_class) == "no auc: one class only: nothing can be ranked"
    assert not passes("auc >= 0.1", one_class)


def test_few_rows_are_refused_however_good_they_look() -> None:
    assert not passes("auc >= 0.1", evaluation(measured(rows=LEAST_ROWS - 1, auc=1.0)))
    assert passes("auc >= 0.1", evaluation(measured(rows=LEAST_ROWS, auc=1.0)))


def test_every_slice_must_pass() -> None:
    candidate = evaluation(measured(auc=0.8), EWR=measured(auc=0.8), JFK=measured(auc=0.6))
    verdicts = judge(gates("auc by origin >= 0.65"), candidate, None)
    assert [(v.gate, v.passed) for v in verdicts] == [
        ("auc by origin >= 0.65 [EWR]", True),
        ("auc by origin >= 0.65 [JFK]", False),
    ]


def test_a_slice_too_small_to_judge_is_named_and_decides_nothing() -> None:
    candidate = evaluation(measured(auc=0.8), EWR=measured(auc=0.8), JFK=measured(rows=3, auc=0.1))
    assert passes("auc by origin >= 0.65", candidate)
    assert "not judged: 3 rows are too few" in why("auc by origin >= 0.65", candidate)


def test_slices_that_are_all_too_small_are_refused() -> None:
    assert not passes("auc by origin >= 0.65", evaluation(measured(auc=0.8), EWR=measured(rows=3, auc=0.9)))


def test_a_large_slice_with_one_class_is_refused() -> None:
    candidate = evaluation(measured(auc=0.8), EWR=measured(auc=0.8), JFK=measured(note="one class only"))
    assert not passes("auc by origin >= 0.65", candidate)


def test_a_slice_that_was_never_measured_is_refused() -> None:
    assert why("auc by origin >= 0.65", evaluation(measured(auc=0.8))) == "nothing was measured by 'origin'"
    assert not passes("auc by origin >= 0.65", evaluation(measured(auc=0.8)))


def test_without_gates_a_candidate_must_at_least_be_measurable() -> None:
    assert [v.passed for v in judge([], evaluation(measured(auc=0.5)), None)] == [True]
    assert [v.passed for v in judge([], evaluation(measured(note="one class only")), None)] == [False]


def test_no_skew_is_a_gate_of_its_own() -> None:
    assert gates("skew == 0") == [Gate(metric="skew", comparison="==", limit=0)]
    assert str(gates("skew == 0")[0]) == "skew == 0"
    assert passes("skew == 0", evaluation(measured(skew=0.0)))
    assert not passes("skew == 0", evaluation(measured(skew=2.0)))
    assert why("skew == 0", evaluation(measured(skew=2.0))) == "2.0000 is not == 0.0000"
    assert why("skew == 0", evaluation(measured())) == "no skew: it was not measured"


@pytest.mark.parametrize("text", ["skew >= 0", "auc == 0.5", "skew by origin == 0", "skew == champion"])
def test_what_is_counted_and_what_is_measured_are_compared_each_in_its_way(text: str) -> None:
    with pytest.raises(ValidationError, match="write skew == 0; metrics are held against >= or <="):
        TypeAdapter(list[GateText]).validate_python([text])
