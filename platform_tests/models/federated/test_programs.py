"""Flower's programs are real ones: what goes over the wire holds no row, and whatever fails ends all of them, in words."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.errors import DeclarationError, StoreError
from headrace.core.place import Place
from headrace.core.processes import working_in
from headrace.models.federated.carried import CARRIED, ROOT, parts_of
from headrace.models.federated.programs import Federation, answer_of, awaited, start_server, start_sites, submit
from headrace.models.federated.sites import write_rows
from headrace.models.train import lesson_of, train_model
from headrace.models.trainer import Beside
from headrace.models.trainers.xgboost import params_of
from platform_tests.models.federated.flower import beside, federated, flower_python, relaying
from platform_tests.models.shop import LABEL, orders, silent
from platform_tests.waiting import eventually

CANARY = 1234567.890625
PATIENCE_S = 120.0
TRAIN = """
from platform_tests.models.federated.flower import beside, federated
from platform_tests.models.shop import LABEL, orders
from headrace.models.train import train_model
train_model(orders(300), LABEL, federated(10), lambda said: print(said, flush=True), beside())
"""
AUDIT = """
import json, sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from headrace.models.federated.site import app
TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
context = Context(run_id=1, node_id=1, node_config=json.loads(sys.argv[1]), state=RecordDict(), run_config={})
config = ConfigRecord({"params": json.dumps({"seed": 0}), "steps": [2], "weight": 100.0, "server-round": 1})
told = RecordDict({"config": config, "arrays": ArrayRecord([np.zeros(0, dtype=np.uint8)])})
for kind in (MessageType.QUERY, MessageType.TRAIN):
    message = Message(told, message_type=kind, dst_node_id=1)
    message.metadata.__dict__["_message_id"] = "1"
    app(message, context)
