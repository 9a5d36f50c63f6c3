"""The command that writes a package, as a person types it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from headrace.cli import main
from headrace.store.site import Site
from platform_tests.end_to_end.shop import make_project
from platform_tests.packages.shop import bare, locked
from platform_tests.serving.bar import CONTRACT, FILES, bar, released

DEFS = "platform/products/shop/defs.yaml"
DECLARED = {
    "type": "headrace.Product",
    "attributes": {
        "product": "shop",
        "sources": {"orders": {"files": "orders.csv", "time": "at"}},
        "contracts": {"orders": CONTRACT.model_dump(mode="json", exclude_unset=True)},
        "features": {"habit": {"sql": "habit.sql", "entity": "customer"}},
        "label": {"sql": "label.sql", "entity": "order_id", "time": "at", "column": "returned", "known_after": "1d"},
        "model": {"split": {"test": "10d"}, "ignore": ["customer", "land"]},
        "serve": {"online": {}},
    },
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    root = make_project(tmp_path / "shop")
    site = locked(bar(root))
    released(site)
    for name, text in FILES.items():
        (root / DEFS).with_name(name).write_text(text)
    (root / DEFS).write_text(yaml.safe_dump(DECLARED, sort_keys=False))
    monkeypatch.chdir(root)
    return site


def headrace(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_it_says_what_was_written_and_the_folder_answers(site: Site, tmp_path: Path) -> None:
    folder, live = tmp_path / "there", site.releases.live("shop")
    assert live
    done = headrace("package", "shop@live", "--to", str(folder))
    assert done.exit_code == 0, done.output
    assert done.output.startswith(
        f"Wrote {folder}: release 1 of shop (model {live.model[:12]}), version 1 of its features; "
    )
    assert "SHA-256 of its list, MANIFEST.json: " in done.output
    checked = subprocess.run(
        [sys.executable, "serve.py", "--check"], cwd=folder, env=bare(), capture_output=True, text=True, check=True
    )
    assert checked.stdout == "shop: release 1 is ready.\n"
    again = headrace("package", "shop", "--to", str(folder))
    assert (again.exit_code, "is not empty" in again.output) == (1, True)


def test_an_older_release_is_named_by_its_number_and_no_other_word_is_taken(site: Site, tmp_path: Path) -> None:
    released(site, trees=10)
    done = headrace("package", "shop@1", "--to", str(tmp_path / "first"))
    assert "release 1 of shop" in done.output
    done = headrace("package", "shop@7", "--to", str(tmp_path / "other"))
    assert (done.exit_code, "No release of shop is named '7'" in done.output) == (1, True)


def test_pins_that_no_lock_file_knows_are_named(site: Site, tmp_path: Path) -> None:
    shutil.rmtree(site.place.root / "requirements")
    done = headrace("package", "shop", "--to", str(tmp_path / "there"))
    assert "requirements.txt has no digests, for no lock file of the project knows annotated-doc==" in done.output


def test_a_product_that_is_not_served_is_refused(site: Site, tmp_path: Path) -> None:
    attributes = {key: value for key, value in DECLARED["attributes"].items() if key != "serve"}  # type: ignore[attr-defined]
    (site.place.root / DEFS).write_text(yaml.safe_dump(DECLARED | {"attributes": attributes}))
    done = headrace("package", "shop", "--to", str(tmp_path / "there"))
    assert (done.exit_code, "does not declare to be served" in done.output) == (1, True)
