"""The image runs without rights on a file system that is read alone, and so does what KServe is asked for."""

import json
import platform
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError, validate

from platform_tests.online.redis_server import running_redis
from platform_tests.packages.kserve import INFERENCE_SERVICE
from platform_tests.packages.shop import locked, packaged, released_by, shop
from platform_tests.serving.bar import bar, released


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("texts")
    return packaged(shop(made / "shop"), made / "package").folder


@pytest.fixture(scope="module")
def steps(folder: Path) -> list[tuple[str, str]]:
    """The steps of the Dockerfile: word and rest."""
    lines = [line for line in (folder / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_its_base_is_pinned_to_the_version_of_python_that_it_was_tried_with(steps: list[tuple[str, str]]) -> None:
    assert steps[0] == ("FROM", f"python:{platform.python_version()}-slim-bookworm")
    assert [word for word, _ in steps].count("FROM") == 1


def test_it_runs_as_a_user_of_a_number_that_is_not_root_and_nothing_is_done_after_that(
    steps: list[tuple[str, str]],
) -> None:
    [user] = [rest for word, rest in steps if word == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    after = [word for word, _ in steps[[word for word, _ in steps].index("USER") :]]
    assert not {"RUN", "COPY", "ADD"} & set(after)


def test_nothing_comes_from_the_network_but_packages_whose_digests_are_known(steps: list[tuple[str, str]]) -> None:
    assert not [rest for word, rest in steps if word == "ADD" or (word == "COPY" and "--from" in rest)]
    runs = [rest for word, rest in steps if word == "RUN"]
    assert not [rest for rest in runs if re.search(r"curl|wget|git |http|sudo|chmod|-y .*upgrade", rest)]
    [pip] = [json.loads(rest) for rest in runs if "pip" in rest]
    assert {"--require-hashes", "--no-cache-dir"} <= set(pip)


def test_what_it_runs_is_no_shell(steps: list[tuple[str, str]]) -> None:
    shells = {word: rest for word, rest in steps if word in ("RUN", "CMD", "ENTRYPOINT") and not rest.startswith("[")}
    assert list(shells) == ["RUN"]
    assert shells["RUN"].startswith("apt-get update && apt-get install --yes --no-install-recommends libgomp1 &&")
    [health] = [rest for word, rest in steps if word == "HEALTHCHECK"]
    command = json.loads(health.partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "health", "exec")


@pytest.mark.slow
def test_libgomp_is_installed_for_lightgbm_alone(tmp_path: Path) -> None:
    site = locked(bar(tmp_path / "shop"))
    released_by(site, "xgboost")
    assert "apt-get" not in (packaged(site, tmp_path / "package").folder / "Dockerfile").read_text()


def inference(folder: Path) -> Any:
    return yaml.safe_load((folder / "kserve.yaml").read_text())


def test_kserve_is_asked_for_a_service_of_one_container_by_the_second_protocol(folder: Path) -> None:
    asked = inference(folder)
    assert (asked["apiVersion"], asked["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", asked["metadata"]["name"])
    [container] = asked["spec"]["predictor"]["containers"]
    assert (container["name"], container["image"]) == ("kserve-container", "shop:1")
    assert {"name": "PROTOCOL", "value": "v2"} in container["env"]
    assert [port["containerPort"] for port in container["ports"]] == [8080]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": 8080}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": 8080}


def test_kserve_is_told_what_it_needs_and_that_it_may_do_nothing_else(folder: Path) -> None:
    predictor = inference(folder)["spec"]["predictor"]
    [container] = predictor["containers"]
    assert predictor["automountServiceAccountToken"] is False
    assert predictor["securityContext"]["runAsNonRoot"] is True
    assert predictor["securityContext"]["runAsUser"] >= 1000
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]) == {"requests", "limits"}
    [mounted] = container["volumeMounts"]
    assert (mounted["mountPath"], [volume["name"] for volume in predictor["volumes"]]) == ("/tmp", [mounted["name"]])


def test_kserve_knows_every_key_that_it_is_asked_by(folder: Path) -> None:
    validate(inference(folder), INFERENCE_SERVICE)


@pytest.mark.parametrize(
    ("there", "wrong"),
    [
        ("minReplicas: 1", "minReplica: 1"),
        ("minReplicas: 1", 'minReplicas: "1"'),
        ("path: /readyz, port: 8080", "path: /readyz"),
        ("name: kserve-container", "title: kserve-container"),
        ("memory: 512Mi", "memory: 512 MB"),
        ("runAsNonRoot: true", "runAsNonRoot: yes please"),
        ("readOnlyRootFilesystem", "readOnlyRootFileSystem"),
        ("serving.kserve.io/v1beta1", "serving.kserve.io/v1alpha2"),
    ],
)
def test_a_key_that_kserve_does_not_know_or_a_value_of_another_type_would_be_found(
    folder: Path, there: str, wrong: str
) -> None:
    text = (folder / "kserve.yaml").read_text()
    assert there in text
    with pytest.raises(ValidationError):
        validate(yaml.safe_load(text.replace(there, wrong)), INFERENCE_SERVICE)


@pytest.mark.slow
def test_with_redis_kserve_takes_its_address_from_a_secret(tmp_path: Path) -> None:
    with running_redis() as address:
        site = locked(bar(tmp_path / "shop", address=address))
        released(site)
        package = packaged(site, tmp_path / "package")
    [container] = inference(package.folder)["spec"]["predictor"]["containers"]
    [told] = [one for one in container["env"] if one["name"] == "HEADRACE_ONLINE_URL"]
    assert told["valueFrom"] == {"secretKeyRef": {"name": "shop-online", "key": "url"}}
    validate(inference(package.folder), INFERENCE_SERVICE)


@pytest.mark.slow
def test_without_a_lock_file_versions_are_pinned_without_digests_and_that_is_said(tmp_path: Path) -> None:
    site = bar(tmp_path / "shop")
    released(site)
    package = packaged(site, tmp_path / "package")
    assert "lightgbm==" in " ".join(package.unknown)
    assert "--require-hashes" not in (package.folder / "Dockerfile").read_text()
    assert "pins versions without digests" in (package.folder / "README.md").read_text()


def test_the_readme_names_the_release_and_the_three_ways_to_run_it(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    assert text.startswith("# shop, release 1\n")
    for way in ("serve.py --port 8080", "docker run --read-only --cap-drop=ALL", "kubectl apply -f kserve.yaml"):
        assert way in text
