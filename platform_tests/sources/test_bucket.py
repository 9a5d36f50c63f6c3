"""Files in a bucket are taken as those in a folder are: from a real S3 server, with keys from the environment alone."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import obstore
import pytest
from moto.server import ThreadedMotoServer
from obstore.store import S3Store
from pydantic import ValidationError

from headrace.core.errors import DeclarationError, StoreError
from headrace.sources.assets import source_assets
from headrace.sources.bucket import matches
from headrace.sources.declaration import Bucket, Limits, Source
from headrace.sources.known import landed_files
from headrace.sources.pending import pending_files
from headrace.store.site import Site
from platform_tests.sources.ferries import CROSSINGS, crossing, csv, ferry_line, land_file, raw_rows, take

KEY, SECRET = "CANARY-KEY-7f3a", "CANARY-SECRET-91bc"
FIRST, SECOND = "s3://harbour/north/2013/a.csv", "s3://harbour/north/2013/b.csv"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def harbour(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    bucket = boto3.resource("s3", endpoint_url=endpoint, **keys).Bucket("harbour")
    bucket.create()
    options: Any = {"allow_http": True}
    yield S3Store("harbour", endpoint=endpoint, access_key_id=KEY, secret_access_key=SECRET, client_options=options)
    bucket.objects.all().delete()
    bucket.delete()


@pytest.fixture
def source(endpoint: str) -> Source:
    bucket = Bucket(endpoint=endpoint, access_key_id="env:HARBOUR_KEY", secret_access_key="env:HARBOUR_SECRET")
    return CROSSINGS.model_copy(update={"files": "s3://harbour/north/**/*.csv", "bucket": bucket})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = ferry_line(tmp_path)
    return Site(site.product, site.folder, site.place, {"HARBOUR_KEY": KEY, "HARBOUR_SECRET": SECRET})


def put(harbour: S3Store, url: str, text: str) -> None:
    obstore.put(harbour, url.removeprefix("s3://harbour/"), text.encode())


def test_objects_are_taken_once_with_their_address(site: Site, source: Source, harbour: S3Store) -> None:
    put(harbour, FIRST, csv([crossing(1)]))
    put(harbour, "s3://harbour/south/c.csv", csv([crossing(9)]))
    assert take(site, source).files == [FIRST]
    version = site.tables.version("ferry/raw/crossings")
    assert take(site, source).files == []
    assert site.tables.version("ferry/raw/crossings") == version
    assert raw_rows(site, "crossing", "_file") == [("c001", FIRST)]


def test_changed_content_is_a_new_version_and_the_same_content_a_duplicate(
    site: Site, source: Source, harbour: S3Store
) -> None:
    put(harbour, FIRST, csv([crossing(1)]))
    put(harbour, SECOND, csv([crossing(1)]))
    assert take(site, source).duplicates == {SECOND: FIRST}
    put(harbour, FIRST, csv([crossing(2)]))
    put(harbour, SECOND, csv([crossing(3)]))
    assert take(site, source).replaced == [FIRST]
    assert raw_rows(site, "crossing") == [("c002",), ("c003",)]


def test_an_object_that_was_seen_is_not_fetched_again(
    site: Site, source: Source, harbour: S3Store, tmp_path: Path
) -> None:
    put(harbour, FIRST, csv([crossing(1)]))
    take(site, source)
    (file,) = landed_files(site, source)
    assert not file.path.exists()
    assert file.digest()
    assert not file.path.exists()


def test_the_sensor_sees_new_and_changed_objects(site: Site, source: Source, harbour: S3Store) -> None:
    put(harbour, FIRST, csv([crossing(1)]))
    found = pending_files(site, {"crossings": source}, {})
    assert (found.files, str(found.days)) == ({"crossings": [FIRST]}, "2013-03-05")
    assert pending_files(site, {"crossings": source}, found.seen).files == {}
    put(harbour, FIRST, csv([crossing(1, "2013-03-06")]))
    assert pending_files(site, {"crossings": source}, found.seen).files == {"crossings": [FIRST]}


def test_an_object_beyond_the_limit_is_refused_without_being_fetched(
    site: Site, source: Source, harbour: S3Store
) -> None:
    put(harbour, FIRST, csv([crossing(1)]))
    put(harbour, SECOND, csv(crossing(n) for n in range(100)))
    small = source.model_copy(update={"limits": Limits(unpacked=2_000)})
    found = take(site, small)
    assert (found.files, list(found.refused)) == ([FIRST], [SECOND])
    assert "holds more than 2KB" in found.refused[SECOND]


def test_a_bucket_that_cannot_be_read_says_so_and_the_other_sources_go_on(
    site: Site, source: Source, harbour: S3Store
) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]), mtime=1000)
    lost = source.model_copy(update={"files": "s3://nowhere/*.csv"})
    with pytest.raises(
        StoreError, match=r"The bucket 'nowhere' of s3://nowhere/\*.csv cannot be read: (?s:.*)NoSuchBucket"
    ):
        take(site, lost)
    found = pending_files(site, {"lost": lost, "crossings": CROSSINGS}, {})
    assert list(found.files) == ["crossings"]
    assert found.troubles[0].startswith("source 'lost': The bucket 'nowhere'")


def test_a_variable_that_is_not_set_is_named(source: Source, tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="'env:HARBOUR_KEY', and the environment variable HARBOUR_KEY is not"):
        take(ferry_line(tmp_path), source)


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"files": "s3://k:s@b/x.csv"}, "holds a key"),
        ({"files": "gs://b/x.csv"}, "is no place: write a path"),
        ({"files": "s3://b"}, "is no place"),
        ({"files": "x.csv", "bucket": {"region": "eu"}}, "and `files` is x.csv"),
        ({"files": "s3://b/x.csv", "bucket": {"secret_access_key": "hunter2"}}, "should match pattern"),
    ],
)
def test_keys_and_unknown_places_are_refused_while_loading(declared: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Source.model_validate(declared)


@pytest.mark.parametrize(
    ("path", "pattern", "fits"),
    [
        ("a/b.csv", "a/*.csv", True),
        ("a/b/c.csv", "a/*.csv", False),
        ("a/b/c.csv", "a/**/*.csv", True),
        ("a/c.csv", "a/**/*.csv", True),
        ("a/.c.csv", "a/*.csv", False),
        ("a/c.csv", "a/[ab].csv", False),
    ],
)
def test_patterns_mean_what_they_mean_in_a_folder(tmp_path: Path, path: str, pattern: str, fits: bool) -> None:
    assert matches(path.split("/"), pattern.split("/")) is fits
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    found = list(tmp_path.glob(pattern))
    assert bool(found) is (fits or Path(path).name.startswith("."))


def test_no_key_is_written_anywhere(site: Site, source: Source, harbour: S3Store, tmp_path: Path) -> None:
    put(harbour, FIRST, csv([crossing(1)]))
    instance_home = tmp_path / "instance"
    instance_home.mkdir()
    tags = {f"dagster/asset_partition_range_{end}": "2013-03-05" for end in ("start", "end")}
    with dg.DagsterInstance.local_temp(str(instance_home)) as instance:
        assert dg.materialize(source_assets(site, {"crossings": source}), instance=instance, tags=tags).success
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(written) > 5
    assert not [file for file in written if KEY.encode() in file.read_bytes() or SECRET.encode() in file.read_bytes()]
    assert KEY not in repr(site)
