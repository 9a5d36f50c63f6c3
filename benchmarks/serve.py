"""Measures the server against others with the same model in the same run: requests a second and latency by wrk, one row each.

Usage: python -m benchmarks.serve [rounds=5] [seconds=5]

The model has 200 trees of 63 leaves and 25 inputs; every server is one worker process; 16 connections stay open. MLServer and
BentoML are installed into environments of their own, .venv-mlserver and .venv-bentoml, by the first run. wrk comes from Debian.
`full` is what a user gets: key, contract, features looked up, prediction, journal. `alone` takes all 25 inputs from the request.
At half of the rate that it bore `full` is asked once more by requests that leave when they are due (headrace.load), whatever became of
the earlier ones: latency counts from then.
"""

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.access.keys import keys_of
from headrace.contracts.declaration import Contract
from headrace.core.declaration import Identity
from headrace.core.place import Place
from headrace.core.ports import free_port
from headrace.features.declaration import Feature, Label
from headrace.features.graph import Graph
from headrace.load.run import Target, arrivals, ask_open_loop
from headrace.load.step import Step, step_of
from headrace.models.candidate import train_candidate
from headrace.models.declaration import Model
from headrace.online.declaration import Online
from headrace.online.publish import publish
from headrace.serving.declaration import Serve
from headrace.serving.gatherer import Gatherer
from headrace.serving.prepare import served_of
from headrace.serving.served import Served
from headrace.serving.server import Listening, serve
from headrace.sources.declaration import Source
from headrace.store.online import open_online
from headrace.store.site import Site

ROOT = Path(__file__).parents[1]
INPUTS, ASKED, CUSTOMERS, ROWS, TREES, LEAVES = 25, 5, 100_000, 20_000, 200, 63
CONNECTIONS, WARM_S = 16, 1
PEERS = {
    "mlserver": ["mlserver==1.7.1", "mlserver-lightgbm==1.7.1"],
    "bentoml": ["bentoml==1.4.39", "lightgbm", "pandas"],
}
LIMITS = {"mlserver": 5.0, "bentoml": 20.0, "mlflow": 50.0}
ALONE_MLSERVER, ALONE_RAW = 10.0, 0.7
HALF_P99_MS = 5.0
LABEL = Label.model_validate(
    {"sql": "label.sql", "entity": "order_id", "time": "asked_at", "column": "returned", "known_after": "1d"}
)
SINCE = datetime(2024, 3, 1, tzinfo=UTC)
NAMES = [f"x{number}" for number in range(INPUTS)]
TABLES = {"habit": NAMES[ASKED:12], "basket": NAMES[12:19], "visits": NAMES[19:]}


@dataclass(frozen=True)
class Measured:
    """What wrk saw."""

    rate: float
    p99_ms: float
    errors: int


@dataclass
class Contender:
    """A server that is asked."""

    name: str
    command: Sequence[str]
    path: str
    bodies: Sequence[str]
    headers: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = ROOT


def rows(seed: int = 0) -> pa.Table:
    """Return a training set: five columns of the request, twenty that are looked up by customer; some values are missing."""
    chance = np.random.default_rng(seed)
    values = chance.normal(size=(ROWS, INPUTS))
    odds = values[:, 0] + 0.5 * values[:, 7] * values[:, 13] - values[:, 20]
    values[chance.random(values.shape) < 0.03] = np.nan
    start = np.datetime64("2024-03-01T00:00:00", "us")
    columns: dict[str, Any] = {
        "order_id": [f"o{number}" for number in range(ROWS)],
        "asked_at": pa.array(start + np.arange(ROWS) * np.timedelta64(180_000_000, "us"), pa.timestamp("us", "UTC")),
        "customer": [f"c{number % CUSTOMERS}" for number in range(ROWS)],
        "returned": (chance.random(ROWS) < 1 / (1 + np.exp(-odds))).astype(np.int8),
    }
    return pa.table(columns | {name: pa.array(values[:, n], from_pandas=True) for n, name in enumerate(NAMES)})


