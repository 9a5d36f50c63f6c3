"""A package's server: nothing is written where it lies, an edited file is refused in words, predictions go where they are told to."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.core.errors import DeclarationError, DigestMismatch
from headrace.packages.run import main, opened
from headrace.packages.write import Package
from headrace.serving.gather import gather_predictions
from headrace.serving.journal import hidden, rows_of
from headrace.store.site import Site
from platform_tests.online.redis_server import PASSWORD, running_redis
from platform_tests.packages.shop import another, bare, locked, packaged, serving, shop
from platform_tests.serving.bar import DEADLINE, ROW, bar, released, until

AGAIN = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return shop(tmp_path_factory.mktemp("run") / "shop")


@pytest.fixture(scope="module")
def package(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Package:
    return packaged(site, tmp_path_factory.mktemp("packages") / "package")


@pytest.fixture
def copy(package: Package, tmp_path: Path) -> Path:
    return Path(shutil.copytree(package.folder, tmp_path / "copy"))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.parent.name != "__pycache__"
    }


def test_it_answers_and_nothing_is_written_to_its_folder(package: Package) -> None:
    before = contents(package.folder)
    with serving(package.folder) as server:
        assert server.ask("/v1/predict", ROW).told["release"] == 1
        assert server.ask("/readyz").status == 200
        assert server.stop() == 0
    assert contents(package.folder) == before


@pytest.mark.slow
def test_it_runs_on_a_file_system_that_is_read_alone(package: Package) -> None:
    readonly = ["unshare", "--mount", "sh", "-c", AGAIN, "sh", str(package.folder)]
    if subprocess.run([*readonly, "true"], capture_output=True, check=False).returncode:
        pytest.skip("NOTICE: nobody may mount here: that a package runs on a read-only file system is SKIPPED")
    touched = subprocess.run([*readonly, "touch", str(package.folder / "x")], capture_output=True, check=False)
    assert b"Read-only file system" in touched.stderr
    with serving(package.folder, before=readonly) as server:
        assert server.ask("/v1/predict", ROW).status == 200
        assert server.stop() == 0, server.log.read_text()


@pytest.mark.slow
def test_several_workers_answer_and_one_that_is_killed_is_started_again(package: Package) -> None:
    with serving(package.folder, ["--workers", "2"]) as server:
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        before = children.read_text().split()
        os.kill(int(before[-1]), 9)
        until(lambda: len(children.read_text().split()) == len(before) and children.read_text().split() != before)
        until(lambda: server.ask("/v1/predict", ROW).status == 200)
        assert server.stop() == 0


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_request_that_is_under_way_is_answered_before_the_server_ends(package: Package, workers: str) -> None:
    body = json.dumps(ROW).encode()
    head = f"POST /v1/predict HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {len(body)}\r\n\r\n"
    with serving(package.folder, ["--workers", workers]) as server, socket.socket() as client:
        client.connect(("127.0.0.1", server.port))
        client.sendall(head.encode())
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        server.process.send_signal(signal.SIGTERM)
        if workers == "1":
            until(lambda: not listens(server.port))
        client.sendall(body)
        said = b""
        while part := client.recv(4096):
            said += part
        assert said.startswith(b"HTTP/1.1 200 ")
        assert b'"prediction"' in said
        assert server.process.wait(DEADLINE) == 0


def test_the_library_that_parsed_the_model_may_be_another_there_and_still_nothing_is_written(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the record that it was parsed before, it is parsed again, at each start."""
    listed = json.loads((copy / "MANIFEST.json").read_bytes())
    [record] = copy.glob("product/models/records/*/parsed.json")
    record.unlink()
    del listed["files"][str(record.relative_to(copy))]
    (copy / "MANIFEST.json").write_text(json.dumps(listed))
    main(copy, {}, ["--check"])
    assert capsys.readouterr().out == "shop: release 1 is ready.\n"
    assert not record.exists()


