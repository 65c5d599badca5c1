"""`onionskin reindex`: embeds texts that have no vector of the current embedder, user by user."""

import asyncio
from contextlib import AsyncExitStack

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from onionskin.memory.errors import EmbedderError, TaskRunningError
from onionskin.memory.retrieval import (
    EMBEDDING,
    IndexCache,
    UserIndex,
    embed_missing,
    open_embedder,
    passage_encoder,
)
from onionskin.memory.store import Deployment, Keyring, RedisStore
from onionskin.service.console import progress, say, say_json
from onionskin.service.factories import (
    attach_redis,
    connect,
    embedder_options,
    master_keys,
    open_text_pipeline,
    resilient_embedder,
)
from onionskin.service.observability.metrics import Metrics
from onionskin.service.settings import Settings


def run_reindex(settings: Settings, *, as_json: bool) -> None:
    """Embed all missing vectors, with progress; an interrupted run can be resumed.

    Raises:
        EmbedderError: The embedder failed; the message says how many vectors are stored.
    """
    asyncio.run(_reindex(settings, as_json=as_json))


async def _reindex(settings: Settings, *, as_json: bool) -> None:
    async with AsyncExitStack() as stack:
        unguarded = await stack.enter_async_context(
            open_embedder(settings.embedder, embedder_options(settings))
        )
        url = await stack.enter_async_context(attach_redis(settings))
        connection = connect(settings, url)
        stack.push_async_callback(connection.aclose)
        embedder = resilient_embedder(unguarded, settings, connection, Metrics())
        keyring = await Keyring.open(
            connection, master_keys(settings), plaintext=settings.encryption_plaintext == "read"
        )
        store = RedisStore(connection, embedder_tag=embedder.tag, keyring=keyring)
        text_pipeline = open_text_pipeline(settings.language)
        encode = passage_encoder(unguarded)
        indexes = IndexCache(
            store,
            lambda: UserIndex(text_pipeline, encode=encode),
            max_bytes=settings.view_bytes,
        )
        users = sorted(
            {user async for user in store.users.all()}, key=lambda user: (user.tenant, user.id)
        )
        bar = stack.enter_context(_progress())
        task = bar.add_task(embedder.tag, total=len(users), vectors=0)
        vectors = elsewhere = 0

        def add(count: int) -> None:
            nonlocal vectors
            vectors += count
            bar.update(task, vectors=vectors)

        for done, user in enumerate(users):
            try:
                async with store.locks.lease(user, EMBEDDING, timeout=settings.job_hold):
                    await embed_missing(
                        user, store=store, embedder=embedder, indexes=indexes, on_stored=add
                    )
            except TaskRunningError:
                elsewhere += 1  # a worker of the service embeds this user
            except EmbedderError as error:
                raise EmbedderError(
                    f"{error} {vectors} vectors of {done} users are stored; run it again to resume."
                ) from error
            bar.advance(task)
        await Deployment(connection).set_embedder(embedder.tag)
    outcome = {"embedder": embedder.tag, "users": len(users), "vectors": vectors}
    if as_json:
        say_json({**outcome, "elsewhere": elsewhere})
        return
    by_workers = f", {elsewhere} of them by a running worker" if elsewhere else ""
    say(f"{vectors} vectors of {embedder.tag} stored; {len(users)} users are embedded{by_workers}.")


def _progress() -> Progress:
    return progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("users, {task.fields[vectors]} vectors"),
        TimeRemainingColumn(),
    )
