"""Load of a soak test: users who chat, read, are erased and return; and unknown users."""

import asyncio
import random
from collections.abc import Callable, Sequence

from tests.faults.http_connection import Line, LostError
from tests.faults.results_file import Ledger
from tests.faults.simulated_users import WORDS, Speaker

_PAUSE_SECONDS = 0.15
_LOOKS, _ERASED = 1 / 6, 1 / 400
_PROFILES = ("layered", "layered", "vector", "facts")
Urls = Callable[[], Sequence[str]]


def share(users: int, clients: int) -> list[list[Speaker]]:
    """Users, grouped by the client that sends their requests."""
    everybody = [
        Speaker(
            f"soak-{one}",
            _PROFILES[one % len(_PROFILES)],
            "queue" if one % 5 == 0 else "parallel",
        )
        for one in range(users)
    ]
    return [everybody[place::clients] for place in range(clients)]


class Soaker:
    """Speaks for some users, one after the other, some of them far more often.

    Args:
        speakers: the users.
        ledger: where it is counted.
    """

    def __init__(self, speakers: Sequence[Speaker], ledger: Ledger) -> None:
        self.speakers, self._ledger = speakers, ledger
        self._lines: dict[str, Line] = {}

    async def talk(self, urls: Urls, stop: asyncio.Event) -> None:
        """Send requests until `stop` is set."""
        while not stop.is_set():
            speaker = self.speakers[int(len(self.speakers) * random.random() ** 2)]
            chance = random.random()
            if chance < _ERASED:
                await self._erase(speaker, urls)
            elif chance < _LOOKS:
                await self._look(speaker, urls)
            else:
                words = " ".join(random.choices(WORDS, k=8))
                text = f"{speaker.id} {next(speaker.numbers)} {words}"
                await speaker.say(text, urls, self._lines, self._ledger)
            await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS))
            self._lines = {url: line for url, line in self._lines.items() if url in urls()}
        for line in self._lines.values():
            line.hang_up()

    async def _erase(self, speaker: Speaker, urls: Urls) -> None:
        """Erase a user, who starts again with the next message."""
        path = f"/v1/users/{speaker.id}"
        while await self._ask(urls, "DELETE", path) != 200:  # noqa: ASYNC110 - until it is certain
            await asyncio.sleep(_PAUSE_SECONDS)
        speaker.acknowledged.clear()
        speaker.sent.clear()
        self._ledger.add("users erased on the way")

    async def _look(self, speaker: Speaker, urls: Urls) -> None:
        """Read data of the user, or of a user who does not exist."""
        stranger = f"stranger-{random.randbytes(6).hex()}"
        home = f"/v1/users/{random.choice((speaker.id, stranger))}"
        memory = {"content": f"The {random.choice(WORDS)} of {speaker.id}."}
        asked: list[tuple[str, str, object]] = [
            ("GET", f"{home}/sessions", None),
            ("GET", f"{home}/memories", None),
            ("GET", f"{home}/quarantine", None),
            ("POST", f"{home}/memories/search", {"query": " ".join(random.choices(WORDS, k=2))}),
            ("GET", f"/v1/users/{speaker.id}/export", None),
            ("POST", f"/v1/users/{speaker.id}/memories", memory),
        ]
        await self._ask(urls, *random.choice(asked))
        self._ledger.add("looks at what is stored")

    async def _ask(self, urls: Urls, method: str, path: str, body: object = None) -> int:
        if not (known := urls()):
            return 0
        url = random.choice(known)
        try:
            answer = await self._lines.setdefault(url, Line(url)).ask(method, path, body)
        except LostError:
            return 0
        expected = answer.status < 300 or answer.status in {404, 503}
        self._ledger.check("looks succeed", expected, answer)
        return answer.status
