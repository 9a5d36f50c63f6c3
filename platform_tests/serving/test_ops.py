"""What operations get: alert rules and a dashboard, held against a real Prometheus and a real server."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from headrace.cli import main
from headrace.core.ports import free_port
from headrace.serving.ops import ALERTS, DASHBOARD, write_ops
from headrace.store.measured import MeasuredDrift, write_drift
from platform_tests.serving.bar import ROW, bar, released, running, served, until
from platform_tests.serving.prometheus_server import Prometheus, needs_prometheus, prometheus, promtool

ROOT = Path(__file__).parents[2]
WELL: Mapping[str, str] = {
    'up{job="headrace"}': "1x60",
    'headrace_requests_total{product="shop",route="/v1/predict",status="200"}': "0+600x60",
    'headrace_requests_total{product="shop",route="/v1/predict",status="503"}': "0+3x60",
    'headrace_request_seconds_bucket{product="shop",route="/v1/predict",le="0.05"}': "0+600x60",
    'headrace_request_seconds_bucket{product="shop",route="/v1/predict",le="1.0"}': "0+603x60",
    'headrace_request_seconds_bucket{product="shop",route="/v1/predict",le="+Inf"}': "0+603x60",
    'headrace_sla_error_ratio{product="shop"}': "0.01x60",
    'headrace_sla_p99_seconds{product="shop"}': "0.1x60",
    'headrace_sla_features_age_seconds{product="shop"}': "7200x60",
    'headrace_features_age_seconds{product="shop"}': "60+60x60",
    'headrace_degraded_total{product="shop"}': "7x60",
    'headrace_model_refused{product="shop"}': "0x60",
    'headrace_journal_dropped_total{product="shop"}': "9x60",
    'headrace_drift_score{product="shop",feature="price",measure="psi"}': "0.2x60",
    'headrace_drift_limit{product="shop",feature="price",measure="psi"}': "0.25x60",
}
"""A server that is well for an hour: some requests fail and some are slow, as the product allows."""


@dataclass(frozen=True)
class Planted:
    """Something that is wrong, and who is told."""

    alert: str
    series: Mapping[str, str | None]
    """What is other than in a server that is well; None where it is absent."""
    labels: Mapping[str, str]


SHOP = {"product": "shop"}
PLANTED = {
    "a target that cannot be scraped": Planted("HeadraceDown", {'up{job="headrace"}': "0x60"}, {"job": "headrace"}),
    "no target at all": Planted("HeadraceDown", {'up{job="headrace"}': None}, {"job": "headrace"}),
    "two of a hundred requests fail": Planted(
        "HeadraceErrors",
        {'headrace_requests_total{product="shop",route="/v1/predict",status="503"}': "0+13x60"},
        SHOP,
    ),
    "two of a hundred requests take long": Planted(
        "HeadraceSlow",
        {'headrace_request_seconds_bucket{product="shop",route="/v1/predict",le="0.05"}': "0+590x60"},
        SHOP,
    ),
    "rows that are answered without the store": Planted(
        "HeadraceDegraded", {'headrace_degraded_total{product="shop"}': "0+1x60"}, SHOP
    ),
    "nobody asks": Planted(
        "HeadraceNoRequests",
        {
            'headrace_requests_total{product="shop",route="/v1/predict",status="200"}': "5x60",
            'headrace_requests_total{product="shop",route="/v1/predict",status="503"}': "0x60",
        },
        SHOP,
    ),
    "a release that one worker cannot take over": Planted(
        "HeadraceModelRefused", {'headrace_model_refused{product="shop"}': "1x60"}, SHOP
    ),
    "features that nobody publishes any more": Planted(
        "HeadraceFeaturesStale", {'headrace_features_age_seconds{product="shop"}': "7000+60x60"}, SHOP
    ),
    "predictions that are not kept": Planted(
        "HeadraceJournalDropping", {'headrace_journal_dropped_total{product="shop"}': "9x45 10+9x15"}, SHOP
    ),
    "a column that has moved": Planted(
        "HeadraceDrift",
        {'headrace_drift_score{product="shop",feature="price",measure="psi"}': "0.3x60"},
        {**SHOP, "feature": "price", "measure": "psi"},
    ),
}


@pytest.fixture(scope="module")
def ops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ops")
    write_ops(folder)
    return folder


def rules() -> Iterator[dict[str, Any]]:
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    yield from group["rules"]


def case(planted: Planted | None) -> dict[str, Any]:
    """Return a unit test of Prometheus' tool: what is planted is told, and nothing else is."""
    series = {**WELL, **(planted.series if planted else {})}
    given = [{"series": name, "values": values} for name, values in series.items() if values]
    expected = []
    for rule in rules():
        alerts = []
        if planted and rule["alert"] == planted.alert:
            alerts = [{"exp_labels": {**planted.labels, **rule["labels"]}}]
        expected.append({"eval_time": "50m", "alertname": rule["alert"], "exp_alerts": alerts})
    return {"interval": "1m", "input_series": given, "alert_rule_test": expected}


