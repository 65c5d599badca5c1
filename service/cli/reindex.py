"""`onionskin reindex`: embed whatever has no vector of the embedder in use, user by user."""

import asyncio
from contextlib import AsyncExitStack

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from onionskin.memory.errors import EmbedderError, TaskRunningError
from onionskin.memory.retrieval.embedders.providers import open_embedder
from onionskin.memory.retrieval.embedding_backfill import EMBEDDING, embed_missing
from onionskin.memory.retrieval.index.index_cache import IndexCache
from onionskin.memory.retrieval.index.user_index import UserIndex
from onionskin.memory.store import RedisStore
from onionskin.memory.store.deployment import note_embedder
from onionskin.memory.store.encryption.keyring import open_keyring
from onionskin.memory.store.locks import leased
from onionskin.memory.store.users import all_users
from onionskin.memory.types.messages import User
from onionskin.service.console import progress, say, say_json
from onionskin.service.factories import (
    attach_redis,
    connect,
    embedder_options,
    guarded,
    master_keys,
    open_text_pipeline,
)
from onionskin.service.observability.metrics import Metrics
from onionskin.service.settings import Settings


def run_reindex(settings: Settings, *, as_json: bool) -> None:
    """Embed what is to be embedded, with progress; what is stored stays if it is stopped.

    Raises:
        EmbedderError: the embedder failed; the message says how far it came.
    """
    asyncio.run(_reindex(settings, as_json=as_json))


async def _reindex(settings: Settings, *, as_json: bool) -> None:
    async with AsyncExitStack() as stack:
        plain = await stack.enter_async_context(
            open_embedder(settings.embedder, embedder_options(settings))
        )
        url = await stack.enter_async_context(attach_redis(settings))
        connection = connect(settings, url)
        stack.push_async_callback(connection.aclose)
        embedder = guarded(plain, settings, connection, Metrics())
        keyring = await open_keyring(
            connection, master_keys(settings), plaintext=settings.encryption_plaintext == "read"
        )
        store = RedisStore(connection, embedder_tag=embedder.tag, keyring=keyring)
        tongue = open_text_pipeline(settings.language)
        views = IndexCache(store, lambda: UserIndex(tongue), most_bytes=settings.view_bytes)
        users = sorted({user async for user in all_users(store)}, key=_by_name)
        shown = stack.enter_context(_counting())
        task = shown.add_task(embedder.tag, total=len(users), vectors=0)
        vectors = elsewhere = 0

        def stored(count: int) -> None:
            nonlocal vectors
            vectors += count
            shown.update(task, vectors=vectors)

        for done, user in enumerate(users):
            try:
                async with leased(store, user, EMBEDDING, hold=settings.job_hold):
                    await embed_missing(
                        user, store=store, embedder=embedder, views=views, tell=stored
                    )
            except TaskRunningError:
                elsewhere += 1  # a worker of the service is at it
            except EmbedderError as error:
                raise EmbedderError(
                    f"{error} {vectors} vectors of {done} users are stored; run it again to go on."
                ) from error
            shown.advance(task)
        await note_embedder(connection, embedder.tag)
    outcome = {"embedder": embedder.tag, "users": len(users), "vectors": vectors}
    if as_json:
        say_json({**outcome, "elsewhere": elsewhere})
        return
    told = f"{vectors} vectors of {embedder.tag} stored; {len(users)} users are embedded"
    told += f", {elsewhere} of them by a worker that is at it." if elsewhere else "."
    say(told)


def _by_name(user: User) -> tuple[str, str]:
    return user.tenant, user.id


def _counting() -> Progress:
    return progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("users, {task.fields[vectors]} vectors"),
        TimeRemainingColumn(),
    )
