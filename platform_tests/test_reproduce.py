"""A model is made again byte for byte; where somebody touched what it was made of, the asset and the cell are named."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from headrace.cli import main
from headrace.core.errors import DeclarationError, Refused
from headrace.models.origin import origin_of
from headrace.releases.why import why_text
from headrace.reproduce import Reproduction, reproduce
from headrace.store.releases import Release
from headrace.store.removed import remove_versions
from headrace.store.seals import _FOLDER
from platform_tests.end_to_end.shop import make_project
from platform_tests.models.federated.flower import flower_python
from platform_tests.models.tuning.cluster import running_cluster
from platform_tests.releases.test_why import Shop

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with two releases, the second by other code and on more days."""
    root = make_project(tmp_path_factory.mktemp("base") / "shop")
    (root / "requirements").mkdir()
    shutil.copyfile(ROOT / "requirements/base.txt", root / "requirements/base.txt")
    shop = Shop(root)
    shop.land(0, 29)
    shop.train()
    sql = root / "platform/products/shop/label.sql"
    sql.write_text(sql.read_text().replace("amount, returned", "amount, amount * amount as squared, returned"))
    shop.land(30, 34)
    shop.train()
    return root


@pytest.fixture
def shop(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    shutil.copytree(trained, tmp_path / "shop")
    monkeypatch.chdir(tmp_path / "shop")
    return Shop(tmp_path / "shop")


def again(shop: Shop, number: int, *, cells: bool = False) -> Reproduction:
    return reproduce(shop.site, decision(shop, number), cells=cells)


def decision(shop: Shop, number: int) -> Release:
    return shop.site.releases.all("shop")[number - 1]


def tamper(shop: Shop, table: str, column: str, *, by: int = 1, sealed: bool = True) -> str:
    """Change one value of the newest version of a table on disk, and return the key of its row; without seals nobody notices."""
    for file in shop.site.tables.files(table):
        path = Path(file)
        rows = pq.ParquetFile(path).read()
        if rows.num_rows:
            break
    values = rows[column].to_pylist()
    values[0] = values[0] + by
    place = rows.column_names.index(column)
    pq.write_table(rows.set_column(place, rows.field(place), pa.array(values, rows.field(place).type)), path)
    if not sealed:
        shutil.rmtree(shop.project.place.tables / table / _FOLDER)
    return str(rows["order_id" if "order_id" in rows.column_names else "customer"][0])


@pytest.mark.parametrize("number", [1, 2])
def test_every_model_is_made_again_byte_for_byte_though_data_and_code_moved_on(shop: Shop, number: int) -> None:
    found = again(shop, number, cells=True)
    assert (found.made, found.differs, list(found.cells)) == (decision(shop, number).model, "", [])
    assert found.is_equal
    assert str(found).splitlines()[0].endswith("made again, equal byte for byte")


def test_a_model_whose_parameters_were_searched_for_is_made_again_without_searching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    root = make_project(tmp_path / "shop")
    declared = root / "platform/products/shop/defs.yaml"
    params, tune = (
        "params: {num_leaves: 7, min_data_in_leaf: 20}",
        "tune: {trials: 4, num_leaves: [3, 15], learning_rate: [0.05, 0.4]}",
    )
    declared.write_text(declared.read_text().replace(params, f"params: {{learning_rate: 0.001}}, {tune}"))
    shop = Shop(root)
    shop.land(0, 29)
    facts = shop.train()
    assert (facts["cost"]["tuning"]["trials"], "4 trials" in why_text(facts)) == (4, True)
    shutil.rmtree(shop.project.place.studies)
    found = again(shop, 1)
    assert (found.made, found.differs) == (decision(shop, 1).model, "")
    assert not shop.project.place.studies.exists()
    monkeypatch.chdir(root)
    assert "Tuning was worth it: auc" in CliRunner().invoke(main, ["card", "shop"]).output


def test_a_model_that_workers_learned_together_is_made_again_on_the_cluster_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    root = make_project(tmp_path / "shop")
    declared = root / "platform/products/shop/defs.yaml"
    spread = "model: {trainer: {lightgbm: {on: ray, workers: 2}}, "
    declared.write_text(declared.read_text().replace("model: {", spread))
    shop = Shop(root)
    shop.land(0, 29)
    with running_cluster() as address:
        monkeypatch.setenv("HEADRACE_RAY_ADDRESS", address)
        facts = shop.train()
        assert facts["cost"]["workers"]["rows"] == facts["cost"]["training"]["rows"]
        assert "workers: " in why_text(facts)
        found = again(shop, 1)
    assert (found.made, found.differs) == (decision(shop, 1).model, "")
    monkeypatch.delenv("HEADRACE_RAY_ADDRESS")
    with pytest.raises(DeclarationError, match="set HEADRACE_RAY_ADDRESS"):
        again(shop, 1)


def test_a_model_of_sites_is_made_again_by_its_sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    monkeypatch.setenv("HEADRACE_FLOWER_PYTHON", str(flower_python()))
    root = make_project(tmp_path / "shop")
    declared, sql = (root / "platform/products/shop" / name for name in ("defs.yaml", "label.sql"))
    params, federated = (
        "params: {num_leaves: 7, min_data_in_leaf: 20}",
        "trainer: federated, federated: {by: shop, rounds: 1}",
    )
    declared.write_text(declared.read_text().replace(params, federated))
    where = "case when customer like 'c1%' then 'north' else 'south' end as shop"
    sql.write_text(sql.read_text().replace("amount, returned", f"amount, {where}, returned"))
    shop = Shop(root)
    shop.land(0, 29)
    shop.train()
    found = again(shop, 1)
    assert (found.made, found.differs) == (decision(shop, 1).model, "")


@pytest.mark.parametrize(
    ("table", "column"),
    [("training/set", "amount"), ("validated/orders", "amount"), ("features/habit", "habit_amount_mean_3d")],
)
def test_a_tampered_cell_is_named_by_table_key_and_column(shop: Shop, table: str, column: str) -> None:
    key = tamper(shop, f"shop/{table}", column)
    found = again(shop, 2, cells=True)
    assert not found.is_equal
    assert found.made == ("" if table == "training/set" else decision(shop, 2).model)
    assert found.differs == f"shop/{table}: its files are not those that were written"
    [cell] = found.cells
    assert (cell.table, cell.column) == (f"shop/{table}", column)
    assert key in cell.key
    assert float(cell.stored) == pytest.approx(float(cell.made) + 1)


def test_a_tampered_landed_value_is_named_by_what_was_made_of_it(shop: Shop) -> None:
    table = "shop/raw/orders"
    file = Path(shop.site.tables.files(table)[0])
    rows = pq.ParquetFile(file).read()
    amounts = ["999.5", *rows["amount"].to_pylist()[1:]]
    place = rows.column_names.index("amount")
    pq.write_table(rows.set_column(place, rows.field(place), pa.array(amounts, rows.field(place).type)), file)
    found = again(shop, 2, cells=True)
    assert found.differs == f"{table}: its files are not those that were written"
    [cell] = found.cells
    assert (cell.table, cell.column, cell.made) == (table, "amount", "999.5")
    assert cell.key == f"order_id {rows['order_id'][0]}"


def test_a_table_that_was_written_anew_with_its_seals_is_found_by_making_it_again(shop: Shop) -> None:
    key = tamper(shop, "shop/training/set", "amount", by=500, sealed=False)
    found = again(shop, 2, cells=True)
    assert found.made != decision(shop, 2).model
    assert found.differs == "shop/training/set: its inputs make other rows than it holds"
    assert [(cell.column, cell.key) for cell in found.cells] == [("amount", f"order_id {key}")]


def rewritten(shop: Shop, table: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Write the first file of the newest version of a table that has rows anew, and take the seals away: nobody notices."""
    path = next(Path(f) for f in shop.site.tables.files(table) if pq.ParquetFile(f).metadata.num_rows)
    pq.write_table(change(pq.ParquetFile(path).read()), path)
    shutil.rmtree(shop.project.place.tables / table / _FOLDER)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize("table", ["raw/orders", "validated/orders", "features/habit", "training/set"])
@pytest.mark.parametrize("damage", [cut_off, Path.unlink])
@pytest.mark.parametrize("sealed", [True, False])
def test_a_table_that_cannot_be_read_any_more_is_named(
    shop: Shop, table: str, damage: Callable[[Path], None], sealed: bool
) -> None:
    table = f"shop/{table}"
    damage(Path(shop.site.tables.files(table)[0]))
    if not sealed:
        shutil.rmtree(shop.project.place.tables / table / _FOLDER)
    found = again(shop, 2, cells=True)
    assert found.differs == f"{table}: its files are not those that were written, and cannot be read"
    assert found.made == ("" if table == "shop/training/set" else decision(shop, 2).model)
    assert not found.is_equal


def test_an_older_origin_without_the_moment_of_its_labels_is_read_for_it_as_far_as_that_goes(shop: Shop) -> None:
    path = shop.site.place.models / "records" / decision(shop, 2).model / "origin.shop.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "known_at"}))
    assert again(shop, 2, cells=True).is_equal
    cut_off(Path(shop.site.tables.files("shop/training/set")[0]))
    assert again(shop, 2).differs.endswith(
        "shop/training/set: its files are not those that were written, and cannot be read"
    )


def test_a_training_set_whose_version_is_gone_is_named(shop: Shop) -> None:
    remove_versions(shop.project.place.tables / "shop/training/set", [0], "headrace gc", datetime.now(UTC))
    found = again(shop, 1)
    assert (found.made, found.is_equal) == ("", False)
    assert found.differs.startswith("shop/training/set: Version 0 of 'shop/training/set' was removed")


def test_a_table_without_a_unique_column_is_compared_row_by_row(shop: Shop) -> None:
    defs = shop.project.root / "platform/products/shop/defs.yaml"
    defs.write_text(defs.read_text().replace(", unique: true", "").replace("trees: 20", "trees: 25"))
    shop.train()
    tamper(shop, "shop/validated/orders", "amount", by=500)
    [cell] = again(shop, 3, cells=True).cells
    assert (cell.table, cell.column) == ("shop/validated/orders", "amount")
    assert float(cell.stored) == pytest.approx(float(cell.made) + 500)


def test_a_row_that_is_there_twice_is_named_and_the_model_is_not_called_equal(shop: Shop) -> None:
    rewritten(shop, "shop/validated/orders", lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]))
    found = again(shop, 2, cells=True)
    assert not found.is_equal
    assert found.differs.startswith("shop/validated/orders: its inputs make other rows than it holds: it has ")
    assert [(cell.column, cell.made) for cell in found.cells] == [("the row", "nothing")]


def test_versions_that_no_model_needs_may_be_gone_and_the_model_is_made_again_all_the_same(shop: Shop) -> None:
    table = shop.project.place.tables / "shop/raw/orders"
    origin = origin_of(shop.site, decision(shop, 1).model)
    assert origin
    number = origin["versions"]["shop/raw/orders"]
    remove_versions(table, [number], "headrace gc", datetime.now(UTC))
    found = again(shop, 1, cells=True)
    assert found.is_equal
    assert f"shop/validated/orders was not made again: Version {number} of 'shop/raw/orders' was removed" in str(found)


def test_an_edited_file_of_the_model_does_not_keep_it_from_being_made_again(shop: Shop) -> None:
    digest = decision(shop, 2).model
    path = shop.site.place.models / digest / "model.txt"
    path.write_bytes(path.read_bytes() + b" ")
    found = again(shop, 2)
    assert found.made == digest
    assert "it was edited or damaged" in str(found)


def test_a_model_of_which_nothing_is_kept_is_refused_in_words(shop: Shop) -> None:
    (shop.site.place.models / "records" / decision(shop, 1).model / "origin.shop.json").unlink()
    with pytest.raises(Refused, match="Nothing is kept of what model"):
        again(shop, 1)


def test_the_command_says_where_it_works_and_ends_with_1_where_something_differs(shop: Shop) -> None:
    done = CliRunner().invoke(main, ["reproduce", "shop@2", "--here"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("In the environment that runs this command:\nmodel ")
    tamper(shop, "shop/training/set", "amount")
    done = CliRunner().invoke(main, ["reproduce", "shop@2", "--here", "--verify"])
    assert done.exit_code == 1
    assert "the first asset that differs: shop/training/set" in done.output
    assert "shop/training/set, order_id " in done.output


def test_a_clean_environment_of_the_recorded_lock_file_makes_the_same_bytes(
    shop: Shop, capfd: pytest.CaptureFixture[str]
) -> None:
    done = CliRunner().invoke(main, ["reproduce", "shop@1"])
    said = capfd.readouterr()
    assert done.exit_code == 0, done.output + said.err
    assert "Installing the libraries of model" in done.output
    assert "made again, equal byte for byte" in said.out
    assert list((shop.site.place.home / "environments").glob("*/bin/python"))


def test_a_clean_environment_has_the_extra_that_trained_the_model_though_the_lock_file_lacks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    root = make_project(tmp_path / "shop")
    (root / "requirements").mkdir()
    shutil.copyfile(ROOT / "requirements/base.txt", root / "requirements/base.txt")
    declared = root / "platform/products/shop/defs.yaml"
    ours, theirs = (
        "params: {num_leaves: 7, min_data_in_leaf: 20}",
        "trainer: xgboost, device: cpu, params: {max_depth: 3}",
    )
    assert ours in declared.read_text()
    declared.write_text(declared.read_text().replace(ours, theirs))
    shop = Shop(root)
    shop.land(0, 29)
    shop.train()
    monkeypatch.chdir(root)
    done = CliRunner().invoke(main, ["reproduce", "shop@1"])
    said = capfd.readouterr()
    assert done.exit_code == 0, done.output + said.err
    assert "made again, equal byte for byte" in said.out
