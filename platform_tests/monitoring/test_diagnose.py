"""The live model's drift explained: real tables, real models, and causes that are kept for whoever asks."""

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from headrace.core.days import DAY
from headrace.core.errors import StoreError
from headrace.features.graph import Graph
from headrace.models.meta import load_meta
from headrace.monitoring.cause import Causes
from headrace.monitoring.declaration import Drift
from headrace.monitoring.diagnose import diagnosed
from headrace.monitoring.drift_words import because, drift_text
from headrace.monitoring.kept import known_causes, remember_causes
from headrace.monitoring.watch import live_drift
from headrace.store.releases import Release
from headrace.store.site import Site
from platform_tests.models.shop import LABEL
from platform_tests.monitoring.watched import FIRST, LAST, SOURCES, monitors, shifted, watched_shop, without_price

GRAPH = Graph(SOURCES, {}, {}, LABEL)
POLICY = monitors().drift


def live_of(site: Site) -> Release:
    live = site.releases.live("shop")
    assert live
    return live


def causes_of(site: Site, policy: Drift = POLICY) -> Causes:
    live = live_of(site)
    moved = live_drift(site, live, policy)
    return diagnosed(site, GRAPH, live, [m for m in moved if m.day == LAST], policy)


def dearer_in_portugal(rows: pa.Table) -> pa.Table:
    """Return the orders, dearer in one country from the seventh scored day on."""
    late = pc.greater_equal(rows["at"].cast(pa.date32()), pa.scalar(FIRST + DAY * 6)).to_numpy()
    there = rows["country"].to_numpy(zero_copy_only=False) == "PT"
    price = rows["price"].to_numpy()
    values = pa.array(np.where(late & there, price + 4, price), from_pandas=True)
    return rows.set_column(rows.column_names.index("price"), "price", values)


def test_where_nothing_moved_no_cause_is_named(tmp_path: Path) -> None:
    found = causes_of(watched_shop(tmp_path))
    assert (found.causes, found.alarms, found.note) == ([], [], "")
    assert "nothing has moved that chance could not have moved" in drift_text("shop", found)


def test_a_shift_of_all_rows_is_dated_from_the_first_scored_day(tmp_path: Path) -> None:
    found = causes_of(watched_shop(tmp_path, shifted))
    [cause] = found.causes
    assert (cause.columns, cause.slice, cause.since, cause.is_older) == (["price"], [], FIRST, True)
    assert found.alarms[0].startswith("PSI of price is ")
    assert f"since at least {FIRST}: all rows" in str(cause)
    assert cause.importance > 0.3


def test_a_shift_in_one_country_names_the_country_and_the_day(tmp_path: Path) -> None:
    week = monitors(drift={"window": "6d", "psi": 0.25}).drift
    [cause] = causes_of(watched_shop(tmp_path, dearer_in_portugal), week).causes
    assert (cause.columns, cause.slice) == (["price"], ["country = PT"])
    assert (cause.since, cause.until) == (FIRST + DAY * 6, None)
    assert cause.carries is not None
    assert cause.carries > 0.8


def test_what_is_ignored_is_neither_a_cause_nor_where_one_is(tmp_path: Path) -> None:
    site = watched_shop(tmp_path, dearer_in_portugal)
    [cause] = causes_of(site, monitors(drift={"window": "6d", "psi": 0.25, "ignore": ["country"]}).drift).causes
    assert (cause.columns, cause.slice) == (["price"], [])
    inputs = [column.name for column in load_meta(site.models, live_of(site).model).inputs]
    for ignored, note in ((["price"], ""), (inputs, "no cause can be looked for: every feature is ignored")):
        found = causes_of(site, monitors(drift={"window": "6d", "psi": 0.25, "ignore": ignored}).drift)
        assert (found.causes, found.note) == ([], note)


def test_what_goes_missing_has_an_unknown_effect_where_no_test_row_lacks_it(tmp_path: Path) -> None:
    [cause] = causes_of(watched_shop(tmp_path, without_price)).causes
    assert cause.kind == "missing"
    assert cause.effect is not None
    assert cause.effect.metric == "auc"


def test_a_training_set_that_is_gone_is_said_and_names_no_cause(tmp_path: Path) -> None:
    site = watched_shop(tmp_path, shifted)
    shutil.rmtree(site.place.tables / "shop" / "training" / "set")
    found = causes_of(site)
    assert found.causes == []
    assert found.note.startswith("no cause can be looked for: ")
    assert "no cause can be looked for" in drift_text("shop", found)


def test_causes_are_kept_and_those_of_another_model_are_not_shown(tmp_path: Path) -> None:
    site = watched_shop(tmp_path, shifted)
    assert known_causes(site) is None
    found = causes_of(site)
    remember_causes(site, found)
    assert known_causes(site) == known_causes(site, found.model) == found
    assert known_causes(site, "another") is None


def test_a_file_of_causes_that_is_not_ours_is_refused_in_words(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    path = site.place.logs / "shop" / "causes.json"
    path.write_text("{}")
    with pytest.raises(StoreError, match=r"causes\.json cannot be read.*Materialize shop/monitoring/drift again"):
        known_causes(site)


def test_words_stay_under_forty_lines_however_many_causes_there_are(tmp_path: Path) -> None:
    found = causes_of(watched_shop(tmp_path, shifted))
    columns = [f"a_rather_long_name_of_a_column_{n}" for n in range(60)]
    many = found.model_copy(
        update={
            "causes": [found.causes[0].model_copy(update={"columns": columns, "since": date(2024, 4, 1)})] * 12,
            "alarms": [f"alarm {n}" for n in range(80)],
        }
    )
    text = drift_text("shop", many)
    assert len(text.splitlines()) < 40
    assert max(map(len, text.splitlines())) <= 150
    assert "and 8 more causes (--json)" in text
    assert because(many).endswith("and 10 more causes")


def test_orders_that_come_in_another_order_have_the_same_causes(tmp_path: Path) -> None:
    def turned(rows: pa.Table) -> pa.Table:
        return shifted(rows).take(pa.array(np.random.default_rng(0).permutation(rows.num_rows)))

    first = causes_of(watched_shop(tmp_path / "a", shifted))
    assert causes_of(watched_shop(tmp_path / "b", turned)).causes == first.causes