def site_of(folder: Path, *, looked_up: bool) -> tuple[Site, Served, str]:
    """Return a site with a live model and published features; its inputs are looked up, or all come with the request."""
    folder.mkdir(parents=True)
    own = NAMES[:ASKED] if looked_up else NAMES
    features = {
        name: Feature.model_validate({"sql": f"{name}.sql", "entity": "customer", "time": "asked_at"})
        for name in TABLES
        if looked_up
    }
    (folder / "label.sql").write_text(f"select order_id, asked_at, customer, {', '.join(own)}, returned from orders")
    site = Site(Identity(product="shop"), folder, Place.at(folder))
    trained = rows()
    named = {n: f"{table}_{n}" for table, names in TABLES.items() for n in names if looked_up}
    site.tables.replace("shop/training/set", trained.rename_columns([named.get(n, n) for n in trained.column_names]))
    site.tables.replace("shop/validated/orders", trained)
    chance = np.random.default_rng(1)
    for table in features:
        (folder / f"{table}.sql").write_text(f"select customer, asked_at, {', '.join(TABLES[table])} from orders")
        known = {f"{table}_{name}": chance.normal(size=CUSTOMERS) for name in TABLES[table]}
        since = pa.array([SINCE] * CUSTOMERS, pa.timestamp("us", "UTC"))
        times = {"time": since, "_day": since.cast(pa.date32())}
        customers = {"customer": [f"c{n}" for n in range(CUSTOMERS)]}
        site.tables.replace(f"shop/features/{table}", pa.table({**customers, **times, **known}))
    store = open_online(site.place, "shop")
    publish(site, features, LABEL, Online(), store)
    store.close()
    params = {"num_leaves": LEAVES, "min_data_in_leaf": 20}
    model = Model.model_validate({"split": {"test": "7d"}, "trees": TREES, "params": params, "ignore": ["customer"]})
    digest = train_candidate(site, LABEL, model, site.tables.version("shop/training/set") or 0, lambda _: None).digest
    decision = {
        "outcome": "released",
        "model": digest,
        "at": site.clock.now(),
        "who": "a benchmark",
        "why": "",
        "evidence": {},
    }
    site.releases.decide("shop", decision, after=0)
    columns = {
        "order_id": {"type": "string", "unique": True},
        "asked_at": {"type": "timestamp"},
        "customer": {"type": "string"},
    }
    limits = {name: {"type": "double", "nullable": True, "min": -100, "max": 100} for name in own}
    contract = Contract.model_validate({"columns": columns | limits | {"returned": {"type": "boolean"}}})
    source = Source.model_validate({"files": "orders.csv", "time": "asked_at"})
    graph = Graph({"orders": source}, {"orders": contract}, features, LABEL)
    declared: dict[str, Any] = {"online": {}, "limits": {"per_key": None, "per_address": None}}
    if not looked_up:
        declared["predictions"] = {"share": "0%"}
    return site, served_of(site, graph, model, Serve.model_validate(declared)), digest


def bodies_of(own: Sequence[str], count: int = 1000) -> list[str]:
    """Return requests of many customers."""
    chance = np.random.default_rng(2)
    return [
        json.dumps(
            {"customer": f"c{chance.integers(CUSTOMERS)}"}
            | {n: round(float(v), 6) for n, v in zip(own, chance.normal(size=len(own)), strict=True)}
        )
        for _ in range(count)
    ]


@contextmanager
def running(contender: Contender, port: int) -> Iterator[None]:
    """Run a server until it is asked no more."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            contender.command, cwd=contender.folder, env=dict(os.environ) | dict(contender.environment),
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            end = time.monotonic() + 120
            while not _answers(contender, port):
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    sys.exit(f"{contender.name} does not answer:\n{log.read()[-3000:]}")
                time.sleep(0.2)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _answers(contender: Contender, port: int) -> bool:
    headers = {"content-type": "application/json"} | dict(contender.headers)
    request = urllib.request.Request(f"http://127.0.0.1:{port}{contender.path}", contender.bodies[0].encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        if error.code in (400, 401, 403, 404, 415, 422):
            sys.exit(f"{contender.name} refuses its request: {error.read()[:500]!r}")
        return False
    except OSError:
        return False


def asked(contender: Contender, port: int, seconds: int, folder: Path) -> Measured:
    """Return what wrk measures of a server."""
    headers = {"content-type": "application/json"} | dict(contender.headers)
    lines = ["wrk.method = 'POST'", *(f"wrk.headers['{name}'] = '{value}'" for name, value in headers.items())]
    told = ",\n".join(f"[==[{body}]==]" for body in contender.bodies)
    lines.append(f"local bodies = {{{told}}}\nlocal n = 0")
    lines.append("request = function() n = n % #bodies + 1; return wrk.format(nil, nil, nil, bodies[n]) end")
    script = folder / f"{contender.name}.lua"
    script.write_text("\n".join(lines))
    url = f"http://127.0.0.1:{port}{contender.path}"
    found = ""
    for span in (WARM_S, seconds):
        command = [
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{span}s",
            "--latency",
            "--timeout",
            "10s",
            "-s",
            str(script),
            url,
        ]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", found)[1])  # type: ignore[index]
    p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", found).groups()  # type: ignore[union-attr]
    errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", found)))
    errors += sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", found)))
    return Measured(rate, float(p99) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit], errors)


def at_half(contender: Contender, port: int, rate: float, seconds: int) -> Step:
    """Return how a server does at half of a rate, asked in an open loop."""
    key = contender.headers.get("authorization", "").removeprefix("Bearer ")
    target = Target("127.0.0.1", port, path=contender.path, key=key)
    bodies = [body.encode() for body in contender.bodies]
    seen = ask_open_loop(target, bodies, arrivals(rate / 2, seconds, seed=1), CONNECTIONS)
    return step_of([seen], rate / 2, seconds)


RAW = """
import struct, sys
import msgspec, uvicorn
from headrace.models.native import Trees
row = Trees(open(sys.argv[1], "rb").read()).row()
names, decode = sys.argv[3].split(","), msgspec.json.decode
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    message = await receive()
    given = decode(message["body"])
    answer = b'{"prediction":%r}' % row([given[name] for name in names])
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
uvicorn.run(app, port=int(sys.argv[2]), http="httptools", loop="uvloop", access_log=False, log_level="error", lifespan="off")
"""
BENTO = """
import bentoml, lightgbm, numpy
@bentoml.service(workers=1)
class Shop:
    def __init__(self) -> None:
        self.booster = lightgbm.Booster(model_file="model.txt")
    @bentoml.api
    def predict(self, rows: list[list[float]]) -> list[float]:
        return self.booster.predict(numpy.array(rows), num_threads=1).tolist()
