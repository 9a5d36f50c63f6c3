"""Stored bytes are parsed by a process of their own first: what ends it, or is passed over in silence, is refused in words."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from headrace.core.errors import StoreError
from headrace.models.parse import RECORD
from headrace.models.predict import load_predictor
from headrace.store.site import Site
from platform_tests.models.shop import model, orders, plain, shop, trained


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return shop(tmp_path, orders(1000))


def stored_as(site: Site, digest: str, data: bytes) -> str:
    """Store other bytes beside the same meta, with a digest that is right."""
    return site.models.put({"model.txt": data, "meta.json": site.models.get(digest, "meta.json")})


def mutated(text: bytes, seed: int) -> bytes:
    """Return a text with a byte flipped, its end cut off, noise within, or rubbish behind."""
    chance, data = np.random.default_rng(seed), bytearray(text)
    at = int(chance.integers(len(data) - 200))
    match seed % 4:
        case 0:
            data[at] ^= int(chance.integers(1, 256))
        case 1:
            del data[at:]
        case 2:
            data[at : at + 20] = bytes(chance.integers(0, 256, 20, dtype=np.uint8))
        case _:
            data += bytes(50)
    return bytes(data)


@pytest.mark.slow
def test_of_mutated_texts_none_ends_this_process_and_nearly_all_are_refused(site: Site) -> None:
    digest = trained(site, model(trees=5))
    text = site.models.get(digest, "model.txt")
    found: Counter[str] = Counter()
    for seed in range(120):
        try:
            load_predictor(site.models, stored_as(site, digest, mutated(text, seed)))
            found["loaded"] += 1
        except StoreError as error:
            found["killed" if "signal" in str(error) else "refused"] += 1
    assert found["killed"] > 10
    assert found["loaded"] < 12, found


def test_a_text_that_ends_the_process_that_parses_it_is_an_error_in_words(site: Site) -> None:
    digest = trained(site, model(trees=5))
    text = site.models.get(digest, "model.txt")
    broken = stored_as(site, digest, text[: len(text) // 3])
    with pytest.raises(StoreError, match=rf"Model {broken[:12]} is not loaded: .*train again"):
        load_predictor(site.models, broken)
    assert site.models.recorded(broken, RECORD) is None


def test_what_the_parser_would_pass_over_in_silence_is_found_as_the_model_is_written_again(site: Site) -> None:
    digest = trained(site, model(trees=5))
    text = site.models.get(digest, "model.txt")
    with pytest.raises(StoreError, match="it cannot be parsed: written again, it is another"):
        load_predictor(site.models, stored_as(site, digest, text[:-60]))


def test_a_model_is_parsed_apart_once(site: Site) -> None:
    digest = trained(site)
    load_predictor(site.models, digest)
    assert (site.models.recorded(digest, RECORD) or {})["by"]
    path = site.place.models / "records" / digest / f"{RECORD}.json"
    written = path.stat().st_mtime_ns
    load_predictor(site.models, digest)
    assert path.stat().st_mtime_ns == written


@pytest.mark.parametrize("trainer", ["xgboost", "sklearn:sklearn.ensemble.HistGradientBoostingClassifier"])
def test_other_trainers_are_parsed_apart_too(site: Site, trainer: str) -> None:
    digest = trained(site, plain(trainer))
    name = "model.ubj" if trainer == "xgboost" else "model.skops"
    data = site.models.get(digest, name)
    broken = site.models.put({name: data[: len(data) // 2], "meta.json": site.models.get(digest, "meta.json")})
    with pytest.raises(StoreError, match="is not loaded: "):
        load_predictor(site.models, broken)
