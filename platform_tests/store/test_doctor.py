"""Each fault is planted, found, explained, and mended where that is safe."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.core.days import Days
from headrace.core.declaration import Identity
from headrace.core.errors import DigestMismatch, StoreError
from headrace.core.place import Place
from headrace.core.recipe import ALL, Recipe
from headrace.store.doctor import Finding, diagnose
from headrace.store.engine import TableView
from headrace.store.site import Site
from headrace.store.story import Origin, Story

ROOT = Path(__file__).parents[2]
TABLE = "shop/raw/orders"
CLAIM = """
import os, signal, sys
from pathlib import Path
from headrace.store.tables import Tables
with Tables(Path(sys.argv[1])).claim("shop/raw/orders"):
    os.kill(os.getpid(), signal.SIGKILL)
"""
Damage = Callable[[Path], object]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A shop with two versions of a table, a model and a release."""
    site = Site(Identity(product="shop"), tmp_path, Place.at(tmp_path))
    for value in (1.0, 2.0):
        site.tables.replace(TABLE, pa.table({"id": list(range(2000)), "v": [value] * 2000}))
    model = site.models.put({"model.txt": b"tree" * 100, "meta.json": b"{}"})
    site.models.record(model, "evaluation", {"auc": 0.7})
    decision = {"outcome": "released", "model": model, "at": datetime.now(UTC), "who": "a", "why": "b", "evidence": {}}
    for number in range(2):
        site.releases.decide("shop", decision, after=number)
    return site


def findings(site: Site, least_free: int = 0) -> list[Finding]:
    return list(diagnose(site.place, datetime.now(UTC), least_free))


def only(site: Site) -> Finding:
    (found,) = findings(site)
    return found


def newest_file(site: Site) -> Path:
    return Path(site.tables.files(TABLE)[0])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def zero_tail(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50] + bytes(50))


def garbage_tail(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"garbage")


DAMAGES = [cut, flip, zero_tail, garbage_tail, Path.unlink]


def test_in_a_sound_project_nothing_is_wrong(site: Site) -> None:
    assert findings(site) == []


def test_in_an_empty_folder_nothing_is_wrong(tmp_path: Path) -> None:
    assert list(diagnose(Place.at(tmp_path), datetime.now(UTC), 0)) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_parquet_file_is_found_and_never_read_and_older_versions_stay(site: Site, damage: Damage) -> None:
    path = newest_file(site)
    damage(path)
    found = only(site)
    assert found.where == f"{TABLE}, version 1"
    assert str(path) in found.why
    assert found.mend is None
    said = "was removed" if damage is Path.unlink else "is not the file that was written: it was edited or damaged"
    with pytest.raises(StoreError, match=said):
        site.tables.read(TABLE)
    with pytest.raises(StoreError, match=said):
        site.engine.query("from orders", {"orders": TableView(TABLE)})
    assert site.tables.read(TABLE, version=0)["v"][0].as_py() == 1.0


def test_only_files_that_may_hold_the_days_asked_for_are_held_against_their_seals(site: Site) -> None:
    days = [date(2024, 1, 1), date(2024, 2, 1)]
    site.tables.replace("shop/raw/by_day", pa.table({"v": [1, 2], "_day": pa.array(days, pa.date32())}))
    january, february = sorted(map(Path, site.tables.files("shop/raw/by_day")))
    flip(february)
    assert site.tables.read("shop/raw/by_day", days=Days(days[0], days[0]))["v"].to_pylist() == [1]
    with pytest.raises(DigestMismatch):
        site.tables.read("shop/raw/by_day", days=Days(days[1], days[1]))
    assert january.exists()


@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_a_torn_log_of_a_table_is_found(site: Site, damage: Damage) -> None:
    damage(site.place.tables / TABLE / "_delta_log/00000000000000000000.json")
    found = only(site)
    assert found.where == TABLE
    assert ("is damaged" in found.why) or ("entry 0 is missing" in found.why)


@pytest.mark.parametrize("damage", [cut, flip, zero_tail, garbage_tail, Path.unlink])
@pytest.mark.parametrize("name", ["model.txt", "manifest.json"])
def test_a_damaged_model_is_found_and_refused(site: Site, damage: Damage, name: str) -> None:
    (digest,) = site.models.digests()
    damage(site.place.models / digest / name)
    if (name, damage) == ("manifest.json", Path.unlink):
        with pytest.raises(StoreError, match="There is no model"):
            site.models.get(digest, "model.txt")
        assert "has no manifest" in only(site).why
        return
    assert "was edited or damaged" in only(site).why
    with pytest.raises(DigestMismatch, match="The model is refused"):
        site.models.get(digest, "model.txt")


def test_a_damaged_record_of_a_model_is_found(site: Site) -> None:
    (digest,) = site.models.digests()
    cut(site.place.models / "records" / digest / "evaluation.json")
    assert "the record is damaged" in only(site).why


@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_a_broken_release_log_is_found(site: Site, damage: Damage) -> None:
    damage(site.place.logs / "shop/releases/000001.json")
    found = only(site)
    assert found.where.endswith("shop/releases")
    assert "is broken at entry 1" in found.why


def test_a_full_disk_is_found(site: Site) -> None:
    (found,) = findings(site, least_free=2**60)
    assert "the disk is full" in found.why
    assert "headrace gc" in found.advice


