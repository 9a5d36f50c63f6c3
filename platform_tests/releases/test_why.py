"""Eight causes, each planted in a whole product and trained through its own assets: `why` names each of them, and no other."""

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from headrace.cli import main
from headrace.models.lock import installed
from headrace.product import build, loop_of
from headrace.project import Project
from headrace.releases.why import why, why_text
from headrace.reproduce import reproduce
from headrace.store.rollback import Return, roll_back
from headrace.store.site import Site
from platform_tests.end_to_end.shop import land_days, make_project

pytestmark = pytest.mark.slow
NOT_YET_TRAINED_ON = [("raw", "orders"), ("quarantine", "orders"), ("validated", "orders"), ("features", "habit")]
RETRAIN = "retrain: {when: [drift, age > 20d], cooldown: 1d, budget: 8 per 30d}"


class Shop:
    """A product on disk, run in this process."""

    def __init__(self, root: Path) -> None:
        self.project = Project(root)

    @property
    def site(self) -> Site:
        return self.project.load("shop")[1]

    def land(self, first: int, last: int, shift: float = 0.0) -> None:
        land_days(self.project.root, first, last, shift)

    def ingest(self) -> None:
        loop = loop_of(*self.project.load("shop"))
        self.run(loop.data_keys(loop.sources), {})

    def train(self) -> dict[str, Any]:
        """Train by hand, and return why what came of it was decided."""
        self.ingest()
        self.run(loop_of(*self.project.load("shop")).model_keys, {})
        return self.why()

    def train_by_the_loop(self) -> dict[str, Any]:
        """Let the sensor decide after a day was scored and compared, and return why what came of it was decided."""
        self.ingest()
        with self.instance() as instance:
            self.run(loop_of(*self.project.load("shop")).live_keys, {}, instance)
            repository = build(*self.project.load("shop")).get_repository_def()
            context = dg.build_sensor_context(instance=instance, repository_def=repository)
            answer: Any = repository.get_sensor_def("shop__retrain").evaluate_tick(context)
            assert answer.run_requests, answer.skip_message
            [request] = answer.run_requests
            keys = [list(key.path) for key in request.asset_selection]
            self.run(keys, {**request.tags, "dagster/sensor_name": "shop__retrain"}, instance)
        return self.why()

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.ephemeral(str(self.project.root))

    def run(self, keys: list[list[str]], tags: dict[str, str], instance: dg.DagsterInstance | None = None) -> None:
        end = loop_of(*self.project.load("shop")).newest_day().isoformat()
        days = {"dagster/asset_partition_range_start": "2024-01-01", "dagster/asset_partition_range_end": end}
        definitions = build(*self.project.load("shop"))
        job = definitions.resolve_implicit_global_asset_job_def()
        chosen = job.get_subset(asset_selection={dg.AssetKey(key) for key in keys})
        assert chosen.execute_in_process(instance=instance, tags=days | tags).success

    def why(self, word: str = "") -> dict[str, Any]:
        decisions = self.site.releases.all("shop")
        return why(self.site, self.site.releases.named("shop", word or str(len(decisions))))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with a first release on thirty days."""
    root = make_project(tmp_path_factory.mktemp("base") / "shop")
    defs = root / "platform/products/shop/defs.yaml"
    text = defs.read_text()
    defs.write_text(text.replace(text.splitlines()[-1].strip(), RETRAIN).replace("score_psi: 10", "score_psi: 99"))
    shop = Shop(root)
    shop.land(0, 29)
    assert names(shop.train()) == ["manual"]
    return root


@pytest.fixture
def shop(released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    shutil.copytree(released, tmp_path / "shop")
    monkeypatch.chdir(tmp_path / "shop")
    return Shop(tmp_path / "shop")


def names(facts: dict[str, Any]) -> list[str]:
    return [one["cause"] for one in facts["causes"]]


def words(facts: dict[str, Any], cause: str) -> str:
    return next(str(one["what"]) for one in facts["causes"] if one["cause"] == cause)


def edit(shop: Shop, day: str, change: Any) -> None:
    """Write the file of a day anew, each row as `change` makes it."""
    path = shop.project.root / "landing/orders" / f"{day}.csv"
    with path.open() as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        lines = csv.DictWriter(file, list(rows[0]))
        lines.writeheader()
        lines.writerows(change(number, row) for number, row in enumerate(rows))


def test_drift_is_named_with_its_columns_values_and_days(shop: Shop) -> None:
    shop.land(30, 39, shift=60.0)
    facts = shop.train_by_the_loop()
    assert names(facts) == ["drift", "new data"]
    [trigger] = facts["triggers"]
    assert trigger["facts"]["value"] > trigger["facts"]["limit"]
    assert trigger["facts"]["days"] == "2024-02-07 to 2024-02-09"
    assert {"amount"} <= {row["column"] for row in trigger["facts"]["columns"]}
    assert words(facts, "new data") == "shop/raw/orders: 2024-01-31...2024-02-09"
    assert facts["asked_by"] == "shop__retrain"
    text = why_text(facts)
    assert len(text.splitlines()) <= 24
    assert "because    drift: PSI of" in text


def test_late_data_are_named_with_their_days_and_files(shop: Shop) -> None:
    header, *rows = (shop.project.root / "landing/orders/2024-01-05.csv").read_text().splitlines()
    late = [row.replace("2024-01-05-", "2024-01-05-late-", 1) for row in rows]
    (shop.project.root / "landing/orders/late.csv").write_text("\n".join([header, *late]) + "\n")
    facts = shop.train()
    assert names(facts) == ["manual", "late data"]
    assert words(facts, "late data") == "shop/raw/orders: 2024-01-05 (landing/orders/late.csv)"
    assert facts["changes"]["rows"]["late"] == 80


def test_an_edit_of_code_is_named_with_its_file(shop: Shop) -> None:
    sql = shop.project.root / "platform/products/shop/label.sql"
    sql.write_text(sql.read_text().replace("amount, returned", "amount, amount * amount as squared, returned"))
    facts = shop.train()
    assert names(facts) == ["manual", "code"]
    assert words(facts, "code") == "label.sql"
    assert facts["changes"]["rows"]["columns_added"] == ["squared"]


@pytest.fixture
def another_process() -> Iterator[None]:
    """A process looks once at what is installed: let this one be another, and another again."""
    installed.cache_clear()
    yield
    installed.cache_clear()


@pytest.mark.usefixtures("another_process")
def test_another_version_of_a_library_is_named(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "newer" / "lightgbm-99.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: lightgbm\nVersion: 99.0\n")
    monkeypatch.syspath_prepend(str(folder.parent))
    shop.land(30, 30)
    facts = shop.train()
    assert names(facts) == ["manual", "new data", "libraries"]
    assert words(facts, "libraries").startswith("lightgbm 4.")
    assert words(facts, "libraries").endswith(" → 99.0")


def test_age_is_named_with_how_long_the_model_was_live(shop: Shop) -> None:
    shop.land(30, 54)
    facts = shop.train_by_the_loop()
    assert names(facts) == ["age", "new data"]
    assert words(facts, "age") == "live for 25.0 d, more than 20d"
    assert facts["triggers"][0]["facts"]["live_since"].startswith("2024-01-31")


def test_what_somebody_started_by_hand_is_named_so(shop: Shop) -> None:
    shop.land(30, 30)
    facts = shop.train()
    assert names(facts) == ["manual", "new data"]
    assert facts["asked_by"] == "a person"


def test_labels_that_were_filled_in_later_are_named_with_their_days(shop: Shop) -> None:
    def turned(number: int, row: dict[str, str]) -> dict[str, str]:
        return row | {"returned": str(row["returned"] == "False")} if number < 30 else row

    edit(shop, "2024-01-05", turned)
    facts = shop.train()
    assert names(facts) == ["manual", "label back-fill"]
    assert words(facts, "label back-fill") == "30 rows have other labels, of 2024-01-05"
    assert facts["changes"]["data"][0]["files"] == ["landing/orders/2024-01-05.csv"]


def test_a_rollback_is_named_with_its_reason_and_what_was_known_of_the_model_stays(shop: Shop) -> None:
    before = shop.why("1")
    shop.land(30, 30)
    shop.train()
    site = shop.site
    if not site.releases.all("shop")[-1].goes_live:
        pytest.fail(site.releases.all("shop")[-1].why)
    roll_back(site.releases, site.models, "shop", Return("ada", "it scores badly", site.clock.now()))
    facts = shop.why()
    assert names(facts) == ["rollback"]
    assert words(facts, "rollback") == "it scores badly; back from release 2 to release 1"
    assert (facts["model"], facts["cost"]) == (before["model"], before["cost"])
    shown = CliRunner().invoke(main, ["why", "shop"])
    assert shown.exit_code == 0, shown.output
    assert "because    rollback: it scores badly" in shown.output
    assert "because    manual" in CliRunner().invoke(main, ["why", "shop@1"]).output
    assert '"cause": "manual"' in CliRunner().invoke(main, ["why", "shop@1", "--json"]).output


def test_data_that_no_training_set_was_made_of_yet_are_no_cause_and_are_one_of_the_model_that_learns_from_them(
    shop: Shop,
) -> None:
    edit(shop, "2024-01-05", dearer)
    shop.run([["shop", layer, name] for layer, name in NOT_YET_TRAINED_ON], {})
    sow(shop, "trees: 20", "trees: 25")
    shop.run(loop_of(*shop.project.load("shop")).model_keys[1:], {})
    facts = shop.why()
    assert names(facts) == ["manual", "configuration"]
    assert set(facts["versions"].values()) == {0}
    assert facts["changes"]["data"] == []
    found = reproduce(shop.site, shop.site.releases.all("shop")[-1], cells=True)
    assert (found.is_equal, found.differs) == (True, "")
    facts = shop.train()
    assert names(facts) == ["manual", "late data"]
    assert words(facts, "late data") == "shop/raw/orders: 2024-01-05 (landing/orders/2024-01-05.csv)"
    assert facts["versions"] == dict.fromkeys(facts["versions"], 1)
    assert reproduce(shop.site, shop.site.releases.all("shop")[-1], cells=True).is_equal


def dearer(number: int, row: dict[str, str]) -> dict[str, str]:
    return row | {"amount": str(float(row["amount"]) + 5)} if number == 0 else row


def sow(shop: Shop, old: str, new: str) -> None:
    defs = shop.project.root / "platform/products/shop/defs.yaml"
    assert old in defs.read_text()
    defs.write_text(defs.read_text().replace(old, new))


def test_configuration_that_changed_is_named_key_by_key_and_the_cost_is_kept(shop: Shop) -> None:
    defs = shop.project.root / "platform/products/shop/defs.yaml"
    defs.write_text(defs.read_text().replace("trees: 20", "trees: 25"))
    facts = shop.train()
    assert names(facts) == ["manual", "configuration"]
    assert words(facts, "configuration") == "model.trees: 20 → 25"
    assert set(facts["cost"]) == {"training", "evaluation"}
    assert facts["cost"]["training"]["rows"] > 1000
    assert facts["cost"]["training"]["seconds"] > 0
