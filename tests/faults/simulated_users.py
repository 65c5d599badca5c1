"""Simulated users who chat until they are stopped and record the acknowledged turns."""

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from onionskin.memory.types.messages import User
from tests.faults.http_connection import Answer, Line, LostError
from tests.faults.results_file import Ledger

WORDS = tuple("lamp river key cello winter bread garden ferry mirror candle thunder violet".split())
_EXPECTED = {
    409: {"idempotency_in_flight", "session_busy"},
    503: {"store_unavailable"},
    507: {"store_refused"},
}


@dataclass(slots=True)
class Speaker:
    """One user's side of the story.

    Attributes:
        sent: every line that may have reached the service.
        acknowledged: Text and turn id of every answer, in order.
        patience: seconds that are waited after an error.
        tries: how often a line with a key is said, at the most.
    """

    id: str
    profile: str = "vector"
    on_conflict: str = "parallel"
    sent: set[str] = field(default_factory=set[str])
    acknowledged: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    patience: float = 0.0
    tries: int = 4
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def user(self) -> User:
        return User(self.id)

    async def talk(
        self,
        urls: Callable[[], Sequence[str]],
        stop: asyncio.Event,
        ledger: Ledger,
    ) -> None:
        """Say one line after the other, each to any worker, until `stop` is set."""
        lines: dict[str, Line] = {}
        while not stop.is_set():
            words = " ".join(random.choices(WORDS, k=4))
            await self.say(f"{self.id} {next(self.numbers)} {words}", urls, lines, ledger)
        for line in lines.values():
            line.hang_up()

    async def say(
        self,
        text: str,
        urls: Callable[[], Sequence[str]],
        lines: dict[str, Line],
        ledger: Ledger,
    ) -> None:
        """Say a line; one in three bears a key, and is said again until it is answered."""
        keyed = random.random() < 1 / 3
        headers = {"idempotency-key": text} if keyed else {}
        body = {
            "user_id": self.id,
            "message": text,
            "profile": self.profile,
            "on_conflict": self.on_conflict,
        }
        self.sent.add(text)
        for _ in range(self.tries if keyed else 1):
            if not (known := urls()):
                return
            url = random.choice(known)
            try:
                answer = await lines.setdefault(url, Line(url)).ask(
                    "POST", "/v1/chat", body, headers
                )
            except LostError:
                ledger.add("answers lost")
                continue
            if answer.status == 200:
                self.acknowledged.append((text, answer.json["turn_id"]))
                ledger.add("turns acknowledged")
                return
            ledger.add(f"answered {answer.status} {answer.code}")
            ledger.check("a fault costs an error message", _is_clear(answer), answer)
            await asyncio.sleep(self.patience)


def _is_clear(answer: Answer) -> bool:
    waits = answer.status != 503 or int(answer.headers.get("retry-after", "0")) >= 1
    return answer.code in _EXPECTED.get(answer.status, set()) and waits
