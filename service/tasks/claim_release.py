"""Claims on requests that name themselves: given back when the requests fail."""

import asyncio
from datetime import timedelta
from typing import Self

from onionskin.memory.cancellation import cancel_and_wait
from onionskin.memory.errors import OnionskinError
from onionskin.memory.store import RedisStore
from onionskin.memory.store.idempotency import release_claim
from onionskin.memory.types.messages import User

_WAIT_SECONDS = 0.2  # nobody who is told that Redis is away should wait for this, too
_PAUSE_SECONDS = 0.25


class ClaimReleaser:
    """Gives claims back; while Redis is away, it goes on trying. Use `async with`.

    Otherwise a client that tries again once Redis is back, under the same name, would be told that
    its request is under way until the claim has run out.
    """

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._tasks = set[asyncio.Task[None]]()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_and_wait(*self._tasks)

    async def release(self, user: User, name: str, token: str, *, held: timedelta) -> None:
        """Give one back, now or as soon as Redis is there.

        Args:
            user: whose request it is.
            name: of the request.
            token: of the claim; others stay.
            held: for so long it was claimed; afterwards it runs out.
        """
        task = asyncio.create_task(self._give_back(user, name, token, held), name="claim")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait({task}, timeout=_WAIT_SECONDS)

    async def _give_back(self, user: User, name: str, token: str, held: timedelta) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + held.total_seconds()
        while loop.time() < until:
            try:
                await release_claim(self._store, user, name, token)
            except OnionskinError:
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return
