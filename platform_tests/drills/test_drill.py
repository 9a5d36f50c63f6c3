"""`headrace drill` on a whole shop: real faults, real sensors and runs, and nothing of the shop itself is touched."""

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from headrace.automation.decide import Seen, decide
from headrace.cli import main
from headrace.product import loop_of
from platform_tests.end_to_end.shop import land_days, make_project
from platform_tests.releases.test_why import Shop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of thirty days, one row of which breaks the contract; its model is live, as its sensor asked, and has scored the newest day."""
    shop = Shop(make_project(tmp_path_factory.mktemp("live") / "shop"))
    shop.land(0, 29)
    with (shop.project.root / "landing/orders/2024-01-05.csv").open("a") as file:
        file.write("odd,c1,2024-01-05T12:00:00+00:00,2024-01-06T12:00:00+00:00,-1,false\n")
    shop.ingest()
    loop = loop_of(*shop.project.load("shop"))
    loop.record_training(decide(loop.retrain, Seen(), loop.site.clock.now()))
    shop.train()
    shop.run(loop.live_keys, {})
    return shop.project.root


@pytest.fixture
def root(live: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    shutil.copytree(live, tmp_path / "shop")
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop"


def drill(box: Path, *faults: str) -> tuple[Result, dict[tuple[str, str], dict[str, Any]]]:
    """Return what the command said, and each reaction by fault and the first words of what was expected."""
    chosen = [word for fault in faults for word in ("--fault", fault)]
    done = CliRunner().invoke(main, ["drill", "shop", "--sandbox", str(box), *chosen])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    kept = json.loads((box / "drill.json").read_text())["reactions"] if (box / "drill.json").exists() else []
    return done, {(one["fault"], one["expected"]): one for one in kept}


def states(found: dict[tuple[str, str], dict[str, Any]]) -> dict[str, str]:
    return {expected: one["state"] for (_, expected), one in found.items()}


def bytes_below(folder: Path) -> dict[str, tuple[str, int]]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(f.relative_to(folder)): (sha256(f.read_bytes()).hexdigest(), f.stat().st_mtime_ns) for f in files}


def declare(root: Path, old: str, new: str) -> None:
    defs = root / "platform/products/shop/defs.yaml"
    assert old in defs.read_text()
    defs.write_text(defs.read_text().replace(old, new))


def test_drift_is_noticed_within_the_window_and_healthy_days_wake_nobody(root: Path, tmp_path: Path) -> None:
    before = bytes_below(root)
    done, found = drill(tmp_path / "box", "drift")
    assert done.exit_code == 0, done.output
    assert set(states(found).values()) == {"reacted"}
    check = found["drift", "check monitoring/drift features"]
    assert check["evidence"].startswith("PSI of amount is")
    assert 0 < check["after_product_s"] <= 3 * 86400
    assert "drift: PSI of amount" in found["drift", "decision to retrain"]["evidence"]
    assert "healthy days, which should wake nobody" in done.output
    assert bytes_below(root) == before


def test_a_limit_that_is_far_too_high_is_reported_as_silence(root: Path, tmp_path: Path) -> None:
    declare(root, "psi: 0.5", "psi: 500")
    done, found = drill(tmp_path / "box", "drift")
    assert done.exit_code == 1
    assert set(states(found).values()) == {"silent"}
    assert "drift: check monitoring/drift features stayed silent" in done.output
    assert json.loads((tmp_path / "box/drill.json").read_text())["passed"] is False


def test_a_store_that_is_away_is_noticed_and_nothing_is_lost_also_without_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    root = make_project(tmp_path / "shop")
    defs = root / "platform/products/shop/defs.yaml"
    of_models = ("label:", "model:", "gates:", "monitors:", "retrain:")
    kept = [line for line in defs.read_text().splitlines() if not line.strip().startswith(of_models)]
    defs.write_text("\n".join(kept))
    land_days(root, 0, 7, rows=5)
    for file in (root / "landing/orders").iterdir():
        os.utime(file, (1, 1))
    monkeypatch.chdir(root)
    before = bytes_below(root)
    done, found = drill(tmp_path / "box", "outage", "bad_model")
    assert done.exit_code == 0, done.output
    assert "tables is no folder" in found["outage", "failure in words"]["evidence"]
    assert found["outage", "nothing lost"]["evidence"] == "orders: 40 rows before, 5 landed, 45 are there"
    assert found["outage", "recovery"]["evidence"].startswith("incident 1 passes since")
    assert {one["state"] for of, one in found.items() if of[0] == "bad_model"} == {"not declared"}
    assert bytes_below(root) == before


def test_a_late_source_is_noticed_and_a_training_waits(root: Path, tmp_path: Path) -> None:
    before = bytes_below(root)
    done, found = drill(tmp_path / "box", "late_source")
    assert done.exit_code == 0, done.output
    assert "(late source: newest row of 'orders' is" in found["late_source", "retraining waits"]["evidence"]
    assert found["late_source", "check raw/orders freshness"]["after_product_s"] == pytest.approx(36 * 3600)
    assert bytes_below(root) == before


def test_broken_rows_stay_outside_and_a_worse_model_is_refused(root: Path, tmp_path: Path) -> None:
    before = bytes_below(root)
    done, found = drill(tmp_path / "box", "broken_rows", "bad_model")
    assert done.exit_code == 0, done.output
    kept_out = found["broken_rows", "bad rows kept out"]["evidence"]
    assert kept_out == "40 of 80 rows were broken: 40 went on, 40 were set aside"
    assert "(broken contract: 40 of" in found["broken_rows", "retraining waits"]["evidence"]
    assert "refused by auc >= 0.6" in found["bad_model", "gate"]["evidence"]
    rollout = found["bad_model", "rollout goes back"]
    assert (rollout["state"], rollout["evidence"]) == ("not declared", "serve: {online: {}, canary: {}}")
    assert bytes_below(root) == before


def test_a_release_that_no_gate_holds_up_goes_back_by_itself(root: Path, tmp_path: Path) -> None:
    declare(root, "  retrain:", "  serve: {online: {}, canary: {steps: [5%]}}\n  approval: required\n  retrain:")
    before = bytes_below(root)
    done, found = drill(tmp_path / "box", "bad_model")
    assert done.exit_code == 0, done.output
    assert set(states(found).values()) == {"reacted"}
    assert "shift" in found["bad_model", "rollout goes back"]["evidence"]
    assert "did harm in step 1 of its rollout" in found["bad_model", "incident rolled_back"]["evidence"]
    assert "rows of the training set, by it and by the model before it" in done.output
    assert bytes_below(root) == before


def test_a_canary_that_tolerates_everything_is_reported_as_silence(root: Path, tmp_path: Path) -> None:
    tolerant = "{errors: null, latency: null, shift: null, quality: null}"
    declare(root, "  retrain:", f"  serve: {{online: {{}}, canary: {{tolerance: {tolerant}}}}}\n  retrain:")
    done, found = drill(tmp_path / "box", "bad_model")
    assert done.exit_code == 1
    assert states(found) == {
        "gate": "reacted",
        "incident gate_failed": "reacted",
        "rollout goes back": "silent",
        "incident rolled_back": "silent",
    }


def test_a_contract_that_only_warns_and_a_product_that_trains_regardless_are_told(root: Path, tmp_path: Path) -> None:
    declare(root, "retrain: {when: [drift],", "retrain: {when: [drift], unless: [late_source],")
    declare(
        root, "    orders:\n      columns:", "    orders:\n      on_fail: warn\n      severity: warn\n      columns:"
    )
    done, found = drill(tmp_path / "box", "broken_rows")
    assert states(found) == {
        "check validated/orders contract": "reacted",
        "bad rows kept out": "not declared",
        "retraining waits": "not declared",
        "incident contract": "silent",
    }
    assert done.exit_code == 1
    assert "broken_rows: incident contract stayed silent" in done.output


def test_what_is_not_declared_is_never_passed_but_named_with_the_line_to_declare(root: Path, tmp_path: Path) -> None:
    declare(root, ", fresh_within: 36h", "")
    done, found = drill(tmp_path / "box", "late_source")
    assert set(states(found).values()) == {"not declared"}
    assert found["late_source", "incident freshness"]["evidence"] == "sources: {orders: {fresh_within: 36h}}"
    assert "nothing has landed for" not in done.output


def test_a_sandbox_within_the_project_and_one_that_holds_something_are_refused(root: Path, tmp_path: Path) -> None:
    done, _ = drill(root / "box", "drift")
    assert done.exit_code == 1
    assert "which a drill never writes to" in done.output
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    done, _ = drill(tmp_path / "full", "drift")
    assert "is not empty" in done.output
    assert not (root / "box").exists()