@needs_prometheus
def test_the_rules_are_rules(ops: Path) -> None:
    assert "SUCCESS: 9 rules found" in promtool("check", "rules", str(ops / "alerts.yaml"))


@needs_prometheus
@pytest.mark.parametrize("planted", [None, *PLANTED.values()], ids=["all is well", *PLANTED])
def test_an_alert_fires_on_its_case_and_no_other_one_does(planted: Planted | None, ops: Path, tmp_path: Path) -> None:
    bare = yaml.safe_load((ops / "alerts.yaml").read_text())
    for rule in bare["groups"][0]["rules"]:
        # The tool holds the annotations, which show values, against those that are expected, too.
        del rule["annotations"]
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(bare))
    tests = {"rule_files": ["alerts.yaml"], "evaluation_interval": "1m", "tests": [case(planted)]}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests))
    assert "SUCCESS" in promtool("test", "rules", "tests.yaml", folder=tmp_path)


def test_each_alert_has_its_planted_case_and_leads_to_a_section_of_the_runbook() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    told = [rule["alert"] for rule in rules()]
    assert set(told) == set(headings) == {planted.alert for planted in PLANTED.values()}
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"


def test_the_command_writes_what_prometheus_and_grafana_read_and_names_it(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["ops", str(tmp_path / "ops")])
    assert done.exit_code == 0, done.output
    written = sorted(path.name for path in (tmp_path / "ops").iterdir())
    assert written == ["alerts.yaml", "dashboard.json", "prometheus.yml"]
    assert all(name in done.output for name in written)


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory, ops: Path) -> Iterator[Prometheus]:
    """Yield a Prometheus that scrapes a real server of two workers, which have answered."""
    folder = tmp_path_factory.mktemp("watched")
    site = bar(folder / "shop")
    digest = released(site)
    moved = {"column": "price", "measure": "psi", "value": 0.1, "limit": 0.25}
    write_drift(
        site.place,
        "shop",
        MeasuredDrift.model_validate({"model": digest, "day": "2024-04-09", "columns": [moved]}),
    )
    declared = served(site, online={}, price={"cpu_hour": 0.04, "currency": "EUR"})
    port = free_port()
    with (
        running(site, declared, port=port, workers=2) as server,
        prometheus(folder / "prometheus", port, ops / "alerts.yaml") as found,
    ):
        rate = 'sum(rate(headrace_requests_total{route="/v1/predict",status="200"}[1m]))'

        def is_seen() -> bool:
            assert server.ask("/v1/predict", ROW).status == 200
            return bool(found.value(rate))

        until(is_seen)
        yield found


@needs_prometheus
@pytest.mark.slow
def test_a_real_prometheus_scrapes_a_server_and_sees_its_requests_come(watching: Prometheus) -> None:
    [target] = watching.asked("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    assert (watching.value("rate(headrace_predictions_count[1m])") or 0) > 0
    assert (watching.value("rate(headrace_feature_lookup_seconds_count[1m])") or 0) > 0
    until(lambda: watching.value("headrace_workers") == 2.0)
    assert watching.value('headrace_drift_score{feature="price"}') == 0.1


@needs_prometheus
@pytest.mark.slow
def test_all_metrics_that_are_written_of_are_there(watching: Prometheus) -> None:
    there = set(watching.asked("label/__name__/values"))
    page = (ROOT / "docs" / "how-to.md").read_text()
    named = set(re.findall(r"headrace_[a-z0-9_]+", ALERTS.read_text() + DASHBOARD.read_text()))
    assert named
    assert named <= there
    counted = {name for name in there if name.startswith("headrace_")}
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in counted}
    assert not {name for name in families if f"`{name}`" not in page}


@needs_prometheus
@pytest.mark.slow
def test_a_server_that_is_well_sets_off_no_alert(watching: Prometheus) -> None:
    until(lambda: all(rule["lastEvaluation"] > "2000" for rule in evaluated(watching)))
    assert {rule["health"] for rule in evaluated(watching)} == {"ok"}
    assert {rule["state"] for rule in evaluated(watching)} == {"inactive"}


def evaluated(watching: Prometheus) -> list[dict[str, Any]]:
    [group] = watching.asked("rules")["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def expressions() -> Iterator[tuple[str, str]]:
    """Yield all queries of the dashboard, by the panel that they stand on."""
    board = json.loads(DASHBOARD.read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in board["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


@needs_prometheus
@pytest.mark.slow
def test_every_query_of_the_dashboard_has_an_answer_of_a_running_server(watching: Prometheus) -> None:
    silent = []
    for panel, query in expressions():
        found = watching.asked("query", query=query.replace("$product", "shop"))["result"]
        if not found:
            silent.append(panel)
    assert not silent


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    board = json.loads(DASHBOARD.read_text())
    assert board["schemaVersion"] == 39
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource", "product"]
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["type"] in {"row", "stat", "timeseries", "heatmap", "table"}
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert panel["description"]
            assert panel["targets"]
            assert all('product="$product"' in target["expr"] for target in panel["targets"])


def test_no_two_panels_of_the_dashboard_lie_over_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
