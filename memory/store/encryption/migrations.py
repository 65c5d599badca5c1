"""Sealing what was stored before there were keys, where it lies, while the service runs.

A value that is sealed already is passed over and one that changes meanwhile is left to who changes
it, so that a run that was killed is simply run again.

Rotating the master key: every user's data key is wrapped anew, and no value is touched.

What is wrapped by the newest master key is passed over, so that a run that was killed is simply run
again; each data key is replaced at one instant.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from onionskin.memory.errors import ConfigurationError, EncryptedValueError
from onionskin.memory.store import keys
from onionskin.memory.store.encryption.ciphers import Cipher, is_sealed
from onionskin.memory.store.encryption.keyring import Argument, keep_checks
from onionskin.memory.store.encryption.master_keys import MasterKeys, names_of
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.script_io import ENCRYPTED_FIELDS, without_revision
from onionskin.memory.store.store import RedisStore
from onionskin.memory.store.users import scan_keys
from onionskin.memory.types.messages import User

_RESEAL = Script("weigh", "reseal")
_PAGE = 500
_COUNTED = ("messages", "vectors", "records")
_STRINGS = ("shown:", "once:http:")
_PREFIXED = ("records", "items")
"""Hashes whose values begin with something that is not sealed, and a blank."""
_THREAD = re.compile("[^:]*:(checkpoints|blobs|writes:.*)")
_MASK = re.compile("[0-9a-f]{64}")
_Values: TypeAlias = Sequence[tuple[str | int, bytes]]


@dataclass(slots=True)
class Sealing:
    """How it goes: keys of Redis that were looked at, and values that were sealed."""

    seen: int = 0
    sealed: int = 0


def _tell_nobody(_sealing: Sealing) -> None:
    """Nothing."""


async def encrypt_existing(
    store: RedisStore, *, tell: Callable[[Sealing], None] = _tell_nobody
) -> Sealing:
    """Seal every plain value of every user.

    Args:
        store: its keyring has a master key.
        tell: told after each key of Redis how it goes.

    Raises:
        ConfigurationError: there are no master keys.
        SealedError: the data key of a user does not open; those before are sealed.
    """
    if store.keyring.masters is None:
        raise ConfigurationError("There are no keys: set ONIONSKIN_ENCRYPTION_KEYS.")
    sealing = Sealing()
    async for name in scan_keys(store, keys.EVERY_KEY):
        user, rest = keys.parse_user(name), name.partition("}:")[2]
        async for values in _read(store, name, rest):
            plain = [(at, value) for at, value in values if value and _is_plain(rest, at, value)]
            if plain:
                sealing.sealed += await _seal(store, user, rest, plain)
        sealing.seen += 1
        tell(sealing)
    return sealing


async def _seal(store: RedisStore, user: User, rest: str, plain: _Values) -> int:
    sort, counted = _sort(rest), int(rest.partition(":")[0] in _COUNTED)

    def arguments(cipher: Cipher) -> Sequence[Argument]:
        values: list[Argument] = [sort, rest, counted]
        for field, value in plain:
            values += (field, value, _sealed(cipher, rest, field, value))
        return values

    return await store.keyring.run_write(user, _RESEAL, arguments)


async def _read(store: RedisStore, name: str, rest: str) -> AsyncIterator[_Values]:
    """The values of a key that are to be sealed, with their fields or indexes, by pages."""
    call, commands = store.connection.call, store.connection.commands
    match _sort(rest):
        case "list":
            start = 0
            while True:
                found: list[bytes] = await call(commands.lrange(name, start, start + _PAGE - 1))
                yield list(enumerate(found, start))
                start += len(found)
                if len(found) < _PAGE:
                    return
        case "hash" | "topics":
            fields: list[str] = [*ENCRYPTED_FIELDS]
            if not rest.startswith("session:"):
                fields = [one.decode() for one in await call(commands.hkeys(name))]
            for start in range(0, len(fields), _PAGE):
                page = fields[start : start + _PAGE]
                yield list(zip(page, await call(commands.hmget(name, page)), strict=True))
        case "string":
            yield [("", await call(commands.get(name)) or b"")]
        case _:
            return


def _sort(rest: str) -> str:
    """How a key holds what is sealed; empty if it holds none."""
    family, _, name = rest.partition(":")
    if rest.startswith(_STRINGS):
        return "string"
    if family == "thread":
        return "hash" if _THREAD.fullmatch(name) else ""
    if name:
        return {"messages": "list", "history": "list", "session": "hash"}.get(family, "")
    return {"vectors": "hash", "topics": "topics"}.get(family, "hash" if rest in _PREFIXED else "")


def _is_plain(rest: str, field: str | int, value: bytes) -> bool:
    if rest == "topics":
        return not _MASK.fullmatch(str(field))
    return not is_sealed(without_revision(value) if rest in _PREFIXED else value)


def _sealed(cipher: Cipher, rest: str, field: str | int, value: bytes) -> bytes:
    match _sort(rest):
        case "topics":
            return cipher.blind_index("topic", str(field))
        case "hash" if rest in _PREFIXED:
            revision, _, packed = value.partition(b" ")
            return revision + b" " + cipher.seal(f"{rest}:{field}", packed)
        case "string":
            return cipher.seal(rest, value)
        case _ if rest.startswith("history:"):
            return cipher.seal(rest, value)
        case _:
            return cipher.seal(f"{rest}:{field}", value)


_REWRAP = Script("rewrap")


@dataclass(slots=True)
class Rotation:
    """How a rotation goes.

    Attributes:
        seen: data keys that were looked at in this round.
        rewrapped: those that were wrapped anew.
        failed: those that do not open; they stay as they are.
        dropped: the master keys that wrap nothing any more, once all is done.
    """

    seen: int = 0
    rewrapped: int = 0
    failed: int = 0
    dropped: tuple[str, ...] = ()


def _ignore_rotation(_rotation: Rotation) -> None:
    """Nothing."""


async def rotate_master_key(
    store: RedisStore, *, tell: Callable[[Rotation], None] = _ignore_rotation
) -> Rotation:
    """Wrap every user's data key by the newest master key; rounds until there is nothing to do.

    Args:
        store: its keyring has the newest master key, and those that wrap yet.
        tell: told now and then how it goes.

    Raises:
        ConfigurationError: there are no master keys.
    """
    masters = store.keyring.masters
    if masters is None:
        raise ConfigurationError("There are no keys: set ONIONSKIN_ENCRYPTION_KEYS.")
    rotation, before = Rotation(), -1
    while rotation.rewrapped > before:
        before, rotation.seen, rotation.failed = rotation.rewrapped, 0, 0
        async for name in scan_keys(store, keys.DATA_KEYS):
            if name.partition("}:")[2] == "key":
                await _rewrap(store, masters, name, rotation)
                tell(rotation)
    if not rotation.failed:
        rotation.dropped = tuple(await keep_checks(store.connection, masters.newest))
    return rotation


async def _rewrap(store: RedisStore, masters: MasterKeys, name: str, rotation: Rotation) -> None:
    call, commands = store.connection.call, store.connection.commands
    owner = name.removesuffix("key")
    held = await call(commands.get(name))
    if held is None:
        return  # erased meanwhile
    rotation.seen += 1
    try:
        if names_of(held)[1] == masters.newest:
            return
        wrapped = masters.wrap(owner, masters.unwrap(owner, held))
    except EncryptedValueError:
        rotation.failed += 1
        return
    rotation.rewrapped += await store.connection.run(_REWRAP, owner, held, wrapped)