print(json.dumps(opened))
"""


def with_canary(rows: pa.Table) -> pa.Table:
    """Return rows with a number that stands on each row of one site, where no split can carry it, and on none elsewhere."""
    portuguese = rows["country"].to_numpy(zero_copy_only=False) == "PT"
    return rows.append_column("secret", pa.array(np.where(portuguese, CANARY, 0.0)))


def federation(folder: Path, rows: pa.Table | None = None, *, wait_s: float = 120.0) -> Federation:
    lesson = lesson_of(orders(300) if rows is None else rows, LABEL, federated(), silent)
    assert lesson.standing
    files = {
        name: write_rows(lesson, lesson.standing, number, folder / f"site-{number}")
        for number, name in enumerate(lesson.standing.names)
    }
    return Federation(flower_python(), folder, files, wait_s)


def asked(*steps: int) -> dict[str, Any]:
    lesson = lesson_of(orders(300), LABEL, federated(), silent)
    return {"params": params_of(lesson.meta), "steps": list(steps)}


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Federation, list[str]]:
    """All that sites have said to the server in a training, and the arguments of all their processes."""
    folder = tmp_path_factory.mktemp("sites")
    found = federation(folder, with_canary(orders(300)))
    with ExitStack() as programs:
        port = start_server(found, programs)
        relay = programs.enter_context(relaying(port))
        start_sites(found, programs, relay.port)
        submit(found, asked(2, 2), port)
        awaited(found, silent)
        processes = [
            Path(f"/proc/{pid}/cmdline").read_bytes().decode() + str(number)
            for number in range(3)
            for pid in working_in(folder / f"site-{number}")
        ]
    return b"".join(relay.said), found, processes


@pytest.mark.slow
def test_counts_and_trees_go_over_the_wire_and_no_row_does(heard: tuple[bytes, Federation, list[str]]) -> None:
    said, found, _ = heard
    assert b"split_conditions" in said, "what is said can be read"
    spelled = [
        struct.pack("<d", CANARY),
        struct.pack(">d", CANARY),
        struct.pack("<f", CANARY),
        struct.pack(">f", CANARY),
    ]
    spelled += [b"1234567", b"1.2345678", b"o00001"]
    assert spelled[0] in found.rows["PT"].read_bytes(), "the site itself has it"
    assert not [one for one in spelled if one in said]


@pytest.mark.slow
def test_the_processes_of_a_site_are_told_of_its_own_rows_alone(heard: tuple[bytes, Federation, list[str]]) -> None:
    _, found, processes = heard
    assert len(processes) >= 6
    for said in processes:
        own = int(said[-1])
        assert not [path for number, path in enumerate(found.rows.values()) if number != own and str(path) in said]


@pytest.mark.slow
def test_when_the_training_is_over_no_program_is_left(heard: tuple[bytes, Federation, list[str]]) -> None:
    _, found, _ = heard
    assert not list(working_in(found.folder))
    assert all(program.returncode == -signal.SIGKILL for program in found.running.values())


@pytest.mark.slow
def test_the_program_of_a_site_opens_its_own_rows_and_no_others(tmp_path: Path) -> None:
    found = federation(tmp_path)
    config = {"site": 0, "rows": str(found.rows["DE"])}
    done = subprocess.run(
        [flower_python(), "-c", AUDIT, json.dumps(config)],
        env={"PYTHONPATH": str(ROOT), "FLWR_TELEMETRY_ENABLED": "0", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    opened = [name for name in json.loads(done.stdout.splitlines()[-1]) if name.startswith(str(tmp_path))]
    assert opened == [config["rows"]] * 2


@pytest.mark.slow
def test_a_site_that_is_killed_ends_the_training_in_words_and_nothing_is_left_running(tmp_path: Path) -> None:
    found = federation(tmp_path)

    def kill() -> None:
        assert eventually((found.left / "round 1").exists, PATIENCE_S)
        os.kill(found.running["site 'FR'"].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(
        StoreError, match=r"the process of site 'FR' ended by signal 9.*Nothing was stored: run this again"
    ):
        answer_of(found, asked(*[1] * 50), silent)
    killer.join()
    assert not list(working_in(tmp_path))


@pytest.mark.slow
def test_a_training_that_is_killed_takes_its_programs_with_it() -> None:
    flower_python()
    training = subprocess.Popen(
        [sys.executable, "-c", TRAIN],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT.parent}"},
    )
    assert training.stdout
    assert "round 1" in training.stdout.readline()
    children = Path(f"/proc/{training.pid}/task/{training.pid}/children").read_text().split()
    folder = Path(os.readlink(f"/proc/{children[0]}/cwd")).parent
    assert len(list(working_in(folder))) >= 8
    training.kill()
    training.wait()
    training.stdout.close()
    assert eventually(lambda: not list(working_in(folder)), PATIENCE_S)
    shutil.rmtree(folder)


@pytest.mark.slow
def test_sites_that_take_longer_than_they_may_are_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"Nothing was trained: .*of 3 sites|[012] of 3 sites came up"):
        answer_of(federation(tmp_path, wait_s=0.5), asked(1), silent)
    assert not list(working_in(tmp_path))


@pytest.mark.slow
def test_what_xgboost_refuses_at_a_site_is_told_in_its_words() -> None:
    with pytest.raises(StoreError, match=r"a site failed: .*XGBoost refuses to train with params .*max_depth"):
        train_model(orders(300), LABEL, federated(params={"max_depth": -3}), silent, beside())


def test_without_an_interpreter_it_is_said_which_variable_to_set() -> None:
    with pytest.raises(DeclarationError, match="set HEADRACE_FLOWER_PYTHON to its interpreter"):
        train_model(orders(300), LABEL, federated(), silent)


def test_an_interpreter_without_flower_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        DeclarationError, match=r"HEADRACE_FLOWER_PYTHON is '.*/bin/python', and there is no Flower beside it"
    ):
        train_model(
            orders(300), LABEL, federated(), silent, Beside(Path(), "", flower_python=tmp_path / "bin" / "python")
        )


def test_a_server_that_does_not_come_up_is_told_with_its_last_words(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    (folder / "flower-superlink").write_text("#!/bin/sh\necho no port is free\nexit 3\n")
    (folder / "flower-superlink").chmod(0o755)
    with pytest.raises(
        StoreError, match=r"the process of the server ended with 3\. server said last: no port is free\."
    ):
        train_model(orders(300), LABEL, federated(), silent, Beside(Path(), "", flower_python=folder / "python"))


def test_the_interpreter_is_that_of_the_environment_told_from_the_projects_root(tmp_path: Path) -> None:
    found = Place.of_environment(tmp_path, {"HEADRACE_FLOWER_PYTHON": ".venv-flower/bin/python"})
    assert found.flower_python == tmp_path / ".venv-flower/bin/python"
    assert Place.of_environment(tmp_path, {}).flower_python is None


def test_a_model_of_sites_is_made_of_the_code_and_libraries_of_their_programs_too() -> None:
    parts = parts_of(flower_python())
    assert {"library flwr of the sites", "library xgboost-cpu of the sites"} <= set(parts)
    assert {name for name in CARRIED if name.endswith(("server.py", "site.py"))} <= set(parts)
    assert "library flwr of the sites" not in parts_of(None)


def test_an_interpreter_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(DeclarationError, match="is no Python that runs: broken"):
        parts_of(tmp_path / "python")
