"""The Open Inference Protocol, spoken by NVIDIA's own client with a real server."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from headrace.core.ports import free_port
from headrace.releases.release import Request, release_model
from headrace.store.site import Site
from platform_tests.models.shop import gates, judged, model, trained
from platform_tests.serving.bar import ROW, Running, bar, released, running, served
from platform_tests.serving.shopfront import open_shop

NAMES = ["customer", "price", "country", "land", "gift"]
Rows = list[dict[str, Any]]
ROWS: Rows = [ROW, {**ROW, "customer": "c8", "price": None, "country": "FR"}, {**ROW, "customer": "c999", "gift": True}]
INFER = "/v2/models/shop/infer"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with open_shop(tmp_path_factory.mktemp("shop"), most_rows=1000) as (_, server):
        yield server


@pytest.fixture
def client(server: Running) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}", network_timeout=60) as client:
        yield client


def arrays(rows: Rows) -> dict[str, Any]:
    return {
        "customer": np.array([row["customer"].encode() for row in rows], object),
        "price": np.array([np.nan if row["price"] is None else row["price"] for row in rows], np.float64),
        "country": np.array([row["country"].encode() for row in rows], object),
        "land": np.array([(row["land"] or "").encode() for row in rows], object),
        "gift": np.array([row["gift"] for row in rows], bool),
    }


def inputs(rows: Rows, *, binary: bool = True, wide: bool = False) -> list[triton.InferInput]:
    made = []
    for name, flat in arrays(rows).items():
        values = flat.reshape(-1, 1) if wide else flat
        datatype = {"price": "FP64", "gift": "BOOL"}.get(name, "BYTES")
        given = triton.InferInput(name, list(values.shape), datatype)
        given.set_data_from_numpy(values, binary_data=binary)
        made.append(given)
    return made


def predicted(server: Running, rows: Rows) -> list[float]:
    told: list[float] = server.ask("/v1/predict", rows).told["predictions"]
    return told


def tensors(rows: Rows, **changes: Any) -> dict[str, Any]:
    """Return a request as JSON, but for the changes of its inputs; one that becomes None is left out."""
    data = {name: [row[name] for row in rows] for name in NAMES}
    kinds = {"price": "FP64", "gift": "BOOL"}
    made = {n: {"name": n, "datatype": kinds.get(n, "BYTES"), "shape": [len(rows)], "data": data[n]} for n in NAMES}
    for name, change in changes.items():
        made[name] = (
            {**made.get(name, {"name": name, "datatype": "BYTES", "shape": [len(rows)]}), **change} if change else {}
        )
    return {"inputs": [tensor for tensor in made.values() if tensor]}


def test_health_and_metadata_are_read_by_tritons_client(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("shop")
    assert client.is_model_ready("shop", "1")
    assert not client.is_model_ready("shop", "2")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    told = client.get_model_metadata("shop", "1")
    assert told["versions"] == ["1"]
    assert {tensor["name"]: tensor["datatype"] for tensor in told["inputs"]} == {
        "order_id": "BYTES", "at": "BYTES", "customer": "BYTES", "price": "FP64", "country": "BYTES", "land": "BYTES", "gift": "BOOL",
    }  # fmt: skip
    assert told["outputs"] == [{"name": "prediction", "datatype": "FP64", "shape": [-1]}]


@pytest.mark.parametrize("wide", [False, True], ids=["[n]", "[n, 1]"])
@pytest.mark.parametrize("binary_out", [None, True, False])
@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client_gets_the_scores_of_the_door_by_bytes_and_by_json(
    server: Running, client: triton.InferenceServerClient, binary: bool, binary_out: bool | None, wide: bool
) -> None:
    rows = ROWS if binary else [row for row in ROWS if row["price"] is not None]  # the client writes NaN as no JSON
    outputs = None if binary_out is None else [triton.InferRequestedOutput("prediction", binary_data=binary_out)]
    answer = client.infer("shop", inputs(rows, binary=binary, wide=wide), request_id="mine", outputs=outputs)
    assert answer.as_numpy("prediction").tolist() == predicted(server, rows)
    told = answer.get_response()
    assert (told["id"], told["model_name"], told["model_version"]) == ("mine", "shop", "1")
    assert told["outputs"][0]["datatype"] == "FP64"


def test_a_version_is_the_number_of_the_live_release_and_another_one_is_not_there(
    client: triton.InferenceServerClient,
) -> None:
    assert client.infer("shop", inputs(ROWS), model_version="1").get_response()["model_version"] == "1"
    with pytest.raises(InferenceServerException, match="the release that is live is 1"):
        client.infer("shop", inputs(ROWS), model_version="2")


def test_an_error_is_read_by_tritons_client(client: triton.InferenceServerClient) -> None:
    with pytest.raises(
        InferenceServerException, match="column 'country': expected a text, one of DE, FR, PT, got \"XX\""
    ):
        client.infer("shop", inputs([{**ROW, "country": "XX"}]))


def test_what_is_missing_is_nan_or_null_or_an_empty_text_or_left_out(server: Running) -> None:
    rows = [{**ROW, "price": None, "land": None}] * 2
    expected = predicted(server, rows)
    for changes in (
        {"price": {"data": [None, None]}, "land": {"data": ["", ""]}},
        {"price": None, "land": None},
        {"price": {"data": [None, None]}, "land": {"data": [None, None]}},
    ):
        told = server.ask(INFER, tensors(rows, **changes)).told
        assert told["outputs"][0]["data"] == expected


def test_an_empty_text_of_a_column_that_may_not_miss_is_a_text(server: Running) -> None:
    reply = server.ask(INFER, tensors([ROW], customer={"data": [""]}))
    assert (reply.status, 'got ""' in reply.told["error"]) == (422, True)


def test_numbers_of_other_width_are_numbers(server: Running) -> None:
    expected = predicted(server, [{**ROW, "price": 2.0}])
    for datatype in ("FP32", "INT8", "UINT64"):
        told = server.ask(INFER, tensors([ROW], price={"datatype": datatype, "data": [2]})).told
        assert told["outputs"][0]["data"] == expected


@pytest.mark.parametrize(
    ("changes", "words", "status"),
    [
        ({"price": {"data": [1.0, 2.0]}}, "2 values for 1 rows", 400),
        ({"price": {"shape": [2]}}, "has 2 rows, and 'customer' has 1", 400),
        ({"price": {"shape": [1, 2]}}, "a column is \\[rows\\]", 400),
        ({"price": {"shape": []}}, "a column is \\[rows\\]", 400),
        ({"price": {"datatype": "FP128"}}, "datatype", 400),
        ({"price": {"datatype": "BYTES", "data": ["1"]}}, "sent as FP64", 422),
        ({"gift": {"datatype": "INT8", "data": [1]}}, "sent as BOOL", 422),
        ({"country": None}, "column 'country': expected .* got nothing", 422),
        ({"contry": {"data": ["DE"]}}, "did you mean 'country'", 422),
        ({"price": {"parameters": {"binary_data_size": 8}}}, "0 bytes are left", 400),
        ({"price": {"parameters": {"binary_data_size": "8"}}}, "0 bytes are left", 400),
        ({"price": {"data": [{}]}}, "got {}", 422),
        ({"price": {"data": [[1.0]]}}, "got \\[1.0\\]", 422),
    ],
)
def test_tensors_that_are_wrong_are_refused_in_the_protocols_own_form(
    server: Running, changes: Any, words: str, status: int
) -> None:
    reply = server.ask(INFER, tensors([ROW], **changes))
    assert (reply.status, reply.headers["content-type"]) == (status, "application/json")
    assert list(reply.told) == ["error"]
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(reply.told["error"])


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b'{"inputs": []}', {}, 400),
        (b"[]", {}, 400),
        (b"{}", {"inference-header-content-length": "3"}, 400),
        (b"{}", {"inference-header-content-length": "-1"}, 400),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {"content-encoding": "gzip"}, 415),
    ],
)
def test_what_is_no_request_is_refused_in_the_protocols_own_form(
    server: Running, body: bytes, headers: dict[str, str], status: int
) -> None:
    reply = server.ask(INFER, body, headers)
    assert (reply.status, list(reply.told)) == (status, ["error"])


@pytest.mark.parametrize(
    ("path", "status"), [("/v2/nothing", 404), ("/v2/models/other", 404), ("/v2/models/shop/infer", 405)]
)
def test_what_is_not_there_is_said_in_the_protocols_own_form(server: Running, path: str, status: int) -> None:
    reply = server.ask(path)
    assert (reply.status, list(reply.told)) == (status, ["error"])


def test_an_infinite_number_among_bytes_is_refused(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match=r"Row 1, column 'price': .* got an infinite number"):
        client.infer("shop", inputs([ROW, {**ROW, "price": np.inf}]))


def test_more_rows_than_a_request_may_have_are_refused_before_they_are_read(
    client: triton.InferenceServerClient,
) -> None:
    with pytest.raises(InferenceServerException, match="1,001 rows are more than the 1,000"):
        client.infer("shop", inputs([ROW] * 1001))


def test_the_example_of_the_document_is_answered(server: Running) -> None:
    operation = server.ask("/openapi.json").told["paths"]["/v2/models/{product}/infer"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]
    reply = server.ask(INFER, example)
    assert (reply.status, reply.told["id"]) == (200, "mine")
    assert operation["parameters"][0]["schema"]["enum"] == ["shop"]


def test_what_was_asked_so_is_written_down_as_all_requests_are(tmp_path_factory: pytest.TempPathFactory) -> None:
    site: Site = bar(tmp_path_factory.mktemp("shop"))
    released(site)
    with running(site, served(site), port=free_port()) as server:
        told = server.ask(INFER, tensors(ROWS), {"x-request-id": "mine"}).told
        server.stop()
    rows = site.tables.read("shop/predictions/online").sort_by("row")
    assert rows["request"].to_pylist() == ["mine"] * 3
    assert rows["score"].to_pylist() == told["outputs"][0]["data"]


def test_a_model_with_a_threshold_gives_decisions_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    site = bar(tmp_path_factory.mktemp("shop"))
    declared = model(costs={"false_positive": 1, "false_negative": 1}, ignore=["customer", "land"])
    digest = trained(site, declared)
    judged(site, digest, "auc >= 0.6", declared=declared)
    release_model(site, Request(digest, "a test", "to see", by_name=True), gates("auc >= 0.6"))
    with (
        running(site, served(site), port=free_port()) as server,
        triton.InferenceServerClient(f"127.0.0.1:{server.port}", network_timeout=60) as client,
    ):
        rows = [*ROWS, {**ROW, "price": -3.0, "country": "DE"}]
        told = server.ask("/v1/predict", rows).told
        assert len(set(told["decisions"])) == 2
        answer = client.infer("shop", inputs(rows))
        assert answer.as_numpy("prediction").tolist() == told["predictions"]
        assert answer.as_numpy("decision").tolist() == told["decisions"]
        only = client.infer("shop", inputs(rows), outputs=[triton.InferRequestedOutput("decision", binary_data=False)])
        assert [tensor["name"] for tensor in only.get_response()["outputs"]] == ["decision"]
        with pytest.raises(InferenceServerException, match="no output 'odds', but prediction, decision"):
            client.infer("shop", inputs(rows), outputs=[triton.InferRequestedOutput("odds")])
        page = server.ask("/").body.decode()
        assert f'data-threshold="{server.ask("/v1/model").told["threshold"]:.4g}"' in page
