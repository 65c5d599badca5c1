"""LangGraph's checkpointer on plain Redis or Valkey: no modules, one hash slot per user.

Every thread belongs to a user and is erased with them. The saver names the user, or each run's
config does. Synchronous methods run the asynchronous ones on Onionskin's event loop.
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
from onionskin.memory.store import CheckpointRow, CheckpointWrite, Thread
from onionskin.memory.types.messages import User


class OnionskinSaver(BaseCheckpointSaver[str]):
    """Stores the checkpoints of users' threads; erasing a user erases them.

    Args:
        onionskin: The open memory.
        user: Owner of the threads. None for a graph that serves many users: each run then names its
            user in `{"configurable": {"thread_id": ..., "user_id": ...}}`; a run without one is
            rejected. Methods that take only thread ids, such as `delete_thread`, need a saver with
            a user.
        tenant: Tenant of the users that runs name.
        allow: Types of the program that stored values may be decoded to.
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
        self._store, self._event_loop = onionskin.store, onionskin.event_loop
        self._user, self._tenant = user, tenant

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that `config` names, or the latest of its thread."""
        reading = read_tuple(
            self._store, self._thread(config), get_checkpoint_id(config), self.serde
        )
        return await self._event_loop.run(reading)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints of a thread or of all the user's threads, latest of each namespace first."""
        query = CheckpointQuery.from_arguments(config, filter=filter, before=before, limit=limit)
        threads = [self._thread(config)] if config else await self._threads()
        checkpoints = list_tuples(self._store, threads, query, self.serde)
        async for checkpoint in self._event_loop.iterate_async(checkpoints):
            yield checkpoint

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint and return the config that names it.

        Raises:
            ThreadGoneError: The checkpoint before it was deleted.
        """
        thread = self._thread(config)
        channels = checkpoint["channel_values"]
        without_values = {
            name: value for name, value in checkpoint.items() if name != "channel_values"
        }
        row = CheckpointRow(
            thread.namespace,
            checkpoint["id"],
            get_checkpoint_id(config) or "",
            self.serde.dumps_typed(without_values),
            self.serde.dumps_typed(get_checkpoint_metadata(config, metadata)),
        )
        blobs = {
            (name, str(version)): self.serde.dumps_typed(channels[name])
            for name, version in new_versions.items()
            if name in channels
        }
        await self._event_loop.run(self._store.langgraph_checkpoints.put(thread, row, blobs))
        return config_of(thread, checkpoint["id"])

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store the writes of a task after a checkpoint."""
        packed = [
            CheckpointWrite(
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
        await self._event_loop.run(
            self._store.langgraph_checkpoints.put_writes(thread, checkpoint_id, packed)
        )

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete one of the user's threads."""
        await self._event_loop.run(
            self._store.langgraph_checkpoints.delete_thread(self._owner(), thread_id)
        )

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of some runs."""
        runs = drop_runs(self._store, self._owner(), frozenset(run_ids), self.serde)
        await self._event_loop.run(runs)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread to another thread of the same user."""
        user = self._owner()
        source, target = Thread(user, source_thread_id), Thread(user, target_thread_id)
        await self._event_loop.run(copy_thread(self._store, source, target, self.serde))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Keep the latest checkpoint of each namespace (`keep_latest`), or none (`delete`)."""
        if strategy not in {"keep_latest", "delete"}:
            raise InvalidInputError(
                f"Unknown strategy {strategy!r}; use 'keep_latest' or 'delete'."
            )
        for thread_id in thread_ids:
            thread = Thread(self._owner(), thread_id)
            if strategy == "delete":
                await self.adelete_thread(thread_id)
            else:
                await self._event_loop.run(prune_thread(self._store, thread, self.serde))

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `aget_tuple`."""
        return self._event_loop.run_blocking(self.aget_tuple(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """As `alist`."""
        checkpoints: AsyncIterator[CheckpointTuple] = self.alist(
            config, filter=filter, before=before, limit=limit
        )
        return self._event_loop.iterate(checkpoints)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `aput`."""
        return self._event_loop.run_blocking(self.aput(config, checkpoint, metadata, new_versions))

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """As `aput_writes`."""
        self._event_loop.run_blocking(self.aput_writes(config, writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        """As `adelete_thread`."""
        self._event_loop.run_blocking(self.adelete_thread(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `adelete_for_runs`."""
        self._event_loop.run_blocking(self.adelete_for_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `acopy_thread`."""
        self._event_loop.run_blocking(self.acopy_thread(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As `aprune`."""
        self._event_loop.run_blocking(self.aprune(thread_ids, strategy=strategy))

    def get_next_version(self, current: str | None, channel: None) -> str:
        """The version after `current`; random digits keep the versions of forks distinct."""
        del channel
        number = int(current.partition(".")[0]) if current else 0
        return f"{number + 1:032}.{random.random():016}"  # noqa: S311 - not a secret

    def _thread(self, config: RunnableConfig) -> Thread:
        """The thread that `config` names, with its owner."""
        configurable = config.get("configurable", {})
        if "thread_id" not in configurable:
            raise InvalidInputError('Name the thread: {"configurable": {"thread_id": ...}}.')
        user_id = configurable.get("user_id")
        if self._user and user_id not in {None, self._user.id}:
            raise InvalidInputError(f"This checkpointer has no threads of user {user_id!r}.")
        if not (self._user or user_id):
            raise InvalidInputError(
                'Name the user of the thread: {"configurable": {"user_id": ...}}, or give the '
                "checkpointer a user."
            )
        user = self._user or User(str(user_id), self._tenant)
        return Thread(user, str(configurable["thread_id"]), configurable.get("checkpoint_ns", ""))

    async def _threads(self) -> Sequence[Thread]:
        user = self._owner()
        thread_ids = await self._event_loop.run(self._store.langgraph_checkpoints.threads(user))
        return [Thread(user, thread_id) for thread_id in thread_ids]

    def _owner(self) -> User:
        if self._user is None:
            raise InvalidInputError(
                "A thread id does not name its user. Use `OnionskinSaver(onionskin, user)`."
            )
        return self._user
