"""Removes erased users from this process's indexes and from the append-only file."""

import asyncio
import logging
from typing import Self

from onionskin.memory.cancellation import cancel_and_wait
from onionskin.memory.errors import OnionskinError, StoreUnavailableError
from onionskin.memory.retrieval import IndexCache
from onionskin.memory.store import RedisStore

_POLL_SECONDS = 5.0
_log = logging.getLogger("onionskin.erasure")


class ErasureWatcher:
    """Polls for erasures by any process. Use `async with`.

    Args:
        store: Holds the marks of erasures.
        indexes: The indexes of this process.
    """

    def __init__(self, store: RedisStore, indexes: IndexCache) -> None:
        self._aof_rewrite, self._indexes = store.aof_rewrite, indexes

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="erasure-watcher")
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_and_wait(self._task)

    async def check(self) -> bool:
        """Check once; returns whether a rewrite is still due.

        Raises:
            StoreRefusedError: Redis does not permit a rewrite.
            StoreUnavailableError: Redis cannot be reached.
        """
        self._indexes.forget(await self._aof_rewrite.erased_epochs())
        return await self._aof_rewrite.check()

    async def _run(self) -> None:
        while True:
            try:
                await self.check()
            except StoreUnavailableError:
                pass  # the next check retries
            except OnionskinError as error:
                _log.warning("append-only file not rewritten", extra={"error": error.code})
            await asyncio.sleep(_POLL_SECONDS)
