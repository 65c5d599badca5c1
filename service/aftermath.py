"""After an erasure: nothing of it is left in any worker's views, nor in the append-only file."""

import asyncio
import logging

from memory.errors import StoreRefusedError, StoreUnavailableError
from memory.recall.views import Views
from memory.store import RedisStore
from memory.store.compacting import Compactor, erased_epochs

_LOOK_SECONDS = 5.0
_log = logging.getLogger("strata.erasure")


class Aftermath:
    """Looks now and then whether something was erased, by whatever worker.

    Args:
        store: where it was.
        views: this worker's.
    """

    def __init__(self, store: RedisStore, views: Views) -> None:
        self._connection, self._views = store.connection, views
        self._compactor = Compactor(store.connection)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailableError:
                pass  # it is looked again
            except StoreRefusedError as error:
                _log.warning("append-only file not rewritten", extra={"error": error.code})
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> bool:
        """Look once; whether a rewrite is due still.

        Raises:
            StoreRefusedError: Redis does not permit a rewrite.
            StoreUnavailableError: Redis is away.
        """
        self._views.forget(await erased_epochs(self._connection))
        return await self._compactor.look()
