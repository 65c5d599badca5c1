"""Reads stored checkpoints as LangGraph's `CheckpointTuple`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    Checkpoint,
    CheckpointTuple,
    get_checkpoint_id,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from onionskin.memory.store import CheckpointRow, CheckpointWrite, RedisStore, Thread


@dataclass(frozen=True, slots=True)
class CheckpointQuery:
    """A query for checkpoints.

    Attributes:
        namespace: Only this namespace; None for all.
        id: Only this checkpoint; empty for all.
        before: Only checkpoints with a smaller id; empty for all.
        metadata: Values that the metadata must contain.
        limit: Most checkpoints; None for all.
    """

    namespace: str | None
    id: str
    before: str
    metadata: Mapping[str, Any]
    limit: int | None

    @classmethod
    def from_arguments(
        cls,
        config: RunnableConfig | None,
        *,
        filter: Mapping[str, Any] | None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None,
        limit: int | None,
    ) -> Self:
        """The query for the arguments of LangGraph's `list`."""
        return cls(
            config.get("configurable", {}).get("checkpoint_ns") if config else None,
            (get_checkpoint_id(config) if config else None) or "",
            (get_checkpoint_id(before) if before else None) or "",
            filter or {},
            limit,
        )

    def matches(self, row: CheckpointRow) -> bool:
        """Whether a checkpoint matches, apart from its metadata."""
        return (
            (self.namespace is None or row.namespace == self.namespace)
            and (not self.id or row.id == self.id)
            and (not self.before or row.id < self.before)
        )


async def read_tuple(
    store: RedisStore, thread: Thread, checkpoint_id: str | None, serde: SerializerProtocol
) -> CheckpointTuple | None:
    """One checkpoint, or the latest without an id; None if there is none."""
    found = await store.langgraph_checkpoints.get(thread, checkpoint_id)
    return await _tuple(store, thread, *found, serde) if found else None


async def list_tuples(
    store: RedisStore, threads: Sequence[Thread], query: CheckpointQuery, serde: SerializerProtocol
) -> AsyncIterator[CheckpointTuple]:
    """The checkpoints that match a query, latest of each namespace first."""
    left = query.limit
    for thread in threads:
        async for row in store.langgraph_checkpoints.list(thread):
            if left is not None and left <= 0:
                return
            if not query.matches(row):
                continue
            metadata = serde.loads_typed(row.metadata)
            if any(metadata.get(name) != value for name, value in query.metadata.items()):
                continue
            found = await read_tuple(store, replace(thread, namespace=row.namespace), row.id, serde)
            if found:
                yield found
                left = None if left is None else left - 1


def config_of(thread: Thread, checkpoint_id: str) -> RunnableConfig:
    """The config that names a checkpoint."""
    return {
        "configurable": {
            "thread_id": thread.id,
            "checkpoint_ns": thread.namespace,
            "checkpoint_id": checkpoint_id,
            "user_id": thread.user.id,
        }
    }


async def _tuple(
    store: RedisStore,
    thread: Thread,
    row: CheckpointRow,
    writes: Sequence[CheckpointWrite],
    serde: SerializerProtocol,
) -> CheckpointTuple:
    checkpoint = serde.loads_typed(row.checkpoint)
    versions = [(name, str(one)) for name, one in checkpoint["channel_versions"].items()]
    channels = await store.langgraph_checkpoints.channels(thread, versions)
    values = {name: serde.loads_typed(value) for (name, _), value in channels.items()}
    ordered = sorted(writes, key=lambda one: writes_sort_key(one.path, one.task, one.index))
    return CheckpointTuple(
        config_of(thread, row.id),
        cast("Checkpoint", {**checkpoint, "channel_values": values}),
        serde.loads_typed(row.metadata),
        config_of(thread, row.parent) if row.parent else None,
        [(one.task, one.channel, serde.loads_typed(one.value)) for one in ordered],
    )
