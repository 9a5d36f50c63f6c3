"""An alarm rings once, never too soon, and not for what was set before."""

import asyncio
import sys
import time
from collections.abc import Sequence

import pytest
import uvloop

from headrace.load.alarm import Alarm


async def rings(waits_s: Sequence[float], rest_s: float) -> list[float]:
    """Return after how long an alarm rang that was set to one wait after another, in seconds."""
    rang: list[float] = []
    rung, began = asyncio.Event(), time.perf_counter()

    def ring() -> None:
        rang.append(time.perf_counter() - began)
        rung.set()

    alarm = Alarm(ring)
    for wait in waits_s:
        alarm.set(wait)
    await asyncio.wait_for(rung.wait(), 30)
    await asyncio.sleep(rest_s)
    alarm.close()
    return rang


@pytest.fixture(params=["linux", "elsewhere"], autouse=True)
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "linux":
        monkeypatch.setattr("sys.platform", request.param)


@pytest.mark.parametrize("wait", [0.0, 0.0003, 0.02, 1.1])
def test_it_rings_once_and_never_too_soon(wait: float) -> None:
    [rang] = uvloop.run(rings([wait], 0.05))
    # uvloop counts whole milliseconds, and rounds.
    assert rang >= wait - (0.001 if sys.platform != "linux" else 0.0)


def test_what_was_set_before_is_forgotten() -> None:
    [rang] = uvloop.run(rings([0.001, 0.1], 0.05))
    # Neither the first wait nor close to it; how exact the second is, the test above holds.
    assert rang >= 0.05


def test_a_closed_one_rings_no_more() -> None:
    async def closed() -> list[str]:
        rang: list[str] = []
        alarm = Alarm(lambda: rang.append("rang"))
        alarm.set(0.001)
        alarm.close()
        alarm.close()
        await asyncio.sleep(0.05)
        return rang

    assert uvloop.run(closed()) == []