"""


def ours(name: str, root: Path, port: int, *, looked_up: bool) -> Contender:
    """Return our own server of a product that was made for it."""
    site, served, _ = site_of(root, looked_up=looked_up)
    (root / "served.json").write_text(served.model_dump_json())
    command = [sys.executable, "-m", "benchmarks.serve", "ours", str(root), str(port)]
    headers = {"authorization": f"Bearer {key_of(site)}"} if looked_up else {}
    return Contender(name, command, "/v1/predict", bodies_of(NAMES[:ASKED] if looked_up else NAMES), headers)


def raw(model: Path, port: int) -> Contender:
    """Return an ASGI application that decodes a body and answers with the same call, and does nothing else."""
    command = [sys.executable, "-c", RAW, str(model), str(port), ",".join(NAMES)]
    return Contender("raw ASGI", command, "/", bodies_of(NAMES), environment={"PYTHONPATH": str(ROOT / "platform")})


def mlserver(model: Path, port: int, folder: Path) -> Contender:
    """Return MLServer with its LightGBM runtime in the server's own process, by the inference protocol v2."""
    (folder / "model.bst").write_bytes(model.read_bytes())
    settings = {
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 0,
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    one = {"name": "shop", "implementation": "mlserver_lightgbm.LightGBMModel", "parameters": {"uri": "./model.bst"}}
    (folder / "model-settings.json").write_text(json.dumps(one))
    bodies = [
        json.dumps({"inputs": [{"name": "predict", "shape": [1, INPUTS], "datatype": "FP64", "data": values}]})
        for values in _matrix()
    ]
    command = [str(ROOT / ".venv-mlserver/bin/mlserver"), "start", "."]
    return Contender("MLServer", command, "/v2/models/shop/infer", bodies, folder=folder)


def bentoml(model: Path, port: int, folder: Path) -> Contender:
    """Return BentoML with `Booster.predict`, one worker."""
    (folder / "model.txt").write_bytes(model.read_bytes())
    (folder / "service.py").write_text(BENTO)
    command = [str(ROOT / ".venv-bentoml/bin/bentoml"), "serve", "service:Shop", "--port", str(port)]
    bodies = [json.dumps({"rows": [values]}) for values in _matrix()]
    return Contender(
        "BentoML", command, "/predict", bodies, environment={"BENTOML_DO_NOT_TRACK": "true"}, folder=folder
    )


def mlflow(model: Path, port: int, folder: Path) -> Contender:
    """Return MLflow's own server of the same booster, one worker."""
    import lightgbm  # noqa: PLC0415  seconds that only this peer needs
    import mlflow.lightgbm  # noqa: PLC0415

    mlflow.lightgbm.save_model(lightgbm.Booster(model_file=str(model)), str(folder / "model"))
    program = str(Path(sys.executable).parent / "mlflow")
    command = [program, "models", "serve", "-m", "model", "--env-manager", "local", "-p", str(port), "-w", "1"]
    bodies = [json.dumps({"dataframe_split": {"columns": NAMES, "data": [values]}}) for values in _matrix()]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return Contender("MLflow", command, "/invocations", bodies, environment={"PATH": path}, folder=folder)


def _matrix(count: int = 1000) -> Any:
    return np.random.default_rng(2).normal(size=(count, INPUTS)).round(6).tolist()


def installed(name: str) -> bool:
    """Return whether a peer's environment is there, or could be made."""
    folder = ROOT / f".venv-{name}"
    if (folder / "bin").exists():
        return True
    made = subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False).returncode == 0
    command = [str(folder / "bin/pip"), "install", "-q", *PEERS[name]]
    if made and subprocess.run(command, check=False).returncode == 0:
        return True
    shutil.rmtree(folder, ignore_errors=True)
    print(f"NOTICE: {name} cannot be installed here: it is LEFT OUT")
    return False


