"""Answers begin in line, and no more of them in a turn of the loop than it can bear."""

import asyncio
import time
from collections import Counter

from headrace.access.turns import WIDEST, Turns


class Turned:
    """A loop that counts its turns, and in which of them each answer ran."""

    def __init__(self, cpu_s: float) -> None:
        self.turns, self.turn, self.ran, self._cpu_s = Turns(), 0, [], cpu_s
        self.turn_of: dict[int, int] = {}
        self.is_counting = True

    def count(self) -> None:
        self.turn += 1
        if self.is_counting:
            asyncio.get_running_loop().call_soon(self.count)

    def begin(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        self.turns.begin(lambda: loop.call_soon(self._answer, number), loop)

    def _answer(self, number: int) -> None:
        until = time.perf_counter() + self._cpu_s
        while time.perf_counter() < until:
            pass
        self.ran.append(number)
        self.turn_of[number] = self.turn

    async def all_ran(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.ran) < count:
                await asyncio.sleep(0)
        self.is_counting = False


async def begun(cpu_s: float, count: int, rounds: int = 1) -> Turned:
    turned = Turned(cpu_s)
    turned.count()
    for round_ in range(rounds):
        for n in range(count):
            turned.begin(round_ * count + n)
        await turned.all_ran((round_ + 1) * count) if round_ == rounds - 1 else await asyncio.sleep(0)
    return turned


def test_answers_begin_in_the_order_in_which_they_were_asked() -> None:
    assert asyncio.run(begun(0, 200, rounds=5)).ran == list(range(1000))


def test_answers_that_take_long_begin_one_in_a_turn_so_that_the_loop_looks_at_its_sockets_between_them() -> None:
    turned = asyncio.run(begun(0.003, 30))
    assert len(set(turned.turn_of.values())) == 30


def test_answers_that_take_no_time_begin_many_in_a_turn() -> None:
    turned = asyncio.run(begun(0, 5000))
    widest = max(Counter(turned.turn_of.values()).values())
    assert 8 <= widest <= WIDEST


def test_a_line_that_has_run_out_begins_again() -> None:
    async def twice() -> list[int]:
        turned = Turned(0)
        turned.count()
        for number in range(2):
            turned.begin(number)
            async with asyncio.timeout(10):
                while len(turned.ran) <= number:
                    await asyncio.sleep(0)
        turned.is_counting = False
        return turned.ran

    assert asyncio.run(twice()) == [0, 1]
