"""Copies and prunes threads, and deletes the checkpoints of runs."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from onionskin.memory.store import ChannelVersion, CheckpointRow, RedisStore, Thread
from onionskin.memory.types.messages import User

_DELTAS = "counters_since_delta_snapshot"


async def copy_thread(
    store: RedisStore, source: Thread, target: Thread, serde: SerializerProtocol
) -> None:
    """Copy every checkpoint with its channels and writes, oldest first."""
    rows = [row async for row in store.langgraph_checkpoints.list(source)]
    for row in sorted(rows, key=lambda one: one.id):
        here = replace(source, namespace=row.namespace)
        there = replace(target, namespace=row.namespace)
        found = await store.langgraph_checkpoints.get(here, row.id)
        if found is None:
            continue
        channels = await store.langgraph_checkpoints.channels(here, _channels(row, serde))
        known = row.parent in {one.id for one in rows if one.namespace == row.namespace}
        copied = (
            row if known else CheckpointRow(row.namespace, row.id, "", row.checkpoint, row.metadata)
        )
        await store.langgraph_checkpoints.put(there, copied, channels)
        await store.langgraph_checkpoints.put_writes(there, row.id, found[1])


async def drop_runs(
    store: RedisStore, user: User, run_ids: Collection[str], serde: SerializerProtocol
) -> None:
    """Delete the checkpoints of some runs from all threads of a user."""
    for thread_id in await store.langgraph_checkpoints.threads(user):
        thread = Thread(user, thread_id)
        rows = [row async for row in store.langgraph_checkpoints.list(thread)]
        gone = [row for row in rows if serde.loads_typed(row.metadata).get("run_id") in run_ids]
        await _drop(store, thread, rows, gone, serde)


async def prune_thread(store: RedisStore, thread: Thread, serde: SerializerProtocol) -> None:
    """Keep the latest checkpoint of each namespace and those that its delta channels need."""
    rows = [row async for row in store.langgraph_checkpoints.list(thread)]
    at = {(row.namespace, row.id): row for row in rows}
    latest = {row.namespace: row for row in sorted(rows, key=lambda one: one.id)}
    kept: list[CheckpointRow] = []
    for row in latest.values():
        kept.append(row)
        missing = set(serde.loads_typed(row.metadata).get(_DELTAS, ()))
        before: CheckpointRow | None = row
        while missing and (before := at.get((before.namespace, before.parent))):
            here = replace(thread, namespace=before.namespace)
            held = await store.langgraph_checkpoints.channels(here, _channels(before, serde))
            missing -= {name for name, _ in held}
            kept.append(before)
    gone = [row for row in rows if row not in kept]
    await _drop(store, thread, rows, gone, serde)


async def _drop(
    store: RedisStore,
    thread: Thread,
    rows: list[CheckpointRow],
    gone: list[CheckpointRow],
    serde: SerializerProtocol,
) -> None:
    """Delete checkpoints of a thread, and the channel values that only they use."""
    if not gone:
        return
    kept = {_at(row) for row in rows} - {_at(row) for row in gone}
    held = {field for row in rows if _at(row) in kept for field in _fields(thread, row, serde)}
    left = {field for row in gone for field in _fields(thread, row, serde)} - held
    names = [replace(thread, namespace=row.namespace).name(row.id) for row in gone]
    await store.langgraph_checkpoints.delete(thread.user, thread.id, names, sorted(left))


def _at(row: CheckpointRow) -> tuple[str, str]:
    return row.namespace, row.id


def _fields(thread: Thread, row: CheckpointRow, serde: SerializerProtocol) -> set[str]:
    here = replace(thread, namespace=row.namespace)
    return {here.field(channel) for channel in _channels(row, serde)}


def _channels(row: CheckpointRow, serde: SerializerProtocol) -> list[ChannelVersion]:
    checkpoint: Mapping[str, Any] = serde.loads_typed(row.checkpoint)
    return [(name, str(version)) for name, version in checkpoint["channel_versions"].items()]
