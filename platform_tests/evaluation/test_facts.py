"""Gates on what stands beside scores: size, speed, leaks, contracts; and that what nobody looked at refuses."""

from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from headrace.evaluation.declaration import GateText
from headrace.evaluation.gate import Verdict
from headrace.evaluation.recipe import evaluation_recipe
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, gates, judged, model, shop, trained

NOW = "2024-04-10T00:00:00+00:00"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return shop(tmp_path)


def verdict(site: Site, text: str) -> Verdict:
    digest = trained(site)
    [found] = judged(site, digest, text).verdicts(gates(text))
    return found


def test_a_model_must_be_no_larger_than_its_gate_says(site: Site) -> None:
    assert verdict(site, "size <= 20MB").passed
    large = verdict(site, "size <= 0.1KB")
    assert not large.passed
    assert large.why.endswith("is not <= 0.1KB")


def test_one_row_must_be_scored_as_fast_as_its_gate_says(site: Site) -> None:
    found = verdict(site, "latency <= 3600s")
    assert found.passed
    assert found.why.endswith("ms is <= 3600s")
    assert not verdict(site, "latency <= 0ms").passed


def test_a_training_set_that_was_not_checked_for_leaks_is_refused(site: Site) -> None:
    found = verdict(site, "leakage == 0")
    assert not found.passed
    assert "the check `leakage` never saw version 0 of the training set: materialize training/set" in found.why


@pytest.mark.parametrize("check", ["leakage", "labels"])
@pytest.mark.parametrize(("found", "passed"), [(0, True), (1, False)])
def test_what_was_found_in_the_candidates_own_training_set_counts(
    site: Site, check: str, found: int, passed: bool
) -> None:
    site.findings.note(check, found, NOW, version=0)
    site.findings.note(check, 1 - found, NOW, version=1)
    assert verdict(site, f"{check} == 0").passed is passed


def test_a_broken_contract_refuses_by_the_sources_name_until_it_is_kept_again(site: Site) -> None:
    site.tables.replace("shop/validated/orders", pa.table({"n": [1]}))
    site.tables.replace("shop/validated/clients", pa.table({"n": [1]}))
    site.findings.note("contract_orders", 0, NOW)
    assert "the contract of 'clients' was not looked at" in verdict(site, "contracts == 0").why
    site.findings.note("contract_clients", 1, NOW)
    assert verdict(site, "contracts == 0").why == "1.0000 is not == 0.0000: clients"
    before = evaluation_recipe(site, LABEL, model(), gates("contracts == 0")).facts
    site.findings.note("contract_clients", 0, NOW)
    assert verdict(site, "contracts == 0").passed
    assert evaluation_recipe(site, LABEL, model(), gates("contracts == 0")).facts != before


def test_without_any_validated_source_contracts_are_not_kept(site: Site) -> None:
    assert verdict(site, "contracts == 0").why == "no contracts: no source has validated rows"


@pytest.mark.parametrize("text", ["latency <= 5ms", "size <= 20MB", "size <= 500KB", "latency <= 2s", "contracts == 0"])
def test_gates_with_units_read_back_what_they_say(text: str) -> None:
    assert str(gates(text)[0]) == text
    assert gates(str(gates(text)[0])) == gates(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latency <= 5", "write latency <= <number> with ms or s behind it"),
        ("latency >= 5ms", "write latency <= <number> with ms or s behind it"),
        ("size <= champion", "write size <= <number> with KB or MB or GB behind it"),
        ("size <= 5ms", "write size <= <number> with KB or MB or GB behind it"),
        ("auc >= 5ms", "`auc` has no unit 'ms'"),
        ("leakage <= 1", "write leakage == 0"),
        ("auc gap <= 0.1", "write auc gap by <column> <= <number>"),
        ("auc gap by country >= 0.1", "write auc gap by <column> <= <number>"),
    ],
)
def test_a_gate_whose_words_do_not_go_together_says_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(GateText).validate_python(text)


def test_a_model_that_goes_against_a_hint_is_refused_by_the_inputs_name(site: Site) -> None:
    wrong = model(evaluation={"monotonic": {"price": "decreasing"}})
    digest = trained(site, wrong)
    [found] = judged(site, digest, "behaviour == 0", declared=wrong).verdicts(gates("behaviour == 0"))
    assert not found.passed
    assert "rows are not decreasing in price" in found.why
    assert verdict(site, "behaviour == 0").passed
