"""Requests whose features are computed by SQL, or lie on a server, are looked up together."""

import asyncio

from headrace.serving.call import Call
from headrace.serving.problem import Problem
from headrace.serving.service import Service

MOST_AT_ONCE = 256
"""How many requests are looked up together at most."""


class Together:
    """Requests that are looked up together: while some are, those that come wait for each other."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._waiting: list[tuple[Call, asyncio.Future[bytes | Problem]]] = []
        self._busy: asyncio.Task[None] | None = None

    async def answer(self, call: Call) -> bytes:
        """Return the answer to a request; raises Problem."""
        answered: asyncio.Future[bytes | Problem] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, answered))
        if self._busy is None or self._busy.done():
            self._busy = asyncio.create_task(self._work())
        answer = await answered
        if isinstance(answer, Problem):
            raise answer
        return answer

    async def _work(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            work = asyncio.to_thread(self._service.answer_all, [call for call, _ in taken])
            [answers] = await asyncio.gather(work, return_exceptions=True)
            for number, (_, answered) in enumerate(taken):
                if answered.done():
                    continue
                if isinstance(answers, BaseException):
                    answered.set_exception(answers)
                else:
                    answered.set_result(answers[number])