def test_what_a_killed_write_left_is_found_and_removed(site: Site) -> None:
    orphan = site.place.tables / TABLE / "part-00000-orphan.snappy.parquet"
    orphan.write_bytes(b"half a file")
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    staged = site.place.models / f".{'a' * 64}.{ended.pid}"
    staged.mkdir()
    (staged / "model.txt").write_text("half a model")
    found = findings(site)
    assert {"no version of the table names it: a run was killed while it wrote"} < {f.why for f in found}
    assert any(f"staged by process {ended.pid}, which is gone" in f.why for f in found)
    mend(found)
    assert not orphan.exists()
    assert not staged.exists()
    assert findings(site) == []


def test_a_commit_whose_seal_was_not_written_is_found_and_sealed(site: Site) -> None:
    (site.place.tables / TABLE / "_headrace/seals/00000000000000000001.json").unlink()
    found = only(site)
    assert "1 commits have no seal" in found.why
    mend([found])
    assert findings(site) == []
    flip(newest_file(site))
    assert len(findings(site)) == 1


ENTRY, FACTS = f"{TABLE}.json", f"{TABLE}.facts.json"


@pytest.fixture
def known(site: Site) -> Site:
    """A shop whose ledger knows a table and a model."""
    site.ledger.contents(TABLE)
    site.ledger.remembered(TABLE, "rows", lambda: 2000)
    recipe = Recipe("shop/model/evaluation", {"judge": "1"})
    site.ledger.note(recipe, site.ledger.work(recipe), {ALL: "a"})
    assert findings(site) == []
    return site


@pytest.mark.parametrize("damage", [cut, zero_tail, garbage_tail])
@pytest.mark.parametrize("name", [ENTRY, FACTS, "shop/model/evaluation.json"])
def test_a_torn_entry_of_the_ledger_is_found_and_removed(known: Site, damage: Damage, name: str) -> None:
    path = known.place.ledger / name
    damage(path)
    found = only(known)
    assert (found.where, "it is torn" in found.why) == (str(path), True)
    mend([found])
    assert not path.exists()
    assert findings(known) == []


def test_a_torn_entry_that_a_run_has_counted_anew_meanwhile_is_not_removed(known: Site) -> None:
    path = known.place.ledger / ENTRY
    cut(path)
    found = only(known)
    known.ledger.contents(TABLE)
    mend([found])
    assert json.loads(path.read_text())["version"] == 1


def test_an_entry_of_a_table_that_was_removed_is_found_and_forgotten(known: Site) -> None:
    shutil.rmtree(known.place.tables / TABLE)
    found = only(known)
    assert found.where == TABLE
    assert "there is no such table" in found.why
    mend([found])
    assert findings(known) == []
    left = [str(path.relative_to(known.place.ledger)) for path in known.place.ledger.glob("**/*.json")]
    assert left == ["shop/model/evaluation.json"]


def test_entries_that_were_never_published_are_found_and_removed(known: Site) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    folder = known.place.ledger / "shop" / "raw"
    for name in ("orders.new", f".orders.json.140.{ended.pid}"):
        (folder / name).write_text('{"versi')
    found = findings(known)
    assert len(found) == 2
    mend(found)
    assert findings(known) == []


def test_a_claim_whose_process_is_gone_is_found_and_forgotten(site: Site) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "platform")}
    killed = subprocess.run([sys.executable, "-c", CLAIM, str(site.place.tables)], check=False, env=env)
    assert killed.returncode == -signal.SIGKILL
    found = only(site)
    assert found.where == f"fence '{TABLE}'"
    assert "is gone before it wrote" in found.why
    mend([found])
    assert findings(site) == []


def test_a_claim_of_a_living_process_and_one_whose_rows_are_there_are_no_findings(site: Site) -> None:
    with site.tables.claim(TABLE) as fence:
        assert claimants(site) == {os.getpid()}
        site.tables.replace(TABLE, pa.table({"id": [1], "v": [1.0]}), fence=fence)
        assert claimants(site) == {os.getpid()}
        assert findings(site) == []
    assert claimants(site) == {None}
    assert findings(site) == []


def claimants(site: Site) -> set[int | None]:
    claims = [json.loads(p.read_text()) for p in (site.place.tables / "_fences").iterdir() if not p.suffix]
    return {claim["pid"] for listed in claims for claim in listed}


def mend(found: list[Finding]) -> None:
    for finding in found:
        assert finding.mend
        finding.mend()


def test_what_mlflow_was_not_told_is_counted_and_a_torn_story_is_named_and_can_be_forgotten(site: Site) -> None:
    for minute in (1, 2):
        origin = Origin(run="r" * 36, job="job", at=datetime(2024, 3, 1, 12, minute, tzinfo=UTC))
        site.spool.put(Story(origin=origin, part="candidate"))
    assert only(site).why == "2 stories wait to be told to MLflow, which was away or refused them"
    torn = site.spool.waiting()[0]
    torn.write_bytes(torn.read_bytes()[:-1])
    named, waiting = findings(site)
    assert named.where == str(torn)
    assert "it was torn or edited" in named.why
    assert waiting.why.startswith("1 story waits")
    assert named.mend is not None
    named.mend()
    assert only(site).mend is None
