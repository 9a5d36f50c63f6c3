"""Why one row has its score, as `headrace explain` says it."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from headrace.cli import main
from headrace.evaluation.judgement import judge_candidate
from headrace.models.candidate import Candidate, remember, train_candidate
from headrace.models.predict import MODEL, RELEASE, SCORE, load_predictor, score_rows
from headrace.project import Project
from headrace.releases.release import Request, release_model
from headrace.store.releases import Release
from headrace.store.site import Site
from platform_tests.end_to_end.shop import land_days, make_project
from platform_tests.models.shop import orders, silent


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    root = make_project(tmp_path / "shop")
    land_days(root, 0, 0, rows=1)
    monkeypatch.chdir(root)
    return Project(root)


@pytest.fixture
def site(project: Project) -> Site:
    site = project.load("shop")[1]
    site.tables.replace("shop/training/set", orders().rename_columns({"at": "asked_at"}))
    return site


def release(project: Project, site: Site) -> Release:
    declared = project.load("shop")[0]
    assert declared.label
    assert declared.model
    digest = train_candidate(site, declared.label, declared.model, 0, silent).digest
    candidate = Candidate(digest, 0, site.clock.now(), "a test")
    remember(site, candidate)
    judge_candidate(site, declared.label, declared.model, candidate, declared.gates)
    return release_model(site, Request(digest, "a test", "a test"), declared.gates)


def headrace(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def score(site: Site, live: Release, row: int) -> float:
    """Score a row with a price of its own, keep it as batch scores are kept, and return its score."""
    rows = orders(100, seed=9).slice(row, 1).rename_columns({"at": "asked_at"})
    value = float(score_rows(rows, load_predictor(site.models, live.model))[0])
    columns = {SCORE: pa.array([value]), MODEL: pa.array([live.model]), RELEASE: pa.array([live.number])}
    for name, column in columns.items():
        rows = rows.append_column(name, column)
    site.tables.replace("shop/predictions/batch", rows)
    return value


def test_a_scored_row_is_explained_by_the_model_that_scored_it(project: Project, site: Site) -> None:
    live = release(project, site)
    value = score(site, live, 5)
    told = json.loads(headrace("explain", "shop", "o00005", "--json").output)
    assert told["by"] == {"model": live.model, "release": live.number, "scored": True}
    raw = told["base"] + sum(reason["contribution"] for reason in told["reasons"])
    assert told["score"] == value == pytest.approx(1 / (1 + np.exp(-raw)))
    sizes = [abs(reason["contribution"]) for reason in told["reasons"]]
    assert sizes == sorted(sizes, reverse=True)


def test_people_see_the_largest_reasons_and_the_sum_of_the_rest(project: Project, site: Site) -> None:
    score(site, release(project, site), 5)
    shown = headrace("explain", "shop", "o00005", "--most", "2").output.splitlines()
    assert shown[0].startswith("order_id o00005, at 2024-03-0")
    assert [line.split()[1] for line in shown[2:4]] == ["price", "country"] or "price" in "".join(shown[2:4])
    assert shown[4].endswith("2 other inputs")
    numbers = [float(line.split()[0]) for line in shown[2:]]
    base = float(shown[1].split()[-1])
    assert base + sum(numbers[:-1]) == pytest.approx(numbers[-1], abs=0.005)


def test_a_row_of_training_is_explained_by_the_live_model(project: Project, site: Site) -> None:
    live = release(project, site)
    told = json.loads(headrace("explain", "shop", "o00001", "--json").output)
    assert told["by"] == {"model": live.model, "release": live.number, "scored": False}


def test_a_row_that_nobody_knows_is_said_in_words(project: Project, site: Site) -> None:
    release(project, site)
    shown = headrace("explain", "shop", "o'99")
    assert shown.exit_code == 1
    assert "No row with order_id 'o'99' was scored" in shown.output


def test_nothing_is_explained_before_a_model_is_live(site: Site) -> None:
    shown = headrace("explain", "shop", "o00001")
    assert shown.exit_code == 1
    assert "No model is live yet" in shown.output
