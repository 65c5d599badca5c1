"""LangGraph's checkpoints, in the hash slot of the user who owns the threads.

Each version of a channel's value is stored once; a checkpoint lists the versions that it uses.
LangGraph's serializer yields values as a type and bytes; this module encrypts them.
"""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from onionskin.memory.errors import CorruptValueError, ThreadGoneError
from onionskin.memory.store import keys
from onionskin.memory.store.aof_rewrite import AofRewrite
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.repository import Repository, StoreContext
from onionskin.memory.types.messages import User

TypedValue: TypeAlias = tuple[str, bytes]
"""A serialized value: the name of its type, and its bytes."""
ChannelVersion: TypeAlias = tuple[str, str]
"""A channel's name and version."""
_PUT, _DELETE = Script("checkpoint_put"), Script("checkpoint_delete")
_GET = Script.inline("""
-- Read one checkpoint of a thread with the writes that follow it.
-- KEYS[1] the user's prefix   ARGV 1 thread   2 namespace   3 checkpoint name, '' for the latest
-- Returns {name, packed, {field, write, field, write ...}}, or {}.
local thread, name = KEYS[1] .. 'thread:' .. ARGV[1] .. ':', ARGV[3]
if name == '' then
  local first, last = '[' .. ARGV[2] .. ':', '[' .. ARGV[2] .. ':\\255'
  name = redis.call('ZREVRANGEBYLEX', thread .. 'ids', last, first, 'LIMIT', 0, 1)[1]
end
local packed = name and redis.call('HGET', thread .. 'checkpoints', name)
if not packed then
  return {}
end
return {name, packed, redis.call('HGETALL', thread .. 'writes:' .. name)}
""")
_PUT_WRITES = Script.inline("""
-- Store the writes of tasks after a checkpoint. They may arrive before the checkpoint, and expire
-- if it never arrives.
-- KEYS[1] the user's prefix
-- ARGV    1 thread   2 checkpoint name   3 seconds to wait for the checkpoint
--         4.. field, 'once' or 'over' (whether it replaces an existing write), packed
local thread = KEYS[1] .. 'thread:' .. ARGV[1] .. ':'
local name = thread .. 'writes:' .. ARGV[2]
for at = 4, #ARGV, 3 do
  redis.call(ARGV[at + 1] == 'once' and 'HSETNX' or 'HSET', name, ARGV[at], ARGV[at + 2])
end
if not redis.call('ZSCORE', thread .. 'ids', ARGV[2]) then
  redis.call('EXPIRE', name, ARGV[3])
end
return 1
""")
_ORPHAN_SECONDS, _PAGE = 600, 100


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread, or one namespace of it."""

    user: User
    id: str
    namespace: str = ""

    def name(self, checkpoint_id: str) -> str:
        """The name of a checkpoint in the scripts."""
        return f"{keys.encoded(self.namespace)}:{keys.encoded(checkpoint_id)}"

    def field(self, channel: ChannelVersion) -> str:
        """The hash field of a version of a channel."""
        return ":".join(map(keys.encoded, (self.namespace, *channel)))

    def place(self, sort: str) -> str:
        """A key of the thread, without the user's prefix."""
        return f"{keys.thread(self.id)}{sort}"


class CheckpointRow(msgspec.Struct, array_like=True, frozen=True):
    """A checkpoint as it is stored. New fields are added at the end, with a default."""

    namespace: str
    id: str
    parent: str
    checkpoint: TypedValue
    metadata: TypedValue


class CheckpointWrite(msgspec.Struct, array_like=True, frozen=True):
    """A write of a task to a channel; `index` counts its writes, and negative ones are replaced."""

    task: str
    index: int
    path: str
    channel: str
    value: TypedValue


_encode = msgspec.msgpack.Encoder().encode
_row, _written = msgspec.msgpack.Decoder(CheckpointRow), msgspec.msgpack.Decoder(CheckpointWrite)
_typed = msgspec.msgpack.Decoder(TypedValue)


