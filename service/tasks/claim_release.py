"""Releases claims on idempotency keys of requests that failed."""

import asyncio
from datetime import timedelta
from typing import Self

from onionskin.memory.cancellation import cancel_and_wait
from onionskin.memory.errors import OnionskinError
from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import User

_WAIT_SECONDS = 0.2  # the client is waiting for its error
_PAUSE_SECONDS = 0.25


class ClaimReleaser:
    """Releases claims, and retries while Redis cannot be reached. Use `async with`.

    A claim that stays would refuse the client's retry as "in flight" until the claim expires.
    """

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._tasks = set[asyncio.Task[None]]()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_and_wait(*self._tasks)

    async def release(self, user: User, name: str, token: str, *, ttl: timedelta) -> None:
        """Release a claim, now or as soon as Redis can be reached.

        Args:
            user: Owner of the request.
            name: Name of the request.
            token: Token of the claim; claims of other tokens stay.
            ttl: Time to live of the claim, after which it expires by itself.
        """
        task = asyncio.create_task(self._retry_release(user, name, token, ttl), name="claim")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait({task}, timeout=_WAIT_SECONDS)

    async def _retry_release(self, user: User, name: str, token: str, ttl: timedelta) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ttl.total_seconds()
        while loop.time() < deadline:
            try:
                await self._store.idempotency.release_claim(user, name, token)
            except OnionskinError:
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return
