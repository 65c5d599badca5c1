"""Opens Onionskin as a library, for the LangChain classes of this package."""

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
    passage_encoder,
)
from onionskin.memory.store import (
    Connection,
    EmbeddedRedis,
    Keyring,
    MasterKeys,
    RedisStore,
    TaskQueue,
)
from onionskin.memory.types.tasks import EmbedTask, ExtractTask, SummarizeTask, Task

_MOST_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Onionskin:
    """The open resources that the LangChain classes share.

    Attributes:
        store: Access to Redis, the source of truth.
        indexes: Cached indexes of users.
        embedder: Embeds texts and queries.
        memories: The memory of each profile, by profile name.
        event_loop: Runs coroutines on the event loop that owns the connections.
        privacy: Privacy policy for text outside of a profile.
        task_queue: Queue of background tasks for a service on the same Redis; None for no queue.
    """

    store: RedisStore
    indexes: IndexCache
    embedder: Embedder
    memories: Mapping[str, CombinedMemory]
    event_loop: EventLoopThread
    privacy: PrivacyPolicy = UNREDACTED
    task_queue: TaskQueue | None = None

    async def schedule(self, *tasks: Task) -> None:
        """Queue summaries, embeddings and extractions for a service or worker on the same Redis."""
        for task in tasks:
            quiet = task.quiet if isinstance(task, ExtractTask) else 0.0
            if self.task_queue and isinstance(task, SummarizeTask | EmbedTask | ExtractTask):
                await self.task_queue.schedule(task, after=quiet, reschedule=False)


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
    """Open Onionskin on the running event loop until the block ends.

    Args:
        redis_url: URL as in `ONIONSKIN_REDIS_URL`; None starts an embedded Redis.
        data_dir: Data directory of the embedded Redis.
        embedder: As `ONIONSKIN_EMBEDDER`; must match a service on the same Redis.
        embedder_options: Connection options of a remote embedder.
        language: As `ONIONSKIN_LANGUAGE`.
        profiles: TOML file with further profiles.
        model: Chat model for the classic memories that need one.
        masters: Master keys, if stored values are encrypted.
        redact: As `ONIONSKIN_REDACT`.

    Raises:
        ConfigurationError: An argument cannot be used.
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
        pipeline = TextPipeline.for_language(language)
        encode = passage_encoder(opened)
        indexes = IndexCache(
            store, lambda: UserIndex(pipeline, encode=encode), max_bytes=_MOST_BYTES
        )
        all_profiles = load_profiles(profiles)
        policies = load_privacy_policies(profiles, all_profiles, redact)
        memories = {
            name: CombinedMemory(
                name,
                profile,
                store=store,
                embedder=opened,
                indexes=indexes,
                model=model,
                privacy=policies.of(profile.redact),
            )
            for name, profile in all_profiles.items()
            if model or not profile.needs_model
        }
        yield Onionskin(
            store,
            indexes,
            opened,
            memories,
            EventLoopThread(asyncio.get_running_loop()),
            policies.default,
            TaskQueue(connection),
        )


@contextmanager
def onionskin_in_thread(redis_url: str | None = None, **options: Any) -> Generator[Onionskin]:
    """Open Onionskin on an event loop in its own thread, for synchronous programs.

    Args:
        redis_url: As for `open_onionskin`.
        options: Further arguments of `open_onionskin`.
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
