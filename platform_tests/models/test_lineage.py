"""What a training set is made of is named at the versions that it was made of, whatever came in since."""

from pathlib import Path

import pyarrow as pa
import pytest

from headrace.core.declaration import Identity
from headrace.core.place import Place
from headrace.models.lineage import inputs_at, versions_behind
from headrace.store.cause import Cause
from headrace.store.site import Site

RAW, VALIDATED, HABIT, SET = "shop/raw/orders", "shop/validated/orders", "shop/features/habit", "shop/training/set"
SHARED = "bank/features/income"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(Identity(product="shop"), tmp_path, Place.at(tmp_path))


def write(site: Site, table: str, **read: int) -> None:
    """Write a table's next version, made of versions of others, by the last part of their names."""
    names = {name.split("/")[-2]: name for name in (RAW, VALIDATED, HABIT)} | {"shared": SHARED}
    value = (site.tables.version(table) or 0) + 1 if site.tables.exists(table) else 0
    site.tables.replace(table, pa.table({"v": [value]}), why=Cause(inputs={names[k]: v for k, v in read.items()}))


def test_the_lineage_is_walked_down_and_newer_versions_are_left_alone(site: Site) -> None:
    for _ in range(2):
        write(site, RAW)
    write(site, VALIDATED, raw=0)
    write(site, HABIT, validated=0)
    write(site, SET, validated=0, features=0)
    write(site, VALIDATED, raw=1)
    write(site, HABIT, validated=1)
    assert versions_behind(site, 0) == {HABIT: 0, RAW: 0, SET: 0, VALIDATED: 0}
    write(site, SET, validated=1, features=1)
    assert versions_behind(site, 1) == {HABIT: 1, RAW: 1, SET: 1, VALIDATED: 1}


def test_a_table_counts_as_it_is_read_nearest_to_the_training_set_and_its_readers_keep_their_own_inputs(
    site: Site,
) -> None:
    write(site, RAW)
    write(site, VALIDATED, raw=0)
    write(site, HABIT, validated=0)
    write(site, RAW)
    write(site, VALIDATED, raw=1)
    write(site, SET, validated=1, features=0)
    assert versions_behind(site, 0) == {HABIT: 0, RAW: 1, SET: 0, VALIDATED: 1}
    assert inputs_at(site, HABIT, 0) == {VALIDATED: 0}


def test_what_a_table_of_another_product_is_made_of_is_not_asked(site: Site) -> None:
    write(site, RAW)
    write(site, SHARED, raw=0)
    write(site, RAW)
    write(site, SET, shared=0)
    assert versions_behind(site, 0) == {SHARED: 0, RAW: 1, SET: 0}


def test_of_a_table_whose_reader_did_not_say_what_it_read_it_is_the_newest_of_that_moment(site: Site) -> None:
    write(site, RAW)
    write(site, VALIDATED)
    write(site, SET, validated=0)
    write(site, RAW)
    assert versions_behind(site, 0) == {RAW: 0, SET: 0, VALIDATED: 0}


def test_a_version_that_a_table_made_anew_does_not_have_is_not_named(site: Site) -> None:
    write(site, RAW)
    write(site, VALIDATED, raw=7)
    write(site, SET, validated=0)
    assert versions_behind(site, 0) == {RAW: 0, SET: 0, VALIDATED: 0}
