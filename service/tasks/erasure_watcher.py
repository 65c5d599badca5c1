"""After an erasure: nothing of it is left in any worker's views, nor in the append-only file."""

import asyncio
import logging
from typing import Self

from onionskin.memory.cancellation import cancel_and_wait
from onionskin.memory.errors import OnionskinError, StoreUnavailableError
from onionskin.memory.retrieval.index.index_cache import IndexCache
from onionskin.memory.store import RedisStore
from onionskin.memory.store.aof_rewrite import AofRewriter, erased_epochs

_LOOK_SECONDS = 5.0
_log = logging.getLogger("onionskin.erasure")


class ErasureWatcher:
    """Looks now and then whether something was erased, by whatever worker. Use `async with`.

    Args:
        store: where it was.
        views: this worker's.
    """

    def __init__(self, store: RedisStore, views: IndexCache) -> None:
        self._connection, self._views = store.connection, views
        self._compactor = AofRewriter(store.connection)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="aftermath")
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_and_wait(self._task)

    async def look(self) -> bool:
        """Look once; whether a rewrite is due still.

        Raises:
            StoreRefusedError: Redis does not permit a rewrite.
            StoreUnavailableError: Redis is away.
        """
        self._views.forget(await erased_epochs(self._connection))
        return await self._compactor.look()

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except StoreUnavailableError:
                pass  # it is looked again
            except OnionskinError as error:
                _log.warning("append-only file not rewritten", extra={"error": error.code})
            await asyncio.sleep(_LOOK_SECONDS)
