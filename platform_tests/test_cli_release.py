"""The commands about releases, as a person types them."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headrace.cli import main
from headrace.project import Project
from headrace.store.log import Log
from headrace.store.site import Site
from platform_tests.end_to_end.shop import land_days, make_project
from platform_tests.models.shop import judged, model, orders, trained


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    root = make_project(tmp_path / "shop")
    land_days(root, 0, 0, rows=1)
    monkeypatch.chdir(root)
    site = Project(root).load("shop")[1]
    site.tables.replace("shop/training/set", orders())
    return site


def headrace(*words: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, list(words), input=answer)


def with_approval(site: Site) -> Site:
    defs = site.folder / "defs.yaml"
    defs.write_text(defs.read_text().replace("  owner:", "  approval: required\n  owner:"))
    return Project(site.place.root).load("shop")[1]


def candidate(site: Site, trees: int = 20) -> str:
    digest = trained(site, model(trees=trees))
    judged(site, digest, "auc >= 0.6")
    return digest


def test_a_candidate_is_released_by_the_gates_of_the_asset_and_shown_as_live(site: Site) -> None:
    digest = candidate(site)
    done = headrace("release", "shop", "--by", "ada", "--why", "the summer sale")
    assert done.exit_code == 0, done.output
    assert f"decision 1 of shop: model {digest[:12]} is live\nthe summer sale; all gates passed" in done.output
    shown = headrace("live", "shop").output
    assert shown.startswith(f"release 1 of shop: model {digest[:12]}")
    assert "by ada\nwhy: the summer sale; all gates passed" in shown
    assert "(decided before)" in headrace("release", "shop").output


def test_a_candidate_that_fails_a_gate_is_refused_with_exit_code_1(site: Site) -> None:
    candidate(site)
    defs = site.folder / "defs.yaml"
    defs.write_text(defs.read_text().replace("auc >= 0.6,", "auc >= 0.99,"))
    done = headrace("release", "shop", "--by", "ada")
    assert done.exit_code == 1
    assert "refused by auc >= 0.99" in done.output
    assert headrace("live", "shop").output == "No model of shop is live.\n"


def test_what_never_went_live_is_not_exported(site: Site) -> None:
    candidate(site)
    defs = site.folder / "defs.yaml"
    defs.write_text(defs.read_text().replace("auc >= 0.6,", "auc >= 0.99,"))
    headrace("release", "shop", "--by", "ada")
    refused = headrace("export", "shop@1", "model.onnx")
    assert refused.exit_code == 1
    assert "Decision 1 of shop is 'refused': only what went live is exported." in refused.output
    assert not Path("model.onnx").exists()


def test_an_export_makes_the_folders_of_its_file(site: Site) -> None:
    candidate(site)
    headrace("release", "shop", "--by", "ada")
    done = headrace("export", "shop@1", "for/phones/model.onnx")
    assert done.exit_code == 0, done.output
    assert Path("for/phones/model.onnx").stat().st_size > 1000


def test_a_model_is_named_by_six_characters_of_its_digest(site: Site) -> None:
    first = candidate(site, 5)
    candidate(site, 20)
    assert f"model {first[:12]} is live" in headrace("release", "shop", "--by", "ada", "--model", first[:6]).output
    refused = headrace("release", "shop", "--by", "ada", "--model", "zzzzzz")
    assert "no model has a digest that begins with 'zzzzzz'" in refused.output


def test_what_waits_is_shown_with_its_evidence_and_released_by_a_yes(site: Site) -> None:
    site = with_approval(site)
    digest = candidate(site)
    assert "is waiting for approval" in headrace("release", "shop", "--by", "ada").output
    assert "decision 1 waits for approval" in headrace("live", "shop").output
    kept = headrace("approve", "shop", "--by", "grace", answer="n\n").output
    assert "passed    auc >= 0.6: " in kept
    assert "judged on 500 rows of shop/training/set@0" in kept
    assert "Nothing was decided: it still waits." in kept
    done = headrace("approve", "shop", "--by", "grace", "--why", "looks right", answer="y\n").output
    assert f"decision 2 of shop: model {digest[:12]} is live" in done
    assert "by ada, approved by grace" in headrace("live", "shop").output
    assert "Nothing of shop waits" in headrace("approve", "shop", "--by", "grace", "--yes").output


def test_what_waits_is_refused_by_a_no(site: Site) -> None:
    site = with_approval(site)
    candidate(site)
    headrace("release", "shop", "--by", "ada")
    done = headrace("approve", "shop", "--by", "grace", "--no", "--why", "too young")
    assert done.exit_code == 0
    assert "is refused" in done.output
    assert "grace said no: too young" in headrace("releases", "list", "shop").output


def test_a_rollback_is_one_command_and_says_how_to_undo_it(site: Site) -> None:
    for trees in (5, 20):
        candidate(site, trees)
        headrace("release", "shop", "--by", "ada")
        if trees == 5:
            judged(site, trained(site), "auc >= 0.6")
    done = headrace("rollback", "shop", "--why", "it scores badly", "--by", "ada")
    assert done.exit_code == 0, done.output
    assert "release 1 is live again" in done.output
    assert "To undo: headrace rollback shop --to 2 --why ..." in done.output
    assert "rolled back (live)" in headrace("releases", "list", "shop").output
    assert headrace("rollback", "shop", "--to", "2", "--why", "it was right", "--by", "ada").exit_code == 0
    assert headrace("live", "shop").output.startswith("release 4 of shop")


def test_verify_says_which_entry_was_written_by_hand(site: Site) -> None:
    candidate(site)
    headrace("release", "shop", "--by", "ada")
    assert "shop: 1 decisions, each as it was written" in headrace("releases", "verify").output
    forged = Log(site.place.logs / "shop" / "releases")
    forged.append(forged.entries()[0], after=1)
    found = headrace("releases", "verify", "shop")
    assert found.exit_code == 1
    assert "shop: entry 2 (000002.json) was written by hand" in found.output


def test_a_product_that_nobody_declares_suggests_a_near_one(site: Site) -> None:
    assert "Did you mean 'shop'?" in headrace("live", "shpo").output


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (["live", "shop"], {"dagster", "mlflow", "duckdb", "polars", "pyarrow", "deltalake", "numpy"}),
        (
            ["rollback", "shop", "--why", "no"],
            {"dagster", "mlflow", "duckdb", "polars", "pyarrow", "deltalake", "numpy"},
        ),
        (["release", "shop"], {"dagster", "mlflow", "lightgbm", "sklearn", "pandas", "scipy"}),
    ],
)
def test_a_command_that_a_person_waits_for_imports_little(site: Site, words: list[str], heavy: set[str]) -> None:
    code = (
        "import sys\nfrom headrace.cli import main\n"
        "from click.testing import CliRunner\n"
        f"CliRunner().invoke(main, {words!r})\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=site.place.root, capture_output=True, text=True, check=True)
    assert not heavy & set(eval(done.stdout))
