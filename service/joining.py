"""The Redis of the settings, for commands beside the service that may be running."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from memory.store import Connection
from memory.store.joining import joined_redis
from service.choices import connect
from service.loading import load_settings
from service.settings import Settings

T = TypeVar("T")


@asynccontextmanager
async def redis_beside(settings: Settings) -> AsyncGenerator[str]:
    """The URL of the settings' Redis; an embedded one is joined, or started for a while.

    Raises:
        EmbeddedRedisError: it cannot be started.
    """
    if settings.redis_url:
        yield settings.redis_url.get_secret_value()
        return
    async with joined_redis(settings.data_dir) as url:
        yield url


def with_redis(work: Callable[[Connection], Awaitable[T]]) -> T:
    """What a command asks of Redis."""
    settings = load_settings()

    async def run() -> T:
        async with redis_beside(settings) as url:
            connection = connect(settings, url)
            try:
                return await work(connection)
            finally:
                await connection.aclose()

    return asyncio.run(run())
