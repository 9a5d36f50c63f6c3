"""What a canary may say, and what is said of one that is wrong."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from headrace.core.errors import DeclarationError
from headrace.rollout.declaration import Canary, share_of
from headrace.rollout.verify import verify_canary
from platform_tests.rollout.served import declared, make_shop, release


def test_a_canary_that_says_nothing_has_careful_defaults() -> None:
    canary = Canary()
    assert canary.steps == ["shadow", "5%", "25%", "50%"]
    assert (canary.bake, canary.at_least, canary.false_alarms) == (timedelta(minutes=30), 500, 0.05)
    assert canary.tolerance.model_dump() == {"errors": "1%", "latency": "20%", "shift": 0.1, "quality": 0.01}


def test_a_share_is_written_in_one_way_however_it_is_said() -> None:
    assert Canary(steps=["shadow", 0.05, "12.50%"]).steps == ["shadow", "5%", "12.5%"]  # type: ignore[list-item]
    assert [share_of(step) for step in ("shadow", "5%", "12.5%")] == [0, 0.05, 0.125]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"steps": ["5%", "shadow"]}, "`shadow` is the first step"),
        ({"steps": ["25%", "5%"]}, "steps grow: 5% behind 25% does not"),
        ({"steps": ["100%"]}, "a share between 0% and 100%. Behind the last step a release gets everything"),
        ({"steps": ["some"]}, "'some' is not a share"),
        ({"steps": []}, "at least 1 item"),
        ({"tolerance": {"latencies": 1}}, "Did you mean 'latency'?"),
        ({"at_least": 10}, "greater than or equal to 100"),
        ({"bake": "0s"}, "greater than"),
    ],
)
def test_a_canary_that_is_wrong_is_told_why(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as error:
        Canary.model_validate(said)
    assert why in str(error.value)


def test_a_canary_without_requests_or_without_a_model_is_refused() -> None:
    verify_canary(None, is_online=False, has_model=False)
    verify_canary(Canary(), is_online=True, has_model=True)
    with pytest.raises(DeclarationError, match="a canary is judged by requests, and none are served"):
        verify_canary(Canary(), is_online=False, has_model=True)
    with pytest.raises(DeclarationError, match="declare `model:`"):
        verify_canary(Canary(), is_online=True, has_model=False)


def test_without_a_canary_a_release_is_live_at_once(tmp_path: Path) -> None:
    product = declared().model_copy(update={"serve": declared().serve.model_copy(update={"canary": None})})
    assert product.stages == ()
    site, _ = make_shop(tmp_path)
    assert site.product.stages == ("shadow", "5%", "25%", "50%")
    assert release(site, "one").stages == ()