@pytest.mark.parametrize(
    "name", ["app/headrace/serving/service.py", "product/served.json", "requirements.txt", "serve.py"]
)
def test_an_edited_file_ends_the_start_in_words(copy: Path, name: str) -> None:
    (copy / name).write_text((copy / name).read_text() + " ")
    done = subprocess.run(
        [sys.executable, "serve.py"], cwd=copy, env=bare(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"{copy / name} is not the file that was packaged")
    assert "Traceback" not in done.stderr


def test_edited_code_is_not_even_imported(copy: Path) -> None:
    (copy / "app/headrace/serving/server.py").write_text("print('this ran')")
    done = subprocess.run(
        [sys.executable, "serve.py"], cwd=copy, env=bare(), capture_output=True, text=True, check=False
    )
    assert "this ran" not in done.stdout + done.stderr
    assert "server.py is not the file that was packaged" in done.stderr


def test_predictions_are_written_nowhere_unless_a_folder_is_named(package: Package, tmp_path: Path) -> None:
    silent, told, by_name = (opened(package.folder, env, to) for env, to in [({}, ""), ({}, str(tmp_path)), ({"HEADRACE_WRITE_TO": str(tmp_path)}, "")])  # fmt: skip
    assert (silent.served.logged, told.served.logged, by_name.served.logged) == (0, 1, 1)
    assert told.place == by_name.place
    assert told.place.predictions == tmp_path / "predictions"


def test_predictions_of_a_package_are_taken_in_where_it_was_made(site: Site, package: Package, tmp_path: Path) -> None:
    with serving(package.folder, ["--write-to", str(tmp_path / "written")]) as server:
        requests = {server.ask("/v1/predict", ROW).told["request"] for _ in range(3)}
        assert server.stop() == 0
    [segment] = (tmp_path / "written/predictions/shop").iterdir()
    target = site.place.predictions / "shop"
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(segment, target)
    assert gather_predictions(site).rows == 3
    rows = site.tables.read("shop/predictions/online")
    assert set(rows["request"].to_pylist()) == requests
    assert set(rows["release"].to_pylist()) == {1}


def test_personal_values_are_hashed_by_a_secret_that_lies_with_the_predictions(site: Site, tmp_path: Path) -> None:
    package = packaged(another(site, tmp_path / "shop"), tmp_path / "package", predictions={"hash": ["customer"]})
    with serving(package.folder, ["--write-to", str(tmp_path / "written")]) as server:
        server.ask("/v1/predict", ROW)
        assert server.stop() == 0
    assert (tmp_path / "written/hashing.key").stat().st_mode & 0o777 == 0o600
    [segment] = (tmp_path / "written/predictions/shop").iterdir()
    rows = rows_of(segment)
    assert rows
    [hashed] = rows["customer"].to_pylist()
    assert (len(hashed), hashed) == (64, hidden("c7", (tmp_path / "written/hashing.key").read_bytes()))


def test_a_server_that_the_package_does_not_read_from_is_refused(package: Package) -> None:
    with pytest.raises(DeclarationError, match="this package holds its features itself"):
        opened(package.folder, {"HEADRACE_ONLINE_URL": "redis://host:6379/0"})


@pytest.mark.slow
def test_with_redis_it_says_where_it_must_be_and_answers_from_there(tmp_path: Path) -> None:
    with running_redis() as address:
        site = locked(bar(tmp_path / "shop", address=address))
        released(site)
        package = packaged(site, tmp_path / "package")
        with pytest.raises(DeclarationError, match="set HEADRACE_ONLINE_URL"):
            opened(package.folder, {})
        with serving(package.folder, environment=bare(HEADRACE_ONLINE_URL=address)) as server:
            assert server.ask("/v1/predict", ROW).told["features"] == 1
            assert server.stop() == 0
            assert PASSWORD not in server.log.read_text()


def test_a_damaged_list_is_refused(copy: Path) -> None:
    (copy / "MANIFEST.json").write_text("{}")
    with pytest.raises(DigestMismatch):
        opened(copy, {})
