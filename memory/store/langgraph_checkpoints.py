"""Checkpoints of LangGraph's threads, in the hash slot of the user whose threads they are.

What a channel holds is stored once for each version of it; a checkpoint says which versions it
has. Values come as LangGraph's serializer makes them, a type and bytes, and are sealed here.
"""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from onionskin.memory.errors import CorruptValueError, ThreadGoneError
from onionskin.memory.store import keys
from onionskin.memory.store.aof_rewrite import mark_erasure
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument
from onionskin.memory.store.redis.connection import Script
from onionskin.memory.store.store import RedisStore
from onionskin.memory.types.messages import User

Typed: TypeAlias = tuple[str, bytes]
"""A serialized value: the name of its type, and its bytes."""
Channel: TypeAlias = tuple[str, str]
"""A channel's name and version."""
_PUT, _WRITE = Script("thread_put"), Script("thread_write")
_READ, _DROP = Script("thread_read"), Script("thread_drop")
_ORPHAN_SECONDS, _PAGE = 600, 100


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread, or one namespace of it."""

    user: User
    id: str
    namespace: str = ""

    def name(self, checkpoint_id: str) -> str:
        """A checkpoint as the scripts call it."""
        return f"{keys.encoded(self.namespace)}:{keys.encoded(checkpoint_id)}"

    def field(self, channel: Channel) -> str:
        """A version of a channel, as the hash of them calls it."""
        return ":".join(map(keys.encoded, (self.namespace, *channel)))

    def place(self, sort: str) -> str:
        """A key of the thread, behind the user's prefix."""
        return f"{keys.thread(self.id)}{sort}"


class Row(msgspec.Struct, array_like=True, frozen=True):
    """A checkpoint as it is stored; what later versions add comes last, with a default."""

    namespace: str
    id: str
    parent: str
    checkpoint: Typed
    metadata: Typed


class Written(msgspec.Struct, array_like=True, frozen=True):
    """What a task wrote: at `index` of its writes, to a channel. Negative ones are replaced."""

    task: str
    index: int
    path: str
    channel: str
    value: Typed


_encode = msgspec.msgpack.Encoder().encode
_row, _written = msgspec.msgpack.Decoder(Row), msgspec.msgpack.Decoder(Written)
_typed = msgspec.msgpack.Decoder(Typed)


async def put_checkpoint(
    store: RedisStore, thread: Thread, row: Row, channels: Mapping[Channel, Typed]
) -> None:
    """Store a checkpoint, and the channels that are new in it.

    Raises:
        ThreadGoneError: its parent is not there any more.
    """
    name, epoch = thread.name(row.id), secrets.token_hex(8)
    place = thread.place("checkpoints")

    def arguments(cipher: Cipher) -> Sequence[Argument]:
        values: list[Argument] = [keys.encoded(thread.id), name]
        values += (thread.name(row.parent) if row.parent else "",)
        values += (cipher.seal(f"{place}:{name}", _encode(row)), epoch)
        for channel, value in channels.items():
            field = thread.field(channel)
            values += (field, cipher.seal(f"{thread.place('blobs')}:{field}", _encode(value)))
        return values

    if not await store.keyring.run_write(thread.user, _PUT, arguments):
        raise ThreadGoneError(thread.id)


async def put_writes(
    store: RedisStore, thread: Thread, checkpoint_id: str, writes: Sequence[Written]
) -> None:
    """Store what a task wrote after a checkpoint; writes that are there stay, but for errors."""
    name = thread.name(checkpoint_id)
    place = thread.place(f"writes:{name}")

    def arguments(cipher: Cipher) -> Sequence[Argument]:
        values: list[Argument] = [keys.encoded(thread.id), name, _ORPHAN_SECONDS]
        for write in writes:
            field = f"{keys.encoded(write.task)}:{write.index}"
            sealed = cipher.seal(f"{place}:{field}", _encode(write))
            values += (field, "once" if write.index >= 0 else "over", sealed)
        return values

    await store.keyring.run_write(thread.user, _WRITE, arguments)


async def read_checkpoint(
    store: RedisStore, thread: Thread, checkpoint_id: str | None
) -> tuple[Row, list[Written]] | None:
    """A checkpoint, or the latest, with what was written after it; None where there is none."""
    name = thread.name(checkpoint_id) if checkpoint_id else ""
    namespace = keys.encoded(thread.namespace)
    reply, cipher = await store.keyring.run_read(
        thread.user, _READ, keys.encoded(thread.id), namespace, name
    )
    if not reply:
        return None
    found, flat = reply[0].decode(), reply[2]
    packed = cipher.open(f"{thread.place('checkpoints')}:{found}", reply[1])
    place = thread.place(f"writes:{found}")
    writes = [
        _decoded(_written, cipher.open(f"{place}:{field.decode()}", value))
        for field, value in zip(flat[::2], flat[1::2], strict=True)
    ]
    return _decoded(_row, packed), writes


async def read_channels(
    store: RedisStore, thread: Thread, channels: Sequence[Channel]
) -> dict[Channel, Typed]:
    """The values of channels; those without one are left out."""
    if not channels:
        return {}
    fields, place = [thread.field(one) for one in channels], thread.place("blobs")
    name = f"{keys.prefix(thread.user)}{place}"
    call, commands = store.connection.call, store.connection.commands
    values = await call(commands.hmget(name, fields))
    cipher = await store.keyring.cipher_for(thread.user, values)
    return {
        channel: _decoded(_typed, cipher.open(f"{place}:{field}", value))
        for channel, field, value in zip(channels, fields, values, strict=True)
        if value
    }


async def list_checkpoints(store: RedisStore, thread: Thread) -> AsyncIterator[Row]:
    """The checkpoints of every namespace of a thread, the latest of each first."""
    call, commands = store.connection.call, store.connection.commands
    prefix, place = keys.prefix(thread.user), thread.place("checkpoints")
    found = await call(commands.zrange(f"{prefix}{thread.place('ids')}", 0, -1, desc=True))
    for start in range(0, len(found), _PAGE):
        names = [one.decode() for one in found[start : start + _PAGE]]
        packed = await call(commands.hmget(f"{prefix}{place}", names))
        cipher = await store.keyring.cipher_for(thread.user, packed)
        for name, data in zip(names, packed, strict=True):
            if data:
                yield _decoded(_row, cipher.open(f"{place}:{name}", data))


async def list_threads(store: RedisStore, user: User) -> list[str]:
    """The ids of a user's threads, sorted."""
    found = await store.connection.call(store.connection.commands.smembers(keys.threads(user)))
    return sorted(keys.decoded(one.decode()) for one in found)


async def drop_checkpoints(
    store: RedisStore, user: User, thread_id: str, names: Sequence[str], fields: Sequence[str]
) -> None:
    """Delete checkpoints of a thread, and versions of channels that none has any more."""
    await _drop(store, user, thread_id, len(names), *names, *fields)


async def drop_thread(store: RedisStore, user: User, thread_id: str) -> None:
    """Delete a thread, if there is one."""
    await _drop(store, user, thread_id, -1)


async def _drop(store: RedisStore, user: User, thread_id: str, count: int, *names: str) -> None:
    run = store.connection.run
    if await run(_DROP, keys.prefix(user), keys.encoded(thread_id), count, *names):
        await mark_erasure(store.connection, now=store.retention.clock())


def _decoded(decoder: "msgspec.msgpack.Decoder[Any]", data: bytes) -> Any:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptValueError(f"A stored checkpoint does not decode: {error}.") from error