def contenders(folder: Path) -> Iterator[tuple[Contender, int]]:
    """Yield each server that takes part, and its port."""
    makers: dict[str, Callable[[Path, int, Path], Contender]] = {
        "mlserver": mlserver,
        "bentoml": bentoml,
        "mlflow": mlflow,
    }
    port = free_port()
    yield ours("full", folder / "full", port, looked_up=True), port
    port = free_port()
    yield ours("alone", folder / "alone", port, looked_up=False), port
    [model] = (folder / "alone" / ".headrace" / "models").glob("*/model.txt")
    port = free_port()
    yield raw(model, port), port
    for name, make in makers.items():
        if name == "mlflow" or installed(name):
            port, own = free_port(), folder / name
            own.mkdir()
            yield make(model, port, own), port


def main(rounds: int, seconds: int) -> None:
    """Print rates, latencies and ratios, and whether the limits hold."""
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed: apt-get install wrk")
    found: dict[str, list[Measured]] = {}
    half: list[Step] = []
    with tempfile.TemporaryDirectory() as made, ExitStack() as servers:
        taking_part = list(contenders(Path(made)))
        for contender, port in taking_part:
            servers.enter_context(running(contender, port))
        for number in range(rounds):
            for contender, port in taking_part:
                found.setdefault(contender.name, []).append(asked(contender, port, seconds, Path(made)))
            told = ", ".join(f"{name} {measured[-1].rate:,.0f}" for name, measured in found.items())
            full, port = next(one for one in taking_part if one[0].name == "full")
            half.append(at_half(full, port, statistics.median(m.rate for m in found["full"]), seconds))
            told += f"; full at half of it: p99 {half[-1].p99_ms:.2f} ms, {half[-1].failed} failed"
            print(f"  round {number + 1}: {told} requests/s", flush=True)
    print(f"\n{'server':<12}{'requests/s':>12}{'p99 ms':>9}{'errors':>8}{'full is':>10}{'alone is':>10}")
    rates = {name: statistics.median(m.rate for m in measured) for name, measured in found.items()}
    for name, measured in found.items():
        p99, errors = statistics.median(m.p99_ms for m in measured), sum(m.errors for m in measured)
        ratios = f"{rates['full'] / rates[name]:>9.1f}x{rates['alone'] / rates[name]:>9.2f}x"
        print(f"{name:<12}{rates[name]:>12,.0f}{p99:>9.2f}{errors:>8}{ratios}")
    judged = [(f"full >= {most:g} x {name}", rates["full"] / rates[name] >= most) for name, most in _limits(rates)]
    judged.append((f"alone >= {ALONE_RAW} of raw ASGI", rates["alone"] / rates["raw ASGI"] >= ALONE_RAW))
    if "MLServer" in rates:
        judged.append((f"alone >= {ALONE_MLSERVER:g} x MLServer", rates["alone"] / rates["MLServer"] >= ALONE_MLSERVER))
    errors = sum(m.errors for n in ("full", "alone") for m in found[n]) + sum(step.failed for step in half)
    judged.append(("no errors of ours", not errors))
    p99 = statistics.median(step.p99_ms or float("inf") for step in half)
    told = f"full at half of its rate, {half[-1].rate:,.0f}/s: p99 {p99:.2f} ms <= {HALF_P99_MS:g} ms"
    judged.append((told, p99 <= HALF_P99_MS))
    for what, holds in judged:
        print(f"{'ok  ' if holds else 'FAIL'} {what}")
    versions = ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "fastapi", "msgspec", "lightgbm", "mlflow"))
    print(f"{versions}, {', '.join(told for peer in PEERS.values() for told in peer[:1])}")
    sys.exit(0 if all(holds for _, holds in judged) else 1)


def _limits(rates: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    names = {"mlserver": "MLServer", "bentoml": "BentoML", "mlflow": "MLflow"}
    yield from ((names[peer], most) for peer, most in LIMITS.items() if names[peer] in rates)


def serve_ours(root: Path, port: int) -> None:
    """Serve a product that was made for the benchmark."""
    served = Served.model_validate_json((root / "served.json").read_text())
    site = Site(Identity(product=served.product), root, Place.at(root))
    listening = Listening(port=port, keys=keys_of(site.place, served.product).all() != [])
    serve(served, site.place, listening, [Gatherer(site)])


def key_of(site: Site) -> str:
    """Return a new key that may ask for predictions."""
    keys = keys_of(site.place, site.product.product)
    return keys.create("benchmark", ["predict"], datetime.now(UTC), None).text


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        serve_ours(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(*(int(text) for text in (*sys.argv[1:3], *("5", "5")[len(sys.argv[1:3]) :])))
