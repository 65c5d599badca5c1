"""LangGraph's checkpointer on plain Redis or Valkey: no modules, one hash slot for each user.

Every thread belongs to a user, and goes with them: who it is says the saver, or each run's config.

The synchronous face of a checkpointer: each call waits for the asynchronous one.
"""

import random
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
)

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.langchain.checkpoint_maintenance import copy_thread, drop_runs, prune_thread
from onionskin.memory.langchain.checkpoint_queries import (
    CheckpointQuery,
    config_of,
    list_tuples,
    read_tuple,
)
from onionskin.memory.langchain.checkpoint_serializer import PlainSerializer
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.langchain.event_loop_thread import EventLoopThread
from onionskin.memory.store.langgraph_checkpoints import Row, Thread, Written
from onionskin.memory.types.messages import User


class WaitingSaver(BaseCheckpointSaver[str]):
    """A checkpointer that is asynchronous, for graphs that are not.

    Attributes:
        portal: the way to the event loop.
    """

    portal: EventLoopThread

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `aget_tuple`."""
        return self.portal.run_blocking(self.aget_tuple(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """As `alist`."""
        found: AsyncIterator[CheckpointTuple] = self.alist(
            config, filter=filter, before=before, limit=limit
        )
        return self.portal.iterate(found)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `aput`."""
        return self.portal.run_blocking(self.aput(config, checkpoint, metadata, new_versions))

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """As `aput_writes`."""
        self.portal.run_blocking(self.aput_writes(config, writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        """As `adelete_thread`."""
        self.portal.run_blocking(self.adelete_thread(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `adelete_for_runs`."""
        self.portal.run_blocking(self.adelete_for_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `acopy_thread`."""
        self.portal.run_blocking(self.acopy_thread(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As `aprune`."""
        self.portal.run_blocking(self.aprune(thread_ids, strategy=strategy))


class OnionskinSaver(WaitingSaver):
    """Keeps the checkpoints of a user's threads; erasing the user erases them.

    Args:
        onionskin: where they are kept.
        user: whose threads they are. None for a graph that serves many users: then each run says
            it, in `{"configurable": {"thread_id": ..., "user_id": ...}}`, and one that does not is
            refused. What is asked of threads by their ids alone, such as `delete_thread`, is asked
            of a saver with a user.
        tenant: of the users that runs name.
        allow: types of the program's own that may be built from what is stored.
    """

    def __init__(
        self,
        onionskin: Onionskin,
        user: User | None = None,
        *,
        tenant: str = "default",
        allow: Iterable[type] = (),
    ) -> None:
        super().__init__(serde=PlainSerializer(allow))
        self._store, self.portal = onionskin.store, onionskin.event_loop
        self._user, self._tenant = user, tenant

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that a config names, or the latest of its thread."""
        reading = read_tuple(
            self._store, self._thread(config), get_checkpoint_id(config), self.serde
        )
        return await self.portal.run(reading)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints of a thread, or of all of the user's, the latest of each namespace first."""
        wanted = CheckpointQuery.from_arguments(config, filter=filter, before=before, limit=limit)
        threads = [self._thread(config)] if config else await self._threads()
        found = list_tuples(self._store, threads, wanted, self.serde)
        async for one in self.portal.iterate_async(found):
            yield one

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint; the config that names it.

        Raises:
            ThreadGoneError: the one that it follows was deleted meanwhile.
        """
        thread = self._thread(config)
        channels = checkpoint["channel_values"]
        bare = {name: value for name, value in checkpoint.items() if name != "channel_values"}
        row = Row(
            thread.namespace,
            checkpoint["id"],
            get_checkpoint_id(config) or "",
            self.serde.dumps_typed(bare),
            self.serde.dumps_typed(get_checkpoint_metadata(config, metadata)),
        )
        blobs = {
            (name, str(version)): self.serde.dumps_typed(channels[name])
            for name, version in new_versions.items()
            if name in channels
        }
        await self.portal.run(self._store.langgraph_checkpoints.put(thread, row, blobs))
        return config_of(thread, checkpoint["id"])

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store what a task wrote after a checkpoint."""
        packed = [
            Written(
                task_id,
                WRITES_IDX_MAP.get(channel, index),
                task_path,
                channel,
                self.serde.dumps_typed(value),
            )
            for index, (channel, value) in enumerate(writes)
        ]
        checkpoint_id = get_checkpoint_id(config) or ""
        thread = self._thread(config)
        await self.portal.run(
            self._store.langgraph_checkpoints.put_writes(thread, checkpoint_id, packed)
        )

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete a thread of the user's."""
        await self.portal.run(
            self._store.langgraph_checkpoints.delete_thread(self._owner(), thread_id)
        )

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints that some runs made."""
        runs = drop_runs(self._store, self._owner(), frozenset(run_ids), self.serde)
        await self.portal.run(runs)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all of a thread to another of the same user."""
        user = self._owner()
        source, target = Thread(user, source_thread_id), Thread(user, target_thread_id)
        await self.portal.run(copy_thread(self._store, source, target, self.serde))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Keep the latest checkpoint of each namespace (`keep_latest`), or none (`delete`)."""
        if strategy not in {"keep_latest", "delete"}:
            raise InvalidInputError(f"No strategy {strategy!r}; use 'keep_latest' or 'delete'.")
        for thread_id in thread_ids:
            thread = Thread(self._owner(), thread_id)
            if strategy == "delete":
                await self.adelete_thread(thread_id)
            else:
                await self.portal.run(prune_thread(self._store, thread, self.serde))

    def get_next_version(self, current: str | None, channel: None) -> str:
        """The version after `current`: forks of a thread never give two values the same one."""
        del channel
        number = int(current.partition(".")[0]) if current else 0
        return f"{number + 1:032}.{random.random():016}"  # noqa: S311 - no secret

    def _thread(self, config: RunnableConfig) -> Thread:
        """The thread of a config, and whose it is."""
        said = config.get("configurable", {})
        if "thread_id" not in said:
            raise InvalidInputError('Say which thread: {"configurable": {"thread_id": ...}}.')
        named = said.get("user_id")
        if self._user and named not in {None, self._user.id}:
            raise InvalidInputError(f"This checkpointer keeps no threads of user {named!r}.")
        if not (self._user or named):
            raise InvalidInputError(
                'Say whose thread it is: {"configurable": {"user_id": ...}}, or give the '
                "checkpointer a user."
            )
        user = self._user or User(str(named), self._tenant)
        return Thread(user, str(said["thread_id"]), said.get("checkpoint_ns", ""))

    async def _threads(self) -> list[Thread]:
        user = self._owner()
        found = await self.portal.run(self._store.langgraph_checkpoints.threads(user))
        return [Thread(user, one) for one in found]

    def _owner(self) -> User:
        if self._user is None:
            raise InvalidInputError(
                "A thread's id does not say whose it is: ask `OnionskinSaver(onionskin, user)`."
            )
        return self._user
