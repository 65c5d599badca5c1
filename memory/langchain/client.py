"""Opening Onionskin as a library: what LangChain's classes over it are made of."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from onionskin.memory.combined import CombinedMemory
from onionskin.memory.langchain.event_loop_thread import EventLoopThread
from onionskin.memory.privacy.policy import UNREDACTED, PrivacyPolicy, Redact
from onionskin.memory.profiles import load_privacy_policies, load_profiles
from onionskin.memory.retrieval import (
    Embedder,
    EmbedderOptions,
    IndexCache,
    TextPipeline,
    UserIndex,
    open_embedder,
)
from onionskin.memory.store import Connection, RedisStore, TaskQueue
from onionskin.memory.store.encryption.keyring import Keyring
from onionskin.memory.store.encryption.master_keys import MasterKeys
from onionskin.memory.store.redis.embedded import EmbeddedRedis
from onionskin.memory.types.tasks import EmbedTask, ExtractTask, SummarizeTask, Task

_MOST_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Onionskin:
    """What LangChain's classes over Onionskin share.

    Attributes:
        store: the source of truth.
        views: indexes of users.
        embedder: of texts and queries.
        memories: the profiles, by name.
        portal: the way to the event loop that all of it lives on.
        discretion: what is kept of what is said outside of a profile.
        agenda: where a service on the same Redis finds what is due; None where there is none.
    """

    store: RedisStore
    indexes: IndexCache
    embedder: Embedder
    records: Mapping[str, CombinedMemory]
    event_loop: EventLoopThread
    privacy: PrivacyPolicy = UNREDACTED
    task_queue: TaskQueue | None = None

    async def schedule(self, *dues: Task) -> None:
        """Note what is due for a service or worker: folds, vectors and extractions."""
        for due in dues:
            quiet = due.quiet if isinstance(due, ExtractTask) else 0.0
            if self.task_queue and isinstance(due, SummarizeTask | EmbedTask | ExtractTask):
                await self.task_queue.schedule(due, after=quiet, reschedule=False)


@asynccontextmanager
async def open_onionskin(
    redis_url: str | None = None,
    *,
    data_dir: Path | str = ".onionskin",
    embedder: str = "static",
    embedder_options: EmbedderOptions | None = None,
    language: str = "english",
    profiles: Path | None = None,
    model: BaseChatModel | None = None,
    masters: MasterKeys | None = None,
    redact: Redact = "off",
) -> AsyncGenerator[Onionskin]:
    """Onionskin on the running event loop, as long as the block lasts.

    Args:
        redis_url: where users are kept, as `ONIONSKIN_REDIS_URL`; an embedded Redis if None.
        data_dir: where the embedded one keeps its data.
        embedder: as `ONIONSKIN_EMBEDDER`; the same as a service's on the same Redis.
        embedder_options: how a remote embedder is reached.
        language: as `ONIONSKIN_LANGUAGE`.
        profiles: a TOML file of further profiles.
        model: for classic memories that call one.
        masters: master keys, where values are stored encrypted.
        redact: as `ONIONSKIN_REDACT`.

    Raises:
        ConfigurationError: one of these cannot be used.
    """
    async with AsyncExitStack() as stack:
        options = embedder_options or EmbedderOptions()
        opened = await stack.enter_async_context(open_embedder(embedder, options))
        if redis_url is None:
            embedded = await stack.enter_async_context(EmbeddedRedis(Path(data_dir)))
            redis_url = embedded.url
        connection = Connection(redis_url)
        stack.push_async_callback(connection.aclose)
        keyring = await Keyring.open(connection, masters)
        store = RedisStore(connection, embedder_tag=opened.tag, keyring=keyring)
        text_pipeline = TextPipeline.for_language(language)
        indexes = IndexCache(store, lambda: UserIndex(text_pipeline), max_bytes=_MOST_BYTES)
        known = load_profiles(profiles)
        discretions = load_privacy_policies(profiles, known, redact)
        memories = {
            name: CombinedMemory(
                name,
                profile,
                store=store,
                embedder=opened,
                indexes=indexes,
                model=model,
                privacy=discretions.of(profile.redact),
            )
            for name, profile in known.items()
            if model or not profile.needs_model
        }
        yield Onionskin(
            store,
            indexes,
            opened,
            memories,
            EventLoopThread(asyncio.get_running_loop()),
            discretions.default,
            TaskQueue(connection),
        )


@contextmanager
def onionskin_in_thread(redis_url: str | None = None, **options: Any) -> Generator[Onionskin]:
    """The same on an event loop in a thread of its own, for programs that have none.

    Args:
        redis_url: as for `open_onionskin`.
        options: as for `open_onionskin`.
    """
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        opened = open_onionskin(redis_url, **options)
        onionskin = runner.run(opened.__aenter__())
        thread = threading.Thread(target=loop.run_forever, name="onionskin", daemon=True)
        thread.start()
        try:
            yield onionskin
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            runner.run(opened.__aexit__(None, None, None))
