"""Where a trainer computes: on a graphics card where it can use one and one is there, else on the processor."""

from pathlib import Path
from typing import Literal

Declared = Literal["auto", "cpu"]
Device = Literal["cpu", "cuda"]
CARD = Path("/dev/nvidia0")
"""What the driver of a first NVIDIA card puts there."""


def device_of(declared: Declared, *, supported: bool, card: Path = CARD) -> Device:
    """Return where to compute: `cpu` if that is declared, the library has no support for cards, or there is none."""
    return "cuda" if declared == "auto" and supported and card.exists() else "cpu"
