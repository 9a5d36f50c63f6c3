"""Where a trainer computes: a card is used only where one is there, the library knows it, and the declaration allows it."""

from pathlib import Path

import pytest

from headrace.models.device import CARD, device_of
from headrace.models.train import lesson_of
from platform_tests.models.shop import LABEL, orders, plain


@pytest.mark.parametrize(
    ("declared", "supported", "there", "device"),
    [
        ("auto", True, True, "cuda"),
        ("auto", True, False, "cpu"),
        ("auto", False, True, "cpu"),
        ("cpu", True, True, "cpu"),
    ],
)
def test_the_choice(tmp_path: Path, declared: str, supported: bool, there: bool, device: str) -> None:
    card = tmp_path / "nvidia0"
    if there:
        card.touch()
    assert device_of(declared, supported=supported, card=card) == device  # type: ignore[arg-type]


def test_the_declaration_reaches_the_trainer() -> None:
    assert lesson_of(orders(300), LABEL, plain("xgboost", device="cpu")).meta.device == "cpu"
    assert lesson_of(orders(300), LABEL, plain("xgboost")).meta.device == "auto"


def test_the_card_is_where_its_driver_puts_it() -> None:
    assert str(CARD) == "/dev/nvidia0"