class LangGraphCheckpoints(Repository):
    """The checkpoints of a user's threads.

    Args:
        context: The connection, keyring and options of the store.
        aof_rewrite: Notes deletions for the append-only file.
    """

    def __init__(self, context: StoreContext, aof_rewrite: AofRewrite) -> None:
        super().__init__(context)
        self._aof_rewrite = aof_rewrite

    async def put(
        self, thread: Thread, row: CheckpointRow, channels: Mapping[ChannelVersion, TypedValue]
    ) -> None:
        """Store a checkpoint, and the channel versions that are new in it.

        Raises:
            ThreadGoneError: Its parent was deleted.
        """
        name, epoch = thread.name(row.id), secrets.token_hex(8)
        place = thread.place("checkpoints")

        def arguments(cipher: Cipher) -> Sequence[Argument]:
            values: list[Argument] = [keys.encoded(thread.id), name]
            values += (thread.name(row.parent) if row.parent else "",)
            values += (cipher.encrypt(f"{place}:{name}", _encode(row)), epoch)
            for channel, value in channels.items():
                field = thread.field(channel)
                encrypted = cipher.encrypt(f"{thread.place('blobs')}:{field}", _encode(value))
                values += (field, encrypted)
            return values

        if not await self._keyring.run_write(thread.user, _PUT, arguments):
            raise ThreadGoneError(thread.id)

    async def put_writes(
        self, thread: Thread, checkpoint_id: str, writes: Sequence[CheckpointWrite]
    ) -> None:
        """Store a task's writes after a checkpoint; existing ones stay, except for errors."""
        name = thread.name(checkpoint_id)
        place = thread.place(f"writes:{name}")

        def arguments(cipher: Cipher) -> Sequence[Argument]:
            values: list[Argument] = [keys.encoded(thread.id), name, _ORPHAN_SECONDS]
            for write in writes:
                field = f"{keys.encoded(write.task)}:{write.index}"
                encrypted = cipher.encrypt(f"{place}:{field}", _encode(write))
                values += (field, "once" if write.index >= 0 else "over", encrypted)
            return values

        await self._keyring.run_write(thread.user, _PUT_WRITES, arguments)

    async def get(
        self, thread: Thread, checkpoint_id: str | None
    ) -> tuple[CheckpointRow, list[CheckpointWrite]] | None:
        """A checkpoint, or the latest one, with the writes after it; None if there is none."""
        name = thread.name(checkpoint_id) if checkpoint_id else ""
        namespace = keys.encoded(thread.namespace)
        reply, cipher = await self._keyring.run_read(
            thread.user, _GET, keys.encoded(thread.id), namespace, name
        )
        if not reply:
            return None
        name, flat = reply[0].decode(), reply[2]
        packed = cipher.decrypt(f"{thread.place('checkpoints')}:{name}", reply[1])
        place = thread.place(f"writes:{name}")
        writes = [
            _decoded(_written, cipher.decrypt(f"{place}:{field.decode()}", value))
            for field, value in zip(flat[::2], flat[1::2], strict=True)
        ]
        return _decoded(_row, packed), writes

    async def channels(
        self, thread: Thread, channels: Sequence[ChannelVersion]
    ) -> dict[ChannelVersion, TypedValue]:
        """The values of channel versions; those without a value are left out."""
        if not channels:
            return {}
        fields, place = [thread.field(channel) for channel in channels], thread.place("blobs")
        name = f"{keys.prefix(thread.user)}{place}"
        values = await self._call(self._commands.hmget(name, fields))
        cipher = await self._keyring.cipher_for(thread.user, values)
        return {
            channel: _decoded(_typed, cipher.decrypt(f"{place}:{field}", value))
            for channel, field, value in zip(channels, fields, values, strict=True)
            if value
        }

    async def threads(self, user: User) -> list[str]:
        """The ids of a user's threads, sorted."""
        names = await self._call(self._commands.smembers(keys.threads(user)))
        return sorted(keys.decoded(name.decode()) for name in names)

    async def list(self, thread: Thread) -> AsyncIterator[CheckpointRow]:
        """The checkpoints of every namespace of a thread, the latest of each first."""
        prefix, place = keys.prefix(thread.user), thread.place("checkpoints")
        ids = await self._call(
            self._commands.zrange(f"{prefix}{thread.place('ids')}", 0, -1, desc=True)
        )
        for start in range(0, len(ids), _PAGE):
            names = [name.decode() for name in ids[start : start + _PAGE]]
            packed = await self._call(self._commands.hmget(f"{prefix}{place}", names))
            cipher = await self._keyring.cipher_for(thread.user, packed)
            for name, data in zip(names, packed, strict=True):
                if data:
                    yield _decoded(_row, cipher.decrypt(f"{place}:{name}", data))

    async def delete(
        self, user: User, thread_id: str, names: Sequence[str], fields: Sequence[str]
    ) -> None:
        """Delete checkpoints of a thread, and channel versions that no checkpoint uses any more."""
        await self._delete(user, thread_id, len(names), *names, *fields)

    async def delete_thread(self, user: User, thread_id: str) -> None:
        """Delete a thread, if there is one."""
        await self._delete(user, thread_id, -1)

    async def _delete(self, user: User, thread_id: str, count: int, *names: str) -> None:
        arguments = (keys.encoded(thread_id), count, *names)
        if await self._connection.run(_DELETE, keys.prefix(user), *arguments):
            await self._aof_rewrite.mark_erasure(now=self._retention.clock())


def _decoded(decoder: "msgspec.msgpack.Decoder[Any]", data: bytes) -> Any:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptValueError(f"A stored checkpoint does not decode: {error}.") from error
