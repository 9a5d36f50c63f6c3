"""Findings: what a check found last, in each version, however many write at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from headrace.store.findings import Findings

NOW = "2024-04-10T00:00:00+00:00"


def test_what_was_found_last_counts(tmp_path: Path) -> None:
    findings = Findings(tmp_path)
    assert findings.found("contract_orders") is None
    for found in (0, 2, 0):
        findings.note("contract_orders", found, NOW)
        assert findings.found("contract_orders") == found


def test_each_version_has_its_own_finding(tmp_path: Path) -> None:
    findings = Findings(tmp_path)
    findings.note("leakage", 3, NOW, version=1)
    findings.note("leakage", 0, NOW, version=2)
    assert [findings.found("leakage", version) for version in (1, 2, 3, None)] == [3, 0, None, None]


def test_the_same_finding_is_written_once(tmp_path: Path) -> None:
    findings = Findings(tmp_path)
    for _ in range(5):
        findings.note("leakage", 0, NOW, version=1)
    assert len(list((tmp_path / "found_leakage").glob("*.json"))) == 1


def test_of_eight_writers_at_once_each_is_heard(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda version: Findings(tmp_path).note("leakage", version, NOW, version), range(8)))
    assert [Findings(tmp_path).found("leakage", version) for version in range(8)] == list(range(8))
