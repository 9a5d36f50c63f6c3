"""The guard: five ways round the gate, each refused, or noticed and mended by one look."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from headrace.core.errors import DigestMismatch, StoreError
from headrace.models.candidate import Candidate, remember
from headrace.releases.assets import MIRRORED, RELEASED
from headrace.releases.guard import guard, guard_home, log_troubles
from headrace.releases.sensors import GUARDED, guard_automation
from headrace.store.log import Log
from headrace.store.rollback import Return, roll_back
from headrace.store.site import Site
from headrace.store.tell import telling
from platform_tests.models.shop import model, shop, trained
from platform_tests.models.test_assets import Way, check, empty_mlflow, failure, instance, metadata, registry, site, way

__all__ = ["empty_mlflow", "instance", "site", "way"]  # fixtures
pytestmark = pytest.mark.slow
WORSE = {"min_gain_to_split": 1e9}


def live(site: Site) -> str:
    release = site.releases.live("shop")
    assert release
    return release.model


def incidents(site: Site) -> list[str]:
    return [entry["what"] for entry in Log(site.place.logs / "shop" / "incidents").entries()]


def alias(site: Site) -> str:
    return str(registry(site).get_model_version_by_alias("shop", "champion").tags.get("headrace.digest"))


def look(way: Way) -> dg.AssetCheckEvaluation | None:
    """Return what one tick of the sensor has reported of the check, if anything."""
    [sensor] = guard_automation(way.site)
    state = way.instance.run_storage.get_cursor_values({"guard"}).get("guard")
    context = dg.build_sensor_context(instance=way.instance, cursor=state)
    found = sensor.evaluate_tick(context)
    way.instance.run_storage.set_cursor_values({"guard": found.cursor or ""})
    said = [event for event in found.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
    return said[0] if said else None


def test_nothing_is_said_where_everything_is_as_it_was_released(way: Way) -> None:
    assert check(way.run(), GUARDED).passed
    assert look(way) is None
    assert guard(way.site) == []
    assert log_troubles(way.site) == []
    assert incidents(way.site) == []


def test_the_champion_materialized_alone_and_by_a_backfill_releases_no_candidate_that_fails(way: Way) -> None:
    champion = metadata(way.run(), "champion")["live model"]
    way.model = model(params=WORSE)
    assert way.run("candidate").success
    for tags in ({}, {"dagster/backfill": "abcdefgh"}):
        assert "was never evaluated" in failure(way.run("champion", tags=tags))
    assert way.run("evaluation").success
    for tags in ({}, {"dagster/backfill": "abcdefgh"}):
        assert not check(way.run("champion", tags=tags), RELEASED).passed
    assert live(way.site) == champion


def test_an_alias_that_was_moved_goes_back_and_the_check_says_so_until_the_next_look(way: Way) -> None:
    champion = metadata(way.run(), "champion")["live model"]
    way.model = model(params=WORSE)
    way.run()
    other = next(v for v in registry(way.site).search_model_versions("name = 'shop'") if v.version != "1")
    registry(way.site).set_registered_model_alias("shop", "champion", other.version)
    assert alias(way.site) != champion
    said = look(way)
    assert said
    assert not said.passed
    assert "`champion` stood at version 2, and release 1 is live. It stands at version 1 now." in str(said.description)
    assert alias(way.site) == champion
    again = look(way)
    assert again
    assert again.passed
    assert look(way) is None, "the same is said once"
    assert len(incidents(way.site)) == 1


def test_a_torn_incident_keeps_nothing_from_being_mended(way: Way) -> None:
    champion = metadata(way.run(), "champion")["live model"]
    registry(way.site).delete_registered_model_alias("shop", "champion")
    assert len(guard(way.site)) == 1
    [torn] = (way.site.place.logs / "shop" / "incidents").glob("*.json")
    torn.write_text("{")
    registry(way.site).delete_registered_model_alias("shop", "champion")
    found = guard(way.site)
    assert alias(way.site) == champion
    assert "What was found cannot be written down" in str(found[-1])


def test_an_alias_that_was_removed_comes_back(way: Way) -> None:
    way.run()
    registry(way.site).delete_registered_model_alias("shop", "champion")
    assert [trouble.mended for trouble in guard(way.site)] == [True]
    assert alias(way.site) == live(way.site)


def test_an_alias_is_left_for_the_next_look_while_another_process_tells_of_a_release(way: Way) -> None:
    champion = metadata(way.run(), "champion")["live model"]
    way.model = model(params=WORSE)
    way.run()
    registry(way.site).set_registered_model_alias("shop", "champion", "2")
    with telling(way.site):
        assert guard(way.site) == []
        assert alias(way.site) != champion
    assert [trouble.mended for trouble in guard(way.site)] == [True]
    assert alias(way.site) == champion


def test_an_alias_that_lags_behind_a_rollback_follows_without_an_alarm(way: Way) -> None:
    way.gates = way.gates[:1]
    first = metadata(way.run(), "champion")["live model"]
    way.model = model(trees=30)
    way.run()
    assert alias(way.site) == live(way.site) != first
    roll_back(way.site.releases, way.site.models, "shop", Return("ada", "bad", way.site.clock.now()))
    assert guard(way.site) == []
    assert alias(way.site) == live(way.site) == first
    result = way.run()
    assert metadata(result, "champion")["live model"] == first
    assert not check(result, RELEASED).passed
    assert "it was rolled back by ada: bad" in str(check(result, RELEASED).description)


def test_a_version_that_was_registered_by_hand_is_marked_and_never_mirrored(way: Way) -> None:
    way.run()
    client = registry(way.site)
    source = client.get_model_version("shop", "1").source
    forged = client.create_model_version("shop", source, tags={"headrace.digest": live(way.site)})
    client.set_registered_model_alias("shop", "champion", forged.version)
    assert len(guard(way.site)) == 2
    assert int(client.get_model_version_by_alias("shop", "champion").version) == 1
    assert "never released" in client.get_model_version("shop", forged.version).tags["headrace.verdict"]
    assert guard(way.site) == []


def test_an_entry_written_into_the_log_by_hand_is_refused_and_set_aside(way: Way) -> None:
    champion = metadata(way.run(), "champion")["live model"]
    worse = trained(way.site, model(params=WORSE))
    forged = Log(way.site.place.logs / "shop" / "releases")
    entry = {**forged.entries()[0], "model": worse, "who": "nobody"}
    forged.append(entry, after=1)
    with pytest.raises(StoreError, match="was written by hand"):
        way.site.releases.live("shop")
    [trouble] = guard(way.site)
    assert "was written by hand" in trouble.what
    assert live(way.site) == champion
    assert guard(way.site) == []


def test_a_candidate_that_was_named_by_hand_must_pass_by_its_own_evaluation(way: Way) -> None:
    way.run()
    worse = trained(way.site, model(params=WORSE))
    remember(way.site, Candidate(worse, 0, way.site.clock.now(), "by hand"))
    assert "was never evaluated" in failure(way.run("champion"))


@pytest.mark.parametrize("damage", ["flipped", "cut", "zeros", "garbage", "removed"])
def test_edited_files_of_the_live_model_are_refused_and_come_back_from_mlflows_copy(way: Way, damage: str) -> None:
    digest = metadata(way.run(), "champion")["live model"]
    path = way.site.place.models / digest / "model.txt"
    whole = path.read_bytes()
    spoil(path, damage)
    with pytest.raises(DigestMismatch):
        way.site.models.verify(digest)
    [trouble] = guard_home(way.site)
    assert trouble.mended
    assert path.read_bytes() == whole
    assert "came back from MLflow's copy" in trouble.done
    assert check(way.run(), MIRRORED).passed


def spoil(path: Path, damage: str) -> None:
    data = path.read_bytes()
    middle = len(data) // 2
    spoilt = {
        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "cut": data[:middle],
        "zeros": data[:middle] + b"\0" * (len(data) - middle),
        "garbage": data + b"garbage",
    }
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(spoilt[damage])


def test_where_mlflows_copy_is_spoilt_too_the_release_before_is_named_and_nothing_is_scored(way: Way) -> None:
    way.gates = way.gates[:1]
    way.run()
    way.model = model(trees=30)
    digest = metadata(way.run(), "champion")["live model"]
    for path in way.site.place.home.rglob("model.txt"):
        if path.read_bytes() == (way.site.place.models / digest / "model.txt").read_bytes():
            path.write_bytes(b"another")
    [trouble] = guard_home(way.site)
    assert not trouble.mended
    assert trouble.done.endswith("headrace rollback shop --to 1 --why ...")
    said = look(way)
    assert said
    assert said.severity == dg.AssetCheckSeverity.ERROR
    roll_back(way.site.releases, way.site.models, "shop", Return("ada", "its files are damaged", way.site.clock.now()))
    assert guard(way.site) == []


def test_a_log_that_was_cut_off_with_its_witness_is_noticed_by_what_mlflow_and_the_model_know(way: Way) -> None:
    way.run()
    shutil.rmtree(way.site.place.logs / "shop" / "releases")
    shutil.rmtree(way.site.place.witness)
    assert "entries 1 to 1 were cut off: MLflow's registered model knows of them" in log_troubles(way.site)


def test_a_log_that_was_written_anew_with_its_witness_is_noticed(way: Way) -> None:
    way.run()
    entry = way.site.releases.log("shop").entries()[0]
    shutil.rmtree(way.site.place.logs / "shop" / "releases")
    shutil.rmtree(way.site.place.witness)
    facts = {name: fact for name, fact in entry.items() if name not in ("number", "previous")}
    way.site.releases.log("shop").append(facts | {"why": "another past"}, after=0)
    assert [words.partition(":")[0] for words in log_troubles(way.site)] == ["entry 1 was edited, with its witness"] * 2


def test_an_mlflow_that_is_away_is_no_reason_to_stop(tmp_path: Path) -> None:
    away = shop(tmp_path)
    assert guard(away) == [], "nothing is live, and nobody is asked"


def test_a_candidate_that_waits_shows_on_the_asset_and_its_check(
    tmp_path: Path, empty_mlflow: Path, instance: dg.DagsterInstance
) -> None:
    (tmp_path / ".headrace").mkdir()
    shutil.copy(empty_mlflow, tmp_path / ".headrace/mlflow.db")
    way = Way(shop(tmp_path, approval="required"), instance)
    result = way.run()
    assert "Nothing is live: started by hand; all gates passed; waits for approval" in failure(result)
    assert not check(result, RELEASED).passed
    assert str(check(result, RELEASED).description).startswith("waiting: ")
