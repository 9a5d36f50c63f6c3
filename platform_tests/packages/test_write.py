"""A package holds one release, an exact copy of the published features, and nothing that is not needed; whole or not at all."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from headrace.core.errors import DataError, DigestMismatch, Refused
from headrace.online.manifest import Manifest
from headrace.packages.write import write_package
from headrace.store.online import open_online
from headrace.store.releases import Releases
from headrace.store.site import Site
from platform_tests.models.test_own import MINE, STEPS, TRAIN
from platform_tests.models.test_trainers import FOREST
from platform_tests.online.redis_server import PASSWORD, running_redis
from platform_tests.packages.shop import another, locked, packaged, released_by, shop
from platform_tests.serving.bar import bar, published, released, served


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return shop(tmp_path_factory.mktemp("base") / "shop")


@pytest.fixture
def site(base: Site, tmp_path: Path) -> Site:
    return another(base, tmp_path / "shop")


def payloads(file: Path) -> list[tuple[bytes, bytes]]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return connection.execute("select k, v from payloads order by k").fetchall()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trainer", "declared", "pinned"),
    [
        ("lightgbm", {"calibrate": "platt"}, {"lightgbm", "scipy"}),
        ("lightgbm", {"calibrate": "isotonic"}, {"lightgbm"}),
        ("xgboost", {}, {"xgboost-cpu", "sqlglot"}),
        (FOREST, {}, {"scikit-learn", "skops", "pandas", "sqlglot"}),
        (MINE, {}, {"numpy", "sqlglot"}),
    ],
)
def test_models_of_every_trainer_start_by_the_code_and_libraries_of_their_own_package(
    site: Site, tmp_path: Path, trainer: str, declared: dict[str, str], pinned: set[str]
) -> None:
    (site.folder / "train.py").write_text(TRAIN)
    (site.folder / "steps.py").write_text(STEPS)
    digest = released_by(site, trainer, **declared)
    package = packaged(site, tmp_path / "package")
    assert (package.release.number, package.release.model) == (2, digest)
    lines = (package.folder / "requirements.txt").read_text().splitlines()
    names = {line.partition("==")[0] for line in lines if "==" in line}
    assert pinned <= names
    assert not names & {"dagster", "mlflow", "polars", "deltalake", "duckdb"}
    assert ("skops" in names, "xgboost-cpu" in names) == (trainer == FOREST, trainer == "xgboost")


def entry(site: Site, outcome: str) -> None:
    decisions = site.releases.all("shop")
    decision = {
        "outcome": outcome,
        "model": decisions[0].model,
        "at": site.clock.now(),
        "who": "a test",
        "why": "to see",
    }
    site.releases.decide("shop", decision | {"evidence": {}}, after=len(decisions))


def test_it_names_what_it_holds(site: Site, tmp_path: Path) -> None:
    package = packaged(site, tmp_path / "package")
    live = site.releases.live("shop")
    assert live
    assert (package.release, package.features, package.folder) == (live, 1, tmp_path / "package")
    listed = json.loads((package.folder / "MANIFEST.json").read_bytes())
    there = {str(path.relative_to(package.folder)) for path in package.folder.rglob("*") if path.is_file()}
    assert set(listed["files"]) == there - {"MANIFEST.json"}
    assert (package.files, listed["model"], listed["release"]) == (len(there), live.model, 1)


def test_the_features_are_those_that_are_published_row_by_row_in_a_file_without_company(
    site: Site, tmp_path: Path
) -> None:
    published(site)
    package = packaged(site, tmp_path / "package")
    file = package.folder / "product/online/shop.sqlite"
    assert payloads(file) == payloads(site.place.online / "shop.sqlite")
    assert package.features == 2
    assert [path.name for path in file.parent.iterdir()] == ["shop.sqlite"]
    # Bytes 18 and 19 of the file say 1 where readers need no log beside it: https://sqlite.org/fileformat.html
    assert file.read_bytes()[18:20] == b"\x01\x01"


def test_what_was_removed_from_the_features_is_not_in_the_package(site: Site, tmp_path: Path) -> None:
    store = open_online(site.place, "shop")
    with store.publishing() as publication:
        publication.put({b"secret:text\0somebody": b"a value that nobody may see"})
        publication.commit()
        publication.put({b"secret:text\0somebody": None})
    with store.publishing() as publication:
        publication.put({b"secret:text\0somebody": None})
        publication.commit()
    store.close()
    package = packaged(site, tmp_path / "package")
    assert b"a value that nobody may see" not in (package.folder / "product/online/shop.sqlite").read_bytes()


@pytest.mark.slow
def test_the_published_manifest_lies_beside_it_with_the_sql_on_the_request(tmp_path: Path) -> None:
    package = packaged(shop(tmp_path / "shop", computed=True), tmp_path / "package")
    manifest = Manifest.model_validate_json((package.folder / "product/published.json").read_bytes())
    assert [computed.sql for computed in manifest.on_request] == ["select price * habit_visits as worth from request"]


def test_an_older_release_is_packaged_with_the_log_as_it_was_when_it_went_live(site: Site, tmp_path: Path) -> None:
    released(site, trees=10)
    package = packaged(site, tmp_path / "package", "1")
    logs = package.folder / "product/logs"
    assert [path.name for path in sorted(logs.rglob("*.json"))] == ["000001.json"]
    [own] = Releases(logs, tmp_path / "nowhere").all("shop")
    assert own == site.releases.all("shop")[0]
    models = {path.name for path in (package.folder / "product/models").iterdir()}
    assert models == {own.model, "records", "sealed"}


def test_decisions_that_let_nothing_go_live_may_stand_before_it(site: Site, tmp_path: Path) -> None:
    entry(site, "refused")
    entry(site, "rolled back")
    package = packaged(site, tmp_path / "package")
    assert package.release.number == 3


def test_a_release_is_named_by_the_beginning_of_its_models_digest(site: Site, tmp_path: Path) -> None:
    first = site.releases.all("shop")[0].model
    released(site, trees=10)
    assert packaged(site, tmp_path / "package", first[:8]).release.number == 1


def test_what_never_went_live_is_refused(site: Site, tmp_path: Path) -> None:
    entry(site, "refused")
    with pytest.raises(Refused, match="Decision 2 of shop is 'refused': only what went live is packaged"):
        packaged(site, tmp_path / "package", "2")


def test_a_folder_that_holds_anything_is_refused_and_left_as_it_is(site: Site, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "mine.txt").touch()
    with pytest.raises(Refused, match="is not empty: choose a new folder"):
        packaged(site, tmp_path / "package")
    assert [path.name for path in (tmp_path / "package").iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_taken(site: Site, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    assert packaged(site, tmp_path / "package").folder == tmp_path / "package"


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_edited_model_is_refused_and_nothing_is_left(site: Site, tmp_path: Path) -> None:
    live = site.releases.live("shop")
    assert live
    file = site.place.models / live.model / "model.txt"
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(DigestMismatch, match="was edited or damaged"):
        packaged(site, tmp_path / "package")
    assert left(tmp_path) == ["shop"]


@pytest.mark.slow
def test_features_that_the_model_was_not_trained_on_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    site = locked(bar(tmp_path / "shop", computed=True))
    released(site)
    published(site)
    with pytest.raises(Refused, match=r"does not start, and was not written: .*needs 'basket_worth'"):
        packaged(site, tmp_path / "package")
    assert left(tmp_path) == ["shop"]


def test_nothing_is_packaged_before_anything_is_published(site: Site, tmp_path: Path) -> None:
    (site.place.online / "shop.sqlite").unlink()
    with pytest.raises(Refused, match="Nothing is published"):
        packaged(site, tmp_path / "package")
    assert left(tmp_path) == ["shop"]


def test_the_card_of_the_release_goes_with_it_and_no_others(site: Site, tmp_path: Path) -> None:
    site.place.reports.mkdir(parents=True)
    for name in ("shop.release-1.md", "shop.release-1.html", "shop.release-12.md", "shop.html"):
        (site.place.reports / name).write_text(name)
    package = packaged(site, tmp_path / "package")
    cards = sorted((package.folder / "product/reports").iterdir())
    assert [card.name for card in cards] == ["shop.release-1.html", "shop.release-1.md"]


def test_a_replays_clock_stands_in_the_package_where_it_stood(site: Site, tmp_path: Path) -> None:
    site.place.landing.mkdir()
    site.place.replay_clock.write_text("2024-04-09T12:00:00+00:00")
    replayed = served(site).model_copy(update={"clock": "replay"})
    live = site.releases.live("shop")
    assert live
    package = write_package(site, replayed, live, tmp_path / "package")
    assert (package.folder / "product/landing/.replay_clock").read_text() == "2024-04-09T12:00:00+00:00"


def test_a_replay_that_has_not_begun_is_said_in_words(site: Site, tmp_path: Path) -> None:
    live = site.releases.live("shop")
    assert live
    with pytest.raises(DataError, match="The replay clock has not started"):
        write_package(site, served(site).model_copy(update={"clock": "replay"}), live, tmp_path / "package")
    assert left(tmp_path) == ["shop"]


def test_anybody_may_read_it_and_nothing_in_it_is_a_program(site: Site, tmp_path: Path) -> None:
    package = packaged(site, tmp_path / "package")
    modes = {path.stat().st_mode & 0o777 for path in package.folder.rglob("*") if path.is_file()}
    assert (modes, package.folder.stat().st_mode & 0o777) == ({0o644}, 0o755)


@pytest.mark.slow
def test_with_redis_the_features_stay_there_and_no_password_is_written_anywhere(tmp_path: Path) -> None:
    with running_redis() as address:
        site = locked(bar(tmp_path / "shop", address=address))
        released(site)
        package = packaged(site, tmp_path / "package")
    assert not (package.folder / "product/online").exists()
    assert "redis==" in (package.folder / "requirements.txt").read_text()
    texts = [path.read_bytes() for path in package.folder.rglob("*") if path.is_file()]
    assert not [text for text in texts if PASSWORD.encode() in text]
