"""What the pages look like can be read: the contrast of the colours that are declared, in light and in dark (WCAG 2.1, AA)."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import headrace.monitoring
from headrace.monitoring.drill import STRONGEST

LOOK = Path(headrace.monitoring.__file__).parent / "templates/_look.css"
TEXT, GRAPHIC = 4.5, 3.0
Colour = tuple[float, float, float]


def colours() -> dict[str, dict[str, Colour]]:
    """Return the declared colours of each scheme."""
    light, dark = re.findall(r":root \{(.*?)\}", LOOK.read_text())
    return {"light": dict(_declared(light)), "dark": dict(_declared(dark))}


def _declared(text: str) -> Iterator[tuple[str, Colour]]:
    for name, value in re.findall(r"--(\w+):#([0-9a-f]{6})", text):
        red, green, blue = (int(value[i : i + 2], 16) / 255 for i in (0, 2, 4))
        yield name, (red, green, blue)


def luminance(colour: Colour) -> float:
    """Return the relative luminance (W3C, Web Content Accessibility Guidelines 2.1, 2018)."""
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def mixed(colour: Colour, ground: Colour, percent: int) -> Colour:
    red, green, blue = (c * percent / 100 + g * (1 - percent / 100) for c, g in zip(colour, ground, strict=True))
    return red, green, blue


def test_black_on_white_is_21() -> None:
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "soft", "good", "bad", "mark"])
def test_every_text_stands_out_from_what_it_stands_on(scheme: str, name: str) -> None:
    known = colours()[scheme]
    assert contrast(known[name], known["card"]) >= TEXT
    assert contrast(known[name], known["page"]) >= TEXT


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["more", "mark"])
def test_a_number_on_the_strongest_tint_can_be_read(scheme: str, name: str) -> None:
    known = colours()[scheme]
    assert contrast(known["ink"], mixed(known[name], known["card"], STRONGEST)) >= TEXT


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_and_focus_stand_out_from_their_ground(scheme: str) -> None:
    known = colours()[scheme]
    for name in ("mark", "bad", "soft"):
        assert contrast(known[name], known["card"]) >= GRAPHIC
