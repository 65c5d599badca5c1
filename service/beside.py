"""Commands beside a service that may be running: on its Redis, with its keys."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

from memory.store import Connection
from memory.store.joining import joined_redis
from memory.store.master_keys import MasterKeys, configured_master_keys
from service.settings import Settings, load_settings

T = TypeVar("T")


def with_redis(work: Callable[[Connection], Awaitable[T]]) -> T:
    """What some work comes to on the Redis of the settings."""
    settings = load_settings()

    async def run() -> T:
        async with AsyncExitStack() as stack:
            if settings.redis_url:
                url = settings.redis_url.get_secret_value()
            else:
                url = await stack.enter_async_context(joined_redis(settings.data_dir))
            connection = Connection(url, timeout=settings.redis_timeout)
            stack.push_async_callback(connection.aclose)
            return await work(connection)

    return asyncio.run(run())


def master_keys(settings: Settings) -> MasterKeys | None:
    """The master keys of the settings; None where nothing is to be encrypted.

    Raises:
        ConfigurationError: they cannot be read or used.
    """
    given = settings.encryption_keys
    return configured_master_keys(
        given.get_secret_value() if given else None, settings.encryption_keys_file
    )
