"""The back-test of a real product: its models are those that the product trains, and nothing of it is changed."""

import json
import shutil
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from headrace.backtest.challenger import Challenger, Challengers, Judging
from headrace.backtest.history import frozen_history
from headrace.cli import main
from headrace.evaluation.judgement import measuring_of
from headrace.models.candidate import beside_of
from headrace.models.predict import load_predictor
from platform_tests.end_to_end.shop import make_project
from platform_tests.releases.test_why import Shop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop that trained on thirty days, and got sixty more."""
    shop = Shop(make_project(tmp_path_factory.mktemp("grown") / "shop"))
    shop.land(0, 29)
    shop.train()
    shop.land(30, 89)
    shop.ingest()
    return shop.project.root


@pytest.fixture
def shop(grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    shutil.copytree(grown, tmp_path / "shop")
    monkeypatch.chdir(tmp_path / "shop")
    return Shop(tmp_path / "shop")


def contents(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file() and "reports" not in path.parts)
    return {str(path.relative_to(root)): path.read_bytes() for path in files if path.suffix != ".lock"}


def replayed(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["backtest", "shop", *words])
    return done.exit_code, done.stdout, done.stderr


def test_the_model_of_a_day_is_byte_for_byte_the_one_that_the_product_has_trained_on_it(shop: Shop) -> None:
    declared, site = shop.project.load("shop")
    assert declared.label
    assert declared.model
    live = site.releases.live("shop")
    assert live
    history = frozen_history(site, declared.features, declared.label)
    measuring = measuring_of(site, declared.label, declared.model, declared.gates)
    judging = Judging(declared.model, measuring, declared.gates, beside_of(site))
    made = Challengers(history, judging, lambda _: None).at(live.at)
    assert isinstance(made, Challenger)
    known = load_predictor(site.models, live.model)
    assert made.predictor.fitted.to_bytes() == known.fitted.to_bytes()
    assert made.predictor.meta == known.meta


def test_a_back_test_says_what_came_of_each_policy_and_changes_nothing(shop: Shop) -> None:
    before = contents(shop.project.root)
    code, out, err = replayed("--policy", "never", "--policy", "weekly", "--policy", "every 14d")
    assert code == 0, err
    assert contents(shop.project.root) == before
    assert {"never", "weekly", "every 14d"} <= {line.lstrip("* ").split("  ")[0] for line in out.splitlines()}
    chosen = next(line for line in out.splitlines() if line.startswith("* "))
    assert f"Recommended: {chosen[2:].split('  ')[0]}: " in out
    assert "weekly" in err
    page = shop.project.root / ".headrace/reports/shop.backtest.html"
    text = page.read_text()
    assert "policies of retraining" in text
    assert "<script" not in text
    assert "<svg" in text
    assert len(text) < 1_000_000


def test_for_programs_there_is_all_that_was_found_up_to_a_day(shop: Shop) -> None:
    code, out, err = replayed("--policy", "never", "--policy", "drift", "--until", "2024-03-10", "--exact", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["last"] == str(date(2024, 3, 10))
    assert found["otherwise"] == ""
    assert [one["policy"] for one in found["policies"]] == ["never", "drift"]
    assert found["versions"]["shop/validated/orders"] == shop.site.tables.version("shop/validated/orders")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--policy", "wekly"], "'wekly' is no policy"),
        (["--until", "2023-01-01"], "the history begins on 2024-01-01"),
        (["--until", "2024-01-05"], "No model is released in 2024-01-01...2024-01-05: too few days to train on"),
    ],
)
def test_what_cannot_be_replayed_is_said_in_words(shop: Shop, words: list[str], said: str) -> None:
    code, _, err = replayed(*words)
    assert code == 1
    assert said in err
    assert "Traceback" not in err
