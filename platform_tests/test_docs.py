"""What README and docs show is true: every block of them is run or loaded here."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from headrace.contracts.declaration import Contract
from headrace.declaration import ProductDeclaration
from headrace.models.predict import load_predictor
from headrace.reference import reference
from headrace.sources.declaration import Source
from platform_tests.features.leaky import make_all, said, shop_with
from platform_tests.models.shop import orders, plain, trained
from platform_tests.models.shop import shop as a_shop

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def test_the_reference_is_that_of_the_declarations() -> None:
    assert (ROOT / "docs" / "reference.md").read_text() == reference(), "write it anew: python -m headrace.reference"


@pytest.mark.parametrize("text", [text for page in PAGES for text in blocks(page, "yaml")])
def test_every_declaration_that_is_shown_is_one(text: str) -> None:
    shown = yaml.safe_load(text)
    if "attributes" in shown:
        assert ProductDeclaration.model_validate(shown["attributes"])
    else:
        assert (Contract if "columns" in shown else Source).model_validate(shown)


@pytest.mark.slow
def test_the_feature_in_python_that_is_shown_runs_and_knows_no_future(tmp_path: Path) -> None:
    page = ROOT / "docs" / "how-to.md"
    [text] = [text for text in blocks(page, "yaml") if "python:" in text]
    [code] = [code for code in blocks(page, "python") if "def returns_so_far" in code]
    declared = yaml.safe_load(text)["attributes"]["features"]["more"]
    project = shop_with(tmp_path / "shop", json.dumps(declared), {declared["python"].partition(":")[0]: code})
    result = make_all(project)
    assert result.success
    assert said(result, "leakage").passed
    returns = project.load("shop")[1].tables.read("shop/training/set")["more_returns"]
    assert max(value or 0 for value in returns.to_pylist()) > 1


def test_the_trainers_that_are_shown_train_and_are_loaded_again(tmp_path: Path) -> None:
    site = a_shop(tmp_path)
    code = blocks(ROOT / "docs" / "how-to.md", "python")
    shown = {re.findall(r"^def (\w+)", text, re.MULTILINE)[0]: text for text in code}
    (tmp_path / "pipelines.py").write_text(shown["filled"])
    (tmp_path / "train.py").write_text(shown["fit"])
    for trainer in ("sklearn:pipelines.py:filled", "train.py:fit"):
        digest = trained(site, plain(trainer))
        assert len(load_predictor(site.models, digest).predict(orders(20))) == 20


@pytest.mark.parametrize(
    "text",
    [text for page in ("features.md", "drift.md", "causes.md") for text in blocks(ROOT / "docs" / page, "python")],
)
def test_the_example_of_what_a_value_means_is_true(text: str) -> None:
    exec(compile(text, "a page", "exec"), {})


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_and_heading_that_is_linked_is_there() -> None:
    for page in [*PAGES, *(ROOT / "docs" / "decisions").glob("*.md"), ROOT / "CONTRIBUTING.md"]:
        for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
            linked = page.parent / link if link else page
            assert linked.exists(), f"{page.name} links {link}"
            assert not anchor or anchor in anchors(linked), f"{page.name} links {link}#{anchor}"


def test_the_readme_names_the_two_commands_and_fits_on_two_screens() -> None:
    text = (ROOT / "README.md").read_text()
    assert "make demo" in text
    assert "make test" in text
    assert len(text.splitlines()) <= 80


@pytest.mark.slow
def test_the_tutorial_can_be_followed_word_for_word(tmp_path: Path) -> None:
    script = "set -euo pipefail\n" + "\n".join(blocks(ROOT / "docs" / "tutorial.md", "bash"))
    inherited = {name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "HEADRACE_HOME")}
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited["PATH"]])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**inherited, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "release 1 of returns" in done.stdout
    assert (tmp_path / "my_platform" / ".headrace" / "reports" / "returns.html").exists()
